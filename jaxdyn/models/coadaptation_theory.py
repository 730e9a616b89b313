"""Closed forms of the co-adaptive brain-machine interface: stationary states, all eigenvalues there, the boundary.

Every function takes the parameters of one interface as a mapping, such as `system.params` of `coadaptive_descent`, and
its number n of channels; penalties are positive. Many interfaces at once: `jax.vmap`.

Stationary states. With R = I - K W and T = diag(tau^2), de = 0 says sigma_k K = R T W^T and sigma_w W^T = T R^T K.
Hence sigma_k K K^T = R T - R T R^T and sigma_w W^T W = T R^T - T R^T R are symmetric: so is S = R T, the second says
T R^T R = R^T R T, and S = sigma_k K K^T + R T R^T is not negative. Where all tau differ, R^T R commutes with T and is
diagonal, so are S^2 = T R^T R T, its root S, and R; where some are equal a rotation of their targets makes it so.
Then with q = sqrt(sigma_k sigma_w) each target i is either idle, row i of K and column i of W zero, or active: there
R_ii tau_i^2 = q, so that both are those of the scalar game along a unit vector u_i, and K W diagonal makes the u_i
orthogonal. At most n targets of tau_i^2 > q are active; each lowers e by (tau_i^2 - q)^2 / (2 tau_i^2), so that the
largest are at a minimum.

Second derivative. A change of row i of K and column i of W along the channel u_j of an active target, or along a free
one, couples with few others. In x = (sigma_k/sigma_w)^(1/4) K, y = (sigma_w/sigma_k)^(1/4) W and l_i^2 =
1 - q/tau_i^2 the form is a sum over

- active i along u_i: the scalar game, [[tau_i^2, tau_i^2 - 2 q], [.., tau_i^2]];
- any i along a free channel: [[q, -c], [-c, q]] with c = q for active, tau_i^2 for idle i;
- idle j along u_i: [[tau_i^2, -tau_j^2], [.., tau_j^2 l_i^2 + q]], of determinant (tau_i^2 - tau_j^2) (tau_j^2 + q);
- active i along u_j and j along u_i: tau_j^2 (l_j x_ij + l_i y_ji)^2 + tau_i^2 (l_i x_ji + l_j y_ij)^2 +
  q (x_ij - y_ij)^2 + q (x_ji - y_ji)^2, which is 0 for a rotation of both frames, x = y antisymmetric.

For equal tau the last is the scalar game once more where x and y are symmetric, and tau^2 (x_ij - y_ij)^2 where they
are antisymmetric: of rate A + B, above both rates of the scalar game.

References
----------
As in `learner_theory`, for the scalar game. M. Madduri, S. Burden, A. Orsborn, "A game-theoretic model for co-adaptive
brain-machine interfaces", NER 2021: the game of encoder and decoder. B. Chasnov, L. Ratliff, E. Mazumdar, S. Burden,
"Convergence analysis of gradient-based learning in continuous games", UAI 2019: learners with rates of their own.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, is_concrete, matmul, whole_number
from jaxdyn.models._learner_parameters import Params, parameter, refuse_without_rates, unit_rates
from jaxdyn.models._rate_pairs import rate_pair

__all__ = [
    "active_targets",
    "descent_multipliers",
    "hessian_eigenvalues",
    "manifold_dimension",
    "stability_boundary",
    "stability_margin",
    "stationary_state",
]


def active_targets(params: Params, n: int) -> Bool[Array, " d"]:
    """Which directions of the target are encoded at a minimum: the n largest of those with tau_i^2 > q.

    Of equal ones the first are named; any rotation of them will do.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import active_targets
    >>> active_targets({"tau": [0.6, 1.0, 0.8], "sigma_k": 0.5, "sigma_w": 0.5}, n=1).tolist()
    [False, True, False]
    """
    square, q = _square(params), _q(params)
    place = jnp.argsort(jnp.argsort(-square, stable=True))
    return (place < whole_number(n, "n")) & (square > q)


def stationary_state(
    params: Params, n: int, *, active: ArrayLike | Sequence[bool] | None = None, directions: ArrayLike | None = None
) -> Float[Array, " dim"]:
    """Stationary state (2 d n,) of `coadaptive_descent`, a minimum unless `active` names other targets.

    Parameters
    ----------
    params
        With tau (d,), sigma_k, sigma_w.
    n
        Number of channels, static.
    active
        (d,), which targets are encoded; at most n. All stationary states but the minima are saddles.
    directions
        (min(n, d), n), linearly independent: their orthonormal frame gives the channels of the active targets, in their
        order. Default: the first channels. All frames together are the manifold of such states.

    Returns
    -------
    Array
        K (d, n) row by row, then W (n, d) column by column; nan where an active target has tau_i^2 < q.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import stationary_state
    >>> stationary_state({"tau": [1.0, 1.0], "sigma_k": 0.75, "sigma_w": 0.75}, n=2)
    Array([0.5, 0. , 0. , 0.5, 0.5, 0. , 0. , 0.5], dtype=float32)
    """
    square, chosen = _square(params), _chosen(params, n, active)
    d = len(square)
    m = min(n, d)
    frame = jnp.eye(m, n, dtype=square.dtype) if directions is None else _frame(directions, m, n, square.dtype)
    own = frame[jnp.minimum(jnp.cumsum(chosen) - 1, m - 1)]
    length = jnp.where(chosen, jnp.sqrt(1 - _q(params) / square), 0)
    rows = length[:, None] * own
    root = jnp.sqrt(jnp.sqrt(parameter(params, "sigma_k") / parameter(params, "sigma_w")))
    return jnp.concatenate([(rows / root).reshape(-1), (rows * root).reshape(-1)])


def manifold_dimension(params: Params, n: int, *, active: ArrayLike | Sequence[bool] | None = None) -> Int[Array, ""]:
    """Dimension of the manifold of stationary states with these active targets, r of them: r n - r (r + 1)/2.

    That of r orthonormal channels; an active and an idle target of equal size add one more, their rotation.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import manifold_dimension
    >>> int(manifold_dimension({"tau": [1.0, 1.0], "sigma_k": 0.5, "sigma_w": 0.5}, n=8))
    13
    """
    square, chosen = _square(params), _chosen(params, n, active)
    r = jnp.sum(chosen)
    equal = chosen[:, None] & ~chosen[None] & (square[:, None] == square[None])
    return r * n - r * (r + 1) // 2 + jnp.sum(equal)


def hessian_eigenvalues(
    params: Params, n: int, *, active: ArrayLike | Sequence[bool] | None = None
) -> Float[Array, " dim"]:
    """Eigenvalues of the Hessian of `coadaptive_error` at a stationary state, ascending, (2 d n,).

    Parameters
    ----------
    params, n, active
        As in `stationary_state`; rates are not used.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import hessian_eigenvalues
    >>> values = hessian_eigenvalues({"tau": [1.0, 1.0], "sigma_k": 0.25, "sigma_w": 0.25}, n=2)
    >>> [round(float(value), 5) for value in values]
    [0.0, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 2.0]
    """
    one = {**unit_rates({**params, "tau": 1.0}), "tau": params["tau"]}
    return jnp.sort(_rates(one, n, active))


def descent_multipliers(
    params: Params, n: int, *, active: ArrayLike | Sequence[bool] | None = None
) -> Float[Array, " dim"]:
    """Multipliers of `coadaptive_descent` at a stationary state (2 d n,), by modulus as `jaxdyn.eigenvalues`.

    All are real; those along the manifold, `manifold_dimension` of them, are 1.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import descent_multipliers
    >>> interface = {"tau": [1.0, 1.0], "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.25, "gamma_w": 0.5}
    >>> [round(float(value), 5) for value in descent_multipliers(interface, n=2)]
    [1.0, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.25]
    """
    refuse_without_rates(params, "gamma_k", "gamma_w")
    multipliers = 1 - _rates(params, n, active)
    return multipliers[jnp.argsort(-jnp.abs(multipliers))]


def stability_margin(params: Params, n: int) -> Float[Array, ""]:
    """Distance of the smallest multiplier of the minima from -1: positive inside the exact boundary, 0 on it.

    For equal tau and d >= 2, whatever the number of channels, 2 - (A + B), with A = gamma_k tau^2 sqrt(sigma_k/sigma_w)
    and B = gamma_w tau^2 sqrt(sigma_w/sigma_k); for d = 1 that of the scalar game.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import stability_margin
    >>> interface = {"tau": [1.0, 1.0], "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.9, "gamma_w": 0.6}
    >>> round(float(stability_margin(interface, n=8)), 5)
    0.5
    """
    refuse_without_rates(params, "gamma_k", "gamma_w")
    return 2 - jnp.max(_rates(params, n, None))


def stability_boundary(params: Params, n: int, n_points: int = 201) -> tuple[Array, Array]:
    """Exact boundary of stability of the minima in the plane of the rates, as curves (gamma_k, gamma_w), (n_points,).

    The largest rate lambda is homogeneous in (gamma_k, gamma_w): each ray meets the boundary at 2/lambda. It is the
    intersection of the boundaries of all targets and of their pairs.

    Parameters
    ----------
    params, n
        As in `stationary_state`; rates are not used.
    n_points
        Number of points, static.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation_theory import stability_boundary
    >>> gamma_k, gamma_w = stability_boundary({"tau": [1.0, 1.0], "sigma_k": 0.5, "sigma_w": 0.5}, 8, 3)
    >>> [round(float(value), 5) for value in gamma_k]
    [2.0, 1.0, 0.0]
    """
    # In these units both rates of the scalar game count the same.
    ratio = jnp.sqrt(parameter(params, "sigma_k") / parameter(params, "sigma_w"))
    up = jnp.linspace(0, 1, whole_number(n_points, "n_points", least=2), dtype=_square(params).dtype)
    across = (1 - up) / ratio
    up = up * ratio
    margin = jax.vmap(lambda k, w: stability_margin({**params, "gamma_k": k, "gamma_w": w}, n))
    radius = 2 / (2 - margin(across, up))
    return radius * across, radius * up


def _square(params: Params) -> Array:
    tau = parameter(params, "tau")
    if tau.ndim != 1:
        raise ValueError(f"tau must have shape (d,), one size for each direction of the target, got {tau.shape}")
    return tau * tau


def _q(params: Params) -> Array:
    return jnp.sqrt(parameter(params, "sigma_k") * parameter(params, "sigma_w"))


def _chosen(params: Params, n: int, active: ArrayLike | Sequence[bool] | None) -> Array:
    if active is None:
        return active_targets(params, n)
    square, n = _square(params), whole_number(n, "n")
    if np.shape(active) != square.shape:
        raise ValueError(f"active must have shape {square.shape}, true or false of each target, got {np.shape(active)}")
    given = np.asarray(active) if is_concrete(active) else jnp.asarray(active)
    if given.dtype.kind not in "biu":
        raise TypeError(f"active must be true or false of each target, got {active!r}")
    if is_concrete(active) and np.sum(np.asarray(active, bool)) > n:
        raise ValueError(f"{n} channels have room for {n} orthogonal targets, got active={active!r}")
    return jnp.asarray(active, bool)


def _frame(directions: ArrayLike, m: int, n: int, dtype: np.dtype) -> Array:
    given = jnp.asarray(directions, dtype)
    if given.shape != (m, n):
        raise ValueError(f"directions must have shape ({m}, {n}), one channel vector a target, got {given.shape}")
    if is_concrete(given) and np.linalg.matrix_rank(np.asarray(given)) < m:
        raise ValueError(f"directions must be linearly independent, got {directions!r}")
    q, r = jnp.linalg.qr(given.T)
    return (q * jnp.sign(jnp.diagonal(r))[None]).T


def _rates(params: Params, n: int, active: ArrayLike | Sequence[bool] | None) -> Array:
    """Eigenvalues of diag(gamma_k, gamma_w) H at a stationary state, (2 d n,), in no order."""
    ratio = jnp.sqrt(parameter(params, "sigma_k") / parameter(params, "sigma_w"))
    a, b = parameter(params, "gamma_k") * ratio, parameter(params, "gamma_w") / ratio
    return _all_rates(a, b, _q(params), _square(params), _chosen(params, n, active), n)


@functools.partial(jax.jit, static_argnames="n")
def _all_rates(a: Array, b: Array, q: Array, square: Array, chosen: Array, n: int) -> Array:
    """Same, of rates a and b for x and y."""
    order = jnp.argsort(~chosen, stable=True)  # active targets first: target i has channel i
    square, chosen = square[order], chosen[order]
    d = len(square)
    length = jnp.sqrt(jnp.where(chosen, 1 - q / square, 0))
    one = jnp.ones_like(square)
    meet = jnp.where(chosen, q, square)
    # The difference of squares is written out: it is exactly 0 along the manifold.
    free = rate_pair(a, b, q * one, q * one, meet, (q - meet) * (q + meet))
    along = rate_pair(a, b, square, square, square - 2 * q, 4 * q * (square - q))
    parts = [jnp.where(chosen[:, None], along, free)[: min(n, d)], *[free] * (n - d)]
    for i, j in itertools.combinations(range(d), 2):
        if i < n:
            own, difference = square[j] * length[i] ** 2 + q, square[i] - square[j]
            drift = rate_pair(a, b, square[i], own, square[j], difference * (square[j] + q))
            idle = jnp.where(chosen[i], drift, free[j])  # target j along the channel of i
            both = _both(a, b, q, square[jnp.array([i, j])], length[jnp.array([i, j])])
            parts.append(jnp.where(chosen[j], both, jnp.concatenate([idle, free[i]])) if j < n else idle)
    return jnp.concatenate([part.reshape(-1) for part in parts])


def _both(a: Array, b: Array, q: Array, square: Array, length: Array) -> Array:
    """Eigenvalues (4,) of two active targets i and j across each other, in (x_ij, y_ij, x_ji, y_ji).

    One is 0, the rotation of both; the others are the roots of a cubic.
    """
    zero = jnp.zeros_like(q)
    terms = jnp.stack(
        [
            jnp.stack([length[1], zero, zero, length[0]]) * jnp.sqrt(square[1]),
            jnp.stack([zero, length[1], length[0], zero]) * jnp.sqrt(square[0]),
            jnp.stack([1 + zero, -1 + zero, zero, zero]) * jnp.sqrt(q),
            jnp.stack([zero, zero, 1 + zero, -1 + zero]) * jnp.sqrt(q),
        ]
    )
    scaled = terms * jnp.sqrt(jnp.stack([a, b, a, b]))[None]
    values = jnp.linalg.eigvalsh(matmul(scaled.T, scaled))  # ascending, none negative
    return values.at[0].set(0)
