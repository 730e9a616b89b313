"""Trajectories, and the only time loops of the package: `repeat` and `march`."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import coordinate, labelled, record, static
from jaxdyn._types import Array, ArrayLike, Int, Shaped, is_concrete, whole_number
from jaxdyn.errors import Status
from jaxdyn.methods import RK4, Iterate, Method
from jaxdyn.system import System

__all__ = ["All", "Every", "Final", "Trajectory", "final_state", "trajectory"]

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
class Trajectory:
    """States of one system in time.

    With `Final` the axis `time` is absent; with `Every(k)` it has n_steps / k + 1 entries, the start first.
    """

    t: Shaped[Array, "*time"] = coordinate("time")
    x: Shaped[Array, "*time dim"] = labelled("time", "state", words="state")
    status: Int[Array, ""] = labelled()


def trajectory(
    system: System,
    *,
    n_steps: int | None = None,
    t1: float | None = None,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    save: Every | Final | None = None,
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
        Step of a flow, time units; negative runs backwards. Maps take none.
    method
        `RK4()` by default; `Euler()`, `Heun()`, `Tsit5()`. Maps are iterated.
    save
        `All()` by default, `Every(k)` or `Final()`.
    t0
        Time of the start; an integer for maps.

    Returns
    -------
    Trajectory
        `t` (n,), `x` (n, dim), and `status`: NON_FINITE if any state on the way was not finite.

    Raises
    ------
    ValueError, TypeError
        If the steps do not fit each other; while tracing, never on the device.

    Notes
    -----
    Transforms: jit, vmap, grad (memory O(n_steps) in reverse mode), shard_map. Time is an integer step
    number inside the loop, so rounding does not accumulate in t.

    Examples
    --------
    >>> import jaxdyn
    >>> run = jaxdyn.trajectory(jaxdyn.models.fitzhugh_nagumo(), t1=100.0, dt=0.1, save=jaxdyn.Every(100))
    >>> run.x.shape
    (11, 2)
    """
    n_steps, dt = resolve_steps(system, n_steps, t1, dt, t0)
    save = All() if save is None else save
    if not isinstance(save, Every | Final):
        raise TypeError(f"save must be All(), Every(k) or Final(), got {save!r}")
    if isinstance(save, Every) and n_steps % whole_number(save.k, f"k of save=Every({save.k})"):
        raise ValueError(
            f"save=Every({save.k}) must divide n_steps={n_steps}; use n_steps={next_multiple(n_steps, save.k)}"
        )
    return _trajectory(system, method_of(system, method), t0, dt, n_steps, save)


def final_state(
    system: System,
    *,
    n_steps: int | None = None,
    t1: float | None = None,
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


def march(
    step: Callable[[_C], _C], carry: _C, *, n_blocks: int, block: int, observe: Callable[[_C], Any]
) -> tuple[_C, Any]:
    """Advance by `n_blocks` blocks of `block` steps; stack what `observe` sees after each block."""

    def one_block(c: _C, _: None) -> tuple[_C, Any]:
        c = repeat(step, c, block)
        return c, observe(c)

    return lax.scan(one_block, carry, None, length=n_blocks)


def method_of(system: System, method: Method | None) -> Method:
    """Return the method asked for, or the default one of this kind of system."""
    if system.discrete:
        if method is not None and not isinstance(method, Iterate):
            raise TypeError(f"maps are iterated; got method={method!r}; leave method out")
        return Iterate()
    if method is not None and (isinstance(method, type) or not callable(getattr(method, "step", None))):
        raise TypeError(f"method must be a method such as jaxdyn.RK4() or jaxdyn.Tsit5(), got {method!r}")
    return RK4() if method is None else method


MOST_STEPS = 2**31 - 1  # an int32


def require_countable(n: int) -> None:
    """Refuse more steps in one run, its transient included, than are counted."""
    if n > MOST_STEPS:
        raise ValueError(
            f"{n} steps are too many: steps are counted in 32 bits, up to {MOST_STEPS} in a run with its transient; "
            "go on in a second run from the last state of the first"
        )


def resolve_steps(
    system: System, n_steps: int | None, t1: float | None, dt: ArrayLike | None, t0: ArrayLike = 0
) -> tuple[int, Array]:
    """Number of steps and step size as an array of the system's dtype, from what the caller gave."""
    if not isinstance(system, System):
        raise TypeError(f"expected a Flow or a Map, got {type(system).__name__}; call a model to get its system")
    if (n_steps is None) == (t1 is None):
        raise TypeError("give either n_steps or t1; in a sweep bind them: functools.partial(measure, n_steps=...)")
    if system.discrete:
        if dt is not None or t1 is not None:
            raise TypeError("a map advances by n_steps; dt and t1 are for flows")
        if jnp.result_type(t0).kind not in "iu":
            raise TypeError(f"the time of a map is a step number: t0 must be an integer, got {t0!r}")
        dt = 1
    elif dt is None:
        hint = f"; {system.about.name} is resolved by dt={system.about.dt:g}" if system.about.dt else ""
        raise TypeError(f"a flow needs its step: dt=...{hint}")
    if is_concrete(dt) and (np.ndim(dt) or not np.isfinite(dt) or float(dt) == 0.0):  # type: ignore[arg-type]
        raise ValueError(f"dt must be one finite number other than zero, got {dt!r}")
    n_steps = _steps_until(t1, t0, dt) if n_steps is None else whole_number(n_steps, "n_steps", least=0)
    require_countable(n_steps)
    return n_steps, jnp.asarray(dt, system.dtype)


def _steps_until(t1: Any, t0: Any, dt: Any) -> int:
    if not is_concrete(t1, t0, dt):
        raise TypeError("t1 and dt decide the number of steps and must be known while tracing; give n_steps instead")
    steps = (float(t1) - float(t0)) / float(dt)
    slack = 0.0 if steps < 0.5 else min(1e-5 * max(1.0, steps), 0.1)
    if not np.isfinite(steps) or steps < 0 or abs(steps - round(steps)) > slack:
        whole = max(1, round(abs(steps))) if np.isfinite(steps) else 1
        remedy = (float(t1) - float(t0)) / whole if np.isfinite(steps) else dt
        raise ValueError(f"t1={t1} is not a whole number of steps dt={dt} after t0={t0}; use dt={remedy:.9g}")
    return round(steps)


def next_multiple(n: int, k: int) -> int:
    """Smallest multiple of `k` that is not less than `n`."""
    return -(-n // k) * k


# Up to this length a sum over components is written out: one number less in registers for each component.
SHORT = 8


@record
class Walk:
    """Loop state: step number, state, the method's carry, and a sum that turns nan when a state is not finite."""

    i: Int[Array, ""]
    x: Array
    carry: Any
    taint: Array

    @property
    def status(self) -> Int[Array, ""]:
        """NON_FINITE if any state so far was not finite."""
        return jnp.where(jnp.all(jnp.isfinite(self.taint)), jnp.int8(Status.OK), jnp.int8(Status.NON_FINITE))


def walking(system: System, method: Method, t0: ArrayLike, dt: Array) -> tuple[Walk, Callable[[Walk], Walk]]:
    """Start of a run, and its step."""

    def step(walk: Walk) -> Walk:
        t = system.time(t0, dt, walk.i)
        rhs = system.during_step(t)
        carry = walk.carry if rhs is system else method.init(rhs, t, walk.x)
        new = method.step(rhs, t, walk.x, dt, carry)
        return Walk(walk.i + 1, new.x, new.carry, _tainted(walk.taint, new.x))

    i, x = jnp.int32(0), system.x0
    carry = method.init(system, system.time(t0, dt, i), x)
    return Walk(i, x, carry, _tainted(jnp.zeros_like(x[0]), x)), step


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


def _tainted(taint: Array, x: Array) -> Array:
    """A number, or one a component of a long state, that turns nan for good when a state is not finite."""
    return functools.reduce(jnp.add, list(0 * x), taint) if len(x) <= SHORT else taint + 0 * x
