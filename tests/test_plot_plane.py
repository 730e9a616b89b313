"""Phase planes: nullclines, streams, arrows and fixed points where the equations put them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from figures import legend_texts, line_named, neuron, spiral
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver

import jaxdyn
from jaxdyn import plot
from jaxdyn.analysis.fixed_points import FixedPoints
from jaxdyn.plot.planes import one_turn

pytestmark = pytest.mark.usefixtures("closed_figures")


def fixed_points(x, codes, found):
    """Record of points on the line y = 0."""
    count = len(x)
    return FixedPoints(
        x=jnp.stack([jnp.asarray(x), jnp.zeros(count)], axis=-1),
        found=jnp.asarray(found),
        residual=jnp.zeros(count),
        eigenvalues=jnp.zeros((count, 2), complex),
        stability=jnp.asarray(codes, jnp.int8),
        status=jnp.int8(0),
    )


def nullcline(ax, label):
    """Vertices of a nullcline."""
    points = line_named(ax, label).get_xydata()
    return points[np.isfinite(points).all(axis=1)].T


class TestPhasePlane:
    def test_nullclines_are_where_the_rates_vanish(self, ax):
        plot.phase_plane(neuron(), ("v", -2, 2), ("w", -1, 2), ax=ax)
        v, w = nullcline(ax, r"$\dot{v} = 0$")
        np.testing.assert_allclose(w, v - v**3 / 3 + 0.5, atol=2e-6)  # rounding of float32
        v, w = nullcline(ax, r"$\dot{w} = 0$")
        np.testing.assert_allclose(w, (v + 0.7) / 0.8, atol=2e-6)
        assert legend_texts(ax) == [r"$\dot{v} = 0$", r"$\dot{w} = 0$", "unstable focus"]
        assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 2), (-1, 2))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("membrane potential $v$", "recovery variable $w$")

    def test_branches_are_not_joined(self, ax):
        branches = jaxdyn.flow(lambda t, x, p: (x[0] ** 2 - 0.25, x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(branches, ("x", -1, 1), ("y", -1, 1), fixed_points=False, ax=ax)
        x = line_named(ax, r"$\dot{x} = 0$").get_xdata()
        assert np.isnan(x).sum() == 2
        assert not any(a * b < 0 for a, b in zip(x[1:], x[:-1], strict=True))

    def test_streams_are_colored_by_log_speed(self, ax):
        plot.phase_plane(spiral(), fixed_points=False, ax=ax)
        streams = next(
            c for c in ax.collections if isinstance(c, LineCollection) and type(c).__name__ == "LineCollection"
        )
        # |velocity| = sqrt(2) |x|, largest in the corner (1, 2)
        np.testing.assert_allclose(streams.norm.vmax, np.sqrt(10.0), rtol=1e-6)
        assert type(streams.norm).__name__ == "LogNorm"
        assert np.all(np.isfinite(streams.get_array()))  # also at the origin, where speed is zero
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

    def test_fixed_points_are_found(self, ax):
        double_well = jaxdyn.flow(
            lambda t, x, p: (x[1], x[0] - x[0] ** 3 - x[1]), {}, [0.0, 0.0], state_names=["x", "y"]
        )
        plot.phase_plane(double_well, ("x", -1.5, 0.5), ("y", -1, 1), ax=ax)
        assert legend_texts(ax)[2:] == ["stable focus", "saddle"]
        np.testing.assert_allclose(line_named(ax, "stable focus").get_xydata(), [[-1, 0]], atol=1e-6)
        np.testing.assert_allclose(line_named(ax, "saddle").get_xydata(), [[0, 0]], atol=1e-6)

    def test_fixed_points_are_those_of_the_frozen_system(self, ax):
        # z = 0.5 stands still: x' = x (x^2 - z), y' = -y. With z moving there would be none.
        system = jaxdyn.flow(
            lambda t, x, p: (x[0] * (x[0] ** 2 - x[2]), -x[1], 1 + 0 * x[2]),
            {},
            [0.0, 0.0, 0.5],
            state_names=["x", "y", "z"],
        )
        plot.phase_plane(system, ("y", -1, 1), ("x", -1, 1), ax=ax)
        np.testing.assert_allclose(line_named(ax, "stable node").get_xydata(), [[0, 0]], atol=1e-6)
        saddles = line_named(ax, "saddle").get_xydata()
        np.testing.assert_allclose(saddles, [[0, -np.sqrt(0.5)], [0, np.sqrt(0.5)]], atol=1e-6)

    @pytest.mark.slow
    def test_fixed_points_of_the_whole_system_when_the_others_follow(self, ax, x64):
        pair = jaxdyn.models.hebbian_pair()
        weights = pair.state_names[2:]
        plot.phase_plane(pair, ("r1", -0.99, 0.99), ("r2", -0.99, 0.99), quasi_steady=weights, ax=ax)
        points = np.concatenate([line_named(ax, words).get_xydata() for words in ("stable node", "saddle")])
        assert points.shape == (9, 2)  # known of the pair at its defaults: 9 points, 5 of them stable
        assert line_named(ax, "stable node").get_xydata().shape == (5, 2)
        for label in (r"$\dot{r}_{1} = 0$", r"$\dot{r}_{2} = 0$"):
            vertices = nullcline(ax, label).T
            nearest = np.linalg.norm(points[:, None] - vertices[None], axis=-1).min(axis=1)
            assert nearest.max() < 0.01  # a cell is 0.0099 wide, and both curves go through every point

    def test_eigenvectors(self, ax):
        # J = [[-1, 0], [1, 2]]: eigenvectors (3, -1) of -1 and (0, 1) of 2
        skew = jaxdyn.flow(lambda t, x, p: (-x[0], x[0] + 2 * x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(skew, ("x", -1, 1), ("y", -1, 1), eigenvectors=True, ax=ax)
        start, end, _ = line_named(ax, "attracting").get_xydata()
        np.testing.assert_allclose(np.linalg.det([end - start, [3, -1]]), 0, atol=1e-6)
        start, end, _ = line_named(ax, "repelling").get_xydata()
        np.testing.assert_allclose(end[0] - start[0], 0, atol=1e-6)
        focus = plot.phase_plane(neuron(), eigenvectors=True)
        assert not {"attracting", "repelling"} & set(legend_texts(focus))  # complex ones have no direction

    def test_directions_of_a_map_go_by_the_modulus(self, ax):
        flip = jaxdyn.iterated_map(lambda n, x, p: (-0.5 * x[0], -2 * x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(flip, ("x", -1, 1), ("y", -1, 1), eigenvectors=True, ax=ax)
        start, end, _ = line_named(ax, "attracting").get_xydata()
        assert (end - start)[1] == 0
        start, end, _ = line_named(ax, "repelling").get_xydata()
        assert (end - start)[0] == 0
        assert "flip saddle" in legend_texts(ax)

    def test_fixed_points_of_many_lanes_are_refused(self):
        points = fixed_points([-0.8], [jaxdyn.Stability.UNSTABLE_FOCUS], [True])
        batch = jax.tree.map(lambda leaf: leaf[None], points)
        with pytest.raises(ValueError, match=r"leaf\[0\]"):
            plot.phase_plane(neuron(), fixed_points=batch)

    def test_trajectories_on_top(self, ax):
        runs = [jaxdyn.trajectory(neuron().with_state(v=v), t1=1.0, dt=0.1) for v in (0.0, 1.0)]
        plot.phase_plane(neuron(), trajectories=runs, fixed_points=False, ax=ax)
        starts = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 11]
        assert starts == [0.0, 1.0]

    @pytest.mark.parametrize("given", [(0.5, 0.25), [(0.5, 0.25)], np.array([[0.5, 0.25], [1.0, 1.0]])])
    def test_trajectories_from_starts(self, ax, given):
        plot.phase_plane(neuron(), trajectories=given, duration=2.0, dt=0.1, fixed_points=False, ax=ax)
        runs = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 21]
        known = jaxdyn.trajectory(neuron().with_state([0.5, 0.25]), t1=2.0, dt=0.1)
        np.testing.assert_allclose(runs[0], known.x, rtol=1e-5, atol=1e-6)  # float32, compiled in another batch
        assert len(runs) == np.atleast_2d(np.asarray(given)).shape[0]

    def test_trajectories_of_a_slice_stay_in_it(self, ax):
        system = jaxdyn.flow(
            lambda t, x, p: (x[2] - x[0], t - x[1], 1 + 0 * x[2]), {}, [0.0, 0.0, 0.5], state_names=["x", "y", "z"]
        )
        options = {"t": 0.25, "trajectories": (0, 0), "dt": 0.1, "duration": 50.0, "fixed_points": False}
        plot.phase_plane(system, ("x", -1, 1), ("y", -1, 1), ax=ax, **options)
        run = next(line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 501)
        np.testing.assert_allclose(run[-1], [0.5, 0.25], atol=1e-6)

    def test_cycle_once_around(self, ax, x64):
        plot.phase_plane(neuron(), cycle=True, fixed_points=False, ax=ax)
        orbit = line_named(ax, "long-run orbit").get_xydata()
        # The period is 39.47441498: 394.7 steps of 0.1, one more to close, and the start.
        assert len(orbit) in (396, 397)
        assert np.linalg.norm(orbit[-1] - orbit[0]) < np.linalg.norm(np.diff(orbit, axis=0), axis=1).max()

    def test_orbits_that_do_not_close_are_drawn_whole(self, ax):
        chaos = jaxdyn.final_state(jaxdyn.models.lorenz63(), n_steps=2000, dt=0.01).x
        run = jaxdyn.trajectory(jaxdyn.models.lorenz63().with_state(chaos), n_steps=20_000, dt=0.01)
        assert one_turn(np.asarray(run.x)) is None
        at_rest = np.ones((100, 2))
        assert one_turn(at_rest) is None
        plot.phase_plane(jaxdyn.models.henon(), cycle=True, duration=500, fixed_points=False, ax=ax)
        orbit = line_named(ax, "long-run orbit")
        assert (orbit.get_linestyle(), len(orbit.get_xdata())) == ("None", 501)

    def test_slice_through_the_other_states(self, ax):
        system = jaxdyn.flow(
            lambda t, x, p: (x[0] - x[2], x[1] + x[2], 0 * x[2]), {}, [0.0, 0.0, 0.25], state_names=["x", "y", "z"]
        )
        plot.phase_plane(system, ("x", -1, 1), ("y", -1, 1), fixed={"z": 0.5}, ax=ax)
        np.testing.assert_allclose(nullcline(ax, r"$\dot{x} = 0$")[0], 0.5, atol=1e-6)
        np.testing.assert_allclose(line_named(ax, "unstable node").get_xydata(), [[0.5, -0.5]], atol=1e-6)
        default = plot.phase_plane(system, ("x", -1, 1), ("y", -1, 1), fixed_points=False)
        np.testing.assert_allclose(nullcline(default, r"$\dot{x} = 0$")[0], 0.25, atol=1e-6)

    def test_frozen_time(self, ax):
        driven = jaxdyn.flow(lambda t, x, p: (x[0] - t, x[1]), {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(driven, ("x", -1, 1), ("y", -1, 1), t=0.5, ax=ax)
        np.testing.assert_allclose(nullcline(ax, r"$\dot{x} = 0$")[0], 0.5, atol=1e-6)
        np.testing.assert_allclose(line_named(ax, "unstable node").get_xydata(), [[0.5, 0]], atol=1e-6)

    def test_maps_show_displacement(self, ax):
        halving = jaxdyn.iterated_map(lambda n, x, p: 0.5 * x, {}, [1.0, 1.0], state_names=["x", "y"])
        plot.phase_plane(halving, ("x", -1, 1), ("y", -2, 2), ax=ax)
        arrows = next(c for c in ax.collections if isinstance(c, Quiver))
        np.testing.assert_allclose(arrows.U, -0.5 * arrows.X, atol=1e-7)  # f(x) - x, not f(x)
        np.testing.assert_allclose(arrows.V, -0.5 * arrows.Y, atol=1e-7)
        assert legend_texts(ax) == [r"$\Delta x = 0$", r"$\Delta y = 0$", "stable node"]

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
        find = make is jaxdyn.flow  # the search for fixed points is the same for maps
        plot.phase_plane(make(field, {}, [1.0, 1.0]), (0, -1, 1), (1, -1, 1), fixed_points=find, ax=ax)
        ax.figure.canvas.draw()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"x": "u"}, "no state 'u'"),
            ({"x": ("v", 1, 1)}, "low < high"),
            ({"x": ("v", 1)}, r"\(state, low, high\)"),
            ({"x": "w"}, "choose two states"),
            ({"fixed": {"z": 1.0}}, "fixed: .* no state 'z'"),
            ({"quasi_steady": "z"}, "quasi_steady: .* no state 'z'"),
            ({"trajectories": (1.0, 2.0, 3.0)}, r"point of the plane, \(x, y\)"),
            ({"density": 0}, "positive"),
        ],
    )
    def test_wrong_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            plot.phase_plane(neuron(), **arguments)

    def test_runs_need_a_step(self):
        plain = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0, 1.0])
        with pytest.raises(ValueError, match=r"no step in system.about; give dt="):
            plot.phase_plane(plain, (0, -1, 1), (1, -1, 1), cycle=True)

    def test_missing_range_and_states(self):
        plain = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0, 1.0])
        with pytest.raises(ValueError, match=r"give \('x0', low, high\)"):
            plot.phase_plane(plain)
        with pytest.raises(ValueError, match="needs two"):
            plot.phase_plane(jaxdyn.models.logistic())
