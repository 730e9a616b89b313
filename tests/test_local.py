"""Jacobians, linearization and eigenvalues against closed forms and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.analysis.local import matrix_eigenvalues


def cubic():
    def field(t, x, p):
        return p["a"] * x[0] ** 3 - x[1] + t, x[0] * x[1]

    return jaxdyn.flow(field, {"a": 2.0}, [1.0, 3.0], state_names=["u", "v"])


def linear(matrix, make=jaxdyn.flow):
    return make(lambda t, x, p: p["A"] @ x, {"A": matrix}, np.zeros(len(matrix)))


def matched(found, expected):
    """Largest distance when each expected value takes the nearest found one that is left."""
    left, worst = list(np.asarray(found)), 0.0
    for value in np.asarray(expected):
        nearest = min(range(len(left)), key=lambda i: abs(left[i] - value))
        worst = max(worst, abs(left.pop(nearest) - value))
    return worst


def test_jacobian_is_exact(x64):
    x = jnp.array([0.5, -2.0])
    exact = [[6.0 * 0.25, -1.0], [-2.0, 0.5]]
    np.testing.assert_allclose(jaxdyn.jacobian(cubic(), x), exact, rtol=1e-15)
    np.testing.assert_array_equal(jaxdyn.jacobian(cubic()), jaxdyn.jacobian(cubic(), [1.0, 3.0]))


def test_jacobian_of_a_forced_system_uses_its_time():
    swing = jaxdyn.flow(lambda t, x, p: t * x, {}, [1.0])
    np.testing.assert_array_equal(jaxdyn.jacobian(swing, t=3.0), [[3.0]])
    steps = jaxdyn.iterated_map(lambda n, x, p: n.astype(x.dtype) * x, {}, [1.0])
    np.testing.assert_array_equal(jaxdyn.jacobian(steps, t=4), [[4.0]])


def test_jacobian_differentiates_with_respect_to_parameters():
    slope = jax.grad(lambda s: jaxdyn.jacobian(s, jnp.array([0.5, -2.0]))[0, 0])(cubic())
    assert float(slope.params["a"]) == 0.75


def test_a_point_of_another_shape_is_refused():
    for analysis in (jaxdyn.jacobian, jaxdyn.linearize, jaxdyn.eigenvalues):
        with pytest.raises(ValueError, match=r"x must have shape \(2,\), one value per state, got \(3,\)"):
            analysis(cubic(), jnp.zeros(3))


def test_linearize_agrees_to_second_order(x64):
    system, x = cubic(), jnp.array([0.5, -2.0])
    tangent = jaxdyn.linearize(system, x, t=1.0)
    assert isinstance(tangent, jaxdyn.Flow)
    assert tangent.state_names == system.state_names
    np.testing.assert_array_equal(tangent(0.0, x), system(1.0, x))
    step = jnp.array([0.6, -0.8])
    gaps = [float(jnp.linalg.norm(tangent(0.0, x + h * step) - system(1.0, x + h * step))) for h in (1e-3, 1e-4)]
    assert 99 < gaps[0] / gaps[1] < 101


def test_linearize_of_a_linear_system_is_that_system():
    matrix = np.array([[-0.5, 0.1], [0.1, -0.2]])
    for make in (jaxdyn.flow, jaxdyn.iterated_map):
        system = linear(matrix, make)
        assert type(jaxdyn.linearize(system)) is type(system)
        np.testing.assert_array_equal(jaxdyn.linearize(system).params["A"], system.params["A"])


def test_linearized_systems_share_one_compilation():
    first, second = (jaxdyn.linearize(cubic(), [u, 1.0]) for u in (0.0, 1.0))
    assert jax.tree.structure(first) == jax.tree.structure(second)
    points = jnp.array([[0.0, 1.0], [1.0, 2.0]])
    assert jax.vmap(lambda x: jaxdyn.linearize(cubic(), x))(points).params["A"].shape == (2, 2, 2)


def random_matrices():
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-6, 6, (500, 2, 2))
    return np.concatenate([rng.standard_normal((500, 2, 2)), rng.standard_normal((500, 2, 2)) * scale])


def test_two_by_two_against_numpy_for_many_matrices(x64):
    matrices = random_matrices()
    found = np.asarray(jax.vmap(matrix_eigenvalues)(jnp.asarray(matrices)))
    for matrix, ours in zip(matrices, found, strict=True):
        # Elsner's bound: a backward error E moves an eigenvalue by at most sqrt(|A| |E|) * 2 in the worst case
        # and by cond * |E| if the values are apart; here both algorithms have |E| of a few eps |A|.
        values, vectors = np.linalg.eig(matrix)
        apart = np.linalg.cond(vectors) * 20 * 2e-16 * np.linalg.norm(matrix)
        worst = 2 * np.sqrt(20 * 2e-16) * np.linalg.norm(matrix)
        assert matched(ours, values) <= min(apart, worst)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[2.0, 0.0], [0.0, 2.0]], [2, 2]),
        ([[2.0, 1.0], [0.0, 2.0]], [2, 2]),  # defective
        ([[0.0, 0.0], [0.0, 0.0]], [0, 0]),
        ([[0.0, 1.0], [0.0, 0.0]], [0, 0]),
        ([[0.0, -3.0], [3.0, 0.0]], [3j, -3j]),
        ([[1.0, 2.0], [2.0, 4.0]], [0, 5]),  # singular
        ([[1.0, 1e-9], [1e-9, 1.0]], [1 + 1e-9, 1 - 1e-9]),  # nearly equal
        ([[1e8, 0.0], [0.0, 1e-8]], [1e8, 1e-8]),  # far apart: the small one keeps its digits
        ([[1e8, 1.0], [1.0, 1e-8 + 1e-8]], [1e8, 1e-8]),  # small = det / large
        ([[-1.0, 1e-12], [1.0, -1.0]], [-1 + 1e-6, -1 - 1e-6]),
    ],
)
def test_two_by_two_closed_forms(matrix, expected, x64):
    found = np.sort_complex(np.asarray(matrix_eigenvalues(jnp.array(matrix))))
    # A handful of roundings, relative to each eigenvalue.
    np.testing.assert_allclose(found, np.sort_complex(np.array(expected, complex)), rtol=1e-14, atol=1e-300)


def test_two_by_two_in_single_precision():
    matrices = random_matrices()[:500].astype(np.float32)
    found = np.asarray(jax.vmap(matrix_eigenvalues)(jnp.asarray(matrices)))
    assert found.dtype == np.complex64
    for matrix, ours in zip(matrices, found, strict=True):
        values, vectors = np.linalg.eig(matrix.astype(float))
        size = np.linalg.norm(matrix)
        assert matched(ours, values) <= min(np.linalg.cond(vectors) * 20 * 1.2e-7, 2 * np.sqrt(20 * 1.2e-7)) * size


@pytest.mark.parametrize("n", [1, 3, 4, 7])
def test_other_sizes_against_numpy(n, x64):
    rng = np.random.default_rng(n)
    for matrix in rng.standard_normal((5, n, n)):
        values, vectors = np.linalg.eig(matrix)
        bound = np.linalg.cond(vectors) * 20 * n * 2e-16 * np.linalg.norm(matrix)
        assert matched(matrix_eigenvalues(jnp.asarray(matrix)), values) <= bound


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_matrix_that_is_not_finite_gives_nan_and_spares_its_neighbours(n):
    good = np.diag(np.arange(1.0, n + 1)).astype(np.float32)
    for bad in (np.nan, np.inf):
        broken = good.copy()
        broken[0, 0] = bad
        found = jax.vmap(matrix_eigenvalues)(jnp.stack([good, broken, good]))
        assert not bool(jnp.isfinite(found[1]).all())
        np.testing.assert_array_equal(found[0], matrix_eigenvalues(jnp.asarray(good)))
        np.testing.assert_array_equal(found[0], found[2])


def test_order_of_flows_and_maps():
    rotation = np.array([[-1.0, -5.0, 0.0], [5.0, -1.0, 0.0], [0.0, 0.0, -0.5]])
    by_growth = jaxdyn.eigenvalues(linear(rotation))
    np.testing.assert_allclose(by_growth, [-0.5, -1 + 5j, -1 - 5j], rtol=1e-6)  # float32
    by_size = jaxdyn.eigenvalues(linear(rotation, jaxdyn.iterated_map))
    np.testing.assert_allclose(by_size, [-1 + 5j, -1 - 5j, -0.5], rtol=1e-6)
    np.testing.assert_allclose(jaxdyn.eigenvalues(linear(np.diag([-3.0, 1.0]))), [1, -3])
    np.testing.assert_allclose(jaxdyn.eigenvalues(linear(np.diag([1.0, -3.0]), jaxdyn.iterated_map)), [-3, 1])


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [3.0, 4.0]], [[0.0, -2.0], [1.0, 0.5]], [[3.0, 0.0], [0.0, 1.0]]])
def test_two_by_two_gradients_of_distinct_eigenvalues(matrix, x64):
    matrix = jnp.array(matrix)
    for part in (jnp.real, jnp.imag):
        derivative = jax.jacrev(lambda m, part=part: part(matrix_eigenvalues(m)))(matrix)
        h = 1e-6
        for i, j in np.ndindex(2, 2):
            e = jnp.zeros((2, 2)).at[i, j].set(h)
            numeric = part(matrix_eigenvalues(matrix + e) - matrix_eigenvalues(matrix - e)) / (2 * h)
            # Truncation h^2 times a third derivative of order 1, rounding 1e-15 / h.
            np.testing.assert_allclose(derivative[:, i, j], numeric, rtol=0, atol=1e-8)


def test_two_by_two_gradients_are_finite_also_where_eigenvalues_meet():
    def trace(matrix):
        return jnp.real(matrix_eigenvalues(matrix)).sum()

    # Each has no derivative there, but their sum is the trace.
    for matrix in (
        [[2.0, 0.0], [0.0, 2.0]],
        [[2.0, 1.0], [0.0, 2.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[0.0, 1.0], [0.0, 0.0]],
    ):
        np.testing.assert_allclose(jax.grad(trace)(jnp.array(matrix)), np.eye(2), rtol=1e-6)  # float32


@pytest.mark.parametrize("n", [3, 5])
def test_gradients_of_larger_spectra(n, x64):
    matrix = jnp.asarray(np.random.default_rng(n).standard_normal((n, n)))
    step = jnp.asarray(np.random.default_rng(9).standard_normal((n, n)))

    def symmetric(m):  # does not depend on the order of the eigenvalues
        return jnp.sum(jnp.exp(matrix_eigenvalues(m))).real

    h = 1e-5  # truncation h^2 = 1e-10, rounding 1e-15 / h = 1e-10, both times numbers of order 10
    numeric = (symmetric(matrix + h * step) - symmetric(matrix - h * step)) / (2 * h)
    forward = jax.jvp(symmetric, (matrix,), (step,))[1]
    np.testing.assert_allclose(forward, numeric, rtol=0, atol=2e-8)
    np.testing.assert_allclose(jnp.vdot(jax.grad(symmetric)(matrix), step), forward, rtol=1e-12)
