"""What a system is, in words: names, meanings, units, sources. No arrays here."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

__all__ = ["About", "Symbol", "unknown_name"]


@dataclasses.dataclass(frozen=True)
class Symbol:
    """One parameter or state of a system, in words."""

    name: str
    meaning: str
    unit: str = "1"
    default: Any = None
    range: tuple[float, float] | None = None
    """For a state: the interval in which fixed points are searched and phase planes drawn."""


@dataclasses.dataclass(frozen=True)
class About:
    """What a system is: the words, units and sources beside its equations."""

    name: str = "system"
    title: str = ""
    equations: tuple[str, ...] = ()
    states: tuple[Symbol, ...] = ()
    params: tuple[Symbol, ...] = ()
    source: str = ""
    known: tuple[str, ...] = ()
    time_unit: str = "1"
    dt: float | None = None
    """A step that resolves the system with RK4 (None for maps)."""
    transient: float = 0.0
    """A time (steps, for maps) after which the start is forgotten."""
    duration: float = 1000.0
    """A time (steps, for maps) that gives useful averages."""

    def symbol(self, name: str) -> Symbol | None:
        """What is said of a state or parameter; a family `x1 ... xn` speaks for all of its members."""
        symbols = {symbol.name: symbol for symbol in (*self.params, *self.states)}
        families = {key.split()[0].rstrip("0123456789"): value for key, value in symbols.items() if " ... " in key}
        return symbols.get(name, families.get(name.rstrip("0123456789")))


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Repair text for an unknown name: the closest known one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{name!r}; {hint}known: {', '.join(known) if known else 'none'}"
