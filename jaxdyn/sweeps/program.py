"""The compiled programs of a sweep's chunks: how many cells they take, and what names them."""

import contextlib
import dataclasses
import importlib
import math
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdyn._fingerprint import digest, program_parts, without_threads
from jaxdyn._types import Array
from jaxdyn.engine.census import Census, census
from jaxdyn.engine.cores import n_cores
from jaxdyn.engine.engines import COMPONENTS, Automatic, Engine, multiplies
from jaxdyn.engine.programs import COMPILER_OPTIONS
from jaxdyn.engine.transform import is_refused
from jaxdyn.engine.transform import lanes as batch
from jaxdyn.errors import JaxdynWarning
from jaxdyn.sweeps.devices import default_memory, on_devices, round_up
from jaxdyn.sweeps.grid import Grid
from jaxdyn.sweeps.known import Equations
from jaxdyn.system import System

__all__ = ["Program", "Programs", "Settings", "chunk_programs", "compiled_once", "widest"]

# Cells of one chunk unless memory is shorter. Where the work in a cell is known, a chunk has so many that it takes a
# good part of a second; else few on a CPU, which make progress and resume fine. An accelerator needs many to be full.
LANES = {"cpu": 4096}
MAX_LANES = {"cpu": 1 << 17}
LANES_ELSEWHERE = 1 << 18
WORK = 2 * 10**10
"""Equations of a chunk on a CPU; C programs do 1e11 a second on a core, XLA's 1e10."""

# Chunks of which few cells are missing are computed by programs of so much fewer cells each, and not of every number.
FEWER = 4

# Bytes of the widest intermediate result of a chunk on a CPU. An iteration that goes on until the last lane ends
# (fixed points) is wide, and gains most from few lanes.
MAX_WIDTH = 1 << 22
MARGIN = 8
"""Of results of many cells over those of one, so many times: narrower ones are not looked at, which takes a tracing."""


@dataclasses.dataclass(frozen=True)
class Program:
    """Compiled code for some cells at once; it takes the leaves of its arguments."""

    run: Any
    digest: str
    """Names the code: equations, measure, options, shapes, dtypes."""
    n_workers: int
    """How many chunks may be in flight."""
    lanes: int = 1
    calls_back: bool = False
    """Whether it calls Python, of which the name says nothing."""


class Programs:
    """The program that the chunks run by, and smaller ones where the device's memory turns out too short for it."""

    def __init__(self, first: Program, make: Callable[[int], Program]) -> None:
        self.first = first
        self._now, self._make, self._lock = first, make, threading.Lock()
        self._for_few: dict[int, Program] = {}

    def of(self, cells: int) -> Program:
        """The program for so many cells: for far fewer than a chunk has, a smaller one."""
        program = self._now
        lanes = program.lanes
        while lanes // FEWER >= cells:
            lanes //= FEWER
        if lanes == program.lanes:
            return program
        with self._lock:
            if lanes not in self._for_few:
                self._for_few[lanes] = self._make(lanes)
            return self._for_few[lanes]

    def halve(self, failed: Program) -> bool:
        """Take half as many cells at once as in a program that ran out of memory; False if it had one only."""
        with self._lock:
            if self._now is not failed:
                return self._now.lanes < failed.lanes  # another thread did
            smaller = self._make(-(-failed.lanes // 2))
            if smaller.lanes >= failed.lanes:  # one cell, or one a device
                return False
            if failed is self.first:
                warnings.warn(
                    f"out of memory with {failed.lanes} cells at a time; going on with fewer; "
                    "a smaller `memory` for the sweep makes it begin so",
                    JaxdynWarning,
                    stacklevel=2,
                )
            self._now = smaller
            return True


def n_workers() -> int:
    """Chunks in flight: one for each core of a CPU; two on an accelerator, so that copying overlaps computing."""
    return n_cores() if jax.default_backend() == "cpu" else 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the caller of a sweep may set about its chunks."""

    lanes: int | None = None
    """Cells of a chunk; by default as many as fit caches and memory."""
    budget: int | None = None
    """Bytes that the chunks in flight may take on each device."""
    engine: Engine | None = None
    """How the cells of a chunk are computed."""
    devices: tuple[Any, ...] = ()
    """Which compute together; none for JAX's default device."""
    alone: bool = True
    """Whether this process computes all chunks: then some need not be left for others."""


def chunk_programs(
    names: tuple[str, ...], system: System, grid: Grid, key: Array, settings: Settings, equations: Equations
) -> tuple[tuple[int, ...], Programs]:
    """Shape of a chunk and its programs; the caller's number of cells, or one that fits caches and memory."""
    chunks = _Chunks(equations.cell(names), system, grid, key, settings)

    def fitting() -> tuple[tuple[int, ...], Program, Callable[[int], Program]]:
        return *chunks.fitting(equations), chunks.program

    chunk, first, make = equations.known((names, grid.shape, settings, n_workers()), fitting)
    return chunk, Programs(first, make)


IN_AXES = (None, 0, 0, None)
"""Of a cell's arguments: system, swept values, numbers, key."""


class _Chunks:
    """Chunks of a sweep, of any number of cells, and their programs."""

    def __init__(self, cell: Callable[..., Any], system: System, grid: Grid, key: Array, settings: Settings) -> None:
        self.cell, self.system, self.grid, self.key, self.settings = cell, system, grid, key, settings
        self.batched = batch(cell, IN_AXES, engine=settings.engine or Automatic(grid.size))
        self.n_devices = max(1, len(settings.devices))

    def arguments(self, lanes: int) -> tuple[Any, ...]:
        """Arguments for so many cells, of which only the shapes count."""
        one = (1,) * len(self.grid.shape)
        values, numbers = self.grid.cells(next(self.grid.regions(one)), one)
        return (
            self.system,
            {name: np.repeat(array, lanes, 0) for name, array in values.items()},
            np.repeat(numbers, lanes),
            self.key,
        )

    def program(self, lanes: int) -> Program:
        """Compiled code for so many cells, or a few more that the devices share evenly."""
        shared = round_up(lanes, self.n_devices)
        given = self.arguments(lanes), shared, self.settings.devices, self.arguments(shared)
        try:
            return compiled_once(self.batched, *given)
        except jax.errors.JaxRuntimeError as error:
            if not is_refused(error):
                raise
        return compiled_once(jax.vmap(self.cell, IN_AXES), *given)

    def fitting(self, equations: Equations) -> tuple[tuple[int, ...], Program]:
        """The chunk that was asked for, or the largest that caches and memory have room for."""
        if self.settings.lanes is not None:
            chunk = self.grid.chunk_shape(self.settings.lanes)
            return chunk, self.program(math.prod(chunk))
        budget = self.settings.budget or default_memory()
        lanes = self._narrowed(self._by_work(equations), equations)
        while True:
            chunk = self.grid.chunk_shape(lanes)
            compiled = self.program(math.prod(chunk))
            needed = _memory_of(compiled.run) * compiled.n_workers
            if needed <= budget or lanes == 1:
                return chunk, compiled
            lanes = max(1, min(lanes // 2, lanes * budget // needed))

    def _by_work(self, equations: Equations) -> int:
        """Cells of a chunk by the work in each: some for every worker, unless one product of matrices serves all."""
        flags = [axis == 0 for axis, of in zip(IN_AXES, self.arguments(1), strict=True) for _ in jax.tree.leaves(of)]
        counts = census(equations.jaxpr, flags, COMPONENTS)
        share = self.grid.size if self.settings.alone and multiplies(counts) else -(-self.grid.size // n_workers())
        return min(self.n_devices * _most(counts), share)

    def _narrowed(self, lanes: int, equations: Equations) -> int:
        """So few cells that the widest results in between stay in the caches of a CPU."""
        alone = widest(equations.jaxpr)
        if jax.default_backend() != "cpu" or lanes * alone * MARGIN < self.n_devices * MAX_WIDTH:
            return lanes
        width = widest(jax.make_jaxpr(self.batched)(*self.arguments(lanes)).jaxpr) - alone
        return max(1, min(lanes, self.n_devices * lanes * MAX_WIDTH // max(1, width)))


def _most(counts: Census) -> int:
    """Most cells of a chunk, by the work in each."""
    platform = jax.default_backend()
    few = LANES.get(platform, LANES_ELSEWHERE)
    most = MAX_LANES.get(platform, LANES_ELSEWHERE)
    if not counts.loops or counts.dense or counts.fallbacks:
        return few
    return max(few, min(most, WORK // (counts.iterations * max(1, counts.in_loops))))


def widest(jaxpr: Any) -> int:
    """Bytes of the widest result of any equation, also inside loops and calls."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes.append(sum(_width(v.aval) for v in equation.outvars))
        sizes += [widest(inner) for value in equation.params.values() for inner in _jaxprs(value)]
    return max(sizes)


def _width(aval: Any) -> int:
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


def compiled_once(
    function: Any,
    arguments: tuple[Any, ...],
    lanes: int = 1,
    devices: tuple[Any, ...] = (),
    shared_out: tuple[Any, ...] = (),
) -> Program:
    """Program of this process for so many cells, found by its code: a repeated sweep compiles nothing.

    It takes the arguments' leaves: all of them and nothing else, because equal code may stand for systems whose
    fields are different objects, or read different parameters of one system. Several devices take `shared_out`, cells
    that they share evenly; the program's name stays that of one device, because results do not depend on their number.
    """
    tree, leaves = jax.tree.structure(arguments), jax.tree.leaves(arguments)
    flat = jax.jit(lambda leaves: function(*jax.tree.unflatten(tree, leaves)), keep_unused=True)
    lowered = flat.lower(leaves)
    text, *beside = program_parts(lowered)
    name = digest([without_threads(text), *beside])
    # XLA's batched LAPACK kernels wait, inside the CPU's thread pool, for other tasks of the same pool: two of them
    # at once can wait for each other for ever (jax 0.10).
    workers = 1 if "lapack_" in text else n_workers()
    if devices:
        arguments, leaves = shared_out, jax.tree.leaves(shared_out)
        lowered = on_devices(function, tree, leaves, devices).lower(leaves)
        text, *beside = program_parts(lowered)
    options = COMPILER_OPTIONS.get(jax.default_backend())
    if "callback" in text:  # the text numbers Python callbacks without telling them apart
        return Program(_compiled(lowered, options), name, workers, lanes, calls_back=True)
    key = digest([text, *map(str, devices or jax.local_devices()[:1]), *beside])
    program = _COMPILED.pop(key, None) or Program(_compiled(lowered, options), name, workers, lanes)
    _COMPILED[key] = program
    if len(_COMPILED) > 16:
        _COMPILED.popitem(last=False)
    return program


def _compiled(lowered: Any, options: Any) -> Any:
    """Code of a program; while it is compiled, which Python has no part in, what labels the results is imported."""

    def labels() -> None:
        with contextlib.suppress(Exception):  # it is imported once more where it is needed, which says what is wrong
            importlib.import_module("xarray")

    if "xarray" not in sys.modules:
        threading.Thread(target=labels, name="jaxdyn-import").start()
    return lowered.compile(options)


def _memory_of(compiled: Any) -> int:
    """Bytes that a program takes while it runs."""
    usage = compiled.memory_analysis()
    return 0 if usage is None else int(usage.temp_size_in_bytes + usage.output_size_in_bytes)
