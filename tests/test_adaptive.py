"""Methods that choose their steps: as accurate and as cheap as theory and SciPy say, and lanes fail alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import jaxdyn
from jaxdyn.errors import Status

METHODS = [jaxdyn.methods.Bosh3, jaxdyn.Tsit5, jaxdyn.Dopri8]
RIVALS = {"Bosh3": "RK23", "Tsit5": "RK45", "Dopri8": "DOP853"}


def kepler(t, x, p):
    cube = (x[0] ** 2 + x[1] ** 2) ** 1.5
    return x[2], x[3], -x[0] / cube, -x[1] / cube


def orbit(eccentricity=0.6):
    """An orbit of period 2 pi from its pericenter, where the speed is largest."""
    speed = ((1 + eccentricity) / (1 - eccentricity)) ** 0.5
    return jaxdyn.flow(kepler, {}, jnp.array([1 - eccentricity, 0.0, 0.0, speed]))


class Counting:
    """Equations of an orbit that count how often they are evaluated."""

    def __init__(self):
        self.n = 0

    def __call__(self, t, x, p):
        jax.debug.callback(self._one_more)
        return kepler(t, x, p)

    def _one_more(self):
        self.n += 1


def evaluations_of(method):
    """Evaluations of the field over one period, and the error at its end."""
    counting, whole = Counting(), orbit()
    system = jaxdyn.flow(counting, {}, whole.x0)
    counting.n = 0
    end = jaxdyn.final_state(system, t1=2 * np.pi, method=method)
    jax.effects_barrier()
    return counting.n, float(jnp.abs(end.x - whole.x0).max())


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("kind", METHODS)
def test_work_is_that_of_scipy_at_equal_tolerance_and_at_equal_error(kind, rtol, x64):
    if kind is jaxdyn.methods.Bosh3 and rtol < 1e-7:
        pytest.skip("a method of order 3 takes too many steps")
    work, error = evaluations_of(kind(rtol=rtol))
    x0 = np.asarray(orbit().x0)
    # SciPy's RK45 is another pair of order 5(4); it takes six evaluations a step as well.
    rival = solve_ivp(
        lambda t, x: kepler(t, x, None), (0, 2 * np.pi), x0, RIVALS[kind.__name__], rtol=rtol, atol=1e-3 * rtol
    )
    rival_error = np.abs(rival.y[:, -1] - x0).max()
    assert work <= 2 * rival.nfev
    # The error of a method of order q falls with the q-th power of the work.
    assert work * (error / rival_error) ** (1 / kind().order) <= 2 * rival.nfev


@pytest.mark.parametrize("kind", METHODS)
def test_the_error_follows_the_tolerance(kind, x64):
    # The error of a step is in proportion to rtol, and so is that of the run, but for the number of steps, rtol^(-1/q),
    # and for chance: errors add up with signs that change along the orbit.
    def states(kind, rtol):
        return jaxdyn.trajectory(orbit(), method=kind(rtol=rtol), save=jaxdyn.At([5.0, 10.0, 15.0, 20.0])).x

    exact = states(jaxdyn.Dopri8, 1e-13)
    coarse, fine = (float(jnp.abs(states(kind, rtol) - exact).max()) for rtol in (1e-5, 1e-9))
    slope = np.log10(coarse / fine) / 4
    assert 1 - 1 / kind().order - 0.15 < slope < 1.15, (coarse, fine)


@pytest.mark.parametrize("kind", METHODS)
def test_saved_states_lie_on_the_solution(kind, x64):
    times = np.array([0.0, 0.3, 1.0, 1.00001, 4.0])
    run = jaxdyn.trajectory(orbit(), method=kind(rtol=1e-8), save=jaxdyn.At(times))
    exact = solve_ivp(
        lambda t, x: kepler(t, x, None), (0, 4.0), np.asarray(orbit().x0), "DOP853", rtol=1e-13, t_eval=times[1:]
    )
    np.testing.assert_array_equal(run.t, times)
    np.testing.assert_array_equal(run.x[0], orbit().x0)
    # Some hundred steps each off by 1e-8 of the state, drawn apart by the shear of the orbits (20 over this time).
    np.testing.assert_allclose(run.x[1:].T, exact.y, rtol=0, atol=1e-8 * 100 * 20)


def test_equal_intervals_and_given_times_are_the_same_run(x64):
    method = jaxdyn.Tsit5(rtol=1e-7)
    equal = jaxdyn.trajectory(orbit(), n_steps=6, dt=0.5, method=method, save=jaxdyn.Every(2))
    given = jaxdyn.trajectory(orbit(), method=method, save=jaxdyn.At(0.5 * np.arange(7)))
    np.testing.assert_array_equal(equal.x, given.x[::2])


def test_backward_in_time_returns_to_the_start(x64):
    method = jaxdyn.Dopri8(rtol=1e-11)
    there = jaxdyn.final_state(orbit(), t1=3.0, method=method)
    back = jaxdyn.final_state(orbit().with_state(there.x), t0=3.0, t1=0.0, method=method)
    # Some thirty steps there and back of 1e-11 each, drawn apart as above.
    np.testing.assert_allclose(back.x, orbit().x0, atol=60 * 20 * 1e-11)
    assert float(back.t) == 0.0


def test_time_reaches_the_field_of_every_stage(x64):
    system = jaxdyn.flow(lambda t, x, p: (3 * t**2,), {}, [0.0])
    end = jaxdyn.final_state(system, t0=1.0, t1=2.5, method=jaxdyn.methods.Bosh3(rtol=1e-3))
    np.testing.assert_allclose(end.x, [2.5**3 - 1], rtol=1e-13)  # a cubic is exact to order 3


def test_blow_up_ends_one_lane_and_no_other():
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2,), {}, [1.0])  # 1 / (1/x0 - t)
    starts = jnp.array([0.1, 1.0, -1.0, jnp.nan, 0.2])

    def end(x0):
        return jaxdyn.final_state(system.with_state([x0]), t1=2.0, method=jaxdyn.Tsit5(rtol=1e-6))

    for run in (jaxdyn.lanes(end)(starts), jax.vmap(end)(starts)):
        expected = [Status.OK, Status.STEP_LIMIT, Status.OK, Status.NON_FINITE, Status.OK]
        np.testing.assert_array_equal(run.status, expected)
        # Some fifty steps of rtol, and of float32's rounding; errors grow with x squared, 1.6 times at most.
        np.testing.assert_allclose(run.x[jnp.array([0, 2, 4]), 0], [0.125, -1 / 3, 1 / 3], rtol=2e-4)
        assert np.isnan(run.x[1, 0])


def test_too_many_steps_are_told():
    run = jaxdyn.trajectory(orbit(), n_steps=4, dt=2.0, method=jaxdyn.Tsit5(rtol=1e-5, max_steps=3))
    assert int(run.status) == Status.STEP_LIMIT
    assert np.isnan(run.x[1:]).all()
    with pytest.raises(jaxdyn.FailedLanesError, match="raise max_steps"):
        jaxdyn.raise_if_failed(run)


def test_tolerances_differ_between_lanes_and_are_not_compiled_anew(x64):
    count = []

    @jax.jit
    def end(rtol):
        count.append(None)
        return jaxdyn.final_state(orbit(), t1=2 * np.pi, method=jaxdyn.Tsit5(rtol=rtol, atol=rtol)).x

    one_by_one = [end(rtol) for rtol in (1e-4, 1e-8)]
    assert len(count) == 1
    together = jaxdyn.lanes(end)(jnp.array([1e-4, 1e-8]))
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=0, atol=1e-10)  # rounding, drawn apart
    errors = np.abs(np.asarray(together) - np.asarray(orbit().x0)).max(1)
    assert errors[1] < 1e-2 * errors[0]


def test_derivatives_are_those_of_the_solution(x64):
    # x' = p x cos t has x = x0 exp(p sin t): derivatives with respect to p, to the start and to the end time.
    system = jaxdyn.flow(lambda t, x, p: p["p"] * x * jnp.cos(t), {"p": 0.7}, [1.2])

    def end(p, x0, t1):
        return jaxdyn.final_state(system.with_params(p=p).with_state([x0]), t1=t1, method=jaxdyn.Dopri8(rtol=1e-10)).x[
            0
        ]

    p, x0, t1 = 0.7, 1.2, 5.0
    x = x0 * np.exp(p * np.sin(t1))
    got = jax.jacfwd(end, argnums=(0, 1, 2))(p, x0, t1)
    # The steps are exact to 1e-10; the derivative of a step is of the same order.
    np.testing.assert_allclose(got, [x * np.sin(t1), x / x0, p * x * np.cos(t1)], rtol=1e-8)


def test_analyses_take_it_as_any_other_method(x64):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    settings = {"n_steps": 400, "dt": 0.5, "n_transient": 200}
    fine = jaxdyn.lyapunov_spectrum(neuron, **settings, method=jaxdyn.Dopri8(rtol=1e-10))
    same = jaxdyn.lyapunov_spectrum(neuron, **settings, method=jaxdyn.Tsit5(rtol=1e-10))
    np.testing.assert_allclose(fine.exponents, same.exponents, atol=1e-7)
    kept = jaxdyn.reduce(neuron, jaxdyn.reducers.Maximum("v"), n_steps=400, dt=0.25, method=jaxdyn.Tsit5(rtol=1e-8))
    assert abs(float(kept.values.value) - 1.85211747) < 1e-2  # reference; sampled every 0.25


def test_a_sampled_input_needs_its_step(x64):
    held = jaxdyn.driven(
        jaxdyn.flow(lambda t, x, p: -x, {}, [0.0], state_names=["x"]), jaxdyn.samples([[1.0], [2.0]], dt=1.0)
    )
    with pytest.raises(TypeError, match="give dt, the time between samples"):
        jaxdyn.final_state(held, t1=2.0, method=jaxdyn.Tsit5(rtol=1e-6))
    end = jaxdyn.final_state(held, t1=2.0, dt=1.0, method=jaxdyn.Tsit5(rtol=1e-9))
    exact = 2 + (1 - np.exp(-1) - 2) * np.exp(-1)
    np.testing.assert_allclose(end.x, [exact], rtol=1e-7)


def test_an_equilibrium_and_a_start_at_zero_are_no_trouble():
    still = jaxdyn.flow(lambda t, x, p: -x, {}, [0.0, 0.0])
    end = jaxdyn.final_state(still, t1=1e6, method=jaxdyn.Tsit5(rtol=1e-6))
    assert int(end.status) == Status.OK
    np.testing.assert_array_equal(end.x, 0)


def test_a_first_guess_outside_of_the_domain_is_no_trouble(x64):
    back = jaxdyn.flow(lambda t, x, p: jnp.sqrt(1 - t) + 0 * x, {}, [0.0])
    end = jaxdyn.final_state(back, t0=1.0, t1=0.0, method=jaxdyn.Tsit5(rtol=1e-8))
    assert int(end.status) == Status.OK
    # The error allowed in each of some tens of steps, the first ones across the root's edge.
    np.testing.assert_allclose(end.x, [-2 / 3], rtol=1e-6)


def test_states_whose_squares_overflow():
    """Rate over tolerance is 1e38 at the component that is zero, its square no float32."""
    oscillator = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1e30, 0.0])
    end = jaxdyn.final_state(oscillator, t1=1.0, method=jaxdyn.Tsit5(rtol=1e-5))
    assert int(end.status) == Status.OK
    np.testing.assert_allclose(end.x / 1e30, [np.cos(1.0), -np.sin(1.0)], rtol=1e-4)


@pytest.mark.parametrize("t1", [jnp.nan, jnp.inf])
def test_an_end_that_is_no_time_is_not_reached(t1):
    end = jax.jit(lambda t: jaxdyn.final_state(orbit(), t1=t, method=jaxdyn.Tsit5(rtol=1e-4)))(t1)
    assert int(end.status) == Status.NON_FINITE
    assert np.isnan(end.x).all()


def test_late_times_lose_nothing_to_rounding():
    """In float32 times of 1e6 are 1/16 apart; how long a run takes is known better."""
    decay = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0])
    method, times = jaxdyn.Tsit5(rtol=1e-6), 1e6 + np.array([0.01, 0.02, 1.01])
    end = jaxdyn.final_state(decay, t0=1e6, t1=times[0], method=method)
    saved = jaxdyn.trajectory(decay, t0=1e6, save=jaxdyn.At(times), method=method)
    np.testing.assert_allclose(end.x[0], np.exp(-0.01), rtol=1e-5)
    np.testing.assert_allclose(saved.x[:, 0], np.exp(1e6 - times), rtol=1e-5)


def test_a_run_of_no_length_stays_at_its_start():
    end = jaxdyn.final_state(orbit(), t0=2.0, t1=2.0, method=jaxdyn.Tsit5(rtol=1e-6))
    assert float(end.t) == 2 and int(end.status) == Status.OK
    np.testing.assert_array_equal(end.x, orbit().x0)


def test_methods_say_what_was_asked_and_not_their_coefficients():
    assert repr(jaxdyn.Tsit5(rtol=1e-6)) == "Tsit5(rtol=1e-06, atol=None, max_steps=100000)"
    assert all("ableau" not in repr(kind()) for kind in [*METHODS, jaxdyn.RK4, jaxdyn.Euler, jaxdyn.Heun])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: jaxdyn.RK4(rtol=1e-6), TypeError, "RK4 does not estimate its error"),
        (lambda: jaxdyn.Tsit5(atol=1e-6), TypeError, "needs rtol as well"),
        (lambda: jaxdyn.Tsit5(rtol=0.0), ValueError, "rtol of Tsit5 must be positive"),
        (lambda: jaxdyn.Tsit5(rtol=1e-6, atol=float("nan")), ValueError, "atol of Tsit5 must be positive"),
        (lambda: jaxdyn.Tsit5(rtol=1e-6, max_steps=0), ValueError, "max_steps"),
        (lambda: jaxdyn.Tsit5(rtol=1e-6, max_steps=2**31), ValueError, "max_steps of Tsit5 must be at most"),
        (lambda: jaxdyn.Tsit5(rtol="low"), TypeError, "rtol of Tsit5 must be a positive number, got 'low'"),
        (lambda: jaxdyn.Tsit5(rtol=True), TypeError, "rtol of Tsit5 must be a positive number, got True"),
        (lambda: until(1.0, rtol=np.full(4, 1e-6)), ValueError, r"rtol of Tsit5 must be one number, got shape \(4,\)"),
        (lambda: until(1.0, atol=[1e-6] * 3), ValueError, r"one a state, \(4,\), got shape \(3,\)"),
        (lambda: until(np.nan), ValueError, "t1 must be one finite number, got nan"),
        (lambda: until("late"), ValueError, "t1 must be one finite number, got 'late'"),
        (lambda: at("late"), TypeError, "times of At must be numbers, got 'late'"),
        (
            lambda: jaxdyn.trajectory(jaxdyn.models.logistic(), save=jaxdyn.At([1.0])),
            TypeError,
            "a map is saved after whole numbers of steps",
        ),
        (lambda: jaxdyn.trajectory(orbit(), save=jaxdyn.At([1.0])), TypeError, "takes equal steps"),
        (lambda: at([2.0, 1.0]), ValueError, "in one direction"),
        (lambda: at([]), ValueError, "n >= 1"),
        (lambda: at([1.0], n_steps=3), TypeError, "leave out n_steps"),
        (lambda: jaxdyn.final_state(orbit(), t1=1.0), TypeError, "a flow needs its step"),
    ],
)
def test_what_makes_no_sense_is_told(make, error, words, unchecked):
    with pytest.raises(error, match=words):
        make()


def at(times, **more):
    return jaxdyn.trajectory(orbit(), method=jaxdyn.Tsit5(rtol=1e-6), save=jaxdyn.At(times), **more)


def until(t1, **tolerances):
    return jaxdyn.final_state(orbit(), t1=t1, method=jaxdyn.Tsit5(**({"rtol": 1e-6} | tolerances)))
