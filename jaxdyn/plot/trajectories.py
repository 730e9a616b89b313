"""Trajectories against time and in the plane of two states."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.errors import Status
from jaxdyn.plot._parts import (
    MANY,
    axes_of,
    draw,
    legend,
    line_colors,
    state_index,
    state_label,
    state_name,
    state_unit,
    status_name,
    symbol,
    time_label,
    with_unit,
    wrapped,
)
from jaxdyn.system import System

__all__ = ["phase_trajectory", "trajectory"]

_JOINED = 201
"""Points of a map's orbit up to which lines show their order."""


def trajectory(
    result: Any,
    *,
    system: System | None = None,
    states: Sequence[str | int] | str | int | None = None,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Time series of a trajectory, one line per state.

    Parameters
    ----------
    result
        A `Trajectory` of one system: `t` (n,), `x` (n, dim), `status`.
    system
        The system it belongs to, for names and units.
    states
        Names or positions of the states to draw; default all. More than 8 share one color scale.
    ax
        Axes to draw into; default those of a new figure.
    **line
        Passed to `Axes.plot`.

    Returns
    -------
    Axes
        Times after which the state is no longer finite are marked by a dotted line and named in the legend.

    Raises
    ------
    ValueError
        If the record holds one state only or several trajectories, or a state is unknown.

    Examples
    --------
    >>> import jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> run = jaxdyn.trajectory(neuron, t1=100.0, dt=0.1)
    >>> jaxdyn.plot.trajectory(run, system=neuron).get_xlabel()
    'time'
    """
    t, x = _checked(result, system)
    asked = range(x.shape[1]) if states is None else [states] if isinstance(states, str | int) else states
    chosen = [state_index(s, system, x.shape[1]) for s in asked]
    if not chosen:
        raise ValueError("states is empty; name at least one state, or leave it out for all")
    ax = axes_of(ax)
    discrete = np.issubdtype(t.dtype, np.integer)
    units = {state_unit(i, system) for i in chosen}
    look = {"marker": ".", "linewidth": 0.5 if len(t) <= _JOINED else 0} if discrete else {}
    look |= {"linewidth": 0.5} if len(chosen) > MANY and not discrete else {}
    for i, color in zip(chosen, line_colors(len(chosen)), strict=True):
        name = with_unit(symbol(state_name(i, system)), state_unit(i, system) if len(units) > 1 else "1")
        label = name if 1 < len(chosen) <= MANY else None
        ax.plot(t, x[:, i], **({"color": color, "label": label} | look | line))
    _mark_failure(ax, result, t, x)
    ax.set_xlabel(time_label(system, discrete))
    ax.set_ylabel(wrapped(state_label(chosen[0], system) if len(chosen) == 1 else _common_label(chosen, system, units)))
    ax.margins(x=0)
    legend(ax)
    return ax


def phase_trajectory(
    result: Any,
    x: str | int = 0,
    y: str | int = 1,
    *,
    system: System | None = None,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Curve of a trajectory in the plane of two states; its start is a cross.

    Parameters
    ----------
    result
        A `Trajectory` of one system. Orbits of maps are dots, joined by thin light lines up to 200 steps.
    x, y
        Names (with `system`) or positions of the two states.
    system
        The system it belongs to, for names and units.
    ax
        Axes to draw into; default those of a new figure.
    **line
        Passed to `Axes.plot`.

    Raises
    ------
    ValueError
        If the record holds one state only or several trajectories, or a state is unknown.
    """
    t, points = _checked(result, system)
    column, row = (state_index(s, system, points.shape[1]) for s in (x, y))
    ax = axes_of(ax)
    discrete = np.issubdtype(t.dtype, np.integer)
    some = discrete and len(t) <= _JOINED
    look: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 4 if some else 2} if discrete else {}
    (curve,) = ax.plot(points[:, column], points[:, row], **(look | line))
    below: dict[str, Any] = {"zorder": curve.get_zorder() - 0.1, "color": curve.get_color()}
    if some:  # the order of the points
        draw(ax, points[:, column], points[:, row], below | {"linewidth": 0.5, "alpha": 0.4})
    if some or not discrete:
        start = {"marker": "x", "linestyle": "none", "zorder": curve.get_zorder(), "color": curve.get_color()}
        draw(ax, points[0, column], points[0, row], start)
    if int(result.status) != Status.OK:
        curve.set_label(f"ends: {status_name(int(result.status))}")
    if ax.get_legend() is not None or not str(curve.get_label()).startswith("_"):
        legend(ax)
    ax.set_xlabel(ax.get_xlabel() or state_label(column, system))
    ax.set_ylabel(ax.get_ylabel() or wrapped(state_label(row, system)))
    return ax


def _checked(result: Any, system: System | None) -> tuple[np.ndarray, np.ndarray]:
    """Times and states of one trajectory, in float64 so that drawing does not overflow."""
    t, x = np.asarray(result.t), np.asarray(result.x, float)
    if t.ndim == 0:
        raise ValueError("the record holds one state only; make the trajectory with save=All() or Every(k)")
    if t.ndim != 1 or x.ndim != 2:
        raise ValueError(
            f"expected one trajectory, t (n,) and x (n, dim), got {t.shape} and {x.shape}; "
            "pick one lane: jax.tree.map(lambda leaf: leaf[0], result)"
        )
    if system is not None and system.dim != x.shape[1]:
        raise ValueError(
            f"{system.about.name} has {system.dim} states, the trajectory {x.shape[1]}; pass its own system"
        )
    return t, x


def _mark_failure(ax: Axes, result: Any, t: np.ndarray, x: np.ndarray) -> None:
    status = int(result.status)
    if status == Status.OK:
        return
    finite = np.isfinite(x).all(axis=1)
    end = t[finite][-1] if finite.any() else t[0]
    ax.axvline(end, color="0.5", linestyle=":", linewidth=1, label=status_name(status))


def _common_label(chosen: Sequence[int], system: System | None, units: set[str]) -> str:
    names = [symbol(state_name(i, system)) for i in chosen]
    words = ", ".join(names) if len(names) <= 3 else f"{names[0]}, …, {names[-1]}"
    return with_unit(words, units.pop() if len(units) == 1 else "1")
