"""Parts that several figures share: axes, words, legends, lines that show on every background."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import TransformedBbox

from jaxdyn.about import unknown_name
from jaxdyn.errors import Status
from jaxdyn.plot.style import SEQUENTIAL
from jaxdyn.system import System

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega"
).split()
_SYMBOL = re.compile(rf"({'|'.join(sorted(_GREEK, key=len, reverse=True))}|[A-Za-z])_?(\d+|(?<=_)\w+)?_?")

MANY = 8
"""More lines than this share one color scale and no legend: nobody can tell them apart by color."""


def axes_of(ax: Axes | None) -> Axes:
    """The given axes, or those of a new figure with constrained layout."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def mathematics(name: str, accent: str = "") -> str | None:
    r"""Symbol of a short name without dollar signs (`sigma_w` gives `\sigma_{w}`); None for words.

    An `accent`, such as `\dot`, is put over the letter.
    """
    found = _SYMBOL.fullmatch(name)
    if not found:
        return None
    head, tail = found.groups()
    letter = f"\\{head}" if len(head) > 1 else head
    letter = f"{accent}{{{letter}}}" if accent else letter
    return f"{letter}_{{{tail}}}" if tail else letter


def symbol(name: str) -> str:
    """Name as it is printed: letters and Greek names in italics, words as words."""
    inner = mathematics(name)
    return f"${inner}$" if inner else name.replace("_", " ")


def with_unit(words: str, unit: Any = "1") -> str:
    """Label of an axis: the words, and the unit in brackets unless there is none."""
    return words if str(unit) in ("1", "", "None") else f"{words} ({unit})"


def visible_length(text: str) -> int:
    r"""Number of letters that are printed: `$\lambda_{1}$` has two."""
    return len(re.sub(r"[${}_^]", "", re.sub(r"\\[a-zA-Z]+", "x", text)))


def wrapped(label: str, width: int = 34) -> str:
    """Label of a vertical axis, broken into lines that are not longer than the axis."""
    lines = [""]
    for word in label.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and visible_length(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def logarithmic_ticks(axis: Any, low: float, high: float) -> None:
    """Ticks of a logarithmic axis or color bar that name two or more values without crowding."""
    if np.floor(np.log10(high)) - np.ceil(np.log10(low)) < 1:  # not two powers of ten
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def time_label(system: System | None, discrete: bool) -> str:
    """Label of a time axis."""
    if discrete:
        return "step"
    return with_unit("time", system.about.time_unit if system is not None else "1")


def state_index(state: str | int, system: System | None, dim: int) -> int:
    """Position of a state that was given by name or position."""
    names = system.state_names if system is not None else ()
    if isinstance(state, str):
        if not names:
            raise ValueError(f"state {state!r} needs names: pass system=..., or a position from 0 to {dim - 1}")
        if state not in names:
            raise ValueError(f"{system.about.name} has no state {unknown_name(state, names)}")  # type: ignore[union-attr]
        return names.index(state)
    if not -dim <= state < dim:
        raise ValueError(f"state {state} does not exist; positions go from 0 to {dim - 1}")
    return int(state) % dim


def state_name(index: int, system: System | None) -> str:
    """Name of a state; `x3` when there is no system to ask."""
    return system.state_names[index] if system is not None else f"x{index}"


def state_unit(index: int, system: System | None) -> str:
    """Unit of a state, `1` when unknown."""
    return _about_state(index, system)[1]


def state_label(index: int, system: System | None) -> str:
    """Axis label of a state: meaning, symbol and unit."""
    meaning, unit = _about_state(index, system)
    return with_unit(f"{meaning} {symbol(state_name(index, system))}".strip(), unit)


def _about_state(index: int, system: System | None) -> tuple[str, str]:
    known = None if system is None else system.about.symbol(system.state_names[index])
    return (known.meaning, known.unit) if known else ("", "1")


def line_colors(count: int) -> list[Any]:
    """Colors of `count` lines: the cycle of the style, or a scale when there are many."""
    if count <= MANY:
        cycle = mpl.rcParams["axes.prop_cycle"].by_key().get("color", ["C0"])
        return [cycle[i % len(cycle)] for i in range(count)]
    return list(mpl.colormaps[SEQUENTIAL](np.linspace(0, 0.92, count)))


def draw(ax: Axes, x: Any, y: Any, look: Mapping[str, Any]) -> Line2D:
    """One line or set of markers."""
    return ax.plot(x, y, **look)[0]


def cased(width: float = 1.4, color: str = "white") -> list[Any]:
    """Path effects that put a rim under a line, so that it shows on every background."""
    return [Stroke(linewidth=width + 1.6, foreground=color), Normal()]


def legend_patch(ax: Axes, label: str, **look: Any) -> None:
    """Add an entry with a colored patch to the legend of `ax`."""
    ax.add_artist(Rectangle((0, 0), 0, 0, transform=ax.transAxes, label=label, **look))


def legend(ax: Axes, title: str | None = None) -> None:
    """Legend above the axes, below their title, of all that carries a label; drawn again, it keeps its own title."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    old = ax.get_legend()
    ax.legend(
        title=title or (old.get_title().get_text() if old is not None else None) or None,
        loc="lower left",
        bbox_to_anchor=(0, _height_above(ax)),
        borderaxespad=0.2,
        alignment="left",
        columnspacing=1.2,
        frameon=False,
        ncols=_columns_that_fit(ax, labels),
    )
    if not any(isinstance(inset.get_axes_locator(), _OnLegend) for inset in ax.child_axes):
        inset = ax.inset_axes((0, 0, 1, 1), visible=False)
        inset.set_in_layout(False)
        inset.set_axes_locator(_OnLegend())


class _OnLegend:
    """Place of an invisible inset: where the legend is. Matplotlib puts titles above the insets of their axes."""

    def __call__(self, ax: Any, renderer: Any) -> Any:
        legend = ax.get_legend()
        box = ax.bbox if legend is None else legend.get_window_extent(renderer)
        return TransformedBbox(box, ax.figure.transSubfigure.inverted())


def _columns_that_fit(ax: Axes, labels: Sequence[str]) -> int:
    """Columns of a legend above the axes; one that is wider than the axes would squeeze them."""
    points = 72 * ax.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    width = 1.1 * points * ax.get_position(original=True).width
    size = float(FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points())
    lengths = [max(visible_length(line) for line in label.split("\n")) for label in labels]
    for count in range(min(4, len(labels)), 1, -1):
        columns = [max(part) for part in np.array_split(lengths, count)]
        # A letter is about 0.55 of the font size wide; the key and the gap take four more font sizes.
        if size * (0.55 * sum(columns) + 4 * count) <= width:
            return count
    return 1


def _height_above(ax: Axes) -> float:
    """Where a legend above the axes begins: higher when a power of ten stands there."""
    formatter = ax.yaxis.get_major_formatter()
    formatter.format_ticks(list(ax.yaxis.get_majorticklocs()))
    return 1.08 if formatter.get_offset() else 1.01


def status_name(code: int) -> str:
    """Status code in words."""
    try:
        return Status(code).name.lower().replace("_", " ")
    except ValueError:
        return f"status {code}"


def failure_text(status: np.ndarray) -> str:
    """What failed and how often, for a legend; empty when nothing did."""
    codes, counts = np.unique(status[status != Status.OK], return_counts=True)
    return ",\n".join(
        f"{status_name(int(code))} ({count} of {status.size})" for code, count in zip(codes, counts, strict=True)
    )


def as_list(value: Any) -> Sequence[Any]:
    """One thing or several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
