"""Interactive exploration: moving a slider computes the trajectory and the phase plane anew."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxdyn.about import unknown_name
from jaxdyn.analysis.fixed_points import FixedPoints
from jaxdyn.analysis.fixed_points import fixed_points as points_of
from jaxdyn.analysis.planes import Plane, plane_of, plane_side
from jaxdyn.integrate import Trajectory, trajectory
from jaxdyn.interactive.controls import Control, Side, parameter_controls, start_controls
from jaxdyn.interactive.frontends import FRONTENDS
from jaxdyn.interactive.picture import Picture
from jaxdyn.methods import Method
from jaxdyn.plot._parts import state_index
from jaxdyn.steps import resolve_steps
from jaxdyn.system import System, require_system

__all__ = ["Explorer", "explore"]

_STEPS = {False: 2000, True: 200}  # of a flow and of a map, where nothing is said


def explore(
    system: System,
    params: Mapping[str, Any] | Sequence[str] | None = None,
    x: Side = None,
    y: Side = None,
    *,
    quasi_steady: Sequence[str] | str = (),
    start: Mapping[str, Any] | Sequence[str] | None = None,
    states: Sequence[str | int] | None = None,
    t1: float | None = None,
    n_steps: int | None = None,
    dt: float | None = None,
    method: Method | None = None,
    fixed_points: bool = False,
    frontend: str = "matplotlib",
) -> "Explorer":
    """Sliders for parameters and start beside the phase plane and the time series of a system.

    Parameters
    ----------
    system
        Flow or map of any dimension. One state: its field, or a staircase on the graph of a map.
    params
        `{"I": (0, 1.5)}`: parameters with the ranges of their sliders; names alone, or None for a range, give 0 to
        twice the value. Default: all parameters that are one number.
    x, y
        States on the axes: `("v", -2.5, 2.5)`, or a name or position whose range the system knows; default the first
        two. States that are not on the axes stay at the start in the nullclines.
    quasi_steady
        Names of states that follow at once in the nullclines; see `nullclines`.
    start
        The same for the start; default the states on the axes, within the window. With
        Matplotlib's sliders a click into the plane moves it too.
    states
        Of the time series; default those on the axes.
    t1, n_steps, dt, method
        As in `jaxdyn.trajectory`. Default: the step that the model suggests, and 2000 steps (200 of a map).
    fixed_points
        Search and draw the fixed points in the window at every move (other states within the ranges that the model
        knows): filled if stable, open if unstable.
    frontend
        `"matplotlib"`: sliders in the figure, for a window and for notebooks with ipympl (`%matplotlib widget`).
        `"ipywidgets"`: for all notebooks; needs the extra `interactive`.

    Returns
    -------
    Explorer
        With the sliders, the current values, system and trajectory, the figure, and `reset()`.

    Raises
    ------
    ValueError, TypeError
        If a name is unknown, a range empty or without the current value, or the steps do not fit each other.
    ImportError
        If ipywidgets is asked for and missing.

    Notes
    -----
    The trajectory is `jaxdyn.trajectory(explorer.system, ...)` to the last bit. Parameters and start are arguments of
    the compiled programs, so that moving a slider never compiles anew. Nullclines are those of `nullclines`: found anew
    at every move, in some 10 ms for a system of two states; drawing takes several times longer. In a script, call
    `matplotlib.pyplot.show()` afterwards.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.interactive import explore
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> explorer = explore(neuron, {"I": (0, 1.5)}, ("v", -2.5, 2.5), ("w", -1, 2), t1=200.0, dt=0.1)
    >>> explorer.sliders["I"].set_val(0.2)
    >>> explorer.values, explorer.trajectory.x.shape
    ({'I': 0.2}, (2001, 2))
    """
    require_system(system)
    if frontend not in FRONTENDS:
        raise ValueError(f"frontend {unknown_name(str(frontend), list(FRONTENDS))}")
    sides, following = _sides(system, x, y, quasi_steady)
    shown = [side[0] for side in sides] if states is None else [state_index(s, system, system.dim) for s in states]
    if not shown:
        raise ValueError("states is empty; name at least one state, or leave it out for those on the axes")
    if n_steps is None and t1 is None:
        n_steps = _STEPS[system.discrete]
    if dt is None and not system.discrete:
        dt = system.about.dt
    steps, _ = resolve_steps(system, n_steps, t1, dt)
    how: dict[str, Any] = {"n_steps": steps, "method": method} | ({} if system.discrete else {"dt": dt})
    controls = parameter_controls(system, params), start_controls(system, start, sides)
    return Explorer(system, controls, sides, following, shown, how, fixed_points, frontend)


class Explorer:
    """What `explore` returns: sliders, and what they show."""

    def __init__(
        self,
        system: System,
        controls: tuple[list[Control], list[Control]],
        sides: Sequence[tuple[int, float, float]],
        following: tuple[int, ...],
        states: Sequence[int],
        how: dict[str, Any],
        fixed_points: bool,
        frontend: str,
    ):
        self._first, self._controls, self._sides, self._how = system, controls, sides, how
        self._quiet, self._with_points, self._following = True, fixed_points, following
        self._points: FixedPoints | None = None
        self._frontend = FRONTENDS[frontend](*controls, self._moved, self.reset)
        count = len(controls[0])
        self.sliders: dict[str, Any] = _by_name(controls[0], self._frontend.sliders[:count])
        """Sliders of the parameters; `set_val(value)` of Matplotlib's and `value` of ipywidgets' moves one."""
        self.start_sliders: dict[str, Any] = _by_name(controls[1], self._frontend.sliders[count:])
        """Sliders of the start, by state."""
        axes = self._frontend.plane, self._frontend.series
        self._picture = Picture(system, sides, states, *axes, fixed_points=fixed_points)
        setattr(self._frontend.figure, "explorer", self)  # noqa: B010 - a figure on the screen keeps its sliders alive
        self._frontend.figure.canvas.mpl_connect("button_press_event", self._clicked)
        self._quiet = False
        self._update()

    @property
    def figure(self) -> Figure:
        """The figure; `figure.savefig(...)` prints what the sliders show."""
        return self._frontend.figure

    @property
    def values(self) -> dict[str, float]:
        """Parameters under sliders, with their current values."""
        return dict(zip(self.sliders, self._frontend.values(), strict=False))

    @property
    def start(self) -> dict[str, float]:
        """States whose start is under a slider, with their current values."""
        return dict(zip(self.start_sliders, self._frontend.values()[len(self.sliders) :], strict=True))

    @property
    def system(self) -> System:
        """The system with the current parameters and start, for every other analysis."""
        return self._first.with_params(**self.values).with_state(**self.start)

    @property
    def trajectory(self) -> Trajectory:
        """The trajectory that is drawn."""
        return self._trajectory

    @property
    def fixed_points(self) -> FixedPoints | None:
        """The fixed points that are drawn; None unless they were asked for."""
        return self._points

    def set(self, params: Mapping[str, float] | None = None, start: Mapping[str, float] | None = None) -> None:
        """Move several sliders at once, with either frontend; values beyond a range stop at its end.

        Raises
        ------
        ValueError
            For a name without a slider, or a value that is not finite.
        """
        moves = []
        for given, sliders, first, kind in (
            (params, self.sliders, 0, "parameter"),
            (start, self.start_sliders, len(self.sliders), "start"),
        ):
            for name, value in (given or {}).items():
                if name not in sliders:
                    raise ValueError(f"no slider of the {kind} {unknown_name(name, list(sliders))}")
                if not np.isfinite(value):
                    raise ValueError(f"{kind} {name!r} must be finite, got {value!r}")
                moves.append((first + list(sliders).index(name), float(value)))
        self._move(moves)

    def reset(self) -> None:
        """Put all sliders back to where they stood at first."""
        self._move([(i, control.value) for i, control in enumerate((*self._controls[0], *self._controls[1]))])

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the sliders in a notebook."""
        widget = self._frontend.widget
        return {"text/plain": repr(self)} if widget is None else widget._repr_mimebundle_(**options)

    def _move(self, moves: Sequence[tuple[int, float]]) -> None:
        """Several sliders, one update."""
        self._quiet = True
        try:
            for index, value in moves:
                self._frontend.assign(index, value)
        finally:
            self._quiet = False
        self._update()

    def _moved(self) -> None:
        if not self._quiet:
            self._update()

    def _update(self) -> None:
        system = self.system
        self._trajectory = trajectory(system, **self._how)
        if self._with_points:
            box = {system.state_names[i]: (low, high) for i, low, high in self._sides}
            self._points = points_of(system, box=box)
        self._picture.show(system, self._trajectory, self._points, self._plane(system))
        self._frontend.redraw()

    def _plane(self, system: System) -> Plane | None:
        if len(self._sides) == 1:
            return None
        (i, *across), (j, *up) = self._sides
        return Plane(system, system.time(0, 0, 0), ((across[0], across[1]), (up[0], up[1])), (i, j), self._following)

    def _clicked(self, event: Any) -> None:
        """Start where the plane was clicked, unless a tool of the window, such as zoom, is on."""
        toolbar = getattr(self.figure.canvas, "toolbar", None)
        if event.inaxes is not self._picture.plane or event.button != 1 or getattr(toolbar, "mode", ""):
            return
        places = zip(self._sides, (event.xdata, event.ydata), strict=False)
        names = {self._first.state_names[side[0]]: float(place) for side, place in places}
        self.set(start={name: value for name, value in names.items() if name in self.start_sliders})


def _sides(
    system: System, x: Side, y: Side, quasi_steady: Sequence[str] | str
) -> tuple[list[tuple[int, float, float]], tuple[int, ...]]:
    """States on the axes with their windows, and those that follow at once."""
    if system.dim == 1:
        if y is not None:
            raise ValueError(f"{system.about.name} has one state, so leave y out; got y={y!r}")
        return [plane_side(system, 0 if x is None else x)], ()
    first = plane_side(system, 0 if x is None else x)
    plane = plane_of(system, x, (0 if first[0] == 1 else 1) if y is None else y, quasi_steady=quasi_steady)
    sides = [(state, *side) for state, side in zip(plane.states, plane.sides, strict=True)]
    return sides, plane.quasi_steady


def _by_name(controls: Sequence[Control], sliders: Sequence[Any]) -> dict[str, Any]:
    return {control.name: slider for control, slider in zip(controls, sliders, strict=True)}
