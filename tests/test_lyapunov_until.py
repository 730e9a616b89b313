"""Lyapunov spectra that stop by themselves: the rule, lanes that stop at different times, limits, errors."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, StdError, lyapunov_spectrum, models
from jaxdyn.analysis.until import Until

N_TABLE = 20_000


def correlated(correlation, seed, n=N_TABLE):
    """Random numbers, each `correlation` times the last one plus something new; variance 1, mean 0.3."""
    rng = np.random.default_rng(seed)
    values = np.empty(n)
    values[0] = rng.standard_normal()
    for i, new in enumerate(rng.standard_normal(n - 1) * np.sqrt(1 - correlation**2)):
        values[i + 1] = correlation * values[i] + new
    return values + 0.3


def given_growth(tables):
    """Map that stays at 0 while tangent vectors along the axes grow as the tables, (step, dim), say."""
    return jaxdyn.iterated_map(
        lambda n, x, p: jnp.exp(p["growth"][n]) * x, {"growth": np.asarray(tables)}, np.zeros(np.shape(tables)[1])
    )


def stopped(growth, tolerance, n_least):
    """The rule in numpy, for one exponent: batches of all steps at every look."""
    length = min(math.ceil(n_least / 20), len(growth) // 20)
    while True:
        for n in (20, 24, 28, 32):
            if n * length > len(growth):
                break
            batches = growth[: n * length].reshape(n, length).mean(axis=1)
            pairs = batches.reshape(n // 2, 2).mean(axis=1)
            error = max(b.std(ddof=1) / np.sqrt(len(b)) for b in (batches, pairs))
            if error <= tolerance:
                return n, length, error, True
        if n * length > len(growth) or 17 * 2 * length > len(growth):
            n = min(32, len(growth) // length)
            batches = growth[: n * length].reshape(n, length).mean(axis=1)
            return n, length, None, False
        length *= 2


@pytest.mark.parametrize(("correlation", "n_least"), [(0.0, 200), (0.0, 339), (0.95, 200), (0.95, 1_000), (-0.8, 200)])
def test_the_rule_is_what_it_says(correlation, n_least, x64):
    """Against numpy on known growth, for tolerances from met at once to never met, in one call."""
    growth = correlated(correlation, seed=5)
    tolerances = np.geomspace(0.003, 1.0, 40) * np.sqrt((1 + correlation) / (1 - correlation))
    system = given_growth(growth[:, None])

    @jax.jit
    @jax.vmap
    def run(tolerance):
        until = StdError(tolerance, n_least=n_least)
        return lyapunov_spectrum(system, n_steps=N_TABLE, n_transient=0, until=until)

    got = run(tolerances)
    expected = [stopped(growth, tolerance, n_least) for tolerance in tolerances]
    n_batches, length, error, converged = map(np.array, zip(*expected, strict=True))
    np.testing.assert_array_equal(got.n_averaged, n_batches * length)
    np.testing.assert_array_equal(got.status, np.where(converged, Status.OK, Status.NOT_CONVERGED))
    assert 0 < converged.sum() < len(tolerances) and len(set(length[converged])) > 2
    np.testing.assert_allclose(np.asarray(got.std_error)[converged, 0], error[converged].astype(float), rtol=1e-9)
    for i, n in enumerate(np.asarray(got.n_averaged)):
        np.testing.assert_allclose(got.exponents[i, 0], growth[:n].mean(), rtol=1e-11)
        times = length[i] * np.arange(1, n_batches[i] + 1)
        missing = 32 - n_batches[i]
        assert np.isnan(got.running_time[i, :missing]).all() and np.isnan(got.running[i, :missing]).all()
        np.testing.assert_array_equal(got.running_time[i, missing:], times)
        means = np.cumsum(growth)[times - 1] / times
        np.testing.assert_allclose(got.running[i, missing:, 0], means, rtol=1e-10)
        assert got.running[i, -1, 0] == got.exponents[i, 0]


def test_pairs_of_batches_guard_against_short_ones(x64):
    """With batches of a few steps and a correlation time of 40 the batches alone would often stop at the first look."""
    tables = np.stack([correlated(0.95, seed, n=400) for seed in range(200)])[:, :, None]
    system = given_growth(tables[0])
    found = jax.jit(
        jax.vmap(
            lambda g: lyapunov_spectrum(
                system.with_params(growth=g), n_steps=400, n_transient=0, until=StdError(0.2, n_least=400)
            )
        )
    )(tables)
    means = tables.reshape(200, 20, 20).mean(axis=2)
    errors = [b.std(axis=1, ddof=1) / np.sqrt(b.shape[1]) for b in (means, means.reshape(200, 10, 2).mean(axis=2))]
    early, late = errors[0] <= 0.2, errors[1] <= 0.2
    # There is one look: all is decided by these errors, and only guarded against.
    np.testing.assert_array_equal(np.asarray(found.status) == Status.OK, early & late)
    assert 0 < (early & late).sum() < early.sum()


@pytest.mark.slow
def test_tolerances_of_each_exponent_belong_to_the_order_of_the_results(x64):
    """The noisy direction is the second vector of the frame, and comes first in the results."""
    noise = correlated(0.0, seed=2)
    tables = np.stack([0 * noise, noise + 1], axis=1)

    def run(tolerance):
        until = StdError(tolerance, n_least=200)
        return lyapunov_spectrum(given_growth(tables), n_steps=N_TABLE, n_transient=400, until=until)

    loose, tight, one = run([0.1, 1e-9]), run([0.01, 1e-9]), run(0.1)
    assert loose.status == tight.status == Status.OK
    assert loose.n_averaged == one.n_averaged < tight.n_averaged
    # Vectors that have not found their order yet: the second one has grown more.
    rule = Until(jnp.array([0.1, 0.01]), 0, 1, 1)
    growth = jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(rule._meets(growth, jnp.array([0.01, 0.1])), [True, True])
    np.testing.assert_array_equal(rule._meets(growth, jnp.array([0.02, 0.05])), [False, True])
    swapped = run([1e-9, 0.1])
    assert swapped.status == Status.NOT_CONVERGED and swapped.n_averaged == 19_840


# Lanes

STARTS = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2))
TOLERANCES = np.array([0.05, 0.015, 0.01, 0.005, 1e-6])


def henon(x0, tolerance):
    until = StdError(tolerance, n_least=200)
    system = models.henon().with_state(x0)
    return lyapunov_spectrum(system, n_steps=20_000, n_transient=20, qr_every=2, n_exponents=1, until=until)


@pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)])
def test_lanes_stop_at_different_times_and_harm_no_other(engine, x64):
    """A lane gives what it gives alone; one of them leaves the finite numbers and one never stops.

    The engines round differently and chaos shows it: a lane alone goes through the same engine.
    """
    run = jaxdyn.lanes(henon, engine=engine)
    starts = STARTS.copy()
    starts[2] = np.nan
    together = run(starts, TOLERANCES)
    ok, limit, bad = int(Status.OK), int(Status.NOT_CONVERGED), int(Status.NON_FINITE)
    np.testing.assert_array_equal(together.status, [ok, ok, bad, ok, limit])
    n = np.asarray(together.n_averaged)
    assert n[0] < n[1] < n[3] < n[4] and n[2] == 10 and n[4] > 18_700
    assert np.isnan(together.exponents[2]).all()
    for i in (0, 1, 3):
        alone = run(np.repeat(starts[i][None], 5, axis=0), np.repeat(TOLERANCES[i], 5))
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_array_equal(a[i], b[i])


def test_the_numbers_at_the_limit_are_those_of_an_ordinary_run(x64):
    """Henon at a = 1, a cycle of period 4, so that rounding does not grow."""
    system = models.henon(a=1.0)
    found = lyapunov_spectrum(system, n_steps=990, n_transient=100, until=StdError(1e-30, n_least=100))
    assert found.status == Status.NOT_CONVERGED and found.n_averaged == 960
    ordinary = lyapunov_spectrum(system, n_steps=960, n_transient=100)
    assert ordinary.n_averaged == 960
    np.testing.assert_allclose(found.exponents, ordinary.exponents, rtol=1e-12)
    with pytest.raises(jaxdyn.FailedLanesError, match="NOT_CONVERGED; allow more iterations or steps, or a larger"):
        jaxdyn.raise_if_failed(found)


def test_new_tolerances_compile_nothing(x64):
    calls = []

    def field(n, x, p):
        calls.append(None)
        return 1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]

    system = jaxdyn.iterated_map(field, {}, [0.1, 0.1])
    found = [lyapunov_spectrum(system, n_steps=9_000, until=StdError(t, n_least=400)) for t in (0.01, 0.005)]
    traced = len(calls)
    found.append(lyapunov_spectrum(system, n_steps=9_000, until=StdError(0.0025, n_least=400)))
    assert len(calls) == traced
    assert found[0].n_averaged < found[1].n_averaged < found[2].n_averaged


def test_sweeps_may_vary_the_tolerance():
    def measure(s):
        return lyapunov_spectrum(s, n_steps=4_000, until=StdError(0.02, n_least=200))

    cells = jaxdyn.sweep(measure, models.logistic(), {"r": [2.9, 3.9, 4.0]})
    n = cells["n_averaged"].values
    assert n[0] == 200 < n[1] and cells["n_averaged"].attrs["long_name"] == "averaged steps"
    assert np.all(cells["status"].values == Status.OK) and np.all(cells["std_error"].values <= 0.02)


# Special orbits, precision


def test_a_superstable_orbit_stops_at_the_first_look(x64):
    run = lyapunov_spectrum(models.logistic(r=2.0, x0=[0.5]), n_steps=10_000, until=StdError(1e-3, n_least=200))
    assert run.exponents[0] == -np.inf and run.status == Status.OK and run.n_averaged == 200


def test_an_orbit_that_diverges_later_stops_there(x64):
    """It is over in its first batch; going on to the limit would take minutes."""
    run = lyapunov_spectrum(models.logistic(r=4.2), n_steps=2_000_000_000, n_transient=0, until=StdError(1e-3))
    assert run.status == Status.NON_FINITE and run.n_averaged == 500


def test_long_float32_runs_lose_no_digits(x64):
    """Constant growth is exact whatever the length; the error is rounding, 32 differences of totals up to 1e5."""
    system = models.linear_map(A=[[0.7, 0.0], [0.0, 0.3]], dtype=jnp.float32, x0=[0.0, 0.0])
    run = lyapunov_spectrum(system, n_steps=300_000, n_transient=3_200, until=StdError(1e-12, n_least=2_000))
    assert run.n_averaged > 280_000
    np.testing.assert_allclose(run.exponents, np.log(np.float32([0.7, 0.3])), rtol=4 * 6e-8)
    assert np.all(np.asarray(run.std_error) < 32 * 6e-8 * 1.2)


def test_covariance_and_figure_leave_out_what_is_missing(x64):
    pytest.importorskip("matplotlib")
    from jaxdyn import plot

    run = lyapunov_spectrum(models.henon(), n_steps=100_000, until=StdError(2e-3, n_least=1_000))
    n = int(np.isfinite(run.running_time).sum())
    assert 20 <= n < 32, "this case must have missing rows"
    sums = np.asarray(run.running * run.running_time[:, None])[-n:]
    rates = np.diff(sums, axis=0) / np.diff(np.asarray(run.running_time)[-n:])[:, None]
    np.testing.assert_allclose(run.covariance, np.cov(rates.T) / n, rtol=1e-9)
    ax = plot.convergence(run)
    assert len(ax.lines[0].get_xdata()) == n and np.isfinite(ax.get_xlim()).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("until", "error", "message"),
    [
        (lambda: 1e-3, TypeError, r"until must be jaxdyn.StdError\(tolerance\), got 0.001"),
        (lambda: StdError, TypeError, r"until must be jaxdyn.StdError\(tolerance\), got <class"),
        (lambda: StdError(0.0), ValueError, "tolerance of StdError must be positive, got 0.0"),
        (lambda: StdError(-1e-3), ValueError, "tolerance of StdError must be positive, got -0.001"),
        (lambda: StdError(np.nan), ValueError, "tolerance of StdError must be positive, got nan"),
        (lambda: StdError([0.1, 0.0, 0.1]), ValueError, "tolerance of StdError must be positive"),
        (lambda: StdError([0.1, 0.1]), ValueError, r"one number or one per exponent, \(3,\), got shape \(2,\)"),
        (lambda: StdError(0.1, n_least=19), ValueError, "n_least .* must be a whole number of at least 20, got 19"),
        (lambda: StdError(0.1, n_least=100.0), ValueError, "n_least of StdError must be a whole number"),
        (lambda: StdError(0.1, n_least=2_000), ValueError, "n_least=2000 .* exceeds n_steps=1000, .* raise n_steps"),
    ],
)
def test_wrong_rules_say_what_fits(until, error, message):
    with pytest.raises(error, match=message):
        lyapunov_spectrum(models.lorenz63(), dt=0.01, n_steps=1_000, until=until())


def test_too_few_steps_for_any_rule():
    with pytest.raises(ValueError, match="until needs n_steps of at least 40, 20 batches, got 30"):
        lyapunov_spectrum(models.lorenz63(), dt=0.01, n_steps=30, n_transient=0, qr_every=2, until=StdError(0.1))


def test_the_default_least_run_fits_short_limits(x64):
    run = functools.partial(lyapunov_spectrum, models.henon(), until=StdError(10.0))
    assert run(n_steps=500).n_averaged == 500 and run(n_steps=50_000).n_averaged == 10_000
    assert "StdError" in jaxdyn.__all__ and inspect.isclass(jaxdyn.StdError)


def test_the_first_look_is_not_before_the_least_run(x64):
    """A superstable orbit stops there; 20 batches of whole intervals within the limit come next to `n_least`."""

    def first_look(n_least, n_steps):
        until = StdError(1e-3, n_least=n_least)
        return lyapunov_spectrum(models.logistic(r=2.0, x0=[0.5]), n_steps=n_steps, until=until).n_averaged

    assert [int(first_look(*case)) for case in ((39, 1_000), (39, 40), (39, 39))] == [40, 40, 20]


def test_the_default_transient_is_a_tenth_of_the_least_run(x64):
    """Not of the limit, which may be far away."""

    def run(n_steps=100_000, n_least=400, **settings):
        return lyapunov_spectrum(models.henon(), n_steps=n_steps, until=StdError(10.0, n_least=n_least), **settings)

    np.testing.assert_array_equal(run().x, run(n_transient=40).x)
    assert run().n_averaged == 400
    np.testing.assert_array_equal(run(n_least=None).x, run(n_least=None, n_transient=1_000).x)
    np.testing.assert_array_equal(run(500, None).x, run(500, None, n_transient=50).x)


def test_starts_by_vmap_are_an_ensemble(x64):
    """Errors of single runs tell the spread of the ensemble, whose mean is that of one long run.

    Of 400 runs the spread is known to 3.5 %, their mean error to 1 %: 11 % is three standard errors. Henon's growth
    is correlated over few steps.
    """
    starts = np.random.default_rng(9).uniform(-0.1, 0.1, (400, 2))
    run = jax.jit(jax.vmap(lambda x0: lyapunov_spectrum(models.henon().with_state(x0), n_steps=6_400)))(starts)
    values, errors = np.asarray(run.exponents)[:, 0], np.asarray(run.std_error)[:, 0]
    assert abs(values.std(ddof=1) / np.sqrt(np.mean(errors**2)) - 1) < 0.11
    # The reference is that of tests/reference, its error a tenth of ours.
    assert abs(values.mean() - 0.419233) <= 3 * np.sqrt(np.mean(errors**2) / 400)
