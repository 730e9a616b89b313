"""Singular values of matrices whose rows differ by more orders of magnitude than a dtype holds."""

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Bool, Float
from jaxdyn.analysis.orthonormal import full_product
from jaxdyn.integrate import repeat

__all__ = ["graded_singular_values", "unit_rows"]

# Convergence is quadratic: matrices of order 100 need 6 to 8 sweeps in float64, see the tests.
SWEEPS = 10


def graded_singular_values(
    rows: Float[Array, "m n"], log_length: Float[Array, " m"]
) -> tuple[Float[Array, " m"], Float[Array, "m n"], Bool[Array, ""]]:
    """Singular values of diag(exp(log_length)) @ rows, with rows of length 1, m <= n, by one-sided Jacobi rotations.

    The rows are rotated in pairs until all are orthogonal. Lengths are kept as logarithms and only their ratios are
    used, so that nothing overflows; each singular value has a relative error of rounding times the condition number of
    the unit rows, however small it is against the largest (Demmel & Veselic 1992, SIAM Journal on Matrix Analysis and
    Applications 13, 1204-1245). Pairs are taken in the order of a tournament, a fixed permutation after each round.

    Returns
    -------
    tuple
        Logarithms of the singular values, descending, (m,); right singular vectors, one a row, (m, n); whether the
        rows have become orthogonal, ().
    """
    m = rows.shape[0]
    if m > 1:
        odd = m % 2  # a row of zeros makes pairs; it is never rotated
        rows = jnp.pad(rows, ((0, odd), (0, 0)))
        log_length = jnp.pad(log_length, (0, odd), constant_values=-jnp.inf)
        n_rounds = SWEEPS * (m + odd - 1) if m > 2 else 3
        rows, log_length = repeat(_round, (rows, log_length), n_rounds)
    order = jnp.argsort(-log_length)[:m]
    rows, log_length = rows[order], log_length[order]
    cosines = full_product(rows, rows.T) - jnp.diag(jnp.sum(rows * rows, axis=1))
    converged = jnp.all(jnp.abs(cosines) <= jnp.sqrt(jnp.finfo(rows.dtype).eps))
    return log_length, rows, converged


def unit_rows(rows: Float[Array, "m n"]) -> tuple[Float[Array, "m n"], Float[Array, " m"]]:
    """Rows scaled to length 1, and the logarithms of their lengths; a vanishing row stays zero, with -inf."""
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    scale = jnp.where((largest > 0) & (largest < jnp.inf), largest, 1)
    rows = rows / scale
    length = jnp.sqrt(jnp.sum(rows * rows, axis=1, keepdims=True))
    return rows / jnp.where(length > 0, length, 1), (jnp.log(length) + jnp.log(scale))[:, 0]


def _round(c: tuple[Array, Array]) -> tuple[Array, Array]:
    """Rotate the pairs of rows (0, m-1), (1, m-2), ...; then turn all rows but the first by one place."""
    rows, log_length = c
    m = rows.shape[0]
    half = m // 2
    low, high = np.arange(half), np.arange(m - 1, half - 1, -1)
    swap = log_length[high] > log_length[low]
    long, short = (jnp.where(swap[:, None], rows[a], rows[b]) for a, b in ((high, low), (low, high)))
    log_long, log_short = (jnp.where(swap, log_length[a], log_length[b]) for a, b in ((high, low), (low, high)))
    # Equal lengths, also two that vanish, must not become inf - inf.
    ratio = jnp.exp(jnp.where(log_short == log_long, 0, log_short - log_long))
    cosine = jnp.sum(long * short, axis=1)
    gap = (1 - ratio) * (1 + ratio)
    divisor = gap + jnp.sqrt(gap * gap + (2 * cosine * ratio) ** 2)
    # The tangent of the angle is ratio * slope; the slope stays finite where the ratio underflows.
    slope = jnp.where(divisor > 0, 2 * cosine / jnp.where(divisor > 0, divisor, 1), 0)
    tangent = ratio * slope
    new_long, grown_long = unit_rows(long + (ratio * tangent)[:, None] * short)
    new_short, grown_short = unit_rows(short - slope[:, None] * long)
    shrink = jnp.log1p(tangent * tangent) / 2
    log_long, log_short = log_long + grown_long - shrink, log_short + grown_short - shrink
    first = jnp.where(swap[:, None], new_short, new_long), jnp.where(swap, log_short, log_long)
    second = jnp.where(swap[:, None], new_long, new_short), jnp.where(swap, log_long, log_short)
    turn = _turn(m)
    return jnp.concatenate([first[0], second[0]])[turn], jnp.concatenate([first[1], second[1]])[turn]


def _turn(m: int) -> np.ndarray:
    """Where each row of the next round comes from in [first half, second half reversed]."""
    half = m // 2
    restored = np.concatenate([np.arange(half), np.arange(m - 1, half - 1, -1)])  # place p of the list is row p
    turned = np.concatenate([[0], [m - 1], np.arange(1, m - 1)]) if m > 2 else np.arange(m)
    return restored[turned]
