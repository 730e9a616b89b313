"""Linear systems with inputs that change in time, against their closed sums; line attractors as integrators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdyn
from jaxdyn.models.linear import line_attractor, line_attractor_flow, linear_flow, linear_map

pytestmark = pytest.mark.usefixtures("x64")

RANDOM = np.random.default_rng(0)
A = np.array([[0.5, 0.4, 0.0], [-0.3, 0.6, 0.2], [0.1, 0.0, -0.7]])
B = np.array([[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]])
X0 = np.array([1.0, -2.0, 0.5])
U = RANDOM.standard_normal((12, 2))


def with_inputs(make, matrix, inputs, dt=1.0, **settings):
    """x[n+1] = A x[n] + B u[n]: what is added to the states is B u."""
    return jaxdyn.driven(make(A=matrix, **settings), jaxdyn.samples(inputs, dt=dt))


def closed_sum(n):
    """A^n x0 + sum over k < n of A^(n-1-k) B u_k."""
    power = np.linalg.matrix_power
    return power(A, n) @ X0 + sum((power(A, n - 1 - k) @ B @ U[k] for k in range(n)), start=np.zeros(3))


def test_map_is_the_closed_sum():
    system = with_inputs(linear_map, A, U @ B.T, x0=X0)
    run = jaxdyn.trajectory(system, n_steps=12)
    for n in range(13):
        np.testing.assert_allclose(run.x[n], closed_sum(n), rtol=1e-13, atol=1e-14)


def test_the_response_is_linear_in_start_and_inputs():
    """Derivatives of the end by the inputs are A^(n-1-k) B, those by the start A^n."""

    def end(x0, inputs):
        system = with_inputs(linear_map, A, inputs @ jnp.asarray(B).T, x0=np.zeros(3))
        return jaxdyn.final_state(system.with_state(x0), n_steps=12).x

    by_start, by_inputs = jax.jacfwd(end, argnums=(0, 1))(jnp.asarray(X0), jnp.asarray(U))
    np.testing.assert_allclose(by_start, np.linalg.matrix_power(A, 12), atol=1e-15)
    for k in range(12):
        np.testing.assert_allclose(by_inputs[:, k], np.linalg.matrix_power(A, 11 - k) @ B, atol=1e-14)


def test_constant_input_equals_the_same_input_at_every_step():
    u = np.array([0.3, -0.2])
    constant = linear_map(A=A, B=B, u=u, x0=X0)
    sampled = with_inputs(linear_map, A, np.tile(u @ B.T, (12, 1)), x0=X0)
    a, b = (jaxdyn.trajectory(system, n_steps=12).x for system in (constant, sampled))
    np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


def test_flow_with_held_inputs_is_the_exact_discretization():
    """Over each interval T: exp(A T) x + A^-1 (exp(A T) - 1) B u; RK4 is off by its fourth order."""
    T = 0.4
    push = scipy.linalg.expm(A * T)
    pull = np.linalg.solve(A, push - np.eye(3)) @ B
    x = X0
    for u in U:
        x = push @ x + pull @ u
    system = with_inputs(linear_flow, A, U @ B.T, dt=T, x0=X0)
    errors = [np.abs(np.asarray(jaxdyn.final_state(system, n_steps=12 * m, dt=T / m).x) - x).max() for m in (2, 4, 8)]
    np.testing.assert_allclose(np.log2([errors[0] / errors[1], errors[1] / errors[2]]), 4, atol=0.2)
    # (|A| dt)^5 / 120 a step of the state and input, both of order 2, grown by exp(0.5 4.8) at most.
    assert errors[2] < 96 * (0.9 * T / 8) ** 5 / 120 * 2 * np.exp(2.4)


def test_sweep_over_inputs():
    """The samples are the parameter `drive`: 5 inputs of 12 steps each in one program."""
    inputs = RANDOM.standard_normal((5, 12, 2)) @ B.T
    system = with_inputs(linear_map, A, U @ B.T, x0=X0)
    cells = jaxdyn.sweep(
        lambda s: jaxdyn.final_state(s, n_steps=12), system, {"drive": inputs}, keep=["x"], progress=False
    )
    for i in range(5):
        alone = jaxdyn.final_state(with_inputs(linear_map, A, inputs[i], x0=X0), n_steps=12).x
        np.testing.assert_allclose(cells["x"][i], alone, rtol=1e-13, atol=1e-14)


def test_line_attractor_integrates_its_input():
    """diag(0.2, 1): x2 is the start plus the sum of its inputs; x1 forgets them as 0.2^n."""
    inputs = RANDOM.standard_normal((20, 2))
    run = jaxdyn.trajectory(jaxdyn.driven(line_attractor(), jaxdyn.samples(inputs)), n_steps=20).x
    np.testing.assert_allclose(run[1:, 1], 10 + np.cumsum(inputs[:, 1]), rtol=1e-14)
    kernel = 0.2 ** np.arange(20)
    leaking = 20 * 0.2**20 + np.sum(kernel[::-1] * inputs[:, 0])
    np.testing.assert_allclose(run[-1, 0], leaking, rtol=1e-13)


def test_line_attractor_in_any_basis_integrates_along_the_left_eigenvector():
    """w.A = w: w.x[n] = w.x[0] + sum of w.B u_k, whatever the line is."""
    basis = RANDOM.standard_normal((2, 2))
    matrix = basis @ np.diag([0.2, 1.0]) @ np.linalg.inv(basis)
    left = np.linalg.inv(basis)[1]
    inputs = RANDOM.standard_normal((30, 1)) @ np.array([[0.7, -0.4]])
    run = jaxdyn.trajectory(with_inputs(line_attractor, matrix, inputs), n_steps=30).x
    coordinate = np.asarray(run) @ left
    np.testing.assert_allclose(coordinate[1:], coordinate[0] + np.cumsum(inputs @ left), rtol=0, atol=1e-12)
    # After the input ends the state stays on the line, at the value reached.
    quiet = np.concatenate([inputs, np.zeros((30, 2))])
    late = jaxdyn.trajectory(with_inputs(line_attractor, matrix, quiet), n_steps=60).x
    np.testing.assert_allclose(late[60], basis[:, 1] * coordinate[30], atol=1e-12)


def test_line_attractor_flow_integrates_its_input():
    inputs = np.zeros((10, 2))
    inputs[:, 1] = RANDOM.standard_normal(10)
    system = jaxdyn.driven(line_attractor_flow(), jaxdyn.samples(inputs, dt=0.5))
    run = jaxdyn.trajectory(system, t1=5.0, dt=0.1, save=jaxdyn.Every(5)).x
    np.testing.assert_allclose(run[1:, 1], 10 + 0.5 * np.cumsum(inputs[:, 1]), rtol=1e-13)


def test_an_input_in_place_of_u_is_told_how():
    with pytest.raises(ValueError, match=r"driven\(system, jaxdyn.samples\(values @ B.T\)\)"):
        linear_map(A=A, B=B, u=U)
