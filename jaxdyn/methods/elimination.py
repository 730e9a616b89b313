"""Systems of linear equations in a method's step: factored once, solved for every stage."""

from collections.abc import Callable

import jax.numpy as jnp
import jax.scipy.linalg

from jaxdyn._types import Array, Float

__all__ = ["solver_of"]

# Up to this many unknowns elimination is written out: elementwise code over all lanes. Beyond that XLA would
# compile for longer than it is worth (8 unknowns and 8 stages: 7 seconds).
UNROLLED = 8


def solver_of(matrix: Float[Array, "n n"]) -> Callable[[Float[Array, " n"]], Float[Array, " n"]]:
    """Solution of matrix @ y = b as a function of b; not finite where the matrix is singular, never an error."""
    if len(matrix) <= UNROLLED:
        return _written_out(matrix)
    factors = jax.scipy.linalg.lu_factor(matrix, check_finite=False)
    return lambda b: jax.scipy.linalg.lu_solve(factors, b, check_finite=False)


def _written_out(matrix: Array) -> Callable[[Array], Array]:
    """Gaussian elimination whose pivot is brought up by exchanges of two rows: no factor is larger than 1."""
    n = len(matrix)
    rows = [list(row) for row in matrix]
    exchanges: list[tuple[int, int, Array]] = []
    inverse: list[Array] = []
    for k in range(n):
        for i in range(k + 1, n):
            larger = jnp.abs(rows[i][k]) > jnp.abs(rows[k][k])
            exchanges.append((k, i, larger))
            # Left of the diagonal stand the factors of earlier columns, which move with their rows.
            rows[k], rows[i] = _exchanged(larger, rows[k], rows[i])
        inverse.append(1 / rows[k][k])
        for i in range(k + 1, n):
            factor = rows[i][k] * inverse[k]
            rows[i][k:] = [factor, *(rows[i][j] - factor * rows[k][j] for j in range(k + 1, n))]

    def solve(b: Array) -> Array:
        y = list(b)
        for k, i, larger in exchanges:
            (y[k],), (y[i],) = _exchanged(larger, [y[k]], [y[i]])
        for i in range(n):
            for j in range(i):
                y[i] = y[i] - rows[i][j] * y[j]
        for i in reversed(range(n)):
            for j in range(i + 1, n):
                y[i] = y[i] - rows[i][j] * y[j]
            y[i] = y[i] * inverse[i]
        return jnp.stack(y)

    return solve


def _exchanged(condition: Array, a: list[Array], b: list[Array]) -> tuple[list[Array], list[Array]]:
    pairs = list(zip(a, b, strict=True))
    return [jnp.where(condition, y, x) for x, y in pairs], [jnp.where(condition, x, y) for x, y in pairs]
