"""Indicators of chaos: options, failures, wrong arguments, transformations, single precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, chaos_indicators, models


def test_the_transient_moves_the_state_alone_and_the_time(x64):
    """x' = cos(t) x: the growth is that of the times after the transient."""
    system = jaxdyn.flow(lambda t, x, p: jnp.cos(t) * x, {}, [1.0, 2.0])
    run = chaos_indicators(system, dt=0.01, n_steps=103, n_transient=50, running_every=10)
    np.testing.assert_allclose(run.exponent * 1.03, np.sin(1.53) - np.sin(0.5), rtol=1e-9)
    np.testing.assert_allclose(run.running_time, 0.03 + 0.1 * np.arange(1, 11), rtol=1e-13)
    np.testing.assert_allclose(run.x, np.exp(np.sin(1.53)) * np.array([1.0, 2.0]), rtol=1e-9)


def test_one_vector_gives_what_one_vector_can(x64):
    one = chaos_indicators(models.logistic(), n_steps=1000)
    assert one.log_sali is None and one.log_gali is None and one.running_log_gali is None
    assert one.mean_megno > 100 and one.fli > 500 and one.status == Status.OK
    settings = {"dt": 0.01, "n_steps": 1000, "n_transient": 100}
    alone, whole = (chaos_indicators(models.lorenz63(), n_vectors=k, **settings) for k in (1, 2))
    # One vector more or less: another program, another rounding, grown by e^(0.9 * 11).
    np.testing.assert_allclose(alone.running_fli, whole.running_fli, rtol=1e-9)
    np.testing.assert_allclose(alone.mean_megno, whole.mean_megno, rtol=1e-9)


def test_failures_are_reported():
    escaped = chaos_indicators(models.henon(a=3.0), n_steps=200)
    assert escaped.status == Status.NON_FINITE and np.isnan(escaped.fli) and np.isnan(escaped.mean_megno)
    singular = models.linear_map(A=[[0.0, 0.0], [0.0, 0.0]], x0=[1.0, 1.0])
    assert chaos_indicators(singular, n_steps=5).status == Status.NON_FINITE


def test_a_state_that_is_infinite_for_a_moment_is_reported():
    """The state comes back, and the derivative, 0 at all times, does not know."""
    system = jaxdyn.iterated_map(lambda n, x, p: (jnp.where(n == 3, jnp.inf, 0.5),), {}, [0.5])
    assert chaos_indicators(system, n_steps=10).status == Status.NON_FINITE


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (models.logistic, {"n_vectors": 2}, "n_vectors must be between 1 and the dimension 1 of logistic, got 2"),
        (models.henon, {"n_vectors": 0}, "n_vectors must be between 1 and the dimension 2 of henon, got 0"),
        (models.henon, {"n_steps": 0}, "n_steps must be a whole number of at least 1"),
        (models.henon, {"n_transient": -1}, "n_transient must be a whole number"),
        (models.henon, {"running_every": 11}, "running_every=11 must be at most n_steps=10"),
        (models.lorenz63, {"dt": -0.1}, "dt must be positive, got -0.1"),
        (models.lorenz63, {}, "a flow needs its step"),
    ],
)
def test_wrong_arguments_are_named(make, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        chaos_indicators(make(), **({"n_steps": 10} | arguments))


def test_a_sweep_holds_the_indicators():
    measure = functools.partial(chaos_indicators, n_steps=2000)
    cells = jaxdyn.sweep(measure, models.standard_map(), {"k": [0.5, 6.0], "x": [3.14, 3.6], "p": [3.9]})
    assert cells["mean_megno"].dims == ("k", "x", "p") and cells["log_gali"].dims == ("k", "x", "p", "order")
    assert np.all(cells["mean_megno"][0] < 3) and np.all(cells["mean_megno"][1] > 100)
    assert np.all(cells["log_sali"][1] < -1000) and np.all(cells["status"] == 0)


def test_float32_keeps_its_dtype_and_its_digits():
    """A linear map has no chaos: 10^5 steps are wrong by some roundings a step, not by those of their sums."""
    system = models.linear_map(A=[[0.8, 0.3], [0.3, 0.5]], x0=[1.0, 1.0])
    found = chaos_indicators(system, n_steps=100_000)
    assert all(leaf.dtype in ("float32", "int8") for leaf in jax.tree.leaves(found))
    values = np.linalg.eigvalsh(np.array([[0.8, 0.3], [0.3, 0.5]]))
    step = 10 * np.finfo(np.float32).eps
    np.testing.assert_allclose(found.exponent, np.log(values[1]), rtol=0, atol=step)
    slope = np.diff(found.running_log_gali[:, 0])[-1] / np.diff(found.running_time)[-1]
    # The sum itself is kept to eps of its size of 10^5, over blocks of 3000 steps.
    spacing = 1e5 * np.finfo(np.float32).eps / 3000
    np.testing.assert_allclose(slope, -np.log(values[1] / values[0]), rtol=0, atol=2 * step + spacing)
    assert abs(found.log_sali + 1e5 * np.log(values[1] / values[0])) < 3  # angles of the fixed start
    np.testing.assert_allclose(found.mean_megno / 1e5, np.log(values[1]) / 2, rtol=0, atol=step)
