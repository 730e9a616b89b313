"""Validation cases: cycles, rest states, covariant vectors."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from validation_core import UNDERRATED, Case, Known, Measured, at_least, exponent, load, rounded, scattered_starts
from validation_spectra import galaxy, lozi

import jaxdyn
from jaxdyn import models

ORDER = 15
"""The error of RK4 falls 16 times when the step is halved: the change is 15 times the error that is left."""


def by_halving(run: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Values with 2 n steps, and what their step does to them: from the change against n steps."""
    coarse, fine = (np.asarray(run(count)) for count in (n, 2 * n))
    return fine, np.abs(fine - coarse) / ORDER


def cycle_cases() -> list[Case]:
    """FitzHugh-Nagumo on its cycle: two periods of the known length."""
    entry = load("fitzhugh_nagumo_cycle")
    currents, periods = np.array(entry["current"]), np.array(entry["period"])

    @functools.cache
    def all_of_them() -> tuple[np.ndarray, np.ndarray]:
        def spectra(n: int) -> Any:
            def run(lane: dict[str, Any]) -> Any:
                # Starts outside the unstable cycle that surrounds the stable rest state near I = 0.33.
                system = models.fitzhugh_nagumo(x0=[2.0, 0.0]).with_params(I=lane["I"])
                return jaxdyn.lyapunov_spectrum(system, dt=lane["dt"], n_steps=2 * n, n_transient=4 * n)

            lanes = {"I": jnp.asarray(currents), "dt": jnp.asarray(periods / n)}
            return jaxdyn.raise_if_failed(jaxdyn.lanes(run)(lanes)).exponents

        return by_halving(spectra, 1000)

    def one(i: int) -> Case:
        def measure(scale: float) -> Measured:
            values, errors = all_of_them()
            found = {exponent(k): (float(values[i, k]), float(errors[i, k])) for k in range(2)}
            return Measured(found, "RK4, 2000 steps a period, 2 periods after 4; errors from halving the step")

        known = {exponent(0): Known(0.0, 1e-8), exponent(1): Known(entry["second_exponent"][i], 1e-8)}
        name = "FitzHugh-Nagumo neuron"
        return Case("Limit cycles", name, f"I = {currents[i]:g}", known, entry["method"], measure)

    return [one(i) for i in range(len(currents))]


def focus_case() -> Case:
    """Stable focus of the Lorenz system: a double exponent, from averages over whole turns."""
    value = load("fixed_points")["lorenz63"]["focus_exponent"]
    last = -41 / 3 - 2 * value

    def measure(scale: float) -> Measured:
        c = math.sqrt(8 / 3 * 19)
        system = models.lorenz63(rho=20.0, x0=[c + 0.1, c - 0.1, 19.1])
        at_rest: Any = np.asarray(jaxdyn.eigenvalues(system, [c, c, 19.0]))
        turn = 2 * math.pi / np.abs(at_rest.imag).max()

        def run(n: int) -> Any:
            counts: dict[str, Any] = {"n_steps": 40 * n, "n_transient": 400 * n}
            return jaxdyn.raise_if_failed(jaxdyn.lyapunov_spectrum(system, dt=turn / n, **counts)).exponents

        values, errors = by_halving(run, 100)
        found = {exponent(k): (float(values[k]), float(errors[k])) for k in range(3)}
        return Measured(found, "RK4, 200 steps a turn, 40 turns after 400; errors from halving the step")

    known = {exponent(0): Known(value, rounded(6)), exponent(1): Known(value, rounded(6))}
    known[exponent(2)] = Known(last, 2 * rounded(6))
    source = "eigenvalues at rest; the sum is -41/3"
    return Case("Rest and regular motion", "Lorenz, stable focus", "rho = 20", known, source, measure)


def regular_case() -> Case:
    """A regular orbit of Hénon and Heiles: distances grow in proportion to time, which is no exponent."""

    def measure(scale: float) -> Measured:
        n_steps, dt = at_least(2_000_000, scale, 20_000), 0.05
        found = jaxdyn.raise_if_failed(jaxdyn.maximal_lyapunov(galaxy(1 / 12), dt=dt, n_steps=n_steps, n_transient=0))
        left = math.log(n_steps * dt) / (n_steps * dt)
        settings = f"RK4, dt = {dt}, {n_steps} steps; error: ln T / T, what growth in proportion to the time T leaves"
        return Measured({exponent(0): (float(found.exponent), left)}, settings)

    known = {exponent(0): Known(0.0)}
    name, parameters = "Henon-Heiles, energy 1/12", "x = 0, y = -1/4, v = 0"
    return Case("Rest and regular motion", name, parameters, known, "exact: regular motion", measure)


def covariant_case(name: str, make: Any, known: dict[str, Known], limits: tuple[float, ...]) -> Case:
    """Angle between the two vectors of a map, and growth along them."""

    def measure(scale: float) -> Measured:
        system = make()
        starts = scattered_starts(system, every=7, n_lanes=at_least(256, scale, 16))
        counts: dict[str, Any] = {"n_transient_forward": 100, "n_transient_backward": 100}
        counts["n_steps"] = at_least(20_000, scale, 1_000)

        @jax.jit
        @jax.vmap
        def lanes(x0: Any) -> Any:
            run = jaxdyn.covariant_lyapunov_vectors(system.with_state(x0), **counts)
            parts = {f"part below {limit}": jnp.mean(run.angles[:, 0] < limit) for limit in limits}
            growth = {f"growth along vector {i + 1}": run.covariant_rates[i] for i in range(2)}
            return {"mean angle": run.mean_angles[0]} | parts | growth, run.status

        found, status = lanes(starts)
        assert not np.asarray(status).any()
        values = {n: (float(np.mean(v)), float(np.std(v, ddof=1) / np.sqrt(len(v)))) for n, v in found.items()}
        settings = f"{len(starts)} lanes of {counts['n_steps']} steps, 100 before and after for the vectors"
        # The reference's parts of the time come from the run that its mean angle comes from.
        ratio = known["mean angle"].error / values["mean angle"][1]
        return Measured(values, settings, {n: values[n][1] * ratio for n in values if n.startswith("part")})

    source = "independent program; growth: exponents of the same map above"
    return Case("Covariant Lyapunov vectors", name, "", known, source, measure)


def covariant_cases() -> list[Case]:
    """The angles that the tests compare with, and the exponents."""
    angles, exponents = load("covariant_angles"), {}
    for entry in [*load("lyapunov_maps")["systems"], *load("lyapunov_more")["written_here"]]:
        exponents[entry["name"]] = entry

    def make(entry: dict[str, Any]) -> Any:
        if entry.get("model"):
            return getattr(models, entry["model"])(**entry["parameters"], x0=entry["x0"])
        return jaxdyn.iterated_map(lozi, entry["parameters"], entry["x0"])

    found = []
    for case in angles["maps"]:
        entry = exponents[case["name"]]
        known = {"mean angle": Known(case["mean"], UNDERRATED * case["error"])}
        limits = tuple(limit for limit, _, _ in case["below"])
        known |= {
            f"part below {limit}": Known(part, rounded(digits) if part else 0.0)
            for limit, part, digits in case["below"]
        }
        rates = zip(entry["exponents"], entry["sigma"], strict=True)
        known |= {f"growth along vector {i + 1}": Known(v, UNDERRATED * s) for i, (v, s) in enumerate(rates)}
        found.append(covariant_case(case["name"], functools.partial(make, entry), known, limits))
    return found
