"""Covariant Lyapunov vectors by the method of Ginelli and others: forward QR, backward triangular solves."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, Shaped, whole_number
from jaxdyn.analysis.batches import (
    batch_means,
    number_of_intervals,
    number_of_vectors,
    standard_error,
    transient_intervals,
)
from jaxdyn.analysis.ginelli import Plan, backward_sweep
from jaxdyn.analysis.tangent import lost_directions, require_forward
from jaxdyn.errors import Status
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, next_multiple, require_countable, resolve_steps
from jaxdyn.system import System

__all__ = ["CovariantLyapunovVectors", "covariant_lyapunov_vectors"]


@record
class CovariantLyapunovVectors:
    """Covariant Lyapunov vectors along one trajectory, their growth and the angles between them.

    Vectors and exponents are in the order of the Gram-Schmidt process: descending, once the run is long.
    """

    exponents: Float[Array, " k"] = labelled("exponent", words="Lyapunov exponent", unit="rate")
    """Lyapunov exponents of the same run, from the forward QR, 1/time (per step for maps)."""
    std_error: Float[Array, " k"] = labelled("exponent", words="standard error of the Lyapunov exponent", unit="rate")
    """Standard error of the exponents from batch means."""
    covariant_rates: Float[Array, " k"] = labelled("exponent", words="growth rate of the covariant vector", unit="rate")
    """Mean growth rates along the covariant vectors: the exponents up to O(1 / time of the run)."""
    mean_angles: Float[Array, " pair"] = labelled("pair", words="mean angle between subspaces", unit="rad")
    """Mean angle between each pair of subspaces, radians, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    smallest_angles: Float[Array, " pair"] = labelled("pair", words="smallest angle between subspaces", unit="rad")
    """Smallest one on the way."""
    angle_histogram: Int[Array, " bin"] = labelled("bin", words="number of smallest angles")
    """How often the smallest angle of all pairs fell into each of the bins, which divide 0 to pi/2 evenly. Away from 0
    for a hyperbolic system."""
    seam: Float[Array, ""] = labelled(words="difference of recomputed states")
    """Largest difference between a state and the same state recomputed for the backward sweep, over the largest
    component: 0, or the rounding of two compilations grown over a segment."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory left the finite numbers or a direction vanished (a singular Jacobian), QR_INTERVAL
    if a direction was lost to rounding or `seam` is above eps^1/2."""
    t: Shaped[Array, " saved"] = detail("saved", words="time", unit="time")
    """Times of what follows."""
    x: Float[Array, "saved dim"] = detail("saved", "state", words="state")
    """States."""
    vectors: Float[Array, "saved k dim"] = detail("saved", "exponent", "state", words="covariant Lyapunov vector")
    """Covariant vectors of length 1, one a row. Their signs follow the dynamics: J v_i is a positive multiple of the
    next v_i."""
    angles: Float[Array, "saved pair"] = detail("saved", "pair", words="angle between subspaces", unit="rad")
    """Angles between the subspaces at these times, 0 to pi/2."""
    local_rates: Float[Array, "saved k"] = detail(
        "saved", "exponent", words="local growth rate of the covariant vector", unit="rate"
    )
    """Growth rates along the vectors from each of these times to the next."""


def covariant_lyapunov_vectors(
    system: System,
    *,
    n_steps: int,
    dt: ArrayLike | None = None,
    n_transient_forward: int | None = None,
    n_transient_backward: int | None = None,
    n_vectors: int | None = None,
    qr_every: int = 1,
    save_every: int | None = None,
    segment: int | None = None,
    subspaces: Sequence[int] | None = None,
    n_bins: int = 90,
    method: Method | None = None,
) -> CovariantLyapunovVectors:
    """Covariant Lyapunov vectors: directions that the tangent dynamics maps into each other, each with its exponent.

    Forward, tangent vectors are pushed by jvp and orthonormalized, V_n+1 = Q R. The covariant vectors are Q C with C
    upper triangular and columns of length 1; backward, C_n is R^-1 C_n+1 with its columns scaled again, which turns
    any C towards the right one. Only the states and frames at the beginnings of segments are kept; each segment is
    computed a second time when the backward sweep arrives there.

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0` at t = 0.
    n_steps
        Steps over which vectors are wanted, static, a multiple of `save_every`.
    dt
        Step of a flow, time units, positive. Maps take none.
    n_transient_forward
        Steps before them, which let the trajectory reach its attractor and the frame its directions; static, a
        multiple of `qr_every`; default n_steps / 10.
    n_transient_backward
        Steps after them, from whose end the backward sweep begins, so that C has its directions; like the former.
        Both errors fall like exp(-(difference of neighbouring exponents) time).
    n_vectors
        Number k of the vectors, those of the largest exponents; default all.
    qr_every
        Steps between orthonormalizations, static.
    save_every
        Steps between saved vectors, static, a multiple of `qr_every`; default `qr_every`. Averages, smallest angles
        and the histogram take in every orthonormalization, saved or not.
    segment
        Steps in a segment, static, a multiple of `save_every`; default about the square root of all steps. It decides
        about memory, not about the result.
    subspaces
        Numbers of consecutive vectors that span subspaces between which angles are taken, the first principal angle,
        for example (n_unstable, n_neutral, n_stable); static; default each vector by itself. Vectors of equal
        exponents have no directions of their own: put them into one subspace.
    n_bins
        Number of bins of the histogram, static; default one per degree.
    method
        `RK4()` by default; maps are iterated.

    Returns
    -------
    CovariantLyapunovVectors
        exponents, std_error, covariant_rates (k,), 1/time; mean_angles and smallest_angles (pair,), radians;
        angle_histogram (n_bins,); seam and status (); at n_steps / save_every times from the first on: t, x, vectors
        (saved, k, dim), angles and local_rates.

    Raises
    ------
    TypeError, ValueError
        While tracing, if numbers of steps, vectors or subspaces do not fit.

    Notes
    -----
    The map must be invertible along the trajectory in the span of the vectors. The standard error comes from batches
    of saved intervals: with fewer than 32 of them it is rough. Transforms: jit, vmap, lanes, sweep. Memory
    O((n_steps / segment + segment / qr_every) k dim), and what is saved; cost two forward runs.

    References
    ----------
    Ginelli, Poggi, Turchi, Chate, Livi & Politi 2007, Physical Review Letters 99, 130601,
    doi:10.1103/PhysRevLett.99.130601; Kuptsov & Parlitz 2012, Journal of Nonlinear Science 22, 727-762.

    Examples
    --------
    >>> import jaxdyn
    >>> found = jaxdyn.covariant_lyapunov_vectors(jaxdyn.models.linear_map(A=[[2.0, 1.0], [0.0, 0.5]]), n_steps=100)
    >>> [[round(abs(float(v)), 3) for v in vector] for vector in found.vectors[50]]  # the eigenvectors
    [[1.0, 0.0], [0.555, 0.832]]
    """
    require_forward(dt)
    n_steps, dt = resolve_steps(system, n_steps, None, dt)
    k = number_of_vectors(n_vectors, "n_vectors", system)
    every = whole_number(qr_every, "qr_every")
    saved = 1 if save_every is None else number_of_intervals(save_every, "save_every", every, "qr_every", least=1)
    n_saved = number_of_intervals(n_steps, "n_steps", saved * every, "save_every", least=1)
    n_first = transient_intervals(n_transient_forward, "n_transient_forward", every, n_steps)
    n_last = transient_intervals(n_transient_backward, "n_transient_backward", every, n_steps)
    require_countable((n_first + n_last) * every + n_steps)
    length = next_multiple(math.isqrt(n_saved * saved + n_last), saved)
    if segment is not None:
        length = saved * number_of_intervals(segment, "segment", saved * every, "save_every", least=1)
    groups = _groups(subspaces, k)
    plan = Plan(n_first, n_saved * saved, n_last, every, saved, length, groups, whole_number(n_bins, "n_bins"))
    return _covariant(system, method_of(system, method), dt, plan)


def _groups(subspaces: Any, k: int) -> tuple[int, ...]:
    if subspaces is None:
        return (1,) * k
    groups = tuple(whole_number(size, "a size in subspaces") for size in subspaces)
    if sum(groups) != k:
        raise ValueError(f"subspaces={groups} hold {sum(groups)} vectors, but there are {k}; sizes must add up to that")
    return groups


@jax.jit
def _covariant(system: System, method: Method, dt: Array, plan: Plan) -> CovariantLyapunovVectors:
    end, blocks = backward_sweep(system, method, dt, plan)
    duration = dt * (plan.block * plan.qr_every)
    rates, r_rates = blocks.growth / duration, blocks.r_growth / duration
    exponents, covariant_rates = jnp.mean(r_rates, axis=0), jnp.mean(rates, axis=0)
    lost = lost_directions(end.spread) | (end.seam > jnp.sqrt(jnp.finfo(end.seam.dtype).eps))
    finite = jnp.all(jnp.isfinite(exponents)) & jnp.all(jnp.isfinite(covariant_rates))
    code = jnp.where(lost, int(Status.QR_INTERVAL), int(Status.OK))
    return CovariantLyapunovVectors(
        exponents=exponents,
        std_error=standard_error(batch_means(r_rates)),
        covariant_rates=covariant_rates,
        mean_angles=jnp.mean(blocks.angle_sum, axis=0) / plan.block,
        smallest_angles=jnp.where(finite, end.smallest, jnp.nan),
        angle_histogram=jnp.where(finite, end.histogram, 0),
        seam=end.seam,
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
        t=system.time(0, dt, blocks.j),
        x=blocks.x,
        vectors=blocks.vectors,
        angles=blocks.angles,
        local_rates=rates,
    )
