"""A sweep described in a TOML file; what is wrong with it is told with the file's name and the line."""

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxdyn._cli_lines import lines_of
from jaxdyn._cli_modules import is_own
from jaxdyn._cli_request import SETTINGS, Range, Request
from jaxdyn.about import unknown_name
from jaxdyn.sweeps.memory import bytes_of

__all__ = ["SweepFile", "read_file"]

Check = Callable[["SweepFile", Any, tuple[Any, ...]], Any]

PLAIN = ("system", "measure", "store", "seed", "precision", "memory", "chunk", "keep")
TABLES = (*SETTINGS, "over", "measure_options")


class SweepFile:
    """Text of a sweep with the place of each of its keys."""

    def __init__(self, text: str, label: str, directory: Path) -> None:
        self.text, self.label, self.directory = text, label, directory
        self._data = _parsed(text, label)
        self._lines = lines_of(text)
        self._checked = self._check()

    @property
    def precision(self) -> str | None:
        """The floating numbers that the file asks for."""
        return self._checked.get("precision")

    @property
    def store(self) -> Path | None:
        """Store that the file names; its path is relative to the file."""
        return self.directory / self._checked["store"] if "store" in self._checked else None

    def request(self, out: Path, **typed: Any) -> Request:
        """The sweep, into this store."""
        checked = self._checked
        plain = {name: checked[name] for name in PLAIN if name in checked and name not in ("precision", "store")}
        options = checked.get("measure_options", {})
        own = is_own(checked.get("measure", ""))
        return Request(
            over=checked.get("over", {}),
            assignments={table: checked.get(table, {}) for table in SETTINGS},
            measure_options=options if own else {},
            out=out,
            origin=self,
            **plain,
            **({} if own else options),
            **typed,
        )

    def error(self, message: str, *path: str | int) -> ValueError:
        """Error with the line of a key, or of what it would stand in."""
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self._lines), None)
        line = f":{self._lines[known]}" if known else ""
        table, *keys = path or ("",)
        name = f"[{table}]" if table in TABLES else str(table)
        if keys and table in TABLES:
            name += f" {keys[0]}"
        return ValueError(f"{self.label}{line}: {name + ': ' if name else ''}{message}")

    def _check(self) -> dict[str, Any]:
        """All that the file says, checked as far as the file alone can tell."""
        for name in self._data:
            if name not in (*PLAIN, *TABLES):
                hint = "; it belongs into [measure_options]" if name in _MEASURE_OPTIONS else ""
                raise self.error(f"no key {unknown_name(name, [*PLAIN, *TABLES])}{hint}", name)
        if "system" not in self._data:
            raise self.error('system is missing; give one of the library, such as system = "lorenz63" above all tables')
        checked = {name: _CHECKS[name](self, self._data[name], (name,)) for name in PLAIN if name in self._data}
        own = is_own(checked.get("measure", ""))
        for table in TABLES:
            if table not in self._data:
                continue
            values = self._data[table]
            if not isinstance(values, dict):
                raise self.error(f"expected a table, [{table}] with lines name = value, got {_kind(values)}", table)
            checked[table] = {name: self._entry(table, name, value, own) for name, value in values.items()}
        return checked

    def _entry(self, table: str, name: str, value: Any, own: bool) -> Any:
        path = (table, name)
        if table == "options" or (table == "measure_options" and own):
            return value
        known = _MEASURE_OPTIONS if table == "measure_options" else None
        if name in PLAIN and (known or isinstance(value, str) or (table == "over" and isinstance(value, int))):
            # What stands below the name of a table belongs to it.
            raise self.error(f"{name} does not belong into [{table}]; write it above the first table", *path)
        if known is not None:
            if name not in known:
                raise self.error(f"no option {unknown_name(name, list(known))}", *path)
            return known[name](self, value, path)
        return _swept(self, value, path) if table == "over" else _numbers(self, value, path)


def read_file(path: Path) -> SweepFile:
    """Sweep described in a file."""
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(f"there is no file {path} ({error.strerror}); give the TOML file of a sweep") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    return SweepFile(text, str(path), path.resolve().parent)


def _parsed(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{label}: arrays or tables are nested too deeply") from None
    except ValueError as error:
        message = str(error)
        found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        if found is None:
            raise ValueError(f"{label}: {message}") from None
        what = message[: found.start()]
        if found.group(1):
            raise ValueError(f"{label}:{found.group(1)}: {what} (column {found.group(2)})") from None
        raise ValueError(f"{label}:{text.rstrip().count(chr(10)) + 1}: {what} (at the end of the file)") from None


def _kind(value: Any) -> str:
    kinds = {dict: "a table", list: "an array", str: f"the text {value!r}", bool: str(value).lower()}
    return kinds.get(type(value), str(value))


def _text(file: SweepFile, value: Any, path: tuple[Any, ...]) -> str:
    if not isinstance(value, str) or not value.strip():
        raise file.error(f'expected a text in quotes, such as "name", got {_kind(value)}', *path)
    return value


def _names(file: SweepFile, value: Any, path: tuple[Any, ...]) -> list[str]:
    if not isinstance(value, list) or not value:
        raise file.error(f'expected an array of names, such as ["exponents"], got {_kind(value)}', *path)
    return [_text(file, name, (*path, i)) for i, name in enumerate(value)]


def _precision(file: SweepFile, value: Any, path: tuple[Any, ...]) -> str:
    if value not in ("float32", "float64"):
        raise file.error(f'expected "float32" or "float64", got {_kind(value)}', *path)
    return value


def _memory(file: SweepFile, value: Any, path: tuple[Any, ...]) -> str | int:
    try:
        bytes_of(value if isinstance(value, int | str) else "")
    except ValueError:
        raise file.error(f'expected a size such as "2GB" or a number of bytes, got {_kind(value)}', *path) from None
    return value


def _whole(least: int, most: float = math.inf) -> Check:
    def check(file: SweepFile, value: Any, path: tuple[Any, ...]) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            subject = path[-1] if len(path) > 2 else ""
            start = f"{subject} must be" if subject else "must be"
            raise file.error(f"{start} a whole number {bounds}, got {_kind(value)}", *path)
        return value

    return check


def _number(file: SweepFile, value: Any, path: tuple[Any, ...]) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not _is_finite(value):
        raise file.error(f"expected a finite number, got {_kind(value)}", *path)
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _numbers(file: SweepFile, value: Any, path: tuple[Any, ...]) -> Any:
    """Number, or an array of numbers or of equally long arrays."""
    if not isinstance(value, list):
        return _number(file, value, path)
    parts = [_numbers(file, part, (*path, i)) for i, part in enumerate(value)]
    shapes = [_shape(part) for part in parts]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise file.error("entries of an array must be equally long", *path, i)
    return parts


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *(_shape(value[0]) if value else ())) if isinstance(value, list) else ()


def _swept(file: SweepFile, value: Any, path: tuple[Any, ...]) -> Any:
    """Range or list of values."""
    if isinstance(value, list) and value:
        return _numbers(file, value, path)
    form = "{ start = 0.0, stop = 1.0, count = 64 }"
    if not isinstance(value, dict):
        got = "an empty array" if value == [] else _kind(value)
        raise file.error(f"expected an array of values or a range such as {form}, got {got}", *path)
    for name in value:
        if name not in _RANGE:
            raise file.error(f"a range has no {unknown_name(name, list(_RANGE))}", *path, name)
    for name in ("start", "stop", "count"):
        if name not in value:
            raise file.error(f"{name} is missing; a range is {form}", *path)
    found = Range(**{name: _RANGE[name](file, part, (*path, name)) for name, part in value.items()})
    if wrong := found.wrong():
        raise file.error(wrong, *path, "stop")
    return dataclasses.replace(found, start=float(found.start), stop=float(found.stop))


def _flag(file: SweepFile, value: Any, path: tuple[Any, ...]) -> bool:
    if not isinstance(value, bool):
        raise file.error(f"{path[-1]} must be true or false, got {_kind(value)}", *path)
    return value


_CHECKS: Mapping[str, Check] = {
    "system": _text,
    "measure": _text,
    "store": _text,
    "seed": _whole(0, 2**32 - 1),
    "precision": _precision,
    "memory": _memory,
    "chunk": _whole(1),
    "keep": _names,
}
_RANGE: Mapping[str, Check] = {"start": _number, "stop": _number, "count": _whole(2), "log": _flag}
_MEASURE_OPTIONS: Mapping[str, Check] = {
    "dt": _number,
    "steps": _whole(1),
    "transient": _whole(0),
    "method": _text,
    "rtol": _number,
    "atol": _number,
    "exponents": _whole(1),
    "every": _whole(1),
}
