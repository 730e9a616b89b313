"""Eigenvalues in the complex plane."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from jaxdyn.plot._parts import axes_of, draw, legend, with_unit
from jaxdyn.plot.style import NEUTRAL, STABLE, UNSTABLE

__all__ = ["eigenvalues"]


def eigenvalues(
    values: Any, *, discrete: bool = False, tolerance: float | None = None, unit: str = "1", ax: Axes | None = None
) -> Axes:
    """Spectrum in the complex plane, with the border of stability.

    Parameters
    ----------
    values
        Eigenvalues of one or many Jacobians, of any shape.
    discrete
        True for maps: the border is the unit circle. False for flows: it is the imaginary axis.
    tolerance
        Growth within this distance of 0 counts as neutral, as in `jaxdyn.stability`: relative to the
        largest |eigenvalue| of a flow, absolute for a map. Default: sqrt of the dtype's rounding error.
    unit
        Unit of the eigenvalues, such as `1/ms` (flows).
    ax
        Axes to draw into; default those of a new figure.

    Returns
    -------
    Axes
        Filled points are stable, open ones unstable, diamonds neutral; the stable region is shaded.

    Raises
    ------
    ValueError
        If there is nothing finite to draw.

    Examples
    --------
    >>> import jaxdyn
    >>> ax = jaxdyn.plot.eigenvalues([0.5 + 0.5j, 0.5 - 0.5j, -1.2], discrete=True)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['stable (2)', 'unstable (1)']
    """
    given = np.asarray(values)
    points = given.ravel().astype(complex)
    finite = points[np.isfinite(points)]
    if not finite.size:
        raise ValueError(f"none of the {points.size} eigenvalues is finite; nothing to draw")
    ax = axes_of(ax)
    _border(ax, discrete, float(np.abs(finite).max()) or 1.0)
    growth = _growth(finite, given.dtype, discrete, tolerance)
    size = float(np.clip(60 / np.sqrt(finite.size), 2, 6))
    for label, mask, look in (
        ("stable", growth < 0, {"marker": "o", "color": STABLE, "markeredgewidth": 0}),
        ("neutral", growth == 0, {"marker": "D", "color": NEUTRAL, "markeredgewidth": 0}),
        ("unstable", growth > 0, {"marker": "o", "color": UNSTABLE, "markerfacecolor": "none"}),
    ):
        if mask.any():
            name = f"{label} ({mask.sum()})"
            draw(
                ax,
                np.real(finite[mask]),
                np.imag(finite[mask]),
                {"linestyle": "none", "markersize": size, "label": name} | look,
            )
    if finite.size < points.size:
        ax.plot([], [], linestyle="none", label=f"not finite ({points.size - finite.size})")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(with_unit(r"Re $\lambda$", unit))
    ax.set_ylabel(with_unit(r"Im $\lambda$", unit))
    ax.margins(0.15)
    legend(ax)
    return ax


def _growth(values: np.ndarray, dtype: Any, discrete: bool, tolerance: float | None) -> np.ndarray:
    """Growth of each eigenvalue, with neutral ones set to 0."""
    inexact = np.issubdtype(dtype, np.inexact)
    rounding = float(np.finfo(dtype if inexact else np.float64).eps)
    tolerance = math.sqrt(rounding) if tolerance is None else tolerance
    size: np.ndarray = np.abs(values)
    if discrete:
        growth, within = np.log(np.maximum(size, np.finfo(float).tiny)), tolerance
    else:
        growth, within = np.real(values), tolerance * (size.max(initial=0.0) or 1.0)
    return np.where(np.abs(growth) <= within, 0.0, growth)


def _border(ax: Axes, discrete: bool, reach: float) -> None:
    """Line where growth is 0, and a light shade over the stable side."""
    shade, line = {"facecolor": "0.95", "edgecolor": "none", "zorder": 0}, {"color": "0.3", "linewidth": 0.8}
    ax.axhline(0, color="0.85", linewidth=0.6, zorder=0.5)
    if discrete:
        ax.axvline(0, color="0.85", linewidth=0.6, zorder=0.5)
        ax.add_patch(Circle((0, 0), 1, **shade))
        angle = np.linspace(0, 2 * np.pi, 361)
        ax.plot(np.cos(angle), np.sin(angle), zorder=1, **line)
    else:
        width = 1000 * reach  # an artist, not a patch, because the limits must follow the points
        ax.add_artist(Rectangle((-width, 0), width, 1, transform=ax.get_xaxis_transform(), **shade))
        ax.axvline(0, zorder=1, **line)
