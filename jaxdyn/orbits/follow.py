"""Sweeps that carry the state on from one parameter value to the next: hysteresis."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import labelled
from jaxdyn._types import Array
from jaxdyn.integrate import along
from jaxdyn.sweeps.grid import Axis, Grid, make_grid
from jaxdyn.sweeps.labels import swept
from jaxdyn.sweeps.measure import Cell, Variable, describe_measure
from jaxdyn.sweeps.run import sweep
from jaxdyn.system import System, require_system

if TYPE_CHECKING:
    import xarray

__all__ = ["follow"]

DIRECTION = "direction"
DIRECTIONS = {"forward": 1.0, "backward": -1.0}
_STATUS = "each_status"


def follow(
    measure: Callable[..., Any] | Mapping[str, Callable[..., Any]],
    system: System,
    over: Mapping[Any, Any],
    *,
    carry: Any = None,
    directions: Sequence[str] = ("forward", "backward"),
    keep: Sequence[str] | None = None,
    **options: Any,
) -> "xarray.Dataset":
    """Measure one system along a parameter, each value from the state where the one before ended: `sweep` with memory.

    Where two attractors exist for one parameter value, which one is seen depends on where the parameter came from.
    Both ways together show it.

    Parameters
    ----------
    measure
        As in `sweep`, and its result tells the last state: a record with `x` (dim,), such as those of
        `reduce`, `attractor_points`, `final_state` and `maximal_lyapunov`, or a dict with "x". Of several measures the
        first that tells it.
    system
        Flow or map. Its start is that of the first value of each direction.
    over
        As in `sweep`. One name is carried along, all others are lanes beside each other.
    carry
        The name, or tuple of names, that is carried along, in the order of its values; default the first. It names
        parameters: a start is what is carried.
    directions
        "forward" through the values as they are given, "backward" from the last to the first, or both.
    keep
        Names of variables to keep, as in `sweep`.
    **options
        Of `sweep`: `chunk`, `memory`, `seed`, `engine`, `devices`, `executor`, `progress`.

    Returns
    -------
    xarray.Dataset
        As from `sweep`, with the dimension `direction` ("forward", "backward") in front. A lane whose state
        left the finite numbers has this in its `status`; the value after it begins at the system's start again.

    Raises
    ------
    TypeError, ValueError
        For what `sweep` raises, a measure that does not tell its last state, or a direction that is none.

    Notes
    -----
    Time begins anew at each value. A state that is exactly on an unstable point or cycle stays there, for nothing but
    the change of the parameter disturbs it; a measure of your own may. Values in each direction are computed one after
    another, in one compiled loop; directions and other parameters run beside each other.

    Examples
    --------
    >>> import functools, jaxdyn, numpy as np
    >>> cubic = jaxdyn.flow(lambda t, x, p: p["h"] + x - x**3, {"h": 0.0}, [-1.0], state_names=["x"])
    >>> last = functools.partial(jaxdyn.final_state, n_steps=500, dt=0.1)
    >>> loop = jaxdyn.follow(last, cubic, {"h": np.linspace(-1, 1, 5)})
    >>> loop.x.sel(h=0.0, direction="forward").item() < 0 < loop.x.sel(h=0.0, direction="backward").item()
    True
    """
    require_system(system)
    grid = make_grid(system, over)
    keys = list(over)
    chosen = keys[0] if carry is None else carry
    if chosen not in keys:
        raise ValueError(f"carry={carry!r} is not among what is swept, {keys}; name one of these")
    axis = grid.axes[keys.index(chosen)]
    if starts := [name for name in axis.values if name not in system.params]:
        raise ValueError(f"{starts[0]!r} is a start, and a start is what is carried on; carry a parameter along")
    if not directions or set(directions) - set(DIRECTIONS) or len(set(directions)) < len(directions):
        raise ValueError(f"directions must be some of {list(DIRECTIONS)}, each once, got {directions!r}")
    if DIRECTION in grid.names or DIRECTION in system.params:
        raise ValueError(f"{DIRECTION!r} is the name of a dimension of the result; rename the parameter")
    if store := {"store", "reuse"} & set(options):
        raise TypeError(f"follow has no {store.pop()}: its loops do not stop half way; write the result with to_zarr")
    both_ways = dataclasses.replace(system, params={**system.params, DIRECTION: jnp.ones((), system.dtype)})
    signs = {DIRECTION: np.array([DIRECTIONS[name] for name in directions])}
    others = {key: values for key, values in over.items() if key != chosen}
    kept = None if keep is None else (*([keep] if isinstance(keep, str) else keep), _STATUS)
    found = sweep(_course(measure, axis), both_ways, {**signs, **others}, keep=kept, **options)
    found = found.drop_vars("status").rename({_STATUS: "status"})
    found = found.assign_coords({DIRECTION: list(directions)} | swept(system, Grid((axis,))))
    found[DIRECTION].attrs["long_name"] = "direction"
    parameters = json.loads(found.attrs["parameters"])
    found.attrs |= {
        "title": found.attrs["title"].replace(f"over {DIRECTION}", f"along {axis.dim}, over {DIRECTION}"),
        "parameters": json.dumps({name: value for name, value in parameters.items() if name != DIRECTION}),
        "measure": describe_measure(measure),
        "carried": axis.dim,
    }
    return found.transpose(DIRECTION, *grid.dims, ...)


def _course(measure: Any, axis: Axis) -> Callable[..., Any]:
    """Measure of a whole way along the axis, of a system with a direction."""
    cell = Cell(measure)

    def course(system: System, key: Array | None = None) -> Any:
        backward = system.params[DIRECTION] < 0
        system = dataclasses.replace(system, params={k: v for k, v in system.params.items() if k != DIRECTION})

        def one(state: tuple[Array, Array], values: dict[str, Array]) -> tuple[tuple[Array, Array], dict[str, Array]]:
            i, x = state
            own = None if key is None else jax.random.fold_in(key, i)
            named = cell.drawn(dataclasses.replace(system, x0=x), values, own)
            last = _last_state(named, cell, system)
            return (i + 1, jnp.where(jnp.all(jnp.isfinite(last)), last, system.x0)), named

        way = {name: jnp.where(backward, values[::-1], values) for name, values in axis.values.items()}
        named = along(one, (jnp.int32(0), system.x0), way)[1]
        named[_STATUS] = named.pop("status")
        return _as_record({name: jnp.where(backward, array[::-1], array) for name, array in named.items()}, cell, axis)

    if any(cell.takes_key.values()):
        return course
    return lambda system: course(system)


def _last_state(named: Mapping[str, Array], cell: Cell, system: System) -> Array:
    """Where the first measure that tells it has ended."""
    for prefix in cell.measures:
        x = named.get(f"{prefix}_x" if prefix else "x")
        if x is not None and x.shape == system.x0.shape:
            return x.astype(system.dtype)
    raise TypeError(
        f"the measure does not tell its last state, an `x` of shape {system.x0.shape}; let it return a record or a "
        'dict with one, such as {"x": ...}'
    )


def _as_record(named: Mapping[str, Array], cell: Cell, axis: Axis) -> Any:
    """Record of these arrays, labelled as by the measure, behind the dimension that was carried along."""
    fields: list[Any] = []
    for name, array in named.items():
        known = cell.variables.get(name, Variable(name))
        look = labelled(axis.dim, *known.axes(array.ndim - 1), words=known.words, unit=known.unit)
        fields.append((name, Any, dataclasses.field(metadata={**look.metadata, "detail": known.is_detail})))
    return dataclasses.make_dataclass("Course", fields)(**named)
