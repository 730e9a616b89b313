"""Upward crossings of a level: spikes and periods."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Bool, Float, Int, is_concrete
from jaxdyn.reducers.observed import Watching, one_number
from jaxdyn.reducers.reducer import Span

__all__ = ["Period", "PeriodResult", "Spikes", "SpikesResult"]


@record
class _Place:
    """A time in whole steps and a fraction of one: differences of late times keep their digits."""

    step: Int[Array, ""]
    fraction: Array

    def minus(self, other: "_Place") -> Array:
        return (self.step - other.step).astype(self.fraction.dtype) + (self.fraction - other.fraction)

    def or_else(self, here: Array, other: "_Place") -> "_Place":
        return _Place(jnp.where(here, self.step, other.step), jnp.where(here, self.fraction, other.fraction))


@record
class _Crossings:
    """The last value and its step, whether a crossing may come, those there were, and moments of their intervals."""

    step: Int[Array, ""]
    last: Array
    armed: Bool[Array, ""]
    count: Int[Array, ""]
    first: _Place
    latest: _Place
    mean: Array
    """Mean interval, steps."""
    squares: Array
    """Sum of the squared departures of intervals from their mean, steps squared."""

    @staticmethod
    def begin(y: Array, reset: Array) -> "_Crossings":
        zero, none = jnp.zeros_like(y), jnp.int32(0)
        place = _Place(none, zero)
        return _Crossings(none, y, y < reset, none, place, place, zero, zero)

    def advanced(self, y: Array, threshold: Array, reset: Array, is_map: bool) -> "_Crossings":
        """One value more."""
        fires = self.armed & (y >= threshold)
        # A crossing is armed below the threshold, so that the last value lies there.
        rise = jnp.where(fires, y - self.last, 1)
        fraction = jnp.where(fires, (threshold - y) / rise, 0)  # of a step, back from this one
        step = self.step + 1
        here = _Place(step, jnp.zeros_like(y) if is_map else fraction)
        interval = here.minus(self.latest)
        again = fires & (self.count > 0)
        departure = jnp.where(again, interval - self.mean, 0)
        mean = self.mean + departure / jnp.maximum(self.count, 1).astype(y.dtype)
        return _Crossings(
            step=step,
            last=y,
            armed=(self.armed & ~fires) | (y < reset),
            count=self.count + fires.astype(jnp.int32),
            first=here.or_else(fires & ~again, self.first),
            latest=here.or_else(fires, self.latest),
            mean=mean,
            squares=self.squares + departure * (interval - mean),
        )

    def mean_interval(self, span: Span) -> Array:
        """Mean time between crossings; nan for fewer than two."""
        n = jnp.maximum(self.count - 1, 1).astype(self.last.dtype)
        return jnp.where(self.count > 1, self.latest.minus(self.first) / n * jnp.abs(span.dt), jnp.nan)

    def spread_of_intervals(self, span: Span) -> Array:
        """Standard deviation of the times between crossings; nan for fewer than three."""
        some = self.count > 2
        n = jnp.where(some, self.count - 2, 1).astype(self.last.dtype)
        positive = some & (self.squares > 0)  # the root of zero has no derivative
        root = jnp.where(positive, jnp.sqrt(jnp.where(positive, self.squares / n, 1)), 0)
        return jnp.where(some, root * jnp.abs(span.dt), jnp.nan)


class _OfCrossings(Watching):
    """What `Spikes` and `Period` share."""

    def _levels(self, y: Array) -> tuple[Array, Array]:
        """The level that is crossed, and the one below which the next crossing is armed."""
        raise NotImplementedError

    def init(self, t: Array, x: Array) -> _Crossings:
        """No crossing yet."""
        y = self.of(x)
        return _Crossings.begin(y, self._levels(y)[1])

    def update(self, carry: _Crossings, t: Array, x: Array) -> _Crossings:
        """One state more."""
        y = self.of(x)
        return carry.advanced(y, *self._levels(y), jnp.issubdtype(t.dtype, jnp.integer))


@record
class SpikesResult:
    """Spikes of a run."""

    count: Int[Array, ""] = labelled(words="number of spikes")
    rate: Float[Array, ""] = labelled(words="spike rate", unit="rate")
    """Spikes over the length of the run; 0 without spikes."""
    isi_mean: Float[Array, ""] = labelled(words="mean interspike interval", unit="time")
    """Nan for fewer than two spikes."""
    isi_cv: Float[Array, ""] = labelled(words="coefficient of variation of interspike intervals")
    """Standard deviation (of a sample, n - 1) over mean; nan for fewer than three spikes."""
    first: Float[Array, ""] = labelled(words="time of the first spike", unit="time")
    """Nan without spikes."""
    last: Float[Array, ""] = labelled(words="time of the last spike", unit="time")


@record
class Spikes(_OfCrossings):
    """Spikes: upward crossings of a threshold.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.
    threshold
        A spike is where the value comes from below to this or above, in the unit of what is watched; may be traced.
    reset
        After a spike the value must fall below this before the next one counts, at most `threshold`, the default: noise
        around the threshold then makes no spikes. The start counts as after a spike if it is not below `reset`.

    Returns
    -------
    SpikesResult
        From `jaxdyn.reduce`: `count`; `rate`, 1/time; `isi_mean`, time; `isi_cv`; `first` and `last`, times. Numbers
        that do not exist are nan, which leaves the status of the run as it is.

    Raises
    ------
    TypeError, ValueError
        If threshold or reset is no finite number, or reset exceeds the threshold.

    Notes
    -----
    Times are interpolated linearly between steps: an error of the second order of the step. Those of maps are the steps
    at which the threshold is reached. Times are kept in whole steps and a fraction, so intervals keep their digits in
    float32 however late they are. Intervals' moments by Welford's update. Transforms: jit, vmap, lanes, grad (of
    times; counts are constant).

    References
    ----------
    Welford 1962, Technometrics 4, 419, doi:10.1080/00401706.1962.10490022.

    Examples
    --------
    >>> import jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> run = jaxdyn.reduce(neuron, jaxdyn.reducers.Spikes("v", threshold=1.0), n_steps=4000, dt=0.1)
    >>> int(run.values.count), round(float(run.values.isi_mean), 1)
    (10, 39.5)
    """

    threshold: Any
    reset: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_number(self.threshold, "threshold of Spikes")
        if self.reset is None:
            return
        one_number(self.reset, "reset of Spikes")
        if is_concrete(self.threshold, self.reset) and np.asarray(self.reset) > np.asarray(self.threshold):
            raise ValueError(
                f"reset of Spikes must not exceed the threshold {self.threshold}, got {self.reset}; "
                "it is where the value must fall below before it can spike again"
            )

    def _levels(self, y: Array) -> tuple[Array, Array]:
        threshold = jnp.asarray(self.threshold, y.dtype)
        return threshold, threshold if self.reset is None else jnp.asarray(self.reset, y.dtype)

    def finish(self, carry: _Crossings, span: Span) -> SpikesResult:
        """Result."""
        some, mean = carry.count > 0, carry.mean_interval(span)
        first, last = (
            jnp.where(some, span.time(place.step, place.fraction), jnp.nan) for place in (carry.first, carry.latest)
        )
        rate = carry.count.astype(mean.dtype) / span.duration
        return SpikesResult(carry.count, rate, mean, carry.spread_of_intervals(span) / mean, first, last)


@record
class PeriodResult:
    """Periods of a run."""

    count: Int[Array, ""] = labelled(words="number of periods")
    mean: Float[Array, ""] = labelled(words="mean period", unit="time")
    """Nan without a whole period."""
    standard_deviation: Float[Array, ""] = labelled(words="standard deviation of periods", unit="time")
    """Of a sample (n - 1); nan for fewer than two periods."""


@record
class Period(_OfCrossings):
    """Period of an oscillation, from its upward crossings of a level.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.
    level
        Where periods begin, in the unit of what is watched; may be traced. Choose one that is crossed upward once a
        period.

    Returns
    -------
    PeriodResult
        From `jaxdyn.reduce`: `count` of whole periods, their `mean` and `standard_deviation`, time. Numbers that do not
        exist are nan, which leaves the status of the run as it is.

    Raises
    ------
    TypeError, ValueError
        If the level is no finite number.

    Notes
    -----
    Crossings are those of `Spikes` without a reset. Transforms: jit, vmap, lanes, grad.

    Examples
    --------
    >>> import jaxdyn
    >>> oscillator = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0], state_names=["x", "v"])
    >>> run = jaxdyn.reduce(oscillator, jaxdyn.reducers.Period("x", level=0.0), n_steps=5000, dt=0.01)
    >>> int(run.values.count), round(float(run.values.mean), 3)
    (7, 6.283)
    """

    level: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        one_number(self.level, "level of Period")

    def _levels(self, y: Array) -> tuple[Array, Array]:
        level = jnp.asarray(self.level, y.dtype)
        return level, level

    def finish(self, carry: _Crossings, span: Span) -> PeriodResult:
        """Result."""
        count = jnp.maximum(carry.count - 1, 0)
        return PeriodResult(count, carry.mean_interval(span), carry.spread_of_intervals(span))
