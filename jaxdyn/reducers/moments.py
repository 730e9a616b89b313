"""Mean and variance over long runs: sums that do not lose what is small beside them."""

import math

import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Float, Int
from jaxdyn.analysis.tangent import CompensatedSum
from jaxdyn.reducers.observed import Watching
from jaxdyn.reducers.reducer import Span

__all__ = ["Mean", "MeanResult", "Variance", "VarianceResult"]


@record
class MeanResult:
    """Average over a run."""

    mean: Float[Array, ""] = labelled(words="mean")
    std_error: Float[Array, ""] = labelled(words="standard error of the mean")
    """From batch means; nan for a run of one step."""


@record
class _Means:
    """Departures from the value at the start: their sum over the unfinished batch, and moments of batch means."""

    start: Array
    batch: CompensatedSum
    count: Int[Array, ""]
    """Finished batches."""
    mean: Array
    squares: Array
    """Sum of the squared departures of batch means from their mean."""


@record
class Mean(Watching):
    """Mean over the states of a run, and its standard error.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.

    Returns
    -------
    MeanResult
        From `jaxdyn.reduce`: `mean` and `std_error`, in the unit of what is watched.

    Notes
    -----
    Each of the n states after the start has the same weight. Departures from the value at the start are summed up with
    compensation (Kahan 1965), so the mean is right to a few roundings for any number of steps.

    The error is that of 32 batches of n // 32 steps each (one a step of shorter runs): their standard deviation over
    the root of their number. What does not fill the batches comes last: it counts in the mean, not in its error. The
    error is too small where a batch is not long against the correlation time.

    Transforms: jit, vmap, lanes, grad.

    References
    ----------
    Kahan 1965, Communications of the ACM 8, 40, doi:10.1145/363707.363723; Welford 1962, Technometrics 4, 419,
    doi:10.1080/00401706.1962.10490022; Flegal & Jones 2010, Annals of Statistics 38, 1034.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=4.0), jaxdyn.reducers.Mean(0), n_steps=10_000, n_transient=100)
    >>> bool(abs(run.values.mean - 0.5) < 4 * run.values.std_error)
    True
    """

    def init(self, t: Array, x: Array) -> _Means:
        """Nothing is counted yet."""
        y = self.of(x)
        zero = jnp.zeros_like(y)
        return _Means(y, CompensatedSum(zero, zero), jnp.int32(0), zero, zero)

    def update(self, carry: _Means, t: Array, x: Array) -> _Means:
        """One state more."""
        batch = carry.batch.add(self.of(x) - carry.start)
        return _Means(carry.start, batch, carry.count, carry.mean, carry.squares)

    def end_batch(self, carry: _Means, span: Span) -> _Means:
        """One batch more, by Welford's update."""
        count = carry.count + 1
        value = carry.batch.total / span.batch
        # The mean of no batch is the first one's, so that its departure is no large number times a rounding.
        before = jnp.where(carry.count > 0, carry.mean, value)
        departure = value - before
        mean = before + departure / count.astype(value.dtype)
        squares = carry.squares + departure * (value - mean)
        zero = jnp.zeros_like(value)
        return _Means(carry.start, CompensatedSum(zero, zero), count, mean, squares)

    def finish(self, carry: _Means, span: Span) -> MeanResult:
        """Result."""
        mean, n = carry.mean, span.n_batches
        if span.n_rest:
            mean = mean + (carry.batch.total - span.n_rest * mean) / span.n_steps
        error = jnp.sqrt(carry.squares) / math.sqrt(n * (n - 1)) if n > 1 else jnp.full_like(mean, jnp.nan)
        return MeanResult(carry.start + mean, error)


@record
class VarianceResult:
    """Spread over a run."""

    variance: Float[Array, ""] = labelled(words="variance")
    standard_deviation: Float[Array, ""] = labelled(words="standard deviation")


@record
class _Squares:
    """Departures from the value at the start: their number, sum and mean, and squares about the mean."""

    start: Array
    count: Int[Array, ""]
    total: CompensatedSum
    mean: Array
    squares: CompensatedSum


@record
class Variance(Watching):
    """Variance over the states of a run, and its root.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.

    Returns
    -------
    VarianceResult
        From `jaxdyn.reduce`: `variance` (the mean square departure of the n states after the start from their mean;
        divided by n, not n - 1) and `standard_deviation`.

    Notes
    -----
    Welford's update, which subtracts no large squares from each other, with compensated sums for the mean and the
    squares. Transforms: jit, vmap, lanes, grad (of the standard deviation where it is not zero).

    References
    ----------
    Welford 1962, Technometrics 4, 419, doi:10.1080/00401706.1962.10490022.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=4.0), jaxdyn.reducers.Variance("x"), n_steps=10_000)
    >>> round(float(run.values.variance), 2)
    0.13
    """

    def init(self, t: Array, x: Array) -> _Squares:
        """Nothing is counted yet."""
        y = self.of(x)
        zero = jnp.zeros_like(y)
        nothing = CompensatedSum(zero, zero)
        return _Squares(y, jnp.int32(0), nothing, zero, nothing)

    def update(self, carry: _Squares, t: Array, x: Array) -> _Squares:
        """One state more."""
        departure = self.of(x) - carry.start
        count = carry.count + 1
        total = carry.total.add(departure)
        # The number of states is the same in all lanes: its inverse is one division for all of them.
        mean = total.total * (1 / count.astype(departure.dtype))
        # The mean of nothing is the first one's, so that its departure is no large number times a rounding.
        before = jnp.where(carry.count > 0, carry.mean, departure)
        squares = carry.squares.add((departure - before) * (departure - mean))
        return _Squares(carry.start, count, total, mean, squares)

    def finish(self, carry: _Squares, span: Span) -> VarianceResult:
        """Result."""
        # Products of two roundings of nothing may be less than nothing.
        variance = jnp.maximum(carry.squares.total / span.n_steps, 0)
        return VarianceResult(variance, jnp.sqrt(variance))
