"""Singular values by rotations of rows, and the angles between subspaces that rest on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxdyn.analysis import one_sided_jacobi
from jaxdyn.analysis.one_sided_jacobi import graded_singular_values, unit_rows
from jaxdyn.analysis.subspace_angles import principal_angles

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (5, 9), (10, 10), (33, 33), (100, 100)])
def test_singular_values_of_random_matrices(shape, x64):
    matrix = np.random.default_rng(7).standard_normal(shape)
    logs, rows, converged = jax.jit(graded_singular_values)(*unit_rows(jnp.asarray(matrix)))
    _, values, right = np.linalg.svd(matrix)
    tolerance = 10 * EPS * np.sqrt(shape[0]) * values[0] / values[-1]
    np.testing.assert_allclose(np.exp(logs), values, rtol=tolerance)
    np.testing.assert_allclose(rows @ rows.T, np.eye(shape[0]), atol=100 * EPS * np.sqrt(shape[0]))
    assert np.linalg.norm(rows @ right[shape[0] :].T) < tolerance and converged


def test_graded_rows_keep_all_values(x64):
    """diag(1, 1e-200, 1e-400) U: to leading order Gram-Schmidt of the rows from the longest to the shortest."""
    rows, _ = unit_rows(jnp.asarray(np.random.default_rng(1).standard_normal((3, 3))))
    grades = jnp.log(10.0) * jnp.array([-400.0, 0.0, -200.0])
    logs, right, _ = graded_singular_values(rows, grades)
    q, r = np.linalg.qr(np.asarray(rows)[[1, 2, 0]].T)
    expected = np.log(np.abs(np.diag(r))) + np.log(10) * np.array([0, -200, -400])
    np.testing.assert_allclose(logs, expected, rtol=10 * EPS, atol=100 * EPS)
    np.testing.assert_allclose(np.abs(right @ q), np.eye(3), atol=100 * EPS)


def test_too_few_sweeps_are_seen(x64, monkeypatch):
    monkeypatch.setattr(one_sided_jacobi, "SWEEPS", 1)
    matrix = np.random.default_rng(3).standard_normal((30, 30))
    assert not graded_singular_values(*unit_rows(jnp.asarray(matrix)))[2]


def test_rows_that_vanish_or_depend(x64):
    """Two singular values are zero: -inf, and no nan."""
    logs, _, converged = graded_singular_values(
        *unit_rows(jnp.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]))
    )
    np.testing.assert_allclose(logs, [np.log(3), -np.inf, -np.inf])
    assert converged


# Angles


@pytest.mark.slow
def test_angles_of_subspaces(x64):
    """Against an independent implementation."""
    columns = np.random.default_rng(5).standard_normal((8, 6))
    columns /= np.linalg.norm(columns, axis=0)
    parts = np.split(columns, [2, 5], axis=1)
    expected = [scipy.linalg.subspace_angles(parts[i], parts[j]).min() for i, j in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(principal_angles(jnp.asarray(columns), (2, 3, 1)), expected, rtol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.3, 1.2, np.pi / 2])
def test_known_angles(angle, x64):
    """Span of e0, e1 against that of e0 turned towards e2, e3 and e4, each in a basis of no special direction."""
    rng = np.random.default_rng(6)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    first = np.eye(6)[:, :2] @ rng.standard_normal((2, 2))
    second = np.eye(6)[:, [0, 3, 4]]
    second[:, 0] = np.cos(angle) * np.eye(6)[0] + np.sin(angle) * np.eye(6)[2]
    both = turn @ np.concatenate([first, second @ rng.standard_normal((3, 3))], axis=1)
    both /= np.linalg.norm(both, axis=0)
    # Rounding of the bases, times their condition, below 100.
    np.testing.assert_allclose(principal_angles(jnp.asarray(both), (2, 3)), [angle], rtol=0, atol=1000 * EPS)
    # Single vectors; an obtuse angle is that of the lines.
    pair = jnp.array([[1.0, -np.cos(angle)], [0.0, np.sin(angle)]])
    np.testing.assert_allclose(principal_angles(pair, (1, 1)), [angle], rtol=4 * EPS, atol=EPS)


def test_one_subspace_has_no_angles(x64):
    assert principal_angles(jnp.eye(3), (3,)).shape == principal_angles(jnp.eye(1), (1,)).shape == (0,)
