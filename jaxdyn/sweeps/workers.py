"""Who computes the chunks of a sweep: threads of this process, or any `concurrent.futures.Executor`."""

import functools
import pickle
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import numpy as np

from jaxdyn._fingerprint import environment
from jaxdyn.engine.cores import limited_cores
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.plan import Plan, make_plan

__all__ = ["check_executor", "pickled", "results_of"]

Results = dict[str, np.ndarray[Any, Any]]
Task = tuple[Region, "np.ndarray[Any, Any] | None"]
"""A region, and which of its cells are wanted if not all."""

NAME = "jaxdyn-sweep"
"""Of the threads."""

IN_FLIGHT = 64
"""Chunks that an executor is given at once if it does not tell how many it can work on."""


def pickled(*arguments: Any) -> bytes:
    """What another process needs to compute chunks: the arguments of the plan, and where its numbers must come from."""
    try:
        from cloudpickle import dumps  # takes lambdas and functions of a notebook too; comes with Dask
    except ImportError:
        dumps = pickle.dumps
    try:
        return dumps((arguments, bool(jax.config.jax_enable_x64), environment()))  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as error:
        raise TypeError(
            f"system and measure must go to other processes: {error}; "
            "define their functions in a module, or install cloudpickle"
        ) from error


def compute_elsewhere(job: bytes, *task: Any) -> Results:
    """Results of a task, in a worker: on one core, because workers share out the machine's."""
    with limited_cores(1):
        return _plan_of(job).compute(*task)


@functools.lru_cache(4)
def _plan_of(job: bytes) -> Plan:
    arguments, x64, asked = pickle.loads(job)  # comes from the process that asked, never from a store
    own = environment()
    if different := [f"{name} {own[name]} instead of {asked[name]}" for name in asked if own[name] != asked[name]]:
        raise RuntimeError(f"a worker would compute other digits: it has {', '.join(different)}; make them equal")
    with jax.enable_x64(x64):
        return make_plan(*arguments)


def check_executor(executor: Any) -> None:
    """Complain about what is no executor."""
    known = not isinstance(executor, type) and all(
        callable(getattr(executor, name, None)) for name in ("submit", "map")
    )
    if executor is not None and not known:
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {executor!r:.60}; "
            "of a Dask client it is client.get_executor()"
        )


def results_of(
    plan: Plan, tasks: Iterable[Task], executor: Executor | None, job: Callable[[], bytes], go_on: Callable[[], bool]
) -> Generator[tuple[Task, Results], None, None]:
    """Results of tasks as they come, some in flight; when `go_on` says no, those in flight and no more."""
    if executor is None:
        n = plan.programs.first.n_workers
        pool = ThreadPoolExecutor(n, thread_name_prefix=NAME)
        try:
            yield from _in_flight(lambda task: pool.submit(plan.compute, *task), tasks, lambda: 2 * n, go_on)
        except KeyboardInterrupt:  # a second one, or one without a store: nothing is waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()
        return
    if isinstance(executor, ThreadPoolExecutor):  # of this process: nothing need be copied
        submit: Callable[[Task], Future[Results]] = lambda task: executor.submit(plan.compute, *task)  # noqa: E731
    else:
        submit = functools.partial(_sent, executor, job())
    try:
        yield from _in_flight(submit, tasks, lambda: _places(executor), go_on)
    except BrokenExecutor as error:
        raise RuntimeError(
            f"a worker process died ({error}); with a store, the same call goes on from the finished chunks"
        ) from error


def _sent(executor: Executor, job: bytes, task: Task) -> Future[Results]:
    return executor.submit(compute_elsewhere, job, *task)


def _in_flight(
    submit: Callable[[Task], Future[Results]],
    tasks: Iterable[Task],
    places: Callable[[], int],
    go_on: Callable[[], bool],
) -> Generator[tuple[Task, Results], None, None]:
    running: dict[Future[Results], Task] = {}
    pending = iter(tasks)
    try:
        while True:
            while go_on() and len(running) < places() and (task := next(pending, None)) is not None:
                running[submit(task)] = task
            if not go_on():  # what no worker has begun is left
                running = {future: task for future, task in running.items() if not future.cancel()}
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


def _places(executor: Any) -> int:
    """How many chunks an executor gets at once: two for each of its workers, those that join later too."""
    client = getattr(executor, "_client", None)  # of Dask's
    n = getattr(executor, "_max_workers", 0) if client is None else sum(client.nthreads().values())
    return 2 * n or IN_FLIGHT
