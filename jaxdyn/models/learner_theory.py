"""Closed forms of the two-learner game: stationary points, eigenvalues, the boundary of stability, convergence.

Every function takes the parameters as a mapping, such as `system.params` of `two_learner_descent`; penalties are
positive. In x = (sigma_k/sigma_w)^(1/4) k and y = (sigma_w/sigma_k)^(1/4) w the game has three numbers instead of five
(`reduced_parameters`): x+ = x - A (h x - (1 - x y) y), y+ = y - B (h y - (1 - x y) x).

References
----------
J. S. Mueller, C. Vidaurre, M. Schreuder, F. C. Meinecke, P. von Buenau, K.-R. Mueller, "A mathematical model for the
two-learners problem", J. Neural Eng. 14 (2017) 036005: two linear learners with one loss; stability and speed as a
function of both rates. M. Madduri, notebook 20200810_learning_rate_bmi: the error with both penalties and its
derivatives. M. M. Madduri et al., "Computational framework to predict and shape human-machine interactions in
closed-loop, co-adaptive neural interfaces", Nature Machine Intelligence (2026), doi 10.1038/s42256-026-01194-z: decay
rate over the plane of the rates. Jury conditions: Kuznetsov, Elements of Applied Bifurcation Theory, chapter 4. The
formulas are derived where they stand; none is copied.
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, ArrayLike, Float, is_concrete, whole_number
from jaxdyn.models._learner_parameters import Params, parameter, refuse_without_rates, unit_rates, value
from jaxdyn.models._rate_pairs import rate_pair

__all__ = [
    "Reduced",
    "collinearity",
    "convergence_factor",
    "critical_gamma_w",
    "descent_multipliers",
    "flow_eigenvalues",
    "hessian_eigenvalues",
    "reduced_parameters",
    "stability_boundary",
    "stability_margin",
    "stationary_points",
    "vector_minimum",
]

Point: TypeAlias = Literal["minimum", "origin"]


class Reduced(NamedTuple):
    """The three numbers that decide everything but the scales of k and w."""

    A: Array
    """gamma_k tau^2 sqrt(sigma_k/sigma_w), rate of the first learner."""
    B: Array
    """gamma_w tau^2 sqrt(sigma_w/sigma_k), rate of the second."""
    h: Array
    """sqrt(sigma_k sigma_w)/tau^2; below 1 the game has minima."""


def reduced_parameters(params: Params) -> Reduced:
    """The numbers A, B and h of the game; A and B of a flow, which has no rates, are those of unit rates.

    Examples
    --------
    >>> from jaxdyn.models.learner_theory import reduced_parameters
    >>> game = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.3, "gamma_w": 0.4}
    >>> [round(float(value), 6) for value in reduced_parameters(game)]
    [0.3, 0.4, 0.5]
    """
    sigma_k, sigma_w, square = parameter(params, "sigma_k"), parameter(params, "sigma_w"), _square(params)
    ratio = jnp.sqrt(sigma_k / sigma_w)
    gamma_k, gamma_w = _rates(params)
    return Reduced(gamma_k * square * ratio, gamma_w * square / ratio, jnp.sqrt(sigma_k * sigma_w) / square)


def stationary_points(params: Params) -> Float[Array, "*batch 3 2"]:
    """Stationary points (k, w) of the scalar game: the origin, the minimum with k, w > 0, and its mirror.

    de/dk = de/dw = 0 gives sigma_k k^2 = sigma_w w^2 and 1 - k w = h, so that
    (k, w) = +-sqrt(1 - h) ((sigma_w/sigma_k)^(1/4), (sigma_k/sigma_w)^(1/4)).

    Returns
    -------
    Array
        The minima are nan where sqrt(sigma_k sigma_w) > tau^2: there the origin, else a saddle, is the only one.

    Notes
    -----
    Transforms: jit, vmap, grad, as all functions here; parameters of equal shapes are batched.

    Examples
    --------
    >>> from jaxdyn.models.learner_theory import stationary_points
    >>> stationary_points({"tau": 1.0, "sigma_k": 0.75, "sigma_w": 0.75})
    Array([[ 0. ,  0. ],
           [ 0.5,  0.5],
           [-0.5, -0.5]], dtype=float32)
    """
    k, w = _scales(params)
    length = jnp.sqrt(1 - reduced_parameters(params).h)
    minimum = _row(length * k, length * w)
    return jnp.stack([jnp.zeros_like(minimum), minimum, -minimum], axis=-2)


def collinearity(params: Params) -> Float[Array, "*batch"]:
    """The factor alpha = sqrt(sigma_k/sigma_w) of W = alpha K at the minima.

    W = alpha K follows from sigma_k K = tau^2 (1 - K.W) W; the second equation then fixes alpha^2 = sigma_k/sigma_w,
    so that equal penalties are a special case and no assumption.
    """
    return jnp.sqrt(parameter(params, "sigma_k") / parameter(params, "sigma_w"))


def vector_minimum(params: Params, direction: ArrayLike) -> Float[Array, " dim"]:
    """Minimum (K, W) of the vector game in a direction (n,): K = k0 u and W = w0 u with the unit vector u.

    `direction` may have any length but zero. All directions together are the sphere of minima; (k0, w0) is the
    minimum of the scalar game.
    """
    minimum = stationary_points(params)[..., 1, :]
    if minimum.ndim != 1:
        raise ValueError(f"parameters have the shape {minimum.shape[:-1]}; for many games at once use jax.vmap")
    k, w = minimum
    unit = jnp.asarray(direction, k.dtype)
    if unit.ndim != 1 or (is_concrete(unit) and not (np.any(unit) and np.all(np.isfinite(unit)))):
        raise ValueError(f"direction must be a vector (n,) of finite numbers other than zero, got {direction!r}")
    unit = unit / jnp.max(jnp.abs(unit))
    unit = unit / jnp.linalg.norm(unit)
    return jnp.concatenate([k * unit, w * unit])


def hessian_eigenvalues(params: Params, *, point: Point = "minimum", n: int = 1) -> Float[Array, "*batch dim"]:
    """Eigenvalues of the Hessian of the error, ascending, (2 n,) for vectors of n components.

    Parameters
    ----------
    params
        With tau, sigma_k, sigma_w.
    point
        `"minimum"`: the roots of x^2 - tau^2 (r + 1/r) x + 4 q (tau^2 - q), r = sqrt(sigma_k/sigma_w),
        q = sqrt(sigma_k sigma_w) (2 sigma and 2 (tau^2 - sigma) for equal penalties); then n - 1 times 0, along the
        sphere, and n - 1 times sigma_k + sigma_w. `"origin"`: (sigma_k + sigma_w)/2 +-
        sqrt((sigma_k - sigma_w)^2/4 + tau^4), n times each.
    n
        Number of components, static.

    Returns
    -------
    Array
        nan at a minimum that does not exist.
    """
    one = unit_rates(params)
    return jnp.sort(_rate_matrix_eigenvalues(one, point, n), axis=-1)


def flow_eigenvalues(params: Params, *, point: Point = "minimum", n: int = 1) -> Float[Array, "*batch dim"]:
    """Eigenvalues of the flow's Jacobian, minus those of the Hessian; largest growth first as `jaxdyn.eigenvalues`."""
    return -hessian_eigenvalues(params, point=point, n=n)


def descent_multipliers(params: Params, *, point: Point = "minimum", n: int = 1) -> Float[Array, "*batch dim"]:
    """Multipliers of the descent: eigenvalues of I - diag(gamma_k, gamma_w) H, by modulus as `jaxdyn.eigenvalues`.

    At a minimum 1 - (A + B)/2 +- sqrt((A - B)^2 + 4 A B (1 - 2 h)^2)/2; then n - 1 times 1, along the sphere, and
    n - 1 times 1 - (gamma_k sigma_k + gamma_w sigma_w). All are real: diag(gamma) H is similar to a symmetric matrix.
    """
    refuse_without_rates(params, "gamma_k", "gamma_w")
    multipliers = 1 - _rate_matrix_eigenvalues(params, point, n)
    return jnp.take_along_axis(multipliers, jnp.argsort(-jnp.abs(multipliers), axis=-1), axis=-1)


def convergence_factor(params: Params) -> Float[Array, "*batch"]:
    """Asymptotic factor per step of the distance of the descent from its minimum (vectors: from their sphere).

    The spectral radius of the scalar game. The vectors' multiplier 1 - h (A + B) never exceeds it: h (A + B) lies
    between the eigenvalues of diag(gamma) H, because their polynomial is -h (1 - h) (A - B)^2 <= 0 there.

    Examples
    --------
    >>> from jaxdyn.models.learner_theory import convergence_factor
    >>> game = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 0.3, "gamma_w": 0.4}
    >>> round(float(convergence_factor(game)), 6)
    0.7
    """
    return jnp.abs(descent_multipliers(params)[..., 0])


def stability_margin(params: Params) -> Float[Array, "*batch"]:
    """Distance of the smallest multiplier of the minimum from -1: positive inside the exact boundary, 0 on it.

    2 - lambda with the larger eigenvalue lambda of diag(gamma) H; the other loss, through +1, needs h = 1. Jury's
    conditions for M = I - diag(gamma) H, det(I - M) > 0, det(I + M) > 0 and det M < 1, say the same: A < 2, B < 2 and
    2 - (A + B) + 2 A B h (1 - h) > 0 for positive rates and 0 < h < 1.
    """
    refuse_without_rates(params, "gamma_k", "gamma_w")
    return 2 - _at_minimum(*reduced_parameters(params))[0]


def critical_gamma_w(params: Params) -> Float[Array, "*batch"]:
    """Rate gamma_w beyond which the minimum flips, for the given gamma_k: B = (2 - A)/(1 - 2 A h (1 - h)).

    0 where gamma_k alone is too large (A >= 2), nan where there is no minimum. `gamma_w` of `params` is not used.

    Examples
    --------
    >>> from jaxdyn.models.learner_theory import critical_gamma_w
    >>> round(7 * float(critical_gamma_w({"tau": 1.0, "sigma_k": 0.25, "sigma_w": 0.25, "gamma_k": 1.5})), 5)
    8.0
    """
    refuse_without_rates(params, "gamma_k")
    unit = reduced_parameters({**params, "gamma_w": 1.0})
    A, h = unit.A, _where_minimum(unit.h)
    outside = A >= 2
    slope = jnp.where(outside, 1, 1 - 2 * A * h * (1 - h))
    return jnp.where(outside, 0 * h, 2 - A) / slope / unit.B


def stability_boundary(params: Params, n_points: int = 201) -> tuple[Array, Array]:
    """Exact boundary of stability in the plane of the rates, as curves (gamma_k, gamma_w), each (..., n_points).

    The eigenvalue lambda of diag(gamma) H is homogeneous in the rates, so that the ray along (1 - s, s) of the plane
    (A, B) meets the boundary at 2 (1 - s, s)/lambda(1 - s, s), s from 0 to 1. Stable is the side of the origin.

    Parameters
    ----------
    params
        With tau, sigma_k, sigma_w; rates are not used.
    n_points
        Number of points, static; an odd one has a point on the diagonal, where the boundary of h = 1/2 has its corner.

    Examples
    --------
    >>> from jaxdyn.models.learner_theory import stability_boundary
    >>> gamma_k, gamma_w = stability_boundary({"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}, 3)
    >>> [round(float(value), 5) for value in gamma_k]
    [2.0, 2.0, 0.0]
    """
    unit = reduced_parameters(unit_rates(params))
    up = jnp.linspace(0, 1, whole_number(n_points, "n_points", least=2), dtype=unit.h.dtype)
    up = up.reshape((1,) * unit.h.ndim + (-1,))
    across = 1 - up
    radius = 2 / _at_minimum(across, up, unit.h[..., None])[0]
    return radius * across / unit.A[..., None], radius * up / unit.B[..., None]


def _square(params: Params) -> Array:
    tau = parameter(params, "tau")
    return tau * tau


def _rates(params: Params) -> tuple[Array, Array]:
    if ("gamma_k" in params) != ("gamma_w" in params):
        refuse_without_rates(params, "gamma_k", "gamma_w")
    return value(params.get("gamma_k", 1.0)), value(params.get("gamma_w", 1.0))


def _scales(params: Params) -> tuple[Array, Array]:
    """Scales of k and w: k = scale x in the reduced game."""
    root = jnp.sqrt(collinearity(params))
    return 1 / root, root


def _row(*parts: Any) -> Array:
    return jnp.stack(jnp.broadcast_arrays(*parts), axis=-1)


def _where_minimum(h: Array) -> Array:
    return jnp.where((h > 0) & (h <= 1), h, jnp.nan)


def _rate_matrix_eigenvalues(params: Params, point: Point, n: int) -> Array:
    """Eigenvalues of diag(gamma) H in 2 n dimensions: the scalar game's, then those across its direction."""
    n = whole_number(n, "n")
    (gamma_k, gamma_w), square = _rates(params), _square(params)
    sigma_k, sigma_w = value(params["sigma_k"]), value(params["sigma_w"])
    if point == "origin":
        pair = rate_pair(gamma_k, gamma_w, sigma_k, sigma_w, square, sigma_k * sigma_w - square**2)
        return jnp.concatenate([pair] * n, axis=-1)
    if point == "minimum":
        large, small = _at_minimum(*reduced_parameters(params))
        across = large * 0 + (gamma_k * sigma_k + gamma_w * sigma_w)  # nan where there is no minimum
        return _row(large, small, *[across, 0 * across] * (n - 1))
    raise ValueError(f"point must be 'minimum' or 'origin', got {point!r}")


def _at_minimum(A: Array, B: Array, h: Array) -> tuple[Array, Array]:
    """Eigenvalues of diag(A, B) [[1, 1 - 2 h], [1 - 2 h, 1]], the larger first."""
    h = _where_minimum(h)
    pair = rate_pair(A, B, 1, 1, 1 - 2 * h, 4 * h * (1 - h))
    return pair[..., 0], pair[..., 1]
