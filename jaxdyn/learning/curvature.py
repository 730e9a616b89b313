"""Sharpness: the extreme eigenvalues of a loss' Hessian, as it is or as a preconditioner of the optimizer scales it."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from jaxdyn._record import callable_tree, detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, PyTree, whole_number
from jaxdyn.analysis.matrices import tolerance_of
from jaxdyn.errors import Status
from jaxdyn.learning.lanczos import leading_vectors, length_of
from jaxdyn.learning.training import require_number

__all__ = ["Sharpness", "sharpness"]

TOLERANCE = 1e-4
"""Of a residual over the Hessian's size: an eigenvalue is off by at most that part of the largest."""


@record
class Sharpness:
    """Extreme eigenvalues of a Hessian at one point."""

    eigenvalues: Float[Array, " k"] = labelled("eigenvalue", words="eigenvalue of the Hessian")
    """Signed; the largest first, of `which="smallest"` the most negative."""
    residuals: Float[Array, " k"] = labelled("eigenvalue", words="error bound of the eigenvalue")
    """|H v - lambda v| for vectors v of length 1: the Hessian has an eigenvalue within this distance of lambda."""
    vectors: Float[Array, "k dim"] = detail("eigenvalue", "parameter")
    """Orthonormal eigenvectors as rows, in the order of `jax.flatten_util.ravel_pytree`; preconditioned ones are
    P^(1/2) times the directions in which the parameters move. Their sign means nothing."""
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if a residual exceeds the tolerance times the Hessian's size, NON_FINITE if the Hessian is."""

    @property
    def value(self) -> Float[Array, ""]:
        """The first eigenvalue: the sharpness."""
        return self.eigenvalues[0]

    @property
    def residual(self) -> Float[Array, ""]:
        """Its error bound."""
        return self.residuals[0]


def sharpness(
    loss: Callable[[Any], Any],
    params: PyTree,
    *,
    preconditioner: PyTree | None = None,
    n_eigenvalues: int = 1,
    which: Literal["largest", "smallest"] = "largest",
    n_iterations: int = 40,
    tolerance: float | None = None,
) -> Sharpness:
    """Extreme eigenvalues of a loss' Hessian, by Lanczos' method on Hessian-vector products.

    Parameters
    ----------
    loss
        Function params -> number, twice differentiable. A `jax.tree_util.Partial` keeps its data as leaves, so that
        other data compile nothing anew.
    params
        Pytree of float arrays or numbers, all of one dtype; dim values in all.
    preconditioner
        Positive numbers P like `params`, or one array (dim,) in their order: then the eigenvalues are those of
        P^-1 H, computed as those of P^(-1/2) H P^(-1/2). See `jaxdyn.learning.preconditioner`.
    n_eigenvalues
        Number k of eigenvalues, static.
    which
        "largest" or "smallest", by sign, not by modulus: the smallest is the most negative curvature.
    n_iterations
        Products with the Hessian, static. Up to that many parameters the Hessian is written out and the result exact
        to rounding.
    tolerance
        Of the residuals over the Hessian's size (its largest eigenvalue in modulus) for the status; default 1e-4.

    Returns
    -------
    Sharpness
        eigenvalues and residuals (k,), vectors (k, dim), status (); `value` and `residual` are the first ones.

    Raises
    ------
    TypeError, ValueError
        While tracing: a loss that is no real number, parameters that are no floats of one dtype, a preconditioner of
        another structure or shape, more eigenvalues than parameters or iterations.

    Notes
    -----
    A product H v is the forward derivative of the gradient: about five evaluations of the loss, no matrix. The
    first k vectors are fixed and generic; all are kept orthogonal. A residual bounds the distance to *an*
    eigenvalue; that it is the largest holds for all starts but those without a part along its vector. An eigenvalue
    that is more than k-fold is seen k times. Errors of converged values are of second order, residual^2 over the gap.

    Transforms: jit, vmap, lanes, sweep; grad of `eigenvalues` that are simple (Hellmann-Feynman: v.dH v, one more
    derivative of the loss and no loop); vectors and residuals have no derivative. Memory O(dim n_iterations).

    References
    ----------
    Parlett 1998, The Symmetric Eigenvalue Problem, chapters 4 and 13; Pearlmutter 1994, Neural Computation 6, 147-160,
    doi:10.1162/neco.1994.6.1.147 (products with the Hessian); Cohen, Kaur, Li, Kolter & Talwalkar 2021,
    arXiv:2103.00065 (sharpness in training); Cohen et al. 2022, arXiv:2207.14484 (preconditioned).

    Examples
    --------
    >>> import jaxdyn
    >>> def loss(p):
    ...     return 3 * p["a"] ** 2 + p["a"] * p["b"] - p["b"] ** 2
    >>> found = jaxdyn.learning.sharpness(loss, {"a": 1.0, "b": 2.0}, n_eigenvalues=2)
    >>> [round(float(value), 4) for value in found.eigenvalues]
    [6.1231, -2.1231]
    """
    params = jax.tree.map(jnp.asarray, params)
    theta = _raveled(params)
    if which not in ("largest", "smallest"):
        raise ValueError(f'which must be "largest" or "smallest", got {which!r}')
    n_iterations = whole_number(n_iterations, "n_iterations")
    k = whole_number(n_eigenvalues, "n_eigenvalues")
    if k > min(theta.size, n_iterations):
        raise ValueError(
            f"n_eigenvalues={k} of {theta.size} parameters by n_iterations={n_iterations}; ask for no more eigenvalues "
            "than there are of either"
        )
    _check_loss(loss, params)
    diagonal = None if preconditioner is None else _diagonal(preconditioner, params, theta)
    limit = TOLERANCE if tolerance is None else tolerance_of(tolerance, theta.dtype)
    sign = 1.0 if which == "largest" else -1.0
    return _sharpness(callable_tree(loss), params, diagonal, limit, sign, k, n_iterations)


@functools.partial(jax.jit, static_argnames=("sign", "k", "n_iterations"))
def _sharpness(
    loss: Callable[[Any], Any],
    params: PyTree,
    diagonal: Array | None,
    tolerance: ArrayLike,
    sign: float,
    k: int,
    n_iterations: int,
) -> Sharpness:
    theta, unravel = ravel_pytree(params)
    scale = jnp.ones_like(theta) if diagonal is None else lax.rsqrt(diagonal)

    def product(theta: Array, scale: Array, vector: Array) -> Array:
        slope = jax.grad(lambda flat: loss(unravel(flat)))
        return sign * scale * jax.jvp(slope, (theta,), (scale * vector,))[1]

    # Eigenvectors change in first order, eigenvalues by v.dH v alone (Hellmann-Feynman): no derivative of the loop.
    here = functools.partial(product, *lax.stop_gradient((theta, scale)))
    vectors, size = lax.stop_gradient(leading_vectors(here, theta.size, theta.dtype, k=k, n_iterations=n_iterations))
    images = jax.vmap(functools.partial(product, theta, scale))(vectors)
    values = jnp.sum(vectors * images, axis=1)
    rest = lax.stop_gradient(images - values[:, None] * vectors)
    residuals = jax.vmap(length_of)(rest)
    converged = jnp.all(residuals <= tolerance * jnp.maximum(size, jnp.max(jnp.abs(values))))
    code = jnp.where(converged, int(Status.OK), int(Status.NOT_CONVERGED))
    finite = jnp.all(jnp.isfinite(values)) & jnp.all(jnp.isfinite(residuals))
    return Sharpness(
        eigenvalues=sign * values,
        residuals=residuals,
        vectors=vectors,
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
    )


def _raveled(params: PyTree) -> Array:
    leaves = jax.tree.leaves(params)
    dtypes = sorted({str(leaf.dtype) for leaf in leaves})
    if len(dtypes) != 1 or dtypes[0] not in ("float32", "float64"):
        raise TypeError(
            f"parameters must all be float32 or all float64, got {', '.join(dtypes) or 'none'}; cast them, and keep "
            "what is not learned out of them"
        )
    theta = ravel_pytree(params)[0]
    if theta.size == 0:
        raise ValueError("parameters must hold at least one number, got none")
    return theta


def _check_loss(loss: Any, params: PyTree) -> None:
    if not callable(loss):
        raise TypeError(f"loss must be a function of the parameters, got {type(loss).__name__}")
    require_number(jax.eval_shape(loss, params))


def _diagonal(preconditioner: Any, params: PyTree, theta: Array) -> Array:
    """The preconditioner as one array in the order of the parameters."""
    if any(np.iscomplexobj(leaf) for leaf in jax.tree.leaves(preconditioner)):
        raise ValueError("preconditioner must hold positive numbers, got complex ones; give their real parts")
    if hasattr(preconditioner, "shape") and preconditioner.shape == theta.shape:
        return jnp.asarray(preconditioner, theta.dtype)
    got, expected = (jax.tree.map(jnp.shape, tree) for tree in (preconditioner, params))
    if jax.tree.structure(preconditioner) != jax.tree.structure(params) or got != expected:
        raise ValueError(f"preconditioner must have one number per parameter, {expected} or ({theta.size},), got {got}")
    return ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, theta.dtype), preconditioner))[0]
