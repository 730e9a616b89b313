"""Bifurcations found by Newton's method on what jaxdyn differentiates: flips of cycles, cycles of the neuron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn

N_STEPS = 2000  # of Tsit5 a period: error below 1e-9 for these cycles

# Values computed independently with mpmath; Feigenbaum 1978, Journal of Statistical Physics 19, 25-52.
FLIPS = [
    3.0,
    3.449489742783178098,
    3.544090359551922854,
    3.564407266095432598,
    3.568759419543826431,
    3.569691609801396714,
    3.569891259378120487,
    3.569934018373976401,
    3.569943176048401636,
]


def newton(f, z, n):
    for _ in range(n):
        z = z - jnp.linalg.solve(jax.jacfwd(f)(z), f(z))
    return z


def flip(system, period, r):
    """Parameter at which the cycle of this period, stable at `r`, has the multiplier -1."""
    cycle = jaxdyn.nth_iterate(system, period)
    orbit = jaxdyn.trajectory(system.with_params(r=r), n_steps=20_000).x[-period:]
    start = orbit[jnp.argmin(jnp.abs(orbit[:, 0] - 0.5))]

    def f(z):
        at = cycle.with_params(r=z[1])
        return jnp.stack([at.displacement(0, z[:1])[0], jaxdyn.jacobian(at, z[:1])[0, 0] + 1])

    step = jax.jit(lambda z: newton(f, z, 1))
    z = jnp.append(start, r)
    for _ in range(20):
        z = step(z)
    return float(z[1])


@pytest.mark.slow
def test_nine_period_doublings_of_the_logistic_map(x64):
    logistic = jaxdyn.models.logistic(x0=[0.5])
    found = []
    for k in range(9):
        r = (2.9, 3.43)[k] if k < 2 else found[-1] + 0.93 * (found[-1] - found[-2]) / 4.669
        found.append(flip(logistic, 2**k, r))
    # Rounding 1e-16 of the orbit, times the multiplier's slope of period 2^8 relative to its own parameter scale.
    np.testing.assert_allclose(found, FLIPS, rtol=0, atol=2e-14)
    gaps = np.diff(found)
    # The last gap is 9e-6, so 2e-14 in the flips is 1e-8 in the ratio.
    assert gaps[-2] / gaps[-1] == pytest.approx(4.66919808, abs=2e-8)


def rest(current):
    return jaxdyn.fixed_points(jaxdyn.models.fitzhugh_nagumo(I=current)).x[0]


def after_a_period(current, x, period):
    system = jaxdyn.models.fitzhugh_nagumo(I=current).with_state(x)
    return jaxdyn.final_state(system, n_steps=N_STEPS, dt=period / N_STEPS, method=jaxdyn.Tsit5()).x


def closes(w, period, current):
    """How far the orbit through (v of rest, w) misses its start."""
    x = jnp.stack([rest(current)[0], w])
    return after_a_period(current, x, period) - x


@pytest.mark.slow
def test_unstable_cycles_between_rest_and_spiking(x64):
    # current, period and multiplier to the digits given; starts below rest by guesses of the amplitude.
    rows = [(0.331, 22.96540, 1.01082), (0.33, 23.58106, 1.05605), (0.328, 25.14206, 1.19904)]

    @jax.jit
    def cycle(current, period, depth):
        z = jnp.stack([rest(current)[1] - depth, period])
        z = newton(lambda u: closes(u[0], u[1], current), z, 12)
        x = jnp.stack([rest(current)[0], z[0]])
        multiplier = jnp.linalg.det(jax.jacfwd(lambda y: after_a_period(current, y, z[1]))(x))
        return z, multiplier, closes(z[0], z[1], current)

    depths = jnp.linspace(0.01, 0.3, 24)
    for current, period, multiplier in rows:
        z, found, miss = jax.vmap(lambda d, i=current, t=period: cycle(i, t + 0.01, d))(depths)
        depth = np.abs(np.asarray(z[:, 0]) - float(rest(current)[1]))
        good = (np.abs(miss).max(1) < 1e-9) & (depth > 1e-3) & (np.abs(z[:, 1] - period) < 0.5)
        assert good.any()
        np.testing.assert_allclose(z[good, 1], period, rtol=0, atol=6e-6)
        np.testing.assert_allclose(found[good], multiplier, rtol=0, atol=6e-6)


@pytest.mark.slow
def test_lowest_current_with_spiking(x64):
    """Spiking cycles followed to longer periods: their current falls to 0.3241785(1), where they meet the unstable."""

    @jax.jit
    def at_period(guess, period):
        return newton(lambda u: closes(u[0], period, u[1]), guess, 6)

    points = [at_period(jnp.array([1.20443112, 0.328]), 49.53825507)]  # the cycle at I = 0.328, section through rest
    periods = np.arange(50.0, 63.1, 0.5)
    for period in periods:
        guess = points[-1] if len(points) < 2 else 2 * points[-1] - points[-2]
        points.append(at_period(guess, period))
    currents = np.array([float(point[1]) for point in points])
    assert np.all(np.diff(currents) < 0)
    # The current changes by less than 1e-8 over the last unit of the period, and is flat at the fold.
    assert currents[-1] == pytest.approx(0.3241785, abs=1e-7)
