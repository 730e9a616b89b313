"""What a reducer is, what it is told about its run, and the reducers that are nothing else."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxdyn._record import callable_tree, record
from jaxdyn._types import Array, ArrayLike
from jaxdyn.analysis.batches import N_BATCHES
from jaxdyn.system import System

__all__ = ["Reducer", "Span"]


@dataclasses.dataclass(frozen=True)
class Span:
    """The counted part of a run, as `finish` and `end_batch` are told of it."""

    system: System
    t0: ArrayLike
    dt: Array
    """Step, time units; 1 for maps, negative backwards."""
    n_transient: int
    """Steps before the counted part."""
    n_steps: int
    """Steps of the counted part."""

    @property
    def n_batches(self) -> int:
        """Number of batches: 32, or one a step of shorter runs."""
        return min(N_BATCHES, self.n_steps)

    @property
    def batch(self) -> int:
        """Steps of a batch; the batches come first."""
        return self.n_steps // self.n_batches

    @property
    def n_rest(self) -> int:
        """Steps after the last batch, fewer than there are batches."""
        return self.n_steps % self.n_batches

    @property
    def duration(self) -> Array:
        """Length of the counted part, time units, positive."""
        return self.n_steps * jnp.abs(self.dt)

    def time(self, steps: Array, fraction: Array | None = None) -> Array:
        """Time of the state that many steps after the start; with a fraction of a step more, as a float."""
        i = self.n_transient + steps
        if fraction is None:
            return self.system.time(self.t0, self.dt, i)
        dtype = self.system.dtype
        return jnp.asarray(self.t0, dtype) + (i.astype(dtype) + fraction) * self.dt


@record
class Reducer:
    """Reducer made of plain functions.

    Parameters
    ----------
    init
        Function (t, x) -> carry, of the time and state (dim,) where counting starts: any pytree of arrays or numbers.
    update
        Function (carry, t, x) -> carry, of each later state; shapes and dtypes of the carry stay as they are.
    finish
        Function (carry, span) -> result: a record, a dict of arrays or an array. The `Span` says what was counted:
        `n_steps`, `dt`, `duration`, `time(steps)`. Default: the carry.
    end_batch
        Function (carry, span) -> carry, called at the end of each of the `span.n_batches` batches of `span.batch`
        steps; the `span.n_rest` steps that fill no batch come last. For errors of averages.

    Notes
    -----
    Any object with methods of these names is a reducer; where it is a pytree, its leaves may be traced. The loop is
    fast if `update` is arithmetic, comparisons and selects on a few numbers, without indices that are computed.
    Functions are known by identity: one that is defined anew for each call is compiled anew.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> largest_step = jaxdyn.reducers.Reducer(
    ...     lambda t, x: (x[0], 0.0),
    ...     lambda c, t, x: (x[0], jnp.maximum(c[1], jnp.abs(x[0] - c[0]))),
    ...     lambda c, span: c[1],
    ... )
    >>> run = jaxdyn.reduce(jaxdyn.models.logistic(r=4.0, x0=[0.75]), largest_step, n_steps=10)
    >>> float(run.values)
    0.0
    """

    init: Callable[..., Any]
    update: Callable[..., Any]
    finish: Callable[..., Any] | None = None
    end_batch: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        for name in ("init", "update", "finish", "end_batch"):
            function = getattr(self, name)
            if function is None and name in ("finish", "end_batch"):
                continue
            if not callable(function):
                raise TypeError(f"{name} of Reducer must be a function, got {function!r}")
            object.__setattr__(self, name, callable_tree(function))
