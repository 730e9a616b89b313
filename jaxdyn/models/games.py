"""Games of small numbers of parameters whose dynamics are known, as losses: what `jaxdyn.learning.game_map` plays.

A game is losses by player, each a function `(thetas, params) -> number` of all players' parameters by name, with a
start and the parameters of the losses:

    game = games.bilinear()
    jaxdyn.learning.game_map(game.losses, optax.sgd, game.start, loss_params=game.params, hyper={"learning_rate": 0.1})
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxdyn._types import Array, ArrayLike
from jaxdyn.models._learner_parameters import value
from jaxdyn.models.learners import two_learner_error

__all__ = ["Game", "bilinear", "dirac_gan", "quadratic", "two_learners"]

Loss: TypeAlias = Callable[[dict[str, Array], Mapping[str, Any]], Array]


class Game(NamedTuple):
    """Losses by player, a start by player, and the parameters of the losses."""

    losses: dict[str, Loss]
    start: dict[str, Any]
    params: dict[str, Any]


def quadratic(matrix: ArrayLike | Sequence[Any], start: Mapping[str, float]) -> Game:
    """Players with a number each, whose own gradients are linear: d f_i / d theta_i = sum_j M_ij theta_j.

    f_i = theta_i (M_ii theta_i / 2 + sum of M_ij theta_j over all other j). A symmetric M is a potential game, an
    antisymmetric one Hamiltonian (Balduzzi et al. 2018, arXiv:1802.05642).

    Parameters
    ----------
    matrix
        M, (n, n); the parameter `matrix` of the losses.
    start
        Start of each of the n players, by name.

    Raises
    ------
    ValueError
        If the matrix does not have one row and column for each player.

    Examples
    --------
    >>> from jaxdyn.models import games
    >>> game = games.quadratic([[1.0, 2.0], [-2.0, 0.5]], {"x": 1.0, "y": 1.0})
    >>> [float(loss(game.start, game.params)) for loss in game.losses.values()]
    [2.5, -1.75]
    """
    names, matrix = tuple(start), value(matrix)
    if matrix.shape != (len(names), len(names)):
        raise ValueError(f"matrix must be ({len(names)}, {len(names)}) for players {names}, got {matrix.shape}")
    return Game({name: _quadratic_loss(names, i) for i, name in enumerate(names)}, dict(start), {"matrix": matrix})


def _quadratic_loss(names: tuple[str, ...], i: int) -> Loss:
    def loss(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
        own, row = thetas[names[i]], params["matrix"][i]
        others = sum(row[j] * thetas[name] for j, name in enumerate(names) if j != i)
        return own * (row[i] * own / 2 + others)

    return loss


def bilinear(strength: ArrayLike = 1.0) -> Game:
    """The zero-sum game f_x = s x.y = -f_y, of numbers or of vectors: gradient play circles the origin.

    Its Jacobian of own gradients [[0, s], [-s, 0]] is antisymmetric, with eigenvalues +-i s. At a rate eta, one step
    multiplies the distance from the origin by sqrt(1 + (eta s)^2) if players move simultaneously; by 1 over the long
    run if they alternate and eta s < 2; by |1 - (eta s)^2 + i eta s| with extra-gradients.

    References: Korpelevich 1976, Ekonomika i Matematicheskie Metody 12, 747-756; Gidel et al. 2019, AISTATS, PMLR 89,
    1802-1811, arXiv:1807.04740 (alternating play).

    Examples
    --------
    >>> from jaxdyn.models import games
    >>> game = games.bilinear(2.0)
    >>> float(game.losses["x"]({"x": 3.0, "y": 0.5}, game.params))
    3.0
    """
    return Game({"x": _product, "y": _minus_product}, {"x": 1.0, "y": 0.5}, {"strength": strength})


def _product(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
    x, y = thetas["x"], thetas["y"]
    if jnp.shape(x) != jnp.shape(y):
        raise ValueError(f"x and y must have one shape, got {jnp.shape(x)} and {jnp.shape(y)}")
    return params["strength"] * jnp.sum(x * y)


def _minus_product(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
    return -_product(thetas, params)


def dirac_gan(penalty: ArrayLike = 0.0) -> Game:
    """The smallest generative adversarial network: a point theta learns to be at 0 from a discriminator psi x.

    The discriminator ascends L = f(psi theta) + f(0) - penalty psi^2 / 2 with f(t) = -ln(1 + exp(-t)), and the
    generator descends it. The equilibrium is the origin, where the game Jacobian has the eigenvalues
    (g +- sqrt(g^2 - 1)) / 2 with g = penalty: a center of the flow without it, and each simultaneous step of rate eta
    multiplies the distance by sqrt(1 + eta^2 / 4).

    References: Mescheder, Geiger & Nowozin 2018, ICML, PMLR 80, 3481-3490, arXiv:1801.04406 (their R1 penalty gamma).

    Examples
    --------
    >>> import math
    >>> from jaxdyn.models import games
    >>> game = games.dirac_gan()
    >>> bool(game.losses["theta"]({"theta": 0.0, "psi": 1.0}, game.params) + 2 * math.log(2.0) < 1e-6)
    True
    """
    return Game({"theta": _generator, "psi": _discriminator}, {"theta": 1.0, "psi": 0.5}, {"penalty": penalty})


def _generator(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
    meeting = thetas["psi"] * thetas["theta"]
    size = thetas["psi"] * thetas["psi"]
    return jax.nn.log_sigmoid(meeting) + jax.nn.log_sigmoid(jnp.zeros_like(meeting)) - params["penalty"] * size / 2


def _discriminator(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
    return -_generator(thetas, params)


def two_learners(tau: ArrayLike = 1.0, sigma_k: ArrayLike = 0.5, sigma_w: ArrayLike = 0.5) -> Game:
    """The two-learner game: both descend one error, `jaxdyn.models.two_learner_error`; a potential game.

    Played simultaneously by plain gradient descent it is `jaxdyn.models.two_learner_descent`, for vectors as starts
    `vector_learner_descent`; closed forms are in `jaxdyn.models.learner_theory`.

    Examples
    --------
    >>> from jaxdyn.models import games
    >>> game = games.two_learners()
    >>> float(game.losses["k"]({"k": 0.0, "w": 0.0}, game.params))
    0.5
    """
    params = {"tau": tau, "sigma_k": sigma_k, "sigma_w": sigma_w}
    return Game({"k": _shared_error, "w": _shared_error}, {"k": 0.71, "w": 0.70}, params)


def _shared_error(thetas: dict[str, Array], params: Mapping[str, Any]) -> Array:
    both = [jnp.atleast_1d(thetas[name]) for name in ("k", "w")]
    if both[0].shape != both[1].shape or both[0].ndim > 1:
        raise ValueError(f"k and w must be numbers or vectors of one length, got {both[0].shape} and {both[1].shape}")
    return two_learner_error(jnp.concatenate(both), params)
