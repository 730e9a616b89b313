"""Local exponents of the windows of one trajectory: their average, each of them, their spread."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, local_lyapunov, models
from jaxdyn.analysis.matrices import generic_frame

EPS = np.finfo(np.float64).eps

WINDOWS = {
    "henon": (models.henon, {"n_steps": 960, "n_transient": 100}, 10, 5),
    "lorenz": (models.lorenz63, {"n_steps": 640, "n_transient": 100, "dt": 0.01}, 20, 2),
    "two of three": (models.lorenz63, {"n_steps": 64, "dt": 0.01, "n_exponents": 2}, 1, 1),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_their_average_is_the_spectrum(name, x64):
    make, settings, window, every = WINDOWS[name]
    local = local_lyapunov(make(), window=window, qr_every=every, **settings)
    spectrum = jaxdyn.lyapunov_spectrum(make(), qr_every=every, **settings)
    np.testing.assert_allclose(local.exponents, spectrum.exponents, rtol=1e-10, atol=1e-12)
    # The windows fill the 32 batches of the spectrum.
    np.testing.assert_allclose(local.std_error, spectrum.std_error, rtol=1e-8)
    assert local.local_exponents.shape == (settings["n_steps"] // window, len(spectrum.exponents))
    assert local.status == Status.OK


def test_each_window_against_a_product_of_jacobians(x64):
    """Plain numpy; at a = 1 the orbit goes to a cycle of period 4 so that rounding does not grow."""
    window, n_steps, n_transient = 3, 21, 4
    system = models.henon(a=1.0)
    local = local_lyapunov(system, n_steps=n_steps, window=window, n_transient=n_transient)
    path = np.asarray(jaxdyn.trajectory(system, n_steps=n_steps + n_transient).x)
    np.testing.assert_allclose(local.x, path[n_transient:-1:window], rtol=1e-12)
    np.testing.assert_array_equal(local.t, n_transient + window * np.arange(7))
    vectors = np.asarray(generic_frame(2, 2, system.dtype)).T
    logs = []
    for x, _ in path[:-1]:
        vectors, r = np.linalg.qr(np.array([[-2 * x, 1], [0.3, 0]]) @ vectors)
        logs.append(np.log(np.abs(np.diag(r))))
    expected = np.array(logs[n_transient:]).reshape(7, window, 2).mean(axis=1)
    expected = expected[:, np.argsort(-expected.mean(axis=0))]
    np.testing.assert_allclose(local.local_exponents, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(local.exponents, expected.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(local.standard_deviation, expected.std(axis=0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(local.scaled_deviation, expected.std(axis=0, ddof=1) * np.sqrt(window), rtol=1e-10)
    np.testing.assert_array_equal(local.positive_fraction, (expected > 0).mean(axis=0))


def test_windows_of_a_constant_matrix_are_all_the_same(x64):
    matrix = np.array([[-0.5, 0.1], [0.1, -0.2]])
    local = local_lyapunov(models.linear_flow(A=matrix), n_steps=400, n_transient=2_400, window=20, dt=0.05)
    # The transient of 120 leaves exp(-2 * 0.36 * 120) of the other direction; RK4 errs by (lambda dt)^5 / 120 a step.
    expected = np.broadcast_to(np.sort(np.linalg.eigvalsh(matrix))[::-1], (20, 2))
    np.testing.assert_allclose(local.local_exponents, expected, rtol=0, atol=0.05**4 * 0.6**5 / 120)
    assert np.all(local.standard_deviation < 1e-13) and np.all(local.positive_fraction == 0)


def test_scaled_deviation_of_independent_windows(x64):
    """Tent-like map of slopes 4 and 4/3: the orbit picks them with chances 1/4 and 3/4, independently."""

    def field(n, x, p):
        return (jnp.where(x[0] < 0.25, 4 * x[0], (1 - x[0]) * 4 / 3),)

    system = jaxdyn.iterated_map(field, {}, [0.1234])
    growth, chance = np.log([4, 4 / 3]), np.array([0.25, 0.75])
    mean = growth @ chance
    deviation = np.sqrt((growth - mean) ** 2 @ chance)
    for window in (1, 20):
        local = local_lyapunov(system, n_steps=64_000, window=window)
        assert abs(local.exponents[0] - mean) < 4 * local.std_error[0]
        np.testing.assert_allclose(local.std_error, deviation / np.sqrt(64_000), rtol=4 / np.sqrt(62))
        # A standard deviation over n windows is known to 1 / sqrt(2 n), a little worse for two slopes.
        tolerance = 5 / np.sqrt(2 * 64_000 / window)
        np.testing.assert_allclose(local.scaled_deviation, deviation, rtol=tolerance)


# Failures


@pytest.mark.parametrize(
    ("make", "settings", "status"),
    [
        (models.henon, {"n_steps": 100, "qr_every": 50}, Status.QR_INTERVAL),
        (lambda: models.logistic(r=5.0), {"n_steps": 100}, Status.NON_FINITE),
        (lambda: models.logistic(r=2.0).with_state([0.5]), {"n_steps": 100}, Status.OK),  # -inf: superstable
    ],
)
def test_failures_are_reported(make, settings, status, x64):
    assert local_lyapunov(make(), window=50, **settings).status == status


def test_a_vector_that_overflows_is_reported():
    """In the last interval, within which the state stays finite: 1e20 twice leaves float32."""
    system = jaxdyn.iterated_map(lambda n, x, p: 1e20 * x, {}, [1e-30])
    assert local_lyapunov(system, n_steps=2, n_transient=0, window=2, qr_every=2).status == Status.NON_FINITE


def test_single_precision_stays():
    run = jax.jit(functools.partial(local_lyapunov, n_steps=20, window=5, dt=0.01))(models.lorenz63())
    assert {leaf.dtype for leaf in jax.tree.leaves(run)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int8)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt": -0.1}, "dt must be positive"),
        ({"window": 3}, "n_steps=10 must be a multiple of window=3; use n_steps=12"),
        ({"window": 5, "qr_every": 2}, "window=5 must be a multiple of qr_every=2; use window=6"),
        ({"qr_every": 2, "window": 2, "n_transient": 3}, "n_transient=3 must be a multiple of qr_every=2"),
        ({"n_exponents": 4}, "n_exponents must be between 1 and the dimension 3 of lorenz63, got 4"),
    ],
)
def test_wrong_arguments(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        local_lyapunov(models.lorenz63(), **({"n_steps": 10, "dt": 0.1, "window": 1} | arguments))
