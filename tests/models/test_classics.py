"""Chaotic flows and maps against closed forms and published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cycle import same

from jaxdyn import Stability, eigenvalues, final_state, jacobian, models, nth_iterate, stability, trajectory

EPS = np.finfo(np.float64).eps
pytestmark = pytest.mark.usefixtures("x64")


# Chaotic flows


def lorenz_point(rho, beta=8 / 3):
    side = np.sqrt(beta * (rho - 1))
    return [side, side, rho - 1]


@pytest.mark.parametrize("sign", [1, -1])
def test_lorenz_fixed_points(sign):
    point = np.array(lorenz_point(28.0)) * [sign, sign, 1]
    same(models.lorenz63()(0.0, jnp.asarray(point)), 0, scale=250)


def test_lorenz_hopf_point():
    rho = 470 / 19
    values = eigenvalues(models.lorenz63(rho=rho), lorenz_point(rho))
    # beta (sigma + rho) is the frequency squared there, and the third eigenvalue is the whole divergence.
    same(values, [1j * np.sqrt(8 / 3 * (10 + rho)), -1j * np.sqrt(8 / 3 * (10 + rho)), -41 / 3], scale=25)
    assert abs(float(values[0].imag) - 9.62453006372) < 1e-11


@pytest.mark.parametrize(("rho", "wanted"), [(24.0, Stability.STABLE_FOCUS), (25.5, Stability.SADDLE_FOCUS)])
def test_lorenz_stability_changes_at_the_hopf_point(rho, wanted):
    assert stability(eigenvalues(models.lorenz63(rho=rho), lorenz_point(rho))) == wanted


def test_lorenz_origin():
    root = np.sqrt(81 + 4 * 10 * 28)
    same(eigenvalues(models.lorenz63(), [0.0, 0.0, 0.0]), [(-11 + root) / 2, -8 / 3, (-11 - root) / 2], scale=25)


def test_rossler_fixed_points_and_divergence():
    system = models.rossler()
    for sign in (1, -1):
        z = (5.7 + sign * np.sqrt(5.7**2 - 4 * 0.04)) / 0.4
        point = jnp.array([0.2 * z, -z, z])
        same(system(0.0, point), 0, scale=z * 5.7)
        same(jnp.trace(jacobian(system, point)), 0.2 - 5.7 + 0.2 * z, scale=6)


@pytest.mark.parametrize("coupling", [1.0, 0.3])
def test_henon_heiles_energy_saddles_and_symmetry(coupling):
    system = models.henon_heiles(coupling=coupling)

    def energy(s):
        x, y, u, v = s
        return (u * u + v * v + x * x + y * y) / 2 + coupling * (x * x * y - y**3 / 3)

    turn = np.array([[-1, -np.sqrt(3)], [np.sqrt(3), -1]]) / 2
    both = np.kron(np.eye(2), turn)
    for s in np.random.default_rng(0).uniform(-1, 1, (5, 4)):
        same(jax.grad(energy)(s) @ system(0.0, s), 0, scale=10)
        same(system(0.0, both @ s), both @ system(0.0, s), scale=10)  # three axes of symmetry
    same(jnp.trace(jacobian(system, [0.1, 0.2, 0.3, 0.4])), 0)
    for place in ([0.0, 1.0], [np.sqrt(0.75), -0.5], [-np.sqrt(0.75), -0.5]):
        point = jnp.array([*place, 0.0, 0.0]) / coupling
        same(system(0.0, point), 0, scale=10)
        same(energy(point), 1 / (6 * coupling**2))
        # The potential has curvatures -1 and 3 there.
        same(eigenvalues(system, point), [1, 1j * np.sqrt(3), -1j * np.sqrt(3), -1], scale=10)


def test_the_default_start_of_henon_heiles_has_energy_one_eighth():
    x, y, u, v = models.henon_heiles().x0
    assert abs((u * u + v * v + x * x + y * y) / 2 + x * x * y - y**3 / 3 - 1 / 8) < 1e-5  # u has five digits


@pytest.mark.parametrize("n", [4, 5, 40])
def test_lorenz96_divergence_and_energy(n):
    system = models.lorenz96(n=n, F=0.0)
    x = jnp.asarray(np.random.default_rng(n).normal(0, 5, n))
    same(jnp.trace(jacobian(system, x)), -n, scale=n)
    # The quadratic terms move energy between sites but keep its sum.
    same(x @ system(0.0, x), -x @ x, scale=n * 125)


def test_lorenz96_uniform_state():
    n, force = 40, 3.0
    k = 2 * np.pi * np.arange(n) / n
    wanted = -1 + force * (np.exp(1j * k) - np.exp(-2j * k))
    values = np.asarray(eigenvalues(models.lorenz96(F=force), [force] * n))
    # The Jacobian is circulant, hence normal: eigenvalues are as accurate as the matrix.
    distance = np.abs(values[:, None] - wanted[None, :])
    assert distance.min(axis=0).max() < 64 * EPS * 2 * force * n
    assert distance.min(axis=1).max() < 64 * EPS * 2 * force * n


def test_lorenz96_default_start_leaves_the_uniform_state():
    system = models.lorenz96()
    assert system.state_names[:2] == ("x1", "x2") and system.dim == 40
    end = final_state(system, t1=20.0, dt=system.about.dt)
    assert int(end.status) == 0
    assert float(jnp.std(end.x)) > 1.0  # the attractor's standard deviation is near 3.6


@pytest.mark.parametrize("bad", [{"n": 3}, {"n": 4.0}, {"n": 5, "x0": [1.0] * 4}])
def test_lorenz96_rejects_sizes(bad):
    with pytest.raises(ValueError, match="n="):
        models.lorenz96(**bad)


# Chaotic maps


def test_logistic_fixed_points():
    system = models.logistic(r=3.3)
    for point, multiplier in ((0.0, 3.3), (1 - 1 / 3.3, 2 - 3.3)):
        same(system(0, jnp.array([point])), [point])
        same(eigenvalues(system, [point]), [multiplier], scale=4)


@pytest.mark.parametrize(("r", "multiplier"), [(1 + 5**0.5, 0.0), (1 + 6**0.5, -1.0), (3.2, 4 + 6.4 - 3.2**2)])
def test_logistic_two_cycle(r, multiplier):
    """Superstable at 1 + sqrt 5, doubling at 1 + sqrt 6, 4 + 2 r - r^2 in general."""
    twice = nth_iterate(models.logistic(r=r), 2)
    for sign in (1, -1):
        x = (r + 1 + sign * np.sqrt((r - 3) * (r + 1))) / (2 * r)
        same(twice(0, jnp.array([x])), [x], scale=4)
        same(eigenvalues(twice, [x]), [multiplier], scale=16)


def test_logistic_full_chaos_is_the_doubling_of_an_angle():
    """x = sin^2(a) goes to sin^2(2 a); rounding grows by at most 4 a step."""
    run = trajectory(models.logistic(), n_steps=15)
    angle = np.arcsin(np.sqrt(0.3)) * 2.0 ** np.arange(16)
    np.testing.assert_allclose(run.x[:, 0], np.sin(angle) ** 2, rtol=0, atol=4**15 * 4 * EPS)


def test_henon_fixed_point_and_multipliers():
    system = models.henon()
    x = (-0.7 + np.sqrt(0.49 + 5.6)) / 2.8
    same(x, 0.6313544770895047)
    same(system(0, jnp.array([x, 0.3 * x])), [x, 0.3 * x])
    # The values are given to ten digits.
    np.testing.assert_allclose(eigenvalues(system, [x, 0.3 * x]), [-1.9237388581, 0.1559463223], atol=5e-11)
    same(jnp.linalg.det(jacobian(system, [0.7, -0.2])), -0.3)


@pytest.mark.parametrize(("a", "period"), [(0.3675, 1), (0.9125, 2)])
def test_henon_flips(a, period):
    """b = 0.3: the fixed point flips at 3 (1-b)^2/4, the 2-cycle at (1-b)^2 + (1+b)^2/4."""
    if period == 1:
        x = (-0.7 + np.sqrt(0.49 + 4 * a)) / (2 * a)
        point = [x, 0.3 * x]
    else:  # the two x values have sum (1 - b)/a and product ((1 - b)^2 - a)/a^2
        x, other = np.roots([a * a, -0.7 * a, 0.49 - a])
        point = [x, 0.3 * other]
    cycle = nth_iterate(models.henon(a=a), period)
    same(cycle(0, jnp.array(point)), point, scale=4)
    values = eigenvalues(cycle, point)
    same(values[0], -1.0, scale=16)
    assert stability(values, discrete=True) == Stability.FLIP


@pytest.mark.parametrize("k", [0.5, 1.0, 5.0])
def test_standard_map_keeps_area_and_its_square(k):
    system = models.standard_map(k=k)
    points = jnp.asarray(np.random.default_rng(3).uniform(0, 2 * np.pi, (200, 2)))
    after = jax.vmap(lambda x: system(0, x))(points)
    assert float(after.min()) >= 0 and float(after.max()) <= 2 * np.pi
    x, p = np.asarray(points).T
    np.testing.assert_allclose(np.cos(after[:, 1]), np.cos(p + k * np.sin(x)), atol=64 * EPS)
    np.testing.assert_allclose(
        np.exp(1j * np.asarray(after[:, 0])), np.exp(1j * (x + p + k * np.sin(x))), atol=64 * EPS
    )
    determinants = jax.vmap(lambda x: jnp.linalg.det(jacobian(system, x)))(points)
    same(determinants, 1.0, scale=(1 + k) ** 2)


def test_standard_map_fixed_points():
    system = models.standard_map(k=1.0)
    same(eigenvalues(system, [0.0, 0.0]), [(3 + 5**0.5) / 2, (3 - 5**0.5) / 2], scale=4)
    same(eigenvalues(system, [np.pi, 0.0]), np.exp([1j * np.pi / 3, -1j * np.pi / 3]))
    assert system.state_names == ("x", "p")


def test_ikeda_determinant_and_fixed_points():
    system = models.ikeda()
    points = jnp.asarray(np.random.default_rng(5).normal(0, 2, (100, 2)))
    determinants = jax.vmap(lambda x: jnp.linalg.det(jacobian(system, x)))(points)
    sizes = jax.vmap(lambda x: jnp.linalg.norm(jacobian(system, x)) ** 2)(points)
    same(determinants / sizes, 0.81 / sizes)
    z = complex(0.3, -0.8)
    same(system(0, jnp.array([z.real, z.imag])), _ikeda(z))
    kinds = []
    for point in ([2.97213162, 4.14594642], [0.53275462, 0.24689677], [1.11426961, -2.28569446]):
        # Coordinates have eight decimals; the map's Jacobian minus one has norm below 8 here.
        np.testing.assert_allclose(system(0, jnp.array(point)), point, atol=8 * 5e-9)
        kinds.append(int(stability(eigenvalues(system, point), discrete=True)))
    assert kinds == [Stability.STABLE_FOCUS, Stability.FLIP_SADDLE, Stability.SADDLE]


def _ikeda(z):
    after = 1 + 0.9 * z * np.exp(1j * (0.4 - 6 / (1 + abs(z) ** 2)))
    return [after.real, after.imag]
