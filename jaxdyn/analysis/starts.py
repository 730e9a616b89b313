"""Where searches start: a box of the state space, and points that fill it evenly."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdyn.about import unknown_name
from jaxdyn.system import System

__all__ = ["even_points", "search_box"]


def search_box(system: System, box: Any) -> np.ndarray:
    """(dim, 2) bounds from what the caller gave and what the model knows."""
    symbols = {name: system.about.symbol(name) for name in system.state_names}
    known = {name: symbol.range for name, symbol in symbols.items() if symbol}
    if box is not None and not isinstance(box, Mapping):
        bounds = np.asarray(box, float)
        if bounds.shape != (system.dim, 2):
            raise ValueError(f"box must give (low, high) for each of {system.dim} states, got shape {bounds.shape}")
    else:
        for name in box or {}:
            if name not in system.state_names:
                raise TypeError(f"{system.about.name} has no state {unknown_name(name, list(system.state_names))}")
        intervals = [(box or {}).get(name, known.get(name)) for name in system.state_names]
        missing = [name for name, interval in zip(system.state_names, intervals, strict=True) if interval is None]
        if missing:
            known_for = f"no interval known for {', '.join(missing)}"
            raise ValueError(f"{known_for}; give box={{'{missing[0]}': (low, high), ...}}")
        bounds = np.asarray(intervals, float)
    if not np.all(np.isfinite(bounds)) or not np.all(bounds[:, 0] < bounds[:, 1]):
        raise ValueError(f"box needs finite low < high for each state, got {bounds.tolist()}")
    return bounds


def even_points(n: int, dim: int) -> np.ndarray:
    """Points of the unit cube with low discrepancy: an additive recurrence on powers of the generalized golden ratio.

    Roberts 2018, "The unreasonable effectiveness of quasirandom sequences".
    """
    golden = 2.0
    for _ in range(60):  # the root of g^(dim + 1) = g + 1
        golden = (1 + golden) ** (1 / (dim + 1))
    steps = golden ** -np.arange(1.0, dim + 1)
    return np.mod(0.5 + np.arange(n)[:, None] * steps, 1.0)
