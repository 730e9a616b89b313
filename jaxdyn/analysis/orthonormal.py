"""Orthonormal bases of a few vectors: the one place where the package chooses how."""

import functools
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxdyn._types import Array, Float

__all__ = [
    "cholesky",
    "full_product",
    "gram_schmidt",
    "householder",
    "orthonormalize",
    "solve_least_squares",
    "solve_upper",
]

# Up to this many vectors the loop over columns is unrolled: under vmap it is elementwise code over
# all lanes, tens of times faster than one LAPACK call a lane, and it needs no kernel on a GPU.
UNROLLED = 10
# Up to this length sums over a vector's components are written out as well: a reduction over a short
# axis would break the fusion of the loop (measured under vmap: half the speed).
SHORT = 8


def orthonormalize(vectors: Float[Array, "k n"]) -> tuple[Float[Array, "k n"], Float[Array, "k k"]]:
    """Orthonormal rows Q and upper triangular R, diagonal >= 0, with vectors = R.T @ Q.

    Modified Gram-Schmidt for few vectors (loss of orthogonality about eps times the condition number); for many,
    Householder reflections on a CPU, three Cholesky passes elsewhere, where batched reflections run one after the
    other. A vanishing vector gives a zero row in the first case.
    """
    if vectors.shape[0] <= UNROLLED:
        return gram_schmidt(vectors)
    return lax.platform_dependent(vectors, cpu=householder, default=cholesky)


def gram_schmidt(vectors: Array) -> tuple[Array, Array]:
    """Modified Gram-Schmidt, written out: elementwise code over all lanes."""
    k = vectors.shape[0]
    rows: list[Array] = []
    zero = jnp.zeros((), vectors.dtype)
    r = [[zero] * k for _ in range(k)]
    for j in range(k):
        v = vectors[j]
        for i, q in enumerate(rows):
            r[i][j] = _over_components(jnp.add, q * v)
            v = v - r[i][j] * q
        # Scaling first keeps the square of a tiny or huge vector inside the dtype; within these bounds the scale's
        # inverse is inside as well, and one division serves all components. Of a vanishing vector it is 1: of one that
        # it knows to be zero the compiler takes the inverse's square, which is none of 1 / tiny, and 0 * inf is nan.
        tiny = float(jnp.finfo(v.dtype).tiny)
        largest = _over_components(jnp.maximum, jnp.abs(v))
        scale = jnp.where(largest > 0, jnp.clip(largest, tiny, 1 / tiny), 1)
        v = v * (1 / scale)
        norm = jnp.sqrt(_over_components(jnp.add, v * v))
        r[j][j] = norm * scale
        rows.append(v * (1 / jnp.where(norm > 0, norm, 1)))
    return jnp.stack(rows), jnp.stack([jnp.stack(row) for row in r])


def _over_components(combine: Any, v: Array) -> Array:
    """Sum or maximum of a vector's components."""
    return functools.reduce(combine, list(v)) if len(v) <= SHORT else combine.reduce(v)


def householder(vectors: Array) -> tuple[Array, Array]:
    """Householder reflections (LAPACK): orthogonal to rounding whatever the vectors."""
    q, r = jnp.linalg.qr(vectors.T)
    sign = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(r.dtype)
    return (q * sign[None, :]).T, r * sign[:, None]


def cholesky(vectors: Array) -> tuple[Array, Array]:
    """Cholesky factors of the products of all pairs, three times: nothing but matrix products and k-by-k work.

    The first pass shifts the diagonal, so that it cannot fail; the second needs its result to have a condition number
    below (n eps)^-1/2, which holds for vectors (of length 1) up to about 1 / (n eps). Beyond that results may be nan.
    Fukaya, Kannan, Nakatsukasa, Yamamoto & Yanagisawa 2020, SIAM Journal on Scientific Computing 42, A477-A503.
    """
    k, n = vectors.shape
    largest = jnp.max(jnp.abs(vectors), axis=1, keepdims=True)
    scale = jnp.where((largest > 0) & (largest < jnp.inf), largest, 1)
    q = vectors / scale
    length = jnp.sqrt(jnp.sum(q * q, axis=1, keepdims=True))
    q, r = q / jnp.where(length > 0, length, 1), jnp.diag((scale * length)[:, 0])
    # What the sums of n products may be wrong by, for rows of length 1: their shift.
    for shift in (11 * n * jnp.finfo(vectors.dtype).eps, 0.0, 0.0):
        lower = jnp.linalg.cholesky(full_product(q, q.T) + shift * jnp.eye(k, dtype=q.dtype))
        q = lax.linalg.triangular_solve(lower, q, left_side=True, lower=True)
        r = full_product(lower.T, r)
    return q, r


def full_product(a: Array, b: Array) -> Array:
    """Matrix product in full precision, whatever the user allows the dynamics: directions depend on it."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def solve_least_squares(matrix: Float[Array, "m n"], rhs: Float[Array, " m"]) -> Float[Array, " n"]:
    """Minimize |matrix @ x - rhs| for a matrix of full column rank, by QR and back substitution."""
    q, r = orthonormalize(matrix.T)
    return solve_upper(r, full_product(q, rhs)[:, None])[:, 0]


def solve_upper(r: Array, columns: Array) -> Array:
    """Solution of r @ y = columns, r upper triangular; few unknowns are written out, as in `orthonormalize`."""
    k = len(r)
    if k > UNROLLED:
        return lax.linalg.triangular_solve(r, columns, left_side=True, lower=False)
    rows: list[Any] = [None] * k
    for i in reversed(range(k)):
        known = sum((r[i, j] * rows[j] for j in range(i + 1, k)), start=jnp.zeros_like(columns[i]))
        rows[i] = (columns[i] - known) / r[i, i]
    return jnp.stack(rows)
