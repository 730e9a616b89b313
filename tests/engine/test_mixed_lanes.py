"""Loops that each lane leaves when it likes: what a lane computes, and how long the others wait."""

import ctypes
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxdyn
from jaxdyn import Native, Status, lanes
from jaxdyn.engine import native_code, native_compiler

pytestmark = pytest.mark.skipif(native_compiler.unavailable() is not None, reason=str(native_compiler.unavailable()))

ENGINES = [Native(vectors=1, threads=1), Native(vectors=2, threads=3), Native()]
# Lanes of a block are 16 in float32 with vectors=1, 32 with 2.
SERIAL = itertools.count()
COUNTS = [1, 2, 15, 16, 17, 63, 130, 333]


def walk(n, x):
    """So many steps of a chaotic map, in which each rounding shows."""
    return lax.while_loop(lambda c: c[0] > 0, lambda c: (c[0] - 1, 3.9 * c[1] * (1 - c[1]) + 0.0 * x), (n, x))


def compared(monkeypatch, fn, engine, *arrays):
    """Results of the queue, which are those of blocks to the last bit."""
    got = lanes(lambda *a: fn(*a), engine=engine)(*arrays)
    with monkeypatch.context() as patched:
        patched.setattr(native_code, "queued", lambda loop: None)
        expected = lanes(lambda *a: fn(*a), engine=engine)(*arrays)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return got


def counts_and_starts(n, seed=0):
    random = np.random.default_rng(seed)
    steps = np.where(random.random(n) < 0.1, 3000, random.integers(0, 40, n)).astype(np.int32)
    return steps, random.uniform(0.1, 0.9, n).astype(np.float32)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("n", COUNTS)
def test_each_lane_gets_its_own_result(monkeypatch, engine, n):
    steps, x = counts_and_starts(n)
    left, ends = compared(monkeypatch, walk, engine, steps, x)
    assert not np.any(left)
    # No lane depends on those beside it: in another order each has the same result.
    order = np.random.default_rng(1).permutation(n)
    np.testing.assert_array_equal(lanes(walk, engine=engine)(steps[order], x[order])[1], ends[order])


@pytest.mark.parametrize("case", ["none goes on", "all alike", "only one goes on", "the last one is slow"])
def test_extremes(monkeypatch, case):
    n = 150
    steps = {
        "none goes on": np.zeros(n),
        "all alike": np.full(n, 70),
        "only one goes on": np.where(np.arange(n) == 77, 500, 0),
        "the last one is slow": np.where(np.arange(n) == n - 1, 5000, 3),
    }[case].astype(np.int32)
    x = np.linspace(0.1, 0.9, n, dtype=np.float32)
    _, ends = compared(monkeypatch, walk, Native(vectors=1, threads=2), steps, x)
    if case == "none goes on":
        np.testing.assert_array_equal(ends, x)


def test_all_kinds_of_numbers(monkeypatch):
    """Numbers of 1, 2, 4 and 8 bytes, some shared by all lanes; a loop within the loop and one in its test."""

    def grown(n, b, h, w, shared=0.3):
        def step(c):
            n, b, h, w = c
            inner = lax.fori_loop(0, 3, lambda _, v: 0.5 * v + shared, w)
            larger = lax.while_loop(lambda v: v < 1.0, lambda v: 1.7 * v, inner)
            return n - 1, b ^ (inner > 0.7), h + jnp.int16(3), larger

        return lax.while_loop(lambda c: lax.fori_loop(0, 2, lambda _, s: s + c[0], c[0]) > 0, step, (n, b, h, w))

    with jax.enable_x64(True):
        n, x = counts_and_starts(101)
        arrays = (n.astype(np.int64), x > 0.5, n.astype(np.int16), x.astype(np.float64))
        got = compared(monkeypatch, grown, Native(vectors=1), *arrays)
        np.testing.assert_array_equal(got[2], (arrays[2] + 3 * n).astype(np.int16))
        np.testing.assert_array_equal(got[1], jax.jit(jax.vmap(grown))(*arrays)[1])


@pytest.mark.parametrize("method", [jaxdyn.Tsit5(rtol=1e-6, max_steps=400), jaxdyn.Taylor(rtol=1e-9, max_steps=400)])
def test_lanes_that_fail(monkeypatch, x64, method):
    """Stiff lanes end for want of steps, one because it is no number; the others do not see it."""
    mu = np.linspace(0.5, 3.0, 45)
    mu[::9], mu[7] = 1000.0, np.nan
    system = jaxdyn.models.van_der_pol(dtype=jnp.float64)

    def end(mu):
        run = jaxdyn.final_state(system.with_params(mu=mu), t1=10.0, method=method)
        return run.x, run.status

    x, status = compared(monkeypatch, end, Native(vectors=1), mu)
    bad = (np.arange(45) % 9 == 0) | (np.arange(45) == 7)
    assert np.all(np.isfinite(x).all(1) == ~bad) and np.all((np.asarray(status) == Status.OK) == ~bad)


def test_within_other_transforms():
    steps, x = counts_and_starts(50)
    engine = Native(vectors=1)
    expected = lanes(walk, engine=engine)(steps, x)[1]
    got = jax.jit(lambda s, x: lanes(walk, engine=engine)(s, x)[1])(steps, x)
    np.testing.assert_array_equal(got, expected)
    halves = jax.vmap(lambda s, x: lanes(walk, engine=engine)(s, x)[1])(steps.reshape(2, 25), x.reshape(2, 25))
    np.testing.assert_array_equal(halves.reshape(-1), expected)
    shared = lanes(walk, in_axes=(0, None), engine=engine)(steps, x[0])[1]
    np.testing.assert_array_equal(shared, lanes(walk, engine=engine)(steps, np.full(50, x[0]))[1])

    def rate(s, x):
        return lanes(lambda s, x: walk(s, x)[1], engine=engine)(s, x)

    _, tangent = jax.jvp(lambda x: rate(jnp.minimum(steps, 5), x), (x,), (np.ones_like(x),))
    plain = jax.vmap(jax.grad(lambda x, s: lax.fori_loop(0, 5, lambda i, y: jnp.where(i < s, 3.9 * y * (1 - y), y), x)))
    # Five factors of up to 3.9, each with a few roundings of float32.
    np.testing.assert_allclose(tangent, plain(x, jnp.minimum(steps, 5)), rtol=1e-4, atol=1e-3)


@pytest.fixture
def iterations(monkeypatch):
    """Iterations of blocks since the last question, counted in the C programs."""
    begun, libraries = native_compiler.begun, []

    def counting(text, threads=1, level="-O2"):
        assert text.count("since++") == 1
        counted = "static long iterations_of_blocks; long *counter(void) { return &iterations_of_blocks; }\n"
        text = counted + text.replace("since++", "since++, __atomic_fetch_add(&iterations_of_blocks, 1, 0)")
        name = begun(f"{text}\n/* {next(SERIAL)} */", threads, level)
        libraries.append(native_compiler._begun[name])
        return name

    monkeypatch.setattr(native_compiler, "begun", counting)

    def taken():
        total = 0
        for library in libraries:
            counter = library.result().counter
            counter.restype = ctypes.POINTER(ctypes.c_long)
            total += counter().contents.value
            counter().contents.value = 0
        return total

    return taken


@pytest.mark.parametrize("order", ["in order", "in disorder", "in turn"])
@pytest.mark.parametrize(("slow", "share"), [(10_000, 1 / 16), (3000, 1 / 2), (20_000, 1 / 256)])
def test_nobody_waits_for_slow_lanes(iterations, order, slow, share):
    """Blocks go on until a lane of theirs is left, so all but the last go on full; a change of lanes takes a while."""
    n, fast, width = 2048, 200, 16
    n_slow = round(n * share)
    steps = np.concatenate([np.full(n_slow, slow), np.full(n - n_slow, fast)]).astype(np.int32)
    if order == "in disorder":
        steps = np.random.default_rng(0).permutation(steps)
    if order == "in turn":
        steps = steps.reshape(n_slow, -1, order="F").ravel() if n_slow < n else steps
    run = lanes(lambda *a: walk(*a), engine=Native(vectors=1, threads=1))
    jax.block_until_ready(run(steps, np.full(n, 0.3, np.float32)))
    # What all lanes take in full blocks, and once the slowest lane, which may be the last to begin. Besides each lane
    # leaves its place idle for the least time between two changes of lanes, which is below 90 iterations of this loop.
    full = steps.sum() / width
    assert full <= iterations() <= full + 90 * n / width + slow


def test_even_lanes_take_what_they_need(iterations):
    """All lanes end together: as many iterations as blocks without a queue have."""
    run = lanes(lambda *a: walk(*a), engine=Native(vectors=1, threads=1))
    jax.block_until_ready(run(np.full(320, 100, np.int32), np.full(320, 0.3, np.float32)))
    assert iterations() == 20 * 100


def test_cheaper_than_one_and_a_half_times_its_parts(iterations, x64):
    """Stiff and smooth lanes at random, one time in sixteen a stiff one, against each kind alone."""
    system = jaxdyn.models.van_der_pol(dtype=jnp.float64)
    mu = np.where(np.arange(256) % 16 == 0, 60.0, 1.0)
    method = jaxdyn.Tsit5(rtol=1e-6)

    def end(mu):
        return jaxdyn.final_state(system.with_params(mu=mu), t1=60.0, method=method).x

    run = lanes(end, engine=Native(vectors=1, threads=1))

    def taken(mu):
        jax.block_until_ready(run(mu))
        return iterations()

    whole = taken(np.random.default_rng(3).permutation(mu))
    parts = taken(mu[mu == 1.0]) + taken(mu[mu == 60.0])
    assert 0 < whole <= 1.5 * parts
