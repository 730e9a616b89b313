"""FitzHugh-Nagumo, Morris-Lecar, Wilson-Cowan: closed forms, independent steady states, published points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cycle import converged, crossings
from scipy.optimize import brentq

from jaxdyn import Stability, eigenvalues, jacobian, models, stability, trajectory

EPS = np.finfo(np.float64).eps


# FitzHugh-Nagumo


def fhn_point(current):
    """Real root of (b/3) v^3 + (1 - b) v + a - b I = 0."""
    v = brentq(lambda v: 0.8 / 3 * v**3 + 0.2 * v + 0.7 - 0.8 * current, -3, 3, xtol=1e-16, rtol=4 * EPS)
    return np.array([v, (v + 0.7) / 0.8])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("current", "v", "leading"),
    [
        (0.3, -0.993297474549597530, -0.0253199364733 + 0.28018538985j),
        (0.4, -0.906567067786789, 0.0570680758),
        (0.5, -0.804847747008334, 0.144110052),
        (1.0, 0.408865836943412, 0.7323733290),
    ],
)
def test_fhn_fixed_points_and_eigenvalues(current, v, leading):
    point = fhn_point(current)
    assert abs(point[0] - v) < 1e-15 + 4 * EPS  # as many digits as are known
    system = models.fitzhugh_nagumo(I=current)
    np.testing.assert_allclose(system(0.0, jnp.asarray(point)), 0, atol=16 * EPS)
    got = complex(eigenvalues(system, point)[0])
    assert abs(got.real - np.real(leading)) < 1e-10  # ten digits are known
    if np.imag(leading):
        assert abs(got.imag - np.imag(leading)) < 1e-10


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("sign", "current"), [(-1, 0.33128133745474581144), (1, 1.4187186625452541886)])
def test_fhn_hopf_points(sign, current):
    v = sign * np.sqrt(1 - 0.8 / 12.5)
    assert abs(fhn_point(current)[0] - v) < 16 * EPS
    values = eigenvalues(models.fitzhugh_nagumo(I=current), fhn_point(current))
    np.testing.assert_allclose(np.real(values), 0, atol=16 * EPS)
    np.testing.assert_allclose(np.imag(values), [0.275506805723561, -0.275506805723561], atol=1e-14)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("current", "period", "low", "high"),
    [(0.5, 39.47441498, -1.97040675, 1.85211747), (1.0, 36.69879442, -1.90299854, 1.93986754)],
)
def test_fhn_cycle(current, period, low, high):
    """Period at I = 0.5 and the extremes of v, which lie where v' = 0: on the cubic nullcline."""
    system = models.fitzhugh_nagumo(I=current)

    def measure(dt):
        # The cycle attracts like exp(-0.97 t): after 60 nothing is left of the start.
        t, _ = crossings(system, dt=dt, skip=60.0, duration=2.2 * period, state=0)
        run = trajectory(system, n_steps=round((60.0 + 1.1 * period) / dt), dt=dt)
        v = np.asarray(run.x[round(60.0 / dt) :, 0])
        return np.array([t[1] - t[0], _peak(-v) * -1, _peak(v)])

    got, tolerance = converged(measure, 0.05, stated=5e-9)
    assert tolerance < 2e-6
    np.testing.assert_allclose(got, [period, low, high], rtol=0, atol=tolerance)


def _peak(values):
    """Largest value of a smooth curve: top of the quartic through the five samples about the largest one."""
    i = int(np.argmax(values))
    curve = np.polynomial.Polynomial.fit(np.arange(-2, 3), values[i - 2 : i + 3], 4)
    roots = curve.deriv().roots()
    inside = roots[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) <= 1)].real
    return float(np.max(curve(inside)))


# Morris-Lecar

HOPF_SET = {"gCa": 4.4, "phi": 0.04, "V3": 2.0, "V4": 30.0}
SNIC_SET = {"gCa": 4.0, "phi": 1 / 15, "V3": 12.0, "V4": 17.4}


def ml_gate(v, p):
    return (1 + np.tanh((v - p["V3"]) / p["V4"])) / 2


def ml_current(v, p):
    m = (1 + np.tanh((v + 1.2) / 18)) / 2
    return 2 * (v + 60) + p["gCa"] * m * (v - 120) + 8 * ml_gate(v, p) * (v + 84)


def ml_jacobian(v, p):
    return np.asarray(jacobian(models.morris_lecar(I=ml_current(v, p), **p), [v, ml_gate(v, p)]))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("settings", [HOPF_SET, SNIC_SET])
def test_ml_steady_states(settings):
    for v in (-55.0, -25.0, 8.0):
        system = models.morris_lecar(I=ml_current(v, settings), **settings)
        # Currents are below 1000 uA/cm^2, over C = 20.
        np.testing.assert_allclose(system(0.0, jnp.array([v, ml_gate(v, settings)])), 0, atol=64 * EPS * 50)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("settings", "bracket", "current", "v", "digits"),
    [
        # current and voltage as published; `digits` is one unit of the last place of each
        (HOPF_SET, (-26.0, -24.0), 93.8576183737, -25.2701, (1e-10, 1e-4)),
        (HOPF_SET, (7.0, 9.0), 212.0188161, 7.80066, (1e-7, 1e-5)),
        (SNIC_SET, (0.0, 12.0), 97.787888964, None, (1e-9, 0)),
        (SNIC_SET | {"phi": 0.067}, (0.0, 12.0), 97.6461639, None, (1e-7, 0)),
        (SNIC_SET | {"phi": 0.23}, (2.0, 8.0), 36.3162175, None, (1e-7, 0)),
    ],
)
def test_ml_hopf_points(settings, bracket, current, v, digits):
    found = brentq(lambda u: np.trace(ml_jacobian(u, settings)), *bracket, xtol=1e-13)
    # Rounding: the trace's root is found to 1e-13 mV, the steady current has a slope below 10 there.
    assert abs(ml_current(found, settings) - current) < digits[0] + 1e-12
    assert np.linalg.det(ml_jacobian(found, settings)) > 0
    if v is not None:
        assert abs(found - v) < digits[1]
        system = models.morris_lecar(I=current, **settings)
        values = eigenvalues(system, [found, ml_gate(found, settings)])
        assert abs(float(values[0].real)) < 1e-12 and float(values[0].imag) > 0.01


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("bracket", "current", "v", "digits"),
    [((-35.0, -25.0), 39.9631530927, -29.38978, 1e-10), ((-20.0, 0.0), -9.94903932, None, 1e-8)],
)
def test_ml_saddle_nodes(bracket, current, v, digits):
    """Folds of the steady states: the Jacobian is singular, and the current is known to its last digit."""
    found = brentq(lambda u: np.linalg.det(ml_jacobian(u, SNIC_SET)), *bracket, xtol=1e-13)
    assert abs(ml_current(found, SNIC_SET) - current) < digits
    if v is not None:
        assert abs(found - v) < 1e-5
        assert (
            abs(complex(eigenvalues(models.morris_lecar(I=current, **SNIC_SET), [found, ml_gate(found, SNIC_SET)])[0]))
            < 1e-12
        )


# Wilson-Cowan


def wc_field(e, i, p):
    """Right-hand side as Wilson and Cowan print it, with k as the sigmoid's limit."""

    def response(x, a, theta):
        return 1 / (1 + np.exp(-a * (x - theta))) - 1 / (1 + np.exp(a * theta))

    ke, ki = 1 - 1 / (1 + np.exp(1.3 * 4)), 1 - 1 / (1 + np.exp(2 * 3.7))
    return np.array(
        [
            -e + (ke - e) * response(16 * e - 12 * i + p, 1.3, 4.0),
            -i + (ki - i) * response(15 * e - 3 * i, 2.0, 3.7),
        ]
    )


@pytest.mark.usefixtures("x64")
def test_wc_field():
    system = models.wilson_cowan(P=0.9)
    for e, i in np.random.default_rng(8).uniform(-0.1, 0.6, (20, 2)):
        np.testing.assert_allclose(system(0.0, jnp.array([e, i])), wc_field(e, i, 0.9), atol=64 * EPS)
    scaled = models.wilson_cowan(P=0.9, tau_e=2.0, tau_i=4.0)
    np.testing.assert_allclose(scaled(0.0, jnp.array([0.2, 0.1])), wc_field(0.2, 0.1, 0.9) / [2.0, 4.0], atol=64 * EPS)


@pytest.mark.usefixtures("x64")
def test_wc_rest_is_zero_without_drive():
    system = models.wilson_cowan(P=0.0)
    np.testing.assert_allclose(system(0.0, jnp.zeros(2)), 0, atol=EPS)
    assert stability(eigenvalues(system, [0.0, 0.0])) == Stability.STABLE_NODE


@pytest.mark.usefixtures("x64")
def test_wc_hopf_point():
    """Newton's method on (field, trace) = 0 for (E, I, P), started from rounded values."""
    system = models.wilson_cowan()

    def conditions(y):
        at = system.with_params(P=y[2])
        return jnp.concatenate([at(0.0, y[:2]), jnp.trace(jacobian(at, y[:2]))[None]])

    y = jnp.array([0.25, 0.2, 1.9])
    for _ in range(8):
        y = y - jnp.linalg.solve(jax.jacfwd(conditions)(y), conditions(y))
    assert float(jnp.abs(conditions(y)).max()) < 1e-13
    assert abs(float(y[2]) - 1.87931320) < 5e-9
    assert abs(float(eigenvalues(system.with_params(P=y[2]), y[:2])[0].imag) - 2.66431323) < 5e-9


@pytest.mark.usefixtures("x64")
def test_wc_cycle():
    """Period and range found with SciPy's DOP853 on the printed equations at tolerance 1e-12."""
    system = models.wilson_cowan()
    assert stability(eigenvalues(system, [0.201748, 0.106889])) == Stability.UNSTABLE_FOCUS

    def measure(dt):
        t, _ = crossings(system, dt=dt, skip=100.0, duration=11.0, state=0, level=0.2)
        return t[1] - t[0]

    got, tolerance = converged(measure, 0.02, stated=5e-8)
    assert abs(got - 4.9958943) < tolerance < 1e-5
