"""Period doublings: the parameter values where a cycle of a map gets the multiplier -1, located by Newton's method."""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Bool, Float, Int, whole_number
from jaxdyn.about import unknown_name
from jaxdyn.analysis.orthonormal import solve_least_squares
from jaxdyn.errors import Status
from jaxdyn.integrate import final_state, repeat
from jaxdyn.orbits.attractor import attractor_points
from jaxdyn.sweeps.run import sweep
from jaxdyn.system import System

__all__ = ["PeriodDoubling", "PeriodDoublings", "period_doubling", "period_doublings"]

N_NEWTON = 30
FEIGENBAUM = 4.669201609
"""Feigenbaum 1978, Journal of Statistical Physics 19, 25-52, doi:10.1007/BF01020332: where to look for the next."""
PART = 0.8
"""Part of the way to the next doubling at which Newton's method starts: there the multiplier is about -0.6."""


@record
class PeriodDoubling:
    """Where one cycle doubles its period."""

    value: Float[Array, ""] = labelled(words="parameter value of the period doubling")
    x: Float[Array, " dim"] = labelled("state", words="state on the cycle that doubles")
    error: Float[Array, ""] = labelled(words="error of the parameter value")
    """Size of Newton's last step: what is left is rounding."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if an iteration left the finite numbers; NOT_CONVERGED if Newton's method did not settle, or did on a
    cycle of a shorter period."""


@record
class PeriodDoublings:
    """A cascade of period doublings."""

    values: Float[Array, " doubling"] = labelled("doubling", words="parameter value of the period doubling")
    periods: Int[Array, " doubling"] = labelled("doubling", words="period of the cycle that doubles")
    x: Float[Array, "doubling dim"] = labelled("doubling", "state", words="state on the cycle that doubles")
    errors: Float[Array, " doubling"] = labelled("doubling", words="error of the parameter value")
    ratios: Float[Array, " ratio"] = labelled("ratio", words="ratio of successive distances")
    """(r[k+1] - r[k]) / (r[k+2] - r[k+1]), which tend to Feigenbaum's delta = 4.669201609 for a quadratic maximum."""
    delta: Float[Array, ""] = labelled(words="limit of the ratios")
    """The last three ratios extrapolated by Aitken's method; nan for fewer."""
    delta_error: Float[Array, ""] = labelled(words="error of the limit of the ratios")
    """Distance of the last two ratios: the limit was closer than that in all cases where it is known."""
    limit: Float[Array, ""] = labelled(words="parameter value where the doublings accumulate")
    """Sum of the geometric series that the last distance and `delta` begin."""
    status: Int[Array, " doubling"] = labelled("doubling")


def period_doubling(
    system: System, parameter: str, *, period: int = 1, n_transient: int = 1000, tolerance: float | None = None
) -> PeriodDoubling:
    """Parameter value where a cycle of a map doubles its period: the cycle and its multiplier -1, solved together.

    Newton's method for the unknowns x and r of F^p(x, r) = x and det(DF^p(x, r) + I) = 0, from where the map comes to
    with the parameter that it has.

    Parameters
    ----------
    system
        Map whose parameter is near the doubling, on the side where the cycle is stable.
    parameter
        Name of a parameter that is one number.
    period
        Period p of the cycle that doubles, static.
    n_transient
        Iterates from the start to the cycle, static.
    tolerance
        Largest last step of Newton's method that counts as settled, over the size of the parameter or 1; default
        eps^(3/4).

    Returns
    -------
    PeriodDoubling
        `value`, state `x` (dim,), `error`, `status`.

    Raises
    ------
    TypeError, ValueError
        While tracing: for a flow (give the map of its section), an unknown parameter, or one that is an array.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep. Derivatives are exact (jvp through all p iterates). Float64 locates a
    value to about 1e-13 for small periods; float32 to 1e-5.

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.orbits.doublings import period_doubling
    >>> found = period_doubling(jaxdyn.models.logistic(r=3.4), "r", period=2)
    >>> round(float(found.value), 4)
    3.4495
    """
    _check(system, parameter)
    period = whole_number(period, "period")
    n_transient = whole_number(n_transient, "n_transient", least=0)
    tolerance = float(jnp.finfo(system.dtype).eps) ** 0.75 if tolerance is None else tolerance
    return _period_doubling(system, parameter, period, n_transient, jnp.asarray(tolerance, system.dtype))


@functools.partial(jax.jit, static_argnames=("parameter", "period", "n_transient"))
def _period_doubling(system: System, parameter: str, period: int, n_transient: int, tolerance: Array) -> PeriodDoubling:
    x = final_state(system, n_steps=n_transient).x if n_transient else system.x0
    residual = _residual(system, parameter, period)

    def newton(state: tuple[Array, Array]) -> tuple[Array, Array]:
        u = state[0]
        step = solve_least_squares(jax.jacfwd(residual)(u), -residual(u))
        return u + step, step

    u = jnp.append(x, system.params[parameter])
    u, step = repeat(newton, (u, u), N_NEWTON)
    value, error = u[-1], jnp.abs(step[-1])
    settled = error <= tolerance * jnp.maximum(jnp.abs(value), 1)
    settled &= ~_is_shorter(system.with_params(**{parameter: value}), u[:-1], period)
    code = jnp.where(settled, int(Status.OK), int(Status.NOT_CONVERGED))
    status = jnp.where(jnp.all(jnp.isfinite(u)), code, int(Status.NON_FINITE)).astype(jnp.int8)
    return PeriodDoubling(value, u[:-1], error, status)


def _iterate(system: System, period: int) -> Callable[[Array], Array]:
    return lambda x: repeat(lambda c: (c[0] + 1, system(c[0], c[1])), (jnp.int32(0), x), period)[1]


def _residual(system: System, parameter: str, period: int) -> Callable[[Array], Array]:
    """What is zero where a cycle of this period has the multiplier -1, as a function of (x, parameter)."""

    def residual(u: Array) -> Array:
        iterate = _iterate(system.with_params(**{parameter: u[-1]}), period)
        matrix = jax.jacfwd(iterate)(u[:-1]) + jnp.eye(system.dim, dtype=u.dtype)
        determinant = matrix[0, 0] if system.dim == 1 else jnp.linalg.det(matrix)
        return jnp.append(iterate(u[:-1]) - u[:-1], determinant)

    return residual


def _is_shorter(system: System, x: Array, period: int) -> Bool[Array, ""]:
    """Whether the state comes back already after a part of the period."""
    size = jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(system.x0)))
    near = jnp.sqrt(jnp.finfo(x.dtype).eps) * size
    shorter = jnp.array(False)
    for prime in range(2, period + 1):
        if period % prime == 0 and all(prime % n for n in range(2, prime)):
            shorter |= jnp.max(jnp.abs(_iterate(system, period // prime)(x) - x)) <= near
    return shorter


def period_doublings(
    system: System,
    over: Mapping[str, Any],
    *,
    n_doublings: int = 6,
    n_transient: int = 20_000,
    max_period: int = 32,
) -> PeriodDoublings:
    """Cascade of period doublings of a map along a parameter, with the ratios of their distances.

    An orbit diagram over the given values shows the first two doublings; each further one is looked for at the
    distance that Feigenbaum's constant tells, and all are located by `period_doubling`.

    Parameters
    ----------
    system
        Map, at the start of an orbit that comes to the first cycle.
    over
        The parameter's name and values, in the direction in which periods double: fine enough that at least one value
        lies between the second doubling and the third.
    n_doublings
        How many, at least 2.
    n_transient
        Iterates towards each cycle.
    max_period
        Longest period that the diagram looks for, at least 4: that of the cycle after the second doubling.

    Returns
    -------
    PeriodDoublings
        `values`, `periods`, `x`, `errors` and `status` of each doubling; `ratios`, their limit `delta` with its error,
        and the `limit` of the values.

    Raises
    ------
    TypeError, ValueError
        For a flow (give the map of its section), an unknown parameter, or values that do not show two doublings.

    Notes
    -----
    Runs on the host, outside jit. Use float64: of float32 the third ratio is lost already.

    Examples
    --------
    >>> import jax, jaxdyn, numpy as np
    >>> with jax.enable_x64(True):
    ...     cascade = jaxdyn.period_doublings(jaxdyn.models.logistic(), {"r": np.linspace(2.9, 3.56, 100)})
    >>> [round(float(r), 8) for r in cascade.values[:4]], round(float(cascade.delta), 3)
    ([3.0, 3.44948974, 3.54409036, 3.56440727], 4.669)
    """
    n_doublings = whole_number(n_doublings, "n_doublings", least=2)
    max_period = whole_number(max_period, "max_period", least=4)
    if not isinstance(over, Mapping) or len(over) != 1:
        raise TypeError(f"over must be one parameter and its values, such as {{'r': values}}, got {over!r}")
    ((parameter, values),) = over.items()
    _check(system, parameter)
    measure = functools.partial(
        attractor_points, n_points=8 * max_period, n_transient=n_transient, max_period=max_period
    )
    seen = sweep(measure, system, over, keep=["period", "x"], progress=False)
    starts = _first_two(seen.period.values, parameter)
    values = seen[parameter].values
    first = int(seen.period.values[starts[0]])
    found: list[PeriodDoubling] = []
    for k in range(n_doublings):
        if k < 2:
            value, x = values[starts[k]], seen.x.values[starts[k]]
        else:
            before, last = found[-2].value, found[-1].value
            value, x = last + PART * (last - before) / FEIGENBAUM, found[-1].x
        near = system.with_params(**{parameter: value}).with_state(x)
        found.append(period_doubling(near, parameter, period=first * 2**k, n_transient=n_transient))
    return _cascade(jax.tree.map(lambda *parts: jnp.stack(parts), *found), first)


def _check(system: System, parameter: str) -> None:
    if not isinstance(system, System) or not system.discrete:
        raise TypeError(f"period doublings are those of maps, got {system!r}; give the map of a flow's section")
    if parameter not in system.params:
        raise TypeError(f"{system.about.name} has no parameter {unknown_name(str(parameter), list(system.params))}")
    if system.params[parameter].shape != () or not jnp.issubdtype(system.params[parameter].dtype, jnp.floating):
        shape = system.params[parameter].shape
        raise ValueError(f"parameter {parameter!r} must be one real number, it has shape {shape}")


def _first_two(period: np.ndarray, parameter: str) -> tuple[int, int]:
    """Positions of the last values before the first doubling and before the second."""
    known = np.flatnonzero(period)
    for i, j in itertools.pairwise(known):
        if period[j] == 2 * period[i]:
            later = known[(known > j) & (period[known] == 4 * period[i])]
            if len(later):
                within = known[(known < later[0]) & (period[known] == period[j])]
                return int(i), int(within[-1])
    raise ValueError(
        f"no two doublings are seen along {parameter}; periods there: {list(dict.fromkeys(period[known].tolist()))}; "
        "give values in the direction in which periods double, more of them, or a longer n_transient"
    )


def _cascade(found: PeriodDoubling, first: int) -> PeriodDoublings:
    distances = jnp.diff(found.value)
    ratios = distances[:-1] / distances[1:]
    delta = error = limit = jnp.full((), jnp.nan, found.value.dtype)
    if len(ratios) >= 3:
        a, b, c = ratios[-3:]
        delta, error = c - (c - b) ** 2 / ((c - b) - (b - a)), jnp.abs(c - b)
        limit = found.value[-1] + distances[-1] / (delta - 1)
    periods = first * 2 ** jnp.arange(len(found.value), dtype=jnp.int32)
    return PeriodDoublings(found.value, periods, found.x, found.error, ratios, delta, error, limit, found.status)
