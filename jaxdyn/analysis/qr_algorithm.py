"""Orthogonal iteration: real Schur form, eigenvalues and growth rates of one matrix."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Complex, Float, Int, matmul, whole_number
from jaxdyn.analysis.local import matrix_eigenvalues
from jaxdyn.analysis.matrices import float_array, generic_frame, square_matrix, tolerance_of
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.analysis.scaling import binary_exponent, refuse_dependent, scaled_rows
from jaxdyn.errors import Status
from jaxdyn.integrate import march, repeat

__all__ = ["QRAlgorithm", "qr_algorithm"]


@record
class QRAlgorithm:
    """Leading invariant subspace of one matrix, with its real Schur form."""

    eigenvalues: Complex[Array, " k"] = labelled("exponent", words="eigenvalue")
    """Read from the blocks of `T`, largest modulus first once converged; pairs have the positive part first."""
    exponents: Float[Array, " k"] = labelled("exponent", words="logarithm of the eigenvalue's size")
    """Mean of log R_ii over the iterations, per application of M: tends to log|mu_i|, with an error O(1/k)."""
    Q: Float[Array, "n k"] = labelled("state", "exponent")
    """Orthonormal columns: the first j span the leading invariant subspace of dimension j."""
    T: Float[Array, "k k"] = labelled("exponent", "column")
    """Q^T M Q: upper triangular up to blocks of two for complex pairs, and up to what has not converged yet."""
    residual: Float[Array, ""] = labelled(words="residual")
    """|M Q - Q B| / |M| (Frobenius norms), B being `T` without what lies below its blocks. The eigenvalues are exact
    for a matrix within this relative distance of M."""
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if the residual exceeds the tolerance, NON_FINITE if a number left the dtype."""
    log_growth: Float[Array, "iteration k"] = detail("iteration", "exponent")
    """log R_ii of each iteration: in Q_k times R_k = M Q_(k-1), how much the i-th direction grew."""
    subdiagonal: Float[Array, "iteration j"] = detail("iteration", "subdiagonal")
    """|T[j+1, j]| after each iteration: tends to zero as |mu_(j+1) / mu_j|^k, except within a complex pair."""


def qr_algorithm(
    matrix: ArrayLike | Sequence[Any],
    *,
    n_iterations: int,
    n_vectors: int | None = None,
    start: ArrayLike | Sequence[Any] | None = None,
    tolerance: float | None = None,
) -> QRAlgorithm:
    """Real Schur form and eigenvalues of a matrix by orthogonal iteration, M Q_k = Q_(k+1) R_(k+1).

    Also called simultaneous or subspace iteration: the power method on several vectors that a QR factorization keeps
    orthonormal. With `n_vectors=2` it is the recursion of two vectors with a Gram-Schmidt step. It is equivalent to
    the unshifted QR algorithm: started from the identity, Q_k^T M Q_k are that algorithm's matrices. Numerical
    libraries add shifts and deflation and converge faster; what this iteration shows is the growth of directions, as
    `lyapunov_spectrum` does along a trajectory.

    Parameters
    ----------
    matrix
        Square matrix M, (n, n).
    n_iterations
        Number of iterations, static.
    n_vectors
        Number k of leading directions; default all n.
    start
        Columns (n, k) to start from, linearly independent; `jnp.eye(n)` for the QR algorithm. Default: fixed
        orthonormal ones in no special direction, since axes may be invariant and then keep their order.
    tolerance
        Of the residual for the status; default 1e-8 in float64, 1e-5 in float32.

    Returns
    -------
    QRAlgorithm
        eigenvalues and exponents (k,), Q (n, k), T (k, k), residual and status (); log_growth (n_iterations, k)
        and subdiagonal (n_iterations, k - 1).

    Raises
    ------
    TypeError, ValueError
        While tracing: a matrix that is not square, a number of vectors or a start that does not fit.

    Notes
    -----
    After m iterations the entry T[j+1, j] is about |mu_(j+1)/mu_j|^m. Different eigenvalues of equal modulus stay
    in one block: a complex pair, mu and -mu. More than two different ones, or a pair that `n_vectors` cuts in two,
    are in general reported as NOT_CONVERGED; equal ones converge, slowly where eigenvectors are missing.
    `Q` is real, so `T` is triangular only where all eigenvalues are real.
    Transforms: jit, vmap, grad (of simple eigenvalues, where M Q_k keeps its rank). Memory O(n k + k n_iterations).

    References
    ----------
    Golub & Van Loan 2013, Matrix Computations, sections 7.3.2, 7.3.3 and 7.4.1. Trefethen & Bau 1997, Numerical
    Linear Algebra, lecture 28.

    Examples
    --------
    >>> from jaxdyn.analysis.qr_algorithm import qr_algorithm
    >>> [round(float(value), 4) for value in qr_algorithm([[2.0, 1.0], [1.0, 2.0]], n_iterations=30).eigenvalues.real]
    [3.0, 1.0]
    """
    square = square_matrix(matrix)
    n_iterations = whole_number(n_iterations, "n_iterations")
    columns = None if start is None else float_array(start, "start").astype(square.dtype)
    k = _number_of_vectors(square, n_vectors, columns)
    generic = generic_frame(k, len(square), square.dtype)
    return _orthogonal_iteration(square, columns, generic, n_iterations, tolerance_of(tolerance, square.dtype))


def _number_of_vectors(matrix: Array, n_vectors: int | None, start: Array | None) -> int:
    n = len(matrix)
    if start is not None:
        k = None if n_vectors is None else whole_number(n_vectors, "n_vectors")
        if start.ndim != 2 or start.shape != (n, k or start.shape[1]) or not 1 <= start.shape[1] <= n:
            expected = f"({n}, {k})" if k else f"({n}, k) with k from 1 to {n}"
            raise ValueError(f"start has shape {start.shape}, expected {expected}: one column per vector")
        k = start.shape[1]
        refuse_dependent(start.T, f"the {k} columns of start")
        return k
    k = n if n_vectors is None else whole_number(n_vectors, "n_vectors")
    if k > n:
        raise ValueError(f"n_vectors must be between 1 and {n}, the size of the matrix, got {k}")
    return k


@functools.partial(jax.jit, static_argnames="n_iterations")
def _orthogonal_iteration(
    matrix: Array, start: Array | None, generic: Array, n_iterations: int, tolerance: ArrayLike
) -> QRAlgorithm:
    exponent = binary_exponent(matrix)
    matrix = jnp.ldexp(matrix, -exponent)

    def images(frame: Array) -> Array:
        return matmul(frame, matrix.T)

    def iterate(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        frame, length = _orthonormal(carry[1], carry[0], generic)
        return frame, images(frame), length

    frame = generic if start is None else orthonormalize(scaled_rows(start.T))[0]
    (frame, image, _), (log_growth, subdiagonal) = march(
        iterate,
        (frame, images(frame), jnp.zeros(len(frame), matrix.dtype)),
        n_blocks=n_iterations,
        block=1,
        observe=lambda c: (jnp.log(c[2]), jnp.abs(jnp.sum(c[0][1:] * c[1][:-1], axis=1))),
    )
    schur = matmul(frame, image.T)
    first = _pairs(schur)
    kept = jnp.triu(schur) + jnp.diag(jnp.where(first, jnp.diagonal(schur, -1), 0), -1)
    size = jnp.linalg.norm(matrix)
    residual = jnp.linalg.norm(image - matmul(kept.T, frame)) / jnp.where(size > 0, size, 1)
    code = jnp.where(residual <= tolerance, int(Status.OK), int(Status.NOT_CONVERGED))
    eigenvalues = _block_eigenvalues(kept, first)
    eigenvalues = lax.complex(jnp.ldexp(eigenvalues.real, exponent), jnp.ldexp(eigenvalues.imag, exponent))
    schur = jnp.ldexp(schur, exponent)
    log_growth = log_growth + exponent.astype(matrix.dtype) * math.log(2)
    finite = jnp.all(jnp.isfinite(image)) & jnp.all(jnp.isfinite(schur)) & jnp.isfinite(residual)
    return QRAlgorithm(
        eigenvalues=eigenvalues,
        exponents=jnp.mean(log_growth, axis=0),
        Q=frame.T,
        T=schur,
        residual=residual,
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
        log_growth=log_growth,
        subdiagonal=jnp.ldexp(subdiagonal, exponent),
    )


def _orthonormal(vectors: Array, previous: Array, generic: Array) -> tuple[Array, Array]:
    """Orthonormal rows, also of dependent ones, and the diagonal of R: how much of each vector lies along its row.

    A row of a singular matrix' image may be nothing but rounding, or zero. The direction before it then stays, as in
    the power method; where that one is taken, a generic one stands in. Each pass also makes orthogonal what the one
    before left of nearly dependent rows (twice is enough: Giraud, Langou & Rozloznik 2005, Computers and Mathematics
    with Applications 50, 1069).
    """
    rounding = 10 * len(vectors) * jnp.finfo(vectors.dtype).eps

    def once_more(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        i, rows, total, is_lost = carry
        spare = jnp.where(i == 1, previous, generic)
        rows, r = orthonormalize(jnp.where(is_lost[:, None], spare, rows))
        diagonal = jnp.diagonal(r)
        # The product of all passes' factors: a row may lose its direction to one that was put in before it. What
        # stands in for a lost row has no part of the vector.
        total = jnp.where(is_lost, total, total * diagonal)
        # A column of R is as long as its vector.
        is_lost = diagonal <= rounding * jnp.max(jnp.abs(r), axis=0)
        return i + 1, rows, total, is_lost

    ones = jnp.ones(len(vectors), vectors.dtype)
    _, rows, diagonal, _ = repeat(once_more, (jnp.int32(0), vectors, ones, ones < 0), 3)
    return rows, diagonal


def _pairs(schur: Array) -> Array:
    """Whether entry j begins a block of two: its subdiagonal is no rounding, and larger than the next one."""
    below = jnp.abs(jnp.diagonal(schur, -1))
    diagonal = jnp.abs(jnp.diagonal(schur))
    rounding = len(schur) * jnp.finfo(schur.dtype).eps * (diagonal[1:] + diagonal[:-1])
    following = jnp.append(below[1:], jnp.zeros((), below.dtype))[: len(below)]
    may_begin = (below > rounding) & (below >= following)

    def mark(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        j, first = carry
        # Before the first entry this looks at the last one, which is not marked yet.
        return j + 1, first.at[j].set(may_begin[j] & ~first[j - 1])

    if len(below) == 0:
        return may_begin
    return repeat(mark, (jnp.int32(0), jnp.zeros_like(may_begin)), len(below))[1]


def _block_eigenvalues(schur: Array, first: Array) -> Array:
    """Eigenvalues of the blocks of one and two along the diagonal."""
    alone = lax.complex(jnp.diagonal(schur), jnp.zeros_like(jnp.diagonal(schur)))
    if len(schur) == 1:
        return alone
    j = jnp.arange(len(schur) - 1)
    blocks = schur[j[:, None, None] + jnp.arange(2)[None, :, None], j[:, None, None] + jnp.arange(2)[None, None, :]]
    pairs = jax.vmap(matrix_eigenvalues)(blocks)
    no = jnp.zeros(1, bool)
    begins, ends = jnp.concatenate([first, no]), jnp.concatenate([no, first])
    upper, lower = jnp.concatenate([pairs[:, 0], alone[-1:]]), jnp.concatenate([alone[:1], pairs[:, 1]])
    return jnp.where(begins, upper, jnp.where(ends, lower, alone))
