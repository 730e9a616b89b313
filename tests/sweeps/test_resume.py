"""Sweeps that die at any moment resume bit for bit."""

import contextlib
import signal

import numpy as np
import pytest
import xarray
import zarr
from stored import (
    N_CHUNKS,
    Killed,
    assert_same,
    death_before_publication,
    draw,
    in_another_process,
    swept,
    wait_for_chunks,
)

import jaxdyn
from jaxdyn.sweeps import place
from jaxdyn.sweeps import store as stores


def test_it_resumes_bit_for_bit_from_every_moment(tmp_path, computed):
    expected, moment, unfinished = swept(), 0, True
    while unfinished:
        moment += 1
        path = tmp_path / str(moment)
        with death_before_publication(moment), contextlib.suppress(Killed):
            swept(path)
            unfinished = False
        done = 0
        if unfinished and place.stored_chunk(path) is not None:
            cells = xarray.open_zarr(path, consolidated=False)
            complete = cells["status"].values != jaxdyn.Status.NOT_RUN
            done = complete.sum() // 3
            np.testing.assert_array_equal(cells["x"].values[complete], expected["x"].values[complete])
        computed.clear()
        assert_same(swept(path), expected)
        assert len(computed) == (N_CHUNKS - done if unfinished else 0)
    assert moment > 2 * N_CHUNKS + 6  # two arrays of each chunk, and the layout before


@pytest.mark.parametrize("moment", [1, 13, 21])  # the first file, the manifest, a status whose results are there
def test_it_resumes_after_kill_9(tmp_path, moment):
    process = in_another_process("interrupted", str(tmp_path / "s"), moment)
    _, error = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, error
    assert_same(swept(tmp_path / "s"), swept())


def test_it_resumes_after_kill_9_from_outside(tmp_path, computed):
    path, process = tmp_path / "s", in_another_process("lingering", str(tmp_path / "s"), 4)
    try:
        wait_for_chunks(path, 4, process)
    finally:
        process.kill()
        process.communicate()
    found = swept(path)
    assert len(computed) == N_CHUNKS - 4
    assert_same(found, swept())


def test_it_resumes_after_an_error(tmp_path, computed, monkeypatch):
    write, calls = stores.ZarrSink.write, []

    def failing(self, region, results):
        calls.append(region)
        if len(calls) == 3:
            raise OSError("No space left on device")
        write(self, region, results)

    with monkeypatch.context() as patch:
        patch.setattr(stores.ZarrSink, "write", failing)
        with pytest.raises(OSError, match="No space left"):
            swept(tmp_path / "s", measure=draw, seed=3)
    partial = xarray.open_zarr(tmp_path / "s")
    assert (partial["status"] == jaxdyn.Status.NOT_RUN).sum() == 12 and partial["value"].isnull().sum() == 12
    with pytest.raises(jaxdyn.FailedLanesError, match=r"12 of 18 lanes failed; the first is NOT_RUN.*same store"):
        jaxdyn.raise_if_failed(partial)
    computed.clear()
    assert_same(swept(tmp_path / "s", measure=draw, seed=3), swept(measure=draw, seed=3))
    assert len(computed) == 4 + N_CHUNKS


def test_a_layout_that_was_cut_short_is_no_obstacle_for_another_sweep(tmp_path):
    for moment in (1, 2, 5, 9):
        path = tmp_path / str(moment)
        with death_before_publication(moment), pytest.raises(Killed):
            swept(path)
        (path / "notes.txt").write_text("mine") if moment > 1 else None
        assert_same(swept(path, measure=draw), swept(measure=draw))
        assert moment == 1 or (path / "notes.txt").read_text() == "mine"
        assert "time" not in zarr.open_group(path)  # nothing stays of the first one
