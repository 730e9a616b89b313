"""From a request to its results: everything is checked first, then computed, then reported."""

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np

import jaxdyn
from jaxdyn._cli_measures import grid_of, measure_of, results_of, system_of
from jaxdyn._cli_modules import importable, is_own
from jaxdyn._cli_request import Request
from jaxdyn._cli_results import draw, rehearse, summary, where
from jaxdyn._cli_stop import Interrupted
from jaxdyn._cli_write import as_toml
from jaxdyn.sweeps.progress import StoreProgress, progress_or_none
from jaxdyn.system import System

__all__ = ["DIRECTORY", "TEXT", "carry_out"]

TEXT, DIRECTORY = "sweep_toml", "sweep_directory"
"""Attributes of a store: the description of its sweep, and where modules of the user's are looked for."""


def carry_out(
    request: Request, *, precision: str | None, dry_run: bool = False, again: str = "the same command"
) -> None:
    """Do what is asked for; `again` says what goes on with it after Ctrl-C."""
    with contextlib.ExitStack() as stack:
        if is_own(request.system) or is_own(request.measure):
            stack.enter_context(importable(request.directory, Path.cwd()))
        if precision is not None:
            stack.enter_context(jax.enable_x64(precision == "float64"))
        try:
            _carry_out(request, dry_run)
        except KeyboardInterrupt as error:
            said = f" ({error})" if str(error) else ""
            kept = f"finished chunks are in {request.out} and {again} resumes" if request.out else ""
            raise Interrupted(
                f"interrupted{said}; {kept or 'nothing was stored; with --out it could be resumed'}"
            ) from None


def _carry_out(request: Request, dry_run: bool) -> None:
    system = system_of(request)
    over = grid_of(request, system)
    measure = measure_of(request, system)
    results: dict[str, Any] = {}
    if request.plot is not None or request.origin is not None:
        results = results_of(request, system, over, measure)
    if request.plot is not None:
        rehearse(request, system, over, results)
    elif request.variable or request.select:
        raise ValueError("--variable and --select are for a figure; add --plot PATH")
    begun = progress_or_none(request.out) if request.out else None
    if dry_run:
        click.echo("\n".join(_plan(request, system, over, results, begun)))
        return
    begin = time.perf_counter()
    data = jaxdyn.sweep(
        measure,
        system,
        over,
        store=request.out,
        keep=request.keep,
        chunk=request.chunk,
        memory=request.memory,
        seed=request.seed or 0,
        attributes=_attributes(request, system) if request.out else None,
        progress=not request.quiet,
    )
    seconds = time.perf_counter() - begin
    if request.plot is not None:
        draw(data, request, system, request.plot)
    if not request.quiet:
        stored = f" ({begun.n_done} of them were in the store)" if begun and begun.n_done else ""
        click.echo(f"{request.measure} of {request.system} over {_shape(over)}, {system.dtype}")
        click.echo(f"cells: {data['status'].size} in {seconds:.1f} s{stored}")
        click.echo("\n".join([*summary(data, request), *where(request)]))


def _attributes(request: Request, system: System) -> dict[str, str]:
    """What a store needs so that it can be resumed on its own."""
    text = request.origin.text if request.origin else as_toml(request, system)
    return {TEXT: text, DIRECTORY: str(request.directory.resolve())}


def _plan(
    request: Request, system: System, over: dict[str, np.ndarray], results: dict[str, Any], begun: StoreProgress | None
) -> list[str]:
    """Lines that say what would be done, as far as that is known without compiling."""
    size = math.prod(map(len, over.values()))
    chosen = request.chunk or f"chosen from {request.memory or 'the memory of the device'}"
    cells = f"{math.prod(begun.chunk)} (of the store)" if begun else chosen
    lines = [
        f"{request.measure} of {request.system} over {_shape(over)}, {system.dtype}",
        f"cells: {size}" + (f" ({begun.n_done} of them are in the store)" if begun else ""),
        f"cells of a chunk: {cells}",
    ]
    total = size  # of `status`, one byte a cell
    for name, (variable, value) in results.items():
        if variable.is_coordinate or name == "status":
            continue
        total += size * math.prod(value.shape) * value.dtype.itemsize
        axes = f" ({', '.join(map(str, value.shape))})" if value.shape else ""
        lines.append(f"result: {name}{axes}, {value.dtype}")
    state = "resumed" if begun else "new"
    return [*lines, f"size of the results: {_size(total)}", f"store: {request.out} ({state})"]


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def _shape(over: dict[str, np.ndarray]) -> str:
    return " x ".join(f"{name} ({len(values)})" for name, values in over.items())
