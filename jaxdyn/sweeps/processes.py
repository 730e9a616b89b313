"""A sweep by several processes that `jax.distributed` joined: each computes its part and all write to one store."""

from typing import TypeVar

import jax

__all__ = ["is_lead", "meet", "own_share"]

_T = TypeVar("_T")


def is_lead() -> bool:
    """Whether this process lays out the store and keeps others away from it."""
    return jax.process_index() == 0


def meet(place: str) -> None:
    """Wait for the other processes."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"jaxdyn sweep, {place}")


def own_share(todo: list[_T]) -> list[_T]:
    """Every n-th of what is to be done: neighbors in the grid often take equally long."""
    return todo[jax.process_index() :: jax.process_count()]
