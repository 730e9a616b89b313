"""Events of runs: closed forms, their order in a step, what ends a run, slots that are too few, and all engines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import RK4, Euler, Event, Heun, Status, Tsit5, crossings, models

ENGINES = [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)]
FIELDS = ("times", "states", "event", "intervals", "count", "stopped", "t", "x", "status")


def oscillator(dtype=None):
    """The sine and the cosine of time: x = sin t, v = cos t."""
    return jaxdyn.flow(lambda t, s, p: (s[1], -s[0]), {}, [0.0, 1.0], state_names=["x", "v"], dtype=dtype)


def clock():
    return jaxdyn.flow(lambda t, s, p: (1.0 + 0 * s[0],), {}, [0.0])


# The phase of Tsit5 errs by less than 1e-4 h^5 a unit of time: 1e-13 at h = 0.01 within 20.
FINE = {"n_steps": 2000, "dt": 0.01, "method": Tsit5()}


class TestTimes:
    def test_of_levels_and_extremes(self, x64):
        events = {"half": Event("x", 0.5), "down": Event(0, 0.5, -1), "top": Event.maximum("x")}
        run = crossings(oscillator(), events | {"low": Event.minimum(lambda s: 2 * s[0])}, capacity=16, **FINE)
        assert int(run.count) == 13 and int(run.status) == Status.OK and not bool(run.stopped)
        turns = 2 * np.pi * np.arange(4)
        for name, first in {"half": np.pi / 6, "top": np.pi / 2, "down": 5 * np.pi / 6, "low": 1.5 * np.pi}.items():
            times = np.asarray(run.times)[np.asarray(run.of(name))]
            known = (first + turns)[first + turns < 20]
            np.testing.assert_allclose(times, known, rtol=0, atol=1e-12)
            own = np.asarray(run.intervals)[np.asarray(run.of(name))]
            assert np.isnan(own[0])
            np.testing.assert_allclose(own[1:], 2 * np.pi, rtol=0, atol=1e-12)
        assert list(np.asarray(run.event)[:5]) == [0, 2, 1, 3, 0]
        np.testing.assert_allclose(run.states[:13, 0], np.sin(run.times[:13]), rtol=0, atol=1e-12)
        assert np.all(np.isnan(run.times[13:])) and np.all(run.event[13:] == -1)
        end = jaxdyn.final_state(oscillator(), **FINE)
        np.testing.assert_allclose(run.x, end.x, rtol=0, atol=1e-14)  # a run is not disturbed by what is recorded
        assert float(run.t) == pytest.approx(20.0)

    @pytest.mark.parametrize(("method", "order"), [(Euler(), 1), (Heun(), 2), (RK4(), 4)])
    def test_order_is_that_of_the_method(self, method, order, x64):
        def error(dt):
            settings = {"n_steps": round(4 / dt), "dt": dt, "method": method}
            run = crossings(models.van_der_pol(x0=[1.5, 0.3]), Event("x", -0.5, -1), capacity=1, **settings)
            return abs(float(run.times[0]) - exact)

        fine = {"n_steps": 4000, "dt": 1e-3, "method": Tsit5()}
        exact = float(crossings(models.van_der_pol(x0=[1.5, 0.3]), Event("x", -0.5, -1), capacity=1, **fine).times[0])
        assert 0.7 * 2**order < error(0.02) / error(0.01) < 1.4 * 2**order

    def test_function_of_time_and_parameters(self, x64):
        system = jaxdyn.flow(lambda t, s, p: -p["rate"] * s, {"rate": 0.5}, [1.0])
        event = Event(lambda t, s, p: s[0] * jnp.exp(p["rate"] * t / 2), 0.5, -1)  # exp(-t / 4) = 1/2
        run = crossings(system, event, n_steps=500, dt=0.01, capacity=1, t0=0.0, method=Tsit5())
        np.testing.assert_allclose(run.times, [4 * np.log(2)], rtol=0, atol=1e-12)

    def test_both_directions_and_a_start_on_the_level(self, x64):
        run = crossings(oscillator(), Event("x", 0.0, 0), capacity=8, **FINE)
        np.testing.assert_allclose(run.times[:6], np.pi * np.arange(1, 7), rtol=0, atol=1e-12)
        assert int(run.count) == 6

    def test_steps_that_end_on_the_level_count_once(self, x64):
        run = crossings(clock(), {"a": Event(0, 0.5), "b": Event(0, 1.0)}, n_steps=8, dt=0.25, capacity=4)
        np.testing.assert_array_equal(run.times[:2], [0.5, 1.0])
        assert int(run.count) == 2

    def test_many_in_one_step_come_in_order(self, x64):
        levels = [0.7, 0.1, 0.4, 0.4, 2.5]
        events = {f"e{k}": Event(0, level, k % 2) for k, level in enumerate(levels)}
        run = crossings(clock(), events, n_steps=3, dt=1.0, capacity=5)
        np.testing.assert_allclose(run.times, sorted(levels), rtol=0, atol=1e-15)
        assert list(np.asarray(run.event)) == [1, 2, 3, 0, 4]

    def test_late_intervals_keep_their_digits_in_float32(self):
        """At t = 1e5 time itself is known to 0.008."""
        run = crossings(oscillator(), Event("x"), n_steps=1000, dt=0.05, capacity=7, t0=1e5)
        # 126 steps of rounding, and h^4 / 120 of a period.
        np.testing.assert_allclose(run.intervals[1:], 2 * np.pi, rtol=0, atol=1e-5)

    def test_derivatives(self, x64):
        """First time of exp(-rate t) = 1/2: ln 2 / rate."""
        system = jaxdyn.flow(lambda t, s, p: -p["rate"] * s, {"rate": 0.5}, [1.0])

        def time(rate, level):
            run = crossings(system.with_params(rate=rate), Event(0, level, -1), n_steps=300, dt=0.01, capacity=2)
            return run.times[0]

        by_rate, by_level = jax.jacfwd(time, argnums=(0, 1))(0.5, 0.5)
        np.testing.assert_allclose([by_rate, by_level], [-4 * np.log(2), -4.0], rtol=1e-9)


class TestEnds:
    def test_terminal_event_is_the_end(self, x64):
        events = {"up": Event("x", 0.0), "end": Event("v", 0.3, -1, terminal=True), "late": Event("v", 0.29, -1)}
        system = oscillator().with_state([np.sin(0.1), np.cos(0.1)])
        run = crossings(system, events, capacity=6, t0=0.1, **FINE)
        assert bool(run.stopped) and int(run.count) == 1 and int(run.event[0]) == 1
        np.testing.assert_allclose([run.t, run.x[1], run.times[0]], [np.arccos(0.3), 0.3, np.arccos(0.3)], atol=1e-12)

    def test_terminal_event_beyond_the_slots(self, x64):
        events = {"up": Event("x", 0.5, 0), "end": Event(lambda t, s, p: t, 11.0, terminal=True)}
        run = crossings(oscillator(), events, capacity=2, **FINE)
        # sin t passes 1/2 at pi/6, 5 pi/6, 13 pi/6, 17 pi/6, then at 25 pi/6 > 11.
        assert int(run.count) == 5 and int(run.status) == Status.CAPACITY and bool(run.stopped)
        np.testing.assert_allclose([run.t, run.x[0]], [11.0, np.sin(11.0)], rtol=0, atol=1e-12)
        with pytest.raises(jaxdyn.FailedLanesError, match="capacity"):
            jaxdyn.raise_if_failed(run)

    def test_all_slots_full_is_no_overflow(self, x64):
        run = crossings(oscillator(), Event("x", 0.5, 0), capacity=7, n_steps=1999, dt=0.01)
        assert int(run.count) == 7 and int(run.status) == Status.OK
        assert float(run.t) == pytest.approx(19.99)

    def test_no_steps_and_no_events(self, x64):
        run = crossings(oscillator(), Event("x", 5.0), n_steps=10, dt=0.1, capacity=2)
        assert int(run.count) == 0 and int(run.status) == Status.OK and np.all(np.isnan(run.states))
        np.testing.assert_allclose(run.t, 1.0, rtol=1e-15)

    def test_divergence_is_told(self, x64):
        system = jaxdyn.flow(lambda t, s, p: s * s, {}, [1.0])
        run = crossings(system, Event(0, 3.0), n_steps=500, dt=0.01, capacity=4)
        assert int(run.status) == Status.NON_FINITE
        assert float(run.times[0]) == pytest.approx(2 / 3, abs=1e-6)  # 1 - t = 1/3
        other = jaxdyn.flow(lambda t, s, p: (s[0] * s[0], 1.0 + 0 * s[0]), {}, [1.0, 0.0])
        run = crossings(other, Event(1, 2.0), n_steps=300, dt=0.01, capacity=4)
        assert int(run.status) == Status.NON_FINITE


class TestMaps:
    def test_events_happen_at_whole_steps(self, x64):
        system = models.logistic(r=3.2)
        orbit = np.asarray(jaxdyn.trajectory(system, n_steps=40).x)[:, 0]
        run = crossings(system, Event("x", 0.6), n_steps=40, capacity=30)
        expected = np.flatnonzero((orbit[:-1] < 0.6) & (orbit[1:] >= 0.6)) + 1
        n = int(run.count)
        assert run.times.dtype == jnp.int32
        np.testing.assert_array_equal(run.times[:n], expected)
        np.testing.assert_array_equal(run.times[n:], -1)
        np.testing.assert_array_equal(run.states[:n, 0], orbit[expected])
        np.testing.assert_array_equal(run.intervals[1:n], np.diff(expected))


SEVERAL = {"up": Event("x"), "top": Event.maximum("y"), "end": Event(lambda t, s, p: t, 18.5, terminal=True)}


def family(x):
    """Runs with another number of events each."""
    return crossings(models.van_der_pol().with_state(x=x), SEVERAL, n_steps=1000, dt=0.02, capacity=8)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
def test_engines_equal_a_loop(engine, x64):
    starts = jnp.linspace(0.1, 1.5, 5)
    runs = [family(x) for x in starts]
    got = jaxdyn.lanes(family, engine=engine)(starts)
    for name in FIELDS:
        expected = np.array([getattr(run, name) for run in runs], float)
        # Roundings of a thousand steps; a maximum is found to the root of its rate.
        np.testing.assert_allclose(np.asarray(getattr(got, name), float), expected, rtol=1e-10, atol=1e-10)


def test_sweeps(x64):
    def measure(system):
        return crossings(system, {"spike": Event("v", 1.0)}, n_steps=1500, dt=0.1, capacity=6)

    data = jaxdyn.sweep(measure, models.fitzhugh_nagumo(), {"I": [0.0, 0.5]}, progress=False)
    assert list(data["count"].values) == [0, 4]
    assert data.times.dims == ("I", "crossing")


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision_is_kept(dtype, x64):
    run = crossings(oscillator(dtype), {"a": Event("x"), "b": Event.maximum("x")}, n_steps=200, dt=0.1, capacity=4)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(run)} == {np.dtype(dtype).name, "int32", "int8", "bool"}


def test_texts():
    assert repr(Event("v", 1.0)) == "Event('v' rises through 1)"
    assert repr(Event(0, 0.5, 0, terminal=True)) == "Event(0 passes 0.5, then the run ends)"
    assert repr(Event.minimum(lambda x: x[0])) == "Event(function is smallest)"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Event("x", np.nan), ValueError, "level of Event"),
        (lambda: Event("x", "high"), TypeError, "level of Event"),
        (lambda: Event("x", 0.0, 2), ValueError, "direction of Event"),
        (lambda: Event("x", 0.0, np.array([1, 0])), ValueError, "direction of Event"),  # type: ignore[arg-type]
        (lambda: Event("x", 0.0, jnp.array(1)), ValueError, "direction of Event"),  # type: ignore[arg-type]
        (lambda: Event(None), TypeError, "name or index"),
        (lambda: Event(lambda a, b: a), TypeError, r"\(x\) or of \(t, x, params\)"),
        (lambda: crossings(oscillator(), "x", n_steps=5, dt=0.1, capacity=2), TypeError, "an Event or a dict"),
        (lambda: crossings(oscillator(), {}, n_steps=5, dt=0.1, capacity=2), TypeError, "an Event or a dict"),
        (lambda: crossings(oscillator(), Event("u"), n_steps=5, dt=0.1, capacity=2), TypeError, "no state 'u'"),
        (lambda: crossings(oscillator(), Event(2), n_steps=5, dt=0.1, capacity=2), ValueError, "index is 0 to 1"),
        (lambda: crossings(oscillator(), Event("x"), n_steps=5, dt=-0.1, capacity=2), ValueError, "forward time"),
        (lambda: crossings(oscillator(), Event("x"), n_steps=5, capacity=2), TypeError, "needs its step"),
        (lambda: crossings(oscillator(), Event("x"), n_steps=5, dt=0.1, capacity=0), ValueError, "capacity"),
        (lambda: crossings(oscillator(), Event("x"), n_steps=1.5, dt=0.1, capacity=1), ValueError, "n_steps"),
        (
            lambda: crossings(oscillator(), Event(lambda x: x), n_steps=5, dt=0.1, capacity=1),
            ValueError,
            "return a scalar",
        ),
        (lambda: crossings(models.henon(), Event.maximum("x"), n_steps=5, capacity=1), TypeError, "have no rate"),
        (
            lambda: crossings(oscillator(), Event("x"), n_steps=5, dt=0.1, capacity=1).of("y"),
            ValueError,
            "no event 'y'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words, unchecked):
    with pytest.raises(error, match=words):
        make()
