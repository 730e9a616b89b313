"""What adaptive optimizers divide their steps by, read from their states."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdyn._types import ArrayLike, PyTree

__all__ = ["preconditioner"]

_KINDS = (optax.ScaleByAdamState, optax.ScaleByRmsState)


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
        Decay rates that Adam was made with, which its state does not know; RMSprop needs none.
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

    def is_known(part: Any) -> bool:
        return isinstance(part, _KINDS)

    found = [part for part in jax.tree.leaves(optimizer_state, is_leaf=is_known) if is_known(part)]
    if len(found) != 1:
        raise TypeError(
            f"the optimizer's state must hold one ScaleByAdamState or ScaleByRmsState, as those of optax.adam, adamw "
            f"and rmsprop do, got {len(found)}; give the part that is meant, or another preconditioner of your own"
        )
    (part,) = found
    is_adam = isinstance(part, optax.ScaleByAdamState)
    outside = (1e-8 if is_adam else 0.0) if eps is None else eps
    inside = (0.0 if is_adam else 1e-8) if eps_root is None else eps_root

    def of(v: Any) -> Any:
        v = jnp.asarray(v)
        first, second = (_corrections(part.count, b, v.dtype) if is_adam else 1.0 for b in (b1, b2))
        return first * (jnp.sqrt(v / second + inside) + outside)

    return jax.tree.map(of, part.nu)


def _corrections(count: Any, b: ArrayLike, dtype: Any) -> Any:
    """1 - b^n, the sum of the weights that an average has given so far."""
    return 1 - jnp.asarray(b, dtype) ** jnp.asarray(count, dtype)
