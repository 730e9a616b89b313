"""What adaptive optimizers divide their steps by, read from their states."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._types import ArrayLike, PyTree
from jaxdyn.learning.optimizers import is_optimizer
from jaxdyn.learning.training import training_of
from jaxdyn.system import Map

__all__ = ["has_hyper", "own_preconditioner", "preconditioner"]


def preconditioner(
    optimizer_state: Any,
    *,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike | None = None,
    eps_root: ArrayLike | None = None,
) -> PyTree:
    """Diagonal preconditioner P of the step that an adaptive optimizer has just made: the step is -rate P^-1 m.

    Of Adam (`adam`, `adamw` and all that hold an `optax.ScaleByAdamState`) P = (1 - b1^n) (sqrt(v / (1 - b2^n) +
    eps_root) + eps) after n steps, and m its average of gradients; of RMSprop P = sqrt(v + eps_root) + eps, and m the
    gradient.

    Parameters
    ----------
    optimizer_state
        State of an optax optimizer, searched for the part that holds the mean squares v.
    b1, b2
        Decay rates that Adam was made with, which its state does not know; RMSprop needs none. Of maps
        `sharpness_course(..., preconditioner=True)` takes them and the small numbers from the map.
    eps, eps_root
        Small numbers that the optimizer adds outside and inside the root. Default: those of optax, 1e-8 outside for
        Adam, inside for RMSprop.

    Returns
    -------
    PyTree
        P for each parameter, a tree like the parameters. Before the first step of Adam there is none: nan.

    Raises
    ------
    TypeError
        If the state holds no such part, or more than one.

    Notes
    -----
    Transforms: jit, vmap, lanes, grad.

    References
    ----------
    Cohen et al. 2022, Adaptive Gradient Methods at the Edge of Stability, arXiv:2207.14484, section 2.

    Examples
    --------
    >>> import jax.numpy as jnp, optax, jaxdyn
    >>> optimizer, params, gradient = optax.adam(0.1), jnp.zeros(2), jnp.array([4.0, -1.0])
    >>> _, state = optimizer.update(gradient, optimizer.init(params), params)
    >>> [round(float(p), 4) for p in jaxdyn.learning.preconditioner(state)]
    [0.4, 0.1]
    """
    part = _adaptive_part(optimizer_state)
    is_adam = _is_adam(part)
    outside = (1e-8 if is_adam else 0.0) if eps is None else eps
    inside = (0.0 if is_adam else 1e-8) if eps_root is None else eps_root

    def of(v: Any) -> Any:
        v = jnp.asarray(v)
        first, second = (_corrections(part.count, b, v.dtype) if is_adam else 1.0 for b in (b1, b2))
        return first * (jnp.sqrt(v / second + inside) + outside)

    return jax.tree.map(of, part.nu)


def has_hyper(system: Map) -> bool:
    """Whether the optimizer of a map was given as a factory, whose arguments are known."""
    (player,) = training_of(system).players
    return not is_optimizer(player.optimizer)


def own_preconditioner(system: Map, optimizer_state: Any) -> PyTree:
    """Preconditioner of the optimizer of a map, with the numbers that the optimizer has there.

    Those are the map's parameters, swept or not, what else was given to the factory, and the factory's defaults. Raises
    TypeError where they are not known, and for optimizers that make other steps of the same state.
    """
    part = _adaptive_part(optimizer_state)
    known = _arguments(system)
    if not _is_adam(part):
        place = "eps_root" if _required(known, "eps_in_sqrt") else "eps"
        return preconditioner(part, **{"eps": 0.0, "eps_root": 0.0, place: _required(known, "eps")})
    if known.get("nesterov"):
        raise TypeError("steps of Adam with nesterov=True are not the average over a preconditioner; give one by hand")
    return preconditioner(part, **{name: _required(known, name) for name in ("b1", "b2", "eps", "eps_root")})


def _arguments(system: Map) -> dict[str, Any]:
    """Arguments by name with which a map calls the factory of its optimizer."""
    import optax

    (player,) = training_of(system).players
    if is_optimizer(player.optimizer):
        raise TypeError(
            "a finished optimizer does not tell its decay rates; give optimizer_map the factory and its arguments, "
            "optax.adam and not optax.adam(1e-3), or bind them: jax.tree_util.Partial(preconditioner, b1=..., b2=...)"
        )
    factory = player.optimizer
    while isinstance(factory, functools.partial):
        factory = factory.func
    others = (optax.adam, optax.adamw, optax.rmsprop)
    if str(getattr(factory, "__module__", "")).startswith("optax.") and factory not in others:
        raise TypeError(
            f"the preconditioner is known of optax.adam, adamw and rmsprop, got {factory.__name__}; give a function of "
            "your own"
        )
    given = {own: system.params[name] for own, name in player.swept} | dict(player.fixed)
    defaults = inspect.signature(player.optimizer).parameters.values()
    return {p.name: p.default for p in defaults if p.default is not inspect.Parameter.empty} | given


def _required(known: dict[str, Any], name: str) -> Any:
    if name not in known:
        raise TypeError(
            f"the optimizer's factory has no argument {name!r}, so that its preconditioner is not known; give the "
            "factory one and hand it to optax, or give a preconditioner of your own"
        )
    return known[name]


def _adaptive_part(state: Any) -> Any:
    """The part of an optimizer's state that holds mean squares."""
    import optax

    def is_known(part: Any) -> bool:
        return isinstance(part, optax.ScaleByAdamState | optax.ScaleByRmsState)

    found = [part for part in jax.tree.leaves(state, is_leaf=is_known) if is_known(part)]
    if len(found) != 1:
        raise TypeError(
            f"the optimizer's state must hold one ScaleByAdamState or ScaleByRmsState, as those of optax.adam, adamw "
            f"and rmsprop do, got {len(found)}; give the part that is meant, or another preconditioner of your own"
        )
    return found[0]


def _is_adam(part: Any) -> bool:
    return hasattr(part, "mu")  # RMSprop averages no gradients


def _corrections(count: Any, b: ArrayLike, dtype: Any) -> Any:
    """1 - b^n, the sum of the weights that an average has given so far."""
    return 1 - jnp.asarray(b, dtype) ** jnp.asarray(count, dtype)
