"""Validation cases: flows and maps of Sprott's collections, and the Kuramoto-Sivashinsky equation."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from validation_core import (
    Case,
    Measured,
    at_least,
    averages,
    known_spectrum,
    load,
    source_of,
    spectra,
)
from validation_spectra import flow_case as spectrum_case
from validation_spectra import map_case

import jaxdyn

FAMILY = "Chua's circuit and Sprott's simple flows"


def chua(t: Any, s: Any, p: Any) -> Any:
    x, y, z = s
    kinked = p["b"] * x + 0.5 * (p["a"] - p["b"]) * (jnp.abs(x + 1) - jnp.abs(x - 1))
    return p["alpha"] * (y - x + kinked), x - y + z, -p["beta"] * y


FIELDS = {
    "Sprott C": lambda x, y, z: (y * z, x - y, 1 - x * x),
    "Sprott F": lambda x, y, z: (y + z, -x + y / 2, x * x - z),
    "Sprott H": lambda x, y, z: (-y + z * z, x + y / 2, x - z),
    "Sprott I": lambda x, y, z: (-0.2 * y, x + z, x + y * y - z),
    "Sprott J": lambda x, y, z: (2 * z, -2 * y + z, -x + y + y * y),
    "Sprott L": lambda x, y, z: (y + 3.9 * z, 0.9 * x * x - y, 1 - x),
    "Sprott M": lambda x, y, z: (-z, -x * x - y, 1.7 + 1.7 * x + y),
    "Sprott N": lambda x, y, z: (-2 * y, x + z * z, 1 + y - 2 * z),
    "Sprott Q": lambda x, y, z: (-z, x - y, 3.1 * x + y * y + 0.5 * z),
    "Sprott R": lambda x, y, z: (0.9 - y, 0.4 + z, x * y - z),
}


def flow_of(entry: dict[str, Any]) -> Any:
    """System of an entry."""
    if entry["name"] == "Chua":
        return jaxdyn.flow(chua, entry["parameters"], entry["x0"])
    field = FIELDS[entry["name"]]
    return jaxdyn.flow(lambda t, s, p: field(*s), {}, entry["x0"])


def flow_case(entry: dict[str, Any]) -> Case:
    """Exponents and dimension; 400 steps in a turn, 1600 where kinks lower the order."""
    per_turn = 1600 if entry["name"] == "Chua" else 400
    course = (entry["period"] / per_turn, 1_000 * per_turn, 50 * per_turn, 97)
    return spectrum_case(entry, flow_of, FAMILY, course)


def delayed_logistic(n: Any, s: Any, p: Any) -> Any:
    return p["a"] * s[0] * (1 - s[1]), s[0]


def kuramoto_sivashinsky(length: float, points: int, step: float) -> Any:
    """u_t = -u u_x - u_xx - u_xxxx, periodic, mean 0, a step at a time by ETDRK4.

    Cox & Matthews 2002, Journal of Computational Physics 176, 430; coefficients as Kassam & Trefethen 2005, SIAM
    Journal on Scientific Computing 26, 1214.
    The state is made of the cosines and sines that two thirds of the points resolve.
    """
    waves = np.arange(1, points // 3)
    q = 2 * np.pi * waves / length
    angle = 2 * np.pi * np.outer(np.arange(points), waves) / points
    shapes = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * math.sqrt(2 / points)
    # -u u_x = -(u^2)_x / 2 by the derivative of each wave: cos -> -q sin, sin -> q cos.
    slopes = np.concatenate([-q * np.sin(angle), q * np.cos(angle)], axis=1) * math.sqrt(2 / points)
    rate = step * np.concatenate([q**2 - q**4] * 2)
    # Coefficients of the method as means over a circle around each rate: no cancellation near 0.
    circle = rate[:, None] + np.exp(1j * np.pi * (np.arange(64) + 0.5) / 64)[None, :]
    whole, half = np.exp(circle), np.exp(circle / 2)

    def mean(values: Any) -> Any:
        return jnp.asarray(step * np.mean(values, axis=1).real)

    to_half = mean((half - 1) / circle)
    first = mean((-4 - circle + whole * (4 - 3 * circle + circle**2)) / circle**3)
    middle = mean((2 + circle + whole * (circle - 2)) / circle**3)
    last = mean((-4 - 3 * circle - circle**2 + whole * (4 - circle)) / circle**3)
    decay, half_decay = jnp.asarray(np.exp(rate)), jnp.asarray(np.exp(rate / 2))
    to_points, back = jnp.asarray(shapes), jnp.asarray(slopes.T) / 2

    def advection(c: Any) -> Any:
        return back @ (to_points @ c) ** 2  # by parts: the derivative falls on the wave, with the other sign

    def advance(n: Any, c: Any, p: Any) -> Any:
        at_start = advection(c)
        a = half_decay * c + to_half * at_start
        at_a = advection(a)
        b = half_decay * c + to_half * at_a
        at_b = advection(b)
        d = half_decay * a + to_half * (2 * at_b - at_start)
        return decay * c + first * at_start + 2 * middle * (at_a + at_b) + last * advection(d)

    return jaxdyn.iterated_map(advance, {}, 0.5 * np.cos(np.arange(1.0, 2 * len(waves) + 1) ** 2))


def sivashinsky_case(entry: dict[str, Any]) -> Case:
    """Leading exponents and dimension of the equation."""
    step = entry["step"]

    def measure(scale: float) -> Measured:
        system = kuramoto_sivashinsky(entry["length"], entry["points"], step)
        lanes = at_least(8, scale, 4)  # few and long: of four exponents near 0 the order in a run is chance otherwise
        starts = system.x0 + 0.1 * np.random.default_rng(0).standard_normal((lanes, system.dim))
        counts = {"n_steps": at_least(80_000, scale, 1_000, 5), "n_transient": at_least(5_000, scale, 1_000, 5)}
        found = spectra(system, starts, n_exponents=len(entry["exponents"]), qr_every=5, **counts)
        settings = f"ETDRK4, dt = {step}, {lanes} lanes of {counts['n_steps']} steps after {counts['n_transient']}"
        return Measured(averages(found, unit=step), settings)

    name, text = "Kuramoto-Sivashinsky", f"length {entry['length']}, {entry['points']} points"
    return Case(f"{name} equation", name, text, known_spectrum(entry), source_of(entry), measure)


def cases() -> list[Case]:
    """All of this module."""
    data = load("lyapunov_sprott")
    delayed = functools.partial(jaxdyn.iterated_map, delayed_logistic)
    logistic = map_case(data["delayed_logistic"], lambda entry: delayed(entry["parameters"], entry["x0"]), FAMILY)
    return [*map(flow_case, data["flows"]), logistic, sivashinsky_case(data["kuramoto_sivashinsky"])]
