"""Linear systems with a constant input, x' = A x + B u and x[n+1] = A x[n] + B u.

Inputs that change in time come through `jaxdyn.driven`, which adds to the states: with values (steps, inputs),
`driven(linear_map(A=A), samples(values @ B.T))` is x[n+1] = A x[n] + B u[n].
"""

from typing import Any

import numpy as np

from jaxdyn._types import Array, matmul
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow, iterated_map

__all__ = ["line_attractor", "line_attractor_flow", "linear_flow", "linear_map"]


def _linear(t: Any, x: Array, p: dict[str, Array]) -> Array:
    return matmul(p["A"], x) + matmul(p["B"], p["u"])


def _sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    """Fill in B, u and start so that they fit the given A, and check that all fit."""
    params = {name: _floating(value) for name, value in made.params.items()}
    shape = np.shape(params["A"])
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise ValueError(f"A has shape {shape}; a linear system needs a square matrix, one row per state")
    n = int(shape[0])
    inputs = (n,) if params["u"] is None else np.shape(params["u"])
    if params["B"] is None:
        if inputs != (n,):
            raise ValueError(f"u has shape {inputs}, A has {n} rows; give B of shape ({n}, number of inputs) as well")
        params["B"] = np.eye(n).tolist()
    shape = np.shape(params["B"])
    if len(shape) != 2 or shape[0] != n:
        raise ValueError(f"B has shape {shape}, A has {n} rows; B must be ({n}, number of inputs)")
    if params["u"] is None:
        params["u"] = [0.0] * shape[1]
    if np.shape(params["u"]) != shape[1:]:
        raise ValueError(
            f"u has shape {np.shape(params['u'])}, B has {shape[1]} columns; u is one constant value per column; "
            "for values (steps, inputs) that change in time leave u out and use "
            "jaxdyn.driven(system, jaxdyn.samples(values @ B.T))"
        )
    if made.x0 is not None and np.shape(made.x0) != (n,):
        raise ValueError(f"x0 has shape {np.shape(made.x0)}, A has {n} rows; give one value per row")
    names = tuple(f"x{i + 1}" for i in range(n))
    start = made.default_x0 if n == len(made.default_x0) else [1.0] * n
    return made._replace(params=params, default_x0=start, state_names=names)


def _floating(value: Any) -> Any:
    """Arrays of whole numbers as floats: here they are matrices, not indices."""
    return value * 1.0 if getattr(getattr(value, "dtype", None), "kind", "f") in "iub" else value


_MAP = ("x[n+1] = A x[n] + B u",)
_FLOW = ("x' = A x + B u",)


def _params(matrix: tuple[tuple[float, float], tuple[float, float]]) -> tuple[Symbol, ...]:
    return (
        Symbol("A", "matrix, square; its size decides the number of states", default=matrix),
        Symbol("B", "input matrix, (states, inputs); the identity if not given"),
        Symbol("u", "constant input, (inputs,); zeros if not given"),
    )


def _states() -> tuple[Symbol, Symbol]:
    return (
        Symbol("x1", "first state", default=20.0, range=(-50.0, 50.0)),
        Symbol("x2", "second state", default=10.0, range=(-50.0, 50.0)),
    )


_DECAY = ((-0.5, 0.1), (0.1, -0.2))
_STROGATZ = "Strogatz, Nonlinear Dynamics and Chaos, chapter 5: linear systems"
_SEUNG = "Seung 1996, Proceedings of the National Academy of Sciences 93, 13339-13344, doi:10.1073/pnas.93.23.13339"

linear_map = model(
    iterated_map,
    _linear,
    About(
        name="linear_map",
        title="Linear map with input",
        equations=_MAP,
        states=_states(),
        params=_params(_DECAY),
        source=_STROGATZ,
        known=(
            "stable if and only if every eigenvalue of A has modulus below 1; fixed point (I - A)^-1 B u",
            "default A: eigenvalues -0.5302775638 and -0.1697224362, normal; x[20] = (4.80520257e-5, -1.45489827e-5)",
            "A = [[-.3, -.5], [.5, -.3]]: modulus 0.5830951895, rotation by 120.96 degrees a step",
        ),
        transient=100.0,
        duration=200.0,
    ),
    complete=_sized,
)

linear_flow = model(
    flow,
    _linear,
    About(
        name="linear_flow",
        title="Linear flow with input",
        equations=_FLOW,
        states=_states(),
        params=_params(_DECAY),
        source=_STROGATZ,
        known=(
            "stable if and only if every eigenvalue of A has a negative real part; fixed point -A^-1 B u",
            "default A: eigenvalues -0.1697224362 and -0.5302775638",
        ),
        dt=0.1,
        transient=100.0,
        duration=200.0,
    ),
    complete=_sized,
)

line_attractor = model(
    iterated_map,
    _linear,
    About(
        name="line_attractor",
        title="Line attractor, map",
        equations=_MAP,
        states=_states(),
        params=_params(((0.2, 0.0), (0.0, 1.0))),
        source=_SEUNG,
        known=(
            "an eigenvalue 1: every point of the line x1 = 0 is a fixed point, and x2 of the start is kept",
            "a constant input c along the line adds up: x2[n] = x2[0] + n c",
        ),
        transient=50.0,
        duration=200.0,
    ),
    complete=_sized,
)

line_attractor_flow = model(
    flow,
    _linear,
    About(
        name="line_attractor_flow",
        title="Line attractor, flow",
        equations=_FLOW,
        states=_states(),
        params=_params(((-0.8, 0.0), (0.0, 0.0))),
        source=_SEUNG,
        known=(
            "an eigenvalue 0: every point of the line x1 = 0 is a fixed point, and x2 of the start is kept",
            "a constant input c along the line adds up: x2(t) = x2(0) + c t",
        ),
        dt=0.1,
        transient=50.0,
        duration=200.0,
    ),
    complete=_sized,
)
