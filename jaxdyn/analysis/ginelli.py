"""The two sweeps of the method of Ginelli and others: forward QR, backward triangular solves, segment by segment."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import record, static
from jaxdyn._types import Array, Int
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.orthonormal import full_product, solve_upper
from jaxdyn.analysis.subspace_angles import number_of_pairs, principal_angles
from jaxdyn.analysis.tangent import growth_spread, tangent_interval
from jaxdyn.integrate import march, repeat
from jaxdyn.methods import Method
from jaxdyn.system import System

__all__ = ["Backward", "Block", "Plan", "backward_sweep"]


@record
class Plan:
    """Numbers of intervals between orthonormalizations, and what is measured: all static."""

    n_first: int = static()
    n_wanted: int = static()
    n_last: int = static()
    qr_every: int = static()
    block: int = static()
    """Intervals between saved times; divides `n_wanted` and `length`."""
    length: int = static()
    """Intervals in a segment."""
    groups: tuple[int, ...] = static()
    n_bins: int = static()

    @property
    def n_vectors(self) -> int:
        """Number of tangent vectors."""
        return sum(self.groups)

    @property
    def n_all(self) -> int:
        """Intervals of the backward sweep."""
        return self.n_wanted + self.n_last

    @property
    def n_segments(self) -> int:
        """Segments; the last one may reach beyond the end."""
        return -(-self.n_all // self.length)


@record
class Forward:
    """Loop state forward; `r` belongs to the interval that ends here."""

    i: Int[Array, ""]
    x: Array
    frame: Array
    r: Array


@record
class Backward:
    """Loop state backward: the number of intervals before this time, C there, and what was met so far."""

    j: Int[Array, ""]
    c: Array
    smallest: Array
    """Smallest angles."""
    histogram: Array
    spread: Array
    seam: Array
    growth: Array
    """Log-growth along the covariant vectors since the last saved time that was met."""
    r_growth: Array
    """The same of the forward QR."""
    angles: Array
    angle_sum: Array


@record
class Block:
    """What is kept of the time at which a block of intervals begins, and of the block."""

    j: Array
    x: Array
    vectors: Array
    angles: Array
    angle_sum: Array
    growth: Array
    r_growth: Array


def backward_sweep(system: System, method: Method, dt: Array, plan: Plan) -> tuple[Backward, Block]:
    """Both sweeps; the blocks of the wanted intervals in the order of time."""

    def interval(c: Forward) -> Forward:
        new = tangent_interval(system, method, 0, dt, plan.qr_every, c.i, c.x, c.frame)
        # The same operations must round in the same way when a segment is computed again: the barrier keeps the
        # compiler from fusing them with what only one of the loops needs.
        return Forward(*lax.optimization_barrier(new))

    starts = _starts(system, interval, plan)
    last = plan.n_segments - 1

    def segment(c: tuple[Backward, Any]) -> tuple[Backward, Block]:
        b = c[0]
        g = (b.j - 1) // plan.length
        start = jax.tree.map(lambda leaf: leaf[g], starts)
        _, ends = march(interval, start, n_blocks=plan.length, block=1, observe=lambda c: c)
        here = _from_starts(start, ends)
        gap = _relative_difference(ends.x[-1], starts.x[jnp.minimum(g + 1, last)])
        b = dataclasses.replace(b, seam=jnp.where(g < last, jnp.maximum(b.seam, gap), b.seam))

        def block(b: Backward) -> Backward:
            zero = jnp.zeros_like(b.growth)
            b = dataclasses.replace(b, growth=zero, r_growth=zero, angle_sum=jnp.zeros_like(b.angle_sum))
            return repeat(lambda b: _pulled(b, ends.r[(b.j - 1) % plan.length], plan), b, plan.block)

        return march(
            block, b, n_blocks=plan.length // plan.block, block=1, observe=lambda b: _kept(b, here, plan.length)
        )

    b = _beginning(system, plan)
    blocks = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(segment, (b, None))[1])
    (b, _), blocks = march(segment, (b, blocks), n_blocks=plan.n_segments, block=1, observe=lambda c: c[1])
    n = plan.n_wanted // plan.block
    return b, jax.tree.map(lambda leaf: lax.collapse(leaf[::-1, ::-1], 0, 2)[:n], blocks)


def _starts(system: System, interval: Any, plan: Plan) -> Forward:
    """States and frames at the beginnings of all segments, stacked."""
    frame = generic_frame(plan.n_vectors, system.dim, system.dtype)
    c = Forward(jnp.int32(0), system.x0, frame, jnp.eye(plan.n_vectors, dtype=system.dtype))
    if plan.n_first:
        c = repeat(interval, c, plan.n_first)
    starts = jax.tree.map(lambda leaf: leaf[None], c)
    if plan.n_segments > 1:
        _, later = march(interval, c, n_blocks=plan.n_segments - 1, block=plan.length, observe=lambda c: c)
        starts = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), starts, later)
    return starts


def _relative_difference(x: Array, y: Array) -> Array:
    size = jnp.max(jnp.abs(x))
    return jnp.max(jnp.abs(x - y)) / jnp.where(size > 0, size, 1)


def _from_starts(start: Forward, ends: Forward) -> Forward:
    """What holds where intervals begin, from what holds where they end."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), start, ends)


def _beginning(system: System, plan: Plan) -> Backward:
    k, pairs, dtype = plan.n_vectors, number_of_pairs(plan.groups), system.dtype
    zero = jnp.zeros(k, dtype)
    return Backward(
        j=jnp.int32(plan.n_segments * plan.length),
        c=jnp.eye(k, dtype=dtype),
        smallest=jnp.full(pairs, jnp.inf, dtype),
        histogram=jnp.zeros(plan.n_bins, jnp.int32),
        spread=zero[0],
        seam=zero[0],
        growth=zero,
        r_growth=zero,
        angles=jnp.zeros(pairs, dtype),
        angle_sum=jnp.zeros(pairs, dtype),
    )


def _pulled(b: Backward, r: Array, plan: Plan) -> Backward:
    """One interval back: R C' = C, columns scaled to length 1. Beyond the end nothing happens."""
    j = b.j - 1
    c = solve_upper(r, b.c)
    length = jnp.sqrt(jnp.sum(c * c, axis=0))
    c = jnp.where(j < plan.n_all, c / length[None, :], b.c)
    angles = principal_angles(c, plan.groups)
    log_r = jnp.log(jnp.diagonal(r))
    wanted = j < plan.n_wanted
    histogram = b.histogram
    if len(angles):
        place = jnp.floor(jnp.min(angles) * (plan.n_bins / (jnp.pi / 2))).astype(jnp.int32)
        met = jnp.arange(plan.n_bins, dtype=jnp.int32) == jnp.clip(place, 0, plan.n_bins - 1)
        histogram = histogram + (wanted & met).astype(jnp.int32)
    return dataclasses.replace(
        b,
        j=j,
        c=c,
        smallest=jnp.where(wanted, jnp.minimum(b.smallest, angles), b.smallest),
        histogram=histogram,
        spread=jnp.where(j < plan.n_all, jnp.maximum(b.spread, growth_spread(log_r)), b.spread),
        growth=b.growth - jnp.log(length),
        r_growth=b.r_growth + log_r,
        angles=angles,
        angle_sum=b.angle_sum + angles,
    )


def _kept(b: Backward, here: Forward, length: int) -> Block:
    place = b.j % length
    vectors = full_product(b.c.T, here.frame[place])
    return Block(here.i[place], here.x[place], vectors, b.angles, b.angle_sum, b.growth, b.r_growth)
