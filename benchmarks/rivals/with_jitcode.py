"""JiTCODE: one lane at a time in float64, equations compiled to C, adaptive Dormand-Prince steps of SciPy's driver."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from contest import Program, Unavailable
from ensembles import Ensemble, Values, size

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
"""Errors of the size of float32's after a few hundred steps."""


def end_states(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """Last states (lanes, dim)."""
    integrator = _compiled("jitcode", problem)
    span = (problem.dt or 1) * n_steps

    def one(value: float) -> Any:
        with _quiet():
            integrator.set_parameters(value)
            integrator.set_initial_value(problem.x0.astype(float), 0.0)
            return integrator.integrate(span)

    return {"dopri5": lambda: np.stack([one(value) for value in _only(values)])}


def spectra(problem: Ensemble, values: Values, n_transient: int, n_steps: int) -> dict[str, Program]:
    """Lyapunov exponents (lanes, dim), orthonormalized every dt."""
    integrator = _compiled("jitcode_lyap", problem, n_lyap=problem.system.dim)
    dt = problem.dt or 1.0

    def one(value: float) -> Any:
        with _quiet():
            integrator.set_parameters(value)
            integrator.set_initial_value(problem.x0.astype(float), 0.0)
            growth = [integrator.integrate((i + 1) * dt)[1] for i in range(n_transient + n_steps)]
        return np.mean(growth[n_transient:], axis=0)

    return {"dopri5": lambda: np.stack([one(value) for value in _only(values)])}


def _compiled(kind: str, problem: Ensemble, **options: Any) -> Any:
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
    with _quiet():
        integrator = getattr(jitcode, kind)(list(rates), control_pars=[parameter], verbose=False, **options)
        try:
            integrator.compile_C()
        except Exception as error:
            raise Unavailable(f"jitcode could not compile: {error}") from None
        integrator.set_integrator("dopri5", **TOLERANCE)
    return integrator


def _only(values: Values) -> Any:
    (array,) = values.values()
    assert size(values) <= 64, "one lane at a time"
    return array.astype(float)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
