"""Sweep: a measure of one system over a labelled grid."""

import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdyn._types import whole_number
from jaxdyn.engine.engines import Engine, check_engine
from jaxdyn.errors import Status
from jaxdyn.sweeps.grid import Region, make_grid
from jaxdyn.sweeps.labels import provenance
from jaxdyn.sweeps.plan import Plan, make_plan
from jaxdyn.sweeps.program import Settings
from jaxdyn.sweeps.store import MemorySink, Sink, ZarrSink, stored_chunk
from jaxdyn.system import System

if TYPE_CHECKING:
    import xarray

__all__ = ["sweep"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def sweep(
    measure: Callable[..., Any] | Mapping[str, Callable[..., Any]],
    system: System,
    over: Mapping[Any, Any],
    *,
    store: str | os.PathLike[str] | None = None,
    keep: Sequence[str] | None = None,
    chunk: int | None = None,
    memory: str | int = "1GB",
    seed: int = 0,
    engine: Engine | None = None,
    progress: bool = True,
) -> "xarray.Dataset":
    """Measure one system over a grid of parameters and starts.

    Parameters
    ----------
    measure
        Function of one system that returns a record (any analysis of jaxdyn, with its options bound by
        `functools.partial` or a lambda), an array, or a dict of arrays. One that has an argument `key` gets
        a random key of its own in each cell. A dict of measures computes several in one pass; their
        results are then called `name_variable`.
    system
        Flow or map; what is not swept keeps its value.
    over
        Values (n,) by name: a parameter (one of shape s takes (n, *s)), a state (its start), or `x0`
        with (n, dim). A tuple of names with a tuple of values varies them together along one dimension.
    store
        Path of a zarr store on this machine: a new or empty directory, or the store of this very sweep.
        Finished chunks are written there as they come; the same call after a crash computes only what is
        missing, with the same result bit for bit.
    keep
        Names of the variables to keep, beside `status` and the coordinates; default all but the large
        details (such as `running`).
    chunk
        Number of cells computed at once; default from `memory`. Some analyses (fixed points; matrix
        products and spectra in chunks of one cell) round differently in chunks of another size.
    memory
        Bytes that the chunks in flight may take on the device, such as "500MB".
    seed
        Of the random keys, 0 to 2**32 - 1: cell i gets fold_in(key(seed), i), whatever the chunks.
    engine
        How the cells of a chunk are computed, as in `lanes`: by default the fastest that fits the measure.
        `Vmap()` is `jax.vmap`; results of two engines differ by rounding, a store keeps to one.
    progress
        Show a progress bar where there is a terminal.

    Returns
    -------
    xarray.Dataset
        Dimensions: the swept names, then the record's own. Coordinates carry units. `status` per cell (see
        `Status`); a cell that fails changes no other. Attributes tell system, parameters, measure,
        versions and device. With `store` the values are read when asked for.

    Raises
    ------
    TypeError, ValueError
        Before anything runs: an unknown name, values of a wrong shape, a store of another sweep.

    Notes
    -----
    All cells run through one compiled function; a new parameter value of the same shapes compiles nothing
    inside it. On a CPU several chunks run in parallel threads.

    Examples
    --------
    >>> import jaxdyn, numpy as np
    >>> cells = jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.fitzhugh_nagumo(), {"I": np.linspace(0, 1, 5)})
    >>> cells["value"].dims, cells.sizes["I"]
    (('I', 'value_axis0'), 5)
    """
    if not isinstance(system, System):
        raise TypeError(f"system must be a Flow or a Map, got {type(system).__name__}; make one with jaxdyn.flow")
    grid = make_grid(system, over)
    if chunk is not None:
        chunk = whole_number(chunk, "chunk")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    names = None if keep is None else tuple([keep] if isinstance(keep, str) else keep)
    check_engine(engine)
    settings = Settings(_lanes(chunk, store), _bytes(memory), engine)
    plan = make_plan(system, grid, measure, names, int(seed), settings)
    sink = _sink(plan, measure, int(seed), store)
    todo = [region for region in grid.regions(plan.chunk) if not sink.is_done(region)]
    _run(plan, sink, todo, progress)
    return sink.dataset()


def _lanes(chunk: int | None, store: Any) -> int | None:
    """The chunk asked for, else the one that the store was begun with."""
    if store is None:
        return chunk
    stored = stored_chunk(store)
    return chunk if chunk is not None or stored is None else math.prod(stored)


def _sink(plan: Plan, measure: Any, seed: int, store: Any) -> Sink:
    attributes = provenance(plan, measure, seed)
    return MemorySink(plan, attributes) if store is None else ZarrSink(plan, attributes, store)


def _run(plan: Plan, sink: Sink, todo: list[Region], progress: bool) -> None:
    """Compute regions in parallel threads and write them in order, a few in flight."""
    from tqdm.auto import tqdm

    # disable=None: silent where the output is not a terminal.
    bar = tqdm(total=plan.grid.size, unit="cell", unit_scale=True, disable=None if progress else True)
    bar.update(plan.grid.size - sum(_size(region) for region in todo))
    n_failed = 0
    waiting: deque[tuple[Region, Future[dict[str, np.ndarray[Any, Any]]]]] = deque()
    with bar, ThreadPoolExecutor(plan.program.n_workers) as pool:
        pending = iter(todo)
        try:
            while True:
                while len(waiting) < 2 * plan.program.n_workers and (region := next(pending, None)) is not None:
                    waiting.append((region, pool.submit(plan.compute, region)))
                if not waiting:
                    break
                region, future = waiting.popleft()
                results = future.result()
                sink.write(region, results)
                n_failed += int((results["status"] != Status.OK).sum())
                bar.update(_size(region))
                bar.set_postfix(failed=n_failed, refresh=False)
        finally:
            for _, future in waiting:
                future.cancel()


def _size(region: Region) -> int:
    return math.prod(r.stop - r.start for r in region)


def _bytes(memory: str | int) -> int:
    text = str(memory).strip().upper().removesuffix("B")
    digits = text.rstrip("KMGI ")
    try:
        size = int(float(digits) * _UNITS[text[len(digits) :].strip()])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size <= 0:
        raise ValueError(f"memory must be a size such as '2GB' or a number of bytes, got {memory!r}")
    return size
