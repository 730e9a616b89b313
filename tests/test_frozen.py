"""Fast subsystems: frozen states are parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.subsystems import frozen

WEIGHTS = {"m11": 0.7, "m12": -0.3, "m21": 0.2, "m22": 1.1}


def test_the_fast_hebbian_pair_is_the_pair_with_frozen_weights(x64):
    fast = frozen(jaxdyn.models.hebbian_pair(x0=[0.3, -0.2, 0, 0, 0, 0]), WEIGHTS)
    known = jaxdyn.models.hebbian_pair_fast(**WEIGHTS, x0=[0.3, -0.2])
    assert fast.state_names == known.state_names == ("r1", "r2")
    assert set(known.params) <= set(fast.params)
    one, other = (jaxdyn.trajectory(system, t1=100.0, dt=1.0).x for system in (fast, known))
    np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-16)  # the same operations
    np.testing.assert_allclose(jaxdyn.jacobian(fast), jaxdyn.jacobian(known), rtol=1e-14)


def test_names_freeze_at_the_start_and_the_order_of_states_stays():
    pair = jaxdyn.models.hebbian_pair(x0=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    mixed = frozen(pair, ("m21", "r1", "m11"))
    assert mixed.state_names == ("r2", "m12", "m22")
    np.testing.assert_array_equal(mixed.x0, pair.x0[np.array([1, 3, 5])])
    assert {name: float(mixed.params[name]) for name in ("r1", "m11", "m21")} == pytest.approx(
        {"r1": 0.1, "m11": 0.3, "m21": 0.5}
    )
    np.testing.assert_array_equal(mixed(0.0, mixed.x0), pair(0.0, pair.x0)[np.array([1, 3, 5])])
    assert frozen(pair, "m22").state_names == pair.state_names[:-1]


def test_fields_that_return_arrays_and_maps():
    net = jaxdyn.models.random_rnn(n=6)
    part = frozen(net, ("x2", "x5"))
    stay = np.array([0, 2, 3, 5])
    np.testing.assert_array_equal(part(0.0, part.x0), net(0.0, net.x0)[stay])
    henon = frozen(jaxdyn.models.henon(), {"y": 0.25})
    assert henon.discrete
    np.testing.assert_allclose(henon(0, [0.5])[0], 1 - 1.4 * 0.25 + 0.25, rtol=1e-6)


@pytest.mark.slow
def test_frozen_states_are_swept_differentiated_and_frozen_again(x64):
    fast = frozen(jaxdyn.models.hebbian_pair(), WEIGHTS)
    gain = jax.grad(lambda m: fast.with_params(m11=m)(0.0, [0.5, 0.0])[0])(0.7)
    assert float(gain) == pytest.approx(0.1 * 0.5 / np.cosh(0.35 + 0.1) ** 2)
    m11 = jnp.linspace(0.0, 3.0, 7)
    known = jaxdyn.models.hebbian_pair_fast(**WEIGHTS)
    counts = [
        jax.vmap(lambda m, of=of: jaxdyn.fixed_points(of.with_params(m11=m, m12=0.0, u1=0.0)).n_found)(m11).tolist()
        for of in (fast, known)
    ]
    assert counts[0] == counts[1]
    assert len(set(counts[0])) > 1  # the sweep passes a bifurcation
    twice = frozen(fast, {"r2": 0.4})
    assert float(twice(0.0, [0.5])[0]) == pytest.approx(float(fast(0.0, [0.5, 0.4])[0]), rel=1e-14)


def test_the_fast_subsystem_along_a_trajectory(x64):
    """Recipe of the docstring: one moment by its state, all moments by one vmap over the parameters."""
    pair = jaxdyn.models.hebbian_pair()
    run = jaxdyn.trajectory(pair, t1=500.0, dt=1.0, save=jaxdyn.Every(100))
    names = pair.state_names[2:]

    def rest(values):
        points = jaxdyn.fixed_points(frozen(pair, names).with_params(**dict(zip(names, values, strict=True))))
        return points.x[0], points.n_found

    places, counts = jax.vmap(rest)(run.x[:, 2:])
    assert counts.tolist() == [1] * 6
    for k in (0, 5):
        at_once = frozen(pair.with_state(run.x[k]), names)
        np.testing.assert_array_equal(at_once.x0, run.x[k, :2])
        np.testing.assert_allclose(jaxdyn.fixed_points(at_once).x[0], places[k], rtol=1e-12)
    # The weights are slow: after the first relaxation, over 1/gamma = 10, the rates follow the rest of the fast system
    # at a distance of (drift of the rest) / (its attraction), about 1e-4 * 10.
    np.testing.assert_allclose(run.x[1:, :2], places[1:], atol=1e-3)


def test_words_and_names():
    fast = frozen(jaxdyn.models.hebbian_pair(), ("m11", "m12"))
    assert fast.about.symbol("m11").meaning == "weight from 1 to 1"
    assert [symbol.name for symbol in fast.about.states] == ["r1", "r2", "m21", "m22"]
    assert "m11, m12 frozen" in fast.about.title
    assert fast.about.known == ()
    net = frozen(jaxdyn.models.random_rnn(n=3), "x2")
    assert net.about.symbol("x2").meaning == net.about.symbol("x3").meaning == "activation of the neurons"


def test_sampled_inputs_are_held_during_a_step():
    system = jaxdyn.flow(lambda t, x, p: (0 * x[0], x[0] - x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
    pushed = jaxdyn.driven(system, jaxdyn.samples([1.0, 5.0], dt=1.0), onto="x")
    for derived in (frozen(pushed, "y"), jaxdyn.driven(frozen(pushed, "y"), lambda t: 0 * t, onto="x")):
        end = jaxdyn.final_state(derived, n_steps=1, dt=1.0)
        assert float(end.x[0]) == 1.0  # a stage at the end of the step would see the next sample


def test_refusals(unchecked):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    for states in ((), ("v", "w")):
        with pytest.raises(ValueError, match="at least one of the 2 states of fitzhugh_nagumo and not all"):
            frozen(neuron, states)
    with pytest.raises(ValueError, match=r"no state 'u'.*known: v, w"):
        frozen(neuron, {"u": 0.0})
    with pytest.raises(ValueError, match="state 'w' has shape"):
        frozen(neuron, {"w": [0.0, 1.0]})
    clash = jaxdyn.flow(lambda t, x, p: -x * p["x"], {"x": 1.0}, [1.0, 1.0], state_names=["x", "y"])
    with pytest.raises(ValueError, match="parameter 'x' already"):
        frozen(clash, "x")


def test_wrong_types_are_refused(unchecked):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    for states in (None, 0, [0, 1], {1: 2.0}, [("w", 1.0)]):
        with pytest.raises(TypeError, match=r"states must be names, or names with values \{'v': 0.0\}, got"):
            frozen(neuron, states)
    for value in (None, "a"):
        with pytest.raises(TypeError, match="state 'w' must be frozen at a number, got"):
            frozen(neuron, {"w": value})
    with pytest.raises(TypeError, match="expected a Flow or a Map, got ndarray"):
        frozen(np.eye(2), "w")
