"""Numbers and vectors of lanes in C: their types, their texts, and what is known of them while tracing."""

import dataclasses
from typing import Any

import numpy as np

from jaxdyn.engine.kernels import Unsupported

__all__ = ["Stream", "Term", "c_type", "literal", "spread"]


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
    total: "tuple[Term, Term, float] | None" = None
    """What it is the sum of: a term, and a vector times a known number; kept where nothing else needs it."""


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


def spread(term: Term) -> str:
    """Text of a term as a vector."""
    if term.vector:
        return term.text
    if term.dtype == np.bool_:
        return f"ALL(vb8, -(word)({term.text}))"
    return f"ALL({c_type(term.dtype, True)}, {term.text})"
