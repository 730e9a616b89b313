"""The grid of a sweep: which values go to which parameter or start, and how cells are numbered."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxdyn.about import unknown_name
from jaxdyn.system import System

__all__ = ["Axis", "Grid", "Region", "make_grid", "n_cells", "place"]

Region = tuple[slice, ...]


def n_cells(region: Region) -> int:
    """Number of cells of a region."""
    return math.prod(r.stop - r.start for r in region)


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of the grid: its name and, for each target, the values along it (n, ...)."""

    dim: str
    values: dict[str, np.ndarray[Any, Any]]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


@dataclasses.dataclass(frozen=True)
class Grid:
    """The product of the axes; cells are numbered in C order, the last axis fastest."""

    axes: tuple[Axis, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(axis.dim for axis in self.axes)

    @property
    def names(self) -> set[str]:
        """Names of the dimensions and of all that is swept."""
        return {*self.dims, *(target for axis in self.axes for target in axis.values)}

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each dimension."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    def chunk_shape(self, lanes: int) -> tuple[int, ...]:
        """Largest box of at most `lanes` cells that fills the last dimensions first."""
        box: list[int] = []
        for n in reversed(self.shape):
            box.append(max(1, min(n, lanes)))
            lanes //= box[-1]
        return tuple(reversed(box))

    def regions(self, chunk: tuple[int, ...]) -> Iterator[Region]:
        """Boxes that tile the grid; those at the far edges are cropped."""
        counts = [-(-n // c) for n, c in zip(self.shape, chunk, strict=True)]
        for index in np.ndindex(*counts):
            yield tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, self.shape, strict=True))

    def cells(self, region: Region, chunk: tuple[int, ...]) -> tuple[dict[str, np.ndarray[Any, Any]], Any]:
        """Values per target and cell numbers of a region, padded to the full chunk by repeating edge cells."""
        picks = [
            np.minimum(np.arange(r.start, r.start + c), n - 1)
            for r, c, n in zip(region, chunk, self.shape, strict=True)
        ]
        mesh = [m.ravel() for m in np.meshgrid(*picks, indexing="ij")]
        number = np.zeros(math.prod(chunk), np.int64)
        values: dict[str, np.ndarray[Any, Any]] = {}
        for axis, index in zip(self.axes, mesh, strict=True):
            number = number * len(axis) + index
            values |= {target: array[index] for target, array in axis.values.items()}
        return values, number.astype(np.uint32)


def make_grid(system: System, over: Mapping[Any, Any]) -> Grid:
    """Check what is swept and bring its values to the system's dtypes.

    A key is a parameter, a state (its start), `x0` with values (n, dim), or a tuple of such names with a
    tuple of equally long values, which then vary together along one dimension.
    """
    if not isinstance(over, Mapping) or not over:
        raise TypeError(f"over must map names to values, such as {{'I': np.linspace(0, 1, 64)}}; got {over!r}")
    axes = []
    for key, given in over.items():
        targets = key if isinstance(key, tuple) else (key,)
        arrays = given if isinstance(key, tuple) else (given,)
        if not hasattr(arrays, "__len__") or len(targets) != len(arrays):
            got = _array(key, arrays).shape
            raise ValueError(f"zipped axis {key} needs {len(targets)} arrays of values, got shape {got}")
        if len(set(targets)) < len(targets):
            raise ValueError(f"each name can be swept once, got {list(targets)}")
        values = {target: _values(system, target, array) for target, array in zip(targets, arrays, strict=True)}
        if len({len(array) for array in values.values()}) != 1:
            lengths = {target: len(array) for target, array in values.items()}
            raise ValueError(f"values that vary together must be equally long, got {lengths}")
        axes.append(Axis("_".join(targets), values))
    used = [target for axis in axes for target in axis.values]
    if len(set(used)) != len(used):
        raise ValueError(f"each name can be swept once, got {used}")
    grid = Grid(tuple(axes))
    if grid.size >= 2**32:
        raise ValueError(f"a sweep holds fewer than 2**32 cells, got {grid.size}; split it")
    return grid


def place(system: System, values: Mapping[str, Any]) -> System:
    """Give one cell's values to the system."""
    params = {name: value for name, value in values.items() if name in system.params}
    system = system.with_params(**params)
    for name, value in sorted(values.items(), key=lambda item: item[0] != "x0"):  # single states after the whole start
        if name not in params:
            whole = name == "x0" and np.ndim(value) == 1
            system = system.with_state(value) if whole else system.with_state(**{name: value})
    return system


def _values(system: System, target: Any, given: Any) -> np.ndarray[Any, Any]:
    known = [*system.params, *system.state_names, "x0"]
    if target not in known:
        raise TypeError(f"{system.about.name} has nothing to sweep called {unknown_name(str(target), known)}")
    array = _array(target, given)
    if target in system.params:
        like = system.params[target]
        shape, dtype = like.shape, like.dtype
    else:
        whole = target == "x0" and (array.ndim == 2 or target not in system.state_names)
        shape, dtype = (system.x0.shape if whole else ()), system.dtype
    if array.ndim == 0 or array.shape[1:] != shape or len(array) == 0:
        needed = ", ".join(["n", *map(str, shape)]) + ("" if shape else ",")
        raise ValueError(f"values of {target!r} must have shape ({needed}) with n >= 1, got {array.shape}")
    if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and dtype.kind in "iub"):
        raise TypeError(f"values of {target!r} must be real numbers of kind {dtype}, got {array.dtype}")
    cast = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(cast, array):
        raise ValueError(f"values of {target!r} do not fit its dtype {dtype}: {array.min()} to {array.max()}")
    return cast


def _array(target: Any, given: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(given)
    except ValueError:  # rows of different lengths
        raise ValueError(
            f"values of {target!r} must be an array, got rows of different lengths: {given!r:.60}"
        ) from None
