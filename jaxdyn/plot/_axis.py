"""Axes of sweeps: centers, cell edges, scale and words of one swept dimension."""

import dataclasses
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.plot._parts import logarithmic_ticks, symbol, with_unit, wrapped

__all__ = ["Axis", "axis_of", "cell_edges", "is_logarithmic"]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a sweep as an axis of a figure."""

    centers: np.ndarray
    order: np.ndarray
    """Positions in the data set, by rising coordinate."""
    label: str
    logarithmic: bool = False
    names: tuple[str, ...] = ()
    """Tick labels, for coordinates that are not numbers."""

    @property
    def edges(self) -> np.ndarray:
        """Borders of the cells, (n + 1,)."""
        return cell_edges(self.centers, logarithmic=self.logarithmic)

    def dress(self, ax: Axes, which: str) -> None:
        """Set scale, ticks and label of the `x` or `y` axis."""
        if self.logarithmic:
            getattr(ax, f"set_{which}scale")("log")
            logarithmic_ticks(getattr(ax, f"{which}axis"), self.edges[0], self.edges[-1])
        if self.names:
            getattr(ax, f"set_{which}ticks")(self.centers, self.names)
        getattr(ax, f"set_{which}label")(wrapped(self.label) if which == "y" else self.label)


def axis_of(data: Any, dim: str, coordinate: str | None = None) -> Axis:
    """Axis of a swept dimension.

    A dimension of zipped parameters (`a_b`) takes the first parameter that rises or falls strictly, or the
    one named by `coordinate`; text and repeated values are numbered.
    """
    along = [str(name) for name, c in data.coords.items() if c.dims == (dim,)]
    if coordinate is not None:
        candidates = [coordinate]
    else:
        candidates = ([dim] if dim in along else []) + sorted(along, key=lambda name: _place(dim, name))
    count = data.sizes[dim]
    for name in candidates:
        values = data.coords[name].values
        if values.dtype.kind in "iuf" and np.isfinite(values).all() and len(np.unique(values)) == count:
            order = np.argsort(values, kind="stable")
            centers = values[order].astype(float)
            return Axis(centers, order, axis_label(data.coords[name]), is_logarithmic(centers))
    numbers = np.arange(count)
    if not candidates:
        return Axis(numbers.astype(float), numbers, f"position in {symbol(dim)}")
    names = tuple(
        f"{value:.4g}" if isinstance(value, float) else str(value) for value in data.coords[candidates[0]].values
    )
    return Axis(
        numbers.astype(float), numbers, axis_label(data.coords[candidates[0]]), names=names if count <= 20 else ()
    )


def axis_label(coordinate: Any) -> str:
    """Long name, symbol and unit of a coordinate."""
    words = coordinate.attrs.get("long_name") or symbol(str(coordinate.name))
    if "symbol" in coordinate.attrs and coordinate.attrs["symbol"] != coordinate.attrs.get("long_name"):
        words += f" {symbol(coordinate.attrs['symbol'])}"
    return with_unit(words, coordinate.attrs.get("units", "1"))


def cell_edges(centers: np.ndarray, *, logarithmic: bool = False) -> np.ndarray:
    """Borders of cells around rising centers: midpoints, and half a cell beyond both ends.

    Examples
    --------
    >>> import numpy as np
    >>> from jaxdyn.plot._axis import cell_edges
    >>> cell_edges(np.array([0.0, 1.0, 3.0]))
    array([-0.5,  0.5,  2. ,  4. ])
    """
    if logarithmic:
        return np.exp(cell_edges(np.log(centers)))
    if len(centers) == 1:
        half = abs(centers[0]) / 2 or 0.5
        return np.array([centers[0] - half, centers[0] + half])
    middle = (centers[1:] + centers[:-1]) / 2
    first = centers[0] - (middle[0] - centers[0])
    last = centers[-1] + (centers[-1] - middle[-1])
    return np.concatenate([[first], middle, [last]])


def is_logarithmic(centers: np.ndarray) -> bool:
    """Whether rising values are spaced by a constant ratio rather than a constant difference."""
    if len(centers) < 3 or centers[0] <= 0:
        return False
    steps, ratios = np.diff(centers), np.diff(np.log(centers))
    return bool(np.ptp(ratios) < 0.05 * ratios.mean() and np.ptp(steps) > 0.2 * steps.mean())


def _place(dim: str, name: str) -> int:
    """Where the name of a zipped parameter stands in the name of its dimension."""
    return dim.find(name) if name in dim else len(dim)
