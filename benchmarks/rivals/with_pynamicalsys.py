"""pynamicalsys: one lane at a time in float64, compiled by numba, RK4 with a QR decomposition every step."""

from typing import Any

import numpy as np
from contest import Program, Unavailable
from ensembles import Ensemble, Values


def spectra(problem: Ensemble, values: Values, n_transient: int, n_steps: int) -> dict[str, Program]:
    """Lyapunov exponents (lanes, dim) of its own Lorenz system, which is compiled once for all parameters.

    Lanes one after the other, or by processes of joblib, one a core.
    """
    try:
        import joblib
    except ImportError:
        raise Unavailable("pynamicalsys is not installed") from None
    dt = problem.dt or 1.0
    span = {"total_time": (n_transient + n_steps) * dt, "transient_time": n_transient * dt}
    start, jobs = problem.x0.astype(float), values["rho"].astype(float)
    _system(dt)

    def in_turn() -> Any:
        return np.stack([_one(dt, start, rho, span) for rho in jobs])

    def in_processes() -> Any:
        parts = np.array_split(jobs, min(joblib.cpu_count(), len(jobs)))
        done: Any = joblib.Parallel(n_jobs=-1)(joblib.delayed(_some)(dt, start, part, span) for part in parts)
        return np.concatenate(done)

    return {"one core": in_turn, "joblib": in_processes}


def _system(dt: float) -> Any:
    try:
        from pynamicalsys import ContinuousDynamicalSystem
    except ImportError:
        raise Unavailable("pynamicalsys is not installed") from None
    system = ContinuousDynamicalSystem(model="lorenz system")
    system.integrator("rk4", time_step=np.float64(dt))
    return system


def _one(dt: float, start: Any, rho: float, span: dict[str, float]) -> Any:
    return _system(dt).lyapunov(start, parameters=[10.0, float(rho), 8 / 3], **span)


def _some(dt: float, start: Any, jobs: Any, span: dict[str, float]) -> Any:
    return np.stack([_one(dt, start, rho, span) for rho in jobs])
