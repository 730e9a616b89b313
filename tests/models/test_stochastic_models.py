"""Stochastic models: what is known of them, in standard errors over many seeds."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, linalg

import jaxdyn
from jaxdyn import models
from jaxdyn.methods import Milstein, StochasticHeun

pytestmark = pytest.mark.usefixtures("x64")


def many(system, *, n=20_000, method=None, **steps):
    run = functools.partial(jaxdyn.final_state, method=method, **steps)
    return np.asarray(jaxdyn.lanes(lambda seed: run(system.with_params(seed=seed)).x)(jnp.arange(n, dtype=jnp.int32)))


def assert_mean(values, expected, slack=0.0):
    assert abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5 + slack


def test_ornstein_uhlenbeck():
    """Heun's variance misses the exact one by (theta dt)^2 / 4: 1e-4 of it, a hundredth of the standard error."""
    system = models.ornstein_uhlenbeck(theta=2.0, mu=0.5, sigma=0.8)
    early, late = (many(system, n_steps=n, dt=0.01, method=StochasticHeun())[:, 0] for n in (500, 525))
    assert_mean(late, 0.5)
    assert_mean((late - 0.5) ** 2, 0.8**2 / 4)
    assert_mean((late - 0.5) * (early - 0.5), 0.8**2 / 4 * np.exp(-2 * 0.25))


def test_geometric_brownian_motion():
    mu, sigma = 0.3, 0.5
    system = models.geometric_brownian_motion(mu=mu, sigma=sigma)
    end = many(system, n_steps=400, dt=0.0025, method=Milstein())[:, 0]
    assert_mean(np.log(end), mu - sigma**2 / 2, slack=0.0025)
    assert_mean((np.log(end) - mu + sigma**2 / 2) ** 2, sigma**2, slack=0.0025)
    assert_mean(end, np.exp(mu), slack=0.0025)


def test_double_well():
    """Moments of the stationary density, and the rate of leaving a well for weak noise by Kramers' formula."""
    sigma = 0.8

    def density(x):
        return np.exp(-2 * (x**4 / 4 - x**2 / 2) / sigma**2)

    square = integrate.quad(lambda x: x**2 * density(x), -6, 6)[0] / integrate.quad(density, -6, 6)[0]
    end = many(models.double_well(sigma=sigma), n_steps=2_000, dt=0.02, method=StochasticHeun())[:, 0]
    assert_mean(end**2, square, slack=4e-4)  # of second order
    assert_mean(end, 0.0, slack=0.05)  # 40 time units are six times the time of a transition
    a, b, weak = 1.5, 2.0, 0.3
    rate = a / (2**0.5 * np.pi) * np.exp(-(a**2) / (2 * b * weak**2))
    curvatures = 2 * a, a  # of the well and of the barrier
    height = a**2 / (4 * b)
    assert rate == pytest.approx((curvatures[0] * curvatures[1]) ** 0.5 / (2 * np.pi) * np.exp(-2 * height / weak**2))
    assert jaxdyn.fixed_points(models.double_well(a=a, b=b)).x[2, 0] == pytest.approx((a / b) ** 0.5)


def test_lyapunov_exponent_that_the_double_well_states():
    def density(x):
        return np.exp(-2 * (x**4 / 4 - x**2 / 2) / 0.5**2)

    parts = [integrate.quad(lambda x, k=k: x**k * density(x), -6, 6, points=[-1, 0, 1])[0] for k in (0, 2)]
    assert 1 - 3 * parts[1] / parts[0] == pytest.approx(-1.5564085, abs=1e-7)


def test_fitzhugh_nagumo_at_weak_noise():
    """Covariance about rest, with noise so weak that the linear system stands for all."""
    sigma = 1e-3
    system = models.noisy_fitzhugh_nagumo(sigma=sigma)
    rest = jaxdyn.fixed_points(system).x[0]
    jacobian = np.asarray(jaxdyn.jacobian(system, rest))
    covariance = linalg.solve_continuous_lyapunov(jacobian, -np.diag([1.0, 0.0]))
    np.testing.assert_allclose(np.diag(covariance), [10.38463, 0.79842505], rtol=1e-6)
    settled = many(system.with_state(rest), n_steps=4_000, dt=0.05, method=StochasticHeun()) - np.asarray(rest)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        # 200 time units are five times the slowest one of the covariance, 1 / 0.0506: e^-10 of it is missing.
        assert_mean(settled[:, i] * settled[:, j] / sigma**2, covariance[i, j], slack=1e-3 * covariance[i, j])


def test_fitzhugh_nagumo_without_noise_is_the_neuron():
    noisy, neuron = models.noisy_fitzhugh_nagumo(sigma=0.0, I=0.5), models.fitzhugh_nagumo()
    ends = [
        jaxdyn.final_state(s, n_steps=100, dt=0.1, method=m).x for s, m in ((noisy, None), (neuron, jaxdyn.Euler()))
    ]
    np.testing.assert_allclose(*ends, rtol=1e-12)


def test_coherence_resonance():
    """Intervals between spikes are most regular at a noise that is neither weak nor strong."""
    spikes = jaxdyn.reducers.Spikes("v", threshold=1.0, reset=0.0)
    measure = functools.partial(jaxdyn.reduce, reducers=spikes, n_steps=100_000, dt=0.02, n_transient=5_000)
    over = {"sigma": [0.04, 0.27, 1.0], "seed": range(32)}
    cv = jaxdyn.sweep(measure, models.noisy_fitzhugh_nagumo(), over, progress=False).isi_cv
    mean, error = cv.mean("seed").values, cv.std("seed").values / 32**0.5
    assert mean[1] + 10 * error[1] < min(mean[0] - 3 * error[0], mean[2] - 3 * error[2])
