"""Two-learner game against its closed forms; numbers to all digits shown unless a comment says otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models.learners import (
    multiplicative_map,
    two_learner_descent,
    two_learner_error,
    two_learner_flow,
    vector_learner_descent,
    vector_learner_flow,
)

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-13  # a few hundred roundings of numbers of order one
UNEQUAL = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}
SETS = [{"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}, {"tau": 1.0, "sigma_k": 0.25, "sigma_w": 0.25}, UNEQUAL]


def minimum(tau=1.0, sigma_k=0.5, sigma_w=0.5):
    """Minimum (k0, w0), closed form."""
    length = np.sqrt(1 - np.sqrt(sigma_k * sigma_w) / tau**2)
    return length * np.array([(sigma_w / sigma_k) ** 0.25, (sigma_k / sigma_w) ** 0.25])


@pytest.mark.parametrize("model", [two_learner_flow, vector_learner_flow])
def test_flow_is_minus_the_gradient_of_the_error(model):
    system = model(**UNEQUAL)
    x = np.random.default_rng(1).uniform(-2, 2, system.dim)
    gradient = jax.grad(two_learner_error)(jnp.asarray(x), system.params)
    np.testing.assert_allclose(system(0.0, x), -gradient, rtol=ROUNDING)


@pytest.mark.parametrize("model", [two_learner_descent, vector_learner_descent])
def test_descent_steps_down_the_gradient_with_two_rates(model):
    system = model(**UNEQUAL, gamma_k=0.7, gamma_w=1.1)
    x = np.random.default_rng(2).uniform(-2, 2, system.dim)
    rates = np.repeat([0.7, 1.1], system.dim // 2)
    gradient = jax.grad(two_learner_error)(jnp.asarray(x), system.params)
    np.testing.assert_allclose(system(0, x), x - rates * gradient, rtol=0, atol=ROUNDING)


def test_one_dimensional_vectors_are_the_scalar_game():
    x = jnp.array([0.3, -1.2])
    np.testing.assert_allclose(vector_learner_flow(n=1)(0.0, x), two_learner_flow()(0.0, x), rtol=ROUNDING)


@pytest.mark.parametrize("params", SETS)
def test_minima_and_their_invariants(params):
    system = two_learner_flow(**params)
    x = minimum(**params)
    tau2, q = params["tau"] ** 2, np.sqrt(params["sigma_k"] * params["sigma_w"])
    for point in (x, -x):
        np.testing.assert_allclose(system(0.0, point), 0, atol=ROUNDING)
        assert float(two_learner_error(jnp.asarray(point), params)) == pytest.approx(q - q**2 / (2 * tau2), rel=1e-13)
    assert x[0] * x[1] == pytest.approx(1 - q / tau2)
    gap = two_learner_error(jnp.zeros(2), params) - two_learner_error(jnp.asarray(x), params)
    assert float(gap) == pytest.approx((tau2 - q) ** 2 / (2 * tau2), rel=1e-12)


@pytest.mark.parametrize("params", SETS)
def test_hessian_at_minima_and_origin(params):
    system = two_learner_flow(**params)
    tau2, sk, sw = params["tau"] ** 2, params["sigma_k"], params["sigma_w"]
    q, rho = np.sqrt(sk * sw), np.sqrt(sk / sw)
    hessian = [[rho * tau2, tau2 - 2 * q], [tau2 - 2 * q, tau2 / rho]]  # closed form
    for sign in (1, -1):
        np.testing.assert_allclose(-jaxdyn.jacobian(system, sign * minimum(**params)), hessian, atol=ROUNDING)
    assert np.linalg.det(hessian) == pytest.approx(4 * q * (tau2 - q))
    half = np.sqrt((sk - sw) ** 2 / 4 + tau2**2)
    at_origin = np.sort(-jaxdyn.eigenvalues(system, [0.0, 0.0]).real)
    np.testing.assert_allclose(at_origin, [(sk + sw) / 2 - half, (sk + sw) / 2 + half], rtol=ROUNDING)


@pytest.mark.parametrize(("sigma", "code"), [(0.9, jaxdyn.Stability.SADDLE), (1.1, jaxdyn.Stability.STABLE_NODE)])
def test_origin_is_a_saddle_only_below_the_pitchfork(sigma, code):
    """Pitchfork at sqrt(sigma_k sigma_w) = tau^2."""
    system = two_learner_flow(sigma_k=sigma / 2, sigma_w=2 * sigma)
    assert jaxdyn.stability(jaxdyn.eigenvalues(system, [0.0, 0.0])) == code


def test_equal_penalties_have_eigenvalues_minus_two_sigma_and_two_sigma_minus_two():
    values, vectors = np.linalg.eigh(jaxdyn.jacobian(two_learner_flow(sigma_k=0.2, sigma_w=0.2), minimum(1, 0.2, 0.2)))
    np.testing.assert_allclose(values, [2 * 0.2 - 2, -2 * 0.2], rtol=1e-12)
    np.testing.assert_allclose(np.abs(vectors.T @ [1, 1]) / np.sqrt(2), [1, 0], atol=1e-12)


def test_multipliers_at_the_defaults_are_one_minus_the_rates():
    system = two_learner_descent()
    np.testing.assert_allclose(jaxdyn.eigenvalues(system, minimum()), [0.7, 0.6], rtol=1e-13)


def test_stability_boundary_of_the_descent_agrees_with_eigenvalues():
    """A < 2, B < 2 and 2 - (A + B) + 2 A B h (1 - h) > 0, in random sets with a minimum."""
    random = np.random.default_rng(3)
    sk, sw, tau, gk, gw = random.uniform([0.05, 0.05, 0.5, 0.05, 0.05], [2, 2, 2, 3, 3], (5000, 5)).T
    h = np.sqrt(sk * sw) / tau**2
    keep = h < 0.98
    sk, sw, tau, gk, gw, h = (value[keep] for value in (sk, sw, tau, gk, gw, h))
    a, b = gk * tau**2 * np.sqrt(sk / sw), gw * tau**2 * np.sqrt(sw / sk)
    stable = (a < 2) & (b < 2) & (2 - (a + b) + 2 * a * b * h * (1 - h) > 0)
    points = np.moveaxis(minimum(tau, sk, sw), 0, -1)
    system = two_learner_descent()

    def multipliers(point, **params):
        return jaxdyn.eigenvalues(system.with_params(**params), point)

    values = jax.jit(jax.vmap(multipliers))(points, tau=tau, sigma_k=sk, sigma_w=sw, gamma_k=gk, gamma_w=gw)
    np.testing.assert_allclose(values.imag, 0, atol=1e-12)  # always real
    np.testing.assert_array_equal(jaxdyn.spectral_radius(values) < 1, stable)
    assert 100 < stable.sum() < stable.size - 100


def equal_rates_limit(tau, sigma_k, sigma_w):
    """Largest equal rate of a stable minimum, closed form."""
    q, rho = np.sqrt(sigma_k * sigma_w), np.sqrt(sigma_k / sigma_w)
    trace = tau**2 * (rho + 1 / rho)
    return 4 / (trace + np.sqrt(trace**2 - 16 * q * (tau**2 - q)))


@pytest.mark.parametrize(
    ("params", "rate", "critical"),
    [
        (SETS[1], None, 4 / 3),  # 1 / max(sigma, tau^2 - sigma)
        (SETS[1], 3 / 2, 8 / 7),
        (SETS[1], 1 / 2, 24 / 13),
        (UNEQUAL, None, equal_rates_limit(**UNEQUAL)),
    ],
)
def test_critical_rates(params, rate, critical):
    system = two_learner_descent(**params)
    for gamma, inside in ((critical - 1e-6, True), (critical + 1e-6, False)):
        here = system.with_params(gamma_k=gamma if rate is None else rate, gamma_w=gamma)
        assert (jaxdyn.spectral_radius(jaxdyn.eigenvalues(here, minimum(**params))) < 1) == inside


def test_error_shrinks_by_the_spectral_radius():
    """Radius 0.697644 at these parameters; 40 steps leave the second multiplier behind by (0.29/0.70)^40."""
    system = two_learner_descent(**UNEQUAL, gamma_k=0.3, gamma_w=0.4)
    point = minimum(**UNEQUAL)
    radius = float(jaxdyn.spectral_radius(jaxdyn.eigenvalues(system, point)))
    assert radius == pytest.approx(0.697644, abs=5e-7)
    x = np.asarray(jaxdyn.trajectory(system, n_steps=50).x)
    distance = np.linalg.norm(x - point, axis=1)
    # The next term of the expansion is of the order of the distance itself, 1e-6 at step 40.
    assert distance[41] / distance[40] == pytest.approx(radius, rel=1e-5)


def test_two_cycle_beyond_the_flip():
    """gamma_k = 2.001, gamma_w = 0.9: points and multipliers of the stable 2-cycle; amplitude sqrt(.0005)."""
    system = two_learner_descent(gamma_k=2.001, gamma_w=0.9)
    # The slow multiplier 0.996 needs ln(1e-9)/ln(0.996) = 5200 steps of the second iterate.
    x = np.asarray(jaxdyn.trajectory(system, n_steps=12000, save=jaxdyn.Every(12000)).x[-1])
    cycle = np.array(sorted([x, np.asarray(system(0, x))], key=lambda point: -point[0]))
    np.testing.assert_allclose(cycle, [[0.7294842, 0.7067440], [0.6847298, 0.7067623]], atol=6e-8)
    multipliers = jaxdyn.eigenvalues(jaxdyn.nth_iterate(system, 2), x)
    np.testing.assert_allclose(multipliers.real, [0.996003, 0.009495], atol=6e-7)
    # Reduced map x -> -x + 2 x^3, correct to a relative order of the distance to the flip.
    assert (cycle[0, 0] - cycle[1, 0]) / 2 == pytest.approx(np.sqrt(0.0005), rel=0.01)


def test_two_cycle_loses_stability_at_the_next_doubling():
    system = two_learner_descent(gamma_k=2.2618586260, gamma_w=0.9)
    twice = jaxdyn.nth_iterate(system, 2)
    x = jaxdyn.final_state(system.with_params(gamma_k=2.2), n_steps=2000).x

    @jax.jit
    def newton(x):
        return x - jnp.linalg.solve(jaxdyn.jacobian(twice, x) - jnp.eye(2), twice.displacement(0, x))

    for _ in range(30):
        x = newton(x)
    assert float(jnp.abs(system.displacement(0, x)).max()) > 0.1  # a 2-cycle, not the fixed point
    # The rate is known to 1e-10; a multiplier moves by about ten times as much.
    assert float(jnp.min(jaxdyn.eigenvalues(twice, x).real)) == pytest.approx(-1, abs=1e-8)


def test_diagonal_is_the_cubic_map():
    """Equal rates and penalties: u+ = a u - u^3, a = 1 + gamma (tau^2 - sigma); multiplier across it."""
    gamma, tau, sigma, k = 0.7, 1.2, 0.3, 0.8
    system = two_learner_descent(tau=tau, sigma_k=sigma, sigma_w=sigma, gamma_k=gamma, gamma_w=gamma)
    u, a = np.sqrt(gamma) * tau * k, 1 + gamma * (tau**2 - sigma)
    np.testing.assert_allclose(np.sqrt(gamma) * tau * system(0, jnp.array([k, k])), [a * u - u**3] * 2, rtol=ROUNDING)
    across = jaxdyn.jacobian(system, [k, k]) @ jnp.array([1.0, -1.0])
    factor = 1 - gamma * (sigma + tau**2) + u**2
    np.testing.assert_allclose(across, [factor, -factor], rtol=1e-12)


def test_minima_of_the_vector_game_form_a_sphere():
    n = 5
    direction = np.random.default_rng(5).standard_normal(n)
    direction /= np.linalg.norm(direction)
    k0, w0 = minimum(**UNEQUAL)
    assert k0**2 == pytest.approx(0.9086744721, abs=1e-10)
    assert w0**2 == pytest.approx(0.5192425555, abs=1e-10)
    x = np.concatenate([k0 * direction, w0 * direction])
    system = vector_learner_flow(n=n, **UNEQUAL)
    np.testing.assert_allclose(system(0.0, x), 0, atol=ROUNDING)
    values = np.linalg.eigvalsh(-jaxdyn.jacobian(system, x))
    expected = [0.0] * (n - 1) + [0.963777] + [1.1] * (n - 1) + [2.549403]  # digits as stated
    np.testing.assert_allclose(values, expected, atol=6e-7)
    np.testing.assert_allclose(values[: n - 1], 0, atol=1e-12)

    descent = vector_learner_descent(n=n, **UNEQUAL, gamma_k=0.3, gamma_w=0.4)
    scalar = jaxdyn.eigenvalues(two_learner_descent(**UNEQUAL, gamma_k=0.3, gamma_w=0.4), [k0, w0]).real
    across = 1 - (0.3 * 0.4 + 0.4 * 0.7)
    multipliers = np.sort(np.linalg.eigvals(jaxdyn.jacobian(descent, x)).real)
    # Repeated eigenvalues of a matrix that is not symmetric: sqrt of rounding would be the worst case.
    np.testing.assert_allclose(multipliers, np.sort([*scalar, *[1.0] * 4, *[across] * 4]), atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_vector_learners_become_collinear(n):
    """W = sqrt(sigma_k/sigma_w) K at the end, on the sphere of minima."""
    for system, steps in (
        (vector_learner_flow(n=n, **UNEQUAL), {"t1": 50.0, "dt": 0.05}),
        (vector_learner_descent(n=n, **UNEQUAL), {"n_steps": 400}),
    ):
        k, w = np.split(np.asarray(jaxdyn.final_state(system, **steps).x), 2)
        # The slowest decay, exp(-0.96 t) or 0.70^n, leaves less than 1e-15.
        np.testing.assert_allclose(w, np.sqrt(0.4 / 0.7) * k, atol=1e-12)
        assert k @ k == pytest.approx(0.9086744721, abs=1e-10)


def test_vector_size_is_checked():
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        vector_learner_flow(n=0)
    assert vector_learner_flow(n=2).state_names == ("k1", "k2", "w1", "w2")


def test_multiplicative_map_follows_its_recursion_and_dies_out():
    system = multiplicative_map()
    w, k = 1.0, 0.5
    for _ in range(1000):
        w, k = w - 0.001 * w - 0.1 * w * k, k - 0.01 * k + 0.1 * w * k
    np.testing.assert_allclose(jaxdyn.final_state(system, n_steps=1000).x, [w, k], rtol=1e-11)  # 1000 roundings
    np.testing.assert_allclose(jaxdyn.eigenvalues(system, [0.0, 0.0]), [0.999, 0.99], rtol=1e-13)
    end = jaxdyn.final_state(system, n_steps=40000).x
    assert float(jnp.abs(end).max()) < 1e-15


def test_multiplicative_map_with_growth_spirals_outward():
    """a < 0: fixed point (b/c, -a/c) with multipliers 1 +- i sqrt(-a b), closed form."""
    system = multiplicative_map(a=-0.001)
    point = [0.1, 0.01]
    np.testing.assert_allclose(system.displacement(0, jnp.array(point)), 0, atol=1e-16)
    root = np.sqrt(0.001 * 0.01)
    np.testing.assert_allclose(jaxdyn.eigenvalues(system, point), [1 + 1j * root, 1 - 1j * root], atol=1e-14)
