"""Power method: rates of convergence, what it must report, one loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models
from jaxdyn.analysis.power_method import power_method

EPS = np.finfo(np.float64).eps


def similar(values, seed=0):
    """Matrix with these eigenvalues and eigenvectors in general position, and the eigenvectors."""
    vectors = np.random.default_rng(seed).standard_normal((len(values),) * 2)
    return vectors @ np.diag(values) @ np.linalg.inv(vectors), vectors / np.linalg.norm(vectors, axis=0)


def symmetric(values, seed=0):
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return vectors @ np.diag(values) @ vectors.T, vectors


def sine(vectors, direction):
    """Sine of the angle to a line, whatever the sign; the part across it keeps its digits where the angle is small."""
    along = vectors @ direction
    return np.linalg.norm(vectors - along[:, None] * direction, axis=1)


@pytest.mark.parametrize("r", [1.05, 1.5, 2.0])
def test_diagonal_matrix_has_a_closed_form(r, x64):
    """diag(1, r, r^2): v_k is (a, b r^k, c r^2k), normalized; the Rayleigh quotient follows."""
    start = np.random.default_rng(0).standard_normal(3)
    run = power_method(np.diag([1, r, r * r]), start, n_iterations=15)
    k = np.arange(16)[:, None]
    exact = start * np.array([1, r, r * r]) ** k
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(run.vectors, exact, rtol=0, atol=50 * EPS)
    np.testing.assert_allclose(run.rayleigh_quotients, exact**2 @ [1, r, r * r], rtol=50 * EPS)
    np.testing.assert_allclose(run.log_growth, np.log(np.linalg.norm(exact * [1, r, r * r], axis=1)), atol=50 * EPS)
    tangent = np.linalg.norm(exact[:, :2], axis=1) / np.abs(exact[:, 2])
    np.testing.assert_allclose(np.diff(np.log(tangent))[-1], -np.log(r), atol=0.5)
    assert run.eigenvalue == run.rayleigh_quotients[-1] and run.residual == run.residuals[-1]


@pytest.mark.parametrize(("make", "power"), [(similar, 1), (symmetric, 2)])
def test_rates_of_convergence(make, power, x64):
    """Vector: |mu2/mu1| an iteration. Rayleigh quotient: the same in general, its square for symmetric matrices.

    Corrections of relative size (mu3/mu2)^k and (mu2/mu1)^k: below 1e-3 from k = 12 on; rounding of 1e-14 stays
    below 1e-3 of the smaller error, 0.5^(2 20) = 1e-12, as well.
    """
    matrix, vectors = make([2.0, 1.0, 0.3, -0.1])
    run = power_method(matrix, n_iterations=20)
    angles = sine(np.asarray(run.vectors), vectors[:, 0])
    np.testing.assert_allclose(angles[13:19] / angles[12:18], 0.5, rtol=4e-3)
    errors = np.abs(np.asarray(run.rayleigh_quotients) - 2)
    np.testing.assert_allclose(errors[13:19] / errors[12:18], 0.5**power, rtol=4e-3)


def test_symmetric_residual_bounds_the_error(x64):
    matrix, _ = symmetric([2.0, 1.0, 0.3, -0.1], seed=4)
    run = power_method(matrix, n_iterations=12)
    error = np.abs(np.asarray(run.rayleigh_quotients)[:, None] - [2.0, 1.0, 0.3, -0.1]).min(axis=1)
    assert np.all(error <= np.asarray(run.residuals) + 10 * EPS)


def test_converged_run(x64):
    matrix, vectors = similar([-3.0, 1.0, 0.5], seed=2)
    run = power_method(matrix, n_iterations=60)
    assert run.status == Status.OK
    np.testing.assert_allclose(run.eigenvalue, -3, rtol=1e-12)
    assert sine(np.asarray(run.vector)[None], vectors[:, 0]) < 1e-12
    np.testing.assert_allclose(np.linalg.norm(run.vectors, axis=1), 1, rtol=4 * EPS)
    # A negative eigenvalue turns the vector around at each iteration.
    np.testing.assert_allclose(run.vectors[-1], -run.vectors[-2], atol=1e-12)


def test_log_growth_averages_to_the_exponent(x64):
    """Sum of log growths = log |M^n v| / |v|, so that the mean is off by the condition of eigenvectors over n."""
    matrix, vectors = similar([1.5, -1.0, 0.3])
    run = power_method(matrix, n_iterations=400)
    assert abs(float(run.exponent) - np.log(1.5)) <= 2 * np.log(np.linalg.cond(vectors)) / 401
    start = np.asarray(run.vectors)[0]
    exact = np.log(np.linalg.norm(np.linalg.matrix_power(matrix, 401) @ start)) / 401
    np.testing.assert_allclose(run.exponent, exact, rtol=1e-12)


def test_complex_pair_does_not_converge_and_says_so(x64):
    """a I + b J: Rayleigh quotient a, residual b, growth the modulus, at every iteration."""
    run = power_method([[-0.3, -0.5], [0.5, -0.3]], [1.0, 2.0], n_iterations=50)
    assert run.status == Status.NOT_CONVERGED
    np.testing.assert_allclose(run.rayleigh_quotients, -0.3, rtol=20 * EPS)
    np.testing.assert_allclose(run.residuals, 0.5, rtol=20 * EPS)
    np.testing.assert_allclose(run.exponent, np.log(np.hypot(0.3, 0.5)), rtol=20 * EPS)


def test_opposite_eigenvalues_do_not_converge(x64):
    matrix, _ = symmetric([1.0, -1.0, 0.2])
    run = power_method(matrix, n_iterations=50)
    assert run.status == Status.NOT_CONVERGED and run.residual > 0.1
    np.testing.assert_allclose(run.log_growth[-1], 0, atol=10 * EPS)
    assert abs(float(run.rayleigh_quotients[-1])) < 1  # its logarithm is no growth rate


def test_defective_matrices_converge_as_one_over_k(x64):
    run = power_method([[1.0, 1.0], [0.0, 1.0]], [0.0, 1.0], n_iterations=1000)
    k = np.arange(1, 1001)
    np.testing.assert_allclose(run.rayleigh_quotients[1:] - 1, k / (k**2 + 1), rtol=1e-10)
    assert run.status == Status.NOT_CONVERGED


def test_a_start_without_the_leading_direction_stays_there(x64):
    run = power_method(np.diag([3.0, 2.0, 1.0]), [0.0, 1.0, 1.0], n_iterations=60)
    np.testing.assert_allclose(run.eigenvalue, 2, rtol=1e-12)


def test_one_loop_that_is_never_restarted(x64):
    """Histories of shorter runs are beginnings of longer ones; one scan, of as many iterations as asked for."""
    matrix, _ = similar([2.0, 1.0, 0.3])
    long, short = (power_method(matrix, n_iterations=n) for n in (20, 7))
    np.testing.assert_allclose(long.vectors[:8], short.vectors, atol=4 * EPS)
    program = jax.make_jaxpr(lambda m: power_method(m, n_iterations=20))(matrix)
    assert str(program).count("scan[") == 1 and "length=20" in str(program)


def test_product_instead_of_a_matrix(x64):
    """The Jacobian of a map as a function of one vector, never formed."""
    system = models.random_rnn_map(n=40, seed=3, g=0.8)
    point = jnp.zeros(40)

    def product(vector):
        return jax.jvp(lambda x: system(0, x), (point,), (vector,))[1]

    start = np.ones(40)
    by_product = power_method(product, start, n_iterations=30)
    by_matrix = power_method(jaxdyn.jacobian(system, point), start, n_iterations=30)
    np.testing.assert_allclose(by_product.vectors, by_matrix.vectors, atol=1e-12)
    np.testing.assert_allclose(by_product.log_growth, by_matrix.log_growth, atol=1e-12)


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), [[0.0, 1.0], [0.0, 0.0]]])
def test_nilpotent_matrices_end_in_an_eigenvector_of_zero(matrix, x64):
    run = power_method(matrix, n_iterations=4)
    assert run.status == Status.OK and run.eigenvalue == 0
    np.testing.assert_array_equal(np.asarray(matrix) @ np.asarray(run.vector), 0)
    np.testing.assert_allclose(jnp.linalg.norm(run.vector), 1, rtol=4 * EPS)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_sizes_whose_squares_leave_the_dtype(scale):
    run = power_method(np.array([[2.0, 1.0], [1.0, 2.0]], np.float32) * np.float32(scale), n_iterations=40)
    assert run.status == Status.OK and run.vector.dtype == jnp.float32
    np.testing.assert_allclose(run.eigenvalue, 3 * scale, rtol=1e-6)


def test_overflow_and_nan_are_reported():
    assert power_method(np.full((2, 2), 3e38, np.float32), n_iterations=5).status == Status.NON_FINITE
    runs = jax.vmap(functools.partial(power_method, n_iterations=30))(jnp.array([[[2.0]], [[jnp.nan]], [[1.0]]]))
    np.testing.assert_array_equal(runs.status, [Status.OK, Status.NON_FINITE, Status.OK])


def test_sweep_over_a_parameter(x64):
    """Jacobian of the Hénon map at a point, for many a: eigenvalues -a x +- sqrt(a^2 x^2 + b)."""
    values = np.linspace(0.5, 1.4, 5)

    def measure(system):
        return power_method(jaxdyn.jacobian(system, [0.6, 0.2]), n_iterations=80)

    cells = jaxdyn.sweep(measure, models.henon(), {"a": values}, progress=False)
    np.testing.assert_allclose(cells["eigenvalue"], -0.6 * values - np.sqrt((0.6 * values) ** 2 + 0.3), rtol=1e-12)
    assert not cells["status"].any() and "vectors" not in cells


@pytest.mark.slow
def test_lanes_equal_vmap_and_gradient(x64):
    matrices = jnp.asarray(np.stack([similar([2.0, 1.0, 0.3], seed)[0] for seed in range(3)]))
    function = functools.partial(power_method, n_iterations=60)
    one, other = jax.vmap(function)(matrices), jaxdyn.lanes(function)(matrices)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    # d mu = w^T dM v / w^T v with left and right eigenvectors.
    slope = jax.grad(lambda m: function(m).eigenvalue)(matrices[0])
    right = np.asarray(one.vector[0])
    left = np.asarray(function(matrices[0].T).vector)
    np.testing.assert_allclose(slope, np.outer(left, right) / (left @ right), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"matrix": np.ones((2, 3))}, ValueError, r"matrix must be square, \(n, n\), got shape \(2, 3\)"),
        ({"matrix": np.eye(2), "start": [1.0]}, ValueError, r"start has shape \(1,\), the matrix \(2, 2\)"),
        ({"matrix": np.eye(2), "start": [0.0, 0.0]}, ValueError, "other than zero"),
        ({"matrix": np.eye(2), "n_iterations": 0}, ValueError, "n_iterations must be a whole number of at least 1"),
        ({"matrix": np.eye(2), "tolerance": -1.0}, ValueError, "tolerance must be a positive number"),
        ({"matrix": lambda v: v}, TypeError, "needs a start"),
        ({"matrix": lambda v: v[:1], "start": [1.0, 2.0]}, ValueError, "M must keep both"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        power_method(arguments.pop("matrix"), **({"n_iterations": 3} | arguments))


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e30, 1e38])
def test_residuals_are_compared_at_a_moderate_size(scale):
    """Few iterations have not converged, whatever the unit: residuals of tiny matrices would be zero."""
    matrix = np.array([[2.0, 1.0], [1.0, 2.0]]) * (1.0 if scale < 1e38 else 0.9)
    few, plain = (power_method(np.float32(matrix * size), n_iterations=4) for size in (scale, 1.0))
    assert few.status == plain.status == Status.NOT_CONVERGED
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(np.float64(few.eigenvalue) / scale, plain.eigenvalue, rtol=10 * eps)
    np.testing.assert_allclose(few.exponent, plain.exponent + np.log(scale), rtol=10 * eps)
    many = power_method(np.float32(matrix * scale), n_iterations=40)
    assert many.status == Status.OK
    np.testing.assert_allclose(np.float64(many.eigenvalue) / scale, 3 * matrix[0, 1], rtol=10 * eps)


def test_starts_of_extreme_sizes():
    matrix = [[2.0, 1.0], [1.0, 2.0]]
    for size in (2e-38, 3e38):
        run = power_method(matrix, np.float32([size, size]), n_iterations=3)
        assert run.status == Status.OK
        np.testing.assert_allclose(run.vectors[0], np.sqrt([0.5, 0.5]), rtol=1e-6)
    with pytest.raises(ValueError, match="other than zero"):
        power_method(matrix, np.float32([1e-42, 0.0]), n_iterations=3)  # subnormal: zero to XLA
    traced = jax.jit(lambda v: power_method(matrix, v, n_iterations=3).status)
    assert traced(jnp.zeros(2)) == Status.NON_FINITE
