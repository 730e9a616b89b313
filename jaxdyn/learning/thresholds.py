"""Edge of stability: the largest curvature at which an optimizer does not diverge on a quadratic loss."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import system_dtype
from jaxdyn._record import labelled, record
from jaxdyn._types import Array, ArrayLike, Complex, Float, Int, default_dtype
from jaxdyn.analysis.local import jacobian, matrix_eigenvalues
from jaxdyn.errors import Status
from jaxdyn.integrate import repeat
from jaxdyn.learning.optimizer_maps import optimizer_map
from jaxdyn.system import Map

__all__ = ["MeasuredThreshold", "measured_threshold", "stability_threshold"]

# Curvatures 2^-60 to 2^60 in steps of two: learning rates from 1e-17 to 1e17 times those of a loss of curvature 1.
EXPONENTS = 60
BEYOND = 1e-3
"""Part by which the spectral radius must pass 1 to count as unstable where stable ones are near 1 as well."""
COUNT = 2**24
"""Steps after which corrections of Adam's averages have died out, also for decay rates of 0.99999."""
SECOND_MOMENTS = {"nu", "nu_max", "sum_of_squares"}
"""Names of mean squares of gradients in the states of optax."""
CURVATURE = "loss_curvature"
"""Parameter of the map beside the hyper-parameters, none of which bears this name."""


def stability_threshold(
    learning_rate: ArrayLike,
    *,
    momentum: ArrayLike = 0.0,
    form: Literal["heavy ball", "nesterov", "ema"] = "heavy ball",
) -> Float[Array, ""]:
    """Largest stable curvature of a quadratic loss, in closed form: 2 / rate of gradient descent.

    Parameters
    ----------
    learning_rate
        Rate eta, in parameter units squared over units of the loss; not negative.
    momentum
        Decay rate beta of the momentum, or of the average, at least 0 and below 1.
    form
        "heavy ball", v' = beta v + g and x' = x - eta v: (2 + 2 beta) / eta (`optax.sgd(rate, momentum)`);
        "nesterov": (2 + 2 beta) / ((1 + 2 beta) eta) (`optax.sgd(rate, momentum, nesterov=True)`);
        "ema", v' = beta v + (1 - beta) g: (2 + 2 beta) / ((1 - beta) eta), 38 / eta for 0.9. The last
        is also that of Adam with `b1` = beta for the curvature that its preconditioner has scaled, and with beta = 0
        that of RMSprop.

    Returns
    -------
    Array
        Curvature lambda, units of the loss over parameter units squared: a direction of larger curvature diverges. Nan
        for rates and momenta outside their ranges.

    Raises
    ------
    ValueError
        For another form.

    Notes
    -----
    Transforms: jit, vmap, lanes, grad. Other optimizers: `measured_threshold`.

    References
    ----------
    Cohen et al. 2021, arXiv:2103.00065, appendix B (heavy ball and Nesterov); Cohen et al. 2022, arXiv:2207.14484,
    section 2 (averages and Adam).

    Examples
    --------
    >>> import jaxdyn
    >>> round(float(jaxdyn.learning.stability_threshold(1e-3, momentum=0.9, form="ema")))
    38000
    """
    if form not in ("heavy ball", "nesterov", "ema"):
        raise ValueError(f'form must be "heavy ball", "nesterov" or "ema", got {form!r}')
    dtype = _dtype(learning_rate, momentum)
    eta, beta = jnp.asarray(learning_rate, dtype), jnp.asarray(momentum, dtype)
    divisor = {"heavy ball": 1.0, "nesterov": 1 + 2 * beta, "ema": 1 - beta}[form]
    is_known = (eta >= 0) & (beta >= 0) & (beta < 1)
    return jnp.where(is_known, (2 + 2 * beta) / (divisor * eta), jnp.nan)


@record
class MeasuredThreshold:
    """Where an optimizer ceases to be stable on a quadratic loss."""

    curvature: Float[Array, ""] = labelled(words="largest stable curvature")
    """Nan where none was found."""
    multiplier: Complex[Array, ""] = labelled(words="multiplier at the largest stable curvature")
    """Leading eigenvalue of one step there: -1 where the parameter begins to alternate."""
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if no curvature was found at which small ones before it are stable and larger ones are not."""


def measured_threshold(
    optimizer: Any, *, hyper: Mapping[str, Any] | None = None, second_moment: ArrayLike = 1.0
) -> MeasuredThreshold:
    """Largest stable curvature of a quadratic loss for any optax optimizer, from the eigenvalues of its step.

    The map of `optimizer_map` on the loss lambda x^2 / 2 is linearized about x = 0, in the parameter and the floats of
    the optimizer's state; bisection finds the curvature lambda at which the spectral radius passes 1.

    Parameters
    ----------
    optimizer, hyper
        Optimizer and its hyper-parameters as in `optimizer_map`: a factory such as `optax.adam` with
        `hyper={"learning_rate": 1e-3}`, whose numbers may be traced, or a finished transformation. Step numbers count
        as large: schedules have come to their end, corrections of averages to 1.
    second_moment
        Mean square v of the gradients at which an adaptive optimizer is frozen (fields `nu` and the like of its
        state). Its preconditioner is sqrt(v) plus what it adds: with 1 the curvature is, but for that, the
        preconditioned one.

    Returns
    -------
    MeasuredThreshold
        curvature, multiplier and status, all ().

    Raises
    ------
    TypeError, ValueError
        As `optimizer_map`: for what is no optimizer, or one whose state is no state of a map.

    Notes
    -----
    At x = 0 mean squares do not change to first order of the gradient, so that the linearization freezes them.
    An optimizer whose step does not depend on small gradients, such as Lion's sign, has no threshold. The curvature
    is found between 2^-60 and 2^60, to rounding. Transforms: jit, vmap, lanes; no grad (see `stability_threshold`).

    Examples
    --------
    >>> import jaxdyn, optax
    >>> hyper = {"learning_rate": 0.1, "momentum": 0.9}
    >>> edge = jaxdyn.learning.measured_threshold(optax.sgd, hyper=hyper)
    >>> round(float(edge.curvature), 3), round(float(edge.multiplier.real), 3)
    (38.0, -1.0)
    """

    def loss(x: Array, params: dict[str, Array]) -> Array:
        return params[CURVATURE] * x * x / 2

    # Of strong dtype, for the start may be traced: a state vector of the default dtype.
    start = jnp.zeros((), default_dtype())
    system = optimizer_map(loss, optimizer, start, hyper=hyper, loss_params={CURVATURE: 1.0}, at_step=COUNT)
    if jnp.shape(second_moment) != ():
        raise ValueError(
            f"second_moment must be one number, got shape {jnp.shape(second_moment)}; use jax.vmap for many"
        )
    x = _frozen(system, jnp.asarray(second_moment, system.dtype))
    moving = np.array([not _is_held(name) for name in system.state_names])

    def leading(curvature: Array) -> Array:
        steps = jacobian(system.with_params(**{CURVATURE: curvature}), x, COUNT)
        values = matrix_eigenvalues(steps[moving][:, moving])
        return values[jnp.argmax(jnp.abs(values))]

    return _crossing(leading, system.dtype)


def _is_held(name: str) -> bool:
    """Whether a state is no part of the linear dynamics: mean squares, which are frozen, and rates."""
    parts = name.split(".")
    return "hyperparams" in parts or _is_second_moment(name)


def _is_second_moment(name: str) -> bool:
    return not SECOND_MOMENTS.isdisjoint(name.split("."))


def _frozen(system: Map, moment: Array) -> Array:
    """State after many steps without gradients, whose mean squares the next step will make this large."""
    is_moment = np.array([_is_second_moment(name) for name in system.state_names])
    x = jnp.where(is_moment, moment, system.x0)
    # A step without a gradient multiplies mean squares by their decay rate.
    after = system(COUNT, x)
    return jnp.where(is_moment, x * (x / after), x)


def _crossing(leading: Callable[[Array], Array], dtype: Any) -> MeasuredThreshold:
    """Where the leading multiplier leaves the unit circle as the curvature grows."""
    grid = jnp.ldexp(jnp.ones((), dtype), jnp.arange(-EXPONENTS, EXPONENTS + 1))
    is_unstable = jnp.abs(jax.vmap(leading)(grid)) > 1 + BEYOND
    first = jnp.argmax(is_unstable)
    # The last value before may lie just above the crossing, within the margin.
    low, high = grid[jnp.maximum(first - 2, 0)], grid[first]
    is_found = is_unstable[first] & (jnp.abs(leading(low)) < 1)

    def halve(bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        is_beyond = jnp.abs(leading(middle)) > 1
        return jnp.where(is_beyond, low, middle), jnp.where(is_beyond, middle, high)

    low, _ = repeat(halve, (low, high), jnp.finfo(dtype).nmant + 3)
    return MeasuredThreshold(
        curvature=jnp.where(is_found, low, jnp.nan),
        multiplier=jnp.where(is_found, leading(low), complex(jnp.nan)),
        status=jnp.where(is_found, int(Status.OK), int(Status.NOT_CONVERGED)).astype(jnp.int8),
    )


def _dtype(*values: Any) -> Any:
    """Dtype of the floating arrays among the values, or JAX's default."""
    floats = [value for value in values if jnp.issubdtype(getattr(value, "dtype", int), jnp.floating)]
    return jnp.result_type(*(system_dtype(value, None) for value in floats)) if floats else default_dtype()
