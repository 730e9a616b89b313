"""Cycles of two steps of the two-learner descent: born at the flip of the minimum, and those of opposite sign.

In the numbers A, B, h of `reduced_parameters`, and q = (1, r) the direction that flips. References as in
`learner_theory`; normal form of the flip: Kuznetsov, Elements of Applied Bifurcation Theory, section 5.4.
"""

import jax.numpy as jnp

from jaxdyn._types import Array, Float
from jaxdyn.models._learner_parameters import Params, refuse_without_rates
from jaxdyn.models.learner_theory import (
    Reduced,
    _at_minimum,
    _row,
    _scales,
    reduced_parameters,
    stability_margin,
)

__all__ = ["diagonal_cycle", "flip_coefficient", "flip_cycle", "opposite_cycles"]


def flip_coefficient(params: Params) -> Float[Array, "*batch"]:
    """Cubic coefficient c of the flip xi -> -(1 + beta) xi + c xi^3 of the minimum along q = (1, r), or (r, 1).

    c = (1 + r)^2 [(1 - r)^2/(2 h) + 4 r] / (1/A + r^2/B), q scaled so that |r| <= 1 (with A and B exchanged for
    (r, 1)); beta is minus the `stability_margin`. The cycle has xi^2 = beta/c: it is stable and beyond the boundary
    (supercritical) if c > 0, unstable and before it (subcritical) if c < 0.

    Notes
    -----
    For h < 1/2 both learners flip together (r > 0) and c > 0; at h = 1/2 one flips alone (r = 0): c = A/(2 h) = A, so
    that gamma_k beyond 2 at tau = 1, sigma = 1/2 gives c = 2 and the half-amplitude sqrt((gamma_k - 2)/2). For
    h > 1/2 they flip against each other (r < 0) and c < 0 where (1 + |r|)^2 < 8 h |r|. At equal reduced
    rates A = B and h > 1/2, c = 0: on the boundary every point of k w = 1 - h is on a cycle of two steps.

    Examples
    --------
    >>> from jaxdyn.models.learner_cycles import flip_coefficient
    >>> game = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5, "gamma_k": 2.0, "gamma_w": 0.9}
    >>> round(float(flip_coefficient(game)), 6)
    2.0
    """
    A, B, h = _reduced(params)
    x, y = _direction(A, B, h)
    return (x + y) ** 2 * ((x - y) ** 2 / (2 * h) + 4 * x * y) / (x * x / A + y * y / B)


def flip_cycle(params: Params) -> Float[Array, "*batch 2 2"]:
    """Cycle of two steps near the flip of the positive minimum, two points (k, w), by its normal form.

    x* - H^-1 g beta/(2 c) +- sqrt(beta/c) q, with g the third derivative of the error along q twice.

    Returns
    -------
    Array
        With e the distance |beta| from the boundary: half the difference of the points is right to a factor 1 + O(e),
        their mean to O(e^2). nan on the side where there is no cycle. `jaxdyn.fixed_points(period=2)` refines it.
    """
    A, B, h = _reduced(params)
    x, y = _direction(A, B, h)
    square = -stability_margin(params) / flip_coefficient(params)
    xi, middle = jnp.sqrt(square), jnp.sqrt(1 - h)
    bend_x, bend_y = 2 * middle * y * (2 * x + y), 2 * middle * x * (x + 2 * y)
    # H = [[1, 1 - 2 h], [1 - 2 h, 1]] has the determinant 4 h (1 - h).
    shift = square / (8 * h * (1 - h))
    mean_x = middle - shift * (bend_x - (1 - 2 * h) * bend_y)
    mean_y = middle - shift * (bend_y - (1 - 2 * h) * bend_x)
    k, w = _scales(params)
    return jnp.stack([_row(k * (mean_x + s * xi * x), w * (mean_y + s * xi * y)) for s in (1, -1)], axis=-2)


def diagonal_cycle(params: Params) -> Float[Array, "*batch 2 2"]:
    """Exact cycle of two steps for equal reduced rates, gamma_k sigma_k = gamma_w sigma_w, two points (k, w).

    Then the line x = y is invariant and u = sqrt(A) x obeys u+ = a u - u^3, a = 1 + A (1 - h), whose cycle is
    u = (sqrt(a + 2) +- sqrt(a - 2))/2: it exists for a > 2 and is stable along the line for a < sqrt(5).

    Returns
    -------
    Array
        nan for a < 2, and where the reduced rates differ by more than rounding.
    """
    A, B, h = _reduced(params)
    a = 1 + A * (1 - h)
    equal = jnp.abs(A - B) <= 16 * jnp.finfo(A.dtype).eps * A
    sum_, difference = jnp.sqrt(a + 2), jnp.where(equal, jnp.sqrt(a - 2), jnp.nan)
    k, w = _scales(params)
    ends = [(sum_ + s * difference) / (2 * jnp.sqrt(A)) for s in (1, -1)]
    return jnp.stack([_row(k * x, w * x) for x in ends], axis=-2)


def opposite_cycles(params: Params) -> Float[Array, "*batch 2 2"]:
    """Exact cycles of two steps from a state to its opposite: one state (k, w) of each.

    F(z) = -z needs a x = -P y and b y = -P x with a = 2/A - h, b = 2/B - h, P = 1 - x y; so P = +-sqrt(a b). First the
    one with k w = 1 + sqrt(a b); for equal reduced rates it is the point of the invariant line beyond which all starts
    on the line diverge. Then the one with k w = 1 - sqrt(a b) < 0.

    Returns
    -------
    Array
        nan unless a and b are positive, as they are wherever the minimum is stable, and unless a b > 1 for the second.
    """
    A, B, h = _reduced(params)
    a, b = 2 / A - h, 2 / B - h
    exists = (a > 0) & (b > 0)
    pull = jnp.sqrt(jnp.where(exists, a * b, jnp.nan))
    slope = jnp.sqrt(jnp.where(exists, a / b, jnp.nan))
    k, w = _scales(params)
    with_sign = [(1, 1 + pull), (-1, pull - 1)]
    return jnp.stack([_row(k * jnp.sqrt(xy / slope), s * w * jnp.sqrt(xy * slope)) for s, xy in with_sign], axis=-2)


def _reduced(params: Params) -> Reduced:
    refuse_without_rates(params, "gamma_k", "gamma_w")
    return reduced_parameters(params)


def _direction(A: Array, B: Array, h: Array) -> tuple[Array, Array]:
    """Direction (x, y) of the larger eigenvalue of diag(A, B) H, scaled to a largest entry 1."""
    large, _ = _at_minimum(A, B, h)
    first = A >= B
    # From the row of the slower learner: its difference from the eigenvalue is not small.
    slow = jnp.where(first, B, A)
    gap = large - slow
    meet = gap == 0  # equal rates at h = 1/2: every direction flips
    ratio = jnp.where(meet, 0, slow * (1 - 2 * h) / jnp.where(meet, 1, gap))
    one = jnp.ones_like(ratio)
    return jnp.where(first, one, ratio), jnp.where(first, ratio, one)
