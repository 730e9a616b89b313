"""Noise where systems are made of systems and runs are searched: coupled copies, crossings, and what noise forbids."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import EulerMaruyama, Event, Native, Status, Vmap, Xla, models, sde
from jaxdyn.methods import Milstein, StochasticHeun

PAIR = [[0.0, 1.0], [1.0, 0.0]]


# Crossings


@pytest.mark.parametrize("t0", [0.0, 3.0])
def test_crossings_are_those_of_the_states_at_the_steps(t0, x64):
    """Additive noise: within a step the path is straight, so that each crossing is the line's."""
    system, dt = models.ornstein_uhlenbeck(seed=4), 0.01
    run = jaxdyn.trajectory(system, n_steps=1000, dt=dt, t0=t0)
    gaps = np.asarray(run.x[:, 0]) - 0.5
    at = np.flatnonzero(gaps[:-1] * gaps[1:] < 0)
    expected = np.asarray(run.t)[at] + dt * gaps[at] / (gaps[at] - gaps[at + 1])
    found = jaxdyn.crossings(system, Event("x", 0.5, 0), n_steps=1000, dt=dt, capacity=200, t0=t0)
    assert int(found.count) == len(at) > 10
    np.testing.assert_allclose(found.times[: len(at)], expected, rtol=1e-12)
    np.testing.assert_allclose(found.states[: len(at), 0], 0.5, rtol=1e-12)
    np.testing.assert_allclose(found.x, run.x[-1], rtol=1e-12)


ENGINES = [(EulerMaruyama(), Native(vectors=1)), (Milstein(), Xla(block=2)), (StochasticHeun(), Vmap())]


@pytest.mark.parametrize(("method", "engine"), ENGINES, ids=lambda one: type(one).__name__)
def test_an_event_ends_a_run_on_its_level(method, engine, x64):
    def wait(seed):
        system = models.geometric_brownian_motion(sigma=0.6).with_params(seed=seed)
        ended = jaxdyn.crossings(
            system, Event("x", 1.2, terminal=True), n_steps=200, dt=0.05, capacity=1, method=method
        )
        first = jaxdyn.first_passage(system, "x", 1.2, n_steps=200, dt=0.05, method=method, bridge=False)
        return ended.t, ended.x[0], ended.stopped, first.time

    seeds = jnp.arange(6, dtype=jnp.int32)
    each = [np.stack(values) for values in zip(*map(wait, seeds), strict=True)]
    times, states, stopped, first = each
    assert stopped.any()
    np.testing.assert_allclose(states[stopped], 1.2, rtol=1e-12)
    np.testing.assert_allclose(times[stopped], first[stopped], atol=0.05)  # in the same step
    for got, expected in zip(jaxdyn.lanes(wait, engine=engine)(seeds), each, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10)


# Coupled copies


@pytest.mark.parametrize("columns", [False, True], ids=["a state", "columns"])
def test_copies_have_noise_of_their_own(columns, x64):
    """A step by hand: drift, coupling and the amplitudes of each copy, at its own parameters."""

    def diffusion(t, x, p):
        b = p["sigma"] * x[::-1]
        return b[:, None] if columns else b

    one = sde(lambda t, x, p: -x, diffusion, {"sigma": 1.0}, [1.0, 2.0], seed=3)
    pair = jaxdyn.coupled(one, PAIR, strength=0.5, individual={"sigma": [0.3, 0.7]})
    x, dt = jnp.array([1.0, 2.0, -3.0, 0.5]), jnp.asarray(0.1)
    assert pair.n_processes == (2 if columns else 4)
    dw = pair.increments(0.0, dt)
    assert len(np.unique(dw)) == len(dw)
    own = jnp.repeat(dw, 2) if columns else dw
    noise = jnp.array([0.3, 0.3, 0.7, 0.7]) * x[jnp.array([1, 0, 3, 2])] * own
    pull = 0.5 * (x[jnp.array([2, 3, 0, 1])] - x)
    got = jaxdyn.final_state(pair.with_state(x), n_steps=1, dt=dt).x
    np.testing.assert_allclose(got, x + dt * (pull - x) + noise, rtol=1e-13)


def test_uncoupled_copies_have_the_exponents_of_one(x64):
    """Exponents of independent geometric Brownian motions are mu - sigma^2/2 + sigma W(T)/T, each with its own W."""
    pair = jaxdyn.coupled(models.geometric_brownian_motion(sigma=0.2), PAIR, strength=0.0)
    found = jaxdyn.lyapunov_spectrum(pair, n_steps=40_000, dt=0.01, method=Milstein())
    assert int(found.status) == Status.OK
    assert np.abs(found.exponents - 0.03).max() < 4 * 0.2 / 400**0.5  # 4 standard deviations at T = 400
    assert found.exponents[0] - found.exponents[1] > 1e-4


def test_copies_of_models_run():
    for name in ("ornstein_uhlenbeck", "noisy_fitzhugh_nagumo"):
        pair = jaxdyn.coupled(models.REGISTRY[name](), PAIR)
        run = jaxdyn.final_state(pair, n_steps=50, dt=0.01)
        assert int(run.status) == Status.OK and len(np.unique(run.x)) == pair.dim


# Refusals


def noisy():
    return models.noisy_fitzhugh_nagumo()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: jaxdyn.poincare(noisy(), {"v": 0.0}, dt=0.1), TypeError, "poincare makes .*stochastic noisy_fitz"),
        (lambda: jaxdyn.stroboscopic(noisy(), 1.0, n_steps=5), TypeError, r"take its drift alone, .*without_noise\(\)"),
        (lambda: jaxdyn.time_reversed(noisy()), TypeError, r"no way back; .*system.without_noise"),
        (
            lambda: jaxdyn.crossings(noisy(), Event.maximum("v"), n_steps=5, dt=0.1, capacity=1),
            TypeError,
            "is stochastic: its states have no rate",
        ),
        (lambda: jaxdyn.coupled(noisy(), PAIR, individual="seed"), TypeError, "one seed of all"),
        (lambda: noisy().with_params(seed=2**31), ValueError, "parameter 'seed' must fit int32, .* got 2147483648"),
        (lambda: noisy().with_params(seed=np.int64(2**32 + 1)), ValueError, "must fit int32"),
        (lambda: noisy().with_params(seed=np.uint32(2**32 - 1)), ValueError, "must fit int32"),
        (lambda: noisy().with_params(seed=None), TypeError, "must be a number or an array of numbers, got None"),
        (lambda: noisy().with_params(seed="a"), TypeError, "must be a number or an array of numbers, got 'a'"),
        (lambda: sde(lambda t, x, p: -x, lambda t, x, p: None, {}, [1.0]), TypeError, "diffusion gave None; return"),
        (
            lambda: sde(lambda t, x, p: -x, lambda t, x, p: ((1.0, 0.0), (1.0,)), {}, [1.0, 2.0]),
            ValueError,
            "must give equal shapes, a scalar or a row per state",
        ),
    ],
)
def test_what_noise_does_not_do(make, error, words, unchecked):
    with pytest.raises(error, match=words):
        make()


def test_a_diffusion_may_be_rows_of_numbers():
    system = sde(lambda t, x, p: -x, lambda t, x, p: ((p["s"], 0.0, x[1]), (0, 1, 2.5)), {"s": 0.5}, [1.0, 3.0])
    np.testing.assert_array_equal(system.amplitude(0.0, system.x0), [[0.5, 0, 3], [0, 1, 2.5]])
