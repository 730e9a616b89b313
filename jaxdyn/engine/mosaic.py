"""Loops of many lanes as kernels of a GPU: the state of each lane stays in registers until its loop ends.

What is no loop is compiled by XLA on whole arrays of lanes; each outermost loop becomes one kernel of Pallas Mosaic,
whose blocks of lanes go through all iterations on their own. Pallas changes from release to release and lacks
functions; both are dealt with here and nowhere else, and it is imported only where it is used.
"""

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, DropVar, Literal, jaxpr_as_fun

from jaxdyn.engine.engines import COMPONENTS, WARPGROUP, Mosaic, Xla, run_components
from jaxdyn.engine.interpreter import Interpreter
from jaxdyn.engine.values import Value

__all__ = ["REWRITTEN", "Mosaic", "Unsupported", "run_mosaic", "run_mosaic_or_xla"]

# Equations that steps of a loop are put together to: more hide no more latency, and take longer to compile.
UNROLLED = 512


class Unsupported(Exception):
    """A loop that cannot be a kernel, or a device that has none."""


def run_mosaic_or_xla(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int, platform: str) -> list[Value]:
    """Results of a traced function for all lanes; by XLA, with one warning a process, where kernels cannot be had."""
    try:
        if platform not in ("gpu", "cuda") and not engine.interpret:
            raise Unsupported(f"its kernels run on GPUs, not on {platform}")
        return run_mosaic(engine, closed, arguments, lanes)
    except Unsupported as error:
        _warn_once(str(error))
    return run_components(Xla(components=engine.components), closed, arguments, lanes, platform)


_warned: list[str] = []


def _warn_once(reason: str) -> None:
    if not _warned:
        _warned.append(reason)
        text = f"engine Mosaic falls back to Xla: {reason}; other cases of this process do so without a warning"
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def run_mosaic(engine: Mosaic, closed: Any, arguments: list[Value], lanes: int) -> list[Value]:
    """Results of a traced function for all lanes, its loops as kernels; raises `Unsupported` while tracing."""
    if engine.block < WARPGROUP or engine.block % WARPGROUP:
        raise ValueError(f"block of engine={engine} must be a multiple of {WARPGROUP}, the threads of a block")
    width = engine.block * math.ceil(lanes / engine.block)
    given = [
        Value.of_whole(width, _filled(value.whole, width)) if value.varies else Value.shared(width, value.whole)
        for value in arguments
    ]
    results = _WithKernels(width, engine).run(closed.jaxpr, closed.consts, given)
    return [Value.of_whole(lanes, v.whole[..., :lanes]) if v.varies else Value.shared(lanes, v.whole) for v in results]


def _filled(array: Any, width: int) -> Any:
    """The lanes (the last axis) filled up with the last of them."""
    missing = (*array.shape[:-1], width - array.shape[-1])
    return jnp.concatenate([array, jnp.broadcast_to(array[..., -1:], missing)], axis=-1) if missing[-1] else array


class _WithKernels(Interpreter):
    """The walk over a function's equations, with outermost loops as kernels."""

    def __init__(self, lanes: int, engine: Mosaic) -> None:
        super().__init__(lanes, COMPONENTS if engine.components is None else engine.components)
        self.engine = engine

    def _equation(self, equation: Any, operands: list[Value]) -> list[Value]:
        if not self._in_loop and equation.primitive.name in ("scan", "while"):
            for operand in operands:
                if operand.size <= self.limit:
                    _ = operand.parts  # taken apart outside: a kernel cannot
        if self._in_loop and (platforms := equation.params.get("branches_platforms")) is not None:
            own = "cpu" if self.engine.interpret else "cuda"
            at = next(i for i, names in enumerate(platforms) if names is None or own in names)
            return self.run(*_opened(equation.params["branches"][at]), operands[1:])
        if equation.primitive.name == "platform_index" and self._in_loop:
            return [Value.shared(self.lanes, np.int32(0))]  # for the branch that asks itself
        return super()._equation(equation, operands)

    def loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A loop's results, the outermost one's from a kernel, with the derivative of the loop as XLA runs it."""
        if self._in_loop:
            return function(*arguments)
        self._in_loop = True
        try:
            closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        finally:
            self._in_loop = False
        kernel = _Kernel(self.engine, closed, self.lanes)
        kernel.check()
        run = jax.custom_jvp(lambda *operands: kernel(*operands))
        run.defjvp(lambda primals, tangents: jax.jvp(kernel.as_xla, primals, tangents))
        return jax.tree.unflatten(jax.tree.structure(shape), run(*kernel.consts, *jax.tree.leaves(arguments)))


@dataclasses.dataclass(frozen=True)
class _Stream:
    """One number, or one of each lane, for every iteration: in the memory of the device."""

    ref: Any
    lanes: Any
    """Slice of the block's lanes; None where no lane differs."""
    dtype: Any

    def at(self, i: Any) -> Any:
        """Place of an iteration."""
        return (i,) if self.lanes is None else (i, self.lanes)


class _Kernel:
    """A loop, given by its equations for all lanes, run block by block."""

    def __init__(self, engine: Mosaic, closed: Any, lanes: int) -> None:
        self.engine, self.jaxpr, self.lanes = engine, closed.jaxpr, lanes
        pairs = list(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        # What is known now, and not of lanes, is part of the code.
        self.known = {v: np.asarray(c) for v, c in pairs if _is_known(c) and v.aval.shape != (lanes,)}
        self.consts = [c for v, c in pairs if v not in self.known]
        self.inputs = [v for v in (*closed.jaxpr.constvars, *closed.jaxpr.invars) if v not in self.known]
        self._targets: dict[Any, _Stream] = {}

    def as_xla(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes, by XLA."""
        values = self.known | dict(zip(self.inputs, operands, strict=True))
        consts, arguments = ([values[v] for v in vs] for vs in (self.jaxpr.constvars, self.jaxpr.invars))
        return jaxpr_as_fun(ClosedJaxpr(self.jaxpr, consts))(*arguments)

    def check(self) -> None:
        """Complain about what cannot be a kernel: it is lowered once here, where XLA can still take over."""
        shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in self.inputs]
        if self.engine.interpret:
            jax.eval_shape(self, *shapes)
            return
        if reason := _unavailable():
            raise Unsupported(reason)
        _lowered(self, *shapes)

    def __call__(self, *operands: Any) -> list[Any]:
        """Results of the loop for all lanes."""
        slots, shapes = self._slots(self.inputs)
        rows: list[list[Any]] = [[] for _ in shapes]
        for (k, _), operand in zip(slots, operands, strict=True):
            rows[k].append(_number(jnp.asarray(operand)))
        given = [jnp.stack(own).reshape(shape.shape) for own, shape in zip(rows, shapes, strict=True)]
        slots, shapes = self._slots(self.jaxpr.outvars)
        results = _launched(self._body, self.engine, shapes, self.lanes // self.engine.block)(*given)
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
                outs[k][(row, block) if v.aval.shape else row] = _number(self._settled(result))
            elif result is not self._targets[v] or result.ref is not outs[k]:
                raise Unsupported("a loop that hands through an array of all its iterations")

    def _streams(self, aval: Any) -> bool:
        return aval.shape not in ((), (self.lanes,))

    def _read(self, refs: Any, slot: tuple[int, int | None], aval: Any, block: Any) -> Any:
        k, row = slot
        if row is not None:
            return _of_dtype(refs[k][(row, block) if aval.shape else row], aval.dtype)
        if len(aval.shape) == 1 or (len(aval.shape) == 2 and aval.shape[1] == self.lanes):
            return _Stream(refs[k], None if len(aval.shape) == 1 else block, aval.dtype)
        raise Unsupported(f"an array of shape {aval.shape}, {self.lanes} lanes, has no place in registers")

    def _settled(self, value: Any) -> Any:
        """A lane array in the layout that all have, also where all lanes are equal: loops keep layouts."""
        if np.ndim(value) == 0 or self.engine.interpret:
            return value
        from jax.experimental.pallas import mosaic_gpu as plgpu

        layout = plgpu.Layout.WG_STRIDED((self.engine.block,), vec_size=self.engine.block // WARPGROUP)
        return _of_dtype(plgpu.layout_cast(_number(value), layout), value.dtype)

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
        is_loop = name in ("scan", "while", "cond")
        if operands and all(map(_is_known, operands)) and not is_loop and (self.lanes,) not in shapes:
            with jax.ensure_compile_time_eval():
                results = jax.jit(lambda *known: _bound(equation, known))(*operands)
            return [np.asarray(result) for result in results]
        if is_loop:
            return {"scan": self._scan, "while": self._while, "cond": self._cond}[name](equation, operands)
        if (inner := params.get("jaxpr") or params.get("call_jaxpr")) is not None:
            return self.run(*_opened(inner), operands)
        if any(isinstance(operand, _Stream) for operand in operands) or self._streams(equation.outvars[0].aval):
            raise Unsupported(f"{name} on arrays within a loop, {equation.outvars[0].aval.str_short()}")
        if name == "broadcast_in_dim":
            shape = (self.engine.block,) if params["shape"] else ()
            return [jnp.broadcast_to(operands[0], shape)]
        if name in REWRITTEN:
            return [REWRITTEN[name](*operands, **params)]
        if name not in NATIVE:
            raise Unsupported(f"{name} within a loop")
        return _bound(equation, operands)

    def _scan(self, equation: Any, operands: list[Any]) -> list[Any]:
        params = equation.params
        n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
        jaxpr, inner = _opened(params["jaxpr"])
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
                    target.ref[target.at(i)] = _number(y if target.lanes is None else self._settled(y))
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
            lambda c: self.run(*_opened(params["cond_jaxpr"]), [*for_test, *c])[0],
            lambda c: [self._settled(v) for v in self.run(*_opened(params["body_jaxpr"]), [*for_body, *c])],
            [self._settled(value) for value in carry],
        )

    def _cond(self, equation: Any, operands: list[Any]) -> list[Any]:
        def branch(inner: Any) -> Callable[[], list[Any]]:
            return lambda: [self._settled(value) for value in self.run(*_opened(inner), operands[1:])]

        return lax.switch(operands[0], [branch(inner) for inner in equation.params["branches"]])


def _bound(equation: Any, operands: Any) -> list[Any]:
    results = equation.primitive.bind(*operands, **equation.params)
    return results if equation.primitive.multiple_results else [results]


def _is_known(value: Any) -> bool:
    return not isinstance(value, Tracer | _Stream)


def _opened(jaxpr: Any) -> tuple[Any, Any]:
    return (jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else (jaxpr, [])


def _n_equations(jaxpr: Any) -> int:
    """Equations of a loop's body; so many that it is not unrolled if it holds a loop."""
    n = 0
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if equation.primitive.name in ("scan", "while"):
            return UNROLLED
        n += 1 if inner is None else _n_equations(_opened(inner)[0])
    return n


def _number(value: Any) -> Any:
    """Truth values as numbers, which memory and layouts can hold."""
    if value.dtype != np.bool_:
        return value
    return lax.select(value, *(jnp.full(np.shape(value), k, np.int32) for k in (1, 0)))


def _of_dtype(value: Any, dtype: Any) -> Any:
    return value != 0 if dtype == np.bool_ and value.dtype != np.bool_ else value


def _launched(body: Callable[..., None], engine: Mosaic, shapes: list[Any], n_blocks: int) -> Callable[..., Any]:
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


def _lowered(function: Callable[..., Any], *shapes: Any) -> Any:
    """The kernel lowered for a GPU, of which none need be there; Pallas complains here about what it lacks."""
    try:
        return jax.jit(function).trace(*shapes).lower(lowering_platforms=("cuda",))
    except Unsupported:
        raise
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise Unsupported(f"{type(error).__name__}: {lines[0] if lines else ''}") from error


@functools.cache
def _unavailable() -> str | None:
    """Why kernels cannot be had at all, found by compiling one and, where there is a GPU, running it."""

    def body(index: Any, x: Any, y: Any) -> None:
        y[...] = x[...] + jnp.float32(1)

    shape = jax.ShapeDtypeStruct((WARPGROUP,), np.float32)
    try:
        lowered = _lowered(_launched(body, Mosaic(), [shape], 1), shape)
        if all(device.platform == "cpu" for device in jax.devices()):
            return None
        (result,) = lowered.compile()(np.zeros(WARPGROUP, np.float32))
        return None if np.all(np.asarray(result) == 1) else "a test kernel gave wrong numbers"
    except Exception as error:
        return f"a test kernel failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _sqrt(x: Any) -> Any:
    """One step of Newton's iteration makes the last bit of x times 1 / sqrt(x) right, or nearly so."""
    inverse = lax.rsqrt(x)
    root = x * inverse
    root = root + 0.5 * root * (1 - root * inverse)
    return jnp.where((x == 0) | (x == jnp.inf), x, root)


def _power(x: Any, y: Any) -> Any:
    """exp(y log|x|), whose relative error is |y log|x|| times that of a logarithm."""
    y = y.astype(x.dtype)
    whole = lax.round(y, lax.RoundingMethod.TO_NEAREST_EVEN) == y
    half = 0.5 * y
    odd = whole & (lax.round(half, lax.RoundingMethod.TO_NEAREST_EVEN) != half)
    size = lax.exp(y * lax.log(lax.abs(x)))
    result = jnp.where(x < 0, jnp.where(whole, jnp.where(odd, -size, size), jnp.nan), size)
    return jnp.where((y == 0) | (x == 1), jnp.ones_like(x), result)


def _integer_power(x: Any, y: int) -> Any:
    size = jnp.ones_like(x) if y == 0 else x if abs(y) == 1 else lax.integer_pow(x, abs(y))
    return 1 / size if y < 0 else size


def _floor(x: Any) -> Any:
    near = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    return jnp.where(near > x, near - 1, near)


def _log1p(x: Any) -> Any:
    """What rounding of 1 + x takes away cancels in the quotient (Kahan; Higham 2002, problem 1.5)."""
    u = lax.optimization_barrier(1 + x)  # XLA would see that u - 1 is x
    return jnp.where((u == 1) | (u == jnp.inf), jnp.where(u == 1, x, u), lax.log(u) * (x / (u - 1)))


def _expm1(x: Any) -> Any:
    """What rounding of exp(x) takes away cancels in the quotient (Kahan; Higham 2002, section 1.14.1)."""
    u = lax.optimization_barrier(lax.exp(x))
    far = (u == jnp.inf) | (u == 0)
    return jnp.where(u == 1, x, jnp.where(far, u - 1, (u - 1) * (x / lax.log(u))))


def _remainder(x: Any, y: Any) -> Any:
    """Rest x - n y with the sign of x; as exact as x is, the last bit of it being rounded once more."""
    if not jnp.issubdtype(x.dtype, np.floating):
        return lax.rem(x, y)
    size, step = lax.abs(x), lax.abs(y)
    rest = size - _floor(size / step) * step
    rest = jnp.where(rest < 0, rest + step, rest)
    rest = jnp.where(rest >= step, rest - step, rest)
    rest = jnp.where((size < step) & (size < jnp.inf), size, rest)
    return jnp.where(x < 0, -rest, rest)


def _sinh(x: Any) -> Any:
    e = _expm1(lax.abs(x))
    size = jnp.where(e == jnp.inf, e, 0.5 * (e + e / (e + 1)))
    return jnp.where(x < 0, -size, size)


def _converted(x: Any, new_dtype: Any, **params: Any) -> Any:
    if new_dtype == np.bool_:
        return x != 0
    return lax.convert_element_type(_number(x), new_dtype)


def _chosen(which: Any, *cases: Any) -> Any:
    if which.dtype != np.bool_:
        raise Unsupported("select_n among several within a loop")
    return lax.select_n(which, *cases)


REWRITTEN: dict[str, Callable[..., Any]] = {
    "acos": lambda x, **_: lax.atan2(_sqrt((1 - x) * (1 + x)), x),
    "add_any": lax.add,
    "asin": lambda x, **_: lax.atan2(x, _sqrt((1 - x) * (1 + x))),
    "atan": lambda x, **_: lax.atan2(x, jnp.ones_like(x)),
    "ceil": lambda x: -_floor(-x),
    "convert_element_type": _converted,
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "cosh": lambda x, **_: 0.5 * lax.exp(x) + 0.5 * lax.exp(-x),
    "expm1": lambda x, **_: _expm1(x),
    "floor": _floor,
    "integer_pow": _integer_power,
    "is_finite": lambda x: lax.abs(x) < jnp.inf,
    "log1p": lambda x, **_: _log1p(x),
    "logistic": lambda x, **_: 1 / (1 + lax.exp(-x)),
    "pow": _power,
    "reduce_or": lambda x, **_: lax.reduce_max(_number(x), (0,)) > 0,
    "rem": _remainder,
    "select_n": _chosen,
    "sinh": lambda x, **_: _sinh(x),
    "sqrt": lambda x, **_: _sqrt(x),
    "stop_gradient": lambda x: x,
    "tan": lambda x, **_: lax.sin(x) / lax.cos(x),
}
"""Primitives that Mosaic lacks in JAX 0.10.2, or has for some types only, by those that it has."""

NATIVE = frozenset(
    """abs add and atan2 clamp cos div eq erf exp exp2 ge gt le log lt max min mul ne neg not or round rsqrt shift_left
    shift_right_arithmetic shift_right_logical sign sin square sub tanh xor""".split()
)
"""Primitives that Mosaic has."""
