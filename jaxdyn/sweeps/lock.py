"""One writer a store: a lock on a file beside it, which ends with the process that holds it, however it ends."""

import errno
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

from jaxdyn.errors import JaxdynWarning

__all__ = ["StoreLock", "is_locked", "lock_file"]

BEHIND_A_WALL = (errno.EACCES, errno.EPERM, errno.EROFS)
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF)
"""Of file systems of a network."""

PATIENCE = 0.5
"""Seconds; whoever only asks whether there is a writer locks the file for a moment."""


class StoreLock:
    """Held by the sweep that writes to a store; raises BlockingIOError where another one does."""

    def __init__(self, path: Path) -> None:
        self._place = lock_file(path)
        self._file: Any = None
        until = time.monotonic() + PATIENCE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            while self._file is None:
                self._file = self._taken(path, time.monotonic() > until)
        except OSError as error:
            if error.errno not in (*BEHIND_A_WALL, *WITHOUT_LOCKS):
                raise
            if os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                warnings.warn(
                    f"{self._place} cannot be locked ({error.strerror}): see to it yourself that no two sweeps write "
                    f"to {path} at once",
                    JaxdynWarning,
                    stacklevel=2,
                )

    def _taken(self, path: Path, last: bool) -> Any:
        """The locked file; None if it is worth another try."""
        file = self._place.open("a+")
        try:
            if not _locked(file, exclusive=True):
                file.seek(0)
                holder = file.read().strip() or "another process"
                if last:
                    raise BlockingIOError(
                        f"{path} is being written by {holder}; wait for its end, or give this sweep another store"
                    )
                time.sleep(0.02)
            elif self._is(file):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}")
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def _is(self, file: Any) -> bool:
        """Whether the file is still there: its last holder may have removed it."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._place.stat())
        except FileNotFoundError:
            return False

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
            return not _locked(file, exclusive=False)
    except OSError:
        return False


def lock_file(path: Path) -> Path:
    """The file beside a store that its writer locks; its time is that when the writing began."""
    path = path.absolute()
    return path.with_name(f".{path.name}.lock")


def _locked(file: Any, *, exclusive: bool) -> bool:
    """Lock a file if nobody has."""
    try:
        import fcntl
    except ImportError:  # Windows removes no open file, and has no such locks: two sweeps there are the user's care
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
