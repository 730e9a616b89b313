"""The 0-1 test for chaos: the formulas of its paper, known orbits, sampling, special series, single precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_orbits import CHAOTIC_KICKS, ENERGIES, REGULAR_KICKS, galaxy, kicked, orbits

import jaxdyn
from jaxdyn import Status, models, zero_one_test


def series(system, n=3000, skip=500, **settings):
    run = jaxdyn.trajectory(system, n_steps=(n + skip) * settings.pop("every", 1), **settings)
    return np.asarray(run.x)[-n:, 0]


def plain_zero_one(phi, c, n_lags):
    """The formulas of Gottwald and Melbourne, with the oscillating term, in plain numpy."""
    n = len(phi)
    j = np.arange(1, n + 1)
    p, q = np.cumsum(phi * np.cos(j * c)), np.cumsum(phi * np.sin(j * c))
    lags = np.arange(1, n_lags + 1)
    m = n - n_lags
    square = np.array([np.mean((p[k : k + m] - p[:m]) ** 2 + (q[k : k + m] - q[:m]) ** 2) for k in lags])
    return np.corrcoef(lags, square - np.mean(phi) ** 2 * (1 - np.cos(lags * c)) / (1 - np.cos(c)))[0, 1]


@pytest.mark.parametrize("r", [3.55, 3.97])
def test_correlations_are_those_of_the_paper(r, x64):
    phi = series(models.logistic(r=r), 2000)
    found = zero_one_test(phi)
    expected = np.array([plain_zero_one(phi, c, 200) for c in np.asarray(found.frequencies)])
    # The mean enters the two at different places: they agree up to what the window of n / 10 leaves, 1 %.
    np.testing.assert_allclose(np.median(found.correlations), np.median(expected), atol=0.02)
    centered = np.array([plain_zero_one(phi - phi.mean(), c, 200) for c in np.asarray(found.frequencies)])
    np.testing.assert_allclose(found.correlations, centered, rtol=0, atol=1e-5)  # c is rounded by 1e-9, times n
    assert np.all((found.frequencies > np.pi / 5) & (found.frequencies < 4 * np.pi / 5))
    assert len(np.unique(found.frequencies)) == 100


def test_the_zero_one_test_parts_orbits(x64):
    cases = [(3.2, False), (3.5, False), (3.55, False), (3.7, True), (3.9, True), (4.0, True)]
    runs = np.stack([series(models.logistic(r=r)) for r, _ in cases])
    for (r, chaotic), k in zip(cases, jax.vmap(zero_one_test)(runs).k, strict=True):
        assert k > 0.9 if chaotic else abs(k) < 0.1, (r, k)


def test_the_standard_map_is_parted_without_exception(x64):
    states = jax.vmap(lambda s: jaxdyn.trajectory(s, n_steps=3000).x)(orbits(kicked, CHAOTIC_KICKS + REGULAR_KICKS))
    k = np.asarray(jax.vmap(zero_one_test)(jnp.sin(states[..., 0])).k)
    n = len(CHAOTIC_KICKS)
    assert np.all(k[:n] > 0.9) and np.all(np.abs(k[n:]) < 0.1), k


def test_henon_and_heiles_are_parted_without_exception(x64):
    """Observed every 4 time units, somewhat less than a turn."""
    observe = functools.partial(jaxdyn.trajectory, dt=0.05, n_steps=80 * 5000, save=jaxdyn.Every(80))
    states = jaxdyn.lanes(lambda s: observe(s).x)(orbits(galaxy, [(energy,) for energy in ENERGIES]))
    k = np.asarray(jax.vmap(zero_one_test)(states[..., 1]).k)
    assert np.all(k[:2] > 0.9) and abs(k[2]) < 0.1, k


def test_an_oversampled_flow_looks_regular(x64):
    settings = {"dt": 0.01, "n": 3000}
    dense = zero_one_test(series(models.lorenz63(), **settings))
    sparse = zero_one_test(series(models.lorenz63(), every=50, save=jaxdyn.Every(50), **settings))
    assert dense.k < 0.2 and dense.oversampling > 30
    assert sparse.k > 0.8 and sparse.oversampling < 10


def test_the_zero_one_test_of_special_series(x64):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=2000)
    assert zero_one_test(noise).k > 0.95
    for constant in (0.0, 0.7, 1e300):
        flat = zero_one_test(np.full(500, constant) * (1 + 1e-16 * rng.normal(size=500)))
        assert flat.k == 0 and flat.status == Status.OK
    chaotic = series(models.logistic(r=3.97), 1000)
    for scale, shift in ((1e-150, 0.0), (1e150, 0.0), (1.0, 1e6)):
        np.testing.assert_allclose(zero_one_test(scale * chaotic + shift).k, zero_one_test(chaotic).k, atol=1e-6)
    assert zero_one_test(np.where(np.arange(500) == 7, np.nan, noise[:500])).status == Status.NON_FINITE


@pytest.mark.slow
def test_the_zero_one_test_in_float32_and_lanes():
    """Phases are exact in float32; sums of 10^4 terms round to 1e-4 of the displacement."""
    with jax.enable_x64(True):
        phi = series(models.logistic(r=3.9), 5000)
        precise = zero_one_test(phi)
    rough = zero_one_test(phi.astype(np.float32), frequencies=np.asarray(precise.frequencies, np.float32))
    assert rough.k.dtype == np.float32
    # Frequencies are rounded to float32 (6e-8, times n), which shifts phases by 3e-4.
    np.testing.assert_allclose(rough.correlations, precise.correlations, rtol=0, atol=1e-2)
    pair = jnp.asarray(np.stack([phi[:500], phi[500:1000]]), jnp.float32)
    both = jax.vmap(zero_one_test)(pair)
    np.testing.assert_allclose(both.k, [zero_one_test(row).k for row in pair], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((200, 2)),), r"series must have shape \(n,\) with n >= 100, got \(200, 2\)"),
        ((np.ones(50),), r"got \(50,\)"),
    ],
)
def test_wrong_series_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zero_one_test(*arguments)
    with pytest.raises(ValueError, match="n_lags must be at most half of the 200 observations, got 150"):
        zero_one_test(np.ones(200), n_lags=150)
    with pytest.raises(ValueError, match=r"frequencies must have shape \(m,\)"):
        zero_one_test(np.ones(200), frequencies=1.0)


CHAOTIC = jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.float32)


def test_frequencies_must_be_numbers():
    with pytest.raises(ValueError, match="must be finite"):
        zero_one_test(CHAOTIC, frequencies=[np.nan])
    found = jax.jit(lambda c: zero_one_test(CHAOTIC, frequencies=c))(jnp.array([1.0, jnp.inf]))
    assert np.isnan(found.correlations[1]) and found.status == Status.NON_FINITE


@pytest.mark.parametrize("scale", [1e37, 1e-36])
def test_observations_of_any_size(scale):
    """Powers of ten cost a rounding each; the sums of the squares would not be finite."""
    plain, scaled = (zero_one_test(CHAOTIC * np.float32(s)) for s in (1.0, scale))
    np.testing.assert_allclose(scaled.k, plain.k, atol=1e-3)
    np.testing.assert_allclose(scaled.oversampling, plain.oversampling, rtol=1e-4)
    assert scaled.status == Status.OK


def test_an_infinite_observation_leaves_no_number():
    found = zero_one_test(CHAOTIC.at[3].set(jnp.inf))
    assert np.isnan(found.k) and np.isnan(found.oversampling) and found.status == Status.NON_FINITE
