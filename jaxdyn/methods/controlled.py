"""Steps whose length the error decides: the step asked for is taken in as many as the tolerance needs."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._arrays import given_dtype
from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, Bool, Float, Int, is_concrete, whole_number
from jaxdyn.methods.method import Rhs, Step

__all__ = ["Controlled", "require_tolerances"]

# Hairer, Norsett & Wanner 1993, section II.4: safety factor, bounds of the change of a step, and the share of the
# error before (PI control); of the last steps' errors none counts less than LOG_FLOOR.
SAFETY, SHRINK, GROW, SHARE_BEFORE, LOG_FLOOR = 0.9, 0.2, 10.0, 0.2, math.log(1e-4)

SHORTEST_GUESS = 1e-6
"""First step, time units, where the field tells no better one; the error then decides."""

MOST_TRIED = 2**31 - 1  # an int32


@record
class _Pace:
    """What the next step takes over from the last one."""

    h: Float[Array, ""]
    """Length of the next step, without sign."""
    log_error: Float[Array, ""]
    """Of the last step that was taken, as a multiple of the tolerance."""
    reused: Any
    """Carry of the single step."""


@record
class _Progress:
    """Loop state: how far into the interval, where, and how fast."""

    elapsed: Float[Array, ""]
    x: Float[Array, " dim"]
    pace: _Pace
    n: Int[Array, ""]
    """Steps tried."""
    failed: Bool[Array, ""]


@record
class Controlled:
    """Common ground of methods that estimate their error; with `rtol` they choose their steps by it."""

    rtol: ArrayLike | None = None
    atol: ArrayLike | None = None
    max_steps: int = static(default=100_000)

    def __post_init__(self) -> None:
        require_tolerances(self)

    @property
    def adaptive(self) -> bool:
        """Whether the error decides the steps."""
        return self.rtol is not None

    @property
    def order(self) -> int:
        """Order of convergence."""
        raise NotImplementedError

    @property
    def error_order(self) -> int:
        """Power of the step with which the error estimate of one step vanishes."""
        return self.order

    def first(self, rhs: Rhs, t: Array, x: Array) -> Any:
        """Carry before the first single step."""
        raise NotImplementedError

    def single(self, rhs: Rhs, t: Array, x: Array, dt: Array, reused: Any) -> Step:
        """One step of length `dt`, whatever its error."""
        raise NotImplementedError

    def init(self, rhs: Rhs, t: Array, x: Array) -> Any:
        """Carry before the first step."""
        reused = self.first(rhs, t, x)
        if not self.adaptive:
            return reused
        return _Pace(self._first_length(rhs, t, x), jnp.full_like(x[0], LOG_FLOOR), reused)

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: Any) -> Step:
        """Advance `x` from `t` to `t + dt`: in one step, or with `rtol` in as many as the tolerance needs."""
        if not self.adaptive:
            return self.single(rhs, t, x, dt, carry)
        length = jnp.abs(lax.stop_gradient(dt)).astype(x.dtype)
        x = jnp.where(jnp.isfinite(length), x, jnp.nan)  # an end that is no time is not reached
        start = _Progress(jnp.zeros_like(x[0]), x, carry, jnp.int32(0), ~jnp.all(jnp.isfinite(x)))
        end = lax.while_loop(
            lambda p: (p.elapsed < length) & ~p.failed, lambda p: self._tried(rhs, t, dt, length, p), start
        )
        # A state that was not reached is no number, least of all the last one before it.
        return Step(jnp.where(end.failed, jnp.nan, end.x), None, end.pace, end.failed & ~start.failed)

    def _tried(self, rhs: Rhs, t: Array, dt: Array, length: Array, p: _Progress) -> _Progress:
        """The next step, taken if its error is small enough; the last one ends at the end of the interval."""
        is_last = p.elapsed + p.pace.h * (1 + 1e-3) >= length
        elapsed = jnp.where(is_last, length, p.elapsed + p.pace.h)
        h = elapsed - p.elapsed  # so that times do not depart from the sum of the steps by rounding
        # Signed, and with the derivative of dt, which stretches all steps alike.
        share = dt / length
        new = self.single(rhs, t + share * p.elapsed, p.x, share * h, p.pace.reused)
        log_error = self._log_error(p.x, new)
        taken = log_error <= 0
        factor = self._factor(log_error, p.pace.log_error, taken)
        # A last step that was cut short must not make the next one short.
        proposed = jnp.where(is_last & taken, jnp.maximum(p.pace.h, h * factor), h * factor)
        n = p.n + 1
        stalled = ~taken & (p.elapsed + proposed <= p.elapsed)
        after = (elapsed, new.x, jnp.maximum(log_error, LOG_FLOOR), new.carry)
        before = (p.elapsed, p.x, p.pace.log_error, p.pace.reused)
        elapsed, x, log_error, reused = jax.tree.map(lambda a, b: jnp.where(taken, a, b), after, before)
        failed = stalled | ((n >= self.max_steps) & (elapsed < length))
        return _Progress(elapsed, x, _Pace(proposed, log_error, reused), n, failed)

    def _log_error(self, x: Array, new: Step) -> Array:
        """Logarithm of the error as a multiple of the tolerance, root mean square over components."""
        x, after, errors = lax.stop_gradient((x, new.x, new.error))
        scale = self._scale(jnp.maximum(jnp.abs(x), jnp.abs(after)))
        squares = [jnp.mean((error / scale) ** 2) for error in _pair(errors)]
        if len(squares) == 1:
            return 0.5 * jnp.log(squares[0])
        # Hairer, Norsett & Wanner 1993, section II.10: two estimates of different order.
        fine, coarse = squares
        whole = fine + 0.01 * coarse
        return jnp.log(fine) - 0.5 * jnp.log(jnp.where(whole > 0, whole, 1))

    def _scale(self, size: Array) -> Array:
        rtol = lax.stop_gradient(jnp.asarray(self.rtol, size.dtype))
        atol = 1e-3 * rtol if self.atol is None else lax.stop_gradient(jnp.asarray(self.atol, size.dtype))
        name = type(self).__name__
        if rtol.shape != ():
            raise ValueError(f"rtol of {name} must be one number, got shape {rtol.shape}; atol may differ by component")
        if atol.shape not in ((), size.shape):
            raise ValueError(f"atol of {name} must be one number or one a state, {size.shape}, got shape {atol.shape}")
        return atol + rtol * size

    def _factor(self, log_error: Array, before: Array, taken: Array) -> Array:
        """Length of the next step over that of this one."""
        power = 1 / self.error_order
        controlled = -power * (1 - 0.75 * SHARE_BEFORE) * log_error + power * SHARE_BEFORE * before
        exponent = jnp.where(taken, controlled, -power * log_error) + math.log(SAFETY)
        most = jnp.where(taken, math.log(GROW), 0.0).astype(exponent.dtype)
        factor = jnp.exp(jnp.clip(exponent, math.log(SHRINK), most))
        return jnp.where(jnp.isnan(log_error), SHRINK, factor)

    def _first_length(self, rhs: Rhs, t: Array, x: Array) -> Array:
        """Length of the first step (Hairer, Norsett & Wanner 1993, section II.4)."""
        t, x = lax.stop_gradient((t, x))
        rate = lax.stop_gradient(rhs(t, x))
        scale = self._scale(jnp.abs(x))

        def size(y: Array) -> Array:
            return jnp.sqrt(jnp.mean((y / scale) ** 2))

        of_x, of_rate = size(x), size(rate)
        tiny = (of_x < 1e-5) | (of_rate < 1e-5)
        guess = jnp.where(tiny, SHORTEST_GUESS, 0.01 * of_x / jnp.where(tiny, 1, of_rate))
        change = size(lax.stop_gradient(rhs(t + guess, x + guess * rate)) - rate) / guess
        steepest = jnp.maximum(of_rate, change)
        flat = steepest <= 1e-15
        fitting = jnp.exp(jnp.log(0.01 / jnp.where(flat, 1, steepest)) / self.error_order)
        fitting = jnp.where(flat, jnp.maximum(SHORTEST_GUESS, guess * 1e-3), fitting)
        length = jnp.minimum(100 * guess, fitting)
        # The guess may leave the domain of the field (a run that comes back from its edge), or the squares overflow.
        return jnp.where((length > 0) & (fitting > 0), length, SHORTEST_GUESS)


def _pair(errors: Any) -> tuple[Array, ...]:
    return errors if isinstance(errors, tuple) else (errors,)


def require_tolerances(method: Any) -> None:
    """Refuse tolerances that are not positive, and `max_steps` that is not a number of steps."""
    name = type(method).__name__
    if whole_number(method.max_steps, f"max_steps of {name}") > MOST_TRIED:
        raise ValueError(f"max_steps of {name} must be at most {MOST_TRIED}, got {method.max_steps}")
    if method.rtol is None and method.atol is not None:
        raise TypeError(f"{name}(atol=...) needs rtol as well: {name}(rtol=1e-6, atol={method.atol})")
    for word, value in (("rtol", method.rtol), ("atol", method.atol)):
        if value is None or not is_concrete(value):
            continue
        if given_dtype(value).kind not in "fiu":
            raise TypeError(f"{word} of {name} must be a positive number, got {value!r}")
        numbers = np.asarray(value)
        if not np.all(np.isfinite(numbers)) or not np.all(numbers > 0):
            raise ValueError(f"{word} of {name} must be positive, got {value!r}")
