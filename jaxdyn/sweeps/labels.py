"""Labels: coordinates, units and provenance of a sweep's data set."""

import json
import sys
from typing import Any

import jax
import numpy as np

from jaxdyn._version import __version__
from jaxdyn.analysis.stability import Stability
from jaxdyn.errors import FailedCheck, Status
from jaxdyn.stochastic import SDE
from jaxdyn.sweeps.grid import Grid
from jaxdyn.sweeps.measure import describe_measure
from jaxdyn.sweeps.plan import Layout, Plan
from jaxdyn.system import System

__all__ = ["coordinates", "provenance", "swept", "variable_attributes"]

_CODES = {"status": Status, "stability": Stability}
_FLAGS = {"verdict": FailedCheck}  # sums of several


def coordinates(plan: Plan) -> dict[str, tuple[tuple[str, ...], np.ndarray[Any, Any], dict[str, Any]]]:
    """All coordinates: name -> (dims, values, attributes)."""
    found = swept(plan.system, plan.grid)
    for name, (dims, values) in plan.coordinates.items():
        found[name] = (dims, values, {"units": _time_unit(plan.system), "long_name": name})
    sizes = {d: n for layout in plan.layouts for d, n in zip(layout.dims, layout.shape, strict=True)}
    for dim, size in sizes.items():
        if dim.split("_")[-1] == "state" and size == plan.system.dim:
            found[dim] = ((dim,), np.array(plan.system.state_names, dtype=object), {"long_name": "state"})
    return found


def swept(system: System, grid: Grid) -> dict[str, Any]:
    """Coordinates of what is swept: name -> (dims, values, attributes)."""
    found: dict[str, Any] = {}
    for axis in grid.axes:
        for target, values in axis.values.items():
            symbol = system.about.symbol(target)
            start = "start of " if target not in system.params else ""
            attrs = {
                "units": symbol.unit if symbol else "1",
                "long_name": f"{start}{symbol.meaning if symbol else target}",
                "symbol": target,
            }
            if values.ndim == 1:
                found[target] = ((axis.dim,), values, attrs)
            else:  # a vector or matrix has no single value to label its cell with
                inner = tuple(f"{target}_axis{i}" for i in range(values.ndim - 1))
                found[f"{target}_value"] = ((axis.dim, *inner), values, attrs)
    return found


def variable_attributes(layout: Layout, system: System) -> dict[str, Any]:
    """CF-style attributes of a variable, as its field says: name in words, unit; the meaning of codes."""
    attrs: dict[str, Any] = {"long_name": layout.words} if layout.words else {}
    if unit := _unit(layout.unit, system):
        attrs["units"] = unit
    kind = layout.name.split("_")[-1]
    if kind in _CODES and layout.dtype == np.int8:
        attrs.setdefault("long_name", kind)
        attrs["flag_values"] = [int(code) for code in _CODES[kind]]
        attrs["flag_meanings"] = " ".join(code.name.lower() for code in _CODES[kind])
    if kind in _FLAGS and layout.dtype == np.int8:
        attrs["flag_masks"] = [int(flag) for flag in _FLAGS[kind]]
        attrs["flag_meanings"] = " ".join(str(flag.name).lower() for flag in _FLAGS[kind])
    return attrs


def _time_unit(system: System) -> str:
    """Unit of time; of a map that says nothing else its steps."""
    unit = system.about.time_unit
    return "step" if system.discrete and unit == "1" else unit


def _unit(unit: str, system: System) -> str:
    """Unit of a quantity of one system, from what `labelled` says of it."""
    time = _time_unit(system)
    if unit == "time":
        return time
    if unit == "rate" or (unit == "entry" and not system.discrete):
        return "1" if time == "1" else f"1/{time}"
    return "" if unit == "entry" else unit


def provenance(plan: Plan, measure: Any, seed: int) -> dict[str, Any]:
    """Where the numbers come from: system, parameters, measure, versions, device."""
    system = plan.system
    return {
        "title": f"sweep of {system.about.title or system.about.name} over {', '.join(plan.grid.dims)}",
        "system": system.about.name,
        "kind": "map" if system.discrete else "sde" if isinstance(system, SDE) else "flow",
        "equations": "; ".join(system.about.equations),
        "references": system.about.source,
        "parameters": json.dumps({name: _words(value) for name, value in system.params.items()}),
        "start": json.dumps(_words(system.x0)),
        "measure": describe_measure(measure),
        "seed": seed,
        "dtype": str(system.dtype),
        "device": jax.devices()[0].device_kind,
        "versions": json.dumps(
            {
                "jaxdyn": __version__,
                "jax": jax.__version__,
                "numpy": np.__version__,
                "python": sys.version.split()[0],
            }
        ),
    }


def _words(value: Any) -> Any:
    array = np.asarray(value)
    return array.tolist() if array.size <= 16 else f"{array.dtype} array {array.shape}"
