"""Sweep: a measure of one system over a labelled grid."""

import contextlib
import functools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxdyn._imports import imported_meanwhile
from jaxdyn._types import whole_number
from jaxdyn.engine.engines import Engine, check_engine
from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.sweeps.devices import chosen_devices
from jaxdyn.sweeps.grid import Region, make_grid, n_cells
from jaxdyn.sweeps.labels import provenance
from jaxdyn.sweeps.memory import bytes_of
from jaxdyn.sweeps.place import MANIFEST, place_of, stored_chunk
from jaxdyn.sweeps.plan import Plan, make_plan
from jaxdyn.sweeps.processes import is_lead, lead_first, meet, own_share
from jaxdyn.sweeps.program import Settings
from jaxdyn.sweeps.reuse import Earlier
from jaxdyn.sweeps.stop import Stop
from jaxdyn.sweeps.store import MemorySink, Sink, ZarrSink
from jaxdyn.sweeps.workers import check_executor, pickled, results_of
from jaxdyn.system import System, require_system

if TYPE_CHECKING:
    import xarray

__all__ = ["sweep"]


def sweep(
    measure: Callable[..., Any] | Mapping[str, Callable[..., Any]],
    system: System,
    over: Mapping[Any, Any],
    *,
    store: str | os.PathLike[str] | None = None,
    keep: Sequence[str] | None = None,
    chunk: int | None = None,
    memory: str | int | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    devices: "Sequence[jax.Device] | None" = None,
    executor: Executor | None = None,
    reuse: str | os.PathLike[str] | None = None,
    attributes: Mapping[str, str] | None = None,
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
        missing, with the same result bit for bit. Only one sweep writes to a store at a time; chunks that were
        damaged since are found by their checksums and computed again.
    keep
        Names of the variables to keep, beside `status` and the coordinates; default all but the large
        details (such as `running`).
    chunk
        Number of cells computed at once; default from `memory`. Some analyses (fixed points; matrix
        products and spectra in chunks of one cell) round differently in chunks of another size.
    memory
        Bytes that the chunks in flight may take on each device, such as "500MB"; default half of an accelerator's
        memory, 1 GB on a CPU. If that is too much after all, half as many cells are computed at once, with a warning.
    seed
        Of the random keys, 0 to 2**32 - 1: cell i gets fold_in(key(seed), i), whatever the chunks.
    engine
        How the cells of a chunk are computed, as in `lanes`: by default the fastest that fits the measure.
        `Vmap()` is `jax.vmap`; results of two engines differ by rounding, a store keeps to one.
    devices
        Which share the cells of every chunk; default all of this process. Their number changes no result.
    executor
        Who computes the chunks: any `concurrent.futures.Executor`, such as a `ProcessPoolExecutor` or
        `client.get_executor()` of a Dask client; default threads of this process. Each task takes one core of its
        worker; this process writes what comes back. System and measure are sent to the workers, so their functions
        come from importable modules, or `cloudpickle` is installed (it comes with Dask).
    reuse
        Store of an earlier sweep of the same measure, system and parameters over another grid: its finished cells
        whose swept values are equal to the last bit are copied. `keep` must be equal too. Not for measures with a
        `key`.
    attributes
        Texts of your own, by name, to keep with the data set; a store keeps those that it was begun with.
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
    BlockingIOError
        If another sweep is writing to the store.
    OSError
        If the store takes no more; what is finished stays.
    KeyboardInterrupt
        After Ctrl-C; with a store first the chunks that are being computed are finished and kept (a second Ctrl-C
        gives them up). SIGTERM does so too, before it ends the process.

    Notes
    -----
    All cells run through one compiled function; a new parameter value of the same shapes compiles nothing
    inside it. On a CPU several chunks run in parallel threads. A program of several processes (`jax.distributed`) calls
    `sweep` in each of them with the same arguments and a store that all of them see: each computes its part.

    Examples
    --------
    >>> import jaxdyn, numpy as np
    >>> cells = jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.fitzhugh_nagumo(), {"I": np.linspace(0, 1, 5)})
    >>> cells["value"].dims, cells.sizes["I"]
    (('I', 'value_axis0'), 5)
    """
    require_system(system)
    grid = make_grid(system, over)
    if chunk is not None:
        chunk = whole_number(chunk, "chunk")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    names = None if keep is None else _names(keep)
    check_engine(engine)
    check_executor(executor)
    store = None if store is None else place_of(store)
    budget = None if memory is None else bytes_of(memory)
    used = chosen_devices(devices)
    with imported_meanwhile("xarray"), lead_first():
        alone = executor is None and jax.process_count() == 1
        settings = Settings(_cells_of_chunk(chunk, store), budget, engine, used, alone)
        plan = make_plan(system, grid, measure, names, int(seed), settings)
        earlier = None if reuse is None else Earlier(plan, reuse)
        sink = _sink(plan, _with_own(provenance(plan, measure, int(seed)), attributes), store)
    try:
        todo = own_share([region for region in grid.regions(plan.chunk) if not sink.is_done(region)])
        meet("before it computes")  # all have seen what is done

        def job() -> bytes:
            there = Settings(math.prod(plan.chunk), settings.budget, engine)
            return pickled(system, grid, measure, names, int(seed), there)

        results = functools.partial(results_of, plan, executor=executor, job=job)
        _run(plan, sink, todo, earlier, results, progress)
        meet("after it computed")
    finally:
        sink.close()
    return sink.dataset()


def _names(keep: Any) -> tuple[str, ...]:
    """Names of the variables to keep."""
    names = tuple(keep) if isinstance(keep, Iterable) and not isinstance(keep, str) else (keep,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"keep must be a list of names of variables, such as ['exponents'], got {keep!r}")
    return names


def _cells_of_chunk(chunk: int | None, store: Any) -> int | None:
    """The chunk asked for, else the one that the store was begun with."""
    if store is None:
        return chunk
    stored = stored_chunk(store)
    return chunk if chunk is not None or stored is None else math.prod(stored)


def _with_own(attributes: dict[str, Any], own: Mapping[str, str] | None) -> dict[str, Any]:
    """Attributes of a data set and those of the caller's."""
    for name, text in (own or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"attributes must be texts by name, got {name!r}: {text!r}")
        if name in (*attributes, MANIFEST, "coordinates"):
            raise ValueError(f"attributes has {name!r}, which the data set says itself; take another name")
    return {**attributes, **(own or {})}


def _sink(plan: Plan, attributes: dict[str, Any], store: Any) -> Sink:
    if store is None:
        if jax.process_count() > 1:
            raise ValueError("a sweep by several processes needs a store that all of them see: store=...")
        return MemorySink(plan, attributes)
    if plan.programs.first.calls_back:
        warnings.warn(
            "the measure calls Python, of which a store keeps nothing: go on with it by the very same code only",
            JaxdynWarning,
            stacklevel=3,
        )
    return ZarrSink(plan, attributes, store, alone=is_lead())


def _run(
    plan: Plan, sink: Sink, todo: list[Region], earlier: Earlier | None, results_of: Callable[..., Any], progress: bool
) -> None:
    """Compute regions and write them as they come."""
    own = left = sum(map(n_cells, todo))
    total = plan.grid.size if jax.process_count() == 1 else own
    bar = _bar(total, total - left) if progress and left and is_lead() else None
    n_failed = 0

    def finish(region: Region, results: dict[str, np.ndarray[Any, Any]]) -> None:
        nonlocal left, n_failed
        sink.write(region, results)
        left -= n_cells(region)
        n_failed += int((results["status"] != Status.OK).sum())
        if bar is not None:
            bar.set_postfix(failed=n_failed, refresh=False)
            bar.update(n_cells(region))

    def tasks() -> Iterator[Any]:
        for region in todo:
            missing = None if earlier is None else earlier.missing(region)
            if earlier is not None and missing is not None and not missing.any():
                finish(region, earlier.whole(region))
            else:
                yield region, missing

    with (
        contextlib.nullcontext() if bar is None else bar,
        Stop() if isinstance(sink, ZarrSink) else contextlib.nullcontext() as stop,
    ):
        try:
            with contextlib.closing(results_of(tasks(), go_on=lambda: stop is None or stop.signal is None)) as found:
                for (region, _), results in found:
                    finish(region, results if earlier is None else earlier.fill(region, results))
        except RuntimeError:
            if stop is None or stop.signal is None:
                raise  # else the workers of a pool got the signal too, and died of it
    if stop is not None:
        stop.act(f"{left} of {own} cells are left; the same call goes on from what is in the store")


def _bar(total: int, done: int) -> Any:
    """Progress bar of the cells, where there is a terminal; what was done before does not count in its rate."""
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, unit="cell", unit_scale=True, disable=None)
