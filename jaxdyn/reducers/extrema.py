"""Local maxima and minima of a run."""

import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Bool, Float, Int
from jaxdyn.analysis.tangent import CompensatedSum
from jaxdyn.reducers.observed import Watching
from jaxdyn.reducers.reducer import Span

__all__ = ["Extrema", "ExtremaResult"]


@record
class ExtremaResult:
    """Local maxima and minima of a run; heights are nan where there is none."""

    n_maxima: Int[Array, ""] = labelled(words="number of maxima")
    mean_maximum: Float[Array, ""] = labelled(words="mean height of maxima")
    lowest_maximum: Float[Array, ""] = labelled(words="height of the lowest maximum")
    highest_maximum: Float[Array, ""] = labelled(words="height of the highest maximum")
    n_minima: Int[Array, ""] = labelled(words="number of minima")
    mean_minimum: Float[Array, ""] = labelled(words="mean height of minima")
    lowest_minimum: Float[Array, ""] = labelled(words="height of the lowest minimum")
    highest_minimum: Float[Array, ""] = labelled(words="height of the highest minimum")


@record
class _Heights:
    """Heights of turning points of one kind, as departures from the value at the start."""

    count: Int[Array, ""]
    total: CompensatedSum
    lowest: Array
    highest: Array

    @staticmethod
    def none(like: Array) -> "_Heights":
        zero, infinite = jnp.zeros_like(like), jnp.full_like(like, jnp.inf)
        return _Heights(jnp.int32(0), CompensatedSum(zero, zero), infinite, -infinite)

    def add(self, here: Array, height: Array) -> "_Heights":
        return _Heights(
            self.count + here.astype(jnp.int32),
            self.total.add(jnp.where(here, height, 0)),
            jnp.where(here, jnp.minimum(self.lowest, height), self.lowest),
            jnp.where(here, jnp.maximum(self.highest, height), self.highest),
        )

    def summary(self, start: Array) -> tuple[Array, ...]:
        some = self.count > 0
        mean = self.total.total / jnp.maximum(self.count, 1).astype(start.dtype)
        return self.count, *(jnp.where(some, start + h, jnp.nan) for h in (mean, self.lowest, self.highest))


@record
class _Turns:
    """The last two values (departures from the first one), where the last change led, and the turning points."""

    start: Array
    before: Array
    last: Array
    rises: Bool[Array, ""]
    falls: Bool[Array, ""]
    maxima: _Heights
    minima: _Heights


@record
class Extrema(Watching):
    """Local maxima and minima: how many, and their mean, lowest and highest height.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.

    Returns
    -------
    ExtremaResult
        From `jaxdyn.reduce`: `n_maxima`, `mean_maximum`, `lowest_maximum`, `highest_maximum`, and the same for minima.
        Heights, in the unit of what is watched, are nan where there is none.

    Notes
    -----
    A maximum is where values fall after they rose, a plateau between counting as one point; the first and the last
    state are none. For a flow its height is that of the parabola through the last three values, right to the third
    order of the step, to the fourth where the turn is symmetric. The iterates of a map have nothing between them:
    heights are their values.

    Every turn counts, those that rounding makes at rest too: then the heights agree to rounding. `Spikes` with a
    `reset` leaves small turns out.

    Transforms: jit, vmap, lanes, grad.

    Examples
    --------
    >>> import jaxdyn
    >>> turns = jaxdyn.reducers.Extrema("x")
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=3.2), turns, n_steps=100, n_transient=100)
    >>> int(run.values.n_maxima), round(float(run.values.mean_maximum), 4)
    (49, 0.7995)
    """

    def init(self, t: Array, x: Array) -> _Turns:
        """No turn yet."""
        y = self.of(x)
        zero, no, none = jnp.zeros_like(y), jnp.array(False), _Heights.none(y)
        return _Turns(y, zero, zero, no, no, none, none)

    def update(self, carry: _Turns, t: Array, x: Array) -> _Turns:
        """One state more."""
        y = self.of(x) - carry.start
        up, down = y > carry.last, y < carry.last
        maximum, minimum = carry.rises & down, carry.falls & up
        height = carry.last
        if not jnp.issubdtype(t.dtype, jnp.integer):
            height = _vertex(carry.before, carry.last, y, maximum | minimum)
        return _Turns(
            start=carry.start,
            before=carry.last,
            last=y,
            rises=up | (carry.rises & ~down),
            falls=down | (carry.falls & ~up),
            maxima=carry.maxima.add(maximum, height),
            minima=carry.minima.add(minimum, height),
        )

    def finish(self, carry: _Turns, span: Span) -> ExtremaResult:
        """Result."""
        return ExtremaResult(*carry.maxima.summary(carry.start), *carry.minima.summary(carry.start))


def _vertex(a: Array, b: Array, c: Array, turns: Array) -> Array:
    """Height of the parabola through three values at equal distances, where it turns between them."""
    slope, curvature = c - a, (a - b) + (c - b)
    return b - slope * slope / jnp.where(turns, 8 * curvature, 1)
