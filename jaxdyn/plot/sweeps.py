"""Figures of parameter sweeps."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from jaxdyn.plot._heat_map import heat_map
from jaxdyn.plot._lines import lines
from jaxdyn.plot._parts import axes_of
from jaxdyn.plot._slices import cut, first_component, horizontal, remedy, variable_of

__all__ = ["sweep"]


def sweep(
    dataset: Any,
    variable: str | None = None,
    *,
    select: Mapping[str, Any] | None = None,
    x: str | None = None,
    contour: float | None = None,
    ax: Axes | None = None,
    **look: Any,
) -> Axes:
    """Result of a sweep: lines over one swept parameter, a heat map over two.

    Parameters
    ----------
    dataset
        Data set of `jaxdyn.sweep`.
    variable
        Name of the variable; default the first one that is not a status or a standard error.
    select
        What to fix, by name of a dimension: the value of a swept parameter, the position or the name of a
        component: `{"b": 0.8, "exponent": 1, "state": "v"}`. A heat map of a vector draws the first component.
    x
        Swept parameter of the horizontal axis; default the first one.
    contour
        Heat maps: level of a contour line to draw on top, such as `0.0`.
    ax
        Axes to draw into; default those of a new figure.
    **look
        Passed to `Axes.plot` or `Axes.pcolormesh`. `vmax` alone gives symmetric limits for signed numbers.

    Returns
    -------
    Axes
        Signed numbers get a diverging scale about 0, others a sequential one, classes one color each. Lines
        have a band of one standard error to each side where it is known. Fixed points are dots, filled
        where they are stable. Failed lanes are hatched (crosses below a line) and counted in the legend.

    Raises
    ------
    ValueError
        If a name is unknown, or more dimensions are left than a figure has; the message says what to select.

    Examples
    --------
    >>> import numpy as np, xarray, jaxdyn
    >>> grid = {"I": np.linspace(0, 1, 5), "b": np.linspace(0.5, 1, 3)}
    >>> data = xarray.Dataset({"growth_rate": (("I", "b"), np.zeros((5, 3)))}, grid)
    >>> jaxdyn.plot.sweep(data, "growth_rate").get_xlabel()
    '$I$'
    """
    piece = cut(dataset, variable_of(dataset, variable), select)
    name = piece.name
    if not piece.swept:
        raise ValueError(
            f"{name} has no swept dimension left to draw over; leave one out of select={dict(select or {})}"
        )
    if len(piece.swept) > 2:
        raise ValueError(
            f"{name} has {len(piece.swept)} swept dimensions ({', '.join(piece.swept)}) and a figure has 2; "
            f"fix the others: {remedy(piece.swept[2:], piece.values)}"
        )
    dim, coordinate = horizontal(piece, x)
    if len(piece.swept) == 2:
        return heat_map(first_component(piece), axes_of(ax), dim, coordinate, contour, look)
    if len(piece.extra) > 1:
        raise ValueError(
            f"{name} has the dimensions {', '.join(piece.extra)} besides {dim} and lines can show one of them; "
            f"fix the others: {remedy(piece.extra[1:], piece.values)}"
        )
    if contour is not None:
        raise ValueError(f"contour={contour} is for heat maps; {name} is left with one swept dimension, {dim}")
    return lines(piece, axes_of(ax), dim, coordinate, look)
