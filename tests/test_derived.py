"""Derived systems: iterates of maps and driven systems are systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn


def logistic():
    return jaxdyn.iterated_map(lambda n, x, p: p["r"] * x * (1 - x), {"r": 3.5}, [0.3], state_names=["x"])


def leak():
    return jaxdyn.flow(lambda t, x, p: (-p["k"] * x[0], -x[1]), {"k": 1.0}, [1.0, 0.0], state_names=["v", "w"])


def test_nth_iterate_jumps_along_the_trajectory(x64):
    every = jaxdyn.trajectory(logistic(), n_steps=12).x
    third = jaxdyn.trajectory(jaxdyn.nth_iterate(logistic(), 3), n_steps=4).x
    # A step multiplies a difference by at most r = 3.5, and each adds three roundings.
    np.testing.assert_allclose(third, every[::3], rtol=0, atol=12 * 3 * 1.1e-16 * 3.5**12)
    assert jaxdyn.nth_iterate(logistic(), 3).state_names == ("x",)


def test_nth_iterate_of_a_forced_map_counts_the_inner_steps():
    counting = jaxdyn.iterated_map(lambda n, x, p: x + n.astype(x.dtype), {}, [0.0])
    twice = jaxdyn.trajectory(jaxdyn.nth_iterate(counting, 2), n_steps=3).x
    np.testing.assert_array_equal(twice, jaxdyn.trajectory(counting, n_steps=6).x[::2])


def test_the_multiplier_of_a_cycle_is_the_ordered_product(x64):
    def planar(n, x, p):
        return 1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]

    system = jaxdyn.iterated_map(planar, {}, [0.4, 0.2])
    orbit = jaxdyn.trajectory(system, n_steps=3).x
    product = np.eye(2)
    for x in orbit[:3]:
        product = np.asarray(jaxdyn.jacobian(system, x)) @ product
    composed = jaxdyn.jacobian(jaxdyn.nth_iterate(system, 3))
    np.testing.assert_allclose(composed, product, rtol=1e-13)  # a few dozen roundings


def test_nth_iterate_refusals(unchecked):
    with pytest.raises(TypeError, match="nth_iterate is for maps"):
        jaxdyn.nth_iterate(leak(), 2)
    for n in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            jaxdyn.nth_iterate(logistic(), n)
    once = logistic()
    assert jaxdyn.nth_iterate(once, 1) is once


def test_samples_hold_from_each_sample_to_the_next():
    u = jaxdyn.samples([1.0, 2.0, 3.0], dt=0.1, t0=1.0)
    at = [0.0, 1.0, 1.05, 1.0999, 1.1, 1.15, 1.2, 5.0]
    assert [float(u(t)) for t in at] == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("dt", [0.1, 0.3, 1 / 49, 0.01])
@pytest.mark.parametrize("t0", [0.0, 1.0, 1000.0, -1000.0])
def test_samples_at_step_times_are_exact_for_every_index(t0, dt):
    # t0 + i dt is rounded below or above the border of an interval; none may fall into the wrong one.
    index = jnp.arange(1000)
    u = jaxdyn.samples(index.astype(jnp.float32), dt=dt, t0=t0)
    times = jax.vmap(lambda i: leak().time(t0, dt, i))(index)
    np.testing.assert_array_equal(jax.vmap(u)(times), index)


def test_samples_of_a_map_are_one_a_step():
    still = jaxdyn.iterated_map(lambda n, x, p: 0 * x, {}, [0.0])
    values = jnp.array([5.0, 7.0, 11.0])
    run = jaxdyn.trajectory(jaxdyn.driven(still, jaxdyn.samples(values), onto="x0"), n_steps=3)
    np.testing.assert_array_equal(run.x[1:, 0], values)


def test_samples_refusals():
    assert jaxdyn.samples(jnp.array([1, 2])).values.dtype == jnp.float32
    with pytest.raises(ValueError, match="dt of samples must be positive"):
        jaxdyn.samples([1.0, 2.0], dt=0.0)
    with pytest.raises(ValueError, match="n >= 1"):
        jaxdyn.samples(jnp.zeros((0, 2)))
    with pytest.raises(ValueError, match="n >= 1"):
        jaxdyn.samples(1.0)


def test_a_driven_flow_follows_its_closed_form(x64):
    # v' = -v + sin t from 1: v = (3 exp(-t) + sin t - cos t) / 2; RK4 at dt = 0.01: error below 1e-9.
    system = jaxdyn.driven(leak(), jnp.sin, onto="v")
    run = jaxdyn.trajectory(system, t1=5.0, dt=0.01, save=jaxdyn.Every(100))
    t = np.asarray(run.t)
    np.testing.assert_allclose(run.x[:, 0], (3 * np.exp(-t) + np.sin(t) - np.cos(t)) / 2, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(run.x[:, 1], 0)


def test_function_and_samples_of_it_agree_with_euler():
    # Euler asks for the input at step times only, so held samples and the function are the same input.
    dt, n = 0.1, 50
    values = jnp.sin(jnp.arange(n, dtype=jnp.float32) * jnp.float32(dt))
    runs = [
        jaxdyn.trajectory(jaxdyn.driven(leak(), u, onto="w"), n_steps=n, dt=dt, method=jaxdyn.Euler())
        for u in (jnp.sin, jaxdyn.samples(values, dt=dt))
    ]
    # The sine of a traced product may differ by an ulp from that of the array; 50 contracting steps add them.
    np.testing.assert_allclose(runs[0].x, runs[1].x, rtol=0, atol=50 * 0.1 * 2e-7)


def test_a_vector_input_goes_to_all_states():
    system = jaxdyn.driven(leak(), jaxdyn.samples([[1.0, 2.0], [3.0, 4.0]], dt=1.0))
    np.testing.assert_array_equal(system(0.5, jnp.zeros(2)), [1.0, 2.0])
    np.testing.assert_array_equal(system(1.5, jnp.zeros(2)), [3.0, 4.0])


def test_new_samples_cost_no_retrace_and_have_gradients():
    traces = []

    def field(t, x, p):
        traces.append(None)
        return -x

    system = jaxdyn.flow(field, {}, [0.0])

    def end(values):
        pulsed = jaxdyn.driven(system, jaxdyn.samples(values, dt=0.5), onto="x0")
        return jaxdyn.final_state(pulsed, n_steps=2, dt=0.5, method=jaxdyn.Euler()).x[0]

    jitted = jax.jit(end)
    jitted(jnp.array([1.0, 2.0]))
    before = len(traces)
    jitted(jnp.array([3.0, 4.0]))
    assert len(traces) == before > 0
    # x2 = 0.5 (0.5 u0) + 0.5 u1.
    np.testing.assert_array_equal(jax.grad(end)(jnp.array([1.0, 2.0])), [0.25, 0.5])


def test_driving_twice_adds():
    twice = jaxdyn.driven(jaxdyn.driven(leak(), lambda t: 1.0, onto="v"), lambda t: 2.0, onto="v")
    np.testing.assert_array_equal(twice(0.0, jnp.zeros(2)), [3.0, 0.0])


def test_driven_refusals():
    with pytest.raises(TypeError, match=r"no state 'x'; known: v, w"):
        jaxdyn.driven(leak(), jnp.sin, onto="x")
    with pytest.raises(ValueError, match=r"u\(t\) has shape \(3,\), expected \(2,\); give one value per"):
        jaxdyn.driven(leak(), lambda t: jnp.zeros(3))
    with pytest.raises(ValueError, match=r"u\(t\) has shape \(\), expected \(2,\); name the one state with onto"):
        jaxdyn.driven(leak(), lambda t: 1.0)
    with pytest.raises(ValueError, match=r"u\(t\) has shape \(2,\), expected \(\);"):
        jaxdyn.driven(leak(), lambda t: jnp.zeros(2), onto="v")


def test_a_field_of_python_numbers_can_be_driven():
    still = jaxdyn.flow(lambda t, x, p: (x[1], 0), {}, [0.0, 0.0])
    np.testing.assert_array_equal(jaxdyn.driven(still, lambda t: 2.0, onto="x1")(0.0, still.x0), [0.0, 2.0])
