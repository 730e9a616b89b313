"""A call of `lanes`, checked: what decides on its program, apart from its arrays."""

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.api_util import flatten_axes
from jax.core import Tracer

from jaxdyn.engine.engines import Automatic, Engine

__all__ = ["Call", "aval_of", "call_of", "key_of", "lanes_of", "traced"]


def call_of(
    fn: Callable[..., Any], in_axes: Any, out_axes: Any, engine: Engine | Automatic | None, args: Any, kwargs: Any
) -> tuple["Call", list[Any]]:
    """A call, checked: what decides on its program, and its arrays."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    axes = _axes_of(in_axes, args, kwargs)
    for axis in jax.tree.leaves(out_axes):
        _check_axis(axis, "out_axes")
    _check_lanes(leaves, axes)
    call = Call(Living(fn), tree, tuple(axes), _Same(out_axes), engine, tuple(map(_constant, leaves)))
    return call, [leaf for leaf in leaves if _is_array(leaf)]


_array: Any = None
"""JAX's type of arrays that hold numbers, once one has been seen: asking for it before would start a device."""


def key_of(args: Any, kwargs: Any) -> tuple[Any, Sequence[Any]]:
    """What decides on a call, if arrays are all it has: equal keys, equal calls; else None. And its arrays."""
    avals = tuple([arg.aval for arg in args if type(arg) is _array])
    if len(avals) == len(args) and not kwargs:  # no pytrees: the quickest
        return avals, args
    leaves, tree = jax.tree.flatten((args, kwargs))
    avals = [_aval_as_key(leaf) for leaf in leaves]
    return (None if None in avals else (tree, *avals)), leaves


def _aval_as_key(leaf: Any) -> Any:
    global _array
    if isinstance(leaf, Tracer):
        return None
    if isinstance(leaf, jax.Array):
        _array = type(leaf) if isinstance(leaf.dtype, np.dtype) else _array
        return leaf.aval
    return (leaf.shape, leaf.dtype) if type(leaf) is np.ndarray else None


class Living:
    """A function as a static argument: equal to itself, and not kept alive where that can be helped."""

    def __init__(self, fn: Any) -> None:
        self._name = id(fn)
        try:
            self._get: Callable[[], Any] = weakref.ref(fn)
        except TypeError:
            self._get = lambda: fn

    @property
    def value(self) -> Any:
        """The function."""
        return self._get()

    def __hash__(self) -> int:
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Living) and self.value is other.value is not None


class _Same:
    """An object as a static argument: equal to equal ones if they can be compared, else to itself."""

    def __init__(self, value: Any) -> None:
        self.value = value
        try:
            self._hash, self._by_value = hash(value), True
        except TypeError:
            self._hash, self._by_value = id(value), False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (self._by_value and other._by_value and bool(self.value == other.value))


@dataclasses.dataclass(frozen=True)
class Call:
    """What a program is compiled for, beside the shapes of its arrays."""

    fn: "Living"
    tree: Any
    axes: tuple[int | None, ...]
    out_axes: _Same
    engine: Engine | Automatic | None
    constants: tuple[Any, ...]
    """Arguments that are no arrays, in their places; None elsewhere."""

    def arguments(self, arrays: list[Any]) -> tuple[Any, Any]:
        """Positional and keyword arguments from arrays."""
        own = iter(arrays)
        leaves = [next(own) if constant is None else constant.value for constant in self.constants]
        return jax.tree.unflatten(self.tree, leaves)

    @property
    def array_axes(self) -> list[int | None]:
        """Axes of the arrays alone."""
        return [axis for axis, constant in zip(self.axes, self.constants, strict=True) if constant is None]


def _is_array(leaf: Any) -> bool:
    typed = hasattr(leaf, "dtype") and not isinstance(leaf, type)
    return typed or isinstance(leaf, bool | int | float | complex)


def _constant(leaf: Any) -> _Same | None:
    return None if _is_array(leaf) else _Same(leaf)


def traced(call: Call, arrays: list[Any]) -> tuple[Any, Any]:
    """Equations of one lane, and the shape of its result."""

    def one_lane(*leaves: Any) -> Any:
        args, kwargs = call.arguments(list(leaves))
        return call.fn.value(*args, **kwargs)

    elements = [_element(array, axis) for array, axis in zip(arrays, call.array_axes, strict=True)]
    return jax.make_jaxpr(one_lane, return_shape=True)(*elements)


def lanes_of(call: Call, arrays: Sequence[Any]) -> int:
    """Number of lanes of a call."""
    pairs = zip(arrays, call.array_axes, strict=True)
    return next(_shape(array)[axis] for array, axis in pairs if axis is not None)


def _axes_of(in_axes: Any, args: Any, kwargs: Any) -> list[int | None]:
    """Axis of the lanes in each leaf."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(f"in_axes has {len(in_axes)} entries for {len(args)} arguments; give one each")
    positional = flatten_axes("lanes in_axes", jax.tree.structure(args), in_axes)
    axes = [*positional, *(0 for _ in jax.tree.leaves(kwargs))]
    for axis in axes:
        _check_axis(axis, "in_axes")
    return axes


def _check_axis(axis: Any, what: str) -> None:
    if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
        raise TypeError(f"{what} must hold whole numbers or None, got {axis!r}")


def _check_lanes(leaves: list[Any], axes: list[int | None]) -> None:
    sizes: dict[int, str] = {}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        shape = _shape(leaf) if _is_array(leaf) else None
        if shape is None or not -len(shape) <= axis < len(shape):
            got = f"shape {shape}" if shape is not None else type(leaf).__name__
            raise ValueError(f"an argument of {got} has no axis {axis} of lanes; put None for it in in_axes")
        sizes.setdefault(shape[axis], f"shape {shape}, axis {axis}")
    if not sizes:
        raise ValueError("no argument has lanes; at least one entry of in_axes must be a number, and have an array")
    if len(sizes) > 1:
        found = "; ".join(f"{n} lanes ({where})" for n, where in sizes.items())
        raise ValueError(f"arguments differ in their number of lanes: {found}; give arrays of one length")


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _element(array: Any, axis: int | None) -> Any:
    """Shape and dtype of one lane's part of an array."""
    aval = aval_of(array)
    shape = list(aval.shape)
    if axis is not None:
        del shape[axis]
    return jax.ShapeDtypeStruct(tuple(shape), aval.dtype, weak_type=aval.weak_type)


def aval_of(array: Any) -> Any:
    """Shape and dtype of an argument."""
    if isinstance(array, jax.ShapeDtypeStruct):
        return array
    aval = jax.typeof(array)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))
