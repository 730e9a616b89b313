"""Events of a run: crossings of levels, extremes, and what ends a run."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import labelled, record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, Shaped, is_concrete, whole_number
from jaxdyn.crossing import Place, Search, Watch, check_direction, watch_of
from jaxdyn.errors import Status
from jaxdyn.integrate import march
from jaxdyn.methods import Method
from jaxdyn.reducers.observed import Component, bound, one_number, watched
from jaxdyn.steps import method_of, require_positive, resolve_steps
from jaxdyn.stochastic import SDE
from jaxdyn.system import System

__all__ = ["Crossings", "Event", "Rate", "crossings"]


@record
class Rate:
    """The rate of change of what is watched, along a flow."""

    of: Component | Watch

    def __call__(self, system: System, t: Array, x: Array) -> Array:
        """Return it, 1/time."""
        if system.discrete:
            raise TypeError(f"{system.about.name} is a map: its states have no rate, so no maximum is a crossing of it")
        if isinstance(system, SDE):
            raise TypeError(
                f"{system.about.name} is stochastic: its states have no rate, so no maximum is a crossing of it; "
                "watch a level, or its drift alone, system.without_noise()"
            )
        rate = system(t, x)
        return jax.jvp(lambda t, x: _value(self.of, system, t, x), (t, x), (jnp.ones_like(t), rate))[1]


def _value(of: Any, system: System, t: Array, x: Array) -> Array:
    return of(x) if isinstance(of, Component) else of(system, t, x)


@record
class Event:
    """Something that happens when a number passes a level.

    Parameters
    ----------
    of
        State by name or index, or a function `(x) -> number` or `(t, x, params) -> number`.
    level
        What it passes, in the unit of what is watched; may be traced.
    direction
        1 where it rises through the level, -1 where it falls, 0 for both, static.
    terminal
        Whether the run ends there, static.

    Raises
    ------
    TypeError, ValueError
        If the level is no finite number, or the direction none of the three.

    Notes
    -----
    A run that begins on the level has passed it before.

    Examples
    --------
    >>> import jaxdyn
    >>> jaxdyn.Event("v", 1.0), jaxdyn.Event.maximum("v")
    (Event('v' rises through 1), Event('v' is largest))
    """

    of: Any
    level: Any = 0.0
    direction: int = static(default=1)
    terminal: bool = static(default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.of, Watch | Rate):
            named = isinstance(self.of, Component) or not callable(self.of)
            of = watched(self.of, self) if named else watch_of(self.of, "of of Event")
            object.__setattr__(self, "of", of)
        one_number(self.level, "level of Event")
        check_direction(self.direction, "Event")

    @staticmethod
    def maximum(of: Any, *, terminal: bool = False) -> "Event":
        """Event at every local maximum of a state or function: its rate falls through zero."""
        return Event(Rate(Event(of).of), 0.0, -1, terminal)

    @staticmethod
    def minimum(of: Any, *, terminal: bool = False) -> "Event":
        """Event at every local minimum of a state or function: its rate rises through zero."""
        return Event(Rate(Event(of).of), 0.0, 1, terminal)

    def gap(self, system: System, t: Array, x: Array) -> Array:
        """How far what is watched is above the level."""
        return _value(self.of, system, t, x) - jnp.asarray(self.level, x.dtype)

    def __repr__(self) -> str:
        inner = self.of.of if isinstance(self.of, Rate) else self.of
        name = repr(inner) if isinstance(inner, Component) else "function"
        if isinstance(self.of, Rate):
            words = f"{name} is {'largest' if self.direction < 0 else 'smallest'}"
        else:
            level = f"{float(self.level):g}" if is_concrete(self.level) else "a level"
            words = f"{name} {('passes', 'rises through', 'falls through')[self.direction]} {level}"
        return f"Event({words}{', then the run ends' if self.terminal else ''})"


@record
class Crossings:
    """Events of one run in their order, in slots of a fixed number; empty slots hold nan (times of maps -1)."""

    times: Shaped[Array, " crossing"] = labelled("crossing", words="time of the event", unit="time")
    states: Float[Array, "crossing dim"] = labelled("crossing", "state", words="state at the event")
    event: Int[Array, " crossing"] = labelled("crossing", words="which event")
    """Position of the event among those asked for; -1 in empty slots."""
    intervals: Float[Array, " crossing"] = labelled("crossing", words="time since the same event", unit="time")
    """Time since the same event happened before; nan for its first time."""
    count: Int[Array, ""] = labelled(words="number of events")
    """Events in all, those included for which there was no slot."""
    stopped: Bool[Array, ""] = labelled(words="whether a terminal event ended the run")
    t: Shaped[Array, ""] = labelled(words="time of the last state", unit="time")
    """Where the run ended: at the terminal event, or after its last step."""
    x: Float[Array, " dim"] = labelled("state", words="last state")
    status: Int[Array, ""] = labelled()
    """CAPACITY if there were more events than slots, NON_FINITE if a state on the way was not finite."""
    names: tuple[str, ...] = static(default=("",))

    def of(self, name: str) -> Bool[Array, "*batch crossing"]:
        """Which slots hold the event of this name."""
        if name not in self.names:
            raise ValueError(f"there is no event {name!r}, only {', '.join(map(repr, self.names))}")
        return self.event == self.names.index(name)


def crossings(
    system: System,
    events: Event | Mapping[str, Event],
    *,
    n_steps: int,
    capacity: int,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    t0: ArrayLike = 0,
) -> Crossings:
    """Events of a run: when they happen, and the state there, to the accuracy of the method.

    The run takes the method's own steps, as `trajectory` does. Where what an event watches changes its sign in a step,
    the event is where a shorter step of the same method ends on the level: nothing is interpolated.

    Parameters
    ----------
    system
        Flow or map, from its start; events of maps happen at whole steps.
    events
        One event, or several by name. A terminal one ends the run.
    n_steps
        Steps of the run, static; with a terminal event at most so many.
    capacity
        Slots for events, static.
    dt
        Step of a flow, time units, positive. Maps take none. Crossings to and fro within one step are not seen.
    method
        As in `trajectory`.
    t0
        Time of the start; an integer for maps.

    Returns
    -------
    Crossings
        times, event and intervals (capacity,), states (capacity, dim); count, stopped, the last t and x, and status.

    Raises
    ------
    TypeError, ValueError
        For what is no event, an unknown state, or steps that do not fit; while tracing.

    Notes
    -----
    Times err like the method's states, of its order. Events of one step come in their order in time. A step is taken
    once more for each event in it, so the cost is that of the run and some ten steps an event; memory grows with
    `capacity` only. Of lanes that are run together each waits at every slot for the slowest.

    In a step of a stochastic system its Wiener processes go straight from one end to the other, which puts an event off
    by a part of the step. What comes back within a step is not seen: near a level noise passes it to and fro, the more
    often the smaller `dt` is. `first_passage` has the right first time.

    Transforms: jit, vmap, lanes, sweep; derivatives of times and states in forward mode (`jax.jacfwd`).

    Examples
    --------
    >>> import jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> run = jaxdyn.crossings(neuron, jaxdyn.Event("v", 1.0), n_steps=2000, dt=0.1, capacity=8)
    >>> int(run.count), [round(float(t), 2) for t in run.intervals[1:3]]
    (5, [39.47, 39.47])
    """
    named = dict(events) if isinstance(events, Mapping) else {"": events}
    if not named or not all(isinstance(k, str) and isinstance(v, Event) for k, v in named.items()):
        raise TypeError(f"events must be an Event or a dict of them by name, got {events!r}")
    n_steps, step = resolve_steps(system, whole_number(n_steps, "n_steps"), None, dt, t0)
    require_positive(dt, "events are searched in forward time")
    used: tuple[Event, ...] = bound(tuple(named.values()), system)
    directions = tuple(event.direction for event in used)
    search = Search(system, method_of(system, method), jnp.asarray(t0), step, _Gaps(used), directions)
    terminal = tuple(event.terminal for event in used)
    return _crossings(search, terminal, tuple(named), n_steps, whole_number(capacity, "capacity"))


@record
class _Gaps:
    """What is watched by all events."""

    events: tuple[Event, ...]

    def __call__(self, system: System, t: Array, x: Array) -> Array:
        return jnp.stack([event.gap(system, t, x) for event in self.events])


@record
class _Found:
    """Loop state: where the search is, where each event last happened, and the slot of the last one."""

    place: Place
    step: Int[Array, " event"]
    """Step after which each event happened last, -1 if it never did."""
    fraction: Float[Array, " event"]
    count: Int[Array, ""]
    stopped: Bool[Array, ""]
    end: tuple[Array, Array]
    """Time and state of the terminal event."""
    slot: tuple[Array, Array, Array, Array]
    """Time, state, event and interval of the last event; empty if there was none left."""


@functools.partial(jax.jit, static_argnames=("terminal", "names", "n_steps", "capacity"))
def _crossings(
    search: Search, terminal: tuple[bool, ...], names: tuple[str, ...], n_steps: int, capacity: int
) -> Crossings:
    def advance(c: _Found) -> _Found:
        return _after_next(search, terminal, n_steps, c)

    found, slots = march(advance, _start(search), n_blocks=capacity, block=1, observe=lambda c: c.slot)
    # Those without a slot are counted, up to the end of the run.
    found = lax.while_loop(lambda c: (c.place.walk.i < n_steps) & ~c.stopped & c.place.is_finite, advance, found)
    walk = found.place.walk
    status = jnp.where(found.count > capacity, jnp.int8(Status.CAPACITY), jnp.int8(Status.OK))
    is_finite = found.place.is_finite & (walk.status == jnp.int8(Status.OK))
    last = search.system.time(search.t0, search.dt, walk.i), walk.x
    t, x = (jnp.where(found.stopped, a, b) for a, b in zip(found.end, last, strict=True))
    status = jnp.where(is_finite, status, jnp.int8(Status.NON_FINITE))
    times, states, event, intervals = slots
    return Crossings(times, states, event, intervals, found.count, found.stopped, t, x, status, names)


def _start(search: Search) -> _Found:
    place = search.begin()
    t, x = search.system.time(search.t0, search.dt, place.walk.i), place.walk.x
    none = jnp.full(place.gaps.shape, -1, jnp.int32)
    slot = (jnp.zeros_like(t), jnp.zeros_like(x), jnp.int32(-1), jnp.zeros_like(search.dt))
    return _Found(place, none, jnp.zeros_like(place.gaps), jnp.int32(0), jnp.array(False), (t, x), slot)


def _after_next(search: Search, terminal: tuple[bool, ...], n_steps: int, c: _Found) -> _Found:
    """One event later; an empty slot if none is left."""
    crossing, place = search.next(c.place, jnp.where(c.stopped, 0, n_steps))
    found, which = crossing.found, crossing.which
    own = (jnp.arange(len(terminal), dtype=jnp.int32) == which) & found
    steps = jnp.where(own, place.walk.i - c.step, 0).astype(search.dt.dtype)
    parts = jnp.where(own, crossing.fraction - c.fraction, 0)
    again = jnp.any(own & (c.step >= 0))
    slot = (
        jnp.where(found, crossing.t, -1 if search.system.discrete else jnp.nan),
        jnp.where(found, crossing.x, jnp.nan),
        jnp.where(found, which, -1),
        jnp.where(again, (jnp.sum(steps) + jnp.sum(parts)) * search.dt, jnp.nan),
    )
    stops = functools.reduce(jnp.logical_or, [own[k] for k, ends in enumerate(terminal) if ends], jnp.zeros_like(found))
    return _Found(
        place=place,
        step=jnp.where(own, place.walk.i, c.step),
        fraction=jnp.where(own, crossing.fraction, c.fraction),
        count=c.count + found.astype(jnp.int32),
        stopped=c.stopped | stops,
        end=(jnp.where(stops, crossing.t, c.end[0]), jnp.where(stops, crossing.x, c.end[1])),
        slot=slot,
    )
