"""Training as a map: the orbit is optax's own, and all analyses work on it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn.learning import losses, optimizer_map, pack, unpack

CURVATURES = np.array([[2.0, 0.3], [0.3, 1.0]])
START = {"W": [[1.0, -2.0], [0.5, 0.3]], "b": 0.2}


def loss(theta, p):
    bent = theta["W"] @ jnp.asarray(CURVATURES, theta["W"].dtype)
    return p["scale"] * (jnp.sum(theta["W"] * bent) / 2 + (theta["b"] - 1) ** 2 + theta["b"] * jnp.tanh(bent[0, 0]))


def start(dtype):
    return jax.tree.map(lambda value: jnp.asarray(value, dtype), START, is_leaf=lambda v: not isinstance(v, dict))


def clipped(learning_rate, most):
    return optax.chain(optax.clip_by_global_norm(most), optax.adam(learning_rate))


def inverse_time(count):
    return 0.1 / (1 + 0.1 * jnp.asarray(count, jnp.float64))


OPTIMIZERS = {
    "sgd": (optax.sgd, {"learning_rate": 0.1}),
    "heavy ball": (optax.sgd, {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": (optax.sgd, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (optax.adam, {"learning_rate": 0.1, "b1": 0.8}),
    "adamw": (optax.adamw, {"learning_rate": 0.1, "weight_decay": 0.1}),
    "nadam": (optax.nadam, {"learning_rate": 0.1}),
    "rmsprop": (optax.rmsprop, {"learning_rate": 0.01, "decay": 0.8}),
    "rmsprop, centered, with momentum": (
        functools.partial(optax.rmsprop, centered=True, eps_in_sqrt=False),
        {"learning_rate": 0.01, "momentum": 0.5},
    ),
    "lion": (optax.lion, {"learning_rate": 0.1, "b2": 0.9}),
    "adagrad": (optax.adagrad, {"learning_rate": 0.1}),
    "optimistic": (optax.optimistic_gradient_descent, {"learning_rate": 0.1}),
    "sign": (optax.sign_sgd, {"learning_rate": 0.1}),
    "schedule": (optax.adam, {"learning_rate": inverse_time, "b1": 0.8}),
    "chain": (clipped, {"learning_rate": 0.1, "most": 0.5}),
    "adabelief": (optax.adabelief, {"learning_rate": 0.1}),
    "amsgrad": (optax.amsgrad, {"learning_rate": 0.1}),
    "lamb": (optax.lamb, {"learning_rate": 0.1}),
    "schedule free": (optax.contrib.schedule_free_sgd, {"learning_rate": 0.1}),
}


def plain(optimizer, theta, n_steps):
    """Parameters after each step of optax's own loop."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        state, found = optimizer.init(theta), [theta]
        gradient = jax.jit(jax.grad(lambda theta: loss(theta, {"scale": jnp.asarray(1.0, theta["b"].dtype)})))
        for _ in range(n_steps):
            updates, state = optimizer.update(gradient(theta), state, theta)
            theta = optax.apply_updates(theta, updates)
            found.append(theta)
    return found, state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_orbit_is_that_of_optax(x64, name):
    """20 steps of about 10 roundings each, on numbers of order 1; a first Adam step divides by sqrt of g^2."""
    factory, hyper = OPTIMIZERS[name]
    system = optimizer_map(loss, factory, start("float64"), hyper=hyper, loss_params={"scale": 1.0})
    expected, state = plain(factory(**hyper), start("float64"), 20)
    run = jaxdyn.trajectory(system, n_steps=20)
    for x, theta in zip(run.x, expected, strict=True):
        got, _ = unpack(system, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=4e-13), got, theta)
    _, got = unpack(system, run.x[-1], 20)
    assert jax.tree.structure(got) == jax.tree.structure(state)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(state), strict=True):
        assert ours.dtype == jnp.asarray(theirs).dtype or jnp.issubdtype(ours.dtype, jnp.floating)
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=4e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays(name):
    factory, hyper = OPTIMIZERS[name]
    if name == "schedule":
        hyper = hyper | {"learning_rate": optax.exponential_decay(0.1, 10, 0.9)}
    with jax.enable_x64(name != "schedule"):
        system = optimizer_map(loss, factory, start("float32"), hyper=hyper, loss_params={"scale": 1.0})
        run = jaxdyn.trajectory(system, n_steps=5)
    assert run.x.dtype == jnp.float32
    assert all(value.dtype == jnp.float32 for value in system.params.values())
    assert np.all(np.isfinite(run.x))


def test_names_of_states_and_parameters():
    system = optimizer_map(
        loss,
        optax.adam,
        start("float32"),
        hyper={"learning_rate": 0.1, "b1": 0.9, "nesterov": False, "mu_dtype": None},
        loss_params={"scale": 2.0},
    )
    weights = ["W[0,0]", "W[0,1]", "W[1,0]", "W[1,1]", "b"]
    assert system.state_names == (*weights, *(f"mu.{name}" for name in weights), *(f"nu.{name}" for name in weights))
    assert list(system.params) == ["learning_rate", "b1", "scale"]
    layers = optimizer_map(lambda theta: theta[0]["a"] ** 2 + theta[1], optax.sgd(0.1), [{"a": 1.0}, 2.0])
    assert layers.state_names == ("theta[0].a", "theta[1]")
    twice = optimizer_map(jnp.sum, lambda: optax.chain(optax.trace(0.5), optax.trace(0.1)), jnp.zeros(1))
    assert twice.state_names == ("theta[0]", "[0].trace[0]", "[1].trace[0]")


def test_unpack_and_pack_undo_each_other():
    system = optimizer_map(loss, optax.adam, start("float32"), hyper={"learning_rate": 0.1}, loss_params={"scale": 1.0})
    x = jnp.arange(15, dtype=jnp.float32)
    theta, state = unpack(system, x, 7)
    assert int(state[0].count) == 7
    np.testing.assert_array_equal(pack(system, theta, state), x)
    np.testing.assert_array_equal(pack(system, start("float32")), system.x0)
    np.testing.assert_array_equal(unpack(system)[0]["W"], np.asarray(START["W"], "float32"))
    np.testing.assert_allclose(losses(system, x), loss(theta, {"scale": 1.0}), rtol=1e-6)


def quartic(theta, p):
    """Slope theta^3 - theta: steps of rate r are theta+ = (1 + r) theta - r theta^3."""
    return p["size"] * (theta**4 / 4 - theta**2 / 2)


def test_period_doubling_of_gradient_descent(x64):
    """u = sqrt(r) theta obeys the cubic map u+ = a u - u^3, a = 1 + r, which flips at a = 2 and then at sqrt(5)."""
    system = optimizer_map(quartic, optax.sgd, 0.5, hyper={"learning_rate": 0.1}, loss_params={"size": 1.0})
    cascade = jaxdyn.period_doublings(system, {"learning_rate": np.linspace(0.5, 1.28, 80)}, n_doublings=2)
    np.testing.assert_allclose(cascade.values, [1.0, np.sqrt(5) - 1], atol=1e-10)
    diagram = jaxdyn.orbit_diagram(system, {"learning_rate": np.array([0.4, 1.1])}, n_points=16, n_transient=500)
    assert diagram.period.values.tolist() == [1, 2]
    np.testing.assert_allclose(diagram.exponent.values[0], np.log(abs(1 - 2 * 0.4)), atol=1e-12)


def test_fixed_points_of_training(x64):
    system = optimizer_map(
        quartic, optax.sgd, 0.5, hyper={"learning_rate": 0.1, "momentum": 0.5}, loss_params={"size": 1.0}
    )
    found = jaxdyn.fixed_points(system, box={"theta": (-2.0, 2.0), "trace": (-1.0, 1.0)})
    np.testing.assert_allclose(np.sort(found.x[found.found][:, 0]), [-1, 0, 1], atol=1e-12)
    np.testing.assert_allclose(found.x[found.found][:, 1], 0, atol=1e-12)


def test_lyapunov_exponents_of_training_at_a_minimum(x64):
    """The orbit ends on theta = 0, where exponents are the logarithms of the moduli of the eigenvalues."""
    system = optimizer_map(lambda theta: theta**2, optax.sgd, 1e-3, hyper={"learning_rate": 0.1, "momentum": 0.3})
    spectrum = jaxdyn.lyapunov_spectrum(system, n_steps=4000, n_transient=100)
    moduli = np.abs(np.roots([1, -(1.3 - 0.2), 0.3]))
    # The frame turns into place within some steps; their share of the mean is a few over 4000.
    np.testing.assert_allclose(spectrum.exponents, np.sort(np.log(moduli))[::-1], atol=2e-3)


def test_a_sweep_equals_single_runs_and_runs_natively():
    system = optimizer_map(quartic, optax.adam, 0.5, hyper={"learning_rate": 0.1, "b1": 0.9}, loss_params={"size": 1.0})

    def end(system):
        return {"theta": jaxdyn.final_state(system, n_steps=50).x[0]}

    rates = np.linspace(0.01, 0.2, 5)
    data = jaxdyn.sweep(end, system, {"learning_rate": rates}, progress=False)
    single = [float(end(system.with_params(learning_rate=rate))["theta"]) for rate in rates]
    # 50 steps with some 20 float32 roundings each, toward a minimum that forgets them.
    np.testing.assert_allclose(data.theta, single, rtol=0, atol=50 * 20 * 6e-8)
    report = jaxdyn.explain(lambda b1: end(system.with_params(b1=b1)), jnp.linspace(0.5, 0.9, 256))
    assert not report.fallbacks
    assert report.why is None


def test_new_rates_cost_no_retrace():
    calls = []

    def counted(theta):
        calls.append(1)
        return theta**2

    system = optimizer_map(counted, optax.adam, 1.0, hyper={"learning_rate": 0.1, "b1": 0.9})
    jaxdyn.final_state(system, n_steps=3)
    before = len(calls)
    assert before
    for rate in (0.2, 0.3):
        jaxdyn.final_state(system.with_params(learning_rate=rate, b1=rate), n_steps=3)
    again = optimizer_map(counted, optax.adam, 2.0, hyper={"learning_rate": 0.5, "b1": 0.7})
    made = len(calls)
    jaxdyn.final_state(again, n_steps=3)
    assert len(calls) == made


def test_gradients_through_training(x64):
    """On a quadratic theta(n) = (1 - r)^n, with slope -n (1 - r)^(n - 1)."""
    system = optimizer_map(lambda theta: theta**2 / 2, optax.sgd, 1.0, hyper={"learning_rate": 0.1})
    slope = jax.grad(lambda rate: jaxdyn.final_state(system.with_params(learning_rate=rate), n_steps=10).x[0])(0.1)
    np.testing.assert_allclose(slope, -10 * 0.9**9, rtol=1e-13)


def test_a_map_can_be_made_within_jit_and_vmap(x64):
    def end(rate, theta):
        system = optimizer_map(lambda t: jnp.sum(t**2) / 2, optax.adam, theta, hyper={"learning_rate": rate})
        return jaxdyn.final_state(system, n_steps=10).x

    rates, thetas = jnp.array([0.1, 0.2]), jnp.ones((2, 3))
    both = jax.jit(jax.vmap(end))(rates, thetas)
    np.testing.assert_allclose(both[1], end(0.2, thetas[1]), rtol=1e-12)


def test_schedules_are_functions_of_the_time(x64):
    def halving(count):
        return 0.5 ** (1 + count)

    system = optimizer_map(lambda theta: theta**2 / 2, optax.sgd, 1.0, hyper={"learning_rate": halving})
    assert [float(system(n, [1.0])[0]) for n in range(3)] == [0.5, 0.75, 0.875]
    frozen = optimizer_map(lambda theta: theta**2 / 2, optax.sgd, 1.0, hyper={"learning_rate": halving}, at_step=1)
    assert [float(frozen(n, [1.0])[0]) for n in range(3)] == [0.75] * 3


def test_at_step_freezes_bias_corrections(x64):
    """Late, a step of Adam is theta - rate m / (sqrt(v) + eps) with plain averages."""
    hyper = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.9, "eps": 0.01}
    late = optimizer_map(lambda theta: theta**2 / 2, optax.adam, 1.0, hyper=hyper, at_step=10**6)
    m, v = 0.8 * 0.3 + 0.2 * 1.0, 0.9 * 0.4 + 0.1 * 1.0
    for n in (0, 5):
        np.testing.assert_allclose(late(n, [1.0, 0.3, 0.4]), [1 - 0.1 * m / (np.sqrt(v) + 0.01), m, v], rtol=1e-14)
