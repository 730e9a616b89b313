"""Cycles of two steps of the two-learner descent: closed forms beside Newton's method and long runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models import learner_cycles as cycles
from jaxdyn.models import learner_theory as theory
from jaxdyn.models.learners import two_learner_descent

pytestmark = pytest.mark.usefixtures("x64")

DOCUMENT = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}
UNEQUAL = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}  # h = 0.31: both flip together
HEAVY = {"tau": 0.9, "sigma_k": 0.3, "sigma_w": 1.1}  # h = 0.71: they flip against each other


def at_distance(params, share, beyond):
    """Rates on the ray (1 - share, share) of the reduced plane, past the boundary by this factor less 1."""
    gamma_k, gamma_w = (curve[round(200 * share)] for curve in theory.stability_boundary(params, 201))
    return {**params, "gamma_k": float(gamma_k) * (1 + beyond), "gamma_w": float(gamma_w) * (1 + beyond)}


@jax.jit
def refined(system, x):
    """Newton's method for a point of period 2."""
    twice = jaxdyn.nth_iterate(system, 2)

    def step(_, y):
        return y - jnp.linalg.solve(jaxdyn.jacobian(twice, y) - jnp.eye(2), twice.displacement(0, y))

    return jax.lax.fori_loop(0, 20, step, x)


def exact_cycle(params):
    """Both points of the cycle that Newton's method finds from the normal form."""
    system = two_learner_descent(**params)
    x = refined(system, cycles.flip_cycle(params)[0])
    np.testing.assert_allclose(system(0, system(0, x)), x, atol=1e-14)
    return system, np.array([x, system(0, x)])


# Shares of the second learner. HEAVY near equal rates is subcritical: r = -0.71 at 0.45, and (1 + |r|)^2 < 8 h |r|.
FLIPS = [
    (DOCUMENT, 0.3, 1),
    (DOCUMENT, 0.8, 1),
    (UNEQUAL, 0.2, 1),
    (UNEQUAL, 0.55, 1),
    (UNEQUAL, 0.9, 1),
    (HEAVY, 0.1, 1),
    (HEAVY, 0.45, -1),
]


@pytest.mark.parametrize(("params", "share", "sign"), FLIPS)
def test_cycle_grows_from_the_flip_as_its_normal_form_says(params, share, sign):
    """Supercritical: a stable cycle beyond the boundary; subcritical: an unstable one before it."""
    amplitude_errors, mean_errors = [], []
    for distance in (1e-3, 1e-4):
        here = at_distance(params, share, sign * distance)
        assert np.sign(cycles.flip_coefficient(here)) == sign
        system, found = exact_cycle(here)
        closed = np.asarray(cycles.flip_cycle(here))
        half, half_closed = (found[0] - found[1]) / 2, (closed[0] - closed[1]) / 2
        assert np.linalg.norm(half) > 0.5 * np.linalg.norm(half_closed)  # not the minimum
        amplitude_errors.append(np.linalg.norm(half - half_closed) / np.linalg.norm(half))
        mean_errors.append(np.linalg.norm(found.mean(axis=0) - closed.mean(axis=0)))
        multipliers = jaxdyn.eigenvalues(jaxdyn.nth_iterate(system, 2), found[0])
        assert (jaxdyn.spectral_radius(multipliers) < 1) == (sign > 0)
        # Normal form: the multiplier of the cycle along the flip is 1 - 4 beta + O(beta^2).
        beta = -float(theory.stability_margin(here))
        closest = multipliers.real[np.argmin(np.abs(multipliers - 1))]
        assert float(closest) == pytest.approx(1 - 4 * beta, abs=1e3 * beta**2)
    # Ten times closer, the relative error of the amplitude falls tenfold and that of the mean a hundredfold.
    assert amplitude_errors[0] / amplitude_errors[1] == pytest.approx(10, rel=0.1)
    assert mean_errors[0] / mean_errors[1] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("gamma_w", [0.2, 0.9, 1.7])
def test_amplitude_of_the_document_does_not_depend_on_the_second_rate(gamma_w):
    """Half-amplitude sqrt((gamma_k - 2)/2) of k; that of w is -gamma_w/(2 - gamma_w) times its cube, by hand."""
    closed = np.asarray(cycles.flip_cycle({**DOCUMENT, "gamma_k": 2.001, "gamma_w": gamma_w}))
    np.testing.assert_allclose((closed[0] - closed[1]) / 2, [np.sqrt(0.001 / 2.001), 0], atol=1e-15)
    _, found = exact_cycle({**DOCUMENT, "gamma_k": 2.0001, "gamma_w": gamma_w})
    half = (found[0] - found[1]) / 2
    # The next terms are relative ones of the order of 0.0001, of which a factor of 10 and 100 is left here.
    assert half[0] == pytest.approx(np.sqrt(0.0001 / 2), rel=1e-3)
    assert half[1] == pytest.approx(-gamma_w / (2 - gamma_w) * half[0] ** 3, rel=1e-2)


def test_coefficient_vanishes_at_equal_rates_beyond_one_half():
    """On the boundary every point of k w = 1 - h is then of period 2."""
    params = at_distance(HEAVY, 0.5, 0.0)
    assert abs(float(cycles.flip_coefficient(params))) < 1e-13
    h = float(theory.reduced_parameters(params).h)
    twice = jaxdyn.nth_iterate(two_learner_descent(**params), 2)
    k = np.linspace(0.5, 1.5, 5)
    for x in np.stack([k, (1 - h) / k], axis=-1):
        np.testing.assert_allclose(twice(0, x), x, atol=1e-14)


@pytest.mark.parametrize("params", [DOCUMENT, UNEQUAL, HEAVY])
def test_no_cycle_on_the_other_side(params):
    here = at_distance(params, 0.2, -1e-3)
    assert np.isnan(cycles.flip_cycle(here)).all()


@pytest.mark.parametrize("params", [DOCUMENT, UNEQUAL])
@pytest.mark.parametrize("a", [2.001, 2.1, 2.3])
def test_cycle_of_the_diagonal_is_exact(params, a):
    """a = 1 + A (1 - h); the cycle is stable along the diagonal up to a = sqrt(5), multiplier 9 - 2 a^2."""
    h = float(theory.reduced_parameters(params).h)
    A = (a - 1) / (1 - h)
    unit = theory.reduced_parameters({**params, "gamma_k": 1.0, "gamma_w": 1.0})
    here = {**params, "gamma_k": A / float(unit.A), "gamma_w": A / float(unit.B)}
    system, cycle = two_learner_descent(**here), np.asarray(cycles.diagonal_cycle(here))
    np.testing.assert_allclose(system(0, cycle[0]), cycle[1], atol=1e-14)
    np.testing.assert_allclose(system(0, cycle[1]), cycle[0], atol=1e-14)
    multipliers = jaxdyn.eigenvalues(jaxdyn.nth_iterate(system, 2), cycle[0]).real
    assert np.abs(multipliers - (9 - 2 * a**2)).min() < 1e-12
    if params is UNEQUAL and a == 2.001:  # h < 1/2: this is the cycle of the flip
        np.testing.assert_allclose(cycles.flip_cycle(here), cycle, atol=1e-4)
    assert np.isnan(cycles.diagonal_cycle({**here, "gamma_w": 1.01 * here["gamma_w"]})).all()


@pytest.mark.parametrize("params", [DOCUMENT, UNEQUAL, HEAVY])
def test_opposite_cycles_go_to_the_opposite_state_and_back(params):
    system = two_learner_descent(**params, gamma_k=0.3, gamma_w=0.4)
    points = np.asarray(cycles.opposite_cycles(system.params))
    for x in points:
        np.testing.assert_allclose(system(0, x), -x, rtol=1e-13)
    assert points[0, 0] * points[0, 1] > 1 > 0 > points[1, 0] * points[1, 1]
    found = jaxdyn.fixed_points(system, box=[(-6, 6), (-6, 6)], period=2, max_points=16)
    for x in (*points, *-points):
        assert np.abs(np.asarray(found.x[: int(found.n_found)]) - x).max(axis=1).min() < 1e-8


def test_opposite_cycles_end_where_they_meet_the_origin():
    """a b = 1 is where the origin has the multiplier -1; for the document at equal rates 2/gamma - 1/2 = 1."""
    params = {**DOCUMENT, "gamma_k": 4 / 3, "gamma_w": 4 / 3}
    assert float(theory.descent_multipliers(params, point="origin").min()) == pytest.approx(-1, abs=1e-14)
    before, after = ({**params, "gamma_k": 4 / 3 + s * 1e-3} for s in (-1, 1))
    assert np.abs(cycles.opposite_cycles(before)[1]).max() < 0.05
    assert np.isnan(cycles.opposite_cycles(before)).sum() == 0
    assert np.isnan(cycles.opposite_cycles(after)).tolist() == [[False, False], [True, True]]
