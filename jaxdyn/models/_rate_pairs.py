"""Rates of two learners near a stationary state: eigenvalues of a symmetric 2 x 2 matrix times a diagonal one."""

import jax.numpy as jnp

from jaxdyn._types import Array, ArrayLike

__all__ = ["rate_pair"]


def rate_pair(a: Array, b: Array, x: ArrayLike, y: ArrayLike, cross: Array, determinant: Array) -> Array:
    """Eigenvalues (..., 2) of diag(a, b) [[x, cross], [cross, y]], the larger first, for a, b, x and y >= 0.

    The smaller is the given determinant x y - cross^2, written without cancellation by the caller, over the larger. The
    derivative of their difference is 0, not nan, where they meet.
    """
    square = (a * x - b * y) ** 2 + 4 * a * b * cross**2
    meet = square == 0
    large = (a * x + b * y + jnp.where(meet, 0, jnp.sqrt(jnp.where(meet, 1, square)))) / 2
    small = a * b * determinant / jnp.where(large == 0, 1, large)
    return jnp.stack([large, small], axis=-1)
