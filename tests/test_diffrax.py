"""Solvers of diffrax as methods: the same states, statuses and derivatives as the package's own methods give."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.errors import Status
from jaxdyn.methods import Diffrax, Rodas5P

diffrax = pytest.importorskip("diffrax", reason="the extra diffrax is not installed")
CHEAP = diffrax.Bosh3()
"""Of the solvers the quickest to compile."""


def oscillator(mu=20.0):
    return jaxdyn.models.van_der_pol(mu=mu)


def test_a_bare_stiff_solver_gives_what_the_native_method_gives(x64):
    own = jaxdyn.final_state(oscillator(), t1=30.0, method=Rodas5P(rtol=1e-9))
    run = jaxdyn.final_state(oscillator(), t1=30.0, method=diffrax.Kvaerno5())
    assert int(run.status) == Status.OK and run.x.dtype == jnp.float64
    # rtol 1e-6 in some hundred steps, the jumps in between magnify by some ten.
    np.testing.assert_allclose(run.x, own.x, rtol=0, atol=1e-5)


def test_tolerances_are_heard_and_may_be_traced(x64):
    exact = jaxdyn.final_state(oscillator(), t1=3.0, method=jaxdyn.Dopri8(rtol=1e-12)).x

    @jax.jit
    def error(rtol):
        end = jaxdyn.final_state(oscillator(), t1=3.0, method=Diffrax(CHEAP, rtol=rtol, atol=rtol))
        return jnp.abs(end.x - exact).max()

    coarse, fine = float(error(1e-3)), float(error(1e-8))
    assert fine < 1e-6 and fine < 1e-2 * coarse


def test_single_precision_stays_so():
    run = jaxdyn.final_state(oscillator(), t1=3.0, method=CHEAP)
    assert run.x.dtype == jnp.float32 and int(run.status) == Status.OK
    own = jaxdyn.final_state(oscillator(), t1=3.0, method=jaxdyn.Tsit5(rtol=1e-6))
    np.testing.assert_allclose(run.x, own.x, atol=1e-3)  # the default rtol is 1e-4


def test_given_times_and_equal_intervals_are_the_same_run(x64):
    given = jaxdyn.trajectory(oscillator(), method=CHEAP, save=jaxdyn.At([0.0, 0.5, 0.5, 1.0, 2.0]))
    equal = jaxdyn.trajectory(oscillator(), n_steps=4, dt=0.5, method=CHEAP, save=jaxdyn.Every(2))
    # An interval of no length leaves the pace alone; else both take the same steps.
    np.testing.assert_allclose(given.x[jnp.array([0, 3])], equal.x[:2], rtol=1e-12)
    np.testing.assert_array_equal(given.x[1], given.x[2])
    np.testing.assert_allclose(given.x[-1], equal.x[-1], rtol=0, atol=1e-5)


def test_the_pace_is_kept_from_interval_to_interval(x64):
    """Intervals that hold several steps cost little more than one run over all of them."""
    calls = []

    def field(t, x, p):
        jax.debug.callback(lambda: calls.append(None))
        return x[1], -x[0]

    system = jaxdyn.flow(field, {}, [1.0, 0.0])

    def work(n_steps):
        calls.clear()
        jaxdyn.final_state(system, n_steps=n_steps, dt=20.0 / n_steps, method=CHEAP)
        jax.effects_barrier()
        return len(calls)

    assert work(20) < 1.5 * work(1)


def test_backward_in_time_returns_to_the_start(x64):
    system = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.5])
    there = jaxdyn.final_state(system, t1=2.0, method=CHEAP)
    back = jaxdyn.final_state(system.with_state(there.x), t0=2.0, t1=0.0, method=CHEAP)
    np.testing.assert_allclose(back.x, system.x0, atol=1e-4)


def test_a_solver_without_error_estimate_takes_equal_steps(x64):
    settings = {"n_steps": 30, "dt": 0.01}
    euler = jaxdyn.final_state(oscillator(), **settings, method=diffrax.Euler())
    np.testing.assert_allclose(euler.x, jaxdyn.final_state(oscillator(), **settings, method=jaxdyn.Euler()).x)
    equal = Diffrax(diffrax.Tsit5(), controller=diffrax.ConstantStepSize())
    fixed = jaxdyn.final_state(oscillator(), **settings, method=equal)
    np.testing.assert_allclose(fixed.x, jaxdyn.final_state(oscillator(), **settings, method=jaxdyn.Tsit5()).x)
    with pytest.raises(TypeError, match="takes equal steps"):
        jaxdyn.trajectory(oscillator(), method=equal, save=jaxdyn.At([1.0]))


def test_what_fails_is_told_and_harms_no_other_lane(x64):
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2,), {}, [1.0])  # 1 / (1/x0 - t)

    def end(x0):
        return jaxdyn.final_state(system.with_state([x0]), t1=2.0, method=CHEAP)

    run = jaxdyn.lanes(end)(jnp.array([0.1, 1.0, -1.0, jnp.nan]))
    np.testing.assert_array_equal(run.status, [Status.OK, Status.STEP_LIMIT, Status.OK, Status.NON_FINITE])
    np.testing.assert_allclose(run.x[jnp.array([0, 2]), 0], [0.125, -1 / 3], rtol=1e-4)
    assert np.isnan(run.x[1, 0])
    short = jaxdyn.final_state(oscillator(), t1=30.0, method=Diffrax(CHEAP, max_steps=3))
    assert int(short.status) == Status.STEP_LIMIT and np.isnan(short.x).all()


# Told once a process, by whichever test comes first.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:engine Native falls back to Xla:RuntimeWarning")
def test_every_engine_a_loop_and_a_sweep_agree(x64):
    def end(mu):
        return jaxdyn.final_state(oscillator(mu), n_steps=2, dt=0.5, method=CHEAP)

    mus = jnp.array([1.0, 5.0, 10.0])
    alone = jnp.stack([end(mu).x for mu in mus])
    for engine in (None, jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)):
        np.testing.assert_allclose(jaxdyn.lanes(end, engine=engine)(mus).x, alone, rtol=1e-8)
    measure = functools.partial(jaxdyn.final_state, n_steps=2, dt=0.5, method=CHEAP)
    cells = jaxdyn.sweep(measure, oscillator(), {"mu": np.asarray(mus)}, progress=False)
    np.testing.assert_allclose(cells["x"], alone, rtol=1e-8)
    assert (cells["status"] == 0).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:engine Native falls back to Xla:RuntimeWarning")
def test_an_implicit_solver_in_blocks(x64):
    def end(mu):
        return jaxdyn.final_state(oscillator(mu), n_steps=2, dt=0.5, method=diffrax.Kvaerno3()).x

    mus = jnp.array([1.0, 5.0, 10.0])
    for engine in (jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)):
        np.testing.assert_allclose(jaxdyn.lanes(end, engine=engine)(mus), jax.vmap(end)(mus), rtol=1e-8)


@pytest.mark.slow
def test_derivatives_forward_and_by_its_adjoint(x64):
    # x' = p x cos t has x = x0 exp(p sin t).
    system = jaxdyn.flow(lambda t, x, p: p["p"] * x * jnp.cos(t), {"p": 0.7}, [1.2])

    def end(p, adjoint=None):
        method = Diffrax(CHEAP, rtol=1e-8, adjoint=adjoint)
        return jaxdyn.final_state(system.with_params(p=p), n_steps=2, dt=1.0, method=method).x[0]

    exact = np.sin(2.0) * 1.2 * np.exp(0.7 * np.sin(2.0))
    np.testing.assert_allclose(jax.jacfwd(end)(0.7), exact, rtol=1e-5)
    backward = jax.grad(functools.partial(end, adjoint=diffrax.RecursiveCheckpointAdjoint()))
    np.testing.assert_allclose(backward(0.7), exact, rtol=1e-5)


@pytest.mark.slow
def test_exponents_through_an_implicit_solver(x64):
    settings = {"dt": 0.1, "n_steps": 50, "n_transient": 10}
    got = jaxdyn.lyapunov_spectrum(jaxdyn.models.lorenz63(), **settings, method=Diffrax(diffrax.Kvaerno3(), rtol=1e-8))
    own = jaxdyn.lyapunov_spectrum(jaxdyn.models.lorenz63(), **settings, method=jaxdyn.Tsit5(rtol=1e-10))
    # Errors of 1e-8 grow by exp(0.9 * 6) over the run.
    np.testing.assert_allclose(got.exponents, own.exponents, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Diffrax("Kvaerno5"), TypeError, "expected a solver of diffrax"),
        (lambda: Diffrax(diffrax.Kvaerno5), TypeError, "expected a solver of diffrax"),
        (lambda: Diffrax(CHEAP, atol=1e-6), TypeError, "needs rtol as well"),
        (lambda: Diffrax(CHEAP, rtol=0.0), ValueError, "rtol of Diffrax must be positive"),
        (lambda: Diffrax(CHEAP, max_steps=0), ValueError, "max_steps of Diffrax"),
        (lambda: Diffrax(diffrax.Euler(), rtol=1e-6), TypeError, "takes no rtol; give dt alone"),
        (
            lambda: Diffrax(CHEAP, rtol=1e-6, controller=diffrax.PIDController(rtol=1e-6, atol=1e-6)),
            TypeError,
            "either rtol or controller",
        ),
        (
            lambda: Diffrax(CHEAP, controller=diffrax.PIDController(rtol=jnp.ones(()), atol=1e-6)),
            TypeError,
            "controller of Diffrax holds arrays",
        ),
        (lambda: jaxdyn.final_state(oscillator(), t1=1.0, method=diffrax.Euler()), TypeError, "a flow needs its step"),
        (lambda: jaxdyn.final_state(jaxdyn.models.henon(), n_steps=1, method=CHEAP), TypeError, "maps are iterated"),
    ],
)
def test_what_makes_no_sense_is_told(make, error, words):
    with pytest.raises(error, match=words):
        make()
