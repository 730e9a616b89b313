"""Sweeps for other processes, run as `python elsewhere.py NAME ...`: several devices, workers that die.

Each writes what it finds as .npz.
"""

import os
import pathlib
import signal
import sys
import time

import jax
import numpy as np

import jaxdyn

OVER = {"I": np.linspace(0, 1, 13), "b": np.linspace(0.6, 0.9, 5)}


def walk(s, key):
    """A few steps and a random number: the cell's own."""
    run = jaxdyn.final_state(s, n_steps=200, dt=0.1)
    return {"x": run.x, "u": jax.random.normal(key) + s.params["I"], "status": run.status}


def swept(path=None, **options):
    """65 cells, which neither chunks nor devices share out evenly."""
    return jaxdyn.sweep(walk, jaxdyn.models.fitzhugh_nagumo(), OVER, store=path, seed=4, progress=False, **options)


def arrays(found):
    return {name: found[name].values for name in ("x", "u", "status")}


def devices(folder):
    """The same sweep on 1, 2 and 8 devices in chunks of several sizes, and a store begun by 8 and ended by 1."""
    from jaxdyn.sweeps import program

    assert len(jax.local_devices()) == 8
    sharing, on_devices = [], program.on_devices

    def counting(function, tree, leaves, devices):
        sharing.append(tuple(device.id for device in devices))
        return on_devices(function, tree, leaves, devices)

    program.on_devices = counting
    for n in (1, 2, 8):
        for chunk in (7, 24, 65):
            found = swept(chunk=chunk, devices=jax.local_devices()[-n:])
            np.savez(f"{folder}/{n}_{chunk}.npz", **arrays(found))
    assert set(sharing) == {(7,), (6, 7), tuple(range(8))}
    np.savez(f"{folder}/all.npz", **arrays(swept()))
    store = f"{folder}/store"
    swept(store, chunk=24)
    import zarr

    zarr.open_group(store)["status"][:8] = jaxdyn.Status.NOT_RUN
    np.savez(f"{folder}/resumed.npz", **arrays(swept(store, devices=jax.local_devices()[3:4])))
    short_of_memory()


def short_of_memory():
    """Eight devices of which none has room for a cell: an error, not a search without end."""
    from jaxdyn.sweeps.program import Program, Programs

    init = Programs.__init__

    def failing(leaves):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    def limited(program):
        return Program(failing, program.digest, program.n_workers, program.lanes)

    Programs.__init__ = lambda self, first, make, fewest: init(self, limited(first), lambda n: limited(make(n)), fewest)
    try:
        swept(chunk=32)
    except jax.errors.JaxRuntimeError:
        return
    raise AssertionError("no error")


def joined(folder, index, port):
    """One of two processes that share a sweep."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    found = swept(f"{folder}/store", chunk=5)
    np.savez(f"{folder}/{index}.npz", **arrays(found))


def slow_walk(s, key):
    """As `walk`, but the first worker that comes to the fourth chunk dies by kill -9, once."""

    def die(u, deadly):
        mark = pathlib.Path(os.environ["JAXDYN_TEST_MARK"])
        if deadly and not mark.exists():
            mark.write_text("died")
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return u

    found = walk(s, key)
    deadly = (s.params["I"] > 0.5) & (s.params["b"] > 0.8)
    like = jax.ShapeDtypeStruct((), found["u"].dtype)
    return found | {"u": jax.pure_callback(die, like, found["u"], deadly, vmap_method="sequential")}


def killed_at(path, seconds):
    """The sweep, slowed down, killed by kill -9 some time after it began to compute."""
    import threading

    from jaxdyn.sweeps.plan import Plan

    compute, started = Plan.compute, []

    def slow(self, region, wanted=None):
        if not started:
            started.append(1)
            threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(0.03)
        return compute(self, region, wanted)

    Plan.compute = slow
    swept(path, chunk=3)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
