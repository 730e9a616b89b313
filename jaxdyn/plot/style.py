"""The look of the figures: settings for print, colors that every reader can tell apart."""

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from cycler import cycler

__all__ = ["OKABE_ITO", "PAPER", "style"]

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Color cycle of Okabe and Ito (2008), safe for color-blind readers; the strongest contrasts first."""

STABLE, UNSTABLE, NEUTRAL = OKABE_ITO[0], OKABE_ITO[1], "0.45"

CLASS_COLORS = {
    "undefined": "0.85",
    "stable node": "#0072B2",
    "stable focus": "#56B4E9",
    "stable flip node": "#B5DDF5",
    "unstable node": "#D55E00",
    "unstable focus": "#E69F00",
    "unstable flip node": "#F6D58E",
    "saddle": "#CC79A7",
    "saddle focus": "#8A4570",
    "flip saddle": "#EBC8DB",
    "center": "#009E73",
    "marginal": "#F0E442",
    "flip": "#7A7A1E",
}
"""One color per class of fixed points: blues are stable, oranges unstable, pinks saddles."""

DIVERGING = "RdBu_r"
SEQUENTIAL = "viridis"

PAPER: dict[str, Any] = {
    "figure.figsize": (3.5, 2.6),  # one column of most journals
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "pdf.fonttype": 42,  # text stays text in an editor
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "mathtext.fontset": "dejavusans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=OKABE_ITO),
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
}
"""Matplotlib settings for a printed column; `matplotlib.rcParams.update(PAPER)` makes them permanent."""


@contextlib.contextmanager
def style(**settings: Any) -> Iterator[None]:
    """Context in which figures are made, and saved, for print.

    Parameters
    ----------
    **settings
        Other Matplotlib settings, with `_` for the dot of their names: `figure_figsize=(7, 3)`.

    Notes
    -----
    Save the figure inside the context too: font embedding and resolution are read when a file is written.

    Examples
    --------
    >>> import jaxdyn, matplotlib
    >>> with jaxdyn.plot.style(figure_figsize=(7, 3)):
    ...     matplotlib.rcParams["pdf.fonttype"]
    42
    """
    chosen: Any = PAPER | {_setting(name): value for name, value in settings.items()}
    # Choosing a backend may make Matplotlib interactive, which the context would undo: it is chosen before.
    mpl.get_backend()
    with mpl.rc_context(chosen):
        yield


def _setting(name: str) -> str:
    """Name of a Matplotlib setting, such as `axes.prop_cycle` for `axes_prop_cycle`."""
    spelled = {known.replace(".", "_").replace("-", "_"): known for known in mpl.rcParams}
    if name not in spelled:
        raise TypeError(f"{name!r} is no setting of Matplotlib; write figure_figsize for 'figure.figsize'")
    return spelled[name]
