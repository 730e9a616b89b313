"""Dimension of an attractor, from its Lyapunov exponents."""

import jax.numpy as jnp

from jaxdyn._types import Array, Float, Real, default_dtype

__all__ = ["kaplan_yorke_dimension"]


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
