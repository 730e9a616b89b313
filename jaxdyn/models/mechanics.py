"""Mechanics: Hamiltonian systems whose kinetic energy depends on momenta alone and the potential on positions alone."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow

__all__ = ["kepler", "pendulum", "pleiades"]


def _pendulum(t: Any, s: Array, p: dict[str, Array]) -> Any:
    q, momentum = s
    return momentum, -(p["omega"] ** 2) * jnp.sin(q)


pendulum = model(
    flow,
    _pendulum,
    About(
        name="pendulum",
        title="Pendulum without friction",
        equations=("q' = p", "p' = -omega^2 sin q"),
        states=(
            Symbol("q", "angle from the rest position, not wrapped", unit="rad", default=1.0, range=(-4.0, 4.0)),
            Symbol(
                "p",
                "angular velocity (momentum of unit inertia)",
                unit="rad per unit of time",
                range=(-3.0, 3.0),
                default=0.0,
            ),
        ),
        params=(
            Symbol(
                "omega", "angular frequency of small swings, (g / l)^(1/2)", unit="rad per unit of time", default=1.0
            ),
        ),
        source="Lichtenberg and Lieberman 1992, Regular and Chaotic Dynamics, section 1.3, "
        "doi:10.1007/978-1-4757-2184-3",
        known=(
            "energy p^2 / 2 - omega^2 cos q is constant; swings below omega^2, turns above it",
            "period of swings up to q0: 4 K(sin^2(q0 / 2)) / omega, K the complete elliptic integral",
            "fixed points q = n pi, p = 0: centers of eigenvalues +-i omega for even n, saddles of +-omega for odd n",
        ),
        dt=0.05,
        transient=0.0,
        duration=1000.0,
    ),
)


def _kepler(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y, u, v = s
    square = x * x + y * y
    pull = -p["mu"] / (square * jnp.sqrt(square))
    return u, v, pull * x, pull * y


# Pericenter of an orbit of eccentricity 1/2 and semi-axis 1.
_ECCENTRICITY = 0.5

kepler = model(
    flow,
    _kepler,
    About(
        name="kepler",
        title="Kepler problem, one body in the plane around a fixed center",
        equations=("x' = u", "y' = v", "u' = -mu x / r^3", "v' = -mu y / r^3", "r = (x^2 + y^2)^(1/2)"),
        states=(
            Symbol("x", "first coordinate", default=1 - _ECCENTRICITY, range=(-2.0, 2.0)),
            Symbol("y", "second coordinate", default=0.0, range=(-2.0, 2.0)),
            Symbol("u", "velocity along x", default=0.0, range=(-2.0, 2.0)),
            Symbol(
                "v", "velocity along y", default=math.sqrt((1 + _ECCENTRICITY) / (1 - _ECCENTRICITY)), range=(-2.0, 2.0)
            ),
        ),
        params=(Symbol("mu", "strength of the attraction", default=1.0),),
        source="Hairer, Lubich and Wanner 2006, Geometric Numerical Integration, section I.2, "
        "doi:10.1007/3-540-30666-8",
        known=(
            "constant: energy (u^2 + v^2) / 2 - mu / r = -mu / (2 a), angular momentum L = x v - y u = "
            "(mu a (1 - e^2))^(1/2), and the vector (v L / mu - x / r, -u L / mu - y / r) to the "
            "pericenter, of length e",
            "period 2 pi (a^3 / mu)^(1/2); the start is the pericenter of the orbit with a = 1, e = 0.5, mu = 1",
            "no fixed point",
        ),
        dt=0.005,
        transient=0.0,
        duration=500.0,
    ),
)


N_STARS = 7


def _pleiades(t: Any, s: Array, p: dict[str, Array]) -> Array:
    x, y, u, v = s[:7], s[7:14], s[14:21], s[21:]
    apart_x, apart_y = (r[None, :] - r[:, None] for r in (x, y))
    # A star is at distance 1 from itself, so that the pull, 0, stays a number.
    square = apart_x**2 + apart_y**2 + jnp.eye(N_STARS, dtype=s.dtype)
    weight = p["m"][None, :] / (square * jnp.sqrt(square))
    return jnp.concatenate([u, v, jnp.sum(weight * apart_x, axis=1), jnp.sum(weight * apart_y, axis=1)])


def _pleiades_sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    if np.shape(made.params["m"]) != (N_STARS,):
        raise ValueError(f"pleiades needs {N_STARS} masses m, got shape {np.shape(made.params['m'])}")
    return made


_STARS = {
    "x": (3.0, 3.0, -1.0, -3.0, 2.0, -2.0, 2.0),
    "y": (3.0, -3.0, 2.0, 0.0, 0.0, -4.0, 4.0),
    "u": (0.0, 0.0, 0.0, 0.0, 0.0, 1.75, -1.5),
    "v": (0.0, 0.0, 0.0, -1.25, 1.0, 0.0, 0.0),
}
_MEANINGS = {"x": "first coordinate", "y": "second coordinate", "u": "velocity along x", "v": "velocity along y"}

pleiades = model(
    flow,
    _pleiades,
    About(
        name="pleiades",
        title="Pleiades, seven stars in the plane",
        equations=(
            "x_i' = u_i",
            "y_i' = v_i",
            "u_i' = sum_j m_j (x_j - x_i) / r_ij^3",
            "v_i' = sum_j m_j (y_j - y_i) / r_ij^3",
        ),
        states=tuple(
            Symbol(f"{letter}{i + 1}", f"{_MEANINGS[letter]} of star {i + 1}", default=start, range=(-5.0, 5.0))
            for letter, starts in _STARS.items()
            for i, start in enumerate(starts)
        ),
        params=(Symbol("m", "masses, (7,)", default=tuple(float(i + 1) for i in range(N_STARS))),),
        source="Hairer, Norsett and Wanner 1993, Solving Ordinary Differential Equations I, II.10, p. 245, "
        "doi:10.1007/978-3-540-78862-1",
        known=(
            "energy sum m_i (u_i^2 + v_i^2) / 2 - sum_{i<j} m_i m_j / r_ij = -45.952469497847, momentum and angular "
            "momentum are constant",
            "at t = 3: x1 = 0.3706139143970502, y1 = -3.943437585517392; the closest pair until then was 0.0336 apart, "
            "at t = 1.68",
        ),
        dt=0.001,
        transient=0.0,
        duration=3.0,
    ),
    complete=_pleiades_sized,
)
