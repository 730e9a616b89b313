"""jaxdyn's own programs of the benchmarks: `jaxdyn.sweep` and `jaxdyn.lanes`."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from contest import Program
from ensembles import Ensemble, Values

import jaxdyn


def end_state(problem: Ensemble, n_steps: int) -> Callable[[Any], Any]:
    """Measure of one system: its last state."""
    methods = {"RK4": jaxdyn.RK4(), "Tsit5": jaxdyn.Tsit5(), None: None}
    return functools.partial(jaxdyn.final_state, n_steps=n_steps, dt=problem.dt, method=methods[problem.method])


def swept(problem: Ensemble, values: Values, measure: Any, variable: str) -> Program:
    """A variable of `jaxdyn.sweep` over all lanes, labelled and in host memory."""
    names, arrays = tuple(values), tuple(values.values())
    over: dict[Any, Any] = {names: arrays} if len(names) > 1 else dict(values)
    return lambda: jaxdyn.sweep(measure, problem.system, over, progress=False)[variable].values


def in_lanes(problem: Ensemble, values: Values, measure: Any, variable: str, *, threads: int | None = None) -> Program:
    """The same variable by `jaxdyn.lanes`, on all cores or on `threads` of them."""
    engine = None if threads is None else jaxdyn.Native(threads=threads)
    program = jaxdyn.lanes(lambda p: getattr(measure(problem.system.with_params(**p)), variable), engine=engine)
    batch = {name: jnp.asarray(array) for name, array in values.items()}
    return lambda: np.asarray(program(batch))
