"""Who computes the chunks of a sweep: threads of this process, or any `concurrent.futures.Executor`."""

import contextlib
import functools
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jaxdyn.engine.cores import limited_cores
from jaxdyn.sweeps.grid import Region
from jaxdyn.sweeps.plan import Plan, make_plan

__all__ = ["Job", "check_executor", "results_of"]

Results = dict[str, np.ndarray[Any, Any]]
Task = tuple[Region, "np.ndarray[Any, Any] | None"]
"""A region, and which of its cells are wanted if not all."""

NAME = "jaxdyn-sweep"
"""Of the threads."""

IN_FLIGHT = 64
"""Chunks that an executor is given at once if it does not tell how many it can work on."""


class Job:
    """What another process needs to compute chunks: the arguments of the plan, as bytes."""

    def __init__(self, *arguments: Any) -> None:
        try:
            from cloudpickle import dumps  # takes lambdas and functions of a notebook too; comes with Dask
        except ImportError:
            dumps = pickle.dumps
        try:
            self.bytes = dumps((arguments, bool(jax.config.jax_enable_x64)))  # pyright: ignore[reportAttributeAccessIssue]
        except Exception as error:
            raise TypeError(
                f"system and measure must go to other processes: {error}; "
                "define their functions in a module, or install cloudpickle"
            ) from error


def compute_elsewhere(job: bytes, *task: Any) -> Results:
    """Results of a region, in a worker: on one core, because workers share out the machine's."""
    with limited_cores(1):
        return _plan_of(job).compute(*task)


@functools.lru_cache(4)
def _plan_of(job: bytes) -> Plan:
    arguments, x64 = pickle.loads(job)  # comes from the process that asked, never from a store
    with jax.enable_x64(x64):
        return make_plan(*arguments)


def check_executor(executor: Any) -> None:
    """Complain about what is no executor."""
    if executor is not None and not (
        callable(getattr(executor, "submit", None)) and callable(getattr(executor, "map", None))
    ):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}; "
            "of a Dask client it is client.get_executor()"
        )


def results_of(
    plan: Plan, tasks: Iterable[Task], executor: Executor | None, job: Callable[[], Job], go_on: Callable[[], bool]
) -> Generator[tuple[Task, Results], None, None]:
    """Results of tasks in order, some in flight; when `go_on` says no, those in flight and no more."""
    if executor is None:
        n = plan.programs.first.n_workers
        with ThreadPoolExecutor(n, thread_name_prefix=NAME) as pool:
            yield from _in_flight(lambda task: pool.submit(plan.compute, *task), tasks, 2 * n, go_on)
    elif isinstance(executor, ThreadPoolExecutor):  # of this process: nothing need be copied
        yield from _in_flight(lambda task: executor.submit(plan.compute, *task), tasks, _places(executor), go_on)
    else:
        given = job().bytes

        def submit(task: Task) -> Future[Results]:
            return executor.submit(compute_elsewhere, given, *task)

        try:
            yield from _in_flight(submit, tasks, _places(executor), go_on)
        except BrokenExecutor as error:
            raise RuntimeError(
                f"a worker process died ({error}); with a store, the same call goes on from the finished chunks"
            ) from error


def _in_flight(
    submit: Callable[[Task], Future[Results]], tasks: Iterable[Task], n: int, go_on: Callable[[], bool]
) -> Iterator[tuple[Task, Results]]:
    waiting: deque[tuple[Task, Future[Results]]] = deque()
    pending = iter(tasks)
    try:
        while True:
            while go_on() and len(waiting) < n and (task := next(pending, None)) is not None:
                waiting.append((task, submit(task)))
            if not go_on():  # what no worker has begun is left
                waiting = deque((task, future) for task, future in waiting if not future.cancel())
            if not waiting:
                return
            task, future = waiting.popleft()
            yield task, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _places(executor: Any) -> int:
    """How many chunks an executor gets at once: two for each of its workers."""
    with contextlib.suppress(Exception):
        client = getattr(executor, "_client", None)
        n = sum(client.nthreads().values()) if client is not None else executor._max_workers
        return 2 * max(1, int(n))
    return IN_FLIGHT
