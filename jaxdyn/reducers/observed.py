"""What a reducer watches: one state, or a number made of the state."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, is_concrete
from jaxdyn.about import unknown_name
from jaxdyn.system import System

__all__ = ["Component", "Observed", "Watching", "bound", "one_number", "watched"]


@record
class Component:
    """One state, by name or index."""

    key: str | int = static()

    def __call__(self, x: Array) -> Array:
        """Return its value in a state."""
        if isinstance(self.key, str):
            raise TypeError(
                f"state {self.key!r} is known by name only to a system; call jaxdyn.reduce, or give an index"
            )
        return x[self.key]

    def in_system(self, system: System) -> "Component":
        """The same state by its index."""
        names, title = system.state_names, system.about.name
        if isinstance(self.key, str):
            if self.key not in names:
                raise TypeError(f"{title} has no state {unknown_name(self.key, names)}")
            return Component(names.index(self.key))
        if not -system.dim <= self.key < system.dim:
            raise ValueError(f"{title} has {system.dim} states, so an index is 0 to {system.dim - 1}, got {self.key}")
        return Component(self.key % system.dim)

    def __repr__(self) -> str:
        return repr(self.key)


@record
class Observed:
    """A number that a function makes of the state."""

    function: Callable[..., Any]

    def __call__(self, x: Array) -> Array:
        """Return the number, in the dtype of the state."""
        value = self.function(x)
        shape, dtype = jnp.shape(value), jnp.result_type(value)
        if shape != () or dtype.kind not in "fiub":
            raise ValueError(f"a reducer watches one real number, its function gave {dtype}{shape}; return a scalar")
        return jnp.asarray(value, x.dtype)

    def __repr__(self) -> str:
        inner = getattr(self.function, "func", self.function)
        return getattr(inner, "__qualname__", type(inner).__name__)


@record
class Watching:
    """What watches one state, by name or index, or a number that a function makes of the state."""

    of: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", watched(self.of, self))


def watched(of: Any, owner: Any) -> Component | Observed:
    """What a caller named: a state by name or index, or a function of the state."""
    if isinstance(of, Component | Observed):
        return of
    if isinstance(of, str):
        return Component(of)
    if callable(of):
        return Observed(callable_tree(of))
    if isinstance(of, int | np.integer) and not isinstance(of, bool):
        return Component(operator.index(of))
    raise TypeError(
        f"{type(owner).__name__} watches a state by its name or index, or a function x -> number, got {of!r}"
    )


def bound(reducers: Any, system: System) -> Any:
    """The same reducers with all states by their index in a system."""

    def is_component(leaf: Any) -> bool:
        return isinstance(leaf, Component)

    return jax.tree.map(
        lambda leaf: leaf.in_system(system) if is_component(leaf) else leaf, reducers, is_leaf=is_component
    )


def one_number(value: Any, what: str) -> None:
    """Complain about a setting that is no finite real number, as far as it is known."""
    is_array = hasattr(value, "shape") and hasattr(value, "dtype")
    if not is_array and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{what} must be a number, got {value!r}")
    if np.shape(value) != () or (is_concrete(value) and not np.isfinite(float(value))):
        raise ValueError(f"{what} must be one finite number, got {value!r}")
