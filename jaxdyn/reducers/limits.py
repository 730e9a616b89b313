"""The smallest and the largest value of a run."""

import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Float, Int, Shaped
from jaxdyn.reducers.observed import Watching
from jaxdyn.reducers.reducer import Span

__all__ = ["ExtremeResult", "Maximum", "Minimum"]


@record
class ExtremeResult:
    """The smallest or largest value of a run."""

    value: Float[Array, ""] = labelled(words="extreme value")
    time: Shaped[Array, ""] = labelled(words="time of the extreme value", unit="time")
    """Time of the first state with this value; an integer for maps."""


@record
class _Best:
    """Best value so far, its step, and the number of the last step."""

    value: Array
    at: Int[Array, ""]
    step: Int[Array, ""]

    @staticmethod
    def first(value: Array) -> "_Best":
        return _Best(value, jnp.int32(0), jnp.int32(0))

    def with_next(self, value: Array, better: Array) -> "_Best":
        step = self.step + 1
        return _Best(jnp.where(better, value, self.value), jnp.where(better, step, self.at), step)

    def result(self, span: Span) -> ExtremeResult:
        return ExtremeResult(self.value, span.time(self.at))


class _Extreme(Watching):
    """What `Minimum` and `Maximum` share."""

    @staticmethod
    def _better(y: Array, best: Array) -> Array:
        """Whether a value takes the place of the best one so far."""
        raise NotImplementedError

    def init(self, t: Array, x: Array) -> _Best:
        """The start's value."""
        return _Best.first(self.of(x))

    def update(self, carry: _Best, t: Array, x: Array) -> _Best:
        """One state more."""
        y = self.of(x)
        return carry.with_next(y, self._better(y, carry.value))

    def finish(self, carry: _Best, span: Span) -> ExtremeResult:
        """Result."""
        return carry.result(span)


@record
class Minimum(_Extreme):
    """Smallest value of a run, the start included, and when it was reached first.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.

    Returns
    -------
    ExtremeResult
        From `jaxdyn.reduce`: `value` in the unit of what is watched, `time` in time units.

    Notes
    -----
    The smallest of the computed states; `Extrema` interpolates between them. Transforms: jit, vmap, lanes, grad.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=2.0, x0=[0.25]), jaxdyn.reducers.Minimum("x"), n_steps=20)
    >>> float(run.values.value), int(run.values.time)
    (0.25, 0)
    """

    @staticmethod
    def _better(y: Array, best: Array) -> Array:
        return y < best


@record
class Maximum(_Extreme):
    """Largest value of a run, the start included, and when it was reached first; else as `Minimum`.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=4.0, x0=[0.5]), jaxdyn.reducers.Maximum("x"), n_steps=20)
    >>> float(run.values.value), int(run.values.time)
    (1.0, 1)
    """

    @staticmethod
    def _better(y: Array, best: Array) -> Array:
        return y > best
