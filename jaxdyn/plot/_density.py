"""Image of many points: how many fall into each pixel of what is shown, counted anew for each view."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage

__all__ = ["DensityImage", "counted"]

MOST = 1 << 21
"""Points that are counted at once: what is in between fits caches."""
FAINTEST, DARKEST, CONTRAST = 0.1, 0.98, 1.5
"""Opacity of a pixel with one point among many, seen on paper; part of the pixels that is not black; exponent."""


class DensityImage(AxesImage):
    """Points over a parameter as an image in one color, the more opaque the more points are in a pixel.

    It is computed when it is drawn, in the pixels of the figure and for the limits of the axes: zooming in shows more.
    Opacity is logarithmic, so that the dense points of a cycle do not hide the thin ones of chaos.
    """

    def __init__(self, ax: Axes, edges: np.ndarray, points: np.ndarray, color: Any) -> None:
        super().__init__(ax, interpolation="nearest", origin="lower", extent=(0, 1, 0, 1))
        self.set_transform(ax.transAxes)  # it always fills what is in view
        self._edges, self._points, self._rgb = edges, points, to_rgb(color)
        self._shown: tuple[Any, ...] | None = None
        self.set_data(np.zeros((1, 1, 4)))

    def draw(self, renderer: Any) -> None:
        """Count what is in view, unless that was done, and draw it."""
        ax: Any = self.axes
        box, scale = ax.get_window_extent(renderer), renderer.get_image_magnification()
        size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
        now = size, ax.get_xlim(), ax.get_ylim(), ax.get_xscale(), ax.get_yscale()
        if now != self._shown:
            self._shown = now
            self.set_data(self.shades(size))
        super().draw(renderer)

    def shades(self, size: tuple[int, int]) -> np.ndarray:
        """Image (height, width, 4) of the points in view."""
        ax: Any = self.axes
        across, up = (_scaled(axis) for axis in (ax.xaxis, ax.yaxis))
        (left, right), (low, high) = across(np.array(ax.get_xlim())), up(np.array(ax.get_ylim()))
        view = min(left, right), max(left, right), min(low, high), max(low, high)
        counts = counted(across(self._edges), up(self._points), view, size)
        counts = counts[:: 1 if high > low else -1, :: 1 if right > left else -1]
        image = np.empty((*counts.shape, 4), np.float32)
        image[..., :3] = self._rgb
        image[..., 3] = opacity(counts)
        return image


def _scaled(axis: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Numbers as they lie along an axis, linear or not."""
    return (lambda values: values) if axis.get_scale() == "linear" else axis.get_transform().transform


def opacity(counts: np.ndarray) -> np.ndarray:
    """Opacity of pixels by the points in them: 0 for none, 1 for the most dense ones."""
    some = counts[counts > 0]
    if not some.size:
        return np.zeros(counts.shape, np.float32)
    # Few pixels are far denser than all others, those of cycles: they do not set the scale.
    top = max(2.0, float(np.quantile(some, DARKEST)))
    shade = np.minimum(np.log1p(counts) / np.log1p(top), 1) ** CONTRAST
    return np.where(counts > 0, FAINTEST + (1 - FAINTEST) * shade, 0).astype(np.float32)


def counted(edges: np.ndarray, points: np.ndarray, view: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    """Points in each pixel, (height, width); where columns of points are wider than pixels, they fill their width.

    `points` (n, m) belong to the n cells between the `edges` along the parameter.
    """
    left, right, low, high = view
    width, height = size
    first, last = np.searchsorted(edges, [left, right], side="right") - [1, 0]
    first, last = max(0, int(first)), min(len(points), int(last))
    if last <= first:
        return np.zeros((height, width), np.float64)
    pixels = left + (np.arange(width) + 0.5) * (right - left) / width
    wide = last - first < width
    if wide:
        column, n_columns = np.arange(last - first), last - first
    else:
        centers = (edges[first:last] + edges[first + 1 : last + 1]) / 2
        column = np.floor((centers - left) / (right - left) * width).astype(np.int64)
        column, n_columns = np.clip(column, 0, width - 1), width
    counts = np.zeros(n_columns * (height + 1), np.int64)
    rows = max(1, MOST // points.shape[1])
    for start in range(first, last, rows):
        block = points[start : min(start + rows, last)]
        row = (block - low) * (height / (high - low))
        inside = (row >= 0) & (row < height)  # also false for nan
        row = np.where(inside, row, height).astype(np.int64)  # one row more, for what is out of view
        row += column[start - first : start - first + len(block), None] * (height + 1)
        counts += np.bincount(row.ravel(), minlength=counts.size)
    image = counts.reshape(n_columns, height + 1).T[:height]
    if not wide:
        return image.astype(np.float64)
    owner = np.searchsorted(edges, pixels, side="right") - 1 - first
    shown = image[:, np.clip(owner, 0, n_columns - 1)].astype(np.float64)
    shown[:, (owner < 0) | (owner >= n_columns) | (pixels < edges[0]) | (pixels > edges[-1])] = 0
    return shown
