"""Convergence of Lyapunov exponents."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxdyn.plot._parts import MANY, axes_of, legend, line_colors, logarithmic_ticks, time_label, with_unit
from jaxdyn.system import System

__all__ = ["convergence"]


def convergence(spectrum: Any, *, reference: Any = None, system: System | None = None, ax: Axes | None = None) -> Axes:
    """Running Lyapunov exponents against time.

    Parameters
    ----------
    spectrum
        A `LyapunovSpectrum` of one system: `exponents` (k,), `std_error` (k,), `running` (block, k) and
        `running_time` (block,).
    reference
        Known values, drawn as dashed lines.
    system
        The system it belongs to, for units.
    ax
        Axes to draw into; default those of a new figure.

    Returns
    -------
    Axes
        Bands are the final values with one standard error to each side. Time is logarithmic when it spans
        more than a factor of 30.

    Raises
    ------
    ValueError
        If the record holds several systems, or no running values.
    """
    time, running = np.asarray(spectrum.running_time, float), np.asarray(spectrum.running, float)
    final, error = np.asarray(spectrum.exponents, float), np.asarray(spectrum.std_error, float)
    if time.shape == running.shape[:1]:  # a run that ended by itself may have fewer batches than rows
        time, running = time[~np.isnan(time)], running[~np.isnan(time)]
    if running.ndim != 2 or time.shape != running.shape[:1] or final.shape != running.shape[1:]:
        raise ValueError(
            "expected the spectrum of one system, exponents (k,), running (block, k) and running_time (block,), got "
            f"{final.shape}, {running.shape} and {time.shape}; "
            "pick one lane: jax.tree.map(lambda leaf: leaf[0], spectrum)"
        )
    if not time.size:
        raise ValueError("the spectrum holds no running values; take more than one block")
    ax = axes_of(ax)
    count = final.size
    for i, color in enumerate(line_colors(count)):
        label = rf"$\lambda_{{{i + 1}}}$ = {value_with_error(final[i], error[i])}" if count <= MANY else None
        ax.plot(time, running[:, i], color=color, label=label, linewidth=1.0 if count <= MANY else 0.5)
        if np.isfinite(error[i]):
            ax.axhspan(final[i] - error[i], final[i] + error[i], color=color, alpha=0.25, linewidth=0)
    for number, value in enumerate(() if reference is None else np.ravel(reference)):
        name = None if number else "reference"
        ax.axhline(float(value), color="black", linestyle=(0, (4, 3)), linewidth=0.8, label=name)
    if time[0] > 0 and time[-1] > 30 * time[0]:
        ax.set_xscale("log")
        logarithmic_ticks(ax.xaxis, time[0], time[-1])
    if time.size > 1:
        ax.set_xlim(time[0], time[-1])
    unit = system.about.time_unit if system is not None else "1"
    discrete = system is not None and system.discrete
    ax.set_xlabel(time_label(system, discrete))
    ax.set_ylabel(with_unit("running Lyapunov exponent", "1" if discrete or unit == "1" else f"1/{unit}"))
    legend(ax)
    return ax


def value_with_error(value: float, error: float) -> str:
    """Number with its standard error, to two digits of the error: `0.906 ± 0.013`."""
    if not (np.isfinite(value) and np.isfinite(error)) or error <= 0:
        return f"{value:.4g}".replace("-", "−")
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    if digits > 9:
        return f"{value:.9f}".replace("-", "−")
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")
