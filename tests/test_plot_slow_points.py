"""Pictures of slow points: which places are drawn, with which marks and words, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import legend_texts, line_named

import jaxdyn
from jaxdyn import plot

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture(scope="module")
def points():
    """Three bistable units, of which the first two spread more than the third."""
    units = jaxdyn.iterated_map(lambda n, x, p: jnp.tanh(p["w"] * x), {"w": np.array([3.0, 2.0, 0.5])}, np.full(3, 0.1))
    with jax.enable_x64(False):
        return jaxdyn.learning.slow_points(units, np.random.default_rng(0).normal(size=(128, 3)), n_steps=500)


def runs():
    """Two trajectories of 500 steps, spread 3, 2 and 1 along the axes."""
    return np.random.default_rng(1).normal(size=(2, 500, 3)) * [3.0, 2.0, 1.0]


def test_marks_by_the_number_of_unstable_directions(points, ax):
    assert plot.slow_points(points, runs(), ax=ax) is ax
    assert legend_texts(ax) == ["unstable direction", "stable", "1 unstable direction", "2 unstable directions"]
    stable, saddles = line_named(ax, "stable"), line_named(ax, "1 unstable direction")
    assert (len(stable.get_xdata()), len(saddles.get_xdata())) == (4, 4)
    assert (stable.get_fillstyle(), saddles.get_fillstyle()) == ("full", "left")
    # The components are the axes, but for a few degrees of chance, their signs positive.
    flat = runs().reshape(-1, 3)
    exact = np.asarray(points.x, float)[:4, :2] - flat.mean(axis=0)[:2]
    np.testing.assert_allclose(stable.get_xydata(), exact, atol=0.1)
    assert ax.get_xlabel().startswith("PC 1 (6") and ax.get_ylabel().startswith("PC 2 (2")  # 9/14 and 4/14
    lines = [line for line in ax.lines if len(line.get_xdata()) == 500]
    assert len(lines) == 2 and lines[0].get_linestyle() == "-"


def test_unstable_directions_are_centered_on_their_points(points, ax):
    plot.slow_points(points, runs(), ax=ax)
    pieces = line_named(ax, "unstable direction").get_xydata().reshape(-1, 3, 2)
    assert len(pieces) == 4 + 2  # one for each saddle, two for the point at 0
    saddles = line_named(ax, "1 unstable direction").get_xydata()
    np.testing.assert_allclose(pieces[:4, :2].mean(axis=1), saddles, atol=1e-6)
    plot.slow_points(points, runs(), ax=(bare := plt.figure().subplots()), directions=False)
    assert "unstable direction" not in legend_texts(bare)


def test_in_space_and_states_as_dots(points):
    space = plt.figure().add_subplot(projection="3d")
    plot.slow_points(points, runs()[0], ax=space, color="red")
    (dots,) = [line for line in space.lines if line.get_color() == "red"]
    assert len(dots.get_data_3d()[2]) == 500 and dots.get_linestyle() == "None"
    assert space.get_zlabel().startswith("PC 3")
    space.figure.canvas.draw()


def test_slow_points_that_are_not_fixed_and_sources(points, ax):
    loose = dataclasses.replace(points, is_fixed=points.is_fixed.at[0].set(False))
    plot.slow_points(loose, ax=ax)
    assert len(line_named(ax, "slow, not fixed").get_xdata()) == 1
    assert len(line_named(ax, "stable").get_xdata()) == 3
    source = dataclasses.replace(points, n_unstable=jnp.where(points.n_unstable == 2, 3, points.n_unstable))
    new = plot.slow_points(source)
    assert line_named(new, "3 unstable directions").get_marker() == "s"
    assert type(new.figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"


def test_a_failure_is_named(points, ax):
    plot.slow_points(dataclasses.replace(points, status=jnp.int8(jaxdyn.Status.CAPACITY)), ax=ax)
    assert ax.get_title(loc="right") == "slow points: capacity"


@pytest.mark.parametrize(
    ("change", "states", "words"),
    [
        (lambda p: jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), p), None, "pick one lane"),
        (lambda p: p, np.zeros((5, 2)), r"states must be \(n, 3\) or \(run, time, 3\), got \(5, 2\)"),
        (lambda p: p, np.zeros(3), "states must be"),
        (lambda p: p, np.zeros((1, 3)), "need as many states and two points, got 1 points"),
    ],
)
def test_what_does_not_fit_is_refused(points, change, states, words):
    with pytest.raises(ValueError, match=words):
        plot.slow_points(change(points), states)
