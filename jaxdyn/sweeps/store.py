"""Where results go: host memory, or a zarr store that a killed sweep resumes from.

Each chunk of the sweep is one zarr chunk of every array, and zarr publishes a chunk by renaming a
finished file. `status` is written last, so a cell whose status is not NOT_RUN is complete. Every chunk
carries a checksum; those that a disk lost or changed since are computed again.
"""

import errno
import json
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
from jaxdyn.sweeps.lock import StoreLock
from jaxdyn.sweeps.plan import PROGRAM, Plan

__all__ = ["MemorySink", "Sink", "ZarrSink", "open_store", "stored_chunk"]

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

    def close(self) -> None:
        """Nothing is open."""


class ZarrSink:
    """Results in a zarr store on disk, which a later call resumes; of all processes only one writes to it."""

    def __init__(self, plan: Plan, attributes: dict[str, Any], path: str | os.PathLike[str]) -> None:
        import zarr

        self.plan, self.path = plan, Path(path)
        stored = _manifest(self.path)
        if stored:
            _check_same_sweep(self.path, stored, plan)
        with _told(self.path):
            self._lock = StoreLock(self.path)
            try:
                if stored or (stored := _manifest(self.path)):  # another process may just have laid it out
                    _check_same_sweep(self.path, stored, plan)
                    self.group = zarr.open_group(self.path, mode="r+", use_consolidated=False)
                else:
                    self.group = _create(self.path, plan, attributes)
                self._done = self._whole_regions() if stored else set()
            except BaseException:
                self._lock.release()
                raise

    def is_done(self, region: Region) -> bool:
        """Whether every cell of the region has a status, and its results are what was written."""
        return _name(region) in self._done

    def write(self, region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        """Publish the chunk; its status last."""
        with _told(self.path):
            for name in sorted(results, key=lambda n: n == "status"):
                self.group[name][region] = results[name]  # type: ignore[index]

    def dataset(self) -> Any:
        """xarray.Dataset that reads from the store when values are asked for."""
        dataset = open_store(self.path)
        return dataset[[*(layout.name for layout in self.plan.layouts), *dataset.coords]]  # in the measure's order

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def _whole_regions(self) -> set[Any]:
        """Regions that were finished; damaged ones are told and not among them."""
        for unpublished in self.path.rglob("*.partial"):
            unpublished.unlink()
        done, damaged = set(), 0
        for region in self.plan.grid.regions(self.plan.chunk):
            if not self._file("status", region).exists():
                continue
            try:
                values = {layout.name: self._read(layout.name, region) for layout in self.plan.layouts}
                if (values["status"] != Status.NOT_RUN).all():
                    done.add(_name(region))
            except Exception:  # whatever it is, the chunk is no good: lost, cut short, other bytes
                damaged += 1
        if damaged:
            warnings.warn(
                f"{damaged} chunks of {self.path} are damaged and are computed again", JaxdynWarning, stacklevel=2
            )
        return done

    def _read(self, name: str, region: Region) -> np.ndarray[Any, Any]:
        if not self._file(name, region).exists():
            raise FileNotFoundError(self._file(name, region))
        return np.asarray(self.group[name][region])  # type: ignore[index]

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

    if not Path(path).exists():
        raise FileNotFoundError(f"there is no store at {path}")
    if not _manifest(Path(path)):
        raise ValueError(
            f"{path} is not a sweep's store, or its layout was cut short; run the sweep again to lay it out"
        )
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
            f"{error.strerror or error}: {path} takes no more, finished chunks are kept there; "
            f"{remedy}, and the same call goes on",
        ) from error


def _name(region: Region) -> tuple[int, ...]:
    return tuple(r.start for r in region)

    def dataset(self) -> Any:
        """xarray.Dataset that reads from the store when values are asked for."""
        import xarray

        dataset = xarray.open_zarr(self.path, chunks=None, consolidated=True)
        return dataset[[*(layout.name for layout in self.plan.layouts), *dataset.coords]]  # in the measure's order


def stored_chunk(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """Chunk of the sweep that made this store, or None if there is no store yet."""
    manifest = _manifest(Path(path))
    return tuple(json.loads(manifest["chunk"])) if manifest else None


def _create(path: Path, plan: Plan, attributes: dict[str, Any]) -> Any:
    """Lay out an empty store; the manifest comes last, so a store that has one is complete."""
    import zarr
    from zarr.codecs import ZstdCodec

    path.parent.mkdir(parents=True, exist_ok=True)
    # An empty manifest marks the directory as ours from the first file on: a creation that was cut short is redone.
    group = zarr.open_group(path, mode="a", zarr_format=3, attributes={MANIFEST: "{}"}, use_consolidated=False)
    _clear(path, group)
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
            compressors=[ZstdCodec(level=1, checksum=True)],
            config={"write_empty_chunks": True},  # a chunk that is missing was lost
        )
    names = [name for name in coordinates(plan) if name not in plan.grid.dims]
    with warnings.catch_warnings():  # xarray expects all metadata in one file; zarr warns that this is no standard yet
        warnings.simplefilter("ignore")
        group = zarr.consolidate_metadata(group.store, zarr_format=3)
    group.attrs.put({**attributes, "coordinates": " ".join(names), MANIFEST: json.dumps(plan.fingerprint())})
    return group


def _clear(path: Path, group: Any) -> None:
    """Remove what a layout that was cut short left in its directory: arrays without results, unpublished files."""
    for unpublished in [*path.glob("*.partial"), *path.glob("*/*.partial")]:
        unpublished.unlink()
    for child in [entry for entry in path.iterdir() if entry.is_dir()]:
        if (child / "zarr.json").exists():
            del group[child.name]
        elif not any(child.iterdir()):
            child.rmdir()


def _manifest(path: Path) -> dict[str, str]:
    """Fingerprint of the sweep that a store holds; empty where no store was completely laid out yet."""
    # A kill during the very first write leaves nothing but zarr's unpublished file.
    if not path.exists() or (path.is_dir() and all(entry.suffix == ".partial" for entry in path.iterdir())):
        return {}
    import zarr

    try:
        return json.loads(str(zarr.open_group(path, mode="r", use_consolidated=False).attrs[MANIFEST]))
    except Exception as error:
        raise ValueError(
            f"{path} exists and is not a sweep's store ({type(error).__name__}); give a path that is new or empty"
        ) from None


def _check_same_sweep(path: Path, stored: dict[str, str], plan: Plan) -> None:
    asked = plan.fingerprint()
    different = [part for part in asked if stored.get(part) != asked[part]]
    if "chunk" in different:  # the compiled code differs with it; and it may itself follow from another grid
        others = [part for part in different if part not in ("chunk", PROGRAM)]
        different = others or [f"chunk ({stored['chunk']} in the store, {asked['chunk']} asked for)"]
    if different:
        raise ValueError(
            f"{path} belongs to another sweep; it differs in: {', '.join(different)}; "
            "give another path, or the same sweep to resume it"
        )
