"""The walk over a function's equations that turns one lane's arithmetic into that of all lanes."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Literal

from jaxdyn.engine.census import in_parts, is_elementwise, is_interpreted, needed
from jaxdyn.engine.components import ELEMENTWISE, MOVED, RULES, elementwise, moved
from jaxdyn.engine.control import CONTROL, ONE_FUNCTION
from jaxdyn.engine.dense import DENSE, fallback, whole_elementwise
from jaxdyn.engine.folding import folded
from jaxdyn.engine.values import Layout, Value
from jaxdyn.engine.within import equations

__all__ = ["FOLDED", "Interpreter", "only_computes"]

# Integer arithmetic on this many known numbers is done while tracing: it is what decides on indices.
FOLDED = 4096
# Results of a field that becomes a function of its own on a CPU. XLA fuses what leads to a number into the code that
# computes it: several numbers that come of one field would each compute it again. For many the calls' compiling is
# longer, and their results no longer stay in registers.
SEPARATE = 16


class Interpreter:
    """Evaluates a jaxpr of one lane for `lanes` lanes.

    Arrays of up to `limit` components are taken apart. With `one_function` each outermost loop is compiled by
    XLA:CPU as one function, if it holds only what that compiler can.
    """

    hoists = False
    """Whether what all lanes share in a loop becomes a loop before it, and arrays that it reads become numbers: XLA:CPU
    ends the process over some functions that it compiles as one, if they read such (jax 0.10)."""

    def __init__(self, lanes: int, limit: int, *, unroll: int | None = 1, one_function: bool = False) -> None:
        self.lanes, self.limit, self.unroll, self.one_function = lanes, limit, unroll, one_function
        self.in_loop = self._separated = False

    def run(self, jaxpr: Any, consts: list[Any], arguments: list[Value]) -> list[Value]:
        """Results of a jaxpr."""
        values: dict[Any, Value] = {}
        values.update(zip(jaxpr.constvars, (Value.shared(self.lanes, c) for c in consts), strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))

        def read(variable: Any) -> Value:
            if isinstance(variable, Literal):
                aval: Any = variable.aval
                return Value.shared(self.lanes, np.asarray(variable.val, aval.dtype))
            return values[variable]

        for equation in needed(jaxpr):
            results = self._equation(equation, [read(v) for v in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[Value]) -> list[Value]:
        name = equation.primitive.name
        if is_interpreted(equation):
            return CONTROL[name](self, equation, operands)
        if all(operand.known for operand in operands) and self.folds(equation):
            if (numbers := folded(equation, [operand.whole for operand in operands])) is not None:
                return [Value.shared(self.lanes, array) for array in numbers]
            with jax.ensure_compile_time_eval():
                return [Value.shared(self.lanes, np.asarray(v.whole)) for v in fallback(equation, operands, self.lanes)]
        apart = self.takes_apart(operands) and in_parts(equation, self.limit)
        if apart and (results := self._by_parts(equation, operands)) is not None:
            return results
        if any(operand.varies for operand in operands):
            if (results := self._whole(equation, operands)) is not None:
                return results
        return fallback(equation, operands, self.lanes)

    def takes_apart(self, operands: list[Value]) -> bool:
        """Whether small arrays are taken apart; what all lanes share is plain JAX."""
        return any(operand.varies for operand in operands)

    def _by_parts(self, equation: Any, operands: list[Value]) -> list[Value] | None:
        name = equation.primitive.name
        if name in ELEMENTWISE:
            results: Any = elementwise(equation, [operand.parts for operand in operands], self.lanes)
        elif name in RULES:
            results = RULES[name](equation.params, *(operand.parts for operand in operands))
        else:
            results = moved(equation, operands)
        if results is None:
            return None
        several = equation.primitive.multiple_results
        pairs = zip(results if several else [results], equation.outvars, strict=True)
        return [Value.of_parts(self.lanes, _as_parts(parts), out.aval.dtype) for parts, out in pairs]

    def _whole(self, equation: Any, operands: list[Value]) -> list[Value] | None:
        name = equation.primitive.name
        if is_elementwise(equation):
            results: Any = whole_elementwise(equation, operands)
        elif name in DENSE:
            results = DENSE[name](equation.params, *operands)
        else:
            return None
        if results is None:
            return None
        return [Value.of_whole(self.lanes, a) for a in (results if equation.primitive.multiple_results else [results])]

    def layout(self, shape: tuple[int, ...], dtype: Any, varies: bool) -> Layout:
        """How a value of a shape crosses the border of a loop."""
        return Layout(self.lanes, tuple(shape), dtype, varies, 1 <= math.prod(shape) <= self.limit)

    def folds(self, equation: Any) -> bool:
        """Whether an equation of known numbers is done while tracing: it computes, and decides on indices."""
        return only_computes(equation) and all(v.aval.dtype.kind in "iub" for v in equation.outvars)

    def separates(self, operands: list[Value], outvars: Any) -> bool:
        """Whether a field inside a loop becomes a function of its own."""
        size = sum(math.prod(v.aval.shape) for v in outvars)
        inside = self.one_function and self.in_loop
        separated = inside and size <= min(SEPARATE, self.limit) and any(value.varies for value in operands)
        self._separated |= separated
        return separated

    def loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A loop's results; the outermost one is compiled as one function where that is possible."""
        if self.in_loop or not self.one_function:
            return function(*arguments)
        closed, shape = self._traced(function, arguments)
        fits = _fits(closed.jaxpr.eqns[0].params["jaxpr"].jaxpr)
        if self._separated and not fits:  # a function within a loop that is none ends XLA's compiler as well
            self.one_function = False
            closed, shape = self._traced(function, arguments)
            self.one_function = True
        (call,) = closed.jaxpr.eqns
        leaves = jax.tree.leaves(arguments)
        operands = dict(zip([*closed.jaxpr.constvars, *closed.jaxpr.invars], [*closed.consts, *leaves], strict=True))
        # The loop is traced before: inside the context each of its equations would bear the mark.
        with set_xla_metadata(**(ONE_FUNCTION if fits else {})):
            results = call.primitive.bind(*(operands[v] for v in call.invars), **call.params)
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    def _traced(self, function: Callable[..., Any], arguments: Any) -> tuple[Any, Any]:
        """Jaxpr and shape of the results of an outermost loop."""
        self.in_loop, self._separated = True, False
        try:
            # A new function each time: JAX remembers what it has traced.
            return jax.make_jaxpr(jax.jit(lambda *a: function(*a)), return_shape=True)(*arguments)
        finally:
            self.in_loop = False


def only_computes(equation: Any) -> bool:
    """Whether an equation of numbers does nothing else, and gives few."""
    name, avals = equation.primitive.name, [v.aval for v in equation.outvars]
    if not (is_elementwise(equation) or name in RULES or name in MOVED or name == "iota"):
        return False  # it may do more
    return all(isinstance(a.dtype, np.dtype) for a in avals) and sum(math.prod(a.shape) for a in avals) <= FOLDED


def _as_parts(parts: Any) -> np.ndarray[Any, Any]:
    """NumPy hands out a bare entry where an array of no axes is meant."""
    if isinstance(parts, np.ndarray) and parts.dtype == object:
        return parts
    boxed = np.empty((), object)
    boxed[()] = parts
    return boxed


# Not "while": of loops that end by a test, that compiler ends the process over some (jax 0.10).
_ONE_FUNCTION = (
    ELEMENTWISE
    | set(RULES)
    | set(MOVED)
    | {
        "scan",
        "jit",
        "pjit",
        "custom_jvp_call",
        "iota",
        "closed_call",
        "cond",
        "platform_index",
        "optimization_barrier",
    }
) - {"dot_general", "argmax", "argmin", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum", "reduce_xor"}
"""Primitives that XLA:CPU compiles inside one function; matrix products are faster outside, and reductions of large
arrays become fusions of a kind that it refuses (jax 0.10)."""


def _fits(jaxpr: Any) -> bool:
    """Whether a loop holds only such primitives."""
    return all(equation.primitive.name in _ONE_FUNCTION for equation in equations(jaxpr))
