"""Trajectories, and the only time loops of the package: `repeat` and `march`."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import coordinate, labelled, record, static
from jaxdyn._types import Array, ArrayLike, Bool, Int, Shaped, is_concrete, whole_number
from jaxdyn.errors import Status
from jaxdyn.methods import Method, Step
from jaxdyn.steps import free_method, interval, is_adaptive, method_of, next_multiple, resolve_steps, times_of
from jaxdyn.system import System

__all__ = ["All", "At", "Every", "Final", "Trajectory", "final_state", "trajectory"]

_C = TypeVar("_C")


@record
class Every:
    """Save the start and every `k`-th state."""

    k: int = static()


@record
class All(Every):
    """Save the start and every state."""

    k: int = static(default=1)


@record
class Final:
    """Save only the last state."""


@record
class At:
    """Save the states at these times, (n,) ascending from t0 on; for methods that choose their steps."""

    t: ArrayLike | Sequence[Any]


@record
class Trajectory:
    """States of one system in time.

    With `Final` the axis `time` is absent; with `Every(k)` it has n_steps / k + 1 entries, the start first; with
    `At(times)` those times.
    """

    t: Shaped[Array, "*time"] = coordinate("time")
    x: Shaped[Array, "*time dim"] = labelled("time", "state", words="state")
    status: Int[Array, ""] = labelled()


def trajectory(
    system: System,
    *,
    n_steps: int | None = None,
    t1: ArrayLike | None = None,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    save: Every | Final | At | None = None,
    t0: ArrayLike = 0,
) -> Trajectory:
    """Trajectory of one system from its start `system.x0`.

    Parameters
    ----------
    system
        The flow or map; another start is `system.with_state(...)`.
    n_steps, t1
        Number of steps (static), or the end time of a flow, which must be a whole number of steps away.
    dt
        Step of a flow, time units; negative runs backwards, unless it is stochastic. Maps take none. With a method that
        chooses its steps it is the interval after which a state may be saved, and may be left out: then there is one,
        from t0 to t1.
    method
        `RK4()` by default; `Euler()`, `Heun()`, `Tsit5()`, `Dopri8()`, with steps of their own `Tsit5(rtol=1e-6)`, for
        stiff systems `Rodas5P(rtol=1e-6)`, for Hamiltonian ones `Leapfrog()`, for stochastic ones (`sde`)
        `EulerMaruyama()`, more in `jaxdyn.methods`, and solvers of diffrax (see `jaxdyn.methods.Diffrax`). Maps are
        iterated.
    save
        `All()` by default, `Every(k)`, `Final()`, or `At(times)` instead of n_steps, t1 and dt.
    t0
        Time of the start; an integer for maps.

    Returns
    -------
    Trajectory
        `t` (n,), `x` (n, dim), and `status`: NON_FINITE if any state on the way was not finite, STEP_LIMIT if a method
        gave up; states from there on are nan.

    Raises
    ------
    ValueError, TypeError
        If the steps do not fit each other; while tracing, never on the device.

    Notes
    -----
    Transforms: jit, vmap, grad (memory O(n_steps) in reverse mode; methods that choose their steps have forward-mode
    derivatives only: `jax.jacfwd`, `jax.jvp`), shard_map. Time is an integer step
    number inside the loop, so rounding does not accumulate in t.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.trajectory(jaxdyn.models.fitzhugh_nagumo(), t1=100.0, dt=0.1, save=jaxdyn.Every(100))
    >>> run.x.shape
    (11, 2)
    """
    save = All() if save is None else save
    if isinstance(save, At):
        if not all(given is None for given in (n_steps, t1, dt)):
            raise TypeError("save=At(times) says how far to go; leave out n_steps, t1 and dt")
        return _trajectory_at(system, free_method(system, method), t0, *times_of(save.t, t0, system.dtype))
    if dt is None and n_steps is None and t1 is not None and is_adaptive(method):
        free_method(system, method)
        dt = interval(t0, t1, system.dtype)
        n_steps, t1, dt = (0, None, 1.0) if is_concrete(dt) and dt == 0 else (1, None, dt)
    n_steps, dt = resolve_steps(system, n_steps, t1, dt, t0)
    if not isinstance(save, Every | Final):
        raise TypeError(f"save must be All(), Every(k), Final() or At(times), got {save!r}")
    if isinstance(save, Every) and n_steps % whole_number(save.k, f"k of save=Every({save.k})"):
        raise ValueError(
            f"save=Every({save.k}) must divide n_steps={n_steps}; use n_steps={next_multiple(n_steps, save.k)}"
        )
    return _trajectory(system, method_of(system, method), t0, dt, n_steps, save)


def final_state(
    system: System,
    *,
    n_steps: int | None = None,
    t1: ArrayLike | None = None,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    t0: ArrayLike = 0,
) -> Trajectory:
    """Last state of a trajectory: `trajectory(..., save=Final())`, with `x` of shape (dim,).

    Examples
    --------
    >>> import jaxdyn
    >>> float(jaxdyn.final_state(jaxdyn.models.logistic(r=2.0), n_steps=60).x[0])
    0.5
    """
    return trajectory(system, n_steps=n_steps, t1=t1, dt=dt, method=method, save=Final(), t0=t0)


def repeat(step: Callable[[_C], _C], carry: _C, n: int) -> _C:
    """Apply `step` `n` times (static)."""
    if n == 1:
        return step(carry)
    return lax.scan(lambda c, _: (step(c), None), carry, None, length=n)[0]


def along(step: Callable[[_C, Any], tuple[_C, Any]], carry: _C, values: Any) -> tuple[_C, Any]:
    """Advance through `values`, arrays (n, ...), and stack what each step gives beside the carry."""
    return lax.scan(step, carry, values)


def march(
    step: Callable[[_C], _C], carry: _C, *, n_blocks: int, block: int, observe: Callable[[_C], Any]
) -> tuple[_C, Any]:
    """Advance by `n_blocks` blocks of `block` steps; stack what `observe` sees after each block."""

    def one_block(c: _C, _: None) -> tuple[_C, Any]:
        c = repeat(step, c, block)
        return c, observe(c)

    if n_blocks == 1:  # no loop, so that a loop inside is the outermost one
        carry, seen = one_block(carry, None)
        return carry, jax.tree.map(lambda value: value[None], seen)
    return lax.scan(one_block, carry, None, length=n_blocks)


# Up to this length a sum over components is written out: one number less in registers for each component.
SHORT = 8


@record
class Walk:
    """Loop state: step number, state, the method's carry, and a sum that turns nan when a state is not finite.

    `failed` tells whether a method that may give up has done so; others have none.
    """

    i: Int[Array, ""]
    x: Array
    carry: Any
    taint: Array
    failed: Bool[Array, ""] | None

    @property
    def status(self) -> Int[Array, ""]:
        """NON_FINITE if any state so far was not finite, STEP_LIMIT if that is so because the method gave up."""
        code = jnp.where(jnp.all(jnp.isfinite(self.taint)), jnp.int8(Status.OK), jnp.int8(Status.NON_FINITE))
        return code if self.failed is None else jnp.where(self.failed, jnp.int8(Status.STEP_LIMIT), code)

    def after(self, step: Step) -> "Walk":
        """The loop state one step later."""
        failed = None if self.failed is None or step.failed is None else self.failed | step.failed
        return Walk(self.i + 1, step.x, step.carry, _tainted(self.taint, step.x), failed)


def walking(system: System, method: Method, t0: ArrayLike, dt: Array) -> tuple[Walk, Callable[[Walk], Walk]]:
    """Start of a run, and its step."""

    def step(walk: Walk) -> Walk:
        t, rhs = system.at_step(t0, dt, walk.i)
        carry = walk.carry if rhs is system else method.init(rhs, t, walk.x)
        return walk.after(method.step(rhs, t, walk.x, dt, carry))

    return _standing(system, method, t0, dt), step


def _standing(system: System, method: Method, t0: ArrayLike, dt: ArrayLike) -> Walk:
    """Start of a run."""
    i, x = jnp.int32(0), system.x0
    carry = method.init(system, system.time(t0, dt, i), x)
    failed = jnp.array(False) if is_adaptive(method) else None
    return Walk(i, x, carry, _tainted(jnp.zeros_like(x[0]), x), failed)


@functools.partial(jax.jit, static_argnames="n_steps")
def _trajectory(
    system: System, method: Method, t0: ArrayLike, dt: Array, n_steps: int, save: Every | Final
) -> Trajectory:
    walk, step = walking(system, method, t0, dt)
    if isinstance(save, Final):
        walk = repeat(step, walk, n_steps)
        return Trajectory(system.time(t0, dt, walk.i), walk.x, walk.status)
    n_blocks = n_steps // save.k
    walk, x = march(step, walk, n_blocks=n_blocks, block=save.k, observe=lambda w: w.x)
    t = system.time(t0, dt, save.k * jnp.arange(n_blocks + 1, dtype=jnp.int32))
    return Trajectory(t, jnp.concatenate([system.x0[None], x]), walk.status)


@jax.jit
def _trajectory_at(system: System, method: Method, t0: ArrayLike, times: Array, gaps: Array) -> Trajectory:
    def step(carry: tuple[Array, Walk], stop: tuple[Array, Array]) -> tuple[tuple[Array, Walk], Array]:
        (before, walk), (t, gap) = carry, stop
        walk = walk.after(method.step(system, before, walk.x, gap, walk.carry))
        return (t, walk), walk.x

    start = jnp.asarray(t0, times.dtype)
    (_, walk), x = along(step, (start, _standing(system, method, t0, 0)), (times, gaps))
    return Trajectory(times, x, walk.status)


def _tainted(taint: Array, x: Array) -> Array:
    """A number, or one a component of a long state, that turns nan for good when a state is not finite."""
    return functools.reduce(jnp.add, list(0 * x), taint) if len(x) <= SHORT else taint + 0 * x
