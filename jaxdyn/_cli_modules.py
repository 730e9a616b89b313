"""Systems and measures of the user's own, named `module:attribute`."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxdyn._cli_request import Request
from jaxdyn.about import unknown_name
from jaxdyn.system import System

__all__ = ["Maker", "check_keywords", "importable", "is_own", "loaded"]

_FORM = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_own(name: str) -> bool:
    """Whether a name stands for code of the user's own."""
    return ":" in name


@contextmanager
def importable(*directories: Path) -> Iterator[None]:
    """Modules in these directories can be imported."""
    before = list(sys.path)
    sys.path[:0] = dict.fromkeys(str(directory.resolve()) for directory in directories)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def loaded(request: Request, key: str) -> Any:
    """Object that `system` or `measure` names; importing its module runs that module's code."""
    name = getattr(request, key)
    if not _FORM.fullmatch(name):
        message = f"code of your own is named module:attribute, such as my_module:my_{key}; got {name!r}"
        raise request.error(message, key)
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        where = f"; it must be in {request.directory}, in the working directory or installed" if missing else ""
        raise request.error(f"cannot import {module_name} ({type(error).__name__}: {error}){where}", key) from error
    if not hasattr(module, attribute):
        known = [found for found in vars(module) if not found.startswith("_")]
        raise request.error(f"{module_name} has no {unknown_name(attribute, known)}", key)
    return getattr(module, attribute)


class Maker:
    """A system of the user's own, or a function that makes one; its arguments are options."""

    def __init__(self, request: Request) -> None:
        self.request, self.found = request, loaded(request, "system")
        self.options: Mapping[str, Any] = {}
        if isinstance(self.found, System):
            return
        if not callable(self.found):
            message = f"{request.system} is neither a system nor a function that makes one"
            raise request.error(f"{message}, but {type(self.found).__name__}", "system")
        self.options = _keywords(self.found) or {}

    def __call__(self, options: Mapping[str, Any], params: Mapping[str, Any]) -> System:
        """System with these options and parameters."""
        return self._made(options).with_params(**params)

    def _made(self, options: Mapping[str, Any]) -> System:
        if isinstance(self.found, System):
            return self.found
        request = self.request
        try:
            inspect.signature(self.found).bind(**options)
        except TypeError as error:
            raise request.error(f"{request.system}: {error}; its arguments are options", "options") from None
        try:
            made = self.found(**options)
        except Exception as error:
            raise request.error(f"{request.system} failed ({type(error).__name__}: {error})", "system") from error
        if not isinstance(made, System):
            raise request.error(f"{request.system} returned {type(made).__name__}, not a system", "system")
        return made


def check_keywords(request: Request, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Complain about options that a measure does not take."""
    known = _keywords(function)
    if known is None:
        return
    options = [name for name in list(known)[1:] if name != "key"]  # the first is the system
    for name in given:
        if name not in options:
            raise request.error(
                f"{request.measure} has no option {unknown_name(name, options)}", "measure_options", name
            )


def _keywords(function: Callable[..., Any]) -> dict[str, Any] | None:
    """Defaults of the arguments that may be given by name; None if all may."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind in kinds}
