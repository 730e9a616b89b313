"""Oscillators: relaxation, forcing, chemistry, synchronization."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow

__all__ = ["brusselator", "duffing", "kuramoto", "van_der_pol"]


def _van_der_pol(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y = s
    return y, p["mu"] * (1 - x * x) * y - x


van_der_pol = model(
    flow,
    _van_der_pol,
    About(
        name="van_der_pol",
        title="Van der Pol oscillator",
        equations=("x' = y", "y' = mu (1 - x^2) y - x"),
        states=(
            Symbol("x", "displacement (voltage of the triode circuit)", default=2.0, range=(-3.0, 3.0)),
            Symbol("y", "rate of x", default=0.0, range=(-4.0, 4.0)),
        ),
        params=(Symbol("mu", "strength of the nonlinear damping", default=1.0),),
        source="van der Pol 1926, Philosophical Magazine 2, 978-992, doi:10.1080/14786442608564127",
        known=(
            "the origin has eigenvalues (mu +- sqrt(mu^2 - 4)) / 2: unstable for every mu > 0",
            "cycle, (mu: period, amplitude of x): 0.1: 6.28711127, 2.00010398; 1: 6.66328686, 2.00861986; "
            "5: 11.61223067, 2.02150806; 10: 19.07836957, 2.01428536",
        ),
        dt=0.02,
        transient=100.0,
        duration=500.0,
    ),
)


def _duffing(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y = s
    return y, p["gamma"] * jnp.cos(p["omega"] * t) - p["delta"] * y - p["alpha"] * x - p["beta"] * x**3


duffing = model(
    flow,
    _duffing,
    About(
        name="duffing",
        title="Forced Duffing oscillator",
        equations=("x' = y", "y' = gamma cos(omega t) - delta y - alpha x - beta x^3"),
        states=(
            Symbol("x", "displacement", default=0.2, range=(-2.0, 2.0)),
            Symbol("y", "velocity", default=0.0, range=(-2.0, 2.0)),
        ),
        params=(
            Symbol("alpha", "linear stiffness; negative gives two wells", default=-1.0),
            Symbol("beta", "cubic stiffness", default=1.0),
            Symbol("delta", "damping", default=0.25),
            Symbol("gamma", "amplitude of the forcing", default=0.4),
            Symbol("omega", "angular frequency of the forcing", default=1.0),
        ),
        source="Holmes 1979, Philosophical Transactions of the Royal Society A 292, 419-448, "
        "doi:10.1098/rsta.1979.0068",
        known=(
            "without forcing (gamma = 0): a saddle at 0 and foci at x = +-sqrt(-alpha / beta)",
            "default parameters: chaos over both wells, Lyapunov exponents 0.1571(2), -0.4071(2); their sum is -delta",
            "alpha = 0, delta = 0.05, gamma = 7.5 (Ueda): exponents 0.1036(2), -0.1536(2)",
        ),
        dt=0.05,
        transient=200.0,
        duration=5000.0,
    ),
)


def _brusselator(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y = s
    conversion = x * x * y
    return p["A"] + conversion - (p["B"] + 1) * x, p["B"] * x - conversion


brusselator = model(
    flow,
    _brusselator,
    About(
        name="brusselator",
        title="Brusselator, a chemical oscillator",
        equations=("x' = A + x^2 y - (B + 1) x", "y' = B x - x^2 y"),
        states=(
            Symbol("x", "concentration of the activator", default=1.0, range=(0.0, 5.0)),
            Symbol("y", "concentration of the second substance", default=1.0, range=(0.0, 6.0)),
        ),
        params=(
            Symbol("A", "supply of the activator", default=1.0),
            Symbol("B", "supply of the substance that converts the activator", default=3.0),
        ),
        source="Prigogine and Lefever 1968, Journal of Chemical Physics 48, 1695-1700, doi:10.1063/1.1668896",
        known=(
            "one fixed point (A, B / A), of determinant A^2 and trace B - 1 - A^2",
            "supercritical Hopf point at B = 1 + A^2, frequency A",
        ),
        dt=0.02,
        transient=100.0,
        duration=500.0,
    ),
)


def _kuramoto(t: Any, theta: Array, p: dict[str, Array]) -> Any:
    # The mean field gives the sum over all pairs at cost n: mean_j sin(b_j - a) = S cos a - C sin a.
    sine, cosine = jnp.sin(theta), jnp.cos(theta)
    return p["omega"] + p["K"] * (jnp.mean(sine) * cosine - jnp.mean(cosine) * sine)


_COUPLING = 2.0


def _kuramoto_sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    n = options["n"]
    arrays = {"omega": made.params["omega"]} | ({} if made.x0 is None else {"x0": made.x0})
    for name, value in arrays.items():
        if np.shape(value) != (n,):
            raise ValueError(
                f"{name} must have shape ({n},), one per oscillator, got {np.shape(value)}; give n=... too"
            )
    return made


def _kuramoto_defaults(n: int, seed: int) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ValueError(f"kuramoto needs n >= 2 oscillators, got n={n!r}")
    random = np.random.default_rng(seed)
    omega = random.standard_normal(n)
    # The mean frequency only turns all angles together; without it a locked state is a fixed point.
    omega -= omega.mean()
    start = random.uniform(-np.pi, np.pi, n)
    return {"K": _COUPLING, "omega": omega}, start.tolist(), tuple(f"theta{i}" for i in range(1, n + 1))


kuramoto = model(
    flow,
    _kuramoto,
    About(
        name="kuramoto",
        title="Kuramoto model of n phase oscillators, all coupled to all",
        equations=("theta_i' = omega_i + (K / n) sum_j sin(theta_j - theta_i)",),
        states=(
            Symbol(
                "theta1 ... thetan",
                "phases, not wrapped; drawn uniformly by the seed",
                unit="rad",
                range=(-np.pi, np.pi),
            ),
        ),
        params=(
            Symbol("K", "strength of the coupling", unit="rad per unit of time", default=_COUPLING),
            Symbol(
                "omega",
                "natural frequencies, (n,): standard normal numbers from `seed`, less their mean",
                unit="rad per unit of time",
            ),
        ),
        source=(
            "Kuramoto 1975, Lecture Notes in Physics 39, 420-422; Strogatz 2000, Physica D 143, 1-20, "
            "doi:10.1016/S0167-2789(00)00094-4"
        ),
        known=(
            "order parameter r exp(i psi) = mean of exp(i theta); the mean of theta' is the mean of omega",
            "two oscillators lock when |omega_2 - omega_1| <= K, with sin(theta_2 - theta_1) = (omega_2 - omega_1) / K",
            "n to infinity, standard normal frequencies: synchrony from K = sqrt(8 / pi) = 1.5957691216, where "
            "1 = K sqrt(pi/8) exp(-a) (I0(a) + I1(a)), a = (K r / 2)^2; r = 0.7151739567 at K = 2",
        ),
        dt=0.05,
        transient=100.0,
        duration=500.0,
    ),
    options={"n": 100, "seed": 0},
    defaults=_kuramoto_defaults,
    complete=_kuramoto_sized,
)
