"""The Taylor series method."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, is_concrete, whole_number
from jaxdyn.methods.controlled import Controlled
from jaxdyn.methods.method import Rhs, Step
from jaxdyn.methods.series import solution_series

__all__ = ["Taylor"]


@record
class _Way:
    """Loop state: how far into the interval, and where."""

    elapsed: Float[Array, ""]
    x: Float[Array, " dim"]
    n: Int[Array, ""]
    """Steps taken."""
    failed: Bool[Array, ""]


@record
class Taylor(Controlled):
    """Taylor series of the solution, of any order: for high precision in float64, below 1e-6 or so.

    Parameters
    ----------
    rtol
        Size allowed to the last two terms of each step as a share of the state, in every component; without it the step
        is fixed. It may be traced and differ between lanes if the order is given.
    atol
        The same besides, in state units, one number or one a component; default `rtol / 1000`.
    max_steps
        Most steps in one interval `dt`, static; more end the lane with STEP_LIMIT.
    order
        Last power of time, static; by default 2 + 0.6 ln(1 / rtol): somewhat above 1 + 0.5 ln(1 / rtol), at which
        multiplications are fewest, because a step costs more than these.

    Raises
    ------
    TypeError
        If neither rtol nor order is known while tracing; while tracing, if the field holds a primitive that has no
        series, such as the absolute value: it must be analytic.

    Notes
    -----
    The coefficients follow from the equations of the field, each from those before it; no differences are taken.
    The last two give the length of the step, and no step is taken twice. Each interval `dt` ends with a step cut to end
    there. What a forcing does between the times of two steps and not near them remains unseen.

    Cost: for each product in the field order^2 / 2 multiplications a step, of which few are needed.

    Transforms: jit, vmap, lanes, forward-mode derivatives; reverse mode only with a fixed step.

    References
    ----------
    Jorba & Zou 2005, Experimental Mathematics 14, 99-117, doi:10.1080/10586458.2005.10128904.

    Examples
    --------
    >>> import jaxdyn
    >>> oscillator = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0])
    >>> end = jaxdyn.final_state(oscillator, t1=3.0, method=jaxdyn.Taylor(rtol=1e-5))
    >>> [round(float(v), 3) for v in end.x]
    [-0.99, -0.141]
    """

    order: int | None = static(default=None)  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        super().__post_init__()
        order = _order_of(self.rtol) if self.order is None else whole_number(self.order, "order of Taylor")
        if self.adaptive and order < 2:
            raise ValueError("order of Taylor must be at least 2 with rtol, which its last two terms decide, got 1")
        object.__setattr__(self, "order", order)

    def first(self, rhs: Rhs, t: Array, x: Array) -> None:
        """Nothing is reused."""
        return None

    def single(self, rhs: Rhs, t: Array, x: Array, dt: Array, reused: None) -> Step:
        """One step of length `dt`, whatever its error."""
        return Step(_value(self._series(rhs, t, x), dt), None, None)

    def init(self, rhs: Rhs, t: Array, x: Array) -> None:
        """No length either: each step finds its own."""
        return None

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: None) -> Step:
        """Advance `x` from `t` to `t + dt`: in one step, or with `rtol` in as many as the tolerance needs."""
        if not self.adaptive:
            return self.single(rhs, t, x, dt, carry)
        start = _Way(jnp.zeros_like(x[0]), x, jnp.int32(0), ~jnp.all(jnp.isfinite(x)))
        length = jnp.abs(lax.stop_gradient(dt)).astype(x.dtype)
        end = lax.while_loop(
            lambda way: (way.elapsed < length) & ~way.failed, lambda way: self._farther(rhs, t, dt, length, way), start
        )
        return Step(jnp.where(end.failed, jnp.nan, end.x), None, None, end.failed & ~start.failed)

    def _farther(self, rhs: Rhs, t: Array, dt: Array, length: Array, way: _Way) -> _Way:
        """The next step; the last one ends at the end of the interval."""
        # Signed, and with the derivative of dt, which stretches all steps alike.
        share = dt / length
        series = self._series(rhs, t + share * way.elapsed, way.x)
        after = way.elapsed + self._length(series)
        is_last = after >= length
        is_stuck = ~(after > way.elapsed)  # also where it is no number
        elapsed = jnp.where(is_last, length, after)
        n = way.n + 1
        failed = is_stuck | ((n >= self.max_steps) & ~is_last)
        return _Way(elapsed, _value(series, share * (elapsed - way.elapsed)), n, failed)

    def _series(self, rhs: Rhs, t: Array, x: Array) -> list[Array]:
        assert self.order is not None
        return solution_series(rhs, t, x, self.order)

    def _length(self, series: list[Array]) -> Array:
        """Length at which the last two terms are within the tolerance (Jorba & Zou 2005, section 3.2)."""
        series = lax.stop_gradient(series)
        last = len(series) - 1
        scale = 1 / self._scale(jnp.abs(series[0]))
        # The largest component, and no squares: the coefficients of a fast system are large, in float32 too large.
        logs = [jnp.log(jnp.max(jnp.abs(series[k] * scale))) / k for k in (last - 1, last)]
        return jnp.exp(-jnp.maximum(*logs) - 0.7 / last)


def _value(series: list[Array], h: Array) -> Array:
    """The sum of coefficients times powers of h (Horner)."""
    x = series[-1]
    for coefficient in reversed(series[:-1]):
        x = x * h + coefficient
    return x


def _order_of(rtol: ArrayLike | None) -> int:
    if rtol is None or not is_concrete(rtol):
        raise TypeError("Taylor needs its order where rtol is not a known number: Taylor(order=15, rtol=...)")
    return max(3, round(2 - 0.6 * math.log(float(np.min(np.asarray(rtol))))))
