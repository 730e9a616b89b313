"""Lanes shared among the cores of a CPU: the same numbers as on one, and left alone inside other transforms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxdyn
from jaxdyn.engine import cores, transform

TWO, ONE = jaxdyn.Xla(threads=2), jaxdyn.Xla(threads=1)


def iterated(r, start, n=50):
    """Logistic map: (last state, its mean), the second a dict with an array."""
    total = {"sum": jnp.zeros((3,), r.dtype)}

    def step(_, carry):
        x, sums = carry
        x = r * x * (1 - x)
        return x, {"sum": sums["sum"] + x * start}

    x, sums = lax.fori_loop(0, n, step, (0.3 + 0 * r, total))
    return x, {"mean": sums["sum"] / n}


@pytest.fixture
def pieces(monkeypatch):
    """Widths of the pieces of the calls made meanwhile."""
    widths = []
    original = cores.on_all_cores

    def noted(compiled, arrays, axes, width, threads):
        widths.append((width, threads))
        return original(compiled, arrays, axes, width, threads)

    monkeypatch.setattr(transform, "on_all_cores", noted)
    return widths


@pytest.mark.parametrize("lanes", [256, 257, 1000, 1024])
def test_all_cores_give_the_numbers_of_one(lanes, pieces):
    rates, start = jnp.linspace(2.5, 4.0, lanes), jnp.arange(3.0)
    alone = jaxdyn.lanes(iterated, (0, None), engine=ONE)(rates, start)
    assert pieces == []
    shared = jaxdyn.lanes(iterated, (0, None), engine=TWO)(rates, start)
    assert [threads for _, threads in pieces] == [2] and pieces[0][0] < lanes
    for found, expected in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


def test_axes_of_arguments_and_results(pieces):
    matrix = jnp.linspace(2.5, 4.0, 900).reshape(3, 300)

    def function(column, *, start):
        x, more = jax.vmap(lambda r: iterated(r, start))(column)
        return x, more["mean"], jnp.arange(4)

    start = jnp.linspace(0.0, 1.0, 900).reshape(300, 3)
    expected = jax.vmap(function, -1, (1, -1, None))(matrix, start=start)
    found = jaxdyn.lanes(function, -1, (1, -1, None), engine=TWO)(matrix, start=start)
    assert len(pieces) == 1
    for a, b in zip(found, expected, strict=True):
        # Chaotic growth over 50 steps leaves nothing of single rounding errors: compared where the map has a cycle.
        assert a.shape == b.shape
    np.testing.assert_allclose(found[0][0], expected[0][0], rtol=1e-4)
    np.testing.assert_array_equal(found[2], np.arange(4))


def test_few_lanes_and_calls_within_other_transforms_stay_on_one(pieces):
    rates, start = jnp.linspace(2.5, 3.0, 512), jnp.arange(3.0)
    batched = jaxdyn.lanes(iterated, (0, None), engine=TWO)
    batched(rates[:100], start)
    jax.jit(batched)(rates, start)
    jax.grad(lambda r: batched(r, start)[0].sum())(rates)
    jax.jit(lambda y: y + batched(rates, start)[0].sum())(1.0)
    jax.jit(lambda y: jaxdyn.lanes(lambda r: iterated(r, start)[0] * y, engine=TWO)(rates))(2.0)
    assert pieces == []


def test_each_mode_of_precision_has_its_own_program(pieces, x64):
    def function(r):
        return lax.fori_loop(0, 100, lambda _, x: x + jnp.float32(1) / 3 * r, jnp.zeros_like(r)) + jnp.arange(2.0).sum()

    rates = jnp.linspace(1.0, 2.0, 512, dtype=jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        batched = jaxdyn.lanes(function, engine=TWO)
        assert batched(rates).dtype == np.float64
        with jax.enable_x64(False):
            assert batched(rates).dtype == np.float32
        assert batched(rates).dtype == np.float64
    assert len(pieces) == 3


def test_random_keys_and_nan_lanes(pieces):
    keys = jax.random.split(jax.random.key(0), 300)
    strength = jnp.ones(300).at[17].set(jnp.nan)

    def walk(key, s):
        return lax.fori_loop(0, 20, lambda i, x: x + s * jax.random.normal(jax.random.fold_in(key, i)), 0.0 * s)

    shared, alone = (jaxdyn.lanes(walk, engine=engine)(keys, strength) for engine in (TWO, ONE))
    np.testing.assert_array_equal(shared, alone)
    assert np.flatnonzero(np.isnan(shared)).tolist() == [17] and len(pieces) == 1


def test_shares_are_whole_blocks_that_cover_all_lanes():
    for lanes in (1, 127, 128, 129, 256, 1000, 10**6 + 1):
        for threads in (1, 2, 3, 16):
            width = cores.share(lanes, 128, threads)
            pieces = -(-lanes // width)
            assert width % 128 == 0 and pieces <= max(1, 2 * threads) and (threads > 1 or pieces == 1)
