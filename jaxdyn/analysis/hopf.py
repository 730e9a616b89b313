"""Hopf points: parameter values where a pair of eigenvalues at rest crosses the border of stability."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete
from jaxdyn.about import unknown_name
from jaxdyn.analysis.local import jacobian, matrix_eigenvalues
from jaxdyn.analysis.newton import newton_step, search
from jaxdyn.errors import Status
from jaxdyn.system import System, require_system

__all__ = ["HopfPoint", "hopf_point"]


@record
class HopfPoint:
    """Where a fixed point gains or loses stability through a pair of eigenvalues."""

    value: Float[Array, ""] = labelled(words="parameter value of the Hopf point")
    x: Float[Array, " dim"] = labelled("state", words="fixed point that changes stability")
    frequency: Float[Array, ""] = labelled(words="angular frequency at the Hopf point", unit="rate")
    """Imaginary part of the pair (1/time, positive); of maps the angle of the pair, pi at a period doubling."""
    crossing_speed: Float[Array, ""] = labelled(words="change of the growth rate with the parameter")
    """Derivative of the pair's real part (maps: of the logarithm of its modulus) along the fixed points."""
    error: Float[Array, ""] = labelled(words="error of the parameter value")
    """Newton's last step, and what rounding of the pair's growth makes of the value: much where it hardly crosses."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the iteration left the finite numbers; NOT_CONVERGED if it did not settle, or on a pair without
    frequency, where fixed points meet, or on one whose growth does not depend on the parameter."""


def hopf_point(
    system: System, parameter: str, *, start: ArrayLike | Sequence[Any] | None = None, tolerance: float | None = None
) -> HopfPoint:
    """Hopf point nearest to a start: fixed point, eigenvector and parameter solved together, with exact derivatives.

    The unknowns x, p, omega and the complex vector v obey f(x, p) = 0, J(x, p) v = i omega v, <v0, v> = 1. A damped
    Newton iteration begins at the fixed point that it finds from `start` with the parameter that the system has, and
    at the pair of eigenvalues there that is nearest to the border. Maps obey f(x, p) = x and J v = exp(i omega) v:
    a Neimark-Sacker point, or a period doubling (omega = pi).

    Parameters
    ----------
    system
        Flow of at least two states, or map, whose parameter has a value near the Hopf point; non-autonomous ones are
        taken at t = 0.
    parameter
        Name of a parameter that is one number.
    start
        State near the fixed point, (dim,); default the system's start.
    tolerance
        Largest last step of Newton's method that counts as settled, relative to the sizes of state and parameter;
        default eps^(3/4).

    Returns
    -------
    HopfPoint
        value, frequency, crossing_speed, error and status (), x (dim,).

    Raises
    ------
    TypeError, ValueError
        While tracing: an unknown parameter, one that is an array, a flow of one state, a start of another shape,
        or a tolerance out of bounds.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep, and first derivatives of value, x, frequency and crossing_speed with respect to
    all other parameters, forward and reverse (implicit function theorem; they do not see the iteration). Unknowns:
    3 dim + 2; float64 locates a value to about 1e-14, float32 to 1e-6.

    References
    ----------
    Griewank & Reddien 1983, IMA Journal of Numerical Analysis 3, 295-303, doi:10.1093/imanum/3.3.295.

    Examples
    --------
    >>> import jax, jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo(I=0.3)
    >>> found = jaxdyn.hopf_point(neuron, "I")
    >>> round(float(found.value), 4), round(float(found.frequency), 4)
    (0.3313, 0.2755)
    >>> slope = jax.grad(lambda a: jaxdyn.hopf_point(neuron.with_params(a=a), "I").value)(0.7)
    >>> round(float(slope), 3)  # (1/b) of the closed form
    1.25
    """
    require_system(system)
    if parameter not in system.params:
        raise TypeError(f"{system.about.name} has no parameter {unknown_name(str(parameter), list(system.params))}")
    value = system.params[parameter]
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"parameter {parameter!r} must be one real number, it has shape {value.shape}")
    if system.dim < 2 and not system.discrete:
        raise ValueError(f"{system.about.name} has one state; a pair of eigenvalues of a flow needs two")
    if tolerance is None:
        tolerance = float(jnp.finfo(system.dtype).eps ** 0.75)
    if is_concrete(tolerance) and not 0 < float(tolerance) < 1:
        raise ValueError(f"tolerance must be a number between 0 and 1, got {tolerance!r}")
    near = system if start is None else system.with_state(start)
    return _hopf_point(near, parameter, jnp.asarray(tolerance, system.dtype))


@functools.partial(jax.jit, static_argnames="parameter")
def _hopf_point(system: System, parameter: str, tolerance: Array) -> HopfPoint:
    still = lax.stop_gradient(system)
    rest, matrix = _rest(still)
    omega, v0 = _pair(matrix, still.discrete)
    size, value = _or_one(jnp.max(jnp.abs(rest))), still.params[parameter]
    n = still.dim
    units = jnp.concatenate([jnp.full(n, size, rest.dtype), jnp.ones(2 * n, rest.dtype), jnp.ones(2, rest.dtype)])
    units = units.at[-2].set(_or_one(omega)).at[-1].set(_or_one(jnp.abs(value)))
    least = _or_one(jnp.max(jnp.abs(matrix)))
    weights = jnp.concatenate([jnp.full(n, 1 / (size * least), rest.dtype), jnp.full(2 * n, 1 / least, rest.dtype)])
    weights = jnp.append(weights, jnp.ones(2, rest.dtype))
    zero = jnp.zeros_like(value)

    def residual(y: Array, of: System) -> Array:
        return weights * _equations(of, parameter, units * y, zero, v0)

    first = jnp.concatenate([rest, v0.ravel(), omega[None], value[None]]) / units
    end = search(lambda y: residual(y, still), first, tolerance / 100)
    y = lax.stop_gradient(end.y)
    step = newton_step(lambda z: residual(z, system), y)
    # One more step of Newton's method: the last digits, and the derivative of an implicit equation.
    u = units * (y + step)
    speed = _crossing_speed(system, parameter, u, v0)
    left = lax.stop_gradient(jnp.abs(step))
    rounding = jnp.finfo(u.dtype).eps * lax.stop_gradient(jnp.abs(u[-2] / speed)) / units[-1]
    settled = (jnp.max(left) <= tolerance) & (u[-2] > jnp.sqrt(jnp.finfo(u.dtype).eps) * least) & (rounding < 1)
    code = jnp.where(settled, int(Status.OK), int(Status.NOT_CONVERGED))
    status = jnp.where(jnp.all(jnp.isfinite(u)), code, int(Status.NON_FINITE)).astype(jnp.int8)
    return HopfPoint(u[-1], u[:n], u[-2], speed, (left[-1] + rounding) * units[-1], status)


def _or_one(size: Array) -> Array:
    return jnp.where((size > 0) & jnp.isfinite(size), size, 1)


def _rest(system: System) -> tuple[Array, Array]:
    """Fixed point near the start, and the Jacobian there."""
    t = system.time(0, 0, 0)
    size = _or_one(jnp.max(jnp.abs(system.x0)))
    scale = _or_one(jnp.max(jnp.abs(jacobian(system, system.x0, t)))) * size
    tolerance = jnp.sqrt(jnp.finfo(system.dtype).eps)
    rest = size * search(lambda y: system.displacement(t, size * y) / scale, system.x0 / size, tolerance).y
    return rest, jacobian(system, rest, t)


def _pair(matrix: Array, discrete: bool) -> tuple[Array, Array]:
    """Frequency of the pair nearest to the border of stability, and its eigenvector of length 1: (2, dim), real first.

    Of maps a negative eigenvalue counts as a pair: its angle is pi.
    """
    values = matrix_eigenvalues(matrix)
    turns = values.imag > 0
    distance = jnp.abs(jnp.log(jnp.abs(values))) if discrete else jnp.abs(values.real)
    if discrete:
        turns |= (values.imag == 0) & (values.real < 0)
    value = values[jnp.argmin(jnp.where(turns, distance, jnp.inf))]
    n, eye = len(matrix), jnp.eye(len(matrix), dtype=matrix.dtype)
    shift = jnp.sqrt(jnp.finfo(matrix.dtype).eps) * _or_one(jnp.max(jnp.abs(matrix)))
    part, turn = matrix - (value.real + shift) * eye, value.imag * eye
    whole = jnp.block([[part, turn], [-turn, part]])
    v = jnp.cos(jnp.arange(2 * n, dtype=matrix.dtype))
    for _ in range(3):  # inverse iteration: each gains the digits of 1 / shift
        v = jnp.linalg.solve(whole, v)
        v = v / jnp.linalg.norm(v)
    omega = jnp.arctan2(value.imag, value.real) if discrete else value.imag
    return omega, v.reshape(2, n)


def _equations(system: System, parameter: str, u: Array, growth: Array, v0: Array) -> Array:
    """What is zero where u = (x, real v, imaginary v, omega, p) has a fixed point with this growth of v."""
    n = system.dim
    x, q, r, omega = u[:n], u[n : 2 * n], u[2 * n : 3 * n], u[-2]
    there, t = system.with_params(**{parameter: u[-1]}), system.time(0, 0, 0)
    a, b = growth, omega
    if system.discrete:
        a, b = jnp.exp(growth) * jnp.cos(omega), jnp.exp(growth) * jnp.sin(omega)
    f, along = _linear_at(there, t, x)
    norm = jnp.stack([v0[0] @ q + v0[1] @ r - 1, v0[0] @ r - v0[1] @ q])
    return jnp.concatenate([f, along(q) - a * q + b * r, along(r) - a * r - b * q, norm])


def _linear_at(system: System, t: Array, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """What vanishes at a fixed point, and the product of the Jacobian with a vector."""
    value, along = jax.linearize(lambda y: system(t, y), x)
    return (value - x if system.discrete else value), along


def _crossing_speed(system: System, parameter: str, u: Array, v0: Array) -> Array:
    """Derivative of the growth with respect to the parameter, of the equations solved for growth at each p."""
    zero = jnp.zeros((), u.dtype)
    by_u, by_growth = jax.jacfwd(lambda y, g: _equations(system, parameter, y, g, v0), argnums=(0, 1))(u, zero)
    unknowns = by_u.at[:, -1].set(by_growth)
    return -jnp.linalg.solve(unknowns, by_u[:, -1])[-1]
