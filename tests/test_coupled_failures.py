"""Coupled copies of what cannot be coupled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from jaxdyn import coupled, models

PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"adjacency": np.ones((2, 3))},
            ValueError,
            r"adjacency must be \(n, n\) with n >= 2 copies, got shape \(2, 3\)",
        ),
        ({"adjacency": [[0.0]]}, ValueError, r"n >= 2 copies, got shape \(1, 1\)"),
        ({"adjacency": [[0, np.nan], [1, 0]]}, ValueError, r"adjacency must be finite, got nan at \[0, 1\]"),
        ({"adjacency": np.ones((2, 2))}, ValueError, r"adjacency has 1 at \[0, 0\]: no copy acts on itself"),
        ({"adjacency": "ring"}, TypeError, "adjacency must be a dense array of numbers"),
        ({"adjacency": [[0, 1], [1]]}, TypeError, "adjacency must be a dense array of numbers, got list"),
        ({"adjacency": csr_array(PAIR)}, TypeError, r"dense array, got csr_array; give its .toarray\(\)"),
        ({"strength": "weak"}, TypeError, "strength must be a number or an array of numbers, got 'weak'"),
        ({"strength": np.inf}, ValueError, "strength must be one finite number, got inf"),
        ({"strength": [1.0, 2.0]}, ValueError, "strength has shape"),
        ({"through": "u"}, TypeError, "no state 'u'; .*known: v, w"),
        ({"through": {"v": np.nan}}, ValueError, "weight of state 'v' must be one finite number"),
        ({"through": np.eye(3)}, ValueError, r"or a finite matrix \(2, 2\)"),
        ({"through": 3}, ValueError, "through must be names of states"),
        ({"through": [[1, 0], [1]]}, ValueError, "through must be names of states"),
        ({"through": np.zeros((2, 2))}, ValueError, "couples nothing; name a state, known: v, w"),
        ({"through": ()}, ValueError, "couples nothing"),
        ({"individual": "J"}, TypeError, "no parameter 'J'; .*known: a, b, tau, I"),
        ({"individual": {"I": [1.0, 2.0, 3.0]}}, ValueError, r"'I' must have shape \(2,\), one value for each"),
        ({"individual": {"I": [[1.0], [1.0, 2.0]]}}, ValueError, r"'I' must have shape \(2,\), one value for each"),
        ({"individual": 3}, TypeError, "individual must be names of parameters, or values by name, got 3"),
        ({"names": "ab"}, ValueError, "names must be two, of the strength and of the adjacency, got 'ab'"),
        ({"names": ("k",)}, ValueError, "names must be two"),
        ({"names": ("I", "links")}, ValueError, "cannot take 'I' for the strength"),
        ({"names": ("k", "k")}, ValueError, "cannot take 'k' for the strength: parameters need different names"),
    ],
)
def test_refusals(options, kind, message, unchecked):
    with pytest.raises(kind, match=message):
        coupled(models.fitzhugh_nagumo(), **{"adjacency": PAIR} | options)


def test_a_parameter_named_twice_differs_once():
    pair = coupled(models.fitzhugh_nagumo(), PAIR, individual=["I", "I"])
    assert pair.params["I"].shape == (2,)


def test_only_systems_are_coupled_and_names_must_be_free(unchecked):
    no_system: Any = print
    with pytest.raises(TypeError, match="expected a Flow or a Map, got builtin_function_or_method"):
        coupled(no_system, PAIR)
    with pytest.raises(ValueError, match=r"henon_heiles cannot take 'coupling' for the strength: .*give names="):
        coupled(models.henon_heiles(), PAIR)
    with pytest.raises(TypeError, match="through must be known while tracing"):
        jax.jit(lambda h: coupled(models.fitzhugh_nagumo(), PAIR, through=h).x0)(jnp.eye(2))
