"""How much a traced function computes: its widest result, and all its numbers."""

import math
from typing import Any

from jaxdyn.engine.within import equations, held

__all__ = ["numbers", "widest"]

UNKNOWN = 100
"""Iterations that a loop which ends by a test is taken to make."""


def widest(jaxpr: Any) -> int:
    """Bytes of the widest result of any equation, also inside loops and calls."""
    widths = (sum(_size(v.aval) * _itemsize(v.aval) for v in e.outvars) for e in equations(jaxpr))
    return max(widths, default=0)


def numbers(jaxpr: Any) -> int:
    """Numbers that the equations of one run give, those of a loop in each iteration."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [*held(equation)]
        times = {"scan": equation.params.get("length"), "while": UNKNOWN}.get(equation.primitive.name, 1)
        total += times * sum(map(numbers, inner)) if inner else sum(_size(v.aval) for v in equation.outvars)
    return total


def _size(aval: Any) -> int:
    return math.prod(getattr(aval, "shape", ()))


def _itemsize(aval: Any) -> int:
    """Bytes of a number; random keys and tokens count nothing."""
    return getattr(getattr(aval, "dtype", None), "itemsize", 0)
