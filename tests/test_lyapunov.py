"""Lyapunov spectra: closed forms, an independent computation, identities, options, dimension."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, kaplan_yorke_dimension, lyapunov_spectrum, models
from jaxdyn.analysis.matrices import generic_frame

EPS = np.finfo(np.float64).eps


def frame_of(system, k=None):
    """The frame from which all runs of this size start."""
    return np.asarray(generic_frame(system.dim if k is None else k, system.dim, system.dtype))


# Constant matrices: closed forms

MATRICES = {
    "normal": [[-0.5, 0.1], [0.1, -0.2]],
    "not normal": [[0.2, -0.1], [0.2, 0.5]],
    "rotation": [[-0.3, -0.5], [0.5, -0.3]],
    "three": [[0.5, 2.0, 0.0], [0.0, -0.7, 1.0], [0.0, 0.0, 0.1]],
}


def alignment_bound(matrix, duration):
    """Bound of |exponent - closed form|: what the eigenvectors' condition makes of the frame, over the time."""
    vectors = np.linalg.eig(np.array(matrix))[1]
    return 2 * np.log(np.linalg.cond(vectors)) / duration + 1e-12


@pytest.mark.parametrize("name", MATRICES)
def test_constant_maps_give_the_moduli_of_the_eigenvalues(name, x64):
    matrix = MATRICES[name]
    spectrum = lyapunov_spectrum(models.linear_map(A=matrix), n_steps=2_000, n_transient=500)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(np.array(matrix)))))[::-1]
    np.testing.assert_allclose(spectrum.exponents, expected, rtol=0, atol=alignment_bound(matrix, 2_000))
    # The determinant is the same at every step; a step rounds a few numbers of order 1.
    np.testing.assert_allclose(spectrum.exponents.sum(), np.log(abs(np.linalg.det(matrix))), atol=20 * EPS)
    assert spectrum.status == Status.OK


@pytest.mark.parametrize("method", [None, jaxdyn.Tsit5()])
@pytest.mark.parametrize("name", MATRICES)
def test_constant_flows_give_the_real_parts_of_the_eigenvalues(name, method, x64):
    matrix = MATRICES[name]
    settings = {"dt": 0.05, "n_steps": 4_000, "n_transient": 1_000}
    spectrum = lyapunov_spectrum(models.linear_flow(A=matrix), method=method, **settings)
    expected = np.sort(np.linalg.eigvals(np.array(matrix)).real)[::-1]
    step = 0.05**4  # eigenvalues are below 1: (lambda dt)^5 / 120 a step for RK4
    np.testing.assert_allclose(spectrum.exponents, expected, rtol=0, atol=alignment_bound(matrix, 200.0) + step)


def test_the_default_transient_is_a_tenth(x64):
    system = models.henon()
    given = lyapunov_spectrum(system, n_steps=1_000, n_transient=100)
    np.testing.assert_array_equal(lyapunov_spectrum(system, n_steps=1_000).exponents, given.exponents)
    rounded = lyapunov_spectrum(system, n_steps=1_010, n_transient=100, qr_every=5)  # 101 is no multiple of 5
    np.testing.assert_array_equal(lyapunov_spectrum(system, n_steps=1_010, qr_every=5).exponents, rounded.exponents)


# An independent computation


@pytest.mark.parametrize(("n_steps", "n_transient"), [(1, 0), (31, 0), (32, 7), (45, 0), (100, 13)])
def test_all_steps_count_also_those_that_fill_no_batch(n_steps, n_transient, x64):
    """Plain numpy: the product of Jacobians with Householder QR at every step.

    At a = 1 the orbit goes to a stable cycle of period 4, so that rounding does not grow.
    """
    a, b = 1.0, 0.3
    x, y = 0.1, 0.1
    system = models.henon(a=a)
    vectors = frame_of(system).T
    logs = []
    for _ in range(n_transient + n_steps):
        vectors = np.array([[-2 * a * x, 1], [b, 0]]) @ vectors
        x, y = 1 - a * x * x + y, b * x
        vectors, r = np.linalg.qr(vectors)
        logs.append(np.log(np.abs(np.diag(r))))
    logs = np.array(logs[n_transient:])
    spectrum = lyapunov_spectrum(system, n_steps=n_steps, n_transient=n_transient)
    order = np.argsort(-logs.mean(axis=0))
    np.testing.assert_allclose(spectrum.exponents, logs.mean(axis=0)[order], rtol=1e-11)
    blocks = min(32, n_steps)
    rest = n_steps % blocks
    batches = logs[rest:].reshape(blocks, -1, 2).mean(axis=1)
    if blocks > 1:
        expected = batches.std(axis=0, ddof=1) / np.sqrt(blocks)
        np.testing.assert_allclose(spectrum.std_error, expected[order], rtol=1e-9)
    else:
        assert np.isnan(spectrum.std_error).all()
    # Estimates after each batch, the left-over steps first.
    counts = rest + (n_steps // blocks) * np.arange(1, blocks + 1)
    np.testing.assert_array_equal(spectrum.running_time, counts)
    running = np.cumsum(logs, axis=0)[counts - 1] / counts[:, None]
    np.testing.assert_allclose(spectrum.running, running[:, order], rtol=1e-10, atol=1e-12)


def test_running_estimates_end_at_the_result(x64):
    spectrum = lyapunov_spectrum(models.lorenz63(), dt=0.01, n_steps=1_000, qr_every=2)
    assert spectrum.running.shape == (32, 3)
    np.testing.assert_array_equal(spectrum.running[-1], spectrum.exponents)
    # 500 intervals: 20 left over, then 32 batches of 15.
    np.testing.assert_allclose(spectrum.running_time, 0.02 * (20 + 15 * np.arange(1, 33)), rtol=1e-14)
    np.testing.assert_allclose(spectrum.frame @ spectrum.frame.T, np.eye(3), atol=20 * EPS)
    assert spectrum.x.shape == (3,)
    end = jaxdyn.final_state(models.lorenz63(), dt=0.01, n_steps=1_100)
    np.testing.assert_allclose(spectrum.x, end.x, rtol=1e-6)  # rounding times exp(0.9 * 11)


# Identities


def test_sums_equal_the_mean_divergence(x64):
    """A constant divergence is met by the exponents to the order of the step, and by the check's average exactly."""
    # Three states by unrolled Gram-Schmidt, twelve by Householder QR.
    for system, divergence in ((models.lorenz63(), -41 / 3), (models.lorenz96(n=12), -12.0)):
        run = lyapunov_spectrum(system, dt=0.01, n_steps=2_000, checks=True)
        assert abs(float(run.exponents.sum()) - divergence) < 1e-3
        np.testing.assert_allclose(run.exponents.sum() - run.checks.sum, divergence, rtol=1e-12)


def test_the_sum_converges_with_the_order_of_the_method(x64):
    """On a cycle, over whole periods, the check is the step's error alone."""
    period = 6.66328686
    system = models.van_der_pol()

    def check(n):
        run = lyapunov_spectrum(system, dt=period / n, n_steps=2 * n, n_transient=10 * n, checks=True)
        return abs(float(run.checks.sum))

    order = np.log2(check(100) / check(200))
    assert 3.7 < order < 5.3


def test_the_mean_divergence_counts_the_ends_half(x64):
    """Over a part of a period the average is the trapezoid rule: an error of second order, not of first."""

    @jax.jit
    @jax.vmap
    def field_integral(dt):
        run = lyapunov_spectrum(models.van_der_pol(), dt=dt, n_steps=50, n_transient=50, checks=True)
        return run.exponents.sum() - run.checks.sum

    def mean_divergence(x, weights):
        return weights @ (1 - x**2) / weights.sum()

    for dt in (0.02, 0.01):
        x = np.asarray(jaxdyn.trajectory(models.van_der_pol(), dt=dt, n_steps=100).x)[50:, 0]
        trapezoid = np.r_[0.5, np.ones(49), 0.5]
        np.testing.assert_allclose(field_integral(np.array([dt]))[0], mean_divergence(x, trapezoid), rtol=1e-12)


@pytest.mark.parametrize("name", ["henon", "ikeda", "standard_map"])
def test_maps_with_a_constant_determinant_meet_it_to_rounding(name, x64):
    system = getattr(models, name)()
    spectrum = lyapunov_spectrum(system, n_steps=3_000, checks=True)
    expected = {"henon": np.log(0.3), "ikeda": 2 * np.log(0.9), "standard_map": 0.0}[name]
    np.testing.assert_allclose(spectrum.exponents.sum(), expected, rtol=0, atol=20 * EPS)
    np.testing.assert_allclose(spectrum.checks.sum, 0, rtol=0, atol=20 * EPS)


@pytest.mark.slow
def test_networks_meet_their_mean_divergence(x64):
    """The divergence -n + g sum J_ii (1 - tanh^2 x_i) varies along the orbit; 32 states use Householder QR."""
    flow = lyapunov_spectrum(
        models.random_rnn(n=32, g=4.0), dt=0.05, n_steps=640, n_transient=200, qr_every=4, checks=True
    )
    assert abs(float(flow.checks.sum)) < 1e-3 * 32
    assert abs(float(flow.exponents.sum()) + 32) > 1e-3  # it is not -n
    mapped = lyapunov_spectrum(models.random_rnn_map(n=12, g=1.5), n_steps=320, n_transient=64, checks=True)
    np.testing.assert_allclose(mapped.checks.sum, 0, rtol=0, atol=1e-11)


def test_a_hamiltonian_flow_has_pairs(x64):
    """Hénon and Heiles at energy 1/8: the sum is zero with the order of the method, 4 or more."""

    def field(t, x, p):
        q1, q2, p1, p2 = x
        return p1, p2, -q1 - 2 * q1 * q2, -q2 - q1**2 + q2**2

    system = jaxdyn.flow(field, {}, [0.0, -0.25, 0.42081, 0.0])
    run = jax.jit(jax.vmap(lambda dt: lyapunov_spectrum(system, dt=dt, n_steps=12_000).exponents))
    exponents = np.asarray(run(np.array([0.1, 0.05])))
    sums = np.abs(exponents.sum(axis=1))
    assert sums[1] < sums[0] / 14 and sums[1] < 1e-5
    # Pairs form as the frame turns, along the zeros slowly: within a few e-foldings over the time of 600.
    np.testing.assert_allclose(exponents + exponents[:, ::-1], 0, atol=3 / 600)


# Options


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_exponents_are_the_leading_ones(k, x64):
    """The first vectors of a frame do not know of the later ones."""
    # Long enough for the vectors to grow in the order of the exponents, by which the results are sorted.
    settings = {"dt": 0.01, "n_steps": 6_400, "n_transient": 3_200}
    full = lyapunov_spectrum(models.lorenz63(), **settings)
    part = lyapunov_spectrum(models.lorenz63(), n_exponents=k, **settings)
    assert part.exponents.shape == part.std_error.shape == (k,)
    assert part.frame.shape == (k, 3) and part.running.shape == (32, k)
    np.testing.assert_allclose(part.exponents, full.exponents[:k], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_the_interval_of_orthonormalization_does_not_matter_while_it_is_short(x64):
    """QR of a product is the product of QRs: equal up to rounding times the spread of an interval's growth."""
    settings = {"dt": 0.005, "n_steps": 2_000, "n_transient": 200}
    every, fifth = (lyapunov_spectrum(models.lorenz63(), qr_every=q, **settings) for q in (1, 5))
    np.testing.assert_allclose(every.exponents, fifth.exponents, rtol=0, atol=1e-9)
    assert fifth.status == Status.OK


def test_a_flow_that_depends_on_time_runs_from_time_zero(x64):
    """x' = cos(t) x: the exponent is (sin(end) - sin(begin)) / duration."""
    system = jaxdyn.flow(lambda t, x, p: jnp.cos(t) * x, {}, [1.0])
    spectrum = lyapunov_spectrum(system, dt=0.01, n_steps=300, n_transient=50)
    np.testing.assert_allclose(spectrum.exponents, (np.sin(3.5) - np.sin(0.5)) / 3, rtol=1e-9)


# Kaplan-Yorke dimension


@pytest.mark.parametrize(
    ("exponents", "dim", "expected"),
    [
        ([-1.0, -2.0], None, 0.0),
        ([0.5, 0.2], None, 2.0),
        ([0.5, 0.2], 2, 2.0),
        ([0.5, 0.2], 3, np.nan),
        ([0.5, -1.0], 3, 1.5),
        ([1.0, 0.0, -4.0], None, 2.25),
        ([0.0, -1.0], None, 1.0),
        ([1.0, -1.0, -1.0], None, 2.0),  # a partial sum of exactly zero is not negative
        ([1.0, -0.5, -1.0], None, 2.5),
        ([0.0, 0.0, 0.0], None, 3.0),
        ([-0.5], None, 0.0),
        ([0.5], None, 1.0),
        ([0.5], 2, np.nan),
        ([1.0, -np.inf], None, 1.0),
        ([-np.inf], None, 0.0),
        ([np.nan, -1.0], None, np.nan),
        ([1.0, np.nan], None, np.nan),
    ],
)
def test_kaplan_yorke_dimension_by_hand(exponents, dim, expected, x64):
    array = jnp.array(exponents)
    np.testing.assert_allclose(kaplan_yorke_dimension(array, dim=dim), expected, rtol=4 * EPS)
    np.testing.assert_allclose(jax.jit(lambda e: kaplan_yorke_dimension(e, dim=dim))(array), expected, rtol=4 * EPS)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_kaplan_yorke_dimension_of_batches(dtype, x64):
    rows = jnp.array([[[1.0, 0.0, -4.0], [-1.0, -2.0, -3.0]]], dtype)
    dimension = kaplan_yorke_dimension(rows)
    assert dimension.shape == (1, 2) and dimension.dtype == dtype
    np.testing.assert_array_equal(dimension, [[2.25, 0.0]])
    np.testing.assert_array_equal(jax.vmap(kaplan_yorke_dimension)(rows), dimension)
    np.testing.assert_array_equal(kaplan_yorke_dimension(rows[..., :1], dim=3), [[np.nan, 0.0]])
