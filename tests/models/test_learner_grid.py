"""Two-learner descent over a grid of learning rates: where it converges, stays bounded, diverges."""

import jax
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models.learners import two_learner_descent

pytestmark = pytest.mark.usefixtures("x64")

SETS = [
    {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5},
    {"tau": 1.0, "sigma_k": 0.25, "sigma_w": 0.25},
    {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7},
]


def minimum(tau=1.0, sigma_k=0.5, sigma_w=0.5):
    """Minimum (k0, w0), closed form."""
    length = np.sqrt(1 - np.sqrt(sigma_k * sigma_w) / tau**2)
    return length * np.array([(sigma_w / sigma_k) ** 0.25, (sigma_k / sigma_w) ** 0.25])


GRIDS = [
    # start, parameters, converged, bounded elsewhere, diverged; independent double precision computation
    ((0.71, 0.70), SETS[0], 1521, 608, 1471),
    ((0.5, 0.2), SETS[0], 1525, 619, 1456),
    ((0.5, 0.2), SETS[1], 1106, 1464, 1030),
    ((0.5, 0.2), SETS[2], 419, 644, 2537),
]
RATES = 0.05 * np.arange(1, 61)
GAMMA_K, GAMMA_W = (axis.ravel() for axis in np.meshgrid(RATES, RATES, indexing="ij"))


@jax.jit
def end_on_grid(system):
    """State after 5000 steps in every cell of the grid of rates."""

    def end(gamma_k, gamma_w):
        return jaxdyn.final_state(system.with_params(gamma_k=gamma_k, gamma_w=gamma_w), n_steps=5000)

    return jax.vmap(end)(GAMMA_K, GAMMA_W)


@pytest.mark.parametrize(("start", "params", "converged", "elsewhere", "diverged"), GRIDS)
def test_grid_of_rates(start, params, converged, elsewhere, diverged):
    """Counts of cells: converged (within 1e-6 of the positive minimum after 5000 steps), diverged (not finite).

    Cells on chaotic transients escape or not by their last digits, so that counts of those vary with rounding: eight
    starts that differ by 1e-14 give the mean and standard error of each count.
    """
    random = np.random.default_rng(4)
    near, far = [], []
    for _ in range(8):
        run = end_on_grid(two_learner_descent(x0=start * (1 + 1e-14 * random.standard_normal(2)), **params))
        far.append(np.asarray(run.status) == jaxdyn.Status.NON_FINITE)
        near.append(np.linalg.norm(np.asarray(run.x) - minimum(**params), axis=1) < 1e-6)
    assert converged + elsewhere + diverged == GAMMA_K.size
    for cells, count in ((near, converged), (far, diverged)):
        chance = np.mean(cells, axis=0)
        spread = np.sqrt(np.sum(chance * (1 - chance)) * (1 + 1 / 8))
        assert abs(chance.sum() - count) <= 4 * spread
    if params is SETS[0]:  # nothing here depends on rounding
        assert (near[0].sum(), far[0].sum()) == (converged, diverged)


def test_grid_converges_exactly_where_the_minimum_is_stable():
    run = end_on_grid(two_learner_descent())
    near = np.linalg.norm(np.asarray(run.x) - minimum(), axis=1) < 1e-6
    np.testing.assert_array_equal(near, (GAMMA_K < 2 - 1e-9) & (GAMMA_W < 2 - 1e-9))  # 39^2 cells


def test_stable_cells_of_equal_rates_at_sigma_one_quarter():
    system = two_learner_descent(**SETS[1])
    values = jax.vmap(lambda g: jaxdyn.eigenvalues(system.with_params(gamma_k=g, gamma_w=g), minimum(**SETS[1])))(RATES)
    assert int((jaxdyn.spectral_radius(values) < 1).sum()) == 26
