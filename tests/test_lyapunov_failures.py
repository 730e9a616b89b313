"""Lyapunov spectra: errors, failures, precision, derivatives and platforms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxdyn
from jaxdyn import JaxdynWarning, Status, lyapunov_spectrum, models
from jaxdyn.errors import FailedCheck

EPS = np.finfo(np.float64).eps

# Errors and failures


def test_std_error_covers_the_truth(x64):
    """Two standard errors hold the truth in 94.6 % of runs by Student's t with 31 degrees of freedom; 400 runs."""
    starts = np.random.default_rng(3).uniform(0.05, 0.95, (400, 1))

    def run(r):
        system = models.logistic(r=r)
        lanes = jax.vmap(lambda x: lyapunov_spectrum(system.with_state(x), n_steps=6_400, n_transient=200))
        spectrum = jax.jit(lanes)(starts)
        return np.asarray(spectrum.exponents)[:, 0], np.asarray(spectrum.std_error)[:, 0]

    exponents, errors = run(3.9)
    assert 0.9 <= np.mean(np.abs(exponents - 0.49604) <= 2 * errors) <= 0.99
    # At r = 4 the growth is ln 2 plus a difference g(x[n+1]) - g(x[n]), so that errors of batches cancel in their
    # mean: batch means are then too cautious, never too bold.
    exponents, errors = run(4.0)
    assert np.mean(np.abs(exponents - np.log(2)) <= 2 * errors) >= 0.99


def test_the_zero_exponent_of_a_cycle_counts_as_zero(x64):
    spectrum = lyapunov_spectrum(models.van_der_pol(), dt=0.02, n_steps=10_000)
    assert spectrum.kaplan_yorke_dimension == 1


def two_rates(fast):
    """Linear flow that forgets one direction `fast` times faster than e per unit of time."""
    return models.linear_flow(A=[[0.0, 0.0], [0.0, -float(fast)]], x0=[1.0, 1.0])


def test_too_rare_orthonormalization_is_reported(x64):
    """The bound is a difference of growth of -log(eps)/2 = 18.02 within an interval."""
    bound = -0.5 * np.log(EPS)
    dt = 0.01
    for factor, status in ((0.995, Status.OK), (1.005, Status.QR_INTERVAL)):
        # RK4 takes exp(-rate dt) to a relative (rate dt)^4/120 of the rate.
        rate = factor * bound / 0.5
        system = two_rates(rate)
        settings = {"dt": dt / 4, "n_steps": 2_000, "qr_every": 200, "n_transient": 200}
        if status == Status.OK:
            result = lyapunov_spectrum(system, **settings)
        else:
            with pytest.warns(JaxdynWarning, match=r"linear_flow were lost .* lower qr_every=200"):
                result = lyapunov_spectrum(system, **settings)
        assert result.status == status


def test_the_warning_is_kept_inside_jit(x64):
    run = jax.jit(lambda s: lyapunov_spectrum(s, dt=0.0025, n_steps=2_000, qr_every=400, n_transient=0))
    assert run(two_rates(40)).status == Status.QR_INTERVAL  # warnings are errors in these tests


@pytest.mark.filterwarnings("ignore::jaxdyn.errors.JaxdynWarning")
def test_the_sum_exposes_lost_directions(x64):
    """Lorenz with an interval of 4 time units: exp(4 * 15.5) exceeds what a frame can hold."""
    run = lyapunov_spectrum(models.lorenz63(), dt=0.01, n_steps=8_000, n_transient=800, qr_every=400, checks=True)
    assert run.status == Status.QR_INTERVAL
    assert abs(float(run.checks.sum)) > 0.1


def test_a_diverging_orbit_is_reported_and_harms_no_other_lane(x64):
    system = models.logistic()
    starts = np.array([[0.3], [1.5], [np.nan], [0.6]])
    run = jax.jit(jax.vmap(lambda x: lyapunov_spectrum(system.with_state(x), n_steps=500)))
    lanes = run(starts)
    np.testing.assert_array_equal(lanes.status, [Status.OK, Status.NON_FINITE, Status.NON_FINITE, Status.OK])
    calm = run(np.array([[0.3], [0.4], [0.5], [0.6]]))
    for i in (0, 3):
        a, b = (jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), tree) for tree in (lanes, calm))
        jax.tree.map(np.testing.assert_array_equal, a, b)
    with pytest.raises(jaxdyn.FailedLanesError, match="2 of 4 lanes"):
        jaxdyn.raise_if_failed(lanes)


def test_a_superstable_orbit_has_minus_infinity(x64):
    spectrum = lyapunov_spectrum(models.logistic(r=2.0, x0=[0.5]), n_steps=100)
    assert spectrum.exponents[0] == -np.inf
    assert spectrum.status == Status.OK
    assert spectrum.kaplan_yorke_dimension == 0


def test_a_vector_that_overflows_is_reported(x64):
    """In the last interval, within which the state stays finite: 1e20 twice leaves float32."""
    system = jaxdyn.iterated_map(lambda n, x, p: 1e20 * x, {}, [1e-30], dtype=np.float32)
    for n_steps in (2, 4):
        run = lyapunov_spectrum(system, n_steps=n_steps, n_transient=0, qr_every=2, checks=True)
        assert run.status == Status.NON_FINITE and int(run.checks.verdict) & FailedCheck.SUM
    assert lyapunov_spectrum(system, n_steps=2, n_transient=0).status == Status.OK


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_exponents": 0}, "between 1 and the dimension 3 of lorenz63, got 0"),
        ({"n_exponents": 4}, "between 1 and the dimension 3 of lorenz63, got 4"),
        ({"qr_every": 0}, "qr_every must be a whole number of at least 1"),
        ({"qr_every": 2.0}, "qr_every must be a whole number"),
        ({"qr_every": 7, "n_transient": 7}, "n_steps=100 must be a multiple of qr_every=7; use n_steps=105"),
        ({"qr_every": 10, "n_transient": 5}, "n_transient=5 must be a multiple of qr_every=10; use n_transient=10"),
        ({"n_transient": -1}, "n_transient must be a whole number of at least 0"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1"),
        ({"checks": True, "n_exponents": 2}, "checks need all 3 exponents, got n_exponents=2"),
        ({"dt": -0.01}, "dt must be positive, got -0.01"),
    ],
)
def test_wrong_arguments_say_what_fits(arguments, message):
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(models.lorenz63(), **({"dt": 0.01, "n_steps": 100} | arguments))


def test_maps_take_no_step():
    with pytest.raises(TypeError, match="dt and t1 are for flows"):
        lyapunov_spectrum(models.henon(), n_steps=10, dt=1.0)


# Precision, transformations, platforms


@pytest.mark.slow
def test_float32_agrees_with_float64(x64):
    """Chaotic orbits part, so that the two are different samples of one average."""
    settings = {"dt": 0.01, "n_steps": 8_000, "n_transient": 1_000}
    results = []
    for dtype in (jnp.float32, jnp.float64):
        system = models.lorenz63(dtype=dtype)
        starts = np.random.default_rng(0).uniform([-5, -5, 15], [5, 5, 25], (16, 3)).astype(dtype)
        run = jax.jit(jax.vmap(lambda x, s=system: lyapunov_spectrum(s.with_state(x), **settings)))(starts)
        assert run.exponents.dtype == dtype
        results.append(np.asarray(run.exponents, float))
    errors = [r.std(axis=0, ddof=1) / 4 for r in results]
    difference = results[0].mean(axis=0) - results[1].mean(axis=0)
    assert np.all(np.abs(difference) <= 4 * np.hypot(*errors))
    # The sum has no statistical error: float32 loses a rounding a step, of either sign, relative to dt.
    np.testing.assert_allclose(results[0].sum(axis=1), results[1].sum(axis=1), atol=100 * 6e-8 / 0.01)


def test_long_float32_sums_lose_no_digits(x64):
    """Without compensation the sum of 3e5 terms of one sign drifts by hundreds of roundings of its size."""
    system = models.linear_map(A=[[0.7, 0.0], [0.0, 0.3]], dtype=jnp.float32, x0=[0.0, 0.0])
    spectrum = lyapunov_spectrum(system, n_steps=300_000, n_transient=3_200)
    np.testing.assert_allclose(spectrum.exponents, np.log(np.float32([0.7, 0.3])), rtol=4 * 6e-8)


@pytest.mark.slow
def test_the_gradient_of_a_stable_exponent_equals_the_finite_difference(x64):
    """A cycle of period 4: the exponent is smooth in the parameter."""

    def largest(a):
        return lyapunov_spectrum(models.henon().with_params(a=a), n_steps=256, n_transient=256).exponents[0]

    largest = jax.jit(largest)
    forward = float(jax.jvp(largest, (1.0,), (1.0,))[1])
    reverse = float(jax.grad(largest)(1.0))
    h = 1e-4
    coarse, fine = (float(largest(1.0 + s) - largest(1.0 - s)) / (2 * s) for s in (h, h / 2))
    error = abs(fine - coarse) + 1e-13 / h  # Richardson's estimate and rounding
    assert error < 1e-4 * abs(fine)
    assert abs(forward - fine) <= error
    assert abs(reverse - forward) <= 1e-9 * abs(forward)


def test_the_gradient_of_a_linear_exponent_is_exact(x64):
    def largest(a):
        system = models.linear_map().with_params(A=jnp.array([[1.0, 0.0], [0.0, 0.3]]) * a)
        return lyapunov_spectrum(system, n_steps=64).exponents[0]

    np.testing.assert_allclose(jax.grad(largest)(0.8), 1 / 0.8, rtol=1e-12)


@pytest.mark.parametrize(("platform", "n"), [("cuda", 3), ("tpu", 3), ("cuda", 12), ("tpu", 12)])
def test_spectra_lower_for_accelerators(platform, n):
    """Three states by elementwise code, twelve by Householder QR."""
    system = models.lorenz63() if n == 3 else models.lorenz96(n=12)

    @jax.jit
    def run(x0, params):
        system_there = dataclasses.replace(system, x0=x0, params=params)
        return lyapunov_spectrum(system_there, dt=0.01, n_steps=64).exponents

    exported = export.export(run, platforms=[platform])(system.x0, system.params)
    assert exported.platforms == (platform,)
    assert "callback" not in exported.mlir_module()
