"""Functions that the GPU kernels of Pallas Mosaic lack, by those that they have."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn.engine.kernels import Unsupported

__all__ = ["NATIVE", "REWRITTEN", "number"]


def number(value: Any) -> Any:
    """Truth values as numbers, which memory and layouts can hold."""
    if value.dtype != np.bool_:
        return value
    return lax.select(value, *(jnp.full(np.shape(value), k, np.int32) for k in (1, 0)))


def _sqrt(x: Any) -> Any:
    """One step of Newton's iteration makes the last bit of x times 1 / sqrt(x) right, or nearly so."""
    inverse = lax.rsqrt(x)
    root = x * inverse
    root = root + 0.5 * root * (1 - root * inverse)
    return jnp.where((x == 0) | (x == jnp.inf), x, root)


def _power(x: Any, y: Any) -> Any:
    """exp(y log|x|), whose relative error is |y log|x|| times that of a logarithm."""
    y = y.astype(x.dtype)
    whole = lax.round(y, lax.RoundingMethod.TO_NEAREST_EVEN) == y
    half = 0.5 * y
    odd = whole & (lax.round(half, lax.RoundingMethod.TO_NEAREST_EVEN) != half)
    size = lax.exp(y * lax.log(lax.abs(x)))
    result = jnp.where(x < 0, jnp.where(whole, jnp.where(odd, -size, size), jnp.nan), size)
    return jnp.where((y == 0) | (x == 1), jnp.ones_like(x), result)


def _integer_power(x: Any, y: int) -> Any:
    size = jnp.ones_like(x) if y == 0 else x if abs(y) == 1 else lax.integer_pow(x, abs(y))
    return 1 / size if y < 0 else size


def _floor(x: Any) -> Any:
    near = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    return jnp.where(near > x, near - 1, near)


def _log1p(x: Any) -> Any:
    """What rounding of 1 + x takes away cancels in the quotient (Kahan; Higham 2002, problem 1.5)."""
    u = lax.optimization_barrier(1 + x)  # XLA would see that u - 1 is x
    return jnp.where((u == 1) | (u == jnp.inf), jnp.where(u == 1, x, u), lax.log(u) * (x / (u - 1)))


def _expm1(x: Any) -> Any:
    """What rounding of exp(x) takes away cancels in the quotient (Kahan; Higham 2002, section 1.14.1)."""
    u = lax.optimization_barrier(lax.exp(x))
    far = (u == jnp.inf) | (u == 0)
    return jnp.where(u == 1, x, jnp.where(far, u - 1, (u - 1) * (x / lax.log(u))))


def _remainder(x: Any, y: Any) -> Any:
    """Rest x - n y with the sign of x; as exact as x is, the last bit of it being rounded once more."""
    if not jnp.issubdtype(x.dtype, np.floating):
        return lax.rem(x, y)
    size, step = lax.abs(x), lax.abs(y)
    rest = size - _floor(size / step) * step
    rest = jnp.where(rest < 0, rest + step, rest)
    rest = jnp.where(rest >= step, rest - step, rest)
    rest = jnp.where((size < step) & (size < jnp.inf), size, rest)
    return jnp.where(x < 0, -rest, rest)


def _sinh(x: Any) -> Any:
    e = _expm1(lax.abs(x))
    size = jnp.where(e == jnp.inf, e, 0.5 * (e + e / (e + 1)))
    return jnp.where(x < 0, -size, size)


def _converted(x: Any, new_dtype: Any, **params: Any) -> Any:
    if new_dtype == np.bool_:
        return x != 0
    return lax.convert_element_type(number(x), new_dtype)


def _chosen(which: Any, *cases: Any) -> Any:
    if which.dtype != np.bool_:
        raise Unsupported("select_n among several within a loop")
    return lax.select_n(which, *cases)


REWRITTEN: dict[str, Callable[..., Any]] = {
    "acos": lambda x, **_: lax.atan2(_sqrt((1 - x) * (1 + x)), x),
    "add_any": lax.add,
    "asin": lambda x, **_: lax.atan2(x, _sqrt((1 - x) * (1 + x))),
    "atan": lambda x, **_: lax.atan2(x, jnp.ones_like(x)),
    "ceil": lambda x: -_floor(-x),
    "convert_element_type": _converted,
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "cosh": lambda x, **_: 0.5 * lax.exp(x) + 0.5 * lax.exp(-x),
    "expm1": lambda x, **_: _expm1(x),
    "floor": _floor,
    "integer_pow": _integer_power,
    "is_finite": lambda x: lax.abs(x) < jnp.inf,
    "log1p": lambda x, **_: _log1p(x),
    "logistic": lambda x, **_: 1 / (1 + lax.exp(-x)),
    "pow": _power,
    "reduce_or": lambda x, **_: lax.reduce_max(number(x), (0,)) > 0,
    "rem": _remainder,
    "select_n": _chosen,
    "sinh": lambda x, **_: _sinh(x),
    "sqrt": lambda x, **_: _sqrt(x),
    "stop_gradient": lambda x: x,
    "tan": lambda x, **_: lax.sin(x) / lax.cos(x),
}
"""Primitives that Mosaic lacks in JAX 0.10.2, or has for some types only, by those that it has."""

NATIVE = frozenset(
    """abs add and atan2 clamp cos div eq erf exp exp2 ge gt le log lt max min mul ne neg not or round rsqrt shift_left
    shift_right_arithmetic shift_right_logical sign sin square sub tanh xor""".split()
)
"""Primitives that Mosaic has."""
