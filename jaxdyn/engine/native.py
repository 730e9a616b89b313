"""Loops of many lanes as C, compiled with the machine's own compiler while tracing, and called by XLA.

XLA:CPU keeps the numbers of a loop in memory between its fusions; here they stay in vector registers, for a block of
several vectors of lanes, from the first iteration to the last. Where each lane leaves the loop when it likes, lanes
queue for the places of a block (`native_queue.py`). Each outermost loop (`kernels.py`) is written down as a
C program (`native_code.py`, `native_blocks.py`, `native_functions.py`) on GCC's vector extension, which clang shares,
and compiled (`native_compiler.py`); XLA's interface for foreign functions hands over the arrays. Where there is no
compiler, or a loop holds what has no text, XLA does it.
"""

from typing import Any

import jax
from jax.core import Tracer

from jaxdyn.engine import native_compiler
from jaxdyn.engine.census import calls_back
from jaxdyn.engine.cores import n_cores
from jaxdyn.engine.engines import NATIVE_COMPONENTS, VECTOR, Native, Vmap, Xla
from jaxdyn.engine.kernels import Loop, Unsupported, run_with_kernels, warn_once
from jaxdyn.engine.native_blocks import MOST_STATEMENTS, level_of, program
from jaxdyn.engine.values import Value

__all__ = ["instead_of", "run_native", "why_not"]

MANY = 1024
"""Lanes from which blocks may be the largest: filling up the last one then costs an eighth at most."""


def instead_of(engine: Native, reason: str) -> Xla | Vmap:
    """The engine that does what this one cannot; with one warning a process where it was asked for by name."""
    if engine.instead is not None:
        return engine.instead
    warn_once("Native", "Xla", reason)
    return Xla(components=engine.components)


def why_not(engine: Native, closed: Any, flags: list[bool], lanes: int) -> str | None:
    """Why a traced function runs by XLA, though this engine is meant; None if its loops are compiled as C."""

    def results(*arrays: Any) -> list[Any]:
        values = [Value.of_whole(lanes, a) if f else Value.shared(lanes, a) for a, f in zip(arrays, flags, strict=True)]
        return [value.whole for value in run_native(engine, closed, values, lanes)]

    shapes = [
        jax.ShapeDtypeStruct((*aval.shape, lanes) if flag else aval.shape, aval.dtype)
        for aval, flag in zip(closed.in_avals, flags, strict=True)
    ]
    try:
        jax.eval_shape(results, *shapes)
    except Unsupported as error:
        return str(error)
    return None


def run_native(engine: Native, closed: Any, arguments: list[Value], lanes: int) -> list[Value]:
    """Results of a traced function for all lanes, its loops in C; raises `Unsupported` while tracing."""
    if jax.default_backend() != "cpu":
        raise Unsupported(f"it compiles for CPUs, not for {jax.default_backend()}")
    if reason := native_compiler.unavailable():
        raise Unsupported(reason)
    if calls_back(closed.jaxpr):
        raise Unsupported("a function that does more than compute: lanes that fill up a block must not do it too")
    limit = NATIVE_COMPONENTS if engine.components is None else engine.components
    most = engine.vectors or _most_vectors(lanes)

    def kernel_of(loop: Any, width: int) -> Loop:
        return _Kernel(engine, loop, width, lanes, most)

    return run_with_kernels(kernel_of, VECTOR * most, limit, "cpu", closed, arguments, lanes)


def _most_vectors(lanes: int) -> int:
    """Vectors that may go through a loop together: what fills up a block is computed too, so few of them for few."""
    if lanes >= MANY:
        return max(MOST_STATEMENTS)
    return next((m for m in (1, 2) if lanes <= m * VECTOR), 4)


class _Kernel(Loop):
    """A loop, compiled."""

    def __init__(self, engine: Native, closed: Any, lanes: int, asked: int, most: int) -> None:
        super().__init__(closed, lanes, asked)
        text, writer = program(self, engine.vectors, most)
        self.numbers = writer.numbers
        self.target = native_compiler.begun(text, engine.threads or n_cores(), level_of(writer))
        self.results = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in self.jaxpr.outvars]

    def __call__(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes; by XLA if the program is lowered for another platform than this one."""
        if not any(isinstance(operand, Tracer) for operand in operands):
            self.finish()
        call = jax.ffi.ffi_call(self.target, self.results, vmap_method="sequential")
        run = jax.lax.platform_dependent(*operands, cpu=lambda *xs: list(call(*xs, self.numbers)), default=self.as_xla)
        return list(run)

    def finish(self) -> None:
        """Waits until the program is compiled."""
        try:
            native_compiler.finished(self.target)
        except native_compiler.CannotCompile as error:
            raise Unsupported(str(error)) from error
