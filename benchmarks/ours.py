"""jaxdyn's own programs of the benchmarks: `jaxdyn.sweep`, and `jaxdyn.lanes` driven from one thread a core."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contest import Program
from ensembles import Ensemble, Values, size

import jaxdyn

PIECES = 2
"""Pieces of the lanes for each thread, so that a core that is late leaves work to the other."""
LEAST = 1024
"""Lanes below which threads cost more than they give."""


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
    n, cores = size(values), threads or (os.cpu_count() or 1)
    on_cpu = jax.default_backend() == "cpu"
    pieces = PIECES * cores if on_cpu and n >= LEAST and cores > 1 else 1
    program = jaxdyn.lanes(lambda p: getattr(measure(problem.system.with_params(**p)), variable))
    # Pieces of one size are one program; the last one is filled up with its last lane.
    width = -(-n // pieces)
    batches = [
        {name: jnp.asarray(_piece(array, k * width, width)) for name, array in values.items()} for k in range(pieces)
    ]
    if pieces == 1:
        return lambda: np.asarray(program(batches[0]))
    pool = ThreadPoolExecutor(cores)
    compiled: list[bool] = []

    def run() -> np.ndarray[Any, Any]:
        if not compiled:  # before the threads meet
            jax.block_until_ready(program(batches[0]))
            compiled.append(True)
        return np.concatenate(list(pool.map(lambda batch: np.asarray(program(batch)), batches)))[:n]

    return run


def _piece(array: np.ndarray[Any, Any], start: int, width: int) -> np.ndarray[Any, Any]:
    own = array[min(start, len(array) - 1) : start + width]
    return np.pad(own, (0, width - len(own)), mode="edge")
