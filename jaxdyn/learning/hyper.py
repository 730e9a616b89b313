"""Hyper-parameters: which become parameters of the map, under which names."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxdyn._arrays import given_dtype
from jaxdyn.learning.optimizers import is_optimizer
from jaxdyn.learning.players import Player

__all__ = ["all_params", "players_of"]


def players_of(
    names: Sequence[str], optimizers: Sequence[Any], hyper: Mapping[str, Any] | None
) -> tuple[list[Player], dict[str, Any]]:
    """Players with their optimizers, and the values of the map's parameters that are hyper-parameters.

    A number becomes a parameter, of all players that are given it; a mapping by player one parameter for each of its
    players, `k_learning_rate`. What is no number is handed to the factory as it is.
    """
    swept: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    fixed: dict[str, list[tuple[str, Any]]] = {name: [] for name in names}
    values: dict[str, Any] = {}
    for own, given in dict(hyper or {}).items():
        is_by_player = isinstance(given, Mapping) and set(given) <= set(names)
        pairs = given if is_by_player else dict.fromkeys(names, given)
        for name, value in pairs.items():
            if _is_number(value):
                label = f"{name}_{own}" if is_by_player else own
                swept[name].append((own, label))
                values[label] = value
            else:
                fixed[name].append((own, _hashable(own, value)))
    players = []
    for name, optimizer in zip(names, optimizers, strict=True):
        player = Player(name, optimizer, tuple(swept[name]), tuple(fixed[name]))
        _require_optimizer(player)
        players.append(player)
    return players, values


def all_params(hyper: Mapping[str, Any], loss_params: Mapping[str, Any] | None) -> dict[str, Any]:
    """All parameters of the map."""
    both = [name for name in loss_params or {} if name in hyper]
    if both:
        raise ValueError(f"{', '.join(both)} are in hyper and in loss_params; rename those of the loss")
    return {**hyper, **(loss_params or {})}


def _is_number(value: Any) -> bool:
    """Whether it is a real number or an array of them."""
    if isinstance(value, bool | str) or value is None or callable(value) or isinstance(value, Mapping):
        return False
    return given_dtype(value).kind in "fiu"


def _hashable(name: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"hyper-parameter {name!r} is no number and cannot be hashed, got {type(value).__name__}; bind it: "
            f"functools.partial(optimizer, {name}=...)"
        ) from None
    return value


def _require_optimizer(player: Player) -> None:
    names = [own for own, _ in (*player.swept, *player.fixed)]
    if is_optimizer(player.optimizer):
        if names:
            raise TypeError(
                f"a finished optimizer takes no hyper-parameters, got {', '.join(names)}; give its factory instead, "
                "optax.adam and not optax.adam(1e-3)"
            )
    elif not callable(player.optimizer):
        raise TypeError(
            f"optimizer must be a factory such as optax.adam or a finished transformation such as optax.adam(1e-3), "
            f"got {player.optimizer!r}"
        )
