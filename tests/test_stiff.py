"""Stiff problems by Rosenbrock methods: as exact and as cheap as by SciPy, the same in every engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import jaxdyn
from jaxdyn.errors import Status
from jaxdyn.methods import Rodas4, Rodas5P
from jaxdyn.methods.elimination import UNROLLED

METHODS = pytest.mark.parametrize("kind", [Rodas4, Rodas5P])


def van_der_pol_by_scipy(times, sampled=True, **tolerances):
    def jacobian(t, x):
        return [[0, 1], [-2e3 * x[0] * x[1] - 1, 1e3 * (1 - x[0] ** 2)]]

    def field(t, x):
        return x[1], 1e3 * (1 - x[0] ** 2) * x[1] - x[0]

    return solve_ivp(
        field, (0, times[-1]), [2.0, 0.0], "Radau", jac=jacobian, t_eval=times if sampled else None, **tolerances
    )


class Counting:
    """Van der Pol's equations that count how often they are evaluated."""

    def __init__(self):
        self.n = 0

    def __call__(self, t, x, p):
        jax.debug.callback(self._one_more)
        return x[1], p["mu"] * (1 - x[0] ** 2) * x[1] - x[0]

    def _one_more(self):
        self.n += 1


@METHODS
def test_van_der_pol_at_mu_1000_is_as_exact_and_as_cheap_as_by_scipy(kind, x64):
    rtol, times = 1e-6, np.array([500.0, 1000.0, 1500.0, 2000.0])
    counting = Counting()
    system = jaxdyn.flow(counting, {"mu": 1000.0}, [2.0, 0.0])
    counting.n = 0
    end = jaxdyn.final_state(system, t1=2000.0, method=kind(rtol=rtol, atol=rtol))
    jax.effects_barrier()
    exact = van_der_pol_by_scipy(times, rtol=1e-12, atol=1e-14)
    rival = van_der_pol_by_scipy(times, sampled=False, rtol=rtol, atol=rtol)
    assert counting.n <= rival.nfev
    assert counting.n / len(kind().tableau.b) <= 2 * len(rival.t)
    error = np.abs(np.asarray(end.x) - exact.y[:, -1]).max()
    # Errors of jumps, some ten times rtol each, are carried on: x changes by 1e-3 a unit of time.
    assert error <= 30 * rtol
    run = jaxdyn.trajectory(
        jaxdyn.models.van_der_pol(mu=1000.0), method=kind(rtol=rtol, atol=rtol), save=jaxdyn.At(times)
    )
    np.testing.assert_allclose(run.x, exact.y.T, rtol=0, atol=30 * rtol)


# Hairer & Wanner 1996, section IV.10, and SciPy's Radau with rtol 1e-12; both to the digits that are written.
ROBERTSON = {40.0: (0.7158270688, 9.185534765e-6, 0.2841637457), 4e4: (0.03898337707, 1.621768316e-7, 0.9610164607)}


@METHODS
def test_robertson(kind, x64):
    system = jaxdyn.models.robertson()
    run = jaxdyn.trajectory(system, method=kind(rtol=1e-8, atol=1e-14), save=jaxdyn.At(list(ROBERTSON)))
    np.testing.assert_allclose(run.x, list(ROBERTSON.values()), rtol=1e-7)
    np.testing.assert_allclose(run.x.sum(1), 1, rtol=1e-12)  # linear invariants are kept exactly

    def field(t, s):
        x, y, z = s
        return 1e4 * y * z - 0.04 * x, 0.04 * x - 1e4 * y * z - 3e7 * y * y, 3e7 * y * y

    exact = solve_ivp(field, (0, 4e4), [1.0, 0, 0], "Radau", rtol=1e-11, atol=1e-17, t_eval=list(ROBERTSON))
    np.testing.assert_allclose(list(ROBERTSON.values()), exact.y.T, rtol=1e-9)


def hires(t, y, p):
    """Eight reactions of photomorphogenesis (Schaefer 1975; Hairer & Wanner 1996, section IV.10)."""
    pairs = 280 * y[5] * y[7]
    return (
        -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
        1.71 * y[0] - 8.75 * y[1],
        -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
        8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
        -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
        -pairs + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
        pairs - 1.81 * y[6],
        -pairs + 1.81 * y[6],
    )


@pytest.mark.slow
def test_hires(x64):
    start = np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057])
    exact = solve_ivp(lambda t, y: hires(t, y, None), (0, 321.8122), start, "Radau", rtol=1e-11, atol=1e-15)
    system = jaxdyn.flow(hires, {}, start)
    end = jaxdyn.final_state(system, t1=321.8122, method=Rodas5P(rtol=1e-8, atol=1e-12))
    np.testing.assert_allclose(end.x, exact.y[:, -1], rtol=1e-6)


def test_more_states_than_are_written_out(x64):
    # Heat between cold ends, 12 points: eigenvectors are sines, and their rates are known.
    n = UNROLLED + 2
    rate = 1e4 * (2 * np.cos(3 * np.pi / (n + 1)) - 2)

    def field(t, x, p):
        zero = jnp.zeros(1, x.dtype)
        padded = jnp.concatenate([zero, x, zero])
        return p["k"] * (padded[2:] - 2 * x + padded[:-2])

    start = np.sin(3 * np.pi * np.arange(1, n + 1) / (n + 1))
    system = jaxdyn.flow(field, {"k": 1e4}, start)

    def end(k):
        return jaxdyn.final_state(system.with_params(k=k), t1=1e-4, method=Rodas5P(rtol=1e-9))

    run = jaxdyn.lanes(end)(jnp.array([1e4, 0.0]))
    np.testing.assert_array_equal(run.status, 0)
    np.testing.assert_allclose(run.x, [start * np.exp(1e-4 * rate), start], rtol=0, atol=1e-7)


@pytest.mark.parametrize("rtol", [None, 1e-6])
def test_every_engine_and_a_loop_agree(rtol, x64):
    def end(k):
        return jaxdyn.final_state(
            jaxdyn.models.robertson(k1=k),
            n_steps=4,
            dt=1e-4 if rtol is None else 0.1,
            method=Rodas5P() if rtol is None else Rodas5P(rtol=rtol),
        )

    rates = jnp.array([0.01, 0.04, 0.2])
    alone = jnp.stack([end(k).x for k in rates])
    for engine in (None, jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)):
        run = jaxdyn.lanes(end, engine=engine)(rates)
        np.testing.assert_array_equal(run.status, 0)
        # Rounding, times the condition of the matrix, some 1e3, enters steps of a length that it changes as well.
        np.testing.assert_allclose(run.x, alone, rtol=1e-9 if rtol is None else 1e-2 * rtol)
    assert not jaxdyn.explain(end, rates).fallbacks


def test_single_precision_stays_so_and_is_as_good_as_its_tolerance():
    system = jaxdyn.models.van_der_pol(mu=100.0, dtype=jnp.float32)
    end = jaxdyn.final_state(system, t1=50.0, method=Rodas5P(rtol=1e-4))
    assert end.x.dtype == jnp.float32 and int(end.status) == Status.OK
    exact = solve_ivp(
        lambda t, x: (x[1], 100 * (1 - x[0] ** 2) * x[1] - x[0]), (0, 50), [2.0, 0], "Radau", rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(end.x, exact.y[:, -1], rtol=0, atol=2e-4)  # the slow branch contracts errors


def test_a_jacobian_that_is_wrong_costs_the_order_but_not_the_tolerance(x64):
    plain = jaxdyn.flow(lambda t, x, p: (x[1], -jnp.sin(x[0])), {}, [1.0, 0.0])
    wrong = jaxdyn.with_jacobian(plain, lambda t, x, p: ((0.0, 1.0), (1.0, 0.0)), check=False)
    exact = jaxdyn.final_state(plain, t1=2.0, method=jaxdyn.Dopri8(rtol=1e-13)).x

    def error(system, **options):
        return float(jnp.abs(jaxdyn.final_state(system, t1=2.0, **options).x - exact).max())

    coarse, fine = (error(wrong, dt=dt, method=Rodas5P()) for dt in (0.02, 0.01))
    assert np.log2(coarse / fine) < 3
    assert error(plain, dt=0.02, method=Rodas5P()) < 1e-3 * coarse
    # The estimate sees what is wrong: each of some hundred steps is kept to rtol.
    assert error(wrong, method=Rodas5P(rtol=1e-6)) < 1e-4


def test_blow_up_ends_one_lane_and_no_other(x64):
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2,), {}, [1.0])  # 1 / (1/x0 - t)

    def end(x0):
        return jaxdyn.final_state(system.with_state([x0]), t1=2.0, method=Rodas5P(rtol=1e-6))

    run = jaxdyn.lanes(end)(jnp.array([0.1, 1.0, -1.0, jnp.nan]))
    np.testing.assert_array_equal(run.status, [Status.OK, Status.STEP_LIMIT, Status.OK, Status.NON_FINITE])
    # Some twenty steps of rtol each; errors grow with x squared, 1.6 times at most.
    np.testing.assert_allclose(run.x[jnp.array([0, 2]), 0], [0.125, -1 / 3], rtol=32e-6)


def test_derivatives_are_those_of_the_solution(x64):
    # As for explicit methods: x' = p x cos t has x = x0 exp(p sin t).
    system = jaxdyn.flow(lambda t, x, p: p["p"] * x * jnp.cos(t), {"p": 0.7}, [1.2])

    def end(p, x0, t1):
        return jaxdyn.final_state(system.with_params(p=p).with_state([x0]), t1=t1, method=Rodas5P(rtol=1e-9)).x[0]

    p, x0, t1 = 0.7, 1.2, 5.0
    x = x0 * np.exp(p * np.sin(t1))
    got = jax.jacfwd(end, argnums=(0, 1, 2))(p, x0, t1)
    np.testing.assert_allclose(got, [x * np.sin(t1), x / x0, p * x * np.cos(t1)], rtol=1e-6)


@pytest.mark.slow
def test_reverse_mode_with_a_fixed_step(x64):
    def end(mu):
        return jaxdyn.final_state(jaxdyn.models.van_der_pol(mu=mu), n_steps=3, dt=0.1, method=Rodas5P()).x[0]

    np.testing.assert_allclose(jax.grad(end)(10.0), jax.jacfwd(end)(10.0), rtol=1e-10)


@pytest.mark.slow
def test_analyses_take_it_as_any_other_method(x64):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    settings = {"n_steps": 200, "dt": 0.5, "n_transient": 100}
    fine = jaxdyn.lyapunov_spectrum(neuron, **settings, method=jaxdyn.Tsit5(rtol=1e-9))
    same = jaxdyn.lyapunov_spectrum(neuron, **settings, method=Rodas4(rtol=1e-8))
    np.testing.assert_allclose(fine.exponents, same.exponents, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Rodas5P(atol=1e-6), TypeError, "needs rtol as well"),
        (lambda: Rodas4(rtol=-1.0), ValueError, "rtol of Rodas4 must be positive"),
        (lambda: Rodas5P(rtol=1e-6, max_steps=0), ValueError, "max_steps of Rodas5P"),
        (
            lambda: jaxdyn.final_state(jaxdyn.models.henon(), n_steps=1, method=Rodas5P()),
            TypeError,
            "maps are iterated",
        ),
    ],
)
def test_what_makes_no_sense_is_told(make, error, words):
    with pytest.raises(error, match=words):
        make()
