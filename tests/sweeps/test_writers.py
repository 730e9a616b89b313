"""Who writes to a store: one sweep at a time, which a signal ends between chunks."""

import os
import signal

import pytest
from stored import N_CHUNKS, assert_same, in_another_process, swept, wait_for_chunks

import jaxdyn
from jaxdyn.sweeps import lock
from jaxdyn.sweeps import store as stores


def test_a_second_writer_is_locked_out_until_the_first_is_gone(tmp_path):
    path = tmp_path / "s"
    process = in_another_process("lingering", str(path), 2)
    try:
        wait_for_chunks(path, 2, process)
        assert lock.is_locked(path)
        with pytest.raises(BlockingIOError, match=rf"is being written by process {process.pid} on .*wait for its end"):
            swept(path)
        assert jaxdyn.open(path).sizes["a"] == 6  # whoever reads is not kept out
    finally:
        process.kill()
        process.communicate()
    assert not lock.is_locked(path)
    assert_same(swept(path), swept())
    assert not list(tmp_path.glob(".*"))  # the lock's file is gone


def test_two_writers_of_one_process(tmp_path):
    held = lock.StoreLock(tmp_path / "s")
    with pytest.raises(BlockingIOError):
        swept(tmp_path / "s")
    held.release()
    swept(tmp_path / "s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_between_chunks(tmp_path, computed, number):
    """The process sends itself the signal when the second of six chunks is written."""
    path = tmp_path / "s"
    process = in_another_process("signalled", str(path), 2, int(number))
    _, error = process.communicate(timeout=120)
    if number == signal.SIGINT:
        assert process.returncode != 0 and "KeyboardInterrupt" in error
        assert "cells are left; the same call goes on from what is in the store" in error
    else:
        assert process.returncode == -signal.SIGTERM, error
    cells = jaxdyn.open(path)
    done = int((cells["status"] != jaxdyn.Status.NOT_RUN).sum()) // 3
    assert 2 <= done < N_CHUNKS
    computed.clear()
    assert_same(swept(path), swept())


def on_its_second_chunk(monkeypatch, number):
    write, written = stores.ZarrSink.write, []

    def counting(self, region, results):
        write(self, region, results)
        written.append(region)
        if len(written) == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(stores.ZarrSink, "write", counting)


def test_an_ignored_signal_stays_ignored(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        on_its_second_chunk(monkeypatch, signal.SIGTERM)
        assert_same(swept(tmp_path / "s"), swept())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sweep_that_a_handled_signal_ended_does_not_return(tmp_path, monkeypatch):
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    try:
        with monkeypatch.context() as patch:
            on_its_second_chunk(patch, signal.SIGTERM)
            with pytest.raises(SystemExit):
                swept(tmp_path / "s")
        assert got == [signal.SIGTERM]
        assert_same(swept(tmp_path / "s"), swept())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_of_signals_are_restored(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    swept(tmp_path / "s")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
