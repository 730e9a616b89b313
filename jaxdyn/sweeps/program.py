"""The compiled program of a chunk: how many lanes it has, and what names it."""

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import jax

from jaxdyn._fingerprint import digest, program_parts
from jaxdyn._types import Array
from jaxdyn.engine.cores import n_cores
from jaxdyn.engine.engines import Automatic, Engine
from jaxdyn.engine.programs import COMPILER_OPTIONS
from jaxdyn.engine.transform import is_refused
from jaxdyn.engine.transform import lanes as batch
from jaxdyn.sweeps.grid import Grid
from jaxdyn.sweeps.known import Equations
from jaxdyn.sweeps.measure import Cell
from jaxdyn.system import System

__all__ = ["Program", "Settings", "chunk_program", "compiled_once", "widest"]

# Lanes of one chunk unless memory is shorter. Larger chunks are slower on a CPU (they leave its caches)
# and make progress and resume coarse; an accelerator needs many lanes to be full.
MAX_LANES = {"cpu": 4096}
MAX_LANES_ELSEWHERE = 1 << 18

# Bytes of the widest intermediate result of a chunk on a CPU. An iteration that goes on until the last lane ends
# (fixed points) is wide, and gains most from few lanes.
MAX_WIDTH = 1 << 22


@dataclasses.dataclass(frozen=True)
class Program:
    """Compiled code of one chunk; it takes the leaves of its arguments."""

    run: Any
    digest: str
    """Names the code: equations, measure, options, shapes, dtypes."""
    n_workers: int
    """How many chunks may be in flight."""


def n_workers() -> int:
    """Chunks in flight: one for each core of a CPU; two on an accelerator, so that copying overlaps computing."""
    return n_cores() if jax.default_backend() == "cpu" else 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the caller of a sweep may set about its chunks."""

    lanes: int | None
    """Cells of a chunk; by default as many as fit caches and memory."""
    budget: int
    """Bytes that the chunks in flight may take."""
    engine: Engine | None
    """How the cells of a chunk are computed."""


def chunk_program(
    cell: Cell, system: System, grid: Grid, key: Array, settings: Settings, equations: Equations
) -> tuple[tuple[int, ...], Program]:
    """Shape of a chunk and its program; the caller's number of lanes, or one that fits caches and memory."""
    in_axes = (None, 0, 0, None)
    batched = batch(cell, in_axes, engine=settings.engine or Automatic(grid.size))

    def arguments(lanes: int) -> tuple[Any, ...]:
        chunk = grid.chunk_shape(lanes)
        return (system, *grid.cells(next(grid.regions(chunk)), chunk), key)

    def program(lanes: int) -> Program:
        try:
            return compiled_once(batched, arguments(lanes))
        except jax.errors.JaxRuntimeError as error:
            if not is_refused(error):
                raise
        return compiled_once(jax.vmap(cell, in_axes), arguments(lanes))

    def fitting() -> tuple[tuple[int, ...], Program]:
        if settings.lanes is not None:
            return grid.chunk_shape(settings.lanes), program(settings.lanes)
        lanes = min(MAX_LANES.get(jax.default_backend(), MAX_LANES_ELSEWHERE), -(-grid.size // n_workers()))
        if jax.default_backend() == "cpu":
            width = widest(jax.make_jaxpr(batched)(*arguments(lanes)).jaxpr) - widest(equations.jaxpr)
            lanes = max(1, min(lanes, lanes * MAX_WIDTH // max(1, width)))
        while True:
            compiled = program(lanes)
            needed = _bytes(compiled.run) * compiled.n_workers
            if needed <= settings.budget or lanes == 1:
                return grid.chunk_shape(lanes), compiled
            lanes = max(1, min(lanes // 2, lanes * settings.budget // needed))

    return equations.known((cell.keep, grid.shape, settings, n_workers()), fitting)


def widest(jaxpr: Any) -> int:
    """Bytes of the widest result of any equation, also inside loops and calls."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes.append(sum(_size(v.aval) for v in equation.outvars))
        sizes += [widest(inner) for value in equation.params.values() for inner in _jaxprs(value)]
    return max(sizes)


def _size(aval: Any) -> int:
    """Bytes of an array; random keys and tokens count nothing."""
    return math.prod(getattr(aval, "shape", ())) * getattr(getattr(aval, "dtype", None), "itemsize", 0)


def _jaxprs(value: Any) -> Iterator[Any]:
    if hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _jaxprs(part)


_COMPILED: OrderedDict[str, Program] = OrderedDict()


def compiled_once(function: Any, arguments: tuple[Any, ...]) -> Program:
    """Program of this process, found by its code: a repeated sweep compiles nothing.

    It takes the arguments' leaves: all of them and nothing else, because equal code may stand for systems whose
    fields are different objects, or read different parameters of one system.
    """
    tree = jax.tree.structure(arguments)
    flat = jax.jit(lambda leaves: function(*jax.tree.unflatten(tree, leaves)), keep_unused=True)
    lowered = flat.lower(jax.tree.leaves(arguments))
    text, *beside = program_parts(lowered)
    name = digest([text, str(jax.devices()[0]), *beside])
    # XLA's batched LAPACK kernels wait, inside the CPU's thread pool, for other tasks of the same pool: two of them
    # at once can wait for each other for ever (jax 0.10).
    workers = 1 if "lapack_" in text else n_workers()
    options = COMPILER_OPTIONS.get(jax.default_backend())
    if "callback" in text:  # the text numbers Python callbacks without telling them apart
        return Program(lowered.compile(options), name, workers)
    program = _COMPILED.pop(name, None) or Program(lowered.compile(options), name, workers)
    _COMPILED[name] = program
    if len(_COMPILED) > 16:
        _COMPILED.popitem(last=False)
    return program


def _bytes(compiled: Any) -> int:
    usage = compiled.memory_analysis()
    return 0 if usage is None else int(usage.temp_size_in_bytes + usage.output_size_in_bytes)
