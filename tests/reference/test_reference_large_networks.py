"""Random networks: their mean-field limit, large ones against it, and what is different in small ones."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from ensemble import load

import jaxdyn
from jaxdyn import models

pytestmark = pytest.mark.usefixtures("x64")

VALUES = load("large_networks")
DISCRETE = VALUES["mean_field"]["discrete_exponent"]

# Averages over a normal variable: the trapezoidal rule is exact to rounding while tanh(10 z) keeps 10 points a unit
# of its argument; beyond 13 the weight is below 1e-37.
Z = np.linspace(-13, 13, 2601)
WEIGHTS = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()
N_TRIALS = 32


def hermite_squares(variance, n_terms):
    """Squared coefficients of tanh(x), x normal, in the normalized Hermite polynomials of odd degree 1, 3, ..."""
    f = np.tanh(np.sqrt(variance) * Z) * np.sqrt(WEIGHTS)
    h, before, squares = np.sqrt(WEIGHTS), np.zeros_like(Z), []
    for k in range(2 * n_terms):
        squares.append(np.sum(f * h) ** 2)
        h, before = (Z * h - np.sqrt(k) * before) / np.sqrt(k + 1), h
    return np.array(squares[1::2])


def variance_of(g, n_terms):
    """Variance Delta0 at which a correlation that starts there at rest has just the energy to end at zero."""
    degree = 2 * np.arange(n_terms) + 1

    def energy(variance):
        return np.sum(hermite_squares(variance, n_terms) / (degree + 1)) - variance / (2 * g**2)

    return scipy.optimize.root_scalar(energy, bracket=(0.5 * (g - 1), g**2), xtol=1e-13).root


def mean_field(t, x, p):
    """Autocorrelation, Delta'' = Delta - g^2 C(Delta), and modes, psi'' = (-g^2 C'(Delta) + (1 + lambda)^2) psi.

    C(Delta) = <tanh tanh> is the series of squares times powers of Delta/Delta0. Time is the lag.
    """
    correlation, rate, psi, slope = x[0], x[1], *jnp.split(x[2:], 2)
    ratio = correlation / p["variance"]
    terms = p["squares"] * (ratio * ratio) ** p["order"]
    gain = p["g"] ** 2
    acceleration = correlation - gain * ratio * jnp.sum(terms)
    potential = -gain * jnp.sum((2 * p["order"] + 1) * terms) / p["variance"] + (1 + p["trial"]) ** 2
    return jnp.concatenate([jnp.stack([rate, acceleration]), slope, potential * psi])


@functools.partial(jax.jit, static_argnames="n_steps")
def end_of_lags(params, time, n_steps):
    modes = [jnp.ones(N_TRIALS), jnp.zeros(N_TRIALS)]
    start = jnp.concatenate([jnp.stack([params["variance"], jnp.zeros(())]), *modes])
    system = jaxdyn.flow(mean_field, params, start)
    return jaxdyn.final_state(system, n_steps=n_steps, dt=time / n_steps, method=jaxdyn.Tsit5()).x


def mean_field_exponent(g, n_terms, n_steps):
    """Largest exponent for infinite size, width of the interval it was found in, and variance.

    The exponent is the lambda of the even mode without zeros: one that joins the decaying solution at large lags.
    """
    variance = variance_of(g, n_terms)
    squares = hermite_squares(variance, n_terms)
    # The series of the variance of tanh must be complete to a tenth of the 1e-6 to be tested, after the factor g^2.
    assert g**2 * abs(squares.sum() - np.sum(WEIGHTS * np.tanh(np.sqrt(variance) * Z) ** 2)) < 1e-7
    decay2 = 1 - g**2 * squares[0] / variance
    # After 12 times the decay, what is left of Delta changes the potential by its square, 1e-10.
    params = {"variance": variance, "g": g, "squares": squares, "order": np.arange(float(n_terms))}
    low, high = 0.0, min((g - 1) ** 2 / 2, 1.0)
    for _ in range(5):
        trials = np.linspace(low, high, N_TRIALS)
        end = end_of_lags(params | {"trial": trials}, 12 / np.sqrt(decay2), n_steps)
        psi, slope = np.split(np.asarray(end)[2:], 2)
        above = slope + np.sqrt(decay2 - 1 + (1 + trials) ** 2) * psi > 0
        assert not above[0] and np.all(np.diff(above.astype(int)) >= 0) and above[-1]
        first = int(np.argmax(above))
        low, high = trials[first - 1], trials[first]
    return (low + high) / 2, high - low, variance


def half_a_digit(value):
    return 0.5 * 10.0 ** -len(str(value).partition(".")[2])


@pytest.mark.slow
@pytest.mark.parametrize("g", VALUES["mean_field"]["exponent"])
def test_mean_field_of_continuous_networks(g):
    values = VALUES["mean_field"]
    n_terms = 100 if float(g) <= 2 else 350 if float(g) <= 5 else 1400
    coarse, _, _ = mean_field_exponent(float(g), n_terms, 300)
    found, width, variance = mean_field_exponent(float(g), n_terms, 600)
    # Fifth order: half the step leaves a 32nd of the error.
    error = abs(found - coarse) / 31 + width
    assert error < values["grid_error"]
    known = values["exponent"][g]
    assert abs(found - known) <= error + values["grid_error"] + half_a_digit(known)
    if g in values["variance"]:
        known = values["variance"][g]
        assert abs(variance - known) <= values["grid_error"] * known + half_a_digit(known)


def test_exponent_grows_with_the_square_of_the_distance_to_the_onset():
    """(g - 1)^2/2 in the limit; at g = 1.1 the law is already a quarter off."""
    distance = np.array([0.0125, 0.025, 0.05, 0.1])
    ratio = np.array([2 * mean_field_exponent(1 + d, 40, 300)[0] / d**2 for d in distance])
    assert ratio[-1] < 0.75
    # Powers of the distance are removed one by one; the last change bounds what is left.
    estimates, last = ratio[::-1], []
    for power in range(1, 4):
        estimates = (2**power * estimates[1:] - estimates[:-1]) / (2**power - 1)
        last.append(estimates[-1])
    assert abs(last[-1] - 1) <= abs(last[-1] - last[-2]) < 0.01


@pytest.mark.parametrize("g", DISCRETE)
def test_mean_field_of_discrete_networks(g):
    """The variance is the fixed point of g^2 <tanh^2>, the exponent ln(g^2 <sech^4>)/2."""

    def variance(n, x, p):
        return p["g"] ** 2 * jnp.sum(WEIGHTS * jnp.tanh(jnp.sqrt(x) * Z) ** 2, keepdims=True)

    system = jaxdyn.iterated_map(variance, {"g": float(g)}, [1.0])
    end = jaxdyn.final_state(system, n_steps=400).x  # near the onset the distance falls as (1 - 2 (g - 1))^n
    assert float(jnp.abs(system.displacement(0, end)[0])) < 1e-13 * float(g) ** 2
    found = np.log(float(g) ** 2 * np.sum(WEIGHTS / np.cosh(np.sqrt(float(end[0])) * Z) ** 4)) / 2
    assert abs(found - DISCRETE[g]) <= half_a_digit(DISCRETE[g]) + 1e-12


@functools.partial(jax.jit, static_argnames="settings")
def run(systems, gains, settings):
    """Spectra of networks stacked over a leading axis, at all gains."""

    def one(system, g):
        return jaxdyn.lyapunov_spectrum(system.with_params(g=g), **dict(settings))

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(systems, gains)


def spectra(n, seeds, gains, **settings):
    """Spectra of the networks of these seeds, (seeds, gains, ...), all at once."""
    systems = [models.random_rnn(n=n, seed=seed) for seed in seeds]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *systems)
    return jaxdyn.raise_if_failed(run(stacked, np.array(gains), tuple(settings.items())))


def one_by_one(n, seeds, gains, **settings):
    """The same, one network after the other: for large ones, one matrix product a step serves all gains."""
    parts = [spectra(n, [seed], gains, **settings) for seed in seeds]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def assert_same_mean(own, known, stated=0.01):
    """Means of two samples of networks differ by no more than their scatter and three stated errors.

    The pooled scatter counts with Student's t for 99 %. Known values are sure to 1-3 % each: 1 % is the error taken.
    """
    own, known = np.asarray(own), np.asarray(known)
    degrees = len(own) + len(known) - 2
    pooled = np.sqrt((np.var(own) * len(own) + np.var(known) * len(known)) / degrees)
    scatter = scipy.stats.t.ppf(0.995, degrees) * pooled * np.sqrt(1 / len(own) + 1 / len(known))
    allowed = np.hypot(scatter, 3 * stated * known.mean())
    assert abs(own.mean() - known.mean()) <= allowed, f"{own} against {known}, allowed {allowed:.2g}"


# RK4 with dt = 0.2 errs by (0.2 |mu|)^4/120 of a rate mu: 0.1 % for |mu| = 3, the size of the most negative exponent.
STEP = 0.2


@functools.cache
def thousand():
    return one_by_one(1000, range(6), [1.5, 2.0, 3.0, 5.0], dt=STEP, n_steps=800, n_transient=480, n_exponents=1)


@pytest.mark.slow
def test_networks_of_1000():
    result = thousand()
    for i, g in enumerate(("2", "3", "5"), start=1):
        assert_same_mean(result.exponents[:, i, 0], VALUES["continuous_1000"][g])
        # Squares of the last states: networks scatter around the variance of the mean field.
        squares = np.mean(result.x[:, i] ** 2, axis=1)
        allowed = scipy.stats.t.ppf(0.995, len(squares) - 1) * np.std(squares, ddof=1) / np.sqrt(len(squares))
        assert abs(squares.mean() - VALUES["mean_field"]["variance"][g]) <= allowed


@pytest.mark.slow
def test_network_of_3000():
    gains = [2.0, 3.0, 5.0]
    result = spectra(3000, [0], gains, dt=0.25, n_steps=256, n_transient=256, n_exponents=1)
    for i, g in enumerate(("2", "3", "5")):
        value, error = VALUES["continuous_3000"][g]
        own, own_error = float(result.exponents[0, i, 0]), float(result.std_error[0, i, 0])
        assert abs(own - value) <= 3 * np.hypot(error, own_error), (g, own, own_error)


SMALL: dict[str, Any] = {"dt": STEP, "n_steps": 2048, "n_transient": 1024, "n_exponents": 1, "qr_every": 4}


def chaotic(result):
    """Clearly positive. On a cycle vectors grow by a bounded factor: 0.01 is a factor of 60 over a time of 400."""
    exponents, errors = np.asarray(result.exponents)[..., 0], np.asarray(result.std_error)[..., 0]
    return (exponents > 0.01) & (exponents > 3 * errors)


def chance(first, second):
    """Probability that two counts (so many, of so many) differ so much or more: Fisher's exact test."""
    result: Any = scipy.stats.fisher_exact([[k, n - k] for k, n in (first, second)])
    return result.pvalue


@pytest.mark.slow
def test_small_networks_are_less_chaotic():
    """Numbers of chaotic networks agree with the few known ones; number 84 of size 100 is regular even at g = 10."""
    hundred = chaotic(spectra(100, [*range(16), 84], [1.5, 2.0, 10.0], **SMALL))
    assert not hundred[-1, -1]
    two_hundred = chaotic(spectra(200, range(16), [1.5], **SMALL))
    own = {(100, g): column for g, column in zip((1.5, 2.0, 10.0), hundred[:-1].T, strict=True)}
    own |= {(200, 1.5): two_hundred[:, 0], (1000, 1.5): chaotic(thousand())[:, 0]}
    for row in VALUES["chaotic_counts"]:
        counted = own[row["n"], row["g"]]
        assert chance((counted.sum(), len(counted)), (row["chaotic"], row["of"])) > 0.01, row
    # The size matters: what is rare at 100 and 200 is common at 1000.
    few = np.concatenate([own[100, 1.5], own[200, 1.5]])
    many = own[1000, 1.5]
    assert many.mean() > few.mean()
    assert chance((few.sum(), len(few)), (many.sum(), len(many))) < 0.01


@pytest.mark.slow
def test_dimension_and_entropy_at_gain_three():
    """Networks of 200; the leading 20 exponents hold both."""
    settings = {"dt": STEP, "n_steps": 640, "n_transient": 320, "qr_every": 5, "n_exponents": 20}
    result = one_by_one(200, range(8), [3.0], **settings)
    values = VALUES["spectrum_200"]
    assert_same_mean(result.kaplan_yorke_dimension[:, 0] / 200, values["dimension"])
    assert_same_mean(np.maximum(result.exponents[:, 0], 0).sum(axis=1) / 200, values["entropy"])


@pytest.mark.slow
@pytest.mark.parametrize(("g", "seed"), [(3.0, 0), (10.0, 1)])
def test_spectrum_is_nearly_symmetric_about_its_mean(g, seed):
    result = spectra(200, [seed], [g], dt=STEP, n_steps=640, n_transient=320, qr_every=10)
    exponents = np.asarray(result.exponents)[0, 0]
    # Growth within each of the 32 batches, exponents in the order of the result.
    batches = np.diff(np.asarray(result.running)[0, 0] * np.arange(1, 33)[:, None], axis=0, prepend=0)

    def asymmetry(values):
        return (values + values[..., ::-1]) / 2 - values.mean(axis=-1, keepdims=True)

    rms = np.sqrt(np.mean(asymmetry(exponents) ** 2))
    # Errors of the time average move an rms by at most their own rms (triangle inequality).
    noise = np.sqrt(np.mean(np.var(asymmetry(batches), axis=0, ddof=1)) / 32)
    low, high = VALUES["spectrum_200"]["symmetry"]
    assert low - 0.0005 - noise <= rms <= high + 0.0005 + noise, (rms, noise)


def test_sum_is_minus_the_size_without_self_coupling():
    """The divergence is -n everywhere; what is left falls with the fourth power of the step."""
    n = 24
    J = np.array(models.random_rnn(n=n, seed=2).params["J"])
    np.fill_diagonal(J, 0)
    system = models.random_rnn(n=n, J=J, g=6.0)  # ends on a cycle
    steps = np.array([0.1, 0.05])
    run = jax.jit(jax.vmap(lambda dt: jaxdyn.lyapunov_spectrum(system, dt=dt, n_steps=800, n_transient=800)))
    left = np.abs(np.asarray(run(steps).exponents).sum(axis=1) + n)
    # Each of the n rates mu is off by |mu|^5 dt^4 / 120 at most; no exponent exceeds 3.
    assert np.all(left <= n * 3**5 * steps**4 / 120)
    assert left[1] <= left[0] / 8  # 16, up to the different part of the cycle that the shorter run averages


@pytest.mark.slow
def test_spectral_radius_at_100():
    """Largest modulus of the eigenvalues of J: 1.052 on average."""
    draws, values = 64, VALUES["circular_law_100"]
    radius = np.array(
        [np.abs(np.linalg.eigvals(models.random_rnn(n=100, seed=seed).params["J"])).max() for seed in range(draws)]
    )
    error = radius.std(ddof=1) * np.sqrt(1 / draws + 1 / values["n_draws"])
    assert abs(radius.mean() - values["radius"]) <= 3 * error + 0.0005
