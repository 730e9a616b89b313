"""A loop of many lanes as a C program, its equations walked through for a block of vectors of lanes."""

import collections
import dataclasses
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal

from jaxdyn.engine.census import needed
from jaxdyn.engine.control import opened
from jaxdyn.engine.engines import VECTOR
from jaxdyn.engine.kernels import CALLS, Loop, Unsupported
from jaxdyn.engine.native_arithmetic import common_factor, folded, like_terms, multiple, split, whole
from jaxdyn.engine.native_control import CONTROL
from jaxdyn.engine.native_functions import expression
from jaxdyn.engine.native_order import mean_alive, written_out
from jaxdyn.engine.native_queue import QUEUE, in_a_block, patience, queued, sizes
from jaxdyn.engine.native_terms import Stream, Term, c_type, literal, spread
from jaxdyn.engine.native_text import DRIVER, PRELUDE

__all__ = ["Writer"]

# Lanes times equations times iterations from which threads pay: a third of a millisecond on a core of 2025.
LITTLE = 40_000_000

# Iterations of an inner loop that the compiler may write out.
SHORT = 16


class Writer:
    """The walk over equations that writes them down.

    Those of vectors are kept until all of a straight piece are known, then written out for each vector of the block.
    """

    def __init__(self, loop: Loop, groups: int) -> None:
        self.loop, self.groups = loop, groups
        self.lines: list[str] = []
        self.kept: list[str] = []
        self.needs: set[str] = set()
        self.count = 0
        self.alive = (0, 0.0)  # length of the longest piece, and the numbers that it keeps at a time
        self.cost = 0.0
        self.times = 1.0
        self.lengths: list[int] = []
        self.targets: dict[Any, Stream] = {}
        self.queued = queued(loop)  # the loop that each lane leaves by itself, if the whole is nothing else
        self.of_queue = (0, 0)  # statements before that loop, and of one iteration

    # Text ------------------------------------------------------------------------------------------------------------

    def name(self) -> str:
        """A name that nothing has yet."""
        self.count += 1
        return f"x{self.count}"

    def write(self, line: str, vector: bool = False) -> None:
        """A line of numbers at once; one of vectors when the piece ends."""
        (self.kept if vector else self.lines).append(line)

    def flush(self) -> None:
        """End of a straight piece."""
        self.alive = max(self.alive, (len(self.kept), mean_alive(self.kept)))
        self.lines += written_out(self.kept, self.groups)
        self.kept = []

    def declared(self, term: Term, vector: bool | None = None, constant: bool = True) -> Term:
        """A variable with the value of a term, a vector if that is asked for."""
        vector = term.vector if vector is None else vector
        name = self.name() + ("_@" if vector else "")
        text = spread(term) if vector else term.text
        self.write(f"{'const ' if constant else ''}{c_type(term.dtype, vector)} {name} = {text};", vector)
        return Term(name, term.dtype, vector)

    def length(self, n: int) -> str:
        """How many iterations a loop has: an argument of the program, so that it serves runs of other lengths too."""
        if (n <= SHORT and self.times > 1) or n > np.iinfo(np.int32).max:
            return str(n)
        self.lengths.append(n)
        return f"length{len(self.lengths)}"

    @property
    def numbers(self) -> np.ndarray[Any, Any]:
        """The last argument of the program: lanes from which threads pay, lanes that count, and lengths of loops."""
        pays = min(LITTLE / max(1.0, self.cost), float(np.iinfo(np.int32).max))
        return np.array([pays, self.loop.asked, *self.lengths]).astype(np.int32)

    # Memory ----------------------------------------------------------------------------------------------------------

    def place(self, buffer: str, dtype: Any, vector: bool, row: str = "0") -> str:
        """Address of a row of a buffer."""
        size = np.dtype(dtype).itemsize
        if not vector:
            return f"{buffer} + (long)({row}) * {size}"
        return f"{buffer} + ((long)({row}) * n + at + @ * W) * {size}"

    def loaded(self, buffer: str, dtype: Any, vector: bool, row: str = "0") -> Term:
        """A row of a buffer, read."""
        place = self.place(buffer, dtype, vector, row)
        if np.dtype(dtype) == np.bool_ and vector:
            text = f"MASK(LOAD(vu8, {place}) != 0)"
        else:
            text = f"LOAD({c_type(dtype, vector)}, {place})"
        return self.declared(Term(text, np.dtype(dtype), vector))

    def store(self, buffer: str, term: Term, vector: bool, row: str = "0") -> None:
        """A row of a buffer, written."""
        place = self.place(buffer, term.dtype, vector, row)
        text, kind = spread(term) if vector else term.text, c_type(term.dtype, vector)
        if term.dtype == np.bool_ and vector:
            text, kind = f"__builtin_convertvector(-({text}), vu8)", "vu8"
        self.write(f"STORE({kind}, {place}, {text});", vector)

    # The program -----------------------------------------------------------------------------------------------------

    def program(self) -> str:
        """The whole program."""
        loop, outs = self.loop, self.loop.jaxpr.outvars
        values: dict[Any, Any] = {v: self.known(array) for v, array in loop.known.items()}
        for i, v in enumerate(loop.inputs):
            values[v] = self.given(f"in[{i}]", v.aval)
        self.targets = {
            v: Stream(f"out[{i}]", np.dtype(v.aval.dtype), self.varies(v.aval, 1))
            for i, v in enumerate(outs)
            if self.streams(v.aval)
        }
        consts, arguments = ([values[v] for v in vs] for vs in (loop.jaxpr.constvars, loop.jaxpr.invars))
        for i, (v, result) in enumerate(zip(outs, self.run(loop.jaxpr, consts, arguments), strict=True)):
            if isinstance(result, Stream):
                if result.buffer != f"out[{i}]":
                    raise Unsupported("a loop that hands through an array of all its iterations")
            else:
                self.store(f"out[{i}]", result, self.varies(v.aval))
        self.flush()
        return self.text()

    def text(self) -> str:
        """The lines and what belongs around them."""
        inputs, outputs = ([v.aval for v in vs] for vs in (self.loop.inputs, self.loop.jaxpr.outvars))
        where = [("args.args", i) for i, a in enumerate(inputs) if self.of_lanes(a)]
        where += [("rets.rets", i) for i, a in enumerate(outputs) if self.of_lanes(a)]
        wide = any(a.dtype == np.float64 for a in (*inputs, *outputs))
        word, lanes = ("i64", VECTOR // 2) if wide else ("i32", VECTOR)  # 512 bits
        settings = {
            "W": lanes,
            "BLOCK": self.groups * lanes,
            "INS": len(inputs) + 1,
            "OUTS": len(outputs),
            "OF_LANES": f"{where[0][0]}[{where[0][1]}]",
        }
        lengths = [f"const long length{k} = NUMBER({k + 1});" for k in range(1, len(self.lengths) + 1)]
        body = ["static void block(char **in, char **out, long at, long n)", "{", *lengths, *self.lines, "}"]
        if self.queued is not None:
            settings |= {"IN_SIZES": sizes(inputs), "OUT_SIZES": sizes(outputs)}
            settings |= {"PATIENCE": patience(self.loop, self.groups * lanes, *self.of_queue)}
            body = [QUEUE, *in_a_block(self.lines, lengths)]
        head = [*(f"#define {name} {value}" for name, value in settings.items()), PRELUDE]
        head += [f"typedef {word} word; typedef v{word} vb8;", *sorted(self.needs)]
        return "\n".join([*head, *body, DRIVER])

    def of_lanes(self, aval: Any) -> bool:
        """Whether an array's last axis is that of the lanes."""
        return bool(aval.shape) and aval.shape[-1] == self.loop.lanes

    def varies(self, aval: Any, axes: int = 0) -> bool:
        """Whether an array, or one of each iteration, has a number for each lane."""
        return len(aval.shape) == 1 + axes and self.of_lanes(aval)

    def streams(self, aval: Any) -> bool:
        """Whether an array is one of all iterations."""
        return aval.shape not in ((), (self.loop.lanes,))

    def known(self, array: Any) -> Any:
        """A number that is known while tracing."""
        if array.shape:
            raise Unsupported(f"a table of shape {array.shape} within a loop")
        return literal(array, array.dtype)

    def given(self, buffer: str, aval: Any) -> Any:
        """An argument of the loop."""
        c_type(aval.dtype)
        if not self.streams(aval):
            return self.loaded(buffer, aval.dtype, self.varies(aval))
        if len(aval.shape) == 1 or self.varies(aval, 1):
            return Stream(buffer, np.dtype(aval.dtype), self.varies(aval, 1))
        raise Unsupported(f"an array of shape {aval.shape}, {self.loop.lanes} lanes, has no place in registers")

    # Equations -------------------------------------------------------------------------------------------------------

    def run(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Results of equations."""
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(v: Any) -> Any:
            aval: Any = v.aval
            return literal(v.val, aval.dtype) if isinstance(v, Literal) else values[v]

        equations = needed(jaxpr)
        uses = collections.Counter(v for e in equations for v in e.invars if not isinstance(v, Literal))
        for equation in equations:
            results = self.equation(equation, [read(v) for v in equation.invars])
            results = [r if uses[v] == 1 else whole(r) for v, r in zip(equation.outvars, results, strict=True)]
            values.update(zip(equation.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        """Results of one equation."""
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            inner = params.get("jaxpr") or params["call_jaxpr"]
            return self.run(*opened(inner), operands)
        if name in CONTROL:
            return CONTROL[name](self, equation, operands)
        if name == "optimization_barrier":
            return operands
        out: Any = equation.outvars[0].aval
        if any(isinstance(operand, Stream) for operand in operands) or self.streams(out):
            raise Unsupported(f"{name} on arrays within a loop, {out.str_short()}")
        if name in ("reduce_or", "reduce_and"):
            return [self.reduced(name, operands[0])]
        if name in ("broadcast_in_dim", "reshape"):
            return operands[:1]
        if (known := folded(name, operands)) is not None:
            return [known]
        self.cost += self.times
        return [self.computed(name, operands, out.dtype, params)]

    def computed(self, name: str, terms: Sequence[Term], dtype: Any, params: Any = types.MappingProxyType({})) -> Term:
        """A primitive of terms, rearranged where that saves products."""
        if (common := common_factor(name, terms)) is not None:
            bases, factor = common
            return self.product(self.computed(name, bases, dtype), factor)
        if (product := multiple(name, terms)) is not None:
            return self.product(*product)
        if (like := like_terms(name, terms)) is not None:
            rest, inner, pair, number = like
            return self.computed("add", [rest, self.product(self.computed(inner, pair, dtype), number)], dtype)
        result = self.declared(expression(name, terms, dtype, params, self.needs))
        return dataclasses.replace(result, total=split(name, terms))

    def product(self, base: Term, factor: float) -> Term:
        """A vector times a known number, from which its multiples are made."""
        term = expression("mul", [base, literal(factor, base.dtype)], base.dtype, {}, self.needs)
        return dataclasses.replace(self.declared(term), multiple=(base, factor))

    def reduced(self, name: str, term: Term) -> Term:
        """Whether a truth value holds for any lane of the block, or for all."""
        if not term.vector or term.dtype != np.bool_:
            raise Unsupported(f"{name} within a loop")
        operator = "|" if name == "reduce_or" else "&"
        found = self.name()
        self.write(f"b8 {found} = {int(operator == '&')};")
        self.write(f"for (int l = 0; l < W; l++) {found} {operator}= ({term.text})[l] != 0;", vector=True)
        self.flush()
        return Term(found, np.dtype(np.bool_))
