"""Derivatives written by hand: a system whose derivative with respect to the state is the caller's own function."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxdyn._arrays import stacked
from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, Scalar, is_concrete, matmul
from jaxdyn.system import System, require_system

__all__ = ["with_jacobian", "with_jvp"]

_S = TypeVar("_S", bound=System)


def with_jacobian(system: _S, jacobian: Callable[[Scalar, Array, dict[str, Array]], Any], *, check: bool = True) -> _S:
    """System whose derivative with respect to the state is a matrix written by hand.

    Parameters
    ----------
    system
        Flow or map.
    jacobian
        Pure function `(t, x, params) -> J` with J[i, j] = d field_i / d x_j: an array (dim, dim) of the state's
        dtype, or a tuple of rows of scalars.
    check
        Compare with the exact derivative at the start and at two states near it, wherever that is finite, for
        time 0, 1 and 2; not possible for a system that is being traced.

    Returns
    -------
    System
        Of the same kind, parameters and start. Its values are those of `system`; tangent vectors, exponents,
        Jacobians and Newton steps use the function that was given.

    Raises
    ------
    ValueError
        If the matrix has a wrong shape, or differs from the exact derivative: the largest difference is named.
    TypeError
        If it has another dtype, or no function was given.

    Notes
    -----
    Derivatives with respect to time, parameters and the leaves of a callable field stay automatic; that of a method's
    step is made of those of its stages. Second derivatives (gradients of exponents, of fixed points' eigenvalues)
    differentiate the function that was given, by the state and by parameters: a matrix of fixed numbers, right at one
    state only, has none. Inputs (`driven`) may be added before or after.

    A dense matrix of many states is seldom faster than the automatic products; `with_jvp` keeps what is sparse.
    Transforms: jit, vmap, lanes, sweep, grad.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.derivatives import with_jacobian
    >>> henon = jaxdyn.models.henon()
    >>> by_hand = with_jacobian(henon, lambda n, s, p: ((-2 * p["a"] * s[0], 1), (p["b"], 0)))
    >>> jaxdyn.jacobian(by_hand, [0.5, 0.5])
    Array([[-1.4,  1. ],
           [ 0.3,  0. ]], dtype=float32)
    """
    return _with_derivative(system, jacobian, True, check)


def with_jvp(system: _S, jvp: Callable[[Scalar, Array, dict[str, Array], Array], Any], *, check: bool = True) -> _S:
    """System whose derivative along a tangent vector is a product written by hand, without the matrix.

    Parameters
    ----------
    system
        Flow or map.
    jvp
        Pure function `(t, x, params, dx) -> J dx`, linear in `dx` (dim,): an array (dim,) of the state's dtype, or
        a tuple of scalars.
    check
        As for `with_jacobian`.

    Returns
    -------
    System
        See `with_jacobian`, also for errors, second derivatives and transforms.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.derivatives import with_jvp
    >>> lorenz = jaxdyn.models.lorenz63()
    >>> def product(t, s, p, d):
    ...     (x, y, z), (dx, dy, dz) = s, d
    ...     return p["sigma"] * (dy - dx), dx * (p["rho"] - z) - x * dz - dy, dx * y + x * dy - p["beta"] * dz
    >>> by_hand = with_jvp(lorenz, product)
    >>> float(jaxdyn.jacobian(by_hand, [1.0, 2.0, 3.0])[1, 0])
    25.0
    """
    return _with_derivative(system, jvp, False, check)


def _with_derivative(system: _S, derivative: Callable[..., Any], is_matrix: bool, check: bool) -> _S:
    require_system(system)
    if not callable(derivative):
        arguments = "(t, x, params)" if is_matrix else "(t, x, params, dx)"
        raise TypeError(f"the derivative must be a function {arguments}, got {type(derivative).__name__}")
    field = _ByHand(system.field, callable_tree(derivative), is_matrix, system.about.name)
    result = dataclasses.replace(system, field=field)
    jax.eval_shape(lambda s: jax.jvp(lambda x: s(s.time(0, 0, 0), x), (s.x0,), (s.x0,)), result)  # shapes, dtypes
    if check and is_concrete(system):
        with jax.ensure_compile_time_eval():
            _compare(system, result)
    return result


class _Made(NamedTuple):
    """What the caller's function is, for messages."""

    is_matrix: bool
    name: str


@record
class _ByHand:
    """Field with the caller's derivative with respect to the state."""

    field: Callable[..., Any]
    derivative: Callable[..., Any]
    is_matrix: bool = static()
    name: str = static()

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        return _value(_Made(self.is_matrix, self.name), self.field, self.derivative, t, x, params)

    def during_step(self, t: Any, params: dict[str, Any]) -> "_ByHand":
        """Return this field with sampled inputs held at their value at `t`."""
        hold = getattr(self.field, "during_step", None)
        return self if hold is None else dataclasses.replace(self, field=hold(t, params))


def _plain(field: Callable[..., Any], t: Any, x: Array, params: dict[str, Any]) -> Any:
    return jnp.asarray(stacked(field(t, x, params), x.dtype))


def _value_of(made: _Made, field: Any, derivative: Any, t: Any, x: Array, params: dict[str, Any]) -> Any:
    return _plain(field, t, x, params)


_value = jax.custom_jvp(_value_of, nondiff_argnums=(0,))


def _rule(made: _Made, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """Tangent of the value: by hand along the state, automatic along all else that moves."""
    field, derivative, t, x, params = primals
    value = _value(made, *primals)  # itself again, so that second derivatives are those of the caller's function
    d_field, _, d_t, d_x, d_params = tangents
    tangent = jnp.zeros_like(value)
    if not isinstance(d_x, SymbolicZero):
        tangent = _along(made, derivative, t, x, params, d_x)
    leaves, tree = jax.tree.flatten((field, t, params))
    slopes = jax.tree.leaves((d_field, d_t, d_params), is_leaf=lambda leaf: isinstance(leaf, SymbolicZero))
    moving = [i for i, slope in enumerate(slopes) if not isinstance(slope, SymbolicZero)]
    if moving:

        def others(*moved: Any) -> Any:
            every = list(leaves)
            for i, leaf in zip(moving, moved, strict=True):
                every[i] = leaf
            inner, time, values = jax.tree.unflatten(tree, every)
            return _plain(inner, time, x, values)

        tangent = tangent + jax.jvp(others, [leaves[i] for i in moving], [slopes[i] for i in moving])[1]
    return value, tangent


_value.defjvp(_rule, symbolic_zeros=True)


def _along(made: _Made, derivative: Any, t: Any, x: Array, params: dict[str, Any], dx: Array) -> Array:
    """Product of the derivative and one tangent vector."""
    dim = x.shape[0]
    if made.is_matrix:
        rows = derivative(t, x, params)
        if isinstance(rows, tuple | list):
            rows = jnp.stack([stacked(row, x.dtype) for row in rows])
        return matmul(_checked(rows, (dim, dim), made, x), dx)
    return _checked(stacked(derivative(t, x, params, dx), x.dtype), (dim,), made, x)


def _checked(value: Any, shape: tuple[int, ...], made: _Made, x: Array) -> Array:
    what = "Jacobian" if made.is_matrix else "product with a tangent vector"
    if jnp.shape(value) != shape:
        raise ValueError(f"{made.name}: the {what} by hand has shape {jnp.shape(value)}, expected {shape}")
    if jnp.result_type(value) != x.dtype:
        raise TypeError(
            f"{made.name}: the {what} by hand is {jnp.result_type(value)}, the state {x.dtype}; "
            "keep constants as Python numbers or cast them to x.dtype"
        )
    return jnp.asarray(value)


def _compare(system: System, by_hand: System) -> None:
    """Raise ValueError where the derivative by hand is not the exact one, up to rounding."""

    @jax.jit
    def both(t: Array, x: Array) -> tuple[Array, Array]:
        """Columns of the derivatives, and last what becomes of a vector in no special direction."""
        vector = jnp.cos(jnp.arange(1, system.dim + 1, dtype=x.dtype))
        exact = jax.jacfwd(lambda y: system(t, y))(x)
        exact = jnp.column_stack([exact, matmul(exact, vector)])
        defined = jnp.isfinite(system(t, x))[:, None]  # outside its domain a logarithm still has a slope
        _, pushed = jax.jvp(lambda y: by_hand(t, y), (x,), (vector,))
        hand = jnp.column_stack([jax.jacfwd(lambda y: by_hand(t, y))(x), pushed])
        return hand, jnp.where(defined, exact, jnp.nan)

    start = np.asarray(system.x0)
    aside = (1 + np.abs(start)) * np.cos(np.arange(1.0, system.dim + 1) ** 2)  # generic, and the same in every run
    states = [start, *((start + side * aside).astype(start.dtype) for side in (0.1, -0.07))]
    pairs = [both(system.time(0, 1, i), jnp.asarray(x)) for i, x in enumerate(states)]
    hand, exact = (np.stack([np.asarray(pair[side], float) for pair in pairs]) for side in (0, 1))
    known = np.isfinite(exact)
    if not known.any():
        raise ValueError(
            f"{system.about.name}: the exact derivative is not finite at the start nor near it, so that nothing can be "
            "compared; give a start where it is, or check=False"
        )
    eps = float(np.finfo(start.dtype).eps)
    size = np.abs(np.where(known, exact, 0))
    # Half the digits of an entry; and, as its terms may cancel, three digits beyond the last of the row's largest.
    allowed = eps**0.5 * size + 1000 * eps * size.max(axis=(0, 2))[:, None]
    difference = np.where(known, np.abs(hand - np.where(known, exact, 0)), 0)
    wrong = ~(difference <= allowed)  # also where it is nan
    if wrong.any():
        raise ValueError(f"{system.about.name}: {_what_is_wrong(system, states, hand, exact, difference, wrong)}")


def _what_is_wrong(system: System, states: list[Any], hand: Any, exact: Any, difference: Any, wrong: Any) -> str:
    entries = wrong[..., :-1].any(axis=0).sum()
    if not entries:
        return (
            "the product by hand is not linear in the tangent vector: its columns are right, but their sums are not; "
            "every term must hold one component of the vector as a factor"
        )
    excess = np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1)[..., :-1]
    k, i, j = np.unravel_index(np.argmax(excess), excess.shape)
    names = system.state_names
    return (
        f"the derivative by hand is wrong in {entries} of {system.dim**2} entries; the largest difference is "
        f"d {names[i]} / d {names[j]} (row {i}, column {j}): got {hand[k, i, j]:.6g}, exact {exact[k, i, j]:.6g} "
        f"at t = {k}, x = {_short(states[k])}; correct it, or use it as it is with check=False"
    )


def _short(x: Any) -> str:
    shown = ", ".join(f"{value:.4g}" for value in x[:6])
    return f"({shown}{', ...' if len(x) > 6 else ''})"
