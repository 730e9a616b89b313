"""Lyapunov spectra by repeated orthonormalization of the tangent flow."""

import functools
import os
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, matmul, whole_number
from jaxdyn.analysis.batches import number_of_intervals, number_of_vectors, transient_intervals
from jaxdyn.analysis.checkpoint import saved_run
from jaxdyn.analysis.dimension import kaplan_yorke_dimension
from jaxdyn.analysis.lyapunov_checks import SpectrumChecks, spectrum_checks
from jaxdyn.analysis.lyapunov_course import Averages, Course, Fixed
from jaxdyn.analysis.tangent import require_forward, status_of_exponents
from jaxdyn.analysis.until import StdError, Until, until_of
from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, resolve_steps
from jaxdyn.system import System

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum"]


@record
class LyapunovSpectrum:
    """Lyapunov exponents of one system with their errors."""

    exponents: Float[Array, " k"] = labelled("exponent", words="Lyapunov exponent", unit="rate")
    """Descending, natural logarithm per time unit (per step for maps)."""
    std_error: Float[Array, " k"] = labelled("exponent", words="standard error of the Lyapunov exponent", unit="rate")
    """Standard error from batch means; it holds when a batch is long against the correlation time."""
    n_averaged: Int[Array, ""] = labelled(words="averaged steps")
    """Steps that were averaged."""
    kaplan_yorke_dimension: Float[Array, ""] = labelled(words="Kaplan-Yorke dimension")
    """Kaplan-Yorke dimension of these exponents, those within two standard errors of zero taken as zero (so that a
    limit cycle has dimension 1); nan if k < dim are too few to tell."""
    checks: SpectrumChecks | None
    """What must be zero, and a verdict; None if not asked for."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory or a vector left the finite numbers, QR_INTERVAL if a direction was lost to
    rounding, NOT_CONVERGED if `until` was not met within the steps."""
    running: Float[Array, "block k"] = detail("block", "exponent", words="running Lyapunov exponent", unit="rate")
    """Estimates after each batch, the result last; with `until` nan in the first rows, where there is no batch."""
    running_time: Float[Array, " block"] = detail("block", words="averaging time", unit="time")
    """Averaging time of each running estimate, time units."""
    x: Float[Array, " dim"] = detail("state", words="last state")
    """Last state."""
    frame: Float[Array, "k dim"] = detail("exponent", "state", words="last tangent vectors")
    """Last orthonormal tangent vectors, one a row, in the order of the exponents."""

    @property
    def covariance(self) -> Float[Array, "*batch k k"]:
        """Covariance matrix of the exponents from batch means: for the errors of sums of them; nan for few steps."""
        sums, times = self.running * self.running_time[..., None], self.running_time
        # The first estimate may hold steps that fill no batch: differences leave it out.
        rates = jnp.diff(sums, axis=-2) / jnp.diff(times, axis=-1)[..., None]
        if rates.shape[-2] < 2:
            return jnp.full((*self.exponents.shape, self.exponents.shape[-1]), jnp.nan, sums.dtype)
        exist = ~jnp.isnan(times[..., :-1, None])
        n = jnp.sum(exist, axis=-2, keepdims=True).astype(sums.dtype)
        mean = jnp.sum(jnp.where(exist, rates, 0), axis=-2, keepdims=True) / n
        departure = jnp.where(exist, rates - mean, 0)
        return matmul(jnp.swapaxes(departure, -1, -2), departure) / ((n - 1) * (n + 1))


def lyapunov_spectrum(
    system: System,
    *,
    n_steps: int,
    dt: ArrayLike | None = None,
    n_transient: int | None = None,
    n_exponents: int | None = None,
    qr_every: int = 1,
    method: Method | None = None,
    until: StdError | None = None,
    checks: bool = False,
    hamiltonian: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
) -> LyapunovSpectrum:
    """Lyapunov spectrum by repeated QR of the tangent flow.

    The tangent vectors obey dV/dt = J V, are pushed forward through the integrator's own step by jvp (J is
    never formed) and are re-orthonormalized every `qr_every` steps; an exponent is the mean of log R_ii per
    unit time.

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0` at t = 0.
    n_steps
        Steps that are averaged, static, a multiple of `qr_every`; with `until` at most so many.
    dt
        Step of a flow, time units, positive. Maps take none.
    n_transient
        Steps before averaging, which let the trajectory reach its attractor and the frame its directions;
        static, a multiple of `qr_every`; default a tenth of `n_steps`, with `until` of the steps before errors are
        looked at for the first time (its `n_least`).
    n_exponents
        How many of the largest exponents; default all.
    qr_every
        Steps between orthonormalizations. Too large a number loses the contracting directions to rounding:
        reported as QR_INTERVAL when the vectors' growth differs by more than eps^-1/2 within an interval.
    method
        `RK4()` by default; maps are iterated.
    until
        `StdError(tolerance)`: stop when the standard errors of all exponents asked for are that small; see there for
        the rule. The run ends with a whole batch, up to a sixteenth short of `n_steps` at the limit.
    checks
        Also check the spectrum by what must hold of it, see `SpectrumChecks` (needs all exponents; costs `dim` more
        evaluations of the field's derivative a step).
    hamiltonian
        Whether the system is a Hamiltonian flow or a symplectic map, so that `checks` look for pairs.
    checkpoint
        Path of a file to which the run is saved after its transient and after each batch. The same call after a crash
        goes on from there, with the same result bit for bit; when the run is over it returns the result at once. For
        one long run outside `jit`, by one process at a time; sweeps have `store`. Results differ by rounding from
        those without it.

    Returns
    -------
    LyapunovSpectrum
        exponents (k,) descending, 1/time; std_error (k,); n_averaged, kaplan_yorke_dimension and status (); checks;
        running (32, k) and running_time (32,) for the convergence (fewer rows for fewer intervals); final x and frame.

    Raises
    ------
    TypeError, ValueError
        While tracing, if numbers of steps or exponents do not fit; if the checkpoint belongs to another run or is
        damaged, or a transformation asks for one.

    Warns
    -----
    JaxdynWarning
        Outside jit, if the status is QR_INTERVAL.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep; with `until` each lane stops by itself. grad without `until` (memory
    O(n_steps) in reverse mode; gradients grow like exp(lambda_1 t)).
    Memory O(k dim). Float32 sums are compensated, so long runs do not lose digits. The frame starts from
    a fixed generic orientation, so results do not depend on chance.

    Errors come from at most 32 batches, without regard to how one depends on the next. They are too small where a batch
    is not long against the correlation time (batches of two correlation times: by a quarter; of eight: by a tenth),
    and for chaotic orbits that stick to islands of regular motion, see `maximal_lyapunov`. They are too large where
    growth mostly swings to and fro, which batches see at their ends only: Lorenz' first exponent by a factor of 4 in
    a run of 128 time units, 2.7 in 512, 1.7 in 2000.

    References
    ----------
    Benettin, Galgani, Giorgilli & Strelcyn 1980, Meccanica 15, 9-20 and 21-30, doi:10.1007/BF02128236.

    Examples
    --------
    >>> import jaxdyn
    >>> spectrum = jaxdyn.lyapunov_spectrum(jaxdyn.models.henon(), n_steps=20_000)
    >>> [round(float(e), 1) for e in spectrum.exponents]
    [0.4, -1.6]
    """
    require_forward(dt)
    n_steps, dt = resolve_steps(system, n_steps, None, dt)
    k = number_of_vectors(n_exponents, "n_exponents", system)
    if checks and k != system.dim:
        raise ValueError(f"checks need all {system.dim} exponents, got n_exponents={k}; leave n_exponents out")
    if hamiltonian and (not checks or k % 2):
        raise ValueError(f"hamiltonian=True is for checks=True and an even dimension, got checks={checks}, {k} states")
    qr_every = whole_number(qr_every, "qr_every")
    n_intervals = number_of_intervals(n_steps, "n_steps", qr_every, "qr_every", least=1)
    course = Course(system, method_of(system, method), dt, k, qr_every, bool(checks))
    if until is None:
        rule = Fixed(transient_intervals(n_transient, "n_transient", qr_every, n_steps), n_intervals)
    else:
        rule = until_of(until, course, n_transient, n_intervals)
    if checkpoint is None:
        result = _spectrum(course, rule, bool(hamiltonian))
    else:
        result = _spectrum_of_saved(course, rule, saved_run(checkpoint, course, rule), bool(hamiltonian))
    if is_concrete(result.status) and np.any(np.asarray(result.status) == Status.QR_INTERVAL):
        warnings.warn(
            f"tangent directions of {system.about.name} were lost to rounding between orthonormalizations: "
            f"the smallest exponents are wrong; lower qr_every={qr_every} or dt, or use float64",
            JaxdynWarning,
            stacklevel=2,
        )
    return result


@functools.partial(jax.jit, static_argnames="hamiltonian")
def _spectrum(course: Course, rule: Fixed | Until, hamiltonian: bool) -> LyapunovSpectrum:
    return _summary(course, rule.averages(course), hamiltonian)


@functools.partial(jax.jit, static_argnames="hamiltonian")
def _spectrum_of_saved(course: Course, rule: Fixed | Until, state: Any, hamiltonian: bool) -> LyapunovSpectrum:
    return _summary(course, rule.averages_of(course, state), hamiltonian)


def _summary(course: Course, averages: Averages, hamiltonian: bool) -> LyapunovSpectrum:
    system, dt, end = course.system, course.dt, averages.end
    times = jnp.multiply(dt * course.qr_every, averages.intervals.astype(dt.dtype))
    exponents = averages.sums[-1] / times[-1]
    order = jnp.argsort(-exponents)
    std_error = averages.std_error
    exist = averages.intervals > 0
    neutral = _neutral_as_zero(exponents, std_error)
    sorted_ones = (exponents[order], std_error[order])
    return LyapunovSpectrum(
        exponents=sorted_ones[0],
        std_error=sorted_ones[1],
        n_averaged=averages.intervals[-1] * course.qr_every,
        kaplan_yorke_dimension=kaplan_yorke_dimension(neutral[order], dim=system.dim),
        checks=spectrum_checks(course, averages, *sorted_ones, times[-1], hamiltonian) if course.with_volume else None,
        status=status_of_exponents(end.x, exponents, end.spread, averages.converged),
        running=jnp.where(exist[:, None], averages.sums[:, order] / times[:, None], jnp.nan),
        running_time=jnp.where(exist, times, jnp.nan),
        x=end.x,
        frame=end.frame[order],
    )


def _neutral_as_zero(exponents: Array, std_error: Array) -> Array:
    """Exponents within two standard errors of zero, or within rounding of the largest, as exact zeros."""
    size = jnp.abs(exponents)
    rounding = 100 * jnp.finfo(size.dtype).eps * jnp.max(jnp.where(jnp.isfinite(size), size, 0))
    return jnp.where(size <= jnp.maximum(2 * std_error, rounding), 0, exponents)
