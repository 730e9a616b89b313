"""Plan of a sweep: its compiled chunk, the arrays it fills, and the fingerprint that names it."""

import contextlib
import dataclasses
import functools
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._fingerprint import digest, environment, program_parts
from jaxdyn._types import default_dtype
from jaxdyn.engine.engines import Engine
from jaxdyn.errors import Status
from jaxdyn.sweeps.devices import is_out_of_memory
from jaxdyn.sweeps.grid import Grid, Region, place
from jaxdyn.sweeps.known import Equations
from jaxdyn.sweeps.measure import Cell, Variable, first_cell, kept
from jaxdyn.sweeps.program import Program, Programs, Settings, chunk_programs, compiled_once
from jaxdyn.system import System

__all__ = ["CELL", "PROGRAM", "Layout", "Plan", "make_plan"]

PROGRAM = "equations, measure or keep"
CELL = "what a cell computes"


@dataclasses.dataclass(frozen=True)
class Layout:
    """One array of the data set: its own axes (behind those of the grid), and its type."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    words: str = ""
    unit: str = ""

    @property
    def fill(self) -> Any:
        """Value of cells that are not computed."""
        if self.name == "status":
            return np.int8(Status.NOT_RUN)
        return self.dtype.type(np.nan if self.dtype.kind in "fc" else 0)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything needed to compute any region of the grid."""

    system: System
    grid: Grid
    chunk: tuple[int, ...]
    layouts: tuple[Layout, ...]
    coordinates: dict[str, tuple[tuple[str, ...], np.ndarray[Any, Any]]]
    programs: Programs
    seed: np.uint32
    takes_key: bool
    x64: bool
    cell: Callable[..., Any]
    engine: Engine | None

    @functools.cached_property
    def fingerprint(self) -> dict[str, str]:
        """Digests of all that decides the numbers: a store with another one belongs to another sweep."""
        values = [array for axis in self.grid.axes for pair in axis.values.items() for array in pair]
        swept = {target: np.zeros_like(array[0]) for axis in self.grid.axes for target, array in axis.values.items()}
        rest = place(self.system, swept)  # a default of what is swept decides nothing
        return {
            "chunk": json.dumps(self.chunk),
            PROGRAM: self.programs.first.digest,
            CELL: self._cell_digest(),
            "parameters and start": digest([*rest.params.keys(), *jax.tree.leaves(rest)]),
            "grid": digest([*self.grid.dims, *values]),
            "seed": digest([self.seed]) if self.takes_key else "unused",
            "engine": repr(self.engine),
            "environment": json.dumps(environment(), sort_keys=True),
        }

    def _cell_digest(self) -> str:
        """Digest of what is computed in one cell, whatever the chunks."""
        one = (1,) * len(self.grid.shape)
        values, numbers = self.grid.cells(next(self.grid.regions(one)), one)
        values = {name: array[0] for name, array in values.items()}
        with jax.enable_x64(self.x64):
            lowered = jax.jit(self.cell, keep_unused=True).lower(self.system, values, numbers[0], self.seed)
        return digest(program_parts(lowered))

    def compute(self, region: Region, wanted: np.ndarray[Any, Any] | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Results of a region, or of the wanted cells in it, cropped to it, in host memory."""
        values, numbers = self.grid.cells(region, self.chunk)
        crop = tuple(slice(0, r.stop - r.start) for r in region)
        if wanted is None:
            results = self._of_cells(values, numbers)
            return {name: array.reshape(*self.chunk, *array.shape[1:])[crop] for name, array in results.items()}
        whole = np.zeros(self.chunk, bool)
        whole[crop] = wanted
        index = np.flatnonzero(whole)
        results = {a.name: np.full((*wanted.shape, *a.shape), a.fill, a.dtype) for a in self.layouts}
        if len(index):
            for name, array in self._of_cells({k: v[index] for k, v in values.items()}, numbers[index]).items():
                results[name][wanted] = array
        return results

    def _of_cells(self, values: dict[str, Any], numbers: Any) -> dict[str, np.ndarray[Any, Any]]:
        with jax.enable_x64(self.x64):  # a thread does not inherit the mode of the one that started it
            while True:
                program = self.programs.of(len(numbers))
                try:
                    return self._in_pieces(program, values, numbers)
                except (jax.errors.JaxRuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error) or not self.programs.halve(program):
                        raise

    def _in_pieces(self, program: Program, values: dict[str, Any], numbers: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Results of all cells of a chunk by a program for as many or fewer; the last piece is filled up."""
        parts: list[dict[str, np.ndarray[Any, Any]]] = []
        for start in range(0, len(numbers), program.lanes):
            index = np.minimum(np.arange(start, start + program.lanes), len(numbers) - 1)
            piece = {name: array[index] for name, array in values.items()}
            with _alone(program):
                found = program.run(jax.tree.leaves((self.system, piece, numbers[index], self.seed)))
                parts.append({name: np.asarray(array) for name, array in found.items()})
        whole = parts[0] if len(parts) == 1 else {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        return {name: array[: len(numbers)] for name, array in whole.items()}


_ONE_AT_A_TIME = threading.Lock()


def _alone(program: Program) -> Any:
    """Context in which a program runs that must not run twice at once, whoever's threads it runs in."""
    return _ONE_AT_A_TIME if program.n_workers == 1 else contextlib.nullcontext()


def make_plan(
    system: System, grid: Grid, measure: Any, keep: tuple[str, ...] | None, seed: int, settings: Settings
) -> Plan:
    """Trace the measure, choose what is kept, choose the chunk, compile it."""
    one = first_cell(system, grid, seed)
    probe = Cell(measure)
    traced, shapes = jax.make_jaxpr(probe, return_shape=True)(*one)
    equations = Equations(traced, shapes)
    constants = _constants(probe.variables, one, equations)
    names = [name for name in kept(probe.variables, keep) if name not in constants]
    dims = _unique_dims(probe.variables, shapes, constants, grid.names)
    used = {dim for name in names for dim in dims[name]}
    coordinates = {
        dims[name][0] if value.ndim == 1 else name: (dims[name], value)
        for name, value in constants.items()
        if used.issuperset(dims[name]) or (keep is not None and name in keep)
    }
    wanted = tuple(dict.fromkeys([*names, "status"]))
    layouts = tuple(_layout(name, dims.get(name, ()), shapes[name], probe.variables.get(name)) for name in wanted)
    _check_names(grid, layouts, coordinates)
    cell = equations.cell(wanted)
    chunk, programs = chunk_programs(wanted, system, grid, one[-1], settings, equations)
    takes_key, x64 = any(probe.takes_key.values()), default_dtype() == np.float64
    return Plan(system, grid, chunk, layouts, coordinates, programs, one[-1], takes_key, x64, cell, settings.engine)


def _layout(name: str, dims: tuple[str, ...], array: Any, variable: Variable | None) -> Layout:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        raise TypeError(f"{name!r} is a random key; let the measure return numbers drawn with it, or its key_data")
    label = (variable.words, variable.unit) if variable else ()
    return Layout(name, dims, array.shape, np.dtype(array.dtype), *label)


def _constants(
    variables: dict[str, Variable], one: tuple[Any, ...], equations: Equations
) -> dict[str, np.ndarray[Any, Any]]:
    """Values of the coordinates that are the same in all cells."""
    leaves = jax.tree.leaves(one)
    differ = [i in (1, 2) for i, part in enumerate(one) for _ in jax.tree.leaves(part)]  # swept values and numbers

    def program(name: str) -> Program | None:
        return compiled_once(equations.alone(name), tuple(leaves)) if equations.is_constant(name, differ) else None

    found = {}
    for name in [name for name, variable in variables.items() if variable.is_coordinate]:
        if compiled := equations.known(("constant", name), functools.partial(program, name)):
            found[name] = np.asarray(compiled.run(leaves))
    return found


def _unique_dims(
    variables: dict[str, Variable], shapes: dict[str, Any], constants: dict[str, np.ndarray[Any, Any]], taken: set[str]
) -> dict[str, tuple[str, ...]]:
    """Axis names of each variable; where results disagree on an axis or it is taken, their names come in front."""
    lengths: dict[str, set[int]] = {}
    labels: dict[str, set[bytes]] = {}
    for name, variable in variables.items():
        for dim, length in zip(variable.axes(shapes[name].ndim), shapes[name].shape, strict=True):
            lengths.setdefault(dim, set()).add(length)
            if name in constants:
                labels.setdefault(dim, set()).add(constants[name].tobytes())

    def rename(dim: str, variable: Variable) -> str:
        unique = dim not in taken and len(lengths[dim]) == 1 and len(labels.get(dim, ())) < 2
        return dim if unique or not variable.owner else f"{variable.owner}_{dim}"

    return {
        name: tuple(rename(dim, variable) for dim in variable.axes(shapes[name].ndim))
        for name, variable in variables.items()
    }


def _check_names(grid: Grid, layouts: tuple[Layout, ...], coordinates: dict[str, Any]) -> None:
    """Refuse a data set in which one name would mean two things."""
    results = {layout.name for layout in layouts}
    if wrong := [name for name in results if not re.fullmatch(r"[\w-]+", name)]:
        raise ValueError(f"a result's name is made of letters, digits and underscores, got {wrong[0]!r}; rename it")
    axes = {*coordinates, *(dim for layout in layouts for dim in layout.dims)}
    for name in sorted((grid.names & (results | axes)) | (results & axes)):
        raise ValueError(
            f"{name!r} would be {'a swept value' if name in grid.names else 'an axis'} and a result; name the "
            "measure, as in sweep({'end': measure}, ...), or let it return a dict with names of your own"
        )
