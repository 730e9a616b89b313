"""Rules on whole arrays with the lanes last, for what has too many components to be taken apart.

A rule takes the parameters of the equation and its operands as values, and returns arrays with the lanes last.
What has no rule goes through JAX's own batching with the axis of lanes last: right, though it may transpose.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn.engine.values import Value, promoted

__all__ = ["DENSE", "fallback", "whole_elementwise"]

# Products of two arrays that both differ between lanes are written out as multiply and sum up to this many numbers a
# lane: batched matrix products would move the lanes to the front, and call a library once a lane.
WRITTEN_OUT = 1 << 14


def whole_elementwise(equation: Any, operands: list[Value]) -> Any:
    """The primitive on arrays with the lanes last; single numbers and axes of length one are spread."""
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    lanes = operands[0].lanes
    arrays = []
    for operand in operands:
        array = operand.spread_whole()
        if operand.shape != shape:
            array = array.reshape((1,) * (len(shape) - len(operand.shape)) + array.shape)
            array = jnp.broadcast_to(array, (*shape, lanes))
        arrays.append(array)
    return equation.primitive.bind(*arrays, **equation.params)


def bind(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """Results of an equation."""
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # JAX before 0.10 gives both
    results = equation.primitive.bind(*functions, *operands, **params)
    return list(results) if equation.primitive.multiple_results else [results]


def fallback(equation: Any, operands: list[Value], lanes: int) -> list[Value]:
    """The equation through JAX's batching rules, lanes last; as it is where no lane differs."""

    def one_lane(*arrays: Any) -> list[Any]:
        return bind(equation, arrays)

    if not any(operand.varies for operand in operands):
        return [Value.shared(lanes, array) for array in one_lane(*(operand.whole for operand in operands))]
    # Between numbers of different sizes JAX's own rule splits the last axis, lanes or not.
    axis = 0 if equation.primitive.name == "bitcast_convert_type" else -1
    axes = tuple(axis if operand.varies else None for operand in operands)
    arrays = [jnp.moveaxis(v.whole, -1, axis) if v.varies else v.whole for v in operands]
    results = jax.vmap(one_lane, in_axes=axes, out_axes=axis)(*arrays)
    return [Value.of_whole(lanes, jnp.moveaxis(array, axis, -1)) for array in results]


def _broadcast(params: Any, x: Value) -> Any:
    axes = (*params["broadcast_dimensions"], len(params["shape"]))
    return lax.broadcast_in_dim(x.whole, (*params["shape"], x.lanes), axes)


def _slice(params: Any, x: Value) -> Any:
    strides = None if params["strides"] is None else (*params["strides"], 1)
    return lax.slice(x.whole, (*params["start_indices"], 0), (*params["limit_indices"], x.lanes), strides)


def _concatenate(params: Any, *xs: Value) -> Any:
    return lax.concatenate([x.spread_whole() for x in xs], params["dimension"])


def _split(params: Any, x: Value) -> Any:
    return lax.split(x.whole, params["sizes"], axis=params["axis"])


def _stack(params: Any, *xs: Value) -> Any:
    return jnp.stack([x.spread_whole() for x in xs], params["axis"])


def _unstack(params: Any, x: Value) -> Any:
    return [lax.index_in_dim(x.whole, i, params["axis"], keepdims=False) for i in range(x.shape[params["axis"]])]


def _dynamic_slice(params: Any, x: Value, *starts: Value) -> Any:
    if any(start.varies for start in starts):
        return None
    zero = jnp.zeros((), starts[0].dtype)
    return lax.dynamic_slice(x.whole, [*(s.whole for s in starts), zero], (*params["slice_sizes"], x.lanes))


def _dynamic_update_slice(_: Any, x: Value, update: Value, *starts: Value) -> Any:
    if any(start.varies for start in starts):
        return None
    zero = jnp.zeros((), starts[0].dtype)
    return lax.dynamic_update_slice(x.spread_whole(), update.spread_whole(), [*(s.whole for s in starts), zero])


def _dot_general(params: Any, x: Value, y: Value) -> Any:
    """Shared times varying is one matrix product for all lanes; two varying ones of middle size are written out."""
    (x_sum, y_sum), (x_batch, y_batch) = params["dimension_numbers"]
    if not x_batch and x.varies != y.varies:
        dims = ((x_sum, y_sum), ((), ()))
        options = {"precision": params["precision"], "preferred_element_type": params["preferred_element_type"]}
        if not x.varies:
            return lax.dot_general(x.whole, y.whole, dims, **options)
        # The lanes are last as they come where the operand that has them is the right one.
        result = lax.dot_general(y.whole, x.whole, ((y_sum, x_sum), ((), ())), **options)
        n_y = len(y.shape) - len(y_sum)
        return lax.transpose(result, (*range(n_y, result.ndim - 1), *range(n_y), result.ndim - 1))
    x_free = [axis for axis in range(len(x.shape)) if axis not in (*x_sum, *x_batch)]
    y_free = [axis for axis in range(len(y.shape)) if axis not in (*y_sum, *y_batch)]
    products = x.size * math.prod(y.shape[axis] for axis in y_free)
    if products > WRITTEN_OUT or np.bool_ in (x.dtype, y.dtype):
        return None
    n_batch, n_x, n_y = len(x_batch), len(x_free), len(y_free)
    left = lax.transpose(x.spread_whole(), (*x_batch, *x_free, *x_sum, len(x.shape)))
    right = lax.transpose(y.spread_whole(), (*y_batch, *y_free, *y_sum, len(y.shape)))
    left = lax.expand_dims(left, range(n_batch + n_x, n_batch + n_x + n_y))
    right = lax.expand_dims(right, range(n_batch, n_batch + n_x))
    shape = jnp.broadcast_shapes(left.shape, right.shape)
    total = params["preferred_element_type"] or promoted(x.dtype, y.dtype)
    wide = promoted(x.dtype, y.dtype, total)
    product = jnp.broadcast_to(left, shape).astype(wide) * jnp.broadcast_to(right, shape).astype(wide)
    summed = range(n_batch + n_x + n_y, len(shape) - 1)
    return lax.convert_element_type(lax.reduce_sum(product, tuple(summed)), total)


def _reshape(params: Any, x: Value) -> Any:
    order = params["dimensions"]
    whole = x.whole if order is None else lax.transpose(x.whole, (*order, len(order)))
    return lax.reshape(whole, (*params["new_sizes"], x.lanes))


def _reduction(reduce: Callable[..., Any]) -> Callable[..., Any]:
    return lambda params, x: reduce(x.whole, params["axes"])


DENSE: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "expand_dims": lambda params, x: lax.expand_dims(x.whole, params["dimensions"]),
    "reduce_and": _reduction(lax.reduce_and),
    "reduce_max": _reduction(lax.reduce_max),
    "reduce_min": _reduction(lax.reduce_min),
    "reduce_or": _reduction(lax.reduce_or),
    "reduce_prod": _reduction(lax.reduce_prod),
    "reduce_sum": _reduction(lax.reduce_sum),
    "reshape": _reshape,
    "rev": lambda params, x: lax.rev(x.whole, params["dimensions"]),
    "slice": _slice,
    "split": _split,
    "squeeze": lambda params, x: lax.squeeze(x.whole, params["dimensions"]),
    "stack": _stack,
    "transpose": lambda params, x: lax.transpose(x.whole, (*params["permutation"], len(x.shape))),
    "unstack": _unstack,
}
"""What primitives do to whole arrays; a rule that returns None leaves the case to JAX's batching."""
