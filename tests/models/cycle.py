"""Measuring tools of the tests about models: rounding, crossings of a level, convergence in dt."""

import jax
import numpy as np
from scipy.optimize import brentq

from jaxdyn import trajectory

EPS = np.finfo(np.float64).eps


def same(got, wanted, scale=1.0, ulps=64):
    """Equal up to the rounding of a few dozen operations on numbers of size `scale`."""
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=0, atol=ulps * EPS * scale)


def crossings(system, *, dt, skip, duration, state, level=0.0, sign=1):
    """Times (n,) and states (n, dim) where one state passes `level` upwards (sign 1) or downwards (-1).

    Between two steps the trajectory is the cubic through both states and both rates, an error of order dt^4
    like that of RK4 itself.
    """
    run = trajectory(system, n_steps=round((skip + duration) / dt), dt=dt)
    assert int(run.status) == 0
    t, x = np.asarray(run.t), np.asarray(run.x)
    rate = np.asarray(jax.vmap(system)(run.t, run.x))
    gap = sign * (x[:, state] - level)
    found = np.flatnonzero((gap[:-1] < 0) & (gap[1:] >= 0) & (t[:-1] >= skip))

    def between(i, s):
        a, b = x[i], x[i + 1]
        return (
            (1 + 2 * s) * (1 - s) ** 2 * a
            + s * (1 - s) ** 2 * dt * rate[i]
            + s**2 * (3 - 2 * s) * b
            - s**2 * (1 - s) * dt * rate[i + 1]
        )

    parts = [brentq(lambda s, i=i: between(i, s)[state] - level, 0.0, 1.0, xtol=1e-14) for i in found]
    return np.array([t[i] + s * dt for i, s in zip(found, parts, strict=True)]), np.array(
        [between(i, s) for i, s in zip(found, parts, strict=True)]
    )


def converged(measure, dt, stated):
    """Value of `measure` at dt / 2 and its tolerance.

    For order 4 the finer value is wrong by 1/15 of the difference; twice that is allowed, beside half a unit of the
    last digit that is `stated`.
    """
    coarse, fine = measure(dt), measure(dt / 2)
    return fine, 2 / 15 * np.max(np.abs(fine - coarse)) + stated
