"""Figures of sweeps: the right number in the right cell, and failures in sight."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from figures import B, I, exponents_over, legend_texts, line_named, mesh_of
from matplotlib.colors import to_hex

import jaxdyn
from jaxdyn import plot
from jaxdyn.plot._axis import cell_edges, is_logarithmic

pytestmark = pytest.mark.usefixtures("closed_figures")


class TestLines:
    def test_components_with_bands(self, ax):
        plot.sweep(exponents_over("I"), ax=ax)
        assert legend_texts(ax) == [r"$\lambda_{1}$", r"$\lambda_{2}$"]
        np.testing.assert_allclose(line_named(ax, r"$\lambda_{2}$").get_ydata(), I - 4.0)
        (vertices,) = ax.collections[0].get_paths()
        np.testing.assert_allclose(np.ptp(vertices.vertices[vertices.vertices[:, 0] == I[2], 1]), 0.5)
        assert ax.get_xlabel() == "injected current (nA)"
        assert ax.get_ylabel() == "Lyapunov exponent (1/ms)"

    def test_selected_component(self, ax):
        plot.sweep(exponents_over("I"), "exponents", select={"exponent": 1}, ax=ax)
        assert ax.get_ylabel() == r"Lyapunov exponent $\lambda_{2}$ (1/ms)"
        np.testing.assert_allclose(ax.lines[0].get_ydata(), I - 4.0)

    def test_failed_lanes_are_gaps_with_crosses(self, ax):
        plot.sweep(exponents_over("I", failed=[1, 3]), ax=ax)
        np.testing.assert_array_equal(np.isnan(line_named(ax, r"$\lambda_{1}$").get_ydata()), [0, 1, 0, 1, 0])
        np.testing.assert_allclose(line_named(ax, "non finite (2 of 5)").get_xdata(), I[[1, 3]])

    def test_unsorted_values_are_sorted_together(self, ax):
        data = exponents_over("I").isel(I=[3, 0, 4, 1, 2])
        plot.sweep(data, ax=ax)
        np.testing.assert_allclose(line_named(ax, r"$\lambda_{1}$").get_ydata(), I - 1.0)

    def test_swept_value_selects_from_two(self, ax):
        plot.sweep(exponents_over("I", "b"), select={"b": 2.0, "exponent": 0}, ax=ax)
        np.testing.assert_allclose(ax.lines[-1].get_ydata(), I)

    def test_fixed_points_are_dots_by_stability(self, ax):
        x = np.array([[[0.0], [np.nan]], [[0.0], [1.0]], [[0.0], [2.0]]])
        kinds = jaxdyn.Stability
        codes = np.array(
            [[kinds.STABLE_NODE, 0], [kinds.UNSTABLE_NODE, kinds.STABLE_NODE], [kinds.SADDLE, kinds.CENTER]]
        )
        data = xarray.Dataset(
            {
                "x": (("r", "point", "state"), x),
                "found": (("r", "point"), np.isfinite(x[..., 0])),
                "stability": (("r", "point"), codes.astype(np.int8)),
                "status": (("r",), np.zeros(3, np.int8)),
            },
            {"r": [-1.0, 0.0, 1.0], "state": ["x"]},
        )
        plot.sweep(data, "x", select={"state": "x"}, ax=ax)
        assert legend_texts(ax) == ["stable", "neutral", "unstable"]
        assert line_named(ax, "stable").get_ydata().tolist() == [0.0, 1.0]
        assert line_named(ax, "unstable").get_xdata().tolist() == [0.0, 1.0]
        assert ax.get_ylabel() == "$x$"
        with pytest.raises(ValueError, match=r"select=\{'state': 'x'\}"):
            plot.sweep(data, "x")

    def test_classes_are_rows(self, ax):
        attrs = {"flag_values": [0, 1, 2], "flag_meanings": "rest limit_cycle chaos"}
        data = xarray.Dataset({"outcome": (("I",), np.array([0, 0, 2, 2, 0], np.int8), attrs)}, {"I": I})
        plot.sweep(data, ax=ax)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["rest", "chaos"]
        np.testing.assert_allclose(ax.lines[1].get_xdata(), I[2:4])


class TestHeatMap:
    def test_cells_colors_and_words(self, ax):
        plot.sweep(exponents_over("I", "b"), ax=ax)
        mesh = mesh_of(ax)
        corners = mesh.get_coordinates()
        np.testing.assert_allclose(corners[0, :, 0], [-0.25, 0.25, 0.75, 1.25, 1.75, 2.25])
        # b is spaced by factors of 2: its cells meet at geometric means
        np.testing.assert_allclose(corners[:, 0, 1], np.sqrt([0.125, 0.5, 2.0, 8.0]))
        assert ax.get_yscale() == "log"
        np.testing.assert_allclose(mesh.get_array(), (I[:, None] - 1.0 + B - 1.0).T)
        assert mesh.get_cmap().name == "RdBu_r"
        assert mesh.get_clim() == (-2.0, 2.0)  # the largest size is 1 + 1
        assert mesh.colorbar.ax.get_ylabel() == r"Lyapunov exponent $\lambda_{1}$ (1/ms)"
        assert ax.get_legend() is None

    def test_other_axis_order_and_component(self, ax):
        plot.sweep(exponents_over("I", "b"), x="b", select={"exponent": 1}, ax=ax)
        assert ax.get_xlabel() == "$b$"
        np.testing.assert_allclose(mesh_of(ax).get_array(), I[:, None] + B - 5.0)

    def test_an_axis_of_length_one_has_no_number(self, ax):
        values = np.arange(9.0).reshape(3, 3, 1)
        data = xarray.Dataset({"rate": (("a", "b", "perturbation"), values)}, {"a": [1, 2, 3], "b": [1, 2, 4]})
        data["status"] = ("a", "b"), np.zeros((3, 3), np.int8)
        plot.sweep(data, "rate", ax=ax)
        assert ax.figure.axes[-1].get_ylabel() == "rate"
        plot.sweep(data, "rate", select={"b": 2, "perturbation": 0}, ax=(line := plt.figure().subplots()))
        assert line.get_ylabel() == "rate"
        two = xarray.concat([data, data], "perturbation", data_vars=["rate"])
        plot.sweep(two, "rate", ax=(both := plt.figure().subplots()))
        assert both.figure.axes[-1].get_ylabel() == "rate, perturbation 0"

    def test_exponents_of_one_sign_stay_symmetric(self, ax):
        data = exponents_over("I", "b")
        plot.sweep(data.assign(exponents=data.exponents - 10.0), ax=ax)
        assert mesh_of(ax).get_clim() == (-11.5, 11.5)

    def test_positive_numbers_are_sequential(self, ax):
        plot.sweep(exponents_over("I", "b"), "kaplan_yorke_dimension", ax=ax)
        assert mesh_of(ax).get_cmap().name == "viridis"
        assert mesh_of(ax).get_clim() == (3.5, 7.0)

    def test_given_limit_is_symmetric_and_shown_as_cut(self, ax):
        plot.sweep(exponents_over("I", "b"), vmax=0.5, ax=ax)
        assert mesh_of(ax).get_clim() == (-0.5, 0.5)
        assert mesh_of(ax).colorbar.extend == "both"

    def test_failed_and_undefined_cells(self, ax):
        data = exponents_over("I", "b", failed=[(0, 1), (4, 2)])
        data["exponents"][2, 0, 0] = np.nan
        data["status"][4, 2] = jaxdyn.Status.NOT_RUN
        plot.sweep(data, ax=ax)
        mask = np.ma.getmaskarray(mesh_of(ax).get_array())
        assert np.argwhere(mask).tolist() == [[0, 2], [1, 0], [2, 4]]
        assert mesh_of(ax).get_clim()[1] < 3  # the failed 99 has no say
        assert legend_texts(ax) == ["no value (1 of 15)", "not run (1 of 15),\nnon finite (1 of 15)"]
        ground = next(patch for patch in ax.patches if patch.get_hatch() and patch.get_width() > 0)
        assert ground.get_xy() == (-0.25, np.sqrt(0.125))

    def test_everything_failed(self, ax):
        data = exponents_over("I", "b", failed=[(i, j) for i in range(5) for j in range(3)])
        plot.sweep(data, contour=0.0, ax=ax)
        ax.figure.canvas.draw()
        assert legend_texts(ax) == ["non finite (15 of 15)"]

    def test_contour_lies_where_the_value_is_zero(self, ax):
        plot.sweep(exponents_over("I", "b").isel(b=[0, 1]), contour=0.0, ax=ax)
        curve = next(c for c in ax.collections if type(c).__name__ == "QuadContourSet")
        vertices = np.concatenate([path.vertices for path in curve.get_paths()])
        np.testing.assert_allclose(vertices.sum(axis=1), 2.0)  # I - 1 + b - 1 = 0, linear: exact up to rounding
        assert legend_texts(ax) == [r"$\lambda_{1} = 0$"]

    def test_classes_have_fixed_colors_and_names(self, ax):
        kinds = jaxdyn.Stability
        codes = np.full((5, 3), kinds.STABLE_FOCUS, np.int8)
        codes[3:] = kinds.UNSTABLE_FOCUS
        data = exponents_over("I", "b", failed=[(0, 0)]).assign(stability=(("I", "b"), codes))
        plot.sweep(data, "stability", ax=ax)
        assert legend_texts(ax) == ["stable focus", "unstable focus", "non finite (1 of 15)"]
        assert ax.get_legend().get_title().get_text() == "stability"
        mesh = mesh_of(ax)
        drawn = [to_hex(mesh.cmap(mesh.norm(code))).upper() for code in (kinds.STABLE_FOCUS, kinds.UNSTABLE_FOCUS)]
        assert drawn == ["#56B4E9", "#E69F00"]
        assert np.ma.getmaskarray(mesh.get_array()).sum() == 1

    def test_flagged_codes_and_status(self, ax):
        attrs = {"flag_values": [-1, 4], "flag_meanings": "at_rest firing", "long_name": "what happens"}
        data = exponents_over("I", "b", failed=[(0, 0)])
        data["outcome"] = (("I", "b"), np.where(I[:, None] + 0 * B > 1, 4, -1).astype(np.int8), attrs)
        plot.sweep(data, "outcome", ax=ax)
        assert legend_texts(ax)[:2] == ["at rest", "firing"]
        other = plot.sweep(data, "status")
        assert legend_texts(other) == ["ok", "non finite"]
        assert not np.ma.getmaskarray(mesh_of(other).get_array()).any()

    def test_prefixed_measures_find_their_own_status(self, ax):
        data = exponents_over("I", "b", failed=[(0, 0)])
        data = data.rename({name: f"chaos_{name}" for name in data.data_vars})
        data["rest_status"] = (("I", "b"), np.full((5, 3), 1, np.int8))
        plot.sweep(data, "chaos_exponents", ax=ax)
        assert np.ma.getmaskarray(mesh_of(ax).get_array()).sum() == 1
        assert mesh_of(ax).get_cmap().name == "RdBu_r"

    def test_zipped_axis_and_text_axis(self, ax):
        data = xarray.Dataset(
            {
                "score": (("a_b", "rule"), np.arange(6.0).reshape(3, 2)),
                "status": (("a_b", "rule"), np.zeros((3, 2), int)),
            },
            {"a": ("a_b", [1.0, 1.0, 2.0]), "b": ("a_b", [3.0, 4.0, 6.0]), "rule": ["hebb", "oja"]},
        )
        plot.sweep(data, ax=ax)
        assert ax.get_xlabel() == "$b$"  # a repeats a value
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["hebb", "oja"]
        row = plot.sweep(data, select={"b": 4.0})
        assert row.lines[0].get_ydata().tolist() == [2.0, 3.0]

    def test_large_meshes_are_images_in_vector_files(self, ax):
        data = xarray.Dataset({"y": (("p", "q"), np.ones((200, 100)))}, {"p": np.arange(200), "q": np.arange(100)})
        plot.sweep(data, ax=ax)
        assert mesh_of(ax).get_rasterized()

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"variable": "exponent"}, "did you mean 'exponents'"),
            ({"select": {"exponnt": 0}}, "did you mean 'exponent'"),
            ({"select": {"exponent": 2}}, "position from 0 to 1"),
            ({"select": {"exponent": "first"}}, "has no names"),
            ({"select": {"b": 1.1}}, "closest value is 1"),
            ({"select": {"b": [0.5, 1.0]}}, "one value"),
            ({"select": {"b": 1.0, "I": 0.0}}, "no swept dimension left"),
            ({"x": "c"}, "no swept 'c'"),
            ({"select": {"b": 1.0, "exponent": 0}, "contour": 0.0}, "heat maps"),
        ],
    )
    def test_wrong_names_say_what_helps(self, keywords, message):
        with pytest.raises(ValueError, match=message):
            plot.sweep(exponents_over("I", "b"), **keywords)

    def test_too_many_dimensions_say_what_to_fix(self):
        data = xarray.concat([exponents_over("I", "b")] * 3, xarray.Variable("tau", [1.0, 2.0, 3.0]))
        data = data.transpose("I", "b", "tau", ...)
        with pytest.raises(ValueError, match=r"3 swept dimensions .* select=\{'tau': 2.0\}"):
            plot.sweep(data)
        with pytest.raises(TypeError, match=r"xarray\.Dataset"):
            plot.sweep(data.exponents)
        with pytest.raises(ValueError, match=r"\.real"):
            plot.sweep(data.assign(eigenvalues=data.exponents.astype(complex)), "eigenvalues")


class TestAxis:
    def test_edges(self):
        np.testing.assert_allclose(cell_edges(np.array([2.0])), [1.0, 3.0])
        np.testing.assert_allclose(cell_edges(np.array([0.0])), [-0.5, 0.5])
        np.testing.assert_allclose(
            cell_edges(np.array([1.0, 10.0]), logarithmic=True), 10.0 ** np.array([-0.5, 0.5, 1.5])
        )

    def test_spacing(self):
        assert is_logarithmic(np.geomspace(1e-3, 1.0, 7))
        assert is_logarithmic(np.geomspace(1e-3, 1.0, 7).astype(np.float32))
        assert not is_logarithmic(np.linspace(0.1, 10.0, 7))
        assert not is_logarithmic(np.linspace(100.0, 101.0, 7))  # both ratios and steps are equal: linear
        assert not is_logarithmic(np.array([-2.0, -1.0, 1.0]))
