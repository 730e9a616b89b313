"""What can be moved: one control per parameter and per state, with range and first value, checked once."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import is_concrete
from jaxdyn.about import unknown_name
from jaxdyn.plot._parts import symbol
from jaxdyn.system import System

__all__ = ["Control", "Side", "default_range", "parameter_controls", "start_controls"]

Side: TypeAlias = str | int | tuple[str | int, float, float] | None


@dataclasses.dataclass(frozen=True)
class Control:
    """One slider: what it moves, its label, its range, and where it stands at first."""

    name: str
    label: str
    low: float
    high: float
    value: float


def parameter_controls(system: System, params: Mapping[str, Any] | Sequence[str] | None) -> list[Control]:
    """Controls of the parameters asked for; None for all that are one number."""
    scalars = [name for name, value in system.params.items() if _is_number(value)]
    if isinstance(params, str):
        params = [params]
    asked = dict.fromkeys(scalars) if params is None else _ranges(params)
    controls = []
    for name, given in asked.items():
        if name not in system.params:
            raise ValueError(f"params: {system.about.name} has no parameter {unknown_name(name, list(system.params))}")
        if name not in scalars:
            value = system.params[name]
            raise ValueError(
                f"params: {name!r} is {value.dtype}{list(value.shape)}, and a slider moves one real number; "
                f"choose among {', '.join(scalars) or 'none'}, or write the system with its entries as parameters"
            )
        value = float(system.params[name])
        low, high = default_range(value) if given is None else _interval(given, f"params: {name!r}")
        _inside(value, low, high, f"params: {name!r}", f"with_params({name}=...)")
        controls.append(Control(name, symbol(name), low, high, value))
    return controls


def start_controls(
    system: System, start: Mapping[str, Any] | Sequence[str] | None, sides: Sequence[tuple[int, float, float]]
) -> list[Control]:
    """Controls of the start; None for the states on the axes, whose ranges are the default of any state's."""
    shown = {system.state_names[i]: (low, high) for i, low, high in sides}
    if isinstance(start, str):
        start = [start]
    controls = []
    for name, given in (dict.fromkeys(shown) if start is None else _ranges(start)).items():
        if name not in system.state_names:
            raise ValueError(f"start: {system.about.name} has no state {unknown_name(name, system.state_names)}")
        value = float(system.x0[system.state_names.index(name)])
        if given is not None:
            low, high = _interval(given, f"start: {name!r}")
            _inside(value, low, high, f"start: {name!r}", f"with_state({name}=...)")
        else:
            low, high = shown.get(name) or _known_range(system, name) or default_range(value)
            low, high = min(low, value), max(high, value)  # a start outside the window is no mistake
        controls.append(Control(name, f"{symbol(name)}(0)", low, high, value))
    return controls


def default_range(value: float) -> tuple[float, float]:
    """Range of a slider that was not told: from 0 to twice the value, on its side of 0; from -1 to 1 about 0.

    Examples
    --------
    >>> from jaxdyn.interactive.controls import default_range
    >>> default_range(0.4), default_range(-2.0), default_range(0.0)
    ((0.0, 0.8), (-4.0, 0.0), (-1.0, 1.0))
    """
    return (min(0.0, 2 * value), max(0.0, 2 * value)) if value else (-1.0, 1.0)


def _ranges(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)


def _is_number(value: Any) -> bool:
    if not is_concrete(value):
        raise TypeError("explore draws, so it cannot run inside jit, vmap or grad; call it with concrete values")
    return jnp.ndim(value) == 0 and bool(jnp.issubdtype(jnp.result_type(value), jnp.floating))


def _interval(given: Any, what: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError):
        raise ValueError(f"{what} needs a range (low, high), got {given!r}") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"{what} needs a finite range (low, high) with low < high, got ({low:g}, {high:g})")
    return low, high


def _inside(value: float, low: float, high: float, what: str, remedy: str) -> None:
    if not low <= value <= high:
        raise ValueError(
            f"{what} is {value:g}, outside its range ({low:g}, {high:g}); widen the range, or pass system.{remedy}"
        )


def _known_range(system: System, name: str) -> tuple[float, float] | None:
    known = system.about.symbol(name)
    return None if known is None or known.range is None else (float(known.range[0]), float(known.range[1]))
