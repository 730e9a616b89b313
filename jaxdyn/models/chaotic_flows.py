"""Chaotic flows of the textbooks."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow

__all__ = ["henon_heiles", "lorenz63", "lorenz96", "rossler"]


def _lorenz63(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y, z = s
    return p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z


lorenz63 = model(
    flow,
    _lorenz63,
    About(
        name="lorenz63",
        title="Lorenz system of three modes of convection",
        equations=("x' = sigma (y - x)", "y' = x (rho - z) - y", "z' = x y - beta z"),
        states=(
            Symbol("x", "strength of the convection", default=0.0, range=(-20.0, 20.0)),
            Symbol("y", "temperature difference of the rising and sinking flow", default=-0.01, range=(-30.0, 30.0)),
            Symbol("z", "departure of the temperature profile from a straight line", default=9.0, range=(0.0, 50.0)),
        ),
        params=(
            Symbol("sigma", "Prandtl number", default=10.0),
            Symbol("rho", "Rayleigh number over its critical value", default=28.0),
            Symbol("beta", "geometry of the convection cell", default=8 / 3),
        ),
        source=(
            "Lorenz 1963, Journal of the Atmospheric Sciences 20, 130-141, "
            "doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2"
        ),
        known=(
            "fixed points: the origin and, for rho > 1, x = y = +-sqrt(beta (rho - 1)), z = rho - 1",
            "the two lose stability in a subcritical Hopf point at rho = 470/19 = 24.7368421, frequency 9.62453006",
            "homoclinic orbit of the origin at rho = 13.926557407520; chaotic attractor from rho = 24.0579004",
            "Lyapunov exponents 0.90555(15), 0, -14.57222(14); their sum is -(sigma + 1 + beta) = -41/3",
            "Kaplan-Yorke dimension 2.0621",
        ),
        dt=0.005,
        transient=50.0,
        duration=1000.0,
    ),
)


def _rossler(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y, z = s
    return -y - z, x + p["a"] * y, p["b"] + z * (x - p["c"])


rossler = model(
    flow,
    _rossler,
    About(
        name="rossler",
        title="Rössler system",
        equations=("x' = -y - z", "y' = x + a y", "z' = b + z (x - c)"),
        states=(
            Symbol("x", "first coordinate of the spiral", default=-9.0, range=(-15.0, 20.0)),
            Symbol("y", "second coordinate of the spiral", default=0.0, range=(-30.0, 15.0)),
            Symbol("z", "coordinate of the reinjection", default=0.0, range=(-5.0, 35.0)),
        ),
        params=(
            Symbol("a", "growth along the spiral", default=0.2),
            Symbol("b", "source of z", default=0.2),
            Symbol("c", "value of x above which z grows", default=5.7),
        ),
        source="Rössler 1976, Physics Letters A 57, 397-398, doi:10.1016/0375-9601(76)90101-8",
        known=(
            "fixed points x = a z, y = -z, z = (c +- sqrt(c^2 - 4 a b)) / (2 a)",
            "Lyapunov exponents 0.07138(8), 0, -5.39430(6); their sum is a - c + <x>",
            "Kaplan-Yorke dimension 2.0132",
        ),
        dt=0.025,
        transient=300.0,
        duration=5000.0,
    ),
)


def _henon_heiles(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y, u, v = s
    return u, v, -x - 2 * p["coupling"] * x * y, -y - p["coupling"] * (x * x - y * y)


henon_heiles = model(
    flow,
    _henon_heiles,
    About(
        name="henon_heiles",
        title="Hénon-Heiles system, a star in the plane of a galaxy",
        equations=(
            "x' = u",
            "y' = v",
            "u' = -x - 2 coupling x y",
            "v' = -y - coupling (x^2 - y^2)",
        ),
        states=(
            Symbol("x", "first coordinate", default=0.0, range=(-1.0, 1.0)),
            Symbol("y", "second coordinate, along an axis of symmetry", default=-0.25, range=(-1.0, 1.0)),
            Symbol("u", "momentum of x", default=0.42081, range=(-1.0, 1.0)),
            Symbol("v", "momentum of y", default=0.0, range=(-1.0, 1.0)),
        ),
        params=(Symbol("coupling", "strength of the cubic terms: 0 gives two harmonic oscillators", default=1.0),),
        source="Hénon and Heiles 1964, Astronomical Journal 69, 73-79, doi:10.1086/109234",
        known=(
            "energy (u^2 + v^2 + x^2 + y^2) / 2 + coupling (x^2 y - y^3 / 3) is constant; volume is preserved",
            "fixed points: the origin, and three saddles at distance 1 / coupling with energy 1 / (6 coupling^2), "
            "above which orbits escape",
            "the start is chaotic at the default energy 1/8: exponents +-0.0453(7), 0, 0",
            "same x, y and v: +-0.1268(8) at energy 1/6 (u = 0.5103); regular at energy 1/12 (u = 0.3062)",
        ),
        dt=0.05,
        transient=0.0,
        duration=5000.0,
    ),
)


def _lorenz96(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + p["F"]


_FORCING = 8.0


def _lorenz96_sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    shape = np.shape(made.default_x0 if made.x0 is None else made.x0)
    if shape != (options["n"],):
        raise ValueError(f"x0 must have shape ({options['n']},), one value per site, got {shape}; give n=... too")
    return made


def _lorenz96_defaults(n: int) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 4:
        raise ValueError(f"lorenz96 needs n >= 4 sites, so that the four neighbors differ; got n={n!r}")
    start = [_FORCING + 0.01] + [_FORCING] * (n - 1)  # the uniform state itself would stay where it is
    return {"F": _FORCING}, start, tuple(f"x{i}" for i in range(1, n + 1))


lorenz96 = model(
    flow,
    _lorenz96,
    About(
        name="lorenz96",
        title="Lorenz system of n sites on a circle of latitude",
        equations=("x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F, indices modulo n",),
        states=(Symbol("x1 ... xn", "atmospheric quantity at the n sites", range=(-15.0, 20.0)),),
        params=(Symbol("F", "forcing, the same at all sites", default=_FORCING),),
        source=(
            "Lorenz 1996, Predictability: a problem partly solved, ECMWF Seminar on Predictability 1, 1-18; "
            "Lorenz and Emanuel 1998, Journal of the Atmospheric Sciences 55, 399-414, "
            "doi:10.1175/1520-0469(1998)055<0399:OSFSWO>2.0.CO;2"
        ),
        known=(
            "uniform fixed point x_i = F with eigenvalues -1 + F (exp(i k) - exp(-2 i k)), k = 2 pi j / n",
            "the sum of the Lyapunov exponents is exactly -n",
            "n = 40, F = 8: largest exponent 1.693(3), 13 positive ones, Kaplan-Yorke dimension 27.09",
            "n = 5, F = 8: exponents 0.4735(26), 0, -0.520, -1.311, -3.643",
        ),
        dt=0.01,
        transient=50.0,
        duration=500.0,
    ),
    options={"n": 40},
    defaults=_lorenz96_defaults,
    complete=_lorenz96_sized,
)
