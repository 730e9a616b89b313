"""The next crossing of a run: the search that Poincaré maps and events share.

A run goes on by the method's own steps until a watched number changes its sign. Within that step the crossing is where
a shorter step of the same method ends on zero: it is as accurate as the method, and nothing is interpolated.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int
from jaxdyn.integrate import Walk, walking
from jaxdyn.methods import Method
from jaxdyn.roots import bracketed_root
from jaxdyn.stochastic import SDE
from jaxdyn.system import System

__all__ = ["Crossing", "Place", "Search", "Watch", "check_direction", "watch_of"]

_SENTINEL = 2.0  # a fraction of a step that no crossing has


@record
class Watch:
    """A number that a function makes of a run: of the state alone, or of time, state and parameters."""

    function: Callable[..., Any]
    of_state_only: bool = static()

    def __call__(self, system: System, t: Array, x: Array) -> Array:
        """Return the number, in the dtype of the state."""
        value = self.function(x) if self.of_state_only else self.function(t, x, system.params)
        shape, dtype = jnp.shape(value), jnp.result_type(value)
        if shape != () or dtype.kind not in "fiu":
            raise ValueError(f"a crossing is one of a real number, its function gave {dtype}{shape}; return a scalar")
        return jnp.asarray(value, x.dtype)


def watch_of(function: Callable[..., Any], what: str) -> Watch:
    """Watch of a function `(x) -> number` or `(t, x, params) -> number`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built-in functions may have none
        return Watch(callable_tree(function), True)
    for arguments, of_state_only in (((0,), True), ((0, 0, 0), False)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return Watch(callable_tree(function), of_state_only)
    raise TypeError(f"{what} must be a function of (x) or of (t, x, params), got one of {signature}")


def check_direction(direction: Any, what: str) -> None:
    """Raise ValueError for what is no direction."""
    if isinstance(direction, bool) or not isinstance(direction, int | np.integer) or direction not in (-1, 0, 1):
        raise ValueError(f"direction of {what} must be 1 (upward), -1 (downward) or 0 (both), got {direction!r}")


@record
class Place:
    """Where a search has got to: a run before one of its steps, and which crossings of that step are over."""

    walk: Walk
    gaps: Float[Array, " event"]
    """What is watched, less its level, before the step."""
    over: Bool[Array, " event"]

    @property
    def is_finite(self) -> Bool[Array, ""]:
        """Whether what is watched is still a number: of a run that has left the numbers nothing is expected."""
        return jnp.all(jnp.isfinite(self.gaps))


@record
class Crossing:
    """The next crossing; without one `found` is False and the rest has no meaning."""

    found: Bool[Array, ""]
    which: Int[Array, ""]
    fraction: Float[Array, ""]
    """Part of the step in which it happens; the step is that of the place."""
    t: Array
    x: Array


@record
class Search:
    """A run that is searched for crossings: the gaps to their levels become or leave zero in given directions."""

    system: System
    method: Method
    t0: Array
    dt: Array
    gaps: Callable[..., Any]
    """Function (system, t, x) -> one number an event."""
    directions: tuple[int, ...] = static()

    def begin(self, *, on_section: bool = False) -> Place:
        """Place before the first step.

        A start on the section, up to the rounding of a state that an earlier search found, has been there: what is
        less than the root of eps of the first step away counts as on it.
        """
        walk, step = walking(self.system, self.method, self.t0, self.dt)
        gaps = self._gaps(walk)
        over = jnp.zeros(gaps.shape, bool)
        if on_section:
            near = float(jnp.finfo(gaps.dtype).eps) ** 0.5 * jnp.abs(self._gaps(step(walk)) - gaps)
            over = jnp.abs(gaps) <= near
        return Place(walk, gaps, over)

    def next(self, place: Place, n_steps: ArrayLike) -> tuple[Crossing, Place]:
        """The next crossing within the first `n_steps` of the run, and the place from where the search goes on.

        Crossings of one step come in their order; without any left the place is the end of the run.
        """
        # The system's own start would be a table of constants in the loop of a caller, which the lanes engine avoids.
        self = dataclasses.replace(self, system=dataclasses.replace(self.system, x0=place.walk.x))
        _, step = walking(self.system, self.method, self.t0, self.dt)
        nothing = jnp.zeros(place.over.shape, bool)

        def unfinished(state: tuple[Place, Array, Array]) -> Array:
            here, crossed, _ = state
            return ~jnp.any(crossed) & (here.walk.i < n_steps) & here.is_finite

        def advance(state: tuple[Place, Array, Array]) -> tuple[Place, Array, Array]:
            here = state[0]
            walk = step(here.walk)
            gaps = self._gaps(walk)
            crossed = self._crossed(here.gaps, gaps) & ~here.over
            stop = jnp.any(crossed)
            ahead = Place(walk, gaps, nothing)
            return jax.tree.map(lambda a, b: jnp.where(stop, a, b), here, ahead), crossed, gaps

        place, crossed, after = lax.while_loop(unfinished, advance, (place, nothing, place.gaps))
        fractions = [
            jnp.where(crossed[k], self._fraction(place, k, after[k], crossed[k]), _SENTINEL)
            for k in range(len(self.directions))
        ]
        which, first = 0, fractions[0]
        for k, fraction in enumerate(fractions[1:], start=1):
            which, first = jnp.where(fraction < first, k, which), jnp.minimum(fraction, first)
        which = jnp.asarray(which, jnp.int32)
        own = jnp.arange(len(self.directions), dtype=jnp.int32) == which
        found = jnp.any(crossed)
        crossing = Crossing(found, which, first, *self._at(place.walk, first))
        return crossing, Place(place.walk, place.gaps, place.over | (own & found))

    def _gaps(self, walk: Walk) -> Array:
        """What decides about the steps; derivatives come by the root within a step."""
        t = self.system.time(self.t0, self.dt, walk.i)
        return lax.stop_gradient(self.gaps(self.system, t, walk.x))

    def _crossed(self, before: Array, after: Array) -> Array:
        """Which gaps pass zero: a number that is zero before a step passed it in the step that ended there."""
        rises, falls = (before < 0) & (after >= 0), (before > 0) & (after <= 0)
        ways = {1: lambda k: rises[k], -1: lambda k: falls[k], 0: lambda k: rises[k] | falls[k]}
        return jnp.stack([ways[direction](k) for k, direction in enumerate(self.directions)])

    def _at(self, walk: Walk, fraction: Array) -> tuple[Array, Array]:
        """Time and state a fraction of a step after a run's place."""
        system = self.system
        t, rhs = system.at_step(self.t0, self.dt, walk.i)
        rhs = dataclasses.replace(rhs, whole=self.dt) if isinstance(rhs, SDE) else rhs
        length = fraction * self.dt
        x = self.method.step(rhs, t, walk.x, length, self.method.init(rhs, t, walk.x)).x
        return system.time(self.t0, self.dt, walk.i + 1) if system.discrete else t + length, x

    def _fraction(self, place: Place, k: int, after: Array, crossed: Array) -> Array:
        """Part of the step after which gap `k` is zero, with its derivatives by the implicit function theorem."""
        if self.system.discrete:
            return jnp.ones((), self.dt.dtype)

        def gap(fraction: Array) -> Array:
            return self.gaps(self.system, *self._at(place.walk, fraction))[k]

        def solve(f: Callable[[Array], Array], _: Array) -> Array:
            return bracketed_root(lambda part: lax.stop_gradient(f(part)), place.gaps[k], after, crossed)

        one = jnp.ones((), self.dt.dtype)
        return lax.custom_root(gap, one, solve, lambda slope, y: y / slope(jnp.ones_like(y)))
