"""The compiled programs of a sweep's chunks: how many cells they take, and what names them."""

import dataclasses
import math
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdyn._fingerprint import digest, program_parts, without_threads
from jaxdyn.engine.census import Census, census
from jaxdyn.engine.cores import n_cores
from jaxdyn.engine.engines import COMPONENTS, Engine, chosen, multiplies
from jaxdyn.engine.programs import COMPILER_OPTIONS, QUICK_OPTIONS
from jaxdyn.engine.transform import is_refused
from jaxdyn.engine.transform import lanes as batch
from jaxdyn.errors import JaxdynWarning
from jaxdyn.sweeps.devices import default_memory, on_devices, round_up
from jaxdyn.sweeps.grid import Grid
from jaxdyn.sweeps.known import Equations
from jaxdyn.sweeps.sizes import numbers, widest
from jaxdyn.system import System

__all__ = ["Program", "Programs", "Settings", "chunk_programs", "compiled_once"]

# Cells of one chunk unless memory is shorter. Where the work in a cell is known, a chunk has so many that it takes a
# good part of a second; else few on a CPU, which make progress and resume fine. An accelerator needs many to be full.
LANES = {"cpu": 4096}
MAX_LANES = {"cpu": 1 << 17}
LANES_ELSEWHERE = 1 << 18
WORK = 2 * 10**10
"""Equations of a chunk on a CPU; C programs do 1e11 a second on a core, XLA's 1e10."""

SOON = 2 * 10**8
"""Numbers of a sweep from which XLA's optimization pays: some tenths of a second, of compiling or of running."""
FULL = 8
"""Cells of a program without it, on each device: from so many on, their number changes no bit (jax 0.10)."""

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

    def __init__(self, first: Program, make: Callable[[int], Program], fewest: int) -> None:
        self.first, self.fewest = first, fewest
        self._now, self._make, self._lock = first, make, threading.Lock()
        self._for_few: dict[int, Program] = {}

    def of(self, cells: int) -> Program:
        """The program for so many cells: for far fewer than a chunk has, a smaller one."""
        program = self._now
        lanes = program.lanes
        while lanes // FEWER >= max(cells, self.fewest):
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
    names: tuple[str, ...], system: System, grid: Grid, seed: np.uint32, settings: Settings, equations: Equations
) -> tuple[tuple[int, ...], Programs]:
    """Shape of a chunk and its programs; the caller's number of cells, or one that fits caches and memory."""

    def fitting() -> tuple[tuple[int, ...], tuple[Program, Callable[[int], Program], int]]:
        chunks = _Chunks(names, system, grid, seed, settings, equations)
        chunk, first = chunks.fitting()
        return chunk, (first, chunks.program, chunks.full * chunks.n_devices)

    chunk, programs = equations.known((names, grid.shape, settings, n_workers()), fitting)
    return chunk, Programs(*programs)


IN_AXES = (None, 0, 0, None)
"""Of a cell's arguments: system, swept values, numbers, seed."""


class _Chunks:
    """Chunks of a sweep, of any number of cells, and their programs."""

    def __init__(
        self,
        names: tuple[str, ...],
        system: System,
        grid: Grid,
        seed: np.uint32,
        settings: Settings,
        equations: Equations,
    ) -> None:
        self.system, self.grid, self.seed, self.settings, self.equations = system, grid, seed, settings, equations
        self.n_devices = max(1, len(settings.devices))
        leaves = (
            (axis, leaf) for axis, of in zip(IN_AXES, self.arguments(1), strict=True) for leaf in jax.tree.leaves(of)
        )
        flags = [axis == 0 for axis, _ in leaves]
        self.counts = census(equations.jaxpr, flags, COMPONENTS)
        # Chosen by all cells, not by those of a chunk.
        engine = settings.engine or chosen(equations.jaxpr, flags, jax.default_backend(), grid.size)
        self.quick = settings.budget is None and max(grid.size, FULL) * numbers(equations.jaxpr) < SOON
        self.full = FULL if self.quick else 1
        self.cell = equations.cell(names)
        self.batched = batch(self.cell, IN_AXES, engine=engine)

    def arguments(self, lanes: int) -> tuple[Any, ...]:
        """Arguments for so many cells, of which only the shapes count."""
        one = (1,) * len(self.grid.shape)
        values, numbers = self.grid.cells(next(self.grid.regions(one)), one)
        return (
            self.system,
            {name: np.repeat(array, lanes, 0) for name, array in values.items()},
            np.repeat(numbers, lanes),
            self.seed,
        )

    def program(self, lanes: int, full: int = 1) -> Program:
        """Compiled code for so many cells, or a few more that the devices share evenly, `full` each at least."""
        lanes = max(lanes, full)
        shared = round_up(max(lanes, full * self.n_devices), self.n_devices)
        given = self.arguments(lanes), shared, self.settings.devices, self.arguments(shared), self.quick
        try:
            return compiled_once(self.batched, *given)
        except jax.errors.JaxRuntimeError as error:
            if not is_refused(error):
                raise
        return compiled_once(jax.vmap(self.cell, IN_AXES), *given)

    def fitting(self) -> tuple[tuple[int, ...], Program]:
        """The chunk that was asked for, or the largest that caches and memory have room for."""
        if self.settings.lanes is not None:
            chunk = self.grid.chunk_shape(self.settings.lanes)
            return chunk, self.program(math.prod(chunk), self.full)
        budget = self.settings.budget or default_memory()
        lanes = self._narrowed(self._by_work())
        while True:
            chunk = self.grid.chunk_shape(lanes)
            compiled = self.program(math.prod(chunk), self.full)
            needed = _memory_of(compiled.run) * compiled.n_workers
            if needed <= budget or lanes == 1:
                return chunk, compiled
            lanes = max(1, min(lanes // 2, lanes * budget // needed))

    def _by_work(self) -> int:
        """Cells of a chunk by the work in each: some for every worker, unless one product of matrices serves all."""
        serves_all = self.settings.alone and multiplies(self.counts)
        share = self.grid.size if serves_all else -(-self.grid.size // n_workers())
        return min(self.n_devices * _most(self.counts), share)

    def _narrowed(self, lanes: int) -> int:
        """So few cells that the widest results in between stay in the caches of a CPU."""
        alone = widest(self.equations.jaxpr)
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


_COMPILED: OrderedDict[str, Any] = OrderedDict()


def compiled_once(
    function: Any,
    arguments: tuple[Any, ...],
    lanes: int = 1,
    devices: tuple[Any, ...] = (),
    shared_out: tuple[Any, ...] = (),
    quick: bool = True,
) -> Program:
    """Program of this process for so many cells, found by its code: a repeated sweep compiles nothing.

    It takes the arguments' leaves: all of them and nothing else, because equal code may stand for systems whose
    fields are different objects, or read different parameters of one system. Several devices take `shared_out`, cells
    that they share evenly; the program's name stays that of one device, because results do not depend on their number.
    A `quick` program is compiled soon, for what is over soon.
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
    if "callback" in text:  # the text numbers Python callbacks without telling them apart
        return Program(_compiled(lowered, quick), name, workers, lanes, calls_back=True)
    key = digest([text, str(quick), *map(str, devices or jax.local_devices()[:1]), *beside])
    run = _COMPILED.pop(key, None) or _compiled(lowered, quick)
    _COMPILED[key] = run
    if len(_COMPILED) > 16:
        _COMPILED.popitem(last=False)
    return Program(run, name, workers, lanes)


def _compiled(lowered: Any, quick: bool) -> Any:
    """Code of a program."""
    options, soon = (of.get(jax.default_backend(), {}) for of in (COMPILER_OPTIONS, QUICK_OPTIONS))
    if quick:
        try:
            return lowered.compile(options | soon)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
    return lowered.compile(options)


def _memory_of(compiled: Any) -> int:
    """Bytes that a program takes while it runs."""
    usage = compiled.memory_analysis()
    return 0 if usage is None else int(usage.temp_size_in_bytes + usage.output_size_in_bytes)
