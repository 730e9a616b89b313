"""Imports beside other work; the garbage collector pauses meanwhile, and goes on as it was."""

import gc
import json
import subprocess
import sys
import threading

import pytest

from jaxdyn._imports import imported_meanwhile, uncollected


def test_it_goes_on_when_the_last_one_ends():
    first, second = uncollected(), uncollected()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_an_error_does_not_leave_it_off():
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_module_is_there_when_the_block_ends(tmp_path, monkeypatch):
    (tmp_path / "imported_slowly.py").write_text("import gc, time\ntime.sleep(0.1)\ncollects = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with imported_meanwhile("imported_slowly"):
        assert [thread.name for thread in threading.enumerate()].count("jaxdyn-import") == 1
    assert not sys.modules.pop("imported_slowly").collects
    assert gc.isenabled()


def test_a_module_that_does_not_exist_is_nobodys_error_here():
    with imported_meanwhile("no_module_of_this_name"):
        pass
    assert gc.isenabled()


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_import_of_jaxdyn_and_a_first_sweep_leave_the_collector_as_it_was(before):
    code = f"""
import gc, json
gc.{before}()
import jaxdyn
seen = [gc.isenabled()]
jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.fitzhugh_nagumo(), {{"I": [0.0, 1.0]}}, progress=False)
print(json.dumps([*seen, gc.isenabled()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [before == "enable"] * 2
