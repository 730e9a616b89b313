"""What a function holds before it is run: which values differ between lanes, and what the equations would cost."""

import collections
import dataclasses
import math
from typing import Any

from jax.extend.core import Literal

from jaxdyn.engine.components import ELEMENTWISE, MOVED, RULES, positions
from jaxdyn.engine.dense import DENSE
from jaxdyn.engine.within import equations, within

__all__ = [
    "Census",
    "calls_back",
    "census",
    "in_parts",
    "is_elementwise",
    "is_interpreted",
    "needed",
    "results_vary",
    "varying",
]

# Products that one small matrix product may be taken apart into.
MOST_PRODUCTS = 1024


def in_parts(equation: Any, limit: int) -> bool:
    """Whether an equation is taken apart: a rule exists and nothing has more than `limit` components."""
    name = equation.primitive.name
    if not is_elementwise(equation) and name not in RULES and name not in MOVED:
        return False
    sizes = [math.prod(v.aval.shape) for v in (*equation.invars, *equation.outvars)]
    return all(1 <= size <= limit for size in sizes) and _n_equations(equation) <= MOST_PRODUCTS


def is_elementwise(equation: Any) -> bool:
    """Whether an equation acts on each number by itself; the bits of one may become several numbers."""
    name, shapes = equation.primitive.name, [v.aval.shape for v in (*equation.invars, *equation.outvars)]
    return name in ELEMENTWISE and (name != "bitcast_convert_type" or len(set(shapes)) == 1)


def needed(jaxpr: Any) -> list[Any]:
    """Equations that a result or an effect needs. XLA:CPU ends the process over others in a loop's test (jax 0.10)."""
    wanted, found = {v for v in jaxpr.outvars if not isinstance(v, Literal)}, []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or not wanted.isdisjoint(equation.outvars):
            found.append(equation)
            wanted.update(v for v in equation.invars if not isinstance(v, Literal))
    return found[::-1]


def calls_back(jaxpr: Any) -> bool:
    """Whether a function does more than compute: lanes that fill up a block must not do it too."""
    return any(part.effects for part in within(jaxpr)) or any(
        word in equation.primitive.name for equation in equations(jaxpr) for word in ("callback", "vmap")
    )


def is_interpreted(equation: Any) -> bool:
    """Whether an equation that holds others is walked through; JAX batches a loop whose test is a batch already."""
    name = equation.primitive.name
    if name == "while":
        cond, body = (equation.params[part].jaxpr for part in ("cond_jaxpr", "body_jaxpr"))
        return cond.outvars[0].aval.shape == () and not _asks_for_batches(body)
    return name in _INNER


def _asks_for_batches(jaxpr: Any) -> bool:
    """Whether a loop body does other things inside `jax.vmap` than outside, as equinox's do: only JAX batches it."""
    names = (equation.primitive.name for equation in equations(jaxpr))
    return any("vmap" in name or name == "nonbatchable" for name in names)


def _n_equations(equation: Any) -> int:
    """Equations that one equation becomes in components."""
    name = equation.primitive.name
    size = math.prod(equation.outvars[0].aval.shape)
    if name in ELEMENTWISE:
        return size
    if name == "dot_general":
        (summed, _), _ = equation.params["dimension_numbers"]
        return 2 * size * math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
    if name.startswith(("reduce_", "cum", "arg")):
        return math.prod(equation.invars[0].aval.shape) * (6 if name.startswith("arg") else 1)
    return 0


EXPENSIVE = frozenset(
    """acos acosh asin asinh atan atan2 atanh cbrt cos cosh digamma erf erf_inv erfc exp exp2 expm1 lgamma log log1p
    logistic pow sin sinh tan tanh""".split()
)
"""Primitives that take tens of instructions."""


@dataclasses.dataclass
class Census:
    """Counts over a function, loops inside it once."""

    equations: int = 0
    """Component equations in all."""
    in_loops: int = 0
    """Component equations of the loops: the cost of an iteration, for what runs inside one loop."""
    loops: int = 0
    iterations: int = 0
    """Iterations of all loops in one run, where their number is known; 1000 for each of those that end by a test."""
    iteration: int = 0
    """Component equations of the longest loop body."""
    carried: int = 0
    """Bytes that a loop carries from one iteration to the next, a lane, at most."""
    expensive: int = 0
    """Component equations of many instructions."""
    repeated: int = 0
    """The most that a loop's expensive equations are repeated, if each number it carries computes its own."""
    dense: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Primitives on whole arrays with the lanes last."""
    dense_in_loops: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    products: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Multiplications a lane in products of whole arrays: by matrices that are "shared", or each lane's "own"."""
    products_in_loops: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    fallbacks: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Primitives without a rule."""
    fallbacks_in_loops: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add_loop(self, body: "Census", carry: Any, length: int) -> None:
        """Count a loop whose body has been counted."""
        self.iterations += length * max(1, body.iterations)
        numbers = sum(math.prod(v.aval.shape) for v in carry)
        self.loops += body.loops + 1
        self.carried = max(self.carried, body.carried, _bytes(carry))
        self.iteration = max(self.iteration, body.equations)
        self.equations += body.equations
        self.in_loops += body.equations
        self.expensive += body.expensive
        self.repeated = max(self.repeated, body.repeated, body.expensive * numbers)
        for mine, its in ((self.dense, body.dense), (self.dense_in_loops, body.dense)):
            mine.update(its)
        for mine, its in ((self.fallbacks, body.fallbacks), (self.fallbacks_in_loops, body.fallbacks)):
            mine.update(its)
        for mine, its in ((self.products, body.products), (self.products_in_loops, body.products)):
            mine.update(its)


def _bytes(variables: Any) -> int:
    return sum(math.prod(v.aval.shape) * getattr(v.aval.dtype, "itemsize", 8) for v in variables)


def census(jaxpr: Any, flags: list[bool], limit: int) -> Census:
    """Counts over a jaxpr whose arguments differ between lanes where the flags say so."""
    counts = Census()
    _walk(jaxpr, flags, limit, counts)
    return counts


def varying(jaxpr: Any, flags: list[bool]) -> list[bool]:
    """Which results of a jaxpr differ between lanes."""
    return _walk(jaxpr, flags, 0, None)


def results_vary(equation: Any, flags: list[bool]) -> list[bool]:
    """Which results of a loop or a branch differ between lanes."""
    return _INNER[equation.primitive.name](equation.params, flags, 0, None)


def _walk(jaxpr: Any, flags: list[bool], limit: int, counts: Census | None) -> list[bool]:
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    varies = dict(zip(jaxpr.invars, flags, strict=True))

    def read(variable: Any) -> bool:
        return not isinstance(variable, Literal) and varies.get(variable, False)

    for equation in jaxpr.eqns:
        given = [read(v) for v in equation.invars]
        name = equation.primitive.name
        if is_interpreted(equation):
            results = _INNER[name](equation.params, given, limit, counts)
        else:
            results = [any(given)] * len(equation.outvars)
            if counts is not None and any(given):
                _count(equation, given, limit, counts)
        varies.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _count(equation: Any, given: list[bool], limit: int, counts: Census) -> None:
    name = equation.primitive.name
    if name in MOVED and any(given[i] for i in positions(name, len(given))):
        counts.fallbacks[name] += 1  # each lane moves numbers from or to a place of its own
    elif in_parts(equation, limit):
        n = _n_equations(equation)
        counts.equations += n
        counts.expensive += n * (name in EXPENSIVE)
    elif is_elementwise(equation) or name in DENSE:
        counts.dense[name] += 1
        if name == "dot_general":
            shared = not all(given) and not any(equation.params["dimension_numbers"][1])
            counts.products["shared" if shared else "own"] += _n_equations(equation) // 2
    else:
        counts.fallbacks[name] += 1
        counts.fallbacks_in_loops[name] += name in _INNER  # a loop left to JAX is one


def _called(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    return _walk(params.get("jaxpr") or params["call_jaxpr"], given, limit, counts)


def _custom(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    # The rule of the derivative may mix what the function keeps apart.
    return [any(given)] * len(_called(params, given, limit, counts))


def _scanned(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    start, end = params["num_consts"], params["num_consts"] + params["num_carry"]
    given = list(given)
    while True:
        out = _walk(params["jaxpr"], given, limit, None)
        carry = [a or b for a, b in zip(given[start:end], out, strict=False)]
        if carry == given[start:end]:
            break
        given[start:end] = carry
    if counts is not None:
        body = Census()
        _walk(params["jaxpr"], given, limit, body)
        counts.add_loop(body, params["jaxpr"].jaxpr.invars[start:], params["length"])
    return [*carry, *out[end - start :]]


def _while(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
    test_given, body_given, carry = given[:n_test], given[n_test : n_test + n_body], given[n_test + n_body :]
    while True:
        out = _walk(params["body_jaxpr"], body_given + carry, limit, None)
        (masked,) = _walk(params["cond_jaxpr"], test_given + carry, limit, None)
        new = [a or b or masked for a, b in zip(carry, out, strict=True)]
        if new == carry:
            break
        carry = new
    if counts is not None:
        body = Census()
        _walk(params["body_jaxpr"], body_given + carry, limit, body)
        _walk(params["cond_jaxpr"], test_given + carry, limit, body)
        counts.add_loop(body, params["body_jaxpr"].jaxpr.invars[n_body:], 1000)
    return carry


def _branched(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    results = [_walk(branch, given[1:], limit, counts) for branch in params["branches"]]
    return [given[0] or any(column) for column in zip(*results, strict=True)]


def _each(params: Any, given: list[bool], limit: int, counts: Census | None) -> list[bool]:
    return given


_INNER = {
    "checkpoint": _called,
    "closed_call": _called,
    "cond": _branched,
    "core_call": _called,
    "custom_jvp_call": _custom,
    "jit": _called,
    "optimization_barrier": _each,
    "pjit": _called,
    "remat2": _called,
    "scan": _scanned,
    "while": _while,
}
