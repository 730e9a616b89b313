"""The battery: what every model, method and analysis of `conformance.py` must pass.

Values are compared in float64 within sqrt(eps): a wrong lane, parameter or order of operations is many
orders of magnitude above it, the different rounding of two compilations of a few steps as many below.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import conformance
import jax
import jax.numpy as jnp
import numpy as np
from jax import export

import jaxdyn
from jaxdyn._record import record, static


def nudged(system: Any, amount: float) -> Any:
    """The same system with every parameter and state moved a little, each by another factor."""
    leaves, tree = jax.tree.flatten((system.params, system.x0))
    moved = [
        leaf * (1 + amount * (1 + 0.1 * i)) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        for i, leaf in enumerate(leaves)
    ]
    params, x0 = jax.tree.unflatten(tree, moved)
    return dataclasses.replace(system, params=params, x0=x0)


def assert_same(got: Any, expected: Any) -> None:
    """Leaf by leaf: integers equal, floats within sqrt(eps) of their own size or of the largest number of all."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    pairs = [tuple(map(np.asarray, pair)) for pair in zip(*map(jax.tree.leaves, (got, expected)), strict=True)]
    size = max(np.max(np.abs(b), where=np.isfinite(b), initial=0) for _, b in pairs if b.dtype.kind in "fc")
    for a, b in pairs:
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind in "fc":
            tolerance = float(np.finfo(a.dtype).eps) ** 0.5
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size)
        else:
            np.testing.assert_array_equal(a, b)


@record
class Counted:
    """A field that counts how often Python runs it, which is once a trace."""

    field: Any
    calls: list[None] = static()

    def __call__(self, t: Any, x: Any, params: Any) -> Any:
        self.calls.append(None)
        return self.field(t, x, params)


class Calls(list):
    """A list that is hashable by identity, so that it may sit in a pytree's static part."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


def check_transformations(analysis: conformance.Analysis, system: Any) -> None:
    """Jit equals eager, new values of parameters and start cost no retrace, lanes and vmap equal a loop."""
    counted = dataclasses.replace(system, field=Counted(system.field, Calls()))
    lanes = [counted, nudged(counted, 1e-3), nudged(counted, -1e-2)]
    run = analysis.run if analysis.heavy else jax.jit(analysis.run)
    first = run(lanes[0])
    n_traces = len(counted.field.calls)
    assert n_traces > 0
    results = [first, *map(run, lanes[1:])]
    assert len(counted.field.calls) == n_traces, "new parameter values were traced again"
    assert_different(*results[:2])
    if not analysis.heavy:
        with jax.disable_jit():
            assert_same(first, analysis.run(counted))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
    together = jax.jit(jax.vmap(analysis.run))(stacked)
    for i, result in enumerate(results):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], together), result)
    if not analysis.heavy:
        for engine in (jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)):
            assert_same(jaxdyn.lanes(analysis.run, engine=engine)(stacked), together)


def assert_different(first: Any, second: Any) -> None:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs), "other values gave the same result"


def check_gradient(system: Any) -> None:
    """Forward and reverse derivatives with respect to all parameters and the start equal finite differences."""
    run = conformance.advance()

    def end(amount: Any) -> Any:
        return run(nudged(system, amount)).x

    x, forward = jax.jit(lambda amount: jax.jvp(end, (amount,), (1.0,)))(0.0)
    difference, error = extrapolated_derivative(jax.jit(end), float(jnp.abs(x).max()))
    size = float(jnp.abs(x).max() + jnp.abs(forward).max())
    assert np.all(error <= 1e-5 * size), "the finite difference is too rough to say anything"
    assert np.all(np.abs(forward - difference) <= error)

    weights = jnp.cos(jnp.arange(system.dim, dtype=system.dtype))
    given = (floats_of(system.params), system.x0)
    slopes = jax.jvp(lambda amount: nudged(system, amount), (0.0,), (1.0,))[1]
    direction = (floats_of(slopes.params), slopes.x0)

    def weighted(params: Any, x0: Any) -> Any:
        return weights @ run(dataclasses.replace(system, params=system.params | params, x0=x0)).x

    gradient = jax.jit(jax.grad(weighted, argnums=(0, 1)))(*given)
    reverse = sum(jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
    assert abs(reverse - weights @ forward) <= 1e-10 * size * system.dim  # the same sums in another order


def floats_of(params: Any) -> Any:
    return {name: value for name, value in params.items() if jnp.issubdtype(value.dtype, jnp.floating)}


def extrapolated_derivative(f: Callable[[float], Any], scale: float) -> tuple[Any, Any]:
    """Derivative at 0 by central differences with Richardson's extrapolation, and a bound of its error.

    The bound is the correction of the extrapolation, larger than what it leaves, and the rounding of f
    (100 operations on numbers of size `scale`) over the step.
    """
    h = 1e-4
    coarse, fine = (np.asarray(f(s) - f(-s)) / (2 * s) for s in (h, h / 2))
    return (4 * fine - coarse) / 3, np.abs(fine - coarse) + 100 * 2.2e-16 * scale / h


def check_precision(analysis: conformance.Analysis, name: str) -> None:
    """Float32 stays float32 and float64 stays float64, in the result and everywhere on the way to it."""
    with jax.enable_x64(True):
        for dtype, foreign in ((jnp.float32, ("float64", "complex128")), (jnp.float64, ("float32", "complex64"))):
            jaxpr = jax.make_jaxpr(analysis.run)(conformance.build(name, dtype))
            seen = {aval.str_short() for aval in values_of(jaxpr.jaxpr) if aval.dtype in foreign}
            assert not seen, f"{', '.join(seen)} in a {np.dtype(dtype)} program"
    with jax.enable_x64(False):
        for leaf in jax.tree.leaves(jax.eval_shape(analysis.run, conformance.build(name))):
            assert leaf.dtype in ("float32", "complex64", "int32", "int8", "bool")


def values_of(jaxpr: Any) -> Iterator[Any]:
    """Types of all values of a program, but for Python numbers.

    Such a number is a weak scalar of the widest type until it meets an array: a constant that costs nothing.
    """
    for variable in (*jaxpr.invars, *jaxpr.constvars, *(v for equation in jaxpr.eqns for v in equation.outvars)):
        if hasattr(variable.aval, "dtype") and not (variable.aval.weak_type and variable.aval.shape == ()):
            yield variable.aval
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from values_of(inner)


def check_lowering(system: Any) -> None:
    """The trajectory lowers for the accelerators, without a call of the host."""
    leaves, tree = jax.tree.flatten(system)
    run = jax.jit(lambda *values: conformance.advance()(jax.tree.unflatten(tree, values)).x)
    exported = export.export(run, platforms=["cuda", "tpu"])(*leaves)
    assert exported.platforms == ("cuda", "tpu")
    assert [aval.shape for aval in exported.out_avals] == [(system.dim,)]
    assert "callback" not in exported.mlir_module()
