"""JiTCODE: one lane at a time in float64, equations compiled to C, adaptive Dormand-Prince steps of SciPy's driver."""

from typing import Any

import numpy as np
from adapters import jitcode_growth, jitcode_integrator, quiet
from contest import Program, Unavailable
from ensembles import Ensemble, Values, size

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
"""Errors of the size of float32's after a few hundred steps."""


def end_states(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """Last states (lanes, dim)."""
    integrator = _compiled(problem)
    span = (problem.dt or 1) * n_steps

    def one(value: float) -> Any:
        with quiet():
            integrator.set_parameters(value)
            integrator.set_initial_value(problem.x0.astype(float), 0.0)
            return integrator.integrate(span)

    return {"dopri5": lambda: np.stack([one(value) for value in _only(values)])}


def spectra(
    problem: Ensemble, values: Values, n_transient: int, n_steps: int, *, qr_every: int = 1
) -> dict[str, Program]:
    """Lyapunov exponents (lanes, dim), orthonormalized every `qr_every` dt; compiled once, with the swept parameter."""
    integrator = _compiled(problem, n_lyap=problem.system.dim)
    interval = (problem.dt or 1.0) * qr_every
    counts = {"n_transient": n_transient // qr_every, "n_intervals": n_steps // qr_every}

    def one(value: float) -> Any:
        with quiet():
            integrator.set_parameters(value)
        return jitcode_growth(integrator, problem.x0, interval=interval, **counts).mean(axis=0)

    return {"dopri5": lambda: np.stack([one(value) for value in _only(values)])}


def _compiled(problem: Ensemble, **options: Any) -> Any:
    try:
        import jitcode
        import symengine
    except ImportError:
        raise Unavailable("jitcode is not installed") from None
    if problem.dt is None:
        raise Unavailable("jitcode integrates flows, not maps")
    (name,) = problem.swept
    parameter = symengine.Symbol(name)
    rates = problem.components([jitcode.y(i) for i in range(problem.system.dim)], {name: parameter})
    try:
        integrator = jitcode_integrator(rates, parameters=[parameter], **options)
    except Exception as error:
        raise Unavailable(f"jitcode could not compile: {error}") from None
    with quiet():
        integrator.set_integrator("dopri5", **TOLERANCE)
    return integrator


def _only(values: Values) -> Any:
    (array,) = values.values()
    assert size(values) <= 64, "one lane at a time"
    return array.astype(float)
