"""Models of single neurons and neural populations."""

from typing import Any

import jax.numpy as jnp
from jax.nn import sigmoid

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import model
from jaxdyn.system import flow

__all__ = ["fitzhugh_nagumo", "hodgkin_huxley", "morris_lecar", "wilson_cowan"]

_CONDUCTANCE = "mS/cm^2"
_CURRENT = "uA/cm^2"
_PART = (-0.25, 0.75)


def _fitzhugh_nagumo(t: Any, x: Array, p: dict[str, Array]) -> Any:
    v, w = x
    return v - v**3 / 3 - w + p["I"], (v + p["a"] - p["b"] * w) / p["tau"]


fitzhugh_nagumo = model(
    flow,
    _fitzhugh_nagumo,
    About(
        name="fitzhugh_nagumo",
        title="FitzHugh-Nagumo neuron",
        equations=("v' = v - v^3/3 - w + I", "tau w' = v + a - b w"),
        states=(
            Symbol("v", "membrane potential", default=-1.0, range=(-2.5, 2.5)),
            Symbol("w", "recovery variable", default=1.0, range=(-1.5, 2.5)),
        ),
        params=(
            Symbol("a", "offset of the recovery nullcline", default=0.7),
            Symbol("b", "slope of the recovery nullcline", default=0.8),
            Symbol("tau", "time constant of recovery", default=12.5),
            Symbol("I", "injected current", default=0.5),
        ),
        source="FitzHugh 1961, Biophysical Journal 1, 445-466, doi:10.1016/S0006-3495(61)86902-6",
        known=(
            "one fixed point for every I when b < 1: the real root of (b/3) v^3 + (1 - b) v + a - b I = 0",
            "Hopf points at I = 0.33128133745 and 1.41871866255, both subcritical (other parameters at default)",
            "stable cycle at I = 0.5: period 39.47441498, exponents 0 and -0.97053405",
        ),
        dt=0.1,
        transient=500.0,
        duration=2000.0,
    ),
)


def _hodgkin_huxley(t: Any, s: Array, p: dict[str, Array]) -> Any:
    v, m, h, n = s
    sodium = p["gNa"] * m**3 * h * (v - p["ENa"])
    potassium = p["gK"] * n**4 * (v - p["EK"])
    leak = p["gL"] * (v - p["EL"])
    open_m, close_m = _bernoulli((25 - v) / 10), 4 * jnp.exp(-v / 18)
    open_h, close_h = 0.07 * jnp.exp(-v / 20), sigmoid((v - 30) / 10)
    open_n, close_n = 0.1 * _bernoulli((10 - v) / 10), 0.125 * jnp.exp(-v / 80)
    return (
        (p["I"] - sodium - potassium - leak) / p["C"],
        p["phi"] * (open_m * (1 - m) - close_m * m),
        p["phi"] * (open_h * (1 - h) - close_h * h),
        p["phi"] * (open_n * (1 - n) - close_n * n),
    )


def _bernoulli(u: Array) -> Array:
    """Quotient u / (exp(u) - 1), also at u = 0, where the quotient and its derivatives are 0/0.

    Near zero it is its Taylor series (Bernoulli numbers; the first term left out is below 3e-18), farther
    out the quotient. Either branch sees an argument that is safe for it, so derivatives are finite too.
    """
    near = jnp.abs(u) < 0.1
    small, large = jnp.where(near, u, 0), jnp.where(near, 1, u)
    square = small * small
    even = 1 + square * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600)))
    return jnp.where(near, even - small / 2, large / jnp.expm1(large))


hodgkin_huxley = model(
    flow,
    _hodgkin_huxley,
    About(
        name="hodgkin_huxley",
        title="Hodgkin-Huxley giant axon of the squid, space-clamped",
        equations=(
            "C V' = I - gNa m^3 h (V - ENa) - gK n^4 (V - EK) - gL (V - EL)",
            "j' = phi (alpha_j(V) (1 - j) - beta_j(V) j) for j = m, h, n",
            "alpha_m = 0.1 (25 - V) / (exp((25 - V)/10) - 1), beta_m = 4 exp(-V/18)",
            "alpha_h = 0.07 exp(-V/20), beta_h = 1 / (exp((30 - V)/10) + 1)",
            "alpha_n = 0.01 (10 - V) / (exp((10 - V)/10) - 1), beta_n = 0.125 exp(-V/80)",
        ),
        states=(
            Symbol("V", "depolarization from rest", unit="mV", default=0.0, range=(-15.0, 120.0)),
            Symbol("m", "activation of sodium", default=0.05, range=(0.0, 1.0)),
            Symbol("h", "inactivation of sodium (1: not inactivated)", default=0.6, range=(0.0, 1.0)),
            Symbol("n", "activation of potassium", default=0.32, range=(0.0, 1.0)),
        ),
        params=(
            Symbol("I", "injected current, depolarizing if positive", unit=_CURRENT, default=10.0),
            Symbol("C", "capacitance", unit="uF/cm^2", default=1.0),
            Symbol("gNa", "largest sodium conductance", unit=_CONDUCTANCE, default=120.0),
            Symbol("gK", "largest potassium conductance", unit=_CONDUCTANCE, default=36.0),
            Symbol("gL", "leak conductance", unit=_CONDUCTANCE, default=0.3),
            Symbol("ENa", "reversal potential of sodium, from rest", unit="mV", default=115.0),
            Symbol("EK", "reversal potential of potassium, from rest", unit="mV", default=-12.0),
            Symbol("EL", "reversal potential of the leak, from rest", unit="mV", default=10.6),
            Symbol("phi", "speed of the gates, 3^((T - 6.3)/10) at T degrees Celsius", default=1.0),
        ),
        source="Hodgkin and Huxley 1952, Journal of Physiology 117, 500-544, doi:10.1113/jphysiol.1952.sp004764",
        known=(
            "Hopf points at I = 9.7793379954 (V = 5.345856397, frequency 0.5862338131 per ms, subcritical) and "
            "I = 154.5263336658 (V = 21.941907987, frequency 1.062921807 per ms, supercritical)",
            "lowest current with spiking 6.2642; EL = 10.613 lowers both Hopf points by 0.0039",
        ),
        time_unit="ms",
        dt=0.02,
        transient=200.0,
        duration=1000.0,
    ),
)


def _morris_lecar(t: Any, s: Array, p: dict[str, Array]) -> Any:
    v, w = s
    m_inf = (1 + jnp.tanh((v - p["V1"]) / p["V2"])) / 2
    w_inf = (1 + jnp.tanh((v - p["V3"]) / p["V4"])) / 2
    rate = p["phi"] * jnp.cosh((v - p["V3"]) / (2 * p["V4"]))
    currents = (
        p["gL"] * (v - p["VL"]) + p["gCa"] * m_inf * (v - p["VCa"]) + p["gK"] * w * (v - p["VK"])  # outward
    )
    return (p["I"] - currents) / p["C"], rate * (w_inf - w)


morris_lecar = model(
    flow,
    _morris_lecar,
    About(
        name="morris_lecar",
        title="Morris-Lecar muscle fiber",
        equations=(
            "C V' = I - gL (V - VL) - gCa m_inf(V) (V - VCa) - gK w (V - VK)",
            "w' = phi cosh((V - V3) / (2 V4)) (w_inf(V) - w)",
            "m_inf = (1 + tanh((V - V1) / V2)) / 2, w_inf = (1 + tanh((V - V3) / V4)) / 2",
        ),
        states=(
            Symbol("V", "membrane potential", unit="mV", default=-40.0, range=(-80.0, 60.0)),
            Symbol("w", "open part of the potassium channels", default=0.0, range=(-0.1, 1.1)),
        ),
        params=(
            Symbol("I", "injected current", unit=_CURRENT, default=100.0),
            Symbol("C", "capacitance", unit="uF/cm^2", default=20.0),
            Symbol("gCa", "largest calcium conductance", unit=_CONDUCTANCE, default=4.4),
            Symbol("gK", "largest potassium conductance", unit=_CONDUCTANCE, default=8.0),
            Symbol("gL", "leak conductance", unit=_CONDUCTANCE, default=2.0),
            Symbol("VCa", "reversal potential of calcium", unit="mV", default=120.0),
            Symbol("VK", "reversal potential of potassium", unit="mV", default=-84.0),
            Symbol("VL", "reversal potential of the leak", unit="mV", default=-60.0),
            Symbol("V1", "potential at which half of the calcium channels are open", unit="mV", default=-1.2),
            Symbol("V2", "width of the calcium activation", unit="mV", default=18.0),
            Symbol("V3", "potential at which half of the potassium channels are open", unit="mV", default=2.0),
            Symbol("V4", "width of the potassium activation", unit="mV", default=30.0),
            Symbol("phi", "rate of the potassium channels", unit="1/ms", default=0.04),
        ),
        source=(
            "Morris and Lecar 1981, Biophysical Journal 35, 193-213, doi:10.1016/S0006-3495(81)84782-0; "
            "parameter sets: Rinzel and Ermentrout, Analysis of neural excitability and oscillations, in "
            "Koch and Segev (eds), Methods in Neuronal Modeling, 2nd edition 1998"
        ),
        known=(
            "default (Hopf) set: subcritical Hopf points at I = 93.8576183737 (V = -25.2701) and 212.0188161 "
            "(V = 7.80066); lowest current with spiking 88.2933",
            "set gCa = 4, phi = 1/15, V3 = 12, V4 = 17.4: saddle-nodes at I = 39.9631530927 (V = -29.38978; "
            "spiking starts there from zero frequency) and -9.94903932, Hopf point at 97.787888964",
        ),
        time_unit="ms",
        dt=0.25,
        transient=1000.0,
        duration=5000.0,
    ),
)


def _wilson_cowan(t: Any, s: Array, p: dict[str, Array]) -> Any:
    excitatory, inhibitory = s
    drive_e = p["c1"] * excitatory - p["c2"] * inhibitory + p["P"]
    drive_i = p["c3"] * excitatory - p["c4"] * inhibitory + p["Q"]
    response_e, largest_e = _response(drive_e, p["a_e"], p["theta_e"])
    response_i, largest_i = _response(drive_i, p["a_i"], p["theta_i"])
    return (
        (-excitatory + (largest_e - p["r_e"] * excitatory) * response_e) / p["tau_e"],
        (-inhibitory + (largest_i - p["r_i"] * inhibitory) * response_i) / p["tau_i"],
    )


def _response(drive: Array, slope: Array, threshold: Array) -> tuple[Array, Array]:
    """Sigmoid shifted to be zero at zero drive, and its largest value."""
    offset = sigmoid(-slope * threshold)
    return sigmoid(slope * (drive - threshold)) - offset, 1 - offset


wilson_cowan = model(
    flow,
    _wilson_cowan,
    About(
        name="wilson_cowan",
        title="Wilson-Cowan population of excitatory and inhibitory neurons",
        equations=(
            "tau_e E' = -E + (k_e - r_e E) S_e(c1 E - c2 I + P)",
            "tau_i I' = -I + (k_i - r_i I) S_i(c3 E - c4 I + Q)",
            "S_j(x) = 1 / (1 + exp(-a_j (x - theta_j))) - 1 / (1 + exp(a_j theta_j)), k_j = S_j(infinity)",
        ),
        states=(
            Symbol("E", "part of the excitatory cells that fires, less its resting value", default=0.1, range=_PART),
            Symbol("I", "part of the inhibitory cells that fires, less its resting value", default=0.05, range=_PART),
        ),
        params=(
            Symbol("c1", "connections of excitatory to excitatory cells", default=16.0),
            Symbol("c2", "connections of inhibitory to excitatory cells", default=12.0),
            Symbol("c3", "connections of excitatory to inhibitory cells", default=15.0),
            Symbol("c4", "connections of inhibitory to inhibitory cells", default=3.0),
            Symbol("a_e", "slope of the excitatory response", default=1.3),
            Symbol("theta_e", "drive at the steepest excitatory response", default=4.0),
            Symbol("a_i", "slope of the inhibitory response", default=2.0),
            Symbol("theta_i", "drive at the steepest inhibitory response", default=3.7),
            Symbol("r_e", "refractory part of the excitatory cells", default=1.0),
            Symbol("r_i", "refractory part of the inhibitory cells", default=1.0),
            Symbol("tau_e", "time constant of the excitatory cells", default=1.0),
            Symbol("tau_i", "time constant of the inhibitory cells", default=1.0),
            Symbol("P", "external drive of the excitatory cells", default=1.25),
            Symbol("Q", "external drive of the inhibitory cells", default=0.0),
        ),
        source=(
            "Wilson and Cowan 1972, Biophysical Journal 12, 1-24, doi:10.1016/S0006-3495(72)86068-5; "
            "default parameters: the limit cycle of its figure 11"
        ),
        known=(
            "with P = Q = 0 the rest state (0, 0) is a fixed point",
            "default parameters: stable cycle of period 4.9958943 about the unstable fixed point (0.201748, 0.106889)",
            "Hopf point at P = 1.87931320, frequency 2.66431323",
        ),
        dt=0.05,
        transient=100.0,
        duration=1000.0,
    ),
)
