"""Fitting: parameters and starts of a system by gradient descent of a measure of it, from many starts at once."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxdyn._record import callable_tree, inlined, labelled, record
from jaxdyn._types import Array, Float, Int, is_concrete, whole_number
from jaxdyn.errors import JaxdynWarning, Status
from jaxdyn.learning.descent import Descent, descent_step, first_descent, losses_beside, reverse_mode_named
from jaxdyn.learning.optimizers import required_optimizer
from jaxdyn.learning.unknowns import Unknowns, n_numbers, placed, starts_of, unknowns_of
from jaxdyn.system import System

__all__ = ["Fit", "fit"]

FEW = 16
"""Up to so many numbers forward mode is the default: it needs no memory for the steps of a trajectory."""
GROWTH_LIMIT = 1e3
"""Above this growth the loss changes by its own size when a parameter moves by a thousandth of its range or size: it
has more hills than anyone gives starts. Measured with mean squares of trajectories: limit cycles stay below 10, however
long; the Lorenz system has a median of 0.3 in 10 time units, 350 in 20, 1e10 in 40 (factors exp(lambda T) of 9e3, 7e7
and 5e15, of which the mean over the trajectory and the range of the parameter take a part)."""


@record
class Fit:
    """Where each start of a fit came to, and the best of them."""

    params: dict[str, Array] = inlined()
    """Fitted values by name, (start, ...): those with the smallest loss that this start came by."""
    loss: Float[Array, " start"] = labelled("start", words="smallest loss")
    history: Float[Array, "step start"] = labelled("step", "start", words="loss")
    """Before each step, and after the last one; nan once a start has failed."""
    growth: Float[Array, " start"] = labelled("start", words="growth of gradients")
    """Gradient of a start, its median over the steps, in units of the largest loss of the run per coordinate: a part of
    the range, or the size, of a parameter."""
    best: Int[Array, ""] = labelled(words="start with the smallest loss")
    """Its index, among the starts that did not fail if there are any."""
    std_error: dict[str, Array] = inlined()
    """Standard errors of the best start's values by name, if the loss gives residuals; else nan."""
    status: Int[Array, " start"] = labelled("start")
    """NON_FINITE where a loss or a gradient was not finite; the start then ended with what it had found before."""
    system: System
    """The system with the best values."""


def fit(
    system: System,
    loss: Callable[[System], Any],
    optimizer: Any = None,
    *,
    over: Mapping[str, Any],
    n_steps: int = 500,
    n_starts: int = 1,
    starts: Mapping[str, Any] | None = None,
    forward: bool | None = None,
    progress: bool = True,
) -> Fit:
    """Parameters and starts of a system for which a measure of it is smallest, by gradients, from many starts at once.

    Bounded values go through smooth bijections (sigmoid between two bounds, softplus at one), so that the optimizer
    sees numbers without bounds whose unit is about the range, or the size, of the value.

    Parameters
    ----------
    system
        Flow, map or stochastic system (whose noise is that of its seed). Its values are the first start.
    loss
        Differentiable function of one system. A scalar is minimized as it is. An array of any shape is taken as
        residuals: the mean of their squares is minimized, and standard errors are given. As a pytree, such as
        `jax.tree_util.Partial(loss, data)`, new data do not compile anew.
    optimizer
        Transformation of optax. Default: Adam, its rate falling from 0.1 to 0 along a cosine.
        `optax.lbfgs()` gets the function that its line search needs. `gauss_newton()`, for residuals, needs some twenty
        steps from a good start where others need thousands.
    over
        What is fitted: `{"I": (0, 1), "tau": (0, None), "a": None}`, each a parameter, a state (its start) or `x0`
        (the whole start), with bounds of which either may be None.
    n_steps
        Steps of the optimizer.
    n_starts
        Number of starts: the system's own values, and points that fill the bounds evenly (a low-discrepancy sequence).
        Values without two bounds start at the system's.
    starts
        Values to start from instead, `{"I": [0.2, 0.8]}`; names that are missing have the system's value.
    forward
        Derivatives in forward mode, whose cost grows with the number of values, or in reverse mode, whose memory grows
        with the steps of the trajectory. Default: forward up to 16 numbers. Methods that choose their steps have
        forward mode only.
    progress
        Show a progress bar.

    Returns
    -------
    Fit
        params, loss, history, growth and status of each start; best, std_error, and the fitted system.

    Raises
    ------
    TypeError, ValueError
        For unknown names, impossible bounds, starts outside them, a loss of another dtype than the system's,
        reverse mode through a method that chooses its steps, or a call within a transformation of JAX.

    Warns
    -----
    JaxdynWarning
        With the growth factor, where gradients have grown so much that they no longer say where the loss falls: through
        chaos they grow like exp(lambda T). What helps: shorter windows (each with a start of its own), coupling the
        model to the data so that it synchronizes, or a loss of averages without gradients.

    Notes
    -----
    Runs on the host, outside jit: one compiled step for all starts, which do not harm each other. Nothing says that the
    best start found the global minimum: look at `loss`, how many starts agree.

    Standard errors are those of least squares, s^2 (J^T J)^-1 with s^2 = sum of squares / (n - k): they hold for
    independent residuals of equal variance, to first order, and not at a bound. Errors of correlated noise, or of a
    model that is wrong, are larger.

    Examples
    --------
    >>> import jaxdyn
    >>> truth = jaxdyn.models.logistic(r=3.2)
    >>> data = jaxdyn.trajectory(truth, n_steps=20).x
    >>> def residuals(system):
    ...     return jaxdyn.trajectory(system, n_steps=20).x - data
    >>> found = jaxdyn.learning.fit(
    ...     jaxdyn.models.logistic(r=2.8), residuals, over={"r": (2.5, 3.5)}, n_steps=200, n_starts=4
    ... )
    >>> round(float(found.system.params["r"]), 2)
    3.2
    """
    if not is_concrete(system, loss, starts):
        raise TypeError("fit runs on the host, got values that are being traced; call it outside jit, vmap and sweep")
    unknowns = unknowns_of(system, over)
    n_steps = whole_number(n_steps, "n_steps")
    values = starts_of(unknowns, whole_number(n_starts, "n_starts"), starts)
    if not callable(loss):
        raise TypeError(f"loss must be a function of a system, got {loss!r}")
    loss = callable_tree(loss)
    optimizer = _default_optimizer(n_steps) if optimizer is None else required_optimizer(optimizer)
    forward = n_numbers(unknowns) <= FEW if forward is None else bool(forward)
    is_residual = _is_residual(jax.eval_shape(loss, system), system)
    z = jax.vmap(unknowns.coordinates)(values)
    run = first_descent(z, optimizer)
    history, slopes, warned = [], [], False
    beside = functools.cache(lambda: losses_beside(z, unknowns, system, loss, forward))
    with reverse_mode_named(), _bar(n_steps, progress) as bar:
        for k in range(n_steps + 1):
            run, seen = descent_step(run, unknowns, system, loss, optimizer, forward)
            history.append(seen.loss)
            slopes.append(seen.slope)
            if k == 0:
                warned = _warn(_growth(history, slopes, beside))
            if k < n_steps:
                bar.update(1)
            if k % 10 == 0 and not bar.disable:
                bar.set_postfix(loss=f"{float(jnp.min(run.best_loss)):.3g}", refresh=False)
    growth = _growth(history, slopes, beside)
    best = jnp.argmin(jnp.where(run.failed & ~jnp.all(run.failed), jnp.inf, run.best_loss)).astype(jnp.int32)
    if not warned:
        _warn(growth[int(best)][None])
    return _described(run, unknowns, system, loss, jnp.stack(history), growth, best, is_residual)


@functools.cache
def _default_optimizer(n_steps: int) -> Any:
    """Kept, so that the same fit of other data does not compile anew."""
    import optax

    return optax.adam(optax.cosine_decay_schedule(0.1, n_steps))


def _is_residual(result: Any, system: System) -> bool:
    """Whether a loss gives residuals; complains about what is no loss."""
    if not hasattr(result, "shape") or not hasattr(result, "dtype"):
        raise TypeError(f"loss must return one scalar, or one array of residuals, got {type(result).__name__}")
    if result.dtype != system.dtype:
        raise TypeError(
            f"loss gave {result.dtype}, the system computes in {system.dtype}; cast the data that it is compared with"
        )
    if 0 in result.shape:
        raise ValueError(f"loss gave no residuals, an array of shape {result.shape}")
    return result.shape != ()


def _bar(n_steps: int, progress: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=n_steps, unit="step", disable=None if progress else True)  # None: unless it is no terminal


def _growth(history: list[Array], slopes: list[Array], beside: Callable[[], Array]) -> np.ndarray:
    """Median gradient of each start over the largest loss; infinite where gradients overflowed.

    Next to a minimum of 0 gradients are large beside the loss without any chaos: where they seem to have grown, losses
    a step away from the first places count as well.
    """
    losses, slope = np.asarray(jnp.stack(history)), np.asarray(jnp.stack(slopes))
    known = np.isfinite(losses)
    scale = np.max(np.abs(losses), initial=0, where=known)
    if scale == 0:
        return np.zeros_like(slope[0])
    slope = np.where(known, np.where(np.isfinite(slope), slope, np.inf), np.nan)
    seen = known.any(axis=0)
    middle = np.where(seen, np.nanmedian(np.where(seen, slope, 0), axis=0), np.nan)
    if np.any(middle > GROWTH_LIMIT * scale):
        away = np.abs(np.asarray(beside()))
        scale = max(scale, np.median(away[np.isfinite(away)]) if np.isfinite(away).any() else 0)
    return (middle / scale).astype(losses.dtype)


def _warn(growth: np.ndarray) -> bool:
    """Warn if gradients of most of these starts are those of chaos."""
    growth = growth[~np.isnan(growth)]
    if not len(growth) or np.median(growth) <= GROWTH_LIMIT:
        return False
    warnings.warn(
        f"gradients grow {np.median(growth):.1e} times on their way through this loss, more than {GROWTH_LIMIT:.0f}: "
        "they tell where the next of very many hills is, not where the loss falls. In chaos growth is exp(lambda T): "
        "fit shorter windows with a start each, couple the model to the data, or fit averages without gradients",
        JaxdynWarning,
        stacklevel=3,
    )
    return True


def _described(
    run: Descent,
    unknowns: Unknowns,
    system: System,
    loss: Any,
    history: Array,
    growth: np.ndarray,
    best: Array,
    is_residual: bool,
) -> Fit:
    params = jax.vmap(unknowns.values)(run.best_z)
    params = {name: jnp.where(_beside(jnp.isfinite(run.best_loss), v), v, jnp.nan) for name, v in params.items()}
    chosen = {name: value[best] for name, value in params.items()}
    errors = {name: jnp.full_like(value, jnp.nan) for name, value in chosen.items()}
    if is_residual and bool(jnp.isfinite(run.best_loss[best])):
        errors = _std_errors(chosen, system, loss)
    status = jnp.where(run.failed, int(Status.NON_FINITE), int(Status.OK)).astype(jnp.int8)
    return Fit(params, run.best_loss, history, jnp.asarray(growth), best, errors, status, placed(system, chosen))


def _beside(flags: Array, values: Array) -> Array:
    """One flag a start, with the rank of the values."""
    return flags.reshape(-1, *(1,) * (values.ndim - 1))


@jax.jit
def _residuals_and_slopes(values: dict[str, Array], system: System, loss: Any) -> tuple[Array, Array]:
    flat, restored = ravel_pytree(values)

    def residuals(numbers: Array) -> Array:
        return loss(placed(system, restored(numbers))).ravel()

    return residuals(flat), jax.jacfwd(residuals)(flat)


def _std_errors(values: dict[str, Array], system: System, loss: Any) -> dict[str, Array]:
    """Least squares: root of the diagonal of s^2 (J^T J)^-1, by singular values on the host in float64."""
    flat, restored = ravel_pytree(values)
    r, slopes = (np.asarray(part, float) for part in _residuals_and_slopes(values, system, loss))
    n, k = slopes.shape
    if n <= k or not np.all(np.isfinite(slopes)):
        return restored(jnp.full_like(flat, jnp.nan))
    norms = np.linalg.norm(slopes, axis=0)
    size = np.where(norms > 0, norms, 1)
    _, s, turned = np.linalg.svd(slopes / size, full_matrices=False)
    with np.errstate(divide="ignore", invalid="ignore"):  # without residuals and slopes nothing is known: nan
        variance = np.sum(np.divide(turned, s[:, None], where=turned != 0, out=np.zeros_like(turned)) ** 2, axis=0)
        error = np.sqrt(variance * np.sum(r**2) / (n - k)) / size
    return restored(jnp.asarray(np.where(norms > 0, error, np.inf), flat.dtype))
