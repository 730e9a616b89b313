"""Hodgkin-Huxley axon: exact limits of its rates, steady states, published bifurcation points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cycle import crossings
from scipy.optimize import brentq
from scipy.special import exprel

from jaxdyn import Stability, eigenvalues, models, stability

EPS = np.finfo(np.float64).eps


def hh_gates(v):
    """Steady gates, written with exprel so that 0/0 does not occur."""
    am, bm = 1 / exprel((25 - v) / 10), 4 * np.exp(-v / 18)
    ah, bh = 0.07 * np.exp(-v / 20), 1 / (np.exp((30 - v) / 10) + 1)
    an, bn = 0.1 / exprel((10 - v) / 10), 0.125 * np.exp(-v / 80)
    return np.array([am / (am + bm), ah / (ah + bh), an / (an + bn)])


def hh_current(v, el=10.6, ena=115.0):
    m, h, n = hh_gates(v)
    return 120 * m**3 * h * (v - ena) + 36 * n**4 * (v + 12) + 0.3 * (v - el)


def hh_point(current, **potentials):
    v = brentq(lambda v: hh_current(v, **potentials) - current, -10, 40, xtol=1e-15, rtol=4 * EPS)
    return np.array([v, *hh_gates(v)])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("current", [0.0, 6.0, 50.0, 154.5])
def test_hh_steady_states(current):
    point = hh_point(current)
    # The largest current is gNa m^3 h (V - ENa) or the like: below 300 uA/cm^2 here.
    np.testing.assert_allclose(
        models.hodgkin_huxley(I=current)(0.0, jnp.asarray(point)), 0, atol=64 * EPS * 300, rtol=0
    )


@pytest.mark.usefixtures("x64")
def test_hh_rests_at_zero():
    """EL = 10.6 was chosen by Hodgkin and Huxley to make the resting current vanish at V = 0: it does to 0.01 mV."""
    assert abs(hh_point(0.0)[0]) < 0.01
    assert stability(eigenvalues(models.hodgkin_huxley(I=0.0), hh_point(0.0))) == Stability.STABLE_FOCUS


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("current", "v", "frequency"),
    [(9.7793379954, 5.345856397, 0.5862338131), (154.5263336658, 21.941907987, 1.062921807)],
)
def test_hh_hopf_points(current, v, frequency):
    point = hh_point(current)
    assert abs(point[0] - v) < 1e-9  # nine decimals are known
    system = models.hodgkin_huxley(I=current)
    values = eigenvalues(system, point)
    assert abs(float(values[0].imag) - frequency) < 1e-9

    def growth(i):
        return float(eigenvalues(system.with_params(I=i), hh_point(i))[0].real)

    # The current is known to 1e-10: the growth rate changes sign within twice that.
    assert growth(current - 2e-10) * growth(current + 2e-10) < 0


@pytest.mark.usefixtures("x64")
def test_hh_other_leak_moves_the_hopf_point_by_0_0039():
    def growth(i):
        return float(eigenvalues(models.hodgkin_huxley(I=i, EL=10.613), hh_point(i, el=10.613))[0].real)

    moved = 9.7793379954 - brentq(growth, 9.7, 9.85, xtol=1e-9)
    assert abs(moved - 0.0039) < 5e-5
    # The leak's reversal potential enters as a current of gL: the shift is exactly 0.3 * 0.013.
    assert abs(moved - 0.3 * 0.013) < 1e-8


def hh_rates(system, v):
    """Opening rates of m and n: the gates' own rates where they are closed."""
    closed = jnp.stack([jnp.asarray(v, system.dtype), *jnp.zeros(3, system.dtype)])
    rate = system(0.0, closed)
    return rate[jnp.array([1, 3])]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_hh_derivatives_at_the_removable_singularities(x64, order):
    """u / (exp(u) - 1) = 1 - u/2 + u^2/12 + 0 u^3: derivatives of alpha_m at 25 mV and alpha_n at 10 mV."""
    system = models.hodgkin_huxley()
    taylor = [1.0, -1 / 2, 1 / 6, 0.0][order]
    forward, backward = lambda v: hh_rates(system, v), lambda v: hh_rates(system, v)
    for _ in range(order):
        forward, backward = jax.jacfwd(forward), jax.jacrev(backward)
    for nested in (jax.jit(forward), jax.jit(backward)):
        # du/dV = -1/10 for both; alpha_n carries a factor 0.1
        wanted = taylor * (-0.1) ** order
        np.testing.assert_allclose(nested(jnp.float64(25.0))[0], wanted, atol=16 * EPS)
        np.testing.assert_allclose(nested(jnp.float64(10.0))[1], 0.1 * wanted, atol=16 * EPS)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_hh_opening_rates_are_smooth_everywhere(x64, dtype):
    """Against exprel, densely about 0/0 and about the seam of series and quotient at 1 mV from it."""
    system = models.hodgkin_huxley(dtype=dtype)
    offset = np.concatenate(
        [[0.0], *[s * np.logspace(-9, 1.7, 400) for s in (1, -1)], [1.0, -1.0, 0.9999999, -1.0000001]]
    )
    rates = jax.jit(jax.vmap(lambda v: hh_rates(system, v)))
    slopes = jax.jit(jax.vmap(jax.jacfwd(lambda v: hh_rates(system, v))))
    for column, (center, factor) in enumerate([(25.0, 1.0), (10.0, 0.1)]):
        v = jnp.asarray(center + offset, dtype)
        u = (center - np.asarray(v, np.float64)) / 10
        # u is rounded (and, far out, exp(u) multiplies that by |u|): some ulp of the result.
        tolerance = 16 * float(jnp.finfo(dtype).eps) * (1 + np.abs(u))
        wanted = factor / exprel(u)
        assert np.all(
            np.abs(np.asarray(rates(v)[:, column], np.float64) - wanted) <= tolerance * (np.abs(wanted) + factor)
        )
        slope = np.asarray(slopes(v)[:, column], np.float64)
        exact = factor * _slope(u) * -0.1
        # The quotient's derivative cancels to u^2/2 of its terms: 1/0.1 more rounding at the seam.
        assert np.all(np.abs(slope - exact) <= 20 * tolerance * factor)


def _slope(u):
    """Derivative of u / (exp(u) - 1), by its series within 0.3 and by extended precision beyond."""
    wide = np.asarray(u, np.longdouble)
    safe = np.where(np.abs(u) < 0.3, np.longdouble(1), wide)
    quotient = (np.expm1(safe) - safe * np.exp(safe)) / np.expm1(safe) ** 2
    series = -1 / 2 + wide / 6 - wide**3 / 180 + wide**5 / 5040 - wide**7 / 151200 + wide**9 / 4790016
    return np.where(np.abs(u) < 0.3, series, quotient).astype(np.float64)


@pytest.mark.usefixtures("x64")
def test_hh_spikes_repeatedly_at_10_and_rests_at_5():
    counts = {}
    for current in (5.0, 10.0):
        system = models.hodgkin_huxley(I=current)
        t, _ = crossings(system, dt=0.02, skip=50.0, duration=150.0, state=0, level=50.0)
        counts[current] = len(t)
    assert counts[5.0] == 0  # 5 lies below the lowest current with spiking, 6.2642
    assert counts[10.0] >= 8
