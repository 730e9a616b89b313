"""Local analysis: exact Jacobian, linearization, eigenvalues."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._record import record
from jaxdyn._types import Array, ArrayLike, Complex, Float, matmul
from jaxdyn.stochastic import SDE, sde
from jaxdyn.system import Flow, System, flow, iterated_map

__all__ = ["eigenvalues", "jacobian", "leading_directions", "linearize", "matrix_eigenvalues"]

_S = TypeVar("_S", bound=System)


def jacobian(system: System, x: ArrayLike | Sequence[Any] | None = None, t: ArrayLike = 0) -> Float[Array, "dim dim"]:
    """Exact Jacobian of the field by forward differentiation: J[i, j] = d field_i / d x_j.

    Parameters
    ----------
    system
        Flow (J in 1/time) or map (J without unit).
    x
        Point, (dim,); default the system's start.
    t
        Time, for non-autonomous systems.

    Raises
    ------
    ValueError
        If `x` does not have one value per state.

    Notes
    -----
    Transforms: jit, vmap, grad. Cost: dim evaluations of the field.

    Examples
    --------
    >>> import jaxdyn
    >>> jaxdyn.jacobian(jaxdyn.models.henon(), [0.5, 0.5])
    Array([[-1.4,  1. ],
           [ 0.3,  0. ]], dtype=float32)
    """
    return jax.jacfwd(lambda y: system(t, y))(_point(system, x))


def linearize(system: _S, x: ArrayLike | Sequence[Any] | None = None, t: ArrayLike = 0) -> _S:
    """Linear system about a point, in the original coordinates: f(x*) + J(x*) (x - x*).

    Parameters
    ----------
    system
        Flow or map.
    x
        The point x*, (dim,); default the system's start. It need not be a fixed point.
    t
        Time at which a non-autonomous field is frozen.

    Returns
    -------
    System
        Of the same kind, states and start, with parameters `A` = J (dim, dim), `center` = x* and
        `offset` = f(x*), both (dim,). A stochastic system keeps its seed, and its diffusion at x* as parameter `B`:
        the linear noise approximation.

    Raises
    ------
    ValueError
        If `x` does not have one value per state.

    Examples
    --------
    >>> import jaxdyn
    >>> jaxdyn.linearize(jaxdyn.models.lorenz63(), [0.0, 0.0, 0.0]).params["A"].shape
    (3, 3)
    """
    point = _point(system, x)
    params = {"A": jacobian(system, point, t), "center": point, "offset": system(t, point)}
    settings: dict[str, Any] = {"state_names": system.state_names}
    if isinstance(system, SDE):
        params["B"] = system.amplitude(t, point)
        return sde(_Linear(), _Noise(), params, system.x0, seed=system.params["seed"], **settings)  # type: ignore[return-value]
    make: Any = flow if isinstance(system, Flow) else iterated_map
    return make(_Linear(), params, system.x0, **settings)


@record
class _Noise:
    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        return params["B"]


@record
class _Linear:
    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        return params["offset"] + matmul(params["A"], x - params["center"])


def eigenvalues(system: System, x: ArrayLike | Sequence[Any] | None = None, t: ArrayLike = 0) -> Complex[Array, " dim"]:
    """Eigenvalues of the Jacobian at a point, largest growth first.

    Flows are ordered by real part (1/time), maps by modulus; pairs have the positive imaginary part first.
    Arguments and errors as in `jacobian`. Two states have a closed form that runs on every device; more states use
    LAPACK or cuSOLVER, and on TPU the host.

    Notes
    -----
    Transforms: jit, vmap, grad (of simple eigenvalues).

    Examples
    --------
    >>> import jaxdyn
    >>> [round(float(value), 4) for value in jaxdyn.eigenvalues(jaxdyn.models.linear_map()).real]
    [-0.5303, -0.1697]
    """
    values = matrix_eigenvalues(jacobian(system, x, t))
    return values[_by_growth(values, system.discrete)]


def leading_directions(system: System, x: Array, t: ArrayLike, n: int) -> tuple[Array, Array]:
    """Eigenvalues at a point, largest growth first, and eigenvectors of the first `n`, one a row; nan if not finite.

    Vectors have length 1 and their largest component is real and positive.
    """
    matrix = jacobian(system, x, t)
    finite = jnp.all(jnp.isfinite(matrix))
    safe = jnp.where(finite, matrix, jnp.zeros_like(matrix))
    values, vectors = _eigenvectors(safe)
    order = _by_growth(values, system.discrete)
    rows = vectors.T[order[:n]]
    largest = jnp.take_along_axis(rows, jnp.argmax(jnp.abs(rows), axis=1)[:, None], axis=1)
    turned = rows * jnp.conj(largest) / jnp.abs(largest).astype(rows.dtype)
    nan = jnp.asarray(jnp.nan, values.dtype)
    return jnp.where(finite, values[order], nan), jnp.where(finite, turned, nan)


def _by_growth(values: Array, discrete: bool) -> Array:
    """Order of eigenvalues, largest growth first, of a pair the one with the positive imaginary part."""
    size = jnp.abs(values) if discrete else values.real
    return jnp.lexsort((-values.imag, -_rounded(size)))


def matrix_eigenvalues(matrix: Float[Array, "n n"]) -> Complex[Array, " n"]:
    """Eigenvalues of one square matrix, in no particular order; nan where the matrix is not finite."""
    n = matrix.shape[-1]
    if n == 1:
        return lax.complex(matrix[0], jnp.zeros_like(matrix[0]))
    if n == 2:
        return _eigenvalues_of_two(matrix)
    finite = jnp.all(jnp.isfinite(matrix))
    safe = jnp.where(finite, matrix, jnp.zeros_like(matrix))
    values = _eigenvalues_of_many(safe)
    return jnp.where(finite, values, jnp.asarray(jnp.nan, values.dtype))


def _eigenvalues_of_two(matrix: Array) -> Array:
    """Roots of the characteristic polynomial without cancellation: the smaller real root is det / larger."""
    size = lax.stop_gradient(jnp.max(jnp.abs(matrix)))
    scale = jnp.where((size > 0) & (size < jnp.inf), size, 1)  # squares of the scaled entries stay inside the dtype
    (a, b), (c, d) = matrix / scale
    mean, half = (a + d) / 2, (a - d) / 2
    discriminant = half * half + b * c
    # Where the eigenvalues meet, the square root has no derivative: 0 stands for it, so that their sum keeps its own.
    meet = discriminant == 0
    root = jnp.where(meet, 0, jnp.sqrt(jnp.where(meet, 1, jnp.abs(discriminant))))
    large = jnp.where(mean < 0, mean - root, mean + root)
    small = jnp.where(meet, mean, (a * d - b * c) / jnp.where(large == 0, 1, large))
    is_real = discriminant >= 0
    zero = jnp.zeros_like(mean)
    first = lax.complex(jnp.where(is_real, large, mean), jnp.where(is_real, zero, root))
    second = lax.complex(jnp.where(is_real, small, mean), jnp.where(is_real, zero, -root))
    values = jnp.stack([first, second])
    return values * scale.astype(values.dtype)


@jax.custom_jvp
def _eigenvalues_of_many(matrix: Array) -> Array:
    return lax.platform_dependent(matrix, tpu=lambda m: _on_host(m)[0], default=jnp.linalg.eigvals)


@_eigenvalues_of_many.defjvp
def _eigenvalues_of_many_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """First-order perturbation of simple eigenvalues, d lambda_i = (V^-1 dA V)_ii; a callback has no derivative."""
    (matrix,), (slope,) = primals, tangents
    values, vectors = _eigenvectors(matrix)
    turned = jnp.linalg.solve(vectors, slope.astype(vectors.dtype) @ vectors)
    return values, jnp.diagonal(turned)


def _eigenvectors(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues, and eigenvectors as columns."""
    values, vectors = lax.platform_dependent(matrix, tpu=_on_host, default=lambda m: tuple(jnp.linalg.eig(m)))
    return values, vectors


def _on_host(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors by LAPACK on the host, for platforms without it."""
    dtype = np.result_type(matrix.dtype, np.complex64)
    shapes = jax.ShapeDtypeStruct(matrix.shape[:-1], dtype), jax.ShapeDtypeStruct(matrix.shape, dtype)
    return jax.pure_callback(
        lambda m: tuple(part.astype(dtype) for part in np.linalg.eig(np.asarray(m))),
        shapes,
        matrix,
        vmap_method="expand_dims",
    )


def _rounded(size: Array) -> Array:
    """Sizes with the last digits dropped, so that a conjugate pair counts as equal."""
    unit = jnp.max(jnp.abs(size)) * 64 * jnp.finfo(size.dtype).eps
    return jnp.round(size / jnp.where(unit > 0, unit, 1))


def _point(system: System, x: ArrayLike | Sequence[Any] | None) -> Array:
    if x is None:
        return system.x0
    point = jnp.asarray(x, system.dtype)
    if point.shape != system.x0.shape:
        raise ValueError(f"x must have shape {system.x0.shape}, one value per state, got {point.shape}")
    return point
