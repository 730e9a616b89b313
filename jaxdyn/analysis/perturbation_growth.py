"""Growth of perturbations of finite size: breeding and the two-trajectory method, beside the tangent flow."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, whole_number
from jaxdyn.analysis.batches import batch_means, number_of_intervals, number_of_vectors, standard_error
from jaxdyn.analysis.matrices import float_array, generic_frame
from jaxdyn.analysis.orthonormal import orthonormalize
from jaxdyn.analysis.scaling import refuse_dependent, scaled_rows
from jaxdyn.analysis.tangent import advance, growth_spread, lost_directions, tangent_step
from jaxdyn.errors import Status
from jaxdyn.integrate import march, repeat
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, require_countable, resolve_steps
from jaxdyn.system import System

__all__ = ["PerturbationGrowth", "perturbation_growth"]

# A perturbation shorter than this many roundings of the state has less than two digits left.
ROUNDINGS = 100


@record
class PerturbationGrowth:
    """Growth rates of finite perturbations of one trajectory, and those of infinitely small ones."""

    rates: Float[Array, " k"] = labelled("perturbation", words="growth rate of the perturbation", unit="rate")
    """Mean growth rate of each perturbation, natural logarithm per time unit (per step for maps), in the order of the
    Gram-Schmidt process."""
    tangent_rates: Float[Array, " k"] = labelled("perturbation", words="growth rate of the tangent vector", unit="rate")
    """The same of tangent vectors along the same trajectory from the same directions: the limit of size 0."""
    std_error: Float[Array, " k"] = labelled("perturbation", words="standard error of the growth rate", unit="rate")
    """Standard error of `rates` as estimates of an infinite run, from batch means; nan for a single interval."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if a trajectory left the finite numbers, QR_INTERVAL if a perturbation shrank to rounding or
    lost its direction to a faster one within an interval."""
    local_rates: Float[Array, "interval k"] = detail(
        "interval", "perturbation", words="local growth rate of the perturbation", unit="rate"
    )
    """Growth rates of the perturbations within each interval between rescalings."""
    local_tangent_rates: Float[Array, "interval k"] = detail(
        "interval", "perturbation", words="local growth rate of the tangent vector", unit="rate"
    )
    """Those of the tangent vectors."""
    x: Float[Array, " dim"] = detail("state", words="last state")
    """Last state of the control trajectory."""
    directions: Float[Array, "k dim"] = detail("perturbation", "state")
    """Last perturbations, scaled to length 1, one a row: bred vectors."""
    tangent_directions: Float[Array, "k dim"] = detail("perturbation", "state")
    """Last tangent vectors, orthonormal, one a row."""


def perturbation_growth(
    system: System,
    *,
    n_steps: int,
    size: ArrayLike,
    dt: ArrayLike | None = None,
    rescale_every: int = 1,
    n_perturbations: int | None = None,
    directions: ArrayLike | Sequence[Any] | None = None,
    n_transient: int = 0,
    method: Method | None = None,
) -> PerturbationGrowth:
    """Growth rates of perturbations of finite size that are rescaled at regular intervals.

    A control trajectory and one perturbed trajectory per perturbation take the same steps. Every `rescale_every`
    steps the differences are orthonormalized (one of them: only rescaled) and put back to length `size`;
    a rate is the mean of log(R_ii / size) per unit time. Tangent vectors along the control trajectory are treated the
    same way, for comparison.

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0` at t = 0.
    n_steps
        Steps that are averaged, static, a multiple of `rescale_every`.
    size
        Length of the perturbations after each rescaling, Euclidean, state units, positive.
    dt
        Step of a flow, time units, positive. Maps take none.
    rescale_every
        Steps between rescalings, static.
    n_perturbations
        Number k of perturbations, kept orthogonal by Gram-Schmidt; 1 is breeding. At most the dimension. Default:
        one per row of `directions`, 1 without them.
    directions
        (k, dim) independent vectors of any length along which the perturbations start; default fixed orthonormal
        ones in no special direction.
    n_transient
        Steps before averaging, in which perturbations turn towards their directions of growth; static, a
        multiple of `rescale_every`.
    method
        `RK4()` by default; maps are iterated.

    Returns
    -------
    PerturbationGrowth
        rates, tangent_rates and std_error (k,), 1/time; status (); local rates (n_steps / rescale_every, k); last
        state (dim,) and directions (k, dim).

    Raises
    ------
    TypeError, ValueError
        While tracing, if numbers of steps, the size or the directions do not fit.

    Notes
    -----
    As estimates of Lyapunov exponents these rates are inferior to `lyapunov_spectrum`: they are wrong by O(size), since
    a finite perturbation feels the curvature of the flow, and by rounding of relative size
    eps |x| / size an interval, so that no size is good for both (near eps^(1/2) |x| the two are equal); a second
    direction loses both faster. They need no derivative, which is why they are used where a model has none, and
    with sizes of the order of errors of observation they measure what saturates there: bred vectors in weather
    prediction. For linear systems the rates agree up to rounding, whatever the size.
    Transforms: jit, vmap, grad. Memory O(k dim + k n_steps / rescale_every).

    References
    ----------
    Benettin, Galgani & Strelcyn 1976, Physical Review A 14, 2338-2345 (two trajectories). Toth & Kalnay 1993, Bulletin
    of the American Meteorological Society 74, 2317-2330 (breeding).

    Examples
    --------
    >>> import jaxdyn
    >>> from jaxdyn.analysis.perturbation_growth import perturbation_growth
    >>> growth = perturbation_growth(jaxdyn.models.henon(), n_steps=20_000, size=1e-3)
    >>> round(float(growth.rates[0]), 1), round(float(growth.tangent_rates[0]), 1)
    (0.4, 0.4)
    """
    _refuse_not_positive("size", size)
    if dt is not None:
        _refuse_not_positive("dt", dt)
    n_steps, dt = resolve_steps(system, n_steps, None, dt)
    every = whole_number(rescale_every, "rescale_every")
    n_before = number_of_intervals(n_transient, "n_transient", every, "rescale_every", least=0)
    require_countable(n_before * every + n_steps)
    counts = n_before, number_of_intervals(n_steps, "n_steps", every, "rescale_every", least=1), every
    k = None if n_perturbations is None else whole_number(n_perturbations, "n_perturbations")
    frame = _frame(system, k, directions)
    return _growth(system, method_of(system, method), dt, jnp.asarray(size, system.dtype), frame, counts)


def _refuse_not_positive(name: str, value: Any) -> None:
    if not is_concrete(value):
        return
    if np.asarray(value).dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a positive number, got {value!r}")
    if np.ndim(value):
        raise ValueError(f"{name} must be one number, got shape {np.shape(value)}; for many use jax.vmap")
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _frame(system: System, k: int | None, directions: Any) -> Array:
    if directions is None:
        k = number_of_vectors(1 if k is None else k, "n_perturbations", system)
        return generic_frame(k, system.dim, system.dtype)
    vectors = float_array(directions, "directions").astype(system.dtype)
    if vectors.ndim != 2 or vectors.shape != (len(vectors) if k is None else k, system.dim) or len(vectors) == 0:
        expected = f"({'k' if k is None else k}, {system.dim})"
        raise ValueError(f"directions must have shape {expected}, one row per perturbation, got {vectors.shape}")
    refuse_dependent(vectors, "directions")
    return jax.jit(lambda rows: orthonormalize(scaled_rows(rows))[0])(vectors)


@record
class _Bundle:
    """Loop state: step number, control state, perturbed states, tangent vectors, and what the last interval showed."""

    i: Int[Array, ""]
    x: Array
    near: Array
    frame: Array
    growth: Array
    tangent_growth: Array
    lost: Array
    """Whether any perturbation was lost to rounding so far."""


@functools.partial(jax.jit, static_argnames="counts")
def _growth(
    system: System, method: Method, dt: Array, size: Array, frame: Array, counts: tuple[int, int, int]
) -> PerturbationGrowth:
    n_transient, n_intervals, every = counts
    interval = functools.partial(_interval, system, method, dt, size, every)
    zero = jnp.zeros(len(frame), frame.dtype)
    near = system.x0[None, :] + size * frame
    bundle = _Bundle(jnp.int32(0), system.x0, near, frame, zero, zero, jnp.array(False))
    if n_transient:
        bundle = repeat(interval, bundle, n_transient)
    bundle, (growth, tangent) = march(
        interval, bundle, n_blocks=n_intervals, block=1, observe=lambda c: (c.growth, c.tangent_growth)
    )
    duration = dt * every
    finite = jnp.all(jnp.isfinite(bundle.x)) & jnp.all(jnp.isfinite(bundle.near))
    finite &= ~jnp.any(jnp.isnan(growth) | jnp.isnan(tangent))
    code = jnp.where(bundle.lost, int(Status.QR_INTERVAL), int(Status.OK))
    return PerturbationGrowth(
        rates=jnp.mean(growth, axis=0) / duration,
        tangent_rates=jnp.mean(tangent, axis=0) / duration,
        std_error=standard_error(batch_means(growth / duration)),
        status=jnp.where(finite, code, int(Status.NON_FINITE)).astype(jnp.int8),
        local_rates=growth / duration,
        local_tangent_rates=tangent / duration,
        x=bundle.x,
        directions=(bundle.near - bundle.x[None, :]) / size,
        tangent_directions=bundle.frame,
    )


def _interval(system: System, method: Method, dt: Array, size: Array, every: int, c: _Bundle) -> _Bundle:
    """`every` steps of all trajectories and tangent vectors, then one orthonormalization of each set."""

    def step(c: _Bundle) -> _Bundle:
        x, frame = tangent_step(system, method, 0, dt, c.i, c.x, c.frame)
        near = jax.vmap(advance(system, method, 0, dt, c.i))(c.near)
        return _Bundle(c.i + 1, x, near, frame, c.growth, c.tangent_growth, c.lost)

    c = repeat(step, c, every)
    directions, r = orthonormalize(c.near - c.x[None, :])
    frame, tangent_r = orthonormalize(c.frame)
    length = jnp.diagonal(r)
    rounding = ROUNDINGS * jnp.finfo(length.dtype).eps * jnp.max(jnp.abs(c.x))
    growth, tangent_growth = jnp.log(length / size), jnp.log(jnp.diagonal(tangent_r))
    lost = c.lost | lost_directions(growth_spread(tangent_growth)) | jnp.any(length <= rounding)
    return _Bundle(c.i, c.x, c.x[None, :] + size * directions, frame, growth, tangent_growth, lost)
