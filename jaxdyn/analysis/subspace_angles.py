"""Angles between subspaces that are spanned by consecutive columns of one matrix."""

import itertools

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float
from jaxdyn.analysis.one_sided_jacobi import graded_singular_values, unit_rows
from jaxdyn.analysis.orthonormal import full_product, orthonormalize

__all__ = ["number_of_pairs", "principal_angles"]


def number_of_pairs(groups: tuple[int, ...]) -> int:
    """Number of pairs of different groups."""
    return len(groups) * (len(groups) - 1) // 2


def principal_angles(columns: Float[Array, "n k"], groups: tuple[int, ...]) -> Float[Array, " pair"]:
    """First principal angle between each pair of groups of consecutive columns, radians, from 0 to pi/2.

    Columns have length 1; sizes in `groups` add up to k. Pairs come in the order (0, 1), (0, 2), ..., (1, 2), ... Small
    angles have the relative accuracy of the columns: Bjorck & Golub 1973, Mathematics of Computation 27, 579-594.
    """
    if max(groups) == 1:
        first, second = np.triu_indices(len(groups), 1)
        u, v = columns[:, first], columns[:, second]
        sums, differences = (jnp.sqrt(jnp.sum(w * w, axis=0)) for w in (u + v, u - v))
        # Kahan's form, accurate for all angles: half the angle of two vectors of the same length.
        return 2 * jnp.arctan2(jnp.minimum(sums, differences), jnp.maximum(sums, differences))
    ends = list(itertools.accumulate(groups))
    bases = [orthonormalize(columns[:, end - size : end].T)[0] for size, end in zip(groups, ends, strict=True)]
    angles = [_angle(a, b) for a, b in itertools.combinations(bases, 2)]
    return jnp.stack(angles) if angles else jnp.zeros(0, columns.dtype)


def _angle(a: Array, b: Array) -> Array:
    """Smallest angle between the spans of two sets of orthonormal rows."""
    if len(a) < len(b):
        a, b = b, a
    along = full_product(b, a.T)
    across = b - full_product(along, a)
    sine, cosine = graded_singular_values(*unit_rows(across))[0][-1], graded_singular_values(*unit_rows(along))[0][0]
    return jnp.arctan2(jnp.exp(sine), jnp.exp(cosine))
