"""Stroboscopic maps: trajectories once a period, exponents of the flow, phases that keep their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models, stroboscopic


def period_of_duffing(p):
    return 2 * jnp.pi / p["omega"]


def rotation():
    return jaxdyn.flow(lambda t, x, p: (2 * x[1], -2 * x[0]), {}, [1.0, 0.0], state_names=["x", "y"])


def test_is_the_trajectory(x64):
    duffing = models.duffing(omega=1.3)
    strobe = stroboscopic(duffing, period_of_duffing, n_steps=50, t0=0.2)
    dt = 2 * np.pi / 1.3 / 50
    states = jaxdyn.trajectory(duffing, n_steps=200, dt=dt, save=jaxdyn.Every(50), t0=0.2).x
    orbit = jaxdyn.trajectory(strobe, n_steps=4)
    np.testing.assert_allclose(orbit.x, states, rtol=0, atol=1e-11)  # roundings of some 200 steps of chaos
    assert strobe.state_names == duffing.state_names and strobe.about.states == duffing.about.states


def test_area_shrinks_by_the_damping(x64):
    """det J = exp(-delta T) by Liouville's formula; order 4 at h = 0.03."""
    strobe = stroboscopic(models.duffing(), period_of_duffing, n_steps=200)
    for omega in (1.0, 1.7):
        matrix = jaxdyn.jacobian(strobe.with_params(omega=omega))
        assert np.log(np.linalg.det(matrix)) == pytest.approx(-0.25 * 2 * np.pi / omega, abs=1e-6)


def test_gradients_in_reverse(x64):
    strobe = stroboscopic(models.duffing(), period_of_duffing, n_steps=20)

    def end(omega):
        return jaxdyn.final_state(strobe.with_params(omega=omega), n_steps=2).x[0]

    assert float(jax.grad(end)(1.2)) == pytest.approx(float(jax.jacfwd(end)(1.2)), rel=1e-12)


def test_phase_is_kept_in_float32():
    """A linear oscillator on its drive's period after 100 000 of them: time itself has lost a hundredth of one."""

    def field(t, x, p):
        return x[1], jnp.cos(p["omega"] * t) - x[0] - x[1]

    driven = jaxdyn.flow(field, {"omega": 2.0}, [0.0, 0.0])
    strobe = stroboscopic(driven, period_of_duffing, n_steps=40, periodic=True)
    first, last = (np.asarray(jaxdyn.final_state(strobe, n_steps=n).x) for n in (100, 100_000))
    np.testing.assert_array_equal(first, last)


def test_sampled_inputs_and_any_period(x64):
    """Iterate n begins at t0 + n period: samples that are no periodic drive are seen in their turn."""
    kicked = jaxdyn.driven(rotation(), jaxdyn.samples([0.0, 1.0, -2.0, 0.5], dt=0.5), onto="x")
    strobe = stroboscopic(kicked, 0.5, n_steps=10)
    states = jaxdyn.trajectory(kicked, n_steps=40, dt=0.05, save=jaxdyn.Every(10)).x
    np.testing.assert_allclose(jaxdyn.trajectory(strobe, n_steps=4).x, states, rtol=0, atol=1e-13)
    assert "drive" in strobe.params


@pytest.mark.slow
def test_exponents_of_the_forced_duffing_oscillator(x64):
    """Per period over the period; reference 0.1571(2), -0.4071(2), their sum -delta."""
    strobe = stroboscopic(models.duffing(), period_of_duffing, n_steps=126)
    starts = jnp.stack([jnp.linspace(0.1, 0.5, 64), jnp.zeros(64)], axis=1)
    run = jaxdyn.lanes(lambda x0: jaxdyn.lyapunov_spectrum(strobe.with_state(x0), n_steps=4096, n_transient=64))(starts)
    assert np.all(np.asarray(run.status) == Status.OK)
    rates = np.asarray(run.exponents) / (2 * np.pi)
    value, error = rates.mean(axis=0), rates.std(axis=0, ddof=1) / 8
    assert np.all(np.abs(value - [0.1570645, -0.4070645]) <= 3 * np.hypot(error, 2e-4))
    np.testing.assert_allclose(rates.sum(axis=1), -0.25, rtol=0, atol=1e-6)  # dt^4 of 0.05


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: stroboscopic(models.henon(), 1.0, n_steps=5), TypeError, "of a flow"),
        (lambda: stroboscopic(noisy(), 1.0, n_steps=5), TypeError, "stochastic .*; take its drift alone"),
        (lambda: stroboscopic(models.duffing(), -1.0, n_steps=5), ValueError, "period must be positive"),
        (lambda: stroboscopic(models.duffing(), "T", n_steps=5), TypeError, "function of the parameters"),
        (lambda: stroboscopic(models.duffing(), 1.0, n_steps=0), ValueError, "n_steps"),
        (lambda: stroboscopic(models.duffing(), 1.0, n_steps=5, t0=np.inf), ValueError, "t0"),
        (lambda: stroboscopic(models.duffing(), 1.0, n_steps=5, periodic=True), ValueError, "does not repeat"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words, unchecked):
    with pytest.raises(error, match=words):
        make()


def noisy():
    return jaxdyn.sde(lambda t, x, p: -x, lambda t, x, p: 1 + 0 * x, {}, [1.0])
