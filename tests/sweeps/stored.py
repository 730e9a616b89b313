"""The stored sweep of these tests, its death at a chosen moment, and comparisons."""

import contextlib
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import jaxdyn
from jaxdyn.sweeps import place
from jaxdyn.sweeps import plan as plans
from jaxdyn.sweeps import program as programs
from jaxdyn.sweeps import store as stores

OVER = {"a": np.linspace(0.5, 1.4, 6), "b": [0.1, 0.2, 0.3]}
RUN = functools.partial(jaxdyn.trajectory, n_steps=4)
N_CHUNKS = 6


def draw(s, key):
    return jax.random.uniform(key) + s.params["a"]


def swept(path=None, *, over=OVER, measure=RUN, chunk=3, system=None, **options):
    """The sweep of these tests: 18 cells in 6 chunks, with coordinates of times and names."""
    return jaxdyn.sweep(measure, system or jaxdyn.models.henon(), over, store=path, chunk=chunk, **options)


def assert_same(found, expected):
    """Every variable, coordinate, dtype and attribute; strings are of another type in a store."""
    assert list(found) == list(expected) and set(found.coords) == set(expected.coords)
    for name in expected.variables:
        assert found[name].dims == expected[name].dims
        assert found[name].attrs == expected[name].attrs
        if expected[name].dtype.kind in "UT":
            assert found[name].values.tolist() == expected[name].values.tolist()
        else:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
    assert {**found.attrs, place.MANIFEST: ""} == {**expected.attrs, place.MANIFEST: ""}


def files(path):
    """Every file below a directory with its content."""
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def in_another_process(function, *arguments):
    """One of the functions below, in a process of its own."""
    code = f"import stored; stored.{function}(*{arguments!r})"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(pathlib.Path(__file__).parent)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_chunks(path, n, process):
    """Wait until a process has finished so many chunks."""
    while len([p for p in path.glob("status/c/*/*") if p.suffix != ".partial"]) < n:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


class Killed(BaseException):
    """What a test raises where a process would die."""


@contextlib.contextmanager
def death_before_publication(moment):
    """No file appears from the `moment`-th on, as after a kill; gives the list of those that did appear."""
    publish, published = pathlib.Path.replace, []

    def replace(self, target):
        if len(published) + 1 >= moment:
            raise Killed
        published.append(target)
        return publish(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "replace", replace)
        yield published


def interrupted(path, moment):
    """For another process: the sweep, killed just before it publishes its `moment`-th file."""
    publish, published = pathlib.Path.replace, []

    def replace(self, target):
        published.append(target)
        if len(published) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return publish(self, target)

    pathlib.Path.replace = replace
    swept(path)


def lingering(path, n_chunks):
    """For another process: the sweep, which waits for its end after some chunks."""
    write, written = stores.ZarrSink.write, []

    def slow(self, region, results):
        if len(written) == n_chunks:
            signal.pause()
        write(self, region, results)
        written.append(region)

    stores.ZarrSink.write = slow
    swept(path)


def signalled(path, n_chunks, number):
    """For another process: the sweep, which gets a signal when some chunks are written; each takes a while."""
    write, written, compute = stores.ZarrSink.write, [], plans.Plan.compute

    def slow(self, region, wanted=None):
        time.sleep(0.3)
        return compute(self, region, wanted)

    def counting(self, region, results):
        write(self, region, results)
        written.append(region)
        if len(written) == n_chunks:
            os.kill(os.getpid(), number)

    stores.ZarrSink.write, plans.Plan.compute = counting, slow
    programs.n_workers = lambda: 2
    swept(path)
