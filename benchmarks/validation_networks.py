"""Validation cases: random networks against simulations and mean-field theory, and a delay equation."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from validation_core import Case, Known, Measured, at_least, averages, known_spectrum, load, spectra

import jaxdyn
from jaxdyn import models

FAMILY = "Random networks x' = -x + g J tanh x, and maps x' = g J tanh x"


def largest(make: Any, gains: list[float], n_networks: int, **options: Any) -> np.ndarray:
    """Largest exponents (networks, gains); all gains of a network share its matrix products."""

    @jax.jit
    def run(system: Any) -> Any:
        def one(g: Any) -> Any:
            return jaxdyn.lyapunov_spectrum(system.with_params(g=g), n_exponents=1, **options)

        return jax.vmap(one)(jnp.asarray(gains))

    results = [jaxdyn.raise_if_failed(run(make(seed=seed + 1))) for seed in range(n_networks)]
    return np.array([result.exponents[:, 0] for result in results])


def of_networks(values: np.ndarray) -> tuple[float, float]:
    """Mean over networks with its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def network_case(kind: str, n: int, gains: list[str], simulated: dict[str, Any], limit: dict[str, float]) -> Case:
    """Largest exponents of one size over the gain, beside simulations of the same size and the limit."""
    known = {}
    for g in gains:
        seeds = np.array(simulated[g])
        # Three networks know their scatter poorly: at least 1 % of the value and the error of each.
        scatter = max(float(seeds.std(ddof=1)), 0.01 * float(seeds.mean()), simulated.get("sigma_each", 0.0))
        # Smaller networks have smaller exponents than infinite ones: the limit is for orientation only.
        infinite = f"{limit[g]:.4f} as N -> inf"
        known[f"exponent 1 at g = {g}"] = Known(float(seeds.mean()), scatter / math.sqrt(len(seeds)), infinite)

    def measure(scale: float) -> Measured:
        size, numbers = at_least(n, math.sqrt(scale), 50), [float(g) for g in gains]
        if kind == "map":
            counts: dict[str, Any] = {"n_steps": at_least(960, scale, 64), "n_transient": at_least(160, scale, 16)}
        else:
            counts = {"n_steps": at_least(2_400, scale, 64), "n_transient": at_least(600, scale, 64), "dt": 0.1}
        networks = 4 if kind == "map" else 6

        def make(seed: int) -> Any:
            return (models.random_rnn_map if kind == "map" else models.random_rnn)(n=size, seed=seed)

        values = largest(make, numbers, networks, **counts)
        found = {f"exponent 1 at g = {g}": of_networks(values[:, i]) for i, g in enumerate(gains)}
        step = "" if kind == "map" else f"RK4, dt = {counts['dt']}, "
        settings = f"{step}{networks} networks of {size}, {counts['n_steps']} steps after {counts['n_transient']}"
        return Measured(found, settings)

    source = (
        "three networks by an independent program, error from their scatter, at least 1 %; N -> inf: own solution of "
        "the mean-field equations; Sompolinsky, Crisanti & Sommers 1988, Physical Review Letters 61, 259"
    )
    name = "random maps" if kind == "map" else "random networks"
    return Case(FAMILY, name, f"N = {n}", known, source, measure)


def network_cases() -> list[Case]:
    """Maps of 2000 and networks of 500."""
    values, limits = load("random_networks"), load("large_networks")["mean_field"]
    return [
        network_case("map", 2000, ["1.5", "2", "3", "5"], values["discrete_2000"], limits["discrete_exponent"]),
        network_case("network", 500, ["2", "3", "5"], values["continuous_500"], limits["exponent"]),
    ]


def delay_case(entry: dict[str, Any], source: str) -> Case:
    """Mackey-Glass: a step of the map is one delay."""
    tau, points = entry["tau"], 64

    def measure(scale: float) -> Measured:
        system = models.mackey_glass(points=points).with_params(tau=tau)
        lanes = at_least(32, scale, 4)
        start = 0.5 + 0.3 * np.random.default_rng(0).random((lanes, 1)) + np.zeros(system.dim)
        counts = {"n_steps": at_least(8_000, scale, 200), "n_transient": 400, "n_exponents": 6}
        found = averages(spectra(system, start, **counts), unit=tau)
        settings = f"{points} points a delay, {lanes} lanes of {counts['n_steps']} delays after 400, 6 exponents"
        return Measured(found, settings)

    known = known_spectrum(entry)
    return Case("Delay equation of Mackey and Glass", "Mackey-Glass", f"tau = {tau:g}", known, source, measure)


def delay_cases() -> list[Case]:
    """Three delays."""
    values = load("lyapunov_more")["mackey_glass"]
    source = f"{values['method']}; {values['citation']}"
    return [delay_case(entry, source) for entry in values["delays"]]
