"""Runs that keep what their reducers keep, and no trajectory."""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from jaxdyn._record import inlined, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, Shaped, whole_number
from jaxdyn.integrate import Walk, repeat, walking
from jaxdyn.methods import Method
from jaxdyn.reducers.carries import begun, checked, like
from jaxdyn.reducers.observed import bound
from jaxdyn.reducers.reducer import Span
from jaxdyn.steps import method_of, require_countable, resolve_steps
from jaxdyn.system import System

__all__ = ["Reduction", "reduce"]


@record
class Reduction:
    """What the reducers made of a run, and where it ended."""

    values: Any = inlined()
    """Result of each reducer by name; of a single one its result."""
    x: Float[Array, " dim"] = labelled("state", words="last state")
    t: Shaped[Array, ""] = labelled(words="time of the last state", unit="time")
    status: Int[Array, ""] = labelled()
    """NON_FINITE if any state on the way, the transient's included, was not finite."""


def reduce(
    system: System,
    reducers: Any,
    *,
    n_steps: int,
    dt: ArrayLike | None = None,
    n_transient: int = 0,
    method: Method | None = None,
    t0: ArrayLike = 0,
) -> Reduction:
    """What reducers make of a run of one system: means, extremes, spikes, histograms; no trajectory is stored.

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0`.
    reducers
        Reducers by name, or a single one: those of `jaxdyn.reducers`, or any object with methods `init(t, x)`,
        `update(carry, t, x)` and `finish(carry, span)`, see `jaxdyn.reducers.Reducer`.
    n_steps
        Steps that are counted, static, at least 1.
    dt
        Step of a flow, time units; negative runs backwards. Maps take none.
    n_transient
        Steps before, static, which no reducer sees but their end: the start of what is counted.
    method
        `RK4()` by default; maps are iterated.
    t0
        Time of the system's start; an integer for maps.

    Returns
    -------
    Reduction
        `values`: the result of each reducer by name (of a single reducer its result); the last state `x` (dim,), its
        time `t` () and `status` (): NON_FINITE if any state on the way was not finite. Numbers that do not exist, such
        as the interval of a single spike, are nan and leave the status OK.

    Raises
    ------
    TypeError, ValueError
        While tracing: for what is no reducer, an unknown state, steps that do not fit, or a carry whose shapes or
        dtypes change from step to step.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep, shard_map; grad of what is smooth (memory O(n_steps) in reverse mode). Memory
    does not grow with the number of steps. In a sweep bind the settings: `functools.partial(jaxdyn.reduce,
    reducers=..., n_steps=..., dt=...)`; arrays are called `<name>_<field>`.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.reducers import Mean, Spikes
    >>> run = jaxdyn.reduce(
    ...     jaxdyn.models.fitzhugh_nagumo(),
    ...     {"v": Mean("v"), "spikes": Spikes("v", threshold=1.0)},
    ...     n_steps=4000, dt=0.1, n_transient=1000,
    ... )
    >>> int(run.values["spikes"].count)
    11
    """
    n_steps = whole_number(n_steps, "n_steps")
    n_transient = whole_number(n_transient, "n_transient", least=0)
    n_steps, dt = resolve_steps(system, n_steps, None, dt, t0)
    require_countable(n_transient + n_steps)
    named = dict(reducers) if isinstance(reducers, Mapping) else {"": reducers}
    if not named or not all(isinstance(name, str) for name in named):
        raise TypeError(f"reducers must be a dict of reducers by name, at least one, got names {list(named)}")
    used = bound({name: checked(name, reducer) for name, reducer in named.items()}, system)
    result = _reduced(system, method_of(system, method), t0, dt, used, n_steps, n_transient)
    if isinstance(reducers, Mapping):
        return result
    return Reduction(result.values[""], result.x, result.t, result.status)


@functools.partial(jax.jit, static_argnames=("n_steps", "n_transient"))
def _reduced(
    system: System, method: Method, t0: ArrayLike, dt: Array, reducers: dict[str, Any], n_steps: int, n_transient: int
) -> Reduction:
    span = Span(system, t0, dt, n_transient, n_steps)

    walk, advance = walking(system, method, t0, dt)

    def step(state: tuple[Walk, dict[str, Any]]) -> tuple[Walk, dict[str, Any]]:
        walk, kept = advance(state[0]), state[1]
        t = system.time(t0, dt, walk.i)
        return walk, {name: like(reducers[name].update(kept[name], t, walk.x), kept[name]) for name in kept}

    def one_batch(state: tuple[Walk, dict[str, Any]]) -> tuple[Walk, dict[str, Any]]:
        walk, kept = repeat(step, state, span.batch)
        return walk, {name: _after_batch(reducers[name], carry, span) for name, carry in kept.items()}

    walk = repeat(advance, walk, n_transient) if n_transient else walk
    t = system.time(t0, dt, walk.i)
    state = walk, {name: begun(name, reducer, t, walk.x, span) for name, reducer in reducers.items()}
    if any(getattr(reducer, "end_batch", None) is not None for reducer in reducers.values()):
        state = repeat(one_batch, state, span.n_batches)
        state = repeat(step, state, span.n_rest) if span.n_rest else state
    else:
        state = repeat(step, state, n_steps)
    walk, kept = state
    values = {name: _finished(reducers[name], carry, span) for name, carry in kept.items()}
    return Reduction(values, walk.x, system.time(t0, dt, walk.i), walk.status)


def _after_batch(reducer: Any, carry: Any, span: Span) -> Any:
    end_batch = getattr(reducer, "end_batch", None)
    return carry if end_batch is None else like(end_batch(carry, span), carry)


def _finished(reducer: Any, carry: Any, span: Span) -> Any:
    return carry if reducer.finish is None else reducer.finish(carry, span)
