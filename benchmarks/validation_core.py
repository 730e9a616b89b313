"""What validation cases are made of: known values, measurements over many lanes, and their distance."""

import dataclasses
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import jaxdyn

REFERENCE = Path(__file__).parent.parent / "tests" / "reference"
sys.path.append(str(REFERENCE))  # the one home of the reference values
_ensemble: Any = importlib.import_module("ensemble")
dimension_error, load, scattered_starts = _ensemble.dimension_error, _ensemble.load, _ensemble.scattered_starts

__all__ = ["Case", "Known", "Measured", "dimension_error", "exponent", "known_spectrum", "load", "scattered_starts"]

UNDERRATED = 1.4
"""Stated errors of the independent programs are too small by this factor, as repeated runs of them show."""
ROUNDING = 1e-12
"""Distances below this are rounding."""


@dataclasses.dataclass(frozen=True)
class Known:
    """Reference value with its standard error, 0 if exact, and the published number if there is one."""

    value: float
    error: float = 0.0
    published: str = ""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Values with standard errors, by quantity, and how they were computed."""

    values: dict[str, tuple[float, float]]
    settings: str
    reference_errors: dict[str, float] = dataclasses.field(default_factory=dict)
    """Errors of references that come without: what the same fluctuations leave over their time."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One system at one set of parameters."""

    family: str
    system: str
    parameters: str
    known: dict[str, Known]
    source: str
    measure: Callable[[float], Measured]
    """Of the length of the run: 1 for the page, less for a test."""
    remark: str = ""
    """What a reader must know who sees a value far from its reference."""


def apart(value: float, error: float, known: Known) -> float:
    """Distance in combined standard errors."""
    return abs(value - known.value) / math.hypot(error, known.error, ROUNDING)


def exponent(i: int) -> str:
    """Name of the i-th exponent, from 0."""
    return f"exponent {i + 1}"


def known_spectrum(entry: dict[str, Any], *, exact: bool = False) -> dict[str, Known]:
    """References of an entry of the data files: exponents, and the dimension where it is given."""
    values, sigma = entry["exponents"], [0.0 if exact else UNDERRATED * s for s in entry["sigma"]]
    published = [format(value, ".7g") for value in entry.get("published", [])]
    published += [""] * (len(values) - len(published))
    known = {exponent(i): Known(*each) for i, each in enumerate(zip(values, sigma, published, strict=True))}
    if "kaplan_yorke" in entry:
        digits = len(str(entry["kaplan_yorke"]).partition(".")[2])
        error = math.hypot(dimension_error(values, sigma), rounded(digits))
        known["Kaplan-Yorke dimension"] = Known(entry["kaplan_yorke"], error, entry.get("published_dimension", ""))
    return known


def rounded(digits: int) -> float:
    """Standard error of a number that is given to so many decimals."""
    return 10.0**-digits / math.sqrt(12)


def spectra(system: Any, starts: Any, **options: Any) -> Any:
    """Lyapunov spectra from many starts at once."""
    run = jaxdyn.lanes(lambda x0: jaxdyn.lyapunov_spectrum(system.with_state(x0), **options))
    return jaxdyn.raise_if_failed(run(np.asarray(starts)))


def averages(lanes: Any, *, unit: float = 1.0, bias: float = 0.0) -> dict[str, tuple[float, float]]:
    """Exponents, dimension and entropy with standard errors from the spread over the lanes.

    `bias`, what the step does to the sum of the exponents, is added to the errors as if it were one.
    """
    values = np.asarray(lanes.exponents) / unit
    mean, n = values.mean(axis=0), len(values)
    covariance = np.atleast_2d(np.cov(values, rowvar=False)) / n + np.eye(len(mean)) * bias**2
    found = {exponent(i): (float(v), math.sqrt(covariance[i, i])) for i, v in enumerate(mean)}
    if len(mean) > 1:
        dimension = jaxdyn.kaplan_yorke_estimate(mean, covariance=covariance)
        entropy = jaxdyn.pesin_entropy(mean, covariance=covariance)
        found["Kaplan-Yorke dimension"] = (float(dimension.value), float(dimension.std_error))
        found["entropy"] = (float(entropy.value), float(entropy.std_error))
    return found


def at_least(count: float, scale: float, least: int, multiple: int = 1) -> int:
    """A number of steps or lanes, shortened by `scale`."""
    return max(round(count * scale / multiple), math.ceil(least / multiple)) * multiple


def words(parameters: dict[str, Any]) -> str:
    """Parameters as text."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in parameters.items())


def source_of(entry: dict[str, Any], fallback: str = "") -> str:
    """Where a reference is from: the independent computation, and who published a value."""
    citation = entry.get("citation", fallback)
    own = entry.get("method", "independent compiled program")
    return citation if citation.startswith("exact") else f"{own}; {citation}"


def states(values: Sequence[float]) -> str:
    """A start as text."""
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
