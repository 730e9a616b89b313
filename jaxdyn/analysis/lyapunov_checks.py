"""Checks of a Lyapunov spectrum by what must hold of it, and verdicts for each lane."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._arrays import is_same_in_all_lanes
from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Float, Int
from jaxdyn.analysis.derivative_check import derivative_excess
from jaxdyn.analysis.local import jacobian
from jaxdyn.analysis.lyapunov_course import Averages, Course, volume_growth
from jaxdyn.errors import FailedCheck
from jaxdyn.stochastic import SDE
from jaxdyn.system import System

__all__ = ["SpectrumChecks", "spectrum_checks"]

# Standard errors by which a number that is zero in theory may miss it: with 31 degrees of freedom 0.5 % do.
SIGMAS = 3
# Roundings of a vector in a step and an orthonormalization, at most, if all had the same sign.
ROUNDINGS = 10
# Where there is no statistical error the step need not be better than this, relative to the rates: on a fixed point,
# and anywhere.
AT_REST, ANYWHERE = 1e-4, 1e-6
# Rounding of the field next to a fixed point, in units of eps |J| |x|.
RESTING = 16
# What the turning of the frame leaves of a sum of two exponents, in e-foldings over the whole time.
TURNING = 3


@record
class SpectrumChecks:
    """What must be zero of a Lyapunov spectrum, and whether it is; nan where a check does not apply.

    With T the averaging time, s the standard errors and r = 10 eps (k / dt + sum |lambda|) a bound of rounding:

    * `sum` passes up to max(s) + r: a larger difference means that the step of the integrator, not the length of the
      run, limits the accuracy; or that directions were lost (QR_INTERVAL). Steps right to 1e-6 of the rates (|J| or
      |lambda|) pass anyway, on fixed points, where nothing is statistical, to 1e-4. It is 0 where both sides are minus
      infinity (superstable orbits). Of a stochastic system the mean divergence is that of the same noise.
    * `zero` passes up to 3 s + (1 + |log(|f(x_end)| / |f(x_start)|)|) / T + |sum| + r. It applies to flows without
      noise that do not depend on time, away from fixed points: dx/dt is itself a tangent vector there, and neither
      grows nor shrinks. An orbit counts as at rest when its speed is rounding, or fell (or grew) by more than eps^-1/2
      in the run.
    * `pairing` passes up to 3 sqrt(s_i^2 + s_j^2) + 3 / T + |sum| + r. It applies with `hamiltonian=True`.
    * `derivative` passes at 0. The derivatives that JAX takes of the field must lie, at the first and the last state,
      between the forward and the backward difference quotient, up to rounding and to terms of third order in the field
      (the quotients of twice the step tell their size): an error below these is not seen.

    Who sees what: `sum` compares two averages of one and the same derivative, and holds for a wrong one as well (one
    of a hand-written `custom_jvp`): that shows in `derivative` (if it is wrong at these two states), of a flow mostly
    in `zero`, and in `pairing` if the wrong one is not symplectic. No check sees a transient that was too short.
    """

    sum: Float[Array, ""] = labelled(words="sum of exponents minus mean divergence", unit="rate")
    """Sum of the exponents minus the mean divergence (maps: mean log|det J|) along the same orbit."""
    zero: Float[Array, ""] = labelled(words="distance from zero of the exponent nearest to it", unit="rate")
    """Distance from zero of the exponent that is nearest to it."""
    pairing: Float[Array, ""] = labelled(words="largest sum of two exponents of a pair", unit="rate")
    """Largest |lambda_i + lambda_{k+1-i}|."""
    derivative: Float[Array, ""] = labelled(words="relative distance of derivatives from difference quotients")
    """Largest distance of a derivative from the interval of its difference quotients, over the largest derivative."""
    verdict: Int[Array, ""] = labelled(words="sum of the checks that did not pass")
    """Sum of the `errors.FailedCheck` that apply and did not pass; 0 if all did."""


def spectrum_checks(
    course: Course, averages: Averages, exponents: Array, std_error: Array, duration: Array, hamiltonian: bool
) -> SpectrumChecks:
    """Checks of all exponents, sorted, of a course that has summed up the volume."""
    system, ends = course.system, (averages.start, averages.end)
    inverse = 1 / duration
    matrices = [jacobian(system, c.x, course.time(c)) for c in ends]
    total, volume = jnp.sum(exponents), _mean_volume_growth(course, averages, matrices)
    # Both are minus infinity on a superstable orbit; plus infinity is an overflow, of which nothing can be said.
    agree = (total == volume) & (total < jnp.inf)
    difference = jnp.where(agree, 0, total - volume)
    sizes = [jnp.sqrt(jnp.sum(matrix * matrix)) for matrix in matrices]
    largest = jnp.max(jnp.abs(exponents))
    rate = largest if system.discrete else jnp.maximum(largest, jnp.maximum(*sizes))
    eps = float(jnp.finfo(system.dtype).eps)
    rounding = ROUNDINGS * eps * (course.k / course.dt + jnp.sum(jnp.abs(exponents)))
    nothing = jnp.full((), jnp.nan, system.dtype)

    at_rest, change = (jnp.array(False), nothing) if system.discrete else _motion(course, averages, sizes[1])
    # Errors of too few steps, or of an exponent of minus infinity, are not known: they excuse nothing.
    std_error = jnp.where(jnp.isnan(std_error), 0, std_error)
    limit = jnp.max(std_error) + rounding + jnp.where(at_rest, AT_REST, ANYWHERE).astype(system.dtype) * rate
    failed = _unless(agree | (jnp.isfinite(difference) & (jnp.abs(difference) <= limit)), FailedCheck.SUM)

    zero, pairing = nothing, nothing
    if not system.discrete and _is_autonomous(system):
        moving = ~at_rest & ~(jnp.abs(change) > -0.5 * math.log(eps))
        i = jnp.argmin(jnp.abs(exponents))
        limit = SIGMAS * std_error[i] + (jnp.abs(change) + 1) * inverse + jnp.abs(difference) + rounding
        zero = jnp.where(moving, jnp.abs(exponents[i]), jnp.nan)
        failed |= jnp.where(moving, _unless(zero <= limit, FailedCheck.ZERO), 0)
    if hamiltonian:
        sums = jnp.abs(exponents + jnp.flip(exponents))
        limits = SIGMAS * jnp.hypot(std_error, jnp.flip(std_error)) + TURNING * inverse + jnp.abs(difference) + rounding
        pairing = jnp.max(sums)
        failed |= _unless(jnp.all(sums <= limits), FailedCheck.PAIRING)
    excess = [derivative_excess(system, course.time(c), c.x, matrix) for c, matrix in zip(ends, matrices, strict=True)]
    derivative = jnp.maximum(*excess)
    failed |= _unless(derivative == 0, FailedCheck.DERIVATIVE)
    return SpectrumChecks(difference, zero, pairing, derivative, failed.astype(jnp.int8))


def _unless(passed: Array, flag: FailedCheck) -> Array:
    """The flag where a check did not pass; nan does not pass."""
    return jnp.where(passed, 0, int(flag))


def _mean_volume_growth(course: Course, averages: Averages, matrices: list[Array]) -> Array:
    """Mean divergence of the run, whose Jacobians at both ends are given."""
    start, end = averages.start, averages.end
    n_steps = (end.i - start.i).astype(course.dt.dtype)
    if course.system.discrete:
        return end.volume.total / n_steps
    # The sum over step beginnings becomes the trapezoid rule by half the difference of the ends.
    first, last = (volume_growth(course.system, matrix) for matrix in matrices)
    return (end.volume.total + (last - first) / 2) / n_steps


def _motion(course: Course, averages: Averages, size: Array) -> tuple[Array, Array]:
    """Whether the run ended on a fixed point, and the logarithm of the ratio of its last speed to the first."""
    system = course.system

    def length(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(v * v))

    first, last = (length(system(course.time(c), c.x)) for c in (averages.start, averages.end))
    eps = float(jnp.finfo(system.dtype).eps)
    change = jnp.log(last) - jnp.log(first)
    resting = last <= RESTING * eps * size * length(averages.end.x)
    return resting | (change < 0.5 * math.log(eps)), change


def _is_autonomous(system: System) -> bool:
    """Whether the equations do without the time, and without noise."""
    if isinstance(system, SDE):
        return False
    times: Any = jax.ShapeDtypeStruct((1,), system.dtype)
    return is_same_in_all_lanes(lambda t: system(t, system.x0), times)
