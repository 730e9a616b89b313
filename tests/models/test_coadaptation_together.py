"""Random search of both learners in one shared trial: smoothed costs, in standard errors over seeds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdyn._noise import normals
from jaxdyn.models.coadaptation import coadaptive_descent
from jaxdyn.models.coadaptation_search import coadaptive_search

pytestmark = pytest.mark.usefixtures("x64")

N, D, TAU = 3, 2, np.array([1.2, 0.8])
RATES = {"gamma_k": 0.3, "gamma_w": 0.2}
GAME = {"sigma_k": 0.4, "sigma_w": 0.7, **RATES}
POINT = np.random.default_rng(9).uniform(-1, 1, 2 * D * N)
K, W = POINT[: D * N].reshape(D, N), POINT[D * N :].reshape(D, N).T


def state_of(K, W):
    return np.concatenate([K.ravel(), W.T.ravel()])


def test_both_tries_move_one_cursor():
    """Differences of the costs themselves, at the seed's own tries."""
    delta, step = 0.05, 7
    system = coadaptive_search(n=N, d=D, tau=TAU, **GAME, delta=delta, seed=3, together=True)
    draws = np.asarray(normals(system.params["seed"], step, D + POINT.size, jnp.float64))
    t, U, V = draws[:D] * TAU, draws[D : D + D * N].reshape(D, N), draws[D + D * N :].reshape(D, N).T

    def cost(K, W, sigma, own):
        return (np.sum((K @ W @ t - t) ** 2) + sigma * np.sum(own**2)) / 2

    here, there = (K, W), (K + delta * U, W + delta * V)
    gain_k = (cost(*there, 0.4, there[0]) - cost(*here, 0.4, K)) / delta
    gain_w = (cost(*there, 0.7, there[1]) - cost(*here, 0.7, W)) / delta
    expected = state_of(K - 0.3 * gain_k * U, W - 0.2 * gain_w * V)
    # The difference of two costs of order 10 over delta = 0.05 loses 4e-14.
    np.testing.assert_allclose(system(step, POINT), expected, rtol=0, atol=1e-11)


@functools.lru_cache
def steps_of_many_trials(delta, n_trials=200_000):
    with jax.enable_x64(True):
        system = coadaptive_search(n=N, d=D, tau=TAU, **GAME, delta=delta, together=True)
        seeds = jnp.arange(n_trials, dtype=jnp.int32)
        steps = jax.jit(jax.vmap(lambda seed: system.with_params(seed=seed).displacement(5, jnp.asarray(POINT))))
        return np.asarray(steps(seeds))


def smoothed_step(delta):
    """Descent of both costs, each averaged over normal tries of size delta of both learners.

    E|(K + delta U)(W + delta V) t - t|^2 has delta^2 sum(tau^2) |K|^2 and delta^2 d |W diag(tau)|^2
    more, and a constant.
    """
    miss = (np.eye(D) - K @ W) * TAU**2
    slope_k = (0.4 + delta**2 * np.sum(TAU**2)) * K - miss @ W.T
    slope_w = (0.7 + delta**2 * D * TAU**2) * W - K.T @ miss
    return -state_of(0.3 * slope_k, 0.2 * slope_w)


@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_mean_step_descends_the_smoothed_costs(delta):
    """Exactly, for every delta; 12 numbers within 4 standard errors."""
    steps, expected = steps_of_many_trials(delta), smoothed_step(delta)
    error = steps.std(axis=0) / np.sqrt(len(steps))
    assert np.all(np.abs(steps.mean(axis=0) - expected) < 4 * error)
    # Without the other's tries it would not be: the descent itself is many standard errors away.
    descent = np.asarray(coadaptive_descent(n=N, d=D, tau=TAU, **GAME).displacement(0, jnp.asarray(POINT)))
    if delta:
        assert np.max(np.abs(expected - descent) / error) > 20
    else:
        np.testing.assert_allclose(expected, descent, rtol=0, atol=1e-13)


def test_smoothing_is_an_effort_penalty():
    """Targets of equal size: descent with both penalties larger by d (delta tau)^2."""
    delta, tau = 0.3, 1.1
    system = coadaptive_search(n=N, d=D, tau=tau, **GAME, delta=delta, together=True)
    seeds = jnp.arange(100_000, dtype=jnp.int32)
    steps = jax.jit(jax.vmap(lambda seed: system.with_params(seed=seed).displacement(2, jnp.asarray(POINT))))(seeds)
    more = D * (delta * tau) ** 2
    penalties = {"sigma_k": 0.4 + more, "sigma_w": 0.7 + more}
    expected = coadaptive_descent(n=N, d=D, tau=tau, **penalties, **RATES).displacement(0, jnp.asarray(POINT))
    error = np.std(steps, axis=0) / np.sqrt(len(steps))
    assert np.all(np.abs(np.mean(steps, axis=0) - np.asarray(expected)) < 4 * error)


def test_mean_square_step_is_larger_by_the_others_slope():
    """Small tries: E|U (U.g + V.h)|^2 = (d n + 2) |g|^2 + d n |h|^2, h the slope of the trial's miss by W."""
    root = np.diag(TAU)
    A, B = (K @ W - np.eye(D)) @ root, W @ root
    C = K.T @ A
    a, b, c, t = A.T @ A, B.T @ B, C.T @ C, np.diag(TAU**2)
    # Over normal targets: E|A s|^2 |B s|^2 = tr A'A tr B'B + 2 tr A'A B'B; g = A s (B s)' + sigma_k K, h = C s t'.
    own = np.trace(a) * np.trace(b) + 2 * np.trace(a @ b) + 2 * 0.4 * np.sum(A @ B.T * K) + 0.4**2 * np.sum(K**2)
    other = np.trace(c) * np.trace(t) + 2 * np.trace(c @ t)
    measured = np.sum(steps_of_many_trials(0.0)[:, : D * N] ** 2, axis=1) / 0.3**2
    error = measured.std() / np.sqrt(len(measured))
    assert abs(measured.mean() - ((D * N + 2) * own + D * N * other)) < 4 * error
    assert D * N * other > 20 * error  # what the other's tries add would be missed
