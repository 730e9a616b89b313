"""One writer a store: a lock on a file beside it, which ends with the process that holds it, however it ends."""

import errno
import os
import platform
import warnings
from pathlib import Path
from typing import Any

from jaxdyn.errors import JaxdynWarning

__all__ = ["StoreLock", "is_locked", "lock_file"]

BEHIND_A_WALL = (errno.EACCES, errno.EPERM, errno.EROFS)


class StoreLock:
    """Held by the sweep that writes to a store; raises BlockingIOError where another one does."""

    def __init__(self, path: Path) -> None:
        self._place = lock_file(path)
        self._file: Any = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            while self._file is None:
                self._file = self._taken(path)
        except OSError as error:
            if error.errno not in BEHIND_A_WALL:
                raise
            if os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                warnings.warn(
                    f"{self._place} cannot be made, so that two sweeps could write to {path} at once; "
                    "make its directory writable",
                    JaxdynWarning,
                    stacklevel=2,
                )

    def _taken(self, path: Path) -> Any:
        """The locked file; None if its last holder has just removed it."""
        file = self._place.open("a+")
        if not _locked(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise BlockingIOError(
                f"{path} is being written by {holder}; wait for its end, or give a store of its own to this sweep"
            )
        if not self._place.exists() or not os.path.samestat(os.fstat(file.fileno()), self._place.stat()):
            file.close()
            return None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        return file

    def release(self) -> None:
        """Let others write."""
        if self._file is not None:
            self._place.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def is_locked(path: Path) -> bool:
    """Whether a process is writing to a store at this moment."""
    try:
        with lock_file(path).open("r") as file:
            return not _locked(file)
    except OSError:
        return False


def lock_file(path: Path) -> Path:
    """The file beside a store that its writer locks; its time is that when the writing began."""
    path = path.absolute()
    return path.with_name(f".{path.name}.lock")


def _locked(file: Any) -> bool:
    """Lock a file if nobody has."""
    try:
        import fcntl
    except ImportError:  # Windows removes no open file, and has no such locks: two sweeps there are the user's care
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
