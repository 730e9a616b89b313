"""Orthogonal iteration: Schur form, blocks, rates, and the link to Lyapunov exponents."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdyn
from jaxdyn import Status, models
from jaxdyn.analysis.orthonormal import UNROLLED
from jaxdyn.analysis.power_method import power_method
from jaxdyn.analysis.qr_algorithm import qr_algorithm

EPS = np.finfo(np.float64).eps


def similar(blocks, seed=0):
    """Matrix with these diagonal blocks in some basis, and that basis' condition number."""
    core = scipy.linalg.block_diag(*blocks)
    basis = np.random.default_rng(seed).standard_normal(core.shape)
    return basis @ core @ np.linalg.inv(basis), np.linalg.cond(basis)


def turning(a, b):
    return [[a, b], [-b, a]]


def by_modulus(values):
    return values[np.lexsort((-values.imag, -np.round(np.abs(values), 8)))]


@pytest.mark.parametrize("n", [1, 2, 3, 6, UNROLLED + 4])
def test_real_spectrum_gives_the_schur_form(n, x64):
    values = 3.0 * 0.6 ** np.arange(n) * (-1) ** np.arange(n)
    matrix, condition = similar(list(values[:, None, None]))
    found = qr_algorithm(matrix, n_iterations=120)
    # Ratio 0.6: 0.6^120 is below rounding. Eigenvalues carry eps |M| times their condition numbers.
    bound = 20 * n * EPS * np.linalg.norm(matrix) * condition
    assert found.status == Status.OK and found.residual < 20 * n * EPS
    np.testing.assert_allclose(found.eigenvalues, values, rtol=0, atol=bound)
    np.testing.assert_array_equal(np.asarray(found.eigenvalues).imag, 0)
    Q, T = np.asarray(found.Q), np.asarray(found.T)
    np.testing.assert_allclose(Q.T @ Q, np.eye(n), atol=10 * n * EPS)
    np.testing.assert_allclose(Q @ T @ Q.T, matrix, atol=20 * n * EPS * np.linalg.norm(matrix))
    np.testing.assert_allclose(np.tril(T, -1), 0, atol=20 * n * EPS * np.linalg.norm(matrix))
    reference = np.diag(scipy.linalg.schur(matrix)[0])
    np.testing.assert_allclose(np.sort(np.diag(T)), np.sort(reference), atol=2 * bound)


@pytest.mark.parametrize(
    "blocks",
    [
        [turning(-0.3, 0.5)],
        [[[2.0]], turning(0.5, 1.0), [[0.4]]],
        [turning(1.0, 2.0), [[1.5]], turning(0.1, 0.7), [[-0.2]]],
        [turning(0.0, 2.0), turning(1.0, 0.3), turning(0.3, 0.1)],
    ],
)
def test_complex_pairs_are_blocks_of_two(blocks, x64):
    matrix, condition = similar(blocks, seed=1)
    found = qr_algorithm(matrix, n_iterations=200)
    bound = 100 * EPS * np.linalg.norm(matrix) * condition
    np.testing.assert_allclose(found.eigenvalues, by_modulus(np.linalg.eigvals(matrix)), atol=bound)
    assert found.status == Status.OK
    sizes = [np.shape(block)[0] for block in blocks]
    below = np.abs(np.diagonal(found.T, -1))
    inside = np.concatenate([[True] * (size - 1) + [False] for size in sizes])[:-1]
    assert np.all(below[inside] > 1e-3) and np.all(below[~inside] < bound)
    np.testing.assert_allclose(np.tril(found.T, -2), 0, atol=bound)
    np.testing.assert_allclose(found.Q @ found.T @ found.Q.T, matrix, atol=bound)


def test_two_opposite_eigenvalues_share_a_block(x64):
    """Eigenvalues 1 and -1 never separate: the diagonal of T is wrong, its block of two is right."""
    matrix, _ = similar([[[1.0]], [[-1.0]], [[0.25]]], seed=2)
    found = qr_algorithm(matrix, n_iterations=80)
    assert found.status == Status.OK
    np.testing.assert_allclose(np.sort(np.asarray(found.eigenvalues).real), [-1, 0.25, 1], atol=1e-12)
    assert np.all(np.abs(np.abs(np.diagonal(found.T)[:2]) - 1) > 0.1)


@pytest.mark.parametrize(
    ("blocks", "n_vectors"),
    [
        ([[[1.0]], turning(0.6, 0.8), [[0.2]]], None),  # three of one modulus
        ([[[1.0]], turning(0.3, 0.4), [[0.2]]], 2),  # a pair cut in two
        ([[[1.0]], [[0.999]], [[0.998]], [[0.997]]], None),  # too slow
    ],
)
def test_what_has_not_converged_says_so(blocks, n_vectors, x64):
    found = qr_algorithm(similar(blocks, seed=3)[0], n_iterations=60, n_vectors=n_vectors)
    assert found.status == Status.NOT_CONVERGED and found.residual > 1e-6


def test_residual_is_the_backward_error(x64):
    """Eigenvalues are exact for a matrix that is nearer than the residual, also after few iterations."""
    matrix, _ = similar([[[2.0]], turning(0.9, 0.9), [[0.8]], [[0.3]]], seed=5)
    found = qr_algorithm(matrix, n_iterations=6)
    Q, T = np.asarray(found.Q), np.asarray(found.T)
    assert T[1, 0] != 0 and abs(T[2, 1]) > max(abs(T[1, 0]), abs(T[3, 2]))
    kept = np.triu(T) + np.diag([0, T[2, 1], 0, T[4, 3]], -1)  # blocks of 1, 2, 2
    near = Q @ kept @ Q.T
    np.testing.assert_allclose(np.linalg.norm(near - matrix) / np.linalg.norm(matrix), found.residual, rtol=1e-10)
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), np.sort_complex(np.linalg.eigvals(near)), atol=1e-12)


def test_from_the_identity_it_is_the_unshifted_qr_algorithm(x64):
    matrix, _ = similar([[[2.0]], [[1.0]], [[-0.6]], [[0.2]]], seed=6)
    iterate, growth, below = matrix, [], []
    for _ in range(6):
        q, r = np.linalg.qr(iterate)
        sign = np.sign(np.diag(r))
        iterate = (sign[:, None] * r) @ (q * sign)  # R Q, with R of positive diagonal
        growth.append(np.log(np.abs(np.diag(r))))
        below.append(np.abs(np.diag(iterate, -1)))
    found = qr_algorithm(matrix, n_iterations=6, start=np.eye(4))
    np.testing.assert_allclose(found.T, iterate, atol=1e-11)
    np.testing.assert_allclose(found.log_growth, growth, atol=1e-11)
    np.testing.assert_allclose(found.subdiagonal, below, atol=1e-11)


def test_two_vectors_are_the_gram_schmidt_recursion(x64):
    """x1 = M x1 / U11, x2 = (M x2 - U12 x1) / U22, written out."""
    matrix, _ = similar([[[2.0]], [[1.2]], [[0.5]]], seed=7)
    start = np.linalg.qr(np.random.default_rng(8).standard_normal((3, 2)))[0]
    first, second = start.T
    growth = []
    for _ in range(10):
        ahead, beside = matrix @ first, matrix @ second
        u11 = np.linalg.norm(ahead)
        first = ahead / u11
        u12 = first @ beside
        rest = beside - u12 * first
        u22 = np.linalg.norm(rest)
        second = rest / u22
        growth.append([u11, u22])
    found = qr_algorithm(matrix, n_iterations=10, start=start)
    np.testing.assert_allclose(found.Q, np.stack([first, second], axis=1), atol=1e-12)
    np.testing.assert_allclose(np.exp(found.log_growth), growth, rtol=1e-12)
    assert found.T.shape == (2, 2) and found.eigenvalues.shape == (2,)


def test_one_vector_is_the_power_method(x64):
    matrix, _ = similar([[[2.0]], [[1.2]], [[0.5]]], seed=7)
    one, power = qr_algorithm(matrix, n_iterations=9, n_vectors=1), power_method(matrix, n_iterations=9)
    np.testing.assert_allclose(one.Q[:, 0], power.vector, atol=1e-14)
    np.testing.assert_allclose(one.eigenvalues[0], power.eigenvalue, rtol=1e-13)


def test_subdiagonals_decay_as_ratios_of_eigenvalues(x64):
    """|T[j+1, j]| ~ |mu_(j+1)/mu_j|^k once faster terms are gone: 0.57^k against the last, 1e-3 at k = 12."""
    values = np.array([2.0, 1.4, 0.8, 0.2])
    matrix, _ = similar(list(values[:, None, None]), seed=9)
    below = np.asarray(qr_algorithm(matrix, n_iterations=40).subdiagonal)
    assert below.shape == (40, 3)
    for j, last in ((0, 40), (1, 40), (2, 17)):  # 0.25^20 = 1e-12 nears the rounding of a sheared matrix
        ratio = (below[last - 1, j] / below[last - 5, j]) ** 0.25
        np.testing.assert_allclose(ratio, values[j + 1] / values[j], rtol=0.01)


@pytest.mark.parametrize("blocks", [[[[1.3]], [[-0.7]], [[0.1]]], [turning(0.6, 0.8), [[0.5]]]])
def test_log_growth_is_the_lyapunov_spectrum(blocks, x64):
    """The same recursion along the trajectory of the linear map: equal to rounding, and log|mu| in the end."""
    matrix, condition = similar(blocks, seed=10)
    n = 300
    found = qr_algorithm(matrix, n_iterations=n)
    spectrum = jaxdyn.lyapunov_spectrum(models.linear_map(A=matrix, x0=np.zeros(3)), n_steps=n, n_transient=0)
    np.testing.assert_allclose(np.sort(found.exponents)[::-1], spectrum.exponents, rtol=0, atol=1e-12)
    expected = np.log(np.abs(by_modulus(np.linalg.eigvals(matrix))))
    np.testing.assert_allclose(found.exponents, expected, atol=2 * np.log(condition) / n + 1e-12)
    np.testing.assert_allclose(found.exponents.sum(), np.log(abs(np.linalg.det(matrix))), atol=1e-12)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 3)),
        np.diag([2.0, 0.0, 0.0, 0.0]),
        np.outer([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 0.0, 1.0]),
        [[2.0, 1.0, 3.0], [2.0, 1.0, 3.0], [0.0, 1.0, 1.0]],
        np.diag([1.0, 1.0], 1),
    ],
)
@pytest.mark.parametrize("from_identity", [False, True])
def test_singular_matrices_keep_an_orthonormal_frame(matrix, from_identity, x64):
    matrix = np.asarray(matrix)
    n = len(matrix)
    found = qr_algorithm(matrix, n_iterations=60, start=np.eye(n) if from_identity else None)
    np.testing.assert_allclose(found.Q.T @ found.Q, np.eye(n), atol=10 * n * EPS)
    np.testing.assert_allclose(found.Q @ found.T @ found.Q.T, matrix, atol=50 * n * EPS)
    # Double zeros move by the square root of rounding.
    expected = by_modulus(np.linalg.eigvals(matrix))
    np.testing.assert_allclose(np.abs(found.eigenvalues), np.abs(expected), atol=1e-5)
    assert found.status == Status.OK


def test_symmetric_matrices_give_eigenvectors(x64):
    random = np.random.default_rng(11)
    vectors = np.linalg.qr(random.standard_normal((4, 4)))[0]
    matrix = vectors @ np.diag([4.0, 2.0, 1.0, 0.5]) @ vectors.T
    found = qr_algorithm(matrix, n_iterations=80)
    np.testing.assert_allclose(np.abs(found.Q.T @ vectors), np.eye(4), atol=1e-13)
    np.testing.assert_allclose(found.T, np.diag([4.0, 2.0, 1.0, 0.5]), atol=1e-13)


def test_leading_part_of_a_large_matrix(x64):
    matrix, condition = similar([[[5.0]], turning(2.0, 2.0), *([[0.9 * 0.8**i]] for i in range(20))], seed=12)
    found = qr_algorithm(matrix, n_iterations=80, n_vectors=3)
    assert found.Q.shape == (23, 3) and found.status == Status.OK
    np.testing.assert_allclose(found.eigenvalues, [5, 2 + 2j, 2 - 2j], atol=1e-12 * condition)
    np.testing.assert_allclose(matrix @ found.Q, found.Q @ found.T, atol=1e-12 * condition)


def test_sweep_over_a_parameter(x64):
    values = np.linspace(0.6, 1.4, 4)

    def measure(system):
        return qr_algorithm(jaxdyn.jacobian(system, [0.6, 0.2]), n_iterations=100)

    cells = jaxdyn.sweep(measure, models.henon(), {"a": values}, progress=False)
    root = np.sqrt((0.6 * values) ** 2 + 0.3)
    np.testing.assert_allclose(
        cells["eigenvalues"], np.stack([-0.6 * values - root, -0.6 * values + root], 1), rtol=1e-11
    )
    assert cells["Q"].dims == ("a", "state", "exponent") and not cells["status"].any()
    assert "log_growth" not in cells


@pytest.mark.slow
def test_lanes_equal_vmap_and_single_precision():
    matrices = jnp.asarray(
        np.stack([similar([[[2.0]], turning(0.5, 0.6), [[0.2]]], seed)[0] for seed in range(3)]), jnp.float32
    )
    function = functools.partial(qr_algorithm, n_iterations=60)
    one, other = jax.vmap(function)(matrices), jaxdyn.lanes(function)(matrices)
    assert one.eigenvalues.dtype == jnp.complex64 and one.T.dtype == jnp.float32
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, atol=1e-4)
    np.testing.assert_array_equal(one.status, other.status)
    spoiled = jax.vmap(function)(matrices.at[1, 0, 0].set(jnp.nan))
    np.testing.assert_array_equal(spoiled.status == Status.NON_FINITE, [False, True, False])
    np.testing.assert_array_equal(spoiled.T[2], one.T[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": np.ones((2, 3))}, r"matrix must be square, \(n, n\), got shape \(2, 3\)"),
        ({"n_vectors": 4}, "n_vectors must be between 1 and 3, the size of the matrix, got 4"),
        ({"n_vectors": 0}, "n_vectors must be a whole number of at least 1"),
        ({"start": np.eye(2)}, r"start has shape \(2, 2\), expected \(3, k\) with k from 1 to 3: one column"),
        ({"start": np.ones((3, 2))}, "the 2 columns of start are linearly dependent"),
        ({"start": np.eye(3), "n_vectors": 2}, r"start has shape \(3, 3\), expected \(3, 2\)"),
        ({"n_iterations": 0}, "n_iterations must be a whole number"),
        ({"tolerance": 0.0}, "tolerance must be a positive number"),
    ],
)
def test_wrong_arguments(arguments, message):
    settings = {"matrix": np.eye(3), "n_iterations": 3} | arguments
    with pytest.raises(ValueError, match=message):
        qr_algorithm(settings.pop("matrix"), **settings)
