"""How far a stored sweep is: cells done, failed and left, and how fast they come."""

import dataclasses
import heapq
import itertools
import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxdyn.errors import Status
from jaxdyn.sweeps.layout import MANIFEST
from jaxdyn.sweeps.lock import is_locked, lock_file

__all__ = ["StoreProgress", "progress_of", "progress_or_none"]

AHEAD = 60.0
"""Seconds by which a file may be newer than now; clocks of a network's machines differ by less."""
RECENT = 256
"""Chunks that tell the rate where nothing says when the writing began."""
PAUSE = 600.0
"""A pause between two runs is longer than this, and than ten times all that was written since."""
LEAST = 1e-3
"""Seconds; what takes less, as when a store is copied, says nothing."""
LONGEST = 100 * 365.25 * 86400.0
"""An estimate beyond this says nothing."""


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
    pace = _Pace(_begin(path))
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
    import zarr

    if not path.exists():
        raise _NotBegunError(f"there is no store at {path}; give the path that the sweep was begun with")
    if not path.is_dir():
        raise ValueError(f"{path} is a file, not a sweep's store; give the directory of a store")
    entries = [entry.suffix for entry in path.iterdir()]
    if not entries:
        raise _NotBegunError(f"{path} is empty, not a sweep's store; give the path that the sweep was begun with")
    if set(entries) == {".partial"}:
        raise _NotBegunError(_cut_short(path))
    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        manifest = json.loads(str(group.attrs[MANIFEST]))
    except Exception as error:
        raise ValueError(
            f"{path} is not a sweep's store ({type(error).__name__}); give the path that a sweep was begun with"
        ) from None
    if not manifest:
        raise _NotBegunError(_cut_short(path))
    return group


def _cut_short(path: Path) -> str:
    return f"the layout of {path} was cut short before any cell was computed; begin its sweep again, with the same path"


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


def _counts(path: Path, status: Any, pace: "_Pace") -> tuple[dict[int, int], int]:
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


class _Pace:
    """How fast chunks came, from the times of their files and the time when the last writer began.

    Times are those of a clock that may have jumped: what lies in the future is left out, and the rest must
    span some time.
    """

    def __init__(self, begin: float | None) -> None:
        self.begin, self.now = begin, time.time()
        self.last: float | None = None
        self.cells_since_begin = 0
        self.recent: list[tuple[float, int]] = []

    def add(self, modified: float, cells: int) -> None:
        """Count a chunk; only the last ones are remembered."""
        self.last = modified if self.last is None else max(self.last, modified)
        if modified > self.now + AHEAD:
            return
        if self.begin is not None and modified > self.begin:
            self.cells_since_begin += cells
        heapq.heappush(self.recent, (modified, cells))
        if len(self.recent) > RECENT:
            heapq.heappop(self.recent)

    def seconds_since_last(self) -> float | None:
        """Age of the newest chunk."""
        if self.last is None or self.last > self.now + AHEAD:
            return None
        return max(0.0, self.now - self.last)

    def rate(self) -> float | None:
        """Cells per second of the last run."""
        cells, seconds = self._since_pause()
        if self.cells_since_begin and self.begin is not None:
            cells, seconds = self.cells_since_begin, max(self.recent)[0] - self.begin
        return cells / seconds if cells and LEAST < seconds < LONGEST else None

    def _since_pause(self) -> tuple[int, float]:
        """Cells and seconds; how long the first chunk took is not known, so it counts nothing."""
        cells, seconds = 0, 0.0
        for (before, _), (after, n) in reversed(list(itertools.pairwise(sorted(self.recent)))):
            gap = after - before
            if cells and gap > max(PAUSE, 10 * seconds):
                break
            cells, seconds = cells + n, seconds + gap
        return cells, seconds


def _begin(path: Path) -> float | None:
    """When the writer began, if there is one: it writes its name into the lock beside the store."""
    try:
        return lock_file(path).stat().st_mtime
    except OSError:
        return None
