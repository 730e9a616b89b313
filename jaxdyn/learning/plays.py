"""Ways of play: in which order, and along which gradients, the players of a game move."""

from typing import Any, Protocol, runtime_checkable

import jax
from jax.flatten_util import ravel_pytree

from jaxdyn._record import record, static
from jaxdyn.methods.elimination import solver_of

__all__ = ["Alternating", "ExtraGradient", "Play", "Round", "Simultaneous", "Stackelberg"]


@runtime_checkable
class Round(Protocol):
    """One round of a game at fixed parameters of the map; players go by their places."""

    names: tuple[str, ...]

    def loss(self, i: int, thetas: tuple[Any, ...]) -> Any:
        """Loss of a player."""
        ...

    def gradient(self, i: int, thetas: tuple[Any, ...]) -> Any:
        """Gradient of a player's loss by its own parameters."""
        ...

    def moved(self, i: int, gradient: Any, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """A player's parameters and optimizer state after a step along a gradient."""
        ...


@runtime_checkable
class Play(Protocol):
    """One round: what becomes of all parameters and optimizer states."""

    def __call__(self, game: Round, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Parameters and optimizer states of all players after the round."""
        ...


@record
class Simultaneous:
    """All players move at once, each along its own gradient at the parameters before the round."""

    def __call__(self, game: Round, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Parameters and optimizer states of all players after the round."""
        return _together(game, [game.gradient(i, thetas) for i in range(len(thetas))], thetas, states)


@record
class Alternating:
    """Players move one after the other, in the order of their names; each sees the moves before its own."""

    def __call__(self, game: Round, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Parameters and optimizer states of all players after the round."""
        for i in range(len(thetas)):
            theta, state = game.moved(i, game.gradient(i, thetas), thetas, states)
            thetas, states = _with(thetas, i, theta), _with(states, i, state)
        return thetas, states


@record
class ExtraGradient:
    """All players look ahead by one simultaneous step, and move along the gradients that they find there.

    The step ahead leaves the optimizer states as they are. With plain gradients this is the method of Korpelevich
    (1976, Ekonomika i Matematicheskie Metody 12, 747-756).
    """

    def __call__(self, game: Round, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Parameters and optimizer states of all players after the round."""
        ahead, _ = Simultaneous()(game, thetas, states)
        return _together(game, [game.gradient(i, ahead) for i in range(len(thetas))], thetas, states)


@record
class Stackelberg:
    """The leader knows how the others answer: it descends its loss along their best responses.

    Its gradient is the total one, D f_l = d_l f_l - (d_l g)^T (d_f g)^-T d_f f_l, where g holds the gradients of all
    followers by their own parameters, which they descend at the same time. The linear system is solved densely, and the
    step is not finite where the followers' Jacobian d_f g is singular.

    References: Fiez, Chasnov & Ratliff 2020, ICML, PMLR 119, 3133-3144, arXiv:1906.01217.
    """

    leader: str = static()

    def __call__(self, game: Round, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        """Parameters and optimizer states of all players after the round."""
        if self.leader not in game.names or len(game.names) < 2:
            raise ValueError(
                f"Stackelberg needs a leader among two players or more, got {self.leader!r} of {game.names}"
            )
        lead = game.names.index(self.leader)
        gradients = [game.gradient(i, thetas) for i in range(len(thetas)) if i != lead]
        gradients.insert(lead, _total_gradient(game, lead, thetas))
        return _together(game, gradients, thetas, states)


def _total_gradient(game: Round, lead: int, thetas: tuple[Any, ...]) -> Any:
    others = [i for i in range(len(thetas)) if i != lead]
    own, unravel = ravel_pytree(thetas[lead])
    followers, as_followers = ravel_pytree([thetas[i] for i in others])

    def everyone(leader: Any, answers: Any) -> tuple[Any, ...]:
        rest = as_followers(answers)
        rest.insert(lead, unravel(leader))
        return tuple(rest)

    def answers_wanted(leader: Any, answers: Any) -> Any:
        """Gradients of the followers; zero at their best response."""
        return ravel_pytree([game.gradient(i, everyone(leader, answers)) for i in others])[0]

    by_own, by_others = jax.grad(lambda a, b: game.loss(lead, everyone(a, b)), argnums=(0, 1))(own, followers)
    turned = solver_of(jax.jacfwd(answers_wanted, 1)(own, followers).T)(by_others)
    _, pulled = jax.vjp(lambda a: answers_wanted(a, followers), own)
    return unravel(by_own - pulled(turned)[0])


def _together(game: Round, gradients: list[Any], thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
    moves = [game.moved(i, gradient, thetas, states) for i, gradient in enumerate(gradients)]
    return tuple(theta for theta, _ in moves), tuple(state for _, state in moves)


def _with(values: tuple[Any, ...], i: int, value: Any) -> tuple[Any, ...]:
    return (*values[:i], value, *values[i + 1 :])
