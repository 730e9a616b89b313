"""Brain-machine interface whose encoder and decoder both learn: by the gradient of their costs, or by random search."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._noise import normals
from jaxdyn._types import Array, Float, matmul, whole_number
from jaxdyn.about import About, Symbol
from jaxdyn.models._learner_parameters import value
from jaxdyn.models._model import Ingredients, model
from jaxdyn.stochastic import SEED, _as_seed
from jaxdyn.system import Map, iterated_map

__all__ = ["coadaptive_descent", "coadaptive_error", "coadaptive_search", "decoder_cost", "encoder_cost"]

_SOURCE = (
    "M. Madduri, S. Burden, A. Orsborn, A game-theoretic model for co-adaptive brain-machine interfaces, 10th "
    "International IEEE/EMBS Conference on Neural Engineering (2021), and notebook BMIModel_MathModel_nD (encoder, "
    "decoder, their costs); after R. Heliot, K. Ganguly, J. Jimenez, J. M. Carmena, Learning in closed-loop brain-"
    "machine interfaces, IEEE Trans. Syst. Man Cybern. B 40 (2010) 1387-1397"
)


def coadaptive_error(x: Float[Array, " dim"], params: Mapping[str, Any]) -> Float[Array, ""]:
    """Error that both learners descend: e = [E|y - t|^2 + sigma_w |W|^2 + sigma_k |K|^2] / 2.

    With independent targets of mean 0 and standard deviations tau, E|y - t|^2 = |(I - K W) diag(tau)|^2.

    Parameters
    ----------
    x
        State (2 d n,): K (d, n) row by row, then W (n, d) column by column.
    params
        With `tau` (d,), `sigma_k` and `sigma_w`; other entries are ignored.

    Notes
    -----
    Transforms: jit, vmap, grad. It is the potential of the game that `decoder_cost` and `encoder_cost` define.

    Examples
    --------
    >>> from jaxdyn.models.coadaptation import coadaptive_descent, coadaptive_error
    >>> interface = coadaptive_descent(n=4, d=2)
    >>> float(coadaptive_error(0 * interface.x0, interface.params))
    1.0
    """
    K, V = _matrices(x, params["tau"])
    return _reach(K, V, params) + (params["sigma_w"] * jnp.sum(V * V) + params["sigma_k"] * jnp.sum(K * K)) / 2


def decoder_cost(K: Float[Array, "d n"], W: Float[Array, "n d"], params: Mapping[str, Any]) -> Float[Array, ""]:
    """Cost of the decoder K alone, [E|y - t|^2 + sigma_k |K|^2] / 2.

    Parameters
    ----------
    K, W
        Decoder (d, n) and encoder (n, d).
    params
        With `tau` (d,) and `sigma_k`.

    Notes
    -----
    Either learner's penalty does not depend on the other, so that each cost has the slope of `coadaptive_error` in its
    learner's own variable: play of both costs with rates gamma_k and gamma_w is `coadaptive_descent`. The notebooks
    leave out the factor 1/2: their rates are half of these. Descent of the sum of both costs by both learners is
    the same game with tau larger by sqrt(2).
    """
    return _reach(K, W.T, params) + params["sigma_k"] * jnp.sum(K * K) / 2


def encoder_cost(K: Float[Array, "d n"], W: Float[Array, "n d"], params: Mapping[str, Any]) -> Float[Array, ""]:
    """Cost of the encoder W alone, [E|y - t|^2 + sigma_w |W|^2] / 2; see `decoder_cost`."""
    return _reach(K, W.T, params) + params["sigma_w"] * jnp.sum(W * W) / 2


def _reach(K: Array, V: Array, params: Mapping[str, Any]) -> Array:
    """Half the expected square of the miss y - t, for V the transpose of W."""
    miss = (jnp.eye(len(K), dtype=K.dtype) - matmul(K, V.T)) * params["tau"][None]
    return jnp.sum(miss * miss) / 2


def _matrices(x: Array, tau: Array) -> Array:
    """K and the transpose of W, both (d, n)."""
    return x.reshape(2, tau.shape[0], -1)


def _coadaptive_descent(n: Any, x: Array, p: dict[str, Array]) -> Array:
    K, V = _matrices(x, p["tau"])
    square = p["tau"] * p["tau"]
    pull = (jnp.eye(len(K), dtype=K.dtype) - matmul(K, V.T)) * square[None]
    K_next = K - p["gamma_k"] * (p["sigma_k"] * K - matmul(pull, V))
    V_next = V - p["gamma_w"] * (p["sigma_w"] * V - matmul(pull.T, K))
    return jnp.concatenate([K_next.reshape(-1), V_next.reshape(-1)])


def _coadaptive_search(n: Any, x: Array, p: dict[str, Array]) -> Array:
    K, V = _matrices(x, p["tau"])
    draws = normals(p[SEED], n, len(K) + x.size, x.dtype)
    target = p["tau"] * draws[: len(K)]
    decoder_try, encoder_try = _matrices(draws[len(K) :], p["tau"])
    rates = matmul(target, V)
    miss = matmul(K, rates) - target
    # Both costs are of second degree in their own learner's variable, so that what a try of size delta changes, over
    # delta, is a first and a second difference: no subtraction of two costs that are nearly equal.
    moved = matmul(decoder_try, rates)
    gain_k = _gain(moved, miss, decoder_try, K, p["sigma_k"], p["delta"])
    moved = matmul(K, matmul(target, encoder_try))
    gain_w = _gain(moved, miss, encoder_try, V, p["sigma_w"], p["delta"])
    K_next = K - p["gamma_k"] * gain_k * decoder_try
    V_next = V - p["gamma_w"] * gain_w * encoder_try
    return jnp.concatenate([K_next.reshape(-1), V_next.reshape(-1)])


def _gain(moved: Array, miss: Array, tried: Array, here: Array, sigma: Array, delta: Array) -> Array:
    """Change of a learner's own cost, [|y - t|^2 + sigma |here|^2] / 2, over delta, by a try here + delta tried."""
    first = jnp.sum(moved * miss) + sigma * jnp.sum(tried * here)
    return first + delta * (jnp.sum(moved * moved) + sigma * jnp.sum(tried * tried)) / 2


_PARAMS = (
    Symbol("tau", "size of the target in its d directions, (d,) or one for all; ones if not given"),
    Symbol("sigma_k", "effort penalty of the decoder K", default=0.5),
    Symbol("sigma_w", "effort penalty of the encoder W", default=0.5),
)
_RATES = (
    Symbol("gamma_k", "learning rate of the decoder", default=0.3),
    Symbol("gamma_w", "learning rate of the encoder", default=0.4),
)
_SLOW = tuple(dataclasses.replace(rate, default=0.01) for rate in _RATES)
_TRIES = (
    Symbol("delta", "size of a try; 0 is the limit of small ones", default=0.05),
    Symbol("seed", "seed of targets and tries, a whole number", default=0),
)
_STATES = (
    Symbol("k1 ... kdn", "decoder K, (d, n) row by row", range=(-2.0, 2.0)),
    Symbol("w1 ... wdn", "encoder W, (n, d) column by column", range=(-2.0, 2.0)),
)
_INTERFACE = "activity of n channels f = W t for a target t in R^d, t_i of variance tau_i^2; cursor y = K f"


def _defaults(symbols: tuple[Symbol, ...], n: int, d: int) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Parameters, start and names; with d = 1 those of `vector_learner_descent`."""
    n, d = whole_number(n, "n"), whole_number(d, "d")
    i = np.arange(d * n)
    start = [*(0.5 * np.cos(i) + 0.1).tolist(), *(0.5 * np.cos(i + 0.5)).tolist()]
    names = tuple(f"{letter}{j + 1}" for letter in "kw" for j in range(d * n))
    return {symbol.name: symbol.default for symbol in symbols} | {"tau": 1.0}, start, names


def _sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    """One size of the target for all directions, or d of them."""
    tau, d = made.params["tau"], options["d"]
    if np.shape(tau) not in ((), (d,)):
        raise ValueError(f"tau must be one number or have shape ({d},) for targets of d={d}, got {np.shape(tau)}")
    return made._replace(params=made.params | {"tau": jnp.broadcast_to(value(tau), (d,))})


def _seeded_map(field: Any, params: dict[str, Any], x0: Any, **words: Any) -> Map:
    """Map with a seed, which stays a whole number where other numbers take the system's dtype."""
    made = iterated_map(field, params | {SEED: 0}, x0, **words)
    return dataclasses.replace(made, params=made.params | {SEED: _as_seed(params[SEED])})


coadaptive_descent = model(
    iterated_map,
    _coadaptive_descent,
    About(
        name="coadaptive_descent",
        title="Brain-machine interface, encoder and decoder learn by gradient descent",
        equations=(
            _INTERFACE,
            "K+ = K - gamma_k de/dK, W+ = W - gamma_w de/dW",
            "e = [|(I - K W) diag(tau)|^2 + sigma_w |W|^2 + sigma_k |K|^2] / 2",
        ),
        states=_STATES,
        params=(*_PARAMS, *_RATES),
        source=f"{_SOURCE}. Closed forms: jaxdyn.models.coadaptation_theory",
        known=(
            "d = 1: vector_learner_descent; n = d = 1: two_learner_descent",
            "each learner descends its own cost, without the other's penalty: the same map, a potential game",
            "with q = sqrt(sigma_k sigma_w): at the minima the min(n, d) largest targets of tau_i^2 > q have minima of "
            "the scalar game along orthonormal channels, K W = diag(1 - q/tau_i^2), the others have K = W = 0",
            "equal tau, d <= n: a manifold of dimension d n - d (d + 1)/2; multipliers there 1 (as many), the two of "
            "the scalar game (d (d + 1)/2 times each), 1 - (A + B) (d (d - 1)/2 times) and 1 - (gamma_k sigma_k + "
            "gamma_w sigma_w) (d (n - d) times); A = gamma_k tau^2 sqrt(sigma_k/sigma_w), B = gamma_w tau^2 "
            "sqrt(sigma_w/sigma_k)",
            "equal tau: for d = 1 the minima are stable where those of the scalar game are, for d >= 2 if and only if "
            "A + B < 2: rotations of encoder and decoder against each other flip first",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
    options={"n": 8, "d": 2},
    defaults=lambda n, d: _defaults((*_PARAMS, *_RATES), n, d),
    complete=_sized,
)

coadaptive_search = model(
    _seeded_map,
    _coadaptive_search,
    About(
        name="coadaptive_search",
        title="Brain-machine interface, encoder and decoder learn by random search, trial by trial",
        equations=(
            f"{_INTERFACE}, normal and new in each trial",
            "K+ = K - gamma_k U [c_k(K + delta U) - c_k(K)] / delta, c_k = [|y - t|^2 + sigma_k |K|^2] / 2",
            "W+ = W - gamma_w V [c_w(W + delta V) - c_w(W)] / delta, c_w = [|y - t|^2 + sigma_w |W|^2] / 2",
            "U and V: independent standard normal numbers in each trial; both learners try and move at once",
        ),
        states=_STATES,
        params=(*_PARAMS, *_SLOW, *_TRIES),
        source=f"{_SOURCE}; Y. Nesterov and V. Spokoiny, Random gradient-free minimization of convex functions, Found. "
        "Comput. Math. 17 (2017) 527-566",
        known=(
            "the mean step is that of coadaptive_descent, for every delta: the costs are of second degree",
            "delta = 0: the mean square of a learner's step is d n + 2 times that of its own gradient",
            "it is a map of the trial's number and the seed: equal seeds give equal targets and tries",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
    options={"n": 8, "d": 2},
    defaults=lambda n, d: _defaults((*_PARAMS, *_SLOW, *_TRIES), n, d),
    complete=_sized,
)
