"""What the caller gives becomes arrays of a strong dtype here: checked, and cast to the system's floating type."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, default_dtype, is_concrete

__all__ = ["is_same_in_all_lanes", "largest", "like", "stacked", "strong", "system_dtype"]


def system_dtype(x0: Any, dtype: Any) -> np.dtype[Any]:
    if dtype is None:
        given = getattr(x0, "dtype", None)
        floating = given is not None and jnp.issubdtype(given, jnp.floating)
        dtype = jax.dtypes.canonicalize_dtype(given) if floating else default_dtype()
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"a system computes in float32 or float64, got dtype {dtype}")
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(f"dtype {dtype} needs jax.config.update('jax_enable_x64', True)")
    return dtype


def strong(value: Any, dtype: np.dtype[Any], what: str) -> Array:
    """Array of a strong dtype: floats and Python numbers become `dtype`, integer arrays stay."""
    given = given_dtype(value)
    if given.kind == "c":
        raise TypeError(f"{what} is complex; write its real and imaginary parts as two real values")
    if given.kind not in "fiub":
        raise TypeError(f"{what} must be a number or an array of numbers, got {value!r}")
    keep = hasattr(value, "dtype") and given.kind in "iub" and np.ndim(value) > 0 and what != "x0"
    array = jnp.asarray(value, None if keep else dtype)
    if is_concrete(array) and not np.all(np.isfinite(np.asarray(array))):
        raise ValueError(f"{what} is not finite: {value!r}; defaults must be finite numbers")
    return array


def given_dtype(value: Any) -> np.dtype[Any]:
    """Dtype of a number, an array, or a (nested) list of either, traced or not."""
    if hasattr(value, "dtype") or not is_concrete(value):
        return jnp.result_type(*jax.tree.leaves(value))
    try:
        return np.asarray(value).dtype
    except ValueError:  # rows of different lengths
        return np.dtype(object)


def like(value: Any, old: Array, what: str) -> Array:
    given = given_dtype(value)
    kind = given.kind
    if kind in "OSU":
        raise TypeError(f"{what} must be a number or an array of numbers, got {value!r}")
    if kind not in "fiub" or (kind == "f" and old.dtype.kind in "iub"):
        raise ValueError(f"{what} has dtype {old.dtype}, got {given}")
    if old.dtype.kind in "iu" and is_concrete(value) and np.size(value):
        numbers, limits = np.asarray(value), np.iinfo(old.dtype)
        if not limits.min <= int(numbers.min()) <= int(numbers.max()) <= limits.max:
            raise ValueError(f"{what} must fit {old.dtype}, {limits.min} to {limits.max}, got {value!r}")
    new = jnp.asarray(value, old.dtype)
    if new.shape != old.shape:
        raise ValueError(
            f"{what} has shape {old.shape}, got {new.shape}; "
            "to compute many values at once use jaxdyn.sweep or jax.vmap"
        )
    return new


def stacked(value: Any, dtype: Any) -> Any:
    """What a function of the caller's returned: a tuple of scalars becomes one array of `dtype`, all else stays."""
    return jnp.stack([jnp.asarray(part, dtype) for part in value]) if isinstance(value, tuple | list) else value


def largest(values: Array) -> Array:
    """Maximum along the last axis; nan if any value is not finite.

    XLA's vectorised maximum on CPUs skips nan (openxla/xla issue 21461), a sum never does.
    """
    return jnp.max(values, axis=-1) + jnp.sum(0 * values, axis=-1)


def is_same_in_all_lanes(function: Callable[..., Any], *lanes: Any) -> bool:
    """Whether a result depends on none of the arguments, lanes first: `jax.vmap` refuses to leave others unbatched."""
    try:
        jax.eval_shape(jax.vmap(function, out_axes=None), *lanes)
    except ValueError:
        return False
    return True
