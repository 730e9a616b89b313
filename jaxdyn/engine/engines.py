"""Engines: ways to run a function of one lane on all lanes, and the choice among them."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxdyn._types import whole_number
from jaxdyn.engine import native_compiler
from jaxdyn.engine.census import Census, calls_back, census, varying
from jaxdyn.engine.interpreter import Interpreter
from jaxdyn.engine.values import Value, filled

__all__ = [
    "VECTOR",
    "Automatic",
    "Engine",
    "Mosaic",
    "Native",
    "Vmap",
    "Xla",
    "check_engine",
    "chosen",
    "multiplies",
    "run_components",
    "width_of",
]

# Component equations of a function's loops: XLA's time to compile grows faster than their number.
MOST_EQUATIONS = 10_000
# Expensive equations of a loop, if XLA repeats them for each number that the loop carries: it fuses whatever leads to a
# result into the code that computes it.
MOST_REPEATED = 800
# What takes fewer iterations than this, and fewer times lanes than that, is over before more compiling would pay: a C
# program costs some tenths of a second more than JAX's batching, XLA's components whole seconds.
BRIEF = 20_000
LITTLE, LITTLE_NATIVE = 1_000_000, 200_000
# Lanes times iterations times component equations, one of many instructions for twenty, that JAX's batching does in a
# tenth of a millisecond.
FEW = 25_000_000
# Long runs of systems of some ten states: C programs of up to this many equations take some seconds longer to compile
# than JAX's batching, and then a twentieth of its time, which is some seconds for a million iterations of a lane.
LONG, MOST_NATIVE = 1_000_000, 30_000
# Lanes times equations times iterations from which several cores pay: some milliseconds, which threads cost.
MUCH = 300_000_000
# Components of the largest arrays taken apart.
COMPONENTS = 64
NATIVE_COMPONENTS = 128
# Lanes of one block on a CPU: its numbers stay in the first-level cache, its loops fill wide vectors.
BLOCK = 128
# XLA:CPU (jax 0.10) cannot compile a loop as one function if it holds a fusion that it would share among threads: one
# of 1.5 times this cost by its own model.
MOST_COST = 130_000
# Multiplications by shared matrices in one iteration, a lane, from which the product for all lanes at once decides:
# random networks of 100 to 500 neurons and their spectra run up to 1.6 times as fast as by JAX's batching, 64 lanes.
MANY_PRODUCTS = 1 << 14
# And so many for each of products whose factors both differ between lanes, for which JAX's order is faster: a network
# of two layers in training, 16 to one, takes 2.5 times as long with the lanes last.
MANY_TO_ONE = 64
# Lanes of a kernel's block: one for each thread of the four warps that Mosaic computes with.
WARPGROUP = 128
# Lanes of the widest vectors (512 bits of float32).
VECTOR = 16


@dataclasses.dataclass(frozen=True)
class Vmap:
    """`jax.vmap`: right for everything, and the yardstick."""


@dataclasses.dataclass(frozen=True)
class Xla:
    """Components as separate arrays of lanes, compiled by XLA; on a CPU in blocks of lanes."""

    block: int | None = None
    """Lanes computed at once; by default all of them on an accelerator, as many as fit the cache on a CPU."""
    unroll: int | None = None
    """Steps of a loop in one body; by default at most 16 on an accelerator, 1 on a CPU; innermost loops only."""
    components: int | None = None
    """Components of the largest array that is taken apart; by default 64."""
    threads: int | None = None
    """Cores of a CPU that share the lanes of a call outside `jit`; by default all."""


@dataclasses.dataclass(frozen=True)
class Native:
    """Each loop a C program with the state in vector registers, for CPUs with a C compiler; elsewhere `Xla`."""

    vectors: int | None = None
    """Vectors of 16 lanes, 8 in float64, that go through a loop together; by default 1 to 8, more for shorter loops."""
    components: int | None = None
    """Components of the largest array that is taken apart; by default 128."""
    threads: int | None = None
    """Threads that share the lanes of a loop; by default one a core."""
    instead: "Xla | Vmap | None" = dataclasses.field(default=None, repr=False)
    """What does it, without a warning, where this engine cannot; by default `Xla`, with one."""


@dataclasses.dataclass(frozen=True)
class Mosaic:
    """Each loop one kernel with the state in registers, for NVIDIA GPUs from Hopper on; elsewhere `Xla`."""

    block: int = WARPGROUP
    """Lanes of a block, a multiple of 128; with 256 each thread has two of them."""
    unroll: int | None = None
    """Steps of an innermost loop in one body; by default as many as 512 equations make, at most 8."""
    components: int | None = None
    """Components of the largest array that is taken apart; by default 64."""
    interpret: bool = False
    """Run the kernels as ordinary JAX, on any platform: slow, for tests."""


Engine = Vmap | Xla | Native | Mosaic


def check_engine(engine: Any) -> None:
    """Complain about what is no engine, or one with impossible options."""
    if engine is None or isinstance(engine, Vmap | Automatic):
        return
    if not isinstance(engine, Xla | Native | Mosaic):
        expected = "Xla(...), Native(...), Mosaic(...), Vmap() or None for the best one"
        raise TypeError(f"engine must be {expected}, got {engine!r}")
    for name in ("block", "unroll", "components", "threads", "vectors"):
        if (value := getattr(engine, name, None)) is not None or (name, Mosaic) == ("block", type(engine)):
            whole_number(value, f"{name} of engine={engine}")
    if isinstance(engine, Mosaic) and engine.block % WARPGROUP:
        raise ValueError(f"block of engine={engine} must be a multiple of {WARPGROUP}, the threads of a block")


@dataclasses.dataclass(frozen=True)
class Automatic:
    """The engine that fits a function, for a program that `lanes` go through in all, in one call or in several."""

    lanes: int | None = None


def chosen(jaxpr: Any, flags: list[bool], platform: str, lanes: int) -> Engine:
    """The engine for a function: components where they pay, whole arrays with the lanes last, JAX's batching."""
    if calls_back(jaxpr):
        return Vmap()
    counts = census(jaxpr, flags, COMPONENTS)
    if not counts.loops:
        return Vmap()
    work = lanes * counts.iterations
    few = not counts.dense_in_loops and work * (counts.in_loops + 20 * counts.expensive) < FEW
    brief = counts.iterations < BRIEF and (work < LITTLE or few)
    # Less than that asks for no C program, nor whether there is a compiler.
    pays = counts.iterations >= BRIEF or (work >= LITTLE_NATIVE and not few)
    if platform == "cpu" and pays and native_compiler.unavailable() is None:
        if _small(counts, MOST_EQUATIONS):
            return Native(instead=Vmap() if brief else Xla(components=COMPONENTS))
        if work >= LONG and _small(census(jaxpr, flags, NATIVE_COMPONENTS), MOST_NATIVE):
            return Native(instead=Vmap())
    if platform == "cpu" and multiplies(counts):
        return Xla(block=lanes, components=1)
    if brief or _foreign(counts):
        return Vmap()
    if _small(counts, MOST_EQUATIONS) and counts.repeated <= MOST_REPEATED:
        return Xla(components=COMPONENTS)
    return Xla(components=1) if platform == "cpu" and not _foreign(census(jaxpr, flags, 1)) else Vmap()


def _small(counts: Census, most: int) -> bool:
    """Whether all arrays in loops are taken apart, and into few equations."""
    return counts.in_loops <= most and not counts.dense_in_loops and not _foreign(counts)


def multiplies(counts: Census) -> bool:
    """Whether loops multiply by large matrices that all lanes share: with the lanes last, once for all of them."""
    left_to_jax = counts.fallbacks_in_loops.keys() & {"scan", "while"}
    products = counts.products_in_loops
    return products["shared"] >= max(MANY_PRODUCTS, MANY_TO_ONE * products["own"]) and not left_to_jax


def _foreign(counts: Census) -> bool:
    """Whether loops hold what only JAX's batching knows, or combine large arrays, which wants all lanes at once."""
    combined = (n for name, n in counts.dense_in_loops.items() if name == "dot_general" or name.startswith("reduce"))
    return any(counts.fallbacks_in_loops.values()) or any(combined)


def run_components(engine: Xla, closed: Any, arguments: list[Value], lanes: int, platform: str) -> list[Value]:
    """Results of a traced function for all lanes, in blocks where the engine says so."""
    limit = COMPONENTS if engine.components is None else engine.components
    counts = census(closed.jaxpr, [value.varies for value in arguments], limit)
    width = lanes if calls_back(closed.jaxpr) else width_of(engine, counts, lanes, platform)
    unroll = engine.unroll or (1 if platform == "cpu" else None)
    one_function = platform == "cpu" and width * _fusion_cost(counts) <= MOST_COST

    def run(width: int, values: list[Value]) -> list[Value]:
        return Interpreter(width, limit, unroll=unroll, one_function=one_function).run(
            closed.jaxpr, closed.consts, values
        )

    if width == lanes:
        return run(lanes, arguments)
    n_blocks = math.ceil(lanes / width)
    flags = [value.varies for value in arguments]
    given = [_in_blocks(value.whole, n_blocks, width) for value in arguments if value.varies]
    out_flags = varying(closed.jaxpr, flags)

    def one_block(arrays: list[Any]) -> list[Any]:
        own = iter(arrays)
        values = [Value.of_whole(width, next(own)) if v.varies else Value.shared(width, v.whole) for v in arguments]
        results = run(width, values)
        return [v.spread_whole() if flag else v.whole for v, flag in zip(results, out_flags, strict=True)]

    results = lax.map(one_block, given)
    return [
        Value.of_whole(lanes, _joined(array, lanes)) if flag else Value.shared(lanes, array[0])
        for array, flag in zip(results, out_flags, strict=True)
    ]


def width_of(engine: Xla, counts: Census, lanes: int, platform: str) -> int:
    """Lanes of one block: blocks of equal width, whole vectors, few lanes wasted."""
    block = lanes if engine.block is None else engine.block
    if engine.block is None and platform == "cpu":
        fitting = VECTOR * (MOST_COST // _fusion_cost(counts) // VECTOR)
        block = max(VECTOR, min(BLOCK, fitting))
    if lanes <= block:
        return lanes
    return min(block, VECTOR * math.ceil(lanes / math.ceil(lanes / block) / VECTOR))


def _fusion_cost(counts: Census) -> int:
    """Upper bound of what XLA:CPU takes one fusion of a loop to cost, a lane: operations and 10 for each byte.

    Twice the equations, because XLA takes some apart.
    """
    return 2 * counts.iteration + 10 * counts.carried + 1


def _in_blocks(array: Any, n_blocks: int, width: int) -> Any:
    """Lanes (the last axis) as (n_blocks, ..., width); the last block is filled up with its last lane."""
    array = filled(array, n_blocks * width)
    return jnp.moveaxis(array.reshape(*array.shape[:-1], n_blocks, width), -2, 0)


def _joined(array: Any, lanes: int) -> Any:
    """The lanes of all blocks as the last axis again, without those that filled up."""
    array = jnp.moveaxis(array, 0, -2)
    return array.reshape(*array.shape[:-2], array.shape[-2] * array.shape[-1])[..., :lanes]
