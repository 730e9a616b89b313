"""Where results go: host memory, or a zarr store that a killed sweep resumes from.

Each chunk of the sweep is one zarr chunk of every array, and zarr publishes a chunk by renaming a
finished file. `status` is written last, so a cell whose status is not NOT_RUN is complete.
"""

import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.labels import coordinates, variable_attributes
from jaxdyn.sweeps.plan import Plan

__all__ = ["MemorySink", "Sink", "ZarrSink", "stored_chunk"]

MANIFEST = "jaxdyn_sweep"


class Sink(Protocol):
    """Receiver of finished regions."""

    def is_done(self, region: Region) -> bool:
        """Whether the region was computed before."""
        ...

    def write(self, region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Keep the results of a region."""
        ...

    def dataset(self) -> Any:
        """Everything, labelled."""
        ...


class MemorySink:
    """Results in host memory."""

    def __init__(self, plan: Plan, attributes: dict[str, Any]) -> None:
        self.plan, self.attributes = plan, attributes
        self.arrays = {
            layout.name: np.full((*plan.grid.shape, *layout.shape), layout.fill, layout.dtype)
            for layout in plan.layouts
        }

    def is_done(self, region: Region) -> bool:
        """Nothing is done before it is written."""
        return False

    def write(self, region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Copy the results into place."""
        for name, values in results.items():
            self.arrays[name][region] = values

    def dataset(self) -> Any:
        """xarray.Dataset of the arrays."""
        import xarray

        variables = {
            layout.name: (
                (*self.plan.grid.dims, *layout.dims),
                self.arrays[layout.name],
                variable_attributes(layout, self.plan.system),
            )
            for layout in self.plan.layouts
        }
        coords = {
            name: (dims, values.astype(str) if values.dtype == object else values, attrs)
            for name, (dims, values, attrs) in coordinates(self.plan).items()
        }
        return xarray.Dataset(variables, coords, self.attributes)


class ZarrSink:
    """Results in a zarr store on disk, which a later call resumes."""

    def __init__(self, plan: Plan, attributes: dict[str, Any], path: str | os.PathLike[str]) -> None:
        import zarr

        self.plan, self.path = plan, Path(path)
        if self.path.exists() and any(self.path.iterdir()):
            _check_same_sweep(self.path, plan)
            self.group = zarr.open_group(self.path, mode="r+")
        else:
            self.group = _create(self.path, plan, attributes)
        self.status = np.asarray(self.group["status"][...])  # type: ignore[index]

    def is_done(self, region: Region) -> bool:
        """Whether every cell of the region has a status."""
        return bool((self.status[region] != Status.NOT_RUN).all())

    def write(self, region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Publish the chunk; its status last."""
        for name in sorted(results, key=lambda n: n == "status"):
            self.group[name][region] = results[name]  # type: ignore[index]

    def dataset(self) -> Any:
        """xarray.Dataset that reads from the store when values are asked for."""
        import xarray

        return xarray.open_zarr(self.path, chunks=None, consolidated=False)


def stored_chunk(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """Chunk of the sweep that made this store, or None if there is no store yet."""
    manifest = _manifest(Path(path))
    return None if manifest is None else tuple(json.loads(manifest["chunk"]))


def _create(path: Path, plan: Plan, attributes: dict[str, Any]) -> Any:
    """Lay out an empty store; the manifest comes last, so a store that has one is complete."""
    import zarr

    path.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, (dims, values, attrs) in coordinates(plan).items():
        dtype = str if values.dtype == object else values.dtype
        array = group.create_array(
            name, shape=values.shape, dtype=dtype, chunks=values.shape or "auto", dimension_names=dims, attributes=attrs
        )
        array[...] = values
    for layout in plan.layouts:
        group.create_array(
            layout.name,
            shape=(*plan.grid.shape, *layout.shape),
            chunks=(*plan.chunk, *(max(1, n) for n in layout.shape)),
            dtype=layout.dtype,
            fill_value=layout.fill,
            dimension_names=(*plan.grid.dims, *layout.dims),
            attributes=variable_attributes(layout, plan.system),
        )
    names = [name for name in coordinates(plan) if name not in plan.grid.dims]
    group.attrs.update({**attributes, "coordinates": " ".join(names), MANIFEST: json.dumps(plan.fingerprint())})
    return group


def _manifest(path: Path) -> dict[str, str] | None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    import zarr

    try:
        return json.loads(str(zarr.open_group(path, mode="r").attrs[MANIFEST]))
    except Exception as error:
        raise ValueError(
            f"{path} exists and is not a sweep's store ({type(error).__name__}); give another path or remove it"
        ) from None


def _check_same_sweep(path: Path, plan: Plan) -> None:
    stored = _manifest(path) or {}
    different = [part for part, digest in plan.fingerprint().items() if stored.get(part) != digest]
    if "chunk" in different:  # the rest would differ only because of it
        different = [f"chunk ({stored.get('chunk')} in the store, {plan.fingerprint()['chunk']} asked for)"]
    if different:
        raise ValueError(
            f"{path} belongs to another sweep; it differs in: {', '.join(different)}; "
            "give another path, or the same sweep to resume it"
        )
