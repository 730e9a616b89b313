"""Brain-machine interface whose encoder and decoder both learn, by the gradient of their costs."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float, matmul, whole_number
from jaxdyn.about import About, Symbol
from jaxdyn.models._learner_parameters import value
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import flow, iterated_map

__all__ = [
    "coadaptive_descent",
    "coadaptive_error",
    "coadaptive_flow",
    "decoder_cost",
    "encoder_cost",
]

_SOURCE = (
    "M. Madduri, S. Burden, A. Orsborn, A game-theoretic model for co-adaptive brain-machine interfaces, 10th "
    "International IEEE/EMBS Conference on Neural Engineering (2021), and notebook BMIModel_MathModel_nD (encoder, "
    "decoder, their costs); after R. Heliot, K. Ganguly, J. Jimenez, J. M. Carmena, Learning in closed-loop brain-"
    "machine interfaces: modeling and experimental validation, IEEE Trans. Syst. Man Cybern. B 40 (2010) 1387-1397"
)


def coadaptive_error(x: Float[Array, " dim"], params: Mapping[str, Any], *, offsets: bool = False) -> Float[Array, ""]:
    """Error that both learners descend: e = [E|y - t|^2 + sigma_w |W|^2 + sigma_k |K|^2] / 2.

    With independent targets of mean 0 and standard deviations tau, E|y - t|^2 = |(I - K W) diag(tau)|^2, and
    |a + K b|^2 more with offsets, which have no penalty.

    Parameters
    ----------
    x
        State (2 d n,): K (d, n) row by row, then W (n, d) column by column; with offsets (2 d n + d + n,), then a (d,)
        and b (n,).
    params
        With `tau` (d,), `sigma_k` and `sigma_w`; other entries are ignored.
    offsets
        Whether the state ends with offsets, static.

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
    K, V, a, b = _with_offsets(x, params["tau"]) if offsets else (*_matrices(x, params["tau"]), None, None)
    error = _reach(K, V, params) + (params["sigma_w"] * jnp.sum(V * V) + params["sigma_k"] * jnp.sum(K * K)) / 2
    return error if a is None or b is None else error + jnp.sum(_mean_miss(K, a, b) ** 2) / 2


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

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxdyn.models.coadaptation import decoder_cost
    >>> float(decoder_cost(jnp.array([[1.0, 0.0]]), jnp.array([[0.5], [0.0]]), {"tau": jnp.ones(1), "sigma_k": 0.5}))
    0.375
    """
    return _reach(K, W.T, params) + params["sigma_k"] * jnp.sum(K * K) / 2


def encoder_cost(K: Float[Array, "d n"], W: Float[Array, "n d"], params: Mapping[str, Any]) -> Float[Array, ""]:
    """Cost of the encoder W alone, [E|y - t|^2 + sigma_w |W|^2] / 2; see `decoder_cost`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxdyn.models.coadaptation import encoder_cost
    >>> float(encoder_cost(jnp.array([[1.0, 0.0]]), jnp.array([[0.5], [0.0]]), {"tau": jnp.ones(1), "sigma_w": 0.5}))
    0.1875
    """
    return _reach(K, W.T, params) + params["sigma_w"] * jnp.sum(W * W) / 2


def _reach(K: Array, V: Array, params: Mapping[str, Any]) -> Array:
    """Half the expected square of the miss y - t, for V the transpose of W."""
    miss = (jnp.eye(len(K), dtype=K.dtype) - matmul(K, V.T)) * params["tau"][None]
    return jnp.sum(miss * miss) / 2


def _matrices(x: Array, tau: Array) -> Array:
    """K and the transpose of W, both (d, n)."""
    return x.reshape(2, tau.shape[0], -1)


def _with_offsets(x: Array, tau: Array) -> tuple[Array, Array, Array, Array]:
    """K, the transpose of W, a (d,) and b (n,)."""
    d = tau.shape[0]
    n = (len(x) - d) // (2 * d + 1)
    K, V = _matrices(x[: 2 * d * n], tau)
    return K, V, x[2 * d * n : 2 * d * n + d], x[2 * d * n + d :]


def _mean_miss(K: Array, a: Array, b: Array) -> Array:
    """Mean of y - t over targets, a + K b (d,)."""
    return a + jnp.sum(K * b[None], axis=1)


def _slopes(K: Array, V: Array, p: dict[str, Array]) -> tuple[Array, Array]:
    """Slopes of the error by K and by the transpose of W, by hand."""
    square = p["tau"] * p["tau"]
    pull = (jnp.eye(len(K), dtype=K.dtype) - matmul(K, V.T)) * square[None]
    return p["sigma_k"] * K - matmul(pull, V), p["sigma_w"] * V - matmul(pull.T, K)


def _coadaptive_flow(t: Any, x: Array, p: dict[str, Array]) -> Array:
    K, V = _matrices(x, p["tau"])
    de_dk, de_dv = _slopes(K, V, p)
    return -jnp.concatenate([de_dk.reshape(-1), de_dv.reshape(-1)])


def _coadaptive_descent(n: Any, x: Array, p: dict[str, Array]) -> Array:
    K, V = _matrices(x, p["tau"])
    de_dk, de_dv = _slopes(K, V, p)
    return jnp.concatenate([(K - p["gamma_k"] * de_dk).reshape(-1), (V - p["gamma_w"] * de_dv).reshape(-1)])


def _descent_with_offsets(n: Any, x: Array, p: dict[str, Array]) -> Array:
    K, V, a, b = _with_offsets(x, p["tau"])
    de_dk, de_dv = _slopes(K, V, p)
    miss = _mean_miss(K, a, b)
    K_next = K - p["gamma_k"] * (de_dk + miss[:, None] * b[None])
    V_next = V - p["gamma_w"] * de_dv
    b_next = b - p["gamma_w"] * jnp.sum(K * miss[:, None], axis=0)
    return jnp.concatenate([K_next.reshape(-1), V_next.reshape(-1), a - p["gamma_k"] * miss, b_next])


_PARAMS = (
    Symbol("tau", "size of the target in its d directions, (d,) or one for all; ones if not given"),
    Symbol("sigma_k", "effort penalty of the decoder K", default=0.5),
    Symbol("sigma_w", "effort penalty of the encoder W", default=0.5),
)
_RATES = (
    Symbol("gamma_k", "learning rate of the decoder", default=0.3),
    Symbol("gamma_w", "learning rate of the encoder", default=0.4),
)
_STATES = (
    Symbol("k1 ... kdn", "decoder K, (d, n) row by row", range=(-2.0, 2.0)),
    Symbol("w1 ... wdn", "encoder W, (n, d) column by column", range=(-2.0, 2.0)),
)
_OFFSETS = (
    Symbol("a1 ... ad", "with offsets=True: offset of the decoder, (d,)", range=(-2.0, 2.0)),
    Symbol("b1 ... bn", "with offsets=True: offset of the encoder, mean activity, (n,)", range=(-2.0, 2.0)),
)
_ERROR = "e = [|(I - K W) diag(tau)|^2 + sigma_w |W|^2 + sigma_k |K|^2] / 2"
_INTERFACE = "activity of n channels f = W t for a target t in R^d, t_i of variance tau_i^2; cursor y = K f"


def _defaults(
    symbols: tuple[Symbol, ...], n: int, d: int, offsets: bool = False
) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Parameters, start and names; with d = 1 those of `vector_learner_descent`."""
    n, d = whole_number(n, "n"), whole_number(d, "d")
    i = np.arange(d * n)
    start = [*(0.5 * np.cos(i) + 0.1).tolist(), *(0.5 * np.cos(i + 0.5)).tolist()]
    names = tuple(f"{letter}{j + 1}" for letter in "kw" for j in range(d * n))
    if offsets:
        start += [0.0] * d + (0.3 * np.cos(i[:n] + 1)).tolist()
        names += tuple(f"{letter}{j + 1}" for letter, size in (("a", d), ("b", n)) for j in range(size))
    return {symbol.name: symbol.default for symbol in symbols} | {"tau": 1.0}, start, names


def _sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    """One size of the target for all directions, or d of them; equations with offsets if chosen."""
    tau, d = made.params["tau"], options["d"]
    if np.shape(tau) not in ((), (d,)):
        raise ValueError(f"tau must be one number or have shape ({d},) for targets of d={d}, got {np.shape(tau)}")
    field = _descent_with_offsets if options.get("offsets") else made.field
    return made._replace(field=field, params=made.params | {"tau": jnp.broadcast_to(value(tau), (d,))})


coadaptive_flow = model(
    flow,
    _coadaptive_flow,
    About(
        name="coadaptive_flow",
        title="Brain-machine interface, encoder and decoder learn by gradient flow",
        equations=(_INTERFACE, "K' = -de/dK, W' = -de/dW", _ERROR),
        states=_STATES,
        params=_PARAMS,
        source=f"{_SOURCE}. Closed forms: jaxdyn.models.coadaptation_theory",
        known=(
            "d = 1: vector_learner_flow; n = d = 1: two_learner_flow",
            "eigenvalues at its stationary states: minus those of hessian_eigenvalues",
            "equal penalties sigma: D = K^T K - W W^T decays as D' = -2 sigma D",
        ),
        dt=0.05,
        transient=50.0,
        duration=100.0,
    ),
    options={"n": 8, "d": 2},
    defaults=lambda n, d: _defaults(_PARAMS, n, d),
    complete=_sized,
)

coadaptive_descent = model(
    iterated_map,
    _coadaptive_descent,
    About(
        name="coadaptive_descent",
        title="Brain-machine interface, encoder and decoder learn by gradient descent",
        equations=(
            _INTERFACE,
            "K+ = K - gamma_k de/dK, W+ = W - gamma_w de/dW",
            _ERROR,
            "offsets=True: f = b + W t, y = a + K f, a+ = a - gamma_k de/da, b+ = b - gamma_w de/db, and e has "
            "|a + K b|^2 / 2 more",
        ),
        states=(*_STATES, *_OFFSETS),
        params=(*_PARAMS, *_RATES),
        source=f"{_SOURCE}. Closed forms: jaxdyn.models.coadaptation_theory and coadaptation_offsets",
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
            "offsets: the minima are those with a = -K b, for any b; where b = 0 the multipliers of a are "
            "1 - gamma_k - gamma_w |K_i|^2, one for each row of K, and n more are 1",
            "offsets: minima with gamma_k (1 + |b|^2) + gamma_w |K_i|^2 > 2 are unstable: mean activity slows learning",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
    options={"n": 8, "d": 2, "offsets": False},
    defaults=lambda n, d, offsets: _defaults((*_PARAMS, *_RATES), n, d, offsets),
    complete=_sized,
)
