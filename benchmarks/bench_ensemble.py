"""Speed of ensembles: many lanes of one system with fixed steps, only the last state, against rivals at their best.

FitzHugh-Nagumo and Lorenz 96 by RK4, Lorenz by Tsit5, the logistic map; float32. Rivals: hand-written C and numba (the
machine's limit), plain vmap and scan, diffrax, heyoka, JiTCODE. All have the same cores; see README of the folder.

    python benchmarks/bench_ensemble.py [--repetitions 5] [--problems neuron lorenz] [--scaling] [--smoke]
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ours
import timing
from contest import Contender, Program, Task, Unavailable, contest, same_states, table
from ensembles import ENSEMBLES, Ensemble, Values
from rivals import hand_numba, native, plain_jax, with_diffrax, with_heyoka, with_jitcode

COUNTS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
DIFFRAX_LANES = 16_384
"""Lanes that diffrax gets where others take several times as many: its rate is that of more lanes."""
LONGEST = 20.0
"""Seconds that a contender may need for one call of the scaling; beyond that it stays out."""


def jaxdyn_sweep(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """The sweep as users call it."""
    return {"default": ours.swept(problem, values, ours.end_state(problem, n_steps), "x")}


def jaxdyn_lanes(problem: Ensemble, values: Values, n_steps: int, threads: int | None = None) -> dict[str, Program]:
    """The engine without the sweep."""
    return {"default": ours.in_lanes(problem, values, ours.end_state(problem, n_steps), "x", threads=threads)}


def contenders(problem: Ensemble, *, slow: bool = True) -> dict[str, Contender]:
    """Everybody who can compute the last states, jaxdyn first; `slow`: also who cannot take all lanes."""

    def of(programs: Any) -> Contender:
        return Contender(functools.partial(programs, problem))

    def on_host(programs: Any, **options: Any) -> Contender:
        return Contender(functools.partial(_host_only, programs, problem), **options)

    field = {
        "jaxdyn.sweep": of(jaxdyn_sweep),
        "jaxdyn.lanes": of(jaxdyn_lanes),
        "jaxdyn.lanes, one core": of(functools.partial(jaxdyn_lanes, threads=1)),
        "C": on_host(native.end_states),
        "C, strict arithmetic": on_host(functools.partial(native.end_states, fast=False)),
        "numba": on_host(hand_numba.end_states),
        "vmap(scan)": of(plain_jax.end_states),
        "vmap(scan), 512 bits": of(functools.partial(plain_jax.end_states, wide=True)),
        "diffrax Tsit5": Contender(
            functools.partial(with_diffrax.end_states, problem),
            most_lanes=DIFFRAX_LANES if slow else None,
            same_method=problem.method == "Tsit5",
        ),
        "heyoka": on_host(with_heyoka.end_states, same_method=False),
    }
    return field | ({"jitcode": on_host(with_jitcode.end_states, most_lanes=4, same_method=False)} if slow else {})


def _host_only(programs: Any, problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    if jax.default_backend() != "cpu":
        raise Unavailable("runs on the host's cores, not on the device")
    return programs(problem, values, n_steps)


def ensemble(problem: Ensemble, *, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Times of everybody for one problem."""
    n_lanes, n_steps = (2048, problem.n_check) if smoke else (problem.n_lanes, problem.n_steps)
    task = Task(problem.values(n_lanes), n_steps)
    return contest(
        contenders(problem, slow=not smoke),
        task,
        check=task if smoke else Task(problem.values(2048), problem.n_check),
        agree=same_states(problem.tolerance, problem.other_method),
        repetitions=repetitions,
        work_per_lane=n_steps,
        tune=not smoke,
    )


def scaling(problem: Ensemble, counts: tuple[int, ...], *, repetitions: int) -> dict[str, Any]:
    """Rates by number of lanes, for the plot; a contender whose next call would take too long stops."""
    results: dict[str, Any] = {}
    rates: dict[str, float] = {}
    for n in counts:
        field = {
            name: contender
            for name, contender in contenders(problem, slow=False).items()
            if name not in rates or n * problem.n_steps / rates[name] < LONGEST
        }
        task = Task(problem.values(n), problem.n_steps)
        check = Task(problem.values(min(n, 2048)), problem.n_check)
        agree = same_states(problem.tolerance, problem.other_method)
        options = {"check": check, "agree": agree, "repetitions": repetitions, "work_per_lane": problem.n_steps}
        results[str(n)] = contest(field, task, **options)
        rates |= {name: row["work_per_s_median"] for name, row in results[str(n)]["contenders"].items()}
        print(f"{problem.title}: {n} lanes\n{table(results[str(n)])}", flush=True)
    return results


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--problems", nargs="+", choices=ENSEMBLES, default=None)
    arguments.add_argument("--scaling", action="store_true", help="numbers of lanes from 1 to a million, for the plot")
    arguments.add_argument("--smoke", action="store_true", help="one problem, few lanes, nothing is written")
    options = arguments.parse_args()
    jnp.zeros(1).block_until_ready()  # starting JAX is nobody's first call
    problems = options.problems or list(ENSEMBLES)[: 1 if options.smoke else None]
    results = {}
    for name in problems:
        problem = ENSEMBLES[name]
        if options.scaling:
            counts = COUNTS[:3] if options.smoke else COUNTS
            results[name] = scaling(problem, counts, repetitions=1 if options.smoke else options.repetitions)
            continue
        repetitions = 1 if options.smoke else options.repetitions
        results[name] = ensemble(problem, repetitions=repetitions, smoke=options.smoke)
        print(f"{problem.title}, load {results[name]['load_average'][-1]:.1f}\n{table(results[name])}", flush=True)
    if not options.smoke:
        question = "bench_ensemble_scaling" if options.scaling else "bench_ensemble"
        path = timing.save(timing.named(question, problems, ENSEMBLES), results)
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
