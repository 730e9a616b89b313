"""Dimension and entropy of an attractor, from its Lyapunov exponents."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, Real, default_dtype
from jaxdyn.analysis.matrices import float_array
from jaxdyn.errors import Status

__all__ = ["Estimate", "kaplan_yorke_dimension", "kaplan_yorke_estimate", "pesin_entropy"]


@record
class Estimate:
    """A number with the error that those it is made of give it."""

    value: Float[Array, ""] = labelled()
    std_error: Float[Array, ""] = labelled()
    """Standard error by the delta method: to first order in the errors of the exponents."""
    at_kink: Bool[Array, ""] = labelled()
    """Whether the slope of the value jumps within two standard errors: `std_error` is then rough."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the value is nan: an exponent is, or there are too few exponents to tell."""


def kaplan_yorke_dimension(exponents: Real[Array, "*batch k"], *, dim: int | None = None) -> Float[Array, "*batch"]:
    """Kaplan-Yorke (Lyapunov) dimension j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}|.

    Parameters
    ----------
    exponents
        Descending along the last axis, (..., k).
    dim
        Dimension of the state space; default k. With k < dim and no negative partial sum the answer is nan.

    Returns
    -------
    Array
        (...): 0 if the largest exponent is negative, `dim` if no partial sum is negative. An exponent that
        is zero in theory counts with the sign it was measured with.

    References
    ----------
    Kaplan & Yorke 1979, Lecture Notes in Mathematics 730, 204-227, doi:10.1007/BFb0064319.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> round(float(jaxdyn.kaplan_yorke_dimension(jnp.array([0.9056, 0.0, -14.5723]))), 4)
    2.0621
    """
    exponents = jnp.asarray(exponents)
    if not jnp.issubdtype(exponents.dtype, jnp.floating):
        exponents = exponents.astype(default_dtype())
    k = exponents.shape[-1]
    sums = jnp.cumsum(exponents, axis=-1)
    j = jnp.sum(jnp.cumprod((sums >= 0).astype(jnp.int32), axis=-1), axis=-1)
    partial = jnp.take_along_axis(sums, jnp.maximum(j - 1, 0)[..., None], axis=-1)[..., 0]
    following = jnp.take_along_axis(exponents, jnp.minimum(j, k - 1)[..., None], axis=-1)[..., 0]
    inside = (j > 0) & (j < k)
    value = j.astype(partial.dtype) + jnp.where(inside, partial / jnp.where(inside, jnp.abs(following), 1), 0)
    if dim is not None and dim > k:
        value = jnp.where(j == k, jnp.nan, value)
    return jnp.where(jnp.any(jnp.isnan(exponents), axis=-1), jnp.nan, value).astype(exponents.dtype)


def kaplan_yorke_estimate(
    exponents: ArrayLike | Sequence[Any],
    std_error: ArrayLike | Sequence[Any] | None = None,
    *,
    covariance: ArrayLike | Sequence[Any] | None = None,
    dim: int | None = None,
) -> Estimate:
    """Kaplan-Yorke dimension with the standard error that follows from those of the exponents.

    Parameters
    ----------
    exponents
        (k,) descending, as `LyapunovSpectrum.exponents`.
    std_error
        (k,) standard errors of the exponents, taken as independent, which they need not be: where the sum of
        all is known exactly, for one, the errors of the first and the last cancel.
    covariance
        (k, k) covariance matrix of the exponents, in place of `std_error`: `LyapunovSpectrum.covariance`.
    dim
        Dimension of the state space; default k.

    Returns
    -------
    Estimate
        value, std_error, at_kink and status ().

    Raises
    ------
    TypeError, ValueError
        While tracing, if not one of `std_error` and `covariance` is given, or shapes do not fit.

    Notes
    -----
    With D = j + S_j / |lambda_{j+1}| and S_j = lambda_1 + ... + lambda_j, the slopes are 1 / |lambda_{j+1}| for the
    first j exponents and S_j / lambda_{j+1}^2 for the next. Neutral exponents count as they were measured. Where D is
    a whole number, S_j = 0, the slopes jump: if S_j or S_{j+1} lies within two standard errors of zero, `at_kink` is
    true and `std_error` is the larger one of both sides. At lambda_1 = 0 the dimension itself jumps, from 0 to at
    least 1: no error covers that, a limit cycle whose zero came out as -1e-9 has dimension 0 here. Set what is known
    to be zero to zero before (`LyapunovSpectrum.kaplan_yorke_dimension` does). What the exponents' errors do not
    contain (the step of the integrator, a transient) is not in this error either.

    Transforms: jit, vmap, lanes.

    References
    ----------
    Kaplan & Yorke 1979, Lecture Notes in Mathematics 730, 204-227, doi:10.1007/BFb0064319.

    Examples
    --------
    >>> import jaxdyn
    >>> found = jaxdyn.kaplan_yorke_estimate([0.9056, 0.0, -14.5723], [0.002, 0.0001, 0.002])
    >>> f"{float(found.value):.5f} +- {float(found.std_error):.5f}"
    '2.06215 +- 0.00014'
    """
    values, matrix = _with_covariance(exponents, std_error, covariance)
    k = len(values)
    sums = jnp.cumsum(values)
    j = jnp.sum(jnp.cumprod((sums >= 0).astype(jnp.int32)))
    here, below, above = (_slopes(values, sums, j + shift) for shift in (0, -1, 1))
    error = _error(here, matrix)
    spread = jnp.sqrt(jnp.maximum(jnp.diagonal(jnp.cumsum(jnp.cumsum(matrix, axis=0), axis=1)), 0))
    near = (jnp.abs(sums) <= 2 * spread) & (spread > 0)
    near_below = _at(near, j - 1)
    near_above = _at(near, j)
    error = jnp.maximum(error, jnp.where(near_below, _error(below, matrix), 0))
    error = jnp.maximum(error, jnp.where(near_above, _error(above, matrix), 0))
    return _estimate(kaplan_yorke_dimension(values, dim=k if dim is None else dim), error, near_below | near_above)


def pesin_entropy(
    exponents: ArrayLike | Sequence[Any],
    std_error: ArrayLike | Sequence[Any] | None = None,
    *,
    covariance: ArrayLike | Sequence[Any] | None = None,
) -> Estimate:
    """Sum of the positive Lyapunov exponents with its standard error: the Kolmogorov-Sinai entropy, by Pesin's formula.

    Parameters
    ----------
    exponents
        (k,) in any order; all positive ones must be among them.
    std_error, covariance
        As in `kaplan_yorke_estimate`.

    Returns
    -------
    Estimate
        value, nats per time unit (per step for maps), std_error, at_kink and status ().

    Raises
    ------
    TypeError, ValueError
        While tracing, if not one of `std_error` and `covariance` is given, or shapes do not fit.

    Notes
    -----
    An exponent within two standard errors of zero counts as zero, so that the neutral direction of a flow adds neither
    value nor error; `at_kink` is then true, since a positive exponent that small is lost (by at most two of its
    errors). The formula holds for measures that are smooth along unstable directions (SRB measures), as those seen in
    simulations are believed to be; for every other invariant measure the sum is an upper bound (Ruelle's inequality),
    and on a strange repeller the entropy is smaller by the escape rate. Errors as in `kaplan_yorke_estimate`.

    Transforms: jit, vmap, lanes.

    References
    ----------
    Pesin 1977, Russian Mathematical Surveys 32, 55-114, doi:10.1070/RM1977v032n04ABEH001639; Ruelle 1978, Bulletin of
    the Brazilian Mathematical Society 9, 83-87.

    Examples
    --------
    >>> import jaxdyn
    >>> found = jaxdyn.pesin_entropy([0.43, 0.38, -3.3], [0.003, 0.004, 0.01])
    >>> f"{float(found.value):.3f} +- {float(found.std_error):.3f}"
    '0.810 +- 0.005'
    """
    values, matrix = _with_covariance(exponents, std_error, covariance)
    error = jnp.sqrt(jnp.maximum(jnp.diagonal(matrix), 0))
    neutral = jnp.abs(values) <= 2 * error
    positive = (values > 0) & ~neutral
    value = jnp.sum(jnp.where(positive, values, 0))
    value = jnp.where(jnp.any(jnp.isnan(values)), jnp.nan, value)
    return _estimate(value, _error(positive.astype(values.dtype), matrix), jnp.any(neutral & (error > 0)))


def _with_covariance(exponents: Any, std_error: Any, covariance: Any) -> tuple[Array, Array]:
    """Exponents and their covariance matrix, of one dtype."""
    values = float_array(exponents, "exponents")
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"exponents must have shape (k,), got {values.shape}; for many spectra use jax.vmap")
    k = len(values)
    if (std_error is None) == (covariance is None):
        raise TypeError("give either std_error, one per exponent, or their covariance matrix")
    if covariance is None:
        error = jnp.asarray(std_error, values.dtype)
        if error.shape != (k,):
            raise ValueError(f"std_error must have shape ({k},), one per exponent, got {error.shape}")
        return values, jnp.diag(error**2)
    matrix = jnp.asarray(covariance, values.dtype)
    if matrix.shape != (k, k):
        raise ValueError(f"covariance must have shape ({k}, {k}), got {matrix.shape}")
    return values, matrix


def _slopes(values: Array, sums: Array, j: Array) -> Array:
    """Slopes of j + S_j / |lambda_{j+1}| in the exponents; zero where that does not exist."""
    index = jnp.arange(len(values))
    next_value = _at(values, j)
    exists = (j > 0) & (j < len(values)) & (next_value < 0)
    size = jnp.where(exists, jnp.abs(next_value), 1)
    slopes = jnp.where(index < j, 1 / size, 0) + jnp.where(index == j, _at(sums, j - 1) / size / size, 0)
    return jnp.where(exists, slopes, 0).astype(values.dtype)


def _at(values: Array, i: Array) -> Array:
    """Entry `i`, or zero (False) outside."""
    inside = (i >= 0) & (i < len(values))
    return jnp.where(inside, values[jnp.clip(i, 0, len(values) - 1)], jnp.zeros((), values.dtype))


def _error(slopes: Array, matrix: Array) -> Array:
    # Where a slope is zero an infinite or unknown error does not matter.
    counted = (slopes[:, None] != 0) & (slopes[None, :] != 0)
    variance = jnp.sum(jnp.where(counted, slopes[:, None] * matrix * slopes[None, :], 0))
    return jnp.sqrt(jnp.maximum(variance, 0))


def _estimate(value: Array, error: Array, at_kink: Array) -> Estimate:
    known = ~jnp.isnan(value)
    code = jnp.where(known, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int8)
    return Estimate(value=value, std_error=jnp.where(known, error, jnp.nan), at_kink=at_kink, status=code)
