"""What a method is, and the method of maps."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxdyn._record import record
from jaxdyn._types import Array, Bool, Float

__all__ = ["Iterate", "Method", "Rhs", "Step"]

Rhs: TypeAlias = Callable[[Any, Array], Array]


@record
class Step:
    """Result of one step: the new state, an error estimate (or two, or None), and what the next step reuses.

    A method that may give up says so by `failed`: its state is then nan.
    """

    x: Float[Array, " dim"]
    error: Float[Array, " dim"] | tuple[Float[Array, " dim"], ...] | None
    carry: Any
    failed: Bool[Array, ""] | None = None


@runtime_checkable
class Method(Protocol):
    """A way to take one step. It holds no state and never loops over time."""

    def init(self, rhs: Rhs, t: Array, x: Array) -> Any:
        """Carry before the first step."""
        ...

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: Any) -> Step:
        """Advance `x` from `t` to `t + dt`."""
        ...


@record
class Iterate:
    """The method of maps: the next state is the map itself."""

    def init(self, rhs: Rhs, t: Any, x: Array) -> None:
        """Nothing is reused."""
        return None

    def step(self, rhs: Rhs, t: Any, x: Array, dt: Any, carry: None) -> Step:
        """Apply the map once."""
        return Step(rhs(t, x), None, None)
