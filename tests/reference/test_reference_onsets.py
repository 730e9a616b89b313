"""Onsets that no local linearization shows: a homoclinic orbit and the fold of a cycle, found with trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]

HOMOCLINIC = 13.926557407520  # Lorenz, sigma = 10, beta = 8/3
LOWEST_SPIKING = 88.2933  # Morris-Lecar, Hopf set


def side_of_the_end(rho, dt, start):
    """Coordinate x long after leaving the origin along its unstable direction, on the side of positive x."""
    lorenz = models.lorenz63(rho=rho, beta=8 / 3)
    slopes = jax.jacfwd(lambda x: lorenz(0.0, x))(jnp.zeros(3))
    # The unstable direction lies in the plane z = 0, where the matrix has rows (-sigma, sigma) and (rho, -1).
    growth = -5.5 + jnp.sqrt(5.5**2 + slopes[0, 1] * (slopes[1, 0] - 1))
    direction = jnp.stack([slopes[0, 1], growth - slopes[0, 0], jnp.zeros_like(growth)])
    lorenz = lorenz.with_state(start * direction / jnp.linalg.norm(direction))
    return jaxdyn.final_state(lorenz, n_steps=round(12 / dt), dt=dt, method=jaxdyn.Tsit5()).x[0]


def homoclinic(dt, start=1e-6):
    """Interval of rho that holds the change of side: below it the orbit stays at x > 0, above it it crosses over."""
    run = jax.jit(jax.vmap(lambda rho: side_of_the_end(rho, dt, start)))
    low, high = 13.0, 15.0
    for _ in range(7):
        rho = np.linspace(low, high, 64)
        crossed = np.asarray(run(rho)) < 0
        assert not crossed[0]
        assert crossed[-1]
        assert np.count_nonzero(np.diff(crossed)) == 1
        first = int(np.argmax(crossed))
        low, high = rho[first - 1], rho[first]
    return low, high


def test_homoclinic_orbit_of_the_lorenz_origin():
    """Time 12 suffices: a deviation of 1e-13 on return grows by exp(7.1 t), to order one within 4.2 time units."""
    coarse, fine = np.mean(homoclinic(4e-3)), np.mean(homoclinic(2e-3))
    low, high = homoclinic(1e-3)
    # Fifth order: a half step leaves a 32nd of the error.
    assert abs(fine - HOMOCLINIC) <= abs(coarse - HOMOCLINIC) / 16
    error = abs(np.mean((low, high)) - fine) / 31
    # The manifold is curved: a start s on its tangent misses it by s^2, which contraction shrinks further. Rounding
    # of 12,000 steps adds in the worst case 12,000 * 1.1e-16, and the value is given to half a unit of digit 12.
    tolerance = error + (1e-6) ** 2 + 12_000 * 1.1e-16 + (high - low) + 0.5e-12
    assert tolerance < 1e-11
    assert abs(np.mean((low, high)) - HOMOCLINIC) <= tolerance


SECTION = -27.2  # mV, through the fixed point, which lies at V = -27.18 for the current below


def first_return(w, current, dt):
    """Where and whether an orbit from (SECTION, w) next crosses the section upwards."""
    neuron = models.morris_lecar(I=current)
    start = neuron.with_state(jnp.stack([jnp.full_like(w, SECTION), w]))
    x = jaxdyn.trajectory(start, n_steps=round(250 / dt), dt=dt).x
    up = (x[1:-1, 0] < SECTION) & (x[2:, 0] >= SECTION)
    before = neuron.with_state(x[jnp.argmax(up) + 1])
    # The last step, of the length that ends on the section, by Newton's method: at full order, no interpolation.
    length = jnp.asarray(dt / 2)
    for _ in range(5):
        end = jaxdyn.final_state(before, n_steps=1, dt=length).x
        length = length - (end[0] - SECTION) / neuron(0.0, end)[0]
    return jaxdyn.final_state(before, n_steps=1, dt=length).x[1], jnp.any(up)


def fold(dt):
    """Current at which the least of first_return(w) - w over w is zero, and how far off it may be.

    An orbit moves outwards where it returns at a lower w. While it returns at a higher w from every w, all orbits
    end at rest; a stable cycle, and an unstable one inside it, exist once it does not.
    """
    run = jax.jit(jax.vmap(jax.vmap(lambda w, i: first_return(w, i, dt), (0, None)), (None, 0)))
    # The w of spikes: returns farther in belong to the small orbits around the fixed point.
    w, currents = np.linspace(0.102, 0.108, 96), np.linspace(88.0, 88.6, 10)
    current, error = np.nan, np.inf
    for _ in range(6):
        end, returned = (np.asarray(part) for part in run(w, currents))
        assert np.all(returned)
        gain = end - w
        least, spacing = gain.min(axis=1), w[1] - w[0]
        k = int(np.argmax(least < 0))
        assert least[0] > 0 > least[k]
        assert np.all(least[:k] > 0)
        assert np.all(least[k:] < 0)
        width = currents[k] - currents[k - 1]
        current = (currents[k] + currents[k - 1]) / 2
        # On its way down the gain falls with slope -1 (an orbit forgets where it started) and then jumps: a canard.
        # The grid misses its lowest value by at most one spacing, which the change with the current turns into this.
        error = width / 2 + spacing / ((least[0] - least[-1]) / (currents[-1] - currents[0]))
        bottom = w[gain[k].argmin()]
        # Narrower by 4.5 for both; the bottom moves by 0.003 per unit of current, less than half of what is kept of w.
        w = np.linspace(bottom - 10 * spacing, bottom + 10 * spacing, 96)
        currents = np.linspace(currents[k - 1] - 0.5 * width, currents[k] + 0.5 * width, 10)
    return current, error


def test_lowest_current_with_spiking_of_morris_lecar():
    coarse, _ = fold(0.5)
    fine, error = fold(0.25)
    assert error < 5e-5
    # Fourth order: the finer step errs by a 15th of the difference; the value is given to half a unit of decimal 4.
    assert abs(fine - LOWEST_SPIKING) <= abs(fine - coarse) / 15 + error + 0.5e-4
