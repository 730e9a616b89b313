"""Linear systems against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdyn
from jaxdyn.models.linear import line_attractor, line_attractor_flow, linear_flow, linear_map

pytestmark = pytest.mark.usefixtures("x64")

A = np.array([[-0.5, 0.1], [0.1, -0.2]])
SKEWED = [[0.2, -0.1], [0.2, 0.5]]
ROTATION = [[-0.3, -0.5], [0.5, -0.3]]


def test_linear_map_decays_to_the_stated_point():
    """x[20] from (20, 10), digits as stated; column n of the trajectory is x[n], the start first."""
    run = jaxdyn.trajectory(linear_map(), n_steps=20)
    np.testing.assert_array_equal(run.x[0], [20, 10])
    np.testing.assert_allclose(run.x[20], [4.80520257e-5, -1.45489827e-5], rtol=5e-9)
    np.testing.assert_allclose(run.x[20], np.linalg.matrix_power(A, 20) @ [20, 10], rtol=1e-11)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (A, [-0.5302775638, -0.1697224362]),
        (SKEWED, [0.4, 0.3]),
        (ROTATION, [-0.3 + 0.5j, -0.3 - 0.5j]),
    ],
)
def test_eigenvalues_of_the_map(matrix, expected):
    np.testing.assert_allclose(jaxdyn.eigenvalues(linear_map(A=matrix)), expected, atol=5e-11)


@pytest.mark.parametrize("a", [-1.2, -1.0, -0.5, 0.5, 1.0, 1.2])
def test_one_dimension_grows_with_its_eigenvalue_and_alternates_where_that_is_negative(a):
    """x(n) = a^n x(0), one rounding a step; the origin stays put whatever a is."""
    n = np.arange(41)
    run = jaxdyn.trajectory(linear_map(A=[[a]], x0=[0.3]), n_steps=40)
    np.testing.assert_allclose(run.x[:, 0], 0.3 * float(a) ** n, rtol=50 * np.finfo(float).eps)
    assert not jaxdyn.final_state(linear_map(A=[[a]], x0=[0.0]), n_steps=40).x[0]


def test_normality():
    """The second matrix is not normal: its norm 0.5389025383 exceeds its spectral radius 0.4."""
    jacobians = [np.asarray(jaxdyn.jacobian(linear_map(A=matrix))) for matrix in (A, SKEWED, ROTATION)]
    normal = [np.allclose(j @ j.T, j.T @ j) for j in jacobians]
    assert normal == [True, False, True]
    assert np.linalg.norm(jacobians[1], 2) == pytest.approx(0.5389025383, abs=5e-11)


def test_rotation_turns_by_its_angle():
    """Modulus 0.5830951895, 120.96 degrees a step."""
    z = np.asarray(jaxdyn.trajectory(linear_map(A=ROTATION), n_steps=5).x) @ [1, 1j]
    ratio = z[1:] / z[:-1]
    np.testing.assert_allclose(np.abs(ratio), 0.5830951895, atol=5e-11)
    np.testing.assert_allclose(np.degrees(np.angle(ratio)), 120.96, atol=0.005)


def test_constant_input_moves_the_fixed_point():
    """(I - A)^-1 u = (0.78212291, 1.73184358) for the map, -A^-1 u for the flow."""
    system = linear_map(u=[1.0, 2.0])
    end = jaxdyn.final_state(system, n_steps=80).x  # 0.53^80 of the start is below rounding
    np.testing.assert_allclose(end, [0.78212291, 1.73184358], atol=5e-9)
    rest = -np.linalg.solve(A, [1.0, 2.0])
    np.testing.assert_allclose(linear_flow(u=[1.0, 2.0])(0.0, jnp.asarray(rest)), 0, atol=1e-14)


def test_linear_flow_is_the_matrix_exponential():
    """RK4: |lambda|^5 dt^4 t / 120 = 0.53^5 0.1^4 10 / 120 of the start, 1e-6 of 20 at most."""
    system = linear_flow()
    exact = scipy.linalg.expm(10 * A) @ [20, 10]
    errors = [
        np.abs(np.asarray(jaxdyn.final_state(system, t1=10.0, dt=dt).x) - exact).max() for dt in (0.1, 0.05, 0.025)
    ]
    assert errors[0] < 1e-6
    np.testing.assert_allclose(np.log2([errors[0] / errors[1], errors[1] / errors[2]]), 4, atol=0.1)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_input_that_changes_in_time(steps):
    """x[n+1] = A x[n] + u[n]: step n uses sample n."""
    inputs = np.random.default_rng(1).standard_normal((8, 2))
    system = jaxdyn.driven(linear_map(), jaxdyn.samples(inputs))
    x = np.array([20.0, 10.0])
    for u in inputs[:steps]:
        x = A @ x + u
    np.testing.assert_allclose(jaxdyn.final_state(system, n_steps=steps).x, x, rtol=1e-12, atol=1e-13)


def test_flow_with_sampled_input():
    """Input c for a time T, then nothing: the integrating state keeps c T."""
    values = np.array([[0.0, 0.5]] * 20 + [[0.0, 0.0]])
    system = jaxdyn.driven(line_attractor_flow(), jaxdyn.samples(values, dt=0.1))
    x = np.asarray(jaxdyn.trajectory(system, t1=4.0, dt=0.05).x)
    np.testing.assert_allclose(x[-1, 1] - 10, 0.5 * 2.0, rtol=1e-12)
    np.testing.assert_allclose(x[41:, 1], x[-1, 1], rtol=1e-14)


def test_input_matrix_carries_inputs_to_states():
    system = linear_map(B=[[1.0], [2.0]], u=[3.0])
    np.testing.assert_allclose(system(0, jnp.zeros(2)), [3, 6])
    gradient = jax.jacfwd(lambda u: system.with_params(u=u)(0, system.x0))(jnp.array([3.0]))
    np.testing.assert_allclose(gradient, [[1], [2]])


def test_sweep_of_matrices_and_inputs():
    matrices = np.random.default_rng(2).standard_normal((10, 2, 2))
    system = linear_map()
    ends = jax.vmap(lambda a: jaxdyn.final_state(system.with_params(A=a), n_steps=3).x)(matrices)
    expected = [np.linalg.matrix_power(a, 3) @ [20, 10] for a in matrices]
    np.testing.assert_allclose(ends, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", [linear_map, linear_flow, line_attractor, line_attractor_flow])
def test_other_sizes(model):
    matrix = np.random.default_rng(3).standard_normal((3, 3))
    system = model(A=matrix, x0=[1.0, 2.0, 3.0])
    assert system.state_names == ("x1", "x2", "x3")
    np.testing.assert_allclose(system(system.time(0, 0, 0), system.x0), matrix @ [1, 2, 3], rtol=1e-14)
    full = model(A=matrix, B=np.ones((3, 2)), u=[1.0, 2.0], x0=np.zeros(3))
    np.testing.assert_allclose(full(full.time(0, 0, 0), full.x0), [3, 3, 3])
    assert model(A=[[0.5]]).dim == 1


def test_whole_numbers_are_numbers():
    """A matrix of integers is a matrix, not a list of indices."""
    system = linear_map(A=np.array([[2, 1], [1, 1]]), u=np.array([1, 0]))
    assert system.params["A"].dtype == system.params["u"].dtype == jnp.float64
    np.testing.assert_array_equal(system(0, jnp.array([1.0, 1.0])), [4, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": np.ones((2, 3))}, r"A has shape \(2, 3\); a linear system needs a square matrix"),
        ({"A": 0.5}, r"A has shape \(\); a linear system needs a square matrix"),
        ({"u": [1.0, 2.0, 3.0]}, r"u has shape \(3,\), A has 2 rows; give B of shape \(2, number of inputs\)"),
        ({"B": np.eye(3)}, r"B has shape \(3, 3\), A has 2 rows; B must be \(2, number of inputs\)"),
        ({"B": [[1.0], [1.0]], "u": [1.0, 2.0]}, r"u has shape \(2,\), B has 1 columns"),
        ({"B": np.eye(2), "u": np.zeros((2, 20))}, "jaxdyn.driven"),
        ({"x0": [1.0]}, r"x0 has shape \(1,\), A has 2 rows"),
    ],
)
def test_wrong_shapes_say_what_fits(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_map(**arguments)


def test_unknown_parameter_names_the_closest():
    with pytest.raises(TypeError, match=r"linear_map has no parameter 'a'.*known: A, B, u"):
        linear_map(a=1.0)


def test_line_attractor_keeps_its_coordinate_and_ramps():
    """Closed form: x1 = 0.2^n x1(0); x2 kept, or x2(0) + n c with a constant input c along the line."""
    still = np.asarray(jaxdyn.trajectory(line_attractor(), n_steps=30).x)
    np.testing.assert_allclose(still[:, 0], 20 * 0.2 ** np.arange(31), rtol=1e-13)
    np.testing.assert_array_equal(still[:, 1], 10)
    ramp = np.asarray(jaxdyn.trajectory(line_attractor(u=[0.0, 0.25]), n_steps=30).x)
    np.testing.assert_array_equal(ramp[:, 1], 10 + 0.25 * np.arange(31))
    np.testing.assert_array_equal(jaxdyn.eigenvalues(line_attractor()), [1, 0.2])


def test_line_attractor_flow_keeps_its_coordinate_and_ramps():
    """Closed form: x1 = exp(-0.8 t) x1(0); RK4 leaves 0.8^5 0.1^4 t exp(-0.8 t) / 120 of it, below 4e-6 of 20."""
    system = line_attractor_flow(u=[0.0, 0.25])
    run = jaxdyn.trajectory(system, t1=10.0, dt=0.1)
    np.testing.assert_allclose(run.x[:, 0], 20 * np.exp(-0.8 * np.asarray(run.t)), atol=4e-6)
    np.testing.assert_allclose(run.x[:, 1], 10 + 0.25 * np.asarray(run.t), rtol=1e-13)
    np.testing.assert_array_equal(jaxdyn.eigenvalues(system), [0, -0.8])


def test_words_and_signature():
    assert hash(linear_map.about) == hash(linear_map().about)
    assert "A : 1" in linear_map.__doc__ and "(default [[-0.5, 0.1], [0.1, -0.2]])" in linear_map.__doc__
    assert (linear_map.kind, linear_flow.kind) == ("map", "flow")


def test_float32_is_the_default_and_close(x64):
    with jax.enable_x64(False):
        system = linear_map()
        assert system.dtype == jnp.float32
        end = np.asarray(jaxdyn.final_state(system, n_steps=20).x)
    np.testing.assert_allclose(end, [4.80520257e-5, -1.45489827e-5], rtol=40 * 6e-8)  # two roundings a step
