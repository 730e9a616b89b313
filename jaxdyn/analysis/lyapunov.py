"""Lyapunov spectra by repeated orthonormalization of the tangent flow."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, matmul, whole_number
from jaxdyn.analysis.batches import N_BATCHES, number_of_intervals, standard_error, transient_intervals
from jaxdyn.analysis.dimension import kaplan_yorke_dimension
from jaxdyn.analysis.local import jacobian
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.analysis.tangent import (
    CompensatedSum,
    growth_spread,
    lost_directions,
    require_forward,
    tangent_step,
)
from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.integrate import march, method_of, repeat, resolve_steps
from jaxdyn.methods import Method
from jaxdyn.system import System

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum"]


@record
class LyapunovSpectrum:
    """Lyapunov exponents of one system with their errors."""

    exponents: Float[Array, " k"] = labelled("exponent")
    """Descending, natural logarithm per time unit (per step for maps)."""
    std_error: Float[Array, " k"] = labelled("exponent")
    """Standard error from batch means; it holds when a batch is long against the correlation time."""
    kaplan_yorke_dimension: Float[Array, ""] = labelled()
    """Kaplan-Yorke dimension of these exponents, those within two standard errors of zero taken as zero (so that a
    limit cycle has dimension 1); nan if k < dim are too few to tell."""
    sum_check: Float[Array, ""] | None = labelled()
    """Sum of the exponents minus the mean divergence (maps: mean log|det J|); None if not asked for."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory left the finite numbers, QR_INTERVAL if a direction was lost to rounding."""
    running: Float[Array, "block k"] = detail("block", "exponent")
    """Estimates after each batch."""
    running_time: Float[Array, " block"] = detail("block")
    """Averaging time of each running estimate, time units."""
    x: Float[Array, " dim"] = detail("state")
    """Last state."""
    frame: Float[Array, "k dim"] = detail("exponent", "state")
    """Last orthonormal tangent vectors, one a row, in the order of the exponents."""

    @property
    def covariance(self) -> Float[Array, "*batch k k"]:
        """Covariance matrix of the exponents from batch means: for the errors of sums of them; nan for few steps."""
        sums, times = self.running * self.running_time[..., None], self.running_time
        # The first estimate may hold steps that fill no batch: differences leave it out.
        rates = jnp.diff(sums, axis=-2) / jnp.diff(times, axis=-1)[..., None]
        n = rates.shape[-2]
        if n < 2:
            return jnp.full((*self.exponents.shape, self.exponents.shape[-1]), jnp.nan, sums.dtype)
        departure = rates - jnp.mean(rates, axis=-2, keepdims=True)
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
    sum_check: bool = False,
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
        Steps that are averaged, static, a multiple of `qr_every`.
    dt
        Step of a flow, time units, positive. Maps take none.
    n_transient
        Steps before averaging, which let the trajectory reach its attractor and the frame its directions;
        static, a multiple of `qr_every`; default n_steps / 10.
    n_exponents
        How many of the largest exponents; default all.
    qr_every
        Steps between orthonormalizations. Too large a number loses the contracting directions to rounding:
        reported as QR_INTERVAL when the vectors' growth differs by more than eps^-1/2 within an interval.
    method
        `RK4()` by default; maps are iterated.
    sum_check
        Also average the divergence along the same trajectory (needs all exponents; costs `dim` more
        evaluations of the field's derivative a step).

    Returns
    -------
    LyapunovSpectrum
        exponents (k,) descending, 1/time; std_error (k,); kaplan_yorke_dimension, sum_check and status ();
        running (32, k) and running_time (32,) for the convergence; final x and frame.

    Raises
    ------
    ValueError
        While tracing, if numbers of steps or exponents do not fit.

    Warns
    -----
    JaxdynWarning
        Outside jit, if the status is QR_INTERVAL.

    Notes
    -----
    Transforms: jit, vmap, grad (memory O(n_steps) in reverse mode; gradients grow like exp(lambda_1 t)).
    Memory O(k dim). Float32 sums are compensated, so long runs do not lose digits. The frame starts from
    a fixed generic orientation, so results do not depend on chance. Chaotic orbits that stick to islands of regular
    motion have larger errors than the batches show, see `maximal_lyapunov`.

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
    k = system.dim if n_exponents is None else n_exponents
    if not 1 <= k <= system.dim:
        raise ValueError(f"n_exponents must be between 1 and the dimension {system.dim}, got {n_exponents!r}")
    if sum_check and k != system.dim:
        raise ValueError(f"sum_check needs all {system.dim} exponents, got n_exponents={k}; leave n_exponents out")
    qr_every = whole_number(qr_every, "qr_every")
    n_intervals = number_of_intervals(n_steps, "n_steps", qr_every, "qr_every", least=1)
    n_first = transient_intervals(n_transient, "n_transient", qr_every, n_steps)
    counts = (n_first, n_intervals, qr_every, whole_number(k, "n_exponents"))
    result = _spectrum(system, method_of(system, method), dt, counts, sum_check)
    if is_concrete(result.status) and np.any(np.asarray(result.status) == Status.QR_INTERVAL):
        warnings.warn(
            f"tangent directions of {system.about.name} were lost to rounding between orthonormalizations: "
            f"the smallest exponents are wrong; lower qr_every={qr_every} or dt, or use float64",
            JaxdynWarning,
            stacklevel=2,
        )
    return result


@record
class _Tangent:
    """Loop state: step number, state, frame, and sums since the last observation (compensated)."""

    i: Int[Array, ""]
    x: Array
    frame: Array
    growth: CompensatedSum
    volume: CompensatedSum
    spread: Array
    """Largest difference of log-growth between vectors in one interval: the frame's conditioning."""


@functools.partial(jax.jit, static_argnames=("counts", "sum_check"))
def _spectrum(
    system: System, method: Method, dt: Array, counts: tuple[int, int, int, int], sum_check: bool
) -> LyapunovSpectrum:
    n_transient, n_intervals, qr_every, k = counts
    interval = functools.partial(_interval, system, method, dt, qr_every, sum_check)
    n_blocks = min(N_BATCHES, n_intervals)
    block, rest = divmod(n_intervals, n_blocks)
    state = _fresh(jnp.int32(0), system.x0, generic_frame(k, system.dim, system.dtype))
    if n_transient:
        state = repeat(interval, state, n_transient)
    start = _fresh(state.i, state.x, state.frame)
    # What does not fill the batches comes first: it counts in the exponents, not in their error.
    head = repeat(interval, start, rest) if rest else start
    end, sums = march(interval, head, n_blocks=n_blocks, block=block, observe=lambda c: c.growth.total)
    sums = jnp.concatenate([head.growth.total[None], sums])
    intervals = rest + block * jnp.arange(1, n_blocks + 1)
    times = jnp.multiply(dt * qr_every, intervals.astype(dt.dtype))
    exponents = sums[-1] / times[-1]
    order = jnp.argsort(-exponents)
    std_error = standard_error(jnp.diff(sums, axis=0) / (dt * qr_every * block))
    return LyapunovSpectrum(
        exponents=exponents[order],
        std_error=std_error[order],
        kaplan_yorke_dimension=kaplan_yorke_dimension(_neutral_as_zero(exponents, std_error)[order], dim=system.dim),
        sum_check=jnp.sum(exponents) - _mean_volume_growth(system, dt, start, end) if sum_check else None,
        status=_status(end, exponents),
        running=sums[1:, order] / times[:, None],
        running_time=times,
        x=end.x,
        frame=end.frame[order],
    )


def _interval(system: System, method: Method, dt: Array, qr_every: int, sum_check: bool, c: _Tangent) -> _Tangent:
    """`qr_every` steps of state and frame, then one orthonormalization."""

    def step(c: _Tangent) -> _Tangent:
        x, frame = tangent_step(system, method, 0, dt, c.i, c.x, c.frame)
        volume = c.volume.add(_volume_growth(system, system.time(0, dt, c.i), c.x)) if sum_check else c.volume
        return _Tangent(c.i + 1, x, frame, c.growth, volume, c.spread)

    c = repeat(step, c, qr_every)
    frame, r = orthonormalize(c.frame)
    log_growth = jnp.log(jnp.diagonal(r))
    spread = jnp.maximum(c.spread, growth_spread(log_growth)) if len(log_growth) > 1 else c.spread
    return _Tangent(c.i, c.x, frame, c.growth.add(log_growth), c.volume, spread)


def _volume_growth(system: System, t: Array, x: Array) -> Array:
    """Divergence of a flow, log|det J| of a map: what the exponents must add up to."""
    matrix = jacobian(system, x, t)
    if system.discrete:
        return jnp.sum(jnp.log(jnp.diagonal(orthonormalize(matrix)[1])))
    return jnp.trace(matrix)


def _mean_volume_growth(system: System, dt: Array, start: _Tangent, end: _Tangent) -> Array:
    n_steps = (end.i - start.i).astype(dt.dtype)
    if system.discrete:
        return end.volume.total / n_steps
    # The sum over step beginnings becomes the trapezoid rule by half the difference of the ends.
    first, last = (_volume_growth(system, system.time(0, dt, c.i), c.x) for c in (start, end))
    return (end.volume.total + (last - first) / 2) / n_steps


def _fresh(i: Array, x: Array, frame: Array) -> _Tangent:
    growth, volume = (CompensatedSum.zero(shape, x.dtype) for shape in ((len(frame),), ()))
    return _Tangent(i, x, frame, growth, volume, jnp.zeros((), x.dtype))


def _neutral_as_zero(exponents: Array, std_error: Array) -> Array:
    """Exponents within two standard errors of zero, or within rounding of the largest, as exact zeros."""
    size = jnp.abs(exponents)
    rounding = 100 * jnp.finfo(size.dtype).eps * jnp.max(jnp.where(jnp.isfinite(size), size, 0))
    return jnp.where(size <= jnp.maximum(2 * std_error, rounding), 0, exponents)


def _status(end: _Tangent, exponents: Array) -> Array:
    finite = jnp.all(jnp.isfinite(end.x)) & ~jnp.any(jnp.isnan(exponents))
    code = jnp.where(lost_directions(end.spread), int(Status.QR_INTERVAL), int(Status.OK))
    return jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8)
