"""Phase planes: streams or displacement arrows, nullclines, fixed points, trajectories."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from jaxdyn.about import unknown_name
from jaxdyn.analysis.stability import stability_label
from jaxdyn.plot._parts import (
    as_list,
    axes_of,
    cased,
    legend,
    logarithmic_ticks,
    mathematics,
    state_index,
    state_label,
    wrapped,
)
from jaxdyn.plot.style import OKABE_ITO, SEQUENTIAL
from jaxdyn.plot.trajectories import phase_trajectory
from jaxdyn.system import System

__all__ = ["phase_plane"]

Side: TypeAlias = str | int | tuple[str | int, float, float] | None

_FINE = 301  # points a side for nullclines
_STREAM = 61  # points a side for streams, which are interpolated
_ARROWS = 21  # arrows a side, for maps
_DECADES = 3  # of speed that are told apart by color
_SHAPES = {
    "saddle focus": "h",
    "flip saddle": "d",
    "saddle": "D",
    "flip": "^",
    "node": "s",
    "focus": "o",
    "center": "o",
    "marginal": "v",
    "undefined": "X",
}
"""Marker by the first of these words that the name of a class holds."""


def phase_plane(
    system: System,
    x: Side = None,
    y: Side = None,
    *,
    t: float = 0,
    others: Mapping[str, float] | None = None,
    fixed_points: Any = None,
    trajectories: Any = None,
    density: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Phase plane of two states of a system.

    Parameters
    ----------
    system
        A flow, drawn with stream lines, or a map, drawn with its displacement f(x) - x as arrows.
    x, y
        The two states: `("v", -2.5, 2.5)`, or a name or position whose range the system knows. Default: the
        first two.
    t
        Time at which a non-autonomous field is frozen.
    others
        Values of the other states; default the system's start. The plane is a slice through them.
    fixed_points
        A `FixedPoints` record: `x` (m, dim), `found` (m,), `stability` (m,). All are projected onto the plane.
    trajectories
        One `Trajectory` or a list of them, projected onto the plane.
    density
        Of stream lines or arrows, 1 is normal.
    ax
        Axes to draw into; default those of a new figure.

    Returns
    -------
    Axes
        Streams are colored by speed. Nullclines are where one component of the field is zero within the
        slice. Fixed points: stable ones are filled, unstable ones open, saddles half filled; squares are
        nodes, circles foci, diamonds saddles.

    Raises
    ------
    ValueError
        If a state is unknown, has no range, or both axes are the same state.

    Examples
    --------
    >>> import jaxdyn
    >>> ax = jaxdyn.plot.phase_plane(jaxdyn.models.fitzhugh_nagumo(), ("v", -2, 2), ("w", -1, 2))
    >>> [float(limit) for limit in ax.get_xlim()]
    [-2.0, 2.0]
    """
    if system.dim < 2:
        raise ValueError(f"{system.about.name} has one state; a phase plane needs two")
    sides = _side(system, 0 if x is None else x), _side(system, 1 if y is None else y)
    if sides[0][0] == sides[1][0]:
        raise ValueError(f"x and y are both {system.state_names[sides[0][0]]!r}; choose two states")
    if density <= 0:
        raise ValueError(f"density must be positive, got {density}")
    start = system.with_state(**_known_states(system, others))
    ax = axes_of(ax)
    i, j = sides[0][0], sides[1][0]
    if system.discrete:
        _arrows(ax, *_field(start, sides, t, max(3, round(_ARROWS * density))))
    else:
        _streams(ax, *_field(start, sides, t, _STREAM), density)
    _nullclines(ax, *_field(start, sides, t, _FINE), start, (i, j))
    for result in [] if trajectories is None else as_list(trajectories):
        phase_trajectory(result, i, j, system=system, ax=ax, color="black", zorder=5)
    if fixed_points is not None:
        _fixed_points(ax, fixed_points, sides)
    for which, (index, low, high) in zip("xy", sides, strict=True):
        getattr(ax, f"set_{which}lim")(low, high)
        getattr(ax, f"set_{which}label")(
            wrapped(state_label(index, system)) if which == "y" else state_label(index, system)
        )
    legend(ax)
    return ax


def _side(system: System, given: Any) -> tuple[int, float, float]:
    """Position and interval of the state on one axis."""
    if isinstance(given, tuple | list):
        if len(given) != 3:
            raise ValueError(f"an axis is (state, low, high), got {given!r}")
        index, low, high = state_index(given[0], system, system.dim), float(given[1]), float(given[2])
    else:
        index = state_index(given, system, system.dim)
        name = system.state_names[index]
        symbol = system.about.symbol(name)
        known = symbol.range if symbol else None
        if known is None:
            raise ValueError(f"state {name!r} has no range in system.about; give ({name!r}, low, high)")
        low, high = (float(end) for end in known)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"the interval of {system.state_names[index]!r} must have low < high, got {low}, {high}")
    return index, low, high


def _known_states(system: System, others: Mapping[str, float] | None) -> dict[str, Any]:
    for name in others or {}:
        if name not in system.state_names:
            raise ValueError(f"others: {system.about.name} has no state {unknown_name(name, system.state_names)}")
    return dict(others or {})


def _field(system: System, sides: Any, t: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Grid axes and the two components of the displacement on the grid, (y, x)."""
    (i, left, right), (j, bottom, top) = sides
    across, up = np.linspace(left, right, count), np.linspace(bottom, top, count)
    components = _evaluate(system, jnp.asarray(across, system.dtype), jnp.asarray(up, system.dtype), t, i, j)
    return across, up, np.asarray(components[0], float), np.asarray(components[1], float)


@jax.jit
def _evaluate(system: System, across: Any, up: Any, t: Any, i: Any, j: Any) -> Any:
    time = system.time(t, 0, 0)

    def at(a: Any, b: Any) -> Any:
        moved = system.displacement(time, system.x0.at[i].set(a).at[j].set(b))
        return moved[i], moved[j]

    return jax.vmap(lambda b: jax.vmap(lambda a: at(a, b))(across))(up)


def _speed(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, LogNorm | None, str]:
    """Speed with its color scale; the scale is None where nothing moves."""
    speed = np.hypot(u, v)
    moving = speed[np.isfinite(speed) & (speed > 0)]
    if not moving.size:
        return speed, None, "neither"
    high, low = moving.max(), max(moving.min(), moving.max() * 10.0**-_DECADES)
    norm = LogNorm(low if low < high else high / 10, high)
    slower = bool(np.nanmin(speed) < low)
    return np.where(np.isfinite(speed), np.maximum(speed, low), low), norm, "min" if slower else "neither"


def _streams(ax: Axes, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, density: float) -> None:
    speed, norm, extend = _speed(u, v)
    if norm is None:
        return
    u, v = np.ma.masked_invalid(u), np.ma.masked_invalid(v)
    look: dict[str, Any] = {"linewidth": 0.7, "arrowsize": 0.6, "cmap": SEQUENTIAL, "norm": norm, "zorder": 1}
    streams = ax.streamplot(x, y, u, v, color=speed, density=density, **look)
    _speed_bar(ax, streams.lines, "speed", extend)


def _arrows(ax: Axes, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
    speed, norm, extend = _speed(u, v)
    if norm is None:
        return
    # One factor for both directions in units of cells, so that the longest usual arrow fills one cell.
    cells = np.hypot(u / (x[1] - x[0]), v / (y[1] - y[0]))
    factor = float(np.quantile(cells[np.isfinite(cells)], 0.9)) or 1.0
    look: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": factor, "width": 0.004, "zorder": 1}
    u, v = np.ma.masked_invalid(u), np.ma.masked_invalid(v)
    arrows = ax.quiver(x, y, u, v, speed, norm=norm, cmap=SEQUENTIAL, **look)
    _speed_bar(ax, arrows, "displacement per step", extend)


def _speed_bar(ax: Axes, colored: Any, label: str, extend: str) -> None:
    bar = ax.figure.colorbar(colored, ax=ax, label=label, extend=extend)
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    logarithmic_ticks(bar.ax.yaxis, colored.norm.vmin, colored.norm.vmax)


def _nullclines(
    ax: Axes, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, system: System, states: tuple[int, int]
) -> None:
    for values, index, color in zip((u, v), states, (OKABE_ITO[1], OKABE_ITO[0]), strict=True):
        finite = values[np.isfinite(values)]
        if not finite.size or not finite.min() < 0 < finite.max():
            continue  # this component has one sign in the window
        curve = ax.contour(x, y, np.ma.masked_invalid(values), levels=[0.0], colors=[color], zorder=3)
        curve.set(linewidths=1.6, path_effects=cased(1.6))
        name = system.state_names[index]
        words = name.replace("_", r"\ ")
        letters = rf"\mathrm{{{words}}}"
        moved = rf"\Delta {mathematics(name) or letters}"
        rate = mathematics(name, r"\dot") or rf"\mathrm{{d}}{letters}/\mathrm{{d}}t"
        label = f"${moved if system.discrete else rate} = 0$"
        ax.plot([], [], color=color, linewidth=1.6, label=label)


def _fixed_points(ax: Axes, points: Any, sides: Any) -> None:
    (i, *xs), (j, *ys) = sides
    places, found, codes = (np.asarray(part) for part in (points.x, points.found, points.stability))
    if places.ndim != 2:
        raise ValueError(
            f"expected the fixed points of one system, x (m, dim), got {places.shape}; "
            "pick one lane: jax.tree.map(lambda leaf: leaf[0], fixed_points)"
        )
    a, b = places[:, i], places[:, j]
    inside = found.astype(bool) & (xs[0] <= a) & (a <= xs[1]) & (ys[0] <= b) & (b <= ys[1])
    for code in np.unique(codes[inside]):
        here = inside & (codes == code)
        words = str(stability_label(code))
        ax.plot(a[here], b[here], label=words, **_marker(words))


def _marker(words: str) -> dict[str, Any]:
    """Marker of a class: filled if stable, open if unstable, half filled for saddles."""
    shape = next(shape for word, shape in _SHAPES.items() if word in words)
    fill = "full" if words.startswith("stable") else "left" if "saddle" in words else "none"
    face = {"color": "black", "markerfacecoloralt": "white"}
    if fill == "none":
        fill, face = "full", {"color": "black", "markerfacecolor": "white" if "unstable" in words else "0.6"}
    rim = {"markeredgecolor": "black", "markeredgewidth": 0.9, "markersize": 6}
    return {"linestyle": "none", "marker": shape, "fillstyle": fill, "zorder": 6, **face, **rim}
