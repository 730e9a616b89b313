"""How fast the chunks of a store came, from the times of their files."""

import heapq
import itertools
import time
from pathlib import Path

from jaxdyn.sweeps.lock import lock_file

__all__ = ["LONGEST", "Pace"]

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


class Pace:
    """How fast chunks came, from the times of their files and the time when the last writer began.

    Times are those of a clock that may have jumped: what lies in the future is left out, and the rest must
    span some time.
    """

    def __init__(self, path: Path) -> None:
        self.begin, self.now = _begin(path), time.time()
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
