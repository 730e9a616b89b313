"""Points of one attractor: the next states of a map, the next local maxima of a flow."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record, static
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, whole_number
from jaxdyn.errors import Status
from jaxdyn.integrate import Walk, march, repeat, walking
from jaxdyn.methods import Method
from jaxdyn.orbits.maxima import Climb, climbing
from jaxdyn.orbits.returns import Returns
from jaxdyn.reducers.observed import Watching, bound
from jaxdyn.steps import method_of, require_countable, require_positive, resolve_steps
from jaxdyn.system import System

__all__ = ["AttractorPoints", "attractor_points"]

MAX_PERIOD = 64

Counts = tuple[Returns, Returns, Returns]


@record
class AttractorPoints:
    """Points of one attractor, in the order of time."""

    points: Float[Array, " point"] = labelled("point", words="points of the attractor")
    """What is watched at each point; nan for maxima that did not come."""
    period: Int[Array, ""] = labelled(words="period")
    """Points after which the orbit returns, each time; 0 if it does not within `max_period`."""
    n_found: Int[Array, ""] | None = labelled(words="number of maxima")
    """Maxima of a flow; None for a map."""
    x: Float[Array, " dim"] = labelled("state", words="last state")
    """State where the run ended: what `follow` carries on."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if any state on the way was not finite; NOT_CONVERGED if the orbit was still on its way to a cycle, or
    if there are fewer maxima than asked for."""
    states: Float[Array, "point dim"] = detail("point", "state", words="state at each point")


@record
class Orbit(Watching):
    """What is looked at, how long, and what counts as a return."""

    tolerance: Array
    """Largest distance of a return, over the size of the state."""
    slow: Array
    """Largest move within a period of an orbit that is on its way to a cycle, over the size of the state."""
    n_points: int = static()
    n_transient: int = static()
    max_period: int = static()
    max_steps: int = static()


def attractor_points(
    system: System,
    *,
    n_points: int,
    n_transient: int,
    of: Any = 0,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    max_period: int | None = None,
    tolerance: float | None = None,
    max_steps: int = 10_000,
) -> AttractorPoints:
    """Points of the attractor that a system comes to: states of a map, local maxima of a flow, and their period.

    Parameters
    ----------
    system
        Map or flow, from its start `system.x0`. For other sections of a flow give the map of its section.
    n_points
        How many points, static.
    n_transient
        Iterates (of a flow steps) before them, static.
    of
        What is watched: a state by name or index, or a function x -> number; default the first state. The points of a
        flow are where this is largest in passing.
    dt, method
        Step of a flow, time units, positive, and its method, by default `RK4()`. Maps take none.
    max_period
        Longest period that is looked for, static, at most half of `n_points`; default a quarter, at most 64. The fewer
        returns, the more of them are by chance.
    tolerance
        How close a return comes, over the size of the state: the larger one of the largest entries of the start and of
        the first point. Default for maps eps^(3/4) (1.8e-12 in float64, 6e-6 in float32): rounding that is summed up
        along a cycle with a multiplier up to 1 - eps^(1/4). Default for flows 1e-5 (3.5e-4 in float32): steps of a
        fixed length leave an error that depends on where between two of them a maximum lies.
    max_steps
        Flows: longest way from one maximum to the next, in steps, static. A lane at rest costs as many, once.

    Returns
    -------
    AttractorPoints
        `points` (n,), `period`, last state `x` (dim,), `status`; of a flow `n_found`; `states` (n, dim) of the points.
        The period counts points, of a flow maxima. It is 0 for what does not return, such as chaos, and for cycles that
        are approached so slowly that the orbit still moves: then the status is NOT_CONVERGED, and more transient helps.

    Raises
    ------
    TypeError, ValueError
        While tracing: for an unknown state, or numbers that do not fit.

    Notes
    -----
    A period p is found where the whole state returns within the tolerance of where it was when counting began, for the
    first time after p points, and then after every p more. On its way to a cycle is what returns so to where it was a
    period before, within 1 / n_transient of its size (at most 1e-3): a multiplier of 1 - d leaves moves of
    d exp(-d n_transient), which are never larger. A torus whose rotation is as close to a ratio of small numbers
    is called so too.

    A maximum is where the rate of change turns from positive to negative within a step; it is found by Newton's
    method on the length of that step, so that points have the accuracy of the method. Two turns within one step are not
    seen.

    Transforms: jit, vmap, lanes, sweep; forward derivatives, of maps also grad.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.attractor_points(jaxdyn.models.logistic(r=3.5), n_points=128, n_transient=1000)
    >>> int(run.period), sorted({round(float(x), 3) for x in run.points})
    (4, [0.383, 0.501, 0.827, 0.875])
    """
    n_points = whole_number(n_points, "n_points")
    n_transient = whole_number(n_transient, "n_transient", least=0)
    max_steps = whole_number(max_steps, "max_steps")
    require_positive(dt, "maxima are looked for in forward time")
    dt = resolve_steps(system, n_points, None, dt)[1]
    require_countable(n_transient + n_points * (1 if system.discrete else max_steps))
    if max_period is None:
        max_period = min(MAX_PERIOD, n_points // 4)
    elif 2 * whole_number(max_period, "max_period") > n_points:
        raise ValueError(f"max_period={max_period} needs two periods of points, got n_points={n_points}")
    orbit = Orbit(
        of=of,
        tolerance=_tolerance(system, tolerance),
        slow=jnp.asarray(min(1 / max(n_transient, 1), 1e-3), system.dtype),
        n_points=n_points,
        n_transient=n_transient,
        max_period=max_period,
        max_steps=max_steps,
    )
    run = _states if system.discrete else _maxima
    return run(system, method_of(system, method), dt, bound(orbit, system))


def _tolerance(system: System, tolerance: Any) -> Array:
    eps = float(jnp.finfo(system.dtype).eps)
    if tolerance is None:
        tolerance = eps**0.75 if system.discrete else max(1e-5, eps**0.5)
    elif is_concrete(tolerance) and (np.ndim(tolerance) or not 0 <= float(tolerance) < np.inf):
        raise ValueError(f"tolerance must be a finite number that is not negative, got {tolerance!r}")
    return jnp.asarray(tolerance, system.dtype)


def _begun(orbit: Orbit, system: System, x: Array) -> Counts:
    """Counts of returns from a point on: within the tolerance, within some times it, and of what is on its way."""
    size = jnp.maximum(_size(system.x0), _size(x))
    near = orbit.tolerance * size
    # On its way to a cycle of period p by a multiplier -(1 - d), an orbit looks like one of period 2 p where it departs
    # by less than near / (d n_points); then d n_transient is about 27, minus the logarithm of the tolerance.
    doubtful = near * (4 + orbit.n_transient / orbit.n_points / 10)
    return Returns.begin(x, near), Returns.begin(x, doubtful), Returns.begin(x, orbit.slow * size, loose=True)


def _size(x: Array) -> Array:
    return jnp.max(jnp.abs(x))


def _advanced(counts: Counts, x: Array, orbit: Orbit) -> Counts:
    close, doubtful, slow = (count.advanced(x, orbit.max_period) for count in counts)
    return close, doubtful, slow


def _found(counts: Counts, walk: Walk, is_complete: Any) -> tuple[Array, Array]:
    """Period and status."""
    close, doubtful, slow = (count.found for count in counts)
    finite = walk.status == int(Status.OK)
    is_complete = jnp.asarray(is_complete)
    halves = (doubtful > 0) & (doubtful < close)
    period = jnp.where(finite & is_complete & ~halves, close, 0)
    unfinished = ~is_complete | halves | ((period == 0) & (slow > 0))
    code = jnp.where(unfinished, int(Status.NOT_CONVERGED), int(Status.OK))
    return period, jnp.where(finite, code.astype(jnp.int8), walk.status)


@jax.jit
def _states(system: System, method: Method, dt: Array, orbit: Orbit) -> AttractorPoints:
    walk, advance = walking(system, method, 0, dt)
    walk = repeat(advance, walk, orbit.n_transient) if orbit.n_transient else walk

    def step(state: tuple[Walk, Counts]) -> tuple[Walk, Counts]:
        walk = advance(state[0])
        return walk, _advanced(state[1], walk.x, orbit)

    def observe(state: tuple[Walk, Counts]) -> tuple[Array, Array]:
        return orbit.of(state[0].x), state[0].x

    begun = walk, _begun(orbit, system, walk.x)
    (walk, counts), (points, states) = march(step, begun, n_blocks=orbit.n_points, block=1, observe=observe)
    period, status = _found(counts, walk, True)
    return AttractorPoints(points, period, None, walk.x, status, states)


@jax.jit
def _maxima(system: System, method: Method, dt: Array, orbit: Orbit) -> AttractorPoints:
    walk, advance = walking(system, method, 0, dt)
    walk = repeat(advance, walk, orbit.n_transient) if orbit.n_transient else walk
    begin, to_next = climbing(system, method, dt, orbit.of, orbit.max_steps)

    def step(state: tuple[Climb, Counts]) -> tuple[Climb, Counts]:
        climb = to_next(state[0])
        return climb, _advanced(state[1], climb.top, orbit)

    def observe(state: tuple[Climb, Counts]) -> tuple[Array, Array]:
        return orbit.of(state[0].top), state[0].top

    climb = to_next(begin(walk))
    begun = climb, _begun(orbit, system, climb.top)
    (climb, counts), (points, states) = march(step, begun, n_blocks=orbit.n_points, block=1, observe=observe)
    n_found = jnp.sum(~jnp.isnan(points)).astype(jnp.int32)
    period, status = _found(counts, climb.walk, n_found == orbit.n_points)
    return AttractorPoints(points, period, n_found, climb.walk.x, status, states)
