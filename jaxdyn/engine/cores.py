"""One call on all cores of a CPU: XLA runs a loop that is one function on one core, so that each gets its lanes."""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["is_at_home", "is_worker", "joined", "limited_cores", "n_cores", "on_all_cores", "share"]


NAME = "jaxdyn-lanes"
"""Of the threads."""


_limit = threading.local()


def n_cores() -> int:
    """Cores that this process may use, or this thread where it is limited."""
    most = getattr(_limit, "cores", None)
    if most is not None:
        return most
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def limited_cores(n: int) -> Iterator[None]:
    """Context in which programs of this thread are made for so many cores."""
    before, _limit.cores = getattr(_limit, "cores", None), n
    try:
        yield
    finally:
        _limit.cores = before


def is_at_home(array: Any) -> bool:
    """Whether an argument is where programs run unless told otherwise."""
    return not isinstance(array, jax.Array) or array.devices() == {jax.local_devices()[0]}


def is_worker() -> bool:
    """Whether this is one of the threads that run pieces: it would wait for itself."""
    return threading.current_thread().name.startswith(NAME)


def share(lanes: int, block: int, threads: int) -> int:
    """Lanes of one piece, whole blocks: two pieces a thread, so that a late core leaves work to the others."""
    blocks = -(-lanes // block)
    pieces = min(2 * threads, blocks) if threads > 1 else 1
    return block * -(-blocks // pieces)


def on_all_cores(
    compiled: Callable[..., Any], arrays: Sequence[Any], axes: Sequence[int | None], width: int, threads: int
) -> list[Any]:
    """Results of the pieces of `width` lanes; the last one is filled up with its last lane."""
    lanes = next(np.shape(array)[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
    pieces = [
        [_piece(array, axis, start, width) for array, axis in zip(arrays, axes, strict=True)]
        for start in range(0, lanes, width)
    ]
    return list(_pool(threads).map(lambda piece: jax.block_until_ready(compiled(*piece)), pieces))


def joined(pieces: Sequence[Any], axes: Sequence[int | None], lanes: int) -> list[Any]:
    """Leaves of the results of all pieces, along the axes of their lanes."""
    leaves = zip(*(jax.tree.leaves(piece) for piece in pieces), strict=True)
    return [
        parts[0] if axis is None else lax.slice_in_dim(jnp.concatenate(parts, axis), 0, lanes, axis=axis)
        for parts, axis in zip(leaves, axes, strict=True)
    ]


def _piece(array: Any, axis: int | None, start: int, width: int) -> Any:
    array = jnp.asarray(array)
    if axis is None:
        return array
    lanes = array.shape[axis]
    if start + width <= lanes:
        return lax.slice_in_dim(array, start, start + width, axis=axis)
    return jnp.take(array, np.minimum(np.arange(start, start + width), lanes - 1), axis)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=NAME)
