"""Records: frozen dataclasses that JAX can map over.

`jax.tree_util.register_dataclass` rebuilds a record through its constructor, so a type checker on
the constructor would see the placeholders and batched arrays that JAX passes around. Records are
therefore rebuilt without calling it: annotations describe what one system's analysis returns.
"""

import dataclasses
import types
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import jax

_T = TypeVar("_T")


def static(**kwargs: Any) -> Any:
    """Field that is part of the record's type under JAX: hashable, never traced."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


def labelled(*dims: str, words: str = "", unit: str = "", **kwargs: Any) -> Any:
    """Array field whose axes carry these names in a sweep's data set; what it is in words, and its unit.

    A unit is that of the quantity ("rad") or one of three that depend on the system: "time", "rate" (1/time, of a map
    1/step), "entry" (of a Jacobian: 1/time, of a map none).
    """
    return dataclasses.field(metadata={"dims": dims, "words": words, "unit": unit}, **kwargs)


def inlined(**kwargs: Any) -> Any:
    """Field of records by name that a sweep's data set lists as if they were fields of this one."""
    return dataclasses.field(metadata={"inline": True}, **kwargs)


def detail(*dims: str, words: str = "", unit: str = "", **kwargs: Any) -> Any:
    """Labelled field that a sweep drops unless it is asked for, because it is large."""
    return dataclasses.field(metadata={"dims": dims, "words": words, "unit": unit, "detail": True}, **kwargs)


def coordinate(*dims: str, **kwargs: Any) -> Any:
    """Labelled field that is the same for all cells of most sweeps, such as the times of a trajectory."""
    return dataclasses.field(metadata={"dims": dims, "coordinate": True}, **kwargs)


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(static, labelled, inlined, detail, coordinate)
)
def record(cls: type[_T]) -> type[_T]:
    """Make a frozen dataclass of `cls` and register it as a pytree."""
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    meta_names = tuple(f.name for f in fields if f.metadata.get("static", False))
    leaf_names = tuple(f.name for f in fields if f.name not in meta_names)

    def meta(tree: Any) -> tuple[Any, ...]:
        return tuple(getattr(tree, name) for name in meta_names)

    def flatten_with_keys(tree: Any) -> tuple[Any, Any]:
        return [(jax.tree_util.GetAttrKey(name), getattr(tree, name)) for name in leaf_names], meta(tree)

    def flatten(tree: Any) -> tuple[Any, Any]:
        return [getattr(tree, name) for name in leaf_names], meta(tree)

    def unflatten(values: Any, leaves: Any) -> Any:
        tree = object.__new__(cls)
        for name, value in zip((*meta_names, *leaf_names), (*values, *leaves), strict=True):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def callable_tree(function: Callable[..., Any]) -> Callable[..., Any]:
    """Callable pytree of any function; a method or object gets an identity, for it equals itself also when changed."""
    # Not treedef_is_leaf: it takes a record without leaves for a leaf.
    if jax.tree.structure(function) != jax.tree.structure(0):
        return function
    is_object = isinstance(function, types.MethodType) or isinstance(type(function).__call__, types.FunctionType)
    return jax.tree_util.Partial((lambda *arguments: function(*arguments)) if is_object else function)
