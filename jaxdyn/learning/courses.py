"""Sharpness in the course of a training run, which is not stored."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import callable_tree, coordinate, labelled, record, static
from jaxdyn._types import Array, Float, Int, PyTree, Shaped, whole_number
from jaxdyn.errors import Status
from jaxdyn.learning.curvature import sharpness
from jaxdyn.learning.preconditioners import has_hyper, own_preconditioner, preconditioner
from jaxdyn.learning.training import Losses, training_of
from jaxdyn.reducers import Span, reduce
from jaxdyn.system import Map

__all__ = ["SharpnessCourse", "SharpnessCourseResult", "sharpness_course"]


@record
class SharpnessCourseResult:
    """Loss and sharpness at the start of a run and every so many steps later."""

    t: Shaped[Array, " time"] = coordinate("time")
    loss: Float[Array, " time"] = labelled("time", words="training loss")
    sharpness: Float[Array, " time"] = labelled("time", words="sharpness")
    """Largest eigenvalue of the Hessian H, or of P^-1 H where a preconditioner P was given; nan where there is none
    yet, as before Adam's first step."""
    residual: Float[Array, " time"] = labelled("time", words="error bound of the sharpness")
    status: Int[Array, ""] = labelled()
    """NOT_CONVERGED if an error bound is too large, see `sharpness`; NON_FINITE if a loss or Hessian was not finite."""


@record
class _Course:
    """Records so far; the places of later ones are nan."""

    count: Int[Array, ""]
    loss: Array
    sharpness: Array
    residual: Array
    status: Int[Array, ""]


@record
class _Own:
    """Stands for the preconditioner of the map's own optimizer."""


@record
class SharpnessCourse:
    """Reducer: loss and sharpness of a training run, every so many steps.

    Parameters
    ----------
    system
        The map of `optimizer_map` that is run; with the parameters of that very run, so that in a sweep each cell
        makes its own reducer (`sharpness_course` does).
    n_steps
        Counted steps of the run, as `reduce` is told, static.
    every
        Steps from one record to the next, static.
    preconditioner
        True for that of the map's optimizer (Adam, AdamW, RMSprop) with its own numbers, also where these are swept;
        or a function optimizer state -> P, a tree like the parameters. Default: the Hessian as it is.
    n_iterations
        Products with the Hessian for each record, static, as in `sharpness`.

    Returns
    -------
    SharpnessCourseResult
        From `jaxdyn.reduce`: t, loss, sharpness and residual (n_steps // every + 1,), the start first; status ().

    Notes
    -----
    Transforms: jit, vmap, lanes. The Hessian is looked at in the recorded steps only, also for many runs side by side.
    """

    system: Map
    n_steps: int = static()
    every: int = static(default=1)
    preconditioner: Callable[[Any], PyTree] | Literal[True] | None = None
    n_iterations: int = static(default=40)

    def __post_init__(self) -> None:
        for name in ("n_steps", "every", "n_iterations"):
            object.__setattr__(self, name, whole_number(getattr(self, name), name))
        if training_of(self.system).losses.is_game:
            raise ValueError("the sharpness is that of one loss, got a game; make a map of one loss by optimizer_map")
        if self.preconditioner is not None:
            object.__setattr__(self, "preconditioner", _function(self.preconditioner, self.system))

    def init(self, t: Array, x: Array) -> _Course:
        """Record the start."""
        empty = jnp.full(self.n_steps // self.every + 1, jnp.nan, x.dtype)
        return self._recorded(_Course(jnp.int32(0), empty, empty, empty, jnp.int8(Status.OK)), t, x)

    def update(self, carry: _Course, t: Array, x: Array) -> _Course:
        """One step more."""
        carry = dataclasses.replace(carry, count=carry.count + 1)
        is_due = carry.count % self.every == 0
        return lax.cond(is_due, self._recorded, lambda carry, t, x: carry, carry, t, x)

    def finish(self, carry: _Course, span: Span) -> SharpnessCourseResult:
        """Result."""
        if span.n_steps != self.n_steps:
            raise ValueError(
                f"SharpnessCourse was made for n_steps={self.n_steps}, the run counts {span.n_steps}; give both the "
                "same number"
            )
        steps = self.every * jnp.arange(len(carry.loss), dtype=jnp.int32)
        return SharpnessCourseResult(span.time(steps), carry.loss, carry.sharpness, carry.residual, carry.status)

    def _recorded(self, carry: _Course, t: Array, x: Array) -> _Course:
        training = training_of(self.system)
        (theta,), (state,) = training.unpacked(x, t)
        scale = self._scale(state)
        loss = jax.tree_util.Partial(_loss, training.losses, self.system.params)
        value = loss(theta)
        found = sharpness(loss, theta, preconditioner=scale, n_iterations=self.n_iterations)
        # Numbers that do not exist are nan and no failure.
        is_defined = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(scale)] or [True]).all()
        bad = jnp.where(jnp.isfinite(value), found.status, jnp.int8(Status.NON_FINITE))
        i = carry.count // self.every
        return _Course(
            carry.count,
            carry.loss.at[i].set(value),
            carry.sharpness.at[i].set(found.value),
            carry.residual.at[i].set(found.residual),
            _worse(carry.status, jnp.where(is_defined | ~jnp.isfinite(value), bad, jnp.int8(Status.OK))),
        )

    def _scale(self, state: Any) -> PyTree | None:
        if isinstance(self.preconditioner, _Own):
            return own_preconditioner(self.system, state)
        return self.preconditioner(state) if callable(self.preconditioner) else None


def sharpness_course(
    system: Map,
    *,
    n_steps: int,
    every: int = 1,
    preconditioner: Callable[[Any], PyTree] | Literal[True] | None = None,
    n_iterations: int = 40,
) -> SharpnessCourseResult:
    """Loss and sharpness of a training run, every so many steps; nothing else of the run is stored.

    `jaxdyn.reduce` with a `SharpnessCourse`, as a measure for sweeps over learning rates.

    Parameters
    ----------
    system
        Map of `optimizer_map`, from its start.
    n_steps, every, preconditioner, n_iterations
        As of `SharpnessCourse`.

    Returns
    -------
    SharpnessCourseResult
        t, loss, sharpness and residual (n_steps // every + 1,), status ().

    Raises
    ------
    TypeError, ValueError
        While tracing: for a system that is no map of one learner, numbers that are no whole ones, or a preconditioner
        whose numbers are not known.

    Notes
    -----
    Above `stability_threshold` a direction of the quadratic approximation diverges; full-batch training of networks
    raises the sharpness until it is there and then keeps it there (Cohen et al. 2021, arXiv:2103.00065).
    Transforms: jit, vmap, lanes, sweep; networks compile far sooner with `engine=jaxdyn.Vmap()`.

    Examples
    --------
    >>> import jaxdyn, optax
    >>> descent = jaxdyn.learning.optimizer_map(
    ...     lambda x: (x**2 - 1) ** 2, optax.sgd, 0.5, hyper={"learning_rate": 0.02}
    ... )
    >>> course = jaxdyn.learning.sharpness_course(descent, n_steps=400, every=200)
    >>> [round(float(value), 3) for value in course.sharpness]
    [-1.0, 8.0, 8.0]
    """
    reducer = SharpnessCourse(system, n_steps, every, preconditioner, n_iterations)
    run = reduce(system, reducer, n_steps=n_steps)
    return dataclasses.replace(run.values, status=_worse(run.values.status, run.status))


def _function(given: Any, system: Map) -> Any:
    """What stands for a preconditioner in a record, or an error."""
    if given is True or isinstance(given, _Own):
        return _Own()
    if not callable(given):
        raise TypeError(
            "preconditioner must be True or a function of the optimizer's state, such as "
            f"jaxdyn.learning.preconditioner, got {type(given).__name__}"
        )
    if getattr(given, "func", given) is preconditioner and has_hyper(system):
        raise ValueError(
            "jaxdyn.learning.preconditioner does not see the hyper-parameters of the map, such as a swept b1; give "
            "preconditioner=True, which does"
        )
    return callable_tree(given)


def _loss(losses: Losses, params: dict[str, Array], theta: PyTree) -> Array:
    return losses.loss(0, (theta,), params)


def _worse(a: Array, b: Array) -> Array:
    """NON_FINITE before NOT_CONVERGED before OK: numbers that are none cannot be more than that."""
    is_broken = (a == int(Status.NON_FINITE)) | (b == int(Status.NON_FINITE))
    return jnp.where(is_broken, int(Status.NON_FINITE), jnp.maximum(a, b)).astype(jnp.int8)
