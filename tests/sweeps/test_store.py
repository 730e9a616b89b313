"""Stored sweeps: what they hold, where they may lie, and that nothing but the same sweep goes on with them."""

import contextlib
import functools
import json
import os
import pathlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
import zarr
from stored import OVER, RUN, assert_same, draw, files, swept

import jaxdyn
from jaxdyn.sweeps.plan import Plan


def test_a_store_holds_what_memory_holds(tmp_path):
    assert_same(swept(tmp_path / "s"), swept())


def test_a_finished_store_computes_nothing_and_stays_as_it_is(tmp_path, monkeypatch):
    expected = swept(tmp_path / "s")
    before = files(tmp_path / "s")
    monkeypatch.setattr(Plan, "compute", None)
    assert_same(swept(tmp_path / "s"), expected)
    assert_same(swept(tmp_path / "s", chunk=None), expected)  # the chunk is that of the store
    assert_same(swept(tmp_path / "s", seed=9), expected)  # no key is used
    assert files(tmp_path / "s") == before


OTHERS = {
    "grid": ({"over": {**OVER, "b": [0.1, 0.2, 0.4]}}, "differs in: grid; "),
    "other names": ({"over": {"b": OVER["a"], "a": OVER["b"]}}, "differs in: .*grid; "),
    "smaller grid": ({"over": {"a": [0.5], "b": [0.1, 0.2]}, "chunk": None}, "differs in: grid; "),
    "another axis": ({"over": {"a": OVER["a"], "y": OVER["b"]}}, "differs in: .*grid; "),
    "measure": (
        {"measure": functools.partial(jaxdyn.trajectory, n_steps=6)},
        "differs in: equations, measure or keep; ",
    ),
    "keep": ({"keep": ["status"]}, "differs in: equations, measure or keep; "),
    "chunk": ({"chunk": 6}, r"differs in: chunk \(\[1, 3\] in the store, \[2, 3\] asked for\); "),
}


@pytest.mark.parametrize(("changed", "message"), OTHERS.values(), ids=OTHERS)
def test_another_sweep_is_refused_by_the_part_that_differs(tmp_path, changed, message):
    swept(tmp_path / "s")
    before = files(tmp_path / "s")
    with pytest.raises(ValueError, match=f"s belongs to another sweep; it {message}"):
        swept(tmp_path / "s", **changed)
    assert files(tmp_path / "s") == before


def test_another_start_value_system_dtype_or_seed_is_refused(tmp_path):
    path, over = tmp_path / "s", {"a": [0.5, 1.0, 1.4]}
    options = {"over": over, "measure": draw}
    swept(path, **options)
    henon = jaxdyn.models.henon()
    for other in (henon.with_params(b=0.2), henon.with_state(x=0.2)):
        with pytest.raises(ValueError, match="differs in: parameters and start; "):
            swept(path, system=other, **options)
    with pytest.raises(ValueError, match="differs in: seed; "):
        swept(path, seed=1, **options)
    with pytest.raises(ValueError, match=r"differs in: .*parameters and start"):
        swept(path, system=jaxdyn.models.ikeda(), over={"mu": over["a"]}, measure=lambda s, key: s.params["mu"])
    with jax.enable_x64(True), pytest.raises(ValueError, match=r"differs in: equations, measure or keep, .*grid"):
        swept(path, **options)
    with pytest.raises(ValueError, match="differs in: equations, measure or keep; "):
        swept(path, over=over, measure=lambda s, key: jax.random.normal(key) + s.params["a"])


def test_equal_code_that_reads_another_parameter_is_another_sweep(tmp_path):
    lorenz, over = jaxdyn.models.lorenz63(), {"beta": [1.0, 2.0]}
    jaxdyn.sweep(lambda s: s.params["sigma"] + s.params["beta"], lorenz, over, store=tmp_path / "s")
    with pytest.raises(ValueError, match="differs in: equations, measure or keep; "):
        jaxdyn.sweep(lambda s: s.params["rho"] + s.params["beta"], lorenz, over, store=tmp_path / "s")


@pytest.mark.parametrize("chunk", [None, 3])
def test_what_is_no_store_is_refused_untouched(tmp_path, computed, chunk):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    zarr.create_array(tmp_path / "array", shape=(3,), dtype="f4")
    zarr.open_group(tmp_path / "group", mode="w", attributes={"mine": 1})
    xarray.Dataset({"y": ("t", [1.0])}).to_zarr(tmp_path / "other", zarr_format=2)
    before = files(tmp_path)
    for name in ("notes", "file", "array", "group", "other"):
        with pytest.raises(
            ValueError, match=f"{name} exists and is not a sweep's store .*; give a path that is new or empty"
        ):
            swept(tmp_path / name, chunk=chunk)
    assert files(tmp_path) == before and not computed


def test_an_empty_directory_is_taken_and_missing_parents_are_made(tmp_path):
    expected = swept()
    (tmp_path / "empty").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    for path in (tmp_path / "empty", tmp_path / "link", tmp_path / "deep" / "er" / "s"):
        assert_same(swept(path), expected)
    assert (tmp_path / "link").is_symlink()


def test_a_path_may_be_written_in_any_way(tmp_path, monkeypatch, computed):
    monkeypatch.chdir(tmp_path)
    expected = swept(pathlib.Path("s"))
    computed.clear()
    for path in ("s", "s/", "./s", "../" + tmp_path.name + "/s", str(tmp_path / "s"), tmp_path / "s"):
        assert_same(swept(path), expected)
    assert not computed


@contextlib.contextmanager
def unprivileged():
    """For root, who may write anywhere, nobody's rights."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_directory_without_right_to_write_says_so_and_a_finished_store_is_read_there(computed):
    expected = swept()
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        swept(place / "done")
        (place / "empty").mkdir()
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        computed.clear()
        try:
            with unprivileged():
                for store in (place / "new", place / "empty", place / "deep" / "er"):
                    with pytest.raises(PermissionError, match=rf"denied: .*{store.parts[-1]}|denied: .*deep"):
                        swept(store)
                assert_same(swept(place / "done"), expected)
        finally:
            for path in (place, *place.rglob("*")):
                path.chmod(0o755)
    assert not computed


def everything(s):
    a = s.params["a"]
    return {
        "complex": jax.lax.complex(a, -a),
        "flag": a > 1,
        "code_status": jnp.where(a > 1, 4, 0).astype(jnp.int8),
        "count": jnp.full((2, 2), 7, jnp.int32),
        "none": jnp.zeros((0,)),
        "zero": 0 * a,
    }


def test_plain_xarray_reads_every_kind_of_variable(tmp_path):
    runs = {"run": RUN, "all": everything}
    over = {("a", "x"): ([0.5, 1.0, 1.5], [0.1, 0.2, 0.3]), "x0": np.arange(8.0).reshape(4, 2)}
    expected = swept(measure=runs, over=over)
    swept(tmp_path / "s", measure=runs, over=over)
    found = xarray.open_zarr(tmp_path / "s")  # no warning: warnings are errors here
    assert_same(found[[*expected, *found.coords]], expected)
    kinds = {name: found[f"all_{name}"].dtype.name for name in ("complex", "flag", "code_status", "count", "zero")}
    assert kinds == {"complex": "complex64", "flag": "bool", "code_status": "int8", "count": "int32", "zero": "float32"}
    assert found["status"].dtype == np.int8 and found["status"].values[2].tolist() == [4] * 4
    assert found["state"].values.tolist() == ["x", "y"]
    assert {"a", "x", "x0_value", "time", "state"} <= set(found.coords)
    assert json.loads(found.attrs["parameters"]).keys() == {"a", "b"}
    assert found.sel(state="y")["run_x"].shape == (3, 4, 5)


def test_the_chunk_of_the_sweep_is_the_chunk_of_the_store(tmp_path):
    swept(tmp_path / "s", chunk=4)  # boxes of (1, 3): the last axes fill first
    group = zarr.open_group(tmp_path / "s", mode="r")
    assert group["status"].chunks == (1, 3) and group["x"].chunks == (1, 3, 5, 2)
    assert group["status"].fill_value == jaxdyn.Status.NOT_RUN


def test_float64_is_stored_as_float64(tmp_path, x64):
    found = swept(tmp_path / "s")
    assert found["x"].dtype == found["a"].dtype == np.float64
    assert_same(found, swept())


def test_numbers_of_a_type_that_zarr_has_not_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="a store has no numbers of type bfloat16, which 'value' is; let the measure"):
        swept(tmp_path / "s", measure=lambda s: s.params["a"].astype(jnp.bfloat16))
    assert not list(tmp_path.iterdir())


def test_threads_that_begin_stores_let_no_warning_through(tmp_path, monkeypatch):
    """Filters of warnings belong to all threads: one at a time changes them."""
    consolidate, inside, together = zarr.consolidate_metadata, [], []

    def slow(*arguments, **options):
        inside.append(1)
        time.sleep(0.05)
        together.append(len(inside))
        inside.pop()
        return consolidate(*arguments, **options)

    monkeypatch.setattr(zarr, "consolidate_metadata", slow)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(swept, [tmp_path / name for name in "abc"]))
    assert together == [1, 1, 1]
