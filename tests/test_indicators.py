"""Indicators of chaos: closed forms, an independent computation, orbits known to be regular or chaotic."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_orbits import (
    CHAOTIC_KICKS,
    ENERGIES,
    ENERGY_EXPONENTS,
    KICK_EXPONENTS,
    REGULAR_KICKS,
    galaxy,
    kicked,
    orbits,
)

import jaxdyn
from jaxdyn import Status, chaos_indicators, models
from jaxdyn.analysis.matrices import generic_frame

# Closed forms

RATES = np.array([0.5, 0.2, -0.1, -0.7])
ROTATION = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]


def test_gali_of_constant_matrices_decays_by_the_differences_of_the_exponents(x64):
    """Between two late times the projections on the eigenvectors cancel, to e^-(smallest gap) each step."""
    expected = -100 * np.cumsum(RATES[0] - RATES[1:])
    system = models.linear_map(A=ROTATION @ np.diag(np.exp(RATES)) @ ROTATION.T, x0=np.ones(4))
    run = chaos_indicators(system, n_vectors=4, n_steps=400, running_every=100)
    # The gap of 0.3 has decayed to e^-30 at the first of these times; 400 sums of numbers of order 1 round.
    np.testing.assert_allclose(np.diff(run.running_log_gali, axis=0), [expected] * 3, rtol=0, atol=1e-11)
    assert run.status == Status.OK
    np.testing.assert_array_equal(run.running_log_gali[-1], run.log_gali)
    flow = models.linear_flow(A=ROTATION @ np.diag(RATES) @ ROTATION.T, x0=np.ones(4))
    run = chaos_indicators(flow, n_vectors=4, dt=0.1, n_steps=2000, running_every=1000)
    # RK4 is wrong by (rate dt)^5 / 120 a step, below 2e-8 for each of the differences.
    np.testing.assert_allclose(np.diff(run.running_log_gali, axis=0)[0], expected, rtol=0, atol=1000 * 3 * 2e-8)


def test_the_cat_map_decays_at_twice_its_exponent(x64):
    system = models.linear_map(A=[[2.0, 1.0], [1.0, 1.0]], x0=[0.0, 0.0])
    run = chaos_indicators(system, n_steps=1000, running_every=100)
    exponent = np.log((3 + np.sqrt(5)) / 2)
    # On to 1e-830, far below the smallest number of float64.
    np.testing.assert_allclose(np.diff(run.running_log_gali[:, 0]), -200 * exponent, rtol=0, atol=1e-11)
    assert run.log_sali < -1900 and run.status == Status.OK


def test_a_shear_gives_inverse_squares_logarithms_and_two(x64):
    """(x + p, p): the vectors are known at all times, w(n) = (a + n b, b)."""
    n = 5000
    frame = np.asarray(generic_frame(2, 2, jnp.float64))
    times = np.arange(n + 1)
    paths = [np.array([a + times * b, b + 0 * times]) for a, b in frame]
    lengths = [np.linalg.norm(path, axis=0) for path in paths]
    found = chaos_indicators(kicked(0.0, 1.0, 2.0), n_steps=n, running_every=1)
    np.testing.assert_allclose(found.running_fli, np.maximum.accumulate(np.log(lengths[0]))[1:], rtol=0, atol=1e-11)
    u, v = (path / length for path, length in zip(paths, lengths, strict=True))
    # The sine and the difference of unit vectors lose digits: eps over indices ~ n^-2.
    sine = np.abs(u[0] * v[1] - u[1] * v[0])
    np.testing.assert_allclose(np.exp(found.running_log_gali[:, 0]), sine[1:], rtol=0, atol=1e-14)
    sali = min(np.linalg.norm((u + v)[:, -1]), np.linalg.norm((u - v)[:, -1]))
    np.testing.assert_allclose(np.exp(found.log_sali), sali, rtol=0, atol=1e-14)
    values = 2 * np.cumsum(times[1:] * np.diff(np.log(lengths[0]))) / times[1:]
    means = np.cumsum(values) / times[1:]
    np.testing.assert_allclose(found.running_mean_megno, means, rtol=0, atol=1e-11)
    assert abs(values[-1] - 2) < 10 * np.log(n) / n  # the approach of the closed form, log(n) / n


def test_sali_is_the_smaller_diagonal_at_large_angles(x64):
    """After no more than a rotation the vectors are orthonormal still: GALI_2 = 1, SALI = sqrt(2)."""
    found = chaos_indicators(models.linear_map(A=[[0.0, -1.0], [1.0, 0.0]], x0=[1.0, 0.0]), n_steps=3)
    np.testing.assert_allclose([found.log_gali[0], found.log_sali], [0, np.log(2) / 2], atol=1e-7)  # eps^(1/2) at 90°


def test_megno_of_a_flow_is_its_integral_to_second_order(x64):
    """x'' = 0: the length of w = (a + b t, b) has Y = 2 (log l - mean of log l), by parts."""
    system = models.linear_flow(A=[[0.0, 1.0], [0.0, 0.0]], x0=[1.0, 1.0])
    a, b = np.asarray(generic_frame(2, 2, jnp.float64))[0]
    t = np.linspace(0, 20, 2_000_001)
    logs = np.log(np.hypot(a + b * t, b))
    integral = np.concatenate([[0], np.cumsum((logs[1:] + logs[:-1]) / 2 * np.diff(t))])
    mean = np.trapezoid(np.concatenate([[0], 2 * (logs[1:] - integral[1:] / t[1:])]), t) / 20
    coarse, fine = (
        abs(chaos_indicators(system, dt=dt, n_steps=round(20 / dt), n_vectors=1).mean_megno - mean)
        for dt in (0.04, 0.02)
    )
    assert fine < 1e-3
    np.testing.assert_allclose(coarse / fine, 4, rtol=0.05)


@pytest.mark.parametrize("dim", [4, 12])
def test_values_are_those_of_vectors_normalized_at_every_step(dim, x64):
    """Plain numpy with singular values, as the definition has it; 12 vectors take the branch of matrix products."""
    matrix = np.linalg.qr(np.random.default_rng(3).normal(size=(dim, dim)))[0] @ np.diag(np.linspace(1.2, 0.8, dim))
    vectors = np.asarray(generic_frame(dim, dim, jnp.float64))
    expected = []
    for _ in range(10):
        vectors = vectors @ matrix.T
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        volumes = [np.sum(np.log(np.linalg.svd(vectors[:k], compute_uv=False))) for k in range(2, dim + 1)]
        expected.append(volumes)
    system = models.linear_map(A=matrix, x0=np.ones(dim))
    run = chaos_indicators(system, n_vectors=dim, n_steps=10, running_every=1)
    np.testing.assert_allclose(run.running_log_gali, expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(run.running_time, np.arange(1, 11))


# Regular and chaotic orbits


def check_chaotic(found, duration, exponents):
    """SALI below 1e-8 by far (squared at least), FLI and mean MEGNO linear in time, as the known exponents have it."""
    assert np.all(found.status == Status.OK)
    assert np.all(found.log_sali < 2 * np.log(1e-8))
    # Finite orbits; at k = 1 sticky islands leave no better agreement than a factor of 2.
    for growth in (found.fli / duration, 2 * found.mean_megno / duration, found.exponent):
        assert np.all((growth > 0.5 * exponents) & (growth < 2 * exponents))


def check_regular(found, duration):
    """Lengths grow at most like the time, but for the shear; MEGNO tends to 2."""
    assert np.all(found.status == Status.OK)
    assert np.all(found.fli < np.log(duration) + 3)
    np.testing.assert_allclose(found.mean_megno, 2, rtol=0, atol=0.1)


def test_the_standard_map_is_parted_without_exception(x64):
    n = 10_000
    found = jax.jit(jax.vmap(functools.partial(chaos_indicators, n_steps=n)))(
        orbits(kicked, CHAOTIC_KICKS + REGULAR_KICKS)
    )
    n_chaotic = len(CHAOTIC_KICKS)
    check_chaotic(jax.tree.map(lambda leaf: leaf[:n_chaotic], found), n, np.array(KICK_EXPONENTS))
    regular = jax.tree.map(lambda leaf: leaf[n_chaotic:], found)
    check_regular(regular, n)
    # On an invariant curve SALI ~ n^-2 times a shear of at most order 1.
    assert np.all(regular.log_sali > np.log(0.1 / n**2))


def test_henon_and_heiles_are_parted_without_exception(x64):
    """Two degrees of freedom: on the torus GALI_2 is constant, GALI_3 ~ t^-2, GALI_4 ~ t^-4; in chaos all are tiny."""
    run = jax.jit(jax.vmap(functools.partial(chaos_indicators, dt=0.05, n_steps=60_000, n_vectors=4)))
    found = run(orbits(galaxy, [(energy,) for energy in ENERGIES]))
    check_chaotic(jax.tree.map(lambda leaf: leaf[:2], found), 3000, np.array(ENERGY_EXPONENTS[:2]))
    assert np.all(found.log_gali[:2] < 2 * np.log(1e-8))
    regular = jax.tree.map(lambda leaf: leaf[2], found)
    check_regular(regular, 3000)
    assert regular.log_sali > np.log(0.01)
    late = slice(len(regular.running_time) // 4, None)
    slopes = np.polyfit(np.log(regular.running_time[late]), regular.running_log_gali[late], 1)[0]
    # Oscillations of about 0.3 over a range of log t of 1.4, at 24 times.
    np.testing.assert_allclose(slopes, [0, -2, -4], rtol=0, atol=0.2)


def test_two_trajectories_part_them_as_well(x64):
    """The rate of a finite perturbation that is rescaled; on regular orbits it falls as log(t) / t."""
    measure = functools.partial(jaxdyn.perturbation_growth, n_steps=5_000, size=1e-8)
    found = jax.jit(jax.vmap(measure))(orbits(kicked, CHAOTIC_KICKS + REGULAR_KICKS))
    rates, n = np.asarray(found.rates[:, 0]), len(CHAOTIC_KICKS)
    assert np.all(found.status == Status.OK)
    assert np.all((rates[:n] > 0.5 * np.array(KICK_EXPONENTS)) & (rates[:n] < 2 * np.array(KICK_EXPONENTS)))
    assert np.all(np.abs(rates[n:]) < (np.log(5_000) + 3) / 5_000)


@pytest.mark.slow
def test_gali_of_chaos_agrees_with_the_spectrum_of_the_same_orbit(x64):
    """Same frame, same steps: the logarithm and the sum of differences of exponents differ by angles only."""
    settings = {"dt": 0.05, "n_steps": 20_000, "n_transient": 0}
    spectrum = jaxdyn.lyapunov_spectrum(galaxy(1 / 6), **settings)
    found = chaos_indicators(galaxy(1 / 6), n_vectors=4, **settings)
    gaps = np.cumsum(spectrum.exponents[0] - spectrum.exponents[1:])
    # Angles: a few e-foldings a vector. Zero exponents grow as log t (about 7) besides.
    assert np.all(np.abs(found.log_gali + 1000 * gaps) < 10 * np.arange(2, 5))
    assert np.all(found.log_gali < -100)


@pytest.mark.slow
def test_where_they_mislead_as_documented(x64):
    """An attracting node aligns vectors without chaos; MEGNO and the exponent tell. No twist: MEGNO goes to 0."""
    node = chaos_indicators(models.linear_map(A=[[0.9, 0.0], [0.0, 0.5]], x0=[1.0, 1.0]), n_steps=1000)
    assert node.log_sali < -500 and node.exponent < 0 and node.mean_megno < -10 and node.fli <= 1
    circle = chaos_indicators(models.henon_heiles(coupling=0.0), dt=0.05, n_steps=20_000)
    assert abs(circle.mean_megno) < 0.05 and circle.fli < 1
    equal = models.linear_map(A=np.diag([2.0, 2.0, 0.5]), x0=np.zeros(3))
    found = chaos_indicators(equal, n_vectors=3, n_steps=500, running_every=250)
    assert abs(np.diff(found.running_log_gali[:, 0])) < 1e-12 and found.log_gali[1] < -500
