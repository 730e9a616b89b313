"""Limit cycles by Newton's method on trajectories, their periods and folds; flips of the two learners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models

pytestmark = pytest.mark.usefixtures("x64")

EPS = np.finfo(np.float64).eps

# Stable cycle of FitzHugh-Nagumo: current and period, accurate to 1e-8; independent continuation and shooting.
CYCLES = [
    (0.328, 49.53825507),
    (0.33, 48.81021017),
    (0.34, 46.79189984),
    (0.35, 45.61050098),
    (0.4, 42.44341108),
    (0.5, 39.47441498),
    (0.6, 37.89199741),
    (0.7, 36.97875167),
    (0.8, 36.51803247),
    (0.875, 36.41830262),
    (1.0, 36.69879442),
    (1.2, 38.57584317),
    (1.4, 45.61050098),
]
SLOWEST = 162.83707  # van der Pol, mu = 100: period
SPIKES_FROM = 0.3241785  # FitzHugh-Nagumo, to 1e-7
AXON_SPIKES_FROM = 6.2642  # Hodgkin-Huxley


# Van der Pol


def zeros(system, dt, n_steps, n):
    """Times of the first `n` zeros of the first state; the last step, which ends on the zero, is of full order too."""
    x = np.asarray(jaxdyn.trajectory(system, n_steps=n_steps, dt=dt, method=jaxdyn.Tsit5()).x)
    before = np.flatnonzero(x[:-1, 0] * x[1:, 0] < 0)[:n]
    times = []
    for i in before:
        length = dt / 2
        for _ in range(8):
            end = jaxdyn.final_state(system.with_state(x[i]), n_steps=1, dt=length, method=jaxdyn.Tsit5()).x
            length -= float(end[0] / system(0.0, end)[0])
        times.append(i * dt + length)
    return np.array(times)


def test_period_of_stiff_van_der_pol():
    """Twice the time between two zeros, as the equations are odd; a cycle attracts like exp(-mu t)."""
    system = models.van_der_pol(mu=100.0)
    coarse, fine = (2 * np.diff(zeros(system, dt, round(165 / dt), 2))[0] for dt in (1e-3, 5e-4))
    # Fifth order: the finer step errs by a 31st of the difference; the value is given to half a unit of decimal 5.
    tolerance = abs(fine - coarse) / 31 + 5e-6
    assert abs(fine - SLOWEST) <= tolerance < 6e-6


# Cycles of neurons


def crossing(system, level, *, down=False, t1, dt):
    """Other states at the last passage of the first state through `level`, and time since the passage before."""
    x = np.asarray(jaxdyn.trajectory(system, n_steps=round(t1 / dt), dt=dt).x)
    sign = -1 if down else 1
    i = np.flatnonzero((sign * x[:-1, 0] < sign * level) & (sign * x[1:, 0] >= sign * level))
    part = (level - x[i, 0]) / (x[i + 1, 0] - x[i, 0])
    return (x[i] + part[:, None] * (x[i + 1] - x[i]))[-1, 1:], dt * np.diff(i + part)[-1]


def misses(system, level, others, period, current, n_steps):
    """How far an orbit that starts at (level, others) is from its start after a period."""
    x = jnp.concatenate([jnp.full((1,), level), others])
    here = system.with_params(I=current).with_state(x)
    return jaxdyn.final_state(here, n_steps=n_steps, dt=period / n_steps, method=jaxdyn.Tsit5()).x - x


def solver(f):
    """One step of Newton's method for f(z, s) = 0 in z, how z follows s, and what was missed before the step."""

    @jax.jit
    def step(z, s):
        missed, along = jax.jvp(lambda s: f(z, s), (s,), (jnp.ones_like(s),))
        slopes = jax.jacfwd(f)(z, s)
        return z - jnp.linalg.solve(slopes, missed), -jnp.linalg.solve(slopes, along), jnp.abs(missed).max()

    return step


@pytest.mark.slow
def test_periods_of_the_stable_cycle():
    current, period = np.array(CYCLES).T
    guesses = [crossing(models.fitzhugh_nagumo(I=i, x0=[2.0, 0.0]), 0.0, t1=400.0, dt=0.05) for i in current]
    guesses = jnp.array([[others[0], time] for others, time in guesses])

    def periods(n_steps):
        def f(z, i):
            return misses(models.fitzhugh_nagumo(), 0.0, z[:1], z[1], i, n_steps)

        step, z = jax.vmap(solver(f)), guesses
        for _ in range(6):
            z, _, missed = step(z, current)
        assert float(missed.max()) < 1e-12
        return np.asarray(z[:, 1])

    coarse, fine = periods(500), periods(1000)
    step_error = np.abs(fine - coarse) / 31  # fifth order
    assert step_error.max() < 1e-8
    assert np.all(np.abs(fine - period) <= step_error + 1e-8)


def test_equations_are_symmetric_about_half_the_sum_of_the_hopf_currents():
    """(v, w, I) -> (-v, 2 a/b - w, 2 a/b - I): what holds at 0.3241785 holds at 1.75 - 0.3241785 = 1.4258215."""
    mirror = 2 * 0.7 / 0.8
    for v, w, current in np.random.default_rng(1).uniform(-2, 2, (20, 3)):
        here = models.fitzhugh_nagumo(I=current)(0.0, jnp.array([v, w]))
        there = models.fitzhugh_nagumo(I=mirror - current)(0.0, jnp.array([-v, mirror - w]))
        np.testing.assert_allclose(there, -here, rtol=0, atol=32 * EPS)


def growth_over_a_period(current, w, period):
    """Logarithm of the multiplier of a cycle in the plane: the divergence, integrated."""
    system = models.fitzhugh_nagumo().with_params(I=current).with_state(jnp.stack([jnp.full_like(w, -1.0), w]))
    v = jaxdyn.trajectory(system, n_steps=4000, dt=period / 4000, method=jaxdyn.Tsit5()).x[:-1, 0]
    return period * jnp.mean(1 - v**2 - 0.8 / 12.5)


def follow(step, points, value):
    """Append the solution for the next value, started from the parabola through the last three points."""
    known, solutions = np.array([p[0] for p in points[-3:]]), np.array([p[1] for p in points[-3:]])
    others = [[k for k in known if k != own] for own in known]
    weights = [np.prod([(value - k) / (own - k) for k in rest]) for own, rest in zip(known, others, strict=True)]
    z, tried = jnp.asarray(weights @ solutions), []
    for _ in range(6):
        before = z
        z, _, missed = step(z, jnp.asarray(value))
        tried.append((float(missed), np.asarray(before)))
    missed, best = min(tried, key=lambda pair: pair[0])
    # Roundings, of the current too, are some 1e-16 and grow by exp(28) = 1e12 along the unstable branch.
    assert missed < 1e-3
    points.append((value, best))


@pytest.mark.slow
def test_stable_cycle_ends_in_a_fold():
    """Followed to longer periods, then past the longest one: its multiplier is one where the current is least.

    The last part happens within 1e-8 of that current, while the cycle shrinks along the unstable branch of the
    nullcline and its period is anything between 63 and 69; at the fold itself it is 68.5.
    """
    system, level, start = models.fitzhugh_nagumo(x0=[2.0, 0.0]), -1.0, SPIKES_FROM + 1e-7
    others, period = crossing(system.with_params(I=start), level, down=True, t1=1000.0, dt=0.02)
    by_period = solver(lambda z, t: misses(system, level, z[:1], t, z[1], 4000))
    by_w = solver(lambda z, w: misses(system, level, w[None], z[0], z[1], 4000))
    grown = jax.jit(growth_over_a_period)
    points = [(float(period), np.array([others[0], start]))]
    for value in np.arange(period + 0.25, 68.1, 0.25):
        follow(by_period, points, value)
    assert all(abs(z[1] - SPIKES_FROM) <= 1e-7 for t, z in points if t > 65)
    assert float(grown(points[-1][1][1], points[-1][1][0], points[-1][0])) < 0  # stable
    points = [(z[0], np.array([t, z[1]])) for t, z in points[-3:]]
    while points[-1][0] > 1.05:
        w = points[-1][0]
        follow(by_w, points, w - min(0.01, 0.15 * (1.19 - w)))
    growth = np.array([float(grown(z[1], w, z[0])) for w, z in points])
    current = np.array([z[1] for _, z in points])
    assert growth[-1] > 0  # unstable
    first = int(np.argmax(growth > 0))
    assert int(np.argmin(current)) in (first - 1, first)
    assert abs(current.min() - SPIKES_FROM) <= 1e-7


@pytest.mark.slow
def test_lowest_current_with_spiking_of_the_axon():
    """Fold of the cycle, where the current no longer changes with the period."""
    level = 30.0

    def fold(n_steps):
        start = models.hodgkin_huxley(I=6.5, x0=[80.0, 0.9, 0.4, 0.4])
        others, period = crossing(start, level, t1=300.0, dt=0.02)
        step = solver(lambda z, t: misses(start, level, z[:3], t, z[3], n_steps))
        z, times, slopes = jnp.array([*others, 6.5]), [float(period)], []
        for _ in range(16):
            for _ in range(5):
                z, along, missed = step(z, jnp.asarray(times[-1]))
            assert float(missed) < 1e-6  # mV: rounding of 100 mV grows by 1e7 on the way to the unstable cycle
            slopes.append(float(along[3]))
            if abs(slopes[-1]) < 1e-7:  # from the fold by about 1e-6 of the period, 1e-13 of the current
                break
            # By 0.25 to where the slope is small, then by the secant.
            far = slopes[-1] < -0.05
            change = 0.25 if far else -slopes[-1] * (times[-1] - times[-2]) / (slopes[-1] - slopes[-2])
            z = z + along * change
            times.append(times[-1] + change)
        assert abs(slopes[-1]) < 1e-7
        return float(z[3])

    coarse, fine = fold(500), fold(1000)
    tolerance = abs(fine - coarse) / 31 + 0.5e-4
    assert abs(fine - AXON_SPIKES_FROM) <= tolerance < 0.6e-4


# Two learners


def at_minimum(gamma_k, gamma_w, sigma=0.5):
    """Multipliers at the positive minimum k = w = sqrt(1 - sigma) of equal penalties."""
    params = {"sigma_k": sigma, "sigma_w": sigma, "gamma_k": gamma_k, "gamma_w": gamma_w}
    return np.asarray(multipliers_at(params, np.sqrt([1 - sigma] * 2)))


@jax.jit
def multipliers_at(params, x):
    return jaxdyn.eigenvalues(models.two_learner_descent().with_params(**params), x)


def test_descent_flips_at_two_over_the_largest_curvature():
    """Rates scaled to 2 / lambda_max(Gamma^(1/2) H Gamma^(1/2)) have the multiplier -1."""
    for sigma, gamma_k, gamma_w in np.random.default_rng(2).uniform([0.1, 0.1, 0.1], [0.9, 1, 1], (6, 3)):
        hessian = np.array([[1, 1 - 2 * sigma], [1 - 2 * sigma, 1]])
        roots = np.sqrt([gamma_k, gamma_w])
        critical = 2 / np.linalg.eigvalsh(roots[:, None] * hessian * roots)[-1]
        multipliers = at_minimum(critical * gamma_k, critical * gamma_w, sigma)
        assert abs(multipliers.real.min() + 1) < 32 * EPS


def test_bifurcations_on_the_diagonal_are_those_of_the_cubic_map():
    """u+ = a u - u^3 with a = 1 + gamma / 2: pitchfork at 1, flips at 2 and, of the 2-cycle, at sqrt 5."""
    origin = models.two_learner_descent(sigma_k=1.0, sigma_w=1.0, gamma_k=0.7, gamma_w=0.7)  # a = 1
    assert np.abs(np.asarray(jaxdyn.eigenvalues(origin, [0.0, 0.0])) - 1).min() < 8 * EPS
    assert np.abs(at_minimum(2.0, 2.0) + 1).min() < 32 * EPS  # a = 2
    a = np.sqrt(5)
    gamma = 2 * (a - 1)
    system = models.two_learner_descent(gamma_k=gamma, gamma_w=gamma)
    # The two points have the product 1 and squares of sum a.
    u = (np.sqrt(a + 2) + np.array([1, -1]) * np.sqrt(a - 2)) / 2
    for k, other in (u, u[::-1]) / np.sqrt(gamma):
        np.testing.assert_allclose(system(0, jnp.array([k, k])), [other, other], rtol=0, atol=16 * EPS)
        slopes = jaxdyn.jacobian(jaxdyn.nth_iterate(system, 2), [k, k])
        np.testing.assert_allclose(slopes @ jnp.ones(2), [-1, -1], rtol=0, atol=256 * EPS)
