"""A loop of many lanes as a C program, its equations walked through for a block of vectors of lanes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import DropVar, Literal

from jaxdyn.engine.census import needed
from jaxdyn.engine.control import opened
from jaxdyn.engine.engines import VECTOR
from jaxdyn.engine.kernels import CALLS, Loop, Unsupported
from jaxdyn.engine.native_functions import expression
from jaxdyn.engine.native_order import mean_alive, written_out
from jaxdyn.engine.native_terms import Stream, Term, c_type, common_factor, folded, literal, multiple, spread
from jaxdyn.engine.native_text import DRIVER, PRELUDE

__all__ = ["Writer"]

# Iterations that a loop which ends by a test is taken to have.
TYPICAL = 1000

# Lanes times equations times iterations from which threads pay: a third of a millisecond.
LITTLE = 20_000_000


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
        self._targets: dict[Any, Stream] = {}

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
        self._targets = {
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
            "INS": len(inputs),
            "OUTS": len(outputs),
            "OF_LANES": f"{where[0][0]}[{where[0][1]}]",
            "PAYS": LITTLE / max(1.0, self.cost),
        }
        head = [*(f"#define {name} {value}" for name, value in settings.items()), PRELUDE]
        head += [f"typedef {word} word; typedef v{word} vb8;", *sorted(self.needs)]
        body = ["static void block(char **in, char **out, long at, long n)", "{", *self.lines, "}"]
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

        for equation in needed(jaxpr):
            results = self.equation(equation, [read(v) for v in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        """Results of one equation."""
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            inner = params.get("jaxpr") or params["call_jaxpr"]
            return self.run(*opened(inner), operands)
        if name in ("scan", "while", "cond"):
            return {"scan": self.scan, "while": self.loop_while, "cond": self.cond}[name](equation, operands)
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
        if (common := common_factor(name, operands)) is not None:
            bases, factor = common
            return [self.product(self.declared(expression(name, bases, out.dtype, params, self.needs)), factor)]
        if (product := multiple(name, operands)) is not None:
            return [self.product(*product)]
        return [self.declared(expression(name, operands, out.dtype, params, self.needs))]

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

    # Control flow ----------------------------------------------------------------------------------------------------

    def carried(self, variables: Sequence[Any], terms: Sequence[Any]) -> list[Term]:
        """Variables that a loop or a branch changes."""
        if any(isinstance(term, Stream) for term in terms):
            raise Unsupported("an array of all iterations of a loop within another loop")
        return [
            self.declared(t, vector=self.varies(v.aval), constant=False) for v, t in zip(variables, terms, strict=True)
        ]

    def assign(self, variables: Sequence[Term], terms: Sequence[Term]) -> None:
        """New values of variables, all at once."""
        names = {variable.text for variable in variables}
        moving = [(v, t) for v, t in zip(variables, terms, strict=True) if v.text != t.text]
        safe = [(v, self.declared(t) if t.text in names else t) for v, t in moving]
        if not all(v.vector for v, _ in moving):
            self.flush()  # what reads the old value of a number that all lanes share
        for variable, term in safe:
            text = spread(term) if variable.vector else term.text
            self.write(f"{variable.text} = {text};", variable.vector)

    def scan(self, equation: Any, operands: list[Any]) -> list[Any]:
        """A loop of so many iterations."""
        params = equation.params
        n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
        jaxpr, inner = opened(params["jaxpr"])
        consts, xs = operands[:n_consts], operands[n_consts + n_carry :]
        stacked = equation.outvars[n_carry:]
        targets = [None if isinstance(v, DropVar) else self._targets.get(v) for v in stacked]
        if any(t is None and not isinstance(v, DropVar) for t, v in zip(targets, stacked, strict=True)):
            raise Unsupported("a loop within a loop that stacks results")
        carry = self.carried(equation.outvars[:n_carry], operands[n_consts : n_consts + n_carry])
        self.flush()
        i = self.name()
        order = f"long {i} = {length}; {i}-- > 0;" if params["reverse"] else f"long {i} = 0; {i} < {length}; {i}++"
        self.write(f"for ({order}) {{")
        self.times *= length
        rows = [self.loaded(x.buffer, x.dtype, x.vector, i) for x in xs]
        results = self.run(jaxpr, inner, [*consts, *carry, *rows])
        for target, y in zip(targets, results[n_carry:], strict=True):
            if target is not None:
                self.store(target.buffer, y, target.vector, i)
        self.assign(carry, results[:n_carry])
        self.flush()
        self.times /= max(length, 1)
        self.write("}")
        return [*carry, *targets]

    def loop_while(self, equation: Any, operands: list[Any]) -> list[Any]:
        """A loop that ends by a test."""
        params = equation.params
        n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
        for_test, for_body, start = operands[:n_test], operands[n_test : n_test + n_body], operands[n_test + n_body :]
        carry = self.carried(equation.outvars, start)
        self.flush()
        self.write("for (;;) {")
        self.times *= TYPICAL
        (test,) = self.run(*opened(params["cond_jaxpr"]), [*for_test, *carry])
        if test.vector:
            raise Unsupported("a loop whose test is not one number")
        self.flush()
        self.write(f"if (!{test.text}) break;")
        self.assign(carry, self.run(*opened(params["body_jaxpr"]), [*for_body, *carry]))
        self.flush()
        self.times /= TYPICAL
        self.write("}")
        return list(carry)

    def cond(self, equation: Any, operands: list[Any]) -> list[Any]:
        """Branches that all lanes take together."""
        branches = equation.params["branches"]
        index, rest = operands[0], operands[1:]
        if index.vector:
            raise Unsupported("a branch that lanes take by themselves")
        self.flush()
        results = [
            Term(self.name() + ("_@" if self.varies(v.aval) else ""), np.dtype(v.aval.dtype), self.varies(v.aval))
            for v in equation.outvars
        ]
        for result in results:
            self.write(f"{c_type(result.dtype, result.vector)} {result.text};", result.vector)
        self.flush()
        for k, branch in enumerate(branches):
            last = k == len(branches) - 1
            test = "" if last else f"if ({index.text} {'<=' if k == 0 else '=='} {k}) "
            self.write(f"{'else ' if k else ''}{test}{{")
            self.assign(results, self.run(*opened(branch), rest))
            self.flush()
            self.write("}")
        return results
