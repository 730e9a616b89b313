"""heyoka.py: Taylor series of high order with steps of its own, several lanes in one SIMD vector, one thread a core.

It computes the same end states to float32's accuracy, not the same steps; its rate counts the steps of the others.
"""

import copy
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from contest import Program, Unavailable
from ensembles import Ensemble, Values


def end_states(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """Last states (lanes, dim)."""
    try:
        import heyoka
    except ImportError:
        raise Unavailable("heyoka is not installed") from None
    if problem.dt is None:
        raise Unavailable("heyoka integrates flows, not maps")
    span = np.float32(problem.dt * n_steps)
    number: Any = np.float32
    width = heyoka.recommended_simd_size(number)
    symbols = heyoka.make_vars(*(f"x{i}" for i in range(problem.system.dim)))
    (name,) = problem.swept
    rates = problem.components(symbols, {name: heyoka.par[0]})
    start = np.repeat(problem.x0[:, None], width, axis=1)
    integrator = heyoka.taylor_adaptive_batch(
        list(zip(symbols, rates, strict=True)),
        start,
        pars=np.zeros((1, width), np.float32),
        fp_type=number,
        tol=np.float32(np.finfo(np.float32).eps),
        compact_mode=problem.system.dim > 10,
    )
    lanes = np.pad(values[name], (0, -len(values[name]) % width), mode="edge").reshape(-1, width)
    end = np.empty((len(lanes), problem.system.dim, width), np.float32)
    threads = os.cpu_count() or 1
    integrators = [copy.deepcopy(integrator) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def part(k: int) -> None:
        one = integrators[k]
        for i in range(k, len(lanes), threads):
            one.set_time(np.float32(0))
            one.state[:], one.pars[:] = start, lanes[i]
            one.propagate_until(span)
            end[i] = one.state

    def run() -> Any:
        list(pool.map(part, range(threads)))
        return np.moveaxis(end, 1, -1).reshape(-1, problem.system.dim)[: len(values[name])]

    return {f"vectors of {width}": run}
