"""First-passage times: when a function of the state reaches a level for the first time."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._noise import PASSAGE_TIMES, PASSAGES, normals, uniforms
from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, whole_number
from jaxdyn.errors import Status
from jaxdyn.integrate import Walk, walking
from jaxdyn.methods import Method
from jaxdyn.reducers.observed import Watching, bound, one_number
from jaxdyn.steps import method_of, resolve_steps
from jaxdyn.stochastic import SDE
from jaxdyn.system import System

__all__ = ["FirstPassage", "first_passage"]


@record
class FirstPassage:
    """When a level was reached for the first time, and where."""

    time: Float[Array, ""] = labelled(words="first-passage time", unit="time")
    """Time from the start of the run; nan if the level was not reached."""
    x: Float[Array, " dim"] = labelled("state", words="state after the step of the passage")
    """State at the end of the step in which the level was reached, or of the run."""
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if the level was not reached within the steps, NON_FINITE if a state, or what is watched, was
    not finite."""


@record
class Boundary(Watching):
    """What is watched, and its level."""

    level: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        one_number(self.level, "level of first_passage")


@record
class _Course:
    """Loop state: the run, distances from the level before and after its last step, and whether that led across."""

    walk: Walk
    before: Float[Array, ""]
    now: Float[Array, ""]
    spread: Float[Array, ""]
    """Variance of what is watched that the noise of the last step made; 0 without noise."""
    reached: Bool[Array, ""]


def first_passage(
    system: System,
    of: Any,
    level: ArrayLike,
    *,
    n_steps: int,
    dt: ArrayLike | None = None,
    bridge: bool = True,
    method: Method | None = None,
    t0: ArrayLike = 0,
) -> FirstPassage:
    """First time at which a function of the state reaches a level, from either side.

    Parameters
    ----------
    system
        Flow, stochastic system or map, from its start `system.x0`.
    of
        State by name or index, or a function x -> number: `lambda x: abs(x[0])` for the way out of an interval.
    level
        Level, in the unit of what is watched; may be traced. A start on the level is a passage at time 0.
    n_steps
        Steps after which a run is given up, static.
    dt
        Step of a flow, time units; negative runs a deterministic flow backwards. Maps take none.
    bridge
        Whether a stochastic system may also reach the level between two steps at which it is not there, see Notes.
    method
        As in `trajectory`.
    t0
        Time of the start; an integer for maps.

    Returns
    -------
    FirstPassage
        `time` (), time units from the start, or nan; `x` (dim,), the state after that step; `status` ():
        NOT_CONVERGED where the level was not reached in time. Means over lanes that leave those out are too small:
        raise `n_steps`, or count them as times that are longer.

    Raises
    ------
    TypeError, ValueError
        While tracing: for an unknown state, a level that is no finite number, or steps that do not fit.

    Notes
    -----
    *Flows* are interpolated linearly within the step, an error of second order of `dt`; a level that is touched between
    two steps is missed. Maps reach it at a step.

    *Stochastic systems.* A path that is watched at the steps only reaches a level too late: mean times are too long by
    a term of order sqrt(dt), as if the level were 0.5826 sigma sqrt(dt) farther away. With `bridge` the path within a
    step is a Brownian bridge between the states at its ends, of the diffusion at its start: a passage between two
    steps comes with the probability exp(-2 d0 d1 / (sigma^2 dt)) of distances d0 and d1 from the level, and its time
    within the step is drawn from its exact distribution. Times of a Brownian motion with drift are then exact in
    distribution for every `dt`, others have an error of order `dt`. Draws depend on the seed and the step only. What is
    watched must be smooth where it meets the level; where it has no noise of its own, steps are interpolated linearly.

    Transforms: jit, vmap, lanes, sweep: each lane stops by itself. Forward derivatives (jvp) of flows; no reverse ones.

    References
    ----------
    Broadie, Glasserman & Kou 1997, Mathematical Finance 7, 325-349, doi:10.1111/1467-9965.00035 (the shift of the
    level); Gobet 2000, Stochastic Processes and their Applications 87, 167-197, doi:10.1016/S0304-4149(99)00109-X (the
    bridge); Michael, Schucany & Haas 1976, The American Statistician 30, 88-90 (inverse Gaussian numbers).

    Examples
    --------
    >>> import jaxdyn
    >>> decay = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0], state_names=["x"])
    >>> round(float(jaxdyn.first_passage(decay, "x", 0.5, n_steps=1000, dt=0.01).time), 3)
    0.693
    """
    n_steps = whole_number(n_steps, "n_steps")
    n_steps, dt = resolve_steps(system, n_steps, None, dt, t0)
    boundary = bound(Boundary(of, level), system)
    return _passage(system, method_of(system, method), t0, dt, boundary, n_steps, bool(bridge))


@functools.partial(jax.jit, static_argnames=("n_steps", "bridge"))
def _passage(
    system: System, method: Method, t0: ArrayLike, dt: Array, boundary: Boundary, n_steps: int, bridge: bool
) -> FirstPassage:
    walk, advance = walking(system, method, t0, dt)
    offset = _offset(boundary, walk.x)
    side = jnp.where(offset < 0, -1, 1).astype(offset.dtype)

    def step(c: _Course) -> _Course:
        walk = advance(c.walk)
        now = side * _offset(boundary, walk.x)
        spread, reached = jnp.zeros_like(now), now <= 0
        t, during = system.at_step(t0, dt, c.walk.i)
        if bridge and isinstance(during, SDE):
            spread = dt * _variance_rate(during, boundary, t, c.walk.x)
            reached |= _is_touched(during, t, dt, c.now, now, spread)
        return _Course(walk, c.now, now, spread, reached)

    def goes_on(c: _Course) -> Array:
        return ~c.reached & (c.walk.i < n_steps) & jnp.isfinite(c.now)

    distance = side * offset
    start = _Course(walk, distance, distance, jnp.zeros_like(distance), distance == 0)
    end = lax.while_loop(goes_on, step, start)
    fraction = _fraction(system, t0, dt, end, bridge)
    whole = jnp.maximum(end.walk.i - 1, 0).astype(fraction.dtype)
    time = jnp.where(end.walk.i == 0, 0, (whole + fraction) * dt)
    ok = (end.walk.status == Status.OK) & (end.reached | jnp.isfinite(end.now))
    status = jnp.where(end.reached, int(Status.OK), int(Status.NOT_CONVERGED))
    return FirstPassage(
        time=jnp.where(end.reached & ok, time, jnp.nan),
        x=end.walk.x,
        status=jnp.where(ok, status, int(Status.NON_FINITE)).astype(jnp.int8),
    )


def _offset(boundary: Boundary, x: Array) -> Array:
    return boundary.of(x) - jnp.asarray(boundary.level, x.dtype)


def _variance_rate(system: SDE, boundary: Boundary, t: Array, x: Array) -> Array:
    """Variance per time that the noise gives to what is watched."""
    b = system.amplitude(t, x)
    if b.ndim == 1:
        slopes = jax.grad(boundary.of)(x) * b
        return jnp.sum(slopes * slopes)
    slopes = [jax.jvp(boundary.of, (x,), (b[:, j],))[1] for j in range(b.shape[1])]
    return jnp.sum(jnp.square(jnp.stack(slopes)))


def _is_touched(system: SDE, t: Array, dt: Array, before: Array, now: Array, spread: Array) -> Array:
    """Whether the bridge between two distances on the same side comes to the level."""
    noisy = spread > 0
    chance = jnp.exp(-2 * before * now / jnp.where(noisy, spread, 1))
    return noisy & (_draws(system, t, dt)[0] < chance)


def _draws(system: SDE, t: Array, dt: Array) -> Array:
    """Two uniform numbers of the step."""
    return uniforms(system.params["seed"], system.number(t, dt), 2, system.dtype, PASSAGES)


def _fraction(system: System, t0: ArrayLike, dt: Array, end: _Course, bridge: bool) -> Array:
    """Part of the last step that passed before the level was reached."""
    before, beyond = end.before, jnp.abs(end.now)
    if system.discrete:
        return jnp.ones_like(before)
    linear = before / jnp.where(before > 0, before + beyond, 1)
    t, during = system.at_step(t0, dt, jnp.maximum(end.walk.i - 1, 0))
    if not (bridge and isinstance(during, SDE)):
        return linear
    # The time u of a bridge's passage over what is left of the step is inverse Gaussian, of mean m = before / beyond
    # and shape before^2 / spread. Its density at m r and m / r has one exponent, of which a squared normal number
    # tells r; the former is the one with probability 1 / (1 + r).
    normal = normals(during.params["seed"], during.number(t, dt), 1, during.dtype, PASSAGE_TIMES)[0]
    beyond = jnp.maximum(beyond, jnp.finfo(before.dtype).eps * before)  # at 0 the mean is infinite
    product = jnp.where(before > 0, before * beyond, 1)
    w = normal * normal * end.spread / (2 * product)
    r = 1 / (1 + w + jnp.sqrt(w * (w + 2)))
    early = _draws(during, t, dt)[1] * (1 + r) < 1
    total = jnp.where(before > 0, jnp.where(early, before * r + beyond, before + beyond * r), 1)
    drawn = jnp.where(early, before * r, before) / total
    return jnp.where(end.spread > 0, drawn, linear)
