"""What a run is asked for, checked: its method, and its steps or its times."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import given_dtype
from jaxdyn._types import Array, ArrayLike, is_concrete, whole_number
from jaxdyn.methods import RK4, Iterate, Method
from jaxdyn.methods.diffrax_solvers import adopted
from jaxdyn.methods.stochastic import default_method
from jaxdyn.stochastic import SDE
from jaxdyn.system import System, require_system

__all__ = [
    "free_method",
    "interval",
    "is_adaptive",
    "method_of",
    "next_multiple",
    "require_countable",
    "require_positive",
    "resolve_steps",
    "times_of",
]


def method_of(system: System, method: Method | None) -> Method:
    """Return the method asked for, or the default one of this kind of system."""
    if system.discrete:
        if method is not None and not isinstance(method, Iterate):
            raise TypeError(f"maps are iterated; got method={method!r}; leave method out")
        return Iterate()
    method = adopted(method)
    if method is None:
        return default_method(system) if isinstance(system, SDE) else RK4()
    if isinstance(method, type) or not callable(getattr(method, "step", None)):
        raise TypeError(f"method must be a method such as jaxdyn.RK4() or jaxdyn.Tsit5(), got {method!r}")
    is_stochastic = isinstance(system, SDE)
    if is_stochastic != getattr(method, "stochastic", False):
        name, given = system.about.name, type(method).__name__
        raise TypeError(
            f"{name} is stochastic, which {given} is not for; give EulerMaruyama(), methods.Milstein() or "
            "methods.StochasticHeun(), or run its drift alone, system.without_noise()"
            if is_stochastic
            else f"{given} is for stochastic systems, and {name} has no noise; give RK4(), or make it with jaxdyn.sde"
        )
    return method


def is_adaptive(method: Any) -> bool:
    """Whether a method chooses its steps."""
    return bool(getattr(adopted(method), "adaptive", False))


def free_method(system: System, method: Method | None) -> Method:
    """The method of a run whose stops are not a whole number of equal steps."""
    chosen = method_of(system, method)
    if system.discrete:
        raise TypeError("a map is saved after whole numbers of steps: give n_steps and save=Every(k)")
    if not is_adaptive(chosen):
        raise TypeError(f"{chosen!r} takes equal steps and saves at them; use a method such as Tsit5(rtol=1e-6)")
    if jax.tree.structure(system.during_step(system.time(0, 0, 0))) != jax.tree.structure(system):
        raise TypeError("the input is held from sample to sample: give dt, the time between samples, and save=Every(k)")
    return chosen


def times_of(given: Any, t0: ArrayLike, dtype: Any) -> tuple[Array, Array]:
    """Times at which to save, and how long each comes after the one before, in numbers before they are rounded."""
    if given_dtype(given).kind not in "fiu":
        raise TypeError(f"times of At must be numbers, got {given!r}")
    times = jnp.asarray(given, dtype)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times of At must have shape (n,) with n >= 1, got {times.shape}")
    if not is_concrete(given, t0):
        return times, jnp.diff(times, prepend=jnp.asarray(t0, dtype))
    numbers = np.asarray(given, float)
    gaps = np.diff(numbers, prepend=float(t0))  # type: ignore[arg-type]
    if not np.all(np.isfinite(gaps)) or not (np.all(gaps >= 0) or np.all(gaps <= 0)):
        raise ValueError(f"times of At must go on from t0={t0} in one direction, got {numbers}")
    return times, jnp.asarray(gaps, dtype)


def interval(t0: Any, t1: Any, dtype: Any) -> ArrayLike:
    """Time from t0 to t1. Of numbers the difference is taken before they are rounded to the dtype of a system."""
    for name, value in (("t0", t0), ("t1", t1)):
        is_number = np.ndim(value) == 0 and given_dtype(value).kind in "fiu"
        if not is_number or (is_concrete(value) and not np.isfinite(value)):
            raise ValueError(f"{name} must be one finite number, got {value!r}")
    if is_concrete(t0, t1):
        return float(t1) - float(t0)
    return jnp.asarray(t1, dtype) - jnp.asarray(t0, dtype)


MOST_STEPS = 2**31 - 1  # an int32


def require_countable(n: int) -> None:
    """Refuse more steps in one run, its transient included, than are counted."""
    if n > MOST_STEPS:
        raise ValueError(
            f"{n} steps are too many: steps are counted in 32 bits, up to {MOST_STEPS} in a run with its transient; "
            "go on in a second run from the last state of the first"
        )


def require_positive(dt: Any, why: str) -> None:
    """Refuse a step backwards in time, as far as it is known."""
    if dt is not None and is_concrete(dt) and np.any(np.asarray(dt) < 0):
        raise ValueError(f"dt must be positive, got {dt}; {why}")


def resolve_steps(
    system: System, n_steps: int | None, t1: ArrayLike | None, dt: ArrayLike | None, t0: ArrayLike = 0
) -> tuple[int, Array]:
    """Number of steps and step size as an array of the system's dtype, from what the caller gave."""
    require_system(system)
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
    if isinstance(system, SDE) and is_concrete(dt) and float(dt) < 0:  # type: ignore[arg-type]
        raise ValueError(f"the step of a stochastic system must be positive, got dt={dt!r}; noise has no way back")
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
