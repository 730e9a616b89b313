"""Array aliases used in annotations, and the small rules that every file shares."""

from typing import Any, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Int, Key, PyTree, Real, Shaped

__all__ = [
    "Array",
    "ArrayLike",
    "Bool",
    "Complex",
    "Float",
    "Int",
    "Key",
    "PyTree",
    "Real",
    "Scalar",
    "Shaped",
    "default_dtype",
    "is_concrete",
    "matmul",
    "whole_number",
]

Scalar: TypeAlias = Float[ArrayLike, ""]


def default_dtype() -> np.dtype[Any]:
    """Float32, or float64 when JAX's x64 mode is on."""
    return jnp.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def is_concrete(*trees: Any) -> bool:
    """Whether no leaf is being traced, so that host code may look at values."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def whole_number(value: Any, what: str, *, least: int = 1) -> int:
    """`value` as a Python int, or an error: what fixes shapes and loops can be neither traced nor rounded."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        static = "" if is_concrete(value) else ", known while tracing"
        raise ValueError(f"{what} must be a whole number of at least {least}{static}, got {value!r}")
    return int(value)


def matmul(a: ArrayLike, b: ArrayLike) -> Array:
    """Matrix product in the full precision of its dtype, unless `jax.default_matmul_precision` names another.

    Left to themselves GPUs round float32 factors to 10 bits, TPUs to 7.
    """
    named = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return jnp.matmul(a, b, precision=None if named else jax.lax.Precision.HIGHEST)
