"""Plan of a sweep: its compiled chunk, the arrays it fills, and the fingerprint that names it."""

import dataclasses
import hashlib
import json
import math
import os
import platform
from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, default_dtype
from jaxdyn.about import unknown_name
from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Grid, Region
from jaxdyn.sweeps.measure import Cell, Variable
from jaxdyn.system import System

__all__ = ["Layout", "Plan", "make_plan", "n_workers"]

# Lanes of one chunk unless memory is shorter. Larger chunks are slower on a CPU (they leave its caches)
# and make progress and resume coarse; an accelerator needs many lanes to be full.
MAX_LANES = {"cpu": 4096}
MAX_LANES_ELSEWHERE = 1 << 18

PROGRAM = "equations, measure or keep"


@dataclasses.dataclass(frozen=True)
class Layout:
    """One array of the data set: its own axes (behind those of the grid), and its type."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

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
    compiled: Any
    key: Array
    takes_key: bool
    x64: bool
    program: str
    """Digest of the compiled chunk's code: equations, measure, options, dtypes."""

    def fingerprint(self) -> dict[str, str]:
        """Digests of all that decides the numbers: a store with another one belongs to another sweep."""
        values = [array for axis in self.grid.axes for pair in axis.values.items() for array in pair]
        where = {"jax": jax.__version__, "machine": platform.machine(), "device": jax.devices()[0].device_kind}
        return {
            "chunk": json.dumps(self.chunk),
            PROGRAM: self.program,
            "parameters and start": _digest([*self.system.params.keys(), *jax.tree.leaves(self.system)]),
            "grid": _digest([*self.grid.dims, *values]),
            "seed": _digest([jax.random.key_data(self.key)]) if self.takes_key else "unused",
            "environment": json.dumps(where, sort_keys=True),
        }

    def compute(self, region: Region) -> dict[str, np.ndarray[Any, Any]]:
        """Results of a region, cropped to it, in host memory."""
        values, numbers = self.grid.cells(region, self.chunk)
        with jax.enable_x64(self.x64):  # a thread does not inherit the mode of the one that started it
            result = self.compiled(jax.tree.leaves((self.system, values, numbers, self.key)))
        crop = tuple(slice(0, r.stop - r.start) for r in region)
        return {name: np.asarray(array).reshape(*self.chunk, *array.shape[1:])[crop] for name, array in result.items()}


def n_workers() -> int:
    """Chunks in flight: one for each core of a CPU; two on an accelerator, so that copying overlaps computing."""
    return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 2


def make_plan(
    system: System, grid: Grid, measure: Any, keep: tuple[str, ...] | None, seed: int, lanes: int | None, budget: int
) -> Plan:
    """Trace the measure, choose what is kept, choose the chunk, compile it."""
    key = jax.random.key(seed)
    sample = {target: jnp.asarray(array[0]) for axis in grid.axes for target, array in axis.values.items()}
    one = (system, sample, jnp.uint32(0), key)
    probe = Cell(measure)
    shapes = jax.eval_shape(probe, *one)
    constants = _constants(measure, probe.variables, one)
    names = [name for name in _kept(probe.variables, keep) if name not in constants]
    dims = _unique_dims(probe.variables, shapes, constants, grid.names)
    used = {dim for name in names for dim in dims[name]}
    coordinates = {
        dims[name][0] if value.ndim == 1 else name: (dims[name], value)
        for name, value in constants.items()
        if used.issuperset(dims[name]) or (keep is not None and name in keep)
    }
    layouts = tuple(
        Layout(name, dims.get(name, ()), shapes[name].shape, np.dtype(shapes[name].dtype))
        for name in dict.fromkeys([*names, "status"])
    )
    _check_names(grid, layouts, coordinates)
    chunk, program, compiled = _compile(Cell(measure, tuple(names)), system, grid, key, layouts, lanes, budget)
    takes_key, x64 = any(probe.takes_key.values()), default_dtype() == np.float64
    return Plan(system, grid, chunk, layouts, coordinates, compiled, key, takes_key, x64, program)


def _kept(variables: dict[str, Variable], keep: tuple[str, ...] | None) -> list[str]:
    if keep is None:
        return [name for name, variable in variables.items() if not variable.is_detail]
    for name in keep:
        if name not in variables and name != "status":
            raise ValueError(f"the measure gives nothing called {unknown_name(name, list(variables))}")
    return [name for name in variables if name in keep]


def _constants(measure: Any, variables: dict[str, Variable], one: tuple[Any, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """Values of the coordinates that are the same in all cells."""
    found = {}
    for name in [name for name, variable in variables.items() if variable.is_coordinate]:
        cell = Cell(measure, (name,))
        if _is_constant(cell, name, one):
            found[name] = np.asarray(_compiled_once(cell, one)[1](jax.tree.leaves(one))[name])
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
    axes = {*coordinates, *(dim for layout in layouts for dim in layout.dims)}
    for name in sorted((grid.names & (results | axes)) | (results & axes)):
        raise ValueError(
            f"{name!r} would be {'a swept value' if name in grid.names else 'an axis'} and a result; name the "
            "measure, as in sweep({'end': measure}, ...), or let it return a dict with names of your own"
        )


def _is_constant(cell: Cell, name: str, one: tuple[Any, ...]) -> bool:
    """Whether the result depends on neither swept values nor keys: vmap refuses to leave a dependent one unbatched."""
    system, sample, number, key = one

    def pick(values: dict[str, Array], number: Array) -> Array:
        return cell(system, values, number, key)[name]

    try:
        jax.eval_shape(jax.vmap(pick, out_axes=None), {k: v[None] for k, v in sample.items()}, number[None])
    except ValueError:
        return False
    return True


def _compile(
    cell: Cell, system: System, grid: Grid, key: Array, layouts: tuple[Layout, ...], lanes: int | None, budget: int
) -> tuple[tuple[int, ...], str, Any]:
    """Compile the chunk; unless the caller chose its size, shrink it until the workers fit the memory budget."""
    automatic = lanes is None
    if lanes is None:
        lane_bytes = sum(layout.dtype.itemsize * math.prod(layout.shape) for layout in layouts)
        most = MAX_LANES.get(jax.default_backend(), MAX_LANES_ELSEWHERE)
        lanes = max(1, min(most, budget // max(1, 2 * lane_bytes * n_workers()), -(-grid.size // n_workers())))
    batched = jax.vmap(cell, in_axes=(None, 0, 0, None))
    while True:
        chunk = grid.chunk_shape(lanes)
        values, numbers = grid.cells(next(grid.regions(chunk)), chunk)
        program, compiled = _compiled_once(batched, (system, values, numbers, key))
        needed = _bytes(compiled) * n_workers()
        if not automatic or needed <= budget or lanes == 1:
            return chunk, program, compiled
        lanes = max(1, min(lanes // 2, lanes * budget // needed))


_COMPILED: OrderedDict[str, Any] = OrderedDict()


def _compiled_once(function: Any, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Compiled program of this process, found by its code: a repeated sweep compiles nothing.

    It takes the arguments' leaves: all of them and nothing else, because equal code may stand for systems whose
    fields are different objects, or read different parameters of one system.
    """
    tree = jax.tree.structure(arguments)
    flat = jax.jit(lambda leaves: function(*jax.tree.unflatten(tree, leaves)), keep_unused=True)
    lowered = flat.lower(jax.tree.leaves(arguments))
    # Arrays that a measure closes over stand in the text, or beside it where JAX passes them as arguments.
    beside = getattr(getattr(lowered, "_lowering", None), "const_args", ())
    text = lowered.as_text()
    program = _digest([text, str(jax.devices()[0]), *beside])
    if "callback" in text:  # the text numbers Python callbacks without telling them apart
        return program, lowered.compile()
    if program not in _COMPILED:
        _COMPILED[program] = lowered.compile()
        if len(_COMPILED) > 16:
            _COMPILED.popitem(last=False)
    _COMPILED.move_to_end(program)
    return program, _COMPILED[program]


def _bytes(compiled: Any) -> int:
    usage = compiled.memory_analysis()
    return 0 if usage is None else int(usage.temp_size_in_bytes + usage.output_size_in_bytes)


def _digest(parts: list[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            array = np.asarray(part)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:32]
