"""Systems in reversed time."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import stacked
from jaxdyn._record import callable_tree, record
from jaxdyn._types import Array, is_concrete
from jaxdyn.about import About
from jaxdyn.derived import FromParams, Samples
from jaxdyn.stochastic import SDE
from jaxdyn.system import System, require_system

__all__ = ["time_reversed"]

_S = TypeVar("_S", bound=System)


def time_reversed(system: _S, *, inverse: Callable[..., Any] | None = None) -> _S:
    """System that runs through the same orbits in the other direction.

    A flow becomes dx/ds = -f(-s, x): where it is at time s the flow itself is at t = -s. Repellers become attractors
    (unstable fixed points can be simulated, stable manifolds of saddles grow out of them), and Lyapunov exponents
    change their signs, as long as the orbit stays on the same set: from an attractor of a dissipative system reversed
    orbits depart, mostly to infinity (status NON_FINITE).

    Parameters
    ----------
    system
        Flow or map.
    inverse
        For maps, and only for them: `(n, x, params) -> previous state`, the state at step n whose image
        `f(n, ., params)` is x. A system does not know its inverse. The reversed map counts steps backwards too: its
        step m goes from step -m of the map to -m - 1.

    Returns
    -------
    System
        Of the same kind, with the same parameters, names and start. Reversed again it is the system itself.

    Raises
    ------
    TypeError
        For what is no system or a stochastic one, a map without an inverse, a flow with one, or an inverse that is no
        function.
    ValueError
        If `inverse` does not lead back from the image of the start, within the root of the rounding.

    Notes
    -----
    Sampled inputs are held over the same times as forwards: `u(-s)` of the interval that a step crosses. The other way
    to run a flow backwards is a negative `dt`, in `trajectory` and `finite_time_lyapunov`; it knows nothing of samples.

    Examples
    --------
    >>> import jaxdyn
    >>> decay = jaxdyn.flow(lambda t, x, p: -p["rate"] * x, {"rate": 0.5}, [1.0])
    >>> jaxdyn.time_reversed(decay)(0.0, [2.0])
    Array([1.], dtype=float32)
    >>> henon = jaxdyn.models.henon()
    >>> def back(n, s, p):
    ...     return s[1] / p["b"], s[0] - 1 + p["a"] * (s[1] / p["b"]) ** 2
    >>> there = henon(0, henon.x0)
    >>> bool(abs(jaxdyn.time_reversed(henon, inverse=back)(0, there) - henon.x0).max() < 1e-6)
    True
    """
    require_system(system)
    name = system.about.name
    if isinstance(system, SDE):
        raise TypeError(f"{name} is stochastic and noise has no way back; reverse its drift, system.without_noise()")
    if isinstance(system.field, _ReversedMap | _ReversedFlow) and inverse is None:
        return dataclasses.replace(system, field=system.field.forward, about=_words(system.about))
    if not system.discrete:
        if inverse is not None:
            raise TypeError(f"inverse is for maps, got the flow {name}; leave it out")
        return dataclasses.replace(system, field=_ReversedFlow(system.field), about=_words(system.about))
    if inverse is None:
        raise TypeError(
            f"the map {name} does not know its inverse; give inverse=(n, x, params) -> the state at n whose image is x"
        )
    if not callable(inverse):
        raise TypeError(f"inverse must be a function (n, x, params), got {type(inverse).__name__}")
    field = _ReversedMap(callable_tree(inverse), system.field)
    result = dataclasses.replace(system, field=field, about=_words(system.about))
    _require_inverse(system, result)
    return result


_IN_REVERSE = ", in reversed time"


def _words(about: About) -> About:
    """Words about the reversed system: what is known of the one is not known of the other."""
    title = about.title or about.name
    turned = title.removesuffix(_IN_REVERSE) if title.endswith(_IN_REVERSE) else title + _IN_REVERSE
    return dataclasses.replace(about, title=turned, known=())


def _require_inverse(system: System, backwards: System) -> None:
    """Ask the inverse for the start, from its image."""
    image = jax.eval_shape(backwards, jax.ShapeDtypeStruct((), jnp.int32), system.x0)  # wrong shapes fail here
    if not is_concrete(system) or image.shape != system.x0.shape:
        return
    there = system(0, system.x0)
    back, start = np.asarray(backwards(-1, there)), np.asarray(system.x0)
    # An inverse may stretch rounding, as the map contracts.
    off = np.abs(back - start).max() / max(1.0, np.abs(start).max(), np.abs(np.asarray(there)).max())
    if np.all(np.isfinite(np.asarray(there))) and not off <= float(np.finfo(system.dtype).eps) ** 0.5:
        raise ValueError(
            f"inverse of {system.about.name} leads from the image of the start x0={start.tolist()} to {back.tolist()}; "
            "it must give inverse(n, f(n, x, params), params) = x (elsewhere too: give a start where it does)"
        )


@record
class _ReversedFlow:
    forward: Callable[..., Any]

    def __call__(self, s: Any, x: Array, params: dict[str, Any]) -> Array:
        return -stacked(self.forward(-s, x, params), x.dtype)

    def during_step(self, s: Any, params: dict[str, Any]) -> "_ReversedFlow":
        """Return this field with sampled inputs held at their value in the interval before -s."""
        hold = getattr(self.forward, "during_step", None)
        if hold is None:
            return self
        return _ReversedFlow(_mirrored(self.forward).during_step(-s, params))


@record
class _ReversedMap:
    inverse: Callable[..., Any]
    forward: Callable[..., Any]

    def __call__(self, m: Any, x: Array, params: dict[str, Any]) -> Any:
        return self.inverse(-m - 1, x, params)


def _mirrored(field: Any) -> Any:
    """The field, whose sampled inputs have at the time of a sample still the value before it; twice is not at all."""

    def is_input(leaf: Any) -> bool:
        return isinstance(leaf, FromParams)

    def turned(leaf: Any) -> Any:
        if not is_input(leaf):
            return leaf
        return (FromParams if isinstance(leaf, _Before) else _Before)(leaf.name, leaf.dt, leaf.t0)

    return jax.tree.map(turned, field, is_leaf=is_input)


@record
class _Before(FromParams):
    """Input whose samples are a parameter, as it is just before a time: the samples of the mirrored time."""

    def __call__(self, t: Any, params: dict[str, Any]) -> Any:
        values = params[self.name]
        end = self.t0 + values.shape[0] * self.dt
        return Samples(values[::-1], self.dt, -end)(-t)
