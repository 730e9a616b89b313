"""Zeros of a rate that a grid does not show: between its nodes, where the sign is the same on both sides."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.analysis.planes import Plane
from jaxdyn.integrate import repeat

__all__ = ["edge_zeros", "lowest_between", "padded"]


def lowest_between(
    plane: Plane, nodes: tuple[np.ndarray, np.ndarray], values: np.ndarray, signs: np.ma.MaskedArray, component: int
) -> np.ndarray:
    """Zeros (n, 2) beside nodes of a grid line where the rate's size has a minimum but its sign does not change.

    One where the rate touches zero, two where two curves run within two cells.
    """
    where, tags, reach = _suspects(nodes, np.abs(values), signs)
    before, node, after = where
    count = len(node)
    if not count:
        return np.zeros((0, 2))
    dtype = plane.system.dtype
    of = np.full(count, component, np.int32)
    given = (part.astype(dtype) for part in (before, after, tags))
    lowest, value = (np.asarray(part)[:count] for part in _lowest(plane, *padded(*given, of)))
    zeros = [lowest[np.abs(value) <= np.sqrt(jnp.finfo(dtype).eps) * reach]]
    crossed = value < 0
    for end in (before, after):
        edges = lowest[crossed], end[crossed].astype(dtype), -tags[crossed].astype(dtype), of[crossed]
        points, _, is_zero = (np.asarray(part)[: crossed.sum()] for part in edge_zeros(plane, *padded(*edges)))
        zeros.append(points[is_zero])
    return np.unique(np.concatenate(zeros), axis=0)


def _suspects(
    nodes: tuple[np.ndarray, np.ndarray], size: np.ndarray, signs: np.ma.MaskedArray
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Triples of nodes along grid lines between which a parabola comes close to zero, far from other signs."""
    tags = signs.filled(0)
    up, across = size.shape
    wide = np.pad(tags, 1, mode="edge")
    around = np.array([wide[i : i + up, j : j + across] for i in range(3) for j in range(3)])
    calm = (around == around[0]).all(axis=0) & (tags != 0)
    grid = np.stack(np.meshgrid(*nodes), axis=-1)
    found: list[list[np.ndarray]] = [[], [], [], [], []]
    for turned, quiet, tag, place in ((size, calm, tags, grid), (size.T, calm.T, tags.T, grid.swapaxes(0, 1))):
        left, middle, right = turned[:, :-2], turned[:, 1:-1], turned[:, 2:]
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            bend = left - 2 * middle + right
            lowest = middle - (right - left) ** 2 / (8 * bend)
            reach = np.maximum(left, right)
            low = (middle <= left) & (middle <= right) & (bend > 0) & (lowest < 0.25 * reach)
        row, column = np.nonzero(low & quiet[:, 1:-1])
        for parts, part in zip(
            found,
            (
                place[row, column],
                place[row, column + 1],
                place[row, column + 2],
                tag[row, column + 1],
                reach[row, column],
            ),
            strict=True,
        ):
            parts.append(part)
    before, node, after, tag, reach = (np.concatenate(parts) for parts in found)
    return [before, node, after], tag, reach


@jax.jit
def _lowest(plane: Plane, before: Array, after: Array, tag: Array, component: Array) -> tuple[Array, Array]:
    """Point between two others where tag times the rate is lowest, and that value, by golden sections."""
    ratio = (5**0.5 - 1) / 2

    def one(before: Array, after: Array, tag: Array, component: Array) -> tuple[Array, Array]:
        def value(point: Array) -> Array:
            return tag * plane.rates(point[0], point[1])[0][component]

        def narrow(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            a, b = carry
            left, right = b - ratio * (b - a), a + ratio * (b - a)
            to_left = value(left) <= value(right)
            return jnp.where(to_left, a, left), jnp.where(to_left, right, b)

        ends = repeat(narrow, (before, after), int(1.5 * jnp.finfo(before.dtype).nmant) + 8)
        points = jnp.stack([*ends, (before + after) / 2])
        values = jax.vmap(value)(points)
        best = jnp.argmin(values)
        return points[best], values[best]

    return jax.vmap(one)(before, after, tag, component)


def padded(*parts: Any) -> list[np.ndarray]:
    """Arrays of a length that is a power of two, 1024 for most windows, so that few programs are compiled."""
    count = len(parts[0])
    size = max(1024, 1 << max(count - 1, 0).bit_length())
    return [np.concatenate([part, np.ones((size - count, *part.shape[1:]), part.dtype)]) for part in parts]


@jax.jit
def edge_zeros(plane: Plane, low: Array, high: Array, tag: Array, component: Array) -> tuple[Array, Array, Array]:
    """Zero on each edge by bisection, its residual, and whether it is one; `tag` is the sign at the edge's low end."""
    info = jnp.finfo(low.dtype)

    def one(low: Array, high: Array, tag: Array, component: Array) -> tuple[Array, Array, Array]:
        def value(point: Array) -> Array:
            return plane.rates(point[0], point[1])[0][component]

        def halve(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            a, b, defined = carry
            middle = a + (b - a) / 2
            v = value(middle)
            to_a, to_b = (jnp.sign(v) == tag) | (v == 0), jnp.sign(v) != tag
            return jnp.where(to_a, middle, a), jnp.where(to_b, middle, b), defined & ~jnp.isnan(v)

        # As many halvings as bring an edge of the coarsest grid to two neighboring floats.
        a, b, defined = repeat(halve, (low, high, jnp.bool_(True)), info.nmant + 8)
        first, last, at_a, at_b = jax.vmap(value)(jnp.stack([low, high, a, b]))
        # The value changes by next to nothing between neighbors, unless a pole or a jump lies between them. In a
        # narrow window neighbors are no small part of an edge.
        part = jnp.max(jnp.abs(b - a)) / jnp.max(jnp.abs(high - low))
        small = jnp.maximum(float(info.eps) ** 0.25, jnp.minimum(3 * part, 0.5))
        continuous = jnp.abs(at_a - at_b) <= small * (jnp.abs(first) + jnp.abs(last))
        nearer = jnp.abs(at_a) <= jnp.abs(at_b)
        point, residual = jnp.where(nearer, a, b), jnp.minimum(jnp.abs(at_a), jnp.abs(at_b))
        return point, residual, defined & continuous

    return jax.vmap(one)(low, high, tag, component)
