"""A request, turned into a system, a grid and a measure."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdyn
from jaxdyn import models
from jaxdyn._cli_methods import method_asked
from jaxdyn._cli_modules import Maker, check_keywords, is_own, loaded
from jaxdyn._cli_request import SETTINGS, Range, Request
from jaxdyn.about import unknown_name
from jaxdyn.sweeps.grid import make_grid
from jaxdyn.sweeps.measure import Cell, Variable, first_cell, kept
from jaxdyn.system import System

__all__ = ["OPTIONS", "Request", "grid_of", "measure_of", "results_of", "system_of", "system_options", "tables_of"]

LEADING = 10
"""Exponents of a system of more than `MANY_STATES` states, unless asked otherwise: all of them take hours."""
MANY_STATES = 64

OPTIONS = {
    "lyapunov_spectrum": ("dt", "steps", "transient", "method", "rtol", "atol", "exponents"),
    "final_state": ("dt", "steps", "method", "rtol", "atol"),
    "trajectory": ("dt", "steps", "transient", "method", "rtol", "atol", "every"),
    "fixed_points": (),
}
"""What each measure may be told."""


def system_of(request: Request) -> System:
    """System of this name with the parameters, options and starts that were set."""
    make, options = _maker(request)
    chosen = _chosen(request, options)
    plain = make(chosen, {})
    tables = tables_of(request, plain, options)
    params = {}
    for name in tables["parameters"]:
        values = _numbers(request, "parameters", name, plain.params[name])
        try:
            plain.with_params(**{name: values})  # a wrong shape is told here, in words; the model may size itself by it
        except (TypeError, ValueError) as error:
            raise request.error(str(error), *_place(request, "parameters", name)) from None
        params[name] = values
    if request.seed is not None and isinstance(plain, jaxdyn.SDE):
        params.setdefault("seed", request.seed)
    system = make(chosen, params)
    start = tables["start"]
    whole = "x0" in start and ("x0" not in system.state_names or np.ndim(start["x0"]) > 0)
    if whole:
        system = system.with_state(_numbers(request, "start", "x0", system.x0))
    for name in start:
        if name != "x0" or not whole:
            system = system.with_state(**{name: _numbers(request, "start", name, system.x0[0])})
    return system


def system_options(request: Request) -> Mapping[str, Any]:
    """Sizes and seeds that shape the system, with their defaults."""
    return _maker(request)[1]


def tables_of(request: Request, system: System, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is set, by table and name; what was typed is told apart by what the system has."""
    known = {
        "parameters": list(system.params),
        "options": list(options),
        "start": [*system.state_names, "x0"],
    }
    found: dict[str, dict[str, Any]] = {table: {} for table in SETTINGS}
    for (table, name), value in request.assigned.items():
        home = next((home for home in SETTINGS if name in known[home] and table in ("", home)), None)
        if home is None:
            what = {"parameters": "parameter", "options": "option", "start": "state"}.get(table)
            allowed = known[table] if table else [name for names in known.values() for name in names]
            other = next((home for home in SETTINGS if table and name in known[home]), None)
            hint = f"; it belongs into [{other}]" if other else ""
            what = f"has no {what}" if what else "has nothing to set called"
            raise request.error(f"{request.system} {what} {unknown_name(name, allowed)}{hint}", table, name)
        found[home][name] = value
    return found


def grid_of(request: Request, system: System) -> dict[str, np.ndarray]:
    """Values by name of everything that is swept."""
    form = "NAME=START:STOP:COUNT"
    example = next(iter(system.params), "x0")
    if not request.swept:
        way = f"[over] with {example} = {{ start = 0, stop = 1, count = 64 }}"
        way = way if request.origin else f"--over {form}, such as --over {example}=0:1:64"
        raise request.error(f"nothing to sweep; give {way}", "over")
    fixed = {name: table for table, name in request.assigned}
    options = system_options(request)
    found = {}
    for name, given in request.swept.items():
        if name in fixed and (not request.origin or fixed[name] != "options"):
            leave = f"[over] {name} or [{fixed[name]}] {name}" if request.origin else f"--over {name} or --set {name}"
            raise request.error(f"{name} is both swept and set; leave out {leave}", "over", name)
        if name in options and name not in system.params:
            way = f"[options] {name} = ..." if request.origin else f"--set {name}=..."
            raise request.error(
                f"{name} shapes {request.system} and cannot be swept; give it one value: {way}", "over", name
            )
        found[name] = given.values() if isinstance(given, Range) else np.array(given)
        if name in system.params:
            found[name] = _whole(found[name], system.params[name])
        try:
            make_grid(system, {name: found[name]})
        except (TypeError, ValueError) as error:
            raise request.error(str(error), "over", name) from None
    return found


def measure_of(request: Request, system: System) -> Callable[[System], Any]:
    """Function of one system, with the step and the lengths that were asked for or suit the model."""
    if not is_own(request.measure) and request.measure not in OPTIONS:
        raise request.error(f"no measure {unknown_name(request.measure, list(OPTIONS))}", "measure")
    _check_options(request, system)
    if is_own(request.measure):
        return _own_measure(request)
    function = getattr(jaxdyn, request.measure)
    if "steps" not in OPTIONS[request.measure]:
        return function
    dt, about = _step(request, system), system.about
    steps = request.steps or max(1, round(about.duration / abs(dt)))
    arguments: dict[str, Any] = {"n_steps": steps}
    if not system.discrete:
        arguments |= {"dt": dt, "method": method_asked(request, system)}
    if request.measure == "trajectory":
        every = request.every or 1
        if steps % every:
            name, fitting = request.option("steps"), -(-steps // every) * every
            message = f"{request.option('every')} {every} must divide {name} {steps}; use {name} {fitting}"
            raise request.error(message, "measure_options", "every")
        arguments["save"] = jaxdyn.Every(every)
        if request.transient:
            function, arguments["n_transient"] = _later_trajectory, request.transient
    if request.measure == "lyapunov_spectrum":
        transient = round(about.transient / abs(dt)) if request.transient is None else request.transient
        leading = LEADING if system.dim > MANY_STATES else None
        arguments |= {"n_transient": transient, "n_exponents": request.exponents or leading}
    return functools.partial(function, **arguments)


def results_of(
    request: Request, system: System, over: Mapping[str, np.ndarray], measure: Any
) -> dict[str, tuple[Variable, Any]]:
    """What is kept of a cell, by name: words and shapes, from tracing the measure and computing nothing."""
    one = first_cell(system, make_grid(system, over), 0)
    try:
        cell = Cell(measure)
        shapes = jax.eval_shape(cell, *one)
    except Exception as error:
        if not is_own(request.measure) and not isinstance(error, TypeError | ValueError):
            raise
        kind = "" if isinstance(error, TypeError | ValueError) else f" ({type(error).__name__})"
        message = f"{request.measure} cannot be computed{kind}: {error}" if request.origin else str(error)
        raise request.error(message, "measure") from error
    for i, name in enumerate(request.keep or ()):
        try:
            kept(cell.variables, [name])
        except ValueError as error:
            raise request.error(str(error), "keep", i) from None
    return {name: (cell.variables[name], shapes[name]) for name in kept(cell.variables, request.keep)}


def _maker(request: Request) -> tuple[Callable[[Mapping[str, Any], Mapping[str, Any]], System], Mapping[str, Any]]:
    """How the system is made of options and parameters, and its options with their defaults."""
    if is_own(request.system):
        maker = Maker(request)
        return maker, maker.options
    if request.system not in models.REGISTRY:
        raise request.error(f"no system {unknown_name(request.system, list(models.REGISTRY))}", "system")
    model = models.REGISTRY[request.system]
    return (lambda options, params: model(**options, **params)), model.options


def _chosen(request: Request, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were set, and the seed."""
    given = {name: value for (table, name), value in request.assigned.items() if table in ("", "options")}
    own = is_own(request.system)
    for name in given:
        if own and request.origin and name not in options:  # a function that makes systems is not even called
            message = f"{request.system} has no option {unknown_name(name, list(options))}"
            raise request.error(message, "options", name)
    chosen = {
        name: given[name] if own else _option(request, name, given[name], default)
        for name, default in options.items()
        if name in given
    }
    if request.seed is not None and "seed" in options and chosen.setdefault("seed", request.seed) != request.seed:
        ways = ("seed", "[options] seed") if request.origin else ("--seed", "--set seed")
        message = f"{ways[0]} = {request.seed} and {ways[1]} = {chosen['seed']} differ; leave one of them out"
        raise request.error(message, *_place(request, "options", "seed"))
    return chosen


def _place(request: Request, table: str, name: str) -> tuple[str, str]:
    return (table if request.origin else "", name)


def _own_measure(request: Request) -> Any:
    function = loaded(request, "measure")
    if isinstance(function, Mapping):
        if request.measure_options:
            raise request.error(f"{request.measure} is several measures, which take no options", "measure_options")
        return function
    if not callable(function):
        raise request.error(f"{request.measure} is no function of one system, but {type(function).__name__}", "measure")
    check_keywords(request, function, request.measure_options)
    return functools.partial(function, **request.measure_options) if request.measure_options else function


def _later_trajectory(system: System, *, n_transient: int, n_steps: int, save: jaxdyn.Every, **step: Any) -> Any:
    """Trajectory that begins where a transient ends, at the time when it ends."""
    start = jaxdyn.final_state(system, n_steps=n_transient, **step)
    run = jaxdyn.trajectory(system.with_state(start.x), n_steps=n_steps, save=save, t0=start.t, **step)
    return dataclasses.replace(run, status=jnp.maximum(start.status, run.status))


def _check_options(request: Request, system: System) -> None:
    for option in sorted({name for names in OPTIONS.values() for name in names}):
        if getattr(request, option) is None:
            continue
        name, place = request.option(option), ("measure_options", option)
        if option not in OPTIONS.get(request.measure, ()):
            users = [measure for measure, names in OPTIONS.items() if option in names]
            message = f"{name} means nothing to {request.measure} (it is for {', '.join(users)}); leave it out"
            raise request.error(message, *place)
        if system.discrete and option in ("dt", "method", "rtol", "atol"):
            raise request.error(f"{request.system} is a map, which is iterated; leave out {name}", *place)
    if request.exponents is not None and request.exponents > system.dim:
        message = f"{request.option('exponents')} must be between 1 and the dimension {system.dim}"
        raise request.error(f"{message}, got {request.exponents}", "measure_options", "exponents")


def _step(request: Request, system: System) -> float:
    dt = 1.0 if system.discrete else system.about.dt if request.dt is None else request.dt
    name, place = request.option("dt"), ("measure_options", "dt")
    if dt is None:
        raise request.error(f"{request.system} has no step of its own; give {name}", *place)
    if not math.isfinite(dt) or dt == 0:
        raise request.error(f"{name} must be a finite number other than zero, got {dt}", *place)
    if dt < 0 and request.measure == "lyapunov_spectrum":
        raise request.error(f"{name} must be positive, got {dt}; exponents are rates of forward time", *place)
    return dt


def _numbers(request: Request, table: str, name: str, like: Any) -> np.ndarray:
    """Number or list for a parameter or start; a plain list for a matrix is read row by row."""
    path = _place(request, table, name)
    value = request.assigned[path]
    if isinstance(value, str):
        raise request.error(f"{value!r} is not a finite number", *path)
    values = _whole(np.array(value, np.float64), like)
    if values.shape != like.shape and (values.size != like.size or values.ndim > 1):
        got = f"got {values.size}" if values.size != like.size else f"got shape {values.shape}"
        raise request.error(f"{name} needs {like.size} numbers (shape {like.shape}), {got}", *path)
    return values.reshape(like.shape)


def _whole(values: np.ndarray, like: Any) -> np.ndarray:
    """Whole numbers as such where integers are expected; all else as it is."""
    if like.dtype.kind not in "iu" or values.dtype.kind != "f" or np.any(values != np.round(values)):
        return values
    return values.astype(np.int64)


def _option(request: Request, name: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kinds = {int: "whole number", float: "number", str: "text"}
        kind = kinds.get(type(default), type(default).__name__)
        raise request.error(f"{name} is a {kind}, such as {default}; got {value!r}", *_place(request, "options", name))
    return value
