"""Local maxima along a flow, each found to the accuracy of the method."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import record
from jaxdyn._types import Array, Bool, Float, Int
from jaxdyn.errors import Status
from jaxdyn.integrate import Walk, walking
from jaxdyn.methods import Method
from jaxdyn.system import System

__all__ = ["Climb", "climbing"]

N_NEWTON = 3
"""Iterations: the first guess errs by the square of the step, and each squares that."""


@record
class Climb:
    """A run on its way to the next maximum, and the last one."""

    walk: Walk
    slope: Float[Array, ""]
    """Rate of change of what is watched."""
    before: Float[Array, " dim"]
    """State one step earlier."""
    slope_before: Float[Array, ""]
    steps: Int[Array, ""]
    """Steps since the last maximum."""
    alive: Bool[Array, ""]
    """Whether maxima came so far."""
    top: Float[Array, " dim"]
    """State at the last maximum."""

    @property
    def has_maximum(self) -> Bool[Array, ""]:
        """Whether a maximum lies within the last step."""
        return (self.slope_before > 0) & (self.slope <= 0)


def climbing(
    system: System, method: Method, dt: Array, of: Callable[[Array], Array], max_steps: int
) -> tuple[Callable[[Walk], Climb], Callable[[Climb], Climb]]:
    """Start of a climb where a walk has arrived, and the way from one maximum to the next."""
    advance = walking(system, method, 0, dt)[1]

    def slope_at(t: Array, x: Array) -> Array:
        return jax.jvp(of, (x,), (system.during_step(t)(t, x),))[1]

    def begin(walk: Walk) -> Climb:
        slope = slope_at(system.time(0, dt, walk.i), walk.x)
        return Climb(walk, slope, walk.x, jnp.zeros_like(slope), jnp.int32(0), jnp.array(True), walk.x)

    def step(c: Climb) -> Climb:
        walk = advance(c.walk)
        slope = slope_at(system.time(0, dt, walk.i), walk.x)
        return Climb(walk, slope, c.walk.x, c.slope, c.steps + 1, c.alive, c.top)

    def goes_on(c: Climb) -> Array:
        return c.alive & ~c.has_maximum & (c.steps < max_steps) & (c.walk.status == int(Status.OK))

    def to_next(c: Climb) -> Climb:
        c = Climb(c.walk, c.slope, c.before, jnp.zeros_like(c.slope), jnp.int32(0), c.alive, c.top)
        c = lax.while_loop(goes_on, step, c)
        alive = c.alive & c.has_maximum
        top = jnp.where(alive, _top(c, system, method, dt, of), jnp.nan)
        return Climb(c.walk, c.slope, c.before, c.slope_before, c.steps, alive, top)

    return begin, to_next


def _top(c: Climb, system: System, method: Method, dt: Array, of: Callable[[Array], Array]) -> Array:
    """State where the slope is zero, part of a step after the one before."""
    t = system.time(0, dt, c.walk.i - 1)
    rhs = system.during_step(t)

    def after(part: Array) -> Array:
        return method.step(rhs, t, c.before, part * dt, method.init(rhs, t, c.before)).x

    def slope_after(part: Array) -> Array:
        x = after(part)
        return jax.jvp(of, (x,), (rhs(t + part * dt, x),))[1]

    part = c.slope_before / jnp.where(c.has_maximum, c.slope_before - c.slope, 1)
    for _ in range(N_NEWTON):
        slope, change = jax.jvp(slope_after, (part,), (jnp.ones_like(part),))
        falls = change < 0  # as it does at a maximum
        part = jnp.clip(part - jnp.where(falls, slope, 0) / jnp.where(falls, change, -1), 0, 1)
    return after(part)
