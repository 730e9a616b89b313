"""Rules of promotion under which optax runs, whatever the caller's."""

import contextlib
from collections.abc import Iterator

import jax

__all__ = ["lenient"]


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """JAX's usual promotion: a strict mode is for the caller's code, optax relies on the standard rules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
