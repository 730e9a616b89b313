"""Local bifurcations: first Lyapunov coefficients of Hopf points, further Hopf points, folds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ensemble import load
from hopf import hopf

import jaxdyn
from jaxdyn import models

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-12  # third derivatives of order one and two small linear systems


# Planar systems and Lorenz


@pytest.mark.parametrize(("a", "l1", "digits"), [(0.5, -1.5, 0), (1.0, -0.5, 0), (2.0, -0.16667, 5e-6)])
def test_brusselator(a, l1, digits):
    """Closed form -(2 + A^2) / (2 A (1 + 2 A^2)) for an eigenvector of length one."""
    b = 1 + a * a
    got = hopf(models.brusselator(A=a, B=b), [a, b / a])
    assert abs(got.omega - a) < ROUNDING
    assert abs(got.l1 - l1) <= digits + ROUNDING
    assert abs(got.l1 + (2 + a * a) / (2 * a * (1 + 2 * a * a))) < ROUNDING


@pytest.mark.parametrize(("sign", "current"), [(-1, 0.33128133745474581144), (1, 1.4187186625452541886)])
def test_fitzhugh_nagumo(sign, current):
    """Values for the eigenvector with v component 1; both Hopf points are subcritical."""
    v = sign * np.sqrt(1 - 0.8 / 12.5)
    got = hopf(models.fitzhugh_nagumo(I=current), [v, (v + 0.7) / 0.8])
    c1 = got.c1_with(0).real
    assert abs(c1 - 0.2892074199) <= 0.5e-10 + ROUNDING
    assert abs(c1 / got.omega - 1.0497) <= 0.5e-4
    # The same by a formula for planar systems, in which the sign is that of 2 b - b^2 / tau - 1.
    assert np.sign(c1) == np.sign(2 * 0.8 - 0.8**2 / 12.5 - 1)
    assert abs(2 * 0.8 - 0.8**2 / 12.5 - 1 - 0.5488) < ROUNDING


def test_sign_of_fitzhugh_nagumo_changes_where_its_rule_says():
    """2 b - b^2 / tau - 1 = 0 at b = tau (1 - sqrt(1 - 1 / tau))."""
    critical = 12.5 * (1 - np.sqrt(1 - 1 / 12.5))
    for b in (critical - 1e-3, critical + 1e-3):
        v = -np.sqrt(1 - b / 12.5)
        w = (v + 0.7) / b
        got = hopf(models.fitzhugh_nagumo(I=v**3 / 3 - v + w, b=b), [v, w])
        assert (got.l1 > 0) == (b > critical)


def test_lorenz():
    rho = 470 / 19
    side = np.sqrt(8 / 3 * (rho - 1))
    got = hopf(models.lorenz63(rho=rho, beta=8 / 3), [side, side, rho - 1])
    assert abs(got.omega - 9.62453006372) <= 0.5e-11 + 1e-12
    assert abs(got.l1 - 2.66e-4) <= 0.5e-6


# Neurons


def solve(f, z):
    """Root of f by Newton's method; the start is near."""
    step = jax.jit(lambda z: z - jnp.linalg.solve(jax.jacfwd(f)(z), f(z)))
    for _ in range(8):
        z = step(z)
    return z


def hopf_point(system, x, current):
    """Fixed point and current near the given ones at which a pair of eigenvalues is imaginary."""
    n = len(x)

    def f(z):
        # One eigenvalue is i omega: (J - i omega) (p + i q) = 0, of a p of length 1 that is normal to q.
        at, p, q, omega = system.with_params(I=z[n]), z[n + 1 : 2 * n + 1], z[2 * n + 1 : 3 * n + 1], z[3 * n + 1]
        matrix = jaxdyn.jacobian(at, z[:n])
        parts = [at(0.0, z[:n]), matrix @ p + omega * q, matrix @ q - omega * p, jnp.stack([p @ p - 1, p @ q])]
        return jnp.concatenate(parts)

    values, vectors = np.linalg.eig(np.asarray(jaxdyn.jacobian(system.with_params(I=current), x)))
    k = np.argmin(np.where(values.imag > 0, np.abs(values.real), np.inf))
    # Turned so that the real and the imaginary part are normal to each other.
    vector = vectors[:, k] * np.exp(-0.5j * np.angle(vectors[:, k] @ vectors[:, k]))
    vector = vector / np.linalg.norm(vector.real)
    start = np.concatenate([x, [current], vector.real, vector.imag, [values[k].imag]])
    z = solve(f, jnp.asarray(start))
    assert float(jnp.abs(f(z)).max()) < 1e-10  # currents are of the order of 100
    return np.asarray(z[:n]), float(z[n])


def axon_point(v):
    """Gates at rest at this potential: those of a long time at a potential that is held."""
    axon = models.hodgkin_huxley()

    def f(gates):
        return axon(0.0, jnp.concatenate([jnp.full((1,), v), gates]))[1:]

    return np.concatenate([[v], np.asarray(solve(f, jnp.array([0.1, 0.5, 0.4])))])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "v", "current", "digits", "sign"),
    [
        # current as given, to half a unit of the last digit; sign of l1, where given
        ({}, 5.345856397, 9.7793379954, 0.5e-10, 1),
        ({}, 21.941907987, 154.5263336658, 0.5e-10, -1),
        ({"EL": 10.613}, 5.35, 9.7793379954 - 0.0039, 0.5e-4, 0),
        ({"EL": 10.613}, 21.94, 154.5263336658 - 0.0039, 0.5e-4, 0),
        ({"ENa": 120.0}, 5.0, 8.4105, 0.5e-4, 0),
        ({"ENa": 120.0}, 22.5, 163.348, 0.5e-3, 0),
    ],
)
def test_hodgkin_huxley(settings, v, current, digits, sign):
    """The first Hopf point is subcritical, the second supercritical."""
    system = models.hodgkin_huxley(**settings)
    x, found = hopf_point(system, axon_point(v), current)
    assert abs(found - current) <= digits + 1e-10
    if sign:
        assert abs(x[0] - v) <= 0.5e-9 + 1e-10
        assert np.sign(hopf(system.with_params(I=found), x).l1) == sign


@pytest.mark.parametrize(("v", "current"), [(-25.2701, 93.8576183737), (7.80066, 212.0188161)])
def test_morris_lecar(v, current):
    """Both are subcritical."""
    system = models.morris_lecar()
    x, found = hopf_point(system, np.array([v, (1 + np.tanh((v - 2) / 30)) / 2]), current)
    assert abs(found - current) <= 0.5 * (1e-10 if v < 0 else 1e-7) + 1e-10
    assert hopf(system.with_params(I=found), x).l1 > 0


# Folds


def fold(displacement, x, parameter):
    """Point and parameter near the given ones where fixed points meet: displacement and its derivative are zero."""

    def f(z):
        return jnp.stack([displacement(z[0], z[1]), jax.grad(displacement)(z[0], z[1])])

    x, parameter = solve(f, jnp.array([x, parameter]))
    return float(x), float(parameter)


def on_the_diagonal(u):
    """Rate of r1 of the Hebbian pair for equal rates, with the weights that belong to them, over gamma."""
    system = models.hebbian_pair(gamma=1.0, u1=u, u2=u)

    def rate(r, eta):
        return system(0.0, jnp.concatenate([jnp.full((2,), r), jnp.full((4,), eta * r * r)]))[0]

    return rate


@pytest.mark.parametrize("u", ["0.1", "0.3"])
def test_folds_of_the_hebbian_diagonal(u):
    listed = load("fixed_points")["hebbian_pair"]["diagonal_folds"][u]
    near = [0.9, -0.9] if u == "0.1" else [0.85, 0.5, -0.9]
    for (eta, r), start in zip(listed, near, strict=True):
        at, parameter = fold(on_the_diagonal(float(u)), start, eta)
        assert abs(parameter - eta) <= (5e-14 if u == "0.1" else 5e-12)  # half a unit of the last digit given
        assert r is None or abs(at - r) <= (0.5e-12 if r > 0 else 0.5e-6)
        # The weights stand still too.
        whole = models.hebbian_pair(gamma=1.0, eta1=parameter, eta2=1.0, u1=float(u), u2=float(u))
        x = jnp.array([at] * 2 + [parameter * at * at] * 4)
        np.testing.assert_allclose(whole(0.0, x), 0, atol=1e-14)


def test_henon_is_born_at_its_fold():
    """At a = -(1 - b)^2 / 4, x = (b - 1) / (2 a), which lies outside the box of the model."""

    def displacement(x, a):
        return models.henon().with_params(a=a).displacement(0, jnp.stack([x, 0.3 * x]))[0]

    x, a = fold(displacement, 2.5, -0.13)
    assert abs(a + 0.1225) < 1e-15
    assert abs(x - 0.7 / 0.245) < 1e-14
    multipliers = np.asarray(jaxdyn.eigenvalues(models.henon().with_params(a=a), [x, 0.3 * x]))
    np.testing.assert_allclose(multipliers, [1, -0.3], rtol=0, atol=1e-14)
