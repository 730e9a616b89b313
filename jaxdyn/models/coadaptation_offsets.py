"""Minima of the co-adaptive brain-machine interface with offsets, and all multipliers there.

With rates f = b + W t and cursor y = a + K f the error has |m|^2 / 2 more, m = a + K b. Its slope by a is m itself:
stationary states are those of the interface without offsets (`coadaptation_theory`), with a = -K b, for every b in R^n.
As m = 0 there, the second derivative has |dm|^2 more and no other term, dm = da + dK b + K db = J (dK, dW, da, db).
So with G the rates and H the Hessian without offsets, G (H + J^T J) has an eigenvalue lambda if and only if
1 is one of the d by d matrix J (lambda - G H)^-1 G J^T, or lambda is one of G H whose eigenvector J does not see.

- b = 0: J does not see dK; a and b add gamma_k + gamma_w |K_i|^2 for each row of K, and n zeros.
- b across all active channels, of length beta: J joins da_i with K_i along b, so that an active target with
  c = gamma_k + gamma_w |K_i|^2 and s = gamma_k sigma_k + gamma_w sigma_w has, for c and s, the roots of
  lambda^2 - (c + s + gamma_k beta^2) lambda + c s + gamma_k gamma_w sigma_w beta^2.
- Any b: channels across b and all active ones see none of it; what is left has at most d + 1 channels.

At a minimum H has no negative eigenvalue, so that the largest rate is at least that of J G J^T, which is
gamma_k (1 + |b|^2) + gamma_w max |K_i|^2: only a bounded part of the minima can be stable.

References
----------
The offsets a and b without penalty: R. Heliot, K. Ganguly, J. Jimenez, J. M. Carmena, "Learning in closed-loop
brain-machine interfaces: modeling and experimental validation", IEEE Trans. Syst. Man Cybern. B 40 (2010) 1387-1397,
and M. Madduri, BMI_Model, notebook BMIModel_MathModel_nD. The formulas are derived here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, ArrayLike, Float
from jaxdyn.models._learner_parameters import Params, parameter, refuse_without_rates
from jaxdyn.models.coadaptation import coadaptive_error
from jaxdyn.models.coadaptation_theory import (
    _frame,
    _square,
    active_targets,
    manifold_dimension,
    stability_margin,
    stationary_state,
)

__all__ = ["largest_stable_offset", "offset_minimum", "offset_multipliers"]


def offset_minimum(params: Params, b: ArrayLike, *, directions: ArrayLike | None = None) -> Float[Array, " dim"]:
    """Minimum (2 d n + d + n,) of `coadaptive_descent(offsets=True)` with the encoder's offset b.

    Parameters
    ----------
    params
        With tau (d,), sigma_k, sigma_w.
    b
        (n,), mean activity of the channels.
    directions
        As in `coadaptation_theory.stationary_state`.

    Returns
    -------
    Array
        K (d, n) row by row, W (n, d) column by column, a = -K b, b.

    Notes
    -----
    Transforms: jit, vmap, grad.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_offsets import offset_minimum
    >>> offset_minimum({"tau": [1.0], "sigma_k": 0.75, "sigma_w": 0.75}, [1.0, 2.0])
    Array([ 0.5,  0. ,  0.5,  0. , -0.5,  1. ,  2. ], dtype=float32)
    """
    b = _offset(params, b)
    x = stationary_state(params, len(b), directions=directions)
    K = x.reshape(2, -1, len(b))[0]
    return jnp.concatenate([x, -jnp.sum(K * b[None], axis=1), b])


def offset_multipliers(params: Params, b: ArrayLike, *, directions: ArrayLike | None = None) -> Float[Array, " dim"]:
    """Multipliers of `coadaptive_descent(offsets=True)` at `offset_minimum` (2 d n + d + n,), by modulus.

    All are real. Those of channels across b and all active ones are written out, the others come from a symmetric
    matrix of at most d + 1 channels, whatever n.

    Parameters
    ----------
    params
        With tau (d,), sigma_k, sigma_w, gamma_k, gamma_w.
    b, directions
        As in `offset_minimum`.

    Notes
    -----
    Transforms: jit, vmap, grad where eigenvalues are simple. Along the minima multipliers are exactly 1.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_offsets import offset_multipliers
    >>> game = {"tau": [1.0], "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.4, "gamma_w": 0.2}
    >>> [round(float(value), 5) for value in offset_multipliers(game, [0.0])]
    [1.0, 0.8, 0.6, 0.5]
    """
    refuse_without_rates(params, "gamma_k", "gamma_w")
    b, d = _offset(params, b), len(_square(params))
    n, m = len(b), min(len(b), d)
    frame = jnp.eye(m, n, dtype=b.dtype) if directions is None else _frame(directions, m, n, b.dtype)
    names = ("tau", "sigma_k", "sigma_w", "gamma_k", "gamma_w")
    return _all_multipliers({name: parameter(params, name) for name in names}, b, frame)


def largest_stable_offset(params: Params, n: int) -> Float[Array, ""]:
    """Length of b, across all active channels, beyond which minima with that offset are unstable.

    There one of the multipliers of K along b, W along b and a is -1: for a target with c = gamma_k + gamma_w |K_i|^2
    and p = sqrt(sigma_k sigma_w) if active, tau_i^2 if idle, at |b|^2 = (2 - c) [(2 - gamma_k sigma_k)
    (2 - gamma_w sigma_w) - gamma_k gamma_w p^2] / [2 gamma_k (2 - gamma_w sigma_w)].

    Parameters
    ----------
    params
        With tau (d,), sigma_k, sigma_w, gamma_k, gamma_w.
    n
        Number of channels, static; more than active targets, so that there are channels across theirs.

    Returns
    -------
    Array
        The smallest of these lengths over targets; nan where the minima with b = 0 are unstable.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_offsets import largest_stable_offset
    >>> game = {"tau": [1.0], "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.4, "gamma_w": 0.2}
    >>> round(float(largest_stable_offset(game, n=4)), 5)
    1.83174
    """
    decay_k, decay_w, active, c = _parts(params, n)
    gamma_k, gamma_w = parameter(params, "gamma_k"), parameter(params, "gamma_w")
    meet = jnp.where(active, decay_k * decay_w, gamma_k * gamma_w * _square(params) ** 2)
    free = (2 - decay_k) * (2 - decay_w) - meet
    square = jnp.min((2 - c) * free / (2 * gamma_k * (2 - decay_w)))
    stable = (stability_margin(params, n) > 0) & jnp.all(c < 2)
    return jnp.where(stable, jnp.sqrt(jnp.where(stable, square, 1)), jnp.nan)


def _offset(params: Params, b: ArrayLike) -> Array:
    given = jnp.asarray(b, _square(params).dtype)
    if given.ndim != 1 or not given.size:
        raise ValueError(f"b must have shape (n,), one offset for each channel, got {np.shape(b)}")
    return given


def _parts(params: Params, n: int) -> tuple[Array, Array, Array, Array]:
    """gamma_k sigma_k, gamma_w sigma_w, active (d,) and gamma_k + gamma_w |K_i|^2 (d,) at a minimum."""
    gamma_k, gamma_w = parameter(params, "gamma_k"), parameter(params, "gamma_w")
    active = active_targets(params, n)
    sigma_k, sigma_w = parameter(params, "sigma_k"), parameter(params, "sigma_w")
    length = jnp.where(active, 1 - jnp.sqrt(sigma_k * sigma_w) / _square(params), 0) * jnp.sqrt(sigma_w / sigma_k)
    return gamma_k * sigma_k, gamma_w * sigma_w, active, gamma_k + gamma_w * length


def _unseen(params: Params, n: int) -> Array:
    """Rates (2 d + 1,) of K, W and b along one channel across b and all active ones."""
    decay_k, decay_w, active, _ = _parts(params, n)
    cross = parameter(params, "gamma_k") * parameter(params, "gamma_w") * _square(params) ** 2
    root = jnp.sqrt((decay_k - decay_w) ** 2 + 4 * jnp.where(active, decay_k * decay_w, cross))
    large = (decay_k + decay_w + root) / 2
    small = jnp.where(active, 0, (decay_k * decay_w - cross) / large)
    return jnp.concatenate([large, small, 0 * large[:1]])


@jax.jit
def _all_multipliers(params: Params, b: Array, frame: Array) -> Array:
    """Same, of the frame (m, n) of the active targets' channels."""
    n, (m, d) = len(b), (len(frame), len(params["tau"]))
    along = jnp.sum(frame * b[None], axis=1)
    if n > m:
        across = b - jnp.sum(along[:, None] * frame, axis=0)
        along = jnp.append(along, jnp.linalg.norm(across))
    few = len(along)
    x = offset_minimum(params, along)
    gammas = zip(("gamma_k", "gamma_w", "gamma_k", "gamma_w"), (few * d, few * d, d, few), strict=True)
    root = jnp.sqrt(jnp.concatenate([jnp.broadcast_to(params[name], (size,)) for name, size in gammas]))
    hessian = jax.hessian(lambda y: coadaptive_error(y, params, offsets=True))(x)
    rates = jnp.linalg.eigvalsh(root[:, None] * hessian * root[None])  # ascending, none negative
    rates = jnp.where(jnp.arange(len(rates)) < manifold_dimension(params, few) + few, 0, rates)
    multipliers = 1 - jnp.concatenate([rates, *[_unseen(params, n)] * (n - few)])
    return multipliers[jnp.argsort(-jnp.abs(multipliers))]
