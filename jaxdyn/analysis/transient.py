"""Transient growth of perturbations of a fixed point: what eigenvalues do not tell about non-normal systems."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdyn._arrays import largest
from jaxdyn._record import coordinate, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, Shaped, is_concrete, matmul
from jaxdyn.analysis.local import jacobian, matrix_eigenvalues
from jaxdyn.analysis.matrices import square_matrix
from jaxdyn.analysis.scaling import binary_exponent
from jaxdyn.analysis.stability import spectral_abscissa, spectral_radius
from jaxdyn.errors import Status
from jaxdyn.integrate import repeat
from jaxdyn.system import System

__all__ = ["TransientGrowth", "transient_growth"]

# Squarings in a matrix exponential: enough for |A t| up to 2^32, beyond which amplifications are nan.
SQUARINGS = 32
# Relative rounding of an amplification, eps |A t|, up to which it is shown: two digits.
ROUNDING = 0.01


@record
class TransientGrowth:
    """Growth of small perturbations of one fixed point, in the Euclidean norm."""

    t: Shaped[Array, " time"] = coordinate("time")
    """Times since the perturbation; of a map, numbers of steps."""
    amplification: Float[Array, " time"] = labelled("time", words="amplification of the worst perturbation")
    """Amplification envelope: by how much the perturbation that is the worst for this time has grown,
    |exp(A t)| of a flow, |A^n| of a map."""
    reactivity: Float[Array, ""] = labelled(words="reactivity", unit="rate")
    """Largest initial growth rate of any perturbation: of a flow the largest eigenvalue of (A + A^T)/2, 1/time; of a
    map log |A|, per step. Above 0 some perturbation grows at first, also of a stable fixed point."""
    growth_rate: Float[Array, ""] = labelled(words="growth rate in the end", unit="rate")
    """Growth rate in the end: largest real part of an eigenvalue, 1/time; of a map log of the largest modulus."""
    return_time: Float[Array, ""] = labelled(words="return time", unit="time")
    """Time in which perturbations of a stable fixed point shrink to 1/e in the end, -1 / growth_rate (of a map in
    steps); inf for one that is not stable."""
    largest_amplification: Float[Array, ""] = labelled(words="largest amplification")
    """Maximum of the envelope over the given times."""
    time_of_largest: Shaped[Array, ""] = labelled(words="time of the largest amplification", unit="time")
    """Time of that maximum; the last one if growth was still going on."""
    optimal_start: Float[Array, " dim"] = labelled("state", words="perturbation that grows the most")
    """Perturbation of length 1 that grows the most until then, its component of largest size positive."""
    optimal_end: Float[Array, " dim"] = labelled("state", words="direction into which it has grown")
    """Direction, of length 1, into which it has grown."""
    henrici_departure: Float[Array, ""] = labelled(words="departure from normality", unit="entry")
    """sqrt(|A|_F^2 - sum |lambda|^2), 0 for a normal matrix; below eps^(1/2) |A|_F it is rounding."""
    commutator_norm: Float[Array, ""] = labelled(words="norm of the commutator")
    """|A A^T - A^T A|_F, 0 for a normal matrix, up to rounding eps |A|_F^2; inf if it exceeds the dtype."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the Jacobian or an amplification left the finite numbers, or rounding took its digits."""


def transient_growth(
    system: System | ArrayLike | Sequence[Any],
    *,
    times: ArrayLike | Sequence[Any],
    x: ArrayLike | Sequence[Any] | None = None,
    t: ArrayLike = 0,
    discrete: bool | None = None,
) -> TransientGrowth:
    """Reactivity, amplification envelope and normality of a system linearized at a fixed point.

    Parameters
    ----------
    system
        Flow or map, or its matrix A (dim, dim): 1/time of a flow, without unit of a map.
    times
        (n,) times at which the envelope is computed, from 0 on; for maps whole numbers of steps, static. The maximum
        between two of them is missed by an amount of second order in their distance.
    x
        The fixed point, (dim,); default the system's start. That it is one is not checked: elsewhere A is still the
        Jacobian, but perturbations do not keep to it.
    t
        Time at which a non-autonomous system is frozen.
    discrete
        Of a matrix only: True if it belongs to a map; default a flow.

    Returns
    -------
    TransientGrowth
        t and amplification (n,); optimal_start and optimal_end (dim,); the rest is ().

    Raises
    ------
    TypeError, ValueError
        While tracing: a matrix that is not square, times that do not fit the kind of system, a point or `discrete`
        that a matrix or a system does not take.

    Notes
    -----
    A normal matrix has reactivity = growth_rate and the envelope exp(growth_rate t): no transient growth. In general
    exp(growth_rate t) <= amplification <= exp(reactivity t). All depend on the norm, that is on the units
    of the states.

    Rounding changes exp(A t) by about eps |A t| relative to its size, A^n by n eps and more. Amplifications of a flow
    are nan where that leaves less than two digits (|A t| > 8e4 in float32), unless they are 0.

    Transforms: jit, vmap, grad (where the largest singular value is simple). Cost: for each
    time one matrix exponential (32 matrix products and more) and one singular value decomposition; memory O(n dim^2).

    References
    ----------
    Neubert & Caswell 1997, Ecology 78, 653-665 (flows); Caswell & Neubert 2005, Journal of Difference Equations and
    Applications 11, 295-310 (maps); Henrici 1962, Numerische Mathematik 4, 24-40 (departure from normality).

    Examples
    --------
    >>> from jaxdyn.analysis.transient import transient_growth
    >>> growth = transient_growth([[-1.0, 10.0], [0.0, -2.0]], times=[0.0, 0.5, 1.0])
    >>> round(float(growth.growth_rate), 4), round(float(growth.reactivity), 4)
    (-1.0, 3.5249)
    """
    if not isinstance(discrete, bool | np.bool_ | None):
        raise TypeError(f"discrete must be True, False or None, got {discrete!r}")
    if isinstance(system, System):
        if discrete is not None:
            raise TypeError(f"{system.about.name} is known as a {_kind(system.discrete)}; leave discrete out")
        matrix, is_map = jacobian(system, x, t), system.discrete
    else:
        if x is not None:
            raise TypeError("a matrix is the same at all points; leave x out, or give a system")
        matrix, is_map = square_matrix(system, "the matrix"), bool(discrete)
    when, n_bits = _times(times, is_map, matrix.dtype)
    return _transient(matrix, when, is_map, n_bits)


def _kind(discrete: bool) -> str:
    return "map" if discrete else "flow"


def _times(times: Any, discrete: bool, dtype: Any) -> tuple[Array, int]:
    """Times as an array, and how many binary digits the numbers of steps of a map have."""
    if not is_concrete(times):
        if discrete:
            raise TypeError("the times of a map are numbers of steps and must be known while tracing")
        return _line(jnp.asarray(times, dtype)), 0
    try:
        values = _line(np.asarray(times))
    except ValueError as error:
        raise ValueError(f"times must have shape (n,) with n >= 1, got {times!r}") from error
    if values.dtype.kind not in "fiu":
        raise TypeError(f"times must be real numbers, got {times!r}")
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError(f"times must be finite and not negative, got {times!r}")
    if not discrete:
        return jnp.asarray(values, dtype), 0
    if values.dtype.kind not in "iu" or values.max() >= 2**31:
        raise ValueError(f"the times of a map are whole numbers of steps, got {times!r}; use range(...)")
    return jnp.asarray(values, jnp.int32), int(values.max()).bit_length()


def _line(times: Any) -> Any:
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(f"times must have shape (n,) with n >= 1, got {times.shape}")
    return times


@functools.partial(jax.jit, static_argnames=("discrete", "n_bits"))
def _transient(matrix: Array, times: Array, discrete: bool, n_bits: int) -> TransientGrowth:
    is_finite = jnp.all(jnp.isfinite(matrix))
    safe = jnp.where(is_finite, matrix, jnp.zeros_like(matrix))  # decompositions may not return from nan
    propagators = _powers(safe, times, n_bits) if discrete else jax.vmap(lambda s: _exponential(safe * s))(times)
    arrived = jnp.all(jnp.isfinite(propagators), axis=(1, 2))
    amplification = jnp.linalg.svd(jnp.where(arrived[:, None, None], propagators, 0), compute_uv=False)[:, 0]
    if not discrete:
        arrived &= _has_digits(safe, times, amplification)
    shown = jnp.where(arrived, amplification, 0)
    at = jnp.argmax(shown)
    ends, _, starts = jnp.linalg.svd(jnp.where(arrived[at], propagators[at], 0))
    sign = _sign(starts[0])
    reactivity, growth_rate, departure, commutator = _measures(safe, discrete)
    bad = jnp.where(is_finite, 0, jnp.nan).astype(matrix.dtype)
    amplification = jnp.where(arrived, amplification, jnp.nan) + bad
    ok = is_finite & jnp.all(arrived)
    return TransientGrowth(
        t=times,
        amplification=amplification,
        reactivity=reactivity + bad,
        growth_rate=growth_rate + bad,
        return_time=_return_time(growth_rate) + bad,
        largest_amplification=largest(amplification),
        time_of_largest=times[at],
        optimal_start=sign * starts[0] + bad,
        optimal_end=sign * ends[:, 0] + bad,
        henrici_departure=departure + bad,
        commutator_norm=commutator + bad,
        status=jnp.where(ok, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int8),
    )


def _has_digits(matrix: Array, times: Array, amplification: Array) -> Array:
    """Whether rounding left two digits to the exponentials at these times, or nothing is left but 0."""
    size = jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * times
    eps = float(jnp.finfo(matrix.dtype).eps)
    # Rounding changes growth rates by eps |A|: what is 0 stays 0 unless that, times t, is more than 1.
    return (size <= min(2.0**SQUARINGS, ROUNDING / eps)) | (
        (amplification == 0) & (size <= min(2.0**SQUARINGS, 1 / eps))
    )


def _measures(matrix: Array, discrete: bool) -> tuple[Array, Array, Array, Array]:
    """Reactivity, growth rate, Henrici's departure and norm of the commutator, without leaving the dtype on the way."""
    exponent = binary_exponent(matrix)
    matrix = jnp.ldexp(matrix, -exponent)
    eigenvalues = matrix_eigenvalues(matrix)
    if discrete:
        shift = exponent.astype(matrix.dtype) * math.log(2)
        reactivity = jnp.log(jnp.linalg.svd(matrix, compute_uv=False)[0]) + shift
        growth_rate = jnp.log(spectral_radius(eigenvalues)) + shift
    else:
        reactivity = jnp.ldexp(jnp.linalg.eigvalsh((matrix + matrix.T) / 2)[-1], exponent)
        growth_rate = jnp.ldexp(spectral_abscissa(eigenvalues), exponent)
    excess = jnp.sum(matrix * matrix) - jnp.sum(eigenvalues.real**2 + eigenvalues.imag**2)
    commutator = matmul(matrix, matrix.T) - matmul(matrix.T, matrix)
    norm = _root(jnp.sum(commutator * commutator))
    return reactivity, growth_rate, jnp.ldexp(_root(excess), exponent), jnp.ldexp(norm, 2 * exponent)


def _return_time(growth_rate: Array) -> Array:
    returns = growth_rate < 0
    return jnp.where(returns, -1 / jnp.where(returns, growth_rate, -1), jnp.inf)


def _root(square: Array) -> Array:
    """Square root that is 0, and has the derivative 0, where rounding left nothing positive."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def _sign(vector: Array) -> Array:
    """Sign of the component of largest size: singular vectors come with either."""
    return jnp.where(vector[jnp.argmax(jnp.abs(vector))] < 0, -1, 1).astype(vector.dtype)


def _exponential(matrix: Array) -> Array:
    """Matrix exponential by scaling and squaring.

    The approximant of `jax.scipy.linalg.expm`, but not its scaling: that one rounds the number of squarings down (jax
    0.10), which costs up to four digits in float32 for norms between 4 and 8.
    """
    size = lax.stop_gradient(jnp.max(jnp.sum(jnp.abs(matrix), axis=0)))
    n_squarings = jnp.clip(jnp.ceil(jnp.log2(jnp.where(size > 0, size, 1))), 0, SQUARINGS).astype(jnp.int32)
    scaled = jax.scipy.linalg.expm(matrix * jnp.ldexp(jnp.ones((), matrix.dtype), -n_squarings), max_squarings=0)

    def square(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        i, power = carry
        return i + 1, jnp.where(i < n_squarings, matmul(power, power), power)

    return repeat(square, (jnp.int32(0), scaled), SQUARINGS)[1]


def _powers(matrix: Array, exponents: Array, n_bits: int) -> Array:
    """A^n for each exponent, by repeated squaring."""
    square = matrix
    powers = jnp.broadcast_to(jnp.eye(len(matrix), dtype=matrix.dtype), (len(exponents), *matrix.shape))
    for bit in range(n_bits):
        has = ((exponents >> bit) & 1 == 1)[:, None, None]
        powers = jnp.where(has, matmul(powers, square), powers)
        square = matmul(square, square) if bit + 1 < n_bits else square
    return powers
