"""Systems: the equations of one flow or one map, with parameters and a start as leaves.

Everything that can be checked without running the equations is checked here, once.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import like, strong, system_dtype
from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, ArrayLike, Float, Int, Scalar, is_concrete
from jaxdyn.about import About, unknown_name

__all__ = ["Flow", "Map", "System", "flow", "iterated_map", "require_system"]

_S = TypeVar("_S", bound="System")


@record
class System:
    """Common ground of `Flow` and `Map`; make one with `flow` or `iterated_map`."""

    field: Callable[..., Any]
    params: dict[str, Any]
    x0: Array
    state_names: tuple[str, ...] = static()
    about: About = static(default=About())

    discrete: ClassVar[bool] = False

    def __call__(self, t: ArrayLike, x: ArrayLike | Sequence[Any]) -> Float[Array, " dim"]:
        """Evaluate the equations: dx/dt of a flow, the next state of a map.

        Raises, while tracing, ValueError if the field's result does not have the state's shape and TypeError if
        it does not have its dtype.
        """
        if not isinstance(x, jax.Array):
            x = jnp.asarray(x, self.dtype)
        t = jnp.asarray(t, jnp.int32 if self.discrete else x.dtype)  # fields may rely on an array
        return _FIELD(self, t, x)

    def during_step(self: _S, t: ArrayLike) -> _S:
        """Return the system as it is during the step that begins at `t`: sampled inputs keep the value they have there.

        The stages of a method then never see the next sample, which begins where the step ends.
        """
        hold = getattr(self.field, "during_step", None)
        return self if hold is None else dataclasses.replace(self, field=hold(t, self.params))

    def at_step(self: _S, t0: ArrayLike, dt: Array, i: Array) -> tuple[Array, _S]:
        """Return the time after `i` steps, and the system as it is during the step that begins there."""
        t = self.time(t0, dt, i)
        return t, self.during_step(t)

    @property
    def dim(self) -> int:
        """Number of state variables."""
        return self.x0.shape[-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The floating dtype of states, parameters and time."""
        return self.x0.dtype

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_brief(value)}" for name, value in self.params.items())
        start = f"start ({', '.join(self.state_names[:6])}{', ...' if self.dim > 6 else ''})={_brief(self.x0)}"
        return f"{type(self).__name__}({self.about.name}: {values}; {start})"

    def displacement(self, t: ArrayLike, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """Quantity that is zero at a fixed point: dx/dt of a flow, f(x) - x of a map."""
        return self(t, x) - x if self.discrete else self(t, x)

    def time(self, t0: ArrayLike, dt: ArrayLike, i: ArrayLike) -> Array:
        """Time after `i` steps: t0 + i dt of a flow, the integer t0 + i of a map."""
        i = jnp.asarray(i)
        if self.discrete:
            return jnp.asarray(t0, i.dtype) + i
        return jnp.asarray(t0, self.dtype) + i.astype(self.dtype) * jnp.asarray(dt, self.dtype)

    def with_params(self: _S, /, **new: ArrayLike | Sequence[Any]) -> _S:
        """Return the same system with other parameter values; shapes and dtypes stay as they are.

        Raises
        ------
        TypeError
            For a name the system does not have; the closest known one is named.
        ValueError
            For a value of another shape, or one that does not fit the parameter's dtype.
        """
        params = dict(self.params)
        for name, value in new.items():
            if name not in params:
                raise TypeError(f"{self.about.name} has no parameter {unknown_name(name, list(params))}")
            params[name] = like(value, params[name], f"parameter {name!r}")
        return dataclasses.replace(self, params=params)

    def with_state(self: _S, whole: ArrayLike | Sequence[Any] | None = None, /, **components: ArrayLike) -> _S:
        """Return the same system with another start, whole or by named components.

        Raises TypeError for an unknown state name and ValueError for a start of another shape.
        """
        start = self.x0 if whole is None else like(whole, self.x0, "x0")
        for name, value in components.items():
            if name not in self.state_names:
                raise TypeError(f"{self.about.name} has no state {unknown_name(name, list(self.state_names))}")
            start = start.at[self.state_names.index(name)].set(like(value, start[0], f"state {name!r}"))
        return dataclasses.replace(self, x0=start)


def require_system(given: Any) -> None:
    """Refuse what is neither a flow nor a map."""
    if not isinstance(given, System):
        raise TypeError(f"expected a Flow or a Map, got {type(given).__name__}; call a model to get its system")


@record
class Flow(System):
    """Continuous-time system dx/dt = field(t, x, params); see `flow`."""

    __repr__ = System.__repr__  # a dataclass would write its own


@record
class Map(System):
    """Discrete-time system x[n+1] = field(n, x[n], params); see `iterated_map`."""

    discrete: ClassVar[bool] = True

    __repr__ = System.__repr__


def flow(
    field: Callable[[Scalar, Array, dict[str, Array]], Any],
    params: Mapping[str, Any] | None = None,
    x0: ArrayLike | Sequence[Any] = (),
    *,
    state_names: Sequence[str] | None = None,
    about: About | None = None,
    dtype: Any = None,
) -> Flow:
    """Make a continuous-time system from the equations of one trajectory.

    Parameters
    ----------
    field
        Pure function `(t, x, params) -> dx/dt`. `x` has shape (dim,); the result is an array of the same
        shape and dtype, or a tuple of `dim` scalars. A callable pytree keeps its leaves as leaves.
    params
        Parameter values by name. Python numbers and float arrays are cast to the system's dtype;
        integer arrays (indices) keep theirs.
    x0
        Default start, (dim,), in state units.
    state_names
        One name per state; default `x0, x1, ...`.
    about
        Title, equations, units and sources, for labels and tables.
    dtype
        Floating dtype of the system. Default: that of an `x0` array, else JAX's default.

    Returns
    -------
    Flow
        A pytree: parameters and start are leaves, so jit, vmap, grad and shard_map apply, and a new
        value never compiles anew.

    Raises
    ------
    TypeError, ValueError
        If the field returns a wrong shape or dtype, a name is missing or doubled, or a default is not finite.

    Examples
    --------
    >>> import jaxdyn
    >>> def decay(t, x, p):
    ...     return -p["rate"] * x
    >>> system = jaxdyn.flow(decay, {"rate": 0.5}, [1.0], state_names=["x"])
    >>> system.with_params(rate=2.0)(0.0, system.x0)
    Array([-2.], dtype=float32)
    """
    return _build(Flow, field, params, x0, state_names, about, dtype)


def iterated_map(
    field: Callable[[Int[Array, ""], Array, dict[str, Array]], Any],
    params: Mapping[str, Any] | None = None,
    x0: ArrayLike | Sequence[Any] = (),
    *,
    state_names: Sequence[str] | None = None,
    about: About | None = None,
    dtype: Any = None,
) -> Map:
    """Make a discrete-time system x[n+1] = field(n, x[n], params); arguments as in `flow`.

    The time `n` is an int32 step number.

    Examples
    --------
    >>> import jaxdyn
    >>> doubling = jaxdyn.iterated_map(lambda n, x, p: p["a"] * x, {"a": 2.0}, [0.25])
    >>> doubling(0, doubling.x0)
    Array([0.5], dtype=float32)
    """
    return _build(Map, field, params, x0, state_names, about, dtype)


def _brief(value: Any) -> str:
    """Short text of a parameter or start, also of a traced one."""
    if is_concrete(value) and np.size(value) <= 6:
        return str(np.asarray(value).tolist())
    return f"{value.dtype}{list(value.shape)}"


def _build(
    kind: type[Any],
    field: Callable[..., Any],
    params: Mapping[str, Any] | None,
    x0: Any,
    state_names: Sequence[str] | None,
    about: About | None,
    dtype: Any,
) -> Any:
    if not callable(field):
        raise TypeError(f"field must be a function (t, x, params), got {type(field).__name__}")
    dtype = system_dtype(x0, dtype)
    start = strong(x0, dtype, "x0")
    if start.ndim != 1 or start.size == 0:
        raise ValueError(f"x0 must have shape (dim,) with dim >= 1, got {start.shape}; write [1.0] for one state")
    names = _state_names(state_names, start.size)
    leaves = {}
    for name, value in dict(params or {}).items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise TypeError(f"parameter names must be Python identifiers, got {name!r}")
        leaves[name] = strong(value, dtype, f"parameter {name!r}")
    function = callable_tree(field)
    about = about or About(name=getattr(field, "__name__", "system").strip("<>"))
    system = kind(function, leaves, start, names, about)
    jax.eval_shape(lambda s: s(s.time(0, 0, 0), s.x0), system)  # wrong fields fail here, not in a sweep
    return system


def _state_names(names: Sequence[str] | None, dim: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{i}" for i in range(dim))
    names = tuple(names)
    if len(names) != dim or len(set(names)) != dim or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"x0 has {dim} values, so state_names must be {dim} different names, got {names}; "
            "give one value and one name per state"
        )
    return names


def _as_state(value: Any, x: Array, system: System) -> Array:
    noun = "next value" if system.discrete else "rate"
    name = system.about.name
    if isinstance(value, tuple | list):
        shapes = {jnp.shape(part) for part in value}
        if shapes != {()}:
            raise ValueError(
                f"{name}: a field that returns a tuple must give one scalar {noun} per state, got {shapes}"
            )
        value = jnp.stack([jnp.asarray(part, x.dtype) if _fits(part, x) else part for part in value])
    shape, dtype = jnp.shape(value), jnp.result_type(value)
    if shape != x.shape:
        raise ValueError(f"{name}: field gave shape {shape}, state has {x.shape}; return one {noun} per state")
    if not _fits(value, x):
        raise TypeError(
            f"{name}: field gave {dtype}, state is {x.dtype}; keep constants as Python numbers or cast them to x.dtype"
        )
    return jnp.asarray(value, x.dtype)


def _fits(value: Any, x: Array) -> bool:
    """Whether `value` has the state's dtype; a weakly typed (Python) number fits any state."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    return jnp.result_type(value) == x.dtype or (
        getattr(value, "weak_type", False) and jnp.result_type(value).kind != "c"
    )


def _evaluated(system: System, t: Array, x: Array) -> Array:
    return _as_state(system.field(t, x, system.params), x, system)


FIELD = "field"
"""Name that the equations of a system bear in a traced program."""

_evaluated.__name__ = FIELD
_FIELD = jax.jit(_evaluated)
