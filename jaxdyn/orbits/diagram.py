"""Orbit diagrams: points of attractors against a parameter, with their period and largest Lyapunov exponent."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Float, whole_number
from jaxdyn.analysis.maximal_lyapunov import maximal_lyapunov
from jaxdyn.methods import Method
from jaxdyn.orbits.attractor import AttractorPoints, attractor_points
from jaxdyn.orbits.follow import follow
from jaxdyn.reducers.observed import Component, bound, watched
from jaxdyn.sweeps.run import sweep
from jaxdyn.system import System, require_system

if TYPE_CHECKING:
    import xarray

__all__ = ["orbit_diagram"]


@record
class OrbitOfValue(AttractorPoints):
    """What an orbit diagram shows at one parameter value."""

    exponent: Float[Array, ""] | None = labelled(words="largest Lyapunov exponent", unit="rate")
    exponent_std_error: Float[Array, ""] | None = labelled(
        words="standard error of the largest Lyapunov exponent", unit="rate"
    )


def orbit_diagram(
    system: System,
    over: Mapping[Any, Any],
    *,
    n_points: int = 500,
    n_transient: int = 1000,
    of: Any = 0,
    dt: ArrayLike | None = None,
    method: Method | None = None,
    carry_state: bool | str | tuple[str, ...] = False,
    n_lyapunov: int | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> "xarray.Dataset":
    """Orbit diagram: where a map settles, or the local maxima of a flow, at each value of a parameter.

    Parameters
    ----------
    system
        Map or flow. For other sections of a flow give the map of its section.
    over
        As in `sweep`: values by name; several names make a batch of diagrams.
    n_points, n_transient
        Points at each value, and iterates (of a flow steps) before them.
    of
        What is watched: a state by name or index, or a function x -> number; default the first state.
    dt, method
        Step of a flow, time units, and its method.
    carry_state
        Begin each value where the one before ended, forwards and backwards, along the first name of `over` or the one
        given here: both branches show where two attractors exist. See `follow`.
    n_lyapunov
        Steps over which the largest Lyapunov exponent is averaged, from where the points end; 0 for none. Default
        `n_points` for a map, `n_transient` for a flow.
    settings
        Others of `attractor_points`: `max_period`, `tolerance`, `max_steps`.
    **options
        Of `sweep` (`store`, `chunk`, ...) or `follow` (`directions`, ...).

    Returns
    -------
    xarray.Dataset
        `points` (..., point), `period`, `n_found` (flows), last state `x`, `exponent` with `exponent_std_error`, and
        `status`, see `attractor_points`; with `carry_state` the dimension `direction` in front.
        `jaxdyn.plot.orbit_diagram` draws it.

    Raises
    ------
    TypeError, ValueError
        For what `attractor_points`, `sweep` and `follow` raise.

    Notes
    -----
    Ten million points of the logistic map take a tenth of a second on two cores (float32, after a second or two of
    compilation).

    Examples
    --------
    >>> import jaxdyn, numpy as np
    >>> diagram = jaxdyn.orbit_diagram(jaxdyn.models.logistic(), {"r": np.linspace(2.9, 3.5, 4)}, n_points=64)
    >>> diagram.period.values.tolist()
    [1, 2, 2, 4]
    """
    require_system(system)
    n_points = whole_number(n_points, "n_points")
    if n_lyapunov is None:
        n_lyapunov = n_points if system.discrete else n_transient
    n_lyapunov = whole_number(n_lyapunov, "n_lyapunov", least=0)
    given = {"n_points": n_points, "n_transient": n_transient, "of": of, **(settings or {})}
    stepping = {} if system.discrete and dt is None and method is None else {"dt": dt, "method": method}
    measure = functools.partial(_orbit_of_value, points=given, stepping=stepping, n_lyapunov=n_lyapunov)
    if not carry_state:
        found = sweep(measure, system, over, **options)
    else:
        found = follow(measure, system, over, carry=None if carry_state is True else carry_state, **options)
    if "points" in found:  # unless `keep` leaves them out
        found.points.attrs.update(_words(system, of))
    return found


def _orbit_of_value(
    system: System, points: Mapping[str, Any], stepping: Mapping[str, Any], n_lyapunov: int
) -> OrbitOfValue:
    run = attractor_points(system, **points, **stepping)
    if not n_lyapunov:
        return OrbitOfValue(**vars(run), exponent=None, exponent_std_error=None)
    beyond = dataclasses.replace(system, x0=run.x)
    growth = maximal_lyapunov(beyond, n_steps=n_lyapunov, **stepping)
    both = vars(run) | {"status": jnp.maximum(run.status, growth.status)}
    return OrbitOfValue(**both, exponent=growth.exponent, exponent_std_error=growth.std_error)


def _words(system: System, of: Any) -> dict[str, str]:
    """Name and unit of what is watched."""
    seen = bound(watched(of, orbit_diagram), system)
    if not isinstance(seen, Component):
        return {"long_name": getattr(of, "__name__", "").strip("<>").replace("lambda", "") or "points"}
    name = system.state_names[int(seen.key)]
    known = system.about.symbol(name)
    return {"long_name": known.meaning if known else name, "units": known.unit if known else "1", "symbol": name}
