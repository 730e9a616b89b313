"""Cells of networks as maps: names of their weights, states that are trees, and what does not fit."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import learning

WEIGHTS = {"W": np.diag([0.5, 2.0]), "B": np.ones((2, 1))}


def cell(h, u, w):
    return jnp.tanh(w["W"] @ h + w["B"] @ u)


def test_a_cell_is_a_map_with_its_weights_as_parameters():
    network = learning.cell_map(cell, WEIGHTS, np.array([0.1, 0.2]), [0.3], name="pair")
    assert network.discrete and network.about.name == "pair" and set(network.params) == {"W", "B", "input"}
    np.testing.assert_allclose(network(0, network.x0), np.tanh([0.05 + 0.3, 0.4 + 0.3]), rtol=1e-6)
    other = network.with_params(input=[0.0], W=np.zeros((2, 2)))
    np.testing.assert_array_equal(other(0, network.x0), 0)


def test_nested_weights_are_named_by_their_path():
    def nested(h, u, w):
        return h * w["gru"]["kernel-0"] + w["out"][1] + u

    tree = {"gru": {"kernel-0": np.ones(2)}, "out": [np.zeros(2), np.ones(2)]}
    network = learning.cell_map(nested, tree, np.zeros(2))
    assert set(network.params) == {"gru_kernel_0", "out_0", "out_1", "input"}
    np.testing.assert_array_equal(network(0, network.x0), 1)
    listed = learning.cell_map(lambda h, u, w: h * w[0] + w[1], (np.ones(2), np.ones(2)), np.zeros(2))
    assert set(listed.params) == {"weights_0", "weights_1", "input"}
    alone = learning.cell_map(lambda h, u, w: w @ h, np.eye(2), np.zeros(2))
    assert set(alone.params) == {"weights", "input"}


def test_a_state_of_two_arrays(x64):
    """Like the hidden and the cell state of an LSTM."""

    def pair(state, u, w):
        _, c = state
        c = w["f"] * c + u
        return jnp.tanh(c), c

    network = learning.cell_map(pair, {"f": 0.5}, (np.zeros(2), np.zeros(2)), 1.0)
    assert network.dim == 4
    end = jaxdyn.final_state(network, n_steps=100).x
    np.testing.assert_allclose(end, np.repeat([np.tanh(2.0), 2.0], 2), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("tanh", WEIGHTS, np.zeros(2), [0.0]), TypeError, r"cell must be a function .*, got str"),
        ((cell, WEIGHTS | {"input": np.ones(1)}, np.zeros(2), [0.0]), ValueError, "none of them 'input'"),
        ((cell, {"a": {"b": 1.0}, "a_b": 2.0}, np.zeros(2), [0.0]), ValueError, "a_b came up twice"),
        ((lambda h, u, w: (h, h), {"W": 1.0}, np.zeros(2)), TypeError, "must return a state like its start"),
        ((lambda h, u, w: h[:1], {"W": 1.0}, np.zeros(2)), ValueError, r"field gave shape \(1,\), state has \(2,\)"),
        ((cell, {"W": np.full((2, 2), np.nan), "B": np.ones((2, 1))}, np.zeros(2), [0.0]), ValueError, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(unchecked, arguments, error, words):
    with pytest.raises(error, match=words):
        learning.cell_map(*arguments)


@pytest.mark.parametrize("cell", [lambda s, u, w: (s[1], s[0]), lambda s, u, w: (s[0][None], s[1])])
def test_parts_of_other_shapes_are_refused(cell):
    """As many numbers as the state, but not in its places."""
    with pytest.raises(ValueError, match=r"shapes of its start, \[\(2,\), \(3,\)\], got"):
        learning.cell_map(cell, {"w": 1.0}, (np.zeros(2), np.zeros(3)))
