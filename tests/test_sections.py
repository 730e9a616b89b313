"""Poincaré and stroboscopic maps: closed forms, known cycles, exponents of the flow, and what they refuse."""

import functools
import json
from pathlib import Path

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import RK4, Euler, Heun, Status, Tsit5, models, poincare, section_points, stroboscopic

ENGINES = [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)]
CYCLES = json.loads((Path(__file__).parent / "reference/fitzhugh_nagumo_cycle.json").read_text())


def rotation(omega=2.0, x0=(1.0, 0.0), dtype=None):
    def field(t, x, p):
        return p["omega"] * x[1], -p["omega"] * x[0]

    return jaxdyn.flow(field, {"omega": omega}, list(x0), state_names=["x", "y"], dtype=dtype)


def period_of_duffing(p):
    return 2 * jnp.pi / p["omega"]


class TestRotation:
    """Return after 2 pi / omega to where it was.

    The phase of RK4 errs by h^5 / 120 a step of angle h, by 2 pi h^4 / 120 = 8e-13 a turn at h = 0.002, its radius by
    2 pi h^5 / 144. Tsit5's error of h^6 a step is below 1e-4 h^5 a turn, 1e-14 at h = 0.01. Some thousand steps round
    by a few 1e-14.
    """

    @pytest.mark.parametrize(("method", "dt"), [(RK4(), 1e-3), (Tsit5(), 5e-3)])
    @pytest.mark.parametrize("direction", [1, -1])
    def test_is_exact(self, method, dt, direction, x64):
        turns = poincare(rotation(), {"y": 0.0}, dt=dt, direction=direction, method=method)
        assert turns.state_names == ("x",) and turns.discrete
        # It falls through y = 0 where x > 0, and rises where x < 0.
        start = turns.with_state(x=-float(direction))
        assert abs(float(start(0, start.x0)[0]) + direction) <= 1e-12
        assert abs(float(jaxdyn.jacobian(start)[0, 0]) - 1) <= 1e-12
        run = section_points(start, n_points=5)
        np.testing.assert_allclose(run.return_time, np.pi, rtol=0, atol=1e-12)
        assert float(run.mean_return_time) == pytest.approx(np.pi, abs=1e-12)

    def test_both_directions(self, x64):
        turns = poincare(rotation(), {"y": 0.0}, dt=5e-3, direction=0, method=Tsit5())
        run = section_points(turns, n_points=4)
        np.testing.assert_allclose(run.x[:, 0], [-1, 1, -1, 1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.return_time, np.pi / 2, rtol=0, atol=1e-12)

    def test_any_surface(self, x64):
        turns = poincare(rotation(), lambda x: 3 * x[1] - x[0] - 0.1, dt=5e-3, method=Tsit5())
        run = section_points(turns, n_points=6, n_transient=1)
        np.testing.assert_allclose(run.return_time, np.pi, rtol=0, atol=1e-12)
        assert turns.state_names == ("x", "y")
        np.testing.assert_allclose(3 * run.x[:, 1] - run.x[:, 0], 0.1, rtol=0, atol=1e-14)
        point = turns.with_state(run.x[0])
        # On the line nothing changes, and along the circle the map is flat.
        values = np.sort(np.abs(np.asarray(jaxdyn.eigenvalues(point))))
        np.testing.assert_allclose(values, [0, 1], rtol=0, atol=1e-11)

    @pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
    def test_start_on_the_surface_is_no_return(self, dtype, x64):
        """On a surface that rounds, thousands of returns without a short one."""
        system = rotation(x0=[0.3, 1.1], dtype=dtype)
        turns = poincare(system, lambda t, x, p: x[0] * x[1] + 0.7 * x[0] - 0.2 * p["omega"] * x[1], dt=0.05)
        run = section_points(turns, n_points=3000)
        assert run.x.dtype == dtype and int(run.status) == Status.OK
        assert float(run.return_time[1:].min()) > 0.3
        assert float(run.return_time.max()) < np.pi + 1e-3

    def test_derivatives_of_times_and_points(self, x64):
        """Of the period 2 pi / omega by omega, first and second; of the point by the level of the section."""

        def time(omega):
            turns = poincare(rotation(), {"y": 0.0}, dt=0.01, direction=-1, method=Tsit5())
            return section_points(turns.with_params(omega=omega), n_points=1).return_time[0]

        expected = [-np.pi / 2, np.pi / 2]
        derivative = time
        for value in expected:
            derivative = jax.jacfwd(derivative)
            assert float(jax.jit(derivative)(2.0)) == pytest.approx(value, abs=1e-10)

        def image(level):
            return poincare(rotation(), {"y": level}, dt=0.01, direction=1, method=Tsit5())(0, [0.8])[0]

        # From (0.8, level) to where the circle rises through the level: the mirror image.
        value, slope = jax.jvp(image, (0.6,), (1.0,))
        np.testing.assert_allclose([value, slope], [-0.8, 0.0], rtol=0, atol=1e-11)

    def test_level_that_follows_parameters(self, x64):
        turns = poincare(rotation(), {"x": lambda p: p["omega"] / 4}, dt=0.005, direction=-1, method=Tsit5())
        half = np.sqrt(0.75)
        np.testing.assert_allclose(turns(0, [-half]), [-half], rtol=0, atol=1e-12)
        other = turns.with_params(omega=1.0)
        np.testing.assert_allclose(other.field.surface.whole(jnp.array([2.0]), other.params), [0.25, 2.0])


@pytest.mark.parametrize(("method", "order"), [(Euler(), 1), (Heun(), 2), (RK4(), 4), (Tsit5(), 5)])
def test_time_of_passage_is_of_the_order_of_the_method(method, order, x64):
    """Halving the step divides the error by 2^order; Tsit5's by more, as its part of order 5 happens to be small."""
    system = models.van_der_pol(x0=[1.5, 0.3])

    @functools.partial(jax.jit, static_argnames="of")
    def time(dt, of):
        turns = poincare(system, {"y": 0.3}, dt=dt, method=of)
        return section_points(turns, n_points=1).return_time[0]

    exact = time(1e-3, Tsit5())
    coarse, fine = (abs(float(time(dt, method) - exact)) for dt in (0.04, 0.02))
    assert fine > 1e-13  # above rounding
    assert 0.7 * 2**order < coarse / fine < (3 if order == 5 else 1.4) * 2**order


def test_multiplier_of_a_cycle_is_the_mean_divergence(x64):
    """Of van der Pol's, whose divergence is mu (1 - x^2): Liouville's formula, without any tangent vector."""
    system = models.van_der_pol(mu=0.3)
    turns = poincare(system, {"y": 0.0}, dt=0.01, direction=-1, method=Tsit5())
    run = section_points(turns, n_points=1, n_transient=30)
    dt = run.return_time[0] / 2000
    mean = jaxdyn.reduce(
        system.with_state(jnp.array([run.x[0, 0], 0.0])),
        jaxdyn.reducers.Mean(lambda x: 0.3 * (1 - x[0] ** 2)),
        n_steps=2000,
        dt=dt,
        method=Tsit5(),
    )
    slope = float(jaxdyn.jacobian(turns, run.x[0])[0, 0])
    # A mean over a period of a smooth periodic function is exact but for the method's 1e-12.
    assert np.log(slope) == pytest.approx(float(mean.values.mean * run.return_time[0]), abs=1e-9)


def test_periods_of_the_neuron(x64):
    """Stable cycle of FitzHugh-Nagumo over the current; the reference is accurate to 1e-8."""
    cycle = poincare(models.fitzhugh_nagumo(), {"v": 0.0}, dt=0.02, method=Tsit5(), max_steps=20_000)
    currents = jnp.array(CYCLES["current"])
    run = jaxdyn.lanes(lambda i: section_points(cycle.with_params(I=i), n_points=1, n_transient=4))(currents)
    assert np.all(np.asarray(run.status) == Status.OK)
    np.testing.assert_allclose(run.mean_return_time, CYCLES["period"], rtol=0, atol=2e-8)


@pytest.mark.slow
def test_cycles_are_found_as_fixed_points(x64):
    """FitzHugh-Nagumo at I = 0.33: a stable cycle around an unstable one (independent continuation and shooting)."""
    rest = jaxdyn.fixed_points(models.fitzhugh_nagumo(I=0.33), n_starts=64)
    cycle = poincare(models.fitzhugh_nagumo(I=0.33), {"v": float(rest.x[0, 0])}, dt=0.02, method=Tsit5())
    w = float(rest.x[0, 1])
    points = jaxdyn.fixed_points(cycle, box={"w": (w - 0.6, w - 0.01)}, n_starts=64)
    assert int(points.n_found) == 2
    runs = jax.vmap(lambda x: section_points(cycle.with_state(x), n_points=1).return_time[0])(points.x[:2])
    np.testing.assert_allclose(runs, [48.81021017, 23.58106], rtol=0, atol=1e-5)
    multipliers = np.asarray(points.eigenvalues[:2, 0])
    np.testing.assert_allclose(multipliers, [0, 1.05605], rtol=0, atol=1e-5)
    assert [jaxdyn.stability_label(code) for code in points.stability[:2]] == ["stable node", "unstable node"]


@pytest.mark.slow
def test_exponents_of_the_rossler_system(x64):
    """Both of them per half turn, over the mean time of one; reference 0.07138(8), -5.39430(6)."""
    # Where z decays at a rate of 15, RK4 at dt = 0.025 errs by (15 dt)^5 / 120 a step: 1e-3 of the second exponent.
    turns = poincare(models.rossler(), {"y": 0.0}, dt=0.0125, direction=0, method=Tsit5())
    starts = jnp.stack([jnp.linspace(-9, -5, 64), jnp.zeros(64)], axis=1)

    def measure(x0):
        here = turns.with_state(x0)
        spectrum = jaxdyn.lyapunov_spectrum(here, n_steps=4096, n_transient=128)
        return spectrum.exponents, section_points(here, n_points=4096, n_transient=128).mean_return_time

    exponents, times = jaxdyn.lanes(measure)(starts)
    rates = np.asarray(exponents) / np.asarray(times)[:, None]
    value, error = rates.mean(axis=0), rates.std(axis=0, ddof=1) / 8
    known, its_error = np.array([0.0713769, -5.3943012]), np.array([8.4e-5, 6.4e-5])
    assert np.all(np.abs(value - known) <= 3 * np.hypot(error, its_error))
    assert np.all(error < 3e-4)
    # The Kaplan-Yorke dimension of the map is that of the flow less one.
    assert 1 - value[0] / value[1] + 1 == pytest.approx(2.0132, abs=2e-4)


class TestLanes:
    """All engines equal a loop."""

    @pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
    @pytest.mark.parametrize("section", ["plane", "surface"])
    def test_engines_agree(self, engine, section, x64):
        surface = {"y": 0.1} if section == "plane" else lambda x: x[1] - 0.1 * x[0] ** 2
        turns = poincare(models.van_der_pol(), surface, dt=0.05)
        mu = jnp.linspace(0.5, 2.0, 5)

        def measure(value):
            return section_points(turns.with_params(mu=value), n_points=3)

        expected = [measure(value) for value in mu]
        got = jaxdyn.lanes(measure, engine=engine)(mu)
        # Rounding of some hundred steps on the way to a cycle, which attracts.
        for name in ("x", "return_time", "status"):
            np.testing.assert_allclose(getattr(got, name), [getattr(e, name) for e in expected], rtol=1e-11, atol=1e-12)

    def test_sweep(self, x64):
        turns = poincare(models.van_der_pol(), {"y": 0.0}, dt=0.02, direction=-1)
        measure = functools.partial(section_points, n_points=2, n_transient=20)
        data = jaxdyn.sweep(measure, turns, {"mu": [1.0, 5.0]}, progress=False)
        # Periods of the model's card; dt^4 = 2e-7 times rates of some 100.
        np.testing.assert_allclose(data.mean_return_time, [6.66328686, 11.61223067], rtol=1e-4)
        assert data.x.dims == ("mu", "point", "state") and list(data.state.values) == ["x"]


class TestNoReturn:
    def test_states_become_nan_and_tell_why(self, x64):
        rest = poincare(models.van_der_pol(mu=-1.0), {"y": 0.5}, dt=0.05, max_steps=500)
        run = section_points(rest.with_state(x=0.5), n_points=3)
        assert int(run.status) == Status.NOT_CONVERGED
        assert np.isnan(run.x[-1, 0]) and np.isnan(run.return_time[-1])
        assert int(jaxdyn.trajectory(rest, n_steps=3).status) == Status.NON_FINITE
        escape = jaxdyn.flow(lambda t, x, p: (x[0] ** 2, x[0]), {}, [1.0, 0.0])
        run = section_points(poincare(escape, {"x1": 0.0}, dt=0.01, max_steps=10**9), n_points=2)
        assert int(run.status) == Status.NON_FINITE

    def test_neighbors_are_unharmed(self, x64):
        turns = poincare(models.van_der_pol(x0=[0.5, 0.5]), {"y": 0.5}, dt=0.05, max_steps=500)
        mu = jnp.array([1.0, -1.0, 2.0])
        run = jaxdyn.lanes(lambda m: section_points(turns.with_params(mu=m), n_points=4))(mu)
        assert list(run.status) == [Status.OK, Status.NOT_CONVERGED, Status.OK]
        assert np.all(np.isfinite(run.x[0])) and np.all(np.isfinite(run.x[2]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::jaxdyn.JaxdynWarning")  # a return contracts more than float64 can follow
@pytest.mark.parametrize("kind", ["poincare", "surface", "stroboscopic"])
@pytest.mark.parametrize("analysis", conformance.ANALYSES, ids=lambda analysis: analysis.name)
def test_every_analysis_accepts_them(kind, analysis, x64):
    made = {
        "poincare": lambda: poincare(models.henon_heiles(), {"x": 0.0}, dt=0.1),
        "surface": lambda: poincare(models.van_der_pol(), lambda x: x[0] + 0.1 * x[1], dt=0.1),
        "stroboscopic": lambda: stroboscopic(models.duffing(), period_of_duffing, n_steps=20),
    }[kind]()
    if not analysis.applies_to(made):
        return
    result = analysis.run(made)
    if hasattr(result, "status"):
        on_its_way = {Status.NOT_CONVERGED} if analysis.name == "attractor_points" else set()  # few steps only
        assert int(result.status) in {Status.OK, Status.QR_INTERVAL, Status.CAPACITY} | on_its_way


def one_state():
    return jaxdyn.flow(lambda t, x, p: -x, {}, [1.0])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: poincare(models.henon(), {"x": 0.0}), TypeError, "of a flow, got the map henon"),
        (lambda: poincare(models.rossler(), {"q": 0.0}, dt=0.1), ValueError, "no state 'q'"),
        (lambda: poincare(models.rossler(), {"x": 0.0, "y": 1.0}, dt=0.1), ValueError, "one state"),
        (lambda: poincare(models.rossler(), 3, dt=0.1), TypeError, "function g"),
        (lambda: poincare(models.rossler(), {"x": 0.0}), TypeError, "resolved by dt=0.025"),
        (lambda: poincare(models.rossler(), {"x": 0.0}, dt=-0.1), ValueError, "forward time"),
        (lambda: poincare(models.rossler(), {"x": 0.0}, dt=0.1, direction=2), ValueError, "1 .upward."),
        (lambda: poincare(models.rossler(), {"x": 0.0}, dt=0.1, max_steps=0), ValueError, "max_steps"),
        (lambda: poincare(models.rossler(), {"x": [0.0, 1.0]}, dt=0.1), ValueError, "one finite number"),
        (lambda: poincare(models.rossler(), {"x": None}, dt=0.1), TypeError, "level of x"),
        (lambda: poincare(models.rossler(), {"x": 1j}, dt=0.1), TypeError, "level of x"),
        (lambda: poincare(models.rossler(), {"x": lambda p: None}, dt=0.1), ValueError, "one real number"),
        (lambda: poincare(models.rossler(), {"x": lambda p: jnp.ones(2)}, dt=0.1), ValueError, "one real number"),
        (lambda: poincare(models.rossler(), lambda x: x, dt=0.1), ValueError, "return a scalar"),
        (lambda: poincare(models.rossler(), lambda a, b: a, dt=0.1), TypeError, r"of \(x\) or of \(t, x, params\)"),
        (lambda: poincare(models.rossler(), lambda t, x, p: x[0] - t, dt=0.1), ValueError, "depends on time"),
        (lambda: poincare(models.duffing(), {"x": 0.0}, dt=0.1), ValueError, "use stroboscopic"),
        (lambda: poincare(one_state(), {"x0": 0.0}, dt=0.1), ValueError, "two or more"),
        (lambda: section_points(models.henon(), n_points=5), TypeError, "jaxdyn.poincare, got henon"),
        (lambda: section_points(poincare(models.rossler(), {"x": 0.0}, dt=0.1), n_points=0), ValueError, "n_points"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words, unchecked):
    with pytest.raises(error, match=words):
        make()
