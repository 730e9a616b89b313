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

from jaxdyn.engine.engines import Automatic, Engine, Mosaic, Vmap, check_engine, chosen, run_components
from jaxdyn.engine.values import Value

__all__ = ["COMPILER_OPTIONS", "call_of", "is_refused", "lanes", "lanes_of", "traced"]

COMPILER_OPTIONS: dict[str, Any] = {"cpu": {"xla_cpu_prefer_vector_width": 512}}
"""Options that programs of the engine are compiled with, by platform; XLA takes them for a whole program only."""


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
        `Xla(block=..., unroll=..., components=...)` takes small arrays apart into one array of lanes a component;
        `Mosaic(block=..., unroll=...)` makes each loop one kernel of an NVIDIA GPU (experimental; elsewhere it falls
        back to `Xla` with a warning). `Vmap()` is `jax.vmap`. By default the one that fits the function and the
        platform; see `explain`.

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
    over the axis of lanes need `jax.vmap` with its `axis_name`. Called outside `jit` it compiles; the program is
    kept for the same `fn`.

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

    @functools.wraps(fn)
    def batched(*args: Any, **kwargs: Any) -> Any:
        return _evaluate(*call_of(fn, in_axes, out_axes, engine, args, kwargs))

    return batched


def call_of(
    fn: Callable[..., Any], in_axes: Any, out_axes: Any, engine: Engine | Automatic | None, args: Any, kwargs: Any
) -> tuple["_Call", list[Any]]:
    """A call, checked: what decides on its program, and its arrays."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    axes = _axes_of(in_axes, args, kwargs)
    _check_lanes(leaves, axes)
    call = _Call(_Same(fn), tree, tuple(axes), _Same(out_axes), engine, tuple(map(_constant, leaves)))
    return call, [leaf for leaf in leaves if _is_array(leaf)]


def _evaluate(call: "_Call", arrays: list[Any]) -> Any:
    """Results of a compiled program, with the options that only the outermost `jit` may have."""
    options = COMPILER_OPTIONS.get(jax.default_backend())
    if options and not any(isinstance(array, Tracer) for array in arrays):
        try:
            return _outermost(tuple(options.items()))(call, arrays)
        except ValueError as error:  # within another trace, through what `fn` closes over
            if "compiler_options" not in str(error):
                raise
        except jax.errors.JaxRuntimeError as error:
            if not is_refused(error):
                raise
            return _program(dataclasses.replace(call, engine=Vmap()), arrays)
    return _program(call, arrays)


def is_refused(error: Exception) -> bool:
    """Whether XLA:CPU could not compile a loop as one function, which `jax.vmap` does not ask for."""
    return any(words in str(error) for words in ("Fusion kind not implemented", "Failed to materialize symbols"))


class _Same:
    """An object as a static argument: equal to equal ones if they can be compared, else to itself."""

    def __init__(self, value: Any) -> None:
        self.value = value
        try:
            self._hash, self._by_value = hash(value), True
        except TypeError:
            self._hash, self._by_value = id(value), False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (self._by_value and other._by_value and bool(self.value == other.value))


@dataclasses.dataclass(frozen=True)
class _Call:
    """What a program is compiled for, beside the shapes of its arrays."""

    fn: _Same
    tree: Any
    axes: tuple[int | None, ...]
    out_axes: _Same
    engine: Engine | Automatic | None
    constants: tuple[Any, ...]
    """Arguments that are no arrays, in their places; None elsewhere."""

    def arguments(self, arrays: list[Any]) -> tuple[Any, Any]:
        """Positional and keyword arguments from arrays."""
        own = iter(arrays)
        leaves = [next(own) if constant is None else constant.value for constant in self.constants]
        return jax.tree.unflatten(self.tree, leaves)

    @property
    def array_axes(self) -> list[int | None]:
        """Axes of the arrays alone."""
        return [axis for axis, constant in zip(self.axes, self.constants, strict=True) if constant is None]


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") or isinstance(leaf, bool | int | float | complex)


def _constant(leaf: Any) -> _Same | None:
    return None if _is_array(leaf) else _Same(leaf)


def traced(call: _Call, arrays: list[Any]) -> tuple[Any, Any]:
    """Equations of one lane, and the shape of its result."""

    def one_lane(*leaves: Any) -> Any:
        args, kwargs = call.arguments(list(leaves))
        return call.fn.value(*args, **kwargs)

    elements = [_element(array, axis) for array, axis in zip(arrays, call.array_axes, strict=True)]
    return jax.make_jaxpr(one_lane, return_shape=True)(*elements)


def lanes_of(call: _Call, arrays: list[Any]) -> int:
    """Number of lanes of a call."""
    pairs = zip(arrays, call.array_axes, strict=True)
    return next(_shape(array)[axis] for array, axis in pairs if axis is not None)


def _run(call: _Call, arrays: list[Any]) -> Any:
    axes = call.array_axes
    n = lanes_of(call, arrays)
    platform = jax.default_backend()
    engine: Any = Vmap() if n == 0 else call.engine or Automatic()
    if not isinstance(engine, Vmap):
        closed, shape = traced(call, arrays)
        if isinstance(engine, Automatic):
            engine = chosen(closed.jaxpr, [axis is not None for axis in axes], platform, engine.lanes or n)
        if not isinstance(engine, Vmap):
            values = [_value(array, axis, n) for array, axis in zip(arrays, axes, strict=True)]
            results = _results(engine, closed, values, n, platform)
            return _placed(results, jax.tree.structure(shape), call.out_axes.value)

    def one_lane(*leaves: Any) -> Any:
        args, kwargs = call.arguments(list(leaves))
        return call.fn.value(*args, **kwargs)

    return jax.vmap(one_lane, in_axes=tuple(axes), out_axes=call.out_axes.value)(*arrays)


def _results(engine: Any, closed: Any, values: list[Value], n: int, platform: str) -> list[Value]:
    if isinstance(engine, Mosaic):
        from jaxdyn.engine.mosaic import run_mosaic_or_xla  # Pallas is large, and of use on some GPUs only

        return run_mosaic_or_xla(engine, closed, values, n, platform)
    return run_components(engine, closed, values, n, platform)


_program = jax.jit(_run, static_argnums=0)


@functools.cache
def _outermost(options: tuple[tuple[str, Any], ...]) -> Any:
    return jax.jit(_run, static_argnums=0, compiler_options=dict(options))


def _axes_of(in_axes: Any, args: Any, kwargs: Any) -> list[int | None]:
    """Axis of the lanes in each leaf."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(f"in_axes has {len(in_axes)} entries for {len(args)} arguments; give one each")
    positional = flatten_axes("lanes in_axes", jax.tree.structure(args), in_axes)
    axes = [*positional, *(0 for _ in jax.tree.leaves(kwargs))]
    for axis in axes:
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
            raise TypeError(f"in_axes must hold whole numbers or None, got {axis!r}")
    return axes


def _check_lanes(leaves: list[Any], axes: list[int | None]) -> None:
    sizes: dict[int, str] = {}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        shape = _shape(leaf) if _is_array(leaf) else None
        if shape is None or not -len(shape) <= axis < len(shape):
            got = f"shape {shape}" if shape is not None else type(leaf).__name__
            raise ValueError(f"an argument of {got} has no axis {axis} of lanes; put None for it in in_axes")
        sizes.setdefault(shape[axis], f"shape {shape}, axis {axis}")
    if not sizes:
        raise ValueError("no argument has lanes; at least one entry of in_axes must be a number, and have an array")
    if len(sizes) > 1:
        found = "; ".join(f"{n} lanes ({where})" for n, where in sizes.items())
        raise ValueError(f"arguments differ in their number of lanes: {found}; give arrays of one length")


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _element(array: Any, axis: int | None) -> Any:
    """Shape and dtype of one lane's part of an array."""
    aval = array if isinstance(array, jax.ShapeDtypeStruct) else jax.typeof(array)
    shape = list(aval.shape)
    if axis is not None:
        del shape[axis]
    return jax.ShapeDtypeStruct(tuple(shape), aval.dtype, weak_type=getattr(aval, "weak_type", False))


def _value(array: Any, axis: int | None, n: int) -> Value:
    return Value.shared(n, array) if axis is None else Value.of_whole(n, jnp.moveaxis(array, axis, -1))


def _placed(results: list[Value], tree: Any, out_axes: Any) -> Any:
    """Results with their lanes where the caller wants them."""
    placed = []
    for value, axis in zip(results, flatten_axes("lanes out_axes", tree, out_axes), strict=True):
        if axis is None and value.varies:
            raise ValueError(f"a result of shape {value.shape} differs between lanes, but out_axes has None for it")
        placed.append(jnp.asarray(value.whole) if axis is None else jnp.moveaxis(value.spread_whole(), -1, axis))
    return jax.tree.unflatten(tree, placed)
