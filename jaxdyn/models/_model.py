"""How a model is declared: its equations as a function, its words and numbers as data.

A model is a factory: calling it gives a fresh `Flow` or `Map`. The words are written once, in `About`;
signature and docstring of the factory are made from them.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from jaxdyn.about import About, unknown_name
from jaxdyn.stochastic import SDE, sde
from jaxdyn.system import Flow, Map, System, flow

__all__ = ["Ingredients", "Model", "model"]


class Model(Protocol):
    """Factory of a library system."""

    about: About
    kind: str
    options: dict[str, Any]
    __name__: str

    def __call__(self, **arguments: Any) -> Any:
        """System with the given parameters, start `x0`, dtype and options."""
        ...


class Ingredients(NamedTuple):
    """What a system is made of: equations, parameters, start (the caller's, or None) with its default, names."""

    field: Callable[..., Any]
    params: dict[str, Any]
    x0: Any
    default_x0: Any
    state_names: tuple[str, ...]


def model(
    kind: Callable[..., System],
    field: Callable[..., Any],
    about: About,
    *,
    diffusion: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    defaults: Callable[..., tuple[dict[str, Any], Any, tuple[str, ...]]] | None = None,
    complete: Callable[[Ingredients, dict[str, Any]], Ingredients] | None = None,
) -> Model:
    """Factory of one model.

    Parameters
    ----------
    kind
        `flow`, `iterated_map` or `sde`.
    field
        The equations, `(t, x, params) -> rate or next state`; of an `sde` its drift.
    diffusion
        Of an `sde`, whose parameter `seed` is named in `about` as the last one; an Ito equation.
    about
        Words, units, defaults, sources. Parameters without a default come from `defaults`.
    options
        Static sizes and seeds with their defaults, such as `n=500`; they shape the system and cannot be swept.
    defaults
        For systems with options: `(**options) -> (params, x0, state_names)`.
    complete
        For systems whose equations or sizes follow from an option or from the given arrays:
        `(ingredients, options) -> ingredients`, called last, with the caller's parameters already in place and
        `x0` None unless the caller gave one. Checks of shapes belong here.
    """
    options = dict(options or {})

    def build(*, x0: Any = None, dtype: Any = None, **given: Any) -> System:
        chosen = {name: given.pop(name, default) for name, default in options.items()}
        if defaults is None:
            params = {symbol.name: symbol.default for symbol in about.params}
            start: Any = [symbol.default for symbol in about.states]
            names = tuple(symbol.name for symbol in about.states)
        else:
            params, start, names = defaults(**chosen)
        for name in given:
            if name not in params:
                raise TypeError(
                    f"{about.name} has no parameter {unknown_name(name, [*params, *options, 'x0', 'dtype'])}"
                )
        made = Ingredients(field, params | given, x0, start, names)
        if complete is not None:
            made = complete(made, chosen)
        start = made.default_x0 if made.x0 is None else made.x0
        words = {"state_names": made.state_names, "about": about, "dtype": dtype}
        if diffusion is None:
            return kind(made.field, made.params, start, **words)
        params = dict(made.params)
        return sde(made.field, diffusion, params, start, seed=params.pop("seed"), **words)

    _dress(build, kind, about, options)
    return build  # type: ignore[return-value]


def _dress(build: Any, kind: Callable[..., System], about: About, options: dict[str, Any]) -> None:
    """Give the factory the name, signature and documentation of its model."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    words = [(symbol.name, symbol.default) for symbol in about.params]
    named = [*words, *options.items(), ("x0", None), ("dtype", None)]
    build.__signature__ = inspect.Signature(
        [inspect.Parameter(name, keyword, default=default) for name, default in named],
        return_annotation={flow: Flow, sde: SDE}.get(kind, Map),
    )
    build.__name__ = build.__qualname__ = about.name
    build.__doc__ = describe(about)
    build.__module__ = "jaxdyn.models"
    build.about = about
    build.kind = {flow: "flow", sde: "sde"}.get(kind, "map")
    build.options = options


def describe(about: About) -> str:
    """Text about a model: equations, parameters and states with units, source, known results."""
    rows = [f"{about.title}.", "", *(f"    {line}" for line in about.equations), "", "Parameters", "----------"]
    for symbol in about.params:
        default = "" if symbol.default is None else f" (default {_number_text(symbol.default)})"
        rows += [f"{symbol.name} : {symbol.unit}", f"    {symbol.meaning}{default}"]
    rows += ["", "States", "------"]
    for symbol in about.states:
        start = "" if symbol.default is None else f" (start {_number_text(symbol.default)})"
        rows += [f"{symbol.name} : {symbol.unit}", f"    {symbol.meaning}{start}"]
    rows += ["", f"Time unit: {about.time_unit}." if about.time_unit != "1" else "Time has no unit."]
    if about.known:
        rows += ["", "Known results", "-------------", *(f"- {fact}" for fact in about.known)]
    rows += ["", "References", "----------", about.source]
    return "\n".join(rows)


def _number_text(value: Any) -> str:
    """Text of a number or of (nested) tuples of numbers."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(_number_text(part) for part in value)}]"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
