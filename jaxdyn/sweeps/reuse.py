"""Cells that an earlier sweep computed: the same measure of the same system, on another grid."""

import functools
import math
import os
import warnings
from typing import Any

import numpy as np

from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.layout import DAMAGE, whole_values
from jaxdyn.sweeps.place import manifest, place_of
from jaxdyn.sweeps.plan import CELL, Plan

__all__ = ["Earlier"]

SAME = (CELL, "parameters and start", "engine", "environment")

Results = dict[str, np.ndarray[Any, Any]]


class Earlier:
    """A store of an earlier sweep, from which finished cells with equal swept values are taken."""

    def __init__(self, plan: Plan, path: str | os.PathLike[str]) -> None:
        import zarr

        self.plan, self.path = plan, place_of(path)
        if plan.takes_key:
            raise ValueError("reuse is for measures without a `key`: the random key of a cell follows from its number")
        stored = manifest(self.path)
        if not stored:
            raise ValueError(f"there is no sweep's store at reuse={str(path)!r}; give the path of an earlier one")
        asked = plan.fingerprint
        different = [part for part in SAME if stored.get(part) != asked[part]]
        self.group: Any = zarr.open_group(self.path, mode="r")
        dims = tuple(self.group["status"].metadata.dimension_names)
        if dims != plan.grid.dims:
            different.append(f"what is swept ({', '.join(dims)} there, {', '.join(plan.grid.dims)} here)")
        if different:
            raise ValueError(f"nothing of {path} can be reused; it differs in: {', '.join(different)}")
        self.positions = [self._positions(i) for i in range(len(dims))]
        self._taken: dict[tuple[int, ...], tuple[np.ndarray[Any, Any], Results]] = {}

    def missing(self, region: Region) -> np.ndarray[Any, Any] | None:
        """Which cells of a region have to be computed, None if all; the others are kept until `fill` or `whole`."""
        own = [positions[r] for positions, r in zip(self.positions, region, strict=True)]
        found = functools.reduce(np.logical_and.outer, (places >= 0 for places in own))
        if not found.any():
            return None
        index = tuple(places[places >= 0] for places in own)
        try:
            stored = {layout.name: self.group[layout.name].oindex[index] for layout in self.plan.layouts}
        except DAMAGE:
            warnings.warn(f"{self.path} is damaged; its cells there are computed", JaxdynWarning, stacklevel=2)
            return None
        finished = np.zeros(found.shape, bool)
        finished[found] = (stored["status"] != Status.NOT_RUN).ravel()
        kept = finished[found]
        results = {name: array.reshape(-1, *array.shape[found.ndim :])[kept] for name, array in stored.items()}
        self._taken[tuple(r.start for r in region)] = finished, results
        return ~finished

    def fill(self, region: Region, results: Results) -> Results:
        """Results of a region with the cells that were not missing."""
        finished, stored = self._taken.pop(tuple(r.start for r in region), (None, {}))
        if finished is None:
            return results
        whole = {name: array.copy() for name, array in results.items()}
        for name, array in whole.items():
            array[finished] = stored[name]
        return whole

    def whole(self, region: Region) -> Results:
        """Results of a region of which no cell was missing."""
        finished, stored = self._taken.pop(tuple(r.start for r in region))
        return {name: array.reshape(*finished.shape, *array.shape[1:]) for name, array in stored.items()}

    def _positions(self, i: int) -> np.ndarray[Any, Any]:
        """For each value along a dimension its place in the earlier grid, or -1."""
        axis = self.plan.grid.axes[i]
        targets = [target if values.ndim == 1 else f"{target}_value" for target, values in axis.values.items()]
        if any(target not in self.group for target in targets):
            raise ValueError(f"the store has no values of {', '.join(targets)}; it swept something else")
        there = _rows([whole_values(self.group, target, self.path) for target in targets])
        place = {row: j for j, row in enumerate(there)}
        return np.array([place.get(row, -1) for row in _rows(list(axis.values.values()))])


def _rows(arrays: list[np.ndarray[Any, Any]]) -> list[bytes]:
    """The values of each position as bytes; equal ones are equal to the last bit."""
    flat = [np.ascontiguousarray(array.reshape(len(array), math.prod(array.shape[1:]))) for array in arrays]
    return [b"".join(array[j].tobytes() for array in flat) for j in range(len(flat[0]))]
