"""Phase planes: streams or displacement arrows, nullclines, fixed points, trajectories."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.analysis.fixed_points import fixed_points as find_fixed_points
from jaxdyn.analysis.nullclines import Nullclines, plane_nullclines
from jaxdyn.analysis.planes import Plane, plane_of
from jaxdyn.errors import Status
from jaxdyn.integrate import Trajectory
from jaxdyn.plot._flow_field import arrows, streams
from jaxdyn.plot._nullcline_lines import draw_nullclines, shade_areas
from jaxdyn.plot._parts import axes_of, cased, legend, state_label, status_name, wrapped
from jaxdyn.plot._plane_points import draw_eigenvectors, draw_lines, draw_points, points_inside
from jaxdyn.plot._plane_runs import columns_of, runs_of
from jaxdyn.plot.style import UNSTABLE
from jaxdyn.plot.trajectories import phase_trajectory
from jaxdyn.system import System

__all__ = ["phase_plane"]

Side: TypeAlias = str | int | tuple[str | int, float, float] | None

_NODES = 201  # of the grid, a side, for streams and nullclines
_ARROWS = 21  # arrows a side, for maps


def phase_plane(
    system: System,
    x: Side = None,
    y: Side = None,
    *,
    fixed: Mapping[str, float] | None = None,
    quasi_steady: Sequence[str] | str = (),
    t: float = 0,
    fixed_points: Any = True,
    eigenvectors: bool = False,
    trajectories: Any = None,
    cycle: bool = False,
    dt: float | None = None,
    duration: float | None = None,
    density: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Phase plane of two states of a system: flow, nullclines, fixed points, trajectories.

    Parameters
    ----------
    system
        A flow, drawn with stream lines, or a map, drawn with its displacement f(x) - x as arrows.
    x, y
        The two states: `("v", -2.5, 2.5)`, or a name or position whose range the system knows. Default: the
        first two.
    fixed
        Values of other states; default the system's start. The plane is a slice through them.
    quasi_steady
        Names of other states that are where their own rates vanish at each point of the plane; see `nullclines`.
    t
        Time at which a non-autonomous field is frozen.
    fixed_points
        True: find those in the window, of the system whose fixed states stand still and whose quasi-steady ones
        move; their class is that in this system. A `FixedPoints` record, of the system or of the whole that it is a
        `frozen` part of: all of its points, projected. False: none.
    eigenvectors
        Draw the real eigenvectors at the fixed points as short lines.
    trajectories
        One or several of: a start in the plane, `(0.5, 1.0)`, from which the same system runs; a `Trajectory` of the
        system, or of the whole that it is a `frozen` part of, which is projected onto the plane.
    cycle
        Draw the orbit on which the system moves after a long time from its start, once around if it closes.
    dt, duration
        Step and length of the runs from starts, and of the run before the long-run orbit; steps for maps. Default:
        what the system's `about` says.
    density
        Of stream lines or arrows, 1 is normal.
    ax
        Axes to draw into; default those of a new figure.

    Returns
    -------
    Axes
        Streams are colored by speed on a logarithmic scale. Nullclines have the colors of their states in time series;
        dots are zeros that a rate touches without a change of sign; in shaded areas one state does not move. Fixed
        points: stable ones are filled, unstable ones open, saddles half filled; squares are nodes, circles foci,
        diamonds saddles. A line of them is a black band, dashed where it repels.

    Raises
    ------
    ValueError
        If a state is unknown, has no range, or both axes are the same state; if a run has no step.

    Examples
    --------
    >>> import jaxdyn
    >>> ax = jaxdyn.plot.phase_plane(jaxdyn.models.fitzhugh_nagumo(), ("v", -2, 2), ("w", -1, 2))
    >>> [float(limit) for limit in ax.get_xlim()]
    [-2.0, 2.0]
    """
    plane = plane_of(system, x, y, fixed=fixed, quasi_steady=quasi_steady, t=t)
    if density <= 0:
        raise ValueError(f"density must be positive, got {density}")
    runs = runs_of(plane, trajectories, cycle, dt, duration)
    nodes = plane.nodes(_NODES)
    ax = axes_of(ax)
    values, solved = plane.on_grid(*nodes)
    _flow(ax, nodes, values, system.discrete, density)
    lines = plane_nullclines(plane, nodes, values, solved)
    shade_areas(ax, lines, nodes, values, system.discrete)
    draw_nullclines(ax, lines, system.discrete)
    if (code := int(lines.status.max())) != Status.OK:
        ax.set_title(f"nullclines: {status_name(code)}", color=UNSTABLE, loc="right", fontsize=8)
    for run, of, is_orbit in runs:
        shown = [of.state_names.index(name) for name in lines.states]
        shown = columns_of(of, shown, np.shape(run.x)[-1], "trajectory")
        if is_orbit:
            _orbit(ax, run, shown)
        else:
            phase_trajectory(run, *shown, ax=ax, color="black", zorder=4)
    if fixed_points is not None and fixed_points is not False:
        _fixed_points(ax, plane, lines, values, fixed_points, eigenvectors)
    for which, index, (low, high) in zip("xy", plane.states, plane.sides, strict=True):
        label = state_label(index, system)
        getattr(ax, f"set_{which}lim")(low, high)
        getattr(ax, f"set_{which}label")(wrapped(label) if which == "y" else label)
    legend(ax)
    return ax


def _flow(ax: Axes, nodes: tuple[np.ndarray, np.ndarray], values: np.ndarray, discrete: bool, density: float) -> None:
    """Stream lines of a flow, arrows of a map."""
    if not discrete:
        streams(ax, *nodes, values[..., 0], values[..., 1], density)
        return
    some = np.linspace(0, len(nodes[0]) - 1, max(3, round(_ARROWS * density))).round().astype(int)
    chosen = values[np.ix_(some, some)]
    arrows(ax, nodes[0][some], nodes[1][some], chosen[..., 0], chosen[..., 1])


def _fixed_points(
    ax: Axes, plane: Plane, lines: Nullclines, values: np.ndarray, given: Any, eigenvectors: bool
) -> None:
    """Fixed points that were given, or those of the plane's own system."""
    of = plane.system
    if given is True:
        if lines.area.all():
            return  # nothing moves: there are no single points
        of, given = _found(plane)
    dim = given.x.shape[-1]
    states = columns_of(of, [of.state_names.index(name) for name in lines.states], dim, "fixed points")
    places, codes = points_inside(given, states, plane.sides)
    on_line = draw_lines(ax, plane, lines, values, places[:, states], codes)
    places, codes = places[~on_line], codes[~on_line]
    if eigenvectors and dim != of.dim:
        raise ValueError(
            f"the fixed points have {dim} states, {of.about.name} {of.dim}: their eigenvectors are not its own; leave "
            "eigenvectors out, or give the system of the points"
        )
    if eigenvectors:
        draw_eigenvectors(ax, of, places, states, plane.sides, plane.t)
    draw_points(ax, places[:, states], codes)


def _found(plane: Plane) -> tuple[System, Any]:
    of = plane.subsystem()
    names = plane.system.state_names
    box = {names[state]: side for state, side in zip(plane.states, plane.sides, strict=True)}
    return of, find_fixed_points(of, box=box)


def _orbit(ax: Axes, run: Trajectory, shown: Sequence[int]) -> None:
    """Long-run orbit: a thick curve once around if it closes, else a thin one; points of a map."""
    points = np.asarray(run.x, float)
    look: dict[str, Any] = {"color": "black", "label": "long-run orbit", "zorder": 4.5}
    turn = None if np.issubdtype(run.t.dtype, np.integer) else one_turn(points)
    if np.issubdtype(run.t.dtype, np.integer):
        look |= {"linestyle": "none", "marker": ".", "markersize": 2, "markeredgewidth": 0}
    else:
        look |= {"linewidth": 0.6} if turn is None else {"linewidth": 2.2, "path_effects": cased(2.2)}
    ax.plot(*points[:turn, list(shown)].T, **look)


def one_turn(points: np.ndarray) -> int | None:
    """Number of points until a closed orbit is back at its start; None for others."""
    scaled = points / np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)
    away = np.linalg.norm(scaled - scaled[0], axis=1)
    far = np.flatnonzero(away > 0.5 * np.max(away))
    step = np.max(np.linalg.norm(np.diff(scaled, axis=0), axis=1), initial=0.0)
    if not far.size or not np.isfinite(away).all() or step > 0.5:
        return None
    near = far[0] + np.flatnonzero(away[far[0] :] <= step)
    if not near.size:
        return None
    passing = near[: np.append(np.flatnonzero(np.diff(near) > 1) + 1, len(near))[0]]
    back = int(passing[np.argmin(away[passing])])
    # The next turn must be the same; a chaotic orbit passes its start by chance only.
    again = scaled[back : 2 * back]
    apart = np.linalg.norm(again - scaled[: len(again)], axis=1)
    return back + 2 if len(again) == back and np.max(apart) <= 2 * step else None
