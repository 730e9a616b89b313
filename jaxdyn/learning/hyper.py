"""Hyper-parameters: which become parameters of the map, under which names."""

import functools
import types
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
    _require_names(hyper, "hyper")
    for own, given in (hyper or {}).items():
        is_by_player = _is_by_player(own, given, names)
        pairs = given if is_by_player else dict.fromkeys(names, given)
        for name, value in pairs.items():
            if _is_number(value):
                label = f"{name}_{own}" if is_by_player else own
                if is_by_player and label in values:
                    raise ValueError(f"two hyper-parameters have the name {label!r}; rename players or arguments")
                swept[name].append((own, label))
                values[label] = value
            else:
                fixed[name].append((own, _hashable(own, value)))
    players = []
    for name, optimizer in zip(names, optimizers, strict=True):
        is_changeable = any(map(_is_changeable, (optimizer, *(value for _, value in fixed[name]))))
        player = Player(name, optimizer, tuple(swept[name]), tuple(fixed[name]), object() if is_changeable else None)
        _require_optimizer(player)
        players.append(player)
    return players, values


def all_params(hyper: Mapping[str, Any], loss_params: Mapping[str, Any] | None) -> dict[str, Any]:
    """All parameters of the map."""
    _require_names(loss_params, "loss_params")
    both = [name for name in loss_params or {} if name in hyper]
    if both:
        raise ValueError(f"{', '.join(both)} are in hyper and in loss_params; rename those of the loss")
    return {**hyper, **(loss_params or {})}


def _require_names(given: Any, what: str) -> None:
    if given is not None and not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
        raise TypeError(f"{what} must be a dict of values by name, such as {{'learning_rate': 0.1}}, got {given!r}")


def _is_by_player(own: str, given: Any, names: Sequence[str]) -> bool:
    """Whether it is a mapping by player; one that names others too is an error."""
    if not isinstance(given, Mapping) or not set(given) & set(names):
        return False
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"hyper-parameter {own!r} has values for {unknown}, players are {', '.join(names)}")
    return True


def _is_changeable(part: Any) -> bool:
    """Whether it decides what is computed and equals itself also when changed: a method or an object of one's own."""
    if isinstance(part, functools.partial):
        return any(map(_is_changeable, (part.func, *part.args, *part.keywords.values())))
    if isinstance(part, type):
        return False
    is_object = isinstance(part, types.MethodType) or isinstance(type(part).__call__, types.FunctionType)
    return is_object or (is_optimizer(part) and not isinstance(part, tuple))


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
