"""Leading eigenvectors of a symmetric matrix that is known by its products: Lanczos' method."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdyn._types import Array, Float
from jaxdyn.analysis.matrices import generic_frame
from jaxdyn.analysis.orthonormal import full_product
from jaxdyn.analysis.scaling import binary_exponent
from jaxdyn.integrate import repeat

__all__ = ["leading_vectors", "length_of"]


def leading_vectors(
    apply: Callable[[Array], Array], n: int, dtype: jnp.dtype, *, k: int, n_iterations: int
) -> tuple[Float[Array, "k n"], Float[Array, ""]]:
    """Orthonormal approximations of the eigenvectors of the k largest eigenvalues, and the matrix' size.

    The matrix is applied to one vector an iteration. Its image, made orthogonal twice to all that came before, follows
    k places later: with one start this is Lanczos' method with full reorthogonalization; k starts find an eigenvalue
    that is up to k-fold as often as it is there (Ruhe 1979, Mathematics of Computation 33, 680-687). An image
    that lies in the span of what came before has no direction of its own: a generic vector goes on from there. Up to
    `n_iterations` unknowns the matrix is written out instead, by no more products, and its eigenvectors are exact.

    Parameters
    ----------
    apply
        Function v (n,) -> A v (n,) of the symmetric matrix A.
    n, dtype
        Size of the matrix and its dtype.
    k
        Number of eigenvectors, at most n and `n_iterations`.
    n_iterations
        Number of products with A, static.

    Returns
    -------
    tuple
        Eigenvectors as rows, that of the largest eigenvalue first, nan where A is not finite; the largest modulus
        among all approximate eigenvalues.
    """
    if n <= n_iterations:
        basis = jnp.eye(n, dtype=dtype)
        projected = jax.vmap(apply)(basis)
    else:
        basis, projected = _projection(apply, n, dtype, k, n_iterations)
    is_finite = jnp.all(jnp.isfinite(projected))
    symmetric = jnp.where(is_finite, projected / 2 + projected.T / 2, 0)  # LAPACK may not return from nan
    values, columns = jnp.linalg.eigh(symmetric, symmetrize_input=False)
    vectors = full_product(columns.T[::-1][:k], basis)
    return jnp.where(is_finite, vectors, jnp.nan), jnp.maximum(-values[0], values[-1])


def _projection(
    apply: Callable[[Array], Array], n: int, dtype: jnp.dtype, k: int, m: int
) -> tuple[Float[Array, "m n"], Float[Array, "m m"]]:
    """Orthonormal rows Q of a Krylov space, and Q A Q^T; all but k diagonals beside the main one are zero."""
    start = generic_frame(k, n, dtype)
    phase = 10 * n**0.5 * generic_frame(1, n, dtype)[0]
    # The rest of an image in the span of the rows is what rounding has left of it.
    rounding = 10 * float(jnp.finfo(dtype).eps)

    def iterate(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        j, basis, entries = carry
        image = apply(basis[j])
        along, direction, length = _parted(image, basis)
        is_lost = length <= rounding * length_of(image)
        _, spare, _ = _parted(jnp.sin((j + 1).astype(dtype) * phase), basis)
        row = along.at[j + k].set(jnp.where(is_lost, 0, length))
        return j + 1, basis.at[j + k].set(jnp.where(is_lost, spare, direction)), entries.at[j].set(row)

    basis = jnp.zeros((m + k, n), dtype).at[:k].set(start)
    entries = jnp.zeros((m, m + k), dtype)
    _, basis, entries = repeat(iterate, (jnp.int32(0), basis, entries), m)
    return basis[:m], entries[:, :m]


def _parted(vector: Array, basis: Array) -> tuple[Array, Array, Array]:
    """A vector's components along orthonormal rows, the direction of its rest, and that one's length."""
    # Once leaves errors of the size of what cancels; twice is enough (Giraud, Langou & Rozloznik 2005, Computers and
    # Mathematics with Applications 50, 1069).
    first = full_product(basis, vector)
    rest = vector - full_product(first, basis)
    second = full_product(basis, rest)
    rest = rest - full_product(second, basis)
    exponent = binary_exponent(rest)
    rest = jnp.ldexp(rest, -exponent)
    length = jnp.sqrt(jnp.sum(rest * rest))
    return first + second, rest / jnp.where(length > 0, length, 1), jnp.ldexp(length, exponent)


def length_of(vector: Array) -> Array:
    """Norm whose squares stay inside the dtype."""
    exponent = binary_exponent(vector)
    scaled = jnp.ldexp(vector, -exponent)
    return jnp.ldexp(jnp.sqrt(jnp.sum(scaled * scaled)), exponent)
