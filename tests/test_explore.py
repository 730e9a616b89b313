"""Interactive exploration, driven without a screen: what is drawn is what the analyses give."""

import gc
import itertools
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import MouseButton, MouseEvent

import jaxdyn
from jaxdyn.interactive import explore

STEPS = {"t1": 40.0, "dt": 0.1}
WINDOW = ("v", -2.5, 2.5), ("w", -1, 2)


pytestmark = pytest.mark.usefixtures("closed_figures")


def neuron(**params):
    return jaxdyn.models.fitzhugh_nagumo(**params)


def explored(**options):
    return explore(neuron(), {"I": (0, 1.5), "b": (0.4, 1.2)}, *WINDOW, **(STEPS | options))


def assert_drawn(explorer, system, **steps):
    """Every line that follows the trajectory has the data of a direct call, to the last bit."""
    direct = jaxdyn.trajectory(system, **(steps or STEPS))
    np.testing.assert_array_equal(explorer.trajectory.x, direct.x)
    plane, series = explorer.figure.axes[:2]
    orbit, start = (line for line in plane.lines if line.get_color() == "black" and line.get_marker() != "o")
    np.testing.assert_array_equal(orbit.get_xydata(), np.asarray(direct.x, float)[:, :2])
    np.testing.assert_array_equal(start.get_xydata(), np.asarray(direct.x, float)[:1, :2])
    for i, line in enumerate(series.lines):
        np.testing.assert_array_equal(line.get_xdata(), direct.t)
        np.testing.assert_array_equal(line.get_ydata(), np.asarray(direct.x, float)[:, i])


def test_first_picture_shows_the_system_as_it_is():
    explorer = explored()
    assert_drawn(explorer, neuron())
    assert explorer.values == pytest.approx({"I": 0.5, "b": 0.8})
    assert explorer.start == {"v": -1.0, "w": 1.0}
    plane, series = explorer.figure.axes[:2]
    assert (plane.get_xlim(), plane.get_ylim()) == ((-2.5, 2.5), (-1, 2))
    assert (plane.get_xlabel(), series.get_xlabel()) == ("membrane potential $v$", "time")
    assert [line.get_label() for line in series.lines] == ["$v$", "$w$"]


def test_a_parameter_slider_moves_trajectory_and_nullclines():
    explorer = explored()
    explorer.sliders["I"].set_val(1.1)
    explorer.sliders["b"].set_val(0.6)
    assert explorer.values == {"I": 1.1, "b": 0.6}
    assert float(explorer.system.params["I"]) == pytest.approx(1.1)
    assert_drawn(explorer, neuron(I=1.1, b=0.6))
    first, second = (line.get_xydata() for line in explorer.figure.axes[0].lines[:2])
    v, w = first[np.isfinite(first[:, 0])].T
    np.testing.assert_allclose(w, v - v**3 / 3 + 1.1, atol=3e-6)  # vertices are zeros: roundings of numbers up to 5
    v, w = second[np.isfinite(second[:, 0])].T
    np.testing.assert_allclose(w, (v + 0.7) / 0.6, atol=2e-5)  # linear: rounding of float32 in the field only
    assert v.max() - v.min() > 1


def test_a_start_slider_moves_the_start():
    explorer = explored()
    explorer.start_sliders["v"].set_val(1.5)
    assert explorer.start == {"v": 1.5, "w": 1.0}
    assert_drawn(explorer, neuron().with_state(v=1.5))


def test_reset_brings_everything_back():
    explorer = explored()
    explorer.set({"I": 1.2, "b": 0.5}, {"v": 2.0, "w": -0.5})
    assert_drawn(explorer, neuron(I=1.2, b=0.5).with_state([2.0, -0.5]))
    explorer.reset()
    assert explorer.values == pytest.approx({"I": 0.5, "b": 0.8})
    assert_drawn(explorer, neuron())


def test_reset_button_resets():
    explorer = explored()
    explorer.sliders["I"].set_val(1.2)
    click(explorer, explorer.figure.axes[-1], (0.5, 0.5), release=True)
    assert explorer.values == pytest.approx({"I": 0.5, "b": 0.8})
    assert_drawn(explorer, neuron())


def click(explorer, ax, place, button=MouseButton.LEFT, release=False):
    """Press a mouse button at a place in data coordinates."""
    canvas = explorer.figure.canvas
    x, y = ax.transData.transform(place)
    for name in ["button_press_event"] + ["button_release_event"] * release:
        canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, button))


def test_a_click_into_the_plane_starts_there():
    explorer = explored()
    plane, series = explorer.figure.axes[:2]
    click(explorer, plane, (0.25, 0.5))
    assert explorer.start == pytest.approx({"v": 0.25, "w": 0.5}, abs=1e-12)
    assert_drawn(explorer, neuron().with_state([0.25, 0.5]))
    click(explorer, plane, (1.0, 1.0), button=MouseButton.RIGHT)
    click(explorer, series, (20.0, 0.0))
    assert explorer.start == pytest.approx({"v": 0.25, "w": 0.5}, abs=1e-12)


def test_moving_a_slider_never_compiles_anew():
    traces = []

    def field(t, x, p):
        traces.append(1)
        return -p["a"] * x[0] + x[1], -x[1]

    system = jaxdyn.flow(field, {"a": 1.0}, [1.0, 1.0], state_names=["x", "y"])
    explorer = explore(system, None, ("x", -2, 2), ("y", -2, 2), n_steps=20, dt=0.1, fixed_points=True)
    explorer.sliders["a"].set_val(0.7)  # what the first picture did not need is compiled now
    seen = len(traces)
    assert seen > 0
    explorer.sliders["a"].set_val(1.5)
    explorer.start_sliders["x"].set_val(-0.3)
    explorer.reset()
    assert len(traces) == seen


def test_fixed_points_are_drawn_by_their_stability():
    explorer = explored(fixed_points=True)
    for current, label in ((0.5, "unstable"), (0.1, "stable")):
        explorer.sliders["I"].set_val(current)
        box = {"v": (-2.5, 2.5), "w": (-1, 2)}
        direct = jaxdyn.fixed_points(neuron(I=current), box=box)
        drawn = {line.get_label(): line.get_xydata() for line in explorer.figure.axes[0].lines}
        np.testing.assert_array_equal(drawn[label], np.asarray(direct.x[:1], float))
        assert len(drawn["stable"]) + len(drawn["unstable"]) == 1


def test_a_map_is_drawn_as_dots():
    system = jaxdyn.models.henon()
    explorer = explore(system, ["a"], n_steps=50)
    explorer.sliders["a"].set_val(1.2)
    assert_drawn(explorer, system.with_params(a=1.2), n_steps=50)
    assert {line.get_linestyle() for line in explorer.figure.axes[1].lines} == {"None"}


def test_other_states_stay_at_the_start_and_can_have_sliders():
    system = jaxdyn.models.hebbian_pair()
    start = {"r1": None, "m12": (-1.0, 1.0)}
    explorer = explore(system, {"u1": (0, 0.5)}, "r1", "r2", start=start, states=["r1", "r2", "m12"], n_steps=30)
    explorer.start_sliders["m12"].set_val(0.8)
    assert list(explorer.start) == ["r1", "m12"]
    moved = system.with_state(m12=0.8)
    direct = jaxdyn.trajectory(moved, n_steps=30, dt=system.about.dt)
    np.testing.assert_array_equal(explorer.figure.axes[1].lines[2].get_ydata(), np.asarray(direct.x, float)[:, 3])
    curve = explorer.figure.axes[0].lines[0].get_xydata()
    r1, r2 = curve[np.isfinite(curve[:, 0])].T
    m11, u1 = float(moved.x0[2]), float(moved.params["u1"])
    # Zero of gamma (-r1 + tanh(m11 r1 + m12 r2 + u1)) in the slice; second derivatives below 2, step 2/150.
    np.testing.assert_allclose(np.tanh(m11 * r1 + 0.8 * r2 + u1), r1, atol=1e-4)


def test_one_state_of_a_flow_is_drawn_on_its_field():
    system = jaxdyn.flow(lambda t, x, p: p["r"] * x - x**3, {"r": 1.0}, [0.1], state_names=["x"])
    explorer = explore(system, x=("x", -2, 2), n_steps=50, dt=0.1, fixed_points=True)
    explorer.sliders["r"].set_val(0.5)
    field, orbit = (explorer.figure.axes[0].lines[i].get_xydata() for i in (1, 2))
    for x, rate in (field.T, orbit.T):
        np.testing.assert_allclose(rate, 0.5 * x - x**3, atol=3e-6)  # float32: 8 with a relative error of 2^-23, twice
    drawn = {line.get_label(): np.sort(line.get_xdata()) for line in explorer.figure.axes[0].lines}
    np.testing.assert_allclose(drawn["stable"], [-np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-5)
    assert drawn["unstable"].tolist() == pytest.approx([0.0], abs=1e-5)


def test_one_state_of_a_map_is_a_staircase_on_its_graph():
    explorer = explore(jaxdyn.models.logistic(), x=("x", 0, 1), n_steps=20)
    explorer.sliders["r"].set_val(3.2)
    x = np.asarray(jaxdyn.trajectory(jaxdyn.models.logistic(r=3.2), n_steps=20).x, float)[:, 0]
    stairs = explorer.figure.axes[0].lines[2].get_xydata()
    np.testing.assert_array_equal(stairs[::2], np.stack([x, x], axis=1))
    np.testing.assert_array_equal(stairs[1::2], np.stack([x[:-1], x[1:]], axis=1))


def test_ranges_that_were_not_told():
    system = jaxdyn.models.hodgkin_huxley()
    explorer = explore(system, n_steps=20)
    assert list(explorer.sliders) == list(system.params)
    slider = explorer.sliders["EK"]
    value = float(system.params["EK"])
    assert (slider.valmin, slider.valmax, slider.val) == (2 * value, 0.0, value)
    assert list(explorer.start) == ["V", "m"]
    outside = explore(neuron().with_state(v=9.0), "I", *WINDOW, **STEPS).start_sliders["v"]
    assert (outside.valmin, outside.valmax, outside.val) == (-2.5, 9.0, 9.0)


def test_a_trajectory_that_is_not_finite_is_named():
    system = jaxdyn.flow(lambda t, x, p: (p["a"] * x[0] ** 2, -x[1]), {"a": 0.1}, [1.0, 1.0], state_names=["x", "y"])
    explorer = explore(system, {"a": (0, 50)}, ("x", 0, 3), ("y", -1, 1), n_steps=400, dt=0.01)
    series = explorer.figure.axes[1]
    assert series.get_title(loc="right") == ""
    explorer.sliders["a"].set_val(50)
    assert series.get_title(loc="right") == "non finite"
    assert np.isfinite(series.get_ylim()).all()
    explorer.reset()
    assert series.get_title(loc="right") == ""


def test_the_figure_keeps_its_sliders_alive():
    figure = explored().figure
    gc.collect()
    figure.explorer.sliders["I"].set_val(1.1)
    assert_drawn(figure.explorer, neuron(I=1.1))


@pytest.mark.parametrize(
    "system", [neuron(), jaxdyn.models.hodgkin_huxley(), jaxdyn.models.logistic(), jaxdyn.models.two_learner_descent()]
)
@pytest.mark.slow
def test_nothing_overlaps_and_nothing_is_cut(system):
    figure = explore(system, n_steps=20, fixed_points=system.dim == 2).figure
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    width, height = figure.bbox.size
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_sliders_of_a_notebook():
    pytest.importorskip("ipywidgets", reason="needs ipywidgets, extra 'interactive'")
    explorer = explored(frontend="ipywidgets")
    assert_drawn(explorer, neuron())
    frontend = explorer._frontend
    before = bytes(frontend.image.value)
    assert before.startswith(b"\x89PNG")
    explorer.sliders["I"].value = 1.1
    assert_drawn(explorer, neuron(I=1.1))
    assert bytes(frontend.image.value) != before
    explorer.start_sliders["w"].value = -0.5
    explorer.set({"b": 99.0})  # stops at the end of its range
    assert_drawn(explorer, neuron(I=1.1, b=1.2).with_state(w=-0.5))
    frontend.button.click()
    assert_drawn(explorer, neuron())
    assert bytes(frontend.image.value) == before
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()
    assert plt.get_fignums() == []  # the notebook would show it a second time


def test_a_notebook_without_ipywidgets_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxdyn\[interactive\]', or use frontend='matplotlib'"):
        explored(frontend="ipywidgets")


ERRORS = [
    ({"params": {"J": (0, 1)}}, r"params: fitzhugh_nagumo has no parameter 'J'; .*known: .*I"),
    ({"params": {"I": (1.0, 0.5)}}, r"params: 'I' needs a finite range \(low, high\) with low < high, got \(1, 0.5\)"),
    ({"params": {"I": (0.0, np.inf)}}, "finite range"),
    (
        {"params": {"I": (1.0, 2.0)}},
        r"'I' is 0.5, outside its range \(1, 2\); widen the range, or pass system.with_par",
    ),
    ({"x": ("u", 0, 1)}, "fitzhugh_nagumo has no state 'u'"),
    ({"x": ("v", 1)}, r"an axis is a state, or \(state, low, high\); got \('v', 1\)"),
    ({"x": "v", "y": "v"}, "x and y are both 'v'; choose two states"),
    ({"start": {"z": (0, 1)}}, "start: fitzhugh_nagumo has no state 'z'"),
    ({"start": {"v": (0, 1)}}, r"start: 'v' is -1, outside its range \(0, 1\)"),
    ({"states": []}, "states is empty"),
    ({"frontend": "gtk"}, "frontend 'gtk'; known: matplotlib, ipywidgets"),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_what_cannot_be_shown_is_explained(options, message):
    with pytest.raises(ValueError, match=message):
        explore(neuron(), **(STEPS | options))


def test_other_mistakes_are_explained():
    with pytest.raises(TypeError, match="expected a Flow or a Map, got function"):
        explore(neuron)
    with pytest.raises(ValueError, match=r"'A' is float32\[2, 2\], and a slider moves one real number"):
        explore(jaxdyn.models.linear_map(), ["A"], n_steps=5)
    with pytest.raises(ValueError, match=r"knows no range of state 'x'; give \('x', low, high\)"):
        explore(jaxdyn.flow(lambda t, x, p: -x, {}, [1.0], state_names=["x"]), n_steps=5, dt=0.1)
    with pytest.raises(ValueError, match="logistic has one state, so leave y out"):
        explore(jaxdyn.models.logistic(), y="x", n_steps=5)
    with pytest.raises(ValueError, match="no slider of the parameter 'i'"):
        explored().set({"i": 0.3})
    with pytest.raises(ValueError, match="start 'v' must be finite, got nan"):
        explored().set(start={"v": float("nan")})
