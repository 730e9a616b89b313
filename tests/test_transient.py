"""Transient growth: closed forms, bounds, independent matrix functions, the nonlinear system itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdyn
from jaxdyn import Status, models
from jaxdyn.analysis.transient import transient_growth

EPS = np.finfo(np.float64).eps
TIMES = np.linspace(0.0, 6.0, 25)


def test_jordan_block_closed_form(x64):
    """[[-1, c], [0, -1]]: envelope exp(-t) (c t + sqrt(c^2 t^2 + 4))/2, largest at t = sqrt(c^2 - 4)/c."""
    c = 4.0
    best = np.sqrt(c * c - 4) / c
    times = np.sort(np.append(TIMES, best))
    growth = transient_growth([[-1.0, c], [0.0, -1.0]], times=times)
    envelope = np.exp(-times) * (c * times + np.sqrt((c * times) ** 2 + 4)) / 2
    np.testing.assert_allclose(growth.amplification, envelope, rtol=100 * EPS)
    assert float(growth.time_of_largest) == best
    np.testing.assert_allclose(growth.largest_amplification, np.exp(-best) * (np.sqrt(12) + 4) / 2, rtol=100 * EPS)
    np.testing.assert_allclose(growth.reactivity, -1 + c / 2, rtol=10 * EPS)
    assert float(growth.growth_rate) == -1
    np.testing.assert_allclose(growth.henrici_departure, c, rtol=10 * EPS)
    np.testing.assert_allclose(growth.commutator_norm, np.sqrt(2) * c * c, rtol=10 * EPS)
    # Right and left singular vectors of [[1, s], [0, 1]]: (1, sigma) and (sigma, 1), sigma - 1/sigma = s.
    sigma = np.exp(best) * float(growth.largest_amplification)
    np.testing.assert_allclose(growth.optimal_start, np.array([1, sigma]) / np.hypot(1, sigma), rtol=1e-13)
    np.testing.assert_allclose(growth.optimal_end, np.array([sigma, 1]) / np.hypot(1, sigma), rtol=1e-13)
    assert growth.status == Status.OK


def test_two_rates_closed_form(x64):
    """[[-1, c], [0, -2]]: exp(A t) = [[p, c (p - r)], [0, r]], p = exp(-t), r = exp(-2t)."""
    c = 10.0
    growth = transient_growth([[-1.0, c], [0.0, -2.0]], times=TIMES)
    p, r = np.exp(-TIMES), np.exp(-2 * TIMES)
    total = p**2 + r**2 + (c * (p - r)) ** 2
    np.testing.assert_allclose(
        growth.amplification, np.sqrt((total + np.sqrt(total**2 - 4 * (p * r) ** 2)) / 2), rtol=1e-13
    )
    np.testing.assert_allclose(growth.reactivity, (-3 + np.sqrt(1 + c * c)) / 2, rtol=10 * EPS)
    np.testing.assert_allclose(growth.growth_rate, -1, rtol=4 * EPS)
    assert float(growth.largest_amplification) > 2.4


@pytest.mark.parametrize(
    ("matrix", "discrete", "time"),
    [
        ([[-0.5, 9.0], [0.0, -2.0]], False, 2.0),
        ([[-0.1, 3.0], [-3.0, -0.1]], False, 10.0),
        ([[0.5, 9.0], [0.0, -0.25]], True, 1 / np.log(2)),
        ([[0.0, 1.0], [-1.0, 0.0]], False, np.inf),
        ([[0.2, 0.0], [0.0, -1.0]], False, np.inf),
        ([[-1.5, 0.0], [0.0, 0.1]], True, np.inf),
    ],
)
def test_return_time_is_that_of_the_slowest_direction(matrix, discrete, time, x64):
    growth = transient_growth(matrix, times=[0, 1], discrete=discrete)
    np.testing.assert_allclose(growth.return_time, time, rtol=20 * EPS)


NORMAL = {
    "symmetric": [[-0.5, 0.1, 0.0], [0.1, -0.2, 0.3], [0.0, 0.3, -1.0]],
    "rotation": [[-0.3, -0.5], [0.5, -0.3]],
    "skew": [[0.0, 1.0, 0.5], [-1.0, 0.0, 2.0], [-0.5, -2.0, 0.0]],
}


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("name", NORMAL)
def test_normal_matrices_do_not_amplify(name, discrete, x64):
    matrix = np.array(NORMAL[name])
    times = np.arange(25) if discrete else TIMES
    growth = transient_growth(matrix, times=times, discrete=discrete)
    np.testing.assert_allclose(growth.reactivity, growth.growth_rate, atol=20 * EPS)
    # A singular value carries rounding of the matrix' norm, times the number of products.
    np.testing.assert_allclose(growth.amplification, np.exp(float(growth.growth_rate) * times), rtol=200 * EPS)
    scale = np.linalg.norm(matrix)
    assert growth.commutator_norm <= 20 * EPS * scale**2
    assert growth.henrici_departure <= np.sqrt(20 * EPS) * scale


@pytest.mark.parametrize("seed", range(4))
def test_bounds_of_any_matrix(seed, x64):
    """Growth between the two rates, and Henrici's number between the two bounds by the commutator.

    Henrici 1962 from above, Elsner & Paardekooper 1987 (Linear Algebra and its Applications 92, 107) from below.
    """
    n = 5
    matrix = np.random.default_rng(seed).standard_normal((n, n))
    growth = transient_growth(matrix, times=TIMES)
    amplification = np.asarray(growth.amplification)
    slack = 1 + 1e-12
    assert np.all(amplification * slack >= np.exp(float(growth.growth_rate) * TIMES))
    assert np.all(amplification <= slack * np.exp(float(growth.reactivity) * TIMES))
    commutator = float(growth.commutator_norm)
    departure = float(growth.henrici_departure) ** 2
    assert commutator**2 / (6 * np.linalg.norm(matrix) ** 2) <= departure * slack
    assert departure <= slack * np.sqrt((n**3 - n) / 12) * commutator
    triangle = scipy.linalg.schur(matrix.astype(complex))[0]
    np.testing.assert_allclose(departure, np.linalg.norm(np.triu(triangle, 1)) ** 2, rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_optimal_directions(seed, x64):
    """exp(A t) takes the start to the end, amplified; the largest component of the start is positive."""
    matrix = np.random.default_rng(seed).standard_normal((4, 4)) - np.eye(4)
    growth = transient_growth(matrix, times=TIMES[1:])
    start = np.asarray(growth.optimal_start)
    assert start[np.argmax(np.abs(start))] > 0
    end = scipy.linalg.expm(matrix * float(growth.time_of_largest)) @ start
    size = float(growth.largest_amplification)
    np.testing.assert_allclose(end, size * np.asarray(growth.optimal_end), rtol=0, atol=1e-12 * size)
    assert size == np.asarray(growth.amplification).max()


def test_reactivity_is_the_first_slope_of_the_envelope(x64):
    """log|exp(A h)| / h = reactivity + O(h^2): the next term is the commutator of A's parts, which has no diagonal."""
    matrix = np.random.default_rng(5).standard_normal((4, 4))
    steps = np.array([1e-3, 5e-4])
    growth = transient_growth(matrix, times=steps)
    errors = np.log(np.asarray(growth.amplification)) / steps - float(growth.reactivity)
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.01)


@pytest.mark.parametrize("discrete", [False, True])
def test_against_scipy_and_numpy(discrete, x64):
    matrix = np.random.default_rng(7).standard_normal((6, 6)) / 2
    times = np.array([0, 1, 2, 3, 5, 31, 64]) if discrete else np.array([0.0, 0.3, 1.0, 4.0, 9.0, 25.0])
    growth = transient_growth(matrix, times=times, discrete=discrete)
    for time, amplification in zip(times, np.asarray(growth.amplification), strict=True):
        power = np.linalg.matrix_power(matrix, time) if discrete else scipy.linalg.expm(matrix * time)
        np.testing.assert_allclose(amplification, np.linalg.norm(power, 2), rtol=1e-12)
    values = np.linalg.eigvals(matrix)
    rate = np.log(np.abs(values).max()) if discrete else values.real.max()
    np.testing.assert_allclose(growth.growth_rate, rate, rtol=1e-12)
    first = np.log(np.linalg.norm(matrix, 2)) if discrete else np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1]
    np.testing.assert_allclose(growth.reactivity, first, rtol=1e-12)
    assert growth.t.dtype == (jnp.int32 if discrete else jnp.float64)


def test_matrix_of_a_map_that_is_stable_and_reactive(x64):
    """Eigenvalues 0.4 and 0.3, 2-norm 0.5389025383: stable, not reactive; ten times the shear is."""
    calm = transient_growth(models.linear_map(A=[[0.2, -0.1], [0.2, 0.5]]), times=range(5))
    np.testing.assert_allclose(np.exp(calm.reactivity), 0.5389025383, atol=5e-11)
    np.testing.assert_allclose(np.exp(calm.growth_rate), 0.4, rtol=1e-13)
    assert int(calm.time_of_largest) == 0
    sheared = transient_growth(models.linear_map(A=[[0.5, 5.0], [0.0, 0.3]]), times=range(5))
    assert int(sheared.time_of_largest) == 1
    np.testing.assert_allclose(np.log(sheared.largest_amplification), sheared.reactivity, rtol=1e-13)


@pytest.mark.parametrize("size", np.geomspace(0.5, 60, 24))
def test_exponential_keeps_its_digits_in_single_precision(size):
    """Relative error of the exponential in float32: eps times the norm (Higham 2005), with room for its condition."""
    worst = 0.0
    for seed in range(5):
        matrix = np.random.default_rng(seed).standard_normal((3, 3))
        matrix = (matrix * size / np.abs(matrix).sum(0).max()).astype(np.float32)
        found = transient_growth(matrix, times=[1.0]).amplification[0]
        exact = np.linalg.norm(scipy.linalg.expm(matrix.astype(float)), 2)
        worst = max(worst, abs(float(found) / exact - 1))
    assert worst <= 10 * np.finfo(np.float32).eps * (1 + size)


# Systems


def wing(rho, sigma=10.0, beta=8 / 3):
    side = np.sqrt(beta * (rho - 1))
    return [side, side, rho - 1]


def test_a_system_at_its_fixed_point(x64):
    system = models.lorenz63(rho=20.0)
    growth = transient_growth(system, times=TIMES, x=wing(20.0))
    plain = transient_growth(jaxdyn.jacobian(system, wing(20.0)), times=TIMES)
    for a, b in zip(jax.tree.leaves(growth), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    # A stable focus, and yet perturbations grow at first.
    assert growth.growth_rate < 0 < growth.reactivity and growth.largest_amplification > 1.1
    at_start = transient_growth(system.with_state(wing(20.0)), times=TIMES)
    np.testing.assert_array_equal(at_start.amplification, growth.amplification)


def test_the_nonlinear_system_grows_as_foretold(x64):
    """A perturbation of 1e-7 along the optimal direction; second order and RK4's error are below 1e-5 of it."""
    system = models.lorenz63(rho=20.0)
    point = np.array(wing(20.0))
    growth = transient_growth(system, times=np.arange(0, 101) * 0.01, x=point)
    size = 1e-7
    steps = round(float(growth.time_of_largest) / 0.001)
    start = point + size * np.asarray(growth.optimal_start)
    end = jaxdyn.final_state(system.with_state(start), n_steps=steps, dt=0.001).x
    moved = np.asarray(end) - point
    np.testing.assert_allclose(np.linalg.norm(moved) / size, growth.largest_amplification, rtol=1e-5)
    np.testing.assert_allclose(moved / np.linalg.norm(moved), growth.optimal_end, atol=1e-5)
    other = point + size * np.array([0.0, 0.0, 1.0])
    apart = np.asarray(jaxdyn.final_state(system.with_state(other), n_steps=steps, dt=0.001).x) - point
    assert np.linalg.norm(apart) < np.linalg.norm(moved)


def test_sweep_over_a_parameter(x64):
    rhos = np.array([5.0, 12.0, 20.0])

    def measure(system):
        side = jnp.sqrt(system.params["beta"] * (system.params["rho"] - 1))
        return transient_growth(system, times=TIMES, x=jnp.stack([side, side, system.params["rho"] - 1]))

    cells = jaxdyn.sweep(measure, models.lorenz63(), {"rho": rhos}, progress=False)
    assert cells["amplification"].dims == ("rho", "time")
    np.testing.assert_allclose(cells["time"], TIMES)
    for i, rho in enumerate(rhos):
        alone = transient_growth(models.lorenz63(rho=rho), times=TIMES, x=wing(rho))
        for name in ("amplification", "reactivity", "growth_rate", "optimal_start", "commutator_norm"):
            np.testing.assert_allclose(cells[name][i], getattr(alone, name), rtol=1e-11, atol=1e-12)
    assert not cells["status"].any()


def test_sweep_of_maps(x64):
    point = 0.6313544770895047
    measure = functools.partial(transient_growth, times=range(10), x=[point, 0.3 * point])
    cells = jaxdyn.sweep(measure, models.henon(), {"a": [1.2, 1.4]}, progress=False)
    power = np.linalg.matrix_power(np.array([[-2 * 1.4 * point, 1], [0.3, 0]]), 9)
    np.testing.assert_allclose(cells["amplification"][1, 9], np.linalg.norm(power, 2), rtol=1e-12)


@pytest.mark.slow
def test_lanes_and_single_precision():
    matrices = jnp.asarray(np.random.default_rng(1).standard_normal((4, 3, 3)), jnp.float32)
    matrices = matrices.at[2, 0, 0].set(jnp.nan)
    function = functools.partial(transient_growth, times=np.linspace(0, 2, 5))
    for transform in (jax.vmap, jaxdyn.lanes):
        many = transform(function)(matrices)
        assert {leaf.dtype for leaf in jax.tree.leaves(many)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int8)}
        np.testing.assert_array_equal(many.status, [0, 0, Status.NON_FINITE, 0])
        assert np.isnan(np.asarray(many.amplification[2])).all() and np.isnan(many.reactivity[2])
        one = function(matrices[3])
        np.testing.assert_allclose(many.amplification[3], one.amplification, rtol=1e-5)


def test_overflow_is_reported():
    growth = transient_growth([[100.0]], times=[0.0, 2.0])
    assert growth.status == Status.NON_FINITE and np.isnan(growth.largest_amplification)
    np.testing.assert_array_equal(growth.amplification[0], 1)


def test_gradients_are_those_of_perturbation_theory(x64):
    """d reactivity / dA = v v^T of the leading eigenvector; d|exp(A t)| by finite differences."""
    matrix = jnp.asarray(np.random.default_rng(2).standard_normal((3, 3)))
    slope = jax.grad(lambda a: transient_growth(a, times=[1.0]).reactivity)(matrix)
    vector = np.linalg.eigh((np.asarray(matrix) + np.asarray(matrix).T) / 2)[1][:, -1]
    np.testing.assert_allclose(slope, np.outer(vector, vector), atol=1e-13)

    def envelope(a):
        return transient_growth(a, times=[1.5]).largest_amplification

    direction = jnp.asarray(np.random.default_rng(3).standard_normal((3, 3)))
    step = 1e-5  # error of the central difference: step^2 and eps / step
    finite = (envelope(matrix + step * direction) - envelope(matrix - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.sum(jax.grad(envelope)(matrix) * direction), finite, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"system": np.ones((2, 3)), "times": [1.0]}, ValueError, r"must be square, \(n, n\), got shape \(2, 3\)"),
        ({"system": np.eye(2), "times": 1.0}, ValueError, r"times must have shape \(n,\)"),
        ({"system": np.eye(2), "times": [-1.0]}, ValueError, "finite and not negative"),
        ({"system": np.eye(2), "times": [0.5], "discrete": True}, ValueError, "whole numbers of steps"),
        ({"system": np.eye(2), "times": [0.5], "x": [0.0, 0.0]}, TypeError, "leave x out"),
        ({"system": models.henon(), "times": [1], "discrete": True}, TypeError, "henon is known as a map"),
        ({"system": models.lorenz63(), "times": [1.0], "x": [0.0]}, ValueError, r"x must have shape \(3,\)"),
        ({"system": 1j * np.eye(2), "times": [1.0]}, TypeError, "must be real numbers"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        transient_growth(arguments.pop("system"), **arguments)
