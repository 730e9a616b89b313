"""Numbers and vectors of lanes in C: their types, their texts, and what is known of them while tracing."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdyn.engine.kernels import Unsupported

__all__ = ["Stream", "Term", "c_type", "common_factor", "folded", "literal", "multiple", "spread"]


@dataclasses.dataclass(frozen=True)
class Stream:
    """One number, or one of each lane, for every iteration: in memory."""

    buffer: str
    dtype: Any
    vector: bool


@dataclasses.dataclass(frozen=True)
class Term:
    """A number or a vector of lanes in C; `@` in the text of a vector stands for which of a block's vectors."""

    text: str
    dtype: Any
    vector: bool = False
    known: float | None = None
    """Its value, where that is known while tracing."""
    multiple: "tuple[Term, float] | None" = None
    """A vector and a known number whose product it is."""


def c_type(dtype: Any, vector: bool = False) -> str:
    """Name of a type in C."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub" or dtype == np.float16 or dtype.itemsize > 8:
        raise Unsupported(f"numbers of type {dtype} in a loop")
    name = "b8" if dtype == np.bool_ else f"{dtype.kind}{8 * dtype.itemsize}"
    return f"v{name}" if vector else name


def literal(value: Any, dtype: Any) -> Term:
    """A number that is known."""
    dtype = np.dtype(dtype)
    number = np.asarray(value, dtype).item()
    if dtype.kind != "f":
        text = f"(({c_type(dtype)})({int(number)}))"
        if number == np.iinfo(np.int64).min:
            text = "INT64_MIN"
        elif dtype == np.uint64:
            text = f"{number}ULL"
    elif np.isnan(number):
        text = "NAN"
    elif np.isinf(number):
        text = "(-INFINITY)" if number < 0 else "INFINITY"
    else:
        text = float(number).hex()
    return Term(f"(({c_type(dtype)}){text})", dtype, known=number if dtype.kind == "f" else None)


FOLDED = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
"""Arithmetic on known numbers that is done while tracing."""


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
    """Vectors that are added or subtracted before the known number that both are multiplied by."""
    products = [term.multiple for term in terms if term.multiple is not None]
    if name not in ("add", "add_any", "sub") or len(products) < 2 or products[0][1] != products[1][1]:
        return None
    return [base for base, _ in products], products[0][1]


def spread(term: Term) -> str:
    """Text of a term as a vector."""
    if term.vector:
        return term.text
    if term.dtype == np.bool_:
        return f"ALL(vb8, -(word)({term.text}))"
    return f"ALL({c_type(term.dtype, True)}, {term.text})"
