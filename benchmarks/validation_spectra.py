"""Validation cases: Lyapunov spectra of maps and flows of the library, and of a few written here."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from validation_core import (
    UNDERRATED,
    Case,
    Known,
    Measured,
    at_least,
    averages,
    exponent,
    known_spectrum,
    load,
    rounded,
    scattered_starts,
    source_of,
    spectra,
    words,
)

import jaxdyn
from jaxdyn import models

N_LANES = 256
STICKY = (
    "orbits stick to islands for times of any length: errors from the spread over lanes, and those of the reference, "
    "are then too small"
)

# Step; steps that are averaged and before, of each lane; steps between the starts of neighboring lanes.
FLOWS = {
    "Lorenz": (0.005, 800_000, 8_000, 97),
    "Lorenz, Wolf": (0.0025, 800_000, 8_000, 97),
    "Rossler": (0.0125, 800_000, 32_000, 155),
    "Rossler, Wolf": (0.00625, 800_000, 64_000, 155),
    "Lorenz-96, 5 sites": (0.01, 100_000, 5_000, 97),
    "Lorenz-84": (0.01, 400_000, 20_000, 97),
    "two coupled FitzHugh-Nagumo neurons": (0.25, 200_000, 40_000, 997),
}
# Steps a period of the drive; periods averaged and before. Whole periods, as all lanes share the drive's phase.
DRIVEN = {
    "Ueda": (200, 2_000, 40),
    "Duffing, two wells": (150, 2_000, 40),
    "driven van der Pol": (320, 2_000, 40),
    "forced Brusselator": (60, 8_000, 300),
    "driven pendulum": (200, 3_000, 60),
}


def library(entry: dict[str, Any]) -> Any:
    """System of the library, with its drive."""
    size = {"n": len(entry["exponents"])} if entry["model"] == "lorenz96" else {}
    system = getattr(models, entry["model"])(**size, **entry["parameters"])
    if "drive" in entry:
        drive = entry["drive"]
        amplitude, frequency = drive["amplitude"], drive["frequency"]
        system = jaxdyn.driven(system, lambda t: amplitude * jnp.sin(frequency * t), onto=drive["state"])
    return system


def frequency_of(entry: dict[str, Any]) -> float:
    """Of the drive."""
    return entry["drive"]["frequency"] if "drive" in entry else entry["parameters"]["omega"]


def flow_case(entry: dict[str, Any], make: Any, family: str, course: tuple[float, int, int, int] | None = None) -> Case:
    """Exponents and dimension of an autonomous flow."""
    dt, n_steps, n_transient, every = course or FLOWS[entry["name"]]

    def measure(scale: float) -> Measured:
        counts = {"n_steps": at_least(n_steps, scale, 2_000), "n_transient": n_transient}
        lanes = at_least(N_LANES, scale, 16)
        system = make(entry)
        starts = scattered_starts(system, every=every, dt=dt, n_lanes=lanes)
        return measured_flow(system, starts, dt, **counts)

    parameters = words(entry["parameters"])
    return Case(family, entry["name"], parameters, known_spectrum(entry), source_of(entry), measure)


def driven_case(entry: dict[str, Any], make: Any, family: str) -> Case:
    """Exponents of a driven flow; the zero of its phase is not among them."""
    per_period, periods, before = DRIVEN[entry["name"]]
    frequency = frequency_of(entry)
    dt = 2 * math.pi / frequency / per_period

    def measure(scale: float) -> Measured:
        counts = {"n_steps": at_least(periods, scale, 20) * per_period, "n_transient": before * per_period}
        lanes = at_least(N_LANES, scale, 16)
        system = make(entry)
        starts = scattered_starts(system, every=per_period, dt=dt, n_lanes=lanes)
        return measured_flow(system, starts, dt, **counts)

    drive = entry.get("drive")
    text = words(entry["parameters"])
    if drive:
        text += f", driven by {drive['amplitude']:g} sin({drive['frequency']:g} t) onto {drive['state']}"
    return Case(family, entry["name"], text, known_spectrum(entry), source_of(entry), measure)


def measured_flow(system: Any, starts: Any, dt: float, **counts: int) -> Measured:
    """Averages of many lanes; the mean divergence along them shows what the step does."""
    lanes = spectra(system, starts, dt=dt, checks=True, **counts)
    bias = abs(float(np.mean(lanes.checks.sum)))
    settings = (
        f"RK4, dt = {dt:.5g}, {len(starts)} lanes of {counts['n_steps']} steps after {counts['n_transient']}; "
        f"sum of the exponents and mean divergence differ by {bias:.1e}"
    )
    return Measured(averages(lanes, bias=bias), settings)


def map_case(entry: dict[str, Any], make: Any, family: str) -> Case:
    """Exponents and dimension of a map; the sum is known to rounding, and rounding is all that a map's run adds."""
    slow = entry["name"] in ("standard map, k = 1", "standard map, k = 2")
    n_steps = 20_000 if entry["name"] == "logistic, r = 4" else 1_000_000  # longer orbits of float64 fall onto 0

    def measure(scale: float) -> Measured:
        lanes = at_least(N_LANES, scale, 16)
        system = make(entry)
        start = np.array(entry["x0"]) + 1e-3 * np.random.default_rng(0).standard_normal((lanes, system.dim))
        before = at_least(300_000, scale, 1_000) if slow else 1_000
        counts = {"n_steps": at_least(n_steps, scale, 2_000, 2), "n_transient": before}
        settings = f"{lanes} lanes of {counts['n_steps']} steps after {counts['n_transient']}"
        return Measured(averages(spectra(system, start, **counts)), settings)

    exact = entry.get("citation", "").startswith("exact")
    known = known_spectrum(entry, exact=exact)
    text = "" if "=" in entry["name"] else words(entry["parameters"])
    return Case(family, entry["name"], text, known, source_of(entry), measure, STICKY if slow else "")


def galaxy(energy: float) -> Any:
    """Hénon-Heiles from x = 0, y = -1/4, v = 0."""
    momentum = math.sqrt(2 * (energy - (0.25**2 / 2 + 0.25**3 / 3)))
    return models.henon_heiles(x0=[0.0, -0.25, momentum, 0.0])


def galaxy_case(entry: dict[str, Any]) -> Case:
    """Chaotic orbits of one energy."""
    dt = 0.05

    def measure(scale: float) -> Measured:
        system, lanes = galaxy(entry["energy"]), at_least(64, scale, 16)
        # Neighboring lanes differ by so little that their energies do, too, by less than the step loses.
        run = jaxdyn.trajectory(system, n_steps=200 * lanes, dt=dt, save=jaxdyn.Every(200))
        starts = np.asarray(run.x)[1:]
        nudge = 1e-9 * np.random.default_rng(0).standard_normal(starts.shape)
        counts = {"n_steps": at_least(1_600_000, scale, 4_000), "n_transient": at_least(40_000, scale, 1_000)}
        found = measured_flow(system, starts + nudge, dt, **counts)
        time = counts["n_steps"] * dt
        zeros = {exponent(i): (found.values[exponent(i)][0], math.log(time) / time) for i in (1, 2)}
        settings = found.settings + "; error of the zeros: ln T / T, what growth in proportion to the time T leaves"
        return dataclasses.replace(found, values=found.values | zeros, settings=settings)

    source = source_of(entry)
    name = entry["name"]
    return Case("Flows", name, "x = 0, y = -1/4, v = 0", known_spectrum(entry), source, measure, STICKY)


def sites_case(name: str, known: dict[str, Known], source: str, total_time: float, lanes: int, k: int) -> Case:
    """Lorenz-96 with many sites, `k` exponents."""
    sites, dt, qr_every = int(name), 0.05, 8

    def measure(scale: float) -> Measured:
        system = models.lorenz96(n=sites)
        starts = scattered_starts(system, every=97, dt=dt, n_lanes=at_least(lanes, scale, 4))
        # Directions whose exponents differ by 0.1 turn into place over several times 10.
        counts = {"n_steps": at_least(2_400, scale, 320, qr_every), "n_transient": 1_600, "qr_every": qr_every}
        found = spectra(system, starts, dt=dt, n_exponents=k, **counts)
        settings = f"RK4, dt = {dt}, {len(starts)} lanes of {counts['n_steps']} steps after 1600, QR every {qr_every}"
        bias = 0.0
        if k == sites:
            bias = abs(float(np.asarray(found.exponents).sum(axis=1).mean()) + sites)
            settings += f"; the sum of all exponents is off by {bias:.1e}"
        values = averages(found, bias=bias / sites)
        ratio = math.sqrt(len(starts) * counts["n_steps"] * dt / total_time)
        return Measured(values, settings, {n: values[n][1] * ratio for n in ("Kaplan-Yorke dimension", "entropy")})

    return Case("Lorenz-96", f"Lorenz-96, {name} sites", "F = 8", known, source, measure)


def lorenz96_cases() -> list[Case]:
    """40 sites with all exponents, 36 with the 27 that hold entropy and dimension."""
    entry, sites = load("lyapunov_lorenz96"), load("lorenz96_sites")
    large, small = sites["40"], sites["36"]
    dimension, entropy = "Kaplan-Yorke dimension", "entropy"
    digit = rounded(2)
    known = known_spectrum(entry) | {
        dimension: Known(entry["kaplan_yorke"], digit, "27.1"),
        entropy: Known(large["entropy"], digit),
    }
    few = {
        exponent(0): Known(small["largest"][0], UNDERRATED * small["largest"][1]),
        exponent(small["n_positive"]): Known(small["near_zero"][0], UNDERRATED * small["near_zero"][1]),
        dimension: Known(small["kaplan_yorke"], digit),
        entropy: Known(small["entropy"], digit),
    }
    method = (
        "independent program over a time of {:.0f}; errors of dimension and entropy from the fluctuations seen here"
    )
    source = f"{method.format(large['total_time'])}; {entry['citation']}"
    return [
        sites_case("40", known, source, large["total_time"], 20, 40),
        sites_case("36", few, method.format(small["total_time"]), small["total_time"], 24, 27),
    ]


def lozi(n: Any, s: Any, p: Any) -> Any:
    return 1 - p["a"] * jnp.abs(s[0]) + p["b"] * s[1], s[0]


def towel(n: Any, s: Any, p: Any) -> Any:
    """Rössler 1979, Physics Letters A 71, 155."""
    x, y, z = s
    shifted = (y + 0.35) * (1 - 2 * z)
    return 3.8 * x * (1 - x) - 0.05 * shifted, 0.1 * (shifted - 1) * (1 - 1.9 * x), 3.78 * z * (1 - z) + 0.2 * y


def lorenz84(t: Any, s: Any, p: Any) -> Any:
    x, y, z = s
    return (
        -y * y - z * z - p["a"] * x + p["a"] * p["F"],
        x * y - p["b"] * x * z - y + p["G"],
        p["b"] * x * y + x * z - z,
    )


def pendulum(t: Any, s: Any, p: Any) -> Any:
    return s[1], -jnp.sin(s[0]) - p["b"] * s[1] + p["A"] * jnp.sin(p["omega"] * t)


def neurons(t: Any, s: Any, p: Any) -> Any:
    v, w, u, z = s
    a, k = p["a"], p["k"]
    return (
        v * (a - v) * (v - 1) - w + k * (u - v),
        p["b1"] * v - p["c"] * w,
        u * (a - u) * (u - 1) - z + k * (v - u),
        p["b2"] * u - p["c"] * z,
    )


WRITTEN = {
    "Lozi map": (jaxdyn.iterated_map, lozi),
    "folded towel map": (jaxdyn.iterated_map, towel),
    "Lorenz-84": (jaxdyn.flow, lorenz84),
    "driven pendulum": (jaxdyn.flow, pendulum),
    "two coupled FitzHugh-Nagumo neurons": (jaxdyn.flow, neurons),
}


def written(entry: dict[str, Any]) -> Any:
    """System that the library does not have."""
    make, field = WRITTEN[entry["name"]]
    return make(field, entry["parameters"], entry["x0"])


def cases() -> list[Case]:
    """All of this module."""
    maps, flows, more = (load(f"lyapunov_{name}") for name in ("maps", "flows", "more"))
    found = [map_case(dict(entry, method=maps["method"]), library, "Maps") for entry in maps["systems"]]
    for entry in flows["systems"]:
        if entry["name"] in FLOWS:
            found.append(flow_case(entry, library, "Flows"))
        else:
            found.append(driven_case(entry, library, "Driven flows, without the zero of the drive's phase"))
    found += [galaxy_case(entry) for entry in more["henon_heiles"]]
    found += lorenz96_cases()
    for entry in more["written_here"]:
        kind = driven_case if entry["name"] in DRIVEN else flow_case if entry["name"] in FLOWS else map_case
        found.append(kind(entry, written, "Systems written in a few lines"))
    return found
