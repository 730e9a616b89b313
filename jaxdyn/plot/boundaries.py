"""Exact boundaries over heat maps."""

from typing import Any

from matplotlib.axes import Axes

from jaxdyn.plot._parts import cased, draw, legend

__all__ = ["boundary"]


def boundary(x: Any, y: Any, *, ax: Axes, label: str | None = None, **line: Any) -> Axes:
    """Curve on top of a heat map: black with a white rim, so that it shows on every color.

    Parameters
    ----------
    x, y
        Points of the curve, (n,); nan interrupts it.
    ax
        Axes with the heat map; their limits stay as they are.
    label
        Entry of the legend.
    **line
        Passed to `Axes.plot`.

    Examples
    --------
    >>> import jaxdyn, matplotlib.pyplot as plt
    >>> ax = plt.figure().subplots()
    >>> jaxdyn.plot.boundary([0, 2, 2], [2, 2, 0], ax=ax, label="multiplier -1") is ax
    True
    """
    width = float(line.get("linewidth", line.get("lw", 1.4)))
    look: dict[str, Any] = {"color": "black", "linewidth": width, "zorder": 4, "path_effects": cased(width)}
    if "lw" in line:
        look.pop("linewidth")
    draw(ax, x, y, look | {"label": label, "scalex": False, "scaley": False} | line)
    if label is not None:
        legend(ax)
    return ax
