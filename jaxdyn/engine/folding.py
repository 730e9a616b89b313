"""Integers and truth values that are known while tracing, computed by NumPy: XLA would compile a program for each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdyn.engine.components import RULES

__all__ = ["folded"]

Numbers = np.ndarray[Any, Any]

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "not": np.bitwise_not,
    "or": np.bitwise_or,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}
"""Arithmetic that NumPy does as XLA does; what exceeds a type wraps around."""

MOVES = frozenset("broadcast_in_dim concatenate expand_dims reshape rev slice split squeeze transpose".split())
"""Rules on components that never look at them."""


def folded(equation: Any, arrays: Sequence[Numbers]) -> list[Numbers] | None:
    """Results of an equation of known integers; None where NumPy does not do it."""
    avals = [v.aval for v in (*equation.invars, *equation.outvars)]
    if any(not isinstance(a.dtype, np.dtype) or a.dtype.kind not in "iub" for a in avals):
        return None
    with np.errstate(over="ignore"):
        results = _results(equation.primitive.name, equation.params, arrays)
    if results is None:
        return None
    several = results if equation.primitive.multiple_results else [results]
    return [np.asarray(array, out.aval.dtype) for array, out in zip(several, equation.outvars, strict=True)]


def _results(name: str, params: Any, arrays: Sequence[Numbers]) -> Any:
    if name in ARITHMETIC:
        return ARITHMETIC[name](*arrays)
    if name in MOVES:
        return RULES[name](params, *arrays)
    if name == "convert_element_type":
        return arrays[0].astype(params["new_dtype"])
    if name == "dynamic_slice":
        return _piece(arrays[0], arrays[1:], params["slice_sizes"])
    if name == "iota":
        axes = tuple(axis for axis in range(len(params["shape"])) if axis != params["dimension"])
        row = np.arange(params["shape"][params["dimension"]], dtype=params["dtype"])
        return np.broadcast_to(np.expand_dims(row, axes), params["shape"])
    if name == "select_n" and arrays[0].dtype == np.bool_ and len(arrays) == 3:
        return np.where(arrays[0], arrays[2], arrays[1])
    return None


def _piece(x: Numbers, starts: Sequence[Numbers], sizes: Sequence[int]) -> Numbers:
    """A piece of an array; one that would begin or end outside begins as near as there is room."""
    begins = [min(max(int(at), 0), n - size) for at, n, size in zip(starts, x.shape, sizes, strict=True)]
    return x[tuple(slice(at, at + size) for at, size in zip(begins, sizes, strict=True))]
