"""Parts of phase planes: colors, titles, lines of fixed points, touched zeros, runs and points of a whole system."""

import jax.numpy as jnp
import numpy as np
import pytest
from figures import legend_texts, line_named, neuron

import jaxdyn
from jaxdyn import plot
from jaxdyn.analysis.fixed_points import FixedPoints

pytestmark = pytest.mark.usefixtures("closed_figures")


class TestParts:
    def test_nullclines_have_the_colors_of_their_time_series(self, ax):
        plot.phase_plane(neuron(), ("v", -2, 2), ("w", -1, 2), fixed_points=False, ax=ax)
        series = plot.trajectory(jaxdyn.trajectory(neuron(), t1=1.0, dt=0.1), system=neuron())
        for state in "vw":
            color = line_named(ax, rf"$\dot{{{state}}} = 0$").get_color()
            assert color == line_named(series, f"${state}$").get_color()

    def test_titles_are_above_the_legend(self, ax):
        plot.phase_plane(neuron(), ax=ax)
        ax.set_title("neuron")
        ax.figure.canvas.draw()
        box = ax.get_legend().get_window_extent()
        assert box.height > 0 and not ax.title.get_window_extent().overlaps(box)
        assert ax.title.get_window_extent().y1 <= ax.figure.bbox.height
        ax.get_legend().remove()
        ax.figure.canvas.draw()
        assert ax.title.get_window_extent().y0 < ax.bbox.y1 + 12  # its own distance, nothing else

    @pytest.mark.parametrize("make", [jaxdyn.models.line_attractor, jaxdyn.models.line_attractor_flow])
    def test_a_line_attractor_is_one_line(self, ax, make):
        plot.phase_plane(make(), ax=ax)
        line = line_named(ax, "line of fixed points").get_xydata()
        line = line[np.isfinite(line[:, 0])]
        assert (np.ptp(line, axis=0) == [0, 100]).all() and (line[:, 0] == 0).all()
        (rate,) = [text for text in legend_texts(ax) if "everywhere" in text]
        assert "_{2}" in rate and len(legend_texts(ax)) == 3  # nothing marginal

    @pytest.mark.parametrize(("sign", "words"), [(-1, ""), (1, ", repelling")])
    def test_a_line_where_both_nullclines_coincide(self, ax, sign, words):
        skew = jaxdyn.flow(
            lambda t, x, p: (sign * (x[0] - x[1]), sign * (x[1] - x[0]) / 2), {}, [0.0, 0.0], state_names=["x", "y"]
        )
        plot.phase_plane(skew, ("x", -1, 1), ("y", -1, 1), ax=ax)
        line = line_named(ax, f"line of fixed points{words}").get_xydata()
        line = line[np.isfinite(line[:, 0])]
        np.testing.assert_allclose(line[:, 0], line[:, 1], atol=1e-7)
        assert len(legend_texts(ax)) == 3

    @pytest.mark.slow
    def test_single_points_beside_a_line_of_them(self, ax):
        def field(t, x, p):
            shrink = 0.5 - x[0] ** 2 - x[1] ** 2
            return x[0] * shrink, x[1] * shrink

        ring = jaxdyn.flow(field, {}, [0.0, 0.0], state_names=["x", "y"])
        plot.phase_plane(ring, ("x", -1, 1), ("y", -1, 1), ax=ax)
        assert legend_texts(ax)[2:] == ["line of fixed points", "unstable node"]
        np.testing.assert_allclose(line_named(ax, "unstable node").get_xydata(), [[0, 0]], atol=1e-6)

    def test_touched_zeros_are_shown(self, ax):
        touching = jaxdyn.flow(lambda t, x, p: (x[0] ** 2, -x[1]), {}, [0.5, 0.5], state_names=["x", "y"])
        plot.phase_plane(touching, ("x", -1, 1), ("y", -1, 1), fixed_points=False, ax=ax)
        assert r"$\dot{x} = 0$" in legend_texts(ax)
        (dots,) = [line for line in ax.lines if line.get_marker() == "." and line.get_linestyle() == "None"]
        np.testing.assert_allclose(dots.get_xdata(), 0, atol=1e-6)
        assert len(dots.get_xdata()) == 201

    def test_runs_and_points_of_the_whole_are_projected(self, ax):
        pair = jaxdyn.models.hebbian_pair()
        run = jaxdyn.trajectory(pair.with_state(m12=0.7), n_steps=12, dt=1.0)
        part = jaxdyn.frozen(jaxdyn.frozen(pair, ["r1", "r2"]), "m11")
        count = 1
        points = FixedPoints(
            x=jnp.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]),
            found=jnp.array([True]),
            residual=jnp.zeros(count),
            eigenvalues=jnp.zeros((count, 6), complex),
            stability=jnp.array([int(jaxdyn.Stability.SADDLE)], jnp.int8),
            status=jnp.int8(0),
        )
        window = ("m12", -1, 1), ("m22", -1, 1)
        plot.phase_plane(part, *window, trajectories=run, fixed_points=points, ax=ax)
        (drawn,) = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 13]
        np.testing.assert_array_equal(drawn, np.asarray(run.x, float)[:, [3, 5]])
        np.testing.assert_allclose(line_named(ax, "saddle").get_xydata(), [[0.4, 0.6]], rtol=1e-6)
        with pytest.raises(ValueError, match="their eigenvectors are not its own"):
            plot.phase_plane(part, *window, fixed_points=points, eigenvectors=True)
        with pytest.raises(ValueError, match="fitzhugh_nagumo has 2 states, the trajectory 6"):
            plot.phase_plane(neuron(), trajectories=run)

    def test_orbits_of_maps_show_their_order(self, ax):
        henon = jaxdyn.models.henon()
        plot.phase_plane(henon, trajectories=[(0.0, 0.0)], duration=20, fixed_points=False, ax=ax)
        dots, thin = [line for line in ax.lines if len(line.get_xdata()) == 21]
        assert (dots.get_linestyle(), thin.get_linestyle(), thin.get_marker()) == ("None", "-", "None")
        np.testing.assert_array_equal(dots.get_xydata(), thin.get_xydata())
        many = plot.phase_plane(henon, trajectories=[(0.0, 0.0)], duration=500, fixed_points=False)
        assert [line.get_linestyle() for line in many.lines if len(line.get_xdata()) == 501] == ["None"]

    def test_no_trajectories(self, ax):
        plot.phase_plane(neuron(), trajectories=[], fixed_points=False, ax=ax)
