"""Figures: what is drawn where, named how, and refused with which words."""

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from figures import exponents_over, legend_texts, line_named, neuron, spiral

import jaxdyn
from jaxdyn import plot
from jaxdyn.analysis.lyapunov import LyapunovSpectrum
from jaxdyn.plot._parts import symbol, visible_length, wrapped
from jaxdyn.plot.running import value_with_error

pytestmark = pytest.mark.usefixtures("closed_figures")


class TestAxes:
    def figures(self):
        run = jaxdyn.trajectory(neuron(), t1=1.0, dt=0.1)
        return {
            "trajectory": lambda ax: plot.trajectory(run, ax=ax),
            "phase_trajectory": lambda ax: plot.phase_trajectory(run, ax=ax),
            "sweep": lambda ax: plot.sweep(exponents_over("I", "b"), ax=ax),
            "eigenvalues": lambda ax: plot.eigenvalues([-1.0], ax=ax),
            "convergence": lambda ax: plot.convergence(spectrum(), ax=ax),
            "phase_plane": lambda ax: plot.phase_plane(neuron(), ax=ax),
        }

    @pytest.mark.parametrize(
        "kind", ["trajectory", "phase_trajectory", "sweep", "eigenvalues", "convergence", "phase_plane"]
    )
    def test_given_axes_are_used_and_new_ones_have_a_layout(self, ax, kind):
        draw = self.figures()[kind]
        assert draw(ax) is ax
        new = draw(None)
        assert new is not ax
        assert type(new.figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
        new.figure.canvas.draw()  # the layout must have room, or Matplotlib warns

    def test_backend_and_settings_are_left_alone(self):
        before = dict(matplotlib.rcParams)
        plot.trajectory(jaxdyn.trajectory(neuron(), t1=1.0, dt=0.1))
        assert dict(matplotlib.rcParams) == before


class TestStyle:
    def test_settings_hold_inside_only(self):
        before = matplotlib.rcParams["pdf.fonttype"]
        with plot.style(figure_figsize=(7, 3)):
            assert matplotlib.rcParams["pdf.fonttype"] == 42
            assert matplotlib.rcParams["figure.figsize"] == [7, 3]
            assert not matplotlib.rcParams["axes.spines.top"]
        assert matplotlib.rcParams["pdf.fonttype"] == before

    def test_unknown_setting(self):
        with pytest.raises(TypeError, match="figure_size"), plot.style(figure_size=1):
            pass

    @pytest.mark.parametrize(
        ("name", "printed"),
        [
            ("v", "$v$"),
            ("x0", "$x_{0}$"),
            ("sigma_w", r"$\sigma_{w}$"),
            ("eta1", r"$\eta_{1}$"),
            ("growth_rate", "growth rate"),
        ],
    )
    def test_symbols(self, name, printed):
        assert symbol(name) == printed

    def test_long_labels_are_broken_by_what_is_printed(self):
        assert visible_length(r"$\lambda_{1}$ (1/ms)") == 9
        assert wrapped(r"Lyapunov exponent $\lambda_{1}$ (1/ms)") == r"Lyapunov exponent $\lambda_{1}$ (1/ms)"
        assert wrapped("one two three", width=8) == "one two\nthree"


class TestTrajectory:
    def test_lines_names_and_units(self, ax):
        system = spiral()
        run = jaxdyn.trajectory(system, t1=2.0, dt=0.1)
        plot.trajectory(run, system=system, ax=ax)
        assert legend_texts(ax) == ["$x$ (mV)", "$y$ (nA)"]
        assert ax.get_xlabel() == "time (ms)"
        np.testing.assert_array_equal(line_named(ax, "$y$ (nA)").get_ydata(), np.asarray(run.x[:, 1], float))

    def test_one_state_is_named_on_the_axis(self, ax):
        system = spiral()
        plot.trajectory(jaxdyn.trajectory(system, t1=1.0, dt=0.1), system=system, states="y", ax=ax)
        assert ax.get_ylabel() == "current $y$ (nA)"
        assert ax.get_legend() is None

    def test_maps_count_steps(self, ax):
        plot.trajectory(jaxdyn.trajectory(jaxdyn.models.logistic(), n_steps=5), ax=ax)
        assert ax.get_xlabel() == "step"
        assert ax.lines[0].get_marker() == "."

    def test_many_states_have_no_legend(self, ax):
        system = jaxdyn.flow(lambda t, x, p: -x, {}, np.ones(20, np.float32))
        plot.trajectory(jaxdyn.trajectory(system, t1=1.0, dt=0.1), ax=ax)
        assert len(ax.lines) == 20
        assert ax.get_legend() is None

    def test_divergence_is_marked(self, ax):
        system = jaxdyn.flow(lambda t, x, p: x * x, {}, [1.0])
        plot.trajectory(jaxdyn.trajectory(system, t1=3.0, dt=0.1), ax=ax)
        # x' = x^2 from 1 diverges at t = 1; RK4 with dt 0.1 overflows float32 within a few more steps.
        assert 0.9 <= line_named(ax, "non finite").get_xdata()[0] <= 1.6

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"states": "u"}, "needs names: pass system"),
            ({"states": 2}, "positions go from 0 to 1"),
            ({"states": ["vv"], "system": "neuron"}, "did you mean 'v'"),
            ({"states": []}, "at least one"),
        ],
    )
    def test_unknown_states(self, keywords, message):
        if "system" in keywords:
            keywords = keywords | {"system": neuron()}
        with pytest.raises(ValueError, match=message):
            plot.trajectory(jaxdyn.trajectory(neuron(), t1=1.0, dt=0.1), **keywords)

    def test_other_shapes_are_refused(self, unchecked):
        with pytest.raises(ValueError, match=r"save=All\(\)"):
            plot.trajectory(jaxdyn.final_state(neuron(), t1=1.0, dt=0.1))
        batch = jaxdyn.Trajectory(jnp.zeros((2, 3)), jnp.zeros((2, 3, 2)), jnp.zeros(2, jnp.int8))
        with pytest.raises(ValueError, match=r"leaf\[0\]"):
            plot.trajectory(batch)
        with pytest.raises(ValueError, match="its own system"):
            plot.trajectory(jaxdyn.trajectory(jaxdyn.models.logistic(), n_steps=3), system=neuron())

    def test_phase_trajectory(self, ax):
        run = jaxdyn.trajectory(neuron(), t1=1.0, dt=0.1)
        plot.phase_trajectory(run, "w", "v", system=neuron(), ax=ax, color="red")
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.asarray(run.x[:, 1], float))
        assert ax.lines[1].get_xdata() == [1.0]  # the start
        assert ax.get_xlabel() == "recovery variable $w$"
        assert ax.lines[0].get_color() == "red"


class TestEigenvalues:
    def test_flows_are_split_at_the_imaginary_axis(self, ax):
        plot.eigenvalues(np.array([-1.0, 0.5 + 1j, 0.5 - 1j, 0.0, np.nan]), unit="1/ms", ax=ax)
        assert legend_texts(ax) == ["stable (1)", "neutral (1)", "unstable (2)", "not finite (1)"]
        assert line_named(ax, "unstable (2)").get_markerfacecolor() == "none"
        assert sorted(line_named(ax, "unstable (2)").get_ydata()) == [-1.0, 1.0]
        assert ax.get_aspect() == 1.0
        assert ax.get_xlabel() == r"Re $\lambda$ (1/ms)"

    def test_maps_are_split_at_the_unit_circle(self, ax):
        plot.eigenvalues(jnp.array([-1.2, 0.9, 1.0]), discrete=True, ax=ax)
        assert legend_texts(ax) == ["stable (1)", "neutral (1)", "unstable (1)"]
        radii = [np.hypot(*line.get_data()) for line in ax.lines if len(line.get_xdata()) > 100]
        np.testing.assert_allclose(radii, 1.0)

    def test_nothing_finite(self):
        with pytest.raises(ValueError, match="none of the 2"):
            plot.eigenvalues([np.nan, np.inf])


def spectrum(batch=()):
    time = jnp.geomspace(1.0, 100.0, 30)
    running = jnp.stack([0.9 + 1.0 / time, -14.0 - 1.0 / time], axis=-1)
    fields = {
        "exponents": running[-1],
        "std_error": jnp.array([0.02, 0.1]),
        "kaplan_yorke_dimension": jnp.array(2.06),
        "checks": None,
        "n_averaged": jnp.int32(100),
        "status": jnp.int8(0),
        "running": running,
        "running_time": time,
        "x": jnp.zeros(2),
        "frame": jnp.eye(2),
    }
    if batch:
        fields = {
            key: None if value is None else jnp.broadcast_to(value, (*batch, *value.shape))
            for key, value in fields.items()
        }
    return LyapunovSpectrum(**fields)


class TestConvergence:
    def test_lines_bands_and_references(self, ax):
        plot.convergence(spectrum(), reference=[0.9, -14.0], system=spiral(), ax=ax)
        assert legend_texts(ax) == [r"$\lambda_{1}$ = 0.910 ± 0.020", r"$\lambda_{2}$ = −14.01 ± 0.10", "reference"]
        bands = sorted((patch.get_y(), patch.get_height()) for patch in ax.patches)
        # float32 numbers near 14 carry 1e-6
        np.testing.assert_allclose(bands, [(-14.11, 0.2), (0.89, 0.04)], atol=5e-6)
        dashed = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"]
        assert dashed == [0.9, -14.0]
        assert ax.get_xscale() == "log"
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "running Lyapunov exponent (1/ms)")

    def test_many_lanes_are_refused(self, unchecked):
        with pytest.raises(ValueError, match=r"leaf\[0\]"):
            plot.convergence(spectrum(batch=(3,)))

    @pytest.mark.parametrize(
        ("value", "error", "text"),
        [(0.90563, 0.0128, "0.906 ± 0.013"), (-14.5, 3.0, "−14.5 ± 3.0"), (120.0, 30.0, "120 ± 30"), (1.5, 0.0, "1.5")],
    )
    def test_numbers_with_errors(self, value, error, text):
        assert value_with_error(value, error) == text


class TestBoundary:
    def test_limits_and_legend_stay(self, ax):
        data = exponents_over("I", "b", failed=[(0, 0)]).assign(stability=(("I", "b"), np.ones((5, 3), np.int8)))
        plot.sweep(data, "stability", ax=ax)
        before = ax.get_xlim(), ax.get_ylim()
        assert plot.boundary([-10, 10], [-10, 10], ax=ax, label="exact") is ax
        assert (ax.get_xlim(), ax.get_ylim()) == before
        assert legend_texts(ax) == ["stable node", "non finite (1 of 15)", "exact"]
        assert ax.get_legend().get_title().get_text() == "stability"

    def test_black_with_a_white_rim(self, ax):
        ax.scatter([0, 1], [0, 1])
        before = ax.get_xlim(), ax.get_ylim()
        plot.boundary([-5, 5], [-5, 5], ax=ax, lw=3)
        (line,) = ax.lines
        assert (ax.get_xlim(), ax.get_ylim()) == before
        assert (line.get_color(), line.get_linewidth()) == ("black", 3)
        assert line.get_path_effects()
        assert ax.get_legend() is None
