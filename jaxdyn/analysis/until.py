"""Runs that end by themselves: until the standard errors of their averages are small enough."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, is_concrete, whole_number
from jaxdyn.analysis.batches import N_BATCHES, transient_intervals
from jaxdyn.analysis.lyapunov_course import Averages, Course, Tangents
from jaxdyn.integrate import repeat
from jaxdyn.steps import require_countable

__all__ = ["StdError", "Until", "until_of"]

# Batches from which errors are looked at: the error of a standard error from 20 is 16 %.
LEAST_BATCHES = 20
# Every so many batches they are looked at: pairs need an even number, and each look is one more chance to be wrong.
LOOK_EVERY = 4  # a power of two
# Steps of the shortest run unless the caller says: where some 50 of them resolve a turn, a batch has ten turns.
N_LEAST = 10_000


@record
class StdError:
    """Rule to stop: run until the standard errors are at most `tolerance`.

    Give it as `until` of `lyapunov_spectrum`, with the limit of the run as `n_steps`.

    Parameters
    ----------
    tolerance
        Positive, in the unit of what is averaged: one number, or one per exponent in their order. It may be traced, so
        that it differs between lanes.
    n_least
        Steps before errors are looked at for the first time, static; default 10 000 or the limit, if that is less. It
        is rounded up to 20 whole batches, or down if these do not fit the limit. Choose at least some two hundred
        times the slowest correlation time.

    Notes
    -----
    *Batches.* The run is cut into batches of equal length, at first a twentieth of `n_least`. When there are 32,
    neighbors are merged into 16 of twice the length, so that memory does not grow with the run; with 20, 24, 28 and 32
    batches errors are looked at. Batches grow in proportion to the run: in the end they are long against any
    correlation time, and their error is right on average (Flegal & Jones 2010).

    *Two errors.* The run stops if the standard error from the batches and the one from pairs of neighboring batches
    both meet the tolerance for all exponents; the larger one is reported. If batches are shorter than the correlation
    time the second one is larger, up to sqrt(2) times: that guards against most runs that would stop too early, not
    against all. Motion that visits another region only after the run has stopped is seen by no rule of this kind.

    *Bias.* A run stops where its error happens to be estimated small. Since there are never more than 32 batches, the
    estimate keeps a scatter of 13 to 16 % however long the run: theory asks for one that converges (Glynn & Whitt
    1992), so intervals hold a little less often than they say for any tolerance. Of 2000 runs of a map with a
    correlation time of 25 steps, intervals of 95 % by Student's t held the truth in 94 to 95 % with `n_least` at 200
    correlation times, 93 to 95 % at 100, and 88 to 95 % at 40, the larger tolerances faring worse.

    References
    ----------
    Glynn & Whitt 1992, Annals of Applied Probability 2, 180-198, doi:10.1214/aoap/1177005777; Flegal & Jones 2010,
    Annals of Statistics 38, 1034-1070, doi:10.1214/09-AOS735.

    Examples
    --------
    >>> import jaxdyn
    >>> until = jaxdyn.StdError(2e-3, n_least=2_000)
    >>> spectrum = jaxdyn.lyapunov_spectrum(jaxdyn.models.henon(), n_steps=1_000_000, until=until)
    >>> bool((spectrum.std_error <= 2e-3).all()), int(spectrum.n_averaged) < 1_000_000
    (True, True)
    """

    tolerance: ArrayLike | Sequence[Any]
    n_least: int | None = static(default=None)


@record
class Batches:
    """Loop state: the vectors, and their growth in up to 32 batches."""

    start: Tangents
    now: Tangents
    growth: tuple[Array, ...]
    """Of each vector (32,) growths; a tuple, because engines take apart what is small."""
    before: Float[Array, " k"]
    """Sum of the growth when the unfinished batch began."""
    rounds: Int[Array, ""]
    """Rounds of the unfinished batch."""
    length: Int[Array, ""]
    """Rounds of a batch."""
    count: Int[Array, ""]
    """Finished batches."""
    converged: Bool[Array, ""]
    ended: Bool[Array, ""]


@record
class Until:
    """Run of rounds of a fixed number of intervals, until the errors are small or the limit is near."""

    tolerance: Array
    n_transient: int = static()
    per_round: int = static()
    """Intervals of a round, which is a batch as long as batches are short."""
    n_rounds: int = static()
    """Limit."""

    def averages(self, course: Course) -> Averages:
        """The whole run."""
        state = self.begin(course)
        state = lax.while_loop(lambda s: ~s.ended, lambda s: self.one_round(course, s), state)
        return self.averages_of(course, state)

    def begin(self, course: Course) -> Batches:
        """Nothing averaged yet."""
        start = course.begin(self.n_transient)
        empty = jnp.zeros(N_BATCHES, start.x.dtype)
        zero, false = jnp.int32(0), jnp.array(False)
        growth = (empty,) * course.k
        return Batches(start, start, growth, start.growth.total, zero, jnp.int32(1), zero, false, false)

    def one_batch(self, course: Course, state: Batches) -> Batches:
        """The run at the end of the next batch, or where it ended."""

        def goes_on(carry: tuple[Array, Batches]) -> Array:
            return ~carry[1].ended & (carry[0] | (carry[1].rounds > 0))

        first = jnp.array(True)
        return lax.while_loop(goes_on, lambda c: (~first, self.one_round(course, c[1])), (first, state))[1]

    def is_over(self, state: Batches) -> bool:
        """Whether the run has ended; outside jit."""
        return bool(state.ended)

    def one_round(self, course: Course, s: Batches) -> Batches:
        """One round more; at the end of a batch its growth is kept, errors are looked at and batches merged."""
        now = repeat(course.interval, s.now, self.per_round)
        total = now.growth.total
        complete = s.rounds + 1 == s.length
        here = complete & (jnp.arange(N_BATCHES, dtype=jnp.int32) == s.count)
        grown = list(total - s.before)
        growth = tuple(jnp.where(here, new, old) for new, old in zip(grown, s.growth, strict=True))
        count = s.count + complete.astype(jnp.int32)
        error = self._error(course, growth, list(total), count, s.length)
        looked = complete & (count >= LEAST_BATCHES) & (count & (LOOK_EVERY - 1) == 0)
        converged = looked & jnp.all(self._meets(total, error))
        full = count == N_BATCHES
        next_end = jnp.where(full, (N_BATCHES + 2) * s.length, (count + 1) * s.length)
        # Sums that are not finite never become so again; minus infinity is the exponent of a superstable orbit.
        broken = ~jnp.all(total < jnp.inf)
        ended = broken | (complete & (converged | (next_end > self.n_rounds)))
        merge = full & ~ended
        return Batches(
            start=s.start,
            now=now,
            growth=tuple(jnp.where(merge, _in_pairs(g), g) for g in growth),
            before=jnp.where(complete, total, s.before),
            rounds=jnp.where(complete, 0, s.rounds + 1),
            length=jnp.where(merge, 2 * s.length, s.length),
            count=jnp.where(merge, N_BATCHES // 2, count),
            converged=converged,
            ended=ended,
        )

    def _error(self, course: Course, growth: Any, total: list[Array], count: Array, length: Array) -> Array:
        """Larger one of the standard errors from the batches and from pairs of them, (k,)."""
        dtype = course.dt.dtype
        n = jnp.maximum(count, 4).astype(dtype)
        duration = course.dt * course.qr_every * (length * self.per_round).astype(dtype)
        used = jnp.arange(N_BATCHES, dtype=jnp.int32) < count
        errors = []
        for mine, whole in zip(growth, total, strict=True):
            departure = jnp.where(used, mine - whole / n, 0)
            of_pairs = departure[0::2] + departure[1::2]
            single = jnp.sum(departure * departure) / (n * (n - 1))
            # Means of pairs depart by half their sum; there are n / 2 of them.
            paired = jnp.sum(of_pairs * of_pairs) / (n * (n - 2))
            errors.append(jnp.sqrt(jnp.maximum(single, paired)) / duration)
        return jnp.stack(errors)

    def _meets(self, total: Array, error: Array) -> Array:
        """Whether each error is small enough; that of minus infinity (a superstable orbit) does not matter."""
        tolerance = self.tolerance
        if tolerance.ndim:  # given in the order of the exponents
            rank = jnp.sum(total[None, :] > total[:, None], axis=1, dtype=jnp.int32)
            mine = rank[:, None] == jnp.arange(len(total), dtype=jnp.int32)[None, :]
            tolerance = jnp.sum(jnp.where(mine, tolerance[None, :], 0), axis=1)
        return (error <= tolerance) | (total == -jnp.inf)

    def averages_of(self, course: Course, s: Batches) -> Averages:
        """Averages of the batches; those there are come last, so that the last row is the result."""
        growth = jnp.stack(s.growth, axis=1)
        missing = N_BATCHES - s.count
        for bit in range(N_BATCHES.bit_length()):
            growth = jnp.where((missing >> bit) & 1 == 1, jnp.roll(growth, 1 << bit, axis=0), growth)
        row = jnp.arange(N_BATCHES, dtype=jnp.int32)
        later = jnp.flip(jnp.cumsum(jnp.flip(growth, 0), axis=0), 0) - growth
        total = s.now.growth.total
        whole = jnp.broadcast_to(total, growth.shape)
        # Infinite growth of a batch makes its own sums nan: they are then infinite as well.
        sums = jnp.where(jnp.isinf(whole), whole, whole - later)
        intervals = jnp.where(row >= missing, (row - missing + 1) * s.length * self.per_round, 0)
        error = self._error(course, s.growth, list(total), s.count, s.length)
        return Averages(s.start, s.now, sums, intervals, error, s.converged)


def _in_pairs(growth: Array) -> Array:
    return jnp.concatenate([growth[0::2] + growth[1::2], jnp.zeros(N_BATCHES // 2, growth.dtype)])


def until_of(until: Any, course: Course, n_transient: int | None, n_intervals: int) -> Until:
    """The rule that the caller gave, for a run of at most `n_intervals`; complains about one that makes no sense."""
    if not isinstance(until, StdError):
        raise TypeError(f"until must be jaxdyn.StdError(tolerance), got {until!r}")
    tolerance = jnp.asarray(until.tolerance, course.dt.dtype)
    if tolerance.shape not in ((), (course.k,)):
        raise ValueError(
            f"tolerance of StdError must be one number or one per exponent, ({course.k},), got shape {tolerance.shape}"
        )
    if is_concrete(tolerance) and not np.all(np.asarray(tolerance) > 0):
        raise ValueError(f"tolerance of StdError must be positive, got {until.tolerance!r}")
    n_steps, shortest = n_intervals * course.qr_every, LEAST_BATCHES * course.qr_every
    if n_steps < shortest:
        raise ValueError(f"until needs n_steps of at least {shortest}, {LEAST_BATCHES} batches, got {n_steps}")
    n_least = min(max(N_LEAST, shortest), n_steps) if until.n_least is None else until.n_least
    n_least = whole_number(n_least, "n_least of StdError", least=shortest)
    if n_least > n_steps:
        raise ValueError(
            f"n_least={n_least} of StdError exceeds n_steps={n_steps}, the limit of the run; raise n_steps"
        )
    n_first = transient_intervals(n_transient, "n_transient", course.qr_every, n_least)
    require_countable((n_first + n_intervals) * course.qr_every)
    per_round = min(-(-n_least // shortest), n_intervals // LEAST_BATCHES)
    return Until(tolerance, n_first, per_round, n_intervals // per_round)
