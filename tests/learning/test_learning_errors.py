"""What optimizer_map and game_map refuse, and what they say."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn.learning import Alternating, Stackelberg, game_map, losses, optimizer_map, pack, unpack
from jaxdyn.models import games


def square(theta):
    return jnp.sum(theta**2)


def of_rate(wrapper):
    return lambda learning_rate: wrapper(optax.sgd(learning_rate))


RATE = {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        (of_rate(lambda inner: optax.MultiSteps(inner, 4)), "gradient_step"),
        (of_rate(lambda inner: optax.apply_if_finite(inner, 4)), "notfinite_count"),
        (of_rate(lambda inner: optax.chain(optax.apply_every(3), inner)), "after step"),
        (of_rate(lambda inner: optax.chain(optax.apply_every(100), inner)), "after step 1000000"),
        (of_rate(lambda inner: optax.chain(optax.add_noise(0.1, 0.5, 0), inner)), "rng_key"),
        (optax.rprop, "where the optimizer state begins.*partial"),
    ],
)
@pytest.mark.filterwarnings("ignore:Specifying a key")
def test_states_that_are_no_function_of_the_time(optimizer, match):
    with pytest.raises(ValueError, match=match):
        optimizer_map(square, optimizer, 1.0, hyper=RATE)


def test_a_hyper_parameter_that_decides_the_equations():
    def choosy(learning_rate, b):
        return optax.sgd(learning_rate, momentum=b) if b > 0 else optax.sgd(learning_rate)

    with pytest.raises(TypeError, match=r"'b' decides which equations.*functools.partial\(optimizer, b="):
        optimizer_map(square, choosy, 1.0, hyper=RATE | {"b": 0.5})
    system = optimizer_map(square, functools.partial(choosy, b=0.5), 1.0, hyper=RATE)
    assert system.state_names == ("theta", "trace")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((square, optax.sgd, 1.0, {"rate": 0.1}), "does not take hyper={rate}"),
        ((square, optax.sgd, 1.0, {}), "does not take hyper={}"),
        ((square, optax.sgd(0.1), 1.0, RATE), "finished optimizer takes no hyper-parameters"),
        ((square, 0.1, 1.0, {}), "must be a factory such as optax.adam"),
        ((3.0, optax.sgd, 1.0, RATE), "a loss must be a function"),
        ((square, optax.sgd, jnp.arange(3), RATE), "floating arrays of one dtype, got int32"),
        ((square, optax.sgd, "theta", RATE), "must hold numbers"),
        ((square, optax.adam, 1.0, RATE | {"mask": [True]}), "cannot be hashed"),
    ],
)
def test_wrong_types(unchecked, arguments, match):
    loss, optimizer, params, hyper = arguments
    with pytest.raises(TypeError, match=match):
        optimizer_map(loss, optimizer, params, hyper=hyper)


def test_wrong_values(unchecked):
    with pytest.raises(ValueError, match="one real number, got shape"):
        optimizer_map(lambda theta: theta**2, optax.sgd, jnp.ones(2), hyper=RATE)
    with pytest.raises(ValueError, match="hold no array"):
        optimizer_map(square, optax.sgd, {}, hyper=RATE)
    with pytest.raises(ValueError, match="in hyper and in loss_params"):
        optimizer_map(lambda theta, p: square(theta), optax.sgd, 1.0, hyper=RATE, loss_params=RATE)
    with pytest.raises(ValueError, match="at_step must be a whole number"):
        optimizer_map(square, optax.sgd, 1.0, hyper=RATE, at_step=-1)


def test_state_vectors_and_trees_that_do_not_fit(unchecked):
    system = optimizer_map(square, optax.adam, jnp.ones(2), hyper=RATE)
    with pytest.raises(ValueError, match="one value per state"):
        unpack(system, [1.0])
    with pytest.raises(ValueError, match="one value per state"):
        losses(system, np.ones((4, 6)))
    with pytest.raises(ValueError, match=r"theta has a leaf of shape \(2,\), got \(3,\)"):
        pack(system, jnp.ones(3))
    with pytest.raises(ValueError, match="optimizer_state must be a tree"):
        pack(system, jnp.ones(2), ())
    with pytest.raises(TypeError, match="made by optimizer_map"):
        unpack(jaxdyn.models.henon())
    with pytest.raises(TypeError, match="made by optimizer_map"):
        losses(jaxdyn.nth_iterate(system, 2))


def test_games(unchecked):
    game = games.bilinear()

    def made(each=game.losses, optimizers=optax.sgd, start=game.start, **options):
        return game_map(each, optimizers, start, **{"hyper": RATE, "loss_params": game.params} | options)

    with pytest.raises(ValueError, match="losses must be a dict with one entry for each of x, y, got x"):
        made({"x": game.losses["x"]})
    with pytest.raises(ValueError, match="optimizers must be a dict"):
        made(optimizers={"x": optax.sgd})
    with pytest.raises(TypeError, match="params must be a dict"):
        made(start=[1.0, 2.0])
    with pytest.raises(TypeError, match="Python identifiers"):
        made(start={"x": 1.0, "a b": 2.0})
    with pytest.raises(TypeError, match="way of play"):
        made(play=Alternating)
    with pytest.raises(ValueError, match="leader among two players"):
        made(play=Stackelberg(leader="z"))
    with pytest.raises(TypeError, match="does not take hyper"):
        made(hyper={"learning_rate": {"x": 0.1}})
    with pytest.raises(ValueError, match="theta must be a dict"):
        pack(made(), {"x": 1.0})
