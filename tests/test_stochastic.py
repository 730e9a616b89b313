"""Stochastic systems: construction, noise that is a function of seed and step, engines, derived systems, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import EulerMaruyama, Ito, Native, Status, Stratonovich, Vmap, Xla, models, sde
from jaxdyn.analysis.tangent import advance
from jaxdyn.methods import Milstein, StochasticHeun

ENGINES = [Vmap(), Xla(block=2), Native(vectors=1)]


def rotor(**options):
    """Two states, three processes, amplitudes that depend on time and state."""

    def diffusion(t, x, p):
        columns = [jnp.sin(x), p["sigma"] * jnp.cos(x + t), jnp.stack([x[1], -x[0]])]
        return jnp.stack(columns, axis=1)

    return sde(lambda t, x, p: -(x**3), diffusion, {"sigma": 0.4}, [0.5, -0.3], **options)


def walk(seed, n_steps=1, m=1):
    """Increments of a plain random walk of unit steps, (n_steps, m)."""
    system = sde(lambda t, x, p: jnp.zeros_like(x), lambda t, x, p: jnp.ones_like(x), {}, [0.0] * m, seed=seed)
    return jnp.diff(jaxdyn.trajectory(system, n_steps=n_steps, dt=1.0).x, axis=0)


# Noise ----------------------------------------------------------------------------------------------------------------


def test_steps_seeds_and_states_have_noise_of_their_own():
    values = np.concatenate([np.ravel(walk(seed, n_steps=50, m=3)) for seed in (0, 1, -1, 2**31 - 1)])
    assert len(np.unique(values)) == values.size


def test_the_same_seed_is_the_same_noise_for_other_parameters_and_starts():
    system = models.ornstein_uhlenbeck(theta=0.0, sigma=1.0)
    one = jaxdyn.trajectory(system, n_steps=100, dt=0.25).x
    other = jaxdyn.trajectory(system.with_params(sigma=2.0).with_state([5.0]), n_steps=100, dt=0.25).x
    np.testing.assert_allclose(other, 5 + 2 * one, atol=2e-5)  # 100 roundings of numbers up to 40


def test_a_run_that_goes_on_sees_the_noise_of_the_longer_run(x64):
    system = rotor()
    whole = jaxdyn.trajectory(system, n_steps=90, dt=0.1)
    head = jaxdyn.final_state(system, n_steps=50, dt=0.1)
    tail = jaxdyn.final_state(system.with_state(head.x), n_steps=40, dt=0.1, t0=head.t)
    np.testing.assert_allclose(tail.x, whole.x[-1], rtol=1e-10)
    assert np.abs(jaxdyn.final_state(system.with_state(head.x), n_steps=40, dt=0.1).x - whole.x[-1]).max() > 0.01


def test_noise_does_not_repeat_where_the_time_stands_still():
    """After 2^24 steps of 1 the float32 time takes every second step only; the number of the step counts on."""
    system = sde(lambda t, x, p: jnp.zeros_like(x), lambda t, x, p: jnp.ones_like(x), {}, [0.0])
    dt = jnp.float32(1)
    steps = [advance(system, EulerMaruyama(), 0, dt, jnp.int32(2**24 + i))(system.x0) for i in range(6)]
    assert len(np.unique(np.stack(steps))) == 6


# Engines and sweeps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [EulerMaruyama(), Milstein(), StochasticHeun()], ids=lambda m: type(m).__name__)
def test_engines_agree_with_a_loop(method, x64):
    def end(seed, sigma):
        return jaxdyn.final_state(rotor().with_params(seed=seed, sigma=sigma), n_steps=20, dt=0.05, method=method).x

    seeds, sigmas = jnp.arange(7, dtype=jnp.int32), jnp.linspace(0.1, 0.7, 7)
    expected = np.stack([end(seed, sigma) for seed, sigma in zip(seeds, sigmas, strict=True)])
    for engine in ENGINES:
        np.testing.assert_allclose(jaxdyn.lanes(end, engine=engine)(seeds, sigmas), expected, rtol=1e-12)


def test_nothing_falls_back_inside_the_loop():
    def end(seed):
        return jaxdyn.final_state(rotor().with_params(seed=seed), n_steps=20, dt=0.05).x

    told = jaxdyn.explain(end, jnp.arange(64, dtype=jnp.int32))
    assert not told.fallbacks


def test_results_do_not_depend_on_lanes_chunks_or_order(x64):
    """Up to rounding: a chunk of one cell is other machine code than one of many."""

    def end(system):
        return jaxdyn.final_state(system, n_steps=30, dt=0.05).x

    over = {"sigma": [0.1, 0.4, 0.9], "seed": range(13)}
    found = jaxdyn.sweep(end, rotor(), over, progress=False)
    for chunk in (1, 4, 13):
        again = jaxdyn.sweep(end, rotor(), over, chunk=chunk, progress=False)
        np.testing.assert_allclose(again.value, found.value, rtol=1e-11)
    backward = jaxdyn.sweep(end, rotor(), {"seed": range(12, -1, -1), "sigma": [0.9]}, progress=False)
    np.testing.assert_allclose(backward.value[::-1, 0], found.value[2], rtol=1e-11)
    assert found.seed.dtype == np.int32 and found.attrs["kind"] == "sde"
    assert len(np.unique(found.value)) == found.value.size


def test_new_seeds_cost_no_retrace():
    calls = []

    def drift(t, x, p):
        calls.append(None)
        return -x

    system = sde(drift, lambda t, x, p: x, {}, [1.0])
    jaxdyn.final_state(system, n_steps=3, dt=0.1)
    before = len(calls)
    jaxdyn.final_state(system.with_params(seed=5), n_steps=3, dt=0.1)
    assert len(calls) == before


# Systems --------------------------------------------------------------------------------------------------------------


def test_as_a_function_it_is_its_drift():
    system, neuron = models.noisy_fitzhugh_nagumo(), models.fitzhugh_nagumo(I=0.3)
    point = jaxdyn.fixed_points(neuron).x[0]
    np.testing.assert_allclose(system(0.0, point), 0, atol=1e-6)
    np.testing.assert_array_equal(jaxdyn.jacobian(system, point), jaxdyn.jacobian(neuron, point))
    quiet = system.without_noise()
    assert type(quiet) is jaxdyn.Flow and "seed" not in quiet.params
    np.testing.assert_array_equal(
        jaxdyn.trajectory(quiet, n_steps=20, dt=0.1).x, jaxdyn.trajectory(neuron, n_steps=20, dt=0.1).x
    )


def test_shapes_of_noise():
    for diffusion, shape in (
        (lambda t, x, p: 0.5 * x, (2,)),
        (lambda t, x, p: (x[0], 0.0), (2,)),
        (lambda t, x, p: jnp.ones((2, 3)), (2, 3)),
        (lambda t, x, p: (jnp.stack([x[0]]), jnp.stack([x[1]])), (2, 1)),
    ):
        system = sde(lambda t, x, p: -x, diffusion, {}, [1.0, 2.0])
        assert system.amplitude(0.0, system.x0).shape == shape and system.n_processes == shape[-1]
    assert sde(lambda t, x, p: -x, lambda t, x, p: 0.3, {}, [1.0]).amplitude(0.0, jnp.ones(1)).shape == (1,)


def test_additive_noise_is_recognized():
    assert models.noisy_fitzhugh_nagumo().is_additive()
    assert sde(lambda t, x, p: -x, lambda t, x, p: t * jnp.ones_like(x), {}, [1.0]).is_additive()
    assert not models.geometric_brownian_motion().is_additive()


def test_the_default_method_needs_no_conversion(x64):
    for interpretation, method in ((Ito(), EulerMaruyama()), (Stratonovich(), StochasticHeun())):
        system = rotor(interpretation=interpretation)
        given, default = (jaxdyn.final_state(system, n_steps=5, dt=0.1, method=m).x for m in (method, None))
        np.testing.assert_array_equal(given, default)


def test_driven_noise(x64):
    system = rotor()
    lifted = jaxdyn.driven(system, jaxdyn.samples([0.0, 1.0], dt=0.2), onto="x0")
    runs = [jaxdyn.trajectory(s, n_steps=3, dt=0.1).x for s in (system, lifted)]
    np.testing.assert_array_equal(runs[1][:3], runs[0][:3])
    np.testing.assert_allclose(runs[1][3] - runs[0][3], [0.1, 0.0], atol=1e-12)


def test_frozen_states_lose_their_noise(x64):
    system = rotor()
    still = jaxdyn.frozen(system, {"x0": 0.5})
    assert still.n_processes == 3 and still.state_names == ("x1",)
    t, x = jnp.array(0.3), jnp.array([0.5, 0.8])
    np.testing.assert_allclose(still.amplitude(t, x[1:]), system.amplitude(t, x)[1:], rtol=1e-15)
    one = jaxdyn.final_state(still, n_steps=1, dt=0.1).x
    np.testing.assert_allclose(one, jaxdyn.final_state(system, n_steps=1, dt=0.1).x[1:], rtol=1e-12)


def test_linearized_noise(x64):
    """The linear noise approximation about rest: stationary covariance by Lyapunov's equation."""
    system = models.noisy_fitzhugh_nagumo(sigma=0.1)
    rest = jaxdyn.fixed_points(system).x[0]
    linear = jaxdyn.linearize(system, rest)
    assert isinstance(linear, jaxdyn.SDE)
    np.testing.assert_array_equal(linear.amplitude(0.0, 2 * rest), system.amplitude(0.0, rest))
    weak = system.with_params(sigma=1e-6).with_state(rest)
    apart = jaxdyn.final_state(weak, n_steps=100, dt=0.02).x - rest
    own = linear.with_params(B=[[1e-6], [0.0]]).with_state(rest)
    np.testing.assert_allclose(jaxdyn.final_state(own, n_steps=100, dt=0.02).x - rest, apart, atol=1e-5 * 1e-6 * 30)


def test_reduce_and_growth_of_finite_perturbations_see_the_noise(x64):
    system = models.ornstein_uhlenbeck()
    kept = jaxdyn.reduce(system, jaxdyn.reducers.Mean("x"), n_steps=100, dt=0.1)
    run = jaxdyn.trajectory(system, n_steps=100, dt=0.1)
    np.testing.assert_allclose(kept.values.mean, run.x[1:].mean(), rtol=1e-12)
    grown = jaxdyn.perturbation_growth(system, n_steps=200, dt=0.1, size=0.1)
    assert float(grown.rates[0]) == pytest.approx(np.log(0.9) / 0.1, rel=1e-9)  # with the same noise, Euler's


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        ({"diffusion": 3}, TypeError, "diffusion must be a function"),
        (
            {"diffusion": lambda t, x, p: jnp.ones(3)},
            ValueError,
            r"gave shape \(3,\), state has \(2,\); return \(2,\)",
        ),
        ({"diffusion": lambda t, x, p: 1.0}, ValueError, r"gave shape \(\), .*or \(2, m\) for m processes"),
        ({"diffusion": lambda t, x, p: (x, 1.0)}, ValueError, "must give equal shapes, a scalar or a row per state"),
        ({"diffusion": lambda t, x, p: x.astype(jnp.int32)}, TypeError, "diffusion gave int32, state is float32"),
        ({"interpretation": "ito"}, TypeError, r"must be jaxdyn.Ito\(\) or jaxdyn.Stratonovich\(\), got 'ito'"),
        ({"seed": 1.5}, TypeError, "seed must be one whole number, got 1.5"),
        ({"seed": 2**31}, ValueError, "seed must fit 32 bits"),
        ({"params": {"seed": 1}}, ValueError, "the parameter 'seed' is the seed of the noise"),
    ],
)
def test_what_makes_no_system(make, error, message, unchecked):
    given = {"diffusion": lambda t, x, p: x, "params": {}, "x0": [1.0, 2.0]} | make
    with pytest.raises(error, match=message):
        sde(lambda t, x, p: -x, **given)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda s: jaxdyn.trajectory(s, n_steps=1, dt=0.1, method=jaxdyn.RK4()), TypeError, "stochastic, which RK4 is"),
        (lambda s: jaxdyn.trajectory(s, n_steps=1, dt=-0.1), ValueError, "noise has no way back"),
        (lambda s: s.with_params(seed=0.5), ValueError, "parameter 'seed' has dtype int32, got float64"),
        (
            lambda s: jaxdyn.trajectory(s.without_noise(), n_steps=1, dt=0.1, method=Milstein()),
            TypeError,
            "Milstein is for stochastic systems, and system has no noise",
        ),
        (
            lambda s: Milstein().step(s.without_noise(), jnp.float32(0), s.x0, jnp.float32(1), None),
            TypeError,
            "Milstein advances stochastic systems, got Flow",
        ),
    ],
)
def test_what_cannot_be_run(run, error, message, unchecked):
    system = rotor(about=jaxdyn.About(name="system"))
    with pytest.raises(error, match=message):
        run(system)


def test_a_step_backward_that_is_traced_is_told_by_the_status():
    run = jax.jit(lambda dt: jaxdyn.final_state(rotor(), n_steps=2, dt=dt))
    assert int(run(-0.1).status) == Status.NON_FINITE and int(run(0.1).status) == Status.OK
