"""`jaxdyn.sweep` in memory: values against plain loops, chunks, failures, precision, progress."""

import functools
import io
import itertools
import json
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from coded import DIGITS, coded, digits

import jaxdyn
from jaxdyn.sweeps import workers
from jaxdyn.sweeps.memory import bytes_of


def looped(measure, system, over):
    """The sweep as nested Python loops: arrays by name, cells in the order of the axes."""
    axes = []
    for key, values in over.items():
        names, arrays = (key, values) if isinstance(key, tuple) else ((key,), (values,))
        axes.append([dict(zip(names, row, strict=True)) for row in zip(*arrays, strict=True)])
    found = []
    for cell in itertools.product(*axes):
        one = system
        for name, value in {k: v for part in cell for k, v in part.items()}.items():
            if name in system.params:
                one = one.with_params(**{name: value})
            else:
                one = one.with_state(value) if name == "x0" else one.with_state(**{name: value})
        found.append(measure(one))
    shape = tuple(len(axis) for axis in axes)
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *found)
    return {name: leaf.reshape(*shape, *leaf.shape[1:]) for name, leaf in stacked.items()}


GRIDS = {
    "1-D": {"a": DIGITS},
    "2-D": {"a": DIGITS, "b": [8, 9]},
    "3-D": {"b": [3.0, 4.0], "q": DIGITS, "a": (1, 2, 3)},
    "one cell": {"b": [4]},
    "states": {"q": DIGITS, "p": [1.0, 2.0]},
    "whole start": {"x0": [[1, 2], [3, 4], [5, 6]], "a": [7, 8]},
    "vector": {"w": [[1, 2], [3, 4], [5, 6]]},
    "matrix": {"a": [1, 2], "m": np.arange(12).reshape(3, 2, 2)},
    "zipped": {("a", "q"): (DIGITS, DIGITS[::-1]), "b": [1, 2]},
    "zipped vector": {"b": [1, 2], ("w", "a", "x0"): ([[1, 2], [3, 4]], [5, 6], [[7, 8], [9, 1]])},
}


@pytest.mark.parametrize("over", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("chunk", [None, 3])
def test_values_are_those_of_plain_loops(over, chunk):
    cells = jaxdyn.sweep(digits, coded(), over, chunk=chunk)
    for name, expected in looped(digits, coded(), over).items():
        np.testing.assert_array_equal(cells[name], expected)
    assert (cells["status"] == 0).all()
    dims = tuple("_".join(key) if isinstance(key, tuple) else key for key in over)
    assert cells["low"].dims == dims and cells["high"].dims[:-1] == dims


def test_a_flow_is_integrated_as_by_plain_loops(x64):
    run = functools.partial(jaxdyn.final_state, n_steps=50, dt=0.1)
    neuron, over = jaxdyn.models.fitzhugh_nagumo(), {"I": np.linspace(0, 1, 7), "v": [-1.0, 0.0, 1.0]}
    expected = looped(lambda s: {"x": run(s).x}, neuron, over)["x"]
    found = jaxdyn.sweep(run, neuron, over)["x"]
    assert found.dtype == np.float64
    # 50 steps of 4 stages of some 20 operations, each with half an ulp; differences grow by e^(t max J) < e^5.
    np.testing.assert_allclose(found, expected, rtol=0, atol=50 * 80 * 1.1e-16 * np.exp(5))


def test_a_network_is_swept_over_its_gain(x64):
    run = functools.partial(jaxdyn.final_state, n_steps=20, dt=0.1)
    network, gains = jaxdyn.models.random_rnn(n=20), np.linspace(0.5, 2.0, 5)
    expected = looped(lambda s: {"x": run(s).x}, network, {"g": gains})["x"]
    cells = jaxdyn.sweep(run, network, {"g": gains})
    # 20 steps of 4 stages, each a product of 20 terms; differences grow by e^(t (g |J| - 1)) < e^(2 * 3).
    np.testing.assert_allclose(cells["x"], expected, rtol=0, atol=20 * 4 * 25 * 1.1e-16 * np.exp(6))
    assert cells["state"].values.tolist() == [f"x{i}" for i in range(1, 21)]
    assert json.loads(cells.attrs["parameters"])["J"] == "float64 array (20, 20)"


def test_what_is_no_system_is_refused(unchecked):
    with pytest.raises(TypeError, match="expected a Flow or a Map, got function"):
        jaxdyn.sweep(digits, coded, {"a": DIGITS})


@pytest.mark.parametrize("chunk", [0, -1, 1.5, True, "4"])
def test_chunks_that_are_no_numbers_of_cells_are_refused(chunk):
    with pytest.raises(ValueError, match="chunk must be a whole number of at least 1, got"):
        jaxdyn.sweep(digits, coded(), {"a": DIGITS}, chunk=chunk)


MODELS = {
    "neuron": (jaxdyn.models.fitzhugh_nagumo, 0.1, {"I": np.linspace(0, 1, 11), "b": [0.7, 0.8, 0.9]}),
    "lorenz": (jaxdyn.models.lorenz63, 0.01, {"rho": np.linspace(20, 40, 11), "sigma": [9.0, 10.0, 11.0]}),
}
MEASURES = {
    "states": (jaxdyn.final_state, ("x",)),
    "spectrum": (jaxdyn.lyapunov_spectrum, ("exponents", "std_error")),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("what", MEASURES)
def test_chunks_do_not_change_a_bit(model, what):
    (make, dt, over), (measure, names) = MODELS[model], MEASURES[what]
    measure = functools.partial(measure, n_steps=64, dt=dt)
    whole = jaxdyn.sweep(measure, make(), over, chunk=33)
    for chunk in (1, 2, 7, 13, 100):
        cells = jaxdyn.sweep(measure, make(), over, chunk=chunk)
        for name in names:
            assert np.array_equal(cells[name], whole[name]), (chunk, name)


def test_chunks_change_a_network_by_rounding_only():
    """A chunk of one lane is a matrix times a vector, another order of summation than a product of matrices."""
    run = functools.partial(jaxdyn.final_state, n_steps=20, dt=0.1)
    network, over = jaxdyn.models.random_rnn(n=20), {"g": np.linspace(0.5, 2.0, 13)}
    whole = jaxdyn.sweep(run, network, over, chunk=13)["x"]
    for chunk in (2, 5, 100):
        assert np.array_equal(jaxdyn.sweep(run, network, over, chunk=chunk)["x"], whole), chunk
    one = jaxdyn.sweep(run, network, over, chunk=1)["x"]
    # As in the float64 test of this network, in units of float32.
    np.testing.assert_allclose(one, whole, rtol=0, atol=20 * 4 * 25 * 6e-8 * np.exp(6))


def test_a_failing_cell_leaves_its_neighbors_as_they_were():
    logistic, n = jaxdyn.models.logistic(), 16
    run, rates = functools.partial(jaxdyn.final_state, n_steps=60), np.linspace(3.5, 4.0, n)
    spoilt = rates.copy()
    spoilt[[3, 7]] = 50.0, np.nan
    good, cells = (jaxdyn.sweep(run, logistic, {"r": values}, chunk=8) for values in (rates, spoilt))
    failed = np.isin(np.arange(n), [3, 7])
    np.testing.assert_array_equal(cells["status"], np.where(failed, jaxdyn.Status.NON_FINITE, jaxdyn.Status.OK))
    np.testing.assert_array_equal(cells["x"][~failed], good["x"][~failed])
    assert not np.isfinite(cells["x"][failed]).any()
    with pytest.raises(jaxdyn.FailedLanesError, match=r"2 of 16 lanes failed; .*index \(3,\) \(r=50\)"):
        jaxdyn.raise_if_failed(cells)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        ("1.5 gb", 15 * 10**8),
        ("2GiB", 2**31),
        ("10 kb", 10**4),
        ("512", 512),
        (7, 7),
        (1e3, 1000),
        ("3MIB", 3 << 20),
    ],
)
def test_memory_is_read_as_written(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "B", "GB", "1XB", "-1GB", 0, "0", "inf", "nan", "1 2", True, None])
def test_memory_that_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="memory must be a size such as '2GB' or a number of bytes, got"):
        bytes_of(text)


def test_float64_systems_of_a_float64_block(x64):
    with jax.enable_x64(True):
        cells = jaxdyn.sweep(lambda s: s.params["a"] * 0.1, coded(), {"a": DIGITS}, chunk=2)
    assert cells["value"].dtype == cells["a"].dtype == np.float64
    np.testing.assert_array_equal(cells["value"], DIGITS * 0.1)


def test_a_float32_system_stays_float32_in_float64_mode(x64):
    system = jaxdyn.models.henon(dtype="float32")
    cells = jaxdyn.sweep(functools.partial(jaxdyn.final_state, n_steps=3), system, {"a": [0.5, 1.4]})
    assert cells["x"].dtype == cells["a"].dtype == np.float32


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_only_on_a_terminal(monkeypatch, capsys):
    run = {"y": lambda s: jnp.log(s.params["a"])}
    jaxdyn.sweep(run, coded(), {"a": DIGITS})
    assert capsys.readouterr() == ("", "")
    for progress in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        jaxdyn.sweep(run, coded(), {"a": [-1.0, *DIGITS]}, progress=progress)
        assert ("7.00/7.00" in terminal.getvalue() and "failed=1" in terminal.getvalue()) == progress
        assert progress or terminal.getvalue() == ""


def test_progress_begins_where_the_store_is(tmp_path, monkeypatch):
    def shown():
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        jaxdyn.sweep({"y": lambda s: s.params["a"]}, coded(), {"a": np.arange(8.0)}, store=tmp_path / "s", chunk=2)
        return terminal.getvalue().replace("\r", "\n").split("\n")

    assert "0.00/8.00" in shown()[1]
    (tmp_path / "s" / "status" / "c" / "1").unlink()
    assert "6.00/8.00" in shown()[1]
    assert shown() == [""]  # nothing is left


def test_an_error_in_a_measure_comes_through_and_leaves_no_thread():
    with pytest.raises(TypeError, match="a flow needs its step"):
        jaxdyn.sweep(functools.partial(jaxdyn.final_state, n_steps=3), jaxdyn.models.lorenz63(), {"rho": [1.0]})

    def burst(value):
        raise FloatingPointError("burst")

    def measure(s):
        return jax.pure_callback(burst, jax.ShapeDtypeStruct((), np.float32), s.params["a"], vmap_method="sequential")

    with pytest.raises(Exception, match="burst"):
        jaxdyn.sweep(measure, coded(), {"a": np.arange(50)}, chunk=1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(workers.NAME)]
