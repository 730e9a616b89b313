"""What is asked for by `jaxdyn sweep`, or by the file of `jaxdyn run`: the same thing in two ways of writing."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["SETTINGS", "Origin", "Range", "Request", "named"]

SETTINGS = ("parameters", "options", "start")
"""What is set: the tables of a file, and all that --set takes."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Evenly spaced values, or values of constant ratio, both ends included."""

    start: float
    stop: float
    count: int
    log: bool = False

    def values(self) -> np.ndarray[Any, Any]:
        """All of them."""
        return (np.geomspace if self.log else np.linspace)(self.start, self.stop, self.count)

    def wrong(self) -> str:
        """What is wrong with the two ends; empty if nothing is."""
        if self.start == self.stop:
            return "start and stop are the same"
        if self.log and self.start * self.stop <= 0:
            return "a logarithmic range needs start and stop of the same sign, neither zero"
        return ""


class Origin(Protocol):
    """File that a request came from."""

    text: str
    directory: Path

    def error(self, message: str, *path: str | int) -> ValueError:
        """Error with the line of a key."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One sweep as it was typed, or as a file describes it."""

    system: str
    over: Sequence[str] | Mapping[str, Any]
    """Words NAME=RANGE, or ranges and lists by name."""
    assignments: Sequence[str] | Mapping[str, Mapping[str, Any]] = ()
    """Words NAME=VALUE, or tables of values (see `SETTINGS`)."""
    measure: str = "lyapunov_spectrum"
    measure_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword arguments of a measure of the user's own."""
    method: str | None = None
    rtol: float | None = None
    atol: float | None = None
    dt: float | None = None
    steps: int | None = None
    transient: int | None = None
    exponents: int | None = None
    every: int | None = None
    seed: int | None = None
    memory: str | int | None = None
    chunk: int | None = None
    keep: Sequence[str] | None = None
    out: Path | None = None
    plot: Path | None = None
    variable: str | None = None
    select: tuple[str, ...] = ()
    quiet: bool = False
    origin: Origin | None = None

    @functools.cached_property
    def swept(self) -> dict[str, Any]:
        """Range or list of each swept name."""
        if isinstance(self.over, Mapping):
            return dict(self.over)
        return {name: _range(name, text) for name, text in self._words["over"].items()}

    @functools.cached_property
    def assigned(self) -> dict[tuple[str, str], Any]:
        """Number, list or text by table and name; the table of typed words is empty."""
        if isinstance(self.assignments, Mapping):
            return {
                (table, name): value for table, values in self.assignments.items() for name, value in values.items()
            }
        return {("", name): _value(text) for name, text in self._words["set"].items()}

    @functools.cached_property
    def _words(self) -> dict[str, dict[str, str]]:
        return {
            "over": {} if isinstance(self.over, Mapping) else named(self.over, "--over", "NAME=START:STOP:COUNT"),
            "set": {} if isinstance(self.assignments, Mapping) else named(self.assignments, "--set", "NAME=VALUE"),
        }

    @property
    def directory(self) -> Path:
        """Where modules of the user's are looked for, beside the working directory."""
        return self.origin.directory if self.origin else Path.cwd()

    def option(self, name: str) -> str:
        """What the user calls an option: `--steps` or `steps`."""
        return name if self.origin else f"--{name}"

    def error(self, message: str, *path: str | int) -> ValueError:
        """Error about what stands at this place: a line of the file, or the typed words."""
        if self.origin is not None:
            return self.origin.error(message, *path)
        table, name = (*map(str, path), "set", "")[:2]
        kind = "over" if table == "over" else "set"
        text = self._words[kind].get(name) if table in ("", "over", *SETTINGS) else None
        return ValueError(message if text is None else f"--{kind} {name}={text}: {message}")


def named(words: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Names and texts of NAME=TEXT words."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not (name and equals and text):
            raise ValueError(f"{option} needs {form}, got {word!r}")
        if name in found:
            raise ValueError(f"{option} {name} is given twice; leave one of them out")
        found[name] = text
    return found


def _range(name: str, text: str) -> Range | list[float]:
    """Values of START:STOP:COUNT, log:START:STOP:COUNT or V1,V2,..."""
    what = f"--over {name}={text}"
    logarithmic = text.startswith("log:")
    parts = text.removeprefix("log:").split(":")
    if len(parts) == 1 and not logarithmic:
        return [_number(part, what) for part in text.split(",")]
    if len(parts) != 3:
        raise ValueError(f"{what}: expected START:STOP:COUNT, log:START:STOP:COUNT or a list V1,V2,...")
    start, stop = _number(parts[0], what), _number(parts[1], what)
    if not parts[2].strip().isdecimal() or int(parts[2]) < 2:
        raise ValueError(
            f"{what}: COUNT must be a whole number of at least 2, got {parts[2]!r}; for one value write {name}=V"
        )
    found = Range(start, stop, int(parts[2]), logarithmic)
    if wrong := found.wrong().replace("start", "START").replace("stop", "STOP"):
        hint = f"; for one value write {name}={parts[0]}" if start == stop else ""
        raise ValueError(f"{what}: {wrong}{hint}")
    return found


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{what}: {text!r} is not a finite number")
    return value


def _value(text: str) -> int | float | list[Any] | str:
    """Number or list of numbers; anything else stays a text."""
    if "," in text:
        parts = [_value(part.strip()) for part in text.split(",")]
        return text if any(isinstance(part, str | list) for part in parts) else parts
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return text
