"""How much a traced function computes: its widest result, and all its numbers."""

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["numbers", "widest"]

UNKNOWN = 100
"""Iterations that a loop which ends by a test is taken to make."""


def widest(jaxpr: Any) -> int:
    """Bytes of the widest result of any equation, also inside loops and calls."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes.append(sum(_size(v.aval) * _itemsize(v.aval) for v in equation.outvars))
        sizes += [widest(inner) for inner in _inner(equation)]
    return max(sizes)


def numbers(jaxpr: Any) -> int:
    """Numbers that the equations of one run give, those of a loop in each iteration."""
    total = 0
    for equation in jaxpr.eqns:
        inner = list(_inner(equation))
        times = {"scan": equation.params.get("length"), "while": UNKNOWN}.get(equation.primitive.name, 1)
        total += times * sum(map(numbers, inner)) if inner else sum(_size(v.aval) for v in equation.outvars)
    return total


def _size(aval: Any) -> int:
    return math.prod(getattr(aval, "shape", ()))


def _itemsize(aval: Any) -> int:
    """Bytes of a number; random keys and tokens count nothing."""
    return getattr(getattr(aval, "dtype", None), "itemsize", 0)


def _inner(equation: Any) -> Iterator[Any]:
    """Equations of loops and calls."""
    for value in equation.params.values():
        yield from _jaxprs(value)


def _jaxprs(value: Any) -> Iterator[Any]:
    if hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _jaxprs(part)
