"""Poincaré maps: from one passage of a flow through a surface to the next."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxdyn._arrays import is_same_in_all_lanes
from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, whole_number
from jaxdyn.about import unknown_name
from jaxdyn.crossing import Search, Watch, check_direction, watch_of
from jaxdyn.flow_maps import Constant, Equations, OfParams, map_of, number_of, require_flow
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, require_positive, resolve_steps
from jaxdyn.system import Flow, Map, System

__all__ = ["Return", "Section", "poincare", "section_of"]


def poincare(
    flow: Flow,
    section: Mapping[str, Any] | Callable[..., Any],
    *,
    dt: ArrayLike | None = None,
    direction: int = 1,
    method: Method | None = None,
    max_steps: int = 10_000,
) -> Map:
    """Map from one passage of a flow through a surface to the next.

    A run goes on by the method's own steps until it has passed the surface; the point is where a shorter last step of
    the same method ends on it. Nothing is interpolated: points, times and derivatives are those of the method.

    Parameters
    ----------
    flow
        A flow that does not depend on time. The map keeps its parameters.
    section
        `{"y": 0.0}`: where one state has a value, a number or a function of the parameters; that state is dropped and
        the map has one state less. Or a function `g(x)` or `g(t, x, params)`: where it is zero. States are then whole,
        one multiplier of every point is 0 and one exponent -inf: ask for `n_exponents=dim - 1`.
    dt
        Step of the method, time units, positive. Passages to and fro within one step are not seen.
    direction
        1 where the state (or g) rises through the surface, -1 where it falls, 0 for both.
    method
        `RK4()` by default.
    max_steps
        Steps in which the flow must be back, static; else the next state is nan.

    Returns
    -------
    Map
        With the flow's start, projected along a dropped state. It need not have come through the surface in the
        direction asked for: its image has.

    Raises
    ------
    TypeError, ValueError
        If `flow` is no flow or depends on time, `section` names no state or is no function of one number.

    Notes
    -----
    The map's time counts returns. How long they take, and which lanes did not return: `section_points`. Exponents are
    per return: divided by the mean return time they are those of the flow, less the one that is zero. Tangent vectors
    are parted once a return: where a spectrum ends as QR_INTERVAL, ask for fewer exponents, or look both ways
    (`direction=0`), twice as often. Of a flow with a drive take `stroboscopic`, or give it its phase as a state.

    A section of a strongly contracting flow is all but a curve, and a chaotic orbit of so few float32 numbers closes
    after some thousand returns (Rössler: its exponent then comes out 3 % too small): use float64 for long runs.

    Transforms: jit, vmap, lanes, sweep; derivatives of any order in forward mode (`jax.jacfwd`, `jax.jvp`), through the
    time of passage too. Reverse mode (`jax.grad`) cannot pass a loop that ends by itself.

    References
    ----------
    Hénon 1982, Physica D 5, 412-414, doi:10.1016/0167-2789(82)90034-3, for passages by a last step of fitting length.

    Examples
    --------
    >>> import jaxdyn
    >>> cycle = jaxdyn.poincare(jaxdyn.models.fitzhugh_nagumo(), {"v": 0.0}, dt=0.05)
    >>> point = jaxdyn.fixed_points(cycle)
    >>> cycle.state_names, int(point.n_found), abs(complex(point.eigenvalues[0, 0])) < 1e-3
    (('w',), 1, True)
    """
    require_flow(flow, "poincare")
    check_direction(direction, "poincare")
    _, step = resolve_steps(flow, 1, None, dt)
    require_positive(dt, "a section is passed in forward time")
    if not _is_timeless(flow):
        raise ValueError(
            f"{flow.about.name} depends on time, so that its returns to a surface are no map; "
            "use stroboscopic, or give it the phase of its drive as a state"
        )
    if isinstance(section, Mapping):
        surface, names = _plane(flow, section)
    elif callable(section):
        surface, names = _Surface(watch_of(section, "section")), flow.state_names
    else:
        raise TypeError(f"section must be {{state: value}} or a function g(x), got {section!r}")
    field = Section(
        Equations.of(flow), surface, method_of(flow, method), step, direction, whole_number(max_steps, "max_steps")
    )
    words = dataclasses.replace(flow.about, title=f"Poincaré map of {flow.about.title or flow.about.name}")
    made = map_of(field, flow, surface.projected(flow.x0), names, words)
    if not is_same_in_all_lanes(lambda t: surface.gap(flow, t, flow.x0), jnp.zeros(2, flow.dtype)):
        raise ValueError("section depends on time, but the map's time counts returns; make it a function of the state")
    return made


def _is_timeless(flow: Flow) -> bool:
    return is_same_in_all_lanes(lambda t: flow(t, flow.x0), jnp.zeros(2, flow.dtype))


@record
class _Plane:
    """Where one state has a value; that state is left out."""

    level: Constant | OfParams
    index: int = static()

    is_exact = True
    """Whether a state on the surface lies there without rounding."""

    def gap(self, flow: System, t: Array, x: Array) -> Array:
        """How far a state is from the surface."""
        return x[self.index] - self.level(flow.params)

    def projected(self, x: Array) -> Array:
        """The state without what the surface says of it."""
        return self._joined(x[: self.index], x[self.index + 1 :])

    def whole(self, x: Array, params: dict[str, Any]) -> Array:
        """The whole state of a point on the surface."""
        return self._joined(x[: self.index], self.level(params)[None], x[self.index :])

    @staticmethod
    def _joined(*parts: Array) -> Array:
        return jnp.concatenate([part for part in parts if part.shape[0]])


@record
class _Surface:
    """Where a function is zero."""

    watch: Watch

    is_exact = False

    def gap(self, flow: System, t: Array, x: Array) -> Array:
        """Value of the function."""
        return self.watch(flow, t, x)

    def projected(self, x: Array) -> Array:
        """The state as it is."""
        return x

    def whole(self, x: Array, params: dict[str, Any]) -> Array:
        """The state as it is."""
        return x


def _plane(flow: Flow, section: Mapping[str, Any]) -> tuple[_Plane, tuple[str, ...]]:
    if len(section) != 1:
        raise ValueError(f"a section gives a value to one state, got {dict(section)}; or make it a function g(x)")
    ((name, level),) = section.items()
    if name not in flow.state_names:
        raise ValueError(f"{flow.about.name} has no state {unknown_name(str(name), list(flow.state_names))}")
    if flow.dim == 1:
        raise ValueError(f"{flow.about.name} has one state: a section of it is a point; give a flow of two or more")
    return _Plane(number_of(level, f"the level of {name}", flow), flow.state_names.index(name)), tuple(
        other for other in flow.state_names if other != name
    )


@record
class Return:
    """One return to a section."""

    found: Bool[Array, ""]
    time: Float[Array, ""]
    """Since the point from which it set out; nan without a return."""
    x: Array
    """State of the map, nan without a return."""
    is_finite: Bool[Array, ""]
    """Whether what is watched was finite to the end of the search."""


@record
class Section:
    """Equations of a Poincaré map: the flow, its method, and the surface."""

    equations: Equations
    surface: _Plane | _Surface
    method: Method
    dt: Float[Array, ""]
    direction: int = static()
    max_steps: int = static()

    def __call__(self, n: Int[Array, ""], x: Array, params: dict[str, Any]) -> Array:
        """State at the next return; nan if there is none."""
        return self.following(x, params).x

    def following(self, x: Array, params: dict[str, Any]) -> Return:
        """The next return after a point on the surface."""
        flow = self.equations.at(self.surface.whole(x, params), params)
        search = Search(flow, self.method, jnp.zeros_like(self.dt), self.dt, self._gaps, (self.direction,))
        crossing, place = search.next(search.begin(on_section=not self.surface.is_exact), self.max_steps)
        point = jnp.where(crossing.found, self.surface.projected(crossing.x), jnp.full_like(x, jnp.nan))
        return Return(crossing.found, jnp.where(crossing.found, crossing.t, jnp.nan), point, place.is_finite)

    def _gaps(self, flow: System, t: Array, x: Array) -> Array:
        return self.surface.gap(flow, t, x)[None]


def section_of(system: Any) -> Section:
    """What a Poincaré map is made of; TypeError for any other system."""
    field = getattr(system, "field", None)
    if not isinstance(field, Section):
        name = system.about.name if isinstance(system, System) else type(system).__name__
        raise TypeError(f"returns and their times are those of a map made by jaxdyn.poincare, got {name}")
    return field
