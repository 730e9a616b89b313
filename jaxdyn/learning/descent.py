"""One step of an optimizer from many starts at once; a start that fails stops, the others go on."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdyn._record import record
from jaxdyn._types import Array, Bool, Float
from jaxdyn.learning.optimizers import first_state, step_along
from jaxdyn.learning.unknowns import Unknowns, placed
from jaxdyn.system import System

__all__ = ["Descent", "Objective", "Seen", "descent_step", "first_descent", "losses_beside", "reverse_mode_named"]

BESIDE = 0.1
"""A step, in the coordinates of a fit, that is small and after which a loss is no longer that of the place before."""


@record
class Descent:
    """State of the descent from one start."""

    z: dict[str, Array]
    optimizer: Any
    """State of the optimizer."""
    best_z: dict[str, Array]
    best_loss: Float[Array, ""]
    failed: Bool[Array, ""]


@record
class Seen:
    """What a step saw before it moved: nan for a start that had failed before."""

    loss: Float[Array, ""]
    slope: Float[Array, ""]
    """Norm of the gradient in the coordinates of the optimizer."""


def first_descent(z: dict[str, Array], optimizer: Any) -> Descent:
    """Descents before their first step; here and in the result the first axis is that of the starts."""

    def one(z: dict[str, Array]) -> Descent:
        nowhere = jnp.full((), jnp.inf, next(iter(z.values())).dtype)
        return Descent(z, first_state(optimizer, z), z, nowhere, jnp.zeros((), bool))

    return jax.vmap(one)(z)


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is minimized, as a function of the coordinates: the loss, or the mean square of its residuals.

    Optimizers of optax get it as `value_fn`; those for least squares find `residuals` in it.
    """

    unknowns: Unknowns
    system: System
    loss: Callable[[System], Any]

    def residuals(self, z: dict[str, Array]) -> Array:
        """What the loss gives."""
        return jnp.asarray(self.loss(placed(self.system, self.unknowns.values(z))), self.system.dtype)

    def __call__(self, z: dict[str, Array]) -> Array:
        """The number that is minimized."""
        residuals = self.residuals(z)
        return residuals if residuals.shape == () else jnp.mean(residuals**2)


@functools.partial(jax.jit, static_argnames=("optimizer", "forward"))
def descent_step(
    run: Descent, unknowns: Unknowns, system: System, loss: Callable[[System], Array], optimizer: Any, forward: bool
) -> tuple[Descent, Seen]:
    """One step of every start."""
    f = Objective(unknowns, system, loss)
    return jax.vmap(lambda one: _step(one, f, optimizer, forward))(run)


def _step(run: Descent, f: Objective, optimizer: Any, forward: bool) -> tuple[Descent, Seen]:
    value, grad, slope = _loss_and_slope(f, run.z, forward)
    better = ~run.failed & jnp.isfinite(value) & (value < run.best_loss)
    failed = run.failed | ~(jnp.isfinite(value) & jnp.isfinite(slope))
    moved, state = step_along(optimizer, grad, run.z, run.optimizer, value=value, grad=grad, value_fn=f)

    def choose(flag: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)

    new = Descent(
        z=choose(failed, run.z, moved),
        optimizer=choose(failed, run.optimizer, state),
        best_z=choose(better, run.z, run.best_z),
        best_loss=jnp.where(better, value, run.best_loss),
        failed=failed,
    )
    seen = Seen(jnp.where(run.failed, jnp.nan, value), jnp.where(run.failed, jnp.nan, slope))
    return new, seen


@functools.partial(jax.jit, static_argnames="forward")
def losses_beside(
    z: dict[str, Array], unknowns: Unknowns, system: System, loss: Callable[[System], Array], forward: bool
) -> Float[Array, " start"]:
    """Losses at a distance of `BESIDE` from all starts, up the gradient."""
    f = Objective(unknowns, system, loss)

    def one(z: dict[str, Array]) -> Array:
        _, grad, slope = _loss_and_slope(f, z, forward)
        return f({name: z[name] + BESIDE * part / slope for name, part in grad.items()})

    return jax.vmap(one)(z)


def _loss_and_slope(f: Objective, z: dict[str, Array], forward: bool) -> tuple[Array, dict[str, Array], Array]:
    """Loss, its gradient and the length of that."""
    value, grad = _value_and_forward_grad(f, z) if forward else jax.value_and_grad(f)(z)
    return value, grad, jnp.sqrt(sum(jnp.sum(part**2) for part in grad.values()))


def _value_and_forward_grad(f: Callable[[Any], Array], z: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Value and gradient by one tangent for each number."""
    flat, restored = ravel_pytree(z)

    def along(direction: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda v: f(restored(v)), (flat,), (direction,))

    value, grad = jax.vmap(along, out_axes=(None, 0))(jnp.eye(flat.size, dtype=flat.dtype))
    return value, restored(grad)


@contextlib.contextmanager
def reverse_mode_named() -> Iterator[None]:
    """JAX's complaint about loops without a fixed number of steps, in words that name the remedy."""
    try:
        yield
    except ValueError as error:
        if "Reverse-mode differentiation does not work" not in str(error):
            raise
        raise ValueError(
            "the loss has a loop without a fixed number of steps (a method such as Tsit5(rtol=...), an event), through "
            "which there is no reverse mode; give forward=True, or a method with fixed steps such as RK4()"
        ) from error
