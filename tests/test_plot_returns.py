"""Return maps and cobwebs: which numbers are drawn where, named how, and refused with which words."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from figures import neuron, spiral

import jaxdyn
from jaxdyn import plot

pytestmark = pytest.mark.usefixtures("closed_figures")


def orbit(n=6):
    system = jaxdyn.models.henon()
    return system, jaxdyn.trajectory(system, n_steps=n)


def two_events():
    events = {"high": jaxdyn.Event.maximum("x"), "low": jaxdyn.Event.minimum("x")}
    return jaxdyn.crossings(jaxdyn.models.rossler(), events, n_steps=500, dt=0.05, capacity=8)


class TestReturnMap:
    def test_each_value_against_the_one_before(self, ax):
        system, run = orbit()
        assert plot.return_map(run, "y", system=system, ax=ax, color="red") is ax
        diagonal, dots = ax.lines
        values = np.asarray(run.x[:, 1], float)
        np.testing.assert_array_equal(dots.get_xdata(), values[:-1])
        np.testing.assert_array_equal(dots.get_ydata(), values[1:])
        assert (dots.get_color(), dots.get_linestyle(), diagonal.get_slope()) == ("red", "None", 1)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("$y_{n}$", "$y_{n+1}$")
        assert ax.get_aspect() == 1.0

    def test_lags_and_plain_numbers_without_those_that_are_missing(self, ax):
        plot.return_map([1.0, 2.0, 4.0, np.nan, 5.0, 3.0], lag=2, ax=ax)
        # Pairs (1, 4), (2, nan), (4, 5), (nan, 3).
        np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 4], [4, 5]])
        assert ax.get_ylabel() == "$x_{n+2}$"

    def test_sections_and_events(self, ax):
        turns = jaxdyn.poincare(jaxdyn.models.rossler(), {"y": 0.0}, dt=0.05, direction=-1)
        points = jaxdyn.section_points(turns, n_points=5)
        plot.return_map(points, "z", system=turns, ax=ax)
        np.testing.assert_array_equal(ax.lines[-1].get_ydata(), np.asarray(points.x[1:, 1], float))
        flow = jaxdyn.models.rossler()
        tops = jaxdyn.crossings(flow, jaxdyn.Event.maximum("x"), n_steps=500, dt=0.05, capacity=12)
        plot.return_map(tops, "x", system=flow, ax=ax)
        assert len(ax.lines[-1].get_xdata()) == int(tops.count) - 1 > 1

    def test_words_and_units(self, ax):
        system = spiral()
        run = jaxdyn.trajectory(system, t1=1.0, dt=0.1)
        plot.return_map(run, 1, system=system, ax=ax)
        assert ax.get_xlabel() == "$y_{n}$ (nA)"
        words = jaxdyn.iterated_map(lambda n, x, p: x / 2, {}, [1.0], state_names=["growth_rate"])
        plot.return_map(jaxdyn.trajectory(words, n_steps=3), system=words, ax=ax)
        assert ax.get_ylabel() == "growth rate, $n+1$"
        plot.return_map(jaxdyn.trajectory(words, n_steps=3), ax=ax)
        assert ax.get_ylabel() == "$x_{0, n+1}$"

    def test_new_axes_have_a_layout(self):
        new = plot.return_map([1.0, 2.0, 3.0])
        assert type(new.figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
        new.figure.canvas.draw()

    @pytest.mark.parametrize(
        ("draw", "words"),
        [
            (lambda: plot.return_map([1.0]), "needs 2 finite values"),
            (lambda: plot.return_map([1.0, np.nan, 2.0]), "needs 2 finite values"),
            (lambda: plot.return_map([1.0, 2.0], lag=0), "lag must be"),
            (lambda: plot.return_map(two_events()), "one event, the record holds 2: 'high', 'low'; pass numbers of"),
            (lambda: plot.return_map(np.ones((2, 2))), "pick one lane"),
            (lambda: plot.return_map(orbit()[1], "u", system=orbit()[0]), "did you mean|known"),
            (lambda: plot.return_map(orbit()[1], "y"), "pass system"),
            (lambda: plot.return_map(orbit()[1], system=jaxdyn.models.logistic()), "its own system"),
            (lambda: plot.return_map(jaxdyn.final_state(jaxdyn.models.henon(), n_steps=3)), "save more than one"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, draw, words):
        with pytest.raises(ValueError, match=words):
            draw()


class TestCobweb:
    def test_graph_staircase_and_start(self, ax, x64):
        system = jaxdyn.models.logistic(r=3.2)
        assert plot.cobweb(system, 0.2, 3, ax=ax, color="red") is ax
        _, graph, stairs, start = ax.lines
        x, y = graph.get_data()
        np.testing.assert_allclose(y, 3.2 * x * (1 - x), rtol=1e-12, atol=1e-15)
        steps = [0.2]
        for _ in range(3):
            steps.append(3.2 * steps[-1] * (1 - steps[-1]))
        corners = [(a, b) for a, c in itertools.pairwise(steps) for b in (a, c)]
        np.testing.assert_allclose(stairs.get_xydata(), corners, rtol=1e-14)
        np.testing.assert_allclose(start.get_xydata(), [[0.2, 0.2]])
        assert stairs.get_color() == start.get_color() == "red"
        assert ax.get_xlim() == ax.get_ylim() == (x[0], x[-1])
        assert ax.get_ylabel() == "$x_{n+1}$"

    def test_window(self, ax):
        system = jaxdyn.models.logistic(r=2.0)
        known = system.about.states[0].range
        plot.cobweb(system, 0.5, ax=ax)  # a fixed point: all of the range
        assert ax.get_xlim() == known
        plot.cobweb(jaxdyn.models.logistic(r=5.0), 0.1, ax=ax)  # an orbit that escapes is followed within the range
        assert known[0] <= ax.get_xlim()[0] < 0.1 and ax.get_xlim()[1] <= known[1]
        plot.cobweb(system, 0.3, interval=(-1, 2), ax=ax)
        assert ax.get_ylim() == (-1, 2)
        free = jaxdyn.iterated_map(lambda n, x, p: x / 2, {}, [1.0])
        plot.cobweb(free, ax=ax)
        assert ax.get_xlim()[1] == pytest.approx(1.15, abs=1e-6)
        plot.cobweb(free, 0.0, ax=ax)
        assert ax.get_xlim() == (-0.5, 0.5)

    def test_sections_of_the_plane(self, ax):
        turns = jaxdyn.poincare(jaxdyn.models.van_der_pol(), {"y": 0.0}, dt=0.1, direction=-1)
        plot.cobweb(turns, 1.0, 4, ax=ax)
        x, y = ax.lines[1].get_data()
        expected = jax.vmap(lambda value: turns(0, value[None])[0])(jnp.asarray(x, turns.dtype))
        np.testing.assert_allclose(y, expected, rtol=1e-5)

    @pytest.mark.parametrize(
        ("draw", "words"),
        [
            (lambda: plot.cobweb(neuron()), "map of one state"),
            (lambda: plot.cobweb(jaxdyn.models.henon()), "map of one state"),
            (lambda: plot.cobweb(3), "got int"),
            (lambda: plot.cobweb(jaxdyn.models.logistic(), np.nan), "not finite"),
            (lambda: plot.cobweb(jaxdyn.models.logistic(), interval=(1.0, 0.0)), "two finite numbers, the smaller"),
            (lambda: plot.cobweb(jaxdyn.models.logistic(), interval=(0.0, np.inf)), "two finite numbers"),
            (lambda: plot.cobweb(jaxdyn.models.logistic(), interval=0.5), "two finite numbers"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, draw, words, unchecked):
        with pytest.raises(ValueError, match=words):
            draw()
