"""Taylor series of solutions: the equations of a field, evaluated on polynomials in time.

A field is traced once. Each variable of it becomes a series, known up to one more power of time in each pass over the
equations; the rate's coefficient of h^k gives the state's of h^(k+1). A product's new coefficient is the sum of
products of coefficients known by then, so that order p takes p^2 / 2 multiplications for each product of the field::

    x' = x y       pass k:   (x y)_k = x_0 y_k + x_1 y_(k-1) + ... + x_k y_0,     x_(k+1) = (x y)_k / (k + 1)
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from jaxdyn._types import Array
from jaxdyn.engine.census import needed
from jaxdyn.engine.dense import bind
from jaxdyn.methods.method import Rhs
from jaxdyn.methods.power_series import Series, constant, term
from jaxdyn.methods.series_rules import RULES

__all__ = ["solution_series"]

Rule: TypeAlias = Callable[[int], Sequence[Any]]
"""The coefficients of h^k of an equation's results, once those of its operands are known."""


def solution_series(rhs: Rhs, t: Array, x: Array, order: int) -> list[Array]:
    """Coefficients x_0, ..., x_order of the solution through `x` at `t`: x(t + h) is the sum of x_k h^k.

    Raises TypeError if the field holds a primitive of which no series is known.
    """
    state: list[Any] = [x]
    (rate,), passes = expanded(jax.make_jaxpr(rhs)(t, x), [[t, jnp.ones_like(t)], state])
    for k in range(order):
        passes(k)
        slope = term(rate, k)
        state.append(jnp.zeros_like(x) if slope is None else slope * (1 / (k + 1)))
    return state


def expanded(closed: Any, arguments: Sequence[Series]) -> tuple[list[Series], Callable[[int], None]]:
    """Series of a function's results, and what finds their coefficients of h^k."""
    field = Expansion()
    results = field.inlined(closed.jaxpr, closed.consts, arguments)

    def passes(k: int) -> None:
        for series, rule, avals in field.equations:
            for one, coefficient, aval in zip(series, rule(k), avals, strict=True):
                one.append(_fitted(coefficient, aval))

    return results, passes


class Expansion:
    """Equations in the order in which each pass goes through them."""

    def __init__(self) -> None:
        self.equations: list[tuple[list[list[Any]], Rule, list[Any]]] = []
        self.pairs: dict[Any, list[Any]] = {}
        """Sine and cosine of the same series, each of which the other one needs."""

    def append(self, rule: Rule, avals: Sequence[Any]) -> list[Any]:
        """Series of the results of one more equation."""
        series: list[list[Any]] = [[] for _ in avals]
        self.equations.append((series, rule, list(avals)))
        return series

    def inlined(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Series]) -> list[Any]:
        """Series of the results of a function, its equations appended."""
        variables = [*jaxpr.constvars, *jaxpr.invars]
        series: dict[Any, Any] = dict(zip(variables, [*((c,) for c in consts), *arguments], strict=True))

        def read(v: Any) -> Any:
            return (v.val,) if isinstance(v, Literal) else series[v]

        for equation in needed(jaxpr):
            results = self._equation(equation, [read(v) for v in equation.invars])
            series.update(zip(equation.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def function(self, function: Callable[..., Any], aval: Any, *arguments: Series) -> Any:
        """Series of a function of numbers, or of arrays of one shape, that is written in JAX."""
        closed = jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for _ in arguments))
        return self.inlined(closed.jaxpr, closed.consts, arguments)[0]

    def _equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        params, name = equation.params, equation.primitive.name
        if all(constant(operand) for operand in operands):
            return [(v,) for v in bind(equation, [operand[0] for operand in operands])]
        if name in CALLS:
            inner = params.get("jaxpr") or params["call_jaxpr"]
            return self.inlined(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands)
        if name not in RULES:
            raise TypeError(
                f"Taylor knows no series of the primitive {name!r}, to which the field hands its state or time; "
                "fields of arithmetic, powers, exp, log, trigonometric and hyperbolic functions have one; "
                "use a method such as Dopri8(rtol=...) for others"
            )
        return RULES[name](self, equation, operands)


CALLS = ("checkpoint", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat2")


def _fitted(coefficient: Any, aval: Any) -> Any:
    """A coefficient in the shape of its variable."""
    if coefficient is None or jnp.shape(coefficient) == aval.shape:
        return coefficient
    return jnp.broadcast_to(coefficient, aval.shape)
