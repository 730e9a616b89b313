"""How the kernels in numba are compiled; `numba` is None where it is not installed."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

numba: Any = importlib.import_module("numba") if importlib.util.find_spec("numba") else None
f32 = np.float32


def compiled(kernel: Callable[..., None]) -> Any:
    """A kernel with its own parallel loop, in fast arithmetic."""
    return numba.njit(parallel=True, fastmath=True, error_model="numpy")(kernel)


def inlined(function: Callable[..., Any]) -> Any:
    """A function that becomes part of its kernel."""
    return numba.njit(fastmath=True, error_model="numpy", inline="always")(function)
