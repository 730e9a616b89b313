"""What is shown of the results of a sweep: a figure and a few lines."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdyn._cli_measures import OPTIONS
from jaxdyn._cli_request import Request, named
from jaxdyn.errors import Status
from jaxdyn.system import System

__all__ = ["draw", "rehearse", "summary", "where"]

FIGURES = (".png", ".pdf", ".svg")


def rehearse(request: Request, system: System, over: Mapping[str, np.ndarray], results: Mapping[str, Any]) -> None:
    """Draw a data set of zeros: a figure that cannot be drawn is refused before hours of computing."""
    import xarray

    assert request.plot is not None
    if request.plot.suffix.lower() not in FIGURES:
        raise ValueError(f"--plot {request.plot}: a figure ends in {', '.join(FIGURES)}, got {request.plot.suffix!r}")
    if request.plot.is_dir():
        raise ValueError(f"--plot {request.plot} is a directory; give the name of a file in it")
    request.plot.parent.mkdir(parents=True, exist_ok=True)
    shape = tuple(map(len, over.values()))
    variables: dict[str, Any] = {}
    for name, (variable, value) in results.items():
        if not variable.is_coordinate:
            variables[name] = ((*over, *variable.axes(value.ndim)), _zeros((*shape, *value.shape), value.dtype))
    coords = {name: values for name, values in over.items() if values.ndim == 1}
    if any("state" in dims for dims, _ in variables.values()):
        coords["state"] = np.array(system.state_names)
    draw(xarray.Dataset(variables, coords), request, system, None)


def draw(dataset: Any, request: Request, system: System, path: Path | None) -> None:
    """Figure of a sweep, saved if there is a path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from jaxdyn import plot

    # A store lists its variables by the alphabet, so the first one is not the main one.
    main = {"lyapunov_spectrum": "exponents"}.get(request.measure, "x" if request.measure in OPTIONS else "")
    variable = request.variable or main or next(iter(dataset.data_vars))
    select = {name: _position(text) for name, text in named(request.select, "--select", "NAME=VALUE").items()}
    if request.measure in ("trajectory", "fixed_points") and variable == "x":
        select.setdefault("state", system.state_names[0])  # lines have room for one axis besides the swept one
    with plot.style(figure_figsize=(4.5, 3.2)):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        try:
            plot.sweep(dataset, variable, select=select, ax=figure.subplots())
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
    if not good.any() or request.keep is not None:
        return lines
    if request.measure == "lyapunov_spectrum":
        largest = np.where(good, dataset["exponents"][..., 0].values, np.nan)
        error = np.where(good, dataset["std_error"][..., 0].values, np.nan)
        ends = [f"{largest[i]:.5g} +- {error[i]:.1g} ({_place(dataset, i)})" for i in _extremes(largest)]
        lines.append(f"largest exponent: {ends[0]} to {ends[1]}")
    elif request.measure == "fixed_points":
        count = np.where(good, dataset["found"].values.sum(axis=-1), np.nan)
        lines.append(f"fixed points in a cell: {np.nanmin(count):.0f} to {np.nanmax(count):.0f}")
    elif request.measure == "trajectory":
        lines.append(f"states saved in a cell: {dataset.sizes['time']}")
    elif request.measure == "final_state":
        x = dataset["x"].values[good]
        parts = [
            f"{name} {x[..., i].min():.5g} to {x[..., i].max():.5g}" for i, name in enumerate(dataset["state"].values)
        ]
        lines.append(f"states: {', '.join(parts[:6])}{', ...' if len(parts) > 6 else ''}")
    else:
        lines += [f"{name}: {_span(dataset[name].values[good])}" for name in _numbers(dataset)[:6]]
    return lines


def _numbers(dataset: Any) -> list[str]:
    """Results that are one number in each cell; larger ones may not fit into memory."""
    dims = dataset["status"].dims
    return [name for name, array in dataset.data_vars.items() if array.dims == dims and name != "status"]


def _span(values: np.ndarray) -> str:
    return f"{values.min():.5g} to {values.max():.5g}"


def _position(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def where(request: Request) -> list[str]:
    """Lines that say where the results are."""
    lines = []
    if request.out is not None:
        lines.append(f"stored in {request.out}; open it with jaxdyn.open({str(request.out)!r})")
    if request.plot is not None:
        lines.append(f"drawn in {request.plot}")
    return lines or ["not kept; add --out PATH or --plot PATH"]


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
