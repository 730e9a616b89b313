"""Rules on components: what a primitive does to small arrays, as work on lists while tracing.

A rule takes the parameters of the equation and object arrays, whose entries are scalars or arrays of lanes,
and returns an object array (or a list of them). A new rule is one line in a table.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn.engine.values import Value, components, promoted, spread

__all__ = ["ELEMENTWISE", "MOVED", "RULES", "elementwise", "moved", "positions"]

ELEMENTWISE = frozenset(
    """abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil
    clamp clz complex conj convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2
    expm1 floor ge gt imag integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter
    not or population_count pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor""".split()
)
"""Primitives that act on each number by itself."""

Parts = np.ndarray[Any, Any]


def bound(equation: Any, entries: tuple[Any, ...], lanes: int) -> Any:
    """The equation's primitive on one component of each operand."""
    if any(np.ndim(entry) for entry in entries):
        entries = tuple(spread(entry, lanes) for entry in entries)
    return equation.primitive.bind(*entries, **equation.params)


def elementwise(equation: Any, operands: list[Parts], lanes: int) -> Parts:
    """The primitive on each component; components that are one object are computed once."""
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    operands = [np.broadcast_to(operand, shape) for operand in operands]
    done: dict[tuple[int, ...], Any] = {}
    results = []
    for index in np.ndindex(*shape):
        entries = tuple(operand[index] for operand in operands)
        name = tuple(map(id, entries))
        if name not in done:
            done[name] = bound(equation, entries, lanes)
        results.append(done[name])
    return components(results, shape)


def _broadcast(params: Any, x: Parts) -> Parts:
    shape = [1] * len(params["shape"])
    for axis, place in enumerate(params["broadcast_dimensions"]):
        shape[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _slice(params: Any, x: Parts) -> Parts:
    strides = params["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _split(params: Any, x: Parts) -> list[Parts]:
    return np.split(x, np.cumsum(params["sizes"])[:-1], axis=params["axis"])


def _unstack(params: Any, x: Parts) -> list[Parts]:
    return [_take(x, i, params["axis"]) for i in range(x.shape[params["axis"]])]


def _take(x: Parts, i: int, axis: int) -> Parts:
    return np.squeeze(x[(slice(None),) * axis + (slice(i, i + 1),)], axis)


def _fold(combine: Callable[[Any, Any], Any], entries: list[Any]) -> Any:
    """Entries combined from the first to the last, as a reduction over a short axis does."""
    return functools.reduce(lambda a, b: combine(*_same_rank(a, b)), entries)


def _same_rank(a: Any, b: Any) -> tuple[Any, Any]:
    lanes = max(np.shape(a), np.shape(b))
    return (spread(a, lanes[0]), spread(b, lanes[0])) if lanes else (a, b)


def _reduction(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Parts], Parts]:
    def rule(params: Any, x: Parts) -> Parts:
        axes = params["axes"]
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        shape = tuple(x.shape[axis] for axis in kept)
        rows = x.transpose(*kept, *axes).reshape(*shape, -1)
        return components([_fold(combine, list(rows[index])) for index in np.ndindex(*shape)], shape)

    return rule


def _cumulation(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Parts], Parts]:
    def rule(params: Any, x: Parts) -> Parts:
        moved = np.moveaxis(x, params["axis"], -1)
        columns = moved.reshape(-1, moved.shape[-1])
        results = []
        for column in columns:
            entries = list(column)[::-1] if params["reverse"] else list(column)
            done = entries[:1]
            for entry in entries[1:]:
                done.append(combine(*_same_rank(done[-1], entry)))
            results += done[::-1] if params["reverse"] else done
        return np.moveaxis(components(results, moved.shape), -1, params["axis"])

    return rule


def _dot(params: Any, x: Parts, y: Parts) -> Parts:
    """Sum of products in order; batch axes first, then free axes of the left, then of the right."""
    (x_sum, y_sum), (x_batch, y_batch) = params["dimension_numbers"]
    x, x_free = _with_axes_last(x, x_batch, x_sum)
    y, y_free = _with_axes_last(y, y_batch, y_sum)
    results = []
    for row_x, row_y in zip(x, y, strict=True):
        for a in row_x:
            for b in row_y:
                products = [lax.mul(*_same_rank(u, v)) for u, v in zip(a, b, strict=True)]
                results.append(_fold(lax.add, products))
    batch = tuple(params["batch_shape"])
    return components(results, (*batch, *x_free, *y_free))


def _with_axes_last(x: Parts, batch: Any, summed: Any) -> tuple[Parts, tuple[int, ...]]:
    free = [axis for axis in range(x.ndim) if axis not in (*batch, *summed)]
    shape = tuple(x.shape[axis] for axis in free)
    sizes = [int(np.prod([x.shape[axis] for axis in axes], dtype=int)) for axes in (batch, free, summed)]
    return x.transpose(*batch, *free, *summed).reshape(sizes), shape


def _dot_general(params: Any, x: Parts, y: Parts) -> Parts | None:
    dtypes = (x.flat[0].dtype, y.flat[0].dtype)
    if np.bool_ in dtypes:
        return None
    # Products and sums are made in the type of the result, or the wider one of the operands'.
    total = params["preferred_element_type"] or promoted(*dtypes)
    wide = promoted(*dtypes, total)
    batch = [x.shape[axis] for axis in params["dimension_numbers"][1][0]]
    result = _dot({**params, "batch_shape": batch}, _converted(x, wide), _converted(y, wide))
    return _converted(result, total)


def _converted(x: Parts, dtype: Any) -> Parts:
    return components([lax.convert_element_type(entry, dtype) for entry in x.flat], x.shape)


def _argument(better: Callable[[Any, Any], Any]) -> Callable[[Any, Parts], Parts]:
    """Index of the largest or smallest entry, the first of equal ones; nan wins, as in NumPy."""

    def rule(params: Any, x: Parts) -> Parts:
        (axis,) = params["axes"]
        rows = np.moveaxis(x, axis, -1)
        dtype = params["index_dtype"]

        def one(entries: list[Any]) -> Any:
            best, at = entries[0], jnp.zeros_like(entries[0], dtype)
            for i, entry in enumerate(entries[1:], start=1):
                best, entry = _same_rank(best, entry)
                is_nan = lax.ne(best, best)
                new = lax.bitwise_and(
                    lax.bitwise_not(is_nan), lax.bitwise_or(better(entry, best), lax.ne(entry, entry))
                )
                best = lax.select(new, entry, best)
                at = lax.select(new, jnp.full(new.shape, i, dtype), spread(at, len(new)) if new.ndim else at)
            return at

        return components([one(list(rows[index])) for index in np.ndindex(*rows.shape[:-1])], rows.shape[:-1])

    return rule


def _reshape(params: Any, x: Parts) -> Parts:
    order = params["dimensions"]
    return (x if order is None else x.transpose(order)).reshape(params["new_sizes"])


RULES: dict[str, Callable[..., Any]] = {
    "argmax": _argument(lax.gt),
    "argmin": _argument(lax.lt),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *xs: np.concatenate(xs, params["dimension"]),
    "cummax": _cumulation(lax.max),
    "cummin": _cumulation(lax.min),
    "cumprod": _cumulation(lax.mul),
    "cumsum": _cumulation(lax.add),
    "dot_general": _dot_general,
    "expand_dims": lambda params, x: np.expand_dims(x, params["dimensions"]),
    "reduce_and": _reduction(lax.bitwise_and),
    "reduce_max": _reduction(lax.max),
    "reduce_min": _reduction(lax.min),
    "reduce_or": _reduction(lax.bitwise_or),
    "reduce_prod": _reduction(lax.mul),
    "reduce_sum": _reduction(lax.add),
    "reduce_xor": _reduction(lax.bitwise_xor),
    "reshape": _reshape,
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "slice": _slice,
    "split": _split,
    "squeeze": lambda params, x: np.squeeze(x, tuple(params["dimensions"])),
    "stack": lambda params, *xs: np.stack(xs, params["axis"]),
    "transpose": lambda params, x: x.transpose(params["permutation"]),
    "unstack": _unstack,
}
"""What primitives do to components."""

MOVED = {
    "dynamic_slice": 1,
    "dynamic_update_slice": 2,
    "gather": 1,
    "pad": 2,
    "scatter": 2,
}
"""Primitives that only move numbers, with how many of their operands hold numbers: the first ones (`scatter` has its
indices between them). They are asked where they move 0, 1, 2 ... to, if the rest of their operands is known."""


def positions(name: str, n_operands: int) -> range:
    """Which operands of a primitive that moves numbers say where to."""
    return range(1, 2) if name == "scatter" else range(MOVED[name], n_operands)


def moved(equation: Any, operands: list[Value]) -> Parts | None:
    """Components after a move; None where the rest is not known, or numbers come from nowhere or from a function."""
    places = positions(equation.primitive.name, len(operands))
    rest = [operands[i] for i in places]
    numbers = [value for i, value in enumerate(operands) if i not in places]
    more = [equation.params.get(name) for name in ("fill_value", "update_jaxpr")]
    if not all(value.known for value in rest) or any(value is not None for value in more):
        return None
    asked, start = [], 0
    for i, value in enumerate(operands):
        if i in places:
            asked.append(value.whole)
        else:
            asked.append(np.arange(start, start + value.size, dtype=np.int32).reshape(value.shape))
            start += value.size
    with jax.ensure_compile_time_eval():
        where = np.asarray(equation.primitive.bind(*asked, **equation.params))
    if where.min() < 0 or where.max() >= start:
        return None
    return np.concatenate([value.parts.reshape(-1) for value in numbers])[where]
