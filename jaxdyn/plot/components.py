"""Slow points of many states, in the plane or the space of their principal components."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.errors import Status
from jaxdyn.plot._parts import axes_of, cased, legend, status_name
from jaxdyn.plot.style import OKABE_ITO, UNSTABLE

__all__ = ["slow_points"]

_REACH = 0.06
"""Half the length of an unstable direction, in diagonals of the picture."""


def slow_points(
    points: Any, states: Any = None, *, directions: bool = True, ax: Axes | None = None, **line: Any
) -> Axes:
    """Slow points by the number of their unstable directions, over trajectories, in principal components.

    Parameters
    ----------
    points
        `SlowPoints` of one system.
    states
        States that define the components, (n, dim), drawn as dots, or trajectories (run, time, dim), drawn as lines.
        Default: the points themselves.
    directions
        Draw the unstable directions of fixed points as short lines, of complex ones their plane's two.
    ax
        Axes to draw into, flat or with `projection="3d"`; default flat ones of a new figure.
    **line
        Passed to `Axes.plot` for the states.

    Returns
    -------
    Axes
        Stable points are filled circles, saddles half filled diamonds with a color for each number of unstable
        directions, sources open squares; crosses are slow points that are not fixed.

    Raises
    ------
    ValueError
        If the record holds several systems, states have another number of components, or there are too few to draw.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, jaxdyn
    >>> units = jaxdyn.iterated_map(lambda n, x, p: jnp.tanh(p["w"] * x), {"w": 2.0}, [0.1, 0.1, 0.1])
    >>> starts = jax.random.normal(jax.random.key(0), (64, 3))
    >>> points = jaxdyn.learning.slow_points(units, starts, n_steps=500)
    >>> jaxdyn.plot.slow_points(points, starts).get_ylabel()[:4]
    'PC 2'
    """
    x, found = np.asarray(points.x, float), np.asarray(points.found)
    if x.ndim != 2:
        raise ValueError(
            f"expected the slow points of one system, x (m, dim), got {x.shape}; "
            "pick one lane: jax.tree.map(lambda leaf: leaf[0], points)"
        )
    runs = x[found] if states is None else np.asarray(states, float)
    if runs.ndim not in (2, 3) or runs.shape[-1] != x.shape[1]:
        raise ValueError(f"states must be (n, {x.shape[1]}) or (run, time, {x.shape[1]}), got {runs.shape}")
    ax = axes_of(ax)
    flat = runs.reshape(-1, x.shape[1])
    center, basis, share = _components(flat, 3 if ax.name == "3d" else 2)
    if states is not None:
        _states(ax, (runs - center) @ basis.T, line)
    size = float(np.linalg.norm(np.ptp((flat - center) @ basis.T, axis=0)))
    if directions:
        _directions(ax, points, (x - center) @ basis.T, basis, _REACH * size)
    _points(ax, points, (x - center) @ basis.T)
    for axis, part in zip("xyz", share, strict=False):
        getattr(ax, f"set_{axis}label")(f"PC {'xyz'.index(axis) + 1} ({100 * part:.0f} %)")
    if ax.name == "3d":  # numbers on three slanted axes crowd, and components have no unit
        ax.set(xticklabels=[], yticklabels=[], zticklabels=[])
    if (code := int(points.status)) != Status.OK:
        ax.set_title(f"slow points: {status_name(code)}", color=UNSTABLE, loc="right", fontsize=8)
    legend(ax)
    return ax


def _components(states: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, the first principal components (n, dim), and their shares of the variance."""
    states = states[np.isfinite(states).all(axis=1)]
    if len(states) < 2 or states.shape[1] < n:
        raise ValueError(
            f"{n} principal components need as many states and two points, got {len(states)} points of "
            f"{states.shape[1]}; give states=..., or flat axes"
        )
    center = states.mean(axis=0)
    _, sizes, rows = np.linalg.svd(states - center, full_matrices=False)
    if len(rows) < n:
        raise ValueError(f"{n} principal components need more points than {len(states)}; give states=...")
    # The sign of a component is chance: its largest entry is positive.
    signs = np.sign(rows[np.arange(n), np.abs(rows[:n]).argmax(axis=1)])
    total = np.sum(sizes**2)
    return center, rows[:n] * signs[:, None], sizes[:n] ** 2 / (total if total > 0 else 1)


def _states(ax: Axes, places: np.ndarray, line: dict[str, Any]) -> None:
    """States as dots, runs as lines."""
    dots = {"linestyle": "none", "marker": ".", "markersize": 1.5} if places.ndim == 2 else {"linewidth": 0.5}
    look: dict[str, Any] = {"color": "0.7", "zorder": 1, **dots, **line}
    for run in places if places.ndim == 3 else [places]:
        ax.plot(*run.T, **look)


def _directions(ax: Axes, points: Any, places: np.ndarray, basis: np.ndarray, reach: float) -> None:
    """Short lines through fixed points along their unstable directions."""
    vectors, values = np.asarray(points.directions), np.asarray(points.eigenvalues)
    pieces = []
    for k in np.flatnonzero(points.is_fixed):
        place = places[k]
        for row, value in zip(vectors[k, : points.n_unstable[k]], values[k], strict=False):
            # The rows of a complex pair are conjugate: the real part of one and the imaginary part of the other.
            along = basis @ (row.real if value.imag >= 0 else row.imag)
            length = np.linalg.norm(along)
            if length > 1e-6:
                step = reach * along * min(1, length) / length
                pieces += [place - step, place + step, np.full(len(place), np.nan)]
    if pieces:
        look: dict[str, Any] = {"color": OKABE_ITO[3], "linewidth": 1.4, "zorder": 5, "path_effects": cased(1.4)}
        ax.plot(*np.array(pieces).T, label="unstable direction", **look)


def _points(ax: Axes, points: Any, places: np.ndarray) -> None:
    """Markers, one entry of the legend for each number of unstable directions, and one for those not fixed."""
    found, fixed, counts = (np.asarray(part) for part in (points.found, points.is_fixed, points.n_unstable))
    look: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "black", "markeredgewidth": 0.8, "zorder": 6}
    slow = found & ~fixed
    if slow.any():
        crosses = look | {"marker": "x", "markersize": 4, "zorder": 5.5, "label": "slow, not fixed"}
        ax.plot(*places[slow].T, **crosses)
    for count in np.unique(counts[fixed]):
        shown = look | _marker(int(count), np.shape(points.x)[1])
        ax.plot(*places[fixed & (counts == count)].T, **shown)


def _marker(n_unstable: int, dim: int) -> dict[str, Any]:
    """Marker and words of a fixed point: filled if stable, open if unstable, half filled for saddles."""
    if n_unstable == 0:
        return {"marker": "o", "color": "black", "markersize": 5, "label": "stable"}
    words = f"{n_unstable} unstable direction{'s' * (n_unstable > 1)}"
    if n_unstable == dim:
        return {"marker": "s", "color": "white", "markersize": 5, "label": words}
    color = OKABE_ITO[n_unstable % (len(OKABE_ITO) - 1)]
    half = {"fillstyle": "left", "markerfacecoloralt": "white"}
    return {"marker": "D", "color": color, "markersize": 4.5, "label": words, **half}
