"""Finite-time Lyapunov exponents of one start: singular values of the tangent propagator."""

import functools

import jax
import jax.numpy as jnp

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, whole_number
from jaxdyn.analysis.batches import number_of_intervals
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.one_sided_jacobi import graded_singular_values, unit_rows
from jaxdyn.analysis.orthonormal import full_product
from jaxdyn.analysis.tangent import CompensatedSum, growth_spread, status_of_exponents, tangent_interval
from jaxdyn.integrate import repeat
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, resolve_steps
from jaxdyn.system import System

__all__ = ["FiniteTimeLyapunov", "finite_time_lyapunov"]


@record
class FiniteTimeLyapunov:
    """Growth of small perturbations of one start over one finite time."""

    exponents: Float[Array, " dim"] = labelled("exponent", words="finite-time Lyapunov exponent", unit="rate")
    """log(singular values of the propagator) / time, descending, 1/time (per step for maps). The first is the FTLE."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory left the finite numbers, QR_INTERVAL if directions were lost to rounding,
    NOT_CONVERGED if the singular value iteration did not end."""
    x: Float[Array, " dim"] = detail("state", words="last state")
    """Last state."""
    directions: Float[Array, "dim dim"] = detail("exponent", "state")
    """Orthonormal perturbations of the start that grow by these rates, one a row: right singular vectors. The
    component of largest size is positive; a row is zero if its singular value is."""


def finite_time_lyapunov(
    system: System,
    *,
    n_steps: int | None = None,
    t1: float | None = None,
    dt: ArrayLike | None = None,
    t0: ArrayLike = 0,
    qr_every: int = 1,
    method: Method | None = None,
) -> FiniteTimeLyapunov:
    """Finite-time Lyapunov exponents from the start `system.x0`.

    All tangent vectors are pushed forward through the integrator's own step by jvp and orthonormalized every
    `qr_every` steps; the product of the triangular factors is kept as rows of length 1 and logarithms of their
    lengths, so that no time is too long. Its singular values are those of the propagator. The field over a grid of
    starts is a sweep: `sweep(partial(finite_time_lyapunov, ...), system, {"x": xs, "y": ys})`, whose
    `exponents[..., 0]` has ridges at the most repelling material lines.

    Parameters
    ----------
    system
        Flow or map.
    n_steps, t1
        Number of steps (static, a multiple of `qr_every`), or the end time of a flow.
    dt
        Step of a flow, time units. A negative one runs backwards, which shows attracting lines; exponents are then per
        unit of time run. Maps take none.
    t0
        Time of the start; an integer for maps.
    qr_every
        Steps between orthonormalizations, static.
    method
        `RK4()` by default; maps are iterated.

    Returns
    -------
    FiniteTimeLyapunov
        exponents (dim,) descending, 1/time; status (); last x (dim,) and directions (dim, dim).

    Raises
    ------
    TypeError, ValueError
        While tracing, if the steps do not fit.

    Notes
    -----
    These depend on the start, and on the norm: they differ from the Lyapunov exponents by O(1 / time) also where
    nothing fluctuates. A singular value that is small because directions cancel in the product carries rounding times
    that cancellation. Transforms: jit, vmap, lanes, sweep. Memory O(dim^2); cost dim tangent vectors a step.

    References
    ----------
    Shadden, Lekien & Marsden 2005, Physica D 212, 271-304, doi:10.1016/j.physd.2005.10.007; Goldhirsch, Sulem & Orszag
    1987, Physica D 27, 311-337, doi:10.1016/0167-2789(87)90034-0.

    Examples
    --------
    >>> import jaxdyn
    >>> found = jaxdyn.finite_time_lyapunov(jaxdyn.models.linear_map(A=[[2.0, 0.0], [0.0, 0.5]]), n_steps=1000)
    >>> [round(float(e), 4) for e in found.exponents]
    [0.6931, -0.6931]
    """
    n_steps, dt = resolve_steps(system, n_steps, t1, dt, t0)
    every = whole_number(qr_every, "qr_every")
    n_intervals = number_of_intervals(n_steps, "n_steps", every, "qr_every", least=1)
    return _finite_time(system, method_of(system, method), t0, dt, (n_intervals, every))


@record
class _Product:
    """Loop state: the propagator so far is frame.T @ diag(exp(log_length)) @ rows @ (first frame).

    The logarithm of a row's length is `growth`, a compensated sum of log R_ii, and an `offset` of order 1.
    """

    i: Int[Array, ""]
    x: Array
    frame: Array
    rows: Array
    growth: CompensatedSum
    offset: Array
    spread: Array


@functools.partial(jax.jit, static_argnames="counts")
def _finite_time(
    system: System, method: Method, t0: ArrayLike, dt: Array, counts: tuple[int, int]
) -> FiniteTimeLyapunov:
    n_intervals, every = counts
    n = system.dim

    def interval(c: _Product) -> _Product:
        i, x, frame, r = tangent_interval(system, method, t0, dt, every, c.i, c.x, c.frame)
        spread = jnp.maximum(c.spread, growth_spread(jnp.log(jnp.diagonal(r))))
        return _Product(i, x, frame, *_times(r, c.rows, c.growth, c.offset), spread)

    frame, rows = generic_frame(n, n, system.dtype), jnp.eye(n, dtype=system.dtype)
    zero = CompensatedSum.zero((n,), system.dtype)
    first = _Product(jnp.int32(0), system.x0, frame, rows, zero, zero.total, jnp.zeros((), system.dtype))
    end = repeat(interval, first, n_intervals)
    log_values, rows, converged = graded_singular_values(end.rows, end.growth.total + end.offset)
    exponents = log_values / (jnp.abs(dt) * (n_intervals * every))
    directions = full_product(rows, frame)
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), axis=1)[:, None], axis=1)
    return FiniteTimeLyapunov(
        exponents=exponents,
        status=status_of_exponents(end.x, exponents, end.spread, converged),
        x=end.x,
        directions=jnp.where(largest < 0, -directions, directions),
    )


def _times(r: Array, rows: Array, growth: CompensatedSum, offset: Array) -> tuple[Array, CompensatedSum, Array]:
    """Product r @ diag(exp(growth + offset)) @ rows, r upper triangular, in the form of its second factor."""
    upper = jnp.triu(jnp.ones(r.shape, bool))
    # Row i is a sum over j >= i: only these may set its scale. Differences first, so that small digits stay.
    log_weight = jnp.where(upper, growth.total[None, :] - growth.total[:, None] + offset[None, :], -jnp.inf)
    scale = jnp.max(log_weight, axis=1)
    scale = jnp.where(jnp.isfinite(scale), scale, 0)
    weights = r * jnp.exp(log_weight - scale[:, None])
    rows, grown = unit_rows(full_product(weights, rows))
    own = jnp.log(jnp.diagonal(r))
    own = jnp.where(jnp.isfinite(own), own, 0)
    return rows, growth.add(own), scale + grown - own
