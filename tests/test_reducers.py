"""Reducers see what a stored trajectory shows, keep it to the last digits, and give what closed forms say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models
from jaxdyn.reducers import Extrema, Histogram, Maximum, Mean, Minimum, Period, Spikes, Variance

# Sums of a thousand numbers of order 1 in another order, and two compilations of a run on a stable cycle.
ROUNDING = 1e-11

# A crossing's time errs by the values' error over the slope, at least 0.7 there, an interval by twice that; this weighs
# most in the deviation of the intervals, 0.7.
OF_TIMES = 2 / 0.7 / 0.7 * ROUNDING


def played(values, dtype=None):
    """A map that runs through a list of values."""
    values = np.asarray(values, float)
    return jaxdyn.iterated_map(lambda n, x, p: p["u"][n][None], {"u": values[1:]}, values[:1], dtype=dtype)


def turning(per_turn):
    """A map that is the cosine of the step, `per_turn` steps a turn."""
    return jaxdyn.iterated_map(
        lambda n, x, p: (jnp.cos(p["w"] * (n + 1).astype(x.dtype)),), {"w": 2 * np.pi / per_turn}, [1.0]
    )


def oscillator():
    return jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0], state_names=["x", "v"])


def neuron_and_run(n_transient, n_steps):
    """FitzHugh-Nagumo on its cycle, driven by samples of half a step and a half: held during each step."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 2000)
    neuron = jaxdyn.driven(models.fitzhugh_nagumo(), jaxdyn.samples(noise, dt=0.15), onto="v")
    whole = jaxdyn.trajectory(neuron, n_steps=n_transient + n_steps, dt=0.1, t0=3.0)
    return neuron, np.asarray(whole.t)[n_transient:], np.asarray(whole.x)[n_transient:]


def turns_of(v, interpolate):
    """Heights of maxima: interior points above both neighbors, by the parabola through the three."""
    a, b, c = v[:-2], v[1:-1], v[2:]
    top = (b > a) & (b > c)
    height = b - (c - a) ** 2 / (8 * (a - 2 * b + c) + (~top)) if interpolate else b
    return height[top]


def crossings_of(t, v, threshold, reset):
    """Times of upward crossings, one after each visit below `reset`, by a loop over the states."""
    times, armed = [], v[0] < reset
    for i in range(1, len(v)):
        if armed and v[i] >= threshold:
            times.append(t[i - 1] + (t[i] - t[i - 1]) * (threshold - v[i - 1]) / (v[i] - v[i - 1]))
            armed = False
        armed = armed or v[i] < reset
    return np.array(times)


def test_all_reducers_equal_numpy_on_the_stored_trajectory(x64):
    n_transient, n_steps = 301, 3003  # 32 batches of 93 steps, 27 steps left
    neuron, t, x = neuron_and_run(n_transient, n_steps)
    v, w = x.T
    reducers = {
        "mean": Mean("v"),
        "square": Mean(lambda x: x[0] * x[1]),
        "spread": Variance("w"),
        "low": Minimum("v"),
        "high": Maximum(-1),
        "turns": Extrema("v"),
        "spikes": Spikes("v", threshold=1.0, reset=-0.5),
        "period": Period("v", level=0.3),
        "histogram": Histogram("v", -1.5, 1.5, bins=7),
    }
    run = jaxdyn.reduce(neuron, reducers, n_steps=n_steps, dt=0.1, n_transient=n_transient, t0=3.0)
    got = run.values
    assert set(got) == set(reducers) and run.status == Status.OK
    np.testing.assert_allclose([*run.x, run.t], [*x[-1], t[-1]], rtol=ROUNDING)
    np.testing.assert_allclose(got["mean"].mean, v[1:].mean(), atol=ROUNDING)
    batches = v[1 : 1 + 32 * 93].reshape(32, 93).mean(axis=1)
    np.testing.assert_allclose(got["mean"].std_error, batches.std(ddof=1) / np.sqrt(32), rtol=ROUNDING)
    np.testing.assert_allclose(got["square"].mean, (v * w)[1:].mean(), atol=ROUNDING)
    np.testing.assert_allclose(got["spread"].variance, w[1:].var(), rtol=ROUNDING)
    np.testing.assert_allclose(got["spread"].standard_deviation, w[1:].std(), rtol=ROUNDING)
    np.testing.assert_allclose([got["low"].value, got["low"].time], [v.min(), t[v.argmin()]], rtol=ROUNDING)
    np.testing.assert_allclose([got["high"].value, got["high"].time], [w.max(), t[w.argmax()]], rtol=ROUNDING)
    check_turns(got["turns"], v)
    check_spikes(got["spikes"], crossings_of(t, v, 1.0, -0.5), n_steps * 0.1)
    periods = np.diff(crossings_of(t, v, 0.3, 0.3))
    assert got["period"].count == len(periods)
    expected = [periods.mean(), periods.std(ddof=1)]
    np.testing.assert_allclose([got["period"].mean, got["period"].standard_deviation], expected, rtol=OF_TIMES)
    counts, edges = np.histogram(v[1:], 7, (-1.5, 1.5))
    np.testing.assert_array_equal(got["histogram"].counts, counts)
    np.testing.assert_allclose(got["histogram"].edges, edges, rtol=ROUNDING, atol=ROUNDING)
    outside = [int(got["histogram"].below), int(got["histogram"].above)]
    assert outside == [np.sum(v[1:] < -1.5), np.sum(v[1:] > 1.5)] and min(outside) > 0


def check_turns(got, v):
    """Number and heights of turns are those that were found one by one."""
    maxima, minima = turns_of(v, True), -turns_of(-v, True)
    assert (got.n_maxima, got.n_minima) == (len(maxima), len(minima)) and len(maxima) > 3
    heights = [f(side) for side in (maxima, minima) for f in (np.mean, np.min, np.max)]
    sides = [f"{f}_{side}" for side in ("maximum", "minimum") for f in ("mean", "lowest", "highest")]
    # Its neighbors differ by no more than the curvature at a top, so the parabola at most doubles errors of values.
    np.testing.assert_allclose([getattr(got, name) for name in sides], heights, rtol=0, atol=2 * ROUNDING)


def check_spikes(got, times, duration):
    """Number, rate and times of spikes are those of crossings that were found one by one."""
    intervals = np.diff(times)
    assert got.count == len(times) >= 3
    expected = [len(times) / duration, intervals.mean(), intervals.std(ddof=1) / intervals.mean(), times[0], times[-1]]
    np.testing.assert_allclose([got.rate, got.isi_mean, got.isi_cv, got.first, got.last], expected, rtol=OF_TIMES)


def test_a_cosine_over_whole_turns(x64):
    """Mean 0 and variance 1/2 exactly: the trapezoidal rule over whole periods."""
    reducers = {"mean": Mean(0), "spread": Variance(0), "turns": Extrema(0), "period": Period(0, level=0.5)}
    got = jaxdyn.reduce(turning(50), reducers, n_steps=50 * 64).values
    # Angles up to 400 carry roundings of 400 eps.
    np.testing.assert_allclose([got["mean"].mean, got["spread"].variance - 0.5], 0, atol=1e-13)
    np.testing.assert_allclose(got["mean"].std_error, 0, atol=1e-13)  # batches of two turns
    assert (got["turns"].n_maxima, got["turns"].n_minima) == (63, 64)
    np.testing.assert_allclose([got["turns"].lowest_maximum, got["turns"].highest_minimum], [1, -1], rtol=1e-12)
    assert (got["period"].mean, got["period"].standard_deviation) == (50, 0)  # of a map: whole steps


@pytest.mark.parametrize("dt", [0.2, 0.1, 0.05])
def test_the_period_of_an_oscillator_is_right_to_second_order(x64, dt):
    """Linear interpolation misses a crossing by at most dt^2 |y''/y'| / 8, here and at the other end of the periods."""
    n_steps = round(30 / dt)
    got = jaxdyn.reduce(oscillator(), Period("x", level=0.5), n_steps=n_steps, dt=dt).values
    assert got.count == 3  # upward at 5 pi / 3 and later by 2 pi
    bound = 2 * dt**2 / 8 * (0.5 / np.sqrt(0.75)) / 3
    of_method = 2 * np.pi * dt**4 / 120  # the phase error of RK4
    assert abs(got.mean - 2 * np.pi) <= 1.2 * bound + of_method  # a fifth for the next order of the step


def test_heights_of_turns_are_right_to_fourth_order(x64):
    """The parabola through three values of a cosine misses its top by at most 3 dt^4 / 128, the values by dt^2 / 8."""
    for dt in (0.2, 0.1):
        got = jaxdyn.reduce(oscillator(), Extrema("x"), n_steps=round(60 / dt), dt=dt).values
        decay = 60 * dt**5 / 144  # of the amplitude, by RK4
        heights = [got.lowest_maximum, got.highest_maximum, -got.lowest_minimum, -got.highest_minimum]
        assert got.n_maxima == 9 and got.n_minima == 10
        assert np.max(np.abs(np.array(heights) - 1)) <= 1.2 * 3 * dt**4 / 128 + decay


def test_heights_of_turns_that_are_not_symmetric_are_right_to_third_order(x64):
    """x' = 1, y = x^3 / 6 - x^2 / 2 turns at 0, where the third derivative is 1; the parabola misses by 0.065 dt^3."""
    ramp = jaxdyn.flow(lambda t, x, p: 0 * x + 1.0, {}, [-1.0])
    for dt in (0.2, 0.1):
        turns = Extrema(lambda x: x[0] ** 3 / 6 - x[0] ** 2 / 2)
        got = jaxdyn.reduce(ramp.with_state([-1.0 + dt / 3]), turns, n_steps=round(2 / dt), dt=dt).values
        # Interpolation at u = s dt errs by |s (s^2 - 1)| dt^3 / 6 <= dt^3 / (9 sqrt(3)).
        assert 1e-3 * dt**3 < abs(got.highest_maximum) <= 1.2 * dt**3 / (9 * np.sqrt(3))


def test_the_logistic_map_has_its_invariant_moments(x64):
    """Mean 1/2 and variance 1/8, and steps that are uncorrelated, as are their squares: var((x - 1/2)^2) = 1/128."""
    n = 100_000
    got = jaxdyn.reduce(
        models.logistic(r=4.0, x0=[0.3]), {"mean": Mean("x"), "spread": Variance("x")}, n_steps=n, n_transient=100
    ).values
    error = np.sqrt(1 / 8 / n)
    assert abs(got["mean"].mean - 0.5) < 5 * error
    assert abs(got["mean"].std_error / error - 1) < 4 * 0.13  # 32 batches know their spread to 13 %
    assert abs(got["spread"].variance - 1 / 8) < 5 * np.sqrt(1 / 128 / n)


def test_a_rotation_fills_the_arcsine_histogram(x64):
    """Of a cosine at the golden angle; counts of an arc miss n p by less than 3 + 3.6 ln n (Kuipers & Niederreiter)."""
    n, edges = 20_000, np.linspace(-1, 1, 11)
    got = jaxdyn.reduce(turning((1 + np.sqrt(5)) / 2), Histogram(0, -1.0, 1.0, bins=10), n_steps=n).values
    expected = n * np.diff(-np.arccos(edges)) / np.pi
    assert np.max(np.abs(np.asarray(got.counts) - expected)) < 2 * 2 * (3 + 3.6 * np.log(n))  # two arcs of two ends
    assert got.counts.sum() == n and got.below == got.above == 0


@pytest.mark.parametrize("start", [0.0, 1000.0])
@pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Native(instead=jaxdyn.Xla())])
def test_long_means_in_float32_keep_their_digits(start, engine):
    """A million values 1000 + k / 64; added up one by one they would be 1000 times a million, rounded to 64."""

    def step(n, x, p):
        return (1000 + (n % 7).astype(x.dtype) / 64,)

    system = jaxdyn.iterated_map(step, {}, [0.0])
    measure = functools.partial(jaxdyn.reduce, reducers={"mean": Mean(0), "spread": Variance(0)}, n_steps=7 << 17)
    run = jaxdyn.lanes(lambda x: measure(system.with_state(x)), engine=engine)(jnp.full((1, 1), start))
    got = jax.tree.map(lambda leaf: leaf[0], run.values)
    ulp = 2.0**-14  # of 1000
    size = ulp if start else 4 * ulp  # seen from 0 every batch mean is rounded
    assert got["mean"].mean.dtype == jnp.float32
    assert abs(float(got["mean"].mean) - (1000 + 3 / 64)) <= size
    exact = 4 / 64**2
    # Departures, up to 6/64, and their mean are rounded a few times by 2^-24 of themselves; seen from 0, to an ulp.
    assert abs(float(got["spread"].variance) - exact) <= (2**-20 * exact if start else 2 * ulp * np.sqrt(exact))
    # Batches of 28672 steps, whole turns of seven.
    assert float(got["mean"].std_error) <= size


def test_late_intervals_in_float32_keep_their_digits():
    """At time 1e6 float32 has steps of 1/16: intervals come from step numbers, not from times."""
    got = jaxdyn.reduce(
        oscillator(), {"spikes": Spikes("x", 0.0), "period": Period("x", 0.0)}, n_steps=4000, dt=0.01, t0=1e6
    ).values
    lost = 1.2 * 2**-24 / 0.01  # a step of 0.01 is rounded by 2^-24 of the amplitude, a fifth more by its own terms
    np.testing.assert_allclose([got["spikes"].isi_mean, got["period"].mean], 2 * np.pi, rtol=lost)
    assert float(got["spikes"].isi_cv) < 2 * lost


def test_spikes_of_a_list_of_values(x64):
    """Hysteresis, a value on the threshold, a start above it; maps spike at the step that reaches the threshold."""
    values = [2, 0, 1, 0.5, 1.5, -1, 1, 1, 0.9, 3, 0, 1]
    plain = jaxdyn.reduce(played(values), Spikes(0, 1.0), n_steps=11, t0=0).values
    assert (int(plain.count), float(plain.first), float(plain.last)) == (5, 2, 11)  # at 2, 4, 6, 9, 11
    assert (float(plain.isi_mean), float(plain.rate)) == (9 / 4, 5 / 11)
    np.testing.assert_allclose(plain.isi_cv, np.std([2, 2, 3, 2], ddof=1) / 2.25, rtol=1e-14)
    firm = jaxdyn.reduce(played(values), Spikes(0, 1.0, reset=0.25), n_steps=11).values
    assert (int(firm.count), float(firm.first), float(firm.last)) == (3, 2, 11)  # at 2, 6, 11


def test_plateaus_are_one_turn_or_none(x64):
    rises = jaxdyn.reduce(played([0, 1, 1, 2, 2, 3]), Extrema(0), n_steps=5).values
    assert rises.n_maxima == rises.n_minima == 0
    turns = jaxdyn.reduce(played([0, 1, 1, 0, 0, 2, 1, 4, 4]), Extrema(0), n_steps=8).values
    assert (int(turns.n_maxima), int(turns.n_minima)) == (2, 2)
    got = [turns.mean_maximum, turns.lowest_maximum, turns.highest_maximum, turns.mean_minimum, turns.highest_minimum]
    assert list(map(float, got)) == [1.5, 1, 2, 0.5, 1]


def test_edges_of_bins_are_those_of_numpy(x64):
    values = [9, -1, 0, 0.25, 0.5, 0.5, 1, 1, 1.0001]
    got = jaxdyn.reduce(played(values), Histogram(0, 0.0, 1.0, bins=4), n_steps=8).values
    assert got.counts.tolist() == np.histogram(values[1:], 4, (0, 1))[0].tolist() == [1, 1, 2, 2]
    assert (int(got.below), int(got.above)) == (1, 1)


def test_the_first_of_equal_extremes_counts_and_the_start_too():
    system = played([3, 1, 1, 3, 2])
    got = jaxdyn.reduce(system, {"low": Minimum(0), "high": Maximum(0)}, n_steps=4, t0=0).values
    assert (int(got["low"].time), int(got["high"].time)) == (1, 0)
    assert got["high"].value == 3


def test_what_does_not_exist_is_nan_and_leaves_the_status():
    reducers = {"spikes": Spikes(0, 5.0), "period": Period(0, 5.0), "turns": Extrema(0), "mean": Mean(0)}
    run = jaxdyn.reduce(models.logistic(r=2.0), reducers, n_steps=1)
    spikes, period, turns = (run.values[name] for name in ("spikes", "period", "turns"))
    assert (spikes.count, spikes.rate, period.count, turns.n_maxima, turns.n_minima) == (0, 0, 0, 0, 0)
    undefined = [spikes.isi_mean, spikes.isi_cv, spikes.first, spikes.last, period.mean, period.standard_deviation]
    undefined += [turns.mean_maximum, turns.lowest_minimum, run.values["mean"].std_error]
    assert np.all(np.isnan(undefined))
    assert run.values["mean"].mean == run.x[0] and run.status == Status.OK
    one = jaxdyn.reduce(played([0, 1, 0, 1]), Spikes(0, 1.0), n_steps=2).values
    assert (one.count, one.first, one.last) == (1, 1, 1) and np.isnan(one.isi_mean)
    two = jaxdyn.reduce(played([0, 1, 0, 1]), Spikes(0, 1.0), n_steps=3).values
    assert (two.count, two.isi_mean) == (2, 2) and np.isnan(two.isi_cv)


def test_backwards_durations_are_positive(x64):
    got = jaxdyn.reduce(oscillator(), Spikes("x", 0.5), n_steps=400, dt=-0.05, t0=20.0).values
    assert got.count == 3 and got.rate == 3 / 20
    # Of the linear interpolation, dt^2 |y''/y'| / 8 and a fifth for the next order; RK4's phase errs by 20 dt^4 / 120.
    bound = 1.2 * 0.05**2 / 8 * (0.5 / np.sqrt(0.75)) + 20 * 0.05**4 / 120
    np.testing.assert_allclose(got.isi_mean, 2 * np.pi, rtol=0, atol=bound)  # half the difference of two errors
    expected = 20 - 2 * np.pi * (np.array([1, 3]) - 1 / 6)
    np.testing.assert_allclose([got.first, got.last], expected, rtol=0, atol=bound)
