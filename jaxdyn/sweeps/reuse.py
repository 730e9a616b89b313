"""Cells that an earlier sweep computed: the same measure of the same system, on another grid."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.layout import manifest
from jaxdyn.sweeps.plan import CELL, Plan

__all__ = ["Earlier"]

SAME = (CELL, "parameters and start", "environment")


class Earlier:
    """A store of an earlier sweep, from which finished cells with equal swept values are taken."""

    def __init__(self, plan: Plan, path: str | os.PathLike[str]) -> None:
        import zarr

        self.plan = plan
        if plan.takes_key:
            raise ValueError("reuse is for measures without a `key`: the random key of a cell follows from its number")
        stored = manifest(Path(path))
        if not stored:
            raise ValueError(f"reuse={str(path)!r} is not a sweep's store")
        asked = plan.fingerprint()
        different = [part for part in SAME if stored.get(part) != asked[part]]
        self.group: Any = zarr.open_group(path, mode="r")
        dims = tuple(self.group["status"].metadata.dimension_names)
        if dims != plan.grid.dims:
            different.append(f"what is swept ({', '.join(dims)} there, {', '.join(plan.grid.dims)} here)")
        if different:
            raise ValueError(f"nothing of {path} can be reused; it differs in: {', '.join(different)}")
        self.positions = [self._positions(i) for i in range(len(dims))]

    def missing(self, region: Region) -> np.ndarray[Any, Any] | None:
        """Which cells of a region have to be computed; None if all."""
        found, index = self._found(region)
        if not found.any():
            return None
        status = np.full(found.shape, np.int8(Status.NOT_RUN))
        status[found] = self.group["status"].oindex[tuple(index)].ravel()
        return status == Status.NOT_RUN

    def fill(self, region: Region, missing: np.ndarray[Any, Any], results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Put the cells that are not missing into the results of a region."""
        found, index = self._found(region)
        for name, array in results.items():
            values = array.copy()
            stored = self.group[name].oindex[tuple(index)]
            values[found] = stored.reshape(-1, *array.shape[found.ndim :])
            values[missing] = array[missing]
            results[name] = values

    def _found(self, region: Region) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
        """Cells whose swept values the earlier grid had, a box of rows and columns, and their places there."""
        own = [positions[r] for positions, r in zip(self.positions, region, strict=True)]
        found = np.ones(tuple(map(len, own)), bool)
        for axis, places in enumerate(own):
            found &= (places >= 0).reshape([-1 if i == axis else 1 for i in range(len(own))])
        return found, [places[places >= 0] for places in own]

    def _positions(self, i: int) -> np.ndarray[Any, Any]:
        """For each value along a dimension its place in the earlier grid, or -1."""
        axis = self.plan.grid.axes[i]
        targets = [target if values.ndim == 1 else f"{target}_value" for target, values in axis.values.items()]
        if any(target not in self.group for target in targets):
            raise ValueError(f"the store has no values of {', '.join(targets)}; it swept something else")
        there = _rows([np.asarray(self.group[target][...]) for target in targets])
        place = {row: j for j, row in enumerate(there)}
        return np.array([place.get(row, -1) for row in _rows(list(axis.values.values()))])


def _rows(arrays: list[np.ndarray[Any, Any]]) -> list[bytes]:
    """The values of each position as bytes; equal ones are equal to the last bit."""
    flat = [np.ascontiguousarray(array.reshape(len(array), math.prod(array.shape[1:]))) for array in arrays]
    return [b"".join(array[j].tobytes() for array in flat) for j in range(len(flat[0]))]
