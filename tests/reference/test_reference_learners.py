"""Two learners with equal rates and penalties on their diagonal k = w: the cubic map u+ = a u - u^3.

u = sqrt(gamma) tau k and a = 1 + gamma (tau^2 - sigma).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ensemble import standard_error

import jaxdyn
from jaxdyn.models.learners import two_learner_descent

pytestmark = pytest.mark.usefixtures("x64")

TAU = 1.2


def game(a, transverse):
    """Game with these a and c: the multiplier across the diagonal is 1 - gamma (sigma + tau^2) + u^2 = c - 2 + u^2.

    c = 3 - gamma (sigma + tau^2).
    """
    # Both penalties times gamma, from the sum and the difference of gamma tau^2 and gamma sigma.
    pull, penalty = ((3 - transverse) + (a - 1)) / 2, ((3 - transverse) - (a - 1)) / 2
    gamma = pull / TAU**2
    sigma = penalty / gamma
    system = two_learner_descent(tau=TAU, sigma_k=sigma, sigma_w=sigma, gamma_k=gamma, gamma_w=gamma)
    return system, np.sqrt(gamma) * TAU


@functools.partial(jax.jit, static_argnames="n_steps")
@functools.partial(jax.vmap, in_axes=(None, 0, None))
def spectra(system, start, n_steps):
    return jaxdyn.lyapunov_spectrum(system.with_state(start), n_steps=n_steps, n_transient=100)


# c = 1 - 2 gamma sigma at a = 3: inside [-2, 2], at its lower end, and below it.
CHEBYSHEV = [(0.9, 0.0), (0.0, 0.0), (-1.5, 0.0), (-2.5, np.log((2.5 + np.sqrt(2.5**2 - 4)) / 2))]


@pytest.mark.parametrize(("c", "expected"), CHEBYSHEV)
def test_exponents_where_the_diagonal_is_a_chebyshev_map(c, expected):
    """a = 3: u = 2 cos(theta) goes to -2 cos(3 theta), so ln 3 along the diagonal.

    Across it the mean of ln|c + 2 cos(2 theta)| is 0 for |c| <= 2 and ln((|c| + sqrt(c^2 - 4))/2) beyond (Jensen).
    """
    lanes, n_steps = 64, 4_000
    system, scale = game(3.0, c)
    u = 2 * np.cos(np.random.default_rng(0).uniform(0, np.pi, lanes))

    result = jaxdyn.raise_if_failed(spectra(system, np.stack([u, u], axis=1) / scale, n_steps))
    np.testing.assert_array_equal(result.x[:, 0], result.x[:, 1])  # equal learners stay equal, to the last bit
    # The two directions are invariant and orthogonal: each exponent has its own vector of the frame.
    np.testing.assert_allclose(np.abs(result.frame), np.sqrt(0.5), rtol=1e-12)
    exponents, errors = np.asarray(result.exponents).mean(axis=0), standard_error(result.exponents)
    # The factor of a whole orbit along the diagonal is 3^n |sin(3^n theta)/sin(theta)|: its ends alone count.
    assert errors[0] < 10 / n_steps / np.sqrt(lanes)
    assert np.all(np.abs(exponents - [np.log(3), expected]) <= 3 * errors)


def cycle(a):
    """The 2-cycle u1 u2 = 1, u1^2 + u2^2 = a of the cubic map, in exact form."""
    half, root = np.sqrt(a + 2) / 2, np.sqrt(a - 2) / 2
    return np.array([half + root, half - root])


@pytest.mark.parametrize("a", [2 + 1e-6, 2.1, np.sqrt(5) - 1e-6, np.sqrt(5) + 1e-6, 2.5])
def test_two_cycle_is_stable_up_to_the_square_root_of_five(a):
    """Along the diagonal its multiplier is 9 - 2 a^2."""
    system, scale = game(a, 0.5)
    start = np.full(2, cycle(a)[0]) / scale
    twice = jaxdyn.nth_iterate(system, 2)
    np.testing.assert_allclose(twice.displacement(0, jnp.asarray(start)), 0, atol=1e-14)
    along = np.mean(np.asarray(jaxdyn.jacobian(twice, start)) @ [1.0, 1.0])
    assert along == pytest.approx(9 - 2 * a**2, abs=1e-13)
    assert (abs(along) < 1) == (a < np.sqrt(5))


def test_orbit_on_the_diagonal_between_the_flip_and_the_next_doubling():
    """Fixed up to a = 2, a 2-cycle up to sqrt(5), a 4-cycle after it."""
    for a, period in ((1.9, 1), (2.1, 2), (2.2, 2), (2.26, 4)):
        system, scale = game(a, 0.5)
        x = np.asarray(jaxdyn.trajectory(system.with_state([0.3, 0.3]), n_steps=3_000).x)[-9:]
        # The slowest of these cycles has the multiplier 9 - 2 * 2.1^2 = 0.18 or -0.9 for one step: none is left.
        distance = [np.abs(x[k] - x[0]).max() for k in (1, 2, 4)]
        assert [d < 1e-12 for d in distance] == [period <= k for k in (1, 2, 4)]
        if period == 2:
            np.testing.assert_allclose(np.sort(x[:2, 0] * scale), np.sort(cycle(a)), rtol=1e-12)
