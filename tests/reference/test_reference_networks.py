"""Lyapunov exponents of random networks against mean-field theory and against independent simulations.

A network of finite size is one draw: exponents scatter from network to network, and the values compared with are
sure to 1-3 % beside that scatter. The tolerances are made of the scatter over the reference's seeds.
"""

import jax
import numpy as np
import pytest
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


def entropy(exponents):
    """Pesin's formula: the sum of the positive exponents."""
    return np.sum(np.maximum(exponents, 0), axis=-1)


def check_extensive(spectra, gains, values, n):
    """Kaplan-Yorke dimension and entropy over the size: two seeds known, their distance taken as the scatter."""
    for i, g in enumerate(gains):
        got = {
            "dimension": float(spectra.kaplan_yorke_dimension[i]) / n,
            "entropy": float(entropy(np.asarray(spectra.exponents[i]))) / n,
        }
        for name, value in got.items():
            seeds = np.array(values[g][name])
            scatter = max(np.ptp(seeds) / np.sqrt(2), 0.03 * seeds.mean())
            assert abs(value - seeds.mean()) <= 3 * scatter * np.sqrt(1 + 1 / 2), (g, name, value, seeds)


def test_dimension_and_entropy_of_a_discrete_network():
    """The leading 56 of 200 exponents hold both; the last ones of a saturated network are lost to rounding."""
    gains = ("5", "10")
    spectra = spectra_over_gains(models.random_rnn_map(n=200), gains, n_steps=320, n_transient=96, n_exponents=56)
    check_extensive(spectra, gains, VALUES["spectrum_200"]["discrete"], 200)


def test_dimension_and_entropy_of_a_continuous_network():
    gains = ("5", "10")
    settings = {"dt": 0.1, "n_steps": 1_600, "n_transient": 800, "qr_every": 10, "n_exponents": 28}
    spectra = spectra_over_gains(models.random_rnn(n=200), gains, **settings)
    check_extensive(spectra, gains, VALUES["spectrum_200"]["continuous"], 200)
