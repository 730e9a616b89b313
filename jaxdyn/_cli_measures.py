"""What is typed for `jaxdyn sweep`, turned into a system, a grid and a measure."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxdyn
from jaxdyn import models
from jaxdyn.about import unknown_name
from jaxdyn.system import System

__all__ = ["Request", "grid_of", "measure_of", "named", "system_of"]

METHODS = {"rk4": jaxdyn.RK4, "tsit5": jaxdyn.Tsit5, "heun": jaxdyn.Heun, "euler": jaxdyn.Euler}
LEADING = 10
"""Exponents of a system of more than `MANY_STATES` states, unless asked otherwise: all of them take hours."""
MANY_STATES = 64

_TAKES = {
    "lyapunov_spectrum": ("dt", "steps", "transient", "method", "exponents"),
    "final_state": ("dt", "steps", "method"),
    "trajectory": ("dt", "steps", "transient", "method", "every"),
    "fixed_points": (),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One sweep as it was typed."""

    system: str
    over: tuple[str, ...]
    assignments: tuple[str, ...] = ()
    measure: str = "lyapunov_spectrum"
    method: str | None = None
    dt: float | None = None
    steps: int | None = None
    transient: int | None = None
    exponents: int | None = None
    every: int | None = None
    seed: int | None = None
    memory: str = "1GB"
    chunk: int | None = None
    out: Path | None = None
    plot: Path | None = None
    variable: str | None = None
    select: tuple[str, ...] = ()
    quiet: bool = False


def system_of(request: Request) -> System:
    """System of this name with the parameters, options and starts that were set."""
    if request.system not in models.REGISTRY:
        raise ValueError(f"no system {unknown_name(request.system, list(models.REGISTRY))}")
    model = models.REGISTRY[request.system]
    words = named(request.assignments, "--set", "NAME=VALUE")
    options = {
        name: _option(name, words.pop(name), default) for name, default in model.options.items() if name in words
    }
    if (
        request.seed is not None
        and "seed" in model.options
        and options.setdefault("seed", request.seed) != request.seed
    ):
        raise ValueError(f"--seed {request.seed} and --set seed={options['seed']} differ; leave one of them out")
    plain = model(**options)
    known = [*plain.params, *model.options, *plain.state_names, "x0"]
    for name in words:
        if name not in known:
            raise ValueError(f"{request.system} has nothing to set called {unknown_name(name, known)}")
    params = {name: _numbers(name, text, plain.params[name]) for name, text in words.items() if name in plain.params}
    plain.with_params(**params)  # a wrong shape is told here, in words; the model may size itself by it
    system = model(**options, **params)
    for name, text in words.items():
        if name == "x0":
            system = system.with_state(_numbers(name, text, system.x0))
        elif name not in params:
            system = system.with_state(**{name: _number(text, f"--set {name}={text}")})
    return system


def grid_of(request: Request, system: System) -> dict[str, np.ndarray]:
    """Values by name of everything that is swept."""
    form = "NAME=START:STOP:COUNT"
    over = named(request.over, "--over", form)
    if not over:
        raise ValueError(f"nothing to sweep; give --over {form}, such as --over {next(iter(system.params))}=0:1:64")
    fixed = named(request.assignments, "--set", "NAME=VALUE")
    for name in over:
        if name in fixed:
            raise ValueError(f"{name} is both swept and set; leave out --over {name} or --set {name}")
        if name in models.REGISTRY[request.system].options:
            raise ValueError(f"{name} shapes {request.system} and cannot be swept; give it one value: --set {name}=...")
    return {name: _range(name, text) for name, text in over.items()}


def measure_of(request: Request, system: System) -> Callable[[System], Any]:
    """Function of one system, with the step and the lengths that were asked for or suit the model."""
    if request.measure not in _TAKES:
        raise ValueError(f"no measure {unknown_name(request.measure, list(_TAKES))}")
    _check_options(request, system)
    function = getattr(jaxdyn, request.measure)
    if "steps" not in _TAKES[request.measure]:
        return function
    dt, about = _step(request, system), system.about
    steps = request.steps or max(1, round(about.duration / abs(dt)))
    arguments: dict[str, Any] = {"n_steps": steps}
    if not system.discrete:
        arguments |= {"dt": dt, "method": METHODS[request.method or "rk4"]()}
    if request.measure == "trajectory":
        every = request.every or 1
        if steps % every:
            raise ValueError(f"--every {every} must divide --steps {steps}; use --steps {-(-steps // every) * every}")
        arguments["save"] = jaxdyn.Every(every)
        if request.transient:
            function, arguments["n_transient"] = _later_trajectory, request.transient
    if request.measure == "lyapunov_spectrum":
        transient = round(about.transient / abs(dt)) if request.transient is None else request.transient
        leading = LEADING if system.dim > MANY_STATES else None
        arguments |= {"n_transient": transient, "n_exponents": request.exponents or leading}
    return functools.partial(function, **arguments)


def _later_trajectory(system: System, *, n_transient: int, n_steps: int, save: jaxdyn.Every, **step: Any) -> Any:
    """Trajectory that begins where a transient ends, at the time when it ends."""
    start = jaxdyn.final_state(system, n_steps=n_transient, **step)
    run = jaxdyn.trajectory(system.with_state(start.x), n_steps=n_steps, save=save, t0=start.t, **step)
    return dataclasses.replace(run, status=jnp.maximum(start.status, run.status))


def _check_options(request: Request, system: System) -> None:
    for option in sorted({name for names in _TAKES.values() for name in names}):
        if getattr(request, option) is None:
            continue
        if option not in _TAKES[request.measure]:
            users = [measure for measure, names in _TAKES.items() if option in names]
            raise ValueError(
                f"--{option} means nothing to {request.measure} (it is for {', '.join(users)}); leave it out"
            )
        if system.discrete and option in ("dt", "method"):
            raise ValueError(f"{request.system} is a map, which is iterated; leave out --{option}")
    if request.method is not None and request.method not in METHODS:
        raise ValueError(f"no method {unknown_name(request.method, list(METHODS))}")


def _step(request: Request, system: System) -> float:
    dt = 1.0 if system.discrete else system.about.dt if request.dt is None else request.dt
    if dt is None:
        raise ValueError(f"{request.system} has no step of its own; give --dt")
    if not math.isfinite(dt) or dt == 0:
        raise ValueError(f"--dt must be a finite number other than zero, got {dt}")
    if dt < 0 and request.measure == "lyapunov_spectrum":
        raise ValueError(f"--dt must be positive, got {dt}; exponents are rates of forward time")
    return dt


def named(words: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Names and texts of NAME=TEXT words."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not (name and equals and text):
            raise ValueError(f"{option} needs {form}, got {word!r}")
        if name in found:
            raise ValueError(f"{option} {name} is given twice; leave one of them out")
        found[name] = text
    return found


def _range(name: str, text: str) -> np.ndarray:
    """Values of START:STOP:COUNT, log:START:STOP:COUNT or V1,V2,..."""
    what = f"--over {name}={text}"
    logarithmic = text.startswith("log:")
    parts = text.removeprefix("log:").split(":")
    if len(parts) == 1 and not logarithmic:
        return np.array([_number(part, what) for part in text.split(",")])
    if len(parts) != 3:
        raise ValueError(f"{what}: expected START:STOP:COUNT, log:START:STOP:COUNT or a list V1,V2,...")
    start, stop = _number(parts[0], what), _number(parts[1], what)
    if not parts[2].strip().isdecimal() or int(parts[2]) < 2:
        raise ValueError(
            f"{what}: COUNT must be a whole number of at least 2, got {parts[2]!r}; for one value write {name}=V"
        )
    if start == stop:
        raise ValueError(f"{what}: START and STOP are the same; for one value write {name}={parts[0]}")
    if logarithmic and start * stop <= 0:
        raise ValueError(f"{what}: a logarithmic range needs START and STOP of the same sign, neither zero")
    return (np.geomspace if logarithmic else np.linspace)(start, stop, int(parts[2]))


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{what}: {text!r} is not a finite number")
    return value


def _numbers(name: str, text: str, like: Any) -> np.ndarray:
    """Number or list for a parameter; the list of a matrix is read row by row."""
    values = np.array([_number(part, f"--set {name}={text}") for part in text.split(",")])
    if values.size == like.size:
        return values.reshape(like.shape)
    raise ValueError(f"--set {name}={text}: {name} needs {like.size} numbers (shape {like.shape}), got {values.size}")


def _option(name: str, text: str, default: Any) -> Any:
    try:
        return type(default)(text)
    except ValueError:
        kind = "whole number" if isinstance(default, int) else type(default).__name__
        raise ValueError(f"--set {name}={text}: {name} is a {kind}, such as {default}") from None
