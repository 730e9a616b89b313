"""Loops and branches of a C program: each function gets the `Writer` that walks over the equations around them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import DropVar

from jaxdyn.engine.control import opened
from jaxdyn.engine.kernels import Unsupported
from jaxdyn.engine.native_queue import go_on, left_when
from jaxdyn.engine.native_terms import Stream, Term, c_type, spread

__all__ = ["CONTROL"]

# Iterations that a loop which ends by a test is taken to have.
TYPICAL = 1000


def _carried(writer: Any, variables: Sequence[Any], terms: Sequence[Any]) -> list[Term]:
    """Variables that a loop or a branch changes."""
    if any(isinstance(term, Stream) for term in terms):
        raise Unsupported("an array of all iterations of a loop within another loop")
    return [
        writer.declared(t, vector=writer.varies(v.aval), constant=False) for v, t in zip(variables, terms, strict=True)
    ]


def _assign(writer: Any, variables: Sequence[Term], terms: Sequence[Term]) -> None:
    """New values of variables, all at once."""
    names = {variable.text for variable in variables}
    moving = [(v, t) for v, t in zip(variables, terms, strict=True) if v.text != t.text]
    safe = [(v, writer.declared(t) if t.text in names else t) for v, t in moving]
    if not all(v.vector for v, _ in moving):
        writer.flush()  # what reads the old value of a number that all lanes share
    for variable, term in safe:
        text = spread(term) if variable.vector else term.text
        writer.write(f"{variable.text} = {text};", variable.vector)


def _scan(writer: Any, equation: Any, operands: list[Any]) -> list[Any]:
    """A loop of so many iterations."""
    params = equation.params
    n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
    jaxpr, inner = opened(params["jaxpr"])
    consts, xs = operands[:n_consts], operands[n_consts + n_carry :]
    stacked = equation.outvars[n_carry:]
    targets = [None if isinstance(v, DropVar) else writer.targets.get(v) for v in stacked]
    if any(t is None and not isinstance(v, DropVar) for t, v in zip(targets, stacked, strict=True)):
        raise Unsupported("a loop within a loop that stacks results")
    carry = _carried(writer, equation.outvars[:n_carry], operands[n_consts : n_consts + n_carry])
    writer.flush()
    i = writer.name()
    n = writer.length(length)
    order = f"long {i} = {n}; {i}-- > 0;" if params["reverse"] else f"long {i} = 0; {i} < {n}; {i}++"
    writer.write(f"for ({order}) {{")
    writer.times *= length
    rows = [writer.loaded(x.buffer, x.dtype, x.vector, i) for x in xs]
    results = writer.run(jaxpr, inner, [*consts, *carry, *rows])
    for target, y in zip(targets, results[n_carry:], strict=True):
        if target is not None:
            writer.store(target.buffer, y, target.vector, i)
    _assign(writer, carry, results[:n_carry])
    writer.flush()
    writer.times /= max(length, 1)
    writer.write("}")
    return [*carry, *targets]


def _loop_while(writer: Any, equation: Any, operands: list[Any]) -> list[Any]:
    """A loop that ends by a test."""
    params = equation.params
    n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
    for_test, for_body, start = operands[:n_test], operands[n_test : n_test + n_body], operands[n_test + n_body :]
    carry = _carried(writer, equation.outvars, start)
    is_queued = equation is writer.queued
    if is_queued:
        go_on(writer, carry)
    writer.flush()
    begins = len(writer.lines)
    writer.write("for (;;) {")
    writer.times *= TYPICAL
    if is_queued:
        left_when(writer, carry[0])
    else:
        (test,) = writer.run(*opened(params["cond_jaxpr"]), [*for_test, *carry])
        if test.vector:
            raise Unsupported("a loop whose test is not one number")
        writer.flush()
        writer.write(f"if (!{test.text}) break;")
    _assign(writer, carry, writer.run(*opened(params["body_jaxpr"]), [*for_body, *carry]))
    writer.flush()
    writer.times /= TYPICAL
    writer.write("}")
    if is_queued:
        writer.of_queue = (begins, len(writer.lines) - begins)
        writer.store("(char *)places.active", carry[0], True)
    return list(carry)


def _cond(writer: Any, equation: Any, operands: list[Any]) -> list[Any]:
    """Branches that all lanes take together."""
    branches = equation.params["branches"]
    index, rest = operands[0], operands[1:]
    if index.vector:
        raise Unsupported("a branch that lanes take by themselves")
    writer.flush()
    results = [
        Term(writer.name() + ("_@" if writer.varies(v.aval) else ""), np.dtype(v.aval.dtype), writer.varies(v.aval))
        for v in equation.outvars
    ]
    for result in results:
        writer.write(f"{c_type(result.dtype, result.vector)} {result.text};", result.vector)
    writer.flush()
    for k, branch in enumerate(branches):
        last = k == len(branches) - 1
        test = "" if last else f"if ({index.text} {'<=' if k == 0 else '=='} {k}) "
        writer.write(f"{'else ' if k else ''}{test}{{")
        _assign(writer, results, writer.run(*opened(branch), rest))
        writer.flush()
        writer.write("}")
    return results


CONTROL: dict[str, Callable[[Any, Any, list[Any]], list[Any]]] = {
    "cond": _cond,
    "scan": _scan,
    "while": _loop_while,
}
"""How each primitive of control flow is written down."""
