"""Orthonormal bases and least squares: identities within bounds of rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdyn.analysis.orthonormal import UNROLLED, cholesky, householder, orthonormalize, solve_least_squares

SHAPES = [(1, 1), (1, 4), (2, 2), (3, 3), (3, 8), (UNROLLED, UNROLLED), (UNROLLED + 1, UNROLLED + 1), (12, 30)]


def vectors_of(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def check(vectors, q, r):
    """The identity, the triangle, the sign, and orthogonality within eps times the condition number."""
    eps = np.finfo(vectors.dtype).eps
    k, n = vectors.shape
    vectors, q, r = (array.astype(float) for array in (vectors, q, r))
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    # Each entry is a sum of k products after k projections; the rows are compared in units of their length.
    assert np.abs((r.T @ q - vectors) / size).max() <= 4 * (k + n) * eps
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    assert (np.diagonal(r) >= 0).all()
    # Bjorck 1967, BIT 7, 1-21: modified Gram-Schmidt loses orthogonality in proportion to the condition
    # number (of the rows scaled to length 1, since scaling a row changes nothing but R).
    condition = np.linalg.cond(vectors / size)
    assert np.abs(q @ q.T - np.eye(k)).max() <= 4 * (k + n) * eps * condition


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_factorization_in_single_precision(shape, seed):
    vectors = vectors_of(shape, seed).astype(np.float32)
    q, r = map(np.asarray, orthonormalize(jnp.asarray(vectors)))
    assert (q.dtype, r.dtype, q.shape, r.shape) == (np.float32, np.float32, shape, (shape[0], shape[0]))
    check(vectors, q, r)


@pytest.mark.parametrize("shape", SHAPES)
def test_factorization_in_double_precision(shape, x64):
    vectors = vectors_of(shape)
    q, r = map(np.asarray, orthonormalize(jnp.asarray(vectors)))
    assert q.dtype == np.float64
    check(vectors, q, r)


@pytest.mark.parametrize("shape", [*SHAPES, (64, 200)])
def test_cholesky_passes(shape):
    vectors = vectors_of(shape).astype(np.float32)
    q, r = map(np.asarray, jax.jit(cholesky)(jnp.asarray(vectors)))
    assert (q.dtype, r.dtype) == (np.float32, np.float32)
    check(vectors, q, r)
    # The factors are unique: those of the reflections, up to rounding times the condition number.
    bound = 40 * sum(shape) * np.finfo(np.float32).eps * np.linalg.cond(vectors)
    for found, expected in zip((q, r), householder(jnp.asarray(vectors)), strict=True):
        assert np.abs(found - expected).max() <= bound * max(1, np.abs(expected).max())


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_cholesky_passes_of_nearly_parallel_vectors(condition, x64):
    """Orthogonal to rounding, unlike Gram-Schmidt, while the condition number stays below 1 / (n eps) = 1e14."""
    generic = np.linalg.qr(vectors_of((40, 20)))[0].T
    spread = np.linalg.qr(vectors_of((20, 20), 1))[0] * np.geomspace(1, 1 / condition, 20)
    vectors = spread @ generic
    q, r = map(np.asarray, cholesky(jnp.asarray(vectors)))
    eps = np.finfo(float).eps
    assert np.abs(q @ q.T - np.eye(20)).max() <= 60 * eps
    assert np.abs(r.T @ q - vectors).max() <= 60 * eps * np.abs(vectors).max()


def test_gpus_and_tpus_get_cholesky_passes():
    vectors = jnp.asarray(vectors_of((UNROLLED + 1, 20)), jnp.float32)
    for platform, name in (("cuda", "potrf"), ("tpu", "stablehlo.cholesky"), ("cpu", "geqrf")):
        text = jax.export.export(jax.jit(jax.vmap(orthonormalize)), platforms=[platform])(vectors[None]).mlir_module()
        assert (name in text) and ("geqrf" in text) == (platform == "cpu")


def test_ill_conditioned_vectors(x64):
    for distance in (1e-3, 1e-6, 1e-9):
        vectors = np.array([[1.0, 0.0, 0.0], [1.0, distance, 0.0], [1.0, 0.0, distance]])
        check(vectors, *map(np.asarray, orthonormalize(jnp.asarray(vectors))))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (3, 8)])
def test_sizes_whose_squares_leave_the_dtype(scale, shape):
    vectors = (vectors_of(shape) * scale).astype(np.float32)
    q, r = map(np.asarray, orthonormalize(jnp.asarray(vectors)))
    check(vectors, q, r)


def test_vectors_of_very_different_sizes():
    vectors = (vectors_of((3, 3)) * np.array([[1e-25], [1.0], [1e25]])).astype(np.float32)
    check(vectors, *map(np.asarray, orthonormalize(jnp.asarray(vectors))))


def test_a_vanishing_vector_gives_a_zero_row_and_harms_no_other():
    vectors = jnp.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, 2.0, 0.0]])
    q, r = orthonormalize(vectors)
    np.testing.assert_array_equal(q[0], 0)
    np.testing.assert_allclose(q[1:], [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(jnp.diagonal(r), [0.0, 5.0, 2.0], rtol=1e-6)


def test_parallel_vectors_leave_a_zero_on_the_diagonal():
    r = orthonormalize(jnp.array([[1.0, 0.0], [2.0, 0.0]]))[1]
    np.testing.assert_array_equal(r, [[1.0, 2.0], [0.0, 0.0]])


def test_nan_stays_in_its_lane():
    vectors = np.stack([vectors_of((3, 3)), np.full((3, 3), np.nan), vectors_of((3, 3))]).astype(np.float32)
    q, _ = jax.vmap(orthonormalize)(jnp.asarray(vectors))
    assert bool(jnp.isnan(q[1]).any())
    np.testing.assert_array_equal(q[0], q[2])
    assert bool(jnp.isfinite(q[0]).all())


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (7, 3), (UNROLLED, UNROLLED), (20, UNROLLED + 2)])
def test_least_squares_against_numpy(shape, x64):
    rng = np.random.default_rng(1)
    matrix, rhs = rng.standard_normal(shape), rng.standard_normal(shape[0])
    expected = np.linalg.lstsq(matrix, rhs)[0]
    found = np.asarray(solve_least_squares(jnp.asarray(matrix), jnp.asarray(rhs)))
    # Perturbation bound (Golub & Van Loan, section 5.3.7): cond for the solution, cond^2 for the residual.
    condition = np.linalg.cond(matrix)
    residual = np.linalg.norm(matrix @ expected - rhs) / np.linalg.norm(matrix, 2)
    bound = 8 * sum(shape) * 2.2e-16 * (condition * np.linalg.norm(expected) + condition**2 * residual)
    assert np.linalg.norm(found - expected) <= bound


def test_least_squares_differentiates(x64):
    # A x = b: dx/db is the inverse.
    matrix = jnp.array([[2.0, 1.0], [1.0, 3.0]])
    inverse = jax.jacrev(lambda b: solve_least_squares(matrix, b))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(inverse, np.linalg.inv(np.asarray(matrix)), rtol=1e-14)


@pytest.mark.parametrize("size", [1e-35, 1e-30, 1e30, 2e38])
def test_vectors_near_the_limits_of_the_type_keep_their_directions(size):
    vectors = (np.linalg.qr(vectors_of((3, 3)))[0] * size).astype(np.float32)
    q, r = map(np.asarray, jax.jit(jax.vmap(orthonormalize))(jnp.asarray(vectors)[None]))
    np.testing.assert_allclose(np.abs(np.sum(q[0] * (vectors / size), axis=1)), 1, rtol=1e-6)
    np.testing.assert_allclose(np.diagonal(r[0]) / size, 1, rtol=1e-6)
