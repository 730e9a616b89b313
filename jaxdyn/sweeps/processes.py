"""A sweep by several processes that `jax.distributed` joined: each computes its part and all write to one store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np

__all__ = ["is_lead", "lead_first", "meet", "own_share"]

_T = TypeVar("_T")


def is_lead() -> bool:
    """Whether this process lays out the store and keeps others away from it."""
    return jax.process_index() == 0


@contextmanager
def lead_first() -> Iterator[None]:
    """What the first process does before the others begin; if it fails there, so does every one."""
    if jax.process_count() == 1:
        yield
    elif not is_lead():
        if not _said_by_lead(False):
            raise RuntimeError("the first process of this sweep failed; its own error says why")
        yield
    else:
        try:
            yield
        except BaseException:
            _said_by_lead(False)
            raise
        _said_by_lead(True)


def meet(place: str) -> None:
    """Wait for the other processes."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"jaxdyn sweep, {place}")


def own_share(todo: list[_T]) -> list[_T]:
    """Every n-th of what is to be done: neighbors in the grid often take equally long."""
    return todo[jax.process_index() :: jax.process_count()]


def _said_by_lead(word: bool) -> bool:
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.array(word)))
