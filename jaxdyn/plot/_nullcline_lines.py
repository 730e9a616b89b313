"""Nullclines as artists: curves, touched zeros as dots, areas without motion.

Their colors are those that the time series of the two states have: the first ones of the style.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from jaxdyn.analysis.nullclines import Nullclines
from jaxdyn.plot._parts import cased, draw, legend_patch, line_colors, mathematics

LINE: dict[str, Any] = {"linewidth": 1.6, "path_effects": cased(1.6)}
DOTS: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 3.5, "markeredgewidth": 0}

_GAP = np.full((1, 2), np.nan)


def rate_symbol(name: str, discrete: bool) -> str:
    """What a state does, without dollar signs: its rate in a flow, its displacement in a map."""
    words = name.replace("_", r"\ ")
    letters = rf"\mathrm{{{words}}}"
    if discrete:
        return rf"\Delta {mathematics(name) or letters}"
    return mathematics(name, r"\dot") or rf"\mathrm{{d}}{letters}/\mathrm{{d}}t"


def nullcline_label(name: str, discrete: bool) -> str:
    """Name of a nullcline in the legend."""
    return f"${rate_symbol(name, discrete)} = 0$"


def joined(curves: list[Any]) -> np.ndarray:
    """Curves as one line (n, 2) that nan interrupts."""
    return np.concatenate([_GAP, *(part for curve in curves for part in (curve, _GAP))])[1:] if curves else _GAP


def _xy(points: Any) -> tuple[np.ndarray, np.ndarray]:
    return points[:, 0], points[:, 1]


def draw_nullclines(ax: Axes, lines: Nullclines, discrete: bool) -> None:
    """Curves of both states, with one entry of the legend each."""
    for curves, dots, name, color in zip((lines.x, lines.y), lines.dots, lines.states, line_colors(2), strict=True):
        label: Any = nullcline_label(name, discrete)
        if curves:
            draw(ax, *_xy(joined(curves)), {"color": color, "label": label, "zorder": 3} | LINE)
            label = None
        if len(dots):
            draw(ax, *_xy(dots), {"color": color, "zorder": 3} | DOTS)
            draw(ax, [], [], {"color": color, "label": label, "linestyle": ":", "linewidth": 1.6})


def shade_areas(ax: Axes, lines: Nullclines, nodes: tuple[Any, Any], values: np.ndarray, discrete: bool) -> None:
    """Light color where one state does not move in a whole area."""
    for k in np.flatnonzero(lines.area):
        zero = values[..., k] == 0
        cells = zero[1:, 1:] & zero[1:, :-1] & zero[:-1, 1:] & zero[:-1, :-1]
        color = line_colors(2)[k]
        look: dict[str, Any] = {"alpha": 0.15, "linewidth": 0}
        shown = np.ma.masked_array(np.zeros(cells.shape), ~cells)
        ax.pcolormesh(*nodes, shown, cmap=ListedColormap([color]), rasterized=True, zorder=0.5, **look)
        where = "everywhere" if cells.all() else "area"
        legend_patch(ax, f"{nullcline_label(lines.states[k], discrete)} ({where})", facecolor=color, **look)
