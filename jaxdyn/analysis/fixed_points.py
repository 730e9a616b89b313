"""Fixed points of flows and maps, and periodic points of maps, from many starts at once."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._arrays import largest
from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Bool, Complex, Float, Int, whole_number
from jaxdyn.analysis.local import jacobian, matrix_eigenvalues
from jaxdyn.analysis.newton import Search, distinct, newton_distance, newton_step, search
from jaxdyn.analysis.stability import Stability, stability
from jaxdyn.analysis.starts import even_points, search_box
from jaxdyn.derived import nth_iterate
from jaxdyn.engine.engines import Native, Vmap
from jaxdyn.engine.transform import lanes
from jaxdyn.errors import Status
from jaxdyn.system import System

__all__ = ["FixedPoints", "fixed_points"]


@record
class FixedPoints:
    """Fixed points in slots of a fixed number; empty slots hold nan and `found` is False there."""

    x: Float[Array, "point dim"] = labelled("point", "state", words="state")
    """Points, ordered by their first state, then the second, ..."""
    found: Bool[Array, " point"] = labelled("point", words="fixed point found")
    residual: Float[Array, " point"] = labelled("point", words="residual")
    """Norm of dx/dt (maps: of f(x) - x) at the point."""
    eigenvalues: Complex[Array, "point dim"] = labelled("point", "mode", words="eigenvalue", unit="entry")
    """Of the Jacobian (maps: multipliers)."""
    stability: Int[Array, " point"] = labelled("point")
    """Codes of `Stability`."""
    status: Int[Array, ""] = labelled()
    """CAPACITY if there are more points than slots, NON_FINITE if the field is finite nowhere in the box."""

    @property
    def n_found(self) -> Int[Array, "*batch"]:
        """Number of different points."""
        return jnp.sum(self.found, axis=-1)


def fixed_points(
    system: System,
    *,
    box: Mapping[str, Any] | ArrayLike | Sequence[Any] | None = None,
    starts: ArrayLike | Sequence[Any] | None = None,
    n_starts: int | None = None,
    max_points: int = 32,
    period: int = 1,
    tolerance: float | None = None,
) -> FixedPoints:
    """Fixed points of one system inside a box, found from many starts by damped Newton iteration.

    Starts fill the box evenly (a low-discrepancy sequence); each runs a Levenberg-Marquardt iteration
    whose damping vanishes with the residual, so it ends as Newton's; duplicates are merged.

    Parameters
    ----------
    system
        Flow (f = 0) or map (f(x) = x), non-autonomous ones at t = 0.
    box
        Interval of each state: `{"v": (-3, 3), ...}` for some states or (dim, 2) for all; the rest, and the
        default, comes from the model. Points outside are not reported.
    starts
        (n, dim) starts of your own, used beside those in the box.
    n_starts
        Number of starts in the box, static; default 256 times the period.
    max_points
        Slots of the result, static.
    period
        Of a map: report the points of this period (and of its divisors), static.
    tolerance
        Of the residual, relative to the field's size in the box, and of the last Newton step, relative to the box.
        Default 1e-12 in float64, 1e-5 in float32. Points within 1e-3 of the box (1e-6 if tolerance < 1e-7) are merged.

    Returns
    -------
    FixedPoints
        x (max_points, dim), found, residual, eigenvalues, stability; status ().

    Raises
    ------
    ValueError, TypeError
        While tracing: no box known, an interval that is empty or not finite, an unknown state.

    Notes
    -----
    Transforms: jit, vmap, and first derivatives of x with respect to parameters (implicit function theorem; second
    derivatives are not implemented and come out as 0).
    All roots are found if each has a start in its basin: raise `n_starts` to check.

    References
    ----------
    Yamashita & Fukushima 2001, Computing Supplementa 15, 239-249 (damping by the squared residual).

    Examples
    --------
    >>> import jaxdyn
    >>> points = jaxdyn.fixed_points(jaxdyn.models.fitzhugh_nagumo(I=0.3))
    >>> int(points.n_found), str(jaxdyn.stability_label(points.stability[0]))
    (1, 'stable focus')
    """
    mapping: Any = system if period == 1 else nth_iterate(system, period)  # type: ignore[arg-type]
    n_starts = 256 * period if n_starts is None else whole_number(n_starts, "n_starts")
    max_points = whole_number(max_points, "max_points")
    bounds = jnp.asarray(search_box(system, box), system.dtype)
    if tolerance is None:
        tolerance = 1e-12 if system.dtype == jnp.float64 else 1e-5
    extra = system.x0[None] if starts is None else jnp.atleast_2d(jnp.asarray(starts, system.dtype))
    if extra.ndim != 2 or extra.shape[1] != system.dim:
        raise ValueError(f"starts must have shape (n, {system.dim}), got {extra.shape}")
    return _fixed_points(mapping, bounds, extra, jnp.asarray(tolerance, system.dtype), n_starts, max_points)


# Up to this dimension the least squares of a step are written out.
SMALL = 8


@functools.partial(jax.jit, static_argnames=("n_starts", "max_points"))
def _fixed_points(
    system: System, bounds: Array, extra: Array, tolerance: Array, n_starts: int, max_points: int
) -> FixedPoints:
    low, width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    still = lax.stop_gradient(system)

    def raw(y: Array, of: System = still) -> Array:
        return of.displacement(of.time(0, 0, 0), low + width * y)

    even = jnp.asarray(even_points(max(n_starts, 64), system.dim), system.dtype)
    starts = jnp.concatenate([even[:n_starts], (extra - low[None]) / width[None]])
    values = jnp.abs(jax.vmap(raw)(even))  # not at the caller's starts, which may be roots already
    typical = _finite_median(values)
    scale = jnp.where(typical > 0, typical, 1)
    # In a sweep the starts of one system are searched after those of another: one thread, no work for several.
    engine = Native(threads=1, instead=Vmap()) if system.dim <= SMALL else Vmap()
    ends = lanes(lambda y: search(lambda z: raw(z) / scale, y, tolerance), engine=engine)(starts)
    merge_within = jnp.where(tolerance < 1e-7, 1e-6, 1e-3).astype(system.dtype)
    distance = jax.vmap(functools.partial(newton_distance, raw))(ends.y)
    good = _is_root(ends, distance, tolerance, merge_within)
    # At a degenerate root Newton converges slowly and stops some last steps away: merge within that distance.
    steps = jnp.where(jnp.isfinite(ends.last_step), ends.last_step, 0)
    radius = jnp.maximum(merge_within, jnp.minimum(20 * steps, 1e3 * merge_within))
    positions, found, count = distinct(ends.y, good, radius, max_points)
    y = ends.y[positions]
    y = y[_order(y, found)]
    # Empty slots repeat a point that was found: elsewhere the field may be singular, and nan would reach derivatives.
    y = jnp.where(found[:, None], y, jnp.where(found[0], y[0], 0.5)[None])
    y = jax.vmap(functools.partial(_refined, lambda z: raw(z, system)))(y)
    status = jnp.where(count > max_points, int(Status.CAPACITY), int(Status.OK))
    status = jnp.where(jnp.any(jnp.isfinite(values)), status, int(Status.NON_FINITE)).astype(jnp.int8)
    return _describe(system, low[None] + width[None] * y, found, status)


def _finite_median(values: Array) -> Array:
    """Lower median of the finite values of each column, 0 without any; jnp.nanmedian would use float64 under x64."""
    finite = jnp.isfinite(values)
    middle = jnp.maximum(jnp.sum(finite, axis=0) - 1, 0) // 2
    ordered = jnp.sort(jnp.where(finite, values, jnp.inf), axis=0)
    return jnp.where(jnp.any(finite, axis=0), jnp.take_along_axis(ordered, middle[None], axis=0)[0], 0)


def _is_root(ends: Search, distance: Array, tolerance: Array, margin: Array) -> Array:
    """Inside the box or on its faces, residual vanishing, near a root or (on a line of roots) zero but for rounding."""
    face = 32 * jnp.finfo(margin.dtype).eps
    inside = jnp.all((ends.y >= -face) & (ends.y <= 1 + face), axis=-1)
    residual = largest(jnp.abs(ends.f))
    return inside & (residual <= tolerance) & ((distance <= margin) | (residual <= 4 * jnp.finfo(residual.dtype).eps))


def _order(y: Array, found: Array) -> Array:
    """Order by first state, then second, ...; empty slots last. Coordinates equal up to rounding count as equal."""
    return jnp.lexsort((*jnp.round(y[:, ::-1] / (256 * jnp.finfo(y.dtype).eps)).T, ~found))


def _refined(f: Any, y: Array) -> Array:
    """One more Newton step: the last digits, and the derivative by parameters through an implicit equation."""
    y = lax.stop_gradient(y)
    step = newton_step(f, y)
    # A step that is large (an empty slot) or gains nothing (a jump of the field) changes the derivative only.
    gains = jnp.sum(f(y + step) ** 2) <= jnp.sum(f(y) ** 2)
    take = gains & (largest(jnp.abs(step)) <= 1e-3)
    return y + jnp.where(take, step, step - lax.stop_gradient(step))


def _describe(system: System, x: Array, found: Array, status: Array) -> FixedPoints:
    t = system.time(0, 0, 0)

    def one(point: Array) -> tuple[Array, Array]:
        residual = system.displacement(t, point)
        return jnp.sqrt(jnp.sum(residual**2)), matrix_eigenvalues(jacobian(system, point, t))

    residual, values = jax.vmap(one)(x)
    code = stability(values, discrete=system.discrete)
    return FixedPoints(
        x=jnp.where(found[:, None], x, jnp.nan),
        found=found,
        residual=jnp.where(found, residual, jnp.nan),
        eigenvalues=jnp.where(found[:, None], values, jnp.nan),
        stability=jnp.where(found, code, int(Stability.UNDEFINED)).astype(jnp.int8),
        status=status,
    )
