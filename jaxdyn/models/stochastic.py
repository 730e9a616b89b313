"""Stochastic models: Ito equations whose parameter `seed` decides the noise."""

from typing import Any

import jax.numpy as jnp

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import model
from jaxdyn.models.neurons import fitzhugh_nagumo
from jaxdyn.stochastic import sde

__all__ = ["double_well", "geometric_brownian_motion", "noisy_fitzhugh_nagumo", "ornstein_uhlenbeck"]

_SEED = Symbol("seed", "seed of the noise, a whole number", default=0)


def _double_well(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (p["a"] * x[0] - p["b"] * x[0] ** 3,)


def _one_amplitude(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (p["sigma"],)


double_well = model(
    sde,
    _double_well,
    About(
        name="double_well",
        title="Overdamped particle in a double well, with noise",
        equations=("dx = (a x - b x^3) dt + sigma dW, the descent of V = b x^4/4 - a x^2/2",),
        states=(Symbol("x", "position", default=-1.0, range=(-2.0, 2.0)),),
        params=(
            Symbol("a", "curvature of the barrier", default=1.0),
            Symbol("b", "confinement", default=1.0),
            Symbol("sigma", "amplitude of the noise", default=0.5),
            _SEED,
        ),
        source="Kramers 1940, Physica 7, 284-304, doi:10.1016/S0031-8914(40)90098-2",
        known=(
            "stationary density proportional to exp(-2 V(x)/sigma^2); wells at +-sqrt(a/b), barrier a^2/(4 b) high",
            "Kramers' rate of leaving a well for weak noise: a/(sqrt(2) pi) exp(-a^2/(2 b sigma^2))",
            "Lyapunov exponent a - 3 b <x^2>, negative: runs with the same noise meet; -1.5564085 at the defaults",
        ),
        dt=0.01,
        transient=20.0,
        duration=1000.0,
    ),
    diffusion=_one_amplitude,
)


def _geometric_brownian_motion(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (p["mu"] * x[0],)


def _proportional_amplitude(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (p["sigma"] * x[0],)


geometric_brownian_motion = model(
    sde,
    _geometric_brownian_motion,
    About(
        name="geometric_brownian_motion",
        title="Geometric Brownian motion",
        equations=("dx = mu x dt + sigma x dW",),
        states=(Symbol("x", "quantity", default=1.0, range=(-0.5, 3.0)),),
        params=(
            Symbol("mu", "growth rate of the mean", default=0.05),
            Symbol("sigma", "amplitude of the noise, relative", default=0.2),
            _SEED,
        ),
        source="Black and Scholes 1973, Journal of Political Economy 81, 637-654, doi:10.1086/260062",
        known=(
            "x(t) = x(0) exp((mu - sigma^2/2) t + sigma W(t)), log-normal; mean x(0) exp(mu t)",
            "Lyapunov exponent mu - sigma^2/2: for sigma^2 > 2 mu almost every run decays although the mean grows",
        ),
        dt=0.01,
        duration=100.0,
    ),
    diffusion=_proportional_amplitude,
)


def _noisy_fitzhugh_nagumo(t: Any, x: Array, p: dict[str, Array]) -> Any:
    v, w = x
    return v - v**3 / 3 - w + p["I"], (v + p["a"] - p["b"] * w) / p["tau"]


def _first_amplitude(t: Any, x: Array, p: dict[str, Array]) -> Array:
    return jnp.stack([p["sigma"], jnp.zeros_like(p["sigma"])])[:, None]


_NEURON = fitzhugh_nagumo.about

noisy_fitzhugh_nagumo = model(
    sde,
    _noisy_fitzhugh_nagumo,
    About(
        name="noisy_fitzhugh_nagumo",
        title="FitzHugh-Nagumo neuron with noise in its current",
        equations=("dv = (v - v^3/3 - w + I) dt + sigma dW", "tau dw = (v + a - b w) dt"),
        states=_NEURON.states,
        params=(
            *(symbol for symbol in _NEURON.params if symbol.name != "I"),
            Symbol("I", "mean injected current", default=0.3),
            Symbol("sigma", "amplitude of the noise in the current", default=0.1),
            _SEED,
        ),
        source="Lindner, Garcia-Ojalvo, Neiman and Schimansky-Geier 2004, Physics Reports 392, 321-424, "
        "doi:10.1016/j.physrep.2003.10.015; equations of FitzHugh 1961, doi:10.1016/S0006-3495(61)86902-6",
        known=(
            "without noise rest is stable up to the Hopf point I = 0.33128133745: at I = 0.3 all spikes are noise's",
            "weak noise spreads (v, w) about rest with the covariance C that solves J C + C J^T + diag(sigma^2, 0) "
            "= 0: for I = 0.3 var v = 10.38463 sigma^2, var w = 0.79842505 sigma^2",
            "coherence resonance: intervals between spikes are most regular at a noise that is neither weak nor strong",
        ),
        dt=0.02,
        transient=200.0,
        duration=2000.0,
    ),
    diffusion=_first_amplitude,
)


def _ornstein_uhlenbeck(t: Any, x: Array, p: dict[str, Array]) -> Any:
    return (p["theta"] * (p["mu"] - x[0]),)


ornstein_uhlenbeck = model(
    sde,
    _ornstein_uhlenbeck,
    About(
        name="ornstein_uhlenbeck",
        title="Ornstein-Uhlenbeck process",
        equations=("dx = theta (mu - x) dt + sigma dW",),
        states=(Symbol("x", "velocity, or any quantity that returns to its mean", default=0.0, range=(-3.0, 3.0)),),
        params=(
            Symbol("theta", "rate of return", default=1.0),
            Symbol("mu", "mean", default=0.0),
            Symbol("sigma", "amplitude of the noise", default=1.0),
            _SEED,
        ),
        source="Uhlenbeck and Ornstein 1930, Physical Review 36, 823-841, doi:10.1103/PhysRev.36.823",
        known=(
            "stationary: normal with mean mu and variance sigma^2/(2 theta), autocorrelation exp(-theta |s|)",
            "Lyapunov exponent -theta",
            "mean first-passage time from the mean to mu + sigma/sqrt(theta): 4.0377283/theta (Siegert 1951, Physical "
            "Review 81, 617-623, doi:10.1103/PhysRev.81.617)",
        ),
        dt=0.01,
        transient=10.0,
        duration=1000.0,
    ),
    diffusion=_one_amplitude,
)
