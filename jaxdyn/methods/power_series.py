"""Arithmetic of power series whose coefficients become known one after another."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

__all__ = ["Series", "constant", "convolution", "minus", "square", "term", "total"]

Series: TypeAlias = "list[Any] | tuple[Any]"
"""Coefficients of a variable so far, None for zero; a tuple of one for what depends neither on time nor on state."""


def constant(series: Series) -> bool:
    """Whether a series is that of a number that depends neither on time nor on state."""
    return isinstance(series, tuple)


def term(series: Series, k: int) -> Any:
    """Coefficient of h^k."""
    return series[k] if k < len(series) else None


def total(terms: Sequence[Any]) -> Any:
    """Sum of coefficients."""
    known = [t for t in terms if t is not None]
    return functools.reduce(operator.add, known) if known else None


def minus(a: Any, b: Any) -> Any:
    """Difference of two coefficients."""
    if b is None:
        return a
    return -b if a is None else a - b


def _product(a: Any, b: Any) -> Any:
    return a * b


def convolution(a: Series, b: Series, k: int, *, first: int = 0, product: Callable[[Any, Any], Any] = _product) -> Any:
    """Sum of a_i b_(k-i) from i = first on; the newest coefficients last, so that no addition waits for them."""
    indices = sorted(range(first, k + 1), key=lambda i: max(i, k - i))
    pairs = [(term(a, i), term(b, k - i)) for i in indices]
    return total([product(x, y) for x, y in pairs if x is not None and y is not None])


def square(a: Series, k: int, *, first: int = 0) -> Any:
    """Sum of a_i a_(k-i) from i = first to k - first, each pair once."""
    pairs = [(term(a, i), term(a, k - i)) for i in reversed(range(first, (k + 1) // 2))]
    half = total([x * y for x, y in pairs if x is not None and y is not None])
    middle = term(a, k // 2) if k % 2 == 0 and k // 2 >= first else None
    return total([None if half is None else 2 * half, None if middle is None else middle * middle])
