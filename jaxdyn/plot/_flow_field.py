"""Flow fields in a plane: stream lines or arrows, colored by the logarithm of speed."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from jaxdyn.plot._parts import logarithmic_ticks
from jaxdyn.plot.style import SEQUENTIAL

_DECADES = 3  # of speed that are told apart by color


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


def streams(ax: Axes, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, density: float) -> None:
    speed, norm, extend = _speed(u, v)
    if norm is None:
        return
    u, v = np.ma.masked_invalid(u), np.ma.masked_invalid(v)
    look: dict[str, Any] = {"linewidth": 0.7, "arrowsize": 0.6, "cmap": SEQUENTIAL, "norm": norm, "zorder": 1}
    streams = ax.streamplot(x, y, u, v, color=speed, density=density, **look)
    _speed_bar(ax, streams.lines, "speed", extend)


def arrows(ax: Axes, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
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
