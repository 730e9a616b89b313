"""Angles between the covariant vectors of four maps, against an independent computation; the zero exponent's vector."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ensemble import assert_agrees, load, scattered_starts, standard_error

import jaxdyn
from jaxdyn import models
from jaxdyn.analysis.covariant import covariant_lyapunov_vectors

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]

N_LANES = 64
N_STEPS = 10_000


def lozi():
    """Lozi's map x' = 1 - a|x| + b y, y' = x at a = 1.7, b = 0.5 (Lozi 1978, Journal de Physique Colloque 39, C5-9)."""

    def field(n: Any, s: Any, p: Any) -> Any:
        return 1 - p["a"] * jnp.abs(s[0]) + p["b"] * s[1], s[0]

    return jaxdyn.iterated_map(field, {"a": 1.7, "b": 0.5}, [0.1, 0.1])


@dataclasses.dataclass(frozen=True)
class Case:
    """A map, and the mean angle between its two vectors with its error; parts of the time below some angles."""

    make: Any
    mean: float
    error: float
    below: dict[float, tuple[float, float]]
    """Part of the time below an angle, and the last digit that it is given in."""


SYSTEMS = {
    "Henon": models.henon,
    "Lozi map": lozi,
    "Ikeda": models.ikeda,
    "standard map, k = 5": lambda: models.standard_map(k=5.0, x0=[0.1, 6.0]),
}
CASES = {
    entry["name"]: Case(
        SYSTEMS[entry["name"]],
        entry["mean"],
        entry["error"],
        {limit: (part, 10.0**-digits if part else 0.0) for limit, part, digits in entry["below"]},
    )
    for entry in load("covariant_angles")["maps"]
}


def run(make: Any) -> Any:
    """Lanes from starts on the attractor. 100 steps turn the vectors to exp(-100 * 1.2), or farther."""
    system = make()
    starts = scattered_starts(system, every=7, n_lanes=N_LANES)
    settings = {"n_steps": N_STEPS, "n_transient_forward": 100, "n_transient_backward": 100}

    @jax.jit
    @jax.vmap
    def lanes(x0: Any) -> Any:
        return covariant_lyapunov_vectors(system.with_state(x0), **settings)

    return jaxdyn.raise_if_failed(lanes(starts))


@pytest.mark.parametrize("name", CASES)
def test_angles(name: str) -> None:
    case = CASES[name]
    got = run(case.make)
    angles = np.asarray(got.angles)[..., 0]
    np.testing.assert_allclose(angles.mean(axis=1), got.mean_angles[:, 0], rtol=1e-12)
    np.testing.assert_allclose(angles.min(axis=1), got.smallest_angles[:, 0], rtol=1e-12)
    counts = np.stack([np.histogram(lane, np.linspace(0, np.pi / 2, 91))[0] for lane in angles])
    # An angle at the edge of a bin may fall to either side.
    assert np.abs(counts - np.asarray(got.angle_histogram)).sum() <= 2
    assert_agrees(angles.mean(), standard_error(angles.mean(axis=1)), case.mean, case.error)
    for limit, (part, digit) in case.below.items():
        parts = (angles < limit).mean(axis=1)
        assert abs(parts.mean() - part) <= 3 * standard_error(parts) + digit / 2, f"P(angle < {limit})"


def test_median_of_henon() -> None:
    """0.9585; the median of a lane of 10 000 correlated angles is off by much less than its error."""
    medians = np.median(np.asarray(run(models.henon).angles)[..., 0], axis=1)
    assert abs(medians.mean() - 0.9585) <= 3 * standard_error(medians) + 0.00005


def test_growth_along_the_vectors_of_henon() -> None:
    """0.41923(2) and -1.62321(2) per step, from an independent program (Sprott: 0.41922, -1.62319)."""
    got = run(models.henon)
    for values in (got.exponents, got.covariant_rates):
        values = np.asarray(values)
        # Along the second vector the ends add log(sine / sine) / n_steps, of mean zero: part of the spread.
        assert_agrees(values.mean(axis=0), standard_error(values), [0.41923, -1.62321], [2e-5, 2e-5])


def test_the_lozi_map_is_hyperbolic() -> None:
    """Never below 0.5614, the smallest angle of an independent run, and close to it."""
    smallest = float(np.min(run(lozi).smallest_angles))
    assert 0.5614 - 5e-5 <= smallest < 0.57


def test_lorenz_exponents_along_the_vectors() -> None:
    """0.90565(19), 0, -14.57232 per time unit, and the second vector along the flow all the time."""
    system, dt = models.lorenz63(), 0.01
    starts = scattered_starts(system, every=50, dt=dt, n_lanes=32)
    settings = {"n_steps": 5_000, "dt": dt, "n_transient_forward": 2_000, "n_transient_backward": 2_000}

    @jax.jit
    @jax.vmap
    def lanes(x0: Any) -> Any:
        return covariant_lyapunov_vectors(system.with_state(x0), save_every=50, **settings)

    got = jaxdyn.raise_if_failed(lanes(starts))
    rates = np.asarray(got.covariant_rates)
    # The step leaves an error of its order in the rates, 1e-4 here: see the sum against -41/3.
    bias = abs(np.asarray(got.exponents).sum(axis=1).mean() + 41 / 3)
    assert bias < 1e-3
    assert_agrees(
        rates.mean(axis=0), standard_error(rates), [0.90565, 0, -14.57232], [0.00019, 1e-5, 0.00019], bias=bias
    )
    velocity = jax.vmap(jax.vmap(lambda x: system(0.0, x)))(got.x)
    velocity = np.asarray(velocity / jnp.linalg.norm(velocity, axis=-1, keepdims=True))
    cosine = np.abs(np.sum(velocity * np.asarray(got.vectors)[:, :, 1], axis=-1))
    assert np.sqrt(2 * np.maximum(1 - cosine, 0)).max() < 1e-3
