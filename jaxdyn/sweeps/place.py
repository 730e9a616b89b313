"""What is at the path of a store: the store of a sweep, nothing that a new one could not replace, or something else."""

import dataclasses
import enum
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["MANIFEST", "Found", "Kind", "look", "manifest", "place_of", "stored_chunk"]

MANIFEST = "jaxdyn_sweep"
"""Attribute of a store: the fingerprint of its sweep. It is written last, so a store that has one is complete."""


class Kind(enum.Enum):
    """What may be at a path."""

    STORE = enum.auto()
    NOTHING = enum.auto()
    EMPTY = enum.auto()
    """A directory."""
    CUT_SHORT = enum.auto()
    """A store whose layout was not finished: no cell of it was computed."""
    FILE = enum.auto()
    OTHER = enum.auto()


@dataclasses.dataclass(frozen=True)
class Found:
    """What is at a path."""

    kind: Kind
    group: Any = None
    """Of a store, open for reading."""
    manifest: dict[str, str] = dataclasses.field(default_factory=dict)
    """Fingerprint of a store's sweep."""
    error: str = ""
    """Why a directory is something else."""


def place_of(store: Any) -> Path:
    """Path of a store on this machine, as it was given."""
    try:
        text = os.fspath(store)
    except TypeError:
        raise TypeError(f"a store is the path of a directory, got {store!r}") from None
    if not isinstance(text, str) or not text or "://" in text or "\0" in text:
        raise ValueError(f"a store is the path of a directory on this machine, got {text!r}")
    return Path(text).expanduser()


def look(path: Path) -> Found:
    """What is at a path; nothing is written."""
    if not path.exists():
        return Found(Kind.NOTHING)
    if not path.is_dir():
        return Found(Kind.FILE, error="a file")
    suffixes = {entry.suffix for entry in path.iterdir()}
    if not suffixes:
        return Found(Kind.EMPTY)
    if suffixes == {".partial"}:  # a kill during the very first write leaves nothing but zarr's unpublished file
        return Found(Kind.CUT_SHORT)
    import zarr

    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        stored = json.loads(str(group.attrs[MANIFEST]))
    except Exception as error:
        return Found(Kind.OTHER, error=type(error).__name__)
    return Found(Kind.STORE, group, stored) if stored else Found(Kind.CUT_SHORT)


def manifest(path: Path) -> dict[str, str]:
    """Fingerprint of the sweep that a store holds; empty where a sweep may lay out a new store."""
    found = look(path)
    if found.kind in (Kind.FILE, Kind.OTHER):
        raise ValueError(f"{path} exists and is not a sweep's store ({found.error}); give a path that is new or empty")
    return found.manifest


def stored_chunk(path: Path) -> tuple[int, ...] | None:
    """Chunk of the sweep that made this store, or None if there is no store yet."""
    found = manifest(path)
    return tuple(json.loads(found["chunk"])) if found else None
