"""Imports: without the garbage collector, and beside other work."""

import contextlib
import gc
import importlib
import sys
import threading
from collections.abc import Iterator

__all__ = ["imported_meanwhile", "uncollected"]

_LOCK = threading.Lock()
_inside = 0
_collects = True


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection in the whole process until all such blocks have ended.

    Imports make a hundred thousand objects that stay, and the collector looks through all of them again and again: for
    0.05 s while jaxdyn is imported, 0.1 s while xarray is.
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


@contextlib.contextmanager
def imported_meanwhile(name: str) -> Iterator[None]:
    """A module is imported by a thread of its own, by the end of the block at the latest.

    An error of the import is not raised here: importing it where it is needed says what is wrong.
    """

    def load() -> None:
        with uncollected(), contextlib.suppress(Exception):
            importlib.import_module(name)

    if name in sys.modules:
        yield
        return
    thread = threading.Thread(target=load, name="jaxdyn-import")
    thread.start()
    try:
        yield
    finally:
        thread.join()
