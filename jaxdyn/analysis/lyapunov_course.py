"""Tangent vectors on their course along a trajectory: the intervals that all Lyapunov spectra are averages of."""

import dataclasses

import jax.numpy as jnp

from jaxdyn._record import record, static
from jaxdyn._types import Array, Bool, Float, Int
from jaxdyn.analysis.batches import N_BATCHES, standard_error
from jaxdyn.analysis.local import jacobian
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.analysis.tangent import CompensatedSum, growth_spread, tangent_step
from jaxdyn.integrate import march, repeat
from jaxdyn.methods import Method
from jaxdyn.stochastic import SDE
from jaxdyn.system import System

__all__ = ["Averages", "Batched", "Course", "Fixed", "Tangents", "volume_growth"]


@record
class Tangents:
    """Loop state: step number, state, frame, and sums since the averages began (compensated)."""

    i: Int[Array, ""]
    x: Float[Array, " dim"]
    frame: Float[Array, "k dim"]
    growth: CompensatedSum
    volume: CompensatedSum
    spread: Float[Array, ""]
    """Largest difference of log-growth between vectors in one interval: the frame's conditioning."""

    @staticmethod
    def fresh(i: Array, x: Array, frame: Array) -> "Tangents":
        """The same place, with nothing summed up."""
        growth, volume = (CompensatedSum.zero(shape, x.dtype) for shape in ((len(frame),), ()))
        return Tangents(i, x, frame, growth, volume, jnp.zeros((), x.dtype))


@record
class Averages:
    """What a run leaves for the spectrum; vectors are not sorted yet."""

    start: Tangents
    end: Tangents
    sums: Float[Array, "block k"]
    """Log-growth of each vector since the start, after each batch."""
    intervals: Int[Array, " block"]
    """Intervals since the start, after each batch; 0 marks rows without a batch, which come first."""
    std_error: Float[Array, " k"]
    converged: Bool[Array, ""]


@record
class Course:
    """What takes tangent vectors along: the equations, the method and its step, and when they are orthonormalized."""

    system: System
    method: Method
    dt: Array
    k: int = static()
    """Number of vectors."""
    qr_every: int = static()
    """Steps of an interval, at whose end the vectors are orthonormalized."""
    with_volume: bool = static()
    """Whether the divergence (of a map log|det J|) is summed up as well."""

    def begin(self, n_transient: int) -> Tangents:
        """Vectors after the intervals of the transient, nothing summed up."""
        system = self.system
        state = Tangents.fresh(jnp.int32(0), system.x0, generic_frame(self.k, system.dim, system.dtype))
        if n_transient:
            state = repeat(dataclasses.replace(self, with_volume=False).interval, state, n_transient)
        return Tangents.fresh(state.i, state.x, state.frame)

    def interval(self, c: Tangents) -> Tangents:
        """`qr_every` steps of state and frame, then one orthonormalization."""
        c = repeat(self._step, c, self.qr_every)
        frame, r = orthonormalize(c.frame)
        log_growth = jnp.log(jnp.diagonal(r))
        spread = jnp.maximum(c.spread, growth_spread(log_growth)) if len(log_growth) > 1 else c.spread
        return Tangents(c.i, c.x, frame, c.growth.add(log_growth), c.volume, spread)

    def _step(self, c: Tangents) -> Tangents:
        x, frame = tangent_step(self.system, self.method, 0, self.dt, c.i, c.x, c.frame)
        volume = c.volume
        if self.with_volume:
            growth = volume_growth(self.system, jacobian(self.system, c.x, self.time(c)))
            if isinstance(self.system, SDE):
                t, during = self.system.at_step(0, self.dt, c.i)
                growth += during.noise_divergence(t, c.x, self.dt)
            volume = volume.add(growth)
        return Tangents(c.i + 1, x, frame, c.growth, volume, c.spread)

    def time(self, c: Tangents) -> Array:
        """Time at which the vectors have arrived."""
        return self.system.time(0, self.dt, c.i)


@record
class Batched:
    """Where a run of fixed length has got to, between two batches."""

    start: Tangents
    now: Tangents
    sums: Float[Array, "bounds k"]
    """Log-growth before the first batch and after each that is finished."""
    count: Int[Array, ""]
    """Finished batches."""


@record
class Fixed:
    """Run of a fixed number of intervals, in at most 32 batches of equal length."""

    n_transient: int = static()
    n_intervals: int = static()

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return min(N_BATCHES, self.n_intervals)

    def averages(self, course: Course) -> Averages:
        """The whole run."""
        start, head = self._before_batches(course)
        block = self.n_intervals // self.n_batches
        end, sums = march(course.interval, head, n_blocks=self.n_batches, block=block, observe=lambda c: c.growth.total)
        return self._averages(course, start, end, jnp.concatenate([head.growth.total[None], sums]))

    def begin(self, course: Course) -> Batched:
        """The run before its first batch."""
        start, head = self._before_batches(course)
        sums = jnp.zeros((self.n_batches + 1, course.k), course.dt.dtype).at[0].set(head.growth.total)
        return Batched(start, head, sums, jnp.int32(0))

    def one_batch(self, course: Course, state: Batched) -> Batched:
        """The run one batch later."""
        now = repeat(course.interval, state.now, self.n_intervals // self.n_batches)
        count = state.count + 1
        return Batched(state.start, now, state.sums.at[count].set(now.growth.total), count)

    def is_over(self, state: Batched) -> bool:
        """Whether all batches are finished; outside jit."""
        return int(state.count) == self.n_batches

    def averages_of(self, course: Course, state: Batched) -> Averages:
        """Averages of a run that is over."""
        return self._averages(course, state.start, state.now, state.sums)

    def _before_batches(self, course: Course) -> tuple[Tangents, Tangents]:
        start = course.begin(self.n_transient)
        # What does not fill the batches comes first: it counts in the exponents, not in their error.
        rest = self.n_intervals % self.n_batches
        return start, repeat(course.interval, start, rest) if rest else start

    def _averages(self, course: Course, start: Tangents, end: Tangents, sums: Array) -> Averages:
        block, rest = divmod(self.n_intervals, self.n_batches)
        return Averages(
            start=start,
            end=end,
            sums=sums[1:],
            intervals=rest + block * jnp.arange(1, self.n_batches + 1, dtype=jnp.int32),
            std_error=standard_error(jnp.diff(sums, axis=0) / (course.dt * course.qr_every * block)),
            converged=jnp.array(True),
        )


def volume_growth(system: System, matrix: Array) -> Array:
    """Divergence of a flow, log|det J| of a map, of its Jacobian: what the exponents must add up to."""
    if system.discrete:
        return jnp.sum(jnp.log(jnp.diagonal(orthonormalize(matrix)[1])))
    return jnp.trace(matrix)
