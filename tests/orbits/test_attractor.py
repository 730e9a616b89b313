"""Points of attractors: their values, their periods, and what is said where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, attractor_points, models

DOUBLINGS = [3, 3.449489742783178, 3.544090359551923, 3.564407266095433, 3.568759419543826, 3.569691609801397]


def logistic(r, n_points=256, n_transient=2000, **settings):
    return attractor_points(models.logistic(r=r), n_points=n_points, n_transient=n_transient, **settings)


def stuart_landau():
    """Limit cycle of radius 1, angular velocity 1: maxima of x are 1."""

    def field(t, s, p):
        x, y = s
        shrink = p["mu"] - x * x - y * y
        return shrink * x - y, shrink * y + x

    return jaxdyn.flow(field, {"mu": 1.0}, [0.5, 0.1], state_names=["x", "y"])


@pytest.mark.usefixtures("x64")
class TestMaps:
    @pytest.mark.parametrize(
        ("r", "period"), [(0.5, 1), (2.5, 1), (3.2, 2), (3.5, 4), (3.55, 8), (3.83, 3), (3.845, 6)]
    )
    def test_periods_of_the_logistic_map(self, r, period):
        run = logistic(r)
        assert (int(run.period), int(run.status)) == (period, Status.OK)
        assert run.n_found is None

    def test_points_are_those_of_the_cycle_in_the_order_of_time(self):
        r = 3.2
        run = logistic(r, n_points=8)
        cycle = (r + 1 + np.array([-1, 1]) * np.sqrt((r - 3) * (r + 1))) / (2 * r)
        np.testing.assert_allclose(np.sort(run.points[:2]), cycle, rtol=1e-14)  # some roundings
        np.testing.assert_allclose(run.points[1:], r * run.points[:-1] * (1 - run.points[:-1]), rtol=1e-15)
        np.testing.assert_array_equal(run.x, run.points[-1:])

    def test_they_go_on_where_the_transient_ends(self):
        run = logistic(3.9, n_points=5, n_transient=7)
        whole = jaxdyn.trajectory(models.logistic(r=3.9), n_steps=12)
        np.testing.assert_array_equal(run.points, whole.x[8:, 0])
        np.testing.assert_array_equal(run.states, whole.x[8:])

    def test_chaos_has_no_period_and_is_no_failure(self):
        run = logistic(3.9)
        assert (int(run.period), int(run.status)) == (0, Status.OK)

    def test_what_blows_up_says_so(self):
        run = logistic(4.5)
        assert (int(run.period), int(run.status)) == (0, Status.NON_FINITE)

    @pytest.mark.parametrize("r", DOUBLINGS[:2])
    def test_at_a_doubling_the_orbit_is_still_on_its_way(self, r):
        """There it comes to its cycle like n^(-1/2)."""
        run = logistic(r)
        assert (int(run.period), int(run.status)) == (0, Status.NOT_CONVERGED)

    def test_no_period_is_wrong_up_to_the_accumulation_of_doublings(self):
        """Some orbits are on their way to cycles near the doublings: they have no period, and all of them say so."""
        r = np.linspace(2.8, 3.5696, 3000)
        run = jaxdyn.lanes(lambda r: logistic(r, 512, 3000))(r)
        found, status = np.asarray(run.period), np.asarray(run.status)
        assert set((found - 2 ** np.searchsorted(DOUBLINGS, r))[found > 0].tolist()) == {0}
        np.testing.assert_array_equal(status, np.where(found > 0, Status.OK, Status.NOT_CONVERGED))
        assert np.mean(found > 0) > 0.95

    @pytest.mark.parametrize("r", [2.992051470294059, 3.446229325865173])
    def test_an_orbit_that_departs_by_the_tolerance_has_not_twice_the_period(self, r):
        """Every other point is within the tolerance, the others are twice as far away."""
        run = logistic(r, 500, 3000)
        assert (int(run.period), int(run.status)) == (0, Status.NOT_CONVERGED)

    def test_longer_periods_than_asked_for_are_none(self):
        assert int(logistic(3.5, max_period=3).period) == 0
        assert int(logistic(3.5, max_period=4).period) == 4

    def test_a_period_is_that_of_the_whole_state(self):
        """The first state of a rotation by a quarter repeats in pairs, (1, 0, -1, 0), the whole after four steps."""
        turn = jaxdyn.iterated_map(lambda n, s, p: (-s[1], s[0]), {}, [1.0, 0.0])
        run = attractor_points(turn, n_points=32, n_transient=0, of=lambda x: x[0] ** 2)
        assert int(run.period) == 4
        np.testing.assert_array_equal(run.points[:4], [0, 1, 0, 1])

    def test_a_torus_has_no_period(self):
        run = attractor_points(models.standard_map(k=0.5, x0=[2.0, 0.3]), n_points=256, n_transient=1000)
        assert (int(run.period), int(run.status)) == (0, Status.OK)

    def test_what_is_watched(self):
        system = models.henon(a=0.8)
        by_name, by_index = (attractor_points(system, n_points=8, n_transient=500, of=of) for of in ("y", -1))
        np.testing.assert_array_equal(by_name.points, by_index.points)
        np.testing.assert_array_equal(by_name.points, by_name.states[:, 1])
        assert int(by_name.period) == 2

    def test_derivative_of_the_stable_point(self):
        """x = 1 - 1/r."""
        slope = jax.grad(lambda r: logistic(r, 4, 200).points[-1])(2.5)
        np.testing.assert_allclose(slope, 1 / 2.5**2, rtol=1e-12)


@pytest.mark.usefixtures("x64")
class TestFlows:
    def test_maxima_have_the_accuracy_of_the_method(self):
        """RK4: sixteen times less error at half the step, wherever between steps the maximum lies."""
        errors = []
        for dt in (0.1, 0.05):
            run = attractor_points(stuart_landau(), n_points=16, n_transient=500, dt=dt)
            assert (int(run.period), int(run.status), int(run.n_found)) == (1, Status.OK, 16)
            errors.append(np.abs(run.points - 1).max())
            assert np.ptp(run.points) < 0.1 * dt**5  # parabolas through the steps would spread by dt^4 / 128 and more
        assert errors[0] < 1e-5
        assert 14 < errors[0] / errors[1] < 40

    def test_at_a_maximum_the_rate_of_change_is_zero(self):
        system = models.lorenz63()
        run = attractor_points(system, n_points=20, n_transient=2000, dt=0.01, of="z")
        rates = jax.vmap(lambda x: system(0.0, x))(run.states)
        assert np.abs(rates[:, 2]).max() < 1e-9 * np.abs(rates).max()
        assert np.all(np.diff(run.points) != 0)

    def test_maxima_of_a_function(self):
        """x + y on the unit circle: sqrt(2)."""
        run = attractor_points(stuart_landau(), n_points=4, n_transient=1000, dt=0.02, of=lambda s: s[0] + s[1])
        np.testing.assert_allclose(run.points, np.sqrt(2), rtol=1e-8)  # 0.02^4, and constants below 0.1

    def test_periods_count_maxima(self):
        """Rossler's cycle doubles at c = 2.83 and 3.84."""
        settings = {"n_points": 64, "n_transient": 50_000, "dt": 0.02}
        run = jaxdyn.lanes(lambda c: attractor_points(models.rossler(c=c), **settings))(np.array([2.5, 3.5, 4.0, 5.7]))
        assert run.period.tolist() == [1, 2, 4, 0]

    def test_a_neuron_at_rest_has_no_maxima(self):
        run = attractor_points(models.fitzhugh_nagumo(I=0.0), n_points=4, n_transient=20_000, dt=0.1, max_steps=500)
        assert (int(run.n_found), int(run.period), int(run.status)) == (0, 0, Status.NOT_CONVERGED)
        assert np.isnan(run.points).all() and np.isfinite(run.x).all()

    def test_maxima_that_end_are_counted(self):
        """A damped turn with a fence: no more than one maximum fits into the steps."""
        system = jaxdyn.flow(lambda t, s, p: (1 - t,), {}, [0.0])
        run = attractor_points(system, n_points=3, n_transient=0, dt=0.1, max_steps=50)
        assert int(run.n_found) == 0  # the first maximum is where counting begins
        waves = jaxdyn.flow(lambda t, s, p: (jnp.where(t < 15, jnp.cos(t), -1.0),), {}, [0.0])
        run = attractor_points(waves, n_points=4, n_transient=0, dt=0.05, max_steps=200)
        assert (int(run.n_found), int(run.status)) == (2, Status.NOT_CONVERGED)  # at pi/2; then 5 pi/2 and 9 pi/2
        np.testing.assert_allclose(run.points[:2], 1, rtol=1e-6)
        assert np.isnan(run.points[2:]).all()

    def test_a_flow_that_blows_up(self):
        system = jaxdyn.flow(lambda t, s, p: (s[0] ** 2,), {}, [1.0])
        assert int(attractor_points(system, n_points=2, n_transient=0, dt=0.1).status) == Status.NON_FINITE


ENGINES = [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)]


@pytest.mark.usefixtures("x64")
class TestEngines:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_maps(self, engine):
        r = np.array([2.5, 3.2, 3.5, 3.83, 4.5])
        self.check(lambda r: logistic(r, 32, 1500), r, engine)

    @pytest.mark.slow
    @pytest.mark.parametrize("engine", ENGINES)
    def test_flows(self, engine):
        """Lanes need different numbers of steps to their maxima, and one has none."""

        def run(mu):
            system = stuart_landau().with_params(mu=mu)
            return attractor_points(system, n_points=3, n_transient=100, dt=0.1, max_steps=100)

        self.check(run, np.array([1.0, 0.3, 2.0, -30.0, 1.7]), engine)

    def check(self, run, values, engine):
        together = jaxdyn.lanes(run, engine=engine)(values)
        for i, value in enumerate(values):
            alone = jax.tree.map(np.asarray, run(value))
            for got, expected in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(got[i], expected, rtol=1e-9)


def test_float32():
    run = logistic(3.5)
    assert int(run.period) == 4
    assert {leaf.dtype.name for leaf in jax.tree.leaves(run)} == {"float32", "int32", "int8"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"of": "y"}, "has no state 'y'"),
        ({"of": 1}, "an index is 0 to 0"),
        ({"of": [0]}, "by its name or index"),
        ({"of": lambda x: x}, "return a scalar"),
        ({"n_points": 0}, "n_points must be a whole number"),
        ({"n_transient": -1}, "n_transient must be a whole number"),
        ({"n_points": 10, "max_period": 6}, "needs two periods"),
        ({"tolerance": -1e-3}, "tolerance must be"),
        ({"dt": 0.1}, "dt and t1 are for flows"),
        ({"method": jaxdyn.RK4()}, "leave method out"),
        ({"max_steps": 0}, "max_steps must be"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        logistic(3.5, **settings)


@pytest.mark.usefixtures("unchecked")
def test_a_flow_needs_its_step_forward():
    with pytest.raises(TypeError, match="a flow needs its step"):
        attractor_points(stuart_landau(), n_points=2, n_transient=0)
    with pytest.raises(ValueError, match="dt must be positive"):
        attractor_points(stuart_landau(), n_points=2, n_transient=0, dt=-0.1)
