"""Basins of attraction on grids of starts: the Hénon map, and the two wells of the Duffing oscillator."""

import jax
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models

pytestmark = pytest.mark.usefixtures("x64")

HENON = {"cells": 432_495, "entropy": 0.0360, "boundary_entropy": 0.484}
# Damping 0.15, force 0.2 cos t: part of the starts that ends at x > 0, with its standard error; attractors at t = 0.
DUFFING = {"right": 0.4992, "error": 0.001, "points": [(1.21, 0.06), (-0.78, 0.03)]}


def starts(coordinates):
    """All pairs of these coordinates, (n * n, 2), the second running fastest."""
    return np.stack(np.meshgrid(coordinates, coordinates, indexing="ij"), axis=-1).reshape(-1, 2)


def midpoints(half_width, n):
    """Midpoints of n cells of [-half_width, half_width], symmetric to the last bit."""
    right = (np.arange(n // 2) + 0.5) * (2 * half_width / n)
    return np.concatenate([-right[::-1], right])


def bounded(coordinates, n_steps):
    """Which starts of the grid have finite orbits under the Hénon map."""
    run = jax.jit(jax.vmap(lambda x: jaxdyn.final_state(models.henon().with_state(x), n_steps=n_steps).status))
    return (np.asarray(run(starts(coordinates))) == Status.OK).reshape(len(coordinates), -1)


def test_bounded_part_of_the_henon_plane():
    """The boundary is smooth: all cells of the grid are decided, and in fewer than 100 steps."""
    assert bounded(midpoints(2.0, 1000), 100).sum() == HENON["cells"]


def test_basin_entropy_of_the_henon_plane():
    """Daza et al. 2016, Scientific Reports 6, 31416: boxes of 5 by 5 points of a grid that includes the edges."""
    inside = bounded(np.linspace(-2, 2, 300), 100)
    np.testing.assert_array_equal(inside, bounded(np.linspace(-2, 2, 300), 200))
    part = inside.reshape(60, 5, 60, 5).mean(axis=(1, 3))
    mixed = (part > 0) & (part < 1)
    part = part[mixed]
    entropy = -(part * np.log(part) + (1 - part) * np.log(1 - part))
    # Half a unit of the last digit given.
    assert abs(entropy.sum() / mixed.size - HENON["entropy"]) <= 0.5e-4
    assert abs(entropy.mean() - HENON["boundary_entropy"]) <= 0.5e-3
    assert entropy.mean() < np.log(2)  # so that the boundary need not be fractal


def duffing_ends(coordinates, gamma, periods, per_period):
    """States after whole periods of the force, by start."""
    system = models.duffing(delta=0.15, gamma=gamma, omega=1.0)
    dt = 2 * np.pi / per_period
    run = jax.jit(jax.vmap(lambda x: jaxdyn.final_state(system.with_state(x), n_steps=periods * per_period, dt=dt).x))
    return np.asarray(run(starts(coordinates)))


def test_wells_of_the_free_duffing_oscillator_share_the_plane():
    """Exactly one half by symmetry: (x, y) and (-x, -y) end in opposite wells."""
    ends = duffing_ends(midpoints(2.2, 200), 0.0, 40, 40)
    # Damping leaves exp(-0.075 * 251) = 7e-9 of what remains after the last pass of the saddle.
    np.testing.assert_allclose(np.abs(ends[:, 0]), 1, atol=1e-3)
    right = ends[:, 0] > 0
    assert right.sum() * 2 == right.size
    np.testing.assert_array_equal(right, ~right[::-1])


@pytest.mark.slow
def test_basins_of_the_forced_duffing_oscillator():
    """The boundary is a fractal, where cells are decided by rounding and by the step: two steps show how many."""
    points = np.array(DUFFING["points"])
    sides = []
    for per_period in (30, 40):
        ends = duffing_ends(midpoints(2.2, 400), 0.2, 150, per_period)
        nearest = np.linalg.norm(ends[:, None] - points, axis=2).argmin(axis=1)
        for which, point in enumerate(points):
            # Nearly all have arrived; coordinates are given to half a unit of decimal 2.
            assert np.all(np.abs(np.median(ends[nearest == which], axis=0) - point) <= 0.005)
        assert np.mean(np.linalg.norm(ends - points[nearest], axis=1) < 0.05) > 0.999
        sides.append(ends[:, 0] > 0)
    # A cell on which the two disagree is as good as tossed; each toss has a standard deviation of 1/2.
    tossed = np.count_nonzero(sides[0] != sides[1])
    assert 0 < tossed < sides[0].size / 2
    error = np.sqrt(2 * tossed) / 2 / sides[0].size
    for right in sides:
        assert abs(right.mean() - DUFFING["right"]) <= 3 * np.hypot(error, DUFFING["error"])
