"""Lyapunov spectra beside those of two other programs, made from the very same equations: lyapax and JiTCODE.

Runs start apart, so that their orbits and errors are their own. Estimates of one exponent then differ by the errors of
both, from batches, which hold for means of 32 of them with Student's t: 4 errors are exceeded in 0.04 % of all cases;
there are some twenty here. What is left of a frame's start is an e-folding or two over the whole time.
"""

import dataclasses
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import adapters
from validation_spectra import neurons

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]

N_BATCHES = 32
ERRORS = 4
LEFT = 2
"""E-foldings that the start of a frame leaves, of both programs together."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A flow with polynomial equations, its step, averaging time and time before; an interval of growth."""

    make: Any
    dt: float
    time: float
    before: float
    interval: float


def coupled_neurons() -> Any:
    """Two FitzHugh-Nagumo neurons in chaos, from the test scenarios of JiTCODE."""
    params = {"a": -0.025794, "b1": 0.0065, "b2": 0.0135, "c": 0.02, "k": 0.128}
    return jaxdyn.flow(neurons, params, [-0.00338158, -0.00223185, 0.01524253, -0.00613449])


CASES = {
    "lorenz": Case(models.lorenz63, 0.01, 800.0, 50.0, 0.25),
    "rossler": Case(models.rossler, 0.02, 1600.0, 300.0, 0.5),
    "neurons": Case(coupled_neurons, 0.25, 32_000.0, 4000.0, 10.0),
}


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Descending exponents with standard errors."""

    exponents: np.ndarray
    error: np.ndarray


def ours(system: Any, case: Case) -> Spectrum:
    """From a start of its own."""
    moved = system.with_state(np.asarray(system.x0) * 1.01 + 1e-3)
    counts: dict[str, Any] = {"n_steps": round(case.time / case.dt), "n_transient": round(case.before / case.dt)}
    found = jaxdyn.raise_if_failed(jaxdyn.lyapunov_spectrum(moved, dt=case.dt, **counts))
    return Spectrum(np.asarray(found.exponents), np.asarray(found.std_error))


def from_growth(rates: np.ndarray) -> Spectrum:
    """Mean of local exponents, (times, k), with its error from batches."""
    length = len(rates) // N_BATCHES
    batches = rates[-N_BATCHES * length :].reshape(N_BATCHES, length, -1).mean(axis=1)
    order = np.argsort(-rates.mean(axis=0))
    error = batches.std(axis=0, ddof=1) / np.sqrt(N_BATCHES)
    return Spectrum(rates.mean(axis=0)[order], error[order])


def apart(one: Spectrum, other: Spectrum, time: float) -> float:
    """Largest distance of two spectra over what is allowed."""
    allowed = ERRORS * np.hypot(one.error, other.error) + LEFT / time
    return float(np.max(np.abs(one.exponents - other.exponents) / allowed))


def by_lyapax(system: Any, case: Case) -> Spectrum:
    lyapax = importable("lyapax")
    problem = adapters.lyapax_problem(system, case.dt)
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        found = lyapax.lyapunov_spectrum(problem, n_steps=round(case.time / case.dt), t_transient=case.before)
    return from_history(found)


def from_history(found: Any) -> Spectrum:
    """Local exponents from lyapax's running means."""
    times = np.asarray(found.times)
    sums = np.asarray(found.history) * times[:, None]
    return from_growth(np.diff(sums, axis=0, prepend=0) / np.diff(times, prepend=0)[:, None])


def by_jitcode(system: Any, case: Case) -> Spectrum:
    jitcode = importable("jitcode")
    if shutil.which("cc") is None:
        pytest.skip("JiTCODE needs a C compiler")
    rates = adapters.symbolic_rates(system, [jitcode.y(i) for i in range(system.dim)])
    np.random.seed(0)  # the start of its frame
    counts = {"n_transient": round(case.before / case.interval), "n_intervals": round(case.time / case.interval)}
    with adapters.released(adapters.jitcode_integrator(rates, n_lyap=system.dim)) as integrator:
        with adapters.quiet():
            integrator.set_integrator("dopri5", rtol=1e-8, atol=1e-10)
        return from_growth(adapters.jitcode_growth(integrator, system.x0, interval=case.interval, **counts))


def importable(name: str) -> Any:
    """A module, whose import may warn; without it the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@pytest.mark.parametrize("program", [by_lyapax, by_jitcode])
@pytest.mark.parametrize("name", CASES)
def test_spectra_of_flows(name: str, program: Any) -> None:
    case = CASES[name]
    system = case.make()
    assert apart(ours(system, case), program(system, case), case.time) <= 1


@pytest.mark.parametrize("make", [models.henon, models.ikeda])
def test_spectra_of_maps(make: Any) -> None:
    lyapax = importable("lyapax")
    system, n_steps = make(), 64_000
    run = jaxdyn.lyapunov_spectrum(system.with_state(np.asarray(system.x0) + 0.01), n_steps=n_steps, n_transient=100)
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        step = adapters.lyapax_step(system)
        found = lyapax.lyapunov_spectrum(step, system.x0, 1.0, n_steps, t_transient=100.0)
    mine = Spectrum(np.asarray(run.exponents), np.asarray(run.std_error))
    assert apart(mine, from_history(found), n_steps) <= 1


@pytest.mark.parametrize("program", [by_lyapax, by_jitcode])
def test_another_parameter_is_seen(program: Any) -> None:
    """Exponents of the Lorenz system at rho = 35 are not those at 28."""
    case = CASES["lorenz"]
    assert apart(ours(models.lorenz63(), case), program(models.lorenz63(rho=35.0), case), case.time) > 1
