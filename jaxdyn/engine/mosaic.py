"""Loops of many lanes as kernels of a GPU: the state of each lane stays in registers until its loop ends.

Each outermost loop (`kernels.py`) becomes one kernel of Pallas Mosaic. Pallas changes from release to release and lacks
functions; both are dealt with in the modules of this name and nowhere else, and it is imported only where it is used.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn.engine.engines import COMPONENTS, WARPGROUP, Mosaic, Xla, run_components
from jaxdyn.engine.kernels import Unsupported, run_with_kernels, warn_once
from jaxdyn.engine.mosaic_kernel import Kernel, launched
from jaxdyn.engine.values import Value

__all__ = ["Unsupported", "run_mosaic", "run_mosaic_or_xla"]


def run_mosaic_or_xla(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int, platform: str) -> list[Value]:
    """Results of a traced function for all lanes; by XLA, with one warning a process, where kernels cannot be had."""
    try:
        if platform not in ("gpu", "cuda") and not engine.interpret:
            raise Unsupported(f"its kernels run on GPUs, not on {platform}")
        return run_mosaic(engine, closed, arguments, lanes)
    except Unsupported as error:
        warn_once("Mosaic", "Xla", str(error))
    return run_components(Xla(components=engine.components), closed, arguments, lanes, platform)


def run_mosaic(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int) -> list[Value]:
    """Results of a traced function for all lanes, its loops as kernels; raises `Unsupported` while tracing."""

    def kernel_of(loop: Any, width: int) -> Kernel:
        kernel = Kernel(engine, loop, width)
        _check(kernel)
        return kernel

    limit = COMPONENTS if engine.components is None else engine.components
    platform = "cpu" if engine.interpret else "cuda"
    return run_with_kernels(kernel_of, engine.block, limit, platform, closed, arguments, lanes)


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
