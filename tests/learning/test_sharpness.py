"""Sharpness: dense Hessians, spectra that are hard for Lanczos' method, transforms, what it must refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxdyn
from jaxdyn import Status
from jaxdyn.learning import sharpness

EPS = np.finfo(np.float64).eps


def network(dtype=np.float64):
    """Loss of a small network, and its 61 parameters."""
    rng = np.random.default_rng(0)
    shapes = {"in": {"W": (1, 6), "b": (6,)}, "mid": {"W": (6, 6), "b": (6,)}, "out": {"W": (6, 1), "b": ()}}
    params = jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape) / 2, dtype),
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )
    x = jnp.asarray(rng.uniform(-1, 1, (30, 1)), dtype)

    def loss(p):
        hidden = jnp.tanh(x @ p["in"]["W"] + p["in"]["b"][None])
        hidden = jnp.tanh(hidden @ p["mid"]["W"] + p["mid"]["b"][None])
        return jnp.mean((hidden @ p["out"]["W"] + p["out"]["b"] - jnp.sin(3 * x)) ** 2)

    return loss, params


def quartic(x):
    """A loss whose Hessian changes from place to place, cheaper to compile than a network."""
    return jnp.sum(jnp.arange(1.0, len(x) + 1) * x**2) + jnp.sum(jnp.sin(x)) ** 2 + jnp.sum(x**4)


def hessian(loss, params):
    flat, unravel = ravel_pytree(params)
    return np.asarray(jax.hessian(lambda theta: loss(unravel(theta)))(flat))


def quadratic(values, seed=0):
    """Loss whose Hessian has these eigenvalues, in general position, and the Hessian."""
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    matrix = vectors @ np.diag(values) @ vectors.T
    matrix = (matrix + matrix.T) / 2
    return lambda x: x @ jnp.asarray(matrix, x.dtype) @ x / 2, matrix


def rounding(matrix, n_products=40):
    """Rounding of values and residuals: each product errs by less than dim eps |H|, an orthonormal basis by as much."""
    return len(matrix) * n_products * EPS * max(np.abs(np.linalg.eigvalsh(matrix)).max(), 1e-300)


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_network_against_its_dense_hessian(which, x64):
    loss, params = network()
    matrix = hessian(loss, params)
    exact = np.linalg.eigvalsh(matrix)
    exact = exact[::-1][:3] if which == "largest" else exact[:3]
    found = sharpness(loss, params, n_eigenvalues=3, which=which, n_iterations=45)
    assert found.status == Status.OK and found.eigenvalues.dtype == jnp.float64
    slack = rounding(matrix, 45)
    np.testing.assert_array_less(np.abs(found.eigenvalues - exact), np.asarray(found.residuals) + slack)
    assert found.value == found.eigenvalues[0] and found.residual == found.residuals[0]
    vectors = np.asarray(found.vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=slack)
    off = np.linalg.norm(vectors @ matrix - np.asarray(found.eigenvalues)[:, None] * vectors, axis=1)
    np.testing.assert_allclose(off, found.residuals, atol=slack)


def test_errors_of_converged_values_are_of_second_order(x64):
    """An error is at most residual^2 over the gap to the rest of the spectrum (Parlett 1998, section 11.7)."""
    loss, matrix = quadratic([2.0, *np.linspace(-1, 1, 199)])
    for n_iterations in (8, 12, 16):
        found = sharpness(loss, jnp.ones(200), n_iterations=n_iterations)
        error, residual = 2 - float(found.value), float(found.residual)
        assert -rounding(matrix) <= error <= residual**2 / (float(found.value) - 1) + rounding(matrix)
        assert residual > 1e-8  # there was something to bound


def test_too_few_iterations_say_so_and_bound_their_error(x64):
    loss, matrix = quadratic(np.linspace(-1, 3, 200))
    found = sharpness(loss, jnp.zeros(200), n_iterations=5)
    assert found.status == Status.NOT_CONVERGED
    distance = np.abs(np.linalg.eigvalsh(matrix) - float(found.value)).min()
    assert distance <= found.residual + rounding(matrix) and found.residual > 0.01
    assert sharpness(loss, jnp.zeros(200), n_iterations=5, tolerance=0.5).status == Status.OK


@pytest.mark.parametrize("n_iterations", [40, 12])  # written out, and by products
@pytest.mark.parametrize(
    ("values", "k"),
    [
        ([-5.0, 3.0, 3.0, 3.0, *[1.0] * 16], 3),  # signed, not by modulus; three-fold
        ([-1.0, -2.0, -3.0, *[-4.0] * 17], 2),  # negative definite
        ([4.0, *[0.0] * 19], 4),  # rank 1: products end after two vectors
        ([2.0] * 20, 3),  # the identity: each start is an eigenvector
        ([1e-25, 5e-26, *[0.0] * 18], 2),  # far below rounding of 1
        ([1e200, -1e200, *[0.0] * 18], 2),
    ],
    ids=["degenerate", "negative definite", "rank one", "identity", "tiny", "huge"],
)
def test_spectra_with_equal_eigenvalues(values, k, n_iterations, x64):
    loss, matrix = quadratic(values)
    exact = np.sort(values)[::-1][:k]
    found = sharpness(loss, jnp.ones(20), n_eigenvalues=k, n_iterations=n_iterations)
    assert found.status == Status.OK
    np.testing.assert_allclose(found.eigenvalues, exact, rtol=0, atol=rounding(matrix))
    assert np.all(found.residuals <= rounding(matrix))


def test_zero_hessian(x64):
    for loss in (lambda x: jnp.sum(x), lambda x: jnp.sum(0 * x)):
        found = sharpness(loss, jnp.ones(100), n_eigenvalues=2)
        assert found.status == Status.OK
        np.testing.assert_array_equal(found.eigenvalues, 0)
        np.testing.assert_array_equal(found.residuals, 0)
        np.testing.assert_allclose(np.asarray(found.vectors) @ np.asarray(found.vectors).T, np.eye(2), atol=100 * EPS)


def test_one_parameter(x64):
    found = sharpness(lambda x: -3 * x**2, 2.0)
    assert found.eigenvalues.shape == (1,) and found.vectors.shape == (1, 1)
    np.testing.assert_allclose(found.value, -6, rtol=4 * EPS)
    assert found.status == Status.OK


def test_vectors_follow_the_order_of_the_parameters(x64):
    """Tree {a: (2,), b: ()}: the steep direction is b, which comes last."""
    found = sharpness(lambda p: jnp.sum(p["a"] ** 2) + 5 * p["b"] ** 2, {"b": 1.0, "a": jnp.ones(2)})
    np.testing.assert_allclose(np.abs(found.vectors[0]), [0, 0, 1], atol=10 * EPS)
    np.testing.assert_allclose(found.value, 10, rtol=4 * EPS)


@pytest.mark.parametrize("as_tree", [True, False])
def test_preconditioned_eigenvalues_are_those_of_the_quotient(as_tree, x64):
    loss, params = network()
    matrix = hessian(loss, params)
    scale = jax.tree.map(lambda leaf: 0.5 + jnp.abs(jnp.sin(7 * leaf)), params)
    flat = np.asarray(ravel_pytree(scale)[0])
    exact = np.sort(np.linalg.eigvals(matrix / flat[:, None]).real)[::-1][:2]
    given = scale if as_tree else flat
    found = sharpness(loss, params, preconditioner=given, n_eigenvalues=2, n_iterations=45)
    # Eigenvalues of the quotient, which is not symmetric, err by its condition, at most max P / min P <= 3.
    slack = 3 * rounding(matrix / flat.min(), 45)
    np.testing.assert_array_less(np.abs(found.eigenvalues - exact), np.asarray(found.residuals) + slack)
    assert found.status == Status.OK


def test_float32_stays_float32():
    """Rounding of float32 as in `rounding`; the residual bounds it as well."""
    loss, params = network(np.float32)
    found = sharpness(loss, params, n_eigenvalues=2)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float32"), np.dtype("int8")}
    matrix = hessian(loss, params).astype(float)
    exact = np.linalg.eigvalsh(matrix)[::-1][:2]
    np.testing.assert_allclose(found.eigenvalues, exact, rtol=0, atol=61 * 40 * 6e-8 * exact[0])
    assert found.status == Status.OK


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_float32_of_any_size(size):
    loss, _ = quadratic(np.linspace(-1, 2, 60))
    found = sharpness(lambda x: np.float32(size) * loss(x), jnp.zeros(60, jnp.float32), n_iterations=30)
    np.testing.assert_allclose(np.asarray(found.value) / size, 2, rtol=1e-3)
    assert found.status == Status.OK and found.residual > 0


def test_sums_of_two_entries_near_the_largest_number_do_not_overflow():
    """2.8e38 of at most 3.4e38: rounding as in `rounding`."""
    found = sharpness(lambda x: np.float32(1.4e38) * jnp.sum(x**2), jnp.zeros(60), n_iterations=10)
    np.testing.assert_allclose(found.value, 2.8e38, rtol=60 * 10 * 6e-8)
    assert found.status == Status.OK


def test_jit_vmap_and_lanes_equal_a_loop(x64):
    """Other orders of summation: rounding, as the values have converged to it."""
    points = jnp.linspace(0.5, 1.5, 3)[:, None] * jnp.cos(jnp.arange(50.0))[None]

    def measure(x):
        return sharpness(quartic, x, n_eigenvalues=2, n_iterations=45).eigenvalues

    loop = np.stack([measure(point) for point in points])
    slack = rounding(hessian(quartic, points[-1]), 45)
    for batched in (jax.vmap(measure), jax.jit(jaxdyn.lanes(measure))):
        np.testing.assert_allclose(batched(points), loop, rtol=0, atol=slack)
    np.testing.assert_allclose(jax.jit(measure)(points[0]), loop[0], rtol=0, atol=slack)


@pytest.mark.parametrize("batch", [jax.vmap, jaxdyn.lanes])
@pytest.mark.parametrize("n", [5, 60])
def test_nan_in_a_lane_stays_there(batch, n, x64):
    def loss(x):
        return jnp.sum(jnp.arange(1.0, n + 1) * x**2 + x**4 / 12)

    points = jnp.zeros((3, n)).at[1, 2].set(jnp.nan).at[2, 0].set(jnp.inf)
    found = batch(lambda x: sharpness(loss, x))(points)
    np.testing.assert_array_equal(found.status, [Status.OK, Status.NON_FINITE, Status.NON_FINITE])
    np.testing.assert_allclose(found.eigenvalues[0], 2 * n, rtol=1e-6)
    assert np.all(np.isnan(found.eigenvalues[1:]))


@pytest.mark.parametrize("n_iterations", [45, 50])  # by products, and written out
def test_derivatives_by_parameters_data_and_preconditioner(n_iterations, x64):
    """Central differences of step h err by h^2 and by rounding / h; at h = 1e-5 both are below 1e-8."""
    direction = jnp.asarray(np.random.default_rng(1).standard_normal(50)) / 7
    start = jnp.cos(jnp.arange(50.0))

    def value(amount):
        loss = jax.tree_util.Partial(lambda weight, x: weight * quartic(x), jnp.exp(amount))
        scale = jnp.exp(amount * direction)
        return sharpness(loss, start + amount * direction, preconditioner=scale, n_iterations=n_iterations).value

    value = jax.jit(value)
    difference = (value(1e-5) - value(-1e-5)) / 2e-5
    assert abs(difference) > 1
    np.testing.assert_allclose(jax.grad(value)(0.0), difference, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(value, (0.0,), (1.0,))[1], difference, rtol=1e-6)


def test_derivatives_through_a_closure(x64):
    def value(weight):
        return sharpness(lambda x: weight**2 * jnp.sum(jnp.arange(1.0, 51.0) * x**2), jnp.ones(50)).value

    np.testing.assert_allclose(jax.grad(value)(1.5), 2 * 1.5 * 100, rtol=1e-8)


def test_memory_grows_with_the_iterations_only(x64):
    """Two million parameters: their Hessian would take 32 TB. A few eigenvalues: converged after as many products."""
    n = 2_000_000
    steep = jnp.where(jnp.arange(n) % 4 == 0, 3.0, 1.0)
    found = sharpness(lambda x: jnp.sum(steep * x**2) / 2, jnp.zeros(n), n_iterations=4)
    np.testing.assert_allclose(found.value, 3, rtol=1e-10)
    assert found.status == Status.OK


def test_new_data_and_parameters_compile_nothing_anew():
    traces = []

    def loss(data, x):
        traces.append(None)
        return jnp.sum(data * x**2)

    for scale in (1.0, 2.0):
        found = sharpness(jax.tree_util.Partial(loss, scale * jnp.ones(4)), scale * jnp.ones(4))
        np.testing.assert_allclose(found.value, 2 * scale, rtol=1e-6)
        if scale == 1.0:
            first = len(traces)
    assert len(traces) - first <= 1  # the check of the loss


def square(x):
    return jnp.sum(x**2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: sharpness(lambda x: x, jnp.ones(3)), ValueError, "one real number"),
        (lambda: sharpness(lambda x: (square(x), x), jnp.ones(3)), TypeError, "got tuple"),
        (lambda: sharpness(lambda x: None, jnp.ones(3)), TypeError, "got NoneType"),
        (lambda: sharpness(square, jnp.ones(3), preconditioner=jnp.ones(3) * 1j), ValueError, "complex"),
        (lambda: sharpness(lambda x: jnp.argmax(x), jnp.ones(3)), ValueError, "int32"),
        (lambda: sharpness(3.0, jnp.ones(3)), TypeError, "function of the parameters"),
        (lambda: sharpness(square, jnp.arange(3)), TypeError, "int32"),
        (lambda: sharpness(square, jnp.ones(3, complex)), TypeError, "complex64"),
        (lambda: sharpness(square, {}), TypeError, "none"),
        (lambda: sharpness(square, jnp.ones(0)), ValueError, "at least one"),
        (lambda: sharpness(square, jnp.ones(3), n_eigenvalues=4), ValueError, "3 parameters"),
        (lambda: sharpness(square, jnp.ones(9), n_eigenvalues=4, n_iterations=3), ValueError, "n_iterations=3"),
        (lambda: sharpness(square, jnp.ones(3), n_iterations=0), ValueError, "n_iterations"),
        (lambda: sharpness(square, jnp.ones(3), which="greatest"), ValueError, "greatest"),
        (lambda: sharpness(square, jnp.ones(3), tolerance=-1.0), ValueError, "tolerance"),
        (lambda: sharpness(square, jnp.ones(3), preconditioner=jnp.ones(2)), ValueError, "preconditioner"),
        (lambda: sharpness(square, jnp.ones(3), preconditioner={"a": jnp.ones(3)}), ValueError, "preconditioner"),
    ],
)
def test_what_is_refused(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_preconditioner_that_is_not_positive_is_reported(x64):
    found = sharpness(lambda x: jnp.sum(x**2), jnp.ones(3), preconditioner=jnp.array([1.0, -1.0, 1.0]))
    assert found.status == Status.NON_FINITE


def test_a_sweep_labels_the_eigenvalues(x64):
    system = jaxdyn.iterated_map(lambda n, x, p: x * p["a"], {"a": 1.0}, [1.0, 1.0])

    def measure(system):
        return sharpness(
            lambda x: system.params["a"] * jnp.sum(jnp.array([1.0, 3.0]) * x**2), system.x0, n_eigenvalues=2
        )

    data = jaxdyn.sweep(functools.partial(measure), system, {"a": [1.0, 2.0]}, progress=False)
    np.testing.assert_allclose(data.eigenvalues, [[6, 2], [12, 4]], rtol=10 * EPS)
    assert data.eigenvalues.dims == ("a", "eigenvalue") and "vectors" not in data
