"""Correlation dimension: sets of known dimension, an independent sum, errors of samples, special sets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, correlation_dimension, models

N = 3000


def square(n=N, seed=0, dim=2):
    return np.random.default_rng(seed).random((n, dim))


def circle(n=N, seed=0):
    angle = 2 * np.pi * np.random.default_rng(seed).random(n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def cantor(n=N, seed=0):
    """Middle thirds: 30 ternary digits, 0 or 2."""
    digits = 2 * np.random.default_rng(seed).integers(0, 2, (n, 30))
    return (digits @ 3.0 ** -np.arange(1, 31))[:, None]


def plain_sum(x, radii, theiler=0):
    """All pairs at once, in plain numpy."""
    distance = np.sqrt(np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1))
    i, j = np.triu_indices(len(x), theiler + 1)
    return np.array([np.mean(distance[i, j] <= r) for r in radii])


@pytest.mark.parametrize("block", [1, 7, 20, 1024])
@pytest.mark.parametrize("theiler", [0, 1, 25, 90])
def test_the_sum_is_that_of_all_pairs(theiler, block, x64):
    """Counts are whole numbers: equal, whatever the tiles."""
    x = square(150, dim=3)
    radii = np.geomspace(0.05, 2, 9)
    found = correlation_dimension(x, radii, theiler=theiler, block=block, fit_between=(0, 1))
    np.testing.assert_allclose(found.correlation_sum, plain_sum(x, radii, theiler), rtol=1e-14)
    np.testing.assert_array_equal(found.radii, radii)
    curve = np.asarray(found.correlation_sum)
    used = curve > 0
    slope = np.polyfit(np.log(radii[used]), np.log(curve[used]), 1)[0]
    np.testing.assert_allclose(found.dimension, slope, rtol=1e-12)
    np.testing.assert_allclose(found.scaling_range, [radii[used][0], radii[-1]], rtol=1e-14)


def test_many_coordinates_take_the_other_branch(x64):
    x = square(100, dim=12)
    radii = np.linspace(0.5, 2.5, 8)
    found = correlation_dimension(x, radii, fit_between=(0, 1))
    np.testing.assert_allclose(found.correlation_sum, plain_sum(x, radii), rtol=1e-14)


def test_sets_of_known_dimension(x64):
    """Within three standard errors, and what the shape does over the range of the fit."""
    found = {make.__name__: correlation_dimension(make()) for make in (square, circle, cantor)}
    for name, dimension, bias in (
        # C = pi r^2 - 8 r^3 / 3 + r^4 / 2: the local slope at the range's upper end, r = 0.058, is 2 - 0.05.
        ("square", 2.0, 0.05),
        # C = (2 / pi) asin(r / 2): the slope at C = 0.01 is 1 + 1e-4.
        ("circle", 1.0, 1e-4),
        # log C is periodic about the line, with period p = log 3 of log r, by at most a = log 2 / 2: over N = 6
        # periods (C from 0.01 to 500 pairs is 6.5 of them) a least-squares line turns by at most 3 a / (N^2 p).
        ("cantor", np.log(2) / np.log(3), 3 * (np.log(2) / 2) / (36 * np.log(3))),
    ):
        result = found[name]
        assert result.status == Status.OK
        assert abs(result.dimension - dimension) < 3 * result.std_error + bias, (name, result)
        assert result.std_error < 0.05 * dimension


def test_the_henon_attractor_has_the_dimension_of_the_literature(x64):
    """1.20 to 1.25 in the literature, 1.21(1) and 1.25(2) in Grassberger and Procaccia's own papers."""
    run = jaxdyn.trajectory(models.henon(), n_steps=8500)
    found = correlation_dimension(run.x[500:])
    assert 1.20 - 3 * found.std_error < found.dimension < 1.25 + 3 * found.std_error
    assert found.std_error < 0.05  # no more than the literature's own range
    whole = correlation_dimension(jaxdyn.trajectory(models.henon(x0=run.x[500]), n_steps=2999))
    np.testing.assert_array_equal(whole.dimension, correlation_dimension(run.x[500:3500]).dimension)


def test_standard_errors_cover(x64):
    """Intervals of two standard errors hold the slope of many points for most of 60 sets of uniform points."""
    samples = jnp.asarray(np.stack([square(600, seed) for seed in range(60)]))
    radii = jnp.geomspace(0.02, 0.1, 12)
    run = jax.jit(jax.vmap(lambda x: correlation_dimension(x, radii, fit_between=(0, 1))))(samples)
    u, r = np.log(np.asarray(radii)), np.asarray(radii)
    true = np.polyfit(u, np.log(np.pi * r**2 - 8 * r**3 / 3 + r**4 / 2), 1)[0]
    pull = np.asarray((run.dimension - true) / run.std_error)
    # 95 % in the limit; the error is too large by up to sqrt(2) where pairs are few. 60 trials: 0.85 is 3.5 sigma.
    assert np.mean(np.abs(pull) < 2) > 0.85
    # Not far too large either: the spread of the pulls is between 0.6 and 1.3 (1/sqrt(2) or 1, each with 9 % error).
    assert 0.55 < np.std(pull) < 1.3


def test_scale_and_origin_do_not_matter(x64):
    x = square(800)
    given = correlation_dimension(x)
    for scale in (1e-150, 1e150):
        scaled = correlation_dimension(scale * x)
        # Radii differ by rounding, which may move a pair across one of them.
        np.testing.assert_allclose(scaled.dimension, given.dimension, atol=0.05 * given.std_error)
        np.testing.assert_allclose(scaled.radii, scale * given.radii, rtol=1e-12)
    moved = correlation_dimension(x + 1000.0)
    np.testing.assert_allclose(moved.dimension, given.dimension, atol=0.05 * given.std_error)
    turned = correlation_dimension(x @ np.array([[0.6, 0.8], [-0.8, 0.6]]))
    np.testing.assert_allclose(turned.dimension, given.dimension, atol=0.05 * given.std_error)


@pytest.mark.slow
def test_a_slow_series_looks_like_a_curve_without_a_theiler_window(x64):
    """Six independent Gaussian processes of correlation time 40: neighbors in time are nearest, until left out."""
    kernel = np.exp(-0.5 * (np.arange(-120, 121) / 40) ** 2)
    noise = np.random.default_rng(0).normal(size=(3240, 6))
    x = np.stack([np.convolve(column, kernel, mode="valid") for column in noise.T], axis=1)
    without, window = (correlation_dimension(x, theiler=w) for w in (0, 200))
    assert without.dimension < 2  # a smooth curve has 1
    assert window.dimension > 4  # 6, less the edges of a Gaussian
    assert window.std_error > 2 * correlation_dimension(square(3000, dim=6)).std_error  # fewer independent points


def test_doubled_points(x64):
    """Each point twice: n pairs at distance 0 are added, and four times every other pair."""
    x = square(500)
    radii = np.geomspace(0.05, 0.5, 8)
    once = correlation_dimension(x, radii, fit_between=(0, 1))
    twice = correlation_dimension(np.concatenate([x, x]), radii, fit_between=(0, 1))
    n = 500
    pairs = once.correlation_sum * n * (n - 1) / 2
    expected = (4 * pairs + n) / (n * (2 * n - 1))
    np.testing.assert_allclose(twice.correlation_sum, expected, rtol=1e-13)
    # With a window of n every pair of doubles that is n apart goes too, and the sum is that of other pairs.
    assert np.isfinite(correlation_dimension(np.concatenate([x, x])).dimension)


@pytest.mark.slow
def test_sets_of_points_have_dimension_zero(x64):
    """Fixed points and periodic orbits, also where rounding parts the points."""
    rng = np.random.default_rng(0)
    for period in (1, 2, 7):
        x = np.resize(rng.random((period, 2)) + 1, (300, 2))
        for noise in (0.0, 1e-16):
            found = correlation_dimension(x * (1 + noise * rng.normal(size=x.shape)))
            assert found.dimension == 0 and found.std_error == 0 and found.status == Status.OK
            assert np.all(np.isnan(found.scaling_range)) and np.all(np.isfinite(found.radii))
    assert correlation_dimension(np.zeros((300, 2))).dimension == 0
    cycle = jaxdyn.trajectory(models.logistic(r=3.5).with_state([0.875]), n_steps=400)
    assert correlation_dimension(cycle.x[200:]).dimension == 0


def test_failures_are_reported(x64):
    x = square(200)
    x[17, 1] = np.nan
    found = correlation_dimension(x)
    assert found.status == Status.NON_FINITE and np.isnan(found.dimension) and np.isnan(found.std_error)
    escaped = jaxdyn.trajectory(models.henon(a=3.0), n_steps=200)
    assert correlation_dimension(escaped).status == Status.NON_FINITE
    none = correlation_dimension(square(200), np.array([3.0, 4.0, 5.0]))  # all pairs are nearer
    assert none.status == Status.NOT_CONVERGED and np.isnan(none.dimension)
    np.testing.assert_array_equal(none.correlation_sum, 1)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((np.ones(200),), {}, r"points must have shape \(n, dim\), got \(200,\); write x\[:, None\]"),
        ((np.ones((40, 2)),), {}, "40 points with theiler=0 make 780 pairs, at least 1000 are needed"),
        ((np.ones((100, 2)),), {"theiler": 99}, "make 0 pairs"),
        ((np.ones((100, 2)),), {"theiler": -1}, "theiler must be a whole number of at least 0, got -1"),
        ((np.ones((100, 2)), [1.0, 2.0]), {}, r"radii must have shape \(m,\) with m >= 3"),
        ((np.ones((100, 2)), [1.0, 3.0, 2.0]), {}, "radii must be positive and increasing"),
        ((np.ones((100, 2)), [0.0, 3.0, 4.0]), {}, "radii must be positive and increasing"),
        ((np.ones((100, 2)),), {"fit_between": (0.5, 0.1)}, "fit_between must be"),
        ((np.ones((100, 2)),), {"block": 0}, "block must be a whole number"),
    ],
)
def test_wrong_arguments_are_named(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        correlation_dimension(*arguments, **settings)


def test_few_points_have_large_errors(x64):
    found = correlation_dimension(square(60))
    assert found.status == Status.OK and found.std_error > 0.1
    assert abs(found.dimension - 2) < 3 * found.std_error + 0.3  # edges: the range reaches C = 0.1


@pytest.mark.slow
def test_jit_vmap_and_lanes_agree():
    samples = jnp.asarray(np.stack([square(200, seed) for seed in range(3)]), jnp.float32)

    def dimension(x):
        return correlation_dimension(x, np.geomspace(0.05, 0.5, 10), fit_between=(0, 1)).dimension

    expected = [float(dimension(x)) for x in samples]
    for mapped in (jax.vmap(dimension), jax.jit(jax.vmap(dimension)), jaxdyn.lanes(dimension)):
        np.testing.assert_allclose(mapped(samples), expected, rtol=1e-5)
    assert all(leaf.dtype in ("float32", "int8") for leaf in jax.tree.leaves(correlation_dimension(samples[0])))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_scales_whose_squares_are_no_numbers(scale):
    plain, scaled = (correlation_dimension(circle().astype(np.float32) * np.float32(s)) for s in (1.0, scale))
    # Points move by a rounding: of 4.5e6 pairs few change sides.
    np.testing.assert_allclose(scaled.dimension, plain.dimension, atol=1e-3)
    assert scaled.status == Status.OK


def test_more_pairs_than_32_bits_count():
    points = jax.ShapeDtypeStruct((100_000, 2), jnp.float32)
    assert jax.eval_shape(lambda x: correlation_dimension(x).dimension, points).shape == ()
