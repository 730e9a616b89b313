"""Lyapunov exponents of random networks against mean-field theory and against independent simulations.

A network of finite size is one draw: exponents scatter from network to network, and the values compared with are
sure to 1-3 % beside that scatter. The tolerances are made of the scatter over the reference's seeds.
"""

from typing import Any

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from ensemble import load

import jaxdyn
from jaxdyn import models

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]

VALUES = load("random_networks")


def spectra_over_gains(system, gains, **settings):
    """Spectra at all gains of one network at once: one matrix product a step."""
    run = jax.jit(jax.vmap(lambda g: jaxdyn.lyapunov_spectrum(system.with_params(g=g), **settings)))
    return jaxdyn.raise_if_failed(run(np.array([float(g) for g in gains])))


def check_largest(spectra, gains, seeds_of, mean_field, error_each=0.0):
    for i, g in enumerate(gains):
        seeds = np.array(seeds_of[g])
        # Three seeds know their own scatter poorly: at least 1 % of the value, the lower end of 1-3 %.
        scatter = max(seeds.std(ddof=1), 0.01 * seeds.mean(), error_each)
        own, error = float(spectra.exponents[i, 0]), float(spectra.std_error[i, 0])
        # Our network's scatter, that of the mean over the seeds, and the time average's error.
        assert abs(own - seeds.mean()) <= 3 * np.sqrt(scatter**2 * (1 + 1 / len(seeds)) + error**2)
        # Size effects: the reference's networks of this size lie this much from the mean field.
        size_effect = abs(seeds.mean() - mean_field[g])
        assert abs(own - mean_field[g]) <= size_effect + 3 * np.hypot(scatter, error)


def test_largest_exponent_of_discrete_networks():
    gains = ("1.5", "2", "3", "5")
    system = models.random_rnn_map(n=2000)
    spectra = spectra_over_gains(system, gains, n_steps=640, n_transient=160, n_exponents=1)
    check_largest(spectra, gains, VALUES["discrete_2000"], VALUES["mean_field"]["discrete"])


def test_largest_exponent_of_continuous_networks():
    gains = ("2", "3", "5")
    values = VALUES["continuous_500"]
    spectra = spectra_over_gains(models.random_rnn(n=500), gains, dt=0.1, n_steps=2_400, n_transient=600, n_exponents=1)
    check_largest(spectra, gains, values, VALUES["mean_field"]["continuous"], values["sigma_each"])


def check_extensive(spectra, gains, values, n, least_error):
    """Kaplan-Yorke dimension and entropy over the size: mean over our networks against the mean of the two known.

    The scatter of networks is pooled from both, and counts with Student's t for 99 %; known values are sure to 1 % or
    worse beside it. Each value carries the error of its time average, which must be below the scatter of networks.
    """
    for i, g in enumerate(gains):
        at_g = [jax.tree.map(lambda leaf, i=i: leaf[i], result) for result in spectra]
        estimates = {
            "dimension": [jaxdyn.kaplan_yorke_estimate(r.exponents, covariance=r.covariance, dim=n) for r in at_g],
            "entropy": [jaxdyn.pesin_entropy(r.exponents, covariance=r.covariance) for r in at_g],
        }
        for name, found in estimates.items():
            own, errors = (np.array([getattr(e, part) / n for e in found]) for part in ("value", "std_error"))
            known = np.array(values[g][name])
            degrees = len(own) + len(known) - 2
            pooled = np.sqrt((np.var(own) * len(own) + np.var(known) * len(known)) / degrees)
            scatter = scipy.stats.t.ppf(0.995, degrees) * pooled * np.sqrt(1 / len(own) + 1 / len(known))
            allowed = np.hypot(scatter, 3 * 0.01 * known.mean())
            assert abs(own.mean() - known.mean()) <= allowed, (g, name, own, known, allowed)
            assert np.median(errors) <= least_error * own.mean(), (g, name, errors, own)


def test_dimension_and_entropy_of_discrete_networks():
    """The leading 56 of 200 exponents hold both; the last ones of a saturated network are lost to rounding."""
    gains = ("5", "10")
    settings: dict[str, Any] = {"n_steps": 320, "n_transient": 96, "n_exponents": 56}
    spectra = [spectra_over_gains(models.random_rnn_map(n=200, seed=seed), gains, **settings) for seed in range(5)]
    check_extensive(spectra, gains, VALUES["spectrum_200"]["discrete"], 200, 0.05)


def test_dimension_and_entropy_of_continuous_networks():
    gains = ("5", "10")
    settings: dict[str, Any] = {"dt": 0.1, "n_steps": 1_600, "n_transient": 800, "qr_every": 10, "n_exponents": 28}
    spectra = [spectra_over_gains(models.random_rnn(n=200, seed=seed), gains, **settings) for seed in range(5)]
    check_extensive(spectra, gains, VALUES["spectrum_200"]["continuous"], 200, 0.15)


def test_spectra_at_rest_below_the_onset():
    """Where the largest real part g Re mu - 1 is negative the network falls silent: exponents are those at rest.

    From rest on they are rates of a linear flow: logarithms of the moduli of RK4's polynomial at its eigenvalues.
    """
    system = models.random_rnn(n=60, seed=3, g=0.7)
    settings: dict[str, Any] = {"dt": 0.1, "n_transient": 6000, "qr_every": 20, "n_exponents": 6}
    found = jaxdyn.raise_if_failed(jaxdyn.lyapunov_spectrum(system, n_steps=20_000, **settings))
    assert np.abs(found.x).max() < 1e-30
    values = np.linalg.eigvals(0.7 * np.asarray(system.params["J"])) - 1
    z = 0.1 * values
    rates = np.sort(np.log(np.abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)) / 0.1)[::-1][:6]
    assert rates[0] < 0
    # A frame settles at the differences of rates; within a pair it turns, which leaves less than 2 over the time.
    np.testing.assert_allclose(found.exponents, rates, rtol=0, atol=2 / (20_000 * 0.1))
    discrete = models.random_rnn_map(n=60, seed=3, g=0.7)
    found = jaxdyn.lyapunov_spectrum(discrete, n_steps=2000, n_transient=1000, n_exponents=6)
    rates = np.sort(np.log(np.abs(values + 1)))[::-1][:6]
    np.testing.assert_allclose(found.exponents, rates, rtol=0, atol=2 / 2000)


def test_sum_of_all_exponents_with_self_coupling():
    """Averages of the divergence -n + g sum_i J_ii (1 - tanh^2 x_i) over the run itself, in chaos."""
    n, g, dt, n_transient, n_steps = 60, 4.0, 0.02, 2000, 4000
    system = models.random_rnn(n=n, seed=1, g=g)
    settings: dict[str, Any] = {"n_steps": n_steps, "n_transient": n_transient, "qr_every": 5}
    found = jaxdyn.raise_if_failed(jaxdyn.lyapunov_spectrum(system, dt=dt, **settings))
    run = jaxdyn.trajectory(system, dt=dt, n_steps=n_transient + n_steps).x[n_transient:]
    divergence = -n + g * (1 - np.tanh(np.asarray(run)) ** 2) @ np.diag(system.params["J"])
    average = scipy.integrate.simpson(divergence, dx=dt) / (n_steps * dt)
    assert found.exponents[0] > 0.05
    # Each of the n rates mu is off by |mu|^5 dt^4 / 120 at most, |mu| below g times the largest singular value of J.
    allowed = n * (1 + 2 * g) ** 5 * dt**4 / 120
    assert abs(np.sum(found.exponents) - average) <= allowed, (np.sum(found.exponents), average, allowed)
    assert abs(average + n) > 3 * allowed  # the diagonal matters
