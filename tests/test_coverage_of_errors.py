"""Standard errors mean what they say: intervals of 95 % hold the truth in 90 to 99 % of 200 independent runs.

Of 200 runs with a true coverage of 95 % the share is within 90 to 99 % in 99.8 % of all cases (binomial). Intervals are
those of Student's t with one degree of freedom less than there are batches.

Not every chaotic map will do. Of the logistic map at r = 4 (log-growth ln 2 plus a difference g(x[n+1]) - g(x[n])) the
errors of batches cancel in their mean, which then errs like 1/n: no test of a standard error of order n^(-1/2).
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxdyn
from jaxdyn import Status, StdError, lyapunov_spectrum, models

N_RUNS = 200

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("x64")]


def persistent_map(leave=0.02, branches=8):
    """Piecewise linear map of [0, 1] that stays in one half for 1/leave steps, and its exponent.

    In the lower half one branch leads back to all of that half and one to the upper half; in the upper half `branches`
    equal ones lead back. The invariant density is uniform, and the half a Markov chain whose correlation decays as
    (1 - 2 leave)^n, by the slower 25 steps for 0.02. Each half has its own mean of log|slope|, so growth is correlated
    as long as that.
    """
    stay = 1 - leave

    def step(n, x, p):
        lower = x[0] < 0.5
        u = 2 * x[0] - jnp.where(lower, 0.0, 1.0)
        back = jnp.where(lower, u / stay, branches * u / stay)
        inside = jnp.where(u < stay, back - jnp.floor(back), (u - stay) / leave)
        return (jnp.where(lower == (u < stay), inside / 2, 0.5 + inside / 2),)

    exponent = leave * np.log(1 / leave) + stay * (np.log(1 / stay) + np.log(branches / stay)) / 2
    return jaxdyn.iterated_map(step, {}, [0.3]), exponent


def share_that_holds(run, truth):
    """Share of the intervals of 95 % that hold the truth."""
    n_batches = np.isfinite(run.running_time).sum(axis=1)
    half = stats.t.ppf(0.975, n_batches - 1) * np.asarray(run.std_error)[:, 0]
    return float(np.mean(np.abs(np.asarray(run.exponents)[:, 0] - truth) <= half))


def runs(system, starts, **settings):
    """All runs in one call."""
    measure = functools.partial(lyapunov_spectrum, n_exponents=1, **settings)
    return jaxdyn.lanes(lambda x0: measure(system.with_state(x0)))(starts)


def starts_of_map():
    return np.random.default_rng(11).uniform(0.01, 0.99, (N_RUNS, 1))


def test_growth_of_the_map_is_correlated_as_designed():
    """Over some steps growth is the same half's: the variance of a sum is many times that of independent steps."""
    system, exponent = persistent_map()
    run = runs(system, starts_of_map(), n_steps=25_600, n_transient=500)
    per_step = np.asarray(run.std_error)[:, 0] ** 2 * 25_600
    # pi (1 - pi) times the squared difference of the halves' means, times (1 + r) / (1 - r), r = 0.96.
    expected = 0.25 * (0.98 * np.log(8)) ** 2 * 1.96 / 0.04
    assert abs(np.mean(per_step) / expected - 1) < 0.1  # batches of 800 steps miss 1 in 32 of it, 2 % is chance
    assert abs(np.mean(run.exponents) - exponent) < 3 * np.sqrt(np.mean(per_step) / 25_600 / N_RUNS)


def test_fixed_runs_of_a_map_with_a_known_exponent():
    system, exponent = persistent_map()
    run = runs(system, starts_of_map(), n_steps=25_600, n_transient=500)
    assert 0.9 <= share_that_holds(run, exponent) <= 0.99


@pytest.mark.parametrize("tolerance", [0.1, 0.05, 0.025])
def test_stopped_runs_of_a_map_with_a_known_exponent(tolerance):
    """The shortest run is 200 correlation times; lengths then differ several times between the runs."""
    system, exponent = persistent_map()
    until = StdError(tolerance, n_least=5_000)
    run = runs(system, starts_of_map(), n_steps=1_000_000, n_transient=500, until=until)
    assert np.all(np.asarray(run.status) == Status.OK) and np.all(np.asarray(run.std_error) <= tolerance)
    assert np.max(run.n_averaged) >= 2 * np.min(run.n_averaged)
    assert 0.9 <= share_that_holds(run, exponent) <= 0.99


# Lorenz' first exponent is 0.90565; independent values, and dt = 0.01 (by which all exponents together miss the mean
# divergence), differ by 1e-4: a tenth of the spread of these runs. Its growth swings to and fro on every turn, and
# batches see the swing at their ends. Runs of a hundred time units have errors that are four times too large, and hold
# the truth always; from some thousand time units on errors are right.
LORENZ = 0.90565


def starts_of_lorenz():
    return np.random.default_rng(12).uniform([-5, -5, 15], [5, 5, 25], (N_RUNS, 3))


def test_fixed_runs_of_lorenz():
    run = runs(models.lorenz63(), starts_of_lorenz(), dt=0.01, n_steps=1_000_000, n_transient=2_000)
    assert 0.9 <= share_that_holds(run, LORENZ) <= 0.99
    assert np.std(np.asarray(run.exponents)[:, 0]) > 10 * 1e-4


def test_stopped_runs_of_lorenz():
    until = StdError(0.002)
    run = runs(models.lorenz63(), starts_of_lorenz(), dt=0.01, n_steps=4_000_000, n_transient=2_000, until=until)
    assert np.all(np.asarray(run.status) == Status.OK)
    assert 0.9 <= share_that_holds(run, LORENZ) <= 0.99


def test_short_runs_of_lorenz_are_on_the_safe_side():
    run = runs(models.lorenz63(), starts_of_lorenz(), dt=0.01, n_steps=12_800, n_transient=2_000)
    assert share_that_holds(run, LORENZ) >= 0.99
    assert 2 < np.mean(run.std_error) / np.std(np.asarray(run.exponents)[:, 0], ddof=1) < 6
