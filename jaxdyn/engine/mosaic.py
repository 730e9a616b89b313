"""Loops of many lanes as kernels of a GPU: the state of each lane stays in registers until its loop ends.

What is no loop is compiled by XLA on whole arrays of lanes; each outermost loop becomes one kernel of Pallas Mosaic,
whose blocks of lanes go through all iterations on their own. Pallas changes from release to release and lacks
functions; both are dealt with in the modules of this name and nowhere else, and it is imported only where it is used.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn.engine.control import opened
from jaxdyn.engine.engines import COMPONENTS, WARPGROUP, Mosaic, Xla, run_components
from jaxdyn.engine.interpreter import Interpreter
from jaxdyn.engine.mosaic_functions import Unsupported
from jaxdyn.engine.mosaic_kernel import Kernel, launched
from jaxdyn.engine.values import Value, filled

__all__ = ["Unsupported", "run_mosaic", "run_mosaic_or_xla"]


def run_mosaic_or_xla(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int, platform: str) -> list[Value]:
    """Results of a traced function for all lanes; by XLA, with one warning a process, where kernels cannot be had."""
    try:
        if platform not in ("gpu", "cuda") and not engine.interpret:
            raise Unsupported(f"its kernels run on GPUs, not on {platform}")
        return run_mosaic(engine, closed, arguments, lanes)
    except Unsupported as error:
        _warn_once(str(error))
    return run_components(Xla(components=engine.components), closed, arguments, lanes, platform)


_warned: list[str] = []


def _warn_once(reason: str) -> None:
    if not _warned:
        _warned.append(reason)
        text = f"engine Mosaic falls back to Xla: {reason}; other cases of this process do so without a warning"
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def run_mosaic(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int) -> list[Value]:
    """Results of a traced function for all lanes, its loops as kernels; raises `Unsupported` while tracing."""
    width = engine.block * math.ceil(lanes / engine.block)
    while width in _lengths(closed.jaxpr):  # kernels know arrays of lanes by their length
        width += engine.block
    given = [
        Value.of_whole(width, filled(value.whole, width)) if value.varies else Value.shared(width, value.whole)
        for value in arguments
    ]
    results = _WithKernels(width, engine).run(closed.jaxpr, closed.consts, given)
    return [Value.of_whole(lanes, v.whole[..., :lanes]) if v.varies else Value.shared(lanes, v.whole) for v in results]


def _lengths(jaxpr: Any) -> set[int]:
    """Lengths of all axes of all arrays of one lane."""
    variables = [*jaxpr.constvars, *jaxpr.invars, *(v for equation in jaxpr.eqns for v in equation.outvars)]
    found = {length for v in variables for length in getattr(v.aval, "shape", ())}
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                found |= _lengths(inner) if hasattr(inner, "eqns") else set()
    return found


class _WithKernels(Interpreter):
    """The walk over a function's equations, with outermost loops as kernels."""

    def __init__(self, lanes: int, engine: Mosaic) -> None:
        super().__init__(lanes, COMPONENTS if engine.components is None else engine.components)
        self.engine = engine

    def _equation(self, equation: Any, operands: list[Value]) -> list[Value]:
        if not self._in_loop and equation.primitive.name in ("scan", "while"):
            for operand in operands:
                if operand.size <= self.limit:
                    _ = operand.parts  # taken apart outside: a kernel cannot
        if self._in_loop and (platforms := equation.params.get("branches_platforms")) is not None:
            own = "cpu" if self.engine.interpret else "cuda"
            at = next(i for i, names in enumerate(platforms) if names is None or own in names)
            return self.run(*opened(equation.params["branches"][at]), operands[1:])
        if equation.primitive.name == "platform_index" and self._in_loop:
            return [Value.shared(self.lanes, np.int32(0))]  # for the branch that asks itself
        return super()._equation(equation, operands)

    def loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A loop's results, the outermost one's from a kernel, with the derivative of the loop as XLA runs it."""
        if self._in_loop:
            return function(*arguments)
        self._in_loop = True
        try:
            closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        finally:
            self._in_loop = False
        kernel = Kernel(self.engine, closed, self.lanes)
        _check(kernel)
        run = jax.custom_jvp(lambda *operands: kernel(*operands))
        run.defjvp(lambda primals, tangents: jax.jvp(kernel.as_xla, primals, tangents))
        return jax.tree.unflatten(jax.tree.structure(shape), run(*kernel.consts, *jax.tree.leaves(arguments)))


def _check(kernel: Kernel) -> None:
    """Complain about what cannot be a kernel: it is lowered once here, where XLA can still take over."""
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in kernel.inputs]
    if kernel.engine.interpret:
        jax.eval_shape(kernel, *shapes)
        return
    if reason := _unavailable():
        raise Unsupported(reason)
    _lowered(kernel, *shapes)


def _lowered(function: Callable[..., Any], *shapes: Any) -> Any:
    """The kernel lowered for a GPU, of which none need be there; Pallas complains here about what it lacks."""
    try:
        return jax.jit(function).trace(*shapes).lower(lowering_platforms=("cuda",))
    except Unsupported:
        raise
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise Unsupported(f"{type(error).__name__}: {lines[0] if lines else ''}") from error


@functools.cache
def _unavailable() -> str | None:
    """Why kernels cannot be had at all, found by compiling one and, where there is a GPU, running it."""

    def body(index: Any, x: Any, y: Any) -> None:
        y[...] = x[...] + jnp.float32(1)

    shape = jax.ShapeDtypeStruct((WARPGROUP,), np.float32)
    try:
        lowered = _lowered(launched(body, Mosaic(), [shape], 1), shape)
        if all(device.platform == "cpu" for device in jax.devices()):
            return None
        (result,) = lowered.compile()(np.zeros(WARPGROUP, np.float32))
        return None if np.all(np.asarray(result) == 1) else "a test kernel gave wrong numbers"
    except Exception as error:
        return f"a test kernel failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
