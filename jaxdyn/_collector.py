"""Python's garbage collector, left out while much is made that stays."""

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["uncollected"]

_LOCK = threading.Lock()
_inside = 0
_collects = True


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection, of any thread.

    Imports make a hundred thousand objects that stay, and the collector looks through all of them again and again: a
    third of the time that jaxdyn takes to import, 0.1 s of xarray's.
    """
    global _inside, _collects
    with _LOCK:
        if not _inside:
            _collects = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside and _collects:
                gc.enable()
