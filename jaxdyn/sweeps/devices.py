"""Devices of a sweep: which ones compute, how much memory they have, and how a chunk is shared out among them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

__all__ = ["chosen_devices", "default_memory", "is_out_of_memory", "on_devices", "round_up"]

CELLS = "cells"

DEFAULT_MEMORY = 10**9
"""Bytes of the chunks in flight where a device does not tell how much it has, such as a CPU."""


def chosen_devices(devices: Sequence[Any] | None) -> tuple[Any, ...]:
    """The devices of a sweep: those asked for, or all of this process; none where there is one only, JAX's default."""
    if devices is None:
        pinned = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
        local = [] if pinned is not None else jax.local_devices()
        return tuple(local) if len(local) > 1 else ()
    found = tuple(devices) if isinstance(devices, Sequence) else ()
    if not found or not set(found) <= set(jax.local_devices(backend=getattr(found[0], "platform", None))):
        raise TypeError(f"devices must be some of jax.local_devices(), got {devices!r}; leave it out for all of them")
    if len(set(found)) < len(found):
        raise ValueError(f"devices must be different ones, got {devices!r}")
    if found[0].platform != jax.default_backend():
        raise ValueError(
            f"devices are of platform {found[0].platform!r}, JAX runs on {jax.default_backend()!r}; "
            f"set JAX_PLATFORMS={found[0].platform}"
        )
    return found


def default_memory() -> int:
    """Half of what the device has, where it tells."""
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    return int((stats or {}).get("bytes_limit", 2 * DEFAULT_MEMORY)) // 2


def round_up(lanes: int, n_devices: int) -> int:
    """A number of cells that the devices share out evenly."""
    return -(-lanes // n_devices) * n_devices


def on_devices(function: Any, tree: Any, leaves: list[Any], devices: Sequence[Any]) -> Any:
    """A chunk's function of the leaves of (system, values, numbers, key), each device with its share of the cells.

    Devices exchange nothing.
    """
    system, values, numbers, key = jax.tree.unflatten(tree, leaves)
    one, all_of_them = PartitionSpec(), PartitionSpec(CELLS)
    specs = [
        *[one] * len(jax.tree.leaves(system)),
        *[all_of_them] * len(jax.tree.leaves((values, numbers))),
        *[one] * len(jax.tree.leaves(key)),
    ]

    def share(leaves: list[Any]) -> Any:
        return function(*jax.tree.unflatten(tree, leaves))

    mapped: Callable[..., Any] = jax.shard_map(
        share, mesh=Mesh(devices, (CELLS,)), in_specs=(specs,), out_specs=all_of_them, check_vma=False
    )
    return jax.jit(mapped, keep_unused=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a chunk was too large for the memory of its device."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and any(word in str(error) for word in words)
