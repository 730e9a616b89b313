"""Return maps: each number of a sequence against the one before; cobwebs of maps of one state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from jaxdyn._types import whole_number
from jaxdyn.integrate import trajectory
from jaxdyn.plot._parts import axes_of, draw, mathematics, state_index, state_name, state_unit, with_unit
from jaxdyn.system import System

__all__ = ["cobweb", "return_map"]

_DIAGONAL: dict[str, Any] = {"color": "0.6", "linewidth": 0.6, "zorder": 0.5}
_NODES = 1001
"""Points of a drawn graph."""


def return_map(
    result: Any,
    state: str | int = 0,
    *,
    system: System | None = None,
    lag: int = 1,
    ax: Axes | None = None,
    **look: Any,
) -> Axes:
    """Each value of a sequence against the one `lag` before it, with the diagonal.

    Parameters
    ----------
    result
        What holds the sequence: `SectionPoints`, `Crossings` of one event (successive maxima: `Event.maximum`), a
        `Trajectory` of a map, or an array (n,) of numbers, such as intervals between spikes. Of one system.
    state
        Name (with `system`) or position of the state.
    system
        The system the states belong to, for names and units: of `SectionPoints` and a `Trajectory` the map, of
        `Crossings` the system that was run.
    lag
        1 for neighbors, 2 for the second return, ...
    ax
        Axes to draw into; default those of a new figure.
    **look
        Passed to `Axes.plot`; default small dots without lines.

    Returns
    -------
    Axes
        With equal scales. Values that are not finite, such as those of empty slots, are left out.

    Raises
    ------
    ValueError
        If the record holds several systems, a state is unknown, or there are not two values.

    Examples
    --------
    >>> import jaxdyn
    >>> turns = jaxdyn.poincare(jaxdyn.models.rossler(), {"y": 0.0}, direction=-1, dt=0.05)
    >>> points = jaxdyn.section_points(turns, n_points=200, n_transient=20)
    >>> jaxdyn.plot.return_map(points, "x", system=turns).get_ylabel()
    '$x_{n+1}$'
    """
    values, name, unit = _sequence(result, state, system)
    lag = whole_number(lag, "lag")
    before, after = values[:-lag], values[lag:]
    good = np.isfinite(before) & np.isfinite(after)
    if not good.any():
        raise ValueError(f"a return map with lag {lag} needs {lag + 1} finite values in a row, got {values[:8]}")
    ax = axes_of(ax)
    _diagonal(ax, before[good][0])
    ax.plot(before[good], after[good], **({"linestyle": "none", "marker": ".", "markersize": 2} | look))
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(with_unit(_indexed(name, "n"), unit))
    ax.set_ylabel(with_unit(_indexed(name, f"n+{lag}"), unit))
    return ax


def cobweb(
    system: System,
    x0: float | None = None,
    n_steps: int = 50,
    *,
    interval: tuple[float, float] | None = None,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Graph of a map of one state with the staircase of an orbit between it and the diagonal.

    Parameters
    ----------
    system
        Map of one state: a model, or one made by `poincare` or `stroboscopic`.
    x0
        Start of the orbit; default the system's.
    n_steps
        Steps of the orbit.
    interval
        Ends of both axes; default where the orbit is, within the state's range if the model knows one.
    ax
        Axes to draw into; default those of a new figure.
    **line
        Passed to `Axes.plot` for the staircase.

    Returns
    -------
    Axes
        With equal scales. The graph is that of step 0; the start is a cross on the diagonal.

    Raises
    ------
    ValueError
        For a flow or a map of several states, or an orbit that is finite nowhere.

    Examples
    --------
    >>> import jaxdyn
    >>> jaxdyn.plot.cobweb(jaxdyn.models.logistic(r=3.5), 0.1).get_xlabel()
    '$x_{n}$'
    """
    if not (isinstance(system, System) and system.discrete and system.dim == 1):
        words = f"{system.dim} states of {system.about.name}" if isinstance(system, System) else type(system).__name__
        raise ValueError(f"a cobweb is that of a map of one state, got {words}; make one by poincare or frozen")
    started = system if x0 is None else system.with_state(jnp.asarray(x0, system.dtype)[None])
    orbit = np.asarray(trajectory(started, n_steps=n_steps).x, float)[:, 0]
    orbit = orbit[: np.argmin(np.isfinite(orbit))] if not np.isfinite(orbit).all() else orbit
    if not orbit.size:
        raise ValueError(f"the orbit from x0={x0} is not finite; give another start")
    low, high = _interval(system, orbit) if interval is None else _ends(interval)
    grid = np.linspace(low, high, _NODES)
    graph = np.asarray(jax.vmap(lambda x: system(0, x[None])[0])(jnp.asarray(grid, system.dtype)), float)
    ax = axes_of(ax)
    _diagonal(ax, (low + high) / 2)
    ax.plot(grid, graph, color="black", linewidth=1.0)
    steps = np.repeat(orbit, 2)
    stairs: dict[str, Any] = {"linewidth": 0.6} | line
    (drawn,) = ax.plot(steps[:-2], steps[1:-1], **stairs) if len(orbit) > 1 else ax.plot(orbit, orbit, **stairs)
    draw(ax, orbit[:1], orbit[:1], {"marker": "x", "linestyle": "none", "color": drawn.get_color()})
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    name, unit = state_name(0, system), state_unit(0, system)
    ax.set_xlabel(with_unit(_indexed(name, "n"), unit))
    ax.set_ylabel(with_unit(_indexed(name, "n+1"), unit))
    return ax


def _ends(interval: Any) -> tuple[float, float]:
    if np.shape(interval) != (2,) or not np.all(np.isfinite(interval)) or not interval[0] < interval[1]:
        raise ValueError(f"interval must be two finite numbers, the smaller one first, got {interval!r}")
    return interval


def _interval(system: System, orbit: np.ndarray) -> tuple[float, float]:
    """Where the orbit is, as far as the state's range goes; all of the range where it does not move."""
    known = system.about.symbol(system.state_names[0])
    least, most = (-np.inf, np.inf) if known is None or known.range is None else known.range
    low, high = max(least, orbit.min()), min(most, orbit.max())
    if not high > low:
        return (least, most) if np.isfinite(most - least) else (orbit[0] - 0.5, orbit[0] + 0.5)
    margin = 0.15 * (high - low)
    return max(least, low - margin), min(most, high + margin)


def _diagonal(ax: Axes, point: float) -> None:
    ax.axline((point, point), slope=1, **_DIAGONAL)  # a point within, as the limits of the axes grow to hold it


def _sequence(result: Any, state: str | int, system: System | None) -> tuple[np.ndarray, str, str]:
    """Numbers in their order, their name and unit."""
    states = getattr(result, "states", getattr(result, "x", None))
    if states is None:
        values = np.asarray(result, float)
        if values.ndim != 1:
            raise ValueError(f"expected numbers in a row (n,), got {values.shape}; pick one lane")
        return values, "x", "1"
    names = getattr(result, "names", ("",))
    if len(names) > 1:
        raise ValueError(
            f"a return map is that of one event, the record holds {len(names)}: {', '.join(map(repr, names))}; pass "
            f"numbers of one, result.states[result.of({names[0]!r}), i]"
        )
    states = np.asarray(states, float)
    if states.ndim != 2:
        raise ValueError(
            f"expected the states of one run, (n, dim), got {states.shape}; "
            "save more than one, or pick one lane: jax.tree.map(lambda leaf: leaf[0], result)"
        )
    if system is not None and system.dim != states.shape[1]:
        raise ValueError(
            f"{system.about.name} has {system.dim} states, the record {states.shape[1]}; pass its own system"
        )
    index = state_index(state, system, states.shape[1])
    return states[:, index], state_name(index, system), state_unit(index, system)


def _indexed(name: str, index: str) -> str:
    """Name with the number of the return: `$x_{n+1}$`, `$x_{0, n+1}$`, or words."""
    inner = mathematics(name)
    if inner is None:
        return f"{name.replace('_', ' ')}, ${index}$"
    return f"${inner[:-1]}, {index}}}$" if inner.endswith("}") else f"${inner}_{{{index}}}$"
