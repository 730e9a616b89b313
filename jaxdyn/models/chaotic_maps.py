"""Chaotic maps of the textbooks."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import model
from jaxdyn.system import iterated_map

__all__ = ["henon", "ikeda", "logistic", "standard_map"]

_TURN = 2 * np.pi


def _logistic(n: Any, s: Array, p: dict[str, Array]) -> Any:
    return p["r"] * s * (1 - s)


logistic = model(
    iterated_map,
    _logistic,
    About(
        name="logistic",
        title="Logistic map",
        equations=("x[n+1] = r x[n] (1 - x[n])",),
        states=(Symbol("x", "population over its largest possible value", default=0.3, range=(-0.5, 1.5)),),
        params=(Symbol("r", "growth per step of a small population", default=4.0),),
        source="May 1976, Nature 261, 459-467, doi:10.1038/261459a0",
        known=(
            "fixed points 0 (multiplier r) and 1 - 1/r (multiplier 2 - r)",
            "period doublings at r = 3, 1 + sqrt(6) = 3.449489743, 3.544090360, 3.564407266, 3.568759420",
            "they accumulate at r = 3.569945671870945 with ratio 4.669201609",
            "period-3 window from r = 1 + sqrt(8)",
            "Lyapunov exponent ln 2 at r = 4; 0.49604(2) at r = 3.9; 0.35499(3) at r = 3.7; "
            "ln|4 + 2 r - r^2| / 2 on the 2-cycle",
        ),
        transient=1000.0,
        duration=100_000.0,
    ),
)


def _henon(n: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y = s
    return 1 - p["a"] * x * x + y, p["b"] * x


henon = model(
    iterated_map,
    _henon,
    About(
        name="henon",
        title="Hénon map",
        equations=("x[n+1] = 1 - a x[n]^2 + y[n]", "y[n+1] = b x[n]"),
        states=(
            Symbol("x", "position", default=0.1, range=(-2.0, 2.0)),
            Symbol("y", "b times the previous position", default=0.1, range=(-1.0, 1.0)),
        ),
        params=(
            Symbol("a", "strength of the folding", default=1.4),
            Symbol("b", "contraction: the Jacobian determinant is -b", default=0.3),
        ),
        source="Hénon 1976, Communications in Mathematical Physics 50, 69-77, doi:10.1007/BF01608556",
        known=(
            "fixed points x = (b - 1 +- sqrt((1 - b)^2 + 4 a)) / (2 a), y = b x",
            "at the default parameters x = 0.6313544770895, multipliers -1.9237388581 and 0.1559463223",
            "b = 0.3: born at a = -(1 - b)^2/4, flips at a = 3 (1 - b)^2/4 = 0.3675 and a = 0.9125",
            "Lyapunov exponents 0.41923(2), -1.62321(2); their sum is ln b",
            "Kaplan-Yorke dimension 1.25828",
        ),
        transient=1000.0,
        duration=100_000.0,
    ),
)


def _standard_map(n: Any, s: Array, p: dict[str, Array]) -> Any:
    x, momentum = s
    turn = jnp.asarray(_TURN, s.dtype)  # a Python number would enter jnp.mod as float64
    momentum = jnp.mod(momentum + p["k"] * jnp.sin(x), turn)
    return jnp.mod(x + momentum, turn), momentum


standard_map = model(
    iterated_map,
    _standard_map,
    About(
        name="standard_map",
        title="Standard map of Chirikov and Taylor, a kicked rotor",
        equations=(
            "p[n+1] = p[n] + k sin(x[n])  modulo 2 pi",
            "x[n+1] = x[n] + p[n+1]  modulo 2 pi",
        ),
        states=(
            Symbol("x", "angle at the kick", unit="rad", default=0.0, range=(0.0, _TURN)),
            Symbol("p", "angle turned between two kicks", unit="rad", default=6.0, range=(0.0, _TURN)),
        ),
        params=(Symbol("k", "strength of the kick", unit="rad", default=1.0),),
        source="Chirikov 1979, Physics Reports 52, 263-379, doi:10.1016/0370-1573(79)90023-1",
        known=(
            "area is preserved: the Jacobian determinant is 1 everywhere and the exponents are +- pairs",
            "fixed points (0, 0), a saddle for k > 0, and (pi, 0), elliptic for 0 < k < 4",
            "largest Lyapunov exponent 0.104(3) at k = 1 (slow: islands are sticky), 0.4375(7) at 2, "
            "0.9747(5) at 5, 1.6198(1) at 10; near ln(k/2) for large k",
        ),
        transient=1000.0,
        duration=100_000.0,
    ),
)


def _ikeda(n: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y = s
    phase = p["beta"] - p["alpha"] / (1 + x * x + y * y)
    cosine, sine = jnp.cos(phase), jnp.sin(phase)
    return p["gamma"] + p["mu"] * (x * cosine - y * sine), p["mu"] * (x * sine + y * cosine)


ikeda = model(
    iterated_map,
    _ikeda,
    About(
        name="ikeda",
        title="Ikeda map of light in a ring cavity",
        equations=(
            "z[n+1] = gamma + mu z[n] exp(i phase), z = x + i y",
            "phase = beta - alpha / (1 + |z[n]|^2)",
        ),
        states=(
            Symbol("x", "real part of the field", default=0.0, range=(-2.0, 10.0)),
            Symbol("y", "imaginary part of the field", default=0.0, range=(-6.0, 6.0)),
        ),
        params=(
            Symbol("alpha", "strength of the nonlinear phase", unit="rad", default=6.0),
            Symbol("beta", "detuning of the cavity", unit="rad", default=0.4),
            Symbol("gamma", "amplitude of the injected light", default=1.0),
            Symbol("mu", "part of the amplitude that survives one turn", default=0.9),
        ),
        source=(
            "Ikeda 1979, Optics Communications 30, 257-261, doi:10.1016/0030-4018(79)90090-7; "
            "Hammel, Jones and Moloney 1985, Journal of the Optical Society of America B 2, 552-564, "
            "doi:10.1364/JOSAB.2.000552"
        ),
        known=(
            "the Jacobian determinant is mu^2 everywhere",
            "three fixed points: a stable focus (2.97213162, 4.14594642), a flip saddle in the attractor "
            "(0.53275462, 0.24689677) and a saddle (1.11426961, -2.28569446)",
            "Lyapunov exponents 0.50761(3), -0.71833(3); their sum is 2 ln mu",
        ),
        transient=1000.0,
        duration=100_000.0,
    ),
)
