"""Correlation dimension of a set of points."""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, whole_number
from jaxdyn.analysis.batches import N_BATCHES
from jaxdyn.analysis.matrices import float_array
from jaxdyn.errors import Status
from jaxdyn.integrate import Trajectory

__all__ = ["CorrelationDimension", "correlation_dimension"]

LEAST_PAIRS = 1000
"""Pairs of points below which no scaling range of any use is left."""
N_SAMPLED = 32
"""Default radii are quantiles of the distances of each point to this many others."""
N_RADII = 40
MOST_FAINT = 500
"""Pairs that the smallest radius of the default range holds: they tell C to 4 %."""
SHORT = 8
"""Up to this many coordinates the sum of a distance is written out, and never stored."""


@record
class CorrelationDimension:
    """Correlation dimension of a set of points, with the curve that it is the slope of."""

    dimension: Float[Array, ""] = labelled(words="correlation dimension")
    """Slope of log C(r) over log r in the scaling range; nan if fewer than three radii fell into it."""
    std_error: Float[Array, ""] = labelled(words="standard error of the correlation dimension")
    """Standard error of the slope as the estimate of the same slope for infinitely many points."""
    slope_spread: Float[Array, ""] = labelled(words="standard deviation of local slopes")
    """Standard deviation of the slopes between neighboring radii of the range: how straight the line is."""
    scaling_range: Float[Array, " 2"] = labelled("end", words="scaling range of the radius")
    """Smallest and largest radius of the fit; nan if there is none."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if a coordinate is not finite or the trajectory failed; NOT_CONVERGED without a scaling range."""
    radii: Float[Array, " radius"] = detail("radius", words="radius")
    """Radii r, increasing, units of the state."""
    correlation_sum: Float[Array, " radius"] = detail("radius", words="correlation sum")
    """C(r): the part of all pairs whose distance is at most r."""


def correlation_dimension(
    points: Trajectory | ArrayLike | Sequence[Any],
    radii: ArrayLike | Sequence[Any] | None = None,
    *,
    theiler: int = 0,
    fit_between: Sequence[float | int] | None = None,
    block: int = 1024,
) -> CorrelationDimension:
    """Correlation dimension D_2 by the correlation sum of Grassberger and Procaccia.

    C(r) is the part of all pairs of points, more than `theiler` apart in time, whose Euclidean distance is at most r.
    D_2 is the slope of log C(r) over log r, by least squares over the radii where C lies within `fit_between`.

    Parameters
    ----------
    points
        (n, dim) points in the order of time, or a trajectory that was saved at equal steps, without its transient.
    radii
        Radii (m,), increasing, positive, units of the state; by default 40, evenly spaced in the logarithm, from about
        the lower end of `fit_between` to the largest distance.
    theiler
        Pairs at most this many points apart are left out, static. 0 leaves out only each point with itself, which is
        right for points without memory. For a trajectory give several correlation times, in points.
    fit_between
        Smallest and largest C of the fit, static; default 500 pairs, at most 1e-2, and 1e-2, below 450 points 0.1.
        With (0, 1) all given radii with C > 0 count.
    block
        Points of a tile, static: memory is about `block`^2 numbers, apart from the points.

    Returns
    -------
    CorrelationDimension
        dimension, std_error, slope_spread and status (); scaling_range (2,); radii and correlation_sum (m,).

    Raises
    ------
    TypeError, ValueError
        While tracing, if there are fewer than 1000 pairs, or shapes do not fit.

    Notes
    -----
    The standard error is found from how much the points of 32 stretches of the series contribute to the slope (twice
    their standard error, as each pair has two points). It holds when a stretch is long against the correlation time,
    and is of the points' number alone. It does not contain what usually is larger: the choice of the range; edges (an
    even square has slope 2 - 8 r / (3 pi) + ..., always too low); gaps of a fractal, for which log C oscillates about
    the line (`slope_spread` shows both); noise, which raises the slope to `dim` below its size; and what n points
    cannot show: n = 10^(D/2) of them at the very least, so that large dimensions come out too low.

    Where it misleads: without a Theiler window a trajectory of closely spaced points is a curve, of dimension 1. Noise
    with a power spectrum of a power law has a finite dimension. Points that are doubled, or rounded to a grid, are
    pairs at distance 0: C levels off below, and the slope falls if that reaches the range. If more pairs coincide (up
    to rounding) than the upper end of the range, as on a periodic orbit, the dimension is 0. Angles are compared as
    numbers: 0 and 2 pi are far from each other. Coordinates of different size or unit are not rescaled; the slope does
    not depend on it for small r, the range does.

    Transforms: jit, vmap, lanes; in a sweep of what a trajectory gives: `lambda s: correlation_dimension(trajectory(s,
    ...))`. Work O(n^2 m); memory O(n dim + block^2 + m (n / block)^2).

    References
    ----------
    Grassberger & Procaccia 1983, Physica D 9, 189-208, doi:10.1016/0167-2789(83)90298-1. Theiler 1986, Physical
    Review A 34, 2427-2432, doi:10.1103/PhysRevA.34.2427; number of points: Ruelle 1990, Proceedings of the Royal
    Society A 427, 241-248.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.trajectory(jaxdyn.models.henon(), n_steps=4000)
    >>> found = jaxdyn.correlation_dimension(run.x[100:])
    >>> abs(float(found.dimension) - 1.22) < 3 * float(found.std_error) < 0.2
    True
    """
    failed = jnp.zeros((), bool)
    if isinstance(points, Trajectory):
        points, failed = points.x, points.status != Status.OK
    x = float_array(points, "points")
    if x.ndim != 2:
        raise ValueError(f"points must have shape (n, dim), got {x.shape}; write x[:, None] for one coordinate")
    theiler = whole_number(theiler, "theiler", least=0)
    free = max(0, len(x) - theiler)
    n_pairs = free * (free - 1) // 2
    if n_pairs < LEAST_PAIRS:
        raise ValueError(
            f"{len(x)} points with theiler={theiler} make {n_pairs} pairs, at least {LEAST_PAIRS} are needed; "
            "give more points or a smaller window"
        )
    low, high = _range(fit_between, n_pairs)
    r = _default_radii(x, theiler, low) if radii is None else _given_radii(radii, x.dtype)
    block = min(whole_number(block, "block"), -(-len(x) // N_BATCHES))
    return _dimension(x, r, failed, (theiler, block, n_pairs, low, high))


def _range(fit_between: Any, n_pairs: int) -> tuple[float, float]:
    if fit_between is None:
        return min(MOST_FAINT / n_pairs, 1e-2), 1e-2 if n_pairs > 1e5 else 0.1
    low, high = (float(value) for value in fit_between)
    if not 0 <= low < high <= 1:
        raise ValueError(f"fit_between must be (low, high) with 0 <= low < high <= 1, got {fit_between}")
    return low, high


def _given_radii(radii: Any, dtype: Any) -> Array:
    r = jnp.asarray(radii, dtype)
    if r.ndim != 1 or len(r) < 3:
        raise ValueError(f"radii must have shape (m,) with m >= 3, got {r.shape}")
    if is_concrete(r) and not (np.all(np.asarray(r) > 0) and np.all(np.diff(np.asarray(r)) > 0)):
        raise ValueError("radii must be positive and increasing")
    return r


@functools.partial(jax.jit, static_argnames=("theiler", "low"))
def _default_radii(x: Array, theiler: int, low: float) -> Array:
    """Radii from the quantile `low` of the distances to the largest, by distances of a sample of pairs."""
    n, scale = len(x), _scale(x)
    x = x / scale
    # Partners are drawn, always the same: on a torus all pairs of one lag are equally far apart.
    index = jnp.arange(n, dtype=jnp.int32)
    lags = jax.random.randint(jax.random.key(0), (N_SAMPLED, n), theiler + 1, max(n - theiler, theiler + 2), jnp.int32)
    partners = jnp.mod(index[None, :] + lags, np.int32(n))  # a lag that wraps around is n - lag, in the range too
    distances = jnp.linalg.norm(x[None, :, :] - x[partners], axis=-1).ravel()
    largest = jnp.max(distances)
    tiny = _rounding(x)
    # Coinciding pairs say nothing of the scale.
    ordered = jnp.sort(jnp.where(distances > tiny, distances, jnp.inf))
    positive = jnp.sum(jnp.isfinite(ordered))
    smallest = ordered[jnp.minimum((low * positive.astype(x.dtype)).astype(jnp.int32), len(ordered) - 1)]
    largest = jnp.where(largest > tiny, largest, 1)
    smallest = jnp.minimum(jnp.where(jnp.isfinite(smallest), smallest, largest), 0.5 * largest)
    return scale * jnp.exp(jnp.linspace(jnp.log(smallest), jnp.log(largest), N_RADII).astype(x.dtype))


def _scale(x: Array) -> Array:
    """The largest coordinate: squares of lengths over it stay inside the dtype."""
    largest = jnp.max(jnp.abs(x))
    return jnp.where(largest > 0, largest, 1)


def _rounding(x: Array) -> Array:
    """Distances that rounding makes of equal points."""
    return 10 * jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(x))


def _square(difference: Array) -> Array:
    """Squared length along the first axis."""
    dim = len(difference)
    if dim <= SHORT:
        return functools.reduce(operator.add, [difference[i] ** 2 for i in range(dim)])
    return jnp.sum(difference**2, axis=0)


@functools.partial(jax.jit, static_argnames="settings")
def _dimension(
    x: Array, radii: Array, failed: Array, settings: tuple[int, int, int, float, float]
) -> CorrelationDimension:
    theiler, block, n_pairs, low, high = settings
    finite = jnp.all(jnp.isfinite(x)) & ~failed
    # The first radius counts pairs that coincide.
    counts = _counts(x, jnp.concatenate([_rounding(x)[None], radii]), theiler, block)
    total = jnp.sum(counts, axis=0) / 2  # each pair is in the counts of both of its points
    curve = total / float(n_pairs)  # as a whole number it may be beyond int32
    coincident, curve = curve[0], curve[1:]
    inside = (curve >= low) & (curve <= high) & (curve > 0)
    u = jnp.log(radii)
    count = jnp.maximum(jnp.sum(inside), 1).astype(x.dtype)
    centered = jnp.where(inside, u - jnp.sum(jnp.where(inside, u, 0)) / count, 0)
    square = jnp.sum(centered**2)
    weights = centered / jnp.where(square > 0, square, 1)
    safe = jnp.where(inside, curve, 1)
    slope = jnp.sum(weights * jnp.log(safe))
    # How much each stretch pulls the slope, to first order in its departure from the mean.
    share = counts[:, 1:] / jnp.mean(counts[:, 1:], axis=0, keepdims=True).clip(1e-30)
    pull = jnp.sum(weights[None, :] * (share - 1), axis=1)
    std_error = 2 * jnp.std(pull, ddof=1) / math.sqrt(len(pull))
    is_point = coincident > high
    enough = jnp.sum(inside) >= 3
    code = jnp.where(enough | is_point, int(Status.OK), int(Status.NOT_CONVERGED))
    values = (slope, std_error, _spread_of_slopes(u, jnp.log(safe), inside))
    measured = [jnp.where(finite & (enough | is_point), jnp.where(is_point, 0, v), jnp.nan) for v in values]
    ends = jnp.stack([jnp.min(radii, where=inside, initial=jnp.inf), jnp.max(radii, where=inside, initial=-jnp.inf)])
    return CorrelationDimension(
        dimension=measured[0],
        std_error=measured[1],
        slope_spread=measured[2],
        scaling_range=jnp.where(enough & finite & ~is_point, ends, jnp.nan),
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
        radii=radii,
        correlation_sum=curve,
    )


def _spread_of_slopes(u: Array, log_curve: Array, inside: Array) -> Array:
    both = inside[1:] & inside[:-1]
    slopes = jnp.diff(log_curve) / jnp.diff(u)
    n = jnp.maximum(jnp.sum(both), 1).astype(u.dtype)
    mean = jnp.sum(jnp.where(both, slopes, 0)) / n
    return jnp.sqrt(jnp.sum(jnp.where(both, (slopes - mean) ** 2, 0)) / n)


def _counts(x: Array, radii: Array, theiler: int, block: int) -> Array:
    """Pairs within each radius that have a point in each of some stretches, (stretch, radius).

    The points are cut into tiles; every pair of tiles is compared once, one pair of them at a time.
    """
    n = len(x)
    scale = _scale(x)
    x, limits = x / scale, (radii / scale) ** 2
    n_tiles = -(-n // block)
    # Coordinates first: each is then one row, and one column, of a tile of distances.
    tiles = jnp.pad(x, ((0, n_tiles * block - n), (0, 0))).T.reshape(-1, n_tiles, block)
    rows, columns = np.triu_indices(n_tiles)
    index = jnp.arange(block, dtype=jnp.int32)

    def compare(pair: tuple[Array, Array]) -> Array:
        i, j = (tile * block + index for tile in pair)
        a, b = (lax.dynamic_index_in_dim(tiles, tile, axis=1, keepdims=False) for tile in pair)
        counted = (j[None, :] - i[:, None] > theiler) & (j[None, :] < n)
        squares = jnp.where(counted, _square(a[:, :, None] - b[:, None, :]), jnp.inf)
        # One radius at a time: all at once, XLA computes the distances for each of them anew.
        return lax.map(lambda limit: jnp.sum(squares <= limit, dtype=jnp.int32), limits)

    pairs = (jnp.asarray(rows, jnp.int32), jnp.asarray(columns, jnp.int32))
    found = lax.map(compare, pairs).astype(x.dtype)
    # Stretches are whole tiles, as many as there are batches elsewhere, of nearly the same size.
    n_stretches = min(N_BATCHES, n_tiles)
    stretch = np.arange(n_tiles) * n_stretches // n_tiles
    shape = (n_stretches, len(radii))
    return jnp.zeros(shape, x.dtype).at[stretch[rows]].add(found).at[stretch[columns]].add(found)
