"""Optimizers of optax: what counts as one, how its state begins, and its one step."""

from typing import Any

from jaxdyn.learning.promotion import lenient

__all__ = ["first_state", "is_optimizer", "required_optimizer", "step_along"]


def is_optimizer(given: Any) -> bool:
    """Whether it is a finished transformation, `optax.adam(1e-3)` and not `optax.adam`."""
    return callable(getattr(given, "init", None)) and callable(getattr(given, "update", None))


def required_optimizer(given: Any) -> Any:
    """A finished transformation as it is. Raises TypeError for anything else."""
    if not is_optimizer(given):
        raise TypeError(f"optimizer must be a transformation of optax, such as optax.adam(0.1), got {given!r}")
    return given


def first_state(optimizer: Any, theta: Any) -> Any:
    """Optimizer state before the first step."""
    with lenient():
        return optimizer.init(theta)


def step_along(optimizer: Any, gradient: Any, theta: Any, state: Any, **seen: Any) -> tuple[Any, Any]:
    """Parameters and optimizer state after one step along a gradient.

    Optimizers that search along a line need what else was `seen`: value, grad and value_fn. Others do without.
    """
    import optax

    update: Any = optax.with_extra_args_support(optimizer).update
    with lenient():
        change, state = update(gradient, state, theta, **seen)
        return optax.apply_updates(theta, change), state
