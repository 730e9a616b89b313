"""`lanes`: a function of one lane becomes a function of all lanes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.api_util import flatten_axes
from jax.core import Tracer

from jaxdyn.engine.call import Call, aval_of, call_of, key_of, lanes_of, traced
from jaxdyn.engine.census import calls_back, census
from jaxdyn.engine.cores import is_at_home, is_worker, joined, n_cores, on_all_cores, share
from jaxdyn.engine.engines import (
    BLOCK,
    COMPONENTS,
    MUCH,
    Automatic,
    Engine,
    Mosaic,
    Native,
    Vmap,
    Xla,
    check_engine,
    chosen,
)
from jaxdyn.engine.programs import COMPILER_OPTIONS, Programs, programs_of

__all__ = ["is_refused", "lanes", "lowered", "settings_of_jax"]

SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_disable_jit",
    "jax_debug_nans",
)
"""Settings of JAX that decide how equations are traced and compiled."""


def lanes(
    fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, *, engine: Engine | Automatic | None = None
) -> Callable[..., Any]:
    """Function of many lanes from a function of one: `jax.vmap`, compiled for speed.

    Parameters
    ----------
    fn
        Function of arrays (pytrees of them) of one lane. It is traced, not run.
    in_axes, out_axes
        Axis of the lanes in each argument and result, as in `jax.vmap`: a number, None where all lanes share the
        value, or a pytree of them. Keyword arguments have their lanes first.
    engine
        `Xla(block=..., unroll=..., components=..., threads=...)` takes small arrays apart into one array of lanes
        a component; `Mosaic(block=..., unroll=...)` makes each loop one kernel of an NVIDIA GPU (experimental;
        elsewhere it falls back to `Xla` with a warning). `Vmap()` is `jax.vmap`. By default the one that fits the
        function and the platform; see `explain`.

    Returns
    -------
    Callable
        Function of the arguments with lanes. Its results equal those of `jax.vmap(fn)` up to rounding.

    Raises
    ------
    TypeError, ValueError
        While tracing, if an argument has no such axis, sizes of axes differ, or a result that differs between
        lanes is asked for without an axis.

    Notes
    -----
    Transforms: jit, grad, jvp, vmap and lanes outside; jit, grad, jvp, vmap, lanes and control flow inside. Collectives
    over the axis of lanes need `jax.vmap` with its `axis_name`. Called outside `jit` it compiles, keeps
    the program as long as `fn` lives (what `fn` closes over is read once, as by `jax.jit`), and on a CPU lets all cores
    share the lanes.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> ends = jaxdyn.lanes(lambda I: jaxdyn.final_state(neuron.with_params(I=I), n_steps=100, dt=0.1).x)
    >>> ends(jnp.linspace(0.0, 1.0, 1000)).shape
    (1000, 2)
    """
    if not callable(fn):
        raise TypeError(f"lanes takes a function of one lane, got {type(fn).__name__}")
    check_engine(engine)

    calls: dict[Any, Call] = {}  # those that have been checked
    undivided: dict[Any, Any] = {}  # programs of those that are not divided among cores

    @functools.wraps(fn)
    def batched(*args: Any, **kwargs: Any) -> Any:
        key, arrays = key_of(args, kwargs)
        if (program := undivided.get(key)) is not None:
            try:
                return program(*arrays)
            except ValueError:  # within another trace, through what `fn` closes over
                pass
        if (call := calls.get(key)) is None:
            call, arrays = call_of(fn, in_axes, out_axes, engine, args, kwargs)
            if key is not None:
                calls[key] = call
        return _evaluate(call, list(arrays), key, undivided)

    return batched


def _evaluate(call: Call, arrays: list[Any], key: Any, undivided: dict[Any, Any]) -> Any:
    """Results of a compiled program, with the options that only the outermost `jit` may have."""
    programs = programs_of(call.fn.value)
    if any(isinstance(array, Tracer) for array in arrays) or jax.default_backend() not in COMPILER_OPTIONS:
        return programs.inside(call, arrays)
    try:
        threads = getattr(call.engine, "threads", None) or n_cores()
        engine = _divided_by(programs, call, arrays, threads)
        if engine is not None and (pieces := _pieces_of(programs, call, arrays, engine, threads)) is not None:
            return pieces(arrays)
        program = programs.outermost(call)
        results = program(*arrays)
        if engine is None and threads > 1 and key is not None:
            undivided[key] = program
        return results
    except ValueError as error:  # within another trace, through what `fn` closes over
        if "compiler_options" not in str(error):
            raise
    except jax.errors.JaxRuntimeError as error:
        if not is_refused(error):
            raise
        call = dataclasses.replace(call, engine=Vmap())
    return programs.inside(call, arrays)


def _divided_by(programs: Programs, call: Call, arrays: list[Any], threads: int) -> Xla | None:
    """The engine of a call that is divided among several cores; None where one program is enough."""
    if threads == 1 or lanes_of(call, arrays) < BLOCK * threads or isinstance(call.engine, Vmap | Native | Mosaic):
        return None
    shapes = (call, threads, *((np.shape(array), array.dtype) for array in arrays if hasattr(array, "dtype")))
    if shapes not in programs.split:
        programs.split[shapes] = _split(call, [aval_of(array) for array in arrays], threads)
    return programs.split[shapes]


def _pieces_of(
    programs: Programs, call: Call, arrays: list[Any], engine: Xla, threads: int
) -> Callable[[list[Any]], Any] | None:
    """Function of the arrays of a call that runs it on several cores; None within a piece, or another trace."""
    # Within another trace a new array is traced as well.
    if is_worker() or not all(map(is_at_home, arrays)) or isinstance(jnp.zeros(()), Tracer):
        return None
    avals = tuple(map(aval_of, arrays))
    key = (call, avals, threads, settings_of_jax())
    if key not in programs.pieces:
        programs.pieces[key] = _pieces(programs, dataclasses.replace(call, engine=engine), avals, threads)
    return programs.pieces[key]


def _split(call: Call, avals: list[Any], threads: int) -> Xla | None:
    """The engine of a call that is worth several cores."""
    n = lanes_of(call, avals)
    closed, _ = traced(call, avals)
    flags = [axis is not None for axis in call.array_axes]
    engine: Any = call.engine
    if not isinstance(engine, Xla):
        engine = chosen(closed.jaxpr, flags, "cpu", getattr(engine, "lanes", None) or n)
    if not isinstance(engine, Xla) or calls_back(closed.jaxpr):
        return None
    if any(isinstance(constant, Tracer) for constant in closed.consts):
        return None
    asked = getattr(call.engine, "threads", None) is not None
    if engine.block is not None and engine.block >= n and not asked:
        return None  # all lanes at once, in products that XLA shares out
    counts = census(closed.jaxpr, flags, COMPONENTS)
    return engine if asked or n * counts.iterations * counts.in_loops >= MUCH else None


def _pieces(programs: Programs, call: Call, avals: Any, threads: int) -> Callable[[list[Any]], Any]:
    """Function of arrays of these shapes that runs a call on several cores, compiled."""
    n, width = lanes_of(call, avals), share(lanes_of(call, avals), BLOCK, threads)
    _, shape = traced(call, list(avals))
    own = [_resized(aval, axis, width) for aval, axis in zip(avals, call.array_axes, strict=True)]
    compiled = programs.outermost(call).lower(*own).compile()
    out_axes = flatten_axes("lanes out_axes", jax.tree.structure(shape), call.out_axes.value)

    def run(arrays: list[Any]) -> Any:
        results = on_all_cores(compiled, arrays, call.array_axes, width, threads)
        return jax.tree.unflatten(jax.tree.structure(shape), joined(results, out_axes, n))

    return run


def settings_of_jax() -> tuple[Any, ...]:
    """Settings of this thread that decide how equations are traced and compiled."""
    device = jax.config.jax_default_device or jax.local_devices()[0]  # pyright: ignore[reportAttributeAccessIssue]
    return (str(device), *(getattr(jax.config, name) for name in SETTINGS))


def _resized(aval: Any, axis: int | None, width: int) -> Any:
    shape = list(aval.shape)
    if axis is not None:
        shape[axis] = width
    return jax.ShapeDtypeStruct(tuple(shape), aval.dtype, weak_type=aval.weak_type)


def is_refused(error: Exception) -> bool:
    """Whether XLA:CPU could not compile a loop as one function, which `jax.vmap` does not ask for."""
    return any(words in str(error) for words in ("Fusion kind not implemented", "Failed to materialize symbols"))


def lowered(call: Call, arrays: list[Any]) -> Any:
    """The program of a call, not compiled yet; arrays may be their shapes."""
    return programs_of(call.fn.value).inside.lower(call, arrays)
