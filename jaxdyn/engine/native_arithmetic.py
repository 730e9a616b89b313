"""Arithmetic with known numbers, rearranged so that fewer products are left: each within a rounding or two.

A step of a Runge-Kutta method adds up multiples of slopes, and slopes are often multiples themselves.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdyn.engine.native_terms import Term, literal

__all__ = ["common_factor", "folded", "like_terms", "multiple", "split", "whole"]

FOLDED = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
"""Arithmetic on known numbers that is done while tracing."""
SIGNS = {"add": 1, "add_any": 1, "sub": -1}
"""Of the second operand."""
LARGEST = 64
"""Quotient of two factors up to which one of them is taken out of both."""


def folded(name: str, terms: Sequence[Term]) -> Term | None:
    """The result of arithmetic on known numbers."""
    if name not in FOLDED or any(term.known is None for term in terms):
        return None
    dtype = np.dtype(terms[0].dtype)
    with np.errstate(all="ignore"):
        return literal(FOLDED[name](*(dtype.type(term.known) for term in terms)), dtype)


def multiple(name: str, terms: Sequence[Term]) -> tuple[Term, float] | None:
    """A vector and the known number that it is multiplied by, several such products in a row made one.

    XLA does so too, with constants. Products near the limits of the type stay as they are.
    """
    if name not in ("mul", "div") or len({term.vector for term in terms}) == 1:
        return None
    vector, number = terms if terms[0].vector else terms[::-1]
    if number.known is None or number.known == 0 or (name == "div" and not terms[0].vector):
        return None
    base, factor = vector.multiple or (vector, 1.0)
    factor = factor / number.known if name == "div" else factor * number.known
    bits = np.finfo(vector.dtype)
    return (base, factor) if float(bits.tiny) * 1e9 < abs(factor) < float(bits.max) / 1e9 else None


def common_factor(name: str, terms: Sequence[Term]) -> tuple[list[Term], float] | None:
    """Vectors that are added or subtracted before the known number that both are multiplied by.

    Or one of them and a whole multiple of the other: 0.1 a + 0.2 b is 0.1 (a + 2 b).
    """
    if name not in SIGNS or any(term.multiple is None for term in terms):
        return None
    (a, of_a), (b, of_b) = (term.multiple for term in terms if term.multiple is not None)
    if of_a == of_b:
        return [a, b], of_a
    if _is_whole(of_b / of_a):
        return [a, _times(b, of_b / of_a)], of_a
    if _is_whole(of_a / of_b):
        return [_times(a, of_a / of_b), b], of_b
    return None


def _is_whole(ratio: float) -> bool:
    return ratio.is_integer() and abs(ratio) <= LARGEST


def _times(vector: Term, number: float) -> Term:
    text = f"({vector.text} * {literal(number, vector.dtype).text})"
    return Term(text, vector.dtype, True, multiple=(vector, number))


def split(name: str, terms: Sequence[Term]) -> tuple[Term, Term, float] | None:
    """What a sum is the sum of: a term, and a vector times a known number."""
    if name not in SIGNS:
        return None
    first, second = terms
    if second.multiple is not None:
        return first, second.multiple[0], SIGNS[name] * second.multiple[1]
    if first.multiple is not None and name != "sub":
        return second, *first.multiple
    return None


def like_terms(name: str, terms: Sequence[Term]) -> tuple[Term, str, tuple[Term, Term], float] | None:
    """Of (rest + 2 a) + 2 b, which is rest + 2 (a + b): the rest, how a and b are combined, both, and the number."""
    if name not in SIGNS or terms[0].total is None or terms[1].multiple is None:
        return None
    (rest, a, number), (b, other) = terms[0].total, terms[1].multiple
    if abs(other) != abs(number):
        return None
    return rest, "add" if SIGNS[name] * other == number else "sub", (a, b), number


def whole(result: Any) -> Any:
    """A term that more than one equation needs: it is not taken apart again, which would compute it twice."""
    if not isinstance(result, Term):
        return result
    of = result.multiple
    if of is not None and of[0].total is not None:
        result = dataclasses.replace(result, multiple=(dataclasses.replace(of[0], total=None), of[1]))
    return dataclasses.replace(result, total=None) if result.total is not None else result
