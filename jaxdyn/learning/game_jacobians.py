"""The first-order picture of a game: how own gradients change with everyone's parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdyn._arrays import strong
from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Bool, Complex, Float, Int
from jaxdyn.analysis.local import matrix_eigenvalues
from jaxdyn.analysis.stability import stability
from jaxdyn.learning.building import arrays_of
from jaxdyn.learning.roots import with_finite_roots
from jaxdyn.learning.training import losses_of, training_of
from jaxdyn.system import Map

__all__ = ["GameJacobian", "game_jacobian"]


@record
class GameJacobian:
    """Jacobian of the vector of own gradients at one point of a game, its parts, and what they say."""

    gradient: Float[Array, " dim"] = labelled("state", words="gradient of the own loss")
    """Each player's gradient of its own loss by its own parameters; zero at a critical point."""
    matrix: Float[Array, "dim dim"] = labelled("state", "by_state", words="game Jacobian")
    """J[i, j] = d gradient_i / d theta_j."""
    symmetric: Float[Array, "dim dim"] = labelled("state", "by_state", words="potential part of the game Jacobian")
    antisymmetric: Float[Array, "dim dim"] = labelled(
        "state", "by_state", words="Hamiltonian part of the game Jacobian"
    )
    eigenvalues: Complex[Array, " dim"] = labelled("mode", words="eigenvalue of the game Jacobian")
    """Smallest real part first: the direction in which gradient play is slowest to return, or leaves."""
    potential_size: Float[Array, ""] = labelled(words="Frobenius norm of the potential part")
    """0 in a Hamiltonian game."""
    hamiltonian_size: Float[Array, ""] = labelled(words="Frobenius norm of the Hamiltonian part")
    """0 in a potential game."""
    symmetric_least: Float[Array, ""] = labelled(words="smallest eigenvalue of the potential part")
    own_least: Float[Array, " player"] = labelled("player", words="smallest own curvature")
    """Smallest eigenvalue of each player's Hessian by its own parameters."""
    stability: Int[Array, ""] = labelled()
    """Code of `Stability` of the critical point under simultaneous gradient play in continuous time."""

    @property
    def is_stable(self) -> Bool[Array, ""]:
        """Whether gradient play with small enough rates returns: all eigenvalues have positive real parts."""
        return jnp.all(self.eigenvalues.real > 0)

    @property
    def is_nash(self) -> Bool[Array, ""]:
        """Whether no player gains by a small move alone, to second order: all own curvatures are positive."""
        return jnp.all(self.own_least > 0)


def game_jacobian(
    game: Map | Mapping[str, Callable[..., Any]] | Callable[..., Any],
    thetas: Mapping[str, Any] | None = None,
    *,
    loss_params: Mapping[str, Any] | None = None,
) -> GameJacobian:
    """Jacobian of the vector of own gradients, its symmetric and antisymmetric part, and its eigenvalues.

    Parameters
    ----------
    game
        A map made by `game_map`, whose optimizers do not matter here; or losses by player, or one loss for all, as
        `game_map` takes them.
    thetas
        Parameters of each player by name; of a map default its start.
    loss_params
        Parameters of the losses, as for `game_map`; a map has its own.

    Returns
    -------
    GameJacobian
        For dim parameters of all players together, in the order of the players.

    Raises
    ------
    TypeError, ValueError
        If the game is none, players do not fit the losses, or a loss is no real number.

    Notes
    -----
    The symmetric part acts like a potential that all descend, the antisymmetric one turns like a Hamiltonian
    (Balduzzi et al. 2018; Letcher et al. 2019). Simultaneous gradient play theta' = -gradient returns to a critical
    point if all eigenvalues of the Jacobian have positive real parts, for which a positive definite symmetric part is
    enough. A differential Nash equilibrium, where all own curvatures are positive, can be unstable, and a stable point
    need not be one (Mazumdar, Ratliff & Sastry 2020): `is_stable` and `is_nash` tell. Both are meant for points
    where `gradient` is zero. With steps of a rate eta the multipliers of plain simultaneous play are 1 - eta lambda.

    Transforms: jit, vmap, lanes, sweep, grad.

    References
    ----------
    Balduzzi, Racaniere, Martens, Foerster, Tuyls & Graepel 2018, ICML, PMLR 80, 354-363, arXiv:1802.05642; Letcher et
    al. 2019, Journal of Machine Learning Research 20(84), arXiv:1905.04926; Mazumdar, Ratliff & Sastry 2020, SIAM
    Journal on Mathematics of Data Science 2, 103-131, arXiv:1804.05464.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.models import games
    >>> game = games.bilinear()
    >>> at_rest = jaxdyn.learning.game_jacobian(game.losses, {"x": 0.0, "y": 0.0}, loss_params=game.params)
    >>> at_rest.eigenvalues.imag.tolist(), float(at_rest.potential_size), bool(at_rest.is_stable)
    ([1.0, -1.0], 0.0, False)
    """
    gradient, at = _own_gradients(game, thetas, loss_params)
    sizes = [ravel_pytree(own)[0].size for own in at]
    point, unravel = ravel_pytree(at)
    matrix = jax.jacfwd(lambda x: gradient(unravel(x)))(point)
    symmetric, antisymmetric = (matrix + matrix.T) / 2, (matrix - matrix.T) / 2
    values = matrix_eigenvalues(matrix)
    values = values[jnp.lexsort((-values.imag, values.real))]
    return GameJacobian(
        gradient=gradient(at),
        matrix=matrix,
        symmetric=symmetric,
        antisymmetric=antisymmetric,
        eigenvalues=values,
        potential_size=_size(symmetric),
        hamiltonian_size=_size(antisymmetric),
        symmetric_least=_least(symmetric),
        own_least=jnp.stack([_least(block) for block in _blocks(symmetric, sizes)]),
        stability=stability(-values),
    )


def _own_gradients(game: Any, thetas: Any, loss_params: Any) -> tuple[Callable[[Any], Array], tuple[Any, ...]]:
    """Function of all parameters, by place, to the vector of own gradients; and where to evaluate it."""
    if isinstance(game, Map):
        training = training_of(game)
        if loss_params is not None:
            raise TypeError("a map has its parameters, got loss_params too; change them with game.with_params")
        losses, params = training.losses, game.params
        given = training.unpacked(game.x0, 0)[0] if thetas is None else losses.by_place(thetas, "thetas")
    else:
        if not isinstance(thetas, Mapping) or not thetas:
            raise TypeError(f"losses need the parameters of each player, thetas={{'x': 0.0, ...}}, got {thetas!r}")
        losses, params = losses_of(game, list(thetas), loss_params is not None), dict(loss_params or {})
        given = tuple(thetas.values())
    arrays, dtype = arrays_of(given, losses.names)
    at = tuple(arrays)
    params = {name: strong(value, dtype, f"parameter {name!r}") for name, value in params.items()}

    def gradient(everyone: tuple[Any, ...]) -> Array:
        return ravel_pytree([losses.gradient(i, everyone, params) for i in range(len(at))])[0]

    return gradient, at


def _blocks(matrix: Array, sizes: Sequence[int]) -> list[Array]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [matrix[end - size : end, end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _least(matrix: Array) -> Array:
    """Smallest eigenvalue of a symmetric matrix."""
    return jnp.min(matrix_eigenvalues(matrix).real)


def _size(matrix: Array) -> Array:
    """Frobenius norm, with slope 0 where the whole matrix is 0, as one part is in a Hamiltonian or potential game."""
    return with_finite_roots(lambda m: jnp.sqrt(jnp.sum(m * m)))(matrix)
