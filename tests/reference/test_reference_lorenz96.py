"""Lorenz-96 with 36 and 40 sites: largest exponent, number of positive ones, entropy and dimension."""

import numpy as np
import pytest
from ensemble import ensemble, load, scattered_starts, standard_error

from jaxdyn import models

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]

STEP = 0.05
N_STEPS = 2_400
VALUES = load("lorenz96_sites")


def run(entry, n_lanes, n_exponents):
    """Lanes of one size. Directions whose exponents differ by 0.1 turn into place over several times 10."""
    system = models.lorenz96(n=entry["sites"], F=entry["F"])
    starts = scattered_starts(system, every=97, dt=STEP, n_lanes=n_lanes)
    settings = {"dt": STEP, "n_steps": N_STEPS, "n_transient": 1_600, "qr_every": 8}
    return ensemble(system, starts, n_exponents=n_exponents, **settings)


def assert_within(values, known, entry, digit):
    """Mean over the lanes within three errors of the difference, and half of the last digit given.

    The reference is an average over its total time of the same quantity, whose fluctuations the lanes show.
    """
    values = np.asarray(values)
    own = standard_error(values)
    theirs = own * np.sqrt(len(values) * N_STEPS * STEP / entry["total_time"])
    distance = abs(values.mean() - known)
    assert distance <= 3 * np.hypot(own, theirs) + digit / 2, f"{values.mean()} +- {own} against {known} +- {theirs}"


def entropies(got):
    return np.maximum(np.asarray(got.lanes.exponents), 0).sum(axis=1)


def test_36_sites():
    entry = VALUES["36"]
    got = run(entry, n_lanes=24, n_exponents=27)
    exponents = np.asarray(got.lanes.exponents)
    largest, error = entry["largest"]
    assert abs(got.exponents[0] - largest) <= 3 * np.hypot(got.error[0], error)
    positive = entry["n_positive"]
    assert np.all(got.exponents[:positive] > 3 * got.error[:positive])
    zero, error = entry["near_zero"]
    assert abs(got.exponents[positive] - zero) <= 3 * np.hypot(got.error[positive], error)
    assert got.exponents[positive + 1] < 0
    assert_within(exponents[:, 0], largest, entry, 0.01)
    assert_within(entropies(got), entry["entropy"], entry, 0.01)
    assert_within(got.lanes.kaplan_yorke_dimension, entry["kaplan_yorke"], entry, 0.01)


def test_entropy_of_40_sites():
    entry = VALUES["40"]
    got = run(entry, n_lanes=12, n_exponents=15)
    assert_within(entropies(got), entry["entropy"], entry, 0.01)
    largest, error = entry["largest"]
    assert abs(got.exponents[0] - largest) <= 3 * np.hypot(got.error[0], error)
