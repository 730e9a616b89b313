"""Phase planes: nullclines, streams, arrows and fixed points where the equations put them."""

import matplotlib

matplotlib.use("Agg")

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import legend_texts, line_named, neuron, spiral
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver

import jaxdyn
from jaxdyn import plot


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.figure(layout="constrained").subplots()


def fixed_points(x, codes, found):
    """Record of points on the line y = 0."""
    count = len(x)
    return jaxdyn.FixedPoints(
        x=jnp.stack([jnp.asarray(x), jnp.zeros(count)], axis=-1),
        found=jnp.asarray(found),
        residual=jnp.zeros(count),
        eigenvalues=jnp.zeros((count, 2), complex),
        stability=jnp.asarray(codes, jnp.int8),
        status=jnp.int8(0),
    )


class TestPhasePlane:
    def test_nullclines_are_where_the_rates_vanish(self, ax):
        plot.phase_plane(neuron(), ("v", -2, 2), ("w", -1, 2), ax=ax)
        first, second = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
        v, w = np.concatenate([path.vertices for path in first.get_paths()]).T
        # Linear interpolation on a grid of step h = 4/300 errs by h^2/8 max|v''| = h^2/8 * 2 |v| <= 9e-5.
        np.testing.assert_allclose(w, v - v**3 / 3 + 0.5, atol=1e-4)
        v, w = np.concatenate([path.vertices for path in second.get_paths()]).T
        np.testing.assert_allclose(w, (v + 0.7) / 0.8, atol=1e-5)  # linear: rounding of float32 only
        assert legend_texts(ax) == [r"$\dot{v} = 0$", r"$\dot{w} = 0$"]
        assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 2), (-1, 2))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("membrane potential $v$", "recovery variable $w$")

    def test_streams_are_colored_by_log_speed(self, ax):
        plot.phase_plane(spiral(), ax=ax)
        streams = next(
            c for c in ax.collections if isinstance(c, LineCollection) and type(c).__name__ == "LineCollection"
        )
        # |velocity| = sqrt(2) |x|, largest in the corner (1, 2)
        np.testing.assert_allclose(streams.norm.vmax, np.sqrt(10.0), rtol=1e-6)
        assert type(streams.norm).__name__ == "LogNorm"
        assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))

    def test_fixed_points_show_their_class(self, ax):
        double_well = jaxdyn.flow(
            lambda t, x, p: (x[1], x[0] - x[0] ** 3 - x[1]), {}, [0.0, 0.0], state_names=["x", "y"]
        )
        kinds = jaxdyn.Stability
        points = fixed_points(
            [-1.0, 0.0, 1.0, -0.5, np.nan],
            [kinds.STABLE_FOCUS, kinds.SADDLE, kinds.STABLE_FOCUS, kinds.UNSTABLE_NODE, kinds.UNDEFINED],
            found=[True, True, True, False, False],
        )
        plot.phase_plane(double_well, ("x", -1.5, 0.5), ("y", -1, 1), fixed_points=points, ax=ax)
        assert legend_texts(ax)[2:] == ["stable focus", "saddle"]
        focus, saddle = line_named(ax, "stable focus"), line_named(ax, "saddle")
        assert focus.get_xdata().tolist() == [-1.0]  # the one at 1 is outside
        assert (focus.get_fillstyle(), saddle.get_fillstyle()) == ("full", "left")
        unstable = plot.phase_plane(neuron(), fixed_points=fixed_points([-0.8], [kinds.UNSTABLE_FOCUS], [True]))
        assert line_named(unstable, "unstable focus").get_markerfacecolor() == "white"

    def test_fixed_points_of_many_lanes_are_refused(self):
        points = fixed_points([-0.8], [jaxdyn.Stability.UNSTABLE_FOCUS], [True])
        batch = jax.tree.map(lambda leaf: leaf[None], points)
        with pytest.raises(ValueError, match=r"leaf\[0\]"):
            plot.phase_plane(neuron(), fixed_points=batch)

    def test_trajectories_on_top(self, ax):
        runs = [jaxdyn.trajectory(neuron().with_state(v=v), t1=1.0, dt=0.1) for v in (0.0, 1.0)]
        plot.phase_plane(neuron(), trajectories=runs, ax=ax)
        starts = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 11]
        assert starts == [0.0, 1.0]

    def test_slice_through_the_other_states(self, ax):
        system = jaxdyn.flow(
            lambda t, x, p: (x[0] - x[2], x[1] + x[2], 0 * x[2]), {}, [0.0, 0.0, 0.25], state_names=["x", "y", "z"]
        )
        plot.phase_plane(system, ("x", -1, 1), ("y", -1, 1), others={"z": 0.5}, ax=ax)
        first = next(c for c in ax.collections if type(c).__name__ == "QuadContourSet")
        np.testing.assert_allclose(np.concatenate([p.vertices for p in first.get_paths()])[:, 0], 0.5, atol=1e-6)
        default = plot.phase_plane(system, ("x", -1, 1), ("y", -1, 1))
        first = next(c for c in default.collections if type(c).__name__ == "QuadContourSet")
        np.testing.assert_allclose(np.concatenate([p.vertices for p in first.get_paths()])[:, 0], 0.25, atol=1e-6)

    def test_frozen_time(self, ax):
        driven = jaxdyn.flow(lambda t, x, p: (x[0] - t, x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(driven, ("x", -1, 1), ("y", -1, 1), t=0.5, ax=ax)
        first = next(c for c in ax.collections if type(c).__name__ == "QuadContourSet")
        np.testing.assert_allclose(np.concatenate([p.vertices for p in first.get_paths()])[:, 0], 0.5, atol=1e-6)

    def test_maps_show_displacement(self, ax):
        halving = jaxdyn.iterated_map(lambda n, x, p: 0.5 * x, {}, [1.0, 1.0], state_names=["x", "y"])
        plot.phase_plane(halving, ("x", -1, 1), ("y", -2, 2), ax=ax)
        arrows = next(c for c in ax.collections if isinstance(c, Quiver))
        np.testing.assert_allclose(arrows.U, -0.5 * arrows.X, atol=1e-7)  # f(x) - x, not f(x)
        np.testing.assert_allclose(arrows.V, -0.5 * arrows.Y, atol=1e-7)
        assert legend_texts(ax) == [r"$\Delta x = 0$", r"$\Delta y = 0$"]

    @pytest.mark.parametrize(
        "field",
        [
            lambda t, x, p: 0 * x,
            lambda t, x, p: jnp.nan * x,
            lambda t, x, p: (jnp.sqrt(x[0]), x[1]),
            lambda t, x, p: (1.0 / x[0], x[1]),
        ],
        ids=["at rest", "nowhere defined", "half defined", "pole"],
    )
    @pytest.mark.parametrize("make", [jaxdyn.flow, jaxdyn.iterated_map])
    def test_odd_fields_are_drawn(self, ax, field, make):
        plot.phase_plane(make(field, {}, [1.0, 1.0]), (0, -1, 1), (1, -1, 1), ax=ax)
        ax.figure.canvas.draw()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"x": "u"}, "no state 'u'"),
            ({"x": ("v", 1, 1)}, "low < high"),
            ({"x": ("v", 1)}, r"\(state, low, high\)"),
            ({"x": "w"}, "choose two states"),
            ({"others": {"z": 1.0}}, "others: .* no state 'z'"),
            ({"density": 0}, "positive"),
        ],
    )
    def test_wrong_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            plot.phase_plane(neuron(), **arguments)

    def test_missing_range_and_states(self):
        plain = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0, 1.0])
        with pytest.raises(ValueError, match=r"give \('x0', low, high\)"):
            plot.phase_plane(plain)
        with pytest.raises(ValueError, match="needs two"):
            plot.phase_plane(jaxdyn.models.logistic())
