"""Stability classes of fixed points, from eigenvalues."""

import enum
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import largest
from jaxdyn._types import Array, ArrayLike, Complex, Float, Int, Shaped

__all__ = ["Stability", "growing_and_shrinking", "spectral_abscissa", "spectral_radius", "stability", "stability_label"]


class Stability(enum.IntEnum):
    """Type of a fixed point. For maps, FLIP types have a negative real multiplier (each step changes side)."""

    UNDEFINED = 0
    STABLE_NODE = 1
    STABLE_FOCUS = 2
    UNSTABLE_NODE = 3
    UNSTABLE_FOCUS = 4
    SADDLE = 5
    SADDLE_FOCUS = 6
    CENTER = 7
    MARGINAL = 8
    STABLE_FLIP_NODE = 9
    UNSTABLE_FLIP_NODE = 10
    FLIP_SADDLE = 11
    FLIP = 12


def stability_label(code: ArrayLike) -> Any:
    """Words for stability codes, of the same shape: `stable focus`, `saddle`, ...

    Examples
    --------
    >>> import jaxdyn
    >>> str(jaxdyn.stability_label(jaxdyn.Stability.SADDLE_FOCUS))
    'saddle focus'
    """
    words = np.array([member.name.lower().replace("_", " ") for member in Stability])
    return words[np.asarray(code)]


def spectral_abscissa(eigenvalues: Complex[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Largest real part: the growth rate (1/time) of a flow near a fixed point; stable if negative."""
    return largest(eigenvalues.real)


def spectral_radius(eigenvalues: Complex[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Largest modulus: the growth factor per step of a map near a fixed point; stable if below 1."""
    return largest(jnp.abs(eigenvalues))


def stability(
    eigenvalues: Shaped[Array, "*batch dim"], *, discrete: bool = False, tolerance: float | None = None
) -> Int[Array, "*batch"]:
    """Class of a fixed point with these eigenvalues, as a code of `Stability`.

    Parameters
    ----------
    eigenvalues
        Of the Jacobian, (..., dim).
    discrete
        False: growth is Re(eigenvalue), 1/time. True: growth is log|multiplier|, per step.
    tolerance
        Growth within this distance of 0 counts as neutral, relative to the largest |eigenvalue| of a
        flow and absolute for a map. Default: 1e-8 in float64, 1e-5 in float32.

    Returns
    -------
    Array
        int8 codes. With no growing direction and a neutral one the class is CENTER if all eigenvalues are
        neutral and complex, FLIP if the neutral one of a map is -1, MARGINAL otherwise. nan gives UNDEFINED.

    References
    ----------
    Kuznetsov, Elements of Applied Bifurcation Theory, chapters 2 and 4.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> code = jaxdyn.stability(jnp.array([-1 + 2j, -1 - 2j]))
    >>> str(jaxdyn.stability_label(code))
    'stable focus'
    """
    values = jnp.asarray(eigenvalues)
    grows, shrinks, within = growing_and_shrinking(values, discrete, tolerance)
    size = jnp.abs(values)
    neutral = ~grows & ~shrinks
    is_complex = jnp.abs(values.imag) > within * jnp.where(size > 0, size, 1)
    flips = (values.real < 0) & ~is_complex if discrete else jnp.zeros_like(grows)
    code = _code(grows, shrinks, neutral, is_complex, flips)
    defined = jnp.all(jnp.isfinite(values.real) & jnp.isfinite(values.imag), axis=-1)
    return jnp.where(defined, code, Stability.UNDEFINED).astype(jnp.int8)


def growing_and_shrinking(values: Array, discrete: bool, tolerance: float | None = None) -> tuple[Array, Array, float]:
    """Which eigenvalues grow, which shrink (others are neutral), and the tolerance; arguments as in `stability`."""
    within = (1e-8 if values.real.dtype == jnp.float64 else 1e-5) if tolerance is None else float(tolerance)
    size = jnp.abs(values)
    if discrete:
        growth, neutral_within = jnp.log(jnp.where(size > 0, size, jnp.finfo(size.dtype).tiny)), within
    else:
        scale = jnp.max(size, axis=-1, keepdims=True)
        growth, neutral_within = values.real, within * jnp.where(scale > 0, scale, 1)
    return growth > neutral_within, growth < -neutral_within, within


def _code(grows: Array, shrinks: Array, neutral: Array, is_complex: Array, flips: Array) -> Array:
    """Decide by the signs of growth, then by complex or flipping directions among those that count."""

    def some(mask: Array) -> Array:
        return jnp.any(mask, axis=-1)

    def pick(foci: Array, flipping: Array, focus: Stability, flip: Stability, node: Stability) -> Array:
        return jnp.where(foci, int(focus), jnp.where(flipping, int(flip), int(node)))

    kinds = Stability
    stable = pick(some(is_complex), some(flips), kinds.STABLE_FOCUS, kinds.STABLE_FLIP_NODE, kinds.STABLE_NODE)
    unstable = pick(
        some(is_complex & grows),
        some(flips & grows),
        kinds.UNSTABLE_FOCUS,
        kinds.UNSTABLE_FLIP_NODE,
        kinds.UNSTABLE_NODE,
    )
    saddle = pick(some(is_complex), some(flips & grows), kinds.SADDLE_FOCUS, kinds.FLIP_SADDLE, kinds.SADDLE)
    all_center = jnp.all(neutral & is_complex, axis=-1)
    marginal = pick(all_center, some(flips & neutral), kinds.CENTER, kinds.FLIP, kinds.MARGINAL)
    calm = jnp.where(some(neutral), marginal, stable)
    return jnp.where(some(grows), jnp.where(some(shrinks), saddle, unstable), calm)
