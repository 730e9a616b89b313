"""Oscillators against closed forms, published numbers and SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from cycle import converged, crossings, same
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import i0, i1
from scipy.stats import norm

from jaxdyn import Stability, eigenvalues, final_state, jacobian, models, stability

EPS = np.finfo(np.float64).eps
pytestmark = pytest.mark.usefixtures("x64")


def test_van_der_pol_origin():
    for mu in (0.5, 3.0):
        root = np.sqrt(complex(mu * mu - 4))
        same(eigenvalues(models.van_der_pol(mu=mu), [0.0, 0.0]), [(mu + root) / 2, (mu - root) / 2], scale=4)


@pytest.mark.parametrize(
    ("mu", "dt", "skip", "period", "amplitude"),
    [
        # A cycle attracts like exp(-mu t) or faster: what is left after `skip` is below the stated digits.
        (0.1, 0.05, 300.0, 6.28711127, 2.00010398),
        (1.0, 0.02, 40.0, 6.66328686, 2.00861986),
        (5.0, 0.004, 30.0, 11.61223067, 2.02150806),
        (10.0, 0.002, 40.0, 19.07836957, 2.01428536),
    ],
)
def test_van_der_pol_cycle(mu, dt, skip, period, amplitude):
    system = models.van_der_pol(mu=mu)

    def measure(step):
        # At the largest x the velocity falls through zero.
        t, x = crossings(system, dt=step, skip=skip, duration=2.2 * period, state=1, sign=-1)
        return np.array([t[1] - t[0], x[0, 0]])

    got, tolerance = converged(measure, dt, stated=5e-9)
    assert tolerance < 1e-6
    np.testing.assert_allclose(got, [period, amplitude], rtol=0, atol=tolerance)


def test_duffing_wells():
    system = models.duffing(gamma=0.0)
    same(eigenvalues(system, [0.0, 0.0]), [(-0.25 + np.sqrt(4.0625)) / 2, (-0.25 - np.sqrt(4.0625)) / 2])
    for x in (1.0, -1.0):
        same(system(0.0, jnp.array([x, 0.0])), [0.0, 0.0])
        assert stability(eigenvalues(system, [x, 0.0])) == Stability.STABLE_FOCUS
    same(jnp.trace(jacobian(models.duffing(), [0.3, 0.4], 1.7)), -0.25)


def test_duffing_without_cubic_term_is_a_driven_linear_oscillator():
    """Steady answer Re[gamma exp(i omega t) / (alpha - omega^2 + i delta omega)], phase and all."""
    system = models.duffing(alpha=2.0, beta=0.0, delta=0.3, gamma=0.7, omega=1.3)
    answer = 0.7 / (2.0 - 1.3**2 + 0.3j * 1.3)
    start = [answer.real, (1.3j * answer).real]
    wanted = (answer * np.exp(1.3j * 20.0)).real

    def measure(dt):
        return float(final_state(system.with_state(start), t1=20.0, dt=dt).x[0])

    got, tolerance = converged(measure, 0.05, stated=1e-12)
    assert abs(got - wanted) < tolerance < 1e-6


def test_duffing_agrees_with_scipy():
    def rate(t, x):
        return [x[1], x[0] - x[0] ** 3 - 0.25 * x[1] + 0.4 * np.cos(t)]

    wanted = solve_ivp(rate, (0, 10), [0.2, 0.0], method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    got, tolerance = converged(lambda dt: np.asarray(final_state(models.duffing(), t1=10.0, dt=dt).x), 0.05, 1e-8)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)
    assert tolerance < 1e-5


@pytest.mark.parametrize("a", [0.5, 1.0, 2.0])
def test_brusselator_hopf_point(a):
    b = 1 + a * a
    system = models.brusselator(A=a, B=b)
    same(system(0.0, jnp.array([a, b / a])), [0.0, 0.0], scale=16)
    same(eigenvalues(system, [a, b / a]), [1j * a, -1j * a], scale=16)
    same(jnp.trace(jacobian(system.with_params(B=b + 0.1), [a, (b + 0.1) / a])), 0.1, scale=16)


def order_parameter(theta):
    return float(np.abs(np.exp(1j * np.asarray(theta)).mean()))


def test_kuramoto_field_is_the_sum_over_pairs():
    system = models.kuramoto(n=7, seed=2)
    theta, omega = np.asarray(system.x0), np.asarray(system.params["omega"])
    pairs = np.sin(theta[None, :] - theta[:, None]).mean(axis=1)
    same(system(0.0, system.x0), omega + 2.0 * pairs, scale=4)
    same(omega.sum(), 0.0, scale=7)
    same(jnp.sum(system(0.0, system.x0)), 0.0, scale=28)


def test_kuramoto_seeds():
    first, again, other = models.kuramoto(), models.kuramoto(seed=0), models.kuramoto(seed=1)
    np.testing.assert_array_equal(first.params["omega"], again.params["omega"])
    assert not np.array_equal(first.params["omega"], other.params["omega"])
    # 100 standard normal numbers: the standard deviation has a standard error of 0.071.
    assert abs(float(first.params["omega"].std()) - 1) < 4 * 0.071


def test_kuramoto_two_oscillators_lock():
    system = models.kuramoto(n=2, omega=[-0.4, 0.6], K=2.0, x0=[0.0, 1.0])
    end = final_state(system, t1=40.0, dt=0.05).x
    gap = np.arcsin(1.0 / 2.0)
    rate = 2.0 * np.cos(gap)  # the gap relaxes like exp(-rate t): exp(-69) is left
    same(end[1] - end[0], gap, scale=100)
    # The mean phase turns at the mean frequency, 0.1; the locked pair has one neutral direction.
    same(end.mean(), 0.5 + 0.1 * 40, scale=800)
    same(eigenvalues(system, end), [0.0, -rate], scale=100)
    assert abs(order_parameter(end) - np.cos(gap / 2)) < 100 * EPS * 64


def test_kuramoto_two_oscillators_drift_beyond_the_border():
    """Beat period 2 pi / sqrt(d^2 - K^2) when the frequencies differ by d > K."""
    system = models.kuramoto(n=2, omega=[-1.5, 1.5], K=2.0, x0=[0.0, 0.0])
    period = 2 * np.pi / np.sqrt(5.0)

    def measure(dt):
        return np.asarray(final_state(system, n_steps=round(period / dt), dt=dt).x)

    got, tolerance = converged(measure, period / 100, stated=1e-10)
    np.testing.assert_allclose(got, [-np.pi, np.pi], rtol=0, atol=tolerance)
    assert tolerance < 1e-5


def test_kuramoto_order_of_a_locked_crowd():
    """All locked: r solves r = mean sqrt(1 - (omega / (K r))^2); as n grows, the integral over the normal density."""
    n, coupling = 500, 5.0
    omega = norm.ppf((np.arange(n) + 0.5) / n)
    system = models.kuramoto(n=n, omega=omega, K=coupling, x0=np.zeros(n))
    end = final_state(system, t1=20.0, dt=0.05)
    wanted = brentq(lambda r: r - np.mean(np.sqrt(1 - (omega / (coupling * r)) ** 2)), 0.8, 1.0, xtol=1e-15)
    # The slowest mode relaxes at K r cos(largest phase) > 3: exp(-60) is left, and 400 steps of rounding.
    assert abs(order_parameter(end.x) - wanted) < 400 * 64 * EPS

    def limit(r, k):
        a = (k * r / 2) ** 2
        return 1 - k * np.sqrt(np.pi / 8) * np.exp(-a) * (i0(a) + i1(a))

    # The midpoint rule over n quantiles leaves out tails of weight 1/n, where the integrand is of order 1.
    assert abs(brentq(limit, 0.5, 1.0, args=(coupling,)) - wanted) < 1 / n
    assert abs(brentq(limit, 0.3, 0.99, args=(2.0,)) - 0.7151739567) < 5e-11


@pytest.mark.parametrize("bad", [{"n": 1}, {"omega": [1.0, 2.0]}, {"n": 3, "x0": [0.0, 0.0]}])
def test_kuramoto_rejects_sizes(bad):
    with pytest.raises(ValueError, match=r"n=|n >= 2"):
        models.kuramoto(**bad)
