"""Check of the derivative that JAX takes of a system's equations against difference quotients."""

import jax
import jax.numpy as jnp

from jaxdyn._types import Array, Float
from jaxdyn.system import System

__all__ = ["derivative_excess"]

# Roundings of a value of the field, in units of its terms.
ROUNDINGS = 16


def derivative_excess(
    system: System, t: Array, x: Float[Array, " dim"], matrix: Float[Array, "dim dim"]
) -> Float[Array, ""]:
    """How far derivatives `matrix` at `x` lie outside their difference quotients, over the largest one; 0 if they fit.

    A derivative must lie between the forward and the backward quotient: that holds for curved fields up to terms of
    third order (twice the step tells their size), at kinks, where JAX takes one side or the mean, and near jumps, which
    make one quotient huge.
    """
    eps = float(jnp.finfo(x.dtype).eps)
    # Of a state near zero the others tell the scale, though units may differ: a small step only costs sensitivity.
    size = jnp.maximum(jnp.abs(x), 1e-3 * jnp.max(jnp.abs(x)))
    # Next to zero the steps would leave the normal numbers; at zero itself the unit is the only scale there is.
    size = jnp.where(size > 0, jnp.maximum(size, float(jnp.finfo(x.dtype).tiny) ** 0.5), 1)
    h = eps ** (1 / 3) * size
    here = system(t, x)
    unit = jnp.eye(len(x), dtype=x.dtype)

    def quotients(factor: int) -> tuple[Array, Array]:
        """Forward and backward ones, [i, j] of field i by state j."""
        pairs = []
        for sign in (1, -1):
            steps = sign * factor * h
            moved = x[None, :] + steps[:, None] * unit
            values = jax.vmap(lambda y: system(t, y))(moved)
            # What the state really moved by, rounded.
            moved_by = jnp.diagonal(moved) - x
            pairs.append(((values - here[None, :]) / moved_by[:, None]).T)
        return pairs[0], pairs[1]

    forward, backward = quotients(1)
    wide = quotients(2)
    third_order = jnp.abs((wide[0] + wide[1]) - (forward + backward)) / 2
    terms = (
        jnp.abs(here) + jnp.sum(jnp.abs(matrix) * jnp.abs(x)[None, :], axis=1) + jnp.max(jnp.abs(matrix) * h[None, :])
    )
    slack = third_order + ROUNDINGS * eps * terms[:, None] / h[None, :]
    low, high = jnp.minimum(forward, backward) - slack, jnp.maximum(forward, backward) + slack
    outside = jnp.maximum(jnp.maximum(low - matrix, matrix - high), 0)
    # An infinite quotient says nothing; a derivative that is nan is wrong.
    outside = jnp.where(jnp.isnan(outside) & ~jnp.isnan(matrix), 0, outside)
    largest = jnp.max(jnp.abs(matrix))
    return jnp.max(outside) / jnp.where(largest > 0, largest, 1)
