"""Fixed points of the library's models: all of them from the default starts, against closed forms and references."""

import jax
import numpy as np
import pytest
from reference.ensemble import load
from reference.found import assert_points, codes, points

import jaxdyn
from jaxdyn import Stability, Status, fixed_points, models

VALUES = load("fixed_points")

solve = jax.jit(fixed_points, static_argnames=("n_starts", "max_points", "period"))
"""The default search, compiled once for all parameters of a system."""

# Closed forms


@pytest.mark.parametrize("b", [0.8, 2.0])
def test_fitzhugh_nagumo_has_the_roots_of_its_cubic(b, x64):
    """(b/3) v^3 + (1 - b) v + a - b I = 0: one real root for b < 1; three for b = 2 inside the folds."""
    counts = set()
    for current in np.linspace(-0.6, 1.6, 23):
        roots = np.roots([b / 3, 0, 1 - b, 0.7 - b * current])
        v = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        counts.add(len(v))
        result = solve(models.fitzhugh_nagumo().with_params(I=current, b=b))
        assert_points(result, np.stack([v, (v + 0.7) / b], axis=1), tolerance=1e-10)  # numpy's roots: 1e-12 at best
        trace = 1 - v**2 - b / 12.5
        det = ((v**2 - 1) * b + 1) / 12.5
        values = np.asarray(result.eigenvalues)[: len(v)]
        np.testing.assert_allclose(values.sum(axis=1), trace, atol=1e-9)
        np.testing.assert_allclose(values.prod(axis=1), det, atol=1e-9)
        stable = [code in (Stability.STABLE_NODE, Stability.STABLE_FOCUS) for code in codes(result)]
        assert stable == [bool(t < 0 < d) for t, d in zip(trace, det, strict=True)]
    assert counts == ({1} if b < 1 else {1, 3})


@pytest.mark.parametrize("current", ["0.3", "0.4", "0.5", "1.0"])
def test_fitzhugh_nagumo_reference_points(current, x64):
    v, w = VALUES["fitzhugh_nagumo"][current]
    w = (v + 0.7) / 0.8 if w is None else w
    result = solve(models.fitzhugh_nagumo().with_params(I=float(current)))
    assert_points(result, [[v, w]], tolerance=2e-15)


@pytest.mark.parametrize("kind", [models.two_learner_flow, models.two_learner_descent])
def test_two_learners(kind, x64):
    """Minima +-(k0, w0) exist while q = sqrt(sigma_k sigma_w) < tau^2; the origin is then a saddle."""
    for tau, sigma_k, sigma_w in ((1.0, 0.5, 0.5), (1.3, 0.4, 0.7), (1.0, 0.25, 0.25), (1.0, 0.9, 1.2)):
        q = np.sqrt(sigma_k * sigma_w)
        expected = [[0.0, 0.0]]
        if q < tau**2:
            k0 = (sigma_w / sigma_k) ** 0.25 * np.sqrt(1 - q / tau**2)
            w0 = (sigma_k / sigma_w) ** 0.25 * np.sqrt(1 - q / tau**2)
            expected = [[-k0, -w0], [0.0, 0.0], [k0, w0]]
        result = solve(kind().with_params(tau=tau, sigma_k=sigma_k, sigma_w=sigma_w))
        assert_points(result, expected)
        is_stable = [Stability.STABLE_NODE] if len(expected) == 1 else [Stability.STABLE_NODE, Stability.SADDLE] * 2
        assert codes(result) == is_stable[: len(expected)]


@pytest.mark.slow
def test_lorenz_before_and_after_the_pitchfork(x64):
    beta = 8 / 3
    for rho in (0.5, 0.99, 1.001, 2.0, 20.0, 24.7, 24.8, 28.0):
        c = np.sqrt(beta * max(rho - 1, 0))
        expected = [[0, 0, 0]] if rho < 1 else [[-c, -c, rho - 1], [0, 0, 0], [c, c, rho - 1]]
        result = solve(models.lorenz63().with_params(rho=rho))
        assert_points(result, expected, tolerance=1e-11 / min(1, abs(rho - 1)), scale=1000.0)
        if rho > 2:
            focus = Stability.STABLE_FOCUS if rho < VALUES["lorenz63"]["hopf"] else Stability.SADDLE_FOCUS
            assert codes(result) == [focus, Stability.SADDLE, focus]


@pytest.mark.slow
def test_other_flows(x64):
    for a, b in ((1.0, 3.0), (0.5, 1.0), (2.0, 4.9)):
        result = solve(models.brusselator().with_params(A=a, B=b))
        assert_points(result, [[a, b / a]])
        assert codes(result) == [Stability.UNSTABLE_FOCUS if b > 1 + a * a else Stability.STABLE_FOCUS]
    root = np.sqrt(5.7**2 - 4 * 0.2 * 0.2)
    z = np.array([5.7 - root, 5.7 + root]) / 0.4
    # The box of the model holds the inner one, and the outer one at z = 28.5.
    assert_points(solve(models.rossler()), np.stack([0.2 * z, -z, z], axis=1), tolerance=1e-13, scale=100.0)
    assert_points(solve(models.duffing(gamma=0.0)), [[-1, 0], [0, 0], [1, 0]])


def steady_currents(system, potentials):
    """Current that each potential needs with the gates at rest, less the one that is injected (Morris-Lecar)."""
    p = {name: float(value) for name, value in system.params.items()}
    m = (1 + np.tanh((potentials - p["V1"]) / p["V2"])) / 2
    w = (1 + np.tanh((potentials - p["V3"]) / p["V4"])) / 2
    leak, calcium = p["gL"] * (potentials - p["VL"]), p["gCa"] * m * (potentials - p["VCa"])
    return leak + calcium + p["gK"] * w * (potentials - p["VK"]) - p["I"]


def test_morris_lecar_has_as_many_points_as_its_current_has_zeros(x64):
    """One or three, changing at the two folds of the steady current."""
    values = VALUES["morris_lecar_folds"]
    low, high = values["currents"]
    base = models.morris_lecar(**values["parameters"])
    for current, count in ((low - 0.05, 1), (low + 0.05, 3), (20.0, 3), (high - 0.01, 3), (high + 0.01, 1)):
        system = base.with_params(I=current)
        result = solve(system)
        grid = np.linspace(-80, 60, 200_001)
        signs = np.sign(steady_currents(system, grid))
        crossings = grid[:-1][signs[:-1] != signs[1:]]
        assert len(crossings) == count
        np.testing.assert_allclose(points(result)[:, 0], crossings, atol=1e-3)
        assert result.status == Status.OK


@pytest.mark.slow
def test_hodgkin_huxley_and_wilson_cowan_have_one_point(x64):
    for current in (0.0, 9.0, 11.0, 100.0, 160.0):
        result = solve(models.hodgkin_huxley().with_params(I=current))
        assert len(points(result)) == 1
        stable = current < 9.7793379954 or current > 154.5263336658
        assert codes(result) == [Stability.STABLE_FOCUS if stable else Stability.SADDLE_FOCUS]
    assert_points(solve(models.wilson_cowan()), [[0.201748, 0.106889]], tolerance=5e-7)  # the digits given
    assert_points(solve(models.wilson_cowan().with_params(P=0.0)), [[0, 0]])


# Maps


def test_henon_is_born_at_its_fold_and_flips(x64):
    values = VALUES["henon"]
    for a in (-0.2, -0.1226, -0.1224, 0.2, 0.3674, 0.3676, 1.4):
        result = solve(models.henon().with_params(a=a))
        if a < values["birth"]:
            assert len(points(result)) == 0
            continue
        x = np.sort((values["b"] - 1 + np.array([-1, 1]) * np.sqrt((1 - values["b"]) ** 2 + 4 * a)) / (2 * a))
        # The first is far outside the model's box for small a.
        x = x[np.abs(x) <= 2]
        assert_points(result, np.stack([x, values["b"] * x], axis=1), tolerance=1e-10)
        if a > 0:
            flips = codes(result)[-1] in (Stability.FLIP_SADDLE,)
            assert flips == (a > values["flips"][0])


def orbit_multiplier(system, period, near):
    """Multiplier of largest modulus of the periodic orbit at a start nearby."""
    result = solve(system, starts=near, period=period, n_starts=1, max_points=4 * period)
    found = points(result)
    nearest = np.argmin(np.abs(found - np.asarray(near)).max(axis=1))
    values = np.asarray(result.eigenvalues)[nearest]
    return values[np.argmax(np.abs(values))], found[nearest]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["henon", "logistic"])
def test_multipliers_at_period_doublings_are_minus_one(name, x64):
    """The k-th flip belongs to the orbit of period 2^(k-1); its multiplier changes by 4.67^k per unit of parameter."""
    parameter = {"henon": "a", "logistic": "r"}[name]
    system = getattr(models, name)()
    for k, critical in enumerate(VALUES[name]["flips"][:5]):
        period = 2**k
        before = system.with_params(**{parameter: critical * (1 - 1e-3 / 4.67**k)})
        near = jaxdyn.final_state(before, n_steps=4096 * period // period).x
        multiplier, _ = orbit_multiplier(system.with_params(**{parameter: critical}), period, near)
        # The stated digits are 1e-14 of the parameter, amplified by slopes of at most 10 * 4.67^k.
        assert abs(multiplier + 1) <= 100 * 1e-14 * 10 * 4.67**k + 1e-11


@pytest.mark.slow
def test_superstable_orbits_have_multiplier_zero(x64):
    for k, r in enumerate(VALUES["logistic"]["superstable"][:5]):
        system = models.logistic(r=r)
        multiplier, point = orbit_multiplier(system, 2**k, [0.5])
        assert abs(point[0] - 0.5) < 1e-12
        assert abs(multiplier) < 1e-9


@pytest.mark.slow
def test_logistic_periodic_points(x64):
    """Counts of points of period n and its divisors, against sign changes of f^n(x) - x on a dense grid."""
    counts = {1: 2, 2: 4, 3: 8, 4: 8, 5: 12}
    grid = np.linspace(-0.1, 1.1, 400_001) + 1e-9
    for period, count in counts.items():
        y = grid
        for _ in range(period):
            y = 3.9 * y * (1 - y)
        signs = np.sign(y - grid)
        crossings = grid[:-1][signs[:-1] != signs[1:]]
        result = solve(models.logistic(r=3.9), period=period)
        assert len(crossings) == count
        np.testing.assert_allclose(points(result)[:, 0], crossings, atol=4e-6)
        orbit = points(result)[:, 0]
        np.testing.assert_allclose(np.sort(3.9 * orbit * (1 - orbit)), orbit, atol=1e-11)  # f permutes them


def test_the_period_three_window_opens_at_its_value(x64):
    r = VALUES["logistic"]["period_3"]
    counts = [len(points(solve(models.logistic(r=r * f), period=3))) for f in (1 - 1e-6, 1 + 1e-6)]
    assert counts == [2, 8]


def test_period_one_of_linear_maps(x64):
    result = solve(models.linear_map(u=[1.0, 2.0]))
    assert_points(result, [[0.78212291, 1.73184358]], tolerance=3e-9)  # the digits given
    assert codes(result) == [Stability.STABLE_FLIP_NODE]


# Hebbian pair

ETA2 = 1e-3


def hebbian(eta, u=0.0):
    return models.hebbian_pair().with_params(eta1=eta * ETA2, eta2=ETA2, u1=u, u2=u)


def test_hebbian_pair_without_input_has_1_9_or_17_points(x64):
    values = VALUES["hebbian_pair"]
    first, second = values["threshold_diagonal"], values["threshold_axis"]
    cases = [(0.5 * first, 1), (0.99 * first, 1), (1.01 * first, 9), (1.3, 9), (0.99 * second, 9)]
    for eta, count in [*cases, (1.01 * second, 17), (1.2 * second, 17)]:
        result = solve(hebbian(eta))
        x = points(result)
        assert (len(x), int(result.status)) == (count, Status.OK), eta
        assert np.asarray(result.residual)[:count].max() <= 1e-15
        r1, r2 = x[:, 0], x[:, 1]
        np.testing.assert_allclose(x[:, 2:], eta * np.stack([r1 * r1, r1 * r2, r1 * r2, r2 * r2], axis=1), atol=1e-12)
        np.testing.assert_allclose(np.arctanh(x[:, :2]), eta * x[:, :2] * (r1**2 + r2**2)[:, None], atol=1e-9)
        # A Lyapunov function exists: no focus, no center; the origin, upper diagonal states are stable, no others.
        kinds = codes(result)
        assert set(kinds) <= {Stability.STABLE_NODE, Stability.SADDLE}
        on_axis = (np.abs(x[:, :2]) < 1e-9).sum(axis=1) == 1
        stable = np.array([kind == Stability.STABLE_NODE for kind in kinds])
        assert not stable[on_axis].any()
        assert stable.sum() == (1 if count == 1 else 5)


def test_hebbian_pair_at_the_seed_ratio(x64):
    values = VALUES["hebbian_pair"]["eta_1_3"]
    result = solve(hebbian(1.3))
    x, leading = points(result), np.asarray(jaxdyn.spectral_abscissa(result.eigenvalues))[:9]
    for s, growth in (
        (values["stable"], values["leading_stable"]),
        (values["saddle"], values["leading_saddle"]),
        (0.0, -ETA2),
    ):
        on = np.flatnonzero(np.abs(np.abs(x[:, :2]) - s).max(axis=1) < 1e-12)
        assert len(on) == (4 if s else 1)
        np.testing.assert_allclose(leading[on], growth, rtol=0, atol=6e-11)  # the digits given


def test_hebbian_pair_with_input(x64):
    values = VALUES["hebbian_pair"]["eta_1_3"]
    result = solve(hebbian(1.3, 0.1))
    x, kinds = points(result), np.array(codes(result))
    assert len(x) == values["input_0_1"]["count"]
    stable = x[kinds == Stability.STABLE_NODE][:, :2]
    expected = np.array(values["input_0_1"]["stable"])
    expected = expected[np.argsort(expected[:, 0])]
    np.testing.assert_allclose(stable, expected, rtol=0, atol=6e-9)  # the digits given
    result = solve(hebbian(1.3, 0.3))
    assert len(points(result)) == values["input_0_3"]["count"]
    assert codes(result).count(Stability.STABLE_NODE) == values["input_0_3"]["n_stable"]


@pytest.mark.parametrize("u", ["0.1", "0.3"])
def test_folds_of_the_hebbian_diagonal(u, x64):
    """Two points of the diagonal meet: their number changes by two there, and the Jacobian is singular."""
    for eta, r in VALUES["hebbian_pair"]["diagonal_folds"][u]:

        def diagonal(eta):
            x = points(solve(hebbian(eta, float(u))))
            return x[np.abs(x[:, 0] - x[:, 1]) < 1e-9]

        before, after = diagonal(eta * (1 - 1e-5)), diagonal(eta * (1 + 1e-5))
        assert abs(len(before) - len(after)) == 2
        if r is not None:
            pair = max(before, after, key=len)
            nearest = pair[np.argsort(np.abs(pair[:, 0] - r))[:2], 0]
            # They part by the square root of the distance to the fold, symmetrically to first order.
            assert np.abs(nearest - r).max() < 0.02
            assert abs(nearest.mean() - r) < 1e-4
