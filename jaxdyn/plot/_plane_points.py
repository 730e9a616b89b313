"""Fixed points in a plane: markers by class, lines of them, real eigenvectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.analysis.local import jacobian
from jaxdyn.analysis.nullclines import Nullclines
from jaxdyn.analysis.planes import Plane
from jaxdyn.analysis.stability import Stability, stability_label
from jaxdyn.plot._nullcline_lines import joined
from jaxdyn.plot._parts import cased
from jaxdyn.plot.style import OKABE_ITO
from jaxdyn.system import System

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

_FEWEST = 5
"""Vertices on which both rates vanish: fewer lie near a single fixed point."""

_REACH = 0.09
"""Half the length of an eigenvector, in sides of the window."""


def points_inside(points: Any, states: Sequence[int], sides: Any) -> tuple[np.ndarray, np.ndarray]:
    """Fixed points (m, dim) that were found and lie in the window, and their classes."""
    places, found, codes = (np.asarray(part) for part in (points.x, points.found, points.stability))
    if places.ndim != 2:
        raise ValueError(
            f"expected the fixed points of one system, x (m, dim), got {places.shape}; "
            "pick one lane: jax.tree.map(lambda leaf: leaf[0], fixed_points)"
        )
    inside = found.astype(bool)
    for state, (low, high) in zip(states, sides, strict=True):
        inside &= (low <= places[:, state]) & (places[:, state] <= high)
    return places[inside], codes[inside]


def draw_points(ax: Axes, places: np.ndarray, codes: np.ndarray) -> None:
    """Markers of fixed points (m, 2), one entry of the legend for each class."""
    for code in np.unique(codes):
        words = str(stability_label(code))
        ax.plot(*places[codes == code].T, label=words, **_marker(words))


def draw_lines(
    ax: Axes, plane: Plane, lines: Nullclines, values: np.ndarray, places: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Band where a nullcline is a line of fixed points, and which of the points found (m, 2) lie on it."""
    pieces = [part for curve in lines.x for part in _at_rest(plane, curve, 1, values[..., 1])]
    # Where both nullclines are the same line, one of them is enough.
    pieces = pieces or [part for curve in lines.y for part in _at_rest(plane, curve, 0, values[..., 0])]
    on_line = np.zeros(len(places), bool)
    if not pieces or not len(places):
        return on_line
    cell = np.array([high - low for low, high in plane.sides]) / (np.array(values.shape[1::-1]) - 1)
    vertices = np.concatenate(pieces)
    for k, place in enumerate(places):
        on_line[k] = np.min(np.max(np.abs((vertices - place) / cell), axis=1)) <= 1.5
    repels = not np.isin(codes[on_line], (Stability.MARGINAL, Stability.CENTER)).all()
    look: dict[str, Any] = {"color": "black", "linewidth": 4.5, "zorder": 2.9, "solid_capstyle": "butt"}
    look |= {"linestyle": (0, (2, 1))} if repels else {}
    ax.plot(*joined(pieces).T, label="line of fixed points" + ", repelling" * repels, **look)
    return on_line


def _at_rest(plane: Plane, curve: np.ndarray, other: int, values: np.ndarray) -> list[np.ndarray]:
    """Pieces of one state's nullcline on which the other state's rate is zero but for rounding."""
    typical = np.median(np.abs(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0
    rates = np.abs(plane.at(curve)[:, other])
    still = rates <= 64 * float(np.finfo(plane.system.dtype).eps) * typical
    runs = np.split(np.arange(len(curve)), np.flatnonzero(np.diff(still)) + 1)
    return [curve[run] for run in runs if still[run[0]] and len(run) >= _FEWEST]


def draw_eigenvectors(ax: Axes, system: System, places: np.ndarray, states: Sequence[int], sides: Any, t: Any) -> None:
    """Short lines through fixed points along their real eigenvectors, projected onto the plane."""
    width = np.array([high - low for low, high in sides])
    kinds = {True: ("attracting", OKABE_ITO[2], "-"), False: ("repelling", OKABE_ITO[3], "-")}
    lines: dict[bool, list[Any]] = {True: [], False: []}
    for place in places:
        matrix = np.asarray(jacobian(system, place, t), float)
        if not np.isfinite(matrix).all():
            continue  # a kink or a vertical slope: no linearization
        values, vectors = np.linalg.eig(matrix)
        for value, vector in zip(values, vectors.T, strict=True):
            shown = vector.real[list(states)] / width
            length = np.hypot(*shown)
            if abs(value.imag) <= 1e-8 * abs(value) and length > 1e-6:
                along = _REACH * width * shown / length
                attracts = bool(abs(value) < 1) if system.discrete else bool(value.real < 0)
                center = place[list(states)]
                lines[attracts] += [center - along, center + along, [np.nan, np.nan]]
    for attracts, (label, color, dashes) in kinds.items():
        if lines[attracts]:
            look: dict[str, Any] = {"color": color, "linestyle": dashes, "linewidth": 2, "path_effects": cased(2)}
            ax.plot(*np.array(lines[attracts]).T, label=label, zorder=5.5, **look)


def _marker(words: str) -> dict[str, Any]:
    """Marker of a class: filled if stable, open if unstable, half filled for saddles."""
    shape = next(shape for word, shape in _SHAPES.items() if word in words)
    fill = "full" if words.startswith("stable") else "left" if "saddle" in words else "none"
    face = {"color": "black", "markerfacecoloralt": "white"}
    if fill == "none":
        fill, face = "full", {"color": "black", "markerfacecolor": "white" if "unstable" in words else "0.6"}
    # Points on the rim of the window stay whole.
    rim = {"clip_on": False, "markeredgecolor": "black", "markeredgewidth": 0.9, "markersize": 6}
    return {"linestyle": "none", "marker": shape, "fillstyle": fill, "zorder": 6, **face, **rim}
