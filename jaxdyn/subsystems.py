"""Fast subsystems: some states of a system become parameters."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import like
from jaxdyn._record import record, static
from jaxdyn._types import Array
from jaxdyn.about import About, unknown_name
from jaxdyn.stochastic import SDE
from jaxdyn.system import System, require_system

__all__ = ["frozen"]

_S = TypeVar("_S", bound=System)


def frozen(system: _S, states: Mapping[str, Any] | Sequence[str] | str) -> _S:
    """System in which some states do not move: they become parameters of the same names.

    Parameters
    ----------
    system
        Flow or map.
    states
        The states to freeze, with their values: `{"m11": 0.2, ...}`; or only their names, which freezes them at
        the system's start.

    Returns
    -------
    System
        Of the same kind (a stochastic system keeps the noise of the states left); its states are those left, in their
        order, its parameters the old ones and the frozen states. They can be swept, differentiated and replaced like
        any others.

    Raises
    ------
    ValueError
        If a state is unknown, none or all are frozen, a value is no scalar, or a parameter has the name of a state.
    TypeError
        If `system` is no system, or `states` are neither names nor names with numbers.

    Notes
    -----
    The fast subsystem at one moment of a trajectory starts there and is frozen there:
    `frozen(system.with_state(run.x[k]), names)`. Along a whole trajectory it is swept or vmapped over
    `frozen(system, names).with_params(m11=run.x[k, 2], ...)`.

    Examples
    --------
    >>> import jaxdyn
    >>> fast = jaxdyn.frozen(jaxdyn.models.fitzhugh_nagumo(), {"w": 0.5})
    >>> fast.state_names, float(fast.params["w"])
    (('v',), 0.5)
    """
    names = _names(system, states)
    about = system.about
    for name in names:
        if name not in system.state_names:
            raise ValueError(f"{about.name} has no state {unknown_name(name, list(system.state_names))}")
        if name in system.params:
            raise ValueError(
                f"{about.name} has a parameter {name!r} already; rename it, or the state, to freeze {name!r}"
            )
    if not 0 < len(set(names)) < system.dim:
        raise ValueError(
            f"freeze at least one of the {system.dim} states of {about.name} and not all of them, got {names}"
        )
    still = tuple(name in names for name in system.state_names)
    stay = np.flatnonzero(~np.array(still))
    ordered = tuple(name for name in system.state_names if name in names)
    params = dict(system.params)
    for name in ordered:
        default = system.x0[system.state_names.index(name)]
        value = states[name] if isinstance(states, Mapping) else default
        if value is None or isinstance(value, str):
            raise TypeError(
                f"state {name!r} must be frozen at a number, got {value!r}; to freeze at the start give names"
            )
        params[name] = like(value, default, f"state {name!r}")
    noise = {"diffusion": _Frozen(system.diffusion, ordered, still)} if isinstance(system, SDE) else {}
    return dataclasses.replace(
        system,
        **noise,
        field=_Frozen(system.field, ordered, still),
        params=params,
        x0=system.x0[stay],
        state_names=tuple(system.state_names[i] for i in stay),
        about=_words(about, ordered),
    )


def _names(system: Any, states: Any) -> tuple[str, ...]:
    require_system(system)
    names = (states,) if isinstance(states, str) else states
    names = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"states must be names, or names with values {{'{system.state_names[0]}': 0.0}}, got {states!r}"
        )
    return names


def _words(about: About, names: tuple[str, ...]) -> About:
    """Words about the subsystem: a frozen state is a parameter, and what is known of the whole is not known of it."""
    moved = [(name, about.symbol(name)) for name in names]
    return dataclasses.replace(
        about,
        title=f"{about.title or about.name} with {', '.join(names)} frozen",
        states=tuple(symbol for symbol in about.states if symbol.name not in names),
        params=(*about.params, *(dataclasses.replace(symbol, name=name) for name, symbol in moved if symbol)),
        known=(),
    )


@record
class _Frozen:
    field: Callable[..., Any]
    names: tuple[str, ...] = static()
    still: tuple[bool, ...] = static()
    """For each state of the whole system: whether it is frozen."""

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Any:
        inner = {name: value for name, value in params.items() if name not in self.names}
        values = jnp.stack([jnp.asarray(params[name], x.dtype) for name in self.names])
        pieces, used = [], {True: 0, False: 0}
        for is_still, run in self._runs():  # slices, not an indexed gather: the lanes engine takes them apart
            source, begin = values if is_still else x, used[is_still]
            used[is_still] += len(run)
            pieces.append(source[begin : begin + len(run)])
        rate = self.field(t, jnp.concatenate(pieces), inner)
        if isinstance(rate, tuple | list):
            return tuple(part for part, is_still in zip(rate, self.still, strict=True) if not is_still)
        return jnp.concatenate([rate[run[0] : run[-1] + 1] for is_still, run in self._runs() if not is_still])

    def _runs(self) -> list[tuple[bool, list[int]]]:
        """Positions of neighboring states that are all frozen, or all not."""
        groups = itertools.groupby(range(len(self.still)), self.still.__getitem__)
        return [(is_still, list(run)) for is_still, run in groups]

    def during_step(self, t: Any, params: dict[str, Any]) -> "_Frozen":
        """Return this field with sampled inputs of the whole system held at their value at `t`."""
        hold = getattr(self.field, "during_step", None)
        return self if hold is None else dataclasses.replace(self, field=hold(t, params))
