"""Seconds to the first result: a sweep of ten cells in a fresh process, against plain `jax.vmap` of the same measure.

Each run is a process of its own, in turn: `fresh` counts from the first import to numbers in host memory, `imported`
from the call on, in a process that has imported all libraries. `jax.vmap, labelled` puts what it computes into an
xarray.Dataset, as a sweep does.

    python benchmarks/bench_first.py [--repetitions 5] [--problems states spectrum] [--smoke]
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

N_CELLS = 10
STARTS = ("fresh", "imported")
WAYS = ("jaxdyn.sweep", "jax.vmap, labelled", "jax.vmap")
PROBLEMS = ("states", "spectrum", "lorenz", "fixed points", "eigenvalues")


def problem(name: str) -> tuple[Any, str, tuple[float, float], Callable[[Any], Any]]:
    """System, what is swept from where to where, and the measure of one cell."""
    import jaxdyn

    neuron, current = jaxdyn.models.fitzhugh_nagumo(), ("I", (0.0, 1.0))
    steps = {"dt": 0.1, "n_steps": 2000}
    return {
        "states": (neuron, *current, lambda s: jaxdyn.final_state(s, **steps).x),
        "spectrum": (neuron, *current, lambda s: jaxdyn.lyapunov_spectrum(s, **steps).exponents),
        "lorenz": (
            jaxdyn.models.lorenz63(),
            "rho",
            (20.0, 50.0),
            lambda s: jaxdyn.lyapunov_spectrum(s, dt=0.01, n_steps=2000).exponents,
        ),
        "fixed points": (neuron, *current, lambda s: jaxdyn.fixed_points(s, box=[(-3, 3), (-3, 3)]).x),
        "eigenvalues": (neuron, *current, jaxdyn.eigenvalues),
    }[name]


def run_alone(name: str, way: str, start: str) -> None:
    """One run, in this process; prints its seconds."""
    if start == "imported":
        import jax.numpy as jnp
        import xarray

        import jaxdyn

        jaxdyn.models  # noqa: B018
        jnp.zeros(3) + 1
    began = time.perf_counter()
    import jax
    import numpy as np

    import jaxdyn

    system, swept, ends, measure = problem(name)
    values = np.linspace(*ends, N_CELLS, dtype=np.float32)
    if way == "jaxdyn.sweep":
        found = next(iter(jaxdyn.sweep(measure, system, {swept: values}, progress=False).data_vars.values())).values
    else:
        cells = jax.jit(jax.vmap(lambda value: measure(system.with_params(**{swept: value}))))
        found = np.asarray(cells(values))
        if way != "jax.vmap":
            import xarray

            dims = (swept, *(f"axis{i}" for i in range(1, found.ndim)))
            found = xarray.Dataset({"value": (dims, found)}, {swept: values})["value"].values
    assert found.shape[0] == N_CELLS
    print(time.perf_counter() - began)


def seconds(name: str, way: str, start: str) -> float:
    """One run in a process of its own, which may keep the bytecode of what it imports, as installed packages do."""
    words = [sys.executable, __file__, "--alone", name, way, start]
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(words, check=True, capture_output=True, text=True, env=cached).stdout)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    arguments.add_argument("--smoke", action="store_true", help="one run of each, nothing is written")
    arguments.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.alone:
        run_alone(*options.alone)
        return
    import timing

    results = {}
    for name, start in itertools.product(options.problems, STARTS):
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(1 if options.smoke else options.repetitions):
            for way in WAYS:
                times[way].append(seconds(name, way, start))
        medians = {way: statistics.median(of) for way, of in times.items()}
        found = {"load_average": os.getloadavg()[0], "seconds": times, "median_seconds": medians}
        results.setdefault(name, {})[start] = found
        print(
            f"{name:14}{start:10}" + "".join(f"{way} {median:.2f} s   " for way, median in medians.items()), flush=True
        )
    if not options.smoke:
        path = timing.save(timing.named("bench_first", options.problems, PROBLEMS), results)
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
