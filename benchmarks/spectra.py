"""Programs for Lyapunov exponents: jaxdyn's own, and what rivals need around theirs."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ours
from contest import Program, Unavailable
from ensembles import Ensemble, Values

import jaxdyn


def exponents(problem: Ensemble, n_steps: int, **options: Any) -> Callable[[Any], Any]:
    """Measure of one system: its exponents; a tenth of the steps is transient."""
    counts = {"n_transient": n_steps // 10, "n_steps": n_steps - n_steps // 10}
    return functools.partial(jaxdyn.lyapunov_spectrum, dt=problem.dt, **counts, **options)


def jaxdyn_sweep(problem: Ensemble, options: dict[str, Any], values: Values, n_steps: int) -> dict[str, Program]:
    """The sweep as users call it."""
    return {"default": ours.swept(problem, values, exponents(problem, n_steps, **options), "exponents")}


def jaxdyn_lanes(
    problem: Ensemble, options: dict[str, Any], values: Values, n_steps: int, threads: int | None = None
) -> dict[str, Program]:
    """The engine without the sweep."""
    measure = exponents(problem, n_steps, **options)
    return {"default": ours.in_lanes(problem, values, measure, "exponents", threads=threads)}


def transient(programs: Any, values: Values, n_steps: int) -> dict[str, Program]:
    """Programs of a rival that takes the transient and the rest apart."""
    return programs(values, n_steps // 10, n_steps - n_steps // 10)


def on_host(programs: Any, values: Values, n_steps: int) -> dict[str, Program]:
    """The same, of a rival that knows no device."""
    if jax.default_backend() != "cpu":
        raise Unavailable("runs on the host's cores, not on the device")
    return transient(programs, values, n_steps)


def jaxdyn_double(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """The engine without the sweep in float64, which some rivals compute in."""
    with jax.enable_x64(True):
        wide = {name: np.asarray(value, np.float64) for name, value in problem.system.params.items()}
        system = jaxdyn.flow(problem.system.field, wide, np.asarray(problem.x0, np.float64), about=problem.system.about)
        measure = exponents(problem, n_steps)
        program = jaxdyn.lanes(lambda p: measure(system.with_params(**p)).exponents)
        batch = {name: jnp.asarray(array, jnp.float64) for name, array in values.items()}

    def run() -> Any:
        with jax.enable_x64(True):
            return np.asarray(program(batch))

    return {"float64": run}
