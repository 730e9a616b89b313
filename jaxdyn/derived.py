"""Derived systems: a System in, a System out, so that every analysis applies to the result."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import stacked
from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Float, Int, default_dtype, is_concrete, whole_number
from jaxdyn.about import unknown_name
from jaxdyn.integrate import repeat
from jaxdyn.system import Map, System

__all__ = ["FromParams", "Samples", "driven", "nth_iterate", "samples"]


def nth_iterate(system: Map, n: int) -> Map:
    """Return the map applied `n` times: its fixed points are the points of period n (and of n's divisors).

    Parameters
    ----------
    system
        A map. Its n-th iterate keeps parameters, names and start.
    n
        How many times, static, at least 1.

    Raises
    ------
    TypeError, ValueError
        For a flow, or an `n` that is no whole number of at least 1.

    Examples
    --------
    >>> import jaxdyn
    >>> twice = jaxdyn.nth_iterate(jaxdyn.models.logistic(r=2.0), 2)
    >>> float(twice(0, twice.x0.at[0].set(0.5))[0])
    0.5
    """
    if not system.discrete:
        raise TypeError(
            f"nth_iterate is for maps, got the flow {system.about.name}; give a map (fixed_points: period=1)"
        )
    n = whole_number(n, "n")
    return system if n == 1 else dataclasses.replace(system, field=_Iterated(system.field, n))


@record
class _Iterated:
    field: Callable[..., Any]
    n: int = static()

    def __call__(self, step: Int[Array, ""], x: Array, params: dict[str, Any]) -> Array:
        def once(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            i, state = carry
            return i + 1, jnp.asarray(self.field(i, state, params), x.dtype)

        return repeat(once, (jnp.asarray(step) * self.n, x), self.n)[1]


@record
class Samples:
    """Input given by its values at t0, t0 + dt, ...: held from each sample to the next.

    A method holds it during each step at the value where the step begins: exact if the steps divide `dt`, of first
    order otherwise.

    Before the first sample the first value holds, after the last one the last.
    """

    values: Float[Array, "n *shape"]
    dt: Float[Array, ""]
    t0: Float[Array, ""]

    def __call__(self, t: ArrayLike) -> Array:
        """Return the value held at time `t`."""
        # Time t0 + i dt carries rounding of a few ulp of t; the margin puts it into the interval that starts there.
        position = (jnp.asarray(t, self.dt.dtype) - self.t0) / self.dt
        margin = 4 * jnp.finfo(self.dt.dtype).eps * (1 + jnp.abs(position) + jnp.abs(self.t0 / self.dt))
        index = jnp.floor(position + jnp.minimum(margin, 0.5)).astype(jnp.int32)
        return self.values[jnp.clip(index, 0, self.values.shape[0] - 1)]


def samples(values: ArrayLike | Sequence[Any], *, dt: ArrayLike = 1.0, t0: ArrayLike = 0.0) -> Samples:
    """Input u(t) from an array of samples, time along the first axis.

    Parameters
    ----------
    values
        (n, ...) samples, in the input's unit.
    dt, t0
        Time between samples and time of the first, time units; leave both for maps (one sample a step).

    Raises
    ------
    ValueError
        If the samples are no float array with a first axis.

    Examples
    --------
    >>> import jaxdyn
    >>> u = jaxdyn.samples([0.0, 1.0, 5.0], dt=0.5)
    >>> float(u(0.6))
    1.0
    """
    given = np.asarray(values).dtype if not hasattr(values, "dtype") else jnp.result_type(values)
    array = jnp.asarray(values, None if hasattr(values, "dtype") and given.kind == "f" else default_dtype())
    if is_concrete(dt) and not float(dt) > 0:  # type: ignore[arg-type]
        raise ValueError(f"dt of samples must be positive, got {dt!r}")
    if array.ndim < 1 or array.shape[0] < 1 or not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"samples must be a float array (n, ...) with n >= 1, got {array.dtype} {array.shape}")
    return Samples(array, jnp.asarray(dt, array.dtype), jnp.asarray(t0, array.dtype))


def driven(system: System, u: Callable[[Any], Any], *, onto: str | None = None, name: str = "drive") -> System:
    """System with an input added to its equations: dx/dt = f(t, x) + u(t), x[n+1] = f(n, x) + u(n).

    Parameters
    ----------
    system
        Flow or map.
    u
        Function of time, or `samples(...)`; its value is added to all states (shape (dim,)) or to one (scalar).
    onto
        Name of the one state that receives a scalar input; None adds a vector to all.
    name
        Parameter of the result that holds the values of `samples`, so that inputs can be exchanged, swept and
        differentiated like any parameter. A function of time adds no parameter.

    Returns
    -------
    System
        Same kind and start, the same parameters and that of the samples.

    Raises
    ------
    TypeError, ValueError
        For an unknown state, a name that is taken, or an input of a wrong shape.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> kicked = jaxdyn.driven(jaxdyn.models.fitzhugh_nagumo(), lambda t: 0.1 * jnp.sin(t), onto="v")
    >>> stepped = jaxdyn.driven(jaxdyn.models.fitzhugh_nagumo(), jaxdyn.samples([0.0, 0.5], dt=50.0), onto="v")
    >>> stepped.params["drive"]
    Array([0. , 0.5], dtype=float32)
    """
    if onto is not None and onto not in system.state_names:
        raise TypeError(f"{system.about.name} has no state {unknown_name(onto, list(system.state_names))}")
    if not callable(u):
        raise TypeError(f"u must be a function of time or jaxdyn.samples(...), got {type(u).__name__}")
    index = None if onto is None else system.state_names.index(onto)
    params = dict(system.params)
    if isinstance(u, Samples):
        if name in params:
            raise ValueError(f"{system.about.name} has a parameter {name!r} already; give name=... for the input")
        params[name] = jnp.asarray(u.values, system.dtype)
        source: Any = FromParams(name, u.dt, u.t0)
    else:
        source = _FromTime(u)
    result = dataclasses.replace(system, field=_Driven(system.field, source, index), params=params)
    result(result.time(0, 0, 0), result.x0)  # a wrong shape of u fails here
    return result


@record
class _FromTime:
    """Input that is a function of time; a plain function is a pytree without leaves."""

    function: Callable[..., Any] = static()

    def __call__(self, t: Any, params: dict[str, Any]) -> Any:
        return self.function(t)


@record
class FromParams:
    """Input whose samples are a parameter."""

    name: str = static()
    dt: Array
    t0: Array

    def __call__(self, t: Any, params: dict[str, Any]) -> Any:
        """Return its value at `t`."""
        return Samples(params[self.name], self.dt, self.t0)(t)


@record
class _Constant:
    """Input that keeps one value."""

    value: Array

    def __call__(self, t: Any, params: dict[str, Any]) -> Any:
        return self.value


@record
class _Driven:
    field: Callable[..., Any]
    u: Callable[..., Any]
    index: int | None = static()

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        rate = stacked(self.field(t, x, params), x.dtype)
        value = jnp.asarray(self.u(t, params), x.dtype)
        expected = x.shape if self.index is None else ()
        if value.shape != expected:
            remedy = "name the one state with onto=..." if value.shape == () else "give one value per receiving state"
            raise ValueError(f"the input u(t) has shape {value.shape}, expected {expected}; {remedy}")
        return rate + value if self.index is None else rate.at[self.index].add(value)

    def during_step(self, t: Any, params: dict[str, Any]) -> "_Driven":
        """Return this field with sampled inputs, also inner ones, held at their value at `t`."""
        hold = getattr(self.field, "during_step", None)
        inner = self.field if hold is None else hold(t, params)
        u = _Constant(self.u(t, params)) if isinstance(self.u, FromParams) else self.u
        return _Driven(inner, u, self.index)
