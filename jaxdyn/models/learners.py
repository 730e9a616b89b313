"""Models of two learners that adapt to each other: a user and a decoder that share one error."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float, whole_number
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import model
from jaxdyn.system import flow, iterated_map

__all__ = [
    "multiplicative_map",
    "two_learner_descent",
    "two_learner_error",
    "two_learner_flow",
    "vector_learner_descent",
    "vector_learner_flow",
]

_SOURCE = (
    "M. Madduri, BMI_Model, notebook 20200810_learning_rate_bmi: learning rates of a brain-machine interface; after "
    "J. S. Mueller et al., A mathematical model for the two-learners problem, J. Neural Eng. 14 (2017) 036005. Closed "
    "forms: jaxdyn.models.learner_theory and learner_cycles"
)


def two_learner_error(x: Float[Array, " dim"], params: Mapping[str, Any]) -> Float[Array, ""]:
    """Error that both learners descend: e = [tau^2 (1 - K.W)^2 + sigma_w W.W + sigma_k K.K] / 2.

    Parameters
    ----------
    x
        State (2 n,): the n values of K, then the n values of W; (k, w) for the scalar game.
    params
        With `tau`, `sigma_k` and `sigma_w`; other entries are ignored.

    Notes
    -----
    Transforms: jit, vmap, grad. The flow is minus its gradient; the descent multiplies the gradient with one rate a
    learner.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxdyn.models.learners import two_learner_error
    >>> float(two_learner_error(jnp.zeros(2), {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}))
    0.5
    """
    k, w = jnp.split(x, 2)
    miss = params["tau"] * (1 - jnp.sum(k * w))
    return (miss**2 + params["sigma_w"] * jnp.sum(w * w) + params["sigma_k"] * jnp.sum(k * k)) / 2


def _slopes(k: Array, w: Array, overlap: Array, p: dict[str, Array]) -> tuple[Array, Array]:
    """Slopes (de/dK, de/dW) of the error, by hand: two learners need no automatic differentiation."""
    pull = p["tau"] ** 2 * (1 - overlap)
    return p["sigma_k"] * k - pull * w, p["sigma_w"] * w - pull * k


def _two_learner_flow(t: Any, x: Array, p: dict[str, Array]) -> Any:
    k, w = x
    de_dk, de_dw = _slopes(k, w, k * w, p)
    return -de_dk, -de_dw


def _two_learner_descent(n: Any, x: Array, p: dict[str, Array]) -> Any:
    k, w = x
    de_dk, de_dw = _slopes(k, w, k * w, p)
    return k - p["gamma_k"] * de_dk, w - p["gamma_w"] * de_dw


def _vector_learner_flow(t: Any, x: Array, p: dict[str, Array]) -> Any:
    k, w = jnp.split(x, 2)
    de_dk, de_dw = _slopes(k, w, jnp.sum(k * w), p)
    return jnp.concatenate([-de_dk, -de_dw])


def _vector_learner_descent(n: Any, x: Array, p: dict[str, Array]) -> Any:
    k, w = jnp.split(x, 2)
    de_dk, de_dw = _slopes(k, w, jnp.sum(k * w), p)
    return jnp.concatenate([k - p["gamma_k"] * de_dk, w - p["gamma_w"] * de_dw])


def _multiplicative_map(n: Any, x: Array, p: dict[str, Array]) -> Any:
    w, k = x
    meeting = p["c"] * w * k
    return w - p["a"] * w - meeting, k - p["b"] * k + meeting


_ERROR = (
    Symbol("tau", "size of the target; its square weighs the error of the product k w", default=1.0),
    Symbol("sigma_k", "penalty on the size of k", default=0.5),
    Symbol("sigma_w", "penalty on the size of w", default=0.5),
)
_RATES = (
    Symbol("gamma_k", "learning rate of k", default=0.3),
    Symbol("gamma_w", "learning rate of w", default=0.4),
)
_VECTORS = (
    Symbol("k1 ... kn", "first learner, K", range=(-2.0, 2.0)),
    Symbol("w1 ... wn", "second learner, W", range=(-2.0, 2.0)),
)
_ENERGY = "e = [tau^2 (1 - k w)^2 + sigma_w w^2 + sigma_k k^2] / 2"
_VECTOR_ENERGY = "e = [tau^2 (1 - K.W)^2 + sigma_w W.W + sigma_k K.K] / 2, K and W in R^n"
_MINIMA = (
    "with q = sqrt(sigma_k sigma_w): minima at (k, w) = +-sqrt(1 - q/tau^2) ((sigma_w/sigma_k)^(1/4), "
    "(sigma_k/sigma_w)^(1/4)) if q < tau^2 (supercritical pitchfork at q = tau^2), where e = q - q^2/(2 tau^2)"
)
_SPHERE = (
    "the minima form a sphere: K = k0 n, W = w0 n for every unit vector n, with (k0, w0) of the scalar game; the "
    "Hessian there has n - 1 eigenvalues 0, n - 1 eigenvalues sigma_k + sigma_w, and the two of the scalar game"
)


def _pair(k: float, w: float) -> tuple[Symbol, Symbol]:
    return (
        Symbol("k", "first learner", default=k, range=(-2.0, 2.0)),
        Symbol("w", "second learner", default=w, range=(-2.0, 2.0)),
    )


two_learner_flow = model(
    flow,
    _two_learner_flow,
    About(
        name="two_learner_flow",
        title="Two-learner game, gradient flow",
        equations=("k' = -de/dk", "w' = -de/dw", _ENERGY),
        states=_pair(0.5, 0.2),
        params=_ERROR,
        source=_SOURCE,
        known=(
            _MINIMA,
            "equal penalties sigma: eigenvalues at the minima -2 sigma along (1, -1), 2 sigma - 2 tau^2 along (1, 1)",
            "the origin is a saddle if and only if q < tau^2, else stable",
        ),
        dt=0.05,
        transient=50.0,
        duration=100.0,
    ),
)

two_learner_descent = model(
    iterated_map,
    _two_learner_descent,
    About(
        name="two_learner_descent",
        title="Two-learner game, gradient descent with one rate a learner",
        equations=("k+ = k - gamma_k de/dk", "w+ = w - gamma_w de/dw", _ENERGY),
        states=_pair(0.71, 0.70),
        params=(*_ERROR, *_RATES),
        source=_SOURCE,
        known=(
            _MINIMA,
            "the minima are stable if and only if A < 2, B < 2 and 2 - (A + B) + 2 A B h (1 - h) > 0, with "
            "h = q/tau^2, A = gamma_k tau^2 sqrt(sigma_k/sigma_w), B = gamma_w tau^2 sqrt(sigma_w/sigma_k)",
            "tau = 1, sigma = 1/2: multipliers 1 - gamma_k and 1 - gamma_w, stable square (0, 2)^2",
            "the flip at that boundary is supercritical for h < 1/2, and can be subcritical for h > 1/2",
            "tau = 1, sigma = 1/2, beyond gamma_k = 2: stable 2-cycle of half-amplitude sqrt((gamma_k - 2)/2); at "
            "gamma_w = 0.9 it loses stability at gamma_k = 2.2618586260",
            "equal rates and penalties: on the line k = w the cubic map u+ = a u - u^3, u = sqrt(gamma) tau k, "
            "a = 1 + gamma (tau^2 - sigma)",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
)


def _vectors(n: int, rates: bool) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Parameters, start and names; the start is neither collinear nor symmetric."""
    n = whole_number(n, "n")
    symbols = (*_ERROR, *_RATES) if rates else _ERROR
    i = np.arange(n)
    start = [*(0.5 * np.cos(i) + 0.1).tolist(), *(0.5 * np.cos(i + 0.5)).tolist()]
    names = tuple(f"{letter}{j + 1}" for letter in "kw" for j in range(n))
    return {symbol.name: symbol.default for symbol in symbols}, start, names


vector_learner_flow = model(
    flow,
    _vector_learner_flow,
    About(
        name="vector_learner_flow",
        title="Two-learner game of two vectors, gradient flow",
        equations=("K' = -de/dK", "W' = -de/dW", _VECTOR_ENERGY),
        states=_VECTORS,
        params=_ERROR,
        source=_SOURCE,
        known=(_SPHERE, "K and W become collinear: W = sqrt(sigma_k/sigma_w) K"),
        dt=0.05,
        transient=50.0,
        duration=100.0,
    ),
    options={"n": 8},
    defaults=lambda n: _vectors(n, rates=False),
)

vector_learner_descent = model(
    iterated_map,
    _vector_learner_descent,
    About(
        name="vector_learner_descent",
        title="Two-learner game of two vectors, gradient descent with one rate a learner",
        equations=("K+ = K - gamma_k de/dK", "W+ = W - gamma_w de/dW", _VECTOR_ENERGY),
        states=_VECTORS,
        params=(*_ERROR, *_RATES),
        source=_SOURCE,
        known=(
            _SPHERE,
            "multipliers there: 1 (n - 1 times), 1 - (gamma_k sigma_k + gamma_w sigma_w) (n - 1 times), and the two of "
            "the scalar game, which alone decide stability",
        ),
        transient=1000.0,
        duration=5000.0,
    ),
    options={"n": 8},
    defaults=lambda n: _vectors(n, rates=True),
)

multiplicative_map = model(
    iterated_map,
    _multiplicative_map,
    About(
        name="multiplicative_map",
        title="Two quantities that meet by their product",
        equations=("w+ = w - a w - c w k", "k+ = k - b k + c w k"),
        states=(
            Symbol("w", "quantity that is used up", default=1.0, range=(-0.2, 1.2)),
            Symbol("k", "quantity that grows by using it", default=0.5, range=(-0.2, 1.2)),
        ),
        params=(
            Symbol("a", "decay of w per step", default=0.001),
            Symbol("b", "decay of k per step", default=0.01),
            Symbol("c", "exchange per step", default=0.1),
        ),
        source=_SOURCE,
        known=(
            "both die out: the origin has multipliers 1 - a and 1 - b",
            "a < 0: Lotka-Volterra by Euler's method with step 1; the fixed point (w, k) = (b/c, -a/c) has multipliers "
            "1 +- i sqrt(-a b), of modulus above 1, so that orbits spiral outward where the flow has closed ones",
            "there V = c w - b ln w + c k + a ln k, conserved by the flow, rises at every step by b (u - ln(1 + u)) - "
            "a (v - ln(1 + v)), u = -a - c k, v = c w - b",
        ),
        transient=0.0,
        duration=1000.0,
    ),
)
