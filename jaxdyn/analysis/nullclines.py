"""Nullclines: the curves in a plane of two states on which one of them does not change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdyn._record import record, static
from jaxdyn._types import ArrayLike, whole_number
from jaxdyn.analysis.planes import Plane, plane_of
from jaxdyn.analysis.touches import edge_zeros, lowest_between, padded
from jaxdyn.errors import Status
from jaxdyn.system import System

__all__ = ["Nullclines", "nullclines"]


@record
class Nullclines:
    """Nullclines of two states, as curves of exact points in their plane."""

    x: list[Any]
    """Curves (n, 2) on which the first state does not change; a closed one ends where it begins."""
    y: list[Any]
    """The same for the second state."""
    dots: list[Any]
    """For each state, single zeros (n, 2) beside its curves: the rate touches zero, or two curves share a cell."""
    residual: Any
    """(2,) largest |dx/dt| (maps: |f(x) - x|) of the state on its curves; 0 without curves."""
    area: Any
    """(2,) True where a state does not change in a whole area: no curve is reported there."""
    status: Any
    """(2,) NON_FINITE if the rate is finite nowhere, NOT_CONVERGED if quasi-steady states were not found somewhere."""
    states: tuple[str, str] = static()
    """Names of the two states."""


def nullclines(
    system: System,
    x: Any = None,
    y: Any = None,
    *,
    fixed: Mapping[str, Any] | None = None,
    quasi_steady: Sequence[str] | str = (),
    t: ArrayLike = 0,
    resolution: int = 201,
) -> Nullclines:
    """Nullclines of two states within a window, all branches.

    A grid shows where a rate changes its sign; every vertex is then the zero on an edge of the grid, found by
    bisection to the last digits. Sign changes through a pole or a jump are no zeros and are left out.

    Parameters
    ----------
    system
        Flow (dx/dt = 0) or map (f(x) - x = 0).
    x, y
        The two states: `("v", -2.5, 2.5)`, or a name or position whose range the system knows. Default: the
        first two.
    fixed
        Values of other states; default the system's start.
    quasi_steady
        Names of other states that are where their own rates vanish, for each point of the plane: the solution
        that damped Newton iteration reaches from their fixed values.
    t
        Time at which a non-autonomous field is frozen.
    resolution
        Nodes of the grid along a side. Between vertices a curve is straight; of two curves within a cell only dots
        are found, and what is smaller than a cell in both directions can be missed.

    Returns
    -------
    Nullclines
        x and y, lists of curves (n, 2); dots, residual (2,), area (2,), status (2,).

    Raises
    ------
    ValueError
        If a state is unknown, has no range or is named twice, or an interval is empty or beyond the system's dtype.

    Notes
    -----
    Transforms: none, the number of curves depends on values; the rates are evaluated in two batched calls.
    Curves are where a rate changes its sign; where it touches zero from one side there are dots, one for each line
    of the grid. Where branches cross, they are joined within one cell, not at the crossing. Next to a node where the
    rate is not finite a curve can end one cell early, and one beside a pole can be missed. A rate that is zero
    everywhere has no curve, and `area` is True.

    Examples
    --------
    >>> import jaxdyn
    >>> lines = jaxdyn.nullclines(jaxdyn.models.fitzhugh_nagumo(), ("v", -2, 2), ("w", -1, 2))
    >>> len(lines.x), len(lines.y)
    (1, 1)
    """
    plane = plane_of(system, x, y, fixed=fixed, quasi_steady=quasi_steady, t=t)
    nodes = plane.nodes(whole_number(resolution, "resolution", least=2))
    return plane_nullclines(plane, nodes, *plane.on_grid(*nodes))


def plane_nullclines(plane: Plane, nodes: tuple[Any, Any], values: np.ndarray, solved: bool) -> Nullclines:
    """Nullclines from the values on a grid."""
    signs = [_signs(values[..., k]) for k in (0, 1)]
    lines = [_lines(part) for part in signs]
    roots = _refined(plane, nodes, signs, lines)
    curves, residual = zip(*(_curves(*parts) for parts in zip(lines, roots, strict=True)), strict=True)
    finite = np.isfinite(values).any(axis=(0, 1))
    bad = Status.OK if solved else Status.NOT_CONVERGED
    return Nullclines(
        x=curves[0],
        y=curves[1],
        dots=[lowest_between(plane, nodes, values[..., k], signs[k], k) for k in (0, 1)],
        residual=np.array(residual),
        area=np.array([_has_zero_cell(values[..., k]) for k in (0, 1)]),
        status=np.where(finite, bad, Status.NON_FINITE).astype(np.int8),
        states=(plane.system.state_names[plane.states[0]], plane.system.state_names[plane.states[1]]),
    )


def _signs(values: np.ndarray) -> np.ma.MaskedArray:
    """Sign of each node, -1 or 1 also for zeros; masked where the value is not finite or in an area of zeros."""
    finite = np.isfinite(values)
    sign = np.where(finite, np.sign(values), 0)
    padded = np.pad(sign, 1)
    (up, across) = values.shape
    around = [padded[i : i + up, j : j + across] for i in range(3) for j in range(3)]
    plus, minus = np.max(around, axis=0) > 0, np.min(around, axis=0) < 0
    # A zero among values of one sign is touched, not crossed, unless it is part of a curve along the window's rim.
    only = np.where(plus, 1, -1) * np.where(_along_rim(finite & (sign == 0)), -1, 1)
    tagged = np.where(sign != 0, sign, np.where(plus & minus, 1, only))
    return np.ma.MaskedArray(tagged.astype(float), ~finite | ~(plus | minus))


def _along_rim(zero: np.ndarray) -> np.ndarray:
    """Zeros on the rim whose neighbor on the same side of the rim is zero as well, unless an area ends there."""
    along = np.zeros_like(zero)
    for rim, inner in ((0, 1), (-1, -2)):
        for turned, seen in ((along, zero), (along.T, zero.T)):
            pair = seen[rim, 1:] & seen[rim, :-1] & ~(seen[inner, 1:] & seen[inner, :-1])
            turned[rim] |= np.append(pair, False) | np.append(False, pair)
    return along


def _has_zero_cell(values: np.ndarray) -> bool:
    zero = values == 0
    return bool((zero[1:, 1:] & zero[1:, :-1] & zero[:-1, 1:] & zero[:-1, :-1]).any())


def _lines(signs: np.ma.MaskedArray) -> list[np.ndarray]:
    """Curves between nodes of different sign, in units of the grid: each vertex is the middle of an edge."""
    import contourpy  # comes with Matplotlib and, like it, is loaded when it is needed

    generator = contourpy.contour_generator(
        z=signs, name="serial", corner_mask=False, line_type=contourpy.LineType.Separate
    )
    return [np.asarray(line) for line in generator.lines(0.0)]


def _refined(
    plane: Plane, nodes: tuple[np.ndarray, np.ndarray], signs: Any, lines: Any
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Zeros on the edges of both states' curves: points, residuals, and whether each is a zero."""
    edges = np.concatenate([np.zeros((0, 2)), *lines[0], *lines[1]])
    count = len(edges)
    of_first = sum(len(line) for line in lines[0])
    component = (np.arange(count) >= of_first).astype(np.int32)
    low, high = np.floor(edges).astype(int), np.ceil(edges).astype(int)
    tags = np.stack([part.filled(1) for part in signs])[component, low[:, 1], low[:, 0]]
    ends = [np.stack([nodes[0][end[:, 0]], nodes[1][end[:, 1]]], axis=-1) for end in (low, high)]
    dtype = plane.system.dtype
    given = (part.astype(dtype) for part in (*ends, tags))
    points, residual, is_zero = (np.asarray(part)[:count] for part in edge_zeros(plane, *padded(*given, component)))
    return [(points[part], residual[part], is_zero[part]) for part in (slice(of_first), slice(of_first, None))]


def _curves(lines: Any, roots: Any) -> tuple[list[np.ndarray], float]:
    """Curves through the zeros, interrupted where an edge has none, and their largest residual."""
    curves, largest, begin = [], 0.0, 0
    for line in lines:
        here = slice(begin, begin + len(line))
        begin += len(line)
        points, residual, is_zero = (part[here] for part in roots)
        for piece in np.split(np.arange(len(line)), np.flatnonzero(~is_zero)):
            piece = piece[is_zero[piece]]
            curve = points[piece]
            moved = np.ones(len(curve), bool)
            moved[1:] = np.any(curve[1:] != curve[:-1], axis=1)  # nodes that are zeros end several edges
            if moved.sum() > 1:
                curves.append(curve[moved])
                largest = max(largest, float(residual[piece].max()))
    return curves, largest
