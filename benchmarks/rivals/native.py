"""Hand-written C with SIMD vectors and OpenMP, `kernels.c`, compiled with the system's compiler."""

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from contest import Program, Unavailable
from ensembles import Ensemble, Values

# Threads of OpenMP that wait must not take the cores from the next contender.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

SOURCE = Path(__file__).parent / "kernels.c"
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp", "-fPIC", "-w")
WIDTH = 16
"""Lanes of one vector, as in kernels.c."""


def end_states(problem: Ensemble, values: Values, n_steps: int, *, fast: bool = True) -> dict[str, Program]:
    """Last states (lanes, dim), with vectors in groups of 1 to 8; `fast`: the compiler may rearrange arithmetic."""
    return {
        f"blocks of {WIDTH * groups}": _program(
            problem.kernel, problem, values, n_steps, problem.x0, _build(groups, problem.system.dim, fast), groups
        )
        for groups in (2, 4, 1, 8)
    }


def spectra(
    problem: Ensemble, values: Values, n_transient: int, n_steps: int, frame: np.ndarray[Any, Any]
) -> dict[str, Program]:
    """Lyapunov exponents (lanes, 3) of the Lorenz system."""
    start = np.concatenate([problem.x0, frame.ravel()])
    last = (ctypes.c_long(n_transient),)
    return {
        f"blocks of {WIDTH * groups}": _program(
            "lorenz_spectrum", problem, values, n_steps, start, _build(groups, 3, True), groups, last
        )
        for groups in (1, 2)
    }


def _program(
    kernel: str,
    problem: Ensemble,
    values: Values,
    n_steps: int,
    start: np.ndarray[Any, Any],
    library: ctypes.CDLL,
    groups: int,
    last: tuple[Any, ...] = (),
) -> Program:
    block = WIDTH * groups
    n = len(next(iter(values.values())))
    padded = np.stack([np.pad(array, (0, -n % block), mode="edge") for array in values.values()])
    inputs = [np.ascontiguousarray(array, np.float32) for array in (problem.shared, start, padded)]
    end = np.empty((problem.system.dim, padded.shape[1]), np.float32)
    counts = (ctypes.c_long(padded.shape[1]), ctypes.c_long(n_steps), ctypes.c_float(problem.dt or 0))
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*inputs, end)]

    def run() -> np.ndarray[Any, Any]:
        getattr(library, kernel)(*counts, *pointers, *last)
        return end[:, :n].T

    run.arrays = inputs  # type: ignore[attr-defined]  # the pointers live as long as the program
    return run


@functools.cache
def _build(groups: int, sites: int, fast: bool) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("no C compiler (cc) on this machine")
    folder = Path(tempfile.mkdtemp(prefix="jaxdyn-kernels-"))
    arithmetic = ("-ffast-math",) if fast else ("-ffp-contract=off",)
    options = (*FLAGS, *arithmetic, f"-DGROUPS={groups}", f"-DSITES={max(sites, 4)}")
    # Linked without -ffast-math: with it, loading the library would switch the whole process to flushing denormals.
    for words in (
        (compiler, *options, "-c", SOURCE, "-o", folder / "kernels.o"),
        (compiler, "-shared", "-fopenmp", folder / "kernels.o", "-o", folder / "kernels.so", "-lm"),
    ):
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode:
            raise Unavailable(f"cc failed: {run.stderr.strip().splitlines()[0]}")
    library = ctypes.CDLL(str(folder / "kernels.so"))
    shutil.rmtree(folder)
    return library
