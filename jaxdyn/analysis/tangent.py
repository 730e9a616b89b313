"""Tangent vectors along one trajectory: the step that all Lyapunov analyses share, and the numbers that it needs."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._record import record
from jaxdyn._types import Array, ArrayLike
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.errors import Status
from jaxdyn.integrate import repeat
from jaxdyn.methods import Method
from jaxdyn.steps import require_positive
from jaxdyn.system import System

__all__ = [
    "CompensatedSum",
    "advance",
    "growth_spread",
    "lost_directions",
    "require_forward",
    "status_of_exponents",
    "tangent_interval",
    "tangent_step",
]


@record
class CompensatedSum:
    """Compensated sum (Kahan 1965): `lost` holds what rounding took away."""

    total: Array
    lost: Array

    @staticmethod
    def zero(shape: tuple[int, ...], dtype: Any) -> "CompensatedSum":
        """Sum of nothing."""
        return CompensatedSum(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def add(self, value: Array) -> "CompensatedSum":
        """Sum with one more term."""
        corrected = value - self.lost
        total = self.total + corrected
        # An infinite total (a superstable orbit) must not turn into nan through inf - inf.
        lost = jnp.where(jnp.isfinite(total), (total - self.total) - corrected, 0)
        return CompensatedSum(total, lost)


def advance(system: System, method: Method, t0: ArrayLike, dt: Array, i: Array) -> Callable[[Array], Array]:
    """Step number `i` as a function of the state alone: what tangent vectors are pushed through."""
    t, rhs = system.at_step(t0, dt, i)
    return lambda x: method.step(rhs, t, x, dt, method.init(rhs, t, x)).x


def tangent_step(
    system: System, method: Method, t0: ArrayLike, dt: Array, i: Array, x: Array, frame: Array
) -> tuple[Array, Array]:
    """State and tangent vectors (one a row) after step number `i`, pushed through the method's own step by jvp."""
    x, push = jax.linearize(advance(system, method, t0, dt, i), x)
    return x, jax.vmap(push)(frame)


def tangent_interval(
    system: System, method: Method, t0: ArrayLike, dt: Array, every: int, i: Array, x: Array, frame: Array
) -> tuple[Array, Array, Array, Array]:
    """`every` steps of state and tangent vectors from step number `i`, then one orthonormalization.

    Returns the new step number, state, frame Q (k, dim) and upper triangular R (k, k): the vectors were R.T @ Q.
    """

    def step(c: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        return c[0] + 1, *tangent_step(system, method, t0, dt, *c)

    i, x, vectors = repeat(step, (i, x, frame), every)
    return i, x, *orthonormalize(vectors)


def growth_spread(log_growth: Array) -> Array:
    """Largest difference of log-growth between the vectors of one interval: the frame's conditioning."""
    return jnp.max(log_growth) - jnp.min(log_growth)


def lost_directions(spread: Array) -> Array:
    """Whether vectors that grew this differently were parallel to rounding before they were parted."""
    return spread > -0.5 * math.log(jnp.finfo(spread.dtype).eps)


def status_of_exponents(x: Array, exponents: Array, spread: Array, converged: ArrayLike = True) -> Array:
    """Status of a run by its last state, its exponents, and the largest `growth_spread` of its intervals."""
    # Minus infinity is the exponent of a superstable orbit; plus infinity that of a vector that overflowed.
    finite = jnp.all(jnp.isfinite(x)) & jnp.all(exponents < jnp.inf)
    code = jnp.where(converged, int(Status.OK), int(Status.NOT_CONVERGED))
    code = jnp.where(lost_directions(spread), int(Status.QR_INTERVAL), code)
    return jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8)


def require_forward(dt: Any) -> None:
    """Raise ValueError for a step that is negative: exponents are rates of forward time."""
    require_positive(dt, "exponents are rates of forward time")
