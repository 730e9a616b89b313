"""Random Lyapunov exponents: growth of perturbations under common noise, beside closed forms, in standard errors."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

import jaxdyn
from jaxdyn import EulerMaruyama, models, sde
from jaxdyn.methods import Milstein, StochasticHeun

pytestmark = pytest.mark.usefixtures("x64")
METHODS = [EulerMaruyama(), Milstein(), StochasticHeun()]
EACH = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


def exponents(system, *, n=256, method=None, **steps):
    """Spectra of many seeds: mean and standard error of each exponent, and the median error that a run tells."""
    measure = functools.partial(jaxdyn.lyapunov_spectrum, method=method, **steps)
    found = jaxdyn.lanes(lambda seed: measure(system.with_params(seed=seed)))(jnp.arange(n, dtype=jnp.int32))
    assert np.all(np.asarray(found.status) == jaxdyn.Status.OK)
    values = np.asarray(found.exponents)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / n**0.5, np.median(found.std_error, axis=0)


@EACH
def test_geometric_brownian_motion(method):
    """The exponent mu - sigma^2/2. Of log|1 + h| of a linear step h the bias is below dt."""
    mu, sigma, dt = 0.3, 0.8, 0.002
    system = models.geometric_brownian_motion(mu=mu, sigma=sigma)
    mean, error, own = exponents(system, n_steps=10_000, dt=dt, n_transient=0, method=method)
    assert abs(mean[0] - (mu - sigma**2 / 2)) < 4 * error[0] + dt
    np.testing.assert_allclose(own[0], sigma / (10_000 * dt) ** 0.5, rtol=0.1)  # independent growth: batches know it
    np.testing.assert_allclose(error[0] * 16, sigma / (10_000 * dt) ** 0.5, rtol=0.2)


def test_commuting_matrices():
    """dz = (a + i w) z dt + (b + i c) z dW: both exponents a - (b^2 - c^2)/2, and d of a third state that is apart."""
    a, w, b, c, d = 0.1, 2.0, 0.5, 0.9, -0.7

    def drift(t, x, p):
        return a * x[0] - w * x[1], w * x[0] + a * x[1], d * x[2]

    def diffusion(t, x, p):
        return jnp.stack([b * x[0] - c * x[1], c * x[0] + b * x[1], 0 * x[2]])[:, None]

    system = sde(drift, diffusion, {}, [1.0, 0.0, 1.0])
    mean, error, _ = exponents(system, n_steps=20_000, dt=0.001, n_transient=20_000, method=Milstein())
    expected = [a - (b**2 - c**2) / 2] * 2 + [d]
    assert np.all(np.abs(mean - expected) < 4 * error + 0.004)  # a bias of dt (w^2 + ...) / 2


@EACH
def test_brownian_motion_on_a_circle(method):
    """sin(x) dW1 + cos(x) dW2, isotropic: growth is an Ito integral minus sigma^2/2."""
    sigma = 0.8
    system = sde(
        lambda t, x, p: jnp.zeros_like(x),
        lambda t, x, p: sigma * jnp.stack([jnp.sin(x), jnp.cos(x)], axis=1),
        {},
        [0.3],
    )
    mean, error, own = exponents(system, n_steps=5_000, dt=0.004, n_transient=0, method=method)
    assert abs(mean[0] + sigma**2 / 2) < 4 * error[0] + 0.004
    np.testing.assert_allclose(own[0], sigma / 20**0.5, rtol=0.1)


def test_double_well():
    """The mean slope of the drift over the stationary density exp(-2 V / sigma^2)."""
    sigma = 0.9

    def density(x):
        return np.exp(-2 * (x**4 / 4 - x**2 / 2) / sigma**2)

    def mean_of(f):
        return integrate.quad(lambda x: f(x) * density(x), -6, 6)[0] / integrate.quad(density, -6, 6)[0]

    system = models.double_well(sigma=sigma)
    mean, error, own = exponents(system, n_steps=40_000, dt=0.01, n_transient=2_000, method=StochasticHeun())
    assert abs(mean[0] - mean_of(lambda x: 1 - 3 * x**2)) < 4 * error[0] + 1e-3  # a bias of second order
    assert 0.7 < own[0] / (error[0] * 16) < 1.3


@EACH
def test_the_sum_rule_holds_with_the_noise_of_the_run(method):
    """Exponents add up to the mean of tr A dt - sum tr B^2 dt / 2 + sum tr B dW along the same path, not on average."""

    def diffusion(t, x, p):
        return jnp.stack([jnp.sin(x), 0.3 * jnp.stack([x[1], x[0] * x[1]])], axis=1)

    interpretation = jaxdyn.Stratonovich() if isinstance(method, EulerMaruyama) else jaxdyn.Ito()
    system = sde(lambda t, x, p: -x, diffusion, {}, [0.5, -0.2], interpretation=interpretation)
    run = jaxdyn.lyapunov_spectrum(system, dt=1e-3, n_steps=20_000, checks=True, method=method)
    assert abs(float(run.checks.sum)) < 0.2 * float(run.std_error.max())
    assert int(run.checks.verdict) == 0 and np.isnan(run.checks.zero)


def test_the_sum_rule_of_diagonal_noise():
    system = sde(lambda t, x, p: -x, lambda t, x, p: jnp.stack([x[0] * x[1], jnp.cos(x[1])]), {}, [0.5, -0.2])
    run = jaxdyn.lyapunov_spectrum(system, dt=1e-3, n_steps=20_000, checks=True, method=Milstein())
    assert abs(float(run.checks.sum)) < 0.2 * float(run.std_error.max()) and int(run.checks.verdict) == 0


def test_checks_of_additive_noise_warn_of_the_step_only():
    """Of a linear system nothing is statistical: Euler's exponent log(1 - h)/dt differs from -theta, and is told so."""
    system = models.ornstein_uhlenbeck()
    rough, fine = (
        jaxdyn.lyapunov_spectrum(system, dt=dt, n_steps=2_000, checks=True, method=method)
        for dt, method in ((0.1, EulerMaruyama()), (1e-4, StochasticHeun()))
    )
    assert float(rough.exponents[0]) == pytest.approx(np.log(0.9) / 0.1, rel=1e-9)
    assert int(rough.checks.verdict) == jaxdyn.errors.FailedCheck.SUM and int(fine.checks.verdict) == 0


def test_other_analyses_of_tangents_run_with_the_same_noise():
    system, run = models.noisy_fitzhugh_nagumo(), {"n_steps": 4_000, "dt": 0.05}
    whole = jaxdyn.lyapunov_spectrum(system, n_transient=0, **run)
    largest = jaxdyn.maximal_lyapunov(system, n_transient=0, **run)
    np.testing.assert_allclose(largest.exponent, whole.exponents[0], rtol=1e-9)
    vectors = jaxdyn.covariant_lyapunov_vectors(
        system, n_steps=2_000, n_transient_forward=1_000, n_transient_backward=1_000, save_every=10, dt=0.05
    )
    assert int(vectors.status) == jaxdyn.Status.OK
