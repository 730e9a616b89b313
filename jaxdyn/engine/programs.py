"""Compiled programs of `lanes`: what a call computes, and how long its program is kept."""

import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.api_util import flatten_axes
from jax.extend.core import jaxpr_as_fun

from jaxdyn.engine.call import Call, lanes_of, traced
from jaxdyn.engine.engines import Automatic, Mosaic, Native, Vmap, chosen, run_components
from jaxdyn.engine.kernels import Unsupported
from jaxdyn.engine.native import instead_of, run_native
from jaxdyn.engine.values import Value

__all__ = ["COMPILER_OPTIONS", "QUICK_OPTIONS", "Programs", "programs_of"]

COMPILER_OPTIONS: dict[str, Any] = {"cpu": {"xla_cpu_prefer_vector_width": 512}}
"""Options that programs of the engine are compiled with, by platform; XLA takes them for a whole program only."""
QUICK_OPTIONS: dict[str, Any] = {"cpu": {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}}
"""Options of programs that are over soon: compiled in a third of the time, they run three times as long (jax 0.10)."""


class Programs:
    """What is compiled for one function of one lane."""

    def __init__(self) -> None:
        # JAX keeps what it traced as long as the function that it traced: one of this object's own.
        self._run: Callable[[Call, list[Any]], Any] = lambda call, arrays: _run(call, arrays)
        self.inside = jax.jit(self._run, static_argnums=0)
        """For calls inside another program."""
        self.split: dict[Any, Any] = {}
        """Engines of calls that are worth several cores, None for others, by call and shapes."""
        self.pieces: dict[Any, Any] = {}
        """Programs for a core's share of the lanes, by call."""
        self._outermost: dict[Call, Any] = {}

    def outermost(self, call: Call) -> Any:
        """Program of a call outside any other, by its arrays: only there may one have options."""
        if call not in self._outermost:
            options = COMPILER_OPTIONS.get(jax.default_backend())
            self._outermost[call] = jax.jit(lambda *arrays: _run(call, list(arrays)), compiler_options=options)
        return self._outermost[call]


_PROGRAMS: dict[int, tuple[Callable[[], Any], Programs]] = {}


def programs_of(fn: Any) -> Programs:
    """Programs of a function, kept as long as it lives."""
    name = id(fn)
    if name in _PROGRAMS and _PROGRAMS[name][0]() is fn:
        return _PROGRAMS[name][1]
    try:
        living: Callable[[], Any] = weakref.ref(fn, lambda _: _PROGRAMS.pop(name, None))
    except TypeError:
        living = lambda: fn  # noqa: E731
    _PROGRAMS[name] = (living, Programs())
    return _PROGRAMS[name][1]


def _run(call: Call, arrays: list[Any]) -> Any:
    axes = call.array_axes
    n = lanes_of(call, arrays)
    platform = jax.default_backend()
    engine: Any = Vmap() if n == 0 else call.engine or Automatic()
    out_axes = call.out_axes.value
    if not isinstance(engine, Vmap):
        closed, shape = traced(call, arrays)
        if isinstance(engine, Automatic):
            engine = chosen(closed.jaxpr, [axis is not None for axis in axes], platform, engine.lanes or n)
        if not isinstance(engine, Vmap):
            values = [_value(array, axis, n) for array, axis in zip(arrays, axes, strict=True)]
            results = _results(engine, closed, values, n, platform)
            if results is not None:
                return _placed(results, jax.tree.structure(shape), out_axes)
        flat_axes = flatten_axes("lanes out_axes", jax.tree.structure(shape), out_axes)
        leaves = jax.vmap(jaxpr_as_fun(closed), in_axes=tuple(axes), out_axes=flat_axes)(*arrays)
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    def one_lane(*leaves: Any) -> Any:
        args, kwargs = call.arguments(list(leaves))
        return call.fn.value(*args, **kwargs)

    return jax.vmap(one_lane, in_axes=tuple(axes), out_axes=out_axes)(*arrays)


def _results(engine: Any, closed: Any, values: list[Value], n: int, platform: str) -> list[Value] | None:
    """Results of all lanes; None where that is left to `jax.vmap`."""
    if isinstance(engine, Mosaic):
        from jaxdyn.engine.mosaic import run_mosaic_or_xla  # Pallas is large, and of use on some GPUs only

        return run_mosaic_or_xla(engine, closed, values, n, platform)
    if isinstance(engine, Native):
        try:
            return run_native(engine, closed, values, n)
        except Unsupported as error:
            engine = instead_of(engine, str(error))
    return None if isinstance(engine, Vmap) else run_components(engine, closed, values, n, platform)


def _value(array: Any, axis: int | None, n: int) -> Value:
    return Value.shared(n, array) if axis is None else Value.of_whole(n, jnp.moveaxis(array, axis, -1))


def _placed(results: list[Value], tree: Any, out_axes: Any) -> Any:
    """Results with their lanes where the caller wants them."""
    placed = []
    for value, axis in zip(results, flatten_axes("lanes out_axes", tree, out_axes), strict=True):
        if axis is None and value.varies:
            got = f"a result of shape {value.shape} differs between lanes, but out_axes has None for it"
            raise ValueError(f"{got}; give it an axis")
        placed.append(jnp.asarray(value.whole) if axis is None else jnp.moveaxis(value.spread_whole(), -1, axis))
    return jax.tree.unflatten(tree, placed)
