"""What is typed for `jaxdyn sweep`, turned into a system, a grid, a measure, a figure and a summary."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdyn
from jaxdyn import models
from jaxdyn.errors import Status
from jaxdyn.sweeps.measure import Cell
from jaxdyn.system import System, unknown_name

__all__ = ["Request", "draw", "grid_of", "measure_of", "rehearse", "summary", "system_of"]

METHODS = {"rk4": jaxdyn.RK4, "tsit5": jaxdyn.Tsit5, "heun": jaxdyn.Heun, "euler": jaxdyn.Euler}
FIGURES = (".png", ".pdf", ".svg")
LEADING = 10
"""Exponents of a system of more than `MANY_STATES` states, unless asked otherwise: all of them take hours."""
MANY_STATES = 64

_TAKES = {
    "lyapunov_spectrum": ("dt", "steps", "transient", "method", "exponents"),
    "final_state": ("dt", "steps", "method"),
    "trajectory": ("dt", "steps", "method", "every"),
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
    words = _named(request.assignments, "--set", "NAME=VALUE")
    options = {name: _option(name, words.pop(name), default) for name, default in model.options.items() if name in words}
    if request.seed is not None and "seed" in model.options and options.setdefault("seed", request.seed) != request.seed:
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
    over = _named(request.over, "--over", form)
    if not over:
        raise ValueError(f"nothing to sweep; give --over {form}, such as --over {next(iter(system.params))}=0:1:64")
    fixed = _named(request.assignments, "--set", "NAME=VALUE")
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
    takes = _TAKES[request.measure]
    if "steps" not in takes:
        return function
    dt, about = _step(request, system), system.about
    arguments: dict[str, Any] = {"n_steps": request.steps or max(1, round(about.duration / abs(dt)))}
    if "transient" in takes:
        transient = round(about.transient / abs(dt)) if request.transient is None else request.transient
        leading = LEADING if system.dim > MANY_STATES else None
        arguments |= {"n_transient": transient, "n_exponents": request.exponents or leading}
    if "every" in takes:
        arguments["save"] = jaxdyn.Every(request.every or 1)
    if not system.discrete:
        arguments |= {"dt": dt, "method": METHODS[request.method or "rk4"]()}
    return functools.partial(function, **arguments)


def rehearse(request: Request, system: System, over: Mapping[str, np.ndarray], measure: Any) -> None:
    """Draw a data set of zeros: a figure that cannot be drawn is refused before hours of computing."""
    import xarray

    assert request.plot is not None
    if request.plot.suffix.lower() not in FIGURES:
        raise ValueError(f"--plot {request.plot}: a figure ends in {', '.join(FIGURES)}, got {request.plot.suffix!r}")
    if request.plot.is_dir():
        raise ValueError(f"--plot {request.plot} is a directory; give the name of a file in it")
    request.plot.parent.mkdir(parents=True, exist_ok=True)
    cell, shape = Cell(measure, None, 0), tuple(map(len, over.values()))
    shapes = jax.eval_shape(cell, system, {name: jnp.asarray(v[0], system.dtype) for name, v in over.items()}, 0)
    kept = {name: v for name, v in cell.variables.items() if not v.is_detail and not v.is_coordinate}
    variables = {
        name: ((*over, *variable.axes(shapes[name].ndim)), _zeros((*shape, *shapes[name].shape), shapes[name].dtype))
        for name, variable in kept.items()
    }
    coords = {name: values for name, values in over.items() if values.ndim == 1}
    if any("state" in dims for dims, _ in variables.values()):
        coords["state"] = np.array(system.state_names)
    draw(xarray.Dataset(variables, coords), request, system, None)


def draw(dataset: Any, request: Request, system: System, path: Path | None) -> None:
    """Figure of a sweep, saved if there is a path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from jaxdyn import plot

    form = "NAME=VALUE"
    select = {name: _position(text) for name, text in _named(request.select, "--select", form).items()}
    if request.measure in ("trajectory", "fixed_points") and request.variable in (None, "x"):
        select.setdefault("state", system.state_names[0])  # lines have room for one axis besides the swept one
    with plot.style(figure_figsize=(4.5, 3.2)):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        try:
            plot.sweep(dataset, request.variable, select=select, ax=figure.subplots())
        except ValueError as error:
            raise ValueError(f"--plot: {_as_options(str(error))}") from None
        if path is not None:
            figure.savefig(path)


def summary(dataset: Any, request: Request) -> list[str]:
    """Lines that say how the cells ended and what range the results have."""
    status = dataset["status"].values
    good = status == Status.OK
    failures = [f"{(status == code).sum()} {code.name.lower()}" for code in Status if code and (status == code).any()]
    lines = [f"failed cells: {', '.join(failures) if failures else 'none'}"]
    if not good.any():
        return lines
    if request.measure == "lyapunov_spectrum":
        largest = np.where(good, dataset["exponents"].values[..., 0], np.nan)
        error = np.where(good, dataset["std_error"].values[..., 0], np.nan)
        ends = [f"{largest[i]:.5g} +- {error[i]:.1g} ({_place(dataset, i)})" for i in _extremes(largest)]
        lines.append(f"largest exponent: {ends[0]} to {ends[1]}")
    elif request.measure == "fixed_points":
        count = np.where(good, dataset["found"].values.sum(axis=-1), np.nan)
        lines.append(f"fixed points in a cell: {np.nanmin(count):.0f} to {np.nanmax(count):.0f}")
    else:
        x = dataset["x"].values[good]
        parts = [f"{name} {x[..., i].min():.5g} to {x[..., i].max():.5g}" for i, name in enumerate(dataset["state"].values)]
        lines.append(f"states: {', '.join(parts[:6])}{', ...' if len(parts) > 6 else ''}")
    return lines


def _check_options(request: Request, system: System) -> None:
    for option in sorted({name for names in _TAKES.values() for name in names}):
        if getattr(request, option) is None:
            continue
        if option not in _TAKES[request.measure]:
            users = [measure for measure, names in _TAKES.items() if option in names]
            raise ValueError(f"--{option} means nothing to {request.measure} (it is for {', '.join(users)}); leave it out")
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
    return dt


def _named(words: Sequence[str], option: str, form: str) -> dict[str, str]:
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
        raise ValueError(f"{what}: COUNT must be a whole number of at least 2, got {parts[2]!r}; for one value write {name}=V")
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
    if values.size == 1 and like.ndim == 0 or like.ndim and values.size == like.size:
        return values.reshape(like.shape)
    raise ValueError(f"--set {name}={text}: {name} needs {like.size} numbers (shape {like.shape}), got {values.size}")


def _option(name: str, text: str, default: Any) -> Any:
    try:
        return type(default)(text)
    except ValueError:
        kind = "whole number" if isinstance(default, int) else type(default).__name__
        raise ValueError(f"--set {name}={text}: {name} is a {kind}, such as {default}") from None


def _position(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _as_options(message: str) -> str:
    """Message with `select={'b': 0.5}` written as it is typed, `--select b=0.5`."""

    def typed(found: re.Match[str]) -> str:
        pairs = re.findall(r"'(\w+)': '?([^',}]+)", found.group(1))
        return " ".join(f"--select {name}={value}" for name, value in pairs)

    return re.sub(r"select=\{(.*?)\}", typed, message)


def _extremes(values: np.ndarray) -> tuple[Any, Any]:
    return tuple(np.unravel_index(find(values), values.shape) for find in (np.nanargmin, np.nanargmax))  # type: ignore[return-value]


def _place(dataset: Any, index: tuple[Any, ...]) -> str:
    dims = dataset["status"].dims
    return ", ".join(f"{dim}={dataset[dim].values[i]:.5g}" for dim, i in zip(dims, index, strict=True))
