"""Where results go: host memory, or a zarr store that a killed sweep resumes from.

Each chunk of the sweep is one zarr chunk of every array, and zarr publishes a chunk by renaming a
finished file. `status` is written last, so a cell whose status is not NOT_RUN is complete. Every chunk
carries a checksum; those that a disk lost or changed since are computed again.
"""

import errno
import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.labels import coordinates, variable_attributes
from jaxdyn.sweeps.layout import (
    ALL_CHUNKS,
    DAMAGE,
    check_same_sweep,
    check_storable,
    create,
    mend_coordinates,
    whole_values,
)
from jaxdyn.sweeps.lock import StoreLock
from jaxdyn.sweeps.place import Kind, look, manifest, place_of
from jaxdyn.sweeps.plan import Plan

__all__ = ["MemorySink", "Sink", "ZarrSink", "open_store"]


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

    def close(self) -> None:
        """End of the writing."""
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

        # Arrays of NumPy need no conversion, before which xarray would load dask where that is installed.
        variable = functools.partial(xarray.Variable, fastpath=True)
        variables = {
            layout.name: variable(
                (*self.plan.grid.dims, *layout.dims),
                self.arrays[layout.name],
                variable_attributes(layout, self.plan.system),
            )
            for layout in self.plan.layouts
        }
        coords = {
            name: variable(dims, values.astype(str) if values.dtype == object else values, attrs)
            for name, (dims, values, attrs) in coordinates(self.plan).items()
        }
        return xarray.Dataset(variables, _indexed(coords), self.attributes)

    def close(self) -> None:
        """Nothing is open."""


def _indexed(coords: dict[str, Any]) -> Any:
    """Coordinates by name with the indexes that xarray would make of them, without dask here too."""
    import pandas
    import xarray

    indexes: dict[Any, Any] = {
        name: xarray.indexes.PandasIndex(pandas.Index(variable.values), name, variable.dtype)
        for name, variable in coords.items()
        if variable.dims == (name,)
    }
    own = {name: index.create_variables({name: coords[name]})[name] for name, index in indexes.items()}
    return xarray.Coordinates(coords | own, indexes)


class ZarrSink:
    """Results in a zarr store on disk, which a later call resumes; only one sweep at a time writes to it."""

    def __init__(
        self, plan: Plan, attributes: dict[str, Any], path: str | os.PathLike[str], *, alone: bool = True
    ) -> None:
        import zarr

        self.plan, self.path = plan, Path(path)
        check_storable(plan)
        stored = self._own_manifest({})
        with _told(self.path):
            self._lock = StoreLock(self.path) if alone else None  # the first of several processes holds it for all
            try:
                if stored := self._own_manifest(stored):  # another process may just have laid it out
                    self.group = zarr.open_group(self.path, mode="r+", use_consolidated=False)
                else:
                    self.group = create(self.path, plan, attributes)
                self._done = self._whole_regions() if stored else set()
            except BaseException:
                self.close()
                raise

    def is_done(self, region: Region) -> bool:
        """Whether every cell of the region has a status, and its results are what was written."""
        return _name(region) in self._done

    def write(self, region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Publish the chunk; its status last."""
        with _told(self.path):
            for name in sorted(results, key=lambda n: n == "status"):
                self._arrays[name][region] = results[name]

    def dataset(self) -> Any:
        """xarray.Dataset that reads from the store when values are asked for."""
        dataset = open_store(self.path)
        return dataset[[*(layout.name for layout in self.plan.layouts), *dataset.coords]]  # in the measure's order

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.release()

    def _own_manifest(self, known: dict[str, str]) -> dict[str, str]:
        """Manifest of the store, which is checked if it is not known yet; empty where there is no store."""
        stored = manifest(self.path)
        if stored and stored != known:
            check_same_sweep(self.path, stored, self.plan)
        return stored

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        """The results' arrays; their metadata is read once."""
        import zarr

        with zarr.config.set(ALL_CHUNKS):  # an array takes this on when it is opened
            return {layout.name: self.group[layout.name] for layout in self.plan.layouts}

    def _whole_regions(self) -> set[Any]:
        """Regions that were finished; damaged ones are told and not among them."""
        for unpublished in self.path.rglob("*.partial") if self._lock is not None else ():
            unpublished.unlink()
        done, damaged = set(), 0
        if self._lock is not None and mend_coordinates(self.group, self.plan):
            warnings.warn(f"{self.path} had lost values of what is swept; they are there again", JaxdynWarning, 2)
        for region in self.plan.grid.regions(self.plan.chunk):
            if not self._file("status", region).exists():
                continue
            try:
                values = {a.name: self._read(a.name, region) for a in self.plan.layouts if 0 not in a.shape}
                if (values["status"] != Status.NOT_RUN).all():
                    done.add(_name(region))
            except DAMAGE:
                damaged += 1
        if damaged:
            warnings.warn(
                f"{damaged} chunks of {self.path} are damaged and are computed again", JaxdynWarning, stacklevel=2
            )
        return done

    def _read(self, name: str, region: Region) -> np.ndarray[Any, Any]:
        if not self._file(name, region).exists():
            raise FileNotFoundError(self._file(name, region))
        return np.asarray(self._arrays[name][region])

    def _file(self, name: str, region: Region) -> Path:
        """File of a region's chunk of an array; the array's own axes are not divided."""
        index = [r.start // c for r, c in zip(region, self.plan.chunk, strict=True)]
        layout = next(layout for layout in self.plan.layouts if layout.name == name)
        return self.path.joinpath(name, "c", *map(str, [*index, *[0] * len(layout.shape)]))


def open_store(path: str | os.PathLike[str]) -> Any:
    """Results of a sweep that were stored.

    Parameters
    ----------
    path
        The store, finished or not.

    Returns
    -------
    xarray.Dataset
        As `sweep` returned it; values are read when asked for. Cells that are not computed yet have the status NOT_RUN.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no store. A chunk whose bytes changed on the disk raises when it is read.

    Examples
    --------
    >>> import jaxdyn
    >>> cells = jaxdyn.open("currents.zarr")  # doctest: +SKIP
    """
    import xarray
    import zarr

    path = place_of(path)
    found = look(path)
    if found.kind is Kind.NOTHING:
        raise FileNotFoundError(f"there is no store at {path}")
    if found.kind is not Kind.STORE:
        raise ValueError(
            f"{path} is not a sweep's store, or its layout was cut short; run the sweep again to lay it out"
        )
    group = zarr.open_group(path, mode="r")
    dims: Any = group["status"].metadata
    for name in {*dims.dimension_names, *str(group.attrs.get("coordinates", "")).split()}:
        if name in group:
            whole_values(group, name, path)
    return xarray.open_zarr(path, chunks=None, consolidated=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what became of the results when the disk takes no more."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some space",
            errno.EROFS: "make it writable",
            errno.EACCES: "make it writable",
            errno.EPERM: "make it writable",
        }.get(error.errno or 0, "mend that")
        raise OSError(
            error.errno,
            f"{error.strerror or error}: {path} takes no more, what is finished is kept there; "
            f"{remedy}, and the same call goes on",
        ) from error


def _name(region: Region) -> tuple[int, ...]:
    return tuple(r.start for r in region)
