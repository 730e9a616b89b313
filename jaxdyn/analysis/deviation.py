"""Deviation vectors along one trajectory: the run that all indicators of chaos read."""

import functools
import operator

import jax.numpy as jnp

from jaxdyn._record import record
from jaxdyn._types import Array, Int
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.orthonormal import UNROLLED, full_product
from jaxdyn.analysis.tangent import CompensatedSum, advance, tangent_interval
from jaxdyn.integrate import march, repeat
from jaxdyn.methods import Method
from jaxdyn.system import System

__all__ = ["Course", "deviation_course"]


@record
class Course:
    """What k deviation vectors did, seen after each block of steps; the axis `block` is left out below."""

    time: Array
    """Duration of the tangent run, time units."""
    log_gali: Array
    """(k - 1,): natural logarithm of the volume that the first 2, 3, ..., k vectors, scaled to length 1, span."""
    growth: Array
    """Natural logarithm of the length of the first vector over its length at the start."""
    largest_growth: Array
    """Largest `growth` of any step so far, the start (0) included."""
    mean_megno: Array
    """Mean over time of the MEGNO of the first vector."""


@record
class _Vectors:
    """Loop state: step number, state, the vectors, and sums since the start of the tangent run.

    Vector i is `sum_j coefficients[j, i] frame[j]`, scaled to length 1. Rows of `frame` are orthonormal, and
    `coefficients` is upper triangular: the logarithm of its diagonal is summed beside it, so that vectors that have
    become parallel to rounding still have their angle.
    """

    i: Int[Array, ""]
    x: Array
    frame: Array
    coefficients: Array
    log_distance: CompensatedSum
    """(k - 1,): logarithm of the distance of each vector but the first from the span of those before it."""
    growth: CompensatedSum
    largest_growth: Array
    weighted: CompensatedSum
    """Sum over steps of the growth in a step, times the step's number."""
    megno: CompensatedSum
    """Sum over steps of MEGNO."""


def deviation_course(
    system: System, method: Method, dt: Array, counts: tuple[int, int, int, int]
) -> tuple[Course, Array]:
    """Course and last state of (steps before, steps, steps between observations, vectors)."""
    n_transient, n_steps, block, k = counts
    dtype = system.dtype
    frame = generic_frame(k, system.dim, dtype)

    def alone(c: tuple[Array, Array]) -> tuple[Array, Array]:
        i, x = c
        return i + 1, advance(system, method, 0, dt, i)(x)

    i, x = repeat(alone, (jnp.int32(0), system.x0), n_transient) if n_transient else (jnp.int32(0), system.x0)
    zero, zeros = CompensatedSum.zero((), dtype), CompensatedSum.zero((k - 1,), dtype)
    start = _Vectors(i, x, frame, jnp.eye(k, dtype=dtype), zeros, zero, jnp.zeros((), dtype), zero, zero)
    step = functools.partial(_step, system, method, dt, n_transient)
    n_blocks, rest = divmod(n_steps, block)
    # What does not fill the blocks comes first, so that the last value seen is that of the last step.
    first = repeat(step, start, rest) if rest else start
    observe = functools.partial(_seen, n_transient, system.discrete, dt)
    end, course = march(step, first, n_blocks=n_blocks, block=block, observe=observe)
    return course, end.x


def _step(system: System, method: Method, dt: Array, n_transient: int, c: _Vectors) -> _Vectors:
    """One step of state and vectors, which are then scaled to length 1."""
    i, x, frame, r = tangent_interval(system, method, 0, dt, 1, c.i, c.x, c.frame)
    coefficients, log_distance = _pushed(r, c.coefficients, c.log_distance)
    # A state that was not finite for a moment leaves its trace: nan.
    log_ratio = jnp.log(r[0, 0]) + jnp.sum(0 * x)
    growth = c.growth.add(log_ratio)
    n = (i - n_transient).astype(log_ratio.dtype)
    # The integral of s d(log length) over a step: the middle of the step for flows, Cincotta's sum for maps.
    weighted = c.weighted.add((n if system.discrete else n - 0.5) * log_ratio)
    return _Vectors(
        i=i,
        x=x,
        frame=frame,
        coefficients=coefficients,
        log_distance=log_distance,
        growth=growth,
        largest_growth=jnp.maximum(c.largest_growth, growth.total),
        weighted=weighted,
        megno=c.megno.add(2 * weighted.total / n),
    )


def _pushed(r: Array, coefficients: Array, log_distance: CompensatedSum) -> tuple[Array, CompensatedSum]:
    """Coefficients of the vectors after a step, scaled to length 1, and how far they then are from those before."""
    k = len(r)
    if k == 1:
        return coefficients, log_distance
    if k <= UNROLLED:  # elementwise over all lanes, as in `orthonormalize`
        moved = functools.reduce(operator.add, [r[:, j, None] * coefficients[None, j, :] for j in range(k)])
        square = functools.reduce(operator.add, [moved[j] ** 2 for j in range(k)])
    else:
        moved = full_product(r, coefficients)
        square = jnp.sum(moved**2, axis=0)
    length = jnp.sqrt(square)
    log_distance = log_distance.add((jnp.log(jnp.diagonal(r)) - jnp.log(length))[1:])
    return moved / jnp.where(length > 0, length, 1)[None, :], log_distance


def _seen(n_transient: int, discrete: bool, dt: Array, c: _Vectors) -> Course:
    n = (c.i - n_transient).astype(dt.dtype)
    # MEGNO is 0 at time 0: for flows the trapezoid rule counts the last value half.
    mean = (c.megno.total - (0 if discrete else c.weighted.total / n)) / n
    log_gali = jnp.minimum(jnp.cumsum(c.log_distance.total), 0)
    return Course(n * dt, log_gali, c.growth.total, c.largest_growth, mean)
