"""Damped Newton iteration for the roots of n equations, and which of its ends are the same root."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._arrays import largest
from jaxdyn._record import record
from jaxdyn._types import Array
from jaxdyn.analysis.orthonormal import solve_least_squares
from jaxdyn.integrate import along

__all__ = ["Search", "distinct", "newton_distance", "newton_step", "search"]

MAX_ITERATIONS = 100


@record
class Search:
    """State of one start's iteration."""

    y: Array
    f: Array
    damping: Array
    last_step: Array
    done: Array


def search(f: Any, start: Array, tolerance: Array) -> Search:
    """Levenberg-Marquardt iteration with damping proportional to the squared residual."""
    jac = jax.jacfwd(f)
    eye = jnp.eye(start.shape[0], dtype=start.dtype)

    def propose(s: Search) -> Array:
        damping = jnp.sqrt(s.damping) * jnp.linalg.norm(s.f) + jnp.finfo(start.dtype).tiny
        return solve_least_squares(jnp.concatenate([jac(s.y), damping * eye]), jnp.concatenate([-s.f, 0 * s.f]))

    def iterate(carry: tuple[Array, Search]) -> tuple[Array, Search]:
        count, s = carry
        step = propose(s)
        f_new = f(s.y + step)
        better = jnp.sum(f_new**2) < jnp.sum(s.f**2)
        damping = jnp.where(better, s.damping / 4, s.damping * 8)
        size = largest(jnp.abs(step))
        # A step that is short and gains nothing: the residual's floor, at a root or at a minimum that is none.
        stuck = (size <= 1e-4) & (jnp.sum(f_new**2) > 0.9 * jnp.sum(s.f**2))
        done = (size <= tolerance) | stuck
        new = Search(jnp.where(better, s.y + step, s.y), jnp.where(better, f_new, s.f), damping, size, done)
        return count + 1, jax.tree.map(lambda old, fresh: jnp.where(s.done, old, fresh), s, new)

    def unfinished(carry: tuple[Array, Search]) -> Array:
        return (carry[0] < MAX_ITERATIONS) & ~carry[1].done

    f0 = f(start)
    one = jnp.ones((), start.dtype)
    first = Search(start, f0, one, jnp.inf * one, ~jnp.all(jnp.isfinite(f0)))
    return lax.while_loop(unfinished, iterate, (jnp.int32(0), first))[1]


def newton_distance(f: Any, y: Array) -> Array:
    """Length of the Newton step; infinite where no step solves the linearized equations: at a minimum, not a root."""
    step = newton_step(f, y)
    value, change = jax.jvp(f, (y,), (step,))
    solves = jnp.sum((value + change) ** 2) <= jnp.sum(value**2) / 4
    return jnp.where(solves, largest(jnp.abs(step)), jnp.inf)


def newton_step(f: Any, y: Array) -> Array:
    """Newton step, with the least regularization that keeps it finite where the Jacobian is singular."""
    jac = lax.stop_gradient(jax.jacfwd(f)(y))
    size = jnp.max(jnp.abs(jac))
    least = jnp.where(size > 0, size, 1) * jnp.finfo(y.dtype).eps
    value = f(y)
    matrix = jnp.concatenate([jac, least * jnp.eye(y.shape[0], dtype=y.dtype)])
    return solve_least_squares(matrix, jnp.concatenate([-value, 0 * value]))


def distinct(y: Array, good: Array, radius: Array, n: int) -> tuple[Array, Array, Array]:
    """Positions of the different ones among the good points, the first of each kind, in `n` slots; and their number.

    A point is the same as one in a slot if no coordinate differs by more than its `radius`. Returned are positions (n,)
    in `y`, which slots hold one, and the number, which may exceed the slots.
    """
    numbers = jnp.arange(n, dtype=jnp.int32)

    def insert(carry: tuple[Array, ...], point: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        slots, positions, count = carry
        here, position, is_good, within = point
        near = (numbers < count) & (jnp.max(jnp.abs(slots - here[None]), axis=-1) <= within)
        is_new = is_good & ~jnp.any(near)
        put = is_new & (numbers == count)
        slots, positions = jnp.where(put[:, None], here[None], slots), jnp.where(put, position, positions)
        return (slots, positions, count + is_new.astype(count.dtype)), None

    empty = jnp.zeros((n, y.shape[-1]), y.dtype), jnp.zeros_like(numbers), jnp.int32(0)
    points = y, jnp.arange(len(y), dtype=jnp.int32), good, radius
    (_, positions, count), _ = along(insert, empty, points)
    return positions, numbers < count, count
