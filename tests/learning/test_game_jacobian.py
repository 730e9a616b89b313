"""The game Jacobian: its parts, and what they say of play."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn import Stability
from jaxdyn.learning import game_jacobian, game_map
from jaxdyn.models import games

MATRIX = np.array([[1.0, 2.0, 0.3], [-0.5, 1.5, 0.2], [0.7, -0.1, 2.0]])
ORIGIN = {"x": 0.0, "y": 0.0}


def test_a_quadratic_game_has_its_matrix(x64):
    game = games.quadratic(MATRIX, {"x": 1.0, "y": -1.0, "z": 0.5})
    found = game_jacobian(game.losses, game.start, loss_params=game.params)
    np.testing.assert_allclose(found.matrix, MATRIX, rtol=1e-15)  # products by 1 and sums of halves
    np.testing.assert_allclose(found.gradient, MATRIX @ [1.0, -1.0, 0.5], rtol=1e-15)
    np.testing.assert_allclose(found.symmetric + found.antisymmetric, MATRIX, rtol=1e-15)
    np.testing.assert_array_equal(found.symmetric, found.symmetric.T)
    np.testing.assert_array_equal(found.antisymmetric, -found.antisymmetric.T)
    np.testing.assert_allclose(found.own_least, [1.0, 1.5, 2.0])
    np.testing.assert_allclose(found.potential_size, np.linalg.norm((MATRIX + MATRIX.T) / 2), rtol=1e-14)
    np.testing.assert_allclose(found.hamiltonian_size, np.linalg.norm((MATRIX - MATRIX.T) / 2), rtol=1e-14)
    np.testing.assert_allclose(found.symmetric_least, np.linalg.eigvalsh((MATRIX + MATRIX.T) / 2)[0], rtol=1e-13)
    expected = np.linalg.eigvals(MATRIX)
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), np.sort_complex(expected), rtol=1e-13)


def test_a_potential_game_has_no_hamiltonian_part(x64):
    """Its matrix is the Hessian of the one loss, here of the two-learner game at (1, 1) sqrt(1 - sigma)."""
    game, place = games.two_learners(), float(np.sqrt(0.5))
    system = game_map(game.losses, optax.sgd, game.start, hyper={"learning_rate": 0.1}, loss_params=game.params)
    found = game_jacobian(system, {"k": place, "w": place})
    np.testing.assert_allclose(found.matrix, [[1.0, 0.0], [0.0, 1.0]], atol=1e-15)
    assert found.hamiltonian_size == 0
    assert found.is_stable and found.is_nash
    np.testing.assert_allclose(found.gradient, 0, atol=1e-15)
    np.testing.assert_allclose(game_jacobian(system).gradient, game_jacobian(system, game.start).gradient)


def test_the_bilinear_game_is_hamiltonian(x64):
    game = games.bilinear(2.0)
    found = game_jacobian(game.losses, ORIGIN, loss_params=game.params)
    assert found.potential_size == 0
    assert int(found.stability) == Stability.CENTER
    assert not found.is_stable and not found.is_nash
    np.testing.assert_allclose(found.eigenvalues, [2j, -2j], atol=1e-15)


@pytest.mark.parametrize(
    ("matrix", "is_stable", "is_nash"),
    [
        ([[1.0, 2.0], [-2.0, 1.0]], True, True),
        # Trace 0.5 and determinant 3.5 are positive, and x could gain by a move alone (Mazumdar et al. 2020).
        ([[-0.5, 2.0], [-2.0, 1.0]], True, False),
        # Both sit at minima of their own, and determinant 1 - 4 is negative.
        ([[1.0, 2.0], [2.0, 1.0]], False, True),
    ],
)
def test_stable_and_nash_are_two_things(x64, matrix, is_stable, is_nash):
    game = games.quadratic(matrix, ORIGIN)
    found = game_jacobian(game.losses, ORIGIN, loss_params=game.params)
    assert bool(found.is_stable) == is_stable
    assert bool(found.is_nash) == is_nash
    system = game_map(game.losses, optax.sgd, ORIGIN, hyper={"learning_rate": 0.01}, loss_params=game.params)
    assert bool(jaxdyn.spectral_radius(jaxdyn.eigenvalues(system)) < 1) == is_stable
    multipliers = 1 - 0.01 * np.asarray(found.eigenvalues)
    np.testing.assert_allclose(
        np.sort_complex(jaxdyn.eigenvalues(system)), np.sort_complex(multipliers), rtol=0, atol=1e-14
    )


def test_it_is_swept_and_differentiated(x64):
    game = games.dirac_gan()
    system = game_map(game.losses, optax.sgd, game.start, hyper={"learning_rate": 0.1}, loss_params=game.params)
    rest = {"theta": 0.0, "psi": 0.0}
    data = jaxdyn.sweep(lambda s: game_jacobian(s, rest), system, {"penalty": np.array([0.2, 0.5])}, progress=False)
    np.testing.assert_allclose(data.eigenvalues.real.values, [[0.1, 0.1], [0.25, 0.25]], rtol=1e-12)
    np.testing.assert_allclose(data.hamiltonian_size, np.sqrt(0.5), rtol=1e-12)
    slope = jax.grad(lambda p: game_jacobian(system.with_params(penalty=p), rest).eigenvalues[0].real)(0.2)
    np.testing.assert_allclose(slope, 0.5, rtol=1e-12)


def test_what_is_no_game_is_refused(unchecked):
    game = games.bilinear()
    system = game_map(game.losses, optax.sgd, game.start, hyper={"learning_rate": 0.1}, loss_params=game.params)
    with pytest.raises(TypeError, match="has its parameters"):
        game_jacobian(system, loss_params={})
    with pytest.raises(TypeError, match="parameters of each player"):
        game_jacobian(game.losses, loss_params=game.params)
    with pytest.raises(TypeError, match="made by optimizer_map or game_map"):
        game_jacobian(jaxdyn.models.henon())
    with pytest.raises(ValueError, match="one entry for each of x, z"):
        game_jacobian(game.losses, {"x": 0.0, "z": 0.0}, loss_params=game.params)
    with pytest.raises(ValueError, match=r"matrix must be \(2, 2\)"):
        games.quadratic(jnp.ones((3, 3)), ORIGIN)
