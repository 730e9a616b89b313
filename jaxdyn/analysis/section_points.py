"""Points of a Poincaré section and the times between them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxdyn._record import labelled, record
from jaxdyn._types import Array, Float, Int, whole_number
from jaxdyn.analysis.batches import batch_means, standard_error
from jaxdyn.errors import Status
from jaxdyn.integrate import march, repeat
from jaxdyn.sections import Section, section_of
from jaxdyn.steps import require_countable
from jaxdyn.system import Map

__all__ = ["SectionPoints", "section_points"]


@record
class SectionPoints:
    """Successive points of a Poincaré section, the first return first."""

    x: Float[Array, "point dim"] = labelled("point", "state", words="state")
    """States of the map at the returns."""
    return_time: Float[Array, " point"] = labelled("point", words="return time", unit="time")
    """How long each return took, in time units of the flow; nan where there was none."""
    mean_return_time: Float[Array, ""] = labelled(words="mean return time", unit="time")
    """What exponents of the map are divided by to become those of the flow."""
    std_error: Float[Array, ""] = labelled(words="standard error of the mean return time", unit="time")
    """From at most 32 batches; nan for a single point."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the flow left the finite numbers, NOT_CONVERGED if it was not back within `max_steps`."""


def section_points(section: Map, *, n_points: int, n_transient: int = 0) -> SectionPoints:
    """Points of a Poincaré section of one flow, and the times between them.

    Parameters
    ----------
    section
        Map made by `poincare`, from its start.
    n_points
        Returns that are recorded, static.
    n_transient
        Returns before, static.

    Returns
    -------
    SectionPoints
        x (n_points, dim), return_time (n_points,); mean_return_time, std_error and status ().

    Raises
    ------
    TypeError, ValueError
        For any other system, or numbers that are no whole ones.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep; derivatives in forward mode.

    Examples
    --------
    >>> import jaxdyn
    >>> turns = jaxdyn.poincare(jaxdyn.models.rossler(), {"y": 0.0}, direction=-1, dt=0.025)
    >>> run = jaxdyn.section_points(turns, n_points=100, n_transient=10)
    >>> run.x.shape, round(float(run.mean_return_time), 1)
    ((100, 2), 5.9)
    """
    section_of(section)
    n_points, n_transient = whole_number(n_points, "n_points"), whole_number(n_transient, "n_transient", least=0)
    require_countable(n_transient + n_points)
    return _section_points(section, n_points, n_transient)


@record
class _Course:
    """State, time of the last return, and what became of the run."""

    x: Array
    time: Array
    status: Array


@functools.partial(jax.jit, static_argnames=("n_points", "n_transient"))
def _section_points(system: Map, n_points: int, n_transient: int) -> SectionPoints:
    section: Any = system.field
    course = _Course(system.x0, jnp.zeros((), system.dtype), jnp.int8(Status.OK))

    def step(course: _Course) -> _Course:
        return _after(section, course, system.params)

    course = repeat(step, course, n_transient) if n_transient else course
    course, (x, times) = march(step, course, n_blocks=n_points, block=1, observe=lambda c: (c.x, c.time))
    return SectionPoints(x, times, jnp.mean(times), standard_error(batch_means(times)), course.status)


def _after(section: Section, course: _Course, params: dict[str, Any]) -> _Course:
    following = section.following(course.x, params)
    lost = jnp.where(following.is_finite, int(Status.NOT_CONVERGED), int(Status.NON_FINITE)).astype(jnp.int8)
    failed = ~following.found & (course.status == int(Status.OK))
    return _Course(following.x, following.time, jnp.where(failed, lost, course.status))
