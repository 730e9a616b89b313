"""Timing of contenders side by side, and the record of a result: numbers, device, versions, commit, load."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

RESULTS = Path(__file__).parent / "results"


def seconds_of(run: Callable[[], Any]) -> float:
    """Wall time of one call, until its result is there."""
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


def side_by_side(
    contenders: Mapping[str, Callable[[], Any]], *, repetitions: int, work: float | Mapping[str, float]
) -> dict[str, Any]:
    """Times of each contender: the first call, with compilation, and warm calls in turn.

    Turns are interleaved, so that a change in the machine's load meets all contenders alike. `work` is
    what one call does, such as lane-steps, of all contenders or of each; the rate is work over the shortest warm time.
    """
    works = work if isinstance(work, Mapping) else dict.fromkeys(contenders, work)
    first = {name: seconds_of(run) for name, run in contenders.items()}
    warm: dict[str, list[float]] = {name: [] for name in contenders}
    load = [os.getloadavg()[0]]
    for _ in range(repetitions):
        for name, run in contenders.items():
            warm[name].append(seconds_of(run))
        load.append(os.getloadavg()[0])
    rows = {name: _row(first[name], times, works[name]) for name, times in warm.items()}
    return {"work": max(works.values()), "load_average": load, "contenders": rows}


def _row(first: float, warm: list[float], work: float) -> dict[str, Any]:
    return {
        "first_call_s": first,
        "warm_min_s": min(warm),
        "warm_median_s": float(np.median(warm)),
        "warm_s": warm,
        "work_per_s": work / min(warm),
        "work_per_s_median": work / float(np.median(warm)),
    }


def table(result: Mapping[str, Any]) -> str:
    """Result of `side_by_side` as text, one contender a line."""
    lines = [f"{'':34}{'first s':>9}{'min s':>10}{'median s':>10}{'work/s':>12}"]
    for name, row in result["contenders"].items():
        times = f"{row['first_call_s']:9.2f}{row['warm_min_s']:10.4f}{row['warm_median_s']:10.4f}"
        lines.append(f"{name:34}{times}{row['work_per_s']:12.3g}")
    return "\n".join(lines)


def environment() -> dict[str, Any]:
    """Where the numbers were measured."""
    packages = ("jaxdyn", "jax", "jaxlib", "numpy", "diffrax", "equinox", "optax")
    rivals = ("numba", "lyapax", "jitcode", "pynamicalsys", "heyoka")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in (*packages, *rivals)} | {"cc": _compiler()},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "jaxdyn", "benchmarks/*.py")),
    }


def named(question: str, chosen: Collection[str], known: Collection[str]) -> str:
    """Name of a result: a part of the problems does not overwrite the result of all."""
    return question if set(chosen) == set(known) else "_".join([question, *chosen])


def save(question: str, results: Mapping[str, Any]) -> Path:
    """Write `results/<question>_<device>.json` and return its path."""
    where = environment()
    path = RESULTS / f"{question}_{where['device'].lower().replace(' ', '_')}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"question": question, "environment": where, "results": results}, indent=2) + "\n")
    return path


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compiler() -> str | None:
    """Version of the C compiler."""
    try:
        run = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout.splitlines()[0].split()[-1] if run.stdout else None


def _git(*words: str) -> str:
    run = subprocess.run(["git", *words], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def _processor() -> str:
    """Name of the processor; Linux tells it in /proc/cpuinfo only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
