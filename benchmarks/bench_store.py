"""Sweeps that outgrow the memory: a hundred million cells in a store; what writing costs; what a second worker gains.

The large one is the plane of two learners' rates, 10 000 x 10 000 pairs, 200 steps each, float32: time, the most memory
that the process had, and a figure of every 20th pair. Writing is timed against the same compiled chunks in as many
threads, their results thrown away, on half a minute of FitzHugh-Nagumo neurons. Workers are processes of one core.

    python benchmarks/bench_store.py [--parts large writing workers] [--figure plane.png] [--smoke]
"""

import argparse
import concurrent.futures
import functools
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import timing
from ensembles import LEARNERS

import jaxdyn
from jaxdyn.sweeps.grid import make_grid
from jaxdyn.sweeps.plan import make_plan
from jaxdyn.sweeps.program import Settings


def large(folder: Path, smoke: bool, figure: Path | None) -> dict[str, Any]:
    """The plane of learning rates."""
    side = 300 if smoke else 10_000
    rates = np.linspace(0.0, 3.0, side + 1, dtype=np.float32)[1:]
    game = LEARNERS.system.with_state([0.5, 0.2])
    began = time.perf_counter()
    cells = jaxdyn.sweep(
        functools.partial(jaxdyn.final_state, n_steps=200),
        game,
        {"gamma_k": rates, "gamma_w": rates},
        store=folder / "rates.zarr",
    )
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    every = max(1, side // 500)
    few = cells.isel(gamma_k=slice(None, None, every), gamma_w=slice(None, None, every)).load()
    if figure is not None:
        draw(few, figure)
    size = sum(file.stat().st_size for file in (folder / "rates.zarr").rglob("*") if file.is_file())
    return {
        "cells": side**2,
        "seconds": seconds,
        "cells_per_s": side**2 / seconds,
        "most_memory_bytes": memory,
        "store_bytes": size,
        "failed_of_drawn": float((few["status"] != jaxdyn.Status.OK).mean()),
    }


def draw(cells: Any, path: Path) -> None:
    """How far the learners are from agreement after 200 steps."""
    import matplotlib.pyplot as plt

    with jaxdyn.plot.style():
        gap = np.abs(1 - cells["x"].prod("state"))
        gap.attrs = {"long_name": "disagreement |1 - k w| after 200 steps"}
        data = cells[["status"]].assign(disagreement=gap)[["disagreement", "status"]]
        axes = jaxdyn.plot.sweep(data, "disagreement", x="gamma_k", vmax=2.0)
        axes.figure.savefig(path, dpi=200)
        plt.close(axes.figure)


def writing(folder: Path, smoke: bool) -> dict[str, Any]:
    """A stored sweep beside its bare computation."""
    side, n_steps = (64, 200) if smoke else (2000, 20_000)
    neuron = jaxdyn.models.fitzhugh_nagumo()
    over = {"I": np.linspace(0, 1, side), "b": np.linspace(0.6, 0.9, side)}
    measure = functools.partial(jaxdyn.final_state, n_steps=n_steps, dt=0.05)
    grid = make_grid(neuron, over)
    plan = make_plan(neuron, grid, measure, None, 0, Settings())
    program = plan.programs.first

    def bare() -> None:
        def run(region: Any) -> None:
            values, numbers = grid.cells(region, plan.chunk)
            jax.block_until_ready(program.run(jax.tree.leaves((neuron, values, numbers, plan.seed))))

        with concurrent.futures.ThreadPoolExecutor(program.n_workers) as pool:
            list(pool.map(run, grid.regions(plan.chunk)))

    def stored() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            jaxdyn.sweep(measure, neuron, over, store=Path(place) / "s")

    result = timing.side_by_side(
        {"bare": bare, "stored": stored}, repetitions=1 if smoke else 3, work=side**2 * n_steps
    )
    rows = result["contenders"]
    return result | {"times_slower": rows["stored"]["warm_median_s"] / rows["bare"]["warm_median_s"]}


def workers(smoke: bool) -> dict[str, Any]:
    """The same spectra by one worker process and by two."""
    n, n_steps = (64, 20) if smoke else (1 << 17, 4000)
    measure = functools.partial(jaxdyn.lyapunov_spectrum, n_steps=n_steps, n_transient=0, dt=0.01)
    over = {"rho": np.linspace(20.0, 60.0, n)}
    context = multiprocessing.get_context("spawn")
    pools = {k: concurrent.futures.ProcessPoolExecutor(k, context) for k in (1, 2)}

    def by(k: int) -> Any:
        return jaxdyn.sweep(measure, jaxdyn.models.lorenz63(), over, executor=pools[k], chunk=n // 32)

    contenders = {f"{k} workers": functools.partial(by, k) for k in pools}
    result = timing.side_by_side(contenders, repetitions=1 if smoke else 3, work=n * n_steps)
    for pool in pools.values():
        pool.shutdown()
    one, two = (row["warm_median_s"] for row in result["contenders"].values())
    return result | {"times_faster_by_two": one / two}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("large", "writing", "workers")
    arguments.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    arguments.add_argument("--figure", type=Path, help="where the figure of the large one goes")
    arguments.add_argument("--smoke", action="store_true", help="few cells and steps, nothing is written")
    options = arguments.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        if "large" in options.parts:
            results["large"] = large(Path(name), options.smoke, options.figure)
        if "writing" in options.parts:
            results["writing"] = writing(Path(name), options.smoke)
        if "workers" in options.parts:
            results["workers"] = workers(options.smoke)
    for part, result in results.items():
        shown = timing.table(result) if "contenders" in result else ""
        figures = {key: value for key, value in result.items() if isinstance(value, float | int)}
        print("\n".join([part, shown, *(f"  {key}: {value:.4g}" for key, value in figures.items())]))
    if not options.smoke:
        path = timing.save(timing.named("bench_store", options.parts, parts), results)
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
