"""Linearization of the feed-forward layer: J = diag(gain) W, the order of the factors, and layers in a row."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import nn

import jaxdyn
from jaxdyn.models.networks import feedforward

pytestmark = pytest.mark.usefixtures("x64")

EPS = np.finfo(np.float64).eps


def logistic(y):
    return 1 / (1 + np.exp(-y))


ACTIVATIONS = {
    "tanh": (jnp.tanh, lambda y: 1 / np.cosh(y) ** 2),
    "relu": (nn.relu, lambda y: (y > 0) * 1.0),
    "logistic": (nn.sigmoid, lambda y: logistic(y) * (1 - logistic(y))),
    "softplus": (nn.softplus, logistic),
    "identity": (lambda y: y, np.ones_like),
}


def layer(seed=0, outputs=4, inputs=6):
    """Weights and inputs whose sums stay away from zero, where relu has no derivative."""
    random = np.random.default_rng(seed)
    W, x = random.standard_normal((outputs, inputs)), random.standard_normal(inputs)
    assert np.abs(W @ x).min() > 0.05
    return W, x


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_jacobian_is_the_gain_times_the_weights(name):
    """Exact up to the rounding of a sum of six products and of the gain."""
    f, gain = ACTIVATIONS[name]
    W, x = layer()
    expected = np.diag(gain(W @ x)) @ W
    for differentiate in (jax.jacfwd, jax.jacrev):
        found = differentiate(lambda v: feedforward(W, v, f))(x)
        assert found.shape == (4, 6)
        np.testing.assert_allclose(found, expected, rtol=100 * EPS, atol=10 * EPS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_small_changes_of_the_input_go_through_the_jacobian(name):
    """dr = J dx up to the second order: |dx|^2 |W|^2 max|f''| / 2, f'' at most 1 in size away from kinks."""
    f, _ = ACTIVATIONS[name]
    W, x = layer()
    direction = np.random.default_rng(1).standard_normal(6)
    jacobian = jax.jacfwd(lambda v: feedforward(W, v, f))(x)
    for size in (1e-3, 1e-4):
        dx = size * direction / np.linalg.norm(direction)
        change = feedforward(W, x + dx, f) - feedforward(W, x, f)
        bound = 0.5 * (size * np.linalg.norm(W, 2)) ** 2 + 100 * EPS
        assert np.abs(change - jacobian @ dx).max() <= bound


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gain_of_all_units_by_one_derivative(name):
    """The gain is the derivative of f along ones, whatever f; it multiplies rows, not columns."""
    f, gain = ACTIVATIONS[name]
    W, x = layer(seed=2, outputs=3, inputs=3)
    total = jnp.asarray(W @ x)
    slope = jax.jvp(f, (total,), (jnp.ones_like(total),))[1]
    np.testing.assert_allclose(slope, gain(W @ x), rtol=100 * EPS)
    found = np.asarray(jax.jacfwd(lambda v: feedforward(W, v, f))(x))
    np.testing.assert_allclose(found, np.asarray(slope)[:, None] * W, rtol=100 * EPS)
    if name != "identity":
        assert np.abs(found - W * np.asarray(slope)[None, :]).max() > 0.01


def test_layers_in_a_row_multiply_from_the_left():
    """J = J_3 J_2 J_1."""
    sizes, names = (5, 4, 3, 2), ("tanh", "softplus", "logistic")
    random = np.random.default_rng(3)
    weights = [random.standard_normal((m, n)) for n, m in itertools.pairwise(sizes)]
    x = random.standard_normal(5)

    def network(v):
        return functools.reduce(lambda r, k: feedforward(weights[k], r, ACTIVATIONS[names[k]][0]), range(3), v)

    product, rates = np.eye(5), x
    for W, name in zip(weights, names, strict=True):
        f, gain = ACTIVATIONS[name]
        product, rates = np.diag(gain(W @ rates)) @ W @ product, np.asarray(f(jnp.asarray(W @ rates)))
    np.testing.assert_allclose(jax.jacfwd(network)(x), product, rtol=1e-12, atol=1e-14)


def test_a_layer_fed_back_is_a_map_with_the_same_jacobian():
    """x[n+1] = f(W x[n]): `jaxdyn.jacobian` and `linearize` agree with diag(gain) W."""
    W, x = layer(seed=4, outputs=4, inputs=4)
    system = jaxdyn.iterated_map(lambda n, s, p: feedforward(p["W"], s), {"W": W}, x)
    expected = np.diag(1 / np.cosh(W @ x) ** 2) @ W
    np.testing.assert_allclose(jaxdyn.jacobian(system), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(jaxdyn.linearize(system).params["A"], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_many_inputs_at_once(name):
    f, gain = ACTIVATIONS[name]
    W, _ = layer()
    inputs = np.random.default_rng(5).standard_normal((7, 6))
    function = jax.jacfwd(lambda v: feedforward(W, v, f))
    for transform in (jax.vmap, jaxdyn.lanes):
        found = transform(function)(inputs)
        expected = np.stack([np.diag(gain(W @ x)) @ W for x in inputs])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
