"""What a sweep figure draws: one variable of a data set, cut to the dimensions of the figure."""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdyn.about import unknown_name
from jaxdyn.analysis.stability import Stability, stability_label
from jaxdyn.errors import Status
from jaxdyn.plot._parts import status_name, symbol, with_unit

_COMPANIONS = ("status", "std_error", "found")
_WORDS = {
    "exponents": "Lyapunov exponent",
    "std_error": "standard error",
    "kaplan_yorke_dimension": "Kaplan-Yorke dimension",
    "t": "time",
}
_RECORD_DIMS = ("exponent", "state", "point", "time", "sample", "block", "mode", "eigenvalue", "parameter", "direction")


@dataclasses.dataclass(frozen=True)
class Slice:
    """One variable, its companions, and which of its dimensions were swept."""

    name: str
    values: Any
    swept: tuple[str, ...]
    extra: tuple[str, ...]
    """Dimensions of the record, such as `exponent`, that are left."""
    status: Any = None
    error: Any = None
    found: Any = None
    stability: Any = None
    chosen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Components that were selected, in words."""

    @property
    def base(self) -> str:
        """Name of the variable without the prefix of its measure."""
        known = (*_WORDS, "stability", "outcome", "status", "growth_rate")
        return next((word for word in known if self.name == word or self.name.endswith(f"_{word}")), self.name)

    @property
    def label(self) -> str:
        """Words and unit of the variable."""
        words = self.values.attrs.get("long_name") or _WORDS.get(self.base) or symbol(self.name)
        parts = dict(self.chosen)
        if self.name.split("_")[-1] == "x" and not parts.get("state", "state").startswith("state"):
            words = parts.pop("state")  # the state's own name says more than "x"
        for text in parts.values():
            words += f" {text}" if text.startswith("$") else f", {text}"
        return with_unit(words, self.values.attrs.get("units", "1"))

    @property
    def failed(self) -> Any:
        """Mask of the lanes that did not end well; None when it is unknown or is itself what is drawn."""
        return None if self.status is None or self.base == "status" else self.status != Status.OK


def variable_of(dataset: Any, variable: str | None) -> str:
    """Name of the variable to draw: the one asked for, or the first that is not a companion of another."""
    if not hasattr(dataset, "data_vars"):
        raise TypeError(f"expected the xarray.Dataset of a sweep, got {type(dataset).__name__}; pass dataset and name")
    names = [str(name) for name in dataset.data_vars]
    if variable is not None:
        if variable not in names:
            raise ValueError(f"the data set has no variable {unknown_name(variable, names)}")
        return variable
    drawable = [name for name in names if not name.endswith(_COMPANIONS) and name.split("_")[-1] != "t"]
    if drawable:  # exponents first: a store lists its variables by the alphabet
        return min(drawable, key=lambda name: not name.endswith("exponents"))
    raise ValueError(f"the data set has nothing to draw; its variables: {', '.join(names) or 'none'}")


def cut(dataset: Any, variable: str, select: Mapping[str, Any] | None) -> Slice:
    """Take the variable and its companions out of the data set and apply `select`."""
    prefix, status = _status_of(dataset, variable)
    names = {"values": variable, "status": status}
    names["error"] = next(
        (name for name in (f"{variable}_std_error", _paired_error(variable, prefix)) if name in dataset.data_vars), None
    )
    for companion in ("found", "stability"):
        names[companion] = prefix + companion if prefix + companion in dataset.data_vars else None
    swept = _swept(dataset, variable, status)
    if dataset[variable].dtype.kind not in "iufb":
        raise ValueError(
            f"{variable} has dtype {dataset[variable].dtype}, which no axis can show; "
            f"draw a part of it: dataset.assign(part=dataset[{variable!r}].real), variable 'part'"
        )
    part = dataset[[name for name in names.values() if name]]
    chosen: dict[str, str] = {}
    for key, value in (select or {}).items():
        dim, index = position(part, variable, key, value)
        if dim not in swept and _has_choice(part, dim):
            chosen[dim] = component_label(part, dim, index)
        part = part.isel({dim: index})
    parts = {role: part[name] for role, name in names.items() if name}
    left = [str(dim) for dim in parts["values"].dims]
    return Slice(
        name=variable,
        swept=tuple(dim for dim in left if dim in swept),
        extra=tuple(dim for dim in left if dim not in swept),
        chosen=chosen,
        **parts,
    )


def first_component(piece: Slice) -> Slice:
    """Drop the record's dimensions by taking the first entry of each."""
    parts = {role: getattr(piece, role) for role in ("values", "status", "error", "found", "stability")}
    chosen = dict(piece.chosen)
    for dim in piece.extra:
        if _has_choice(piece.values, dim):
            chosen[dim] = component_label(piece.values, dim, 0)
        for role, data in parts.items():
            if data is not None and dim in data.dims:
                parts[role] = data.isel({dim: 0})
    return dataclasses.replace(piece, extra=(), chosen=chosen, **parts)


def _has_choice(data: Any, dim: str) -> bool:
    """Whether an entry of a dimension needs a name: the only one needs none, unless it has one of its own."""
    return data.sizes[dim] > 1 or dim == "exponent" or dim in data.coords


def component_label(data: Any, dim: str, index: int) -> str:
    r"""One entry of a record's dimension in words: `$\lambda_1$`, the name of a state, `point 0`."""
    if dim == "exponent":
        return rf"$\lambda_{{{index + 1}}}$"
    if dim in data.coords and data.coords[dim].dtype.kind in "UOT":
        return symbol(str(data.coords[dim].values[index]))
    return f"{dim} {index}"


def position(data: Any, variable: str, key: str, value: Any) -> tuple[str, int]:
    """Dimension and position that an entry of `select` means."""
    dims = [str(dim) for dim in data[variable].dims]
    along = {str(name): str(c.dims[0]) for name, c in data.coords.items() if c.ndim == 1 and c.dims[0] in dims}
    if key not in dims and key not in along:
        raise ValueError(f"select: {variable} has no dimension {unknown_name(key, list({*dims, *along}))}")
    dim = key if key in dims else along[key]
    coordinate = data.coords[key].values if key in data.coords else None
    if np.ndim(value) or not isinstance(value, str | int | float | np.generic):
        raise ValueError(f"select: {key!r} takes one value, got {value!r}; cut ranges with dataset.sel(...) first")
    swept = coordinate is not None and dim not in _RECORD_DIMS
    if isinstance(value, str) or swept:
        return dim, _by_value(key, value, coordinate)
    size = data.sizes[dim]
    if isinstance(value, bool) or int(value) != value or not -size <= value < size:
        raise ValueError(f"select: {key!r} takes a position from 0 to {size - 1}, got {value!r}")
    return dim, int(value) % size


def _by_value(key: str, value: Any, coordinate: np.ndarray | None) -> int:
    if coordinate is None:
        raise ValueError(f"select: {key!r} has no names; give a position instead of {value!r}")
    if coordinate.dtype.kind in "UOT":
        names = [str(name) for name in coordinate]
        if str(value) not in names:
            raise ValueError(f"select: {key!r} has no entry {unknown_name(str(value), names)}")
        return names.index(str(value))
    if isinstance(value, str):
        raise ValueError(f"select: {key!r} holds numbers; got {value!r}")
    distance = np.abs(coordinate.astype(float) - float(value))
    index = int(np.argmin(distance))
    spread = float(np.max(np.abs(coordinate))) or 1.0
    if distance[index] > 1e-6 * spread:  # a few roundings of float32
        raise ValueError(f"select: {key}={value!r} was not swept; the closest value is {coordinate[index]:.9g}")
    return index


def _status_of(dataset: Any, variable: str) -> tuple[str, str | None]:
    """Prefix of the variable's measure and the name of its status."""
    names = sorted((str(name) for name in dataset.data_vars if str(name).endswith("status")), key=len, reverse=True)
    for name in names:
        prefix = name.removesuffix("status")
        if variable.startswith(prefix):
            return prefix, name
    return "", None


def _paired_error(variable: str, prefix: str) -> str:
    return f"{prefix}std_error" if variable == f"{prefix}exponents" else ""


def _swept(dataset: Any, variable: str, status: str | None) -> tuple[Hashable, ...]:
    """Dimensions of the sweep: those of the status, which has one entry a lane; its directions are compared in one."""
    if status is not None:
        return tuple(dim for dim in dataset[status].dims if dim not in _RECORD_DIMS)
    return tuple(dim for dim in dataset[variable].dims if dim not in _RECORD_DIMS)


def classes_of(piece: Slice) -> dict[int, str] | None:
    """Names of the codes of an integer class variable; None for numbers."""
    attrs, dtype = piece.values.attrs, piece.values.dtype
    if "flag_values" in attrs and "flag_meanings" in attrs:
        codes = [int(code) for code in np.atleast_1d(attrs["flag_values"])]
        meanings = attrs["flag_meanings"]
        words = meanings.split() if isinstance(meanings, str) else list(meanings)
        return {code: str(word).lower().replace("_", " ") for code, word in zip(codes, words, strict=True)}
    if dtype.kind == "b":
        return {0: "no", 1: "yes"}
    if piece.base == "status":
        return {int(code): status_name(code) for code in Status}
    if piece.base == "stability" and dtype.kind in "iu":
        return {int(code): str(stability_label(code)) for code in Stability}
    return None


def horizontal(piece: Slice, x: str | None) -> tuple[str, str | None]:
    """Dimension for the horizontal axis and the coordinate that was named for it."""
    if x is None or x in piece.swept:
        return x or piece.swept[0], None
    along = {str(n): str(c.dims[0]) for n, c in piece.values.coords.items() if c.ndim == 1 and c.dims[0] in piece.swept}
    if x not in along:
        raise ValueError(f"x: there is no swept {unknown_name(x, [*piece.swept, *along])}")
    return along[x], x


def remedy(dims: Sequence[str], data: Any) -> str:
    """Example of `select` that removes these dimensions."""
    examples = []
    for dim in dims:
        coordinate = data.coords[dim].values if dim in data.coords else None
        by_value = coordinate is not None and (dim not in _RECORD_DIMS or coordinate.dtype.kind in "UO")
        value: Any = coordinate[len(coordinate) // 2] if by_value and coordinate is not None else 0
        examples.append(f"{dim!r}: {value.item() if isinstance(value, np.generic) else value!r}")
    return f"select={{{', '.join(examples)}}}"
