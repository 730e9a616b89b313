"""Trajectories: times, saving, statuses, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.errors import Status


def oscillator(dtype=None):
    def field(t, x, p):
        return x[1], -p["k"] * x[0] + p["a"] * jnp.cos(t)

    return jaxdyn.flow(field, {"k": 2.0, "a": 0.5}, [1.0, 0.0], dtype=dtype)


def growth(rate=2.0):
    return jaxdyn.iterated_map(lambda n, x, p: p["r"] * x, {"r": rate}, [1.0])


METHODS = [jaxdyn.Euler(), jaxdyn.Heun(), jaxdyn.RK4(), jaxdyn.Tsit5()]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_save_policies_give_the_same_states_bit_for_bit(method):
    arguments = {"n_steps": 12, "dt": 0.1, "method": method}
    everything = jaxdyn.trajectory(oscillator(), save=jaxdyn.All(), **arguments)
    for k in (1, 2, 3, 12):
        some = jaxdyn.trajectory(oscillator(), save=jaxdyn.Every(k), **arguments)
        np.testing.assert_array_equal(some.x, everything.x[::k])
        np.testing.assert_array_equal(some.t, everything.t[::k])
    last = jaxdyn.trajectory(oscillator(), save=jaxdyn.Final(), **arguments)
    np.testing.assert_array_equal(last.x, everything.x[-1])
    np.testing.assert_array_equal(last.t, everything.t[-1])
    np.testing.assert_array_equal(jaxdyn.final_state(oscillator(), **arguments).x, last.x)


def test_all_is_the_default_and_starts_with_the_start():
    run = jaxdyn.trajectory(oscillator(), n_steps=3, dt=0.1)
    assert run.x.shape == (4, 2)
    np.testing.assert_array_equal(run.x[0], oscillator().x0)


def test_time_is_the_step_number_times_dt():
    n = 30_000
    run = jaxdyn.trajectory(oscillator(), n_steps=n, dt=0.1, t0=2.0, save=jaxdyn.Every(100))
    exact = np.float32(2.0) + np.arange(0, n + 1, 100).astype(np.float32) * np.float32(0.1)
    # One product and one sum: two roundings, however many steps; a running sum would be off by far more.
    np.testing.assert_allclose(run.t, exact, rtol=2 * np.finfo(np.float32).eps, atol=0)
    steps = jaxdyn.trajectory(growth(1.0), n_steps=5, t0=7).t
    np.testing.assert_array_equal(steps, [7, 8, 9, 10, 11, 12])
    assert steps.dtype == jnp.int32


def test_end_time_and_number_of_steps_are_the_same_thing():
    by_time = jaxdyn.trajectory(oscillator(), t1=3.0, t0=1.0, dt=0.1)
    by_steps = jaxdyn.trajectory(oscillator(), n_steps=20, t0=1.0, dt=0.1)
    np.testing.assert_array_equal(by_time.x, by_steps.x)
    assert jaxdyn.trajectory(oscillator(), t1=1e4, dt=jnp.float32(0.1), save=jaxdyn.Final()).status == Status.OK


def test_no_steps():
    run = jaxdyn.trajectory(oscillator(), n_steps=0, dt=0.1, t0=4.0)
    np.testing.assert_array_equal(run.x, oscillator().x0[None])
    np.testing.assert_array_equal(run.t, [4.0])
    np.testing.assert_array_equal(jaxdyn.final_state(oscillator(), t1=4.0, t0=4.0, dt=0.1).x, oscillator().x0)
    np.testing.assert_array_equal(jaxdyn.final_state(growth(), n_steps=0).x, [1.0])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_negative_step_runs_back_to_the_start(method, x64):
    system, n, dt = oscillator(), 50, 0.02
    there = jaxdyn.final_state(system, n_steps=n, dt=dt, method=method)
    back = jaxdyn.final_state(system.with_state(there.x), n_steps=n, dt=-dt, method=method, t0=float(there.t))
    assert abs(float(back.t)) < 1e-15
    # Forth and back the global errors C dt^q add; C is below 2 for this bounded oscillator on [0, 1].
    assert float(jnp.abs(back.x - system.x0).max()) < 4 * dt**method.order
    np.testing.assert_array_equal(
        jaxdyn.final_state(system, t1=-1.0, dt=-dt, method=method).x,
        jaxdyn.final_state(system, n_steps=n, dt=-dt, method=method).x,
    )


def test_closed_form_of_a_forced_flow(x64):
    # x'' = -2 x + 0.5 cos t from (1, 0): x = (cos t + cos(sqrt2 t)) / 2.
    run = jaxdyn.trajectory(oscillator(), t1=10.0, dt=0.01, save=jaxdyn.Every(100))
    exact = (np.cos(run.t) + np.cos(np.sqrt(2) * np.asarray(run.t))) / 2
    # RK4: error about t |x^(5)| dt^4 / 120 < 10 * 4 * 1e-8 / 120.
    np.testing.assert_allclose(run.x[:, 0], exact, rtol=0, atol=4e-9)


def test_the_start_time_of_a_forced_system_matters(x64):
    # dx/dt = 2 t from t0 = 3: x = t^2 - 9, which RK4 integrates exactly.
    ramp = jaxdyn.flow(lambda t, x, p: 2 * t + 0 * x, {}, [0.0])
    np.testing.assert_allclose(jaxdyn.final_state(ramp, t0=3.0, t1=5.0, dt=0.5).x, [16.0], rtol=1e-15)


def test_a_map_sees_its_step_number():
    counting = jaxdyn.iterated_map(lambda n, x, p: x + n.astype(x.dtype), {}, [0.0])
    run = jaxdyn.trajectory(counting, n_steps=4, t0=10)
    np.testing.assert_array_equal(run.x[:, 0], [0.0, 10.0, 21.0, 33.0, 46.0])


@pytest.mark.parametrize("save", [jaxdyn.Final(), jaxdyn.Every(4), jaxdyn.All()])
def test_status_tells_of_a_nan_that_was_passed_on_the_way(save):
    # Only the state at n = 2 is not finite: the field forgets it.
    blink = jaxdyn.iterated_map(
        lambda n, x, p: jnp.where(n == 1, p["bad"], 1.0) * jnp.ones_like(x), {"bad": 1.0}, [1.0]
    )
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        run = jaxdyn.trajectory(blink.with_params(bad=bad), n_steps=8, save=save)
        assert bool(jnp.all(jnp.isfinite(run.x[-1])))
        assert run.status == Status.NON_FINITE
    assert jaxdyn.trajectory(blink, n_steps=8, save=save).status == Status.OK


def test_status_of_a_start_that_is_not_finite():
    system = oscillator().with_state(jnp.array([jnp.nan, 0.0]))
    assert jaxdyn.final_state(system, n_steps=0, dt=0.1).status == Status.NON_FINITE


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_lane_that_fails_leaves_its_neighbours_bit_identical(method):
    def lane(k):
        return jaxdyn.trajectory(oscillator().with_params(k=k), n_steps=40, dt=0.1, method=method)

    good = jax.vmap(lane)(jnp.array([1.0, 2.0, 3.0, 4.0]))
    mixed = jax.vmap(lane)(jnp.array([1.0, jnp.nan, 3.0, -1e30]))
    np.testing.assert_array_equal(mixed.status, [0, 1, 0, 1])
    np.testing.assert_array_equal(mixed.x[::2], good.x[::2])


def test_a_new_value_costs_no_retrace():
    traces = []

    def field(t, x, p):
        traces.append(None)
        return -p["k"] * x

    system = jaxdyn.flow(field, {"k": 1.0}, [1.0])
    jaxdyn.final_state(system, n_steps=10, dt=0.1)
    before = len(traces)
    for k in (2, 2.0, np.float64(3), np.float32(4), jnp.asarray(5.0), jnp.float32(6)):
        jaxdyn.final_state(system.with_params(k=k), n_steps=10, dt=0.1)
        jaxdyn.final_state(system.with_state([3.0]), n_steps=10, dt=k)
        jaxdyn.final_state(system, n_steps=10, dt=0.1, method=jaxdyn.RK4())
    jaxdyn.final_state(system, t1=1.0, dt=0.1)
    jaxdyn.final_state(system, n_steps=11, dt=0.1)  # another program, but the same field
    assert len(traces) == before > 0


def test_gradient_of_the_decay_rate(x64):
    # x(1) = exp(-k): the derivative is -x. RK4 at dt = 0.01 is off by about k^5 dt^4 / 120 < 1e-10.
    system = jaxdyn.flow(lambda t, x, p: -p["k"] * x, {"k": 1.5}, [1.0])

    def end(k):
        return jaxdyn.final_state(system.with_params(k=k), t1=1.0, dt=0.01).x[0]

    np.testing.assert_allclose(jax.grad(end)(1.5), -np.exp(-1.5), rtol=0, atol=1e-9)
    np.testing.assert_allclose(jax.jacfwd(end)(1.5), -np.exp(-1.5), rtol=0, atol=1e-9)


def test_gradient_with_respect_to_the_step_and_the_start(x64):
    def end(dt, x0):
        return jaxdyn.final_state(oscillator().with_state(x0), n_steps=10, dt=dt, method=jaxdyn.Euler()).x[0]

    x0 = jnp.array([1.0, 0.0])
    by_dt, by_start = jax.grad(end, argnums=(0, 1))(0.1, x0)
    h = 1e-6  # central difference: truncation h^2, rounding 1e-16 / h
    np.testing.assert_allclose(by_dt, (end(0.1 + h, x0) - end(0.1 - h, x0)) / (2 * h), rtol=1e-8)
    # The equations are affine in the state, so the gradient is a difference of any size.
    np.testing.assert_allclose(by_start[0], end(0.1, x0 + jnp.array([1.0, 0.0])) - end(0.1, x0), rtol=1e-13)


def test_double_precision_does_not_leak_into_a_single_system(x64):
    single = oscillator(dtype=jnp.float32)
    for t0 in (0, 0.5, np.float64(0.5), jnp.float64(0.5)):
        run = jaxdyn.trajectory(single, n_steps=4, dt=np.float64(0.1), t0=t0)
        assert (run.x.dtype, run.t.dtype, run.status.dtype) == (jnp.float32, jnp.float32, jnp.int8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dt": 0.1}, TypeError, "give either n_steps or t1"),
        ({"dt": 0.1, "n_steps": 3, "t1": 0.3}, TypeError, "give either n_steps or t1"),
        ({"n_steps": 3}, TypeError, r"a flow needs its step: dt=\.\.\.$"),
        ({"n_steps": 3, "dt": 0.0}, ValueError, "dt must be one finite number other than zero, got 0.0"),
        ({"n_steps": 3, "dt": np.nan}, ValueError, "dt must be one finite number"),
        ({"n_steps": 3, "dt": np.ones(2)}, ValueError, "dt must be one finite number"),
        ({"n_steps": -1, "dt": 0.1}, ValueError, "n_steps must be a whole number of at least 0.*got -1"),
        ({"n_steps": 2.0, "dt": 0.1}, ValueError, r"n_steps must be a whole number.*got 2\.0"),
        ({"n_steps": True, "dt": 0.1}, ValueError, "n_steps must be a whole number.*got True"),
        (
            {"t1": 1.05, "dt": 0.1},
            ValueError,
            r"t1=1\.05 is not a whole number of steps dt=0\.1 after t0=0; use dt=0\.105$",
        ),
        ({"t1": 100_000.05, "dt": 0.1}, ValueError, "not a whole number of steps"),
        ({"t1": -1.0, "dt": 0.1}, ValueError, r"use dt=-0\.1$"),
        ({"t1": np.inf, "dt": 0.1}, ValueError, "not a whole number of steps"),
        (
            {"n_steps": 10, "dt": 0.1, "save": jaxdyn.Every(3)},
            ValueError,
            r"Every\(3\) must divide n_steps=10; use n_steps=12",
        ),
        ({"n_steps": 10, "dt": 0.1, "save": jaxdyn.Every(0)}, ValueError, r"Every\(0\)"),
    ],
)
def test_steps_that_do_not_fit_are_refused(arguments, error, message, unchecked):
    with pytest.raises(error, match=message):
        jaxdyn.trajectory(oscillator(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps": 3, "dt": 1.0}, "a map advances by n_steps; dt and t1 are for flows"),
        ({"t1": 3.0}, "a map advances by n_steps"),
        ({"n_steps": 3, "method": jaxdyn.RK4()}, "maps are iterated; got method=RK4.*leave method out"),
        ({"n_steps": 3, "t0": 0.5}, r"t0 must be an integer, got 0\.5"),
    ],
)
def test_a_map_refuses_what_belongs_to_flows(arguments, message):
    with pytest.raises(TypeError, match=message):
        jaxdyn.trajectory(growth(), **arguments)


def test_a_missing_step_names_the_one_of_the_model():
    with pytest.raises(TypeError, match=r"fitzhugh_nagumo is resolved by dt=0\.1$"):
        jaxdyn.trajectory(jaxdyn.models.fitzhugh_nagumo(), n_steps=3)


def test_a_traced_end_time_is_refused():
    with pytest.raises(TypeError, match="must be known while tracing; give n_steps instead"):
        jax.jit(lambda dt: jaxdyn.final_state(oscillator(), t1=1.0, dt=dt))(0.1)


def test_more_steps_than_are_counted_are_refused(x64):
    henon = jaxdyn.models.henon()
    for run in (
        lambda: jaxdyn.final_state(henon, n_steps=2**31),
        lambda: jaxdyn.lyapunov_spectrum(henon, n_steps=2**31 - 8),  # with its transient
        lambda: jaxdyn.lyapunov_spectrum(henon, n_steps=8, n_transient=2**31 - 8),
        lambda: jaxdyn.lyapunov_spectrum(henon, n_steps=2**31 - 8, n_transient=8, until=jaxdyn.StdError(0.1)),
        lambda: jaxdyn.perturbation_growth(henon, size=1e-3, n_steps=8, n_transient=2**31 - 8),
        lambda: jaxdyn.chaos_indicators(henon, n_steps=8, n_transient=2**31 - 8),
    ):
        with pytest.raises(ValueError, match="32 bits"):
            run()
