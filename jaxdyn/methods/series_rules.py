"""Series of JAX's primitives, from those of their operands."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn.engine.dense import bind
from jaxdyn.methods.power_series import Series, constant, convolution, minus, square, term, total

__all__ = ["RULES"]

# A rule gets the expansion that it appends to, the equation and the series of its operands, one of them no constant;
# it returns the series of the results.
RULES: dict[str, Callable[[Any, Any, list[Series]], list[Any]]] = {}


def _avals(equation: Any) -> list[Any]:
    return [v.aval for v in equation.outvars]


# Linear ---------------------------------------------------------------------------------------------------------------


def _linear(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    """Linear in all its floating operands together: the same of their coefficients."""
    inputs = [v.aval for v in equation.invars]
    moves = [jnp.issubdtype(aval.dtype, jnp.inexact) for aval in inputs]

    def rule(k: int) -> Any:
        given = [term(operand, k) if own else operand[0] for operand, own in zip(operands, moves, strict=True)]
        if all(c is None for c, own in zip(given, moves, strict=True) if own):
            return [None] * len(equation.outvars)
        filled = [jnp.zeros(a.shape, a.dtype) if c is None else c for c, a in zip(given, inputs, strict=True)]
        return bind(equation, filled)

    return field.append(rule, _avals(equation))


LINEAR = """broadcast_in_dim concatenate convert_element_type copy copy_p cumsum dynamic_slice dynamic_update_slice
gather neg pad reduce_precision reduce_sum reshape rev scatter scatter-add select_n slice split squeeze stack transpose
unstack""".split()
RULES |= dict.fromkeys(LINEAR, _linear)


def _sum(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    a, b = operands
    return field.append(lambda k: [total([term(a, k), term(b, k)])], _avals(equation))


def _difference(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    a, b = operands
    return field.append(lambda k: [minus(term(a, k), term(b, k))], _avals(equation))


# Products and quotients -----------------------------------------------------------------------------------------------


def _product(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    a, b = operands
    rule = (lambda k: [square(a, k)]) if a is b else (lambda k: [convolution(a, b, k)])
    return field.append(rule, _avals(equation))


def _square(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    return field.append(lambda k: [square(operands[0], k)], _avals(equation))


def _contraction(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    """Product of arrays."""

    def product(x: Any, y: Any) -> Any:
        return bind(equation, [x, y])[0]

    a, b = operands
    return field.append(lambda k: [convolution(a, b, k, product=product)], _avals(equation))


def _quotient(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    """From c b = a: c_k b_0 = a_k - sum of b_i c_(k-i)."""
    a, b = operands

    def rule(k: int) -> Any:
        if k == 0:
            return [a[0] / b[0]]
        rest = minus(term(a, k), None if constant(b) else convolution(b, series, k, first=1))
        return [None if rest is None else rest * (1 / b[0])]

    (series,) = results = field.append(rule, _avals(equation))
    return results


# Powers ---------------------------------------------------------------------------------------------------------------


def _root(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    """From y y = a: 2 y_0 y_k = a_k - sum of y_i y_(k-i), 0 < i < k."""
    (a,) = operands

    def rule(k: int) -> Any:
        if k == 0:
            return [jnp.sqrt(a[0])]
        rest = minus(term(a, k), square(series, k, first=1))
        return [None if rest is None else rest * (0.5 / series[0])]

    (series,) = results = field.append(rule, _avals(equation))
    return results


def _power_of(exponent: Any, start: Callable[[Any], Any]) -> Any:
    """From a y' = r a' y: k a_0 y_k = sum of (r i - (k - i)) a_i y_(k-i), i > 0."""

    def rule_of(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
        a = operands[0]

        def rule(k: int) -> Any:
            if k == 0:
                return [start(a[0])]
            weighted = [None if c is None else ((exponent + 1) * (i / k) - 1) * c for i, c in enumerate(a)]
            found = convolution(weighted, series, k, first=1)
            return [None if found is None else found * (1 / a[0])]

        (series,) = results = field.append(rule, _avals(equation))
        return results

    return rule_of


def _power(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    base, exponent = operands
    if constant(exponent):
        return _power_of(exponent[0], lambda a: a ** exponent[0])(field, equation, operands)
    return [field.function(lambda a, r: jnp.exp(r * jnp.log(a)), _avals(equation)[0], base, exponent)]


def _whole_power(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
    """Products, which a base of zero is no trouble to."""
    exponent = equation.params["y"]

    def function(a: Any) -> Any:
        result, power, rest = None, a, abs(exponent)
        while rest:
            if rest & 1:
                result = power if result is None else result * power
            rest >>= 1
            power = power * power if rest else power
        return jnp.ones_like(a) if result is None else 1 / result if exponent < 0 else result

    return [field.function(function, _avals(equation)[0], operands[0])]


# Functions whose derivative is known ----------------------------------------------------------------------------------


def _weighted(a: Series) -> list[Any]:
    """Coefficients of h a'(h)."""
    return [None if c is None else i * c for i, c in enumerate(a)]


def _integral(slope: Series, a: Series, k: int) -> Any:
    """Coefficient of h^k of y, where y' = slope a'."""
    found = convolution(_weighted(a), slope, k, first=1)
    return None if found is None else found * (1 / k)


def _by_slope(slope: Callable[[Any, Any], Any]) -> Any:
    """Rule of a function with derivative `slope(y, a)`, y its value at a."""

    def rule_of(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
        (a,), (aval,) = operands, _avals(equation)

        def rule(k: int) -> Any:
            return bind(equation, [a[0]]) if k == 0 else [_integral(of_slope, a, k)]

        (series,) = results = field.append(rule, [aval])
        of_slope = field.function(slope, aval, series, a)  # after y in each pass, which needs it up to h^(k-1)
        return results

    return rule_of


def _of_pair(functions: tuple[Any, Any], which: int, sign: float) -> Any:
    """Rule of one of two functions with s' = c and c' = sign s."""

    def rule_of(field: Any, equation: Any, operands: list[Series]) -> list[Any]:
        (a,), (aval,) = operands, _avals(equation)

        def rule(k: int) -> Any:
            if k == 0:
                return [function(a[0]) for function in functions]
            s, c = pair
            found = _integral(s, a, k)
            return [_integral(c, a, k), None if found is None else sign * found]

        key = (functions, id(a))
        if key not in field.pairs:
            field.pairs[key] = field.append(rule, [aval, aval])
        pair = field.pairs[key]
        return [pair[which]]

    return rule_of


def _by_function(function: Callable[[Any], Any]) -> Any:
    """Rule of a function that others make up."""
    return lambda field, equation, operands: [field.function(function, _avals(equation)[0], *operands)]


SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "acos": lambda y, a: -1 / jnp.sqrt(1 - a * a),
    "acosh": lambda y, a: 1 / jnp.sqrt(a * a - 1),
    "asin": lambda y, a: 1 / jnp.sqrt(1 - a * a),
    "asinh": lambda y, a: 1 / jnp.sqrt(1 + a * a),
    "atan": lambda y, a: 1 / (1 + a * a),
    "atanh": lambda y, a: 1 / (1 - a * a),
    "erf": lambda y, a: (2 / np.sqrt(np.pi)) * jnp.exp(-a * a),
    "erfc": lambda y, a: (-2 / np.sqrt(np.pi)) * jnp.exp(-a * a),
    "exp": lambda y, a: y,
    "exp2": lambda y, a: math.log(2) * y,
    "expm1": lambda y, a: y + 1,
    "log": lambda y, a: 1 / a,
    "log1p": lambda y, a: 1 / (1 + a),
    "logistic": lambda y, a: y - y * y,
    "tan": lambda y, a: 1 + y * y,
    "tanh": lambda y, a: 1 - y * y,
}
RULES |= {
    **{name: _by_slope(slope) for name, slope in SLOPES.items()},
    "add": _sum,
    "add_any": _sum,
    "cbrt": _power_of(1 / 3, jnp.cbrt),
    "cos": _of_pair((jnp.sin, jnp.cos), 1, -1.0),
    "cosh": _of_pair((jnp.sinh, jnp.cosh), 1, 1.0),
    "div": _quotient,
    "dot_general": _contraction,
    "integer_pow": _whole_power,
    "mul": _product,
    "pow": _power,
    "rsqrt": _power_of(-1 / 2, lambda a: 1 / jnp.sqrt(a)),
    "sin": _of_pair((jnp.sin, jnp.cos), 0, -1.0),
    "sinh": _of_pair((jnp.sinh, jnp.cosh), 0, 1.0),
    "sqrt": _root,
    "square": _square,
    "sub": _difference,
}
"""How each primitive's series follows."""
