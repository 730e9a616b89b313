"""Array aliases used in annotations, and the one rule for a system's floating dtype."""

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
]

Scalar: TypeAlias = Float[ArrayLike, ""]


def default_dtype() -> np.dtype[Any]:
    """Float32, or float64 when JAX's x64 mode is on."""
    return jnp.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def is_concrete(*trees: Any) -> bool:
    """Whether no leaf is being traced, so that host code may look at values."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))
