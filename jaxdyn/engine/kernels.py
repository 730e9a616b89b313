"""Outermost loops as kernels: what the engines have in common that compile a loop by other means than XLA.

What is no loop is compiled by XLA on whole arrays of lanes. Each outermost loop is traced for all lanes; from its
equations, on scalars and arrays of lanes, an engine makes a kernel whose blocks of lanes go through all iterations on
their own, with their numbers in registers.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxdyn.engine.control import opened
from jaxdyn.engine.interpreter import FOLDED, Interpreter, only_computes
from jaxdyn.engine.values import Value, filled
from jaxdyn.engine.within import equations, within

__all__ = ["CALLS", "Loop", "Unsupported", "is_known", "run_with_kernels", "warn_once"]

CALLS = frozenset("checkpoint closed_call core_call custom_jvp_call custom_vjp_call jit pjit remat2".split())
"""Equations whose body stands in their place."""


class Unsupported(Exception):
    """A loop that cannot be a kernel, or a machine that has none."""


class Loop:
    """A loop, given by its equations for all lanes."""

    def __init__(self, closed: Any, lanes: int, asked: int | None = None) -> None:
        # The lanes that the equations are for, and how many of them count: others fill up a block.
        self.jaxpr, self.lanes, self.asked = closed.jaxpr, lanes, lanes if asked is None else asked
        pairs = list(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        # What is known now, and not of lanes, is part of the code.
        self.known = {v: np.asarray(c) for v, c in pairs if is_known(c) and v.aval.shape != (lanes,)}
        self.consts = [c for v, c in pairs if v not in self.known]
        self.inputs = [v for v in (*closed.jaxpr.constvars, *closed.jaxpr.invars) if v not in self.known]

    def as_xla(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes, by XLA."""
        values = self.known | dict(zip(self.inputs, operands, strict=True))
        consts, arguments = ([values[v] for v in vs] for vs in (self.jaxpr.constvars, self.jaxpr.invars))
        return jaxpr_as_fun(ClosedJaxpr(self.jaxpr, consts))(*arguments)

    def __call__(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes, by the kernel."""
        raise NotImplementedError

    def finish(self) -> None:
        """Ends what the kernel still needs before it can run, and others need not wait for; raises `Unsupported`."""


def is_known(value: Any) -> bool:
    """Whether a number is known while tracing."""
    return not isinstance(value, Tracer)


def run_with_kernels(
    kernel_of: Callable[[Any, int], Loop],
    block: int,
    components: int,
    platform: str,
    closed: Any,
    arguments: Sequence[Value],
    lanes: int,
) -> list[Value]:
    """Results of a traced function for all lanes, its loops as kernels; raises `Unsupported` while tracing.

    `kernel_of` makes the kernel of a loop that is traced for a number of lanes, a multiple of the block.
    """
    width = block * math.ceil(lanes / block)
    while width in _lengths(closed.jaxpr):  # kernels know arrays of lanes by their length
        width += block
    given = [
        Value.of_whole(width, filled(value.whole, width)) if value.varies else Value.shared(width, value.whole)
        for value in arguments
    ]
    walk = _WithKernels(width, components, platform, kernel_of)
    results = walk.run(closed.jaxpr, closed.consts, given)
    for kernel in walk.kernels:
        kernel.finish()
    return [Value.of_whole(lanes, v.whole[..., :lanes]) if v.varies else Value.shared(lanes, v.whole) for v in results]


def _lengths(jaxpr: Any) -> set[int]:
    """Lengths of all axes of all arrays of one lane."""
    variables = [v for part in within(jaxpr) for v in (*part.constvars, *part.invars)]
    variables += [v for equation in equations(jaxpr) for v in equation.outvars]
    return {length for v in variables for length in getattr(v.aval, "shape", ())}


class _WithKernels(Interpreter):
    """The walk over a function's equations, with outermost loops as kernels."""

    def __init__(self, lanes: int, components: int, platform: str, kernel_of: Callable[[Any, int], Loop]) -> None:
        super().__init__(lanes, components)
        self.hoists = platform == "cpu"  # a GPU would start a kernel for each iteration of the loop before
        self.platform, self.kernel_of = platform, kernel_of
        self.kernels: list[Loop] = []

    def run(self, jaxpr: Any, consts: list[Any], arguments: list[Value]) -> list[Value]:
        """Results of a jaxpr; the components of its constants become part of the code."""
        return super().run(jaxpr, [_as_numbers(c) for c in consts], arguments)

    def takes_apart(self, operands: list[Value]) -> bool:
        """Also what all lanes share, in a loop: in a kernel there is no place for arrays."""
        return self.in_loop or super().takes_apart(operands)

    def _by_parts(self, equation: Any, operands: list[Value]) -> list[Value] | None:
        """Only loops are taken apart: XLA takes long to compile what is written out between them."""
        return super()._by_parts(equation, operands) if self.in_loop else None

    def folds(self, equation: Any) -> bool:
        """Whether an equation of known numbers is done while tracing: in a kernel there is no place for tables."""
        return super().folds(equation) or (self.in_loop and only_computes(equation))

    def _equation(self, equation: Any, operands: list[Value]) -> list[Value]:
        if not self.in_loop and equation.primitive.name in ("scan", "while"):
            for operand in operands:
                if operand.size <= self.limit:
                    _ = operand.parts  # taken apart outside: a kernel cannot
        if self.in_loop and (platforms := equation.params.get("branches_platforms")) is not None:
            at = next(i for i, names in enumerate(platforms) if names is None or self.platform in names)
            return self.run(*opened(equation.params["branches"][at]), operands[1:])
        if equation.primitive.name == "platform_index" and self.in_loop:
            return [Value.shared(self.lanes, np.int32(0))]  # for the branch that asks itself
        return super()._equation(equation, operands)

    def loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A loop's results, the outermost one's from a kernel, with the derivative of the loop as XLA runs it."""
        if self.in_loop:
            return function(*arguments)
        self.in_loop = True
        try:
            closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        finally:
            self.in_loop = False
        if not any(a.shape[-1:] == (self.lanes,) for a in (*closed.in_avals, *closed.out_avals)):
            return function(*arguments)  # the same for all lanes
        kernel = self.kernel_of(closed, self.lanes)
        self.kernels.append(kernel)
        run = jax.custom_jvp(lambda *operands: kernel(*operands))
        run.defjvp(lambda primals, tangents: jax.jvp(kernel.as_xla, primals, tangents))
        return jax.tree.unflatten(jax.tree.structure(shape), run(*kernel.consts, *jax.tree.leaves(arguments)))


def _as_numbers(const: Any) -> Any:
    """A small array that is known while tracing."""
    small = isinstance(const, jax.Array) and is_known(const) and const.size <= FOLDED
    return np.asarray(const) if small and isinstance(const.dtype, np.dtype) else const


_warned: set[str] = set()


def warn_once(engine: str, instead: str, reason: str) -> None:
    """Tell, once a process, that an engine asked for by name is not the one that runs."""
    if engine not in _warned:
        _warned.add(engine)
        text = f"engine {engine} falls back to {instead}: {reason}; other cases of this process do so without a warning"
        warnings.warn(text, RuntimeWarning, stacklevel=4)
