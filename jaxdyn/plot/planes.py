"""Phase planes: streams or displacement arrows, nullclines, fixed points, trajectories."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from jaxdyn.analysis.fixed_points import fixed_points as find_fixed_points
from jaxdyn.analysis.nullclines import Nullclines, plane_nullclines
from jaxdyn.analysis.planes import Plane, plane_of
from jaxdyn.errors import Status
from jaxdyn.integrate import Trajectory, final_state, trajectory
from jaxdyn.plot._flow_field import arrows, streams
from jaxdyn.plot._parts import as_list, axes_of, cased, legend, mathematics, state_label, status_name, wrapped
from jaxdyn.plot._plane_points import draw_eigenvectors, draw_points, points_inside
from jaxdyn.plot.style import OKABE_ITO, UNSTABLE
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
        move; their class is that in this system. A `FixedPoints` record: all of its points, projected. False:
        none.
    eigenvectors
        Draw the real eigenvectors at the fixed points as short lines.
    trajectories
        One or several of: a start in the plane, `(0.5, 1.0)`, from which the same system runs; a `Trajectory`,
        which is projected onto the plane.
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
        Streams are colored by speed on a logarithmic scale. Fixed points: stable ones are filled, unstable ones
        open, saddles half filled; squares are nodes, circles foci, diamonds saddles.

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
    runs = _runs(plane, trajectories, cycle, dt, duration)
    ax = axes_of(ax)
    nodes = plane.nodes(_NODES)
    values, solved = plane.on_grid(*nodes)
    _flow(ax, nodes, values, system.discrete, density)
    lines = plane_nullclines(plane, nodes, values, solved)
    _nullclines(ax, lines, system)
    if (code := int(lines.status.max())) != Status.OK:
        ax.set_title(f"nullclines: {status_name(code)}", color=UNSTABLE, loc="right", fontsize=8)
    for run, of, is_orbit in runs:
        shown = [of.state_names.index(name) for name in lines.states]
        if is_orbit:
            _orbit(ax, run, shown)
        else:
            phase_trajectory(run, *shown, system=of, ax=ax, color="black", linewidth=1.0, zorder=4)
    if fixed_points is not None and fixed_points is not False:
        _fixed_points(ax, plane, lines, fixed_points, eigenvectors)
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


def _nullclines(ax: Axes, lines: Nullclines, system: System) -> None:
    for curves, name, color in zip((lines.x, lines.y), lines.states, (OKABE_ITO[1], OKABE_ITO[0]), strict=True):
        if not curves:
            continue
        gap = np.full((1, 2), np.nan)
        points = np.concatenate([part for curve in curves for part in (curve, gap)])
        words = name.replace("_", r"\ ")
        letters = rf"\mathrm{{{words}}}"
        moved = rf"\Delta {mathematics(name) or letters}"
        rate = mathematics(name, r"\dot") or rf"\mathrm{{d}}{letters}/\mathrm{{d}}t"
        label = f"${moved if system.discrete else rate} = 0$"
        ax.plot(*points.T, color=color, linewidth=1.6, path_effects=cased(1.6), label=label, zorder=3)


def _fixed_points(ax: Axes, plane: Plane, lines: Nullclines, given: Any, eigenvectors: bool) -> None:
    """Fixed points that were given, or those of the plane's own system."""
    if given is True:
        if lines.area.all():
            return  # nothing moves: there are no single points
        of, given = _found(plane)
    else:
        of = plane.system
    states = tuple(of.state_names.index(name) for name in lines.states)
    places, codes = points_inside(given, states, plane.sides)  # type: ignore[arg-type]
    if eigenvectors:
        draw_eigenvectors(ax, of, places, states, plane.sides, plane.t)  # type: ignore[arg-type]
    draw_points(ax, places, codes, states)  # type: ignore[arg-type]


def _found(plane: Plane) -> tuple[System, Any]:
    of = plane.subsystem()
    names = plane.system.state_names
    box = {names[state]: side for state, side in zip(plane.states, plane.sides, strict=True)}
    return of, find_fixed_points(of, box=box)


def _runs(plane: Plane, trajectories: Any, cycle: bool, dt: Any, duration: Any) -> list[tuple[Any, System, bool]]:
    """Trajectories to draw: each with the system it belongs to, and whether it is the long-run orbit."""
    given = [] if trajectories is None else _several(trajectories)
    records = [(run, plane.system, False) for run in given if hasattr(run, "x")]
    starts = [_start(plane, start) for start in given if not hasattr(start, "x")]
    if not starts and not cycle:
        return records
    of = plane.subsystem()
    timing = _timing(of, dt, duration)
    if starts:
        runs = jax.vmap(lambda start: trajectory(of.with_state(start), **timing))(jnp.stack(starts))
        records += [(jax.tree.map(lambda leaf, k=k: leaf[k], runs), of, False) for k in range(len(starts))]
    if cycle:
        settled = of.with_state(final_state(of, **timing).x)
        records.append((trajectory(settled, **timing), of, True))
    return records


def _several(trajectories: Any) -> list[Any]:
    """List of runs and starts; one pair of numbers is one start."""
    if not hasattr(trajectories, "x") and np.ndim(trajectories[0]) == 0 and not hasattr(trajectories[0], "x"):
        return [trajectories]
    return list(trajectories) if isinstance(trajectories, np.ndarray | jax.Array) else list(as_list(trajectories))


def _start(plane: Plane, given: Any) -> Any:
    """State of the plane's own system at a point of the plane."""
    if np.shape(given) != (2,):
        raise ValueError(
            f"a start is a point of the plane, (x, y), got shape {np.shape(given)}; for other starts give a "
            "Trajectory: jaxdyn.trajectory(system.with_state(...), ...)"
        )
    names = [plane.system.state_names[state] for state in plane.states]
    return plane.subsystem().with_state(**dict(zip(names, given, strict=True))).x0


def _timing(system: System, dt: Any, duration: Any) -> dict[str, Any]:
    """Number of steps and step of a run."""
    about = system.about
    duration = (about.transient or about.duration) if duration is None else duration
    if system.discrete:
        if dt is not None:
            raise ValueError(f"{about.name} is a map and has no step; leave dt out and give duration in steps")
        return {"n_steps": round(duration)}
    step = about.dt if dt is None else dt
    if step is None:
        raise ValueError(f"{about.name} has no step in system.about; give dt=..., and duration=... for its length")
    if not (step > 0 and duration > 0):
        raise ValueError(f"dt and duration must be positive, got dt={step}, duration={duration}")
    return {"n_steps": max(1, round(duration / step)), "dt": step}


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
