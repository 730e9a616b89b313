"""Power method: the eigenvalue of largest modulus, with the whole history of its convergence."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, matmul, whole_number
from jaxdyn.analysis.matrices import float_array, generic_frame, square_matrix, tolerance_of
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.analysis.scaling import binary_exponent
from jaxdyn.errors import Status
from jaxdyn.integrate import march

__all__ = ["PowerMethod", "power_method"]


@record
class PowerMethod:
    """Leading eigenvalue and eigenvector of one matrix, and how the iteration came there."""

    eigenvalue: Float[Array, ""] = labelled(words="dominant eigenvalue")
    """Rayleigh quotient v.M v of the last vector."""
    vector: Float[Array, " n"] = labelled("state")
    """Last vector, of length 1; its sign is that of the iteration (it alternates for a negative eigenvalue)."""
    exponent: Float[Array, ""] = labelled(words="logarithm of the dominant eigenvalue's size")
    """Mean of log |M v_k| over all vectors, per application of M: tends to log|mu_1|, with an error O(1/k)."""
    residual: Float[Array, ""] = labelled(words="residual")
    """|M v - mu v| of the last vector; a symmetric matrix has an eigenvalue within this distance of mu."""
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if the residual exceeds the tolerance times |M v|, NON_FINITE if a number left the dtype or
    the start is zero."""
    vectors: Float[Array, "iteration n"] = detail("iteration", "state")
    """v_0 (the start, of length 1) to the last."""
    rayleigh_quotients: Float[Array, " iteration"] = detail("iteration")
    """v_k.M v_k."""
    log_growth: Float[Array, " iteration"] = detail("iteration")
    """log |M v_k|: finite also where the Rayleigh quotient passes through zero."""
    residuals: Float[Array, " iteration"] = detail("iteration")
    """|M v_k - mu_k v_k|."""


def power_method(
    matrix: Callable[[Array], Array] | ArrayLike | Sequence[Any],
    start: ArrayLike | Sequence[Any] | None = None,
    *,
    n_iterations: int,
    tolerance: float | None = None,
) -> PowerMethod:
    """Leading eigenvalue of a matrix by the power method, v[k+1] = M v[k] / |M v[k]|.

    Parameters
    ----------
    matrix
        Square matrix (n, n), or the function v -> M v of one vector (n,): a Jacobian's product by `jax.jvp`, say.
    start
        First vector (n,), of any length but zero; a function needs one. Default: a fixed vector in no special
        direction. The method fails for a start without a component along the leading eigenvector, which happens to
        a random start with probability 0.
    n_iterations
        Number of iterations, static; all of them are one loop, each applies M once.
    tolerance
        Of |M v - mu v| / |M v| for the status; default 1e-8 in float64, 1e-5 in float32.

    Returns
    -------
    PowerMethod
        eigenvalue, exponent, residual and status (), vector (n,); vectors (n_iterations + 1, n) and the Rayleigh
        quotients, log growths and residuals (n_iterations + 1,) from the start on.

    Raises
    ------
    TypeError, ValueError
        While tracing: a matrix that is not square, a start of another size or zero, a function without a start.

    Notes
    -----
    With |mu_1| > |mu_2| the angle to the eigenvector shrinks by |mu_2/mu_1| an iteration, and so does the
    error of the Rayleigh quotient; for symmetric (normal) matrices that one shrinks by the square. A leading complex
    pair, or mu_2 = -mu_1, does not converge: the residual stays large. Then use `qr_algorithm` with two vectors.
    Transforms: jit, vmap, grad (where no M v_k vanishes; residuals where they do not). Memory O(n n_iterations).

    References
    ----------
    Golub & Van Loan 2013, Matrix Computations, sections 7.3.1 and 8.2.1.

    Examples
    --------
    >>> from jaxdyn.analysis.power_method import power_method
    >>> round(float(power_method([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0], n_iterations=30).eigenvalue), 4)
    3.0
    """
    n_iterations = whole_number(n_iterations, "n_iterations")
    apply, vector = _operator(matrix, start)
    return _power(apply, vector, n_iterations, tolerance_of(tolerance, vector.dtype))


def _operator(matrix: Any, start: Any) -> tuple[Callable[[Array], Array], Array]:
    """Function v -> M v with its arrays as leaves, so that a new matrix compiles nothing anew, and the start."""
    if callable(matrix):
        if start is None:
            raise TypeError("a function v -> M v needs a start; give start=... of shape (n,)")
        vector, apply = float_array(start, "start"), jax.tree_util.Partial(matrix)
    else:
        square = square_matrix(matrix)
        vector = generic_frame(1, len(square), square.dtype)[0] if start is None else float_array(start, "start")
        if vector.shape != square.shape[1:]:
            raise ValueError(f"start has shape {vector.shape}, the matrix {square.shape}; give one value per column")
        vector, apply = vector.astype(square.dtype), jax.tree_util.Partial(matmul, square)
    if vector.ndim != 1 or (is_concrete(vector) and _is_zero(np.asarray(vector))):
        raise ValueError(f"start must be a vector (n,) other than zero, got {start!r}")
    image = jax.eval_shape(apply, vector)
    if (getattr(image, "shape", None), getattr(image, "dtype", None)) != (vector.shape, vector.dtype):
        raise ValueError(f"the function gave {image} for a vector {vector.dtype}{vector.shape}; M must keep both")
    return apply, vector


@functools.partial(jax.jit, static_argnames="n_iterations")
def _power(apply: Callable[[Array], Array], start: Array, n_iterations: int, tolerance: ArrayLike) -> PowerMethod:
    def iterate(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        vector, image = carry
        turned = _unit(image)
        # A vector that M takes to zero has no direction to go on with: it is an eigenvector of 0 and stays.
        vector = jnp.where(jnp.any(turned != 0), turned, vector)
        return vector, apply(vector)

    first = _unit(start)
    started = jnp.any(first != 0)
    carry = first, apply(first)
    _, later = march(iterate, carry, n_blocks=n_iterations, block=1, observe=lambda c: c)
    vectors, images = (jnp.concatenate([a[None], b]) for a, b in zip(carry, later, strict=True))
    # Residuals of a tiny matrix would vanish below the dtype: all is compared at images of moderate size.
    exponents = jax.vmap(binary_exponent)(images)
    scaled = jnp.ldexp(images, -exponents[:, None])
    quotients = jnp.sum(vectors * scaled, axis=1)
    growth = jax.vmap(_length)(scaled)
    residuals = jax.vmap(_length)(scaled - quotients[:, None] * vectors)
    converged = residuals[-1] <= tolerance * growth[-1]
    quotients, residuals = jnp.ldexp(quotients, exponents), jnp.ldexp(residuals, exponents)
    finite = started & jnp.all(jnp.isfinite(images)) & jnp.all(jnp.isfinite(quotients))
    code = jnp.where(converged, int(Status.OK), int(Status.NOT_CONVERGED))
    log_growth = jnp.log(growth) + exponents.astype(growth.dtype) * math.log(2)
    return PowerMethod(
        eigenvalue=quotients[-1],
        vector=vectors[-1],
        exponent=jnp.mean(log_growth),
        residual=residuals[-1],
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
        vectors=vectors,
        rayleigh_quotients=quotients,
        log_growth=log_growth,
        residuals=residuals,
    )


def _is_zero(vector: np.ndarray) -> bool:
    """Whether nothing is left but zeros and numbers that are too small for accelerators."""
    return bool(np.all(np.abs(vector) < np.finfo(vector.dtype).tiny))


def _unit(vector: Array) -> Array:
    return orthonormalize(jnp.ldexp(vector, -binary_exponent(vector))[None])[0][0]


def _length(vector: Array) -> Array:
    """Norm whose squares stay inside the dtype."""
    return orthonormalize(vector[None])[1][0, 0]
