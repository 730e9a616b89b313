"""Damped Gauss-Newton steps for residuals, as a transformation of optax."""

import functools
import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdyn._record import record
from jaxdyn._types import Array
from jaxdyn.analysis.orthonormal import solve_least_squares

__all__ = ["gauss_newton"]

LONGEST = 1.0
"""Longest step, in the coordinates of a fit: about a quarter of the range, or the size, of a value."""


@record
class _State:
    """Where the loss was least so far, and the damping of the step from there."""

    params: Any
    value: Array
    damping: Array


def gauss_newton(damping: float = 1e-2) -> Any:
    """Levenberg-Marquardt iteration as an optimizer of `fit`, for losses that give residuals.

    A step minimizes |r + J s|^2 + damping |D s|^2, where D holds the norms of the columns of J. A step that lowers the
    loss is kept and divides the damping by 4, another is taken back and multiplies it by 8. No step is longer than 1 in
    the coordinates of the fit. Near a minimum with small residuals errors shrink faster and faster, by the damping and
    the residuals, where steps along the gradient creep through narrow valleys.

    Parameters
    ----------
    damping
        Of the first step, positive.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        Its update needs `value`, and `value_fn` with the method `residuals`, which `fit` gives.

    Raises
    ------
    TypeError, ValueError
        If the damping is not positive; while tracing, if the loss gives one number in place of residuals.

    References
    ----------
    Marquardt 1963, Journal of the Society for Industrial and Applied Mathematics 11, 431-441, doi:10.1137/0111030.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.learning import fit, gauss_newton
    >>> decay = jaxdyn.flow(lambda t, x, p: -p["rate"] * x, {"rate": 2.0}, [1.0])
    >>> data = jaxdyn.trajectory(decay, n_steps=20, dt=0.1).x
    >>> def residuals(system):
    ...     return jaxdyn.trajectory(system, n_steps=20, dt=0.1).x - data
    >>> found = fit(decay.with_params(rate=0.5), residuals, gauss_newton(), over={"rate": (0, None)}, n_steps=10)
    >>> round(float(found.system.params["rate"]), 4)
    2.0
    """
    if not (isinstance(damping, numbers.Real) and 0 < damping < math.inf):
        raise ValueError(f"damping must be a positive number, got {damping!r}")
    return _gauss_newton(float(damping))


@functools.cache
def _gauss_newton(damping: float) -> Any:
    """Kept, so that the same fit of other data does not compile anew."""
    import optax

    make: Any = optax.GradientTransformationExtraArgs

    def init(params: Any) -> _State:
        flat, _ = ravel_pytree(params)
        return _State(params, jnp.full((), jnp.inf, flat.dtype), jnp.full((), damping, flat.dtype))

    def update(updates: Any, state: _State, params: Any = None, *, value: Any, value_fn: Any, **extra: Any) -> Any:
        better = value < state.value
        base = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, state.params)
        first = jnp.isinf(state.value)
        factor = jnp.where(first, 1, jnp.where(better, 1 / 4, 8)).astype(state.damping.dtype)
        new = _State(base, jnp.where(better, value, state.value), state.damping * factor)
        moved = jax.tree.map(jnp.add, base, _step(getattr(value_fn, "residuals", value_fn), base, new.damping))
        return jax.tree.map(jnp.subtract, moved, params), new

    return make(init, update)


def _step(residuals: Any, params: Any, damping: Array) -> Any:
    flat, restored = ravel_pytree(params)
    r = residuals(params)
    if r.shape == ():
        raise TypeError("gauss_newton needs a loss that gives residuals, got one number; give an optimizer of optax")
    slopes = jax.jacfwd(lambda v: residuals(restored(v)).ravel())(flat)
    size = jnp.sqrt(jnp.sum(slopes**2, axis=0))
    steepest = jnp.max(size)
    least = jnp.finfo(flat.dtype).eps * jnp.where(steepest > 0, steepest, 1)  # nothing steep: no step
    matrix = jnp.concatenate([slopes, jnp.diag(jnp.sqrt(damping) * jnp.maximum(size, least))])
    step = solve_least_squares(matrix, jnp.concatenate([-r.ravel(), jnp.zeros_like(flat)]))
    length = jnp.sqrt(jnp.sum(step**2))
    return restored(step * jnp.where(length > LONGEST, LONGEST / length, 1))
