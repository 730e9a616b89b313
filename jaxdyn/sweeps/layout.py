"""The layout of a sweep's zarr store: its arrays, its coordinates, and the manifest that says which sweep it holds."""

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from jaxdyn.sweeps.labels import coordinates, variable_attributes
from jaxdyn.sweeps.place import MANIFEST
from jaxdyn.sweeps.plan import CELL, PROGRAM, Plan

__all__ = [
    "ALL_CHUNKS",
    "DAMAGE",
    "check_same_sweep",
    "check_storable",
    "create",
    "mend_coordinates",
    "whole_values",
]

DAMAGE = (FileNotFoundError, ValueError, RuntimeError)
"""What reading a chunk raises that was lost, cut short or changed; not what a machine in need raises."""

ALL_CHUNKS = {"array.write_empty_chunks": True}
"""Chunks of fill values are written too: one that is missing was lost."""


_ONE_AT_A_TIME = threading.Lock()
"""Threads share the filters of warnings."""


def check_storable(plan: Plan) -> None:
    """Complain about results of a type that zarr has none for, such as bfloat16."""
    for layout in plan.layouts:
        if layout.dtype.kind not in "biufc":
            raise TypeError(
                f"a store has no numbers of type {layout.dtype}, which {layout.name!r} is; let the measure convert "
                "it, as with .astype(jnp.float32)"
            )


def create(path: Path, plan: Plan, attributes: dict[str, Any]) -> Any:
    """Lay out an empty store; the manifest comes last, so a store that has one is complete."""
    import zarr
    from zarr.codecs import ZstdCodec

    path.parent.mkdir(parents=True, exist_ok=True)
    # An empty manifest marks the directory as ours from the first file on: a creation that was cut short is redone.
    group = zarr.open_group(path, mode="a", zarr_format=3, attributes={MANIFEST: "{}"}, use_consolidated=False)
    _clear(path, group)
    for name, (dims, values, attrs) in coordinates(plan).items():
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=str if values.dtype == object else values.dtype,
            chunks=values.shape or "auto",
            dimension_names=dims,
            attributes=attrs,
            compressors=[ZstdCodec(level=1, checksum=True)],
        )
        with zarr.config.set(ALL_CHUNKS):
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
        )
    names = [name for name in coordinates(plan) if name not in plan.grid.dims]
    # xarray expects all metadata in one file; zarr warns that this is no standard yet.
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.consolidate_metadata(group.store, zarr_format=3)
    group.attrs.put({**attributes, "coordinates": " ".join(names), MANIFEST: json.dumps(plan.fingerprint)})
    return group


def mend_coordinates(group: Any, plan: Plan) -> bool:
    """Write again the coordinates that a store lost or changed; whether there were any."""
    import zarr

    mended = False
    for name, (_, values, _) in coordinates(plan).items():
        try:
            array = group[name]
            intact = array.nchunks_initialized == array.nchunks and _equal(np.asarray(array[...]), values)
        except DAMAGE:
            intact = False
        if not intact:
            mended = True
            with zarr.config.set(ALL_CHUNKS):
                group[name][...] = values
    return mended


def _equal(found: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> bool:
    if values.dtype == object:
        return bool(found.tolist() == values.tolist())
    return found.dtype == values.dtype and found.tobytes() == np.ascontiguousarray(values).tobytes()


def whole_values(group: Any, name: str, path: Any) -> np.ndarray[Any, Any]:
    """Values of a coordinate, or an error if the store lost or changed them."""
    try:
        array = group[name]
        if array.nchunks_initialized == array.nchunks:
            return np.asarray(array[...])
    except DAMAGE:
        pass
    raise ValueError(f"{path} has lost its values of {name}; run its own sweep again, which writes them anew")


def _clear(path: Path, group: Any) -> None:
    """Remove what a layout that was cut short left in its directory: arrays without results, unpublished files."""
    for unpublished in [*path.glob("*.partial"), *path.glob("*/*.partial")]:
        unpublished.unlink()
    for child in [entry for entry in path.iterdir() if entry.is_dir()]:
        if (child / "zarr.json").exists():
            del group[child.name]
        elif not any(child.iterdir()):
            child.rmdir()


def check_same_sweep(path: Path, stored: dict[str, str], plan: Plan) -> None:
    """Complain about a store of another sweep, and say in what they differ."""
    asked = plan.fingerprint
    different = [part for part in asked if part != CELL and stored.get(part) != asked[part]]
    if PROGRAM in different and stored.get(CELL) == asked[CELL] and "chunk" not in different:
        different[different.index(PROGRAM)] = "engine, compiler or version of jaxdyn"
    if "chunk" in different:  # the compiled code differs with it; and it may itself follow from another grid
        others = [part for part in different if part not in ("chunk", PROGRAM)]
        different = others or [f"chunk ({stored['chunk']} in the store, {asked['chunk']} asked for)"]
    if different:
        raise ValueError(
            f"{path} belongs to another sweep; it differs in: {', '.join(different)}; "
            "give another path, or the same sweep to resume it"
        )
