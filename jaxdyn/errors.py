"""Status codes of lanes, and the exceptions of the host."""

import enum
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["FailedCheck", "FailedLanesError", "JaxdynWarning", "Status", "raise_if_failed"]


class Status(enum.IntEnum):
    """What became of one lane; stored as int8 in the `status` of every record."""

    NOT_RUN = -1
    """The cell of a stored sweep was not computed yet."""
    OK = 0
    """The numbers are what they claim to be."""
    NON_FINITE = 1
    """The state left the finite numbers (overflow or nan)."""
    QR_INTERVAL = 2
    """Tangent vectors or perturbations were parted too rarely for this dtype: lower `qr_every` (`rescale_every`) or
    `dt`."""
    CAPACITY = 3
    """More results were found than the record can hold."""
    NOT_CONVERGED = 4
    """An iteration, or a run with `until`, ended before it reached its tolerance; or a first passage did not come."""
    STEP_LIMIT = 5
    """An adaptive method used up `max_steps`, or its steps fell below rounding: the solution may end there."""


class FailedCheck(enum.IntFlag):
    """Checks of a Lyapunov spectrum that did not pass; `checks.verdict` holds their sum as int8, 0 if all did."""

    SUM = 1
    """The exponents do not add up to the mean divergence: `dt` (or `qr_every`) is too large for these error bars."""
    ZERO = 2
    """A flow without fixed point has no exponent 0: the derivative of its field is wrong, or the run too short."""
    PAIRING = 4
    """Exponents of a Hamiltonian system do not come in pairs of opposite sign: it is none, or the run is too short."""
    DERIVATIVE = 8
    """JAX's derivative of the field differs from difference quotients: look at its `custom_jvp`."""


_ADVICE = {
    Status.NOT_RUN: "call sweep again with the same store to compute them",
    Status.NON_FINITE: "use a smaller dt, another x0, or other parameters",
    Status.QR_INTERVAL: "lower qr_every or dt, or use float64; in perturbation_growth lower rescale_every, raise size",
    Status.CAPACITY: "raise max_points (of events: capacity)",
    Status.STEP_LIMIT: "raise max_steps or rtol, take a method for stiff systems, or end before the solution blows up",
    Status.NOT_CONVERGED: "allow more iterations or steps, or a larger tolerance",
}


class JaxdynWarning(UserWarning):
    """A result that needs a second look."""


class FailedLanesError(RuntimeError):
    """Some lanes of a result did not end with Status.OK."""


def raise_if_failed(result: Any) -> Any:
    """Return `result` unchanged, or raise if any of its lanes failed.

    Parameters
    ----------
    result
        A record with a `status` of any shape (a system's or a vmapped one), or the data set of a sweep.

    Raises
    ------
    FailedLanesError
        How many lanes failed of how many, the first one's index and coordinates, and what helps.

    Examples
    --------
    >>> import jaxdyn
    >>> spun = jaxdyn.trajectory(jaxdyn.models.logistic(r=5.0), n_steps=50)
    >>> jaxdyn.raise_if_failed(spun)
    Traceback (most recent call last):
    ...
    jaxdyn.errors.FailedLanesError: 1 of 1 lanes failed; the first is NON_FINITE; use a smaller dt, ...
    """
    status = np.asarray(result["status"] if isinstance(result, Mapping) else result.status)
    failed = np.argwhere(status != Status.OK)
    if not len(failed):
        return result
    index = tuple(int(i) for i in failed[0])
    code = Status(int(status[index]))
    where = f" at index {index}{_coordinates(result, index)}" if index else ""
    raise FailedLanesError(
        f"{len(failed)} of {status.size} lanes failed; the first is {code.name}{where}; {_ADVICE[code]}"
    )


def _coordinates(result: Any, index: tuple[int, ...]) -> str:
    if not isinstance(result, Mapping):
        return ""
    status: Any = result["status"]
    cell = status[index]
    named = [f"{name}={cell.coords[name].item():g}" for name in status.dims if name in cell.coords]
    return f" ({', '.join(named)})" if named else ""
