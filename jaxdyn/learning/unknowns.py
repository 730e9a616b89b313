"""What a fit may change: parameters and starts of a system, within bounds, as numbers without bounds."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import record, static
from jaxdyn._types import Array
from jaxdyn.about import unknown_name
from jaxdyn.analysis.starts import even_points
from jaxdyn.system import System, require_system

__all__ = ["Unknowns", "n_numbers", "placed", "starts_of", "unknowns_of"]

MARGIN = 0.05
"""Part of the bounds, at each end, where no start is put: there the bijection is flat, and gradients are small."""


@record
class Unknowns:
    """Smooth bijections between values within bounds and coordinates z, one for each name.

    Between two bounds low + (high - low) sigmoid(z); above one bound low + unit softplus(z), below one high - unit
    softplus(z); without bounds center + unit z.
    """

    low: dict[str, Array]
    high: dict[str, Array]
    center: dict[str, Array]
    """The values that the system has."""
    unit: dict[str, Array]
    kinds: tuple[tuple[str, str], ...] = static()
    """Of each name "between", "above", "below" or "free"."""

    def values(self, z: Mapping[str, Array]) -> dict[str, Array]:
        """Values at these coordinates."""
        return {name: self._value(name, kind, z[name]) for name, kind in self.kinds}

    def _value(self, name: str, kind: str, z: Array) -> Array:
        low, high, unit = self.low[name], self.high[name], self.unit[name]
        if kind == "between":
            return low + (high - low) * jax.nn.sigmoid(z)
        if kind == "above":
            return low + unit * jax.nn.softplus(z)
        return high - unit * jax.nn.softplus(z) if kind == "below" else self.center[name] + unit * z

    def coordinates(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Coordinates of values that lie within the bounds."""
        return {name: self._coordinate(name, kind, values[name]) for name, kind in self.kinds}

    def _coordinate(self, name: str, kind: str, value: Array) -> Array:
        low, high, unit = self.low[name], self.high[name], self.unit[name]
        if kind == "between":
            return jnp.log(value - low) - jnp.log(high - value)
        if kind == "free":
            return (value - self.center[name]) / unit
        y = (value - low if kind == "above" else high - value) / unit
        return y + jnp.log(-jnp.expm1(-y))  # the inverse of softplus, also for large y


def placed(system: System, values: Mapping[str, Array]) -> System:
    """The system with these parameters and starts."""
    system = system.with_params(**{name: value for name, value in values.items() if name in system.params})
    if "x0" in values and _is_whole(system):
        system = system.with_state(values["x0"])
    names = [name for name in values if name in system.state_names and name not in system.params]
    return system.with_state(**{name: values[name] for name in names})


def _is_whole(system: System) -> bool:
    """Whether `x0` means the whole start, and no parameter or state of that name."""
    return "x0" not in system.params and "x0" not in system.state_names


def _present(system: System, name: str) -> Array:
    """Value that the system has."""
    if name in system.params:
        return system.params[name]
    return system.x0[system.state_names.index(name)] if name in system.state_names else system.x0


def unknowns_of(system: System, over: Mapping[str, Any]) -> Unknowns:
    """Check what is fitted, and its bounds."""
    require_system(system)
    if not isinstance(over, Mapping) or not over:
        raise TypeError(f"over must map names to bounds, such as {{'I': (0, 1), 'tau': None}}; got {over!r}")
    known = [*system.params, *system.state_names, "x0"]
    low, high, center, unit, kinds = {}, {}, {}, {}, []
    for name, bounds in over.items():
        if name not in known:
            raise TypeError(f"{system.about.name} has nothing to fit called {unknown_name(str(name), known)}")
        center[name] = value = _present(system, name)
        if value.dtype != system.dtype:
            raise TypeError(f"parameter {name!r} has dtype {value.dtype}, which no gradient reaches; leave it out")
        kind, low[name], high[name] = _bounds(name, bounds, value)
        kinds.append((name, kind))
        distance = {"above": value - low[name], "below": high[name] - value}.get(kind, jnp.sqrt(jnp.mean(value**2)))
        unit[name] = jnp.where(distance > 0, distance, 1)
    if "x0" in over and _is_whole(system) and (doubled := [name for name in system.state_names if name in over]):
        raise ValueError(f"x0 holds the state {doubled[0]!r}; give one of them")
    return Unknowns(low, high, center, unit, tuple(kinds))


def _bounds(name: str, bounds: Any, value: Array) -> tuple[str, Array, Array]:
    """Kind of the bijection, and both bounds in the shape of the value, infinite where there is none."""
    pair = (None, None) if bounds is None else bounds
    numbers = isinstance(pair, tuple | list | np.ndarray | jax.Array) and len(pair) == 2
    if not numbers or any(np.asarray(0 if end is None else end).dtype.kind not in "fiu" for end in pair):
        raise ValueError(f"bounds of {name!r} must be (low, high), either of them None, or None; got {bounds!r}")
    ends = []
    for end, none in zip(pair, (-np.inf, np.inf), strict=True):
        array = np.asarray(none if end is None else end, float)
        if array.shape not in ((), value.shape):
            raise ValueError(f"bounds of {name!r} must be numbers or of shape {value.shape}, got {array.shape}")
        if end is not None and not np.all(np.isfinite(array)):
            raise ValueError(f"bounds of {name!r} must be finite, got {bounds!r}; write None where there is none")
        ends.append(jnp.broadcast_to(jnp.asarray(array, value.dtype), value.shape))
    low, high = ends
    if not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError(f"bounds of {name!r} need low < high, got {bounds!r}")
    kind = {(True, True): "free", (True, False): "below", (False, True): "above", (False, False): "between"}
    return kind[pair[0] is None, pair[1] is None], low, high


def starts_of(unknowns: Unknowns, n_starts: int, given: Mapping[str, Any] | None) -> dict[str, Array]:
    """Values to start from, each with a first axis of starts: those given, or the system's own and even points."""
    names = [name for name, _ in unknowns.kinds]
    if given is not None:
        values = _given(unknowns, names, given)
        if n_starts not in (1, n := len(values[names[0]])):
            raise ValueError(f"n_starts={n_starts}, but starts has {n}; give one of them")
    else:
        values = _even(unknowns, n_starts)
    for name in names:
        outside = ~((values[name] > unknowns.low[name][None]) & (values[name] < unknowns.high[name][None]))
        if np.any(np.asarray(outside)):
            index = tuple(np.argwhere(np.asarray(outside))[0])
            bounds = float(unknowns.low[name][index[1:]]), float(unknowns.high[name][index[1:]])
            raise ValueError(
                f"{name!r} starts at {float(values[name][index]):g}, not between its bounds {bounds}; "
                "give other bounds, a system whose values lie between them, or starts={...}"
            )
    return values


def _given(unknowns: Unknowns, names: list[str], given: Mapping[str, Any]) -> dict[str, Array]:
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"starts must map names to arrays of values, such as {{'I': [0.2, 0.8]}}; got {given!r}")
    for name in given:
        if name not in names:
            raise TypeError(f"starts has a name that is not fitted: {unknown_name(str(name), names)}")
    values = {name: jnp.asarray(value, unknowns.center[name].dtype) for name, value in given.items()}
    n = max(1, *(len(value) if value.ndim else 1 for value in values.values()))
    for name in names:
        center = unknowns.center[name]
        values.setdefault(name, jnp.broadcast_to(center, (n, *center.shape)))
        if values[name].shape != (n, *center.shape):
            raise ValueError(f"starts of {name!r} must have shape {(n, *center.shape)}, got {values[name].shape}")
    return values


def _even(unknowns: Unknowns, n_starts: int) -> dict[str, Array]:
    bounded = [name for name, kind in unknowns.kinds if kind == "between"]
    if n_starts > 1 and not bounded:
        raise ValueError(f"n_starts={n_starts} starts need bounds (low, high) to lie in; or give starts={{...}}")
    sizes = [unknowns.center[name].size for name in bounded]
    even = even_points(n_starts - 1, sum(sizes)) if sizes else np.zeros((0, 0))
    parts = dict(zip(bounded, np.split(even, np.cumsum(sizes)[:-1], axis=1), strict=True)) if sizes else {}
    return {name: _spread(unknowns, name, parts.get(name), n_starts) for name, _ in unknowns.kinds}


def _spread(unknowns: Unknowns, name: str, part: np.ndarray | None, n_starts: int) -> Array:
    """The system's value, then even points between the bounds; the value again where there are none."""
    own = unknowns.center[name][None]
    if part is None:
        return jnp.broadcast_to(own, (n_starts, *own.shape[1:]))
    low, high = unknowns.low[name][None], unknowns.high[name][None]
    inner = MARGIN + (1 - 2 * MARGIN) * jnp.asarray(part, own.dtype).reshape(-1, *own.shape[1:])
    return jnp.concatenate([own, low + (high - low) * inner])


def n_numbers(unknowns: Unknowns) -> int:
    """How many numbers are fitted."""
    return functools.reduce(lambda total, value: total + value.size, unknowns.center.values(), 0)
