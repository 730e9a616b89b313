"""Closed forms of the brain-machine interface with two learners, beside exact Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interfaces import random_params

import jaxdyn
from jaxdyn.models import coadaptation_theory as theory
from jaxdyn.models import learner_theory
from jaxdyn.models.coadaptation import coadaptive_descent, coadaptive_error

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-12  # some thousand roundings of numbers of order one


def random_interfaces(count, n, d):
    """Parameters, active targets and directions; a third at minima, and a third of targets of equal size."""
    random = np.random.default_rng(10 * n + d)
    params = random_params(random, count, d)
    active = params["tau"] ** 2 > np.sqrt(params["sigma_k"] * params["sigma_w"])[:, None]
    active &= random.random((count, d)) < 0.6
    active &= np.cumsum(active, axis=1) <= n
    minima = jax.vmap(lambda game: theory.active_targets(game, n))(params)
    active[1::3] = minima[1::3]
    return params, active, np.asarray(minima), random.standard_normal((count, min(n, d), n))


def exact_and_closed(params, active, directions, n, d):
    """Of one interface: Jacobian and Hessian by differentiation, and what the closed forms say of them."""
    x = theory.stationary_state(params, n, active=active, directions=directions)
    system = coadaptive_descent(n=n, d=d).with_params(**params)
    return {
        "displacement": system.displacement(0, x),
        "jacobian": jaxdyn.jacobian(system, x),
        "hessian": jax.hessian(coadaptive_error)(x, params),
        "multipliers": theory.descent_multipliers(params, n, active=active),
        "eigenvalues": theory.hessian_eigenvalues(params, n, active=active),
        "neutral": theory.manifold_dimension(params, n, active=active),
        "margin": theory.stability_margin(params, n),
    }


@pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 1), (2, 2), (5, 3), (2, 4)])
def test_all_eigenvalues_at_stationary_states(n, d):
    params, active, minima, directions = random_interfaces(60, n, d)
    of_all = jax.jit(jax.vmap(lambda *lane: exact_and_closed(*lane, n=n, d=d)))(params, active, directions)
    np.testing.assert_allclose(of_all["displacement"], 0, atol=ROUNDING)
    # diag(gamma) H is similar to a symmetric matrix, whose repeated eigenvalues are as exact as simple ones.
    root = np.sqrt(np.repeat(np.stack([params["gamma_k"], params["gamma_w"]], axis=1), n * d, axis=1))
    exact = np.linalg.eigvalsh(of_all["jacobian"] * root[:, None] / root[:, :, None])
    np.testing.assert_allclose(exact, np.sort(of_all["multipliers"], axis=1), atol=ROUNDING)
    assert np.all(np.diff(np.abs(of_all["multipliers"]), axis=1) <= 0)
    hessian = np.linalg.eigvalsh(of_all["hessian"])
    np.testing.assert_allclose(hessian, of_all["eigenvalues"], atol=ROUNDING)
    # Exactly neutral along the manifold, and nothing else is.
    for zeros in (of_all["eigenvalues"] == 0, of_all["multipliers"] == 1, np.abs(hessian) < ROUNDING):
        np.testing.assert_array_equal(np.sum(zeros, axis=1), of_all["neutral"])
    encoded = [np.sort(np.where(chosen, params["tau"], 0), axis=1) for chosen in (active, minima)]
    at_minimum = np.all(encoded[0] == encoded[1], axis=1)
    assert at_minimum.sum() >= 20
    np.testing.assert_array_equal(hessian[:, 0] > -ROUNDING, at_minimum)  # all others are saddles
    np.testing.assert_allclose((1 + exact[:, 0])[at_minimum], of_all["margin"][at_minimum], atol=ROUNDING)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (6, 1), (2, 2), (5, 3), (3, 5), (1, 3)])
def test_multiplicities_for_targets_of_equal_size(n, d):
    """As the model states them; for d > n, active and idle targets rotate into each other."""
    game = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7, "gamma_k": 0.3, "gamma_w": 0.2}
    params = {**game, "tau": np.full(d, 1.3)}
    A, B, h = (float(number) for number in learner_theory.reduced_parameters(game))
    m = min(n, d)
    expected = [
        *learner_theory.descent_multipliers(game).tolist() * (m * (m + 1) // 2),
        *[1 - (A + B)] * (m * (m - 1) // 2 + m * (d - m)),
        *[1 - h * (A + B)] * (m * (n - m)),
        *[1.0] * (m * n - m * (m + 1) // 2 + m * (d - m)),
    ]
    assert len(expected) == 2 * d * n
    np.testing.assert_allclose(np.sort(theory.descent_multipliers(params, n)), np.sort(expected), atol=ROUNDING)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_boundary_for_targets_of_equal_size(n):
    """d = 1: that of the scalar game. d >= 2: the straight line A + B = 2, inside it."""
    game = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}
    scalar = learner_theory.stability_boundary(game, 41)
    for d in (1, 2, 3):
        gamma_k, gamma_w = theory.stability_boundary({**game, "tau": np.full(d, 1.3)}, n, 41)
        if d == 1:
            np.testing.assert_allclose(gamma_k, scalar[0], atol=ROUNDING)
            np.testing.assert_allclose(gamma_w, scalar[1], atol=ROUNDING)
        A, B, _ = learner_theory.reduced_parameters({**game, "gamma_k": gamma_k, "gamma_w": gamma_w})
        assert np.allclose(A + B, 2, atol=ROUNDING) == (d > 1)


def test_boundary_is_where_a_jacobian_says():
    """Unequal targets: multiplier -1 on the curve, stable just inside, unstable just outside."""
    params = {"tau": np.array([1.4, 1.1, 0.7]), "sigma_k": 0.3, "sigma_w": 0.5}
    n = 4
    for gamma_k, gamma_w in zip(*theory.stability_boundary(params, n, 11), strict=True):
        for factor in (0.999, 1.0, 1.001):
            rates = {"gamma_k": factor * float(gamma_k), "gamma_w": factor * float(gamma_w)}
            jacobian = jaxdyn.jacobian(
                coadaptive_descent(n=n, d=3, **params, **rates), theory.stationary_state(params, n)
            )
            least = np.linalg.eigvals(jacobian).real.min()
            # Homogeneous: 1 - factor 2. Next to eigenvalues of multiplicity 1, as is the smallest here.
            assert least == pytest.approx(1 - 2 * factor, abs=1e-10)


def test_two_largest_targets_decide():
    """Found in all of 300 random interfaces of three targets: the third changes no margin, the second often does."""
    margin = jax.jit(theory.stability_margin, static_argnames="n")
    random = np.random.default_rng(3)
    by_second = 0
    for _ in range(300):
        sigma_k, sigma_w, gamma_k, gamma_w = random.uniform(0.02, [1, 1, 2, 2])
        rest = {"sigma_k": sigma_k, "sigma_w": sigma_w, "gamma_k": gamma_k, "gamma_w": gamma_w}
        tau = np.sort(random.uniform(0.3, 2, 3))[::-1]
        if tau[0] ** 2 < np.sqrt(sigma_k * sigma_w):
            continue
        margins = [float(margin({**rest, "tau": jnp.asarray(tau[:d])}, n=4)) for d in (1, 2, 3)]
        assert margins[1] == pytest.approx(margins[2], abs=ROUNDING)
        assert margins[1] <= margins[0] + ROUNDING
        by_second += margins[1] < margins[0] - 1e-6
    assert by_second > 100


def test_error_at_the_minimum():
    """Each active target lowers the error by (tau^2 - q)^2 / (2 tau^2); descent ends there from the default start."""
    tau, q = np.array([1.4, 0.5, 1.1]), 0.5
    params = {"tau": tau, "sigma_k": 0.25, "sigma_w": 1.0}
    lowest = np.sum(tau**2) / 2 - sum((tau[i] ** 2 - q) ** 2 / (2 * tau[i] ** 2) for i in (0, 2))
    x = theory.stationary_state(params, 3)
    assert float(coadaptive_error(x, params)) == pytest.approx(lowest, rel=ROUNDING)
    assert theory.active_targets(params, 3).tolist() == [True, False, True]
    system = coadaptive_descent(n=3, d=3, **params, gamma_k=0.1, gamma_w=0.1)
    end = jaxdyn.final_state(system, n_steps=4000).x
    # The slowest mode, of the idle target, has the rate 0.1 (0.625 - 0.45) = 0.0175: e^-70 of it is left.
    assert float(coadaptive_error(end, params)) == pytest.approx(lowest, rel=ROUNDING)
    K, V = np.asarray(end).reshape(2, 3, 3)
    np.testing.assert_allclose(K @ V.T, np.diag(np.where(tau**2 > q, 1 - q / tau**2, 0)), atol=1e-9)


def test_transforms_and_checks():
    params = {"tau": jnp.array([1.2, 0.9]), "sigma_k": 0.4, "sigma_w": 0.7, "gamma_k": 0.3, "gamma_w": 0.2}
    eager = theory.descent_multipliers(params, 3)
    np.testing.assert_allclose(jax.jit(theory.descent_multipliers, static_argnums=1)(params, 3), eager, rtol=1e-13)
    slope = jax.grad(lambda gamma: theory.stability_margin({**params, "gamma_k": gamma}, 3))(0.3)
    ends = [float(theory.stability_margin({**params, "gamma_k": 0.3 + s * 1e-6}, 3)) for s in (1, -1)]
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-8)  # step^2 and 1e-16 / step
    with pytest.raises(ValueError, match=r"tau must have shape \(d,\), one size for each direction"):
        theory.active_targets({**params, "tau": 1.0}, 3)
    with pytest.raises(ValueError, match="params has no 'tau'"):
        theory.active_targets({"sigma_k": 1.0}, 3)
    with pytest.raises(ValueError, match="params has no 'gamma_w'"):
        theory.stability_margin({key: value for key, value in params.items() if key != "gamma_w"}, 3)
    with pytest.raises(ValueError, match=r"active must have shape \(2,\)"):
        theory.stationary_state(params, 3, active=[True])
    with pytest.raises(ValueError, match="1 channels have room for 1 orthogonal targets"):
        theory.stationary_state(params, 1, active=[True, True])
    with pytest.raises(ValueError, match=r"directions must have shape \(2, 3\)"):
        theory.stationary_state(params, 3, directions=np.eye(3))
    with pytest.raises(ValueError, match="directions must be linearly independent"):
        theory.stationary_state(params, 3, directions=np.ones((2, 3)))
