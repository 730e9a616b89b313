"""Trajectories in a plane: those that were given, runs from its points, the long-run orbit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn.analysis.planes import Plane
from jaxdyn.integrate import final_state, trajectory
from jaxdyn.plot._parts import as_list
from jaxdyn.system import System


def runs_of(plane: Plane, trajectories: Any, cycle: bool, dt: Any, duration: Any) -> list[tuple[Any, System, bool]]:
    """Trajectories to draw: each with the system it belongs to, and whether it is the long-run orbit."""
    given = [] if trajectories is None else _several(trajectories)
    records = [(run, plane.system, False) for run in given if hasattr(run, "x")]
    starts = [_start(plane, start) for start in given if not hasattr(start, "x")]
    if not starts and not cycle:
        return records
    of = plane.subsystem()
    timing = _timing(of, dt, duration)
    if starts:
        runs = jax.vmap(lambda start: trajectory(of.with_state(start), **timing))(jnp.stack(starts))
        records += [(jax.tree.map(lambda leaf, k=k: leaf[k], runs), of, False) for k in range(len(starts))]
    if cycle:
        settled = of.with_state(final_state(of, **timing).x)
        records.append((trajectory(settled, **timing), of, True))
    return records


def _several(trajectories: Any) -> list[Any]:
    """List of runs and starts; one pair of numbers is one start."""
    if hasattr(trajectories, "x"):
        return [trajectories]
    if len(trajectories) and np.ndim(trajectories[0]) == 0 and not hasattr(trajectories[0], "x"):
        return [trajectories]
    return list(trajectories) if isinstance(trajectories, np.ndarray | jax.Array) else list(as_list(trajectories))


def _start(plane: Plane, given: Any) -> Any:
    """State of the plane's own system at a point of the plane."""
    if np.shape(given) != (2,):
        raise ValueError(
            f"a start is a point of the plane, (x, y), got shape {np.shape(given)}; for other starts give a "
            "Trajectory: jaxdyn.trajectory(system.with_state(...), ...)"
        )
    names = [plane.system.state_names[state] for state in plane.states]
    return plane.subsystem().with_state(**dict(zip(names, given, strict=True))).x0


def _timing(system: System, dt: Any, duration: Any) -> dict[str, Any]:
    """Number of steps and step of a run."""
    about = system.about
    duration = (about.transient or about.duration) if duration is None else duration
    if system.discrete:
        if dt is not None:
            raise ValueError(f"{about.name} is a map and has no step; leave dt out and give duration in steps")
        return {"n_steps": round(duration)}
    step = about.dt if dt is None else dt
    if step is None:
        raise ValueError(f"{about.name} has no step in system.about; give dt=..., and duration=... for its length")
    if not (step > 0 and duration > 0):
        raise ValueError(f"dt and duration must be positive, got dt={step}, duration={duration}")
    return {"n_steps": max(1, round(duration / step)), "dt": step}


def columns_of(system: System, states: Any, dim: int, what: str) -> list[int]:
    """Columns of states in a record of `dim` states: the system's, or those of the whole it is a frozen part of."""
    columns, size, field = np.asarray(states), system.dim, system.field
    while size != dim and field is not None:
        if (still := getattr(field, "still", None)) is not None:
            columns, size = np.flatnonzero(~np.array(still))[columns], len(still)
        field = getattr(field, "field", None)
    if size != dim:
        raise ValueError(
            f"{system.about.name} has {system.dim} states, the {what} {dim}; give those of this system, or of the "
            "whole that it is a frozen part of"
        )
    return [int(column) for column in columns]
