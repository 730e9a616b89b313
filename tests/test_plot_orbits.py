"""Figures of orbit diagrams: each point in its pixel, exponents by sign, both directions, failures in sight."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from figures import legend_texts, line_named
from matplotlib.colors import to_rgb

import jaxdyn
from jaxdyn import plot
from jaxdyn.plot import _density
from jaxdyn.plot._density import DensityImage, counted, opacity

pytestmark = pytest.mark.usefixtures("closed_figures")

R = np.linspace(1.0, 3.0, 5)


def diagram(n_points=4, directions=(), values=R):
    """Points r, r + 1, ...; the exponent is r - 2."""
    points = values[:, None] + np.arange(n_points)
    data = xarray.Dataset(
        {
            "points": (("r", "point"), points, {"long_name": "population", "symbol": "x", "units": "mg"}),
            "period": (("r",), np.zeros(len(values), np.int32)),
            "exponent": (("r",), values - 2, {"long_name": "largest Lyapunov exponent", "units": "1/step"}),
            "status": (("r",), np.zeros(len(values), np.int8)),
        },
        {"r": ("r", values, {"long_name": "growth", "symbol": "r", "units": "1"})},
    )
    if not directions:
        return data
    moved = [data.assign(points=data.points + 0.25 * i) for i in range(len(directions))]
    return xarray.concat(moved, xarray.Variable("direction", list(directions)))


def many(**options):
    return diagram(n_points=30_000, **options)


def image_of(ax):
    (image,) = [image for image in ax.images if isinstance(image, DensityImage)]
    return image


class TestDots:
    def test_all_points_over_their_parameter(self):
        ax = plot.orbit_diagram(diagram().isel(r=[3, 0, 4, 1, 2]))
        assert ax.lines[0].get_xydata().tolist() == [[r, r + i] for r in R for i in range(4)]
        assert ax.get_ylabel() == "population $x$ (mg)"
        assert ax.figure.axes[1].get_xlabel() == "growth $r$"

    def test_both_directions_have_colors(self, ax):
        plot.orbit_diagram(diagram(directions=("forward", "backward")), ax=ax)
        assert legend_texts(ax) == ["forward", "backward"]
        assert [line.get_color() for line in ax.lines] == list(plot.OKABE_ITO[:2])
        assert ax.lines[1].get_ydata()[0] == 1.25

    def test_one_of_several(self, ax):
        data = diagram(directions=("forward", "backward"))
        plot.orbit_diagram(data, select={"direction": "backward"}, ax=ax, color="red")
        assert ax.get_legend() is None and ax.lines[0].get_color() == "red"
        assert ax.lines[0].get_ydata()[0] == 1.25

    def test_failures(self, ax):
        data = diagram()
        data["status"][1], data["status"][3] = jaxdyn.Status.NON_FINITE, jaxdyn.Status.NOT_CONVERGED
        data["points"][1] = -np.inf
        plot.orbit_diagram(data, ax=ax)
        assert line_named(ax, "non finite (1 of 5)").get_xdata().tolist() == [R[1]]
        assert line_named(ax, "not converged (1 of 5)").get_xdata().tolist() == [R[3]]
        ax.figure.canvas.draw()


class TestImage:
    def test_every_point_is_counted_in_its_pixel(self):
        random = np.random.default_rng(0)
        values, points = np.linspace(0, 1, 400), random.normal(size=(400, 50))
        edges = np.linspace(values[0] - 0.5 / 399, values[-1] + 0.5 / 399, 401)
        view, size = (0.2, 0.7, -1.0, 0.5), (40, 30)
        expected, *_ = np.histogram2d(
            np.repeat(values, 50), points.ravel(), [np.linspace(0.2, 0.7, 41), np.linspace(-1, 0.5, 31)]
        )
        # Values on the borders of columns belong to one or the other by rounding; rows are all alike.
        got = counted(edges, points, view, size)
        np.testing.assert_array_equal(got[:, 1:-1].sum(axis=1), expected.T[:, 1:-1].sum(axis=1))
        np.testing.assert_allclose(got[:, 1:-1], expected.T[:, 1:-1])

    def test_in_parts_it_is_the_same(self, monkeypatch):
        points = np.random.default_rng(1).normal(size=(300, 20))
        given = np.linspace(0, 1, 301), points, (0.0, 1.0, -2.0, 2.0), (50, 40)
        whole = counted(*given)
        monkeypatch.setattr(_density, "MOST", 100)
        np.testing.assert_array_equal(counted(*given), whole)
        assert whole.sum() == np.sum(abs(points) < 2)

    def test_wide_columns_fill_their_cells(self):
        got = counted(np.array([0.0, 1.0, 3.0]), np.array([[0.5], [1.5]]), (-1.0, 4.0, 0.0, 2.0), (10, 2))
        assert got.tolist() == [[0, 0, 1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]]

    def test_nothing_in_view(self):
        given = np.array([0.0, 1.0]), np.array([[np.nan, 5.0]])
        assert not counted(*given, (2.0, 3.0, 0.0, 1.0), (4, 4)).any()
        assert not counted(*given, (0.0, 1.0, 0.0, 1.0), (4, 4)).any()
        assert not opacity(np.zeros((2, 2))).any()

    def test_denser_is_darker_and_one_point_is_seen(self):
        shade = opacity(np.array([[0.0, 1.0, 10.0, 1000.0]]))[0]
        assert shade[0] == 0 and 0.1 <= shade[1] < shade[2] < shade[3] == 1

    def test_zooming_counts_anew(self, ax):
        plot.orbit_diagram(many(), ax=ax)
        image = image_of(ax)
        ax.figure.canvas.draw()
        assert ax.get_xlim() == (0.75, 3.25)  # the cells of the outer values whole
        assert ax.get_ylim()[0] < 1 and ax.get_ylim()[1] > 30_002
        before = image.get_array().copy()
        assert before.shape[:2] == tuple(round(n) for n in ax.bbox.size[::-1])
        ax.set(xlim=(1.75, 2.25), ylim=(0.5, 4.5))
        ax.figure.canvas.draw()
        rows = np.flatnonzero(image.get_array()[:, 0, 3])
        np.testing.assert_allclose((rows + 0.5) / len(image.get_array()) * 4 + 0.5, [2, 3, 4], atol=4 / len(before))

    def test_inverted_and_logarithmic_axes(self, ax):
        plot.orbit_diagram(many(values=np.geomspace(1, 100, 5)), ax=ax)
        assert ax.get_xscale() == "log"
        ax.set(ylim=(3.45, 0.45))
        image = image_of(ax)
        columns = image.shades((50, 30))[..., 3]
        assert columns[:, 5].any() and not columns[:, 25].any()  # 1, 2, 3 are in view; 10 is not
        assert np.flatnonzero(columns[:, 5]).tolist() == [4, 14, 24]  # from 3 at the bottom to 1 at the top
        ax.set_yscale("log")
        assert image.shades((50, 30))[:, 5, 3].any()

    def test_two_directions_are_two_images(self, ax):
        plot.orbit_diagram(many(directions=("forward", "backward")), ax=ax)
        colors = [tuple(image.shades((4, 4))[0, 0, :3]) for image in ax.images]
        np.testing.assert_allclose(colors, [to_rgb(color) for color in plot.OKABE_ITO[:2]], atol=1e-6)

    def test_nothing_finite(self, ax):
        data = many()
        plot.orbit_diagram(data.assign(points=data.points * np.nan), ax=ax)
        ax.figure.canvas.draw()

    def test_files(self, ax, tmp_path):
        plot.orbit_diagram(many(), ax=ax)
        for kind in ("png", "pdf", "svg"):
            ax.figure.savefig(tmp_path / f"diagram.{kind}")
        assert (tmp_path / "diagram.pdf").stat().st_size < 300_000  # an image, not 150000 marks


class TestExponents:
    def test_they_are_filled_by_their_sign(self):
        ax = plot.orbit_diagram(diagram())
        below = ax.figure.axes[1]
        assert below.get_shared_x_axes().joined(ax, below)
        upper, lower = (area.get_paths()[0].vertices[:, 1] for area in below.collections)
        assert (upper.min(), upper.max(), lower.min(), lower.max()) == (0, 1, -1, 0)
        assert below.get_ylabel() == "largest Lyapunov\nexponent (1/step)"

    def test_minus_infinity_is_cut(self):
        data = diagram()
        data["exponent"][0] = -np.inf
        below = plot.orbit_diagram(data).figure.axes[1]
        assert below.get_ylim()[0] > -2
        below.figure.canvas.draw()

    def test_a_line_for_each_direction(self):
        lines = plot.orbit_diagram(diagram(directions=("forward", "backward"))).figure.axes[1].lines
        np.testing.assert_allclose(lines[-1].get_ydata(), R - 2)

    def test_without_or_in_other_axes(self, ax):
        assert len(plot.orbit_diagram(diagram(), lyapunov=False).figure.axes) == 1
        assert len(plot.orbit_diagram(diagram().drop_vars("exponent")).figure.axes) == 1
        other = plt.figure().subplots()
        plot.orbit_diagram(diagram(), ax=ax, lyapunov=other)
        assert len(other.collections) == 2

    def test_all_negative(self):
        data = diagram()
        below = plot.orbit_diagram(data.assign(exponent=data.exponent - 5)).figure.axes[1]
        assert below.get_ylim()[0] < -5.5 and below.get_ylim()[1] > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.orbit_diagram(diagram().drop_vars("points")), "has no points"),
        (lambda: plot.orbit_diagram(diagram(), select={"r": 2.0}), "leave one out of select"),
        (lambda: plot.orbit_diagram(diagram(), select={"s": 2.0}), "no dimension 's'"),
        (lambda: plot.orbit_diagram(diagram(), x="s"), "no swept 's'"),
        (
            lambda: plot.orbit_diagram(diagram(directions=("forward", "backward")), color="red"),
            "both directions have a color each",
        ),
        (lambda: plot.orbit_diagram(diagram(), ax=plt.figure().subplots(), lyapunov=True), "lyapunov=other_axes"),
        (lambda: plot.orbit_diagram(diagram().drop_vars("exponent"), lyapunov=True), "n_lyapunov"),
        (
            lambda: plot.orbit_diagram(xarray.concat([diagram()] * 2, xarray.Variable("b", [0.1, 0.2]))),
            r"fix the others: select=\{'r'",
        ),
    ],
)
def test_what_cannot_be_drawn(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sweeps_with_memory_are_lines_by_direction(ax):
    data = diagram(directions=("forward", "backward"))
    data["exponent"][1] = 5.0
    data["status"][1, 2] = jaxdyn.Status.NON_FINITE
    plot.sweep(data, "exponent", ax=ax)
    assert legend_texts(ax) == ["forward", "backward", "non finite (1 of 10)"]
    np.testing.assert_allclose(line_named(ax, "forward").get_ydata(), R - 2)
    np.testing.assert_array_equal(line_named(ax, "backward").get_ydata(), [5, 5, np.nan, 5, 5])
    one = plot.sweep(data, "exponent", select={"direction": "backward"})
    assert one.get_ylabel() == "largest Lyapunov exponent,\nbackward (1/step)"
