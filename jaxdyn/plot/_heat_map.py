"""Heat maps over two swept parameters."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.patches import Rectangle

from jaxdyn.plot._axis import Axis, axis_of
from jaxdyn.plot._parts import cased, draw, failure_text, legend, legend_patch, wrapped
from jaxdyn.plot._slices import Slice, classes_of
from jaxdyn.plot.style import CLASS_COLORS, DIVERGING, OKABE_ITO, SEQUENTIAL

_FAILED: dict[str, Any] = {"facecolor": "0.82", "edgecolor": "0.35", "hatch": "/////", "linewidth": 0}
_NO_VALUE = "0.93"
_SIGNED = ("exponents", "growth", "abscissa", "displacement")
_VECTOR_CELLS = 10_000  # larger meshes are stored as an image inside a vector file


def heat_map(
    piece: Slice, ax: Axes, dim: str, coordinate: str | None, contour: float | None, look: dict[str, Any]
) -> Axes:
    """Mesh of one number or class per cell."""
    other = next(d for d in piece.swept if d != dim)
    across, up = axis_of(piece.values, dim, coordinate), axis_of(piece.values, other)

    def plane(data: Any) -> np.ndarray:
        return data.transpose(other, dim).to_numpy()[np.ix_(up.order, across.order)]

    values = plane(piece.values)
    failed = np.zeros(values.shape, bool) if piece.failed is None else plane(piece.failed)
    across.dress(ax, "x")
    up.dress(ax, "y")
    look = {"rasterized": values.size > _VECTOR_CELLS} | look
    names = classes_of(piece)
    if names is not None:
        _classes(ax, across, up, np.ma.masked_array(values, failed), names, look)
    else:
        _numbers(ax, across, up, np.ma.masked_array(values.astype(float), failed), piece, look)
    if failed.any():
        _hatch(ax, across, up, failure_text(plane(piece.status)))
    if contour is not None:
        _contour(ax, across, up, np.ma.masked_array(values.astype(float), failed), contour, piece)
    ax.set_xlim(across.edges[0], across.edges[-1])
    ax.set_ylim(up.edges[0], up.edges[-1])
    legend(ax, title=piece.label if names is not None else None)
    return ax


def is_signed(values: np.ndarray, base: str) -> bool:
    """Whether 0 is the natural middle of these numbers."""
    return any(word in base for word in _SIGNED) or bool(values.size and values.min() < 0 < values.max())


def limits(values: np.ndarray, signed: bool, look: dict[str, Any]) -> tuple[float, float]:
    """Ends of the color scale, symmetric about 0 for signed numbers."""
    low, high = look.pop("vmin", None), look.pop("vmax", None)
    if signed and (low is None or high is None):
        given = [abs(end) for end in (low, high) if end is not None]
        reach = given[0] if given else float(np.abs(values).max(initial=0.0)) or 1.0
        return -reach, reach
    if low is None:
        low = values.min() if values.size else 0.0
    if high is None:
        high = values.max() if values.size else 1.0
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def class_colors(names: dict[int, str]) -> dict[int, str]:
    """One color per class: fixed ones for known words, the cycle for others."""
    spare = iter(OKABE_ITO * (1 + len(names) // len(OKABE_ITO)))
    return {code: CLASS_COLORS[word] if word in CLASS_COLORS else next(spare) for code, word in names.items()}


def _numbers(ax: Axes, across: Axis, up: Axis, values: Any, piece: Slice, look: dict[str, Any]) -> None:
    undefined = ~np.isfinite(values.data) & ~np.ma.getmaskarray(values)
    shown = np.ma.masked_array(values.data, np.ma.getmaskarray(values) | undefined)
    finite = shown.compressed()
    signed = is_signed(finite, piece.base)
    look = {"cmap": DIVERGING if signed else SEQUENTIAL} | look
    if "norm" not in look:
        look["vmin"], look["vmax"] = limits(finite, signed, look)
    _flat(ax, across, up, undefined, _NO_VALUE, "no value", look["rasterized"])
    mesh = ax.pcolormesh(across.edges, up.edges, shown, **look)
    low, high = mesh.norm.vmin, mesh.norm.vmax
    below = bool(finite.size and low is not None and finite.min() < low)
    above = bool(finite.size and high is not None and finite.max() > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    bar = ax.figure.colorbar(mesh, ax=ax, label=wrapped(piece.label), extend=extend)
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]


def _classes(ax: Axes, across: Axis, up: Axis, values: Any, names: dict[int, str], look: dict[str, Any]) -> None:
    numbers = values.astype(float)
    undefined = ~np.isfinite(numbers.data) & ~np.ma.getmaskarray(numbers)
    codes = np.ma.masked_array(numbers.data, np.ma.getmaskarray(numbers) | undefined)
    present = [int(code) for code in np.unique(codes.compressed())]
    names = names | {code: f"code {code}" for code in present if code not in names}
    colors = class_colors(names)
    ordered = sorted(names)
    _flat(ax, across, up, undefined, _NO_VALUE, "no value", look["rasterized"])
    if len(ordered) > 1:
        borders = [ordered[0] - 0.5, *(np.add(ordered[1:], ordered[:-1]) / 2), ordered[-1] + 0.5]
    else:
        borders = [ordered[0] - 0.5, ordered[0] + 0.5]
    palette = ListedColormap([colors[code] for code in ordered])
    norm = BoundaryNorm(borders, len(ordered)) if len(ordered) > 1 else Normalize(borders[0], borders[1])
    ax.pcolormesh(across.edges, up.edges, codes, **({"cmap": palette, "norm": norm} | look))
    for code in present:
        legend_patch(ax, names[code], facecolor=colors[code], linewidth=0)


def _flat(ax: Axes, across: Axis, up: Axis, mask: np.ndarray, color: str, label: str, rasterized: bool) -> None:
    """Fill some cells with one color."""
    if not mask.any():
        return
    cells = np.ma.masked_array(np.zeros(mask.shape), ~mask)
    ax.pcolormesh(across.edges, up.edges, cells, cmap=ListedColormap([color]), rasterized=rasterized)
    legend_patch(ax, f"{label} ({mask.sum()} of {mask.size})", facecolor=color, edgecolor="0.7", linewidth=0.4)


def _hatch(ax: Axes, across: Axis, up: Axis, label: str) -> None:
    """Hatched ground under the mesh: it shows where failed cells are left out, at no cost per cell."""
    corner = across.edges[0], up.edges[0]
    ground = Rectangle(corner, across.edges[-1] - corner[0], up.edges[-1] - corner[1], zorder=-1, **_FAILED)
    ax.add_patch(ground)
    legend_patch(ax, label, **_FAILED)


def _contour(ax: Axes, across: Axis, up: Axis, values: Any, level: float, piece: Slice) -> None:
    if min(values.shape) < 2:
        raise ValueError(f"contour needs at least 2 x 2 cells, the sweep has {values.shape[1]} x {values.shape[0]}")
    finite = values[np.isfinite(values)].compressed()
    if not finite.size or not finite.min() < level < finite.max():
        return  # no cell lies on the other side
    curve = ax.contour(across.centers, up.centers, np.ma.masked_invalid(values), levels=[level], colors="black")
    dashes = (0, (3.5, 2))  # solid lines are for exact boundaries
    curve.set(linewidths=1.2, linestyles=[dashes], path_effects=cased(1.2))
    name = piece.chosen.get("exponent", "level").strip("$")
    label = f"${name} = {level:g}$" if name != "level" else f"level {level:g}"
    draw(ax, [], [], {"color": "black", "linewidth": 1.2, "linestyle": dashes, "label": label})
