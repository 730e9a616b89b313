"""Lyapunov spectra of the library's systems against values computed independently or published.

Each test averages over many lanes and compares in units of the standard error; a mean may lie three of them
away. The files in `reference` hold the values, their errors and where they come from.
"""

import dataclasses

import jax
import numpy as np
import pytest
from reference.ensemble import assert_agrees, dimension_error, ensemble, load, scattered_starts, standard_error

import jaxdyn
from jaxdyn import models

EPS = np.finfo(np.float64).eps

pytestmark = pytest.mark.usefixtures("x64")

FLOWS = {entry["name"]: entry for entry in load("lyapunov_flows")["systems"]}
MAPS = {entry["name"]: entry for entry in load("lyapunov_maps")["systems"]}

# Step; number of steps averaged and before; steps between the starts of neighboring lanes. The bias of the step is
# measured by the sum of the exponents and must stay below the reference's tolerance.
AUTONOMOUS = {
    "Lorenz": (0.01, 40_000, 2_000, 97),
    "Lorenz, Wolf": (0.005, 40_000, 2_000, 97),
    "Rossler": (0.02, 40_000, 10_000, 97),
    "Rossler, Wolf": (0.01, 40_000, 20_000, 97),
}
# Steps a period of the drive; periods averaged and before. Whole periods, as all lanes share the drive's phase.
DRIVEN = {
    "Ueda": (120, 400, 40),
    "Duffing, two wells": (100, 400, 40),
    "driven van der Pol": (160, 400, 40),
    "forced Brusselator": (48, 800, 300),
}


def system_of(entry):
    system = getattr(models, entry["model"])(**entry["parameters"])
    if "drive" in entry:
        amplitude, frequency = entry["drive"]["amplitude"], entry["drive"]["frequency"]
        system = jaxdyn.driven(system, lambda t: amplitude * jax.numpy.sin(frequency * t), onto=entry["drive"]["state"])
    return system


def check_flow(entry, got):
    assert got.bias < max(entry["tolerance"])
    expected = {"tolerance": entry["tolerance"], "bias": got.bias}
    assert_agrees(got.exponents, got.error, entry["exponents"], entry["sigma"], **expected)
    if entry.get("exact_sum") is not None:  # a constant divergence: only the step's error is left
        assert abs(got.exponents.sum() - entry["exact_sum"]) <= got.bias + 1e-9


def check_dimension(entry, got):
    dimension = np.asarray(got.lanes.kaplan_yorke_dimension)
    # The reference is rounded to its last digit; its error follows from those of its exponents.
    sigma = dimension_error(entry["exponents"], entry["sigma"])
    assert_agrees(dimension.mean(), standard_error(dimension), entry["kaplan_yorke"], sigma + 1e-5, bias=got.bias)


@pytest.mark.slow
@pytest.mark.parametrize("name", AUTONOMOUS)
def test_spectra_of_autonomous_flows(name):
    entry = FLOWS[name]
    dt, n_steps, n_transient, every = AUTONOMOUS[name]
    system = system_of(entry)
    starts = scattered_starts(system, every=every, dt=dt)
    got = ensemble(system, starts, dt=dt, n_steps=n_steps, n_transient=n_transient, checks=True)
    check_flow(entry, got)
    if "kaplan_yorke" in entry:
        check_dimension(entry, got)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVEN)
def test_spectra_of_driven_flows(name):
    """The exponent 0 of the phase is not part of the spectrum of a non-autonomous flow."""
    entry = FLOWS[name]
    per_period, periods, before = DRIVEN[name]
    frequency = entry["drive"]["frequency"] if "drive" in entry else entry["parameters"]["omega"]
    dt = 2 * np.pi / frequency / per_period
    system = system_of(entry)
    starts = scattered_starts(system, every=per_period, dt=dt)
    counts = {"n_steps": periods * per_period, "n_transient": before * per_period}
    check_flow(entry, ensemble(system, starts, dt=dt, checks=True, **counts))


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_spectra_of_maps(name):
    """Maps have no step: the only error is statistical, and the sum is log|det J| to rounding."""
    entry = MAPS[name]
    # At k = 1 orbits leave the neighborhood of the start slowly and then stick to islands for long.
    n_lanes, n_steps, n_transient = (64, 300_000, 300_000) if name == "standard map, k = 1" else (128, 40_000, 1_000)
    system = system_of(entry)
    random = np.random.default_rng(0)
    starts = np.array(entry["x0"]) + 1e-3 * random.standard_normal((n_lanes, system.dim))
    got = ensemble(system, starts, n_steps=n_steps, n_transient=n_transient)
    if entry["log_det"] is not None:
        # A step's error is a few roundings of numbers of order 1 (the logarithm of R and its two factors).
        np.testing.assert_allclose(np.sum(got.lanes.exponents, axis=1), entry["log_det"], rtol=0, atol=20 * EPS)
    # An orbit of finite length: on the 2-cycle it is the rounding, at r = 4 log|cos| of the end points over n_steps.
    sigma = entry["sigma"] if entry["sigma"] != [0.0] else [1e-9]
    assert_agrees(got.exponents, got.error, entry["exponents"], sigma)
    if "kaplan_yorke" in entry:
        check_dimension(entry, got)


@pytest.mark.slow
def test_spectrum_of_five_lorenz96_sites():
    entry = FLOWS["Lorenz-96, 5 sites"]
    system = models.lorenz96(n=5, **entry["parameters"])
    starts = scattered_starts(system, every=97, dt=0.02, n_lanes=32)
    got = ensemble(system, starts, dt=0.02, n_steps=20_000, n_transient=1_000, qr_every=5, checks=True)
    check_flow(entry, got)
    check_dimension(entry, got)


@pytest.mark.slow
def test_spectrum_of_forty_lorenz96_sites():
    """All 40 exponents, their sum -40, 13 positive ones and the dimension."""
    entry = load("lyapunov_lorenz96")
    system = models.lorenz96(n=entry["sites"], F=entry["F"])
    starts = scattered_starts(system, every=97, dt=0.05, n_lanes=20)
    # Exponents that differ by 0.1 need a transient of several times 10 to turn the frame into their directions.
    got = ensemble(system, starts, dt=0.05, n_steps=2_400, n_transient=1_600, qr_every=8)
    # The divergence is -40 everywhere: the sum shows what the step does, to rounding.
    bias = abs(got.exponents.sum() - entry["exact_sum"])
    assert bias < 0.01  # over 40 exponents
    np.testing.assert_allclose(np.sum(got.lanes.exponents, axis=1), -40, rtol=0, atol=2 * bias)
    # Student's t with 19 degrees of freedom: 40 values, all within 4.5 with a probability of 99 %.
    z = (got.exponents - entry["exponents"]) / np.hypot(got.error, 1.4 * np.array(entry["sigma"]))
    assert np.abs(z).max() < 4.5
    assert np.sum(got.exponents > 3 * got.error) == entry["n_positive"]
    check_dimension(entry, dataclasses.replace(got, bias=bias))


@pytest.mark.slow
def test_cycle_exponents_of_fitzhugh_nagumo():
    """The average over whole periods of the known length is exact up to the step, which enters in its fourth power."""
    entry = load("fitzhugh_nagumo_cycle")
    current, period = np.array(entry["current"]), np.array(entry["period"])

    def spectra(n_per_period):
        @jax.jit
        @jax.vmap
        def run(current, dt):
            # Starts outside the unstable cycle that surrounds the stable rest state near I = 0.33.
            system = models.fitzhugh_nagumo(x0=[2.0, 0.0]).with_params(I=current)
            return jaxdyn.lyapunov_spectrum(system, dt=dt, n_steps=2 * n_per_period, n_transient=4 * n_per_period)

        return np.asarray(jaxdyn.raise_if_failed(run(current, period / n_per_period)).exponents)

    coarse, fine = spectra(1000), spectra(2000)
    step_error = np.abs(fine - coarse)  # 15 times the error of `fine` for a method of order 4
    assert step_error.max() < 1e-6
    assert np.all(np.abs(fine[:, 0]) <= step_error[:, 0] / 5 + 1e-8)
    assert np.all(np.abs(fine[:, 1] - entry["second_exponent"]) <= step_error[:, 1] / 5 + 1e-8)


@pytest.mark.slow
def test_stable_focus_of_lorenz():
    """Two equal exponents, which methods with two trajectories miss; from the focus itself and from beside it."""
    exponent = load("fixed_points")["lorenz63"]["focus_exponent"]
    system = models.lorenz63(rho=20.0)
    c = np.sqrt(8 / 3 * 19)
    focus = np.array([c, c, 19.0])
    values, vectors = np.linalg.eig(np.asarray(jaxdyn.jacobian(system, focus)))
    expected = np.sort(values.real)[::-1]
    np.testing.assert_allclose(expected[:2], exponent, atol=5e-7)  # the digits given
    time = 200.0
    # The growth of a vector stays within the condition number of the eigenvectors of exp(lambda t).
    bound = 2 * np.log(np.linalg.cond(vectors)) / time
    assert bound < 0.02
    spectra = ensemble(system, np.stack([focus, focus + 0.1]), dt=0.01, n_steps=20_000, n_transient=10_000).lanes
    np.testing.assert_allclose(spectra.exponents, [expected, expected], rtol=0, atol=bound)
