"""Hopf points of the FitzHugh-Nagumo neuron, found as zeros of the growth rate at rest, against closed forms.

The trace 1 - v^2 - b/tau of the Jacobian vanishes at v^2 = 1 - b/tau, where its determinant (1 - b^2/tau)/tau is
positive. An Euler step multiplies by 1 + dt J, of determinant 1 + dt trace + dt^2 det: it turns unstable, with complex
multipliers, where trace + dt det = 0, which is (1 - v^2)(1 - dt b/tau) = (b - dt)/tau.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn

pytestmark = pytest.mark.usefixtures("x64")

A, B, TAU, DT = 0.7, 0.8, 12.5, 0.01
EPS = float(np.finfo(np.float64).eps)


def current(v):
    """Current of the fixed point at v: from (b/3) v^3 + (1 - b) v + a - b I = 0."""
    return (B / 3 * v**3 + (1 - B) * v + A) / B


def rest(current):
    """Neuron with this current, and its fixed point, which has a derivative with respect to the current."""
    neuron = jaxdyn.models.fitzhugh_nagumo(a=A, b=B, tau=TAU).with_params(I=current)
    return neuron, jaxdyn.fixed_points(neuron, n_starts=8, max_points=1).x[0]


def growth(current):
    """Largest real part at rest."""
    return jaxdyn.spectral_abscissa(jaxdyn.eigenvalues(*rest(current)))


def growth_of_euler(current):
    """Logarithm of the product of both multipliers of one step that the method itself takes at rest, per time."""
    neuron, x = rest(current)

    def step(x):
        return jaxdyn.final_state(neuron.with_state(x), n_steps=1, dt=DT, method=jaxdyn.Euler()).x

    (p, q), (r, s) = jax.jacfwd(step)(x)
    return jnp.log(p * s - q * r) / (2 * DT)


def zeros(f, starts):
    """Zeros of a function of the current, by Newton's method from each start."""

    def newton(z):
        value, slope = jax.value_and_grad(f)(z)
        return z - value / slope

    step, z = jax.jit(jax.vmap(newton)), jnp.asarray(starts)
    for _ in range(8):
        z = step(z)
    return np.asarray(z)


@pytest.mark.slow
def test_hopf_points():
    exact = np.array([current(-np.sqrt(1 - B / TAU)), current(np.sqrt(1 - B / TAU))])
    np.testing.assert_allclose(exact, [0.3312813375, 1.4187186625], rtol=0, atol=0.5e-10)  # ten digits are known
    # Growth changes by 0.8 per current. Its rounding, and that of the fixed point, are below ten ulp of 1.
    np.testing.assert_allclose(zeros(growth, [0.3, 1.45]), exact, rtol=0, atol=10 * EPS / 0.8)


@pytest.mark.slow
def test_euler_steps_move_the_hopf_point():
    exact = current(-np.sqrt(1 - (B - DT) / (TAU - DT * B)))
    assert abs(exact - 0.3308157) <= 0.5e-7
    # The determinant of a step, 1 to a few ulp, is divided by 2 dt.
    np.testing.assert_allclose(zeros(growth_of_euler, [0.3]), exact, rtol=0, atol=4 * EPS / (2 * DT) / 0.8)


def test_rest_between_both_hopf_points_is_left_by_euler_only():
    """At I = 0.331 a perturbation of rest decays; in Euler's steps of 0.01 it grows, each at the predicted rate."""
    neuron, x = rest(0.331)
    turn = 2 * np.pi / float(jaxdyn.eigenvalues(neuron, x)[0].imag)
    n_steps = round(40 * turn / DT)
    for method, rate, sign in ((jaxdyn.RK4(), growth(0.331), -1), (jaxdyn.Euler(), growth_of_euler(0.331), 1)):
        run = jaxdyn.final_state(neuron.with_state(x + jnp.array([1e-6, 0.0])), n_steps=n_steps, dt=DT, method=method)
        measured = float(jnp.log(jnp.linalg.norm(run.x - x) / 1e-6)) / (n_steps * DT)
        assert np.sign(measured) == np.sign(float(rate)) == sign
        # Forty turns end within half a step, an angle of 0.0014; on an ellipse of axes 1 to sqrt(tau) that changes the
        # logarithm of the size by at most 1.7 times as much, of the 0.13 or more by which it has changed in all.
        assert measured == pytest.approx(float(rate), rel=0.0014 * 1.7 / 0.13)
