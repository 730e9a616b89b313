"""Roots whose slope at zero is finite: optimizers divide by roots of averages that are zero at a minimum."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from jaxdyn._types import Array
from jaxdyn.engine.dense import bind

__all__ = ["with_finite_roots"]


def with_finite_roots(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with the same values, in which derivatives of sqrt and cbrt at 0 are large and not infinite.

    Adam moves by m / (sqrt(v) + eps). At a minimum m = v = 0, and the step is differentiable there: it differs from
    m / eps by no more than |m| sqrt(v) / eps^2, which is small beside |m| + v. So its slopes are 1 / eps by m and 0 by
    v. Automatic differentiation finds the second as m times the slope of the root, 0 times infinity. With a slope
    that is only large the product is 0. Where m is not 0, and the slope truly infinite, it stays large. Roots of
    positive numbers, and all values, are what they were.
    """

    def rooted(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _results(closed, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return rooted


@jax.custom_jvp
def _root(x: Array) -> Array:
    return lax.sqrt(x)


@_root.defjvp
def _root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Slope 1 / (2 sqrt(x)) down to the smallest normal number: about 5e18 in float32, 3e153 in float64."""
    (x,), (slope,) = primals, tangents
    return _root(x), slope * (0.5 / lax.sqrt(jnp.maximum(x, jnp.finfo(x.dtype).tiny)))


@jax.custom_jvp
def _cube_root(x: Array) -> Array:
    return lax.cbrt(x)


@_cube_root.defjvp
def _cube_root_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Slope 1 / (3 cbrt(x)^2), down to the smallest normal number likewise."""
    (x,), (slope,) = primals, tangents
    return _cube_root(x), slope * (1 / (3 * lax.cbrt(jnp.maximum(jnp.abs(x), jnp.finfo(x.dtype).tiny)) ** 2))


_ROOTS = {"sqrt": _root, "cbrt": _cube_root}


def _results(closed: core.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    """Results of a traced function, its roots replaced, also those within functions that it calls."""
    values: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values |= dict(zip(closed.jaxpr.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in closed.jaxpr.eqns:
        inputs, name = [value(atom) for atom in equation.invars], equation.primitive.name
        if name in _ROOTS and jnp.issubdtype(inputs[0].dtype, jnp.floating):
            results = [_ROOTS[name](inputs[0])]
        elif name == "cond":
            branches = [functools.partial(_branch_results, branch) for branch in equation.params["branches"]]
            results = lax.switch(inputs[0], branches, *inputs[1:])
        elif name in ("jit", "pjit"):
            results = _results(equation.params["jaxpr"], inputs)
        else:
            results = bind(equation, inputs)
        values |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in closed.jaxpr.outvars]


def _branch_results(closed: core.ClosedJaxpr, *arguments: Any) -> list[Any]:
    return _results(closed, arguments)
