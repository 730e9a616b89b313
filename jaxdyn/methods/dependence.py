"""Which results of a function depend on which of its arguments, component by component, read off its equations."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import Literal
from numpy.typing import NDArray

from jaxdyn._types import is_concrete
from jaxdyn.engine.census import is_elementwise
from jaxdyn.engine.components import MOVED, positions

__all__ = ["depends_on"]

# Numbers of a constant that are worked out while tracing: indices, and matrices with zeros.
FOLDED = 4096


def depends_on(function: Callable[[Any], Any], x: Any, marked: Any) -> NDArray[Any]:
    """For each component of `function(x)`, whether it depends on the marked components of `x`.

    The walk knows what primitives do with places, not with numbers: True may be too cautious (x - x, loops), False is
    certain. Zeros of constants count. Values of parameters never do, so that it holds for all of them.
    """
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(x.shape, x.dtype))
    (result,) = _walk(closed.jaxpr, closed.consts, [_Mark(np.asarray(marked, bool))])
    return result.mask


class _Mark:
    """Which components of a value depend on marked ones; and its numbers, where they are known and none does."""

    def __init__(self, mask: NDArray[Any], known: Any = None) -> None:
        self.mask, self.known = np.asarray(mask), known

    @property
    def any(self) -> bool:
        return bool(self.mask.any())

    @property
    def factor(self) -> NDArray[Any]:
        """Where a product with this value may depend on the other factor: everywhere but at known zeros."""
        return np.ones(self.mask.shape, bool) if self.known is None else np.asarray(self.known != 0)


def _constant(value: Any) -> _Mark:
    known = value if is_concrete(value) and np.size(value) <= FOLDED and _is_number(value) else None
    return _Mark(np.zeros(np.shape(value), bool), None if known is None else np.asarray(known))


def _is_number(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "fiub" if not hasattr(value, "dtype") else value.dtype.kind in "fiub"


def _walk(jaxpr: Any, consts: Sequence[Any], arguments: list[_Mark]) -> list[_Mark]:
    marks: dict[Any, _Mark] = dict(zip(jaxpr.constvars, map(_constant, consts), strict=True))
    marks.update(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> _Mark:
        return _constant(variable.val) if isinstance(variable, Literal) else marks[variable]

    for equation in jaxpr.eqns:
        results = _results(equation, [read(v) for v in equation.invars])
        marks.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _results(equation: Any, operands: list[_Mark]) -> list[_Mark]:
    name, shapes = equation.primitive.name, [v.aval.shape for v in equation.outvars]
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if name in _CALLS and inner is not None:
        return _walk(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands)
    if name == "cond":
        return _branches(equation, operands)
    if not any(operand.any for operand in operands):
        return _unmarked(equation, operands, shapes)
    masks = _masks(equation, operands)
    if masks is None:  # what has no rule mixes everything
        masks = [np.ones(shape, bool) for shape in shapes]
    return [_Mark(np.broadcast_to(mask, shape)) for mask, shape in zip(masks, shapes, strict=True)]


def _unmarked(equation: Any, operands: list[_Mark], shapes: list[Any]) -> list[_Mark]:
    """Results that depend on nothing marked; small numbers are worked out."""
    plain = [_Mark(np.zeros(shape, bool)) for shape in shapes]
    foldable = all(operand.known is not None for operand in operands) and not equation.effects
    simple = is_elementwise(equation) or equation.primitive.name in {*_PLACES, *MOVED, "iota"}
    if not (foldable and simple and sum(map(math.prod, shapes)) <= FOLDED):
        return plain
    with jax.ensure_compile_time_eval():
        values = _bound(equation, [operand.known for operand in operands])
    return [_Mark(mark.mask, np.asarray(value)) for mark, value in zip(plain, values, strict=True)]


def _bound(equation: Any, operands: Sequence[Any]) -> list[Any]:
    arrays = [jax.numpy.asarray(x, v.aval.dtype) for x, v in zip(operands, equation.invars, strict=True)]
    results = equation.primitive.bind(*arrays, **equation.params)
    return list(results) if equation.primitive.multiple_results else [results]


def _branches(equation: Any, operands: list[_Mark]) -> list[_Mark]:
    """A component depends on what it does in any branch, and on what chooses the branch."""
    choice, *rest = operands
    found = [_walk(branch.jaxpr, branch.consts, rest) for branch in equation.params["branches"]]
    columns = zip(*found, strict=True)
    return [_Mark(functools.reduce(np.logical_or, (m.mask for m in column)) | choice.any) for column in columns]


def _masks(equation: Any, operands: list[_Mark]) -> Any:
    """Masks of the results of an equation some of whose operands are marked; None where there is no rule."""
    name, params, masks = equation.primitive.name, equation.params, [operand.mask for operand in operands]
    if name == "mul":
        a, b = operands
        return [(a.mask & b.factor) | (b.mask & a.factor)]
    if is_elementwise(equation):
        return [functools.reduce(np.logical_or, masks)]
    if name == "dot_general":
        a, b = operands
        return [_product(params, a.mask, b.factor) | _product(params, a.factor, b.mask)]
    if name.startswith(("reduce_", "arg")) and "axes" in params and len(masks) == 1:
        return [masks[0].any(axis=tuple(params["axes"]))]
    if name.startswith("cum"):
        return [np.broadcast_to(masks[0].any(axis=params["axis"], keepdims=True), masks[0].shape)]
    if name in _PLACES:
        return _moved(equation, masks)
    if name in MOVED or name in _ADDED:
        return _placed(equation, operands)
    return None


def _product(params: Any, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    with jax.ensure_compile_time_eval():
        left, right = (jax.numpy.asarray(mask, np.float32) for mask in (a, b))
        sums = lax.dot_general(left, right, params["dimension_numbers"])
    return np.asarray(sums) != 0


def _moved(equation: Any, masks: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The primitive itself moves the masks."""
    with jax.ensure_compile_time_eval():
        results = equation.primitive.bind(*map(jax.numpy.asarray, masks), **equation.params)
    return [np.asarray(r) for r in (results if equation.primitive.multiple_results else [results])]


def _placed(equation: Any, operands: list[_Mark]) -> list[NDArray[Any]] | None:
    """Numbers moved to places that must be known; added ones count beside those that were there."""
    places = positions("scatter" if equation.primitive.name in _ADDED else equation.primitive.name, len(operands))
    if any(operands[i].known is None for i in places):
        return None
    given = [operand.known if i in places else operand.mask for i, operand in enumerate(operands)]
    with jax.ensure_compile_time_eval():
        # An `added` result is a sum of masks, so they are numbers.
        results = _bound(equation, given)
    return [np.asarray(result) != 0 for result in results]


_CALLS = frozenset(
    "jit pjit closed_call core_call remat2 checkpoint custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr".split()
)
"""Primitives that call a function once."""

_PLACES = frozenset(
    """broadcast_in_dim concatenate expand_dims reshape rev slice split squeeze stack transpose unstack
    copy copy_p""".split()
)
"""Primitives that move numbers to places known without any number."""

_ADDED = frozenset({"scatter-add", "scatter_add"})
"""Primitives that add numbers at places, with the operands of `scatter`."""
