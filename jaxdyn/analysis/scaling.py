"""Vectors and matrices of any size: scales, as powers of two that cost no digits, and independence."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._types import Array, Int, is_concrete

__all__ = ["binary_exponent", "refuse_dependent", "scaled_rows"]


def binary_exponent(values: Array) -> Int[Array, ""]:
    """Exponent e with max|values| / 2^e between 1/2 and 1; 0 where it needs none, or is 0 or not finite.

    None are needed where fourth powers stay far inside the dtype. XLA computes x / y as x (1/y), which is 0 from 2^126
    on in float32.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(values)))
    finite = jnp.isfinite(largest)
    exponent = jnp.frexp(jnp.where(finite, largest, 1))[1].astype(jnp.int32)
    return jnp.where(jnp.abs(exponent) > jnp.finfo(values.dtype).maxexp // 8, exponent, 0)


def scaled_rows(rows: Array) -> Array:
    """The directions of all rows, at lengths whose squares stay inside the dtype."""
    return jnp.stack([jnp.ldexp(row, -binary_exponent(row)) for row in rows])


def refuse_dependent(vectors: Array, what: str) -> None:
    """Raise if rows that are known now are not finite or linearly dependent, whatever their lengths."""
    if not is_concrete(vectors):
        return
    rows = np.asarray(vectors)
    if not np.all(np.isfinite(rows)):
        raise ValueError(f"{what} must be finite numbers, got {rows.tolist()}")
    size = np.max(np.abs(rows), axis=1, keepdims=True)
    # Below the smallest normal number accelerators count as zero.
    unit = np.where(size >= np.finfo(rows.dtype).tiny, rows / np.where(size > 0, size, 1), 0)
    if np.linalg.matrix_rank(unit) < len(rows):
        raise ValueError(f"{what} are linearly dependent; give independent ones")
