"""Mechanical systems against closed forms and published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from cycle import same

from jaxdyn import final_state, models, trajectory
from jaxdyn.methods import Yoshida6

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize(("start", "omega"), [(0.5, 1.0), (2.0, 1.3), (3.0, 0.7)])
def test_the_pendulum_has_the_period_of_the_elliptic_integral(start, omega):
    period = 4 * scipy.special.ellipk(np.sin(start / 2) ** 2) / omega
    system = models.pendulum(omega=omega, x0=[start, 0.0])
    end = final_state(system, n_steps=4000, dt=period / 4000, method=Yoshida6())
    # Order 6: (dt omega)^6 < (20 / 4000)^6, times steepness near the saddle, 1 / cos(1.5)^2 = 200; and 4000 roundings.
    np.testing.assert_allclose(end.x, [start, 0.0], atol=1e-10)


def test_the_pendulum_at_its_fixed_points():
    for n in range(-2, 3):
        same(models.pendulum(omega=1.5)(0.0, jnp.array([n * np.pi, 0.0])), 0, scale=20)


@pytest.mark.parametrize("eccentricity", [0.0, 0.5, 0.8])
def test_kepler_orbits_close_and_keep_their_vector(eccentricity):
    e, mu, a = eccentricity, 1.7, 1.2
    start = [a * (1 - e), 0.0, 0.0, np.sqrt(mu / a * (1 + e) / (1 - e))]
    period = 2 * np.pi * np.sqrt(a**3 / mu)
    run = trajectory(models.kepler(mu=mu, x0=start), n_steps=20_000, dt=period / 20_000, method=Yoshida6())
    x, y, u, v = np.asarray(run.x).T
    # Order 6 with steps of 1/3000 of the time of the pericenter at e = 0.8; 20 000 roundings.
    np.testing.assert_allclose(run.x[-1], start, atol=1e-9)
    r, turn = np.hypot(x, y), x * v - y * u
    np.testing.assert_allclose((u**2 + v**2) / 2 - mu / r, -mu / (2 * a), rtol=1e-10)
    np.testing.assert_allclose(turn, np.sqrt(mu * a * (1 - e**2)), rtol=1e-12)
    np.testing.assert_allclose([v * turn / mu - x / r, -u * turn / mu - y / r], [[e] * len(x), [0] * len(x)], atol=1e-9)


# Solution of the test set for initial value problem solvers (Mazzia and Magherini 2008, problem Pleiades), positions.
PLEIADES_AT_3 = [
    *(0.3706139143970502, 3.237284092057233, -3.222559032418324, 0.6597091455775310, 0.3425581707156584),
    *(1.562172101400631, -0.7003092922212495, -3.943437585517392, -3.271380973972550, 5.225081843456543),
    *(-2.590612434977470, 1.198213693392275, -0.2429682344935824, 1.091449240428980),
]


def pleiades_energy(s, m):
    x, y, u, v = (s[i : i + 7] for i in (0, 7, 14, 21))
    i, j = np.triu_indices(7, 1)
    return jnp.sum(m * (u**2 + v**2)) / 2 - jnp.sum(m[i] * m[j] / jnp.hypot(x[i] - x[j], y[i] - y[j]))


def test_pleiades_reach_the_published_places():
    # Error of Yoshida's method at this step, from half of it: 6e-8; the published digits hold to 2e-11 (DOP853).
    end = final_state(models.pleiades(), n_steps=24_000, dt=3 / 24_000, method=Yoshida6())
    np.testing.assert_allclose(end.x[:14], PLEIADES_AT_3, atol=2e-7)


def test_pleiades_keep_energy_momentum_and_angular_momentum():
    system = models.pleiades()
    m = system.params["m"]
    same(pleiades_energy(system.x0, m), -45.95246949784713, scale=100)
    for s in np.random.default_rng(0).uniform(-3, 3, (3, 28)):
        rate = system(0.0, jnp.asarray(s))
        slope = jax.grad(pleiades_energy)(jnp.asarray(s), m)
        x, y = s[:7], s[7:14]
        size = float(jnp.sum(jnp.abs(slope * rate)))
        same(slope @ rate, 0, scale=size)
        same([m @ rate[14:21], m @ rate[21:], m @ (x * rate[21:] - y * rate[14:21])], 0, scale=size)
    with pytest.raises(ValueError, match=r"pleiades needs 7 masses m, got shape \(3,\)"):
        models.pleiades(m=[1.0, 2.0, 3.0])
