"""What is computed in a cell: measures, and their results as named arrays."""

import dataclasses
import functools
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.about import unknown_name
from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Grid, place
from jaxdyn.system import System

__all__ = ["Cell", "Variable", "describe_measure", "first_cell", "kept"]


@dataclasses.dataclass(frozen=True)
class Variable:
    """One array that a measure returns: the result it belongs to, and what its own axes are called."""

    name: str
    owner: str = ""
    dims: tuple[str, ...] | None = None
    is_detail: bool = False
    is_coordinate: bool = False
    words: str = ""
    unit: str = ""

    def axes(self, ndim: int) -> tuple[str, ...]:
        """Names of the variable's own axes; a trajectory's final state lacks the leading `time`."""
        if self.dims is None or ndim > len(self.dims):
            return tuple(f"{self.name}_axis{i}" for i in range(ndim))
        return self.dims[len(self.dims) - ndim :]


class Cell:
    """Function of (system, swept values, cell number, seed) that gives named arrays, `status` among them.

    Tracing it fills `variables`, what is known about each array.
    """

    def __init__(self, measure: Any, keep: tuple[str, ...] | None = None) -> None:
        self.measures = dict(measure) if isinstance(measure, Mapping) else {"": measure}
        self.takes_key = {name: _takes_key(function) for name, function in self.measures.items()}
        self.keep = keep
        self.variables: dict[str, Variable] = {}

    def __call__(self, system: System, values: Mapping[str, Array], number: Array, seed: Array) -> dict[str, Array]:
        """Results of one cell."""
        # One key per cell, from the seed and the cell's number only: chunks and devices do not matter.
        key = jax.random.fold_in(jax.random.key(seed), number) if any(self.takes_key.values()) else None
        return self.drawn(system, values, key)

    def drawn(self, system: System, values: Mapping[str, Array], key: Array | None) -> dict[str, Array]:
        """Results of one cell, whose key is given if a measure takes one."""
        system = place(system, values)
        named: dict[str, Array] = {}
        for prefix, function in self.measures.items():
            own = {"key": key} if self.takes_key[prefix] else {}
            for variable, value in _flatten(function(system, **own), prefix):
                if variable.name in named:
                    raise ValueError(f"the measure gives two results called {variable.name!r}; rename one")
                self.variables[variable.name] = variable
                named[variable.name] = jnp.asarray(value)
        if not named:
            raise ValueError("the measure returned nothing; return a record, a dict of arrays or an array")
        status = _worst_status(named)
        return {name: value for name, value in named.items() if self.keep is None or name in self.keep} | {
            "status": status
        }


def first_cell(system: System, grid: Grid, seed: int) -> tuple[Any, ...]:
    """What a `Cell` of this grid takes."""
    values = {target: np.asarray(array[0]) for axis in grid.axes for target, array in axis.values.items()}
    return system, values, np.uint32(0), np.uint32(seed)


def kept(variables: Mapping[str, Variable], keep: Sequence[str] | None) -> list[str]:
    """Names of the variables that a sweep keeps: those asked for, or all but details; constants among them."""
    if keep is None:
        return [name for name, variable in variables.items() if not variable.is_detail]
    for name in keep:
        if name not in variables and name != "status":
            raise ValueError(f"the measure gives nothing called {unknown_name(name, list(variables))}")
    return [name for name in variables if name in keep]


def _flatten(result: Any, name: str) -> Iterator[tuple[Variable, Any]]:
    """Named arrays of a result; names in nested records and dicts are joined with underscores."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        for field in dataclasses.fields(result):
            value, meta = getattr(result, field.name), field.metadata
            if value is None or meta.get("static", False):
                continue
            full = _join(name, field.name)
            if "dims" in meta:
                kind = meta.get("detail", False), "coordinate" in meta
                yield Variable(full, name, meta["dims"], *kind, meta.get("words", ""), meta.get("unit", "")), value
            else:
                yield from _flatten(value, name if meta.get("inline") else full)
    elif isinstance(result, Mapping):
        for key, value in result.items():
            yield from _flatten(value, _join(name, str(key)))
    elif isinstance(result, tuple | list) or result is None:
        raise TypeError(f"a measure returns a record, a dict of arrays or an array, got {type(result).__name__}")
    else:
        yield Variable(name or "value"), result


def _worst_status(named: Mapping[str, Array]) -> Array:
    """The worst status among the records; without any, nan in a result counts as NON_FINITE."""
    own = named.get("status")
    if own is not None and (own.dtype != jnp.int8 or own.ndim):
        raise ValueError(
            f"a result called 'status' must be one int8 code of Status, got {own.dtype}{own.shape}; rename it"
        )
    codes = [v for name, v in named.items() if name.split("_")[-1] == "status" and v.dtype == jnp.int8 and not v.ndim]
    if codes:
        return functools.reduce(jnp.maximum, codes)
    bad = [jnp.any(jnp.isnan(v)) for v in named.values() if jnp.issubdtype(v.dtype, jnp.inexact)]
    failed = functools.reduce(jnp.logical_or, bad, jnp.array(False))
    return jnp.where(failed, int(Status.NON_FINITE), int(Status.OK)).astype(jnp.int8)


def describe_measure(measure: Any) -> str:
    """One line about a measure, for the provenance of a data set."""
    if isinstance(measure, Mapping):
        return json.dumps({name: describe_measure(function) for name, function in measure.items()})
    if isinstance(measure, functools.partial):
        words = [*map(repr, measure.args), *(f"{name}={value!r}" for name, value in measure.keywords.items())]
        return f"{describe_measure(measure.func)}({', '.join(words)})"
    name = getattr(measure, "__qualname__", type(measure).__name__)
    if "<" not in name:
        return f"{getattr(measure, '__module__', '')}.{name}"
    try:
        return " ".join(inspect.getsource(measure).split())
    except (OSError, TypeError):
        return name


def _takes_key(function: Any) -> bool:
    if not callable(function):
        raise TypeError(f"a measure is a function of one system, got {type(function).__name__}")
    if isinstance(function, functools.partial) and "key" in function.keywords:
        return False  # bound by the caller
    try:
        return "key" in inspect.signature(function).parameters
    except ValueError:
        return False


def _join(prefix: str, name: str) -> str:
    return f"{prefix}_{name}" if prefix else name
