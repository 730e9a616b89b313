"""Finite-time exponents: powers of a matrix, decompositions of propagators, saddles, the double gyre, long times."""

import decimal
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, finite_time_lyapunov, models
from jaxdyn.analysis import one_sided_jacobi

EPS = np.finfo(np.float64).eps


def logs_of_singular_values(matrix, n):
    """Of an integer 2 by 2 matrix to the power n, exactly up to the last root and logarithm."""
    power = functools.reduce(
        lambda p, _: p @ np.array(matrix, dtype=object), range(n), np.eye(2, dtype=int).astype(object)
    )
    with decimal.localcontext(prec=60 + 2 * n):
        trace = decimal.Decimal(int((power * power).sum()))
        det = decimal.Decimal(abs(int(power[0, 0] * power[1, 1] - power[0, 1] * power[1, 0])))
        large = (trace + (trace * trace - 4 * det * det).sqrt()) / 2
        return np.array([float(large.ln()) / 2, float(det.ln() - large.ln() / 2)])


@pytest.mark.parametrize("matrix", [[[3, 1], [0, 1]], [[2, 1], [1, 1]], [[1, 7], [0, 1]], [[0, 5], [-1, 1]]])
@pytest.mark.parametrize("n", [1, 12, 1000])
def test_powers_of_a_matrix(matrix, n, x64):
    """3^1000 and its square leave float64; the logarithms do not."""
    found = finite_time_lyapunov(models.linear_map(A=matrix, x0=[0.0, 0.0]), n_steps=n)
    # Rounding of each of n steps, times the condition of the unit rows, below 100 for these.
    np.testing.assert_allclose(found.exponents, logs_of_singular_values(matrix, n) / n, rtol=0, atol=100 * 20 * EPS)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(2), atol=20 * EPS)
    assert found.status == Status.OK


@pytest.mark.parametrize("method", [jaxdyn.RK4(), jaxdyn.Tsit5()])
def test_a_flow_against_the_decomposition_of_its_propagator(method, x64):
    settings = {"n_steps": 50, "dt": 0.01, "method": method}
    system = models.lorenz63(x0=[1.0, 2.0, 20.0])
    found = finite_time_lyapunov(system, qr_every=2, **settings)
    propagator = jax.jacfwd(lambda x: jaxdyn.final_state(system.with_state(x), **settings).x)(system.x0)
    _, values, right = np.linalg.svd(propagator)
    condition = values[0] / values[-1]
    # The decomposition of the product knows the smallest value to rounding times the condition, 1e4 here.
    np.testing.assert_allclose(found.exponents, np.log(values) / 0.5, rtol=0, atol=100 * EPS * condition)
    right = right * np.sign(right[np.arange(3), np.abs(right).argmax(axis=1)])[:, None]
    np.testing.assert_allclose(found.directions, right, atol=100 * EPS * condition)


def test_long_times_do_not_overflow(x64):
    """Lorenz over 100 time units: singular values down to exp(-1450); their product is exp(-41/3 * 100)."""
    found = finite_time_lyapunov(models.lorenz63(), n_steps=10_000, dt=0.01)
    # RK4's own divergence, see the spectrum's test of the same sum.
    assert abs(float(found.exponents.sum()) + 41 / 3) < 1e-3
    spectrum = jaxdyn.lyapunov_spectrum(models.lorenz63(), n_steps=10_000, n_transient=0, dt=0.01)
    np.testing.assert_allclose(found.exponents.sum(), spectrum.exponents.sum(), rtol=1e-11)
    # Both growths of the same frame: apart by angles only, a few units over the time.
    np.testing.assert_allclose(found.exponents, spectrum.exponents, atol=0.1)
    assert found.exponents[0] >= spectrum.exponents[0] and found.status == Status.OK


def test_the_saddle_of_a_pendulum(x64):
    """x'' = sin x at its top: the propagator is [[cosh, sinh], [sinh, cosh]], symmetric, exponents 1 and -1."""
    system = jaxdyn.flow(lambda t, s, p: (s[1], jnp.sin(s[0])), {}, [0.0, 0.0])
    found = finite_time_lyapunov(system, t1=20.0, dt=0.01)
    np.testing.assert_allclose(found.exponents, [1, -1], rtol=0, atol=0.01**4 / 60)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(np.abs(found.directions), half, atol=1e-12)
    np.testing.assert_allclose(found.directions[0, 0] * found.directions[0, 1], 0.5, atol=1e-12)
    # Backwards the other direction grows, by the same rate.
    back = finite_time_lyapunov(system, t1=-20.0, dt=-0.01)
    np.testing.assert_allclose(back.exponents, [1, -1], rtol=0, atol=0.01**4 / 60)
    np.testing.assert_allclose(np.abs(back.directions[0] @ found.directions[1]), 1, atol=1e-12)


@functools.cache
def double_gyre():
    """Shadden, Lekien & Marsden 2005, section 6.1, with their amplitude 0.1, epsilon 0.25 and period 10."""

    def field(t, s, p):
        x, y = s
        a = p["epsilon"] * jnp.sin(2 * jnp.pi * t / 10)
        b = 1 - 2 * a
        f, slope = a * x * x + b * x, 2 * a * x + b
        return (
            -jnp.pi * 0.1 * jnp.sin(jnp.pi * f) * jnp.cos(jnp.pi * y),
            jnp.pi * 0.1 * jnp.cos(jnp.pi * f) * jnp.sin(jnp.pi * y) * slope,
        )

    return jaxdyn.flow(field, {"epsilon": 0.25}, [0.5, 0.5], state_names=["x", "y"])


@pytest.mark.parametrize(("dt", "t0"), [(0.1, 0.0), (-0.1, 2.5)])
def test_field_of_the_double_gyre(dt, t0, x64):
    """A sweep over starts against the decomposition of each propagator."""
    settings = {"n_steps": 150, "dt": dt, "t0": t0}
    xs, ys = np.linspace(0.1, 1.9, 7), np.linspace(0.1, 0.9, 5)
    measure = functools.partial(finite_time_lyapunov, qr_every=5, **settings)
    field = jaxdyn.sweep(measure, double_gyre(), {"x": xs, "y": ys}, progress=False)
    assert field["exponents"].dims == ("x", "y", "exponent") and not field["status"].any()
    starts = np.stack(np.meshgrid(xs, ys, indexing="ij"), axis=-1).reshape(-1, 2)
    end = jax.jacfwd(lambda x: jaxdyn.final_state(double_gyre().with_state(x), **settings).x)
    values = np.linalg.svd(jax.jit(jax.vmap(end))(starts), compute_uv=False)
    condition = values[:, 0] / values[:, 1]
    error = np.abs(np.asarray(field["exponents"]).reshape(-1, 2) - np.log(values) / 15)
    # Rounding of the steps grows with the flow's own stretching of neighboring starts, below the condition.
    assert np.all(error <= 100 * EPS * condition[:, None])
    assert condition.max() > 1e2
    # The flow keeps areas; RK4 keeps them to the order of its step.
    assert np.abs(np.asarray(field["exponents"]).sum(axis=-1)).max() < 1e-4


def test_single_precision_stays():
    found = finite_time_lyapunov(models.linear_map(A=np.diag([2.0, 0.5]).astype(np.float32)), n_steps=1000)
    # Each step rounds a factor by about one ulp; the sum of 1000 logarithms is compensated.
    np.testing.assert_allclose(found.exponents, np.log([2, 0.5]), rtol=0, atol=4 * 1.2e-7)
    run = jax.jit(functools.partial(finite_time_lyapunov, n_steps=20, dt=0.01))(models.lorenz63())
    assert {leaf.dtype for leaf in jax.tree.leaves(run)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int8)}


@pytest.mark.parametrize(
    ("make", "every", "status"),
    [
        (models.henon, 50, Status.QR_INTERVAL),
        (lambda: models.logistic(r=5.0), 1, Status.NON_FINITE),
        (lambda: models.logistic(r=2.0).with_state([0.5]), 1, Status.OK),  # -inf: superstable
    ],
)
def test_failures_are_reported(make, every, status, x64):
    assert finite_time_lyapunov(make(), n_steps=100, qr_every=every).status == status


def test_a_vector_that_overflows_is_reported():
    """In the last interval, within which the state stays finite: 1e20 twice leaves float32."""
    system = jaxdyn.iterated_map(lambda n, x, p: 1e20 * x, {}, [1e-30])
    assert finite_time_lyapunov(system, n_steps=2, qr_every=2).status == Status.NON_FINITE


def test_an_iteration_that_does_not_end_is_reported(x64, monkeypatch):
    monkeypatch.setattr(one_sided_jacobi, "SWEEPS", 1)
    matrix = np.random.default_rng(3).standard_normal((12, 12))
    found = finite_time_lyapunov(models.linear_map(A=matrix, x0=np.zeros(12)), n_steps=1)
    assert found.status == Status.NOT_CONVERGED


def test_wrong_steps():
    with pytest.raises(ValueError, match="n_steps=10 must be a multiple of qr_every=3; use n_steps=12"):
        finite_time_lyapunov(models.lorenz63(), n_steps=10, dt=0.1, qr_every=3)
    with pytest.raises(TypeError, match="give either n_steps or t1"):
        finite_time_lyapunov(models.lorenz63(), dt=0.1)
