"""Results do not depend on who computes them: devices, threads, worker processes, a Dask cluster, joined processes."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
import threading
import warnings

import elsewhere
import jax
import numpy as np
import pytest
from elsewhere import arrays, swept

import jaxdyn
from jaxdyn.sweeps import workers

HERE = pathlib.Path(__file__).parent


def python(*words, **environment):
    """Another Python on `elsewhere.py`."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "elsewhere.py"), *map(str, words)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process, seconds=300):
    out, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, out
    return out


def assert_equal(found, expected):
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture(scope="module")
def expected():
    return arrays(swept())


def test_results_are_the_same_for_any_number_of_devices_and_cells_of_a_chunk(tmp_path, expected):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    finished(python("devices", tmp_path, XLA_FLAGS=flags))
    found = sorted(tmp_path.glob("*.npz"))
    assert len(found) == 11
    for file in found:
        assert_equal(np.load(file), expected)


def test_devices_that_are_none():
    for devices, said in [(["cpu"], "some of jax.local_devices"), ((), "some of jax.local_devices")]:
        with pytest.raises(TypeError, match=said):
            swept(devices=devices)
    with pytest.raises(ValueError, match="different ones"):
        swept(devices=jax.local_devices()[:1] * 2)


def test_threads_of_the_user(expected):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert_equal(arrays(swept(executor=pool, chunk=7)), expected)


def spawned(n):
    return concurrent.futures.ProcessPoolExecutor(n, multiprocessing.get_context("spawn"))


def test_worker_processes(tmp_path, expected, monkeypatch):
    """Two of them; a store that they began is resumed here, with another number of cores."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with spawned(2) as pool:
        found = swept(tmp_path / "s", executor=pool, chunk=7)
        assert_equal(arrays(found), expected)
        a = np.float32(0.25)  # closed over: sent as it is, where cloudpickle is there
        closed = jaxdyn.sweep(
            lambda s: s.params["I"] + a, jaxdyn.models.fitzhugh_nagumo(), elsewhere.OVER, executor=pool
        )
    np.testing.assert_array_equal(closed["value"][:, 0], closed["I"] + a)
    import zarr

    zarr.open_group(tmp_path / "s")["status"][:3] = jaxdyn.Status.NOT_RUN
    assert_equal(arrays(swept(tmp_path / "s")), expected)


def test_what_cannot_be_sent_is_told(monkeypatch):
    lock = threading.Lock()

    def measure(s):
        assert lock
        return s.params["I"]

    with spawned(1) as pool, pytest.raises(TypeError, match="must go to other processes"):
        jaxdyn.sweep(measure, jaxdyn.models.fitzhugh_nagumo(), {"I": [0.0]}, executor=pool)
    with pytest.raises(TypeError, match=r"executor must be a concurrent.futures.Executor, got 4; of a Dask client"):
        swept(executor=4)


def deadly(path, executor):
    """The sweep whose measure kills a worker once."""
    with pytest.warns(jaxdyn.JaxdynWarning, match="the measure calls Python"):
        return jaxdyn.sweep(
            elsewhere.slow_walk,
            jaxdyn.models.fitzhugh_nagumo(),
            elsewhere.OVER,
            store=path,
            seed=4,
            chunk=5,
            executor=executor,
            progress=False,
        )


def test_an_executor_of_workers_that_join_later_gets_more(expected):
    """As a Dask client whose cluster grows; it never waits for a place that does not come."""

    class Client:
        asked = 0

        def nthreads(self):
            self.asked += 1
            return {f"worker{i}": 2 for i in range(min(self.asked // 2, 3))}

    class Growing(concurrent.futures.ThreadPoolExecutor):
        pass

    with Growing(2) as pool:
        pool._client = Client()
        assert workers._places(pool) == workers.IN_FLIGHT
        assert workers._places(pool) == 4
        assert_equal(arrays(swept(executor=pool, chunk=5)), expected)
        assert workers._places(pool) == 12


def test_a_worker_of_a_pool_that_dies_ends_the_sweep_which_then_goes_on(tmp_path, expected, monkeypatch):
    monkeypatch.setenv("JAXDYN_TEST_MARK", str(tmp_path / "mark"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    path = tmp_path / "s"
    with spawned(2) as pool, pytest.raises(RuntimeError, match=r"a worker process died .* the same call goes on"):
        deadly(path, pool)
    left = int((jaxdyn.open(path)["status"] == jaxdyn.Status.NOT_RUN).sum())
    assert 0 < left <= 65
    with spawned(2) as pool:
        assert_equal(arrays(deadly(path, pool)), expected)


@pytest.mark.slow
def test_a_worker_of_a_dask_cluster_dies_and_the_sweep_completes(tmp_path, expected, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("JAXDYN_TEST_MARK", str(tmp_path / "mark"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, of ports and of workers that left
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            before = set(client.nthreads())
            found = deadly(tmp_path / "s", client.get_executor())
            after = set(client.nthreads())
    assert (tmp_path / "mark").exists() and before != after  # one was killed, and another took its place
    assert_equal(arrays(found), expected)


@pytest.mark.slow
def test_two_processes_joined_by_jax_share_a_sweep(tmp_path, expected):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    for process in [python("joined", tmp_path, index, port) for index in range(2)]:
        finished(process)
    for index in range(2):
        assert_equal(np.load(tmp_path / f"{index}.npz"), expected)
    assert_equal(arrays(swept(tmp_path / "store")), expected)  # the store is as any other


@pytest.mark.slow
def test_it_resumes_bit_for_bit_after_kill_9_at_thirty_random_moments(tmp_path, expected):
    """Each process goes on with the store of the one before until it is killed; a full one is begun anew."""
    rng, kills, path = np.random.default_rng(5), 0, tmp_path / "0"
    while kills < 30:
        pair = [(path, python("killed_at", path, rng.uniform(0, 0.25)))]
        pair.append(
            (tmp_path / f"beside{kills}", python("killed_at", tmp_path / f"beside{kills}", rng.uniform(0, 0.25)))
        )
        for store, process in pair:
            out, _ = process.communicate(timeout=300)
            if process.returncode == 0:
                assert_equal(arrays(swept(store)), expected)
                path = tmp_path / str(kills + 1)
                continue
            assert process.returncode == -9, out
            kills += 1
    for store in [path, *tmp_path.glob("beside*")]:
        assert_equal(arrays(swept(store)), expected)
