"""Largest exponent by one tangent vector: the spectrum's first, closed forms, errors, transforms, failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, maximal_lyapunov, models

EPS = np.finfo(np.float64).eps

RUNS = {
    "left over": (models.henon, {"n_steps": 205, "n_transient": 15}, 5),
    "tsit5": (models.lorenz63, {"n_steps": 64, "dt": 0.01, "n_transient": 0, "method": jaxdyn.Tsit5()}, 1),
}


@pytest.mark.parametrize("name", RUNS)
def test_equals_the_first_of_the_spectrum(name, x64):
    make, settings, every = RUNS[name]
    run = maximal_lyapunov(make(), qr_every=every, **settings)
    spectrum = jaxdyn.lyapunov_spectrum(make(), n_exponents=1, qr_every=every, **settings)
    # One program.
    for ours, theirs in (
        (run.exponent, spectrum.exponents[0]),
        (run.std_error, spectrum.std_error[0]),
        (run.running, spectrum.running[:, 0]),
        (run.running_time, spectrum.running_time),
        (run.direction, spectrum.frame[0]),
        (run.x, spectrum.x),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    assert run.status == Status.OK


def test_the_default_transient_is_a_tenth(x64):
    whole = maximal_lyapunov(models.henon(), n_steps=105, qr_every=5)
    given = maximal_lyapunov(models.henon(), n_steps=105, qr_every=5, n_transient=10)
    np.testing.assert_array_equal(whole.exponent, given.exponent)


def test_rare_scaling_does_not_matter(x64):
    """One scaling in 500 steps: 1.5^500 = 1e88 is well inside float64. In float32 (1e38) it is reported."""
    system = models.linear_map(A=np.diag([1.5, 0.5]), x0=[0.0, 0.0])
    run = maximal_lyapunov(system, n_steps=5_000, qr_every=500)
    np.testing.assert_allclose(run.exponent, np.log(1.5), atol=1e-12)
    narrow = models.linear_map(A=np.diag([1.5, 0.5]).astype(np.float32), x0=[0.0, 0.0], dtype=jnp.float32)
    assert maximal_lyapunov(narrow, n_steps=5_000, qr_every=500).status == Status.NON_FINITE


def test_single_precision_sums_do_not_lose_digits():
    """2^17 steps of a constant growth: each term rounds, the compensated sum does not."""
    system = models.linear_map(A=np.diag([1.1, 0.5]).astype(np.float32), x0=[0.0, 0.0])
    run = maximal_lyapunov(system, n_steps=2**17)
    assert run.exponent.dtype == jnp.float32
    # log(1.1) of float32: an error of one ulp of 1.1 in the factor, a few in the length and the logarithm.
    np.testing.assert_allclose(run.exponent, np.log(1.1), rtol=0, atol=4 * 1.2e-7)


def test_error_covers_the_truth(x64):
    """Logistic map, r = 4: ln 2 within four standard errors, in each of 16 lanes."""
    starts = np.linspace(0.11, 0.83, 16)[:, None]
    runs = jax.vmap(lambda x: maximal_lyapunov(models.logistic(r=3.9).with_state(x), n_steps=20_000))(starts)
    # 0.49604(2), from the model's known results.
    assert np.all(np.abs(runs.exponent - 0.49604) < 4 * runs.std_error + 2e-5)
    spread = np.std(runs.exponent, ddof=1)
    # 16 lanes and 32 batches know a standard deviation to 18 % and 13 %: four of their combination.
    np.testing.assert_allclose(np.mean(runs.std_error), spread, rtol=4 * np.hypot(0.18, 0.13 / 4))


def test_sticky_orbits_have_larger_errors_than_their_batches(x64):
    """Standard map, k = 2, as the docstring says: the mean of many starts is right, and one orbit's error is not."""
    starts = [0.1, 6.0] + 1e-6 * np.random.default_rng(1).standard_normal((64, 2))
    runs = jax.jit(jax.vmap(lambda x: maximal_lyapunov(models.standard_map(k=2.0, x0=x), n_steps=100_000)))(starts)
    spread = np.std(runs.exponent, ddof=1)
    # 0.4375(7), an independent value.
    assert abs(np.mean(runs.exponent) - 0.4375) < 3 * np.hypot(spread / 8, 7e-4)
    # Batches that held would have the spread as their error, which 64 starts tell to 9 %.
    assert spread > 1.5 * np.median(runs.std_error)


def test_a_superstable_orbit_has_minus_infinity(x64):
    run = maximal_lyapunov(models.logistic(r=2.0).with_state([0.5]), n_steps=10)
    assert run.exponent == -np.inf and run.status == Status.OK


def test_gradient_of_a_linear_map(x64):
    """The exponent of diag(a, 0.5) is log a, once the vector has turned: (0.4)^100 of the other direction is left."""

    def exponent(a):
        system = models.linear_map(A=jnp.diag(jnp.stack([a, jnp.asarray(0.5)])))
        return maximal_lyapunov(system, n_steps=8, n_transient=100).exponent

    np.testing.assert_allclose(jax.grad(exponent)(1.25), 0.8, rtol=1e-12)


def test_a_trajectory_that_leaves_is_reported(x64):
    assert maximal_lyapunov(models.logistic(r=5.0), n_steps=100).status == Status.NON_FINITE


def test_a_vector_that_overflows_is_reported():
    """In the last interval, within which the state stays finite: 1e20 twice leaves float32."""
    system = jaxdyn.iterated_map(lambda n, x, p: 1e20 * x, {}, [1e-30])
    assert maximal_lyapunov(system, n_steps=2, n_transient=0, qr_every=2).status == Status.NON_FINITE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt": -0.1}, "dt must be positive, got -0.1"),
        ({"qr_every": 3}, "n_steps=10 must be a multiple of qr_every=3; use n_steps=12"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1"),
    ],
)
def test_wrong_arguments(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        maximal_lyapunov(models.lorenz63(), **({"n_steps": 10, "dt": 0.1} | arguments))
