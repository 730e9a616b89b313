"""Brain-machine interface with offsets: its equations, and all multipliers at its minima, beside exact Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interfaces import random_params

import jaxdyn
from jaxdyn.models import coadaptation_offsets as offsets
from jaxdyn.models import coadaptation_theory as theory
from jaxdyn.models.coadaptation import coadaptive_descent, coadaptive_error

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-12  # some thousand roundings of numbers of order one
SIZES = pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 1), (2, 2), (5, 3), (2, 4)])
GAME = {"sigma_k": 0.4, "sigma_w": 0.7, "gamma_k": 0.3, "gamma_w": 0.2}


@SIZES
def test_descent_steps_down_the_error(n, d):
    tau = np.linspace(1.3, 0.8, d)
    system = coadaptive_descent(n=n, d=d, tau=tau, **GAME, offsets=True)
    assert system.dim == 2 * d * n + d + n
    assert system.state_names[2 * d * n :] == (*(f"a{i + 1}" for i in range(d)), *(f"b{j + 1}" for j in range(n)))
    x = np.random.default_rng(n + d).uniform(-1, 1, system.dim)
    gradient = jax.grad(lambda y: coadaptive_error(y, system.params, offsets=True))(jnp.asarray(x))
    gamma = np.repeat([0.3, 0.2, 0.3, 0.2], [d * n, d * n, d, n])
    np.testing.assert_allclose(system(0, x), x - gamma * gradient, rtol=0, atol=ROUNDING)


def test_error_is_the_expectation_over_targets():
    """By the targets +-tau_i sqrt(d) e_i, of mean 0 and covariance diag(tau^2), with equal chances."""
    n, d, tau = 4, 3, np.array([1.3, 1.0, 0.6])
    x = np.random.default_rng(6).uniform(-1, 1, 2 * d * n + d + n)
    K, W = x[: d * n].reshape(d, n), x[d * n : 2 * d * n].reshape(d, n).T
    a, b = x[-d - n : -n], x[-n:]
    targets = np.sqrt(d) * np.concatenate([np.diag(tau), -np.diag(tau)])
    miss = a + (b + targets @ W.T) @ K.T - targets
    expected = (np.mean(np.sum(miss**2, axis=1)) + 0.7 * np.sum(W**2) + 0.4 * np.sum(K**2)) / 2
    params = {"tau": jnp.asarray(tau), "sigma_k": 0.4, "sigma_w": 0.7}
    assert float(coadaptive_error(jnp.asarray(x), params, offsets=True)) == pytest.approx(expected, rel=1e-13)


def random_interfaces(count, n, d):
    """Parameters, offsets and directions; a third without offset, a third of targets of equal size."""
    random = np.random.default_rng(10 * n + d)
    params = random_params(random, count, d)
    b = random.uniform(-1, 1, (count, n))
    b[1::3] = 0
    return params, b, random.standard_normal((count, min(n, d), n))


@SIZES
def test_all_multipliers_at_minima(n, d):
    params, b, directions = random_interfaces(60, n, d)
    system = coadaptive_descent(n=n, d=d, offsets=True)

    def exact_and_closed(params, b, directions):
        x = offsets.offset_minimum(params, b, directions=directions)
        game = system.with_params(**params)
        multipliers = offsets.offset_multipliers(params, b, directions=directions)
        return game.displacement(0, x), jaxdyn.jacobian(game, x), multipliers, theory.manifold_dimension(params, n)

    moved, jacobian, closed, neutral = jax.jit(jax.vmap(exact_and_closed))(params, b, directions)
    np.testing.assert_allclose(moved, 0, atol=ROUNDING)
    # diag(gamma) H is similar to a symmetric matrix, whose repeated eigenvalues are as exact as simple ones.
    sizes = (d * n, d * n, d, n)
    gamma = [
        np.repeat(params[f"gamma_{name}"][:, None], size, axis=1) for name, size in zip("kwkw", sizes, strict=True)
    ]
    root = np.sqrt(np.concatenate(gamma, axis=1))
    exact = np.linalg.eigvalsh(jacobian * root[:, None] / root[:, :, None])
    np.testing.assert_allclose(exact, np.sort(closed, axis=1), atol=10 * ROUNDING)
    np.testing.assert_array_equal(np.sum(np.asarray(closed) == 1, axis=1), neutral + n)
    # At least the rate of J G J^T, the bound that the model states.
    K = np.asarray(jax.vmap(lambda game: theory.stationary_state(game, n))(params))[:, : d * n].reshape(-1, d, n)
    bound = params["gamma_k"] * (1 + np.sum(b**2, axis=1)) + params["gamma_w"] * np.max(np.sum(K**2, axis=2), axis=1)
    assert np.all(1 - exact[:, 0] > bound - ROUNDING)


@SIZES
def test_without_offset_each_row_of_the_decoder_adds_one(n, d):
    params = {**GAME, "tau": np.linspace(1.3, 0.6, d)}
    K = np.asarray(theory.stationary_state(params, n))[: d * n].reshape(d, n)
    expected = [*theory.descent_multipliers(params, n), *(1 - 0.3 - 0.2 * np.sum(K**2, axis=1)), *np.ones(n)]
    closed = offsets.offset_multipliers(params, np.zeros(n))
    np.testing.assert_allclose(np.sort(closed), np.sort(expected), atol=ROUNDING)


def test_offset_across_active_channels_makes_pairs():
    """Two roots of a square equation for each target, in place of c and one s."""
    n, d, tau, beta = 5, 2, np.array([1.3, 1.0]), 0.9
    params = {**GAME, "tau": tau}
    s, q = 0.3 * 0.4 + 0.2 * 0.7, np.sqrt(0.4 * 0.7)
    c = 0.3 + 0.2 * (1 - q / tau**2) * np.sqrt(0.7 / 0.4)
    pairs = [np.roots([1, -(one + s + 0.3 * beta**2), one * s + 0.3 * 0.2 * 0.7 * beta**2]) for one in c]
    plain = theory.descent_multipliers(params, n).tolist()
    for _ in range(d):
        plain.remove(min(plain, key=lambda value: abs(value - (1 - s))))
    expected = np.concatenate([plain, 1 - np.concatenate(pairs), np.ones(n)])
    closed = offsets.offset_multipliers(params, [0, 0, 0, beta, 0])
    np.testing.assert_allclose(np.sort(closed), np.sort(expected), atol=ROUNDING)


@pytest.mark.parametrize("tau", [[1.3, 1.0], [1.3, 0.6], [0.6, 0.5]])
def test_largest_stable_offset_is_where_a_jacobian_says(tau):
    """Active targets, an idle one, none active: multiplier -1 there, stable just inside, unstable just outside."""
    n, params = 4, {**GAME, "tau": np.array(tau)}
    length = float(offsets.largest_stable_offset(params, n))
    system = coadaptive_descent(n=n, d=2, **params, offsets=True)
    least = []
    for factor in (0.99, 1.0, 1.01):
        x = offsets.offset_minimum(params, factor * length * np.array([0, 0, 0.6, 0.8]))
        least.append(np.linalg.eigvals(jaxdyn.jacobian(system, x)).real.min())
    assert least[0] > -1 > least[2]
    assert least[1] == pytest.approx(-1, abs=1e-10)
    assert np.isnan(offsets.largest_stable_offset({**params, "gamma_k": 2.5}, n))


def test_descent_ends_at_a_minimum_with_an_offset():
    system = coadaptive_descent(n=3, d=2, sigma_k=0.25, sigma_w=0.25, gamma_k=0.2, gamma_w=0.2, offsets=True)
    end = jaxdyn.final_state(system, n_steps=4000).x
    K, a, b = np.asarray(end[:6]).reshape(2, 3), np.asarray(end[12:14]), np.asarray(end[14:])
    # The slowest rate is 0.2 (2 * 0.25): e^-400 of the start is left.
    np.testing.assert_allclose(a + K @ b, 0, atol=ROUNDING)
    np.testing.assert_allclose(system.displacement(0, end), 0, atol=ROUNDING)
    assert np.abs(b).max() > 0.1


def test_checks_and_gradient():
    params = {**GAME, "tau": jnp.array([1.2, 0.9])}
    with pytest.raises(ValueError, match=r"b must have shape \(n,\), one offset for each channel, got \(\)"):
        offsets.offset_minimum(params, 0.5)
    with pytest.raises(ValueError, match="params has no 'gamma_w'"):
        offsets.offset_multipliers({key: value for key, value in params.items() if key != "gamma_w"}, [0.0])

    def least(beta):
        return jnp.min(offsets.offset_multipliers(params, jnp.array([0.2, 0.1, beta])))

    difference = (float(least(0.7 + 1e-6)) - float(least(0.7 - 1e-6))) / 2e-6
    assert float(jax.grad(least)(0.7)) == pytest.approx(difference, rel=1e-7)  # step^2 and 1e-16 / step
