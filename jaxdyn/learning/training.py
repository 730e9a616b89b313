"""Training as the field of a map: parameters and optimizer states of one or more learners are the state."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._arrays import given_dtype
from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, ArrayLike
from jaxdyn.learning.layouts import Layout, form
from jaxdyn.learning.players import Player
from jaxdyn.learning.plays import Play
from jaxdyn.system import Map, System

__all__ = [
    "Losses",
    "Training",
    "by_place",
    "losses",
    "losses_of",
    "made_losses",
    "pack",
    "require_number",
    "training_of",
    "unpack",
]


@record
class Losses:
    """Losses of players by place, and how users see what belongs to players."""

    losses: tuple[Callable[..., Any], ...]
    names: tuple[str, ...] = static()
    is_game: bool = static()
    """Whether players go by name; one learner has no name."""
    takes_params: bool = static()

    def loss(self, i: int, thetas: tuple[Any, ...], params: Mapping[str, Any]) -> Array:
        """Loss of one player."""
        everyone = self.by_name(thetas)
        value = self.losses[i](everyone, params) if self.takes_params else self.losses[i](everyone)
        require_number(value, f" of {self.names[i]!r}")
        return value

    def gradient(self, i: int, thetas: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """Gradient of a player's loss by its own parameters."""
        return jax.grad(lambda own: self.loss(i, (*thetas[:i], own, *thetas[i + 1 :]), params))(thetas[i])

    def by_name(self, values: Sequence[Any]) -> Any:
        """What belongs to the players as users see it."""
        return dict(zip(self.names, values, strict=True)) if self.is_game else values[0]

    def by_place(self, values: Any, what: str) -> tuple[Any, ...]:
        """What users give for the players, in their order."""
        return by_place(values, self.names, what) if self.is_game else (values,)


@record
class Training:
    """Field of a training map: one round of play."""

    losses: Losses
    play: Play
    players: tuple[Player, ...] = static()
    layout: Layout = static()
    at_step: int | None = static()

    def __call__(self, n: Any, x: Array, params: dict[str, Any]) -> Array:
        """State after the round."""
        before = self.unpacked(x, n)
        after = self.play(_Round(self, params), *before)
        if form(after) != form(before):
            raise ValueError(
                f"a play must return (thetas, states), tuples with trees like those it is given, {form(before)}, got "
                f"{form(after)}"
            )
        return self.layout.packed(after, x.dtype)

    def unpacked(self, x: Array, n: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Parameters and optimizer states of all players at step `n`."""
        return self.layout.unpacked(x, jnp.asarray(n if self.at_step is None else self.at_step, jnp.int32))


class _Round:
    """A game at fixed parameters of the map, for a way of play."""

    def __init__(self, training: Training, params: Mapping[str, Any]) -> None:
        self._training, self._params = training, params
        self.names = training.losses.names

    def loss(self, i: int, thetas: tuple[Any, ...]) -> Array:
        return self._training.losses.loss(i, thetas, self._params)

    def gradient(self, i: int, thetas: tuple[Any, ...]) -> Any:
        return self._training.losses.gradient(i, thetas, self._params)

    def moved(self, i: int, gradient: Any, thetas: tuple[Any, ...], states: tuple[Any, ...]) -> tuple[Any, Any]:
        return self._training.players[i].moved(self._params, gradient, thetas[i], states[i])


def require_number(value: Any, whose: str = "") -> None:
    """Raise TypeError or ValueError unless a loss, or its shape and dtype, is one real number."""
    if not hasattr(value, "shape"):
        if type(value) is not float:
            raise TypeError(f"a loss must be one real number, got {type(value).__name__}{whose}")
    elif value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        got = f"shape {value.shape} and dtype {value.dtype}"
        raise ValueError(f"a loss must be one real number, got {got}{whose}; take a sum or a mean")


def by_place(values: Any, names: Sequence[str], what: str) -> tuple[Any, ...]:
    """Values of a dict of players in the order of the players, or an error."""
    if not isinstance(values, Mapping) or set(values) != set(names):
        got = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"{what} must be a dict with one entry for each of {', '.join(names)}, got {got}")
    return tuple(values[name] for name in names)


def losses_of(given: Any, names: Sequence[str], takes_params: bool) -> Losses:
    """Losses of the players of a game: one each by name, or one for all."""
    each = by_place(given, names, "losses") if isinstance(given, Mapping) else (given,) * len(names)
    return made_losses(each, names, takes_params=takes_params, is_game=True)


def made_losses(each: Sequence[Any], names: Sequence[str], *, takes_params: bool, is_game: bool) -> Losses:
    """Losses by place, checked."""
    for loss in each:
        if not callable(loss):
            arguments = "(theta, params)" if takes_params else "(theta)"
            raise TypeError(f"a loss must be a function {arguments} -> number, got {loss!r}")
        _require_arguments(loss, 1 + takes_params)
    return Losses(tuple(callable_tree(loss) for loss in each), tuple(names), is_game, takes_params)


def _require_arguments(loss: Callable[..., Any], count: int) -> None:
    try:
        inspect.signature(loss).bind(*range(count))
    except TypeError as error:
        asked = (
            "loss(theta, params), as loss_params are given"
            if count == 2
            else "loss(theta), as no loss_params are given"
        )
        raise TypeError(f"a loss is called as {asked}: {error}") from error
    except ValueError:  # builtins may not tell
        pass


def training_of(system: System) -> Training:
    """Field of a map made by `optimizer_map` or `game_map`, or an error."""
    field = getattr(system, "field", None)
    if not isinstance(field, Training):
        raise TypeError(
            f"expected a map made by optimizer_map or game_map, got {system!r}; of a system derived from one give the "
            "map itself"
        )
    return field


def unpack(system: Map, x: ArrayLike | Sequence[Any] | None = None, n: ArrayLike = 0) -> tuple[Any, Any]:
    """Parameters and optimizer state that a state vector holds.

    Parameters
    ----------
    system
        Map made by `optimizer_map` or `game_map`.
    x
        State, (dim,); default the start. `jax.vmap` takes apart a whole trajectory.
    n
        Step number, for the counters of the optimizer, which are no state.

    Returns
    -------
    tuple
        (theta, optimizer state), trees like those given to and made by the optimizer; of a game two dicts by player.

    Raises
    ------
    TypeError, ValueError
        If `system` is no training map, or `x` does not have one value per state.

    Examples
    --------
    >>> import jaxdyn, optax
    >>> descent = jaxdyn.learning.optimizer_map(
    ...     lambda theta: theta["a"] ** 2, optax.sgd, {"a": 1.0}, hyper={"learning_rate": 0.25, "momentum": 0.5}
    ... )
    >>> jaxdyn.learning.unpack(descent, [0.5, 2.0])[0]
    {'a': Array(0.5, dtype=float32)}
    """
    training = training_of(system)
    if given_dtype(n).kind not in "iu":
        raise TypeError(f"n must be a whole number of steps, got {n!r}")
    thetas, states = training.unpacked(_state(system, x), n)
    return training.losses.by_name(thetas), training.losses.by_name(states)


def pack(system: Map, theta: Any, optimizer_state: Any = None) -> Array:
    """State vector (dim,) of parameters and an optimizer state, by default that before the first step.

    Undoes `unpack`; what is given must be trees like those that it returns. Raises TypeError if `system` is no training
    map and ValueError for other trees or shapes.

    Examples
    --------
    >>> import jaxdyn, optax
    >>> adam = jaxdyn.learning.optimizer_map(lambda theta: theta**2, optax.adam, 1.0, hyper={"learning_rate": 0.1})
    >>> jaxdyn.learning.pack(adam, 3.0)
    Array([3., 0., 0.], dtype=float32)
    """
    training = training_of(system)
    known = training.unpacked(system.x0, 0)
    thetas = _like(training.losses.by_place(theta, "theta"), known[0], "theta")
    if optimizer_state is None:
        pairs = zip(training.players, thetas, strict=True)
        states = tuple(player.start(system.params, own) for player, own in pairs)
    else:
        given = training.losses.by_place(optimizer_state, "optimizer_state")
        states = _like(given, known[1], "optimizer_state")
    return training.layout.packed((thetas, states), system.dtype)


def losses(system: Map, x: ArrayLike | Sequence[Any] | None = None) -> Any:
    """Loss at a state, by default the start; of a game a dict by player.

    Raises TypeError if `system` is no training map, ValueError if `x` does not have one value per state.

    Examples
    --------
    >>> import jaxdyn, optax
    >>> adam = jaxdyn.learning.optimizer_map(lambda theta: theta**2, optax.adam, 3.0, hyper={"learning_rate": 0.1})
    >>> float(jaxdyn.learning.losses(adam))
    9.0
    """
    training = training_of(system)
    thetas, _ = training.unpacked(_state(system, x), 0)
    found = [training.losses.loss(i, thetas, system.params) for i in range(len(training.players))]
    return training.losses.by_name(found)


def _state(system: Map, x: Any) -> Array:
    state = system.x0 if x is None else _real(x, system.dtype, "x")
    if state.shape != system.x0.shape:
        raise ValueError(
            f"x must have shape {system.x0.shape}, one value per state, got {state.shape}; "
            "jax.vmap is for whole trajectories"
        )
    return state


def _like(given: Any, known: Any, what: str) -> Any:
    """A tree of the same structure and shapes as one that is known, as arrays."""
    if jax.tree.structure(given) != jax.tree.structure(known):
        raise ValueError(f"{what} must be a tree like {jax.tree.structure(known)}, got {jax.tree.structure(given)}")

    def leaf(new: Any, old: Array) -> Array:
        if jnp.shape(new) != old.shape:
            raise ValueError(f"{what} has a leaf of shape {old.shape}, got {jnp.shape(new)}")
        return _real(new, old.dtype, what)

    return jax.tree.map(leaf, given, known)


def _real(value: Any, dtype: Any, what: str) -> Array:
    given = given_dtype(value)
    if given.kind not in "fiub":
        raise TypeError(f"{what} must hold real numbers, got {given}")
    return jnp.asarray(value, dtype)
