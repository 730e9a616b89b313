"""Runs in intervals of equal numbers of steps, and errors of their means from batches."""

import math
from typing import Any

import jax.numpy as jnp

from jaxdyn._types import Array, whole_number
from jaxdyn.steps import next_multiple, require_countable
from jaxdyn.system import System

__all__ = [
    "N_BATCHES",
    "batch_means",
    "number_of_intervals",
    "number_of_vectors",
    "standard_error",
    "transient_intervals",
]

# Batch means: 32 batches give the standard error itself a relative error of 1/sqrt(2*31) = 13 %, and
# leave the batches long against the correlation time (Flegal & Jones 2010, Annals of Statistics 38, 1034).
N_BATCHES = 32


def batch_means(values: Array) -> Array:
    """Means of at most 32 batches along the first axis; what does not fill them comes first and is left out."""
    n_batches = min(N_BATCHES, len(values))
    length = len(values) // n_batches
    return jnp.mean(values[-n_batches * length :].reshape(n_batches, length, *values.shape[1:]), axis=1)


def standard_error(batches: Array) -> Array:
    """Standard error of the mean of independent batches, along the first axis; nan for one batch."""
    n = batches.shape[0]
    if n < 2:
        return jnp.full(batches.shape[1:], jnp.nan, batches.dtype)
    return jnp.std(batches, axis=0, ddof=1) / math.sqrt(n)


def number_of_intervals(n: Any, name: str, every: int, name_of_every: str, *, least: int) -> int:
    """Number of intervals of `every` steps in `n` steps."""
    n = whole_number(n, name, least=least)
    if n % every:
        more = next_multiple(n, every)
        raise ValueError(f"{name}={n} must be a multiple of {name_of_every}={every}; use {name}={more}")
    return n // every


def transient_intervals(n: Any, name: str, every: int, n_steps: int) -> int:
    """Number of intervals of `qr_every` steps before a run of `n_steps`; by default a tenth of it, rounded down."""
    found = n_steps // 10 // every if n is None else number_of_intervals(n, name, every, "qr_every", least=0)
    require_countable(found * every + n_steps)
    return found


def number_of_vectors(n: Any, name: str, system: System) -> int:
    """Number of tangent vectors that the caller gave; by default as many as there are dimensions."""
    k = system.dim if n is None else whole_number(n, name, least=0)
    if not 1 <= k <= system.dim:
        raise ValueError(f"{name} must be between 1 and the dimension {system.dim} of {system.about.name}, got {k}")
    return k
