"""Averages over many lanes, and the comparison of an average with a value of known error."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np

import jaxdyn
from jaxdyn.analysis.lyapunov import LyapunovSpectrum

N_LANES = 128


def load(name: str) -> Any:
    """Reference values with their errors and citations."""
    return json.loads((pathlib.Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Exponents averaged over independent lanes, and what is known about their errors."""

    exponents: np.ndarray
    error: np.ndarray
    """Standard error, from the spread over the lanes."""
    bias: float
    """What the finite step does: see `ensemble`."""
    lanes: LyapunovSpectrum


def scattered_starts(system: Any, *, n_lanes: int = N_LANES, seed: int = 0, every: int = 1, **step: Any) -> np.ndarray:
    """Starts on the attractor at times `every` steps apart, each nudged so that its orbit becomes its own.

    Lanes that started together would all end in the same phase of the motion, and their averages would share the
    error of the incomplete last turn.
    """
    n_skip = n_lanes // 4
    run = jaxdyn.trajectory(system, n_steps=every * (n_lanes + n_skip), save=jaxdyn.Every(every), **step)
    x = np.asarray(jaxdyn.raise_if_failed(run).x)[n_skip + 1 :]
    return x + 1e-3 * x.std(axis=0) * np.random.default_rng(seed).standard_normal(x.shape)


def ensemble(system: Any, starts: np.ndarray, **settings: Any) -> Ensemble:
    """Lyapunov spectra of one system from many starts.

    `bias` is the sum of the exponents less the mean divergence over the same orbits. Both are taken from the same
    states, so it has almost no statistical error; it is zero for exact tangent dynamics, and measures what the
    step of the integrator does to an exponent.
    """

    @jax.jit
    @jax.vmap
    def run(x0: Any) -> Any:
        return jaxdyn.lyapunov_spectrum(system.with_state(x0), **settings)

    lanes = jaxdyn.raise_if_failed(run(starts))
    values = np.asarray(lanes.exponents)
    bias = 0.0 if lanes.checks is None else float(np.abs(np.mean(lanes.checks.sum)))
    return Ensemble(values.mean(axis=0), standard_error(values), bias, lanes)


def standard_error(values: Any) -> np.ndarray:
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def assert_agrees(
    got: Any, error: Any, reference: Any, sigma: Any, *, tolerance: Any = None, bias: float = 0.0
) -> None:
    """Within three standard errors of the difference; and within the reference's tolerance and three of our own.

    The stated `sigma` of a reference is about 1.4 times too small; `bias` bounds our systematic error.
    """
    got, error, reference, sigma = (np.asarray(v, float) for v in (got, error, reference, sigma))
    distance = np.abs(got - reference)
    allowed = 3 * np.hypot(error, 1.4 * sigma) + bias
    if tolerance is not None:
        allowed = np.minimum(allowed, np.hypot(np.asarray(tolerance, float), 3 * error) + bias)
    assert np.all(distance <= allowed), f"got {got} +- {error}, reference {reference} +- {sigma}, bias {bias:.1e}"


def dimension_error(exponents: Any, errors: Any) -> float:
    """First-order error of the Kaplan-Yorke dimension from independent errors of the exponents."""
    slope = jax.grad(_dimension)(np.asarray(exponents, float))
    return float(np.linalg.norm(np.asarray(slope) * np.asarray(errors)))


def _dimension(exponents: Any) -> Any:
    return jaxdyn.kaplan_yorke_dimension(exponents)
