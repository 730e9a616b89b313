"""What the engine makes of a function: for users who ask why it is fast, or why it is not."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax

from jaxdyn._record import record, static
from jaxdyn.engine.call import Call, call_of, lanes_of, traced
from jaxdyn.engine.census import Census, census
from jaxdyn.engine.engines import (
    COMPONENTS,
    NATIVE_COMPONENTS,
    VECTOR,
    Engine,
    Mosaic,
    Native,
    Vmap,
    Xla,
    chosen,
    width_of,
)
from jaxdyn.engine.programs import COMPILER_OPTIONS
from jaxdyn.engine.transform import is_refused, lanes, lowered

__all__ = ["Explanation", "explain"]


@record
class Explanation:
    """How a function of one lane is run for all lanes.

    `equations` and `equations_in_loops` count arithmetic on one component each; `whole` counts the primitives that
    work on whole arrays with the lanes last, and `fallbacks` those that go through JAX's batching, by name.
    Printed, it is a short report.
    """

    engine: Engine = static()
    platform: str = static()
    n_lanes: int = static()
    lanes_at_once: int = static()
    n_loops: int = static()
    equations: int = static()
    equations_in_loops: int = static()
    whole: dict[str, int] = static()
    fallbacks: dict[str, int] = static()
    fallbacks_in_loops: dict[str, int] = static()
    why: str | None = static()
    """Why not `Native`, where that was meant: no compiler, or what a loop holds has no text in C."""
    compile_seconds: float = static()
    flops_per_lane: float | None = static()
    """XLA's count for the program, loops counted once, where it gives one."""

    def __str__(self) -> str:
        lines = [
            f"engine: {self.engine} on {self.platform}" + (f" (not Native: {self.why})" if self.why else ""),
            f"lanes: {self.n_lanes}, {self.lanes_at_once} at once",
            f"taken apart: {self.equations} equations on components, {self.equations_in_loops} of them inside "
            f"{self.n_loops} loops (one iteration)",
            f"whole arrays, lanes last: {_listed(self.whole)}",
            f"without a rule, through jax.vmap: {_listed(self.fallbacks)}",
            f"of these inside loops: {_listed(self.fallbacks_in_loops)}",
            f"tracing and compiling: {self.compile_seconds:.2f} s",
        ]
        return "\n".join(lines)


def explain(fn: Callable[..., Any], *args: Any, in_axes: Any = 0, engine: Engine | None = None) -> Explanation:
    """Report of how `lanes(fn, in_axes)(*args)` would be run; compiles it, runs nothing.

    Parameters
    ----------
    fn, in_axes, engine
        As in `lanes`.
    *args
        Arguments with their lanes; arrays or `jax.ShapeDtypeStruct`.

    Returns
    -------
    Explanation
        Engine, lanes at once, equations by how they are run, time to compile.

    Raises
    ------
    TypeError, ValueError
        As `lanes`.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> def end(I):
    ...     return jaxdyn.final_state(neuron.with_params(I=I), n_steps=100, dt=0.1).x
    >>> jaxdyn.explain(end, jnp.linspace(0.0, 1.0, 1000)).fallbacks
    {}
    """
    lanes(fn, engine=engine)  # complains about what is no function, or no engine
    call, arrays = call_of(fn, in_axes, 0, engine, args, {})
    n = lanes_of(call, arrays)
    platform = jax.default_backend()
    closed, _ = traced(call, arrays)
    flags = [axis is not None for axis in call.array_axes]
    used = engine or chosen(closed.jaxpr, flags, platform, n)
    began = time.perf_counter()
    used, why = _possible(used, closed, flags, n)
    compiled, used = _compiled(call, arrays, used)
    seconds = time.perf_counter() - began
    limit = 0
    if isinstance(used, Xla | Native | Mosaic):
        limit = used.components or (NATIVE_COMPONENTS if isinstance(used, Native) else COMPONENTS)
    counts = census(closed.jaxpr, flags, limit)
    cost = compiled.cost_analysis()
    flops = cost.get("flops") if isinstance(cost, dict) else None
    return Explanation(
        engine=used,
        platform=platform,
        n_lanes=n,
        lanes_at_once=_at_once(used, counts, n, platform),
        n_loops=counts.loops,
        equations=counts.equations,
        equations_in_loops=counts.in_loops,
        whole=_plain(counts.dense),
        fallbacks=_plain(counts.fallbacks),
        fallbacks_in_loops=_plain(counts.fallbacks_in_loops),
        why=why,
        compile_seconds=seconds,
        flops_per_lane=None if flops is None or n == 0 else flops / n,
    )


def _possible(engine: Engine, closed: Any, flags: list[bool], n: int) -> tuple[Engine, str | None]:
    """The engine that runs where `Native` cannot, and why."""
    if not isinstance(engine, Native):
        return engine, None
    from jaxdyn.engine.native import why_not

    why = why_not(engine, closed, flags, n)
    return (engine, None) if why is None else (engine.instead or Xla(components=engine.components), why)


def _compiled(call: Call, arrays: list[Any], engine: Engine) -> tuple[Any, Engine]:
    """The program, and its engine: `Vmap` where XLA could not compile the one that was meant."""
    options = COMPILER_OPTIONS.get(jax.default_backend())
    try:
        return lowered(dataclasses.replace(call, engine=engine), arrays).compile(options), engine
    except jax.errors.JaxRuntimeError as error:
        if not is_refused(error):
            raise
    return lowered(dataclasses.replace(call, engine=Vmap()), arrays).compile(options), Vmap()


def _at_once(engine: Engine, counts: Census, n: int, platform: str) -> int:
    if isinstance(engine, Mosaic):
        return engine.block
    if isinstance(engine, Native):
        return VECTOR * engine.vectors if engine.vectors else n
    return width_of(engine, counts, n, platform) if isinstance(engine, Xla) else n


def _plain(counts: Counter[str]) -> dict[str, int]:
    return {name: n for name, n in sorted(counts.items()) if n}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "nothing"
