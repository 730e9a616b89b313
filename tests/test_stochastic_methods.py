"""Stochastic methods: strong orders on common Brownian paths, weak orders and stationary laws over many seeds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brownian import ends, fine_increments, order

import jaxdyn
from jaxdyn import EulerMaruyama, Ito, Stratonovich, models, sde
from jaxdyn.methods import Milstein, StochasticHeun

pytestmark = pytest.mark.usefixtures("x64")
METHODS = [EulerMaruyama(), Milstein(), StochasticHeun()]
EACH = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
FINE, STEPS = 1024, (64, 32, 16, 8)  # fine increments of a path, and how many a step takes

SPIN = np.array([[0.0, -1.0], [1.0, 0.0]])


def geometric(mu=0.7, sigma=0.8, interpretation=None):
    """The amplitude depends on the state: Ito, unless another interpretation is named."""
    return sde(
        lambda t, x, p: p["mu"] * x,
        lambda t, x, p: p["sigma"] * x,
        {"mu": mu, "sigma": sigma},
        [1.0],
        interpretation=interpretation or Ito(),
    )


def strong_errors(system, method, increments, exact):
    return [float(np.mean(np.abs(ends(system, method, increments, every) - exact))) for every in STEPS]


# Slopes over a factor of 8 in the step, of means over 1000 paths. These have errors of 3 %, mostly common to all steps:
# 0.02 in the slope. What higher orders add at the coarsest step, dt = 1/16, is the larger part.
SLACK = 0.12


@pytest.mark.parametrize(
    ("method", "expected"), list(zip(METHODS, (0.5, 1.0, 1.0), strict=True)), ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize("interpretation", [Ito(), Stratonovich()], ids=str)
def test_strong_order_of_one_process(method, expected, interpretation):
    """Against x0 exp((mu - sigma^2/2) t + sigma W), of Stratonovich x0 exp(mu t + sigma W), on the same path."""
    increments = fine_increments(1000, FINE, 1)
    shift = 0.32 if isinstance(interpretation, Ito) else 0.0
    exact = np.exp(0.7 - shift + 0.8 * increments.sum(axis=1))
    errors = strong_errors(geometric(interpretation=interpretation), method, increments, exact)
    assert abs(order(errors) - expected) < SLACK


@EACH
def test_strong_order_of_additive_noise_is_one(method):
    """Against steps that are finer by a factor of eight: theirs is the error that is left, an eighth."""
    system = models.double_well(sigma=0.7)
    increments = fine_increments(1000, FINE, 1)
    errors = strong_errors(system, method, increments, ends(system, StochasticHeun(), increments, 1))
    assert order(errors) > 1 - SLACK


@pytest.mark.parametrize(
    ("method", "expected"), list(zip(METHODS, (0.5, 1.0, 1.0), strict=True)), ids=lambda v: type(v).__name__
)
def test_strong_order_of_two_processes_that_commute(method, expected):
    """dz = (a + i w) z dt + (b + i c) z dW1 + d z dW2 of a complex number z, solved by an exponential."""
    a, b, d = -0.2 + 0.3j, 0.5 + 0.5j, 0.7  # turns so slow that the noise makes the error

    def times(z):
        return z.real * np.eye(2) + z.imag * SPIN

    system = sde(
        lambda t, x, p: times(a) @ x,
        lambda t, x, p: jnp.stack([times(b) @ x, d * x], axis=1),
        {},
        [1.0, 0.0],
    )
    increments = fine_increments(1000, FINE, 2)
    w1, w2 = np.moveaxis(np.asarray(increments.sum(axis=1)), 1, 0)
    z = np.exp(a - (b**2 + d**2) / 2 + b * w1 + d * w2)
    errors = strong_errors(system, method, increments, np.stack([z.real, z.imag], axis=1))
    assert abs(order(errors) - expected) < SLACK


@EACH
def test_strong_order_without_commuting_is_a_half(method):
    """Brownian motion on a circle by two processes: the area between their paths is what no method here knows."""
    system = sde(
        lambda t, x, p: jnp.zeros_like(x),
        lambda t, x, p: jnp.stack([jnp.sin(x), jnp.cos(x)], axis=1),
        {},
        [0.3],
    )
    increments = fine_increments(1000, 4 * FINE, 2)
    exact = ends(system, StochasticHeun(), increments, 1)
    errors = [float(np.mean(np.abs(ends(system, method, increments, 4 * every) - exact))) for every in STEPS]
    assert abs(order(errors) - 0.5) < SLACK


def many(system, method, *, n=100_000, **steps):
    """Last states of many seeds."""
    run = lambda seed: jaxdyn.final_state(system.with_params(seed=seed), method=method, **steps).x  # noqa: E731
    return np.asarray(jaxdyn.lanes(run)(jnp.arange(n, dtype=jnp.int32)))[:, 0]


def assert_mean(values, expected):
    """Within four standard errors: one of 16 000 would miss it by chance."""
    assert abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5


MEAN_FACTORS = {
    # Mean of x[n+1] / x[n] of dx = a x dt + b x dW (Ito) with h = a dt, s = b^2 dt, and Stratonovich drift h - s/2.
    "EulerMaruyama": lambda h, s: 1 + h,
    "Milstein": lambda h, s: 1 + h,
    "StochasticHeun": lambda h, s: 1 + (h - s / 2) + (h - s / 2) ** 2 / 2 + s / 2,
}


@EACH
def test_weak_order_is_one(method):
    """The mean of many seeds is the one that the method must have, which misses the exact one in first order."""
    mu, sigma, n_steps = 0.7, 0.8, 8
    factor = MEAN_FACTORS[type(method).__name__]
    values = many(geometric(mu, sigma), method, n_steps=n_steps, dt=1 / n_steps)
    assert_mean(values, factor(mu / n_steps, sigma**2 / n_steps) ** n_steps)
    errors = [abs(factor(mu / n, sigma**2 / n) ** n - np.exp(mu)) for n in (256, 512, 1024)]
    assert order(errors) == pytest.approx(1, abs=0.01)


STATIONARY = {
    # Variance over sigma^2/(2 theta) of an Ornstein-Uhlenbeck process with h = theta dt: fixed point of its recursion.
    "EulerMaruyama": lambda h: 1 / (1 - h / 2),
    "Milstein": lambda h: 1 / (1 - h / 2),
    "StochasticHeun": lambda h: (1 - h / 2) ** 2 / (1 - h + h**2 / 2 - h**3 / 8),
}


@EACH
def test_stationary_variance(method):
    theta, sigma, dt = 2.0, 0.7, 0.25
    system = models.ornstein_uhlenbeck(theta=theta, mu=0.4, sigma=sigma)
    values = many(system, method, n_steps=60, dt=dt)
    assert_mean(values, 0.4)
    assert_mean((values - 0.4) ** 2, STATIONARY[type(method).__name__](theta * dt) * sigma**2 / (2 * theta))


def test_heun_has_weak_order_two_for_additive_noise():
    errors = [abs(STATIONARY["StochasticHeun"](h) - 1) for h in (0.02, 0.01, 0.005)]
    assert order(errors) == pytest.approx(2, abs=0.02)
    errors = [abs(STATIONARY["EulerMaruyama"](h) - 1) for h in (0.02, 0.01, 0.005)]
    assert order(errors) == pytest.approx(1, abs=0.02)


def test_milstein_is_the_formula_of_the_books():
    """x + a dt + b dW + b b' (dW^2 - dt) / 2 for one process."""
    system = sde(lambda t, x, p: -x, lambda t, x, p: jnp.sin(x), {}, [0.8])
    x, dt, dw = system.x0, jnp.array(0.1), jnp.array([0.27])
    expected = x - x * dt + jnp.sin(x) * dw + jnp.sin(x) * jnp.cos(x) * (dw**2 - dt) / 2
    np.testing.assert_allclose(Milstein().advanced(system, jnp.array(0.0), x, dt, dw), expected, rtol=1e-14)


def coupled(interpretation, b):
    return sde(lambda t, x, p: -x + t, b, {}, [0.7, -0.4], interpretation=interpretation)


AMPLITUDES = {
    # Amplitude, and half the sum over processes of (db_j/dx) b_j written out by hand.
    "diagonal": (
        lambda t, x, p: (x[0] * x[1], jnp.sin(x[1])),
        lambda x: jnp.stack([x[0] * x[1] ** 2, jnp.sin(x[1]) * jnp.cos(x[1])]) / 2,
    ),
    "one process": (
        lambda t, x, p: jnp.stack([x[1], x[0] * x[1]])[:, None],
        lambda x: jnp.stack([x[0] * x[1], x[1] * x[1] + x[0] * x[0] * x[1]]) / 2,
    ),
    "two processes": (
        lambda t, x, p: jnp.stack([jnp.stack([x[1], x[0]]), jnp.stack([jnp.ones_like(x[0]), x[1]])]),
        # columns (x1, 1) and (x0, x1): derivatives (dx1, 0) along (x1, 1), and (dx0, dx1) along (x0, x1)
        lambda x: jnp.stack([1 + x[0], x[1]]) / 2,
    ),
}


@pytest.mark.parametrize("name", AMPLITUDES)
def test_correction_between_the_interpretations(name):
    b, by_hand = AMPLITUDES[name]
    system = coupled(Ito(), b)
    x = system.x0
    np.testing.assert_allclose(system.correction(0.0, x), by_hand(x), rtol=1e-14)
    np.testing.assert_allclose(system.stratonovich_drift(0.5, x), -x + 0.5 - by_hand(x), rtol=1e-14)
    np.testing.assert_array_equal(system.ito_drift(0.5, x), -x + 0.5)
    other = coupled(Stratonovich(), b)
    np.testing.assert_allclose(other.ito_drift(0.5, x), -x + 0.5 + by_hand(x), rtol=1e-14)
    np.testing.assert_array_equal(other.stratonovich_drift(0.5, x), -x + 0.5)


@EACH
@pytest.mark.parametrize("name", AMPLITUDES)
def test_an_equation_written_in_either_way_is_the_same(name, method):
    b, by_hand = AMPLITUDES[name]
    ito = coupled(Ito(), b)
    same = sde(lambda t, x, p: -x + t - by_hand(x), b, {}, ito.x0, interpretation=Stratonovich())
    runs = [jaxdyn.trajectory(system, n_steps=50, dt=0.01, method=method).x for system in (ito, same)]
    np.testing.assert_allclose(*runs, rtol=1e-11)


def test_the_interpretation_matters():
    """Growth of the mean: mu of Ito, mu + sigma^2/2 of Stratonovich equations, by the default method of each."""
    for interpretation, growth in ((Ito(), 0.2), (Stratonovich(), 0.2 + 0.125)):
        values = many(geometric(0.2, 0.5, interpretation), None, n_steps=200, dt=0.005)
        assert_mean(values, np.exp(growth))  # the error of the step is below 3e-4, a fifth of a standard error


def test_time_enters_drift_and_diffusion():
    """Noise of amplitude t: the variance at t = 1 is the sum of t^2 dt over the beginnings of steps."""
    system = sde(lambda t, x, p: jnp.stack([t]), lambda t, x, p: jnp.stack([t]), {}, [0.0])
    values, t = many(system, EulerMaruyama(), n_steps=10, dt=0.1), np.arange(10) / 10
    assert_mean(values, t.sum() / 10)
    assert_mean((values - t.sum() / 10) ** 2, (t**2).sum() / 10)
    values, mean = many(system, StochasticHeun(), n_steps=10, dt=0.1), (t + 0.05).sum() / 10
    assert_mean((values - mean) ** 2, ((t + 0.05) ** 2).sum() / 10)


@EACH
def test_gradients_are_those_at_fixed_noise(method):
    """Against central differences of step 1e-5, whose error is 1e-10 and rounding 1e-11."""
    system = geometric(0.1, 0.4)

    def end(sigma, x0):
        own = system.with_params(sigma=sigma, seed=3).with_state([x0])
        return jaxdyn.final_state(own, n_steps=20, dt=0.05, method=method).x[0]

    h = 1e-5
    reverse = jax.grad(end, argnums=(0, 1))(0.4, 1.0)
    forward = [jax.jvp(end, (0.4, 1.0), tangent)[1] for tangent in ((1.0, 0.0), (0.0, 1.0))]
    differences = [
        (end(0.4 + h, 1.0) - end(0.4 - h, 1.0)) / (2 * h),
        (end(0.4, 1.0 + h) - end(0.4, 1.0 - h)) / (2 * h),
    ]
    np.testing.assert_allclose(reverse, differences, rtol=1e-8)
    np.testing.assert_allclose(forward, reverse, rtol=1e-12)
