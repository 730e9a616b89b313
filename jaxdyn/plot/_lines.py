"""Lines and dots over one swept parameter."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.analysis.stability import Stability
from jaxdyn.plot._axis import Axis, axis_of
from jaxdyn.plot._heat_map import class_colors
from jaxdyn.plot._parts import MANY, draw, failure_text, legend, line_colors, wrapped
from jaxdyn.plot._slices import Slice, classes_of, component_label
from jaxdyn.plot.style import NEUTRAL, STABLE, UNSTABLE

_DOTS = ("point", "time", "sample", "block")
"""Dimensions whose entries do not continue from one parameter value to the next."""

_STABLE = (Stability.STABLE_NODE, Stability.STABLE_FOCUS, Stability.STABLE_FLIP_NODE)
_NEUTRAL = (Stability.CENTER, Stability.MARGINAL, Stability.FLIP, Stability.UNDEFINED)


def lines(piece: Slice, ax: Axes, dim: str, coordinate: str | None, look: dict[str, Any]) -> Axes:
    """Line per component with its standard error, dots for sets, classes as rows of dots."""
    axis = axis_of(piece.values, dim, coordinate)
    axis.dress(ax, "x")
    columns = _columns(piece.values, piece, dim, axis)
    names = classes_of(piece)
    failed = np.zeros((axis.order.size, 1), bool)
    if piece.failed is not None:
        failed = _columns(piece.failed, piece, dim, axis)
    columns = np.where(failed, np.nan, columns.astype(float))
    failed = failed.any(axis=1)
    if names is not None:
        _classes(ax, axis, columns, names, look)
    else:
        if piece.extra and piece.extra[0] in _DOTS:
            _dots(ax, axis, columns, piece, dim, look)
        else:
            _curves(ax, axis, columns, piece, dim, look)
    ax.set_ylabel(wrapped(piece.label))
    if failed.any():
        cross: dict[str, Any] = {"color": "0.45", "linestyle": "none", "marker": "x", "markersize": 4, "clip_on": False}
        label = failure_text(piece.status.to_numpy())
        ax.plot(axis.centers[failed], np.zeros(failed.sum()), transform=ax.get_xaxis_transform(), label=label, **cross)
    connected = names is None and not set(piece.extra) & set(_DOTS)
    ax.margins(x=0 if connected and len(axis.centers) > 1 else 0.02)
    legend(ax)
    return ax


def _columns(data: Any, piece: Slice, dim: str, axis: Axis) -> np.ndarray:
    """Values with the swept parameter along rows and components along columns."""
    extra = [d for d in piece.extra if d in data.dims]
    columns = data.transpose(dim, *extra).to_numpy()[axis.order]
    return columns.reshape(axis.order.size, -1)


def _curves(ax: Axes, axis: Axis, columns: np.ndarray, piece: Slice, dim: str, look: dict[str, Any]) -> None:
    errors = None if piece.error is None else _columns(piece.error, piece, dim, axis).astype(float)
    count = columns.shape[1]
    isolated = {"marker": "o"} if axis.names or len(axis.centers) == 1 else {}
    crossing = np.nanmin(columns, initial=0) < 0 < np.nanmax(columns, initial=0)
    if crossing:
        ax.axhline(0, color="0.6", linewidth=0.6, zorder=0.5)
    for i, color in enumerate(line_colors(count)):
        named = piece.extra and count <= MANY
        label = component_label(piece.values, piece.extra[0], i) if named else None
        line = draw(ax, axis.centers, columns[:, i], {"color": color, "label": label} | isolated | look)
        if errors is not None:
            low, high = columns[:, i] - errors[:, i], columns[:, i] + errors[:, i]
            ax.fill_between(axis.centers, low, high, color=line.get_color(), alpha=0.25, linewidth=0)


def _dots(ax: Axes, axis: Axis, columns: np.ndarray, piece: Slice, dim: str, look: dict[str, Any]) -> None:
    if piece.found is not None:
        columns = np.where(_columns(piece.found, piece, dim, axis), columns, np.nan)
    x = np.broadcast_to(axis.centers[:, None], columns.shape)
    base: dict[str, Any] = {"linestyle": "none", "marker": "."}
    if piece.stability is None:
        small = {"color": "black", "markersize": 1.5, "markeredgewidth": 0, "rasterized": columns.size > 20_000}
        draw(ax, x.ravel(), columns.ravel(), base | small | look)
        return
    codes = np.broadcast_to(_columns(piece.stability, piece, dim, axis), columns.shape)
    stable, neutral = np.isin(codes, _STABLE), np.isin(codes, _NEUTRAL)
    base |= {"marker": "o", "markersize": 2.5}
    for label, mask, kind in (
        ("stable", stable, {"color": STABLE}),
        ("neutral", neutral, {"color": NEUTRAL, "marker": "D"}),
        ("unstable", ~stable & ~neutral, {"color": UNSTABLE, "markerfacecolor": "white", "markeredgewidth": 0.6}),
    ):
        shown = mask & np.isfinite(columns)
        if shown.any():
            draw(ax, x[shown], columns[shown], {"label": label} | base | kind | look)


def _classes(ax: Axes, axis: Axis, columns: np.ndarray, names: dict[int, str], look: dict[str, Any]) -> None:
    colors = class_colors(names)
    present = sorted({int(code) for code in columns[np.isfinite(columns)]})
    x = np.broadcast_to(axis.centers[:, None], columns.shape)
    for row, code in enumerate(present):
        shown = columns == code
        dots = {"linestyle": "none", "marker": "o", "color": colors.get(code, "0.3")}
        draw(ax, x[shown], np.full(shown.sum(), row), dots | look)
    ax.set_yticks(range(len(present)), [names.get(code, f"code {code}") for code in present])
    ax.set_ylim(-0.5, len(present) - 0.5 if present else 0.5)
