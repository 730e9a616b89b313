"""The 0-1 test for chaos, on an observed series."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, whole_number
from jaxdyn.analysis.matrices import float_array
from jaxdyn.analysis.scaling import binary_exponent
from jaxdyn.errors import Status

__all__ = ["ZeroOneTest", "zero_one_test"]

SHORTEST = 100
"""Observations below which a tenth of them, the lags of the test, show no trend."""


@record
class ZeroOneTest:
    """Outcome of the 0-1 test for chaos."""

    k: Float[Array, ""] = labelled(words="K of the 0-1 test")
    """Median over all frequencies of `correlations`: near 0 for regular motion, near 1 for chaos."""
    oversampling: Float[Array, ""] = labelled(words="range over mean change")
    """Range of the series over its mean change from one observation to the next: a few for a series that is not
    oversampled; far above 10 the test cannot see chaos."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if an observation or a frequency is not finite."""
    correlations: Float[Array, " frequency"] = detail("frequency", words="correlation of displacement and lag")
    """Correlation of the mean-square displacement with the lag, for each frequency."""
    frequencies: Float[Array, " frequency"] = detail("frequency")
    """Frequencies c, radians an observation."""


def zero_one_test(
    series: ArrayLike | Sequence[Any],
    *,
    frequencies: ArrayLike | Sequence[Any] | None = None,
    n_frequencies: int = 100,
    n_lags: int | None = None,
) -> ZeroOneTest:
    """0-1 test for chaos of a series of observations, by the correlation method.

    The series drives a point of the plane, p(n) = sum_{j <= n} phi(j) cos(j c), q(n) with sin(j c). For regular motion
    it stays bounded, for chaos it diffuses: the mean-square displacement grows with the lag. K_c is the correlation of
    the two; K is the median over many frequencies c, since single ones may resonate with the motion.

    Parameters
    ----------
    series
        Observations (n,) at equal times, of any unit, from the attractor (without transient); at least 100, better
        1000 or more.
    frequencies
        Frequencies c (m,), radians an observation; by default `n_frequencies` of them, evenly spread between pi/5 and
        4 pi/5 by multiples of the golden ratio, always the same.
    n_frequencies
        Number of default frequencies, static.
    n_lags
        Largest lag, static; default n / 10.

    Returns
    -------
    ZeroOneTest
        k, oversampling and status (); correlations and frequencies (m,).

    Raises
    ------
    TypeError, ValueError
        While tracing, if the series is too short or not one-dimensional.

    Notes
    -----
    The mean of the series is subtracted first, which does what the term V_osc of the modified mean-square displacement
    does: a constant adds an oscillation of the displacement that hides the trend. Phases are whole multiples of 2^-32
    turns, added as integers, so that they stay exact in float32 for any length (a frequency is rounded by 1e-9).
    A series that is constant up to rounding gives K = 0.

    Where it misleads: (1) A flow observed at short steps looks regular, whatever it is: successive observations are
    almost the same, and the diffusion is too slow to be seen. Observe about once or a few times a turn, or on a
    section, as `oversampling` below about 10 says; observed too rarely, all is well. (2) Noise diffuses: K = 1 says
    not regular, not that it is deterministic. (3) A trend or a transient diffuses too. (4) Weak or intermittent chaos,
    sticky orbits and quasiperiodic motion with slow beats give values in between: they move to 0 or 1 as n grows, so
    look at two lengths. (5) An observable that does not see the chaotic part shows nothing of it.

    Transforms: jit, vmap, lanes; in a sweep, of what a trajectory gives: a measure that calls `trajectory` and gives
    one column of its x to this function. Work O(m n log n), memory O(m n).

    References
    ----------
    Gottwald & Melbourne 2009, SIAM Journal on Applied Dynamical Systems 8, 129-145, doi:10.1137/080718851.

    Examples
    --------
    >>> import jaxdyn
    >>> for r in (3.55, 3.97):
    ...     run = jaxdyn.trajectory(jaxdyn.models.logistic(r=r), n_steps=3000)
    ...     print(round(abs(float(jaxdyn.zero_one_test(run.x[1000:, 0]).k))))
    0
    1
    """
    phi = float_array(series, "series")
    if phi.ndim != 1 or len(phi) < SHORTEST:
        raise ValueError(
            f"series must have shape (n,) with n >= {SHORTEST}, got {phi.shape}; "
            "give one observable, run.x[:, 0] of a trajectory"
        )
    n_lags = len(phi) // 10 if n_lags is None else whole_number(n_lags, "n_lags", least=2)
    if n_lags > len(phi) // 2:
        raise ValueError(f"n_lags must be at most half of the {len(phi)} observations, got {n_lags}")
    if frequencies is None:
        c = jnp.asarray(_spread(whole_number(n_frequencies, "n_frequencies")), phi.dtype)
    else:
        c = jnp.asarray(frequencies, phi.dtype)
        if c.ndim != 1 or len(c) == 0:
            raise ValueError(f"frequencies must have shape (m,) with m >= 1, got {c.shape}")
        if is_concrete(c) and not np.isfinite(np.asarray(c)).all():
            raise ValueError("frequencies must be finite, radians per observation, got nan or inf among them")
    return _zero_one(phi, c, n_lags)


def _spread(m: int) -> Any:
    """Frequencies in (pi/5, 4 pi/5), where Gottwald & Melbourne see no resonance with the ends 0 and pi."""
    golden = (np.sqrt(5) - 1) / 2
    return np.pi * (0.2 + 0.6 * np.mod(golden * np.arange(1, m + 1), 1))


@functools.partial(jax.jit, static_argnames="n_lags")
def _zero_one(phi: Array, c: Array, n_lags: int) -> ZeroOneTest:
    finite = jnp.all(jnp.isfinite(phi))
    # The result does not depend on the scale; sums and squares of very large or small ones would leave the dtype.
    phi = jnp.ldexp(phi, -binary_exponent(phi))
    spread = jnp.max(phi) - jnp.min(phi)
    is_constant = spread <= 100 * jnp.finfo(phi.dtype).eps * jnp.max(jnp.abs(phi))
    centered = (phi - jnp.mean(phi)) / jnp.where(is_constant, 1, spread)
    lags = jnp.arange(1, n_lags + 1, dtype=phi.dtype)
    correlations = _correlation(lags, _displacement(_walk(centered, c), n_lags))
    correlations = jnp.where(finite & jnp.isfinite(c), jnp.where(is_constant, 0, correlations), jnp.nan)
    change = jnp.mean(jnp.abs(jnp.diff(phi)))
    return ZeroOneTest(
        k=jnp.median(correlations),
        oversampling=jnp.where(finite, jnp.where(change > 0, spread / jnp.where(change > 0, change, 1), 1), jnp.nan),
        status=jnp.where(jnp.all(finite & jnp.isfinite(c)), int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int8),
        correlations=correlations,
        frequencies=c,
    )


def _walk(phi: Array, c: Array) -> Array:
    """Path p + i q of the driven point for each frequency, (m, n)."""
    turns = jnp.mod(c / (2 * np.pi), 1)
    # In two halves of 16 bits: 2^32 itself would round to a number beyond uint32.
    high = jnp.floor(turns * 2**16)
    low = jnp.floor((turns * 2**16 - high) * 2**16)
    step = high.astype(jnp.uint32) * np.uint32(2**16) + low.astype(jnp.uint32)
    phase = step[:, None] * jnp.arange(1, len(phi) + 1, dtype=jnp.uint32)[None, :]  # wraps at a whole turn
    angle = phase.astype(phi.dtype) * (2 * np.pi / 2**32)
    return lax.complex(*(jnp.cumsum(phi[None, :] * wave(angle), axis=1) for wave in (jnp.cos, jnp.sin)))


def _displacement(walk: Array, n_lags: int) -> Array:
    """Mean-square displacement at lags 1 to `n_lags`, over as many pairs each, for each frequency: (n_lags, m).

    |b - a|^2 = |a|^2 + |b|^2 - 2 Re(conj(a) b), whose last term is a correlation, by Fourier transforms.
    """
    n = walk.shape[1]
    window = n - n_lags
    first = jnp.where(jnp.arange(n)[None, :] < window, walk, 0)  # with n_lags zeros behind nothing wraps around
    cross = jnp.fft.ifft(jnp.fft.fft(walk) * jnp.conj(jnp.fft.fft(first))).real[:, 1 : n_lags + 1]
    sums = jnp.cumsum(walk.real**2 + walk.imag**2, axis=1)
    later = sums[:, window:] - sums[:, :n_lags]
    return ((sums[:, window - 1 : window] + later - 2 * cross) / window).T


def _correlation(lags: Array, values: Array) -> Array:
    """Correlation coefficient of the lags (n,) with each column of values (n, m)."""
    x = (lags - jnp.mean(lags))[:, None]
    y = values - jnp.mean(values, axis=0)[None, :]
    square = jnp.sum(x * x) * jnp.sum(y * y, axis=0)
    return jnp.sum(x * y, axis=0) / jnp.sqrt(jnp.where(square > 0, square, 1))
