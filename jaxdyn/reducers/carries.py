"""Reducers and carries that callers give: checked while tracing, with a remedy for what does not fit."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._types import Array
from jaxdyn.reducers.reducer import Reducer, Span

__all__ = ["begun", "checked", "like"]


def checked(name: str, reducer: Any) -> Any:
    """A reducer as a pytree of its leaves."""
    methods: dict[str, Any] = {key: getattr(reducer, key, None) for key in ("init", "update", "finish", "end_batch")}
    required = ("init", "update") if isinstance(reducer, Reducer) else ("init", "update", "finish")
    missing = [key for key in required if not callable(methods[key])]
    if isinstance(reducer, type) or missing:
        what = f"the class {reducer.__name__}" if isinstance(reducer, type) else repr(reducer)
        named = f" named {name!r}" if name else ""
        raise TypeError(
            f'the reducer{named} must be one such as jaxdyn.reducers.Mean("v"), with methods init, update and finish, '
            f"got {what}; Reducer(init, update, finish) makes one of functions"
        )
    is_plain_object = jax.tree.structure(reducer) == jax.tree.structure(0)
    return Reducer(**methods) if is_plain_object else reducer


def begun(name: str, reducer: Any, t: Array, x: Array, span: Span) -> Any:
    """Carry at the start, its constants with the dtypes that they have later; complains about one that changes."""
    carry = jax.tree.map(jnp.asarray, reducer.init(t, x))

    def update(carry: Any) -> Any:
        return reducer.update(carry, t, x)

    later = _next(name, "update", update, carry)
    carry = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype if a.weak_type else a.dtype), carry, later)
    _next(name, "update", update, carry)
    if getattr(reducer, "end_batch", None) is not None:
        _next(name, "end_batch", lambda carry: reducer.end_batch(carry, span), carry)
    return carry


def like(new: Any, old: Any) -> Any:
    """A carry with the dtypes that it had: constants in it take them on."""
    return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), new, old)


def _next(name: str, what: str, function: Callable[[Any], Any], carry: Any) -> Any:
    """Shapes and dtypes of the next carry, which must be those of this one; only Python numbers have no dtype yet."""
    after = jax.eval_shape(function, carry)
    trees = jax.tree.structure(carry), jax.tree.structure(after)
    pairs = zip(jax.tree.leaves(carry), jax.tree.leaves(after), strict=False)
    fits = trees[0] == trees[1] and all(
        a.shape == b.shape and (a.dtype == b.dtype or a.weak_type or b.weak_type) for a, b in pairs
    )
    if fits:
        return after
    got, expected = (_text(tree) for tree in (after, carry))
    named = f" {name!r}" if name else ""
    raise TypeError(
        f"reducer{named}: {what} gave a carry {got}, it was {expected}; a carry keeps its structure, shapes and "
        "dtypes: let init give what update returns"
    )


def _text(tree: Any) -> str:
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)).replace("'", "")
