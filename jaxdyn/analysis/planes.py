"""Plane of two states of a system: which two, in which window, and where the other states are."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._arrays import largest
from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float
from jaxdyn.about import unknown_name
from jaxdyn.analysis.newton import newton_step
from jaxdyn.subsystems import frozen
from jaxdyn.system import System

__all__ = ["Plane", "plane_of", "plane_side"]

MAX_ITERATIONS = 60


@record
class Plane:
    """Two states that vary, others that stay fixed or follow them at once."""

    system: System
    """Its start holds the fixed states, and where the solution for the quasi-steady ones begins."""
    t: Array
    sides: tuple[tuple[float, float], tuple[float, float]]
    """Window; leaves, so that a new one compiles nothing."""
    states: tuple[int, int] = static()
    quasi_steady: tuple[int, ...] = static(default=())

    def nodes(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Even coordinates along x and y, ends included.

        Raises ValueError if the system's dtype cannot tell them apart.
        """
        dtype = self.system.dtype
        most, eps = float(jnp.finfo(dtype).max), float(jnp.finfo(dtype).eps)
        for state, (low, high) in zip(self.states, self.sides, strict=True):
            # On fewer than eight numbers to an edge no zero can be told from a jump.
            if max(-low, high) > most / 2 or (high - low) / (count - 1) < 8 * eps * max(-low, high):
                name = self.system.state_names[state]
                raise ValueError(
                    f"the interval of {name!r}, {low} to {high}, is too large or too narrow for {count} points in "
                    f"{dtype}; choose another window, fewer points or a system with dtype='float64'"
                )
        (left, right), (bottom, top) = self.sides
        return np.linspace(left, right, count), np.linspace(bottom, top, count)

    def rates(self, a: Float[Array, ""], b: Float[Array, ""]) -> tuple[Float[Array, "2"], Bool[Array, ""]]:
        """Displacement of the two states at one point, and whether the quasi-steady ones were solved for (else nan)."""
        x = self.system.x0.at[self.states[0]].set(a).at[self.states[1]].set(b)
        solved = jnp.bool_(True)
        if self.quasi_steady:
            where = np.asarray(self.quasi_steady)
            values, solved = _root(
                lambda z: self.system.displacement(self.t, x.at[where].set(z))[where], self.system.x0[where]
            )
            x = x.at[where].set(values)
        rates = self.system.displacement(self.t, x)[np.asarray(self.states)]
        return jnp.where(solved, rates, jnp.nan), solved

    def on_grid(self, across: ArrayLike, up: ArrayLike) -> tuple[Float[np.ndarray, "up across 2"], bool]:
        """Displacements on a grid, and whether the quasi-steady states were solved for everywhere."""
        dtype = self.system.dtype
        values, solved = _on_grid(self, jnp.asarray(across, dtype), jnp.asarray(up, dtype))
        return np.asarray(values, float), bool(np.all(np.asarray(solved)))

    def at(self, points: np.ndarray) -> np.ndarray:
        """Displacements (n, 2) at points (n, 2)."""
        size = max(1024, 1 << max(len(points) - 1, 0).bit_length())  # few sizes, so that few programs are compiled
        filled = np.concatenate([points, np.ones((size - len(points), 2))])
        return np.asarray(_at_points(self, jnp.asarray(filled, self.system.dtype)), float)[: len(points)]

    def subsystem(self) -> System:
        """System of the states on the axes and the quasi-steady ones, all moving; the others and time stand still."""
        names = self.system.state_names
        still = [name for k, name in enumerate(names) if k not in (*self.states, *self.quasi_steady)]
        timeless = dataclasses.replace(self.system, field=_Timeless(self.system.field, self.t))
        return frozen(timeless, still) if still else timeless


@record
class _Timeless:
    """Field at one time."""

    field: Callable[..., Any]
    t: Array

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Any:
        return self.field(self.t, x, params)


@jax.jit
def _on_grid(plane: Plane, across: Array, up: Array) -> Any:
    # Rows in groups: a large network on the whole grid at once would not fit into memory.
    rows = max(1, 2**22 // (across.size * plane.system.dim))
    return lax.map(lambda b: jax.vmap(lambda a: plane.rates(a, b))(across), up, batch_size=min(rows, up.size))


@jax.jit
def _at_points(plane: Plane, points: Array) -> Array:
    return jax.vmap(lambda point: plane.rates(point[0], point[1])[0])(points)


def plane_of(
    system: System,
    x: Any = None,
    y: Any = None,
    *,
    fixed: Mapping[str, Any] | None = None,
    quasi_steady: Sequence[str] | str = (),
    t: ArrayLike = 0,
) -> Plane:
    """Plane from what the caller gave, checked; arguments as in `nullclines`."""
    if system.dim < 2:
        raise ValueError(f"{system.about.name} has one state; a plane needs two")
    (i, *across), (j, *up) = plane_side(system, 0 if x is None else x), plane_side(system, 1 if y is None else y)
    if i == j:
        raise ValueError(f"x and y are both {system.state_names[i]!r}; choose two states")
    following = (quasi_steady,) if isinstance(quasi_steady, str) else tuple(quasi_steady)
    for what, names in (("fixed", tuple(fixed or ())), ("quasi_steady", following)):
        for name in names:
            if name not in system.state_names:
                raise ValueError(f"{what}: {system.about.name} has no state {unknown_name(name, system.state_names)}")
            if system.state_names.index(name) in (i, j):
                raise ValueError(
                    f"{what}: {name!r} is an axis of the plane and varies; leave it out, or choose x and y"
                )
    start = system.with_state(**(fixed or {}))
    follow = tuple(sorted({system.state_names.index(name) for name in following}))
    return Plane(start, system.time(t, 0, 0), ((across[0], across[1]), (up[0], up[1])), (i, j), follow)


def plane_side(system: System, given: Any) -> tuple[int, float, float]:
    """Position and interval of the state on one axis, from `(state, low, high)` or a state whose range is known."""
    if not isinstance(given, tuple | list):
        index = _position(system, given)
        symbol = system.about.symbol(system.state_names[index])
        if symbol is None or symbol.range is None:
            name = system.state_names[index]
            raise ValueError(f"{system.about.name} knows no range of state {name!r}; give ({name!r}, low, high)")
        low, high = symbol.range
    elif len(given) == 3:
        index, (low, high) = _position(system, given[0]), given[1:]
    else:
        raise ValueError(f"an axis is a state, or (state, low, high); got {given!r}")
    name = system.state_names[index]
    try:
        low, high = float(low), float(high)
    except (TypeError, ValueError):
        raise ValueError(f"the interval of {name!r} must be two numbers, got {low!r}, {high!r}") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"the interval of {name!r} must be finite with low < high, got {low}, {high}")
    return index, low, high


def _position(system: System, state: Any) -> int:
    if isinstance(state, str):
        if state not in system.state_names:
            raise ValueError(f"{system.about.name} has no state {unknown_name(state, system.state_names)}")
        return system.state_names.index(state)
    if isinstance(state, bool) or not isinstance(state, int | np.integer):
        raise ValueError(f"a state is a name or a position, got {state!r}; known: {', '.join(system.state_names)}")
    if not -system.dim <= state < system.dim:
        raise ValueError(f"state {state} does not exist; positions go from 0 to {system.dim - 1}")
    return int(state) % system.dim


@record
class _Search:
    """State of a damped Newton iteration; `step` is the last full one."""

    z: Array
    f: Array
    factor: Array
    step: Array


def _root(f: Any, start: Array) -> tuple[Array, Array]:
    """Root of n equations reached from a start by damped Newton iteration, and whether it was reached."""
    jac = jax.jacfwd(f)
    eps = jnp.finfo(start.dtype).eps
    rows = largest(jnp.abs(jac(start)))  # equations in units of the unknowns, whatever their rates are
    scale = jnp.where((rows > 0) & (rows < jnp.inf), rows, 1)

    def value(z: Array) -> Array:
        return f(z) / scale

    def iterate(carry: tuple[Array, _Search]) -> tuple[Array, _Search]:
        count, s = carry
        step = newton_step(value, s.z)
        z = s.z + s.factor * step
        residual = value(z)
        better = jnp.sum(residual**2) < jnp.sum(s.f**2)
        factor = jnp.where(better, jnp.minimum(2 * s.factor, 1), s.factor / 4)
        return count + 1, _Search(jnp.where(better, z, s.z), jnp.where(better, residual, s.f), factor, step)

    def unfinished(carry: tuple[Array, _Search]) -> Array:
        count, s = carry
        moves = largest(jnp.abs(s.factor * s.step) - eps * jnp.abs(s.z)) > 0
        return (moves | (count == 0)) & jnp.any(s.f != 0) & (count < MAX_ITERATIONS)

    search = _Search(start, value(start), jnp.ones((), start.dtype), jnp.full_like(start, jnp.inf))
    end = lax.while_loop(unfinished, iterate, (jnp.int32(0), search))[1]
    # At a root the full step is short; where the iteration got stuck at a minimum of the residual it is not.
    close = largest(jnp.abs(end.step) - jnp.sqrt(eps) * (1 + jnp.abs(end.z))) <= 0
    return end.z, close | jnp.all(end.f == 0)
