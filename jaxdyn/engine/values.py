"""Intermediate results of all lanes, in the two forms that the rules work on."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["Layout", "Value", "components", "filled", "pack", "promoted", "spread", "unpack"]


class Value:
    """One intermediate result of all lanes; each form is made once, when a rule asks for it.

    `shape` and `dtype` are those of one lane. `parts` is an object array of that shape whose entries are
    scalars, the same for all lanes, or arrays (lanes,). `whole` is one array: of that shape where no lane
    differs (`varies` is false), else with the axis of lanes behind it.
    """

    def __init__(self, lanes: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.lanes, self.shape, self.dtype = lanes, tuple(shape), dtype
        self.varies = False
        self._whole: Any = None
        self._parts: np.ndarray[Any, Any] | None = None

    @classmethod
    def shared(cls, lanes: int, array: Any) -> "Value":
        """A value that is the same for all lanes."""
        array = array if isinstance(array, jax.Array) else np.asarray(array)
        value = cls(lanes, array.shape, array.dtype)
        value._whole = array
        return value

    @classmethod
    def of_whole(cls, lanes: int, array: Any) -> "Value":
        """A value from one array with the lanes last."""
        value = cls(lanes, array.shape[:-1], array.dtype)
        value._whole, value.varies = array, True
        return value

    @classmethod
    def of_parts(cls, lanes: int, parts: Any, dtype: Any) -> "Value":
        """A value from its components."""
        value = cls(lanes, parts.shape, dtype)
        value._parts = parts
        value.varies = any(np.ndim(part) for part in parts.flat)
        return value

    def fresh(self) -> "Value":
        """The same value for use inside a loop or branch: forms made there do not exist outside."""
        copy = Value(self.lanes, self.shape, self.dtype)
        copy.varies, copy._whole, copy._parts = self.varies, self._whole, self._parts
        return copy

    @property
    def size(self) -> int:
        """Number of components."""
        return math.prod(self.shape)

    @property
    def known(self) -> bool:
        """Whether the numbers are known while tracing."""
        if self._whole is not None:
            return isinstance(self._whole, np.ndarray | np.generic)
        return all(isinstance(part, np.generic) for part in self.parts.flat)

    @property
    def parts(self) -> np.ndarray[Any, Any]:
        """Object array of components."""
        if self._parts is None:
            if isinstance(self._whole, np.ndarray | np.generic):
                entries = list(np.reshape(self._whole, -1))
            elif self.shape == ():
                entries = [self._whole]
            else:
                rows = self._whole.reshape(self.size, *self._whole.shape[len(self.shape) :])
                entries = [lax.index_in_dim(rows, i, keepdims=False) for i in range(self.size)]
            self._parts = components(entries, self.shape)
        return self._parts

    @property
    def whole(self) -> Any:
        """One array, lanes last."""
        if self._whole is None:
            self._whole = self._stacked()
        return self._whole

    def _stacked(self) -> Any:
        entries = list(self.parts.flat)
        if not self.varies and self.known:
            return np.array(entries, self.dtype).reshape(self.shape)
        tail: tuple[int, ...] = ()
        if self.varies:
            entries, tail = [spread(entry, self.lanes) for entry in entries], (self.lanes,)
        if self.shape == ():
            return entries[0]
        if not entries:
            return jnp.zeros((*self.shape, *tail), self.dtype)
        return jnp.stack(entries).reshape(*self.shape, *tail)

    def spread_whole(self) -> Any:
        """One array with the lanes last, also where no lane differs."""
        if self.varies:
            return self.whole
        whole = jnp.asarray(self.whole)
        return jnp.broadcast_to(whole[..., None], (*self.shape, self.lanes))


def components(entries: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Object array of a shape from its entries; NumPy itself would look into them."""
    parts = np.empty(len(entries), object)
    for i, entry in enumerate(entries):
        parts[i] = entry
    return parts.reshape(shape)


def promoted(*dtypes: Any) -> Any:
    """The type that holds numbers of all of these, whatever the user lets JAX mix."""
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, dtypes)


def spread(entry: Any, lanes: int) -> Any:
    """One component for all lanes."""
    return entry if np.ndim(entry) else jnp.broadcast_to(entry, (lanes,))


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a value crosses the border of a loop or a branch: as one array, or as an array a component."""

    lanes: int
    shape: tuple[int, ...]
    dtype: Any
    varies: bool
    in_parts: bool

    def pack(self, value: Value) -> list[Any]:
        """Arrays of a value."""
        if not self.varies:
            arrays = [jnp.asarray(value.whole)]
        elif self.in_parts:
            arrays = [spread(part, self.lanes) for part in value.parts.flat]
        else:
            arrays = [value.spread_whole()]
        if not jnp.issubdtype(self.dtype, np.number) and self.dtype != np.bool_:  # random keys
            return arrays
        return [lax.convert_element_type(array, self.dtype) for array in arrays]

    def unpack(self, arrays: Sequence[Any]) -> Value:
        """The value again."""
        if not self.varies:
            return Value.shared(self.lanes, arrays[0])
        if self.in_parts:
            return Value.of_parts(self.lanes, components(arrays, self.shape), self.dtype)
        return Value.of_whole(self.lanes, arrays[0])

    def unpack_stacked(self, arrays: Sequence[Any]) -> Value:
        """The value with one more leading axis, from what a loop stacked."""
        if not self.varies:
            return Value.shared(self.lanes, arrays[0])
        if not self.in_parts or self.shape == ():
            return Value.of_whole(self.lanes, arrays[0])
        if not arrays:
            raise ValueError("an array without components has no layout in parts")
        stacked = jnp.stack(arrays, axis=1)
        return Value.of_whole(self.lanes, stacked.reshape(stacked.shape[0], *self.shape, self.lanes))


def pack(layouts: Sequence[Layout], values: Sequence[Value]) -> list[list[Any]]:
    """Arrays of several values."""
    return [layout.pack(value) for layout, value in zip(layouts, values, strict=True)]


def unpack(layouts: Sequence[Layout], packed: Sequence[Any]) -> list[Value]:
    """Several values again."""
    return [layout.unpack(arrays) for layout, arrays in zip(layouts, packed, strict=True)]


def filled(array: Any, width: int) -> Any:
    """The lanes (the last axis) filled up to a width with the last of them."""
    missing = (*array.shape[:-1], width - array.shape[-1])
    if not missing[-1]:
        return array
    last = lax.stop_gradient(array[..., -1:])  # else 0 times an infinite derivative would be nan
    return jnp.concatenate([array, jnp.broadcast_to(last, missing)], axis=-1)
