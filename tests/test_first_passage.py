"""First-passage times beside their exact laws: flows, maps, Brownian motion, Ornstein-Uhlenbeck, a double well."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

import jaxdyn
from jaxdyn import EulerMaruyama, Native, Status, Vmap, Xla, first_passage, models, sde
from jaxdyn.methods import StochasticHeun


def brownian(mu=1.0, sigma=1.0):
    return sde(lambda t, x, p: (p["mu"],), lambda t, x, p: (p["sigma"],), {"mu": mu, "sigma": sigma}, [0.0])


def times(system, of, level, *, n=100_000, **steps):
    """First-passage times of many seeds, all of which arrive."""
    wait = functools.partial(first_passage, of=of, level=level, **steps)
    found = jaxdyn.lanes(lambda seed: wait(system.with_params(seed=seed)))(jnp.arange(n, dtype=jnp.int32))
    assert np.all(np.asarray(found.status) == Status.OK)
    return np.asarray(found.time).astype(float)


def mean_error(values):
    return values.mean(), values.std() / len(values) ** 0.5


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_brownian_motion_with_drift_is_exact_for_every_step(dt):
    """Inverse Gaussian: mean level/mu, shape (level/sigma)^2. One fixed sample of 1e5."""
    found = times(brownian(0.8, 0.5), 0, 1.2, n_steps=int(50 / dt), dt=dt)
    mean, shape = 1.2 / 0.8, (1.2 / 0.5) ** 2
    assert stats.kstest(found, stats.invgauss(mean / shape, scale=shape).cdf).pvalue > 1e-3
    assert abs(found.mean() - mean) < 4 * found.std() / len(found) ** 0.5


def test_both_sides_of_an_interval(x64):
    """Mean time of leaving (-1, 1) without drift: 1 - x0^2; the bridge sees one end of the interval at a time."""
    system = brownian(0.0).with_state([0.3])
    mean, error = mean_error(times(system, lambda x: jnp.abs(x[0]), 1.0, n_steps=1000, dt=0.02))
    assert abs(mean - 0.91) < 4 * error


def siegert(level):
    """Mean time from 0 to `level` of dx = -x dt + dW (Siegert 1951)."""
    return np.pi**0.5 * integrate.quad(lambda u: np.exp(u * u) * (1 + special.erf(u)), 0, level)[0]


def ornstein_uhlenbeck(dt, method, bridge):
    """Excess over the exact mean time from the mean to one amplitude above it, and its standard error."""
    run = {"n_steps": int(150 / dt), "dt": dt, "method": method, "bridge": bridge}
    mean, error = mean_error(times(models.ornstein_uhlenbeck(), "x", 1.0, **run))
    return mean - siegert(1.0), error


def test_without_the_bridge_times_err_by_the_root_of_the_step(x64):
    """Watched at the steps only, the level is 0.5826 sigma sqrt(dt) farther away (Broadie, Glasserman & Kou 1997).

    With a method whose own error is of second order; what is left is of first order, below dt / 2 here.
    """
    assert siegert(1.0) == pytest.approx(4.0377283, abs=1e-7)
    for dt in (0.16, 0.04):
        excess, error = ornstein_uhlenbeck(dt, StochasticHeun(), bridge=False)
        assert excess > 50 * error
        assert abs(excess - (siegert(1 + 0.5826 * dt**0.5) - siegert(1.0))) < 4 * error + dt / 2


def test_with_the_bridge_times_err_by_the_step(x64):
    """By Euler's steps in first order, a fourth in a quarter of the step; nothing is seen of it with Heun's."""
    (coarse, _), (fine, error) = (ornstein_uhlenbeck(dt, EulerMaruyama(), bridge=True) for dt in (0.16, 0.04))
    assert coarse < -20 * error and abs(fine - coarse / 4) < 4 * error + 0.1 * abs(coarse)  # and second order
    excess, error = ornstein_uhlenbeck(0.16, StochasticHeun(), bridge=True)
    assert abs(excess) < 4 * error


def test_leaving_a_well(x64):
    """Mean time from one well to the other by quadrature; Kramers' rate has 11 % too few of them at this noise."""
    sigma = 0.6

    def weight(x):
        return np.exp(-2 * (x**4 / 4 - x**2 / 2) / sigma**2)

    inner = lambda y: integrate.quad(weight, -5, y, points=[-1])[0]  # noqa: E731
    exact = 2 / sigma**2 * integrate.quad(lambda y: inner(y) / weight(y), -1, 1)[0]
    system = models.double_well(sigma=sigma)
    mean, error = mean_error(times(system, "x", 1.0, n_steps=20_000, dt=0.05, n=20_000))
    assert abs(mean - exact) < 4 * error + 0.05 * exact / 2


def test_flows_are_interpolated(x64):
    decay = jaxdyn.flow(lambda t, x, p: -p["k"] * x, {"k": 1.0}, [1.0], state_names=["x"])
    found = first_passage(decay, "x", 0.5, n_steps=1000, dt=0.01)
    assert float(found.time) == pytest.approx(np.log(2), abs=0.01**2)
    assert int(found.status) == Status.OK and found.x.shape == (1,) and float(found.x[0]) <= 0.5
    upward = first_passage(decay.with_params(k=-1.0), "x", 2.0, n_steps=1000, dt=0.01, t0=3.0)
    assert float(upward.time) == pytest.approx(np.log(2), abs=0.01**2)  # from the start, whenever that is
    wait = functools.partial(first_passage, of="x", level=0.5, n_steps=1000, dt=0.01)
    slope = jax.jvp(lambda k: wait(decay.with_params(k=k)).time, (1.0,), (1.0,))
    assert float(slope[1]) == pytest.approx(-np.log(2), abs=0.01)  # of log(2) / k


def test_maps_arrive_at_a_step():
    doubling = jaxdyn.iterated_map(lambda n, x, p: 2 * x, {}, [1.0])
    found = first_passage(doubling, 0, 100.0, n_steps=20)
    assert float(found.time) == 7 and float(found.x[0]) == 128 and int(found.status) == Status.OK


def test_noise_that_does_not_reach_what_is_watched_leaves_it_interpolated(x64):
    """The recovery variable has no noise of its own: with and without the bridge are the same."""
    system = models.noisy_fitzhugh_nagumo(sigma=0.3)
    bridged, plain = (first_passage(system, "w", 0.0, n_steps=5_000, dt=0.02, bridge=b) for b in (True, False))
    assert float(bridged.time) == float(plain.time) > 0


def test_what_becomes_of_runs_that_do_not_arrive():
    late = first_passage(brownian(-1.0), 0, 5.0, n_steps=100, dt=0.1)
    assert int(late.status) == Status.NOT_CONVERGED and np.isnan(late.time)
    broken = first_passage(models.logistic(r=5.0), "x", 2.0, n_steps=100)
    assert int(broken.status) == Status.OK or np.isnan(broken.time)
    grown = first_passage(jaxdyn.flow(lambda t, x, p: x**3, {}, [1.0]), 0, -1.0, n_steps=100, dt=1.0)
    assert int(grown.status) == Status.NON_FINITE and np.isnan(grown.time)
    with pytest.raises(jaxdyn.FailedLanesError, match="NOT_CONVERGED"):
        jaxdyn.raise_if_failed(late)


def test_what_is_watched_may_end_before_the_run():
    """A logarithm of a negative number ends the search, of its lane only; more steps would not help."""
    log = functools.partial(first_passage, of=lambda x: jnp.log(x[0]), level=1.0, n_steps=5000, dt=0.01)
    found = jaxdyn.lanes(lambda start: log(brownian(1.0).with_state([start])))(jnp.array([-1.0, 2.0, jnp.nan]))
    assert list(found.status) == [Status.NON_FINITE, Status.OK, Status.NON_FINITE]
    assert list(np.isfinite(found.time)) == [False, True, False]
    levels = jnp.array([0.5, jnp.nan])
    found = jaxdyn.lanes(lambda level: first_passage(brownian(1.0), 0, level, n_steps=5000, dt=0.01))(levels)
    assert list(found.status) == [Status.OK, Status.NON_FINITE]


def test_a_start_on_the_level_has_passed():
    found = first_passage(brownian(), 0, 0.0, n_steps=10, dt=0.1)
    assert float(found.time) == 0 and int(found.status) == Status.OK and float(found.x[0]) == 0


def test_engines_agree_with_a_loop(x64):
    system = models.noisy_fitzhugh_nagumo()

    def wait(seed, level):
        return first_passage(system.with_params(seed=seed), "v", level, n_steps=400, dt=0.05)

    seeds, levels = jnp.arange(6, dtype=jnp.int32), jnp.linspace(-1.2, -0.4, 6)
    each = [wait(seed, level) for seed, level in zip(seeds, levels, strict=True)]
    for engine in (Vmap(), Xla(block=2), Native(vectors=1)):
        found = jaxdyn.lanes(wait, engine=engine)(seeds, levels)
        for i, one in enumerate(each):
            np.testing.assert_allclose(found.time[i], one.time, rtol=1e-10)
            np.testing.assert_allclose(found.x[i], one.x, rtol=1e-10)
            assert int(found.status[i]) == int(one.status)
    assert {int(one.status) for one in each} == {Status.OK, Status.NOT_CONVERGED}


def test_sweeps_name_what_they_hold():
    wait = functools.partial(first_passage, of="x", level=0.5, n_steps=2000, dt=0.01)
    found = jaxdyn.sweep(wait, models.ornstein_uhlenbeck(), {"sigma": [0.5, 1.0], "seed": range(5)}, progress=False)
    assert found.time.dims == ("sigma", "seed") and found.x.dims == ("sigma", "seed", "state")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"of": "q"}, TypeError, "has no state 'q'"),
        ({"of": 3}, ValueError, "so an index is 0 to 0, got 3"),
        ({"of": None}, TypeError, "Boundary watches a state by its name or index"),
        ({"of": lambda x: x}, ValueError, "watches one real number"),
        ({"level": float("nan")}, ValueError, "level of first_passage must be one finite number"),
        ({"level": "high"}, TypeError, "level of first_passage must be a number"),
        ({"n_steps": 0}, ValueError, "n_steps must be a whole number of at least 1"),
        ({"dt": None}, TypeError, "a flow needs its step"),
    ],
)
def test_what_is_refused(arguments, error, message, unchecked):
    with pytest.raises(error, match=message):
        first_passage(models.ornstein_uhlenbeck(), **{"of": "x", "level": 1.0, "n_steps": 10, "dt": 0.1} | arguments)
