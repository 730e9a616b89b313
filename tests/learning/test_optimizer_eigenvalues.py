"""Eigenvalues of one optimizer step on a quadratic against closed forms, and the thresholds that follow.

On theta . H theta / 2 each eigenvector of H, of curvature c, moves by itself. A step of rate r multiplies (Cohen et al.
2021, arXiv:2103.00065; of Adam: Cohen et al. 2022, arXiv:2207.14484): gradient descent by 1 - r c; heavy ball by the
roots of z^2 - (1 + b - r c) z + b; Nesterov's by those of z^2 - (1 + b)(1 - r c) z + b (1 - r c); averaged gradients
by those of z^2 - (1 + b - (1 - b) r c) z + b.
"""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn.learning import optimizer_map, pack

CURVATURES = np.array([0.5, 1.0, 3.0])
TURN = np.linalg.qr(np.array([[1.0, 0.2, -0.3], [0.4, 1.0, 0.1], [0.2, -0.5, 1.0]]))[0]
HESSIANS = {"diagonal": np.diag(CURVATURES), "rotated": TURN @ np.diag(CURVATURES) @ TURN.T}


def at_minimum(optimizer, hyper, hessian=HESSIANS["diagonal"], **options):
    matrix = jnp.asarray(hessian)
    system = optimizer_map(
        lambda theta: theta @ matrix @ theta / 2, optimizer, jnp.ones(len(hessian)), hyper=hyper, **options
    )
    return system.with_state(pack(system, jnp.zeros(len(hessian))))


def momentum_roots(rate, b):
    return np.concatenate([np.roots([1, -(1 + b - rate * c), b]) for c in CURVATURES])


def nesterov_roots(rate, b):
    return np.concatenate([np.roots([1, -(1 + b) * (1 - rate * c), b * (1 - rate * c)]) for c in CURVATURES])


def averaged_roots(rate, b):
    return np.concatenate([np.roots([1, -(1 + b - (1 - b) * rate * c), b]) for c in CURVATURES])


def thrice(value):
    return np.full(3, value)


adam = functools.partial(optax.adam, b1=0.8, b2=0.95)
rms = functools.partial(optax.rmsprop, decay=0.9)
CASES = {
    "gradient descent": (optax.sgd, {"learning_rate": 0.3}, 1 - 0.3 * CURVATURES),
    "heavy ball": (optax.sgd, {"learning_rate": 0.3, "momentum": 0.6}, momentum_roots(0.3, 0.6)),
    "nesterov": (optax.sgd, {"learning_rate": 0.3, "momentum": 0.6, "nesterov": True}, nesterov_roots(0.3, 0.6)),
    "adam": (adam, {"learning_rate": 0.3, "eps": 0.2}, np.concatenate([averaged_roots(1.5, 0.8), thrice(0.95)])),
    "adam, eps_root": (
        adam,
        {"learning_rate": 0.3, "eps": 0.2, "eps_root": 0.01},
        np.concatenate([averaged_roots(1.0, 0.8), thrice(0.95)]),
    ),
    "adamw": (
        functools.partial(optax.adamw, b1=0.8, b2=0.95, weight_decay=0.0),
        {"learning_rate": 0.3, "eps": 0.2},
        np.concatenate([averaged_roots(1.5, 0.8), thrice(0.95)]),
    ),
    "rmsprop": (
        functools.partial(rms, eps_in_sqrt=False),
        {"learning_rate": 0.3, "eps": 0.5},
        np.concatenate([1 - 0.6 * CURVATURES, thrice(0.9)]),
    ),
    "rmsprop, eps in the root": (
        rms,
        {"learning_rate": 0.3, "eps": 0.25},
        np.concatenate([1 - 0.6 * CURVATURES, thrice(0.9)]),
    ),
}


def distance(a, b):
    """Of two sets of numbers: the largest distance from a number of one to the nearest of the other."""
    table = np.abs(np.asarray(a)[:, None] - np.asarray(b)[None, :])
    return max(table.min(axis=0).max(), table.min(axis=1).max())


@pytest.mark.parametrize("frame", HESSIANS)
@pytest.mark.parametrize("name", CASES)
def test_eigenvalues_are_the_closed_forms(x64, name, frame):
    """To 1e-10: rounding of simple eigenvalues of order 1 that lie 1e-2 or more apart is some 1e-13."""
    optimizer, hyper, expected = CASES[name]
    system = at_minimum(optimizer, hyper, HESSIANS[frame], at_step=10**6)
    got = jaxdyn.eigenvalues(system)
    assert got.shape == expected.shape
    assert distance(got, expected) < 1e-10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_default_adam_at_a_minimum_has_the_rate_over_eps(x64, dtype):
    """Momentum at the huge rate 1e-3 / 1e-8: one eigenvalue b1 / z1, the other z1, almost -(1 - b1) rate c."""
    system = optimizer_map(
        lambda theta: 1.5 * theta**2, optax.adam, jnp.zeros((), dtype), hyper={"learning_rate": 1e-3}, at_step=10**6
    )
    expected = np.append(np.roots([1, -(1.9 - 0.1 * 1e5 * 3.0), 0.9]), 0.999)
    got = np.asarray(jaxdyn.eigenvalues(system))
    scale = np.abs(expected).max()  # eigenvalues of a matrix are right to roundings of its norm
    assert got.dtype == np.result_type(dtype, np.complex64)
    assert distance(got, expected) < 20 * scale * np.finfo(dtype).eps
    assert jaxdyn.jacobian(system)[0, 2] == 0


THRESHOLDS = {
    "gradient descent": (optax.sgd, {}, 2.0, 1.0),
    "heavy ball": (optax.sgd, {"momentum": 0.9}, 2 * 1.9, 1.0),
    "nesterov": (optax.sgd, {"momentum": 0.9, "nesterov": True}, 3.8 / 2.8, 1.0),
    "adam": (optax.adam, {"b1": 0.9, "eps": 0.5}, 38.0, 0.5),
    "adam at .99": (optax.adam, {"b1": 0.99, "eps": 0.5}, 398.0, 0.5),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds(x64, name):
    """The largest modulus passes through 1 where rate c / (sqrt(v) + eps) is the threshold."""
    optimizer, hyper, threshold, divisor = THRESHOLDS[name]
    radii = []
    for side in (1 - 1e-6, 1 + 1e-6):
        rate = side * threshold * divisor / CURVATURES.max()
        system = at_minimum(optimizer, hyper | {"learning_rate": rate}, at_step=10**6)
        radii.append(float(jaxdyn.spectral_radius(jaxdyn.eigenvalues(system))))
    assert radii[0] < 1 < radii[1]


def test_the_slope_of_a_root_is_exact_away_from_zero(x64):
    """Adam's Jacobian at a generic state against central differences, of error h^2 and rounding eps / h."""
    hyper = {"learning_rate": 0.1, "eps": 0.1}
    system = optimizer_map(lambda theta: theta**4, optax.adam, 1.0, hyper=hyper)
    x, h = np.array([0.7, 0.2, 0.3]), 1e-6
    columns = [(system(3, x + h * e) - system(3, x - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(jaxdyn.jacobian(system, x, 3), np.stack(columns, axis=1), rtol=0, atol=1e-8)


def test_an_infinite_slope_stays_large(x64):
    """With v = 0 and m not 0, which no training reaches, the slope by v is infinite: it must not look like a number."""
    system = optimizer_map(lambda theta: 0 * theta, optax.adam, 1.0, hyper={"learning_rate": 0.1, "eps": 1.0})
    assert abs(jaxdyn.jacobian(system, [1.0, 0.5, 0.0], 10)[0, 2]) > 1e100


def test_measured_rate_is_the_spectral_radius(x64):
    """Heavy ball with complex eigenvalues shrinks by sqrt(momentum) a step."""
    system = at_minimum(optax.sgd, {"learning_rate": 0.3, "momentum": 0.6}).with_state(jnp.ones(6))
    run = jaxdyn.trajectory(system, n_steps=400).x
    # The envelope turns with the phase: a bounded factor, whose logarithm is shared by 400 steps.
    rate = (np.linalg.norm(run[-1]) / np.linalg.norm(run[0])) ** (1 / 400)
    np.testing.assert_allclose(rate, np.sqrt(0.6), rtol=5e-3)
