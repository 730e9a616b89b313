"""Closed forms of the two-learner game beside what the analyses of the package find numerically."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models import learner_theory as theory
from jaxdyn.models.learners import (
    multiplicative_map,
    two_learner_descent,
    two_learner_error,
    two_learner_flow,
    vector_learner_descent,
    vector_learner_flow,
)

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-13  # a few hundred roundings of numbers of order one
DOCUMENT = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}
QUARTER = {"tau": 1.0, "sigma_k": 0.25, "sigma_w": 0.25}
UNEQUAL = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}
HEAVY = {"tau": 0.9, "sigma_k": 0.3, "sigma_w": 1.1}  # h = 0.71
SETS = [DOCUMENT, QUARTER, UNEQUAL, HEAVY]
LONELY = {"tau": 0.8, "sigma_k": 0.5, "sigma_w": 1.2}  # sqrt(0.6) > 0.64: no minima
RATES = {"gamma_k": 0.3, "gamma_w": 0.4}


def random_games(count, seed):
    """Parameters of games with minima, h < 0.98, as arrays."""
    names = ("sigma_k", "sigma_w", "tau", "gamma_k", "gamma_w")
    values = np.random.default_rng(seed).uniform([0.05, 0.05, 0.5, 0.05, 0.05], [2, 2, 2, 3, 3], (count, 5))
    values = values[np.sqrt(values[:, 0] * values[:, 1]) < 0.98 * values[:, 2] ** 2]
    return {name: jnp.asarray(column) for name, column in zip(names, values.T, strict=True)}


@functools.partial(jax.jit, static_argnames="flow")
def eigenvalues_at_minima(games, points, flow=False):
    def one(game, point):
        model = two_learner_flow(**{k: game[k] for k in DOCUMENT}) if flow else two_learner_descent(**game)
        return jaxdyn.eigenvalues(model, point)

    return jax.vmap(one)(games, points)


@pytest.mark.parametrize("params", [*SETS, LONELY])
@pytest.mark.parametrize("rates", [None, RATES])
def test_fixed_points_are_the_stationary_points(params, rates):
    system = two_learner_flow(**params) if rates is None else two_learner_descent(**params, **rates)
    found = jaxdyn.fixed_points(system)
    expected = np.asarray(theory.stationary_points(system.params))
    expected = expected[np.isfinite(expected).all(axis=1)]
    expected = expected[np.argsort(expected[:, 0])]
    assert int(found.n_found) == len(expected) == (1 if params is LONELY else 3)
    # The search ends at a residual of 1e-12 of the field in the box, about 10; over the slowest rate 0.1: 1e-10.
    np.testing.assert_allclose(found.x[: len(expected)], expected, atol=1e-10)
    for i, x in enumerate(expected):
        where = "minimum" if np.any(x) else "origin"
        closed = theory.flow_eigenvalues if rates is None else theory.descent_multipliers
        np.testing.assert_allclose(found.eigenvalues[i].imag, 0, atol=1e-9)
        np.testing.assert_allclose(
            np.sort(found.eigenvalues[i].real), np.sort(closed(system.params, point=where)), atol=1e-9
        )


def test_minima_have_a_vanishing_gradient_in_random_games():
    games = random_games(500, 0)
    points = theory.stationary_points(games)
    assert points.shape == (len(games["tau"]), 3, 2)
    gradients = jax.vmap(lambda x, game: jax.vmap(lambda y: jax.grad(two_learner_error)(y, game))(x))(points, games)
    np.testing.assert_allclose(gradients, 0, atol=ROUNDING)


def test_eigenvalues_in_random_games():
    """Flow and descent against `jaxdyn.eigenvalues`, in its order; 2 x 2 closed forms on both sides."""
    games = random_games(2000, 1)
    points = theory.stationary_points(games)[:, 1]
    flow, descent = eigenvalues_at_minima(games, points, flow=True), eigenvalues_at_minima(games, points)
    for found, closed in ((flow, theory.flow_eigenvalues(games)), (descent, theory.descent_multipliers(games))):
        np.testing.assert_allclose(found.imag, 0, atol=1e-12)
        size = np.abs(found).max(axis=1, keepdims=True)
        # Near a double eigenvalue the square root makes 1e-8 of a rounding of 1e-16.
        np.testing.assert_allclose(np.sort(found.real) / size, np.sort(closed) / size, atol=2e-8)
        assert np.median(np.abs(found.real - closed) / size) < 1e-15


@pytest.mark.parametrize("params", SETS)
def test_eigenvalues_of_the_vector_game(params):
    n = 4
    direction = np.random.default_rng(2).standard_normal(n)
    point = theory.vector_minimum(params, direction)
    k, w = np.split(np.asarray(point), 2)
    np.testing.assert_allclose(w, theory.collinearity(params) * k, rtol=1e-14)
    np.testing.assert_allclose(k / np.linalg.norm(k), direction / np.linalg.norm(direction), rtol=1e-14)
    for where, x in (("minimum", point), ("origin", np.zeros(2 * n))):
        flow = -jaxdyn.jacobian(vector_learner_flow(n=n, **params), x)
        closed = theory.hessian_eigenvalues(params, point=where, n=n)
        np.testing.assert_allclose(np.linalg.eigvalsh(flow), closed, atol=ROUNDING)
        descent = np.asarray(jaxdyn.jacobian(vector_learner_descent(n=n, **params, **RATES), x))
        # diag(gamma) H is similar to a symmetric matrix, whose repeated eigenvalues are as exact as simple ones.
        root = np.sqrt(np.repeat([0.3, 0.4], n))
        multipliers = np.linalg.eigvalsh(descent * root / root[:, None])
        closed = theory.descent_multipliers({**params, **RATES}, point=where, n=n)
        np.testing.assert_allclose(multipliers, np.sort(closed), atol=ROUNDING)
        np.testing.assert_array_equal(np.argsort(-np.abs(closed), kind="stable"), np.arange(2 * n))
    assert np.sum(theory.hessian_eigenvalues(params, n=n) == 0) == n - 1  # exactly neutral along the sphere
    assert np.sum(theory.descent_multipliers({**params, **RATES}, n=n) == 1) == n - 1


def test_nothing_is_said_of_minima_that_do_not_exist():
    params = {**LONELY, **RATES}
    assert np.isnan(theory.stationary_points(params)).tolist() == [[False] * 2, [True] * 2, [True] * 2]
    for value in (
        theory.hessian_eigenvalues(params, n=3),
        theory.descent_multipliers(params),
        theory.convergence_factor(params),
        theory.stability_margin(params),
        theory.critical_gamma_w(params),
        *theory.stability_boundary(params),
    ):
        assert np.isnan(value).all()
    assert np.isfinite(theory.hessian_eigenvalues(params, point="origin", n=3)).all()


def test_margin_agrees_with_jury_and_with_the_spectral_radius():
    games = random_games(5000, 3)
    stable = np.asarray(theory.stability_margin(games)) > 0
    A, B, h = theory.reduced_parameters(games)
    jury = (A < 2) & (B < 2) & (2 - (A + B) + 2 * A * B * h * (1 - h) > 0)
    radius = jaxdyn.spectral_radius(eigenvalues_at_minima(games, theory.stationary_points(games)[:, 1]))
    np.testing.assert_array_equal(stable, jury)
    np.testing.assert_array_equal(stable, radius < 1)
    # Nowhere near 0 or 1 only: both sides are well filled.
    assert 100 < stable.sum() < stable.size - 100
    np.testing.assert_allclose(theory.convergence_factor(games), radius, rtol=1e-7)  # near a double eigenvalue


@pytest.mark.parametrize("params", SETS)
def test_multiplier_is_minus_one_all_along_the_boundary(params):
    gamma_k, gamma_w = theory.stability_boundary(params, 41)
    games = {**{name: jnp.full(41, value) for name, value in params.items()}, "gamma_k": gamma_k, "gamma_w": gamma_w}
    points = theory.stationary_points(games)[:, 1]
    values = np.asarray(eigenvalues_at_minima(games, points).real)
    np.testing.assert_allclose(values.min(axis=1), -1, atol=1e-7 if params is DOCUMENT else ROUNDING)  # corner: double
    inside = {**games, "gamma_k": gamma_k * 0.999, "gamma_w": gamma_w * 0.999}
    outside = {**games, "gamma_k": gamma_k * 1.001, "gamma_w": gamma_w * 1.001}
    # One rate is 0 at both ends, which leaves a neutral direction.
    assert np.all(jaxdyn.spectral_radius(eigenvalues_at_minima(inside, points))[1:-1] < 1)
    assert np.all(jaxdyn.spectral_radius(eigenvalues_at_minima(outside, points)) > 1)
    # The graph of the same curve, where it is one: the square of the document has a vertical side.
    flat = np.asarray(theory.reduced_parameters(games).A) < 2 - 1e-9
    assert flat.sum() >= 20
    np.testing.assert_allclose(theory.critical_gamma_w(games)[flat], gamma_w[flat], rtol=1e-9, atol=1e-12)


def test_boundary_of_the_document_is_the_square():
    gamma_k, gamma_w = theory.stability_boundary(DOCUMENT, 5)
    np.testing.assert_allclose(gamma_k, [2, 2, 2, 2 / 3, 0], rtol=1e-14)
    np.testing.assert_allclose(gamma_w, [0, 2 / 3, 2, 2, 2], rtol=1e-14)


@pytest.mark.parametrize(
    ("params", "gamma_k", "expected"),
    [(QUARTER, 1.5, 8 / 7), (QUARTER, 0.5, 24 / 13), (DOCUMENT, 1.9, 2.0), (DOCUMENT, 2.0, 0.0), (UNEQUAL, 1.6, 0.0)],
)
def test_critical_rate_of_the_second_learner(params, gamma_k, expected):
    assert float(theory.critical_gamma_w({**params, "gamma_k": gamma_k})) == pytest.approx(expected, rel=1e-13)


def test_boundary_is_differentiable_also_at_its_corner():
    """For the document lambda = max(A, B); its derivative at the corner is the one-sided mean."""
    slope = jax.grad(lambda gamma: theory.stability_margin({**DOCUMENT, "gamma_k": gamma, "gamma_w": 0.4}))(0.9)
    assert float(slope) == pytest.approx(-1.0)
    at_corner = jax.grad(lambda gamma: theory.stability_margin({**DOCUMENT, "gamma_k": gamma, "gamma_w": 2.0}))(2.0)
    assert np.isfinite(at_corner)


@pytest.mark.parametrize(
    ("params", "gamma_k", "gamma_w"),
    [(DOCUMENT, 0.3, 0.9), (DOCUMENT, 1.9, 0.9), (QUARTER, 0.2, 1.3), (UNEQUAL, 0.3, 0.4), (HEAVY, 1.0, 0.6)],
)
def test_distance_shrinks_by_the_convergence_factor(params, gamma_k, gamma_w):
    """Start 1e-4 from the minimum along a generic direction; two steps, since a multiplier may be negative."""
    system = two_learner_descent(**params, gamma_k=gamma_k, gamma_w=gamma_w)
    point = np.asarray(theory.stationary_points(system.params)[1])
    factor, second = np.abs(theory.descent_multipliers(system.params))
    assert float(theory.convergence_factor(system.params)) == factor
    # Far enough that the other direction is left behind by 1e-7, and that 1e-9 of distance is still left.
    n = int(np.ceil(np.log(1e-7) / np.log(second / factor)))
    assert 1e-4 * factor**n > 1e-10
    system = system.with_state(point + 1e-4 * np.array([0.6, -0.8]))
    ends = [np.asarray(jaxdyn.final_state(system, n_steps=n + i).x) - point for i in (0, 2)]
    measured = np.sqrt(np.linalg.norm(ends[1]) / np.linalg.norm(ends[0]))
    # Second order: relative 10 x distance at step n, at most 1e-3 x factor^n; rounding 1e-16 / 1e-10; 1e-7 from above.
    assert measured == pytest.approx(factor, rel=2e-6 + 1e-3 * factor**n)


@pytest.mark.parametrize("params", SETS)
def test_vectors_return_to_their_sphere_at_the_rate_of_the_scalar_game(params):
    """Distance from the sphere after a kick in all directions, along which the slow multiplier alone remains."""
    n = 3
    system = vector_learner_descent(n=n, **params, **RATES)
    factor = float(theory.convergence_factor(system.params))
    across = abs(1 - (0.3 * params["sigma_k"] + 0.4 * params["sigma_w"]))
    assert across <= factor  # proven in the docstring
    kick = 1e-4 * np.random.default_rng(4).standard_normal(2 * n)
    system = system.with_state(np.asarray(theory.vector_minimum(params, np.ones(n))) + kick)

    def distance(n_steps):
        """From the nearest point of the sphere, to first order: K + W / alpha gives its direction."""
        x = np.asarray(jaxdyn.final_state(system, n_steps=n_steps).x)
        k, w = np.split(x, 2)
        return np.linalg.norm(x - theory.vector_minimum(params, k + w / float(theory.collinearity(params))))

    m = int(np.log(1e-4) / np.log(factor))
    # 1e-8 of distance is left, with rounding 1e-16; the two slower directions mix, so that the rate is a bound.
    measured = (distance(m) / distance(m - 10)) ** 0.1
    others = sorted([across, float(abs(theory.descent_multipliers(system.params)[1]))])[1]
    left = 100 * (others / factor) ** (m - 10)  # the kick's parts may differ by a factor of 100
    assert factor * (1 - left) - 1e-6 <= measured <= factor * (1 + left) + 1e-6


def test_batches_gradients_and_compilation():
    games = random_games(50, 5)
    for function in (theory.stability_margin, theory.critical_gamma_w, theory.convergence_factor):
        one_by_one = [float(function({name: value[i] for name, value in games.items()})) for i in range(3)]
        np.testing.assert_allclose(jax.jit(function)(games)[:3], one_by_one, rtol=1e-13)
    slope = jax.grad(lambda sigma: theory.critical_gamma_w({**QUARTER, "sigma_w": sigma, "gamma_k": 1.5}))(0.25)
    step = 1e-6
    ends = [float(theory.critical_gamma_w({**QUARTER, "sigma_w": 0.25 + s * step, "gamma_k": 1.5})) for s in (1, -1)]
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-8)  # step^2 and 1e-16 / step


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="point must be 'minimum' or 'origin', got 'saddle'"):
        theory.hessian_eigenvalues(DOCUMENT, point="saddle")
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        theory.hessian_eigenvalues(DOCUMENT, n=0)
    with pytest.raises(ValueError, match="n_points must be a whole number of at least 2, got 1"):
        theory.stability_boundary(DOCUMENT, 1)


def test_conserved_quantity_of_lotka_volterra_grows_by_its_closed_form():
    """multiplicative_map with a < 0: V = c w - b ln w + c k + a ln k, constant in the flow, rises at every step.

    With u = -a - c k and v = c w - b: dV = b (u - ln(1 + u)) - a (v - ln(1 + v)) > 0, exactly.
    """
    a, b, c = -0.001, 0.01, 0.1
    x = np.asarray(jaxdyn.trajectory(multiplicative_map(a=a, x0=[0.15, 0.02]), n_steps=4000).x)
    w, k = x.T
    value = c * w - b * np.log(w) + c * k + a * np.log(k)
    u, v = -a - c * k[:-1], c * w[:-1] - b
    drift = b * (u - np.log1p(u)) - a * (v - np.log1p(v))
    assert np.all(drift > 0)
    # One rounding of V (0.04) and of each logarithm's term a step.
    np.testing.assert_allclose(np.diff(value), drift, atol=1e-16)


def test_document_map_loses_both_quantities():
    """Document: 1000 steps from (1, 0.5); w + k falls by a w + b k at every step, by at least a (w + k) since a < b."""
    system = multiplicative_map()
    assert {name: round(float(value), 6) for name, value in system.params.items()} == {"a": 0.001, "b": 0.01, "c": 0.1}
    x = np.asarray(jaxdyn.trajectory(system, n_steps=1000).x)
    np.testing.assert_array_equal(x[0], [1.0, 0.5])
    total = x.sum(axis=1)
    np.testing.assert_allclose(np.diff(total), -(x[:-1] @ [0.001, 0.01]), atol=1e-15)
    assert total[-1] < total[0] * 0.999**1000
