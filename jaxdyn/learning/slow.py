"""Slow points of networks and other systems of many states: where they stand still, and where they nearly do."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._arrays import largest
from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Bool, Complex, Float, Int, is_concrete, whole_number
from jaxdyn.analysis.local import leading_directions
from jaxdyn.analysis.newton import distinct, newton_distance, search
from jaxdyn.analysis.stability import Stability, growing_and_shrinking, stability
from jaxdyn.errors import Status
from jaxdyn.integrate import repeat
from jaxdyn.learning.optimizers import first_state, required_optimizer, step_along
from jaxdyn.system import System, require_system

__all__ = ["SlowPoints", "slow_points"]


@record
class SlowPoints:
    """Slow points in slots of a fixed number; empty slots hold nan and `found` is False there.

    Fixed points come first, those with fewer unstable directions before others.
    """

    x: Float[Array, "point dim"] = labelled("point", "state", words="state")
    found: Bool[Array, " point"] = labelled("point", words="slow point found")
    is_fixed: Bool[Array, " point"] = labelled("point", words="is a fixed point")
    """Whether a root was there and was reached to rounding; others are slow, with no root near."""
    speed: Float[Array, " point"] = labelled("point", words="speed")
    """Norm of dx/dt (maps: of f(x) - x) at the point."""
    n_unstable: Int[Array, " point"] = labelled("point", words="number of unstable directions")
    """Number of eigenvalues that grow; 0 in empty slots."""
    eigenvalues: Complex[Array, "point dim"] = labelled("point", "mode", words="eigenvalue", unit="entry")
    """Of the Jacobian (maps: multipliers), largest growth first; at a point that is not fixed, of the field there."""
    directions: Complex[Array, "point direction dim"] = detail("point", "direction", "state", words="eigenvector")
    """Eigenvectors of the first eigenvalues, of length 1: the first `n_unstable` are the unstable directions."""
    stability: Int[Array, " point"] = labelled("point")
    """Codes of `Stability`."""
    status: Int[Array, ""] = labelled()
    """CAPACITY if there are more points than slots, NON_FINITE if the field is finite at no start."""

    @property
    def q(self) -> Float[Array, "*batch point"]:
        """What was minimized: half the square of the speed."""
        return self.speed**2 / 2

    @property
    def n_found(self) -> Int[Array, "*batch"]:
        """Number of different points."""
        return jnp.sum(self.found, axis=-1)


def slow_points(
    system: System,
    starts: ArrayLike | Sequence[Any],
    *,
    optimizer: Any = None,
    n_steps: int = 2000,
    tolerance: float = 1e-3,
    merge_within: float = 1e-2,
    max_points: int = 64,
    n_directions: int = 8,
    reach: float = 10.0,
) -> SlowPoints:
    """Slow points of one system: minima of q(x) = |dx/dt|^2 / 2 (maps: of |f(x) - x|^2 / 2) from many states at once.

    Each start runs an optimizer down q. Ends at which q is small are merged. Where damped Newton steps lead to a root
    within 0.1 spreads the point is a fixed point and is moved there; others stay where the optimizer left them.

    Parameters
    ----------
    system
        Flow or map, non-autonomous ones at t = 0. Inputs of a network are held at the values of its parameters.
    starts
        (n, dim) states, n >= 2: such as those that the network visits when it is at work, with some noise. They define
        the unit of distance, one spread: the root mean square of their departures from their mean over all states.
        Starts that are not finite are left out.
    optimizer
        An optax GradientTransformation, which sees states in spreads and q in units of its mean over the starts.
        Default: `optax.adam` with b2 = 0.95 and a rate that falls from 0.1 to 1e-4.
    n_steps
        Steps of the optimizer, static.
    tolerance
        Points are slow up to this speed, relative to the root mean square of the speed at the starts.
    merge_within
        Points are the same if no state differs by more spreads than this. To sample a line attractor raise it, and
        `tolerance` until its points have no gaps between them (examples/26_line_attractor.py).
    max_points
        Slots of the result, static.
    n_directions
        Eigenvectors that are kept for each point, static; at most dim.
    reach
        Points are dropped if they are farther than so many spreads (root mean square over the states) from the mean
        of the starts; `inf` keeps all.

    Returns
    -------
    SlowPoints
        x (max_points, dim), found, is_fixed, speed, n_unstable, eigenvalues, directions, stability; status ().

    Raises
    ------
    TypeError, ValueError
        While tracing: starts of a wrong shape, numbers that do not fit, an optimizer that is none.

    Notes
    -----
    Fixed points are reached to rounding: residual and Newton step are below 1e-10 (relative to speed and spread) in
    float64. They are all found if each has a start in its basin of q: raise the number of starts, or their noise, to
    check. On a line attractor each start ends at a place of its own; `CAPACITY` then tells that there is a continuum.

    Transforms: jit, vmap. No derivatives. The optimizer keeps O(n dim) numbers; Jacobians (dim x dim, and an equally
    large factorization) are formed at one point at a time.

    References
    ----------
    Sussillo & Barak 2013, Neural Computation 25, 626-649, doi:10.1162/NECO_a_00409 (slow points); Golub & Sussillo
    2018, Journal of Open Source Software 3, 1003, doi:10.21105/joss.01003 (merging, points far from the data).

    Examples
    --------
    Two bistable units without coupling: four stable points, four saddles and a source.

    >>> import jax, jax.numpy as jnp, jaxdyn
    >>> units = jaxdyn.iterated_map(lambda n, x, p: jnp.tanh(p["w"] * x), {"w": 2.0}, [0.1, 0.1])
    >>> points = jaxdyn.learning.slow_points(units, jax.random.normal(jax.random.key(0), (64, 2)))
    >>> int(points.n_found), points.n_unstable[:9].tolist()
    (9, [0, 0, 0, 0, 1, 1, 1, 1, 2])
    """
    require_system(system)
    states = jnp.asarray(starts, system.dtype)
    if states.ndim != 2 or states.shape[0] < 2 or states.shape[1] != system.dim:
        raise ValueError(
            f"starts must have shape (n, {system.dim}) with n >= 2, got {states.shape}; "
            f"for trajectories use states.reshape(-1, {system.dim})"
        )
    limits = {"tolerance": tolerance, "merge_within": merge_within, "reach": reach}
    for name, value in limits.items():
        if not is_concrete(value) or not float(value) > 0:
            raise ValueError(f"{name} must be a positive number, known while tracing, got {value!r}")
    n_steps = whole_number(n_steps, "n_steps")
    optimizer = _default_optimizer(n_steps) if optimizer is None else required_optimizer(optimizer)
    numbers = {name: jnp.asarray(value, system.dtype) for name, value in limits.items()}
    sizes = whole_number(max_points, "max_points"), min(whole_number(n_directions, "n_directions"), system.dim)
    return _slow_points(system, states, numbers, optimizer, n_steps, sizes)


@functools.cache
def _default_optimizer(n_steps: int) -> Any:
    """Adam; one object for each number of steps, so that equal calls share a program."""
    import optax

    # Gradients are exact and shrink by orders of magnitude on the way: the usual b2 = 0.999 would remember the first.
    return optax.adam(optax.exponential_decay(0.1, n_steps, 1e-3), b2=0.95)


NEAR = 0.1
"""Spreads within which a root belongs to a point: a farther one is another place, such as on a line attractor."""


@functools.partial(jax.jit, static_argnames=("optimizer", "n_steps", "sizes"))
def _slow_points(
    system: System, starts: Array, limits: dict[str, Array], optimizer: Any, n_steps: int, sizes: tuple[int, int]
) -> SlowPoints:
    max_points, n_directions = sizes
    t = system.time(0, 0, 0)
    usable, center, spread, typical = _units(system, starts)

    def raw(y: Array) -> Array:
        return system.displacement(t, center + spread * y) / typical

    def firsts(y: Array, good: Array, is_fixed: Array, n: int) -> tuple[Array, Array, Array]:
        """Positions of the different points: each stands for those near it, a fixed one before the slowest."""
        order = jnp.lexsort((_length(jax.vmap(raw)(y)), ~is_fixed))
        rounding = 2 * jnp.finfo(y.dtype).eps * jnp.max(jnp.abs(center)) / spread
        radius = jnp.full(good.shape, jnp.maximum(limits["merge_within"], rounding))
        positions, found, count = distinct(y[order], good[order], radius, n)
        return order[positions], found, count

    y = jnp.where(usable[:, None], (starts - center[None]) / spread, 0)
    y = jax.vmap(lambda start: _minimum(raw, start, optimizer, n_steps))(y)
    inside = _length(y) <= limits["reach"] * math.sqrt(system.dim)
    slow = _length(jax.vmap(raw)(y)) <= limits["tolerance"]
    # Several ends may belong to one root: more slots for them than for what they are in the end.
    positions, found, n_ends = firsts(y, usable & inside & slow, jnp.zeros_like(usable), 4 * max_points)
    y, is_fixed = _each(functools.partial(_polished, raw, center / spread), y[positions], found)
    positions, found, n_points = firsts(y, found, is_fixed, max_points)
    too_many = (n_ends > 4 * max_points) | (n_points > max_points)
    status = jnp.where(too_many, int(Status.CAPACITY), int(Status.OK))
    status = jnp.where(jnp.any(usable), status, int(Status.NON_FINITE)).astype(jnp.int8)
    x = center[None] + spread * y[positions]
    return _described(system, x, found, is_fixed[positions], n_directions, status)


def _units(system: System, starts: Array) -> tuple[Array, Array, Array, Array]:
    """Which starts are of use; their mean, spread and typical speed."""
    speed = _length(jax.vmap(lambda x: system.displacement(system.time(0, 0, 0), x))(starts))
    usable = jnp.isfinite(speed) & jnp.all(jnp.isfinite(starts), axis=1)
    n = jnp.maximum(jnp.sum(usable), 1).astype(starts.dtype)
    center = jnp.sum(jnp.where(usable[:, None], starts, 0), axis=0) / n
    departures = jnp.where(usable[:, None], starts - center[None], 0)
    spread = jnp.sqrt(jnp.sum(departures**2) / (n * starts.shape[1]))
    typical = jnp.sqrt(jnp.sum(jnp.where(usable, speed, 0) ** 2) / n)
    return usable, center, jnp.where(spread > 0, spread, 1), jnp.where(typical > 0, typical, 1)


def _length(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors**2, axis=-1))


def _minimum(raw: Callable[[Array], Array], start: Array, optimizer: Any, n_steps: int) -> Array:
    """Where the optimizer comes to from one start."""

    def q(y: Array) -> Array:
        return jnp.sum(raw(y) ** 2) / 2

    def step(carry: tuple[Array, Any]) -> tuple[Array, Any]:
        y, state = carry
        value, slope = jax.value_and_grad(q)(y)
        return step_along(optimizer, slope, y, state, value=value, grad=slope, value_fn=q)

    return repeat(step, (start, first_state(optimizer, start)), n_steps)[0]


def _each(function: Callable[[Array], Any], points: Array, found: Array) -> Any:
    """Values of a function at the points found, one after the other; zeros in empty slots, at no cost."""
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, points[0]))
    return lax.map(lambda slot: lax.cond(slot[1], function, lambda _: empty, slot[0]), (points, found))


def _polished(raw: Callable[[Array], Array], center: Array, y: Array) -> tuple[Array, Array]:
    """The root next to a slow point, and whether there is one; without it the point as it is."""
    precise = y.dtype == jnp.float64
    tolerance, margin = jnp.asarray((1e-12, 1e-6) if precise else (1e-5, 1e-3), y.dtype)
    # What rounding of the state makes of a root. Below, Newton's step along a line of roots would be noise.
    steepest = jnp.max(jnp.sum(jnp.abs(jax.jacfwd(raw)(y)), axis=1))
    floor = 8 * jnp.finfo(y.dtype).eps * steepest * jnp.max(jnp.abs(center + y))

    def settled(y: Array) -> Array:
        value = raw(y)
        return jnp.where(largest(jnp.abs(value)) <= floor, value - lax.stop_gradient(value), value)

    end = search(settled, y, tolerance).y
    residual = largest(jnp.abs(raw(end)))
    vanishes = (residual <= floor) | ((residual <= tolerance) & (newton_distance(raw, end) <= margin))
    is_root = vanishes & (jnp.max(jnp.abs(end - y)) <= NEAR)
    return jnp.where(is_root, end, y), is_root


def _described(system: System, x: Array, found: Array, is_fixed: Array, n_directions: int, status: Array) -> SlowPoints:
    t = system.time(0, 0, 0)
    values, directions = _each(lambda point: leading_directions(system, point, t, n_directions), x, found)
    speed = _length(jax.vmap(lambda point: system.displacement(t, point))(x))
    n_unstable = jnp.sum(growing_and_shrinking(values, system.discrete)[0], axis=-1, dtype=jnp.int32)
    code = jnp.where(found, stability(values, discrete=system.discrete), int(Stability.UNDEFINED))
    nothing = jnp.asarray(jnp.nan, values.dtype)
    record = SlowPoints(
        x=jnp.where(found[:, None], x, jnp.nan),
        found=found,
        is_fixed=found & is_fixed,
        speed=jnp.where(found, speed, jnp.nan),
        n_unstable=jnp.where(found, n_unstable, 0),
        eigenvalues=jnp.where(found[:, None], values, nothing),
        directions=jnp.where(found[:, None, None], directions, nothing),
        stability=code.astype(jnp.int8),
        status=status,
    )
    order = jnp.lexsort((x[:, 0], n_unstable, ~record.is_fixed, ~found))
    return jax.tree.map(lambda leaf: leaf[order] if leaf.ndim else leaf, record)
