"""What all lanes share in a loop, such as the noise of one random key, in a loop of its own before it.

Blocks of lanes would each compute it again, in every iteration. The loop of the lanes then reads what the first has
written down::

    for i:  noise = normal(key, i)                    for i:  noise[i] = normal(key, i)           once
            x = x + f(x) dt + g noise                 for i:  x = x + f(x) dt + g noise[i]        every lane
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from jaxdyn.engine.census import needed
from jaxdyn.engine.values import Value

__all__ = ["Split", "split"]

# Numbers that all lanes share, an iteration, from which it pays to write down those that lanes read; and for each of
# these, which all lanes must then load.
MANY, FOR_ONE = 64, 8
# Bytes that may be written down in all iterations.
MOST_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class Split:
    """A scan as two: of what all lanes share, and of the rest."""

    shared: Any
    """Equations of an iteration of the first: shared constants, carry and elements in, carry, elements and what the
    second reads out."""
    rest: Any
    """The second as an equation, which takes all constants, its carry, all elements and what it reads."""
    own: tuple[list[bool], list[bool], list[bool]]
    """Whether a constant, number of the carry or element is of lanes."""
    own_ys: list[bool]
    """The same of the elements that come out."""

    def run(self, operands: Sequence[Value], run_rest: Callable[[Any, list[Value]], list[Value]]) -> list[Value]:
        """Results of the scan."""
        lanes, params = operands[0].lanes, self.rest.params
        n_consts, n_carry = (len(flags) for flags in self.own[:2])
        parts = (operands[:n_consts], operands[n_consts : n_consts + n_carry], operands[n_consts + n_carry :])
        consts, init, xs = ([v.whole for v in _of(part, own, False)] for part, own in zip(parts, self.own, strict=True))
        run = jaxpr_as_fun(self.shared)

        def body(carry: Any, x: Any) -> Any:
            results = run(*consts, *carry, *x)
            return results[: len(init)], results[len(init) :]

        first, left = lax.scan(body, init, xs, length=params["length"], reverse=params["reverse"])
        n_ys = self.own_ys.count(False)
        shared = [Value.shared(lanes, array) for array in (*first, *left)]
        streams = shared[len(init) + n_ys :]
        second = run_rest(self.rest, [*parts[0], *_of(parts[1], self.own[1], True), *parts[2], *streams])
        n_own = self.own[1].count(True)
        carry = _merged(self.own[1], second[:n_own], shared[: len(init)])
        return carry + _merged(self.own_ys, second[n_own:], shared[len(init) : len(init) + n_ys])


def split(equation: Any, flags: Sequence[bool]) -> Split | None:
    """A scan whose operands differ between lanes where the flags say so, as two; None where that would not pay."""
    params, closed = equation.params, equation.params["jaxpr"]
    jaxpr, n_consts, n_carry = closed.jaxpr, params["num_consts"], params["num_carry"]
    own_in, equations = list(flags), needed(jaxpr)
    constants = {*jaxpr.constvars, *jaxpr.invars[:n_consts]}
    while True:  # what a number of the carry becomes decides on what it is
        of_lanes = {v for v, own in zip(jaxpr.invars, own_in, strict=True) if own}
        same = constants - of_lanes
        shared, rest = _parted(equations, of_lanes, same)
        own_out = [not isinstance(v, Literal) and v in of_lanes for v in jaxpr.outvars]
        carry = [a or b for a, b in zip(own_in[n_consts : n_consts + n_carry], own_out, strict=False)]
        if carry == own_in[n_consts : n_consts + n_carry]:
            break
        own_in[n_consts : n_consts + n_carry] = carry
    ins = (jaxpr.invars[:n_consts], jaxpr.invars[n_consts : n_consts + n_carry], jaxpr.invars[n_consts + n_carry :])
    own = (own_in[:n_consts], carry, own_in[n_consts + n_carry :])
    own_ys, outs, ys = own_out[n_carry:], jaxpr.outvars[:n_carry], jaxpr.outvars[n_carry:]
    rest_outs = [*_of(outs, carry, True), *_of(ys, own_ys, True)]
    made = {v for e in shared for v in e.outvars} - same | set(_of(ins[1], carry, False))
    used = [v for v in [*(v for e in rest for v in e.invars), *rest_outs] if not isinstance(v, Literal)]
    read = list(dict.fromkeys(v for v in used if v in made))
    if not rest_outs or any(e.effects for e in equations) or not _pays(made, read, params["length"]):
        return None
    shared_jaxpr = jaxpr.replace(
        invars=[v for part, flag in zip(ins, own, strict=True) for v in _of(part, flag, False)],
        outvars=[*_of(outs, carry, False), *_of(ys, own_ys, False), *read],
        eqns=shared,
    )
    rest_jaxpr = jaxpr.replace(
        invars=[*ins[0], *_of(ins[1], carry, True), *ins[2], *read], outvars=rest_outs, eqns=rest
    )
    changed = {"jaxpr": ClosedJaxpr(rest_jaxpr, closed.consts), "num_carry": carry.count(True)}
    changed["linear"] = (False,) * len(rest_jaxpr.invars)
    second = equation.replace(params=params | changed)
    return Split(ClosedJaxpr(shared_jaxpr, closed.consts), second, own, own_ys)


def _parted(equations: list[Any], of_lanes: set[Any], same: set[Any]) -> tuple[list[Any], list[Any]]:
    """Equations that all lanes share, and the others; in both those of what is the same in all iterations.

    Variables of lanes and of what stays the same are added to those that are given.
    """
    shared, rest = [], []
    for equation in equations:
        given = [v for v in equation.invars if not isinstance(v, Literal)]
        if not of_lanes.isdisjoint(given):
            rest.append(equation)
            of_lanes.update(equation.outvars)
            continue
        shared.append(equation)
        if same.issuperset(given):
            rest.append(equation)
            same.update(equation.outvars)
    return shared, rest


def _pays(made: set[Any], read: list[Any], length: int) -> bool:
    """Whether much is computed for what is read, which are plain arrays, and little memory in all iterations."""
    if any(not isinstance(v.aval.dtype, np.dtype) for v in read):
        return False
    n_made, n_read = (sum(math.prod(v.aval.shape) for v in of) for of in (made, read))
    n_bytes = length * sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in read)
    return n_made >= max(MANY, FOR_ONE * n_read) and n_bytes <= MOST_BYTES


def _of(values: Sequence[Any], own: Sequence[bool], wanted: bool) -> list[Any]:
    """The values of lanes, or the others."""
    return [value for value, flag in zip(values, own, strict=True) if flag == wanted]


def _merged(own: Sequence[bool], of_lanes: Sequence[Any], shared: Sequence[Any]) -> list[Any]:
    """Values of both kinds in their order."""
    sources = {True: iter(of_lanes), False: iter(shared)}
    return [next(sources[flag]) for flag in own]
