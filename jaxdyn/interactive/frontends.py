"""Two ways to show sliders: Matplotlib's own, in a window or with ipympl, and those of ipywidgets in a notebook."""

import importlib
import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.widgets import Button, Slider

from jaxdyn.interactive.controls import Control

__all__ = ["FRONTENDS", "Frontend", "MatplotlibFrontend", "NotebookFrontend"]

_WIDTH, _PLOTS, _ROW = 8.4, 3.9, 0.27  # inches


class Frontend(Protocol):
    """Where figure and sliders live; sliders stand in the order of the controls."""

    figure: Figure
    plane: Axes
    series: Axes
    sliders: list[Any]
    widget: Any
    """What a notebook displays; None if the figure shows itself."""

    def values(self) -> list[float]:
        """Where the sliders stand."""
        ...

    def assign(self, index: int, value: float) -> None:
        """Move one slider; its listeners are told."""
        ...

    def redraw(self) -> None:
        """Bring the new data of the artists onto the screen."""
        ...


class MatplotlibFrontend:
    """Figure with sliders below the plots, parameters on the left and the start on the right."""

    widget = None

    def __init__(
        self, left: Sequence[Control], right: Sequence[Control], moved: Callable[[], None], reset: Callable[[], None]
    ):
        rows = max(len(left), len(right) + 1)
        height = _PLOTS + _ROW * (rows + 0.8)
        self.figure = plt.figure(figsize=(_WIDTH, height))
        self.plane, self.series = _plots(self.figure, bottom=_ROW * (rows + 0.8))
        self.sliders = [
            self._slider(control, x, (rows - row - 0.3) * _ROW, moved)
            for x, controls in ((0.9, left), (5.2, right))
            for row, control in enumerate(controls)
        ]
        button = _axes(self.figure, 6.9, (rows - len(right) - 0.3) * _ROW - 0.06, 0.8, 0.22)
        self.button = Button(button, "reset")
        self.button.label.set_fontsize(8)
        self.button.on_clicked(lambda _: reset())

    def _slider(self, control: Control, x: float, y: float, moved: Callable[[], None]) -> Slider:
        ax = _axes(self.figure, x, y, 2.5, 0.14)
        slider = Slider(ax, control.label, control.low, control.high, valinit=control.value, valfmt="%.4g")
        slider.label.set_fontsize(9)
        slider.valtext.set_fontsize(8)
        slider.drawon = False  # one drawing a move: that of the listener
        slider.on_changed(lambda _: moved())
        return slider

    def values(self) -> list[float]:
        """Where the sliders stand."""
        return [float(slider.val) for slider in self.sliders]

    def assign(self, index: int, value: float) -> None:
        """Move one slider; its listeners are told."""
        self.sliders[index].set_val(value)

    def redraw(self) -> None:
        """Ask the canvas to draw when it is idle."""
        self.figure.canvas.draw_idle()


class NotebookFrontend:
    """Sliders of ipywidgets beside a picture that every backend of Matplotlib can show."""

    def __init__(
        self, left: Sequence[Control], right: Sequence[Control], moved: Callable[[], None], reset: Callable[[], None]
    ):
        widgets = _ipywidgets()
        # Not by pyplot: the notebook would show the figure a second time, without sliders.
        self.figure = Figure(figsize=(_WIDTH, _PLOTS))
        FigureCanvasAgg(self.figure)
        self.plane, self.series = _plots(self.figure, bottom=0.0)
        self.sliders = [self._slider(widgets, control, "") for control in left]
        self.sliders += [self._slider(widgets, control, "(0)") for control in right]
        for slider in self.sliders:
            slider.observe(lambda _: moved(), names="value")
        self.button = widgets.Button(description="reset")
        self.button.on_click(lambda _: reset())
        self.image = widgets.Image(format="png")
        columns = [self.sliders[: len(left)], [*self.sliders[len(left) :], self.button]]
        self.widget = widgets.VBox([self.image, widgets.HBox([widgets.VBox(column) for column in columns])])

    def _slider(self, widgets: Any, control: Control, after: str) -> Any:
        return widgets.FloatSlider(
            value=control.value,
            min=control.low,
            max=control.high,
            step=(control.high - control.low) / 1000,
            description=f"{control.name}{after}",
            readout_format=".4g",
        )

    def values(self) -> list[float]:
        """Where the sliders stand."""
        return [float(slider.value) for slider in self.sliders]

    def assign(self, index: int, value: float) -> None:
        """Move one slider; its listeners are told."""
        slider = self.sliders[index]
        slider.value = min(max(value, slider.min), slider.max)  # as Matplotlib's sliders do

    def redraw(self) -> None:
        """Render the figure into the picture."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=100)
        self.image.value = file.getvalue()


FRONTENDS: dict[str, Any] = {"matplotlib": MatplotlibFrontend, "ipywidgets": NotebookFrontend}


def _ipywidgets() -> Any:
    try:
        return importlib.import_module("ipywidgets")
    except ImportError as error:
        raise ImportError(
            "frontend='ipywidgets' needs the package ipywidgets, which is not installed; "
            "run: pip install 'jaxdyn[interactive]', or use frontend='matplotlib'"
        ) from error


def _plots(figure: Figure, bottom: float) -> tuple[Axes, Axes]:
    plane = _axes(figure, 0.9, bottom + 0.55, 3.1, _PLOTS - 1.25)
    return plane, _axes(figure, 4.85, bottom + 0.55, 3.3, _PLOTS - 1.25)


def _axes(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((x / across, y / up, width / across, height / up))
