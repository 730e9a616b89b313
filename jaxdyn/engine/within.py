"""Equations within equations: bodies of loops, branches and calls."""

from collections.abc import Iterator
from typing import Any

__all__ = ["equations", "held", "within"]


def held(equation: Any) -> Iterator[Any]:
    """The functions that an equation holds in its parameters, closed over constants or not."""
    for value in equation.params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield inner


def within(function: Any) -> Iterator[Any]:
    """A function, and all that its equations hold, closed over constants or not."""
    yield function
    for equation in getattr(function, "jaxpr", function).eqns:
        for inner in held(equation):
            yield from within(inner)


def equations(function: Any) -> Iterator[Any]:
    """All equations of a function, those of loops, branches and calls too."""
    for part in within(function):
        yield from getattr(part, "jaxpr", part).eqns
