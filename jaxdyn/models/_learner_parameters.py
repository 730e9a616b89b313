"""Parameters of the two-learner game as arrays, checked."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, default_dtype, is_concrete

__all__ = ["Params", "parameter", "refuse_without_rates", "unit_rates", "value"]

Params: TypeAlias = Mapping[str, Any]


def value(given: Any) -> Array:
    """A parameter as a float array; Python numbers get the default dtype for good, so that mixtures keep theirs."""
    known = np.asarray(given) if is_concrete(given) else jnp.asarray(given)
    if known.dtype.kind not in "fiub":
        raise TypeError(f"parameters must be real numbers, got {given!r}")
    array = jnp.asarray(given)
    own = jnp.issubdtype(array.dtype, jnp.floating) and not isinstance(given, int | float)
    return array.astype(array.dtype if own else default_dtype())


def parameter(params: Params, name: str) -> Array:
    """One parameter as a float array, or an error that names it."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a mapping such as system.params, got {type(params).__name__}")
    if name not in params:
        raise ValueError(f"params has no {name!r}, got {', '.join(params)}; give it, or system.params of the game")
    return value(params[name])


def unit_rates(params: Params) -> Params:
    """The game with both rates 1."""
    return {
        **{name: parameter(params, name) for name in ("tau", "sigma_k", "sigma_w")},
        "gamma_k": 1.0,
        "gamma_w": 1.0,
    }


def refuse_without_rates(params: Params, *names: str) -> None:
    """What is said of the descent needs its rates; a flow's parameters have none."""
    for name in names:
        parameter(params, name)
