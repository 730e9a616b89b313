"""One loop of many lanes as a kernel of Pallas Mosaic, its equations walked through for a block of lanes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import DropVar, Literal

from jaxdyn.engine.control import opened
from jaxdyn.engine.dense import bind
from jaxdyn.engine.engines import WARPGROUP, Mosaic
from jaxdyn.engine.kernels import CALLS, Loop, Unsupported, is_known
from jaxdyn.engine.mosaic_functions import NATIVE, REWRITTEN, number

__all__ = ["Kernel", "launched"]

# Equations that steps of a loop are put together to: more hide no more latency, and take longer to compile.
UNROLLED = 512


@dataclasses.dataclass(frozen=True)
class Stream:
    """One number, or one of each lane, for every iteration: in the memory of the device."""

    ref: Any
    lanes: Any
    """Slice of the block's lanes; None where no lane differs."""
    dtype: Any

    def at(self, i: Any) -> Any:
        """Place of an iteration."""
        return (i,) if self.lanes is None else (i, self.lanes)


class Kernel(Loop):
    """A loop, given by its equations for all lanes, run block by block."""

    def __init__(self, engine: Mosaic, closed: Any, lanes: int) -> None:
        super().__init__(closed, lanes)
        self.engine = engine
        self._targets: dict[Any, Stream] = {}

    def __call__(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes."""
        slots, shapes = self._slots(self.inputs)
        rows: list[list[Any]] = [[] for _ in shapes]
        for (k, _), operand in zip(slots, operands, strict=True):
            rows[k].append(number(jnp.asarray(operand)))
        given = [jnp.stack(own).reshape(shape.shape) for own, shape in zip(rows, shapes, strict=True)]
        slots, shapes = self._slots(self.jaxpr.outvars)
        results = launched(self._body, self.engine, shapes, self.lanes // self.engine.block)(*given)
        found = [results[k] if row is None else results[k][row] for k, row in slots]
        return [a if v.aval.dtype != np.bool_ else a != 0 for a, v in zip(found, self.jaxpr.outvars, strict=True)]

    def _slots(self, variables: Any) -> tuple[list[tuple[int, int | None]], list[Any]]:
        """Where each variable lies in memory: which array, which row of it; and the shapes of the arrays."""
        counts: dict[Any, list[int]] = {}
        slots: list[tuple[int, int | None]] = []
        shapes: list[Any] = []
        for aval in (v.aval for v in variables):
            if not (jnp.issubdtype(aval.dtype, np.number) or aval.dtype == np.bool_):
                raise Unsupported(f"numbers of type {aval.dtype} in a loop")
            dtype = np.dtype(np.int32) if aval.dtype == np.bool_ else aval.dtype
            key = len(shapes) if self._streams(aval) else (aval.shape, dtype)
            if key not in counts:
                counts[key] = [len(shapes), 0]
                shapes.append(None)
            at, n = counts[key]
            counts[key][1] += 1
            slots.append((at, None if self._streams(aval) else n))
            shape = aval.shape if self._streams(aval) else (n + 1, *aval.shape)
            shapes[at] = jax.ShapeDtypeStruct(shape, dtype)
        return slots, shapes

    def _body(self, index: Any, *refs: Any) -> None:
        from jax.experimental import pallas as pl

        block = pl.ds(index * self.engine.block, self.engine.block)
        in_slots, shapes = self._slots(self.inputs)
        out_slots, _ = self._slots(self.jaxpr.outvars)
        outs = refs[len(shapes) :]
        values = self.known | {
            v: self._read(refs, at, v.aval, block) for v, at in zip(self.inputs, in_slots, strict=True)
        }
        pairs = list(zip(self.jaxpr.outvars, out_slots, strict=True))
        self._targets = {v: self._read(outs, at, v.aval, block) for v, at in pairs if self._streams(v.aval)}
        consts, arguments = ([values[v] for v in vs] for vs in (self.jaxpr.constvars, self.jaxpr.invars))
        for (v, (k, row)), result in zip(pairs, self.run(self.jaxpr, consts, arguments), strict=True):
            if row is not None:
                outs[k][(row, block) if v.aval.shape else row] = number(self._settled(result))
            elif result is not self._targets[v] or result.ref is not outs[k]:
                raise Unsupported("a loop that hands through an array of all its iterations")

    def _streams(self, aval: Any) -> bool:
        return aval.shape not in ((), (self.lanes,))

    def _read(self, refs: Any, slot: tuple[int, int | None], aval: Any, block: Any) -> Any:
        k, row = slot
        if row is not None:
            return _of_dtype(refs[k][(row, block) if aval.shape else row], aval.dtype)
        if len(aval.shape) == 1 or (len(aval.shape) == 2 and aval.shape[1] == self.lanes):
            return Stream(refs[k], None if len(aval.shape) == 1 else block, aval.dtype)
        raise Unsupported(f"an array of shape {aval.shape}, {self.lanes} lanes, has no place in registers")

    def _settled(self, value: Any) -> Any:
        """A lane array in the layout that all have, also where all lanes are equal: loops keep layouts."""
        if np.ndim(value) == 0 or self.engine.interpret:
            return value
        from jax.experimental.pallas import mosaic_gpu as plgpu

        layout = plgpu.Layout.WG_STRIDED((self.engine.block,), vec_size=self.engine.block // WARPGROUP)
        return _of_dtype(plgpu.layout_cast(number(value), layout), value.dtype)

    def run(self, jaxpr: Any, consts: Any, arguments: list[Any]) -> list[Any]:
        """Results of equations for one block of lanes."""
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(v: Any) -> Any:
            return np.asarray(v.val, getattr(v.aval, "dtype", None)) if isinstance(v, Literal) else values[v]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(v) for v in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        shapes = [v.aval.shape for v in equation.outvars]
        if not all(isinstance(v.aval.dtype, np.dtype) for v in equation.outvars):
            raise Unsupported(f"{name} of type {equation.outvars[0].aval.dtype} within a loop")
        if name in CALLS:
            return self.run(*opened(params.get("jaxpr") or params["call_jaxpr"]), operands)
        is_loop = name in ("scan", "while", "cond")
        if operands and all(map(_is_known, operands)) and not is_loop and (self.lanes,) not in shapes:
            with jax.ensure_compile_time_eval():
                results = jax.jit(lambda *known: bind(equation, known))(*operands)
            return [np.asarray(result) for result in results]
        if is_loop:
            return {"scan": self._scan, "while": self._while, "cond": self._cond}[name](equation, operands)
        if any(isinstance(operand, Stream) for operand in operands) or self._streams(equation.outvars[0].aval):
            raise Unsupported(f"{name} on arrays within a loop, {equation.outvars[0].aval.str_short()}")
        if name == "broadcast_in_dim":
            shape = (self.engine.block,) if params["shape"] else ()
            return [jnp.broadcast_to(operands[0], shape)]
        if name in REWRITTEN:
            return [REWRITTEN[name](*operands, **params)]
        if name not in NATIVE:
            raise Unsupported(f"{name} within a loop")
        return bind(equation, operands)

    def _scan(self, equation: Any, operands: list[Any]) -> list[Any]:
        params = equation.params
        n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
        jaxpr, inner = opened(params["jaxpr"])
        consts, xs = operands[:n_consts], operands[n_consts + n_carry :]
        stacked = equation.outvars[n_carry:]
        targets = [None if isinstance(v, DropVar) else self._targets.get(v) for v in stacked]
        if any(t is None and not isinstance(v, DropVar) for t, v in zip(targets, stacked, strict=True)):
            raise Unsupported("a loop within a loop that stacks results")

        def one(i: Any, carry: list[Any]) -> list[Any]:
            i = length - 1 - i if params["reverse"] else i
            own = [_of_dtype(x.ref[x.at(i)], x.dtype) for x in xs]
            results = self.run(jaxpr, inner, [*consts, *carry, *own])
            for target, y in zip(targets, results[n_carry:], strict=True):
                if target is not None:
                    target.ref[target.at(i)] = number(y if target.lanes is None else self._settled(y))
            return [self._settled(value) for value in results[:n_carry]]

        carry = [self._settled(value) for value in operands[n_consts : n_consts + n_carry]]
        size = max(1, _n_equations(jaxpr))
        n = 1 if size >= UNROLLED else self.engine.unroll or max(1, min(8, UNROLLED // size))
        if length >= n:
            carry = lax.fori_loop(
                np.int32(0),
                np.int32(length // n),
                lambda i, c: functools.reduce(lambda c, k: one(i * n + k, c), range(n), c),
                carry,
            )
        for i in range(length - length % n, length):
            carry = one(np.int32(i), carry)
        return [*carry, *targets]

    def _while(self, equation: Any, operands: list[Any]) -> list[Any]:
        params = equation.params
        n_test, n_body = params["cond_nconsts"], params["body_nconsts"]
        for_test, for_body, carry = operands[:n_test], operands[n_test : n_test + n_body], operands[n_test + n_body :]
        return lax.while_loop(
            lambda c: self.run(*opened(params["cond_jaxpr"]), [*for_test, *c])[0],
            lambda c: [self._settled(v) for v in self.run(*opened(params["body_jaxpr"]), [*for_body, *c])],
            [self._settled(value) for value in carry],
        )

    def _cond(self, equation: Any, operands: list[Any]) -> list[Any]:
        def branch(inner: Any) -> Callable[[], list[Any]]:
            return lambda: [self._settled(value) for value in self.run(*opened(inner), operands[1:])]

        return lax.switch(operands[0], [branch(inner) for inner in equation.params["branches"]])


def _is_known(value: Any) -> bool:
    return is_known(value) and not isinstance(value, Stream)


def _n_equations(jaxpr: Any) -> int:
    """Equations of a loop's body; so many that it is not unrolled if it holds a loop."""
    n = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("scan", "while"):
            return UNROLLED
        called = equation.primitive.name in CALLS
        n += _n_equations(opened(equation.params.get("jaxpr") or equation.params["call_jaxpr"])[0]) if called else 1
    return n


def _of_dtype(value: Any, dtype: Any) -> Any:
    return value != 0 if dtype == np.bool_ and value.dtype != np.bool_ else value


def launched(body: Callable[..., None], engine: Mosaic, shapes: list[Any], n_blocks: int) -> Callable[..., Any]:
    """The kernel as a function of arrays."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import mosaic_gpu as plgpu

    if engine.interpret:
        call = pl.pallas_call(
            lambda *refs: body(pl.program_id(0), *refs), grid=(n_blocks,), out_shape=shapes, interpret=True
        )
        return call
    # Nothing is both read and written, so no barriers are needed.
    params = plgpu.CompilerParams(approx_math=False, unsafe_no_auto_barriers=True)
    return plgpu.kernel(
        lambda *refs: body(lax.axis_index("block"), *refs),
        out_type=shapes,
        grid=(n_blocks,),
        grid_names=("block",),
        compiler_params=params,
    )
