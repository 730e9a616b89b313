"""A network that was trained to remember three bits: its fixed points are the corners of a cube and what lies between.

Sussillo & Barak 2013, figure 3: the sign of each channel's last pulse is held by a stable fixed point for each word of
three bits; between neighbors, which differ in one bit, lies a saddle with one unstable direction that leads to both.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn import Status, learning

N_UNITS, N_STEPS = 24, 1000


def cell(h, u, w):
    return jnp.tanh(w["W"] @ h + w["B"] @ u + w["b"])


def states(w, u):
    """States of one run from rest."""
    return jax.lax.scan(lambda h, now: (cell(h, now, w),) * 2, jnp.zeros(N_UNITS), u)[1]


def pulses(key):
    """64 runs of 40 steps; each channel begins with a pulse and has one at a quarter of the steps."""
    signs, times = jax.random.split(key)
    u = jax.random.rademacher(signs, (64, 40, 3), jnp.float32)
    return u * jax.random.bernoulli(times, 0.25, u.shape).at[:, 0].set(True).astype(u.dtype)


def error(w, u):
    """Mean squared distance of the readout from the last pulse of each channel."""
    last = jax.lax.associative_scan(lambda old, new: jnp.where(new != 0, new, old), u, axis=1)
    return jnp.mean((jax.vmap(states, (None, 0))(w, u) @ w["out"].T - last) ** 2)


def trained(seed):
    """Weights after Adam's steps, in float32, and the last error."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.01, N_STEPS)))
    shapes = {"W": (N_UNITS, N_UNITS), "B": (N_UNITS, 3), "out": (3, N_UNITS)}
    keys = jax.random.split(jax.random.key(seed), len(shapes) + N_STEPS)
    w = {name: jax.random.normal(key, of) / of[1] ** 0.5 for key, (name, of) in zip(keys, shapes.items(), strict=False)}
    w["b"] = jnp.zeros(N_UNITS)

    def step(carry, key):
        value, slope = jax.value_and_grad(error)(carry[0], pulses(key))
        with jax.numpy_dtype_promotion("standard"):
            change, memory = optimizer.update(slope, carry[1])
        return (optax.apply_updates(carry[0], change), memory), value

    run = jax.jit(lambda w: jax.lax.scan(step, (w, optimizer.init(w)), keys[len(shapes) :]))
    (w, _), values = run(w)
    return w, float(values[-1])


@pytest.fixture(scope="module")
def dissected():
    """Weights, the network without pulses, and its slow points from states that it visits, with noise."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
        w, last = trained(seed=0)
        runs = np.asarray(jax.vmap(states, (None, 0))(w, pulses(jax.random.key(7))), float)
    assert last < 2e-3  # a word that is read wrongly for one step in a hundred would cost 1e-2
    with jax.enable_x64(True):
        w = {name: jnp.asarray(np.asarray(value), float) for name, value in w.items()}
        out = w.pop("out")
        network = learning.cell_map(cell, w, np.zeros(N_UNITS), np.zeros(3))
        visited = np.tile(runs.reshape(-1, N_UNITS), (2, 1))
        noise = 0.5 * visited.std() * np.random.default_rng(0).normal(size=visited.shape)
        return network, np.asarray(out), learning.slow_points(network, visited + noise)


pytestmark = pytest.mark.slow


def test_all_roots_are_polished(dissected, x64):
    network, _, points = dissected
    assert points.status == Status.OK
    fixed = np.asarray(points.is_fixed)
    assert fixed.sum() >= 20
    for x in np.asarray(points.x)[fixed]:
        residual = network(0, x) - x
        step = np.linalg.solve(np.asarray(jaxdyn.jacobian(network, x)) - np.eye(N_UNITS), residual)
        assert np.linalg.norm(residual) < 1e-10 and np.linalg.norm(step) < 1e-10


def test_the_stable_points_are_the_eight_words(dissected):
    _, out, points = dissected
    stable = np.asarray(points.is_fixed) & (np.asarray(points.n_unstable) == 0)
    bits = np.asarray(points.x)[stable] @ out.T
    assert len(bits) == 8 and len(np.unique(np.sign(bits), axis=0)) == 8
    np.testing.assert_allclose(np.abs(bits), 1, atol=0.1)  # an error of 2e-3 is a distance of 0.045


def test_a_saddle_lies_between_any_two_neighbors(dissected, x64):
    """Both ways along its unstable direction lead to words that differ in one bit; all twelve edges have one."""
    network, out, points = dissected
    saddles = np.flatnonzero(np.asarray(points.is_fixed) & (np.asarray(points.n_unstable) == 1))
    assert len(saddles) >= 12
    x, along = np.asarray(points.x)[saddles], np.asarray(points.directions)[saddles, 0].real
    ways = jnp.asarray(np.stack([x - 1e-3 * along, x + 1e-3 * along], axis=1).reshape(-1, N_UNITS))
    # A departure of 1e-3 that grows by a tenth a step is of size 1 after 73 steps.
    ends = jax.vmap(lambda start: jaxdyn.final_state(network.with_state(start), n_steps=500).x)(ways)
    words = np.sign(np.asarray(ends) @ out.T).reshape(-1, 2, 3)
    corners = np.asarray(points.x)[:8]
    gaps = np.linalg.norm(np.asarray(ends)[:, None] - corners[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-6
    edges = {tuple(sorted(map(tuple, pair.tolist()))) for pair in words if (pair[0] != pair[1]).sum() == 1}
    assert len(edges) == 12
