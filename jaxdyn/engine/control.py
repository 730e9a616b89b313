"""Rules for control flow: calls, loops and branches, each interpreted in turn."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from jaxdyn.engine.census import census, results_vary, varying
from jaxdyn.engine.dense import fallback
from jaxdyn.engine.hoisting import split
from jaxdyn.engine.values import Value, components, pack, spread, unpack
from jaxdyn.system import FIELD

__all__ = ["CONTROL", "ONE_FUNCTION", "opened"]

ONE_FUNCTION = {"xla_cpu_small_call": "true", "inlineable": "false"}
"""Marks a call as a function of its own, which XLA:CPU compiles into the one that calls it."""

# Component equations of an unrolled body, and steps in it: more take long to compile and gain nothing.
UNROLLED = 1200
MOST_UNROLLED = 16


def _call(engine: Any, equation: Any, operands: list[Value]) -> list[Value]:
    """A function within the function: its body in place."""
    inner = opened(equation.params.get("jaxpr") or equation.params["call_jaxpr"])
    if equation.params.get("name") == FIELD and engine.separates(operands, equation.outvars):
        return _separate(engine, inner, equation.outvars, operands)
    return engine.run(*inner, operands)


def _separate(engine: Any, inner: Any, outvars: Any, operands: list[Value]) -> list[Value]:
    """The field as a function of its own: XLA:CPU would repeat it for each of the numbers that come of it."""
    layouts = [engine.layout(value.shape, value.dtype, value.varies) for value in operands]
    flags = varying(inner[0], [value.varies for value in operands])
    outs = [engine.layout(v.aval.shape, v.aval.dtype, flag) for v, flag in zip(outvars, flags, strict=True)]
    function = jax.jit(lambda packed: pack(outs, engine.run(*inner, unpack(layouts, packed))))
    with set_xla_metadata(**ONE_FUNCTION):
        return unpack(outs, function(pack(layouts, operands)))


def opened(jaxpr: Any) -> tuple[Any, list[Any]]:
    """Equations and constants, also of a jaxpr that closes over nothing."""
    return (jaxpr.jaxpr, list(jaxpr.consts)) if hasattr(jaxpr, "consts") else (jaxpr, [])


def _custom_derivative(engine: Any, equation: Any, operands: list[Value]) -> list[Value]:
    """The function in components; its derivative rule, if anyone asks, through JAX's batching."""
    varies = any(value.varies for value in operands)
    layouts = [engine.layout(value.shape, value.dtype, value.varies) for value in operands]
    outs = [engine.layout(out.aval.shape, out.aval.dtype, varies) for out in equation.outvars]

    @jax.custom_jvp
    def function(packed: Any) -> Any:
        return pack(outs, _call(engine, equation, unpack(layouts, packed)))

    def plain(packed: Any) -> Any:
        return pack(outs, fallback(equation, unpack(layouts, packed), engine.lanes))

    function.defjvp(lambda primals, tangents: jax.jvp(plain, primals, tangents))
    return unpack(outs, function(pack(layouts, operands)))


def _barrier(engine: Any, _: Any, operands: list[Value]) -> list[Value]:
    layouts = [engine.layout(value.shape, value.dtype, value.varies) for value in operands]
    return unpack(layouts, lax.optimization_barrier(pack(layouts, operands)))


def _steps_at_once(engine: Any, jaxpr: Any, flags: list[bool]) -> int:
    """Steps of a scan in one body: one where it holds a loop, which would be compiled as often."""
    if engine.unroll == 1:
        return 1
    counts = census(jaxpr, flags, engine.limit)
    if counts.loops or counts.fallbacks_in_loops:
        return 1
    if engine.unroll is not None:
        return engine.unroll
    size = max(1, counts.equations + counts.dense.total())
    return 1 << (max(1, min(MOST_UNROLLED, UNROLLED // size)).bit_length() - 1)


def _scan(engine: Any, equation: Any, operands: list[Value]) -> list[Value]:
    params = equation.params
    n_consts, n_carry = params["num_consts"], params["num_carry"]
    jaxpr, inner = opened(params["jaxpr"])
    at_first = engine.hoists and not engine.in_loop
    if at_first and (parts := split(equation, [value.varies for value in operands])) is not None:
        return parts.run(operands, lambda rest, given: _scan(engine, rest, given))
    consts, init, xs = operands[:n_consts], operands[n_consts : n_consts + n_carry], operands[n_consts + n_carry :]
    out_flags = results_vary(equation, [value.varies for value in operands])
    flags = out_flags[:n_carry]
    outs = [out.aval for out in jaxpr.outvars]
    layouts = [engine.layout(v.shape, v.dtype, flag) for v, flag in zip(init, flags, strict=True)]
    stacked = [
        engine.layout(v.shape, v.dtype, flag) for v, flag in zip(outs[n_carry:], out_flags[n_carry:], strict=True)
    ]

    # In a kernel there is no place for arrays.
    apart = [at_first and 1 <= math.prod(v.shape[1:]) <= engine.limit for v in xs]
    unroll = _steps_at_once(engine, jaxpr, [v.varies for v in consts] + flags + [v.varies for v in xs])
    options = {"length": params["length"], "reverse": params["reverse"], "unroll": unroll}

    def loop(carry: Any, x: Any) -> Any:
        def body(carry: Any, x: Any) -> Any:
            values = unpack(layouts, carry)
            steps = [_element(engine, v, columns, a) for v, columns, a in zip(xs, x, apart, strict=True)]
            results = engine.run(jaxpr, inner, [*(v.fresh() for v in consts), *values, *steps])
            packed = pack([*layouts, *stacked], results)
            return packed[:n_carry], packed[n_carry:]

        return lax.scan(body, carry, x, **options)

    carry, ys = engine.loop(loop, pack(layouts, init), [_columns(v, a) for v, a in zip(xs, apart, strict=True)])
    return unpack(layouts, carry) + [layout.unpack_stacked(arrays) for layout, arrays in zip(stacked, ys, strict=True)]


def _columns(value: Value, apart: bool) -> list[Any]:
    """What a loop goes through element by element: an array a component, or the whole."""
    whole = jnp.asarray(value.whole)
    return [whole[:, *index] for index in np.ndindex(*value.shape[1:])] if apart else [whole]


def _element(engine: Any, value: Value, columns: list[Any], apart: bool) -> Value:
    """One element again."""
    if apart:
        return Value.of_parts(engine.lanes, components(columns, value.shape[1:]), value.dtype)
    return Value.of_whole(engine.lanes, columns[0]) if value.varies else Value.shared(engine.lanes, columns[0])


def _while(engine: Any, equation: Any, operands: list[Value]) -> list[Value]:
    params = equation.params
    n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
    test_consts, body_consts, init = operands[:n_test], operands[n_test : n_test + n_body], operands[n_test + n_body :]
    test, test_inner = opened(params["cond_jaxpr"])
    step, step_inner = opened(params["body_jaxpr"])
    # Lanes that end at different times keep what they had: everything they carry then differs between them.
    flags = results_vary(equation, [value.varies for value in operands])
    (masked,) = varying(test, [v.varies for v in test_consts] + flags)
    layouts = [engine.layout(v.shape, v.dtype, flag) for v, flag in zip(init, flags, strict=True)]

    def go_on(values: list[Value]) -> Any:
        (result,) = engine.run(test, test_inner, [*(v.fresh() for v in test_consts), *values])
        return result.parts[()]

    def advance(values: list[Value]) -> list[Any]:
        return pack(layouts, engine.run(step, step_inner, [*(v.fresh() for v in body_consts), *values]))

    def unpacked(carry: Any) -> list[Value]:
        return unpack(layouts, carry)

    def loop(carry: Any, _: Any) -> Any:
        def masked_body(state: Any) -> Any:
            active, carry = state
            new = advance(unpacked(carry))
            kept = jax.tree.map(lambda a, b: _chosen(active, a, b), new, carry)
            still = spread(go_on(unpacked(kept)), engine.lanes)
            return jnp.logical_and(active, still), kept

        if not masked:
            return lax.while_loop(lambda c: go_on(unpacked(c)), lambda c: advance(unpacked(c)), carry)
        active = spread(go_on(unpacked(carry)), engine.lanes)
        return lax.while_loop(lambda state: jnp.any(state[0]), masked_body, (active, carry))[1]

    return unpacked(engine.loop(loop, pack(layouts, init), []))


def _chosen(mask: Any, new: Any, old: Any) -> Any:
    """The new number of lanes in the mask, the old one of others; the lanes are the last axis."""
    return lax.select(jnp.broadcast_to(mask, new.shape), new, old)


def _cond(engine: Any, equation: Any, operands: list[Value]) -> list[Value]:
    params = equation.params
    index, *rest = operands
    branches = [opened(branch) for branch in params["branches"]]
    by_platform = params.get("branches_platforms")
    if index.varies:
        results = [engine.run(*branch, rest) for branch in branches]
        return [_selected(index, list(choices), engine) for choices in zip(*results, strict=True)]
    if index.known and by_platform is None:
        return engine.run(*branches[min(max(int(index.whole), 0), len(branches) - 1)], rest)
    flags = results_vary(equation, [value.varies for value in operands])
    outs = [out.aval for out in branches[0][0].outvars]
    layouts = [engine.layout(v.shape, v.dtype, flag) for v, flag in zip(outs, flags, strict=True)]

    def packed(branch: Any) -> Any:
        return lambda *arrays: pack(layouts, engine.run(*branch, unpack(given, arrays)))

    # Operands are handed in: what a value unpacks within a branch must not be found by the next one.
    given = [engine.layout(value.shape, value.dtype, value.varies) for value in rest]
    handed = pack(given, rest)

    if by_platform is None:
        arrays = lax.switch(index.whole, [packed(branch) for branch in branches], *handed)
    else:  # chosen when the program is lowered for a platform
        pairs = [
            (name, packed(b)) for names, b in zip(by_platform, branches, strict=True) for name in names or ("default",)
        ]
        arrays = lax.platform_dependent(*handed, **dict(pairs))
    return unpack(layouts, arrays)


def _selected(index: Value, choices: list[Value], engine: Any) -> Value:
    """Result of the branch that each lane takes, all of them computed."""
    layout = engine.layout(choices[0].shape, choices[0].dtype, True)
    which = spread(index.parts[()], engine.lanes)
    columns = zip(*(layout.pack(choice) for choice in choices), strict=True)
    results = []
    for column in columns:
        result = column[0]
        for i, array in enumerate(column[1:], start=1):
            result = _chosen(which >= i, array, result)
        results.append(result)
    return layout.unpack(results)


CONTROL = {
    "checkpoint": _call,
    "closed_call": _call,
    "cond": _cond,
    "core_call": _call,
    "custom_jvp_call": _custom_derivative,
    "jit": _call,
    "optimization_barrier": _barrier,
    "pjit": _call,
    "remat2": _call,
    "scan": _scan,
    "while": _while,
}
"""Equations that hold other equations."""
