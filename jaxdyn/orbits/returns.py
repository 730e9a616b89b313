"""Returns of an orbit to where it was: its period, found while it runs."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxdyn._record import record, static
from jaxdyn._types import Array, Bool, Float, Int

__all__ = ["Returns"]


@record
class Returns:
    """Whether an orbit comes back to a place after a number of points, and again after as many more, always.

    A strict count compares with the first point, which moves never: what drifts on its way to a cycle has no period. A
    loose one compares with the point of the last return: it sees what is on its way.
    """

    place: Float[Array, " dim"]
    """Where the orbit was when counting began; of a loose count where it last returned."""
    near: Float[Array, ""]
    """Largest distance, in any state, of a return."""
    period: Int[Array, ""]
    """Points until the first return; 0 before it."""
    since: Int[Array, ""]
    """Points since the last return."""
    holds: Bool[Array, ""]
    """Whether every return since was one."""
    loose: bool = static()

    @staticmethod
    def begin(x: Array, near: Array, *, loose: bool = False) -> "Returns":
        """No return yet."""
        none = jnp.int32(0)
        return Returns(x, near, none, none, jnp.array(True), loose)

    def advanced(self, x: Array, max_period: int) -> "Returns":
        """One point more."""
        is_near = _distance(x, self.place) <= self.near
        since = self.since + 1
        is_first = (self.period == 0) & is_near & (since <= max_period)
        is_due = (self.period > 0) & (since == self.period)
        returned = is_first | is_due
        return dataclasses.replace(
            self,
            place=jnp.where(returned, x, self.place) if self.loose else self.place,
            period=jnp.where(is_first, since, self.period),
            since=jnp.where(returned, 0, since),
            holds=self.holds & (is_near | ~is_due),
        )

    @property
    def found(self) -> Int[Array, ""]:
        """Period of the orbit, 0 if it has none."""
        return jnp.where(self.holds, self.period, 0)


def _distance(a: Array, b: Array) -> Any:
    """Largest difference in any state; nan if one is not finite."""
    parts = jnp.abs(a - b)
    whole = parts[0]
    for part in parts[1:]:
        whole = jnp.maximum(whole, part)
    return whole + 0 * jnp.sum(parts)
