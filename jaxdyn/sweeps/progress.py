"""How far a stored sweep is: cells done, failed and left, and how fast they come."""

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxdyn.errors import Status
from jaxdyn.sweeps.lock import is_locked
from jaxdyn.sweeps.pace import LONGEST, Pace
from jaxdyn.sweeps.place import Kind, look

__all__ = ["StoreProgress", "progress_of", "progress_or_none"]


@dataclasses.dataclass(frozen=True)
class StoreProgress:
    """State of a stored sweep at one moment."""

    path: Path
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    counts: dict[int, int]
    """Cells by code of `Status`, those that were not computed among them."""
    n_damaged: int
    """Chunks whose status cannot be read; their cells count as not computed, and resuming computes them again."""
    cells_per_second: float | None
    """None where the times of the files do not tell."""
    seconds_since_last: float | None
    """Since a chunk was finished; None where that is unknown."""
    writing: bool
    """Whether a process is writing to the store."""
    attributes: dict[str, Any] = dataclasses.field(repr=False)
    """What the store says about itself."""

    @property
    def n_cells(self) -> int:
        """Number of cells of the grid."""
        return math.prod(self.shape)

    @property
    def n_left(self) -> int:
        """Number of cells that are not computed yet."""
        return self.counts.get(Status.NOT_RUN, 0)

    @property
    def n_done(self) -> int:
        """Number of cells that were computed, those that failed among them."""
        return self.n_cells - self.n_left

    @property
    def failed(self) -> dict[str, int]:
        """Cells that failed, by the name of their status."""
        codes = sorted(code for code in self.counts if code not in (Status.OK, Status.NOT_RUN))
        return {_name(code): self.counts[code] for code in codes}

    @property
    def n_failed(self) -> int:
        """Number of cells that failed."""
        return sum(self.failed.values())

    @property
    def seconds_left(self) -> float | None:
        """Time that the cells left take at this rate; None where it is unknown."""
        if not self.n_left:
            return 0.0
        if self.cells_per_second is None:
            return None
        seconds = self.n_left / self.cells_per_second
        return seconds if seconds < LONGEST else None


def progress_of(path: str | os.PathLike[str]) -> StoreProgress:
    """Progress of the sweep in a store, read chunk by chunk; nothing is written.

    Parameters
    ----------
    path
        The store, which a process may be writing to.

    Raises
    ------
    ValueError
        If there is nothing, something else, or a store whose layout was cut short.
    """
    path = Path(path)
    group = _opened(path)
    status = _status(path, group)
    pace = Pace(path)
    counts, damaged = _counts(path, status, pace)
    return StoreProgress(
        path=path,
        dims=tuple(map(str, status.metadata.dimension_names or range(status.ndim))),
        shape=status.shape,
        chunk=tuple(status.shards or status.chunks),
        counts=counts,
        n_damaged=damaged,
        cells_per_second=pace.rate(),
        seconds_since_last=pace.seconds_since_last(),
        writing=is_locked(path),
        attributes=dict(group.attrs),
    )


def progress_or_none(path: str | os.PathLike[str]) -> StoreProgress | None:
    """Progress of the sweep in a store, or None where a sweep would lay out a new one; ValueError for anything else."""
    try:
        return progress_of(path)
    except _NotBegunError:
        return None


class _NotBegunError(ValueError):
    """A store could be made here."""


def _opened(path: Path) -> Any:
    """Group of a store that was completely laid out, for reading; an error says what else is there."""
    found = look(path)
    if found.kind is Kind.STORE:
        return found.group
    if found.kind is Kind.NOTHING:
        raise _NotBegunError(f"there is no store at {path}; give the path that the sweep was begun with")
    if found.kind is Kind.EMPTY:
        raise _NotBegunError(f"{path} is empty, not a sweep's store; give the path that the sweep was begun with")
    if found.kind is Kind.CUT_SHORT:
        raise _NotBegunError(
            f"the layout of {path} was cut short before any cell was computed; "
            "begin its sweep again, with the same path"
        )
    if found.kind is Kind.FILE:
        raise ValueError(f"{path} is a file, not a sweep's store; give the directory of a store")
    raise ValueError(f"{path} is not a sweep's store ({found.error}); give the path that a sweep was begun with")


def _status(path: Path, group: Any) -> Any:
    try:
        status = group["status"]
        if status.dtype != np.int8 or not status.ndim:
            raise TypeError(status.dtype)
    except Exception as error:
        raise ValueError(
            f"{path} is damaged: its array 'status' cannot be opened ({type(error).__name__}); "
            "begin its sweep again, with another path"
        ) from None
    return status


def _counts(path: Path, status: Any, pace: Pace) -> tuple[dict[int, int], int]:
    """Cells by code, and chunks that are damaged; finished chunks are told to `pace`."""
    chunk = status.shards or status.chunks
    counts: Counter[int] = Counter()
    damaged = 0
    for index, modified in _files(path, status):
        region = tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, status.shape, strict=True))
        try:
            found = Counter(dict(zip(*_counted(status[region]), strict=True)))
        except Exception:  # whatever it is, the chunk is no good
            damaged += 1
            continue
        found.pop(int(Status.NOT_RUN), None)
        counts += found
        if done := found.total():
            pace.add(modified, done)
    counts[int(Status.NOT_RUN)] = math.prod(status.shape) - counts.total()
    return dict(counts), damaged


def _files(path: Path, status: Any) -> Iterator[tuple[tuple[int, ...], float]]:
    """Index and time of each chunk that was written: a chunk without a file has no cell that is done."""
    counts = [-(-n // c) for n, c in zip(status.shape, status.shards or status.chunks, strict=True)]
    yield from _below(path / "status" / "c", counts, ())


def _below(directory: Path, counts: list[int], index: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], float]]:
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if not entry.name.isdecimal() or int(entry.name) >= counts[len(index)]:
                continue  # not published yet, or nothing of the array
            here = (*index, int(entry.name))
            if len(here) < len(counts):
                yield from _below(Path(entry.path), counts, here)
            elif entry.is_file():
                yield here, entry.stat().st_mtime


def _counted(values: Any) -> tuple[list[int], list[int]]:
    codes, counts = np.unique(np.asarray(values), return_counts=True)
    return codes.tolist(), counts.tolist()


def _name(code: int) -> str:
    try:
        return Status(code).name.lower()
    except ValueError:
        return f"code {code}"  # of a later version
