"""Measures: what they may return, how results are named, keys per cell, and status."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn._record import detail, labelled, record
from jaxdyn.sweeps.measure import describe_measure

VALUES = np.arange(1.0, 6.0, dtype=np.float32)


def system():
    return jaxdyn.iterated_map(lambda n, x, p: x, {"a": 1.0}, [5.0, 7.0], state_names=["p", "q"])


def swept(measure, **options):
    return jaxdyn.sweep(measure, system(), {"a": VALUES}, **options)


@record
class Inner:
    low: jax.Array = labelled()
    high: jax.Array = labelled("side")


@record
class Outer:
    plain: jax.Array
    inner: Inner
    missing: jax.Array | None
    big: jax.Array = detail("entry")
    status: jax.Array = labelled()


def nested(s):
    a = s.params["a"]
    status = jnp.where(a > 4, 4, 0).astype(jnp.int8)
    return Outer(2 * a, Inner(a, jnp.stack([a, -a])), None, jnp.full(9, a), status)


def test_an_array_is_called_value():
    cells = swept(lambda s: jnp.outer(s.x0, s.x0) * s.params["a"])
    assert list(cells) == ["value", "status"]
    assert cells["value"].dims == ("a", "value_axis0", "value_axis1")
    np.testing.assert_array_equal(cells["value"], np.outer([5, 7], [5, 7]) * VALUES[:, None, None])


def test_a_python_number_is_the_same_in_all_cells():
    cells = swept(lambda s: {"pi": 3.0, "yes": True, "row": np.arange(3)})
    np.testing.assert_array_equal(cells["pi"], np.full(5, 3.0))
    assert cells["yes"].dtype == bool and cells["yes"].all()
    assert cells["row"].dtype == np.int32 and cells["row"].dims == ("a", "row_axis0")


def test_dicts_and_records_nest_with_underscores():
    cells = swept(lambda s: {"deep": {"er": s.params["a"]}, 3: s.x0[0]})
    assert list(cells) == ["deep_er", "3", "status"]
    cells = swept(nested)
    assert set(cells) == {"plain", "inner_low", "inner_high", "status"}  # neither the detail nor the missing one
    np.testing.assert_array_equal(cells["plain"], 2 * VALUES)
    np.testing.assert_array_equal(cells["inner_high"], VALUES[:, None] * [1, -1])
    assert cells["inner_high"].dims == ("a", "side")


def test_details_come_when_asked_for():
    assert list(swept(nested, keep=["big"])) == ["big", "status"]
    assert list(swept(nested, keep="plain")) == ["plain", "status"]
    assert list(swept(nested, keep=["status"])) == list(swept(nested, keep=[])) == ["status"]
    with pytest.raises(ValueError, match=r"gives nothing called 'bigg'; did you mean 'big'.*known: plain, inner_low"):
        swept(nested, keep=["bigg"])
    for keep in (3, [3]):
        with pytest.raises(TypeError, match="keep must be a list of names of variables, such as"):
            swept(nested, keep=keep)


def test_kept_details_of_a_spectrum():
    spectrum = functools.partial(jaxdyn.lyapunov_spectrum, n_steps=64)
    henon, over = jaxdyn.models.henon(), {"a": [0.5, 1.4]}
    assert "running" not in jaxdyn.sweep(spectrum, henon, over)
    cells = jaxdyn.sweep(spectrum, henon, over, keep=["exponents", "running", "running_time"])
    assert list(cells) == ["exponents", "running", "running_time", "status"]
    assert cells["running"].dims == ("a", "block", "exponent")
    np.testing.assert_array_equal(cells["running"][:, -1], cells["exponents"])  # sorted by the last estimate


@pytest.mark.parametrize("result", [(1.0, 2.0), [1.0], None, {"a": (1.0,)}, {"a": None}])
def test_nameless_results_are_refused(result):
    with pytest.raises(
        TypeError, match=r"a measure returns a record, a dict of arrays or an array, got (tuple|list|None)"
    ):
        swept(lambda s: result)


def test_what_is_no_measure_is_refused():
    for measure in (None, 3.0, "trajectory", {"a": 1}):
        with pytest.raises(TypeError, match="a measure is a function of one system, got"):
            swept(measure)
    for measure in ({}, lambda s: {}):
        with pytest.raises(ValueError, match="the measure returned nothing"):
            swept(measure)


def test_two_results_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two results called 'a_b'; rename one"):
        swept(lambda s: {"a": {"b": 1.0}, "a_b": 2.0})
    with pytest.raises(ValueError, match="two results called 'u_v_x'"):
        swept({"u": lambda s: {"v_x": 1.0}, "u_v": lambda s: {"x": 1.0}})


def test_a_result_named_as_something_swept_is_refused_with_a_remedy():
    run = functools.partial(jaxdyn.final_state, n_steps=2)
    logistic = jaxdyn.models.logistic()  # its state is called x, as the states of a trajectory are
    with pytest.raises(ValueError, match="'x' would be a swept value and a result; name the measure"):
        jaxdyn.sweep(run, logistic, {"x": [0.1, 0.2]})
    cells = jaxdyn.sweep({"end": run}, logistic, {"x": [0.1, 0.2]})
    assert cells["end_x"].dims == ("x", "state")
    with pytest.raises(ValueError, match="'a' would be a swept value and a result"):
        swept(lambda s: {"a": s.x0})


def test_an_axis_named_as_something_swept_takes_the_name_of_its_measure():
    decay = jaxdyn.flow(lambda t, x, p: -p["time"] * x, {"time": 1.0}, [1.0], state_names=["x"])
    run = functools.partial(jaxdyn.trajectory, n_steps=3, dt=0.1)
    with pytest.raises(ValueError, match="'time' would be a swept value and a result"):
        jaxdyn.sweep(run, decay, {"time": [1.0, 2.0]})
    cells = jaxdyn.sweep({"run": run}, decay, {"time": [1.0, 2.0]})
    assert cells["run_x"].dims == ("time", "run_time", "state")


def test_a_dict_of_measures_shares_axes_that_agree():
    runs = {name: functools.partial(jaxdyn.trajectory, n_steps=4) for name in ("one", "two")}
    cells = jaxdyn.sweep(runs, jaxdyn.models.henon(), {"a": [0.5, 1.4]})
    assert set(cells) == {"one_x", "one_status", "two_x", "two_status", "status"}
    assert cells["one_x"].dims == cells["two_x"].dims == ("a", "time", "state")
    np.testing.assert_array_equal(cells["one_x"], cells["two_x"])


@pytest.mark.parametrize("together", [True, False])
def test_axes_of_different_lengths_take_the_names_of_their_results(together):
    runs = {name: functools.partial(jaxdyn.trajectory, n_steps=n) for name, n in (("short", 3), ("long", 5))}
    measure = (lambda s: {name: run(s) for name, run in runs.items()}) if together else runs
    cells = jaxdyn.sweep(measure, jaxdyn.models.henon(), {"a": [0.5, 1.4]})
    assert cells["short_x"].dims == ("a", "short_time", "state")
    assert cells["long_x"].dims == ("a", "long_time", "state")
    np.testing.assert_array_equal(cells["short_time"], range(4))
    np.testing.assert_array_equal(cells["long_time"], range(6))


def test_equally_many_but_different_times_are_two_axes():
    runs = {
        name: functools.partial(jaxdyn.trajectory, n_steps=4, dt=dt) for name, dt in (("fine", 0.125), ("coarse", 0.5))
    }
    cells = jaxdyn.sweep(runs, jaxdyn.models.fitzhugh_nagumo(), {"I": [0.1, 0.5]})
    np.testing.assert_array_equal(cells["fine_time"], 0.125 * np.arange(5))
    np.testing.assert_array_equal(cells["coarse_time"], 0.5 * np.arange(5))
    assert cells["fine_x"].dims == ("I", "fine_time", "state")


def test_each_cell_has_a_key_of_its_own_and_the_seed_decides_all():
    def draw(s, key):
        return jax.random.uniform(key)

    expected = [jax.random.uniform(jax.random.fold_in(jax.random.key(7), i)) for i in range(5)]
    cells = swept(draw, seed=7)["value"]
    np.testing.assert_array_equal(cells, expected)
    assert len(set(cells.values.tolist())) == 5
    for chunk in (1, 2, 3, 50):
        np.testing.assert_array_equal(swept(draw, seed=7, chunk=chunk)["value"], cells)
    assert not np.any(swept(draw, seed=8)["value"] == cells)


def test_a_key_that_is_bound_stays():
    def draw(s, key):
        return jax.random.uniform(key) + 0 * s.params["a"]

    key = jax.random.key(3)
    np.testing.assert_array_equal(swept(functools.partial(draw, key=key))["value"], np.full(5, jax.random.uniform(key)))


def test_measures_of_one_cell_share_its_key_and_one_without_takes_none():
    cells = swept(
        {
            "u": lambda s, key: jax.random.uniform(key),
            "v": lambda s, *, key=None: jax.random.uniform(key),
            "w": lambda s: s.params["a"],
        }
    )
    np.testing.assert_array_equal(cells["u"], cells["v"])
    np.testing.assert_array_equal(cells["w"], VALUES)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0", None])
def test_seeds_that_would_be_cut_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\*\*32 - 1, got"):
        swept(lambda s: s.x0, seed=seed)


def test_the_largest_seed_is_not_the_smallest():
    draw = {"u": lambda s, key: jax.random.uniform(key)}
    assert not np.any(swept(draw, seed=2**32 - 1)["u"] == swept(draw, seed=0)["u"])


def test_status_is_the_worst_of_the_records():
    cells = swept({"first": nested, "second": lambda s: {"status": jnp.int8(1), "y": s.x0}})
    np.testing.assert_array_equal(cells["first_status"], [0, 0, 0, 0, 4])
    np.testing.assert_array_equal(cells["status"], [1, 1, 1, 1, 4])
    assert cells["status"].dtype == np.int8


def test_without_a_record_nan_is_a_failure():
    cells = swept(lambda s: {"y": jnp.where(s.params["a"] == 2, jnp.nan, 1.0), "i": jnp.int32(3)})
    np.testing.assert_array_equal(cells["status"], [0, 1, 0, 0, 0])
    assert (swept(lambda s: jnp.inf * s.params["a"])["status"] == 0).all()  # an infinite exponent may be an answer


@pytest.mark.parametrize("status", [1.0, np.zeros(2, np.int8), np.int32(0)])
def test_a_result_called_status_must_be_one(status):
    with pytest.raises(ValueError, match="a result called 'status' must be one int8 code of Status, got"):
        swept(lambda s: {"status": jnp.asarray(status), "y": s.x0})


class Power:
    def __init__(self, n):
        self.n = n

    def __call__(self, s):
        return s.params["a"] ** self.n


def square(s):
    return s.params["a"] ** 2


def test_any_callable_is_a_measure():
    for measure in (square, jax.jit(square), Power(2), functools.partial(lambda s, n: s.params["a"] ** n, n=2)):
        np.testing.assert_array_equal(swept(measure)["value"], VALUES**2)
    np.testing.assert_array_equal(swept(Power(3))["value"], VALUES**3)  # the object's state counts


def test_measures_are_described_in_one_line():
    assert describe_measure(square).endswith("test_measure.square")
    assert describe_measure(Power(2)).endswith("test_measure.Power")
    assert describe_measure(functools.partial(square, n=3, save=jaxdyn.Every(10))).endswith(
        "square(n=3, save=Every(k=10))"
    )
    assert "lambda s: s.x0" in describe_measure(lambda s: s.x0)
    assert describe_measure({"u": square}).startswith('{"u": "')
    assert describe_measure(eval("lambda s: 1")).endswith("<lambda>")  # no source to show


def test_warnings_of_an_analysis_do_not_stop_a_sweep():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrum = functools.partial(jaxdyn.lyapunov_spectrum, n_steps=40, qr_every=20)
        cells = jaxdyn.sweep(spectrum, jaxdyn.models.henon(), {"a": [0.5, 1.4]})
    assert (cells["status"] == jaxdyn.Status.QR_INTERVAL).all()  # reported by cell instead


def test_a_random_key_is_no_result():
    with pytest.raises(TypeError, match="'value' is a random key; let the measure return numbers drawn with it"):
        swept(lambda s, key: key)
