"""Brain-machine interface whose encoder and decoder both learn by random search, trial by trial."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxdyn._noise import normals
from jaxdyn._types import Array, matmul
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.models.coadaptation import _INTERFACE, _PARAMS, _RATES, _SOURCE, _STATES, _defaults, _matrices, _sized
from jaxdyn.stochastic import SEED, _as_seed
from jaxdyn.system import Map, iterated_map

__all__ = ["coadaptive_search"]


def _coadaptive_search(n: Any, x: Array, p: dict[str, Array], together: bool = False) -> Array:
    K, V = _matrices(x, p["tau"])
    draws = normals(p[SEED], n, len(K) + x.size, x.dtype)
    target = p["tau"] * draws[: len(K)]
    decoder_try, encoder_try = _matrices(draws[len(K) :], p["tau"])
    rates, rates_try = matmul(target, V), matmul(target, encoder_try)
    miss = matmul(K, rates) - target
    # Both costs are of second degree in their own learner's variable, so that what a try of size delta changes, over
    # delta, is a first and a second difference: no subtraction of two costs that are nearly equal.
    moved_k, moved_w = matmul(decoder_try, rates), matmul(K, rates_try)
    if together:  # one trial shows the sum of both learners' tries, and their product
        moved_k = moved_w = moved_k + moved_w + p["delta"] * matmul(decoder_try, rates_try)
    gain_k = _gain(moved_k, miss, decoder_try, K, p["sigma_k"], p["delta"])
    gain_w = _gain(moved_w, miss, encoder_try, V, p["sigma_w"], p["delta"])
    K_next = K - p["gamma_k"] * gain_k * decoder_try
    V_next = V - p["gamma_w"] * gain_w * encoder_try
    return jnp.concatenate([K_next.reshape(-1), V_next.reshape(-1)])


def _search_together(n: Any, x: Array, p: dict[str, Array]) -> Array:
    return _coadaptive_search(n, x, p, together=True)


def _gain(moved: Array, miss: Array, tried: Array, here: Array, sigma: Array, delta: Array) -> Array:
    """Change of a learner's own cost, [|y - t|^2 + sigma |here|^2] / 2, over delta, by a try here + delta tried."""
    first = jnp.sum(moved * miss) + sigma * jnp.sum(tried * here)
    return first + delta * (jnp.sum(moved * moved) + sigma * jnp.sum(tried * tried)) / 2


_SLOW = tuple(dataclasses.replace(rate, default=0.01) for rate in _RATES)
_TRIES = (
    Symbol("delta", "size of a try; 0 is the limit of small ones", default=0.05),
    Symbol("seed", "seed of targets and tries, a whole number", default=0),
)


def _seeded_map(field: Any, params: dict[str, Any], x0: Any, **words: Any) -> Map:
    """Map with a seed, which stays a whole number where other numbers take the system's dtype."""
    made = iterated_map(field, params | {SEED: 0}, x0, **words)
    return dataclasses.replace(made, params=made.params | {SEED: _as_seed(params[SEED])})


def _sized_search(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    """As `_sized`; the equations of one trial for both learners if chosen."""
    return _sized(made._replace(field=_search_together) if options["together"] else made, options)


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
            "U and V: independent standard normal numbers in each trial; both learners move at once",
            "together=True: both try in one trial, c_k(K + delta U, W + delta V) - c_k(K, W), and so c_w",
        ),
        states=_STATES,
        params=(*_PARAMS, *_SLOW, *_TRIES),
        source=f"{_SOURCE}; Y. Nesterov and V. Spokoiny, Random gradient-free minimization of convex functions, Found. "
        "Comput. Math. 17 (2017) 527-566; all parameters tried in one trial: G. Cauwenberghs, A fast stochastic error-"
        "descent algorithm for supervised learning and optimization, NIPS 5 (1993) 244-251",
        known=(
            "each learner by its own try: the mean step is that of coadaptive_descent, for every delta, as the costs "
            "are of second degree",
            "delta = 0: the mean square of a learner's step is d n + 2 times that of its own gradient",
            "together: so it is with sigma_k + delta^2 sum tau_j^2 for sigma_k and, for column i of W, sigma_w + "
            "d delta^2 tau_i^2 for sigma_w: the other's tries are an effort penalty",
            "together, delta = 0: d n |h|^2 more, for h the slope of the trial's miss by the other learner's variable",
            "it is a map of the trial's number and the seed: equal seeds give equal targets and tries",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
    options={"n": 8, "d": 2, "together": False},
    defaults=lambda n, d, together: _defaults((*_PARAMS, *_SLOW, *_TRIES), n, d),
    complete=_sized_search,
)
