"""Measures of long runs that keep a few numbers a lane: what `jaxdyn.reduce` is given.

A reducer sees a trajectory state by state and keeps no more than its result needs. Each built-in one watches one
state, by name or index, or a number that a function makes of the state: `Mean("v")`, `Mean(0)`,
`Mean(lambda x: x[0] ** 2)`. `Reducer(init, update, finish)` makes one of plain functions.

What is counted. The run has a start (after its transient) and `n_steps` states that follow it, one a step. Averages
and histograms count these `n_steps` states: runs that continue each other count no state twice, and over whole periods
the mean is the trapezoidal rule. Extremes and crossings look at the start as well.
"""

from jaxdyn.reducers.crossings import Period, PeriodResult, Spikes, SpikesResult
from jaxdyn.reducers.extrema import Extrema, ExtremaResult
from jaxdyn.reducers.histogram import Histogram, HistogramResult
from jaxdyn.reducers.limits import ExtremeResult, Maximum, Minimum
from jaxdyn.reducers.moments import Mean, MeanResult, Variance, VarianceResult
from jaxdyn.reducers.reducer import Reducer, Span
from jaxdyn.reducers.run import Reduction, reduce

__all__ = [
    "Extrema",
    "ExtremaResult",
    "ExtremeResult",
    "Histogram",
    "HistogramResult",
    "Maximum",
    "Mean",
    "MeanResult",
    "Minimum",
    "Period",
    "PeriodResult",
    "Reducer",
    "Reduction",
    "Span",
    "Spikes",
    "SpikesResult",
    "Variance",
    "VarianceResult",
    "reduce",
]
