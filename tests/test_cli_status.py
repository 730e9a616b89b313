"""How far a store is, as `jaxdyn status` tells it."""

import json
import os
import time

import numpy as np
import pytest
import zarr
from commands import refused, run

import jaxdyn
from jaxdyn import Status
from jaxdyn.sweeps.lock import StoreLock
from jaxdyn.sweeps.progress import progress_of, progress_or_none

NOW = 1_750_000_000.0


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Ten chunks of four cells: 2 x 5 chunks of 1 x 4 of a grid of 2 x 18, the last ones cropped to 2."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    over = {"a": [1.0, 1.2], "b": np.linspace(0.1, 0.3, 18)}
    jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.henon(), over, store=tmp_path / "a.zarr", chunk=4)
    times(tmp_path / "a.zarr", [NOW - 100 + 10 * i for i in range(10)])
    return tmp_path / "a.zarr"


def chunks(store):
    """Files of the chunks of `status`, in the order in which they are computed."""
    return sorted((store / "status" / "c").glob("*/*"), key=lambda path: tuple(map(int, path.parts[-2:])))


def times(store, seconds):
    for path, modified in zip(chunks(store), seconds, strict=True):
        os.utime(path, (modified, modified))


def edited(store, **cells):
    status = zarr.open_group(store, mode="r+", use_consolidated=False)["status"]
    for name, where in cells.items():
        status[where] = np.int8(Status[name])


def told(store):
    result = run("status", store)
    assert result.exit_code == 0, result.output
    return {line[:15].strip(): line[15:] for line in result.stdout.splitlines()}


def test_a_finished_store(store):
    progress = progress_of(store)
    assert (progress.shape, progress.dims, progress.chunk) == ((2, 18), ("a", "b"), (1, 4))
    assert progress.counts == {Status.OK: 36, Status.NOT_RUN: 0}
    assert (progress.n_done, progress.n_failed, progress.n_left, progress.seconds_left) == (36, 0, 0, 0.0)
    assert progress.cells_per_second == pytest.approx(32 / 90)  # the first chunk's time is not known
    assert progress.seconds_since_last == 10
    assert told(store) == {
        "sweep": "henon over a (2) x b (18), float32",
        "cells": "36",
        "done": "36 (100.0 %)",
        "failed": "0",
        "left": "0",
        "rate": "0.356 cells/s",
        "time left": "0 s",
        "last chunk": "10 s ago",
        "being written": "no",
    }


def test_cells_left_and_cells_failed(store):
    for path in chunks(store)[5:9]:  # the first chunks of the second row
        path.unlink()
    edited(store, NON_FINITE=(0, slice(0, 3)), NOT_CONVERGED=(0, 17))
    times(store, [NOW - 60, NOW - 50, NOW - 40, NOW - 30, NOW - 20, NOW - 10])
    progress = progress_of(store)
    assert progress.counts == {
        Status.OK: 16,
        Status.NON_FINITE: 3,
        Status.NOT_CONVERGED: 1,
        Status.NOT_RUN: 16,
    }
    assert (progress.n_done, progress.n_failed, progress.n_left) == (20, 4, 16)
    assert progress.cells_per_second == pytest.approx(16 / 50)
    assert progress.seconds_left == pytest.approx(50)
    lines = told(store)
    assert lines["done"] == "20 (55.6 %)"
    assert lines["failed"] == "4 (3 non_finite, 1 not_converged)"
    assert lines["time left"] == "50 s"
    edited(store, NOT_RUN=(0, slice(0, 2)))  # part of a chunk
    assert progress_of(store).n_left == 18


def test_almost_done_is_not_done(store):
    path = chunks(store)[0]
    path.unlink()
    progress = progress_of(store)
    assert progress.n_left == 4
    big = progress.__class__(**{**vars(progress), "shape": (2, 18_000_000)})
    from jaxdyn._cli_long import _percent

    assert _percent(big) == "99.9 %"


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        ([NOW - 10] * 10, None),  # a copy
        ([NOW - 1e-5 * i for i in range(10)], None),
        ([NOW + 1e6] * 10, None),  # the clock was wrong
        ([NOW - 20, NOW - 10, *[NOW + 1e9] * 8], 4 / 10),
        ([0.0, *[NOW - 90 + 10 * i for i in range(9)]], 28 / 80),  # began before the clock was set
        ([NOW - 1e6 - 1, NOW - 1e6, *[NOW - 80 + 10 * i for i in range(8)]], 24 / 70),  # resumed after days
        ([NOW - 10 * i for i in range(10)], 32 / 90),  # the clock went back, or another order
        ([NOW - 9000 + 1000 * i for i in range(10)], 32 / 9000),  # slow chunks are no pauses
    ],
)
def test_odd_times_give_no_odd_numbers(store, seconds, rate):
    times(store, seconds)
    lines = told(store)
    progress = progress_of(store)
    if rate is None:
        assert progress.cells_per_second is None and lines["rate"] == "unknown"
    else:
        cells = rate * 36 / 32
        assert rate <= progress.cells_per_second <= cells  # the cropped chunks may be the first or the last
    assert progress.seconds_since_last is None or progress.seconds_since_last >= 0
    assert (lines["last chunk"] == "unknown") == (max(seconds) > NOW + 60)
    chunks(store)[0].unlink()
    assert (told(store)["time left"] == "unknown") == (progress_of(store).cells_per_second is None)


def test_times_count_from_when_the_writer_began(store):
    lock = store.parent / ".a.zarr.lock"
    lock.write_text("process 1")
    os.utime(lock, (NOW - 45, NOW - 45))
    assert progress_of(store).cells_per_second == pytest.approx((3 * 4 + 2) / 35)  # the last four chunks
    os.utime(lock, (NOW - 5, NOW - 5))  # it finished nothing yet: as before
    assert progress_of(store).cells_per_second == pytest.approx(32 / 90)


def test_whether_it_is_being_written(store):
    held = StoreLock(store)
    assert told(store)["being written"] == "yes"
    held.release()
    assert told(store)["being written"] == "no"


def test_a_damaged_chunk_counts_as_not_computed(store):
    chunks(store)[1].write_bytes(b"\x01")
    (store / "status" / "c" / "0" / "7.abc.partial").write_bytes(b"")
    (store / "status" / "c" / "0" / "77").write_bytes(b"")
    progress = progress_of(store)
    assert (progress.n_damaged, progress.n_left) == (1, 4)
    assert told(store)["damaged"].startswith("1 chunks, which are computed again")


def test_nothing_is_written_and_only_chunks_are_read(store, monkeypatch):
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    sizes, read = [], zarr.Array.__getitem__

    def reading(self, region):
        found = read(self, region)
        sizes.append(np.size(found))
        return found

    monkeypatch.setattr(zarr.Array, "__getitem__", reading)
    progress_of(store)
    assert sum(sizes) == 36 and max(sizes) == 4
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_where_a_sweep_would_begin_anew_there_is_no_progress(store, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "zarr.json.1.partial").write_text("")
    for name in ("none", "empty", "begun"):
        assert progress_or_none(tmp_path / name) is None
    assert progress_or_none(store) == progress_of(store)
    with pytest.raises(ValueError, match="is a file"):
        progress_or_none(chunks(store)[0])


def test_what_is_no_store(store, tmp_path):
    assert "there is no store at" in refused("status", tmp_path / "b.zarr")
    (tmp_path / "file").write_text("")
    assert "is a file, not a sweep's store" in refused("status", tmp_path / "file")
    (tmp_path / "notes").mkdir()
    assert "is empty, not a sweep's store" in refused("status", tmp_path / "notes")
    (tmp_path / "notes" / "todo.txt").write_text("")
    assert "is not a sweep's store" in refused("status", tmp_path / "notes")
    zarr.open_group(tmp_path / "group", mode="w")
    assert "is not a sweep's store (KeyError)" in refused("status", tmp_path / "group")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "zarr.json.1.partial").write_text("")
    assert "was cut short before any cell was computed" in refused("status", tmp_path / "begun")
    data = json.loads((store / "zarr.json").read_text())
    data["attributes"]["jaxdyn_sweep"] = "{}"
    whole = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(json.dumps(data))
    assert "was cut short" in refused("status", store) and "was cut short" in refused("resume", store)
    (store / "zarr.json").write_text(whole[:100])
    assert "is not a sweep's store" in refused("status", store)
    (store / "zarr.json").write_text(whole)
    (store / "status" / "zarr.json").unlink()
    assert "is damaged: its array 'status' cannot be opened" in refused("status", store)
