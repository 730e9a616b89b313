"""Local Lyapunov exponents: growth over consecutive windows of one trajectory, and its distribution."""

import dataclasses
import functools
import math

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
from jaxdyn.analysis.lyapunov_course import Course, Tangents
from jaxdyn.analysis.tangent import CompensatedSum, require_forward, status_of_exponents
from jaxdyn.integrate import march, repeat
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, resolve_steps
from jaxdyn.system import System

__all__ = ["LocalLyapunov", "local_lyapunov"]


@record
class LocalLyapunov:
    """Lyapunov exponents of consecutive windows of one trajectory."""

    exponents: Float[Array, " k"] = labelled("exponent", words="Lyapunov exponent", unit="rate")
    """Mean over all windows, descending, natural logarithm per time unit (per step for maps): the Lyapunov
    exponents."""
    std_error: Float[Array, " k"] = labelled("exponent", words="standard error of the Lyapunov exponent", unit="rate")
    """Standard error of that mean from batch means of the windows."""
    standard_deviation: Float[Array, " k"] = labelled(
        "exponent", words="standard deviation of the local Lyapunov exponent", unit="rate"
    )
    """Standard deviation over the windows, 1/time."""
    scaled_deviation: Float[Array, " k"] = labelled(
        "exponent", words="standard deviation of the local Lyapunov exponent times the square root of its time"
    )
    """The same times the square root of a window's time, time^-1/2: no longer depends on the window once that is
    long against the correlation time, where the distribution becomes Gaussian."""
    positive_fraction: Float[Array, " k"] = labelled("exponent", words="fraction of windows with a positive exponent")
    """Part of the windows with an exponent above 0; strictly between 0 and 1, for windows of this length the number of
    unstable directions is not the same everywhere."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory or a vector left the finite numbers, QR_INTERVAL if a direction was lost to
    rounding."""
    local_exponents: Float[Array, "window k"] = detail(
        "window", "exponent", words="local Lyapunov exponent", unit="rate"
    )
    """Exponents of each window, in the order of `exponents`."""
    t: Shaped[Array, " window"] = detail("window", words="time", unit="time")
    """Time at which each window begins."""
    x: Float[Array, "window dim"] = detail("window", "state", words="state")
    """State at which each window begins."""


def local_lyapunov(
    system: System,
    *,
    n_steps: int,
    window: int,
    dt: ArrayLike | None = None,
    n_transient: int | None = None,
    n_exponents: int | None = None,
    qr_every: int = 1,
    method: Method | None = None,
) -> LocalLyapunov:
    """Local Lyapunov exponents over consecutive windows of one trajectory, with their distribution.

    Tangent vectors are pushed forward by jvp and orthonormalized as in `lyapunov_spectrum`; the local exponents of a
    window are the mean of log R_ii over it. They add up: their mean over all windows is the spectrum of the whole run.

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0` at t = 0.
    n_steps
        Steps after the transient, static, a multiple of `window`.
    window
        Steps in a window, static, a multiple of `qr_every`.
    dt
        Step of a flow, time units, positive. Maps take none.
    n_transient
        Steps before the first window, which let the trajectory reach its attractor and the frame its directions;
        static, a multiple of `qr_every`; default n_steps / 10.
    n_exponents
        How many of the largest exponents; default all.
    qr_every
        Steps between orthonormalizations, static.
    method
        `RK4()` by default; maps are iterated.

    Returns
    -------
    LocalLyapunov
        exponents, std_error, standard_deviation, scaled_deviation, positive_fraction (k,); status (); for each window
        local_exponents (n_steps / window, k), t (n_steps / window,) and x (n_steps / window, dim).

    Raises
    ------
    TypeError, ValueError
        While tracing, if numbers of steps or exponents do not fit.

    Notes
    -----
    Windows that begin at a given start, from perturbations that are free to choose the best direction, are
    `finite_time_lyapunov`. Transforms: jit, vmap, lanes, sweep, grad as in `lyapunov_spectrum`. Memory
    O((k + dim) n_steps / window).

    References
    ----------
    Abarbanel, Brown & Kennel 1991, Journal of Nonlinear Science 1, 175-199, doi:10.1007/BF01209065; Grassberger, Badii
    & Politi 1988, Journal of Statistical Physics 51, 135-178, doi:10.1007/BF01015324 (the Gaussian limit).

    Examples
    --------
    >>> import jaxdyn
    >>> local = jaxdyn.local_lyapunov(jaxdyn.models.henon(), n_steps=20_000, window=20)
    >>> local.local_exponents.shape, round(float(local.exponents[0]), 1)
    ((1000, 2), 0.4)
    """
    require_forward(dt)
    n_steps, dt = resolve_steps(system, n_steps, None, dt)
    k = number_of_vectors(n_exponents, "n_exponents", system)
    every = whole_number(qr_every, "qr_every")
    n_intervals = number_of_intervals(window, "window", every, "qr_every", least=1)
    n_windows = number_of_intervals(n_steps, "n_steps", n_intervals * every, "window", least=1)
    n_first = transient_intervals(n_transient, "n_transient", every, n_steps)
    course = Course(system, method_of(system, method), dt, k, every, with_volume=False)
    return _local(course, n_first, n_windows, n_intervals)


@record
class _Window:
    """Loop state: step number and state at the start of the present window, vectors with their growth since."""

    i: Int[Array, ""]
    x: Array
    now: Tangents


@functools.partial(jax.jit, static_argnames=("n_transient", "n_windows", "n_intervals"))
def _local(course: Course, n_transient: int, n_windows: int, n_intervals: int) -> LocalLyapunov:
    dt = course.dt

    def window(c: _Window) -> _Window:
        now = dataclasses.replace(c.now, growth=CompensatedSum.zero((course.k,), dt.dtype))
        return _Window(c.now.i, c.now.x, repeat(course.interval, now, n_intervals))

    start = course.begin(n_transient)
    end, (growth, first_i, first_x) = march(
        window,
        _Window(start.i, start.x, start),
        n_blocks=n_windows,
        block=1,
        observe=lambda c: (c.now.growth.total, c.i, c.x),
    )
    length = dt * (n_intervals * course.qr_every)
    local = growth / length
    local = local[:, jnp.argsort(-jnp.mean(local, axis=0))]
    exponents = jnp.mean(local, axis=0)
    # One window has no spread: nan, as the standard error.
    deviation = standard_error(local) * math.sqrt(n_windows)
    return LocalLyapunov(
        exponents=exponents,
        std_error=standard_error(batch_means(local)),
        standard_deviation=deviation,
        scaled_deviation=deviation * jnp.sqrt(length),
        positive_fraction=jnp.mean((local > 0).astype(local.dtype), axis=0),
        status=status_of_exponents(end.now.x, exponents, end.now.spread),
        local_exponents=local,
        t=course.system.time(0, dt, first_i),
        x=first_x,
    )
