"""Models of rate networks: a Hebbian pair, a feed-forward layer, random recurrent networks."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float, matmul, whole_number
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow, iterated_map

__all__ = ["feedforward", "hebbian_pair", "hebbian_pair_fast", "random_rnn", "random_rnn_map"]


def feedforward(
    W: Float[Array, "m n"], x: Float[Array, " n"], f: Callable[[Array], Array] = jnp.tanh
) -> Float[Array, " m"]:
    """Rates of a feed-forward layer, r = f(W x).

    Parameters
    ----------
    W
        Weights, (outputs, inputs).
    x
        Inputs, (inputs,).
    f
        Function of each output's summed input.

    Notes
    -----
    The Jacobian dr/dx is J = diag(f'(W x)) W: each row of W times the gain of its unit; `jax.jacfwd` over `x` gives it.
    Transforms: jit, vmap, grad.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxdyn.models.networks import feedforward
    >>> feedforward(jnp.array([[1.0, 2.0]]), jnp.array([1.0, -1.0]), f=jnp.abs)
    Array([1.], dtype=float32)
    """
    return f(matmul(W, x))


def _hebbian_pair(t: Any, x: Array, p: dict[str, Array]) -> Any:
    r1, r2, m11, m12, m21, m22 = x
    forget = p["eta2"]
    joint = p["eta1"] * r1 * r2
    return (
        p["gamma"] * (jnp.tanh(m11 * r1 + m12 * r2 + p["u1"]) - r1),
        p["gamma"] * (jnp.tanh(m21 * r1 + m22 * r2 + p["u2"]) - r2),
        p["eta1"] * r1 * r1 - forget * m11,
        joint - forget * m12,
        joint - forget * m21,
        p["eta1"] * r2 * r2 - forget * m22,
    )


def _hebbian_pair_fast(t: Any, x: Array, p: dict[str, Array]) -> Any:
    r1, r2 = x
    return (
        p["gamma"] * (jnp.tanh(p["m11"] * r1 + p["m12"] * r2 + p["u1"]) - r1),
        p["gamma"] * (jnp.tanh(p["m21"] * r1 + p["m22"] * r2 + p["u2"]) - r2),
    )


_RATES = (
    Symbol("r1", "rate of neuron 1", default=0.0, range=(-1.0, 1.0)),
    Symbol("r2", "rate of neuron 2", default=0.0, range=(-1.0, 1.0)),
)
_PAIRS = (("m11", "1 to 1"), ("m12", "2 to 1"), ("m21", "1 to 2"), ("m22", "2 to 2"))
_GAMMA = Symbol("gamma", "rate constant of the neurons", default=0.1)
_INPUTS = (Symbol("u1", "input to neuron 1", default=0.1), Symbol("u2", "input to neuron 2", default=0.1))
_RATE_EQUATION = "r_i' = gamma (-r_i + tanh(sum_j m_ij r_j + u_i))"
_LEARNING = (
    "Dayan and Abbott 2001, Theoretical Neuroscience, chapters 7 and 8 (rate networks; Hebbian rules with decay)"
)

hebbian_pair = model(
    flow,
    _hebbian_pair,
    About(
        name="hebbian_pair",
        title="Two rate neurons with Hebbian weights",
        equations=(_RATE_EQUATION, "m_ij' = eta1 r_i r_j - eta2 m_ij"),
        states=(
            *_RATES,
            *(Symbol(name, f"weight from {way}", default=0.1, range=(-2.5, 2.5)) for name, way in _PAIRS),
        ),
        params=(
            _GAMMA,
            Symbol("eta1", "learning rate", default=0.0013),
            Symbol("eta2", "forgetting rate; weights relax over 1/eta2", default=0.001),
            *_INPUTS,
        ),
        source=_LEARNING,
        known=(
            "times of the two processes: 1/gamma = 10 for the rates, 1/eta2 = 1000 for the weights at the defaults",
            "fixed points: m_ij = eta r_i r_j and atanh(r_i) - u_i = eta r_i (r1^2 + r2^2), with eta = eta1/eta2",
            "m12 - m21 decays exactly as exp(-eta2 t); with equal ones an energy decreases, so that only fixed points "
            "attract",
            "u = 0: 1, 9 or 17 fixed points, changing at eta = 1.0084990198 and 2.0169980396",
            "u = 0.1: 9 fixed points, 5 of them stable; from the default start r = 0.11521408, m = 0.0676658 at "
            "t = 500, and r = 0.10243396, m = 0.01364053 in the end",
        ),
        dt=1.0,
        transient=20000.0,
        duration=20000.0,
    ),
)

hebbian_pair_fast = model(
    flow,
    _hebbian_pair_fast,
    About(
        name="hebbian_pair_fast",
        title="Two rate neurons with frozen weights",
        equations=(_RATE_EQUATION,),
        states=_RATES,
        params=(_GAMMA, *(Symbol(name, f"weight from {way}", default=0.1) for name, way in _PAIRS), *_INPUTS),
        source=_LEARNING,
        known=(
            "nullclines r2 = (atanh(r1) - m11 r1 - u1)/m12 and r1 = (atanh(r2) - m22 r2 - u2)/m21",
            "Jacobian gamma (diag(1 - r_i^2) M - I) at a fixed point",
        ),
        dt=1.0,
        transient=500.0,
        duration=1000.0,
    ),
)


def _tanh_rate(t: Any, x: Array, p: dict[str, Array]) -> Array:
    return -x + _recurrent(jnp.tanh(x), p) + p["input"]


def _linear_rate(t: Any, x: Array, p: dict[str, Array]) -> Array:
    return -x + _recurrent(x, p) + p["input"]


def _tanh_map(n: Any, x: Array, p: dict[str, Array]) -> Array:
    return _recurrent(jnp.tanh(x), p)


def _linear_map(n: Any, x: Array, p: dict[str, Array]) -> Array:
    return _recurrent(x, p)


def _recurrent(rates: Array, p: dict[str, Array]) -> Array:
    # g stays outside the product: a sweep of g then shares one J, and all its lanes are one matrix product.
    return p["g"] * matmul(p["J"], rates)


def _network(n: int, seed: int) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Coupling and start of one network, drawn in float64 so that every dtype gets the same one, rounded."""
    n = whole_number(n, "n")
    random = np.random.default_rng(seed)
    coupling = random.standard_normal((n, n)) / np.sqrt(n)
    start = random.standard_normal(n)
    return {"g": 1.1, "J": coupling}, start, tuple(f"x{i + 1}" for i in range(n))


def _driven_network(n: int, seed: int, phi: str) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    params, start, names = _network(n, seed)
    return params | {"input": np.zeros(n)}, start, names


def _with_phi(fields: dict[str, Callable[..., Array]]) -> Callable[[Ingredients, dict[str, Any]], Ingredients]:
    """Completion of a network: the equations for the chosen phi, after a check of the arrays that were given."""

    def complete(made: Ingredients, options: dict[str, Any]) -> Ingredients:
        phi, n = options["phi"], len(made.state_names)
        if phi not in fields:
            raise ValueError(f"phi must be one of {', '.join(map(repr, fields))}, got {phi!r}")
        expected = {"J": (n, n), "input": (n,)}
        arrays = {**made.params} if made.x0 is None else {**made.params, "x0": made.x0}
        for name, value in arrays.items():
            shape = expected.get(name, (n,) if name == "x0" else ())
            if np.shape(value) != shape:
                raise ValueError(f"{name} must have shape {shape} in a network of n={n}, got {np.shape(value)}")
        return made._replace(field=fields[phi])

    return complete


_NEURONS = (Symbol("x1 ... xn", "activation of the neurons", range=(-5.0, 5.0)),)
_GAIN = Symbol("g", "gain of the coupling", default=1.1)
_COUPLING = Symbol("J", "coupling (n, n), J_ij from N(0, 1/n), drawn by the seed")

random_rnn = model(
    flow,
    _tanh_rate,
    About(
        name="random_rnn",
        title="Random recurrent network",
        equations=("x' = -x + g J phi(x) + input", "phi = tanh (or the identity: phi='identity')"),
        states=_NEURONS,
        params=(_GAIN, _COUPLING, Symbol("input", "constant input, (n,); zeros if not given")),
        source="Sompolinsky, Crisanti and Sommers 1988, Physical Review Letters 61, 259-262, "
        "doi:10.1103/PhysRevLett.61.259",
        known=(
            "at the origin the Jacobian is -I + g J: its spectrum fills the disc about -1 of radius g as n grows; at "
            "n = 500 the largest real part of J is 0.995 on average, with a standard deviation of 0.024",
            "chaos begins at g = 1 for infinite n; at n = 500, g = 1.1 none of six networks was chaotic",
            "largest exponent for infinite n (mean field): 0.046746 at g = 1.5, 0.112458 at 2, 0.235461 at 3",
            "sum of the exponents: -n + g sum_i J_ii <phi'(x_i)>",
        ),
        dt=0.05,
        transient=200.0,
        duration=1000.0,
    ),
    options={"n": 500, "seed": 0, "phi": "tanh"},
    defaults=_driven_network,
    complete=_with_phi({"tanh": _tanh_rate, "identity": _linear_rate}),
)

random_rnn_map = model(
    iterated_map,
    _tanh_map,
    About(
        name="random_rnn_map",
        title="Random recurrent network in discrete time",
        equations=("x[n+1] = g J phi(x[n])", "phi = tanh (or the identity: phi='identity')"),
        states=_NEURONS,
        params=(_GAIN, _COUPLING),
        source="Molgedey, Schuchhardt and Schuster 1992, Physical Review Letters 69, 3717",
        known=(
            "largest exponent for infinite n (mean field): ln(g^2 <sech^4>)/2 with x normal of variance "
            "D = g^2 <tanh^2>: 0.0652172 at g = 1.5, 0.1547242 at 2, 0.3102493 at 3",
        ),
        transient=500.0,
        duration=2000.0,
    ),
    options={"n": 500, "seed": 0, "phi": "tanh"},
    defaults=lambda n, seed, phi: _network(n, seed),
    complete=_with_phi({"tanh": _tanh_map, "identity": _linear_map}),
)
