"""The garbage collector pauses, and goes on as it was."""

import gc
import json
import subprocess
import sys

import pytest

from jaxdyn._collector import uncollected


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


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_imports_leave_it_as_it_was(before):
    code = f"""
import gc, json, threading
gc.{before}()
import jaxdyn
seen = [gc.isenabled()]
jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.fitzhugh_nagumo(), {{"I": [0.0, 1.0]}}, progress=False)
[thread.join() for thread in threading.enumerate() if thread.name == "jaxdyn-import"]
print(json.dumps([*seen, gc.isenabled()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [before == "enable"] * 2
