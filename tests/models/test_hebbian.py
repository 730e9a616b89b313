"""Hebbian pair of rate neurons against its closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models.networks import hebbian_pair, hebbian_pair_fast

pytestmark = pytest.mark.usefixtures("x64")

FOLD = 0.88943675915758620  # r of both saddle-nodes at u = 0: 3 atanh r = r/(1 - r^2)
ETA2 = 0.001


def pair(eta, u1=0.0, u2=None, **more):
    return hebbian_pair(eta1=eta * ETA2, eta2=ETA2, u1=u1, u2=u1 if u2 is None else u2, **more)


def at_rest(r1, r2, eta):
    """State with these rates and the weights that belong to them."""
    return np.array([r1, r2, eta * r1 * r1, eta * r1 * r2, eta * r1 * r2, eta * r2 * r2])


def fixed_points(system, eta):
    """All fixed points found by Newton's method from a grid of rates, each once."""
    grid = np.linspace(-0.999, 0.999, 25)
    starts = np.array([at_rest(a, b, eta) for a in grid for b in grid])

    def root(x):
        def step(_, x):
            return x - jnp.linalg.solve(jaxdyn.jacobian(system, x), system(0.0, x))

        return jax.lax.fori_loop(0, 60, step, x)

    x = np.asarray(jax.jit(jax.vmap(root))(starts))
    residual = np.abs(np.asarray(jax.vmap(lambda x: system(0.0, x))(x))).max(1)
    x = x[residual < 1e-15]
    kept = []
    for point in x:
        if all(np.abs(point - other).max() > 1e-6 for other in kept):
            kept.append(point)
    return np.array(kept)


def test_hebbian_equations():
    r1, r2, m11, m12, m21, m22 = z = np.array([0.3, -0.6, 0.5, -1.0, 2.0, 0.7])
    system = hebbian_pair(gamma=0.2, eta1=0.3, eta2=0.05, u1=0.1, u2=-0.2)
    expected = [
        0.2 * (-r1 + np.tanh(m11 * r1 + m12 * r2 + 0.1)),
        0.2 * (-r2 + np.tanh(m21 * r1 + m22 * r2 - 0.2)),
        *(0.3 * np.array([r1 * r1, r1 * r2, r1 * r2, r2 * r2]) - 0.05 * z[2:]),
    ]
    np.testing.assert_allclose(system(0.0, z), expected, rtol=1e-13)
    fast = hebbian_pair_fast(gamma=0.2, m11=m11, m12=m12, m21=m21, m22=m22, u1=0.1, u2=-0.2)
    np.testing.assert_allclose(fast(0.0, z[:2]), expected[:2], rtol=1e-13)


def test_hebbian_jacobian_at_a_fixed_point():
    """Closed form, in the unit of eta2 with eps = gamma/eta2."""
    eta, eps = 1.3, 100.0
    system = pair(eta, 0.1)
    x = np.array([0.98904227, -0.98321331])  # 8 digits; the weights follow from them
    r1, r2 = x
    s1, s2 = 1 - r1**2, 1 - r2**2
    expected = np.array(
        [
            [eps * (eta * r1**2 * s1 - 1), eps * eta * r1 * r2 * s1, eps * r1 * s1, eps * r2 * s1, 0, 0],
            [eps * eta * r1 * r2 * s2, eps * (eta * r2**2 * s2 - 1), 0, 0, eps * r1 * s2, eps * r2 * s2],
            [2 * eta * r1, 0, -1, 0, 0, 0],
            [eta * r2, eta * r1, 0, -1, 0, 0],
            [eta * r2, eta * r1, 0, 0, -1, 0],
            [0, 2 * eta * r2, 0, 0, 0, -1],
        ]
    )
    # sech^2 = 1 - r^2 holds to the digits of r, 5e-9 times slopes of at most 2 eps.
    np.testing.assert_allclose(jaxdyn.jacobian(system, at_rest(*x, eta)) / ETA2, expected, atol=2e-6)


def test_forgetting_rate_is_always_a_double_eigenvalue():
    states = np.random.default_rng(1).uniform(-1, 1, (20, 6))
    for jac in jax.jit(jax.vmap(lambda x: jaxdyn.jacobian(pair(1.3, 0.1), x)))(states):
        values = np.linalg.svd(np.asarray(jac) + ETA2 * np.eye(6), compute_uv=False)
        assert values[-2] < 1e-16 < 1e-10 < values[-3]


def test_antisymmetry_of_the_weights_decays_exactly():
    """d(m12 - m21)/dt = -eta2 (m12 - m21), whatever the rates do; RK4 leaves (eta2 dt)^4 eta2 t / 120 = 1e-14."""
    system = hebbian_pair(x0=[0.5, -0.3, 0.1, 0.9, -0.4, 0.2])
    run = jaxdyn.trajectory(system, t1=2000.0, dt=1.0, save=jaxdyn.Every(100))
    difference = run.x[:, 3] - run.x[:, 4]
    np.testing.assert_allclose(difference, 1.3 * np.exp(-ETA2 * np.asarray(run.t)), rtol=1e-12)


def test_energy_of_symmetric_weights_decreases():
    """E = sum[r atanh r + ln(1 - r^2)/2] - r'Mr/2 - u.r + eta2/(4 eta1) |M|^2."""
    system = pair(1.3, 0.1, -0.2)
    inputs = jnp.array([0.1, -0.2])

    def energy(x):
        r, m = x[:2], x[2:].reshape(2, 2)
        rates = jnp.sum(r * jnp.arctanh(r) + jnp.log(1 - r**2) / 2)
        return rates - r @ m @ r / 2 - inputs @ r + jnp.sum(m * m) / (4 * 1.3)

    x = np.random.default_rng(2).uniform(-0.99, 0.99, (500, 6))
    x[:, 4] = x[:, 3]
    slope = jax.jit(jax.vmap(lambda x: jax.grad(energy)(x) @ system(0.0, x)))(x)
    assert float(slope.max()) < 0
    run = jaxdyn.trajectory(pair(1.3, 0.1, -0.2, x0=[0.4, -0.5, 0.1, 0.1, 0.1, 0.1]), t1=5000.0, dt=1.0)
    # Where it has come to rest, E moves by rounding only.
    assert np.diff(np.asarray(jax.jit(jax.vmap(energy))(run.x))).max() < 1e-15


@pytest.mark.parametrize("method", [jaxdyn.RK4(), jaxdyn.Tsit5()])
@pytest.mark.parametrize(
    ("t1", "r", "m", "digits"),
    [(500.0, 0.11521408, 0.0676658, 7), (800.0, 0.11180432, 0.05445579, 8), (20000.0, 0.10243396, 0.01364053, 8)],
)
def test_hebbian_default_run(method, t1, r, m, digits):
    """Independent integration, digits as stated; at dt = 1 RK4 is within 2e-9; t = 20000 is the end to exp(-18)."""
    x = np.asarray(jaxdyn.final_state(hebbian_pair(), t1=t1, dt=1.0, method=method).x)
    np.testing.assert_allclose(x[:2], r, rtol=0, atol=6e-9)
    np.testing.assert_allclose(x[2:], m, rtol=0, atol=0.6 * 10.0**-digits)


def test_suggested_step_resolves_the_pair():
    coarse, fine = (
        np.asarray(jaxdyn.final_state(hebbian_pair(), t1=800.0, dt=dt).x) for dt in (hebbian_pair.about.dt, 0.5)
    )
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=1e-9)


def test_origin_without_input_is_stable():
    """Eigenvalues -gamma twice and -eta2 four times."""
    values = np.sort(np.asarray(jaxdyn.eigenvalues(pair(1.3), [0.0] * 6).real))
    np.testing.assert_allclose(values, [-0.1] * 2 + [-0.001] * 4, rtol=1e-13)


@pytest.mark.parametrize(
    ("eta", "r1", "r2", "u"),
    [
        (2.0169980396643618, FOLD, 0.0, 0.0),
        (2.0169980396643618, 0.0, -FOLD, 0.0),
        (1.0084990198321809, FOLD, FOLD, 0.0),
        (1.0084990198321809, FOLD, -FOLD, 0.0),
        (0.93593077949546, 0.876462655664, 0.876462655664, 0.1),
        (1.0783352968098, -0.899408, -0.899408, 0.1),
    ],
)
def test_saddle_nodes(eta, r1, r2, u):
    """A fixed point with an eigenvalue 0, to the digits of r.

    An error of r enters the residual squared, and the eigenvalue itself: it
    moves by about ten times eta2 for each unit of r.
    """
    digits = 5e-7 if r1 == -0.899408 else 1e-12
    system, x = pair(eta, u), at_rest(r1, r2, eta)
    np.testing.assert_allclose(system(0.0, x), 0, atol=max(digits**2 * 10, 1e-14))
    smallest = np.abs(np.asarray(jaxdyn.eigenvalues(system, x))).min()
    assert smallest < max(20 * ETA2 * digits, 1e-14)
    ordinary = np.abs(np.asarray(jaxdyn.eigenvalues(pair(eta * 1.1, u), x))).min()
    assert ordinary > 1e-5


@pytest.mark.parametrize(("eta", "count"), [(0.95, 1), (1.3, 9), (2.1, 17)])
def test_number_of_fixed_points_without_input(eta, count):
    """1, 9, 17: below, between and above the saddle-nodes; axis states are unstable, diagonal ones half and half."""
    system = pair(eta)
    x = fixed_points(system, eta)
    assert len(x) == count
    np.testing.assert_allclose(x, [at_rest(*point[:2], eta) for point in x], atol=1e-12)
    unstable = np.array([int((jaxdyn.eigenvalues(system, point).real > 1e-9).sum()) for point in x])
    on_axis = (np.abs(x[:, :2]).min(1) < 1e-9) & (np.abs(x[:, :2]).max(1) > 1e-9)
    on_diagonal = np.abs(x[:, :2]).min(1) > 1e-9
    upper = np.abs(x[:, 0]) > FOLD
    assert set(unstable[on_axis]) <= {1, 2}
    assert set(unstable[on_diagonal & upper]) <= {0}
    assert set(unstable[on_diagonal & ~upper]) <= {1}


def test_diagonal_states_at_the_default_ratio():
    """eta = 1.3, u = 0: a stable state and a saddle on the diagonal, with their leading eigenvalues."""
    for s, leading in ((0.9865132994761254, -0.0008532133), (0.686563849181936, 0.0024411447)):
        x = at_rest(s, s, 1.3)
        np.testing.assert_allclose(pair(1.3)(0.0, x), 0, atol=1e-15)
        values = jaxdyn.eigenvalues(pair(1.3), x)
        assert float(values.real.max()) == pytest.approx(leading, abs=6e-11)


def test_fixed_points_with_input():
    """eta = 1.3: u = 0.1 has 9 fixed points, u = 0.3 has 7 (the state of rest is gone); 5 and 4 are stable."""
    stable = {}
    for u, count in ((0.1, 9), (0.3, 7)):
        system = pair(1.3, u)
        x = fixed_points(system, 1.3)
        assert len(x) == count
        growth = np.array([float(jaxdyn.spectral_abscissa(jaxdyn.eigenvalues(system, point))) for point in x])
        stable[u] = x[growth < 0, :2]
        assert len(stable[u]) == {0.1: 5, 0.3: 4}[u]
    expected = [
        (-0.98321331, 0.98904227),
        (-0.98254305, -0.98254305),
        (0.10243396, 0.10243396),
        (0.98904227, -0.98321331),
        (0.98942074, 0.98942074),
    ]
    found = np.array(sorted(map(tuple, stable[0.1])))
    np.testing.assert_allclose(found, expected, atol=6e-9)


def test_frozen_weights_have_the_fixed_points_of_the_pair():
    s = 0.9865132994761254
    fast = hebbian_pair_fast(**dict.fromkeys(("m11", "m12", "m21", "m22"), 1.3 * s * s), u1=0.0, u2=0.0)
    np.testing.assert_allclose(fast(0.0, np.array([s, s])), 0, atol=1e-15)
    gain = (1 - s * s) * 1.3 * s * s
    expected = 0.1 * (gain * np.ones((2, 2)) - np.eye(2))  # gamma (diag(1 - r^2) M - I)
    np.testing.assert_allclose(jaxdyn.jacobian(fast, [s, s]), expected, atol=1e-14)
