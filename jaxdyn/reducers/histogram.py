"""Histogram of a run."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record, static
from jaxdyn._types import Array, Float, Int, is_concrete, whole_number
from jaxdyn.reducers.observed import Watching, one_number
from jaxdyn.reducers.reducer import Span

__all__ = ["Histogram", "HistogramResult"]


@record
class HistogramResult:
    """How often a run was where."""

    counts: Int[Array, " bin"] = labelled("bin", words="states in the bin")
    below: Int[Array, ""] = labelled(words="states below all bins")
    above: Int[Array, ""] = labelled(words="states above all bins")
    edges: Float[Array, " edge"] = detail("edge", words="edges of the bins")


@record
class Histogram(Watching):
    """Histogram of the states of a run over bins of equal width.

    Parameters
    ----------
    of
        State by name or index, or a function x -> number.
    low, high
        Lower edge of the first bin and upper edge of the last, in the unit of what is watched; may be traced.
    bins
        Number of bins, static. Each costs two operations a step.

    Returns
    -------
    HistogramResult
        From `jaxdyn.reduce`: `counts` (bins,), int32, of the n states after the start; `below` and `above` those
        outside; `edges` (bins + 1,). Their sum is n, unless states were nan.

    Raises
    ------
    TypeError, ValueError
        If low or high is no finite number, low is not less than high, or bins is no positive whole number.

    Notes
    -----
    A bin holds its lower edge, the last one also its upper edge, as in `numpy.histogram`. Counts are exact: a run has
    at most 2^31 - 1 steps. Transforms: jit, vmap, lanes; counts have no derivative.

    Examples
    --------
    >>> import jaxdyn
    >>> where = jaxdyn.reducers.Histogram("x", 0.0, 1.0, bins=4)
    >>> jaxdyn.reduce(jaxdyn.models.logistic(r=2.0), where, n_steps=10, n_transient=20).values.counts
    Array([ 0,  0, 10,  0], dtype=int32)
    """

    low: Any
    high: Any
    bins: int = static()

    def __post_init__(self) -> None:
        super().__post_init__()
        one_number(self.low, "low of Histogram")
        one_number(self.high, "high of Histogram")
        object.__setattr__(self, "bins", whole_number(self.bins, "bins of Histogram"))
        if is_concrete(self.low, self.high) and not np.asarray(self.low) < np.asarray(self.high):
            raise ValueError(f"low of Histogram must be less than high, got low={self.low}, high={self.high}")

    def _edges(self, dtype: Any) -> Array:
        low, high = jnp.asarray(self.low, dtype), jnp.asarray(self.high, dtype)
        share = jnp.arange(self.bins + 1, dtype=dtype) / self.bins
        return low * (1 - share) + high * share  # exact at both ends

    def init(self, t: Array, x: Array) -> tuple[Array, Array]:
        """Nothing is counted yet."""
        return jnp.zeros(self.bins + 1, jnp.int32), jnp.int32(0)

    def update(self, carry: tuple[Array, Array], t: Array, x: Array) -> tuple[Array, Array]:
        """One state more: counted at each edge that it has reached."""
        y = self.of(x)
        edges = self._edges(y.dtype)
        reached = y >= edges[:-1]
        beyond = y > edges[-1]
        reaching = carry[0] + jnp.append(reached, beyond).astype(jnp.int32)
        return reaching, carry[1] + (y < edges[0]).astype(jnp.int32)

    def finish(self, carry: tuple[Array, Array], span: Span) -> HistogramResult:
        """Result."""
        reaching, below = carry
        return HistogramResult(reaching[:-1] - reaching[1:], below, reaching[-1], self._edges(span.system.dtype))
