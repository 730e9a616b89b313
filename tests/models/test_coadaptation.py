"""Brain-machine interface with two learners: its equations, and its random search, in standard errors over seeds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn._noise import normals
from jaxdyn.models.coadaptation import (
    coadaptive_descent,
    coadaptive_error,
    coadaptive_flow,
    decoder_cost,
    encoder_cost,
)
from jaxdyn.models.coadaptation_search import coadaptive_search
from jaxdyn.models.learners import two_learner_descent, two_learner_error, vector_learner_descent, vector_learner_flow

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-13  # a few hundred roundings of numbers of order one
UNEQUAL = {"sigma_k": 0.4, "sigma_w": 0.7, "gamma_k": 0.3, "gamma_w": 0.2}


def matrices(x, d):
    """K (d, n) and W (n, d) of a state."""
    K, V = np.asarray(x).reshape(2, d, -1)
    return K, V.T


def state_of(K, W):
    return np.concatenate([K.ravel(), W.T.ravel()])


@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 1), (3, 3), (4, 2), (2, 3)])
def test_descent_steps_down_the_error_with_two_rates(n, d):
    system = coadaptive_descent(n=n, d=d, tau=np.linspace(1.3, 0.8, d), **UNEQUAL)
    x = np.random.default_rng(n + d).uniform(-2, 2, system.dim)
    gradient = jax.grad(coadaptive_error)(jnp.asarray(x), system.params)
    np.testing.assert_allclose(system(0, x), x - np.repeat([0.3, 0.2], d * n) * gradient, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 2), (2, 3)])
def test_flow_is_minus_the_gradient(n, d):
    game = {"tau": np.linspace(1.3, 0.8, d), "sigma_k": 0.4, "sigma_w": 0.7}
    system = coadaptive_flow(n=n, d=d, **game)
    x = np.random.default_rng(n + d).uniform(-2, 2, system.dim)
    gradient = jax.grad(coadaptive_error)(jnp.asarray(x), system.params)
    np.testing.assert_allclose(system(0.0, x), -gradient, rtol=0, atol=ROUNDING)
    if d == 1:
        vector = vector_learner_flow(n=n, **{**game, "tau": 1.3})
        np.testing.assert_allclose(system(0.0, x), vector(0.0, x), rtol=0, atol=ROUNDING)


def test_flow_balances_the_learners():
    """Equal penalties: K^T K - W W^T decays with rate 2 sigma, whatever else happens."""
    system = coadaptive_flow(n=3, d=2, tau=[1.3, 0.8], sigma_k=0.3, sigma_w=0.3)
    difference = [K.T @ K - W @ W.T for K, W in (matrices(x, 2) for x in jaxdyn.trajectory(system, t1=2, dt=0.01).x)]
    # RK4: errors of 0.01^4 a unit of time and of derivatives of order 100 at most.
    np.testing.assert_allclose(difference[-1], np.exp(-2 * 0.3 * 2) * difference[0], rtol=0, atol=1e-6)
    assert np.abs(difference[0]).max() > 0.1


@pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 2), (2, 3)])
def test_descent_is_play_of_both_learners_own_costs(n, d):
    """An exact potential game: the penalty of the other learner is not in a learner's slope."""
    system = coadaptive_descent(n=n, d=d, **UNEQUAL)
    x = np.random.default_rng(5).uniform(-1, 1, system.dim)
    K, W = (jnp.asarray(matrix) for matrix in matrices(x, d))
    K_next = K - 0.3 * jax.grad(decoder_cost, 0)(K, W, system.params)
    W_next = W - 0.2 * jax.grad(encoder_cost, 1)(K, W, system.params)
    np.testing.assert_allclose(system(0, x), state_of(K_next, W_next), rtol=0, atol=ROUNDING)


def test_error_is_the_expectation_over_targets():
    """By the targets +-tau_i sqrt(d) e_i, of mean 0 and covariance diag(tau^2), with equal chances."""
    n, d, tau = 4, 3, np.array([1.3, 1.0, 0.6])
    params = {"tau": jnp.asarray(tau), "sigma_k": 0.4, "sigma_w": 0.7}
    x = np.random.default_rng(6).uniform(-1, 1, 2 * d * n)
    K, W = matrices(x, d)
    targets = np.sqrt(d) * np.diag(tau)
    reach = np.mean(np.sum((targets @ W.T @ K.T - targets) ** 2, axis=1))
    expected = (reach + 0.7 * np.sum(W**2) + 0.4 * np.sum(K**2)) / 2
    assert float(coadaptive_error(jnp.asarray(x), params)) == pytest.approx(expected, rel=ROUNDING)
    both = decoder_cost(jnp.asarray(K), jnp.asarray(W), params) + encoder_cost(jnp.asarray(K), jnp.asarray(W), params)
    assert float(both) == pytest.approx(expected + reach / 2, rel=ROUNDING)


def test_one_dimension_is_the_vector_game_and_one_channel_the_scalar_one():
    x = np.random.default_rng(7).uniform(-1, 1, 8)
    one = {"tau": 1.3, **UNEQUAL}
    np.testing.assert_allclose(
        coadaptive_descent(n=4, d=1, **one)(0, x), vector_learner_descent(n=4, **one)(0, x), atol=ROUNDING
    )
    np.testing.assert_allclose(
        coadaptive_descent(n=1, d=1, **one)(0, x[:2]), two_learner_descent(**one)(0, x[:2]), atol=ROUNDING
    )
    error = coadaptive_error(jnp.asarray(x), coadaptive_descent(n=4, d=1, **one).params)
    assert float(error) == pytest.approx(float(two_learner_error(jnp.asarray(x), one)), rel=ROUNDING)
    np.testing.assert_array_equal(coadaptive_descent(n=4, d=1).x0, vector_learner_descent(n=4).x0)


def trial(x, params, d, delta, step):
    """One trial of the search, by the costs themselves; its random numbers from the library's generator."""
    K, W = matrices(x, d)
    draws = np.asarray(normals(params["seed"], step, d + x.size, jnp.float64))
    t, U, V = draws[:d] * params["tau"], *matrices(draws[d:], d)

    def cost(K, W, sigma, own):
        return (np.sum((K @ W @ t - t) ** 2) + sigma * np.sum(own**2)) / 2

    sk, sw = float(params["sigma_k"]), float(params["sigma_w"])
    gain_k = (cost(K + delta * U, W, sk, K + delta * U) - cost(K, W, sk, K)) / delta
    gain_w = (cost(K, W + delta * V, sw, W + delta * V) - cost(K, W, sw, W)) / delta
    return state_of(K - 0.3 * gain_k * U, W - 0.2 * gain_w * V)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 2)])
def test_search_moves_by_differences_of_the_costs(n, d):
    system = coadaptive_search(n=n, d=d, tau=np.linspace(1.3, 0.8, d), **UNEQUAL, delta=0.05, seed=3)
    x = np.random.default_rng(8).uniform(-1, 1, system.dim)
    for step in (0, 7):
        expected = trial(x, system.params, d, 0.05, step)
        # The difference of two costs of order 10 over delta = 0.05 loses 4e-14.
        np.testing.assert_allclose(system(step, x), expected, rtol=0, atol=1e-11)


@functools.lru_cache
def steps_of_many_trials(delta, n_trials=200_000):
    with jax.enable_x64(True):
        n, d = 3, 2
        system = coadaptive_search(n=n, d=d, tau=[1.2, 0.8], **UNEQUAL, delta=delta)
        x = jnp.asarray(np.random.default_rng(9).uniform(-1, 1, system.dim))
        seeds = jnp.arange(n_trials, dtype=jnp.int32)
        steps = jax.jit(jax.vmap(lambda seed: system.with_params(seed=seed).displacement(5, x)))(seeds)
        descent = coadaptive_descent(n=n, d=d, tau=[1.2, 0.8], **UNEQUAL)
        return np.asarray(steps), np.asarray(descent.displacement(0, x))


@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_mean_step_of_the_search_is_that_of_the_descent(delta):
    """Also for large tries, since third moments of normal numbers vanish; 12 numbers within 4 standard errors."""
    steps, expected = steps_of_many_trials(delta)
    error = steps.std(axis=0) / np.sqrt(len(steps))
    assert np.all(np.abs(steps.mean(axis=0) - expected) < 4 * error)
    assert np.all(np.abs(expected) > 10 * error)  # a missing or doubled step would show


def test_mean_square_step_of_the_search():
    """Small tries: E|U U.g|^2 = (d n + 2) |g|^2 at a given target, for the slope g of the trial's own cost."""
    steps, _ = steps_of_many_trials(0.0)
    n, d = 3, 2
    x = np.random.default_rng(9).uniform(-1, 1, 12)
    K, W = matrices(x, d)
    # Over normal targets: E|A t|^2 |B t|^2 = tr A'A tr B'B + 2 tr A'A B'B for A t the miss and B t the rates.
    root = np.diag([1.2, 0.8])
    A, B = (K @ W - np.eye(d)) @ root, W @ root
    a, b = A.T @ A, B.T @ B
    # |miss rates' + sigma_k K|^2
    square = np.trace(a) * np.trace(b) + 2 * np.trace(a @ b) + 2 * 0.4 * np.sum(A @ B.T * K) + 0.4**2 * np.sum(K**2)
    measured = np.sum(steps[:, : d * n] ** 2, axis=1) / 0.3**2
    assert abs(measured.mean() - (d * n + 2) * square) < 4 * measured.std() / np.sqrt(len(measured))


def test_search_comes_close_to_the_minimum():
    """Small rates: 64 seeds stay near the error of the minimum, q d - q^2 d / (2 tau^2) with q = 1/2, above it."""
    system = coadaptive_search(n=4, d=2, gamma_k=0.005, gamma_w=0.005)
    end = jaxdyn.lanes(lambda seed: jaxdyn.final_state(system.with_params(seed=seed), n_steps=4000).x)
    x = end(jnp.arange(64, dtype=jnp.int32))
    error = np.asarray(jax.vmap(lambda y: coadaptive_error(y, system.params))(x))
    lowest = 2 * (0.5 - 0.5**2 / 2)
    assert np.all(error > lowest)
    # Start 1.27; the noise of a step at the minimum lifts the mean by a part of the order of the rates.
    assert error.mean() < lowest + 0.05


def test_trials_depend_on_their_number_and_the_seed():
    system = coadaptive_search(n=2, d=2)
    assert system.params["seed"].dtype == jnp.int32
    first, other = system(0, system.x0), system(1, system.x0)
    assert np.all(first != other)
    np.testing.assert_array_equal(system.with_params(seed=0)(0, system.x0), first)
    assert np.all(system.with_params(seed=1)(0, system.x0) != first)
    many = jaxdyn.sweep(functools.partial(jaxdyn.final_state, n_steps=3), system, {"seed": range(3)}, progress=False)
    assert len(np.unique(many.x.values[:, 0])) == 3


def test_sizes_and_seeds_are_checked():
    with pytest.raises(ValueError, match=r"tau must be one number or have shape \(2,\) for targets of d=2, got \(3,\)"):
        coadaptive_descent(n=4, d=2, tau=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="d must be a whole number of at least 1, got 0"):
        coadaptive_descent(d=0)
    with pytest.raises(TypeError, match="seed must be one whole number"):
        coadaptive_search(seed=0.5)
    assert coadaptive_descent(n=2, d=2, tau=2).params["tau"].tolist() == [2.0, 2.0]
    assert coadaptive_descent(n=1, d=2).state_names == ("k1", "k2", "w1", "w2")
