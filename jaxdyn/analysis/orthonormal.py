"""Orthonormal bases of a few vectors: the one place where the package chooses how."""

import functools
from typing import Any

import jax.numpy as jnp

from jaxdyn._types import Array, Float, matmul

__all__ = ["orthonormalize", "solve_least_squares"]

# Up to this many vectors the loop over columns is unrolled: under vmap it is elementwise code over
# all lanes, tens of times faster than one LAPACK call a lane, and it needs no kernel on a GPU.
UNROLLED = 10
# Up to this length sums over a vector's components are written out as well: a reduction over a short
# axis would break the fusion of the loop (measured under vmap: half the speed).
SHORT = 8


def orthonormalize(vectors: Float[Array, "k n"]) -> tuple[Float[Array, "k n"], Float[Array, "k k"]]:
    """Orthonormal rows Q and upper triangular R, diagonal >= 0, with vectors = R.T @ Q.

    Modified Gram-Schmidt for few vectors (loss of orthogonality about eps times the condition number),
    Householder QR for many. A vanishing vector gives a zero row in the first case.
    """
    return _gram_schmidt(vectors) if vectors.shape[0] <= UNROLLED else _householder(vectors)


def _gram_schmidt(vectors: Array) -> tuple[Array, Array]:
    k = vectors.shape[0]
    rows: list[Array] = []
    zero = jnp.zeros((), vectors.dtype)
    r = [[zero] * k for _ in range(k)]
    for j in range(k):
        v = vectors[j]
        for i, q in enumerate(rows):
            r[i][j] = _over_components(jnp.add, q * v)
            v = v - r[i][j] * q
        # Scaling first keeps the square of a tiny or huge vector inside the dtype.
        largest = _over_components(jnp.maximum, jnp.abs(v))
        scale = jnp.where((largest > 0) & (largest < jnp.inf), largest, 1)
        v = v / scale
        norm = jnp.sqrt(_over_components(jnp.add, v * v))
        r[j][j] = norm * scale
        rows.append(v / jnp.where(norm > 0, norm, 1))
    return jnp.stack(rows), jnp.stack([jnp.stack(row) for row in r])


def _over_components(combine: Any, v: Array) -> Array:
    """Sum or maximum of a vector's components."""
    return functools.reduce(combine, list(v)) if len(v) <= SHORT else combine.reduce(v)


def _householder(vectors: Array) -> tuple[Array, Array]:
    q, r = jnp.linalg.qr(vectors.T)
    sign = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(r.dtype)
    return (q * sign[None, :]).T, r * sign[:, None]


def solve_least_squares(matrix: Float[Array, "m n"], rhs: Float[Array, " m"]) -> Float[Array, " n"]:
    """Minimize |matrix @ x - rhs| for a matrix of full column rank, by QR and back substitution."""
    n = matrix.shape[1]
    q, r = orthonormalize(matrix.T)
    y = matmul(q, rhs)
    if n > UNROLLED:
        return jnp.linalg.solve(r, y)
    x: list[Array] = []
    for i in reversed(range(n)):
        known = sum((r[i, j] * x[n - 1 - j] for j in range(i + 1, n)), start=jnp.zeros((), r.dtype))
        x.append((y[i] - known) / r[i, i])
    return jnp.stack(x[::-1])
