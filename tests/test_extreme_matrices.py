"""Matrices at the ends of the floating numbers, and of no use: transient growth and orthogonal iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxdyn import Status
from jaxdyn.analysis.qr_algorithm import qr_algorithm
from jaxdyn.analysis.transient import transient_growth

EPS = np.finfo(np.float64).eps


def similar(blocks, seed=0):
    """Matrix with these diagonal blocks in some basis, and that basis' condition number."""
    core = scipy.linalg.block_diag(*blocks)
    basis = np.random.default_rng(seed).standard_normal(core.shape)
    return basis @ core @ np.linalg.inv(basis), np.linalg.cond(basis)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e18, 1e30])
def test_measures_of_non_normality_at_any_scale(scale):
    """All rates and the departure have the size of the matrix; the commutator has its square, which may be inf or 0."""
    matrix = np.array([[-1.0, 10.0], [0.0, -2.0]])
    large = (matrix * scale).astype(np.float32)
    eps = np.finfo(np.float32).eps
    flow = transient_growth(large, times=[0.0])
    np.testing.assert_allclose(flow.henrici_departure / scale, 10, rtol=10 * eps)
    np.testing.assert_allclose(flow.reactivity / scale, (-3 + np.sqrt(101)) / 2, rtol=10 * eps)
    np.testing.assert_allclose(flow.growth_rate / scale, -1, rtol=10 * eps)
    commutator = np.linalg.norm(matrix @ matrix.T - matrix.T @ matrix) * scale**2
    with np.errstate(over="ignore", under="ignore"):
        expected = np.float32(commutator)
    np.testing.assert_allclose(flow.commutator_norm, expected, rtol=10 * eps)
    step = transient_growth(large, times=[0, 1], discrete=True)
    norm = np.log(np.linalg.norm(matrix, 2)) + np.log(scale)
    np.testing.assert_allclose([step.reactivity, np.log(step.amplification[1])], norm, rtol=10 * eps)


@pytest.mark.parametrize(
    ("matrix", "time"),
    [(np.diag([-1e8, -1.0]), 1.0), ([[0.0, 1.0], [-1.0, 0.0]], 1e8), ([[0.0, 1e6], [-1e6, 0.0]], 1.0)],
)
def test_amplifications_without_digits_are_nan_and_reported(matrix, time):
    """Rounding of eps |A t| > 1: what is left is no number."""
    growth = transient_growth(np.asarray(matrix, np.float32), times=[0.0, time])
    assert growth.status == Status.NON_FINITE and np.isnan(growth.amplification[1])
    assert growth.amplification[0] == 1
    faded = transient_growth(np.float32([[-1e6]]), times=[1.0])  # what has vanished stays
    assert faded.status == Status.OK and faded.amplification[0] == 0


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.eye(2), [[-1.0, 0.5], [0.5, -2.0]]])
def test_the_commutator_of_normal_matrices_has_the_derivative_zero(matrix, x64):
    slope = jax.grad(lambda a: transient_growth(a, times=[1.0]).commutator_norm)(jnp.asarray(matrix))
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": ["a"]}, r"times must be real numbers, got \['a'\]"),
        ({"times": [1j]}, "times must be real numbers"),
        ({"times": [True]}, "times must be real numbers"),
        ({"times": [1], "discrete": "yes"}, "discrete must be True, False or None, got 'yes'"),
        ({"times": [1], "discrete": np.array([True, False])}, "discrete must be True, False or None"),
    ],
)
def test_wrong_times_and_kinds(arguments, message, unchecked):
    with pytest.raises(TypeError, match=message):
        transient_growth(np.eye(2), **arguments)
    with pytest.raises(ValueError, match=r"times must have shape \(n,\) with n >= 1, got \[\[1\], \[1, 2\]\]"):
        transient_growth(np.eye(2), times=[[1], [1, 2]])


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e30, 1e37])
def test_schur_form_at_any_scale(scale):
    matrix, _ = similar([[[2.0]], [[-1.2]], [[0.5]]], seed=7)
    plain = qr_algorithm(np.float32(matrix), n_iterations=80)
    found = qr_algorithm(np.float32(matrix * scale), n_iterations=80)
    assert plain.status == found.status == Status.OK
    for name in ("eigenvalues", "T"):
        np.testing.assert_allclose(np.asarray(getattr(found, name)) / scale, getattr(plain, name), atol=1e-4)
    np.testing.assert_allclose(found.exponents - np.log(scale), plain.exponents, atol=1e-4)
    assert qr_algorithm(np.float32(matrix * scale), n_iterations=2).status == Status.NOT_CONVERGED


@pytest.mark.parametrize("n", [2, 3, 4])
def test_exponents_of_a_nilpotent_matrix_are_minus_infinity(n, x64):
    """Q_k R_k = M Q_(k-1) also where a row gives way to one that stands in: its own part of the vector is nothing."""
    found = qr_algorithm(np.diag(np.ones(n - 1), 1), n_iterations=20)
    np.testing.assert_array_equal(found.exponents[:-1], -np.inf)
    assert found.exponents[-1] < np.log(EPS) / 4  # one factor in two may be rounding instead of zero
    np.testing.assert_allclose(found.eigenvalues, 0, atol=1e-7)  # a double zero moves by the root of rounding


def test_starts_of_any_length():
    for start in (np.float32([[3e38, 0], [3e38, 1e-30]]), np.diag([1e30, 1e-30])):
        found = qr_algorithm([[2.0, 1.0], [1.0, 2.0]], n_iterations=30, start=start)
        assert found.status == Status.OK
        np.testing.assert_allclose(found.eigenvalues.real, [3, 1], rtol=1e-6)
        assert np.all(np.isfinite(found.exponents))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (1.0, r"start has shape \(\), expected \(2, k\) with k from 1 to 2"),
        ([1.0, 0.0], r"start has shape \(2,\), expected \(2, k\)"),
        (np.eye(3)[:2], r"start has shape \(2, 3\), expected \(2, k\) with k from 1 to 2"),
        ([[np.nan, 1.0], [1.0, 0.0]], "the 2 columns of start must be finite numbers, got"),
        (np.float32([[1.0, 0.0], [0.0, 1e-42]]), "the 2 columns of start are linearly dependent"),
    ],
)
def test_wrong_starts(start, message, unchecked):
    with pytest.raises(ValueError, match=message):
        qr_algorithm(np.eye(2), n_iterations=3, start=start)
