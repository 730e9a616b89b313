"""Where chaos begins and ends: the Feigenbaum point, the period-3 window, the crisis of Hénon, the onset of Lorenz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ensemble import load

import jaxdyn
from jaxdyn import Status, models

pytestmark = pytest.mark.usefixtures("x64")

EPS = np.finfo(np.float64).eps
R_INFINITY = 3.569945671870944901842  # Feigenbaum 1978, Journal of Statistical Physics 19, 25-52; digits with mpmath
DELTA = 4.669201609102990
# Interval in which the attractor at b = 0.3 ends, from 2e8 steps of an independent computation.
CRISIS = (1.42692, 1.42695)
# Heteroclinic bifurcation from which on the chaotic set attracts: Doedel, Krauskopf and Osinga 2015, Nonlinearity 28,
# R113-R139. Digits by bisection with SciPy's DOP853 at tolerances 1e-12 and 1e-13.
LORENZ_CHAOS = 24.0579003879


# Logistic map


def superstable(n, r):
    """Parameter near `r` at which 1/2 has the period 2^n, by Newton's method."""
    cycle = jaxdyn.nth_iterate(models.logistic(), 2**n)

    def miss(r):
        return cycle.with_params(r=r).displacement(0, jnp.array([0.5]))[0]

    step = jax.jit(lambda r: r - jnp.divide(*jax.jvp(miss, (r,), (jnp.ones_like(r),))))
    r = jnp.asarray(r)
    for _ in range(12):
        r = step(r)
    return float(r)


def extrapolated(values):
    """Limit of a sequence that converges geometrically, from each three neighbors (Aitken)."""
    first, second = np.diff(values)[:-1], np.diff(values)[1:]
    return values[2:] - second**2 / (second - first)


def test_superstable_cycles_accumulate_at_the_feigenbaum_point():
    r = [superstable(0, 1.9), superstable(1, 3.2)]
    for n in range(2, 11):
        r.append(superstable(n, r[-1] + (r[-1] - r[-2]) / DELTA))
    r = np.array(r)
    listed = load("fixed_points")["logistic"]["superstable"]
    # Half a unit of digit 15, and the rounding of at most 2^5 steps.
    np.testing.assert_allclose(r[: len(listed)], listed, rtol=0, atol=5e-16 + 2**5 * EPS / 2)
    # At worst the roundings of all 2^10 steps add up. What extrapolation leaves falls at least as fast as the gaps.
    rounding = 2**10 * EPS / 2
    limits = extrapolated(r)
    assert abs(limits[-1] - R_INFINITY) <= abs(limits[-1] - limits[-2]) / (DELTA - 1) + rounding < 4e-13
    gaps = np.diff(r)
    ratios = extrapolated(gaps[:-1] / gaps[1:])
    tolerance = abs(ratios[-1] - ratios[-2]) + 2 * DELTA * rounding / gaps[-1]
    assert abs(ratios[-1] - DELTA) <= tolerance < 2e-6


def test_period_three_is_born_where_its_multiplier_is_one():
    """At r = 1 + sqrt 8: Newton's method for f^3(x) = x with slope one, in x and r."""
    cycle = jaxdyn.nth_iterate(models.logistic(), 3)

    def conditions(z):
        at = cycle.with_params(r=z[1])
        return jnp.stack([at.displacement(0, z[:1])[0], jaxdyn.jacobian(at, z[:1])[0, 0] - 1])

    step = jax.jit(lambda z: z - jnp.linalg.solve(jax.jacfwd(conditions)(z), conditions(z)))
    z = jnp.array([0.51, 3.83])
    for _ in range(10):
        z = step(z)
    assert abs(float(z[0]) - 0.514) < 0.001  # on the 3-cycle, not on the fixed point 0.739
    assert abs(float(z[1]) - (1 + np.sqrt(8))) < 16 * EPS


# Hénon map


@pytest.mark.slow
def test_attractor_of_henon_is_destroyed_between_two_values():
    """10,000 orbits of 20,000 steps, 2e8 in all: none leaves the attractor below the crisis, some do above it."""
    starts = jaxdyn.trajectory(models.henon(), n_steps=10_100).x[101:]

    @jax.jit
    @jax.vmap
    def run(x, a):
        return jaxdyn.final_state(models.henon().with_params(a=a).with_state(x), n_steps=20_000)

    escaped = {}
    for a in CRISIS:
        # The attractor at a = 1.4 is another one: starts that lie outside the basin go first.
        first = run(starts, jnp.full(len(starts), a))
        inside = first.x[np.asarray(first.status) == Status.OK]
        again = run(inside[jnp.arange(10_000) % len(inside)], jnp.full(10_000, a))
        escaped[a] = int(np.sum(np.asarray(again.status) == Status.NON_FINITE))
    assert escaped[CRISIS[0]] == 0
    assert escaped[CRISIS[1]] > 0


# Lorenz system


def returns(rho, dt):
    """Whether an orbit that leaves the origin at x > 0 and crosses to x < 0 ever crosses back."""
    lorenz = models.lorenz63(rho=rho, beta=8 / 3)
    growth = -5.5 + jnp.sqrt(5.5**2 + 10 * (rho - 1))
    direction = jnp.stack([jnp.full_like(growth, 10.0), growth + 10, jnp.zeros_like(growth)])
    lorenz = lorenz.with_state(1e-5 * direction / jnp.linalg.norm(direction))
    every = round(0.05 / dt)  # an excursion takes 0.5
    # A deviation from the unstable cycle grows like exp(0.042 t): 500 is enough for 1e-9 of one.
    x = jaxdyn.trajectory(lorenz, n_steps=round(500 / dt), dt=dt, method=jaxdyn.Tsit5(), save=jaxdyn.Every(every)).x
    return jnp.any((jnp.cumsum(x[:, 0] < 0) > 0) & (x[:, 0] > 0))


def chaos_from(dt):
    """Interval of rho below which the orbit stays on one side and ends at rest, and above which it returns."""
    run = jax.jit(jax.vmap(lambda rho: returns(rho, dt)))
    low, high = 23.9, 24.2
    for _ in range(5):
        rho = np.linspace(low, high, 64)
        returned = np.asarray(run(rho))
        assert not returned[0]
        assert returned[-1]
        assert np.count_nonzero(np.diff(returned)) == 1
        first = int(np.argmax(returned))
        low, high = rho[first - 1], rho[first]
    return low, high


@pytest.mark.slow
def test_chaotic_attractor_of_lorenz_is_born_in_a_heteroclinic_orbit():
    """From the origin to the unstable cycle: below, orbits of the origin spiral into rest; above, none gets inside."""
    coarse = np.mean(chaos_from(0.01))
    low, high = chaos_from(0.005)
    fine = np.mean((low, high))
    # Fifth order: the finer step errs by a 31st of the difference; 1e-9 each of the finite time and of the reference.
    tolerance = abs(fine - coarse) / 31 + (high - low) + 2e-9
    assert abs(fine - LORENZ_CHAOS) <= tolerance < 1e-8
