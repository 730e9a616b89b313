"""Figures of orbit diagrams."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from jaxdyn.errors import Status
from jaxdyn.plot._axis import Axis, axis_of
from jaxdyn.plot._density import DensityImage
from jaxdyn.plot._parts import axes_of, failure_text, legend, legend_patch, symbol, with_unit, wrapped
from jaxdyn.plot._slices import cut, horizontal, remedy
from jaxdyn.plot.style import OKABE_ITO, STABLE, UNSTABLE

__all__ = ["orbit_diagram"]

DIRECTION = "direction"
FEW = 100_000
"""Up to so many points are dots; more are an image."""
MANY_SEEN = 5_000
"""More values than these are filled as an image in vector files."""
DEEPEST = 1.5
"""Exponents below minus so many times the largest are cut: a superstable cycle has minus infinity."""


def orbit_diagram(
    dataset: Any,
    *,
    select: Mapping[str, Any] | None = None,
    x: str | None = None,
    lyapunov: bool | Axes | None = None,
    ax: Axes | None = None,
    **look: Any,
) -> Axes:
    """Orbit diagram: points of the attractors over the parameter, and the largest Lyapunov exponent below.

    Parameters
    ----------
    dataset
        Data set of `jaxdyn.orbit_diagram`, or any sweep whose `points` have one dimension of their own.
    select
        Which of several diagrams, by name of a dimension: `{"b": 0.3}`, `{"direction": "forward"}`.
    x
        Swept parameter of the horizontal axis; default the only one that is left.
    lyapunov
        Whether to draw the exponents below, or the axes for them. Default: in a new figure, if they are there.
    ax
        Axes of the diagram; default those of a new figure.
    **look
        `color` (of one direction), else passed to `Axes.plot` for the dots of up to 100 000 points.

    Returns
    -------
    Axes
        Those of the diagram; those of the exponents are the last ones of their figure. More points than 100 000 are an
        image of their density with a logarithmic scale, counted in pixels of the figure, and anew for each view.
        Both directions of `carry_state` have a color each. Exponents are filled by their sign. Where a lane failed,
        a cross is below the diagram.

    Raises
    ------
    ValueError
        If there is nothing like points, more dimensions are left than a figure has, or one color is given to both
        directions.

    Examples
    --------
    >>> import jaxdyn, numpy as np
    >>> diagram = jaxdyn.orbit_diagram(jaxdyn.models.logistic(), {"r": np.linspace(2.9, 4, 50)}, n_points=64)
    >>> len(jaxdyn.plot.orbit_diagram(diagram).figure.axes)
    2
    """
    name = next((str(name) for name in dataset.data_vars if str(name).split("_")[-1] == "points"), None)
    if name is None:
        raise ValueError(f"the data set has no points; its variables: {', '.join(map(str, dataset.data_vars))}")
    piece = cut(dataset, name, select)
    if len(piece.swept) != 1 or len(set(piece.extra) - {DIRECTION}) != 1:
        others = [*piece.swept[1:], *[dim for dim in piece.extra if dim != DIRECTION][1:]]
        fix = f"; fix the others: {remedy(others, piece.values)}" if others else "; leave one out of select"
        raise ValueError(f"an orbit diagram has one parameter and points, this has {piece.values.dims}{fix}")
    dim, coordinate = horizontal(piece, x)
    axis = axis_of(piece.values, dim, coordinate)
    exponents = name.removesuffix("points") + "exponent"
    ax, below = _axes(ax, lyapunov, exponents in dataset)
    axis.dress(ax, "x")
    ways = piece.values[DIRECTION].values.tolist() if DIRECTION in piece.extra else [None]
    if len(ways) > 1 and "color" in look:
        raise ValueError(f"both directions have a color each; choose one, select={{{DIRECTION!r}: {ways[0]!r}}}")
    colors = [look.pop("color", "black")] if len(ways) == 1 else OKABE_ITO
    for way, color in zip(ways, colors, strict=False):
        _points(ax, axis, _of(piece.values, way, dim, axis), color, look)
        if way is not None:
            legend_patch(ax, way, color=color)
    words = piece.values.attrs.get("long_name", "points")
    letter = symbol(piece.values.attrs["symbol"]) if "symbol" in piece.values.attrs else ""
    words = words if not letter or symbol(words) == letter else f"{words} {letter}"
    ax.set_ylabel(wrapped(with_unit(words, piece.values.attrs.get("units", "1"))))
    if piece.status is not None:
        _failures(ax, axis, piece.status, dim)
    legend(ax)
    if below is not None:
        growth = cut(dataset, exponents, {k: v for k, v in (select or {}).items() if k in dataset[exponents].dims})
        _exponents(below, axis, [_of(growth.values, way, dim, axis) for way in ways], colors, growth.label)
        axis.dress(below, "x")
        if ax.get_shared_x_axes().joined(ax, below):
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
    return ax


def _axes(ax: Axes | None, lyapunov: bool | Axes | None, known: bool) -> tuple[Axes, Axes | None]:
    """Axes of the points and of the exponents."""
    if lyapunov and not known:
        raise ValueError("the data set has no exponents; compute it with n_lyapunov=...")
    if isinstance(lyapunov, Axes):
        return axes_of(ax), lyapunov
    if ax is not None:
        if lyapunov:
            raise ValueError("give the axes of the exponents as well: lyapunov=other_axes")
        return ax, None
    if lyapunov is False or not known:
        return axes_of(None), None
    _, (upper, lower) = plt.subplots(2, 1, sharex=True, layout="constrained", height_ratios=(3, 1.2))
    return upper, lower


def _of(values: Any, way: Any, dim: str, axis: Axis) -> np.ndarray:
    """Numbers of one direction, the parameter along rows in rising order."""
    part = values if way is None else values.sel({DIRECTION: way})
    return part.transpose(dim, ...).to_numpy()[axis.order]


def _points(ax: Axes, axis: Axis, points: np.ndarray, color: Any, look: dict[str, Any]) -> None:
    points = np.where(np.isfinite(points), points, np.nan)
    if points.size <= FEW:
        flat = np.broadcast_to(axis.centers[:, None], points.shape).ravel()
        dots: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 1.5, "markeredgewidth": 0}
        ax.plot(flat, points.ravel(), color=color, rasterized=points.size > 20_000, **(dots | look))
    else:
        ax.add_image(DensityImage(ax, axis.edges, points, color))
        low, high = np.nanmin(points, initial=np.inf), np.nanmax(points, initial=-np.inf)
        if low <= high:
            ax.update_datalim([(axis.edges[0], low), (axis.edges[-1], high)])
        ax.autoscale_view()
    ax.margins(x=0)


def _failures(ax: Axes, axis: Axis, status: Any, dim: str) -> None:
    """Marks below the diagram where lanes failed: crosses where there is nothing to draw."""
    codes = status.transpose(dim, ...).to_numpy()[axis.order].reshape(len(axis.order), -1)
    for code in np.unique(codes[codes != Status.OK]):
        here = (codes == code).any(axis=1)
        mark = {"marker": "x", "markersize": 4} if code == Status.NON_FINITE else {"marker": "|", "markersize": 3}
        label = failure_text(np.where(codes == code, codes, Status.OK))
        base: dict[str, Any] = {"color": "0.45", "linestyle": "none", "markeredgewidth": 0.6}
        ax.plot(
            axis.centers[here],
            np.full(here.sum(), 0.02),
            transform=ax.get_xaxis_transform(),
            label=label,
            **base,
            **mark,
        )


def _exponents(ax: Axes, axis: Axis, ways: list[np.ndarray], colors: Any, label: str) -> None:
    """Exponents over the parameter; a single curve is filled by its sign."""
    ax.axhline(0, color="0.6", linewidth=0.6, zorder=0.5)
    finite = np.concatenate([way[np.isfinite(way)] for way in ways])
    if finite.size:
        high = finite.max()
        low = max(finite.min(), -DEEPEST * high) if high > 0 else np.quantile(finite, 0.02)
        pad = 0.05 * ((max(high, 0) - min(low, 0)) or 1)
        ax.set_ylim(min(low, 0) - pad, max(high, 0) + pad)
    for way, color in zip(ways, colors, strict=False):
        shown = np.clip(way, ax.get_ylim()[0] - 1, None)  # minus infinity too is drawn, beyond the edge
        if len(ways) == 1:
            for mask, fill in ((shown > 0, UNSTABLE), (shown < 0, STABLE)):
                ax.fill_between(
                    axis.centers, np.where(mask, shown, 0), color=fill, linewidth=0, rasterized=MANY_SEEN < len(shown)
                )
        else:
            ax.plot(axis.centers, shown, color=color, linewidth=0.6)
    ax.margins(x=0)
    ax.set_ylabel(wrapped(label, 18))
