"""Several learners, each with a loss, an optimizer and rates of its own, as a map."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxdyn.about import About
from jaxdyn.learning.building import training_map
from jaxdyn.learning.hyper import all_params, players_of
from jaxdyn.learning.plays import Play
from jaxdyn.learning.training import by_place, losses_of
from jaxdyn.system import Map

__all__ = ["game_map"]


def game_map(
    losses: Mapping[str, Callable[..., Any]] | Callable[..., Any],
    optimizers: Any,
    params: Mapping[str, Any],
    *,
    hyper: Mapping[str, Any] | None = None,
    play: Play | None = None,
    loss_params: Mapping[str, Any] | None = None,
    at_step: int | None = None,
) -> Map:
    """Training of several learners as a map: each moves along the gradient of its own loss by its own parameters.

    Parameters
    ----------
    losses
        One loss by player, `{"k": loss_k, "w": loss_w}`, or one for all (a potential game). Each is a pure function
        `loss(thetas) -> number` of all players' parameters by name, or `loss(thetas, p)` if `loss_params` are given,
        where `p` holds all parameters of the map. Players descend: who ascends gets minus its gain.
    optimizers
        One optimizer for all, or one by player; each as in `optimizer_map`, with a state of its own.
    params
        Where players start, by name, in the order in which they take turns: a number, an array or a tree for each.
    hyper
        Arguments of the factories by name. A number is one parameter of the map, shared by all:
        `{"learning_rate": 0.1}`. A dict by player gives each its own, `{"learning_rate": {"k": 0.3, "w": 0.4}}`, which
        are the parameters `k_learning_rate` and `w_learning_rate`; players not named do without it.
    play
        Who moves when, along which gradient: `Simultaneous()` (default), `Alternating()`, `ExtraGradient()`,
        `Stackelberg(leader="k")`, or any function `(game, thetas, states) -> (thetas, states)` like them
        (`jaxdyn.learning.plays`). Optimistic play is simultaneous play of `optax.optimistic_gradient_descent`.
    loss_params, at_step
        As in `optimizer_map`.

    Returns
    -------
    Map
        Its state is the parameters of all players in their order, then their optimizer states, named `k`, `w[0]`,
        `trace.k`.

    Raises
    ------
    TypeError, ValueError
        As `optimizer_map`; and if losses, optimizers and params do not have the same players.

    Notes
    -----
    `game_jacobian` has the Jacobian of own gradients. Games with closed forms are in `jaxdyn.models.games`.
    Transforms: jit, vmap, lanes, sweep, grad, like any map.

    References
    ----------
    Letcher et al. 2019, Journal of Machine Learning Research 20(84), arXiv:1905.04926 (dynamics of differentiable
    games).

    Examples
    --------
    >>> import jaxdyn, optax
    >>> from jaxdyn.models import games
    >>> game = games.bilinear()
    >>> rate = {"learning_rate": {"x": 0.5, "y": 0.5}}
    >>> spiral = jaxdyn.learning.game_map(game.losses, optax.sgd, game.start, hyper=rate, loss_params=game.params)
    >>> list(spiral.params)
    ['x_learning_rate', 'y_learning_rate', 'strength']
    >>> [f"{abs(value):.4f}" for value in jaxdyn.eigenvalues(spiral)]  # outwards, by sqrt(1 + 0.5^2) a step
    ['1.1180', '1.1180']
    """
    if not isinstance(params, Mapping) or not params:
        raise TypeError(f"params must be a dict of one player's start or more by name, got {params!r}")
    names = list(params)
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()):
            raise TypeError(f"players must be named by Python identifiers, got {name!r}")
    made = losses_of(losses, names, loss_params is not None)
    each = by_place(optimizers, names, "optimizers") if isinstance(optimizers, Mapping) else (optimizers,) * len(names)
    players, values = players_of(names, each, hyper)
    return training_map(
        made,
        players,
        list(params.values()),
        all_params(values, loss_params),
        play=play,
        at_step=at_step,
        about=About(name="game_map", title="Training of several learners"),
    )
