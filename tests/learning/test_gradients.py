"""Gradients of measures with respect to parameters against difference quotients, forward and reverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models

pytestmark = pytest.mark.usefixtures("x64")

H = 1e-3
RELATIVE = 1e-6


def difference(f, x):
    """Five-point difference quotient.

    It leaves h^4 f^(5)/30 and about 1.5 eps f/h: with relative steps of 1e-3 and the functions below, whose fifth
    derivatives are below 1e5 f, less than 1e-8 of the value.
    """
    h = H * x
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


def agree(f, x):
    """Both modes, against each other to rounding and against the quotient."""
    f = jax.jit(f)
    forward, reverse, quotient = jax.jacfwd(f)(x), jax.jacrev(f)(x), difference(f, x)
    assert np.all(quotient != 0)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)
    np.testing.assert_allclose(forward, quotient, rtol=RELATIVE)


def mean_square(run):
    return jnp.mean((run.x[:, 0] - 0.1) ** 2)


@pytest.mark.parametrize(
    "method", [jaxdyn.Euler(), jaxdyn.Heun(), jaxdyn.RK4(), jaxdyn.Tsit5(), jaxdyn.Dopri8()], ids=repr
)
@pytest.mark.parametrize("save", [jaxdyn.All(), jaxdyn.Every(10)], ids=repr)
def test_trajectories_of_a_flow(method, save):
    neuron = models.fitzhugh_nagumo()
    agree(
        lambda tau: mean_square(
            jaxdyn.trajectory(neuron.with_params(tau=tau), n_steps=200, dt=0.1, method=method, save=save)
        ),
        12.5,
    )


def test_final_state_by_its_start():
    neuron = models.fitzhugh_nagumo()
    agree(lambda v: jaxdyn.final_state(neuron.with_state(v=v), n_steps=200, dt=0.1).x[0], -1.0)


def test_trajectories_of_a_map():
    agree(lambda r: mean_square(jaxdyn.trajectory(models.logistic().with_params(r=r), n_steps=30)), 3.2)


@pytest.mark.parametrize("name", ["I", "sigma"])
def test_trajectories_of_a_stochastic_system_with_its_noise_held(name):
    neuron = models.noisy_fitzhugh_nagumo()
    agree(
        lambda value: mean_square(jaxdyn.trajectory(neuron.with_params(**{name: value}), n_steps=200, dt=0.05)),
        float(neuron.params[name]),
    )


def test_fixed_points_and_their_eigenvalues():
    neuron = models.fitzhugh_nagumo(I=0.3)

    def rest(b):
        points = jaxdyn.fixed_points(neuron.with_params(b=b), n_starts=8, max_points=1)
        value = points.eigenvalues[0, 0]
        return jnp.stack([points.x[0, 0], value.real, jnp.abs(value.imag)])

    agree(rest, 0.8)


@pytest.mark.slow
def test_eigenvalues_at_a_fixed_point_of_three_states():
    """The rule for eigenvalues of larger matrices: the focus of the Lorenz system."""
    lorenz = models.lorenz63()

    def growth(rho):
        points = jaxdyn.fixed_points(lorenz.with_params(rho=rho), n_starts=32, max_points=4)
        return jaxdyn.spectral_abscissa(points.eigenvalues[0])

    agree(growth, 20.0)


def test_multipliers_of_a_cycle_of_a_map():
    """A 2-cycle of the logistic map has the multiplier 4 + 2 r - r^2, of slope 2 - 2 r."""

    def multiplier(r):
        points = jaxdyn.fixed_points(models.logistic().with_params(r=r), period=2, n_starts=64, max_points=4)
        return points.eigenvalues[1, 0].real  # of 0, cycle, fixed point, cycle

    assert float(jax.grad(multiplier)(3.3)) == pytest.approx(2 - 2 * 3.3, rel=1e-12)
    assert float(jax.jacfwd(multiplier)(3.3)) == pytest.approx(2 - 2 * 3.3, rel=1e-12)


def test_lyapunov_exponent_of_an_orbit_that_is_not_chaotic():
    """The exponent of the 2-cycle is log|4 + 2 r - r^2| / 2."""

    def exponent(r):
        system = models.logistic().with_params(r=r)
        return jaxdyn.maximal_lyapunov(system, n_steps=64, n_transient=400).exponent

    slope = (2 - 2 * 3.4) / (4 + 2 * 3.4 - 3.4**2) / 2
    assert float(jax.grad(exponent)(3.4)) == pytest.approx(slope, rel=1e-10)
    # Its logarithm is singular at 1 + sqrt 5: h = 0.0034 over the distance 0.164 leaves 24/30 (h/d)^4 = 1.5e-7.
    agree(exponent, 3.4)


def test_lyapunov_exponents_of_a_linear_flow():
    """Decay with two rates: exponents of RK4's steps tend to the rates, and so do their derivatives."""
    decay = jaxdyn.flow(lambda t, x, p: (-p["k"] * x[0], -3 * p["k"] * x[1]), {"k": 0.5}, [1.0, 1.0])

    def second(k):
        return jaxdyn.lyapunov_spectrum(decay.with_params(k=k), n_steps=320, dt=0.01, n_transient=4000).exponents[1]

    # The frame is turned to rounding, by exp(-40).
    # A step multiplies by exp(-z) + z^5/120 with z = 0.015: relative 5 z^4/120 of the slope.
    assert float(jax.grad(second)(0.5)) == pytest.approx(-3, rel=5 * 0.015**4 / 120 * 2)
    agree(second, 0.5)


def test_gradients_through_chaos_grow_with_the_exponent():
    """Lorenz: the gradient of the state after T grows like exp(0.9056 T)."""
    lorenz = models.lorenz63()
    lorenz = lorenz.with_state(jaxdyn.final_state(lorenz, n_steps=2000, dt=0.01).x)

    def slope(n_steps):
        return np.linalg.norm(
            jax.jacfwd(lambda rho: jaxdyn.final_state(lorenz.with_params(rho=rho), n_steps=n_steps, dt=0.01).x)(28.0)
        )

    rates = np.log(slope(4000) / slope(1000)) / 30
    # Finite-time exponents over 30 time units spread by about 0.07 about 0.9056 (measured: 0.4 / sqrt(T)).
    assert rates == pytest.approx(0.9056, abs=0.28)
