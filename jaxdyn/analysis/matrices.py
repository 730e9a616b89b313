"""Matrices that the caller gives, and starts of iterations on them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float, default_dtype, is_concrete

__all__ = ["float_array", "generic_frame", "square_matrix", "tolerance_of"]


def float_array(value: Any, what: str) -> Array:
    """`value` as a floating array: a float array keeps its dtype, other real numbers get JAX's default."""
    given = jnp.result_type(value) if hasattr(value, "dtype") else np.asarray(value).dtype
    if given.kind == "O":
        raise TypeError(f"{what} must be an array of real numbers, got {type(value).__name__}")
    if given.kind not in "fiub":
        raise TypeError(f"{what} must be real numbers, got dtype {given}; write a complex matrix in real components")
    return jnp.asarray(value, given if hasattr(value, "dtype") and given.kind == "f" else default_dtype())


def square_matrix(value: Any, what: str = "matrix") -> Float[Array, "n n"]:
    """`value` as a square matrix of floats."""
    matrix = float_array(value, what)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"{what} must be square, (n, n), got shape {matrix.shape}; for many matrices use jax.vmap")
    return matrix


def generic_frame(k: int, n: int, dtype: Any) -> Float[Array, "k n"]:
    """Orthonormal rows in no special direction, always the same: coordinate axes may be invariant and never turn."""
    return jnp.asarray(_frame(k, n, jnp.dtype(dtype)))


@functools.cache
def _frame(k: int, n: int, dtype: Any) -> Any:
    """The frame, computed while tracing: written out for ten rows it would take XLA seconds to compile."""
    # XLA's full optimization would take three times as long, for the same numbers.
    options: Any = {"xla_backend_optimization_level": 1}
    draw = jax.jit(lambda key: jax.random.normal(key, (k, n), dtype), compiler_options=options)
    with jax.ensure_compile_time_eval():
        vectors = np.asarray(draw(jax.random.key(0)))
    q, r = np.linalg.qr(vectors.T)
    return np.ascontiguousarray((q * np.sign(np.diagonal(r))).T).astype(dtype)


def tolerance_of(tolerance: Any, dtype: Any) -> float:
    """The tolerance asked for, or the default of this dtype: about the square root of its rounding."""
    if tolerance is None:
        return 1e-8 if dtype == jnp.float64 else 1e-5
    if not is_concrete(tolerance) or not float(tolerance) > 0:
        raise ValueError(f"tolerance must be a positive number, known while tracing, got {tolerance!r}")
    return float(tolerance)
