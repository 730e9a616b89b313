"""Slow points: where they are known exactly, what is no fixed point, failures, precision and transformations.

In float64 a root is reached to a few units of the last place of the state times the slope of the field: 1e-10 leaves
five digits for that. A slow point that is no root is where Adam ends, whose last steps are 1e-4 spreads long.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn import Stability, Status, learning, models


def normal(n, dim, seed=0, dtype=None):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, dim)), dtype)


def bistable(dim, w=2.0, **options):
    """Units without coupling: each rests at 0 or at the two roots of x = tanh(w x)."""
    return jaxdyn.iterated_map(lambda n, x, p: jnp.tanh(p["w"] * x), {"w": w}, np.full(dim, 0.1), **options)


def rest(w=2.0):
    """Positive root of x = tanh(w x) by fixed-point iteration, whose factor is below 1/2."""
    x = 1.0
    for _ in range(200):
        x = np.tanh(w * x)
    return x


def found(points):
    return np.asarray(points.x)[np.asarray(points.found)]


def counts(points):
    return np.bincount(np.asarray(points.n_unstable)[np.asarray(points.is_fixed)]).tolist()


@pytest.mark.parametrize(("dim", "expected"), [(1, [2, 1]), (2, [4, 4, 1]), (3, [8, 12, 6, 1])])
def test_bistable_units(dim, expected, x64):
    points = learning.slow_points(bistable(dim), normal(256, dim))
    assert points.status == Status.OK and int(points.n_found) == 3**dim == int(points.is_fixed.sum())
    assert counts(points) == expected
    exact = np.array(list(itertools.product((-rest(), 0.0, rest()), repeat=dim)))
    x = found(points)
    for row in exact:
        assert np.abs(x - row).max(axis=1).min() < 1e-10
    assert np.nanmax(points.speed) < 1e-10
    np.testing.assert_array_equal(points.q, points.speed**2 / 2)
    # Multipliers: 2 at 0, w (1 - x^2) at rest; the largest first.
    zeros = np.sum(np.abs(x) < 1e-8, axis=1)
    assert zeros.tolist() == np.asarray(points.n_unstable)[: 3**dim].tolist()
    inner = 2 * (1 - rest() ** 2)
    for count, values in zip(zeros, np.asarray(points.eigenvalues), strict=False):
        np.testing.assert_allclose(values, [2] * count + [inner] * (dim - count), atol=1e-9)
    kinds = {0: Stability.STABLE_NODE, dim: Stability.UNSTABLE_NODE}
    assert [kinds.get(count, Stability.SADDLE) for count in zeros] == np.asarray(points.stability)[: 3**dim].tolist()


def test_directions_are_eigenvectors(x64):
    """A rotated saddle of a flow: growth 1 along (3, 4)/5, decay -2 across; and a complex pair."""
    along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    matrix = np.outer(along, along) - 2 * np.outer(across, across)
    points = learning.slow_points(jaxdyn.flow(lambda t, x, p: p["A"] @ x, {"A": matrix}, [0.1, 0.1]), normal(16, 2))
    assert counts(points) == [0, 1] and points.stability[0] == Stability.SADDLE
    np.testing.assert_allclose(points.directions[0], [along, [0.8, -0.6]], atol=1e-12)
    spiral = jaxdyn.flow(lambda t, x, p: (x[0] - 2 * x[1], 2 * x[0] + x[1]), {}, [0.1, 0.1])
    points = learning.slow_points(spiral, normal(16, 2), n_directions=1)
    np.testing.assert_allclose(points.eigenvalues[0], [1 + 2j, 1 - 2j], atol=1e-12)
    assert points.directions.shape == (64, 1, 2)
    (vector,) = np.asarray(points.directions[0])
    np.testing.assert_allclose([[1, -2], [2, 1]] @ vector, (1 + 2j) * vector, atol=1e-12)


def test_a_ghost_is_slow_and_not_fixed(x64):
    """dx/dt = x^2 + 1e-3 has no root; q is least at 0, where the speed is 1e-3."""
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2 + p["lift"], -x[1]), {"lift": 1e-3}, [0.1, 0.1])
    points = learning.slow_points(system, normal(32, 2), tolerance=1e-2)
    assert int(points.n_found) == 1 and not points.is_fixed.any()
    assert points.speed[0] == pytest.approx(1e-3, rel=1e-3)
    np.testing.assert_allclose(points.x[0], 0, atol=1e-3)
    assert int(learning.slow_points(system, normal(32, 2), tolerance=1e-5).n_found) == 0
    below = learning.slow_points(system.with_params(lift=-1e-3), normal(32, 2), tolerance=1e-2)
    np.testing.assert_allclose(np.sort(found(below)[:, 0]), [-np.sqrt(1e-3), np.sqrt(1e-3)], atol=1e-10)
    assert counts(below) == [1, 1]


def test_a_line_attractor_is_sampled(x64):
    """All points of the line are fixed; neighbors are as far apart as asked for, and they are too many for 4 slots."""
    direction = np.array([0.6, 0.8, 0.0])
    matrix = 0.5 * np.eye(3) + 0.5 * np.outer(direction, direction)
    line = jaxdyn.iterated_map(lambda n, x, p: p["A"] @ x, {"A": matrix}, np.full(3, 0.1))
    points = learning.slow_points(line, normal(256, 3), merge_within=0.2)
    x = found(points)
    assert points.status == Status.OK and points.is_fixed.sum() == len(x) > 10
    np.testing.assert_allclose(x - np.outer(x @ direction, direction), 0, atol=1e-10)
    assert np.ptp(x @ direction) > 3  # of 256 normal numbers
    np.testing.assert_allclose(np.asarray(points.eigenvalues)[: len(x)], [[1, 0.5, 0.5]] * len(x), atol=1e-12)
    assert set(np.asarray(points.stability)[: len(x)]) == {Stability.MARGINAL}
    apart = np.diff(np.sort(x @ direction)) * 0.8  # the largest component's share
    assert apart.min() > 0.2 * 0.9 * float(np.std(normal(256, 3)))
    few = learning.slow_points(line, normal(256, 3), merge_within=0.2, max_points=4)
    assert few.status == Status.CAPACITY and int(few.n_found) == 4


def test_nearly_a_line_keeps_its_slow_points(x64):
    """Drift of 1e-4 towards 0 along the line: one root; points elsewhere are slow and are not taken there."""
    near = jaxdyn.flow(lambda t, x, p: (-1e-4 * x[0], -x[1]), {}, [0.1, 0.1])
    points = learning.slow_points(near, normal(128, 2), optimizer=optax.sgd(0.3), n_steps=300, merge_within=0.3)
    x = found(points)
    assert counts(points) == [1] and np.abs(x[0]).max() < 1e-10
    assert len(x) > 5 and np.abs(x[1:, 0]).min() > 0.1
    np.testing.assert_allclose(points.speed[: len(x)], 1e-4 * np.abs(x[:, 0]), atol=1e-4)


def test_patterns_of_a_hopfield_network(x64):
    """Two orthogonal patterns in 16 units: the four states m xi, with m = tanh(2 m), are stable."""
    first, second = np.tile([1.0, -1.0], 8), np.tile([1.0, 1.0, -1.0, -1.0], 4)
    weights = 2 * (np.outer(first, first) + np.outer(second, second)) / 16
    network = learning.cell_map(lambda h, u, w: jnp.tanh(w @ h + u), weights, np.zeros(16), np.zeros(16))
    points = learning.slow_points(network, normal(1024, 16))
    stable = np.asarray(points.x)[np.asarray(points.is_fixed) & (np.asarray(points.n_unstable) == 0)]
    assert len(stable) == 4
    for pattern in (first, -first, second, -second):
        assert np.abs(stable - rest() * pattern).max(axis=1).min() < 1e-10


def test_inputs_are_held(x64):
    """x = tanh(2 x + u): at u = 1 only one of three points is left."""
    network = learning.cell_map(lambda h, u, w: jnp.tanh(w["w"] * h + u), {"w": 2.0}, np.zeros(1), np.zeros(1))
    assert int(learning.slow_points(network, normal(64, 1)).n_found) == 3
    assert int(learning.slow_points(network.with_params(input=[1.0]), normal(64, 1)).n_found) == 1


@pytest.mark.parametrize("wide", [False, True])
def test_float32_stays_float32(wide):
    """Also where float64 is allowed; roots to some units of the last place."""
    with jax.enable_x64(wide):
        points = learning.slow_points(bistable(2, dtype=np.float32), normal(128, 2, dtype=np.float32))
        assert points.x.dtype == points.speed.dtype == np.float32 and points.eigenvalues.dtype == np.complex64
        assert counts(points) == [4, 4, 1]
        assert np.nanmax(points.speed) < 1e-6


def test_far_from_zero_float32_tells_no_places_apart_that_it_rounds_to_one():
    """At 1e6 float32 has steps of 1/16, six times the distance within which points are the same."""
    away = jaxdyn.flow(lambda t, x, p: p["c"] - x, {"c": np.float32(1e6)}, np.float32([0.1]))
    points = learning.slow_points(away, 1e6 + normal(32, 1, dtype=np.float32))
    assert int(points.n_found) == 1 and points.is_fixed[0] and float(points.x[0, 0]) == 1e6


class TestWhatFails:
    def test_starts_that_are_not_finite_are_left_out(self, x64):
        starts = normal(512, 2).at[::4].set(jnp.nan).at[1::4, 0].set(jnp.inf)
        points = learning.slow_points(bistable(2), starts)
        assert points.status == Status.OK and counts(points) == [4, 4, 1]
        nowhere = learning.slow_points(bistable(2), jnp.full((8, 2), jnp.nan))
        assert nowhere.status == Status.NON_FINITE and int(nowhere.n_found) == 0
        assert np.isnan(nowhere.x).all() and not nowhere.is_fixed.any()

    def test_no_slow_point(self, x64):
        drift = jaxdyn.flow(lambda t, x, p: jnp.ones_like(x), {}, [0.1, 0.1])
        points = learning.slow_points(drift, normal(16, 2))
        assert points.status == Status.OK and int(points.n_found) == 0
        assert not points.n_unstable.any() and (points.stability == Stability.UNDEFINED).all()

    def test_capacity(self, x64):
        points = learning.slow_points(bistable(2), normal(256, 2), max_points=5)
        assert points.status == Status.CAPACITY and int(points.n_found) == 5
        exact = learning.slow_points(bistable(2), normal(256, 2), max_points=9)
        assert exact.status == Status.OK and int(exact.n_found) == 9

    def test_points_far_from_the_states_are_dropped(self, x64):
        """Starts within 0.1 of 0, 100 spreads from the roots at 10."""
        cubic = jaxdyn.flow(lambda t, x, p: x * (x**2 - 100), {}, [0.1])
        starts = 0.1 * normal(64, 1)
        away = optax.sgd(0.0)  # stays where it is
        assert int(learning.slow_points(cubic, starts, optimizer=away, tolerance=10.0).n_found) > 0
        far = jnp.concatenate([starts, jnp.array([[10.0]])])
        near = learning.slow_points(cubic, far, reach=4.0)
        assert found(near).max() < 1 and found(learning.slow_points(cubic, far, reach=np.inf)).max() > 9

    def test_starts_at_rest_and_all_the_same(self, x64):
        """Neither a spread nor a speed to measure by."""
        points = learning.slow_points(bistable(2), jnp.zeros((4, 2)))
        assert int(points.n_found) == 1 and points.is_fixed[0] and points.n_unstable[0] == 2

    @pytest.mark.parametrize(
        ("starts", "options", "error", "words"),
        [
            (np.zeros((4, 3)), {}, ValueError, r"\(n, 2\) with n >= 2, got \(4, 3\)"),
            (np.zeros((1, 2)), {}, ValueError, "n >= 2"),
            (np.zeros((5, 4, 2)), {}, ValueError, r"states.reshape\(-1, 2\)"),
            (np.zeros((4, 2)), {"n_steps": 0}, ValueError, "n_steps must be a whole number"),
            (np.zeros((4, 2)), {"max_points": 1.5}, ValueError, "max_points must be a whole number"),
            (np.zeros((4, 2)), {"n_directions": 0}, ValueError, "n_directions must be a whole number"),
            (np.zeros((4, 2)), {"tolerance": 0.0}, ValueError, "tolerance must be a positive number"),
            (np.zeros((4, 2)), {"merge_within": np.nan}, ValueError, "merge_within must be a positive number"),
            (np.zeros((4, 2)), {"reach": -1.0}, ValueError, "reach must be a positive number"),
            (np.zeros((4, 2)), {"optimizer": "adam"}, TypeError, "optimizer must be a transformation of optax"),
            (np.zeros((4, 2)), {"optimizer": optax.adam}, TypeError, "optimizer must be a transformation of optax"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, unchecked, starts, options, error, words):
        with pytest.raises(error, match=words):
            learning.slow_points(bistable(2), starts, **options)

    def test_what_is_no_system_is_refused(self, unchecked):
        with pytest.raises(TypeError, match="expected a Flow or a Map"):
            learning.slow_points(lambda x: x, np.zeros((4, 2)))
        with pytest.raises(TypeError, match="gauss_newton needs a loss that gives residuals"):
            learning.slow_points(bistable(2), np.zeros((4, 2)), optimizer=learning.gauss_newton(), n_steps=5)


class TestTransformations:
    def test_jit_and_vmap(self, x64):
        """Beyond w = 1 three roots, below one."""
        starts = normal(64, 1)
        ws = jnp.array([0.5, 1.5, 2.0])
        many = jax.jit(jax.vmap(lambda w: learning.slow_points(bistable(1).with_params(w=w), starts)))(ws)
        assert many.n_found.tolist() == [1, 3, 3]
        for i, w in enumerate(ws):
            np.testing.assert_allclose(
                many.x[i, :3], learning.slow_points(bistable(1, float(w)), starts).x[:3], atol=1e-12
            )

    def test_equal_calls_share_a_program(self, x64):
        from jaxdyn.learning.slow import _slow_points

        learning.slow_points(bistable(1), normal(64, 1))
        before = _slow_points._cache_size()
        system = bistable(1)
        for w in (1.1, 1.2):
            learning.slow_points(system.with_params(w=w), normal(64, 1))
        assert _slow_points._cache_size() <= before + 1

    @pytest.mark.parametrize("optimizer", [optax.lbfgs(), optax.sgd(0.05, momentum=0.9), optax.rmsprop(1e-2)])
    def test_any_optimizer(self, optimizer, x64):
        points = learning.slow_points(bistable(1), normal(64, 1), optimizer=optimizer, n_steps=400, tolerance=0.1)
        assert counts(points) == [2, 1]

    def test_flow_with_a_known_model(self, x64):
        """The same points as a search of the box."""
        lorenz = models.lorenz63()
        starts = jaxdyn.trajectory(lorenz, n_steps=1000, dt=0.01).x
        points = learning.slow_points(lorenz, starts[::2])
        exact = jaxdyn.fixed_points(lorenz)
        np.testing.assert_allclose(np.sort(found(points)[:, 0]), np.sort(exact.x[exact.found][:, 0]), atol=1e-10)
