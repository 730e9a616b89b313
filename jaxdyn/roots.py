"""Roots of functions of one number, by bracketing."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxdyn._record import record
from jaxdyn._types import Array

__all__ = ["bracketed_root"]

_MOST_HALVINGS = 100


@record
class _Bracket:
    """Ends of an interval with a sign change, the newest point `a`; `c` was given up last; the part to look at next."""

    a: Array
    fa: Array
    b: Array
    fb: Array
    c: Array
    fc: Array
    part: Array
    done: Array
    count: Array

    @property
    def best(self) -> tuple[Array, Array]:
        """The end whose value is nearer to zero, and its value."""
        is_a = jnp.abs(self.fa) < jnp.abs(self.fb)
        return jnp.where(is_a, self.a, self.b), jnp.where(is_a, self.fa, self.fb)


def bracketed_root(f: Callable[[Array], Array], at_zero: Array, at_one: Array, exists: Array) -> Array:
    """Root of `f` between 0 and 1 to rounding, from its values there; where `f` jumps over zero, the place of the jump.

    Inverse quadratic interpolation where it is safe, halving elsewhere: Chandrupatla 1997, Advances in Engineering
    Software 28, 145-149, doi:10.1016/S0965-9978(96)00051-8. The first point is the secant's.
    """
    tolerance = 2 * float(jnp.finfo(at_one.dtype).eps)

    def narrowed(s: _Bracket) -> _Bracket:
        x = s.a + s.part * (s.b - s.a)
        fx = f(x)
        same = (fx > 0) == (s.fa > 0)
        b, fb = jnp.where(same, s.b, s.a), jnp.where(same, s.fb, s.fa)
        c, fc = jnp.where(same, s.a, s.b), jnp.where(same, s.fa, s.fb)
        least = tolerance / jnp.abs(b - x)
        new = _Bracket(x, fx, b, fb, c, fc, s.part, s.done, s.count + 1)
        done = (new.best[1] == 0) | (least > 0.5) | ~jnp.isfinite(fx) | (new.count >= _MOST_HALVINGS)
        return dataclasses.replace(new, part=jnp.clip(_next_part(new), least, 1 - least), done=done)

    one, zero = jnp.ones_like(at_one), jnp.zeros_like(at_zero)
    rise = jnp.where(exists, at_one - at_zero, 1)
    part = jnp.clip(at_one / rise, tolerance, 1 - tolerance)
    start = _Bracket(one, at_one, zero, at_zero, zero, at_zero, part, ~exists | (at_one == 0), jnp.int32(0))
    return lax.while_loop(lambda s: ~s.done, narrowed, start).best[0]


def _next_part(s: _Bracket) -> Array:
    """Where the parabola through the last three points has its zero, from `a` to `b`; else the middle."""
    xi, phi = (s.a - s.b) / (s.c - s.b), (s.fa - s.fb) / (s.fc - s.fb)
    safe = (phi * phi < xi) & ((1 - phi) * (1 - phi) < 1 - xi)
    part = s.fa / (s.fb - s.fa) * s.fc / (s.fb - s.fc)
    part = part + (s.c - s.a) / (s.b - s.a) * s.fa / (s.fc - s.fa) * s.fb / (s.fc - s.fb)
    return jnp.where(safe, part, 0.5)
