"""Labels: coordinates, units and provenance of a sweep's data set."""

import json
import sys
from typing import Any

import jax
import numpy as np

from jaxdyn._version import __version__
from jaxdyn.analysis.stability import Stability
from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Grid
from jaxdyn.sweeps.measure import describe_measure
from jaxdyn.sweeps.plan import Layout, Plan
from jaxdyn.system import System

__all__ = ["coordinates", "provenance", "variable_attributes"]

_CODES = {"status": Status, "stability": Stability}

_LONG_NAMES = {
    "exponents": "Lyapunov exponent",
    "std_error": "standard error of the Lyapunov exponent",
    "kaplan_yorke_dimension": "Kaplan-Yorke dimension",
    "sum_check": "sum of exponents minus mean divergence",
    "running": "running Lyapunov exponent",
    "eigenvalues": "eigenvalue",
    "rates": "growth rate of the perturbation",
    "tangent_rates": "growth rate of the tangent vector",
    "local_rates": "local growth rate of the perturbation",
    "local_tangent_rates": "local growth rate of the tangent vector",
    "reactivity": "reactivity",
    "growth_rate": "growth rate in the end",
    "amplification": "amplification of the worst perturbation",
    "largest_amplification": "largest amplification",
    "henrici_departure": "departure from normality",
    "residual": "residual",
    "x": "state",
    "found": "fixed point found",
    "stability": "stability",
    "status": "status",
}

_RATES = (
    *("exponents", "std_error", "sum_check", "eigenvalues", "running", "reactivity", "growth_rate"),
    *("rates", "tangent_rates", "local_rates", "local_tangent_rates", "henrici_departure"),
)
_OF_THE_MATRIX = ("eigenvalues", "henrici_departure")  # those of a map's Jacobian have no unit
_WHOLE_NAMES = ("rates",)  # others end like these: `firing_rates` of a caller's measure has another meaning


def coordinates(plan: Plan) -> dict[str, tuple[tuple[str, ...], np.ndarray[Any, Any], dict[str, Any]]]:
    """All coordinates: name -> (dims, values, attributes)."""
    found = _swept(plan.system, plan.grid)
    for name, (dims, values) in plan.coordinates.items():
        unit = plan.system.about.time_unit
        found[name] = (dims, values, {"units": unit, "long_name": "time" if name == "time" else name})
    sizes = {d: n for layout in plan.layouts for d, n in zip(layout.dims, layout.shape, strict=True)}
    for dim, size in sizes.items():
        if dim.split("_")[-1] == "state" and size == plan.system.dim:
            found[dim] = ((dim,), np.array(plan.system.state_names, dtype=object), {"long_name": "state"})
    return found


def _swept(system: System, grid: Grid) -> dict[str, Any]:
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
    """CF-style attributes of a variable: name in words, unit, meaning of codes."""
    known = [name for name in _LONG_NAMES if _means(layout.name, name)]
    if not known:
        return {}
    kind = max(known, key=len)
    attrs: dict[str, Any] = {"long_name": _LONG_NAMES[kind]}
    if kind in _RATES and not (kind in _OF_THE_MATRIX and system.discrete):
        unit = "step" if system.discrete else system.about.time_unit
        attrs["units"] = "1" if unit == "1" else f"1/{unit}"
    if kind in _CODES:
        attrs["flag_values"] = [int(code) for code in _CODES[kind]]
        attrs["flag_meanings"] = " ".join(code.name.lower() for code in _CODES[kind])
    return attrs


def _means(name: str, known: str) -> bool:
    """Whether `name` is a known one, or that of a result inside a dict of measures."""
    return name == known or (name.endswith(f"_{known}") and known not in _WHOLE_NAMES)


def provenance(plan: Plan, measure: Any, seed: int) -> dict[str, Any]:
    """Where the numbers come from: system, parameters, measure, versions, device."""
    system = plan.system
    return {
        "title": f"sweep of {system.about.title or system.about.name} over {', '.join(plan.grid.dims)}",
        "system": system.about.name,
        "kind": "map" if system.discrete else "flow",
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
