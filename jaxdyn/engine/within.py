"""Equations within equations: bodies of loops, branches and calls."""

from collections.abc import Iterator
from typing import Any

__all__ = ["equations", "held", "within"]


def held(equation: Any) -> Iterator[Any]:
    """What an equation holds in its parameters: `Jaxpr` or `ClosedJaxpr`."""
    for value in equation.params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if hasattr(inner, "eqns"):
                yield inner


def within(jaxpr: Any) -> Iterator[Any]:
    """A `Jaxpr` or `ClosedJaxpr`, and all that its equations hold."""
    yield jaxpr
    for equation in jaxpr.eqns:
        for inner in held(equation):
            yield from within(inner)


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a `Jaxpr` or `ClosedJaxpr`, those of loops, branches and calls too."""
    for part in within(jaxpr):
        yield from part.eqns
