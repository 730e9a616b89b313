"""The picture that follows the sliders: artists are made once and get new data, so that a move costs milliseconds."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from jaxdyn.analysis.nullclines import plane_nullclines
from jaxdyn.analysis.planes import Plane
from jaxdyn.analysis.stability import stability_label
from jaxdyn.errors import Status
from jaxdyn.plot._nullcline_lines import DOTS, LINE, joined, nullcline_label, rate_symbol
from jaxdyn.plot._parts import (
    MANY,
    cased,
    legend,
    line_colors,
    state_label,
    status_name,
    symbol,
    time_label,
    wrapped,
)
from jaxdyn.plot.style import OKABE_ITO, UNSTABLE
from jaxdyn.system import System

__all__ = ["Picture"]

_GRID = 151  # nodes a side for nullclines, between whose zeros straight pieces then look smooth
_CURVE = 401  # points of the field of one state


class Picture:
    """Phase plane (of one state: its field) and time series of one system."""

    def __init__(
        self,
        system: System,
        sides: Sequence[tuple[int, float, float]],
        states: Sequence[int],
        plane: Axes,
        series: Axes,
        *,
        fixed_points: bool,
    ):
        self.sides, self.states, self.plane, self.series = sides, states, plane, series
        self._dots = system.discrete
        self._cobweb = system.discrete and len(sides) == 1
        self._frame(system)
        labels, colors = _null_labels(system, sides), _colors(sides, states)
        self.nullclines = [
            _line(plane, color=colors[i], zorder=2, label=label, **LINE)
            for label, (i, _, _) in zip(labels, sides, strict=True)
        ]
        self.dots = [_line(plane, color=colors[i], zorder=2, **DOTS) for i, _, _ in sides if len(sides) == 2]
        dots: dict[str, Any] = {"marker": ".", "markersize": 3, "linestyle": "none"}
        thin: dict[str, Any] = {"linewidth": 1.0, "path_effects": cased(1.0)}
        self.orbit = _line(plane, color="black", zorder=3, **(dots if self._dots and not self._cobweb else thin))
        cross: dict[str, Any] = {"marker": "x", "markersize": 7, "markeredgewidth": 1.8, "linestyle": "none"}
        self.start = _line(plane, color="black", zorder=5, label="start", path_effects=cased(1.8), **cross)
        look: dict[str, Any] = dots if self._dots else {"linewidth": 1.2}
        names = len(states) <= MANY
        self.curves = [
            _line(series, color=colors[k], label=symbol(system.state_names[k]) if names else None, **look)
            for k in states
        ]
        self.points = [_points(plane, fill) for fill in ("black", "white", "0.6")] if fixed_points else []
        legend(plane)
        legend(series)

    def _frame(self, system: System) -> None:
        (i, low, high), *rest = self.sides
        name = system.state_names[i]
        self.plane.set(xlim=(low, high), xlabel=state_label(i, system))
        if rest:
            j, bottom, top = rest[0]
            self.plane.set(ylim=(bottom, top), ylabel=wrapped(state_label(j, system)))
        else:
            self.plane.set_ylabel(f"next {symbol(name)}" if system.discrete else f"${rate_symbol(name, False)}$")
            # Zero displacement: the diagonal of a map, the axis of a flow.
            self.plane.axline((0, 0), slope=1 if system.discrete else 0, color="0.6", linewidth=0.8, zorder=1)
        self.series.set_xlabel(time_label(system, system.discrete))
        names = [symbol(system.state_names[k]) for k in self.states]
        self.series.set_ylabel(", ".join(names) if len(names) <= 3 else f"{names[0]}, …, {names[-1]}")

    def show(self, system: System, run: Any, points: Any, plane: Plane | None) -> None:
        """Draw one trajectory, the nullclines of the same system, and its fixed points if there are any to draw."""
        t, x = np.asarray(run.t), np.asarray(run.x, float)
        self._show_plane(x, plane) if plane is not None else self._show_field(system, x)
        for curve, state in zip(self.curves, self.states, strict=True):
            curve.set_data(t, x[:, state])
        self._fit_series(t, x[:, list(self.states)])
        failed = int(run.status) != Status.OK
        self.series.set_title(status_name(int(run.status)) if failed else "", color=UNSTABLE, loc="right", fontsize=8)
        self._show_points(points)

    def _show_plane(self, x: np.ndarray, plane: Plane) -> None:
        nodes = plane.nodes(_GRID)
        found = plane_nullclines(plane, nodes, *plane.on_grid(*nodes))
        for k, curves in enumerate((found.x, found.y)):
            self.nullclines[k].set_data(*joined(curves).T)
            self.dots[k].set_data(*np.asarray(found.dots[k]).T)
        code = int(found.status.max())
        words = f"nullclines: {status_name(code)}" if code != Status.OK else ""
        self.plane.set_title(words, color=UNSTABLE, loc="right", fontsize=8)
        i, j = plane.states
        self.orbit.set_data(x[:, i], x[:, j])
        self.start.set_data(x[:1, i], x[:1, j])

    def _show_field(self, system: System, x: np.ndarray) -> None:
        _, low, high = self.sides[0]
        across = np.linspace(low, high, _CURVE)
        field = np.asarray(_on_curve(system, jnp.asarray(across, system.dtype)), float)
        self.nullclines[0].set_data(across, field)
        self._show_orbit_of_one_state(system, x[:, 0])
        finite = np.abs(field[np.isfinite(field)])
        if finite.size:
            bottom, top = (low, high) if self._dots else (-1.05 * finite.max() or -1, 1.05 * finite.max() or 1)
            self.plane.set_ylim(bottom, top)

    def _show_orbit_of_one_state(self, system: System, x: np.ndarray) -> None:
        """Staircase of a map; the way of a flow on the curve of its field."""
        if self._dots:
            self.orbit.set_data(np.repeat(x, 2)[:-1], np.repeat(x, 2)[1:])
            self.start.set_data(x[:1], x[:1])
        else:
            rates = np.asarray(_on_curve(system, jnp.asarray(x, system.dtype)), float)
            self.orbit.set_data(x, rates)
            self.start.set_data(x[:1], rates[:1])

    def _fit_series(self, t: np.ndarray, x: np.ndarray) -> None:
        self.series.set_xlim(t[0], t[-1] if t[-1] != t[0] else t[0] + 1)
        finite = x[np.isfinite(x)]
        if finite.size:
            low, high = finite.min(), finite.max()
            room = 0.05 * (high - low) or 0.5
            self.series.set_ylim(low - room, high + room)

    def _show_points(self, points: Any) -> None:
        if not self.points:
            return
        found = np.asarray(points.found, bool)
        places, words = np.asarray(points.x)[found], stability_label(np.asarray(points.stability)[found])
        stable = np.array([str(word).startswith("stable") for word in words], bool)
        unstable = np.array(["unstable" in str(word) or "saddle" in str(word) for word in words], bool)
        for artist, mask in zip(self.points, (stable, unstable, ~stable & ~unstable), strict=True):
            up = places[mask][:, self.sides[1][0]] if len(self.sides) == 2 else self._height(places[mask][:, 0])
            artist.set_data(places[mask][:, self.sides[0][0]], up)

    def _height(self, x: np.ndarray) -> np.ndarray:
        return x if self._dots else np.zeros_like(x)


@jax.jit
def _on_curve(system: System, across: Any) -> Any:
    """Field of the only state at time 0: its rate, or the next state of a map."""
    time = system.time(0, 0, 0)
    return jax.vmap(lambda a: system(time, a[None])[0])(across)


def _line(ax: Axes, **look: Any) -> Line2D:
    return ax.plot([], [], **look)[0]


def _points(ax: Axes, fill: str) -> Line2D:
    words = {"black": "stable", "white": "unstable", "0.6": "neither"}[fill]
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6, "markeredgecolor": "black"}
    return _line(ax, markerfacecolor=fill, zorder=4, label=words if fill != "0.6" else None, **look)


def _colors(sides: Sequence[tuple[int, float, float]], states: Sequence[int]) -> dict[int, Any]:
    """Color of every state shown, the same in both plots; more than a cycle has share a scale."""
    shown = list(dict.fromkeys([*(side[0] for side in sides), *states]))
    return dict(zip(shown, OKABE_ITO[: len(shown)] if len(shown) <= MANY else line_colors(len(shown)), strict=True))


def _null_labels(system: System, sides: Sequence[tuple[int, float, float]]) -> list[str]:
    if len(sides) == 1:
        return ["map" if system.discrete else "field"]
    return [nullcline_label(system.state_names[i], system.discrete) for i, _, _ in sides]
