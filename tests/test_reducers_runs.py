"""Reducers in sweeps and under JAX's transformations, reducers of the user, and what does not fit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery import Calls, Counted

import jaxdyn
from jaxdyn import Native, Status, Vmap, Xla, models, reducers
from jaxdyn._record import record
from jaxdyn.reducers import Extrema, Histogram, Maximum, Mean, Minimum, Period, Reducer, Spikes, Variance

ALL = {
    "mean": Mean("v"),
    "spread": Variance(0),
    "low": Minimum("v"),
    "high": Maximum("w"),
    "turns": Extrema("v"),
    "spikes": Spikes("v", threshold=1.0, reset=0.0),
    "period": Period("w", level=0.5),
    "histogram": Histogram("v", -2.0, 2.0, bins=5),
}


def neurons(currents):
    return jax.vmap(lambda I: models.fitzhugh_nagumo().with_params(I=I))(jnp.asarray(currents))


def assert_equal_trees(got, expected, **tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance)


def test_lanes_vmap_and_a_loop_agree(x64):
    currents = [0.5, 0.7, 0.9, 1.1, 1.3]
    measure = functools.partial(jaxdyn.reduce, reducers=ALL, n_steps=1003, dt=0.1, n_transient=50)
    system = models.fitzhugh_nagumo()
    loop = [measure(system.with_params(I=I)) for I in currents]
    assert loop[0].values["spikes"].count > 1
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop)
    for engine in (Vmap(), Xla(block=2), Native(vectors=1)):
        got = jaxdyn.lanes(measure, engine=engine)(neurons(currents))
        # 1000 steps round values of 2 by 1e-12 at most; intervals err by twice that over the slope, 0.1 where w is 0.5.
        assert_equal_trees(got, expected, rtol=0, atol=2e-11)


def test_no_index_is_computed_in_the_loop():
    measure = functools.partial(jaxdyn.reduce, reducers=ALL, n_steps=1003, dt=0.1, n_transient=50)
    told = jaxdyn.explain(measure, neurons(np.linspace(0, 1, 100)), engine=Xla())
    assert told.fallbacks == told.whole == {}


def test_a_lane_that_diverges_harms_no_other():
    start = np.array([0.3, 2.0, 0.4])  # from 2 the logistic map leaves for minus infinity
    system = models.logistic(r=3.7)
    measure = functools.partial(jaxdyn.reduce, reducers={"mean": Mean("x"), "turns": Extrema("x")}, n_steps=40)
    for engine in (Vmap(), Xla(), Native()):
        run = jaxdyn.lanes(lambda x: measure(system.with_state(x=x)), engine=engine)(jnp.asarray(start))
        assert run.status.tolist() == [Status.OK, Status.NON_FINITE, Status.OK]
        alone = measure(system.with_state(x=start[2]))
        # Float32 and chaos: 40 steps of the exponent 0.35 make a million of a rounding.
        np.testing.assert_allclose(run.values["mean"].mean[2], alone.values["mean"].mean, atol=0.1)
        assert np.all(np.isfinite(run.values["mean"].std_error[::2]))
    lost = jaxdyn.reduce(models.logistic(r=5.0), Mean("x"), n_steps=1, n_transient=200)
    assert lost.status == Status.NON_FINITE  # in the transient already
    inverse = jaxdyn.iterated_map(lambda n, x, p: 1 / x, {}, [0.0])  # 0, infinity, 0: it comes back
    assert jaxdyn.reduce(inverse, Minimum(0), n_steps=2).status == Status.NON_FINITE


def test_a_sweep_names_and_labels_all_results():
    measure = functools.partial(
        jaxdyn.reduce,
        reducers={
            "v": Mean("v"),
            "top": Maximum("v"),
            "spikes": Spikes("v", 1.0),
            "hist": Histogram("v", -2.0, 2.0, bins=4),
        },
        n_steps=600,
        dt=0.1,
    )
    ds = jaxdyn.sweep(measure, models.fitzhugh_nagumo(), {"I": np.array([0.0, 0.5, 1.0])}, progress=False)
    assert ds["v_mean"].dims == ds["spikes_count"].dims == ("I",)
    assert ds["hist_counts"].dims == ("I", "bin") and ds["x"].dims == ("I", "state")
    assert "hist_edges" not in ds
    assert np.all(ds["hist_counts"].sum("bin") + ds["hist_below"] + ds["hist_above"] == 600)
    time = ds["t"].attrs["units"]
    for name in ("spikes_isi_mean", "spikes_first", "top_time"):
        assert ds[name].attrs["units"] == time
    assert ds["spikes_rate"].attrs["units"] == ("1" if time == "1" else f"1/{time}")
    assert "units" not in ds["spikes_isi_cv"].attrs
    assert ds["spikes_isi_mean"].attrs["long_name"] == "mean interspike interval"
    # At rest there is no spike, hence no interval: that is no failure.
    assert int(ds["spikes_count"][0]) == 0 and np.isnan(ds["spikes_isi_mean"][0])
    assert np.all(ds["status"] == Status.OK)
    alone = jaxdyn.reduce(models.fitzhugh_nagumo(I=0.5), Mean("v"), n_steps=600, dt=0.1)
    # Two compilations in float32: 600 steps round values of 2 by 2^-24 of them, and the cycle attracts.
    np.testing.assert_allclose(ds["v_mean"][1], alone.values.mean, rtol=0, atol=600 * 2 * 2**-24)


def test_derivatives_equal_differences_and_rest_has_one(x64):
    smooth = {"mean": Mean("v"), "spread": Variance("v"), "low": Minimum("v"), "spikes": Spikes("v", 1.0)}

    def numbers(I):
        got = jaxdyn.reduce(models.fitzhugh_nagumo().with_params(I=I), smooth, n_steps=700, dt=0.1).values
        return jnp.stack([got["mean"].mean, got["spread"].standard_deviation, got["low"].value, got["spikes"].last])

    h = 1e-5
    numbers = jax.jit(numbers)
    near, far = ((numbers(0.7 + k * h) - numbers(0.7 - k * h)) / (2 * k * h) for k in (1, 2))
    forward, backward = jax.jacfwd(numbers)(0.7), jax.jacrev(numbers)(0.7)
    # Without their terms in h^2, differences err by rounding, 1e-12 / h: of times, 70 with 16 digits over a slope of 1.
    np.testing.assert_allclose(forward, (4 * near - far) / 3, rtol=0, atol=2e-12 / h)
    # The same products in another order: 700 steps of a hundred operations, rounded by 2e-16.
    np.testing.assert_allclose(backward, forward, rtol=700 * 100 * 2e-16)

    def at_rest(r):
        return jaxdyn.reduce(models.logistic(x0=[0.5]).with_params(r=r), Mean("x"), n_steps=3).values.mean

    # x = 1/2, and its derivatives at r = 2 are 1/4 (1 + 0 + 0): f' = 0 at 1/2.
    np.testing.assert_allclose(jax.grad(at_rest)(2.0), 0.25, rtol=1e-12)


def test_settings_may_be_traced_and_equal_reducers_are_compiled_once():
    system = models.fitzhugh_nagumo()
    counted = jaxdyn.flow(Counted(system.field, Calls()), system.params, system.x0, state_names=system.state_names)

    def run(threshold, dt):
        return jaxdyn.reduce(counted, {"s": Spikes("v", threshold), "m": Mean("v")}, n_steps=300, dt=dt)

    first = run(1.0, 0.1)
    n_traces = len(counted.field.calls)
    second = run(0.5, 0.2)
    assert len(counted.field.calls) == n_traces
    for expected, *given in ((first, 1.0, 0.1), (second, 0.5, 0.2)):
        # Two compilations in float32: 300 steps round values of 2 by 2^-24 of them, times by that over a slope of 1.
        assert_equal_trees(jax.jit(run)(*given), expected, rtol=2**-22, atol=300 * 2 * 2**-24)
    assert first.values["s"].first != second.values["s"].first
    by_threshold = jax.vmap(run, in_axes=(0, None))(jnp.array([1.0, 9.0]), 0.1)
    assert by_threshold.values["s"].count.tolist() == [int(first.values["s"].count), 0]


def test_a_function_may_use_traced_parameters(x64):
    def energy(r):
        return jaxdyn.reduce(models.logistic(r=2.0), Mean(lambda x: r * x[0]), n_steps=10).values.mean

    assert float(jax.grad(energy)(3.0)) == pytest.approx(float(energy(1.0)), rel=1e-14)
    share = jaxdyn.reduce(models.logistic(r=4.0), Mean(lambda x: x[0] > 0.5), n_steps=100).values.mean
    assert float(share * 100) == pytest.approx(round(float(share * 100)))


@record
class Total:
    """A user's reducer with a leaf and a built-in one inside."""

    weight: float
    mean: Mean

    def init(self, t, x):
        return 0, self.mean.init(t, x)

    def update(self, carry, t, x):
        return carry[0] + self.weight * x[0], self.mean.update(carry[1], t, x)

    def end_batch(self, carry, span):
        return carry[0], self.mean.end_batch(carry[1], span)

    def finish(self, carry, span):
        return {"total": carry[0], "mean": self.mean.finish(carry[1], span).mean, "time": span.duration}


class Plain:
    """A user's reducer that JAX does not know."""

    def init(self, t, x):
        return t, 0

    def update(self, carry, t, x):
        return carry[0], carry[1] + 1

    def finish(self, carry, span):
        return {"since": carry[0], "steps": carry[1], "batches": span.n_batches}


@pytest.mark.parametrize("n_steps", [1, 31, 32, 100])
def test_reducers_of_the_user(n_steps):
    batches = Reducer(lambda t, x: (0, 0), lambda c, t, x: (c[0] + 1, c[1]), end_batch=lambda c, s: (0, c[1] + 1))
    made = {"total": Total(2.0, Mean("v")), "plain": Plain(), "batches": batches}
    run = jaxdyn.reduce(models.fitzhugh_nagumo(), made, n_steps=n_steps, dt=0.1, n_transient=5, t0=1.0)
    total, plain = run.values["total"], run.values["plain"]
    # A plain sum of n numbers up to 4 is rounded n times, by 2^-24 of at most 4 n.
    expected = 2 * n_steps * total["mean"]
    np.testing.assert_allclose(total["total"], expected, rtol=2**-22, atol=4 * n_steps**2 * 2**-24)
    np.testing.assert_allclose([total["time"], plain["since"]], [0.1 * n_steps, 1.5], rtol=2**-22)  # a few roundings
    assert (plain["steps"], plain["batches"]) == (n_steps, min(n_steps, 32))
    rest, finished = map(int, run.values["batches"])
    assert (finished, rest) == (min(n_steps, 32), n_steps % min(n_steps, 32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mean(1.5), "watches a state by its name or index"),
        (lambda: Histogram(0, 0.0, 1.0, bins=0), "bins of Histogram must be a whole number of at least 1, got 0"),
        (lambda: Histogram(0, 1.0, 1.0, bins=3), "low of Histogram must be less than high, got low=1.0, high=1.0"),
        (lambda: Spikes(0, 1.0, reset=2.0), "reset of Spikes must not exceed the threshold 1.0, got 2.0"),
        (lambda: Spikes(0, "high"), "threshold of Spikes must be a number, got 'high'"),
        (lambda: Period(0, np.nan), "level of Period must be one finite number, got nan"),
        (lambda: Reducer(lambda t, x: 0, 1), "update of Reducer must be a function, got 1"),
    ],
)
def test_wrong_reducers_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def growing():
    return Reducer(lambda t, x: x, lambda c, t, x: jnp.append(c, x))


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        (Mean("u"), {}, "has no state 'u'; known: v, w"),
        (Mean("ww"), {}, "did you mean 'w'"),
        (Mean(2), {}, "has 2 states, so an index is 0 to 1, got 2"),
        (Mean(lambda x: x), {}, r"watches one real number, its function gave float32\(2,\); return a scalar"),
        (Mean, {}, "got the class Mean"),
        ({"v": "mean"}, {}, "the reducer named 'v' must be one such as"),
        ([Mean("v")], {}, "methods init, update and finish, got"),
        ({}, {}, "at least one"),
        ({"grow": growing()}, {}, r"reducer 'grow': update gave a carry float32\[4\], it was float32\[2\]"),
        (Reducer(lambda t, x: jnp.int32(0), lambda c, t, x: x[0]), {}, r"gave a carry float32\[\], it was int32\[\]"),
        (Reducer(lambda t, x: (t, t), lambda c, t, x: t), {}, r"it was \(float32\[\], float32\[\]\)"),
        (Reducer(lambda t, x: t, lambda c, t, x: t, end_batch=lambda c, s: (c, c)), {}, "end_batch gave a carry"),
        (Mean("v"), {"n_steps": 0}, "n_steps must be a whole number of at least 1, got 0"),
        (Mean("v"), {"n_transient": -1}, "n_transient must be a whole number of at least 0, got -1"),
        (Mean("v"), {"n_transient": 2**31 - 5}, "steps are too many"),
        (Mean("v"), {"dt": None}, "a flow needs its step"),
    ],
)
def test_wrong_runs_are_refused(given, settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jaxdyn.reduce(models.fitzhugh_nagumo(), given, **{"n_steps": 10, "dt": 0.1} | settings)


def test_a_name_needs_a_system():
    with pytest.raises(TypeError, match="known by name only to a system"):
        Mean("v").init(0.0, jnp.zeros(2))
    assert float(Mean(1).init(0.0, jnp.arange(2.0)).start) == 1


def test_reducers_say_what_they_watch():
    assert repr(Spikes("v", threshold=1.0)) == "Spikes(of='v', threshold=1.0, reset=None)"
    assert "test_reducers_say" in repr(Mean(lambda x: x[0]))
    assert set(reducers.__all__) <= set(dir(reducers))
