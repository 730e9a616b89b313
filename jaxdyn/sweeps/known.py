"""What this process has compiled before, found by the equations of one cell: a repeated sweep only traces them."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from jaxdyn._arrays import is_same_in_all_lanes
from jaxdyn.engine.census import varying
from jaxdyn.engine.transform import settings_of_jax
from jaxdyn.engine.within import within

__all__ = ["Equations"]

_T = TypeVar("_T")

MOST = 32
"""Entries kept, the last ones used."""

_KNOWN: OrderedDict[Hashable, tuple[Any, Any]] = OrderedDict()
_LOCK = threading.Lock()


class Equations:
    """Traced equations of one cell, with the shapes of its results by name."""

    def __init__(self, closed: Any, shapes: Any) -> None:
        self.jaxpr = closed.jaxpr
        self._closed = closed
        self._names = sorted(shapes)  # as JAX orders them
        self._name = _name(closed, shapes)

    def cell(self, names: Sequence[str]) -> Callable[..., dict[str, Any]]:
        """Function of a cell's arguments that gives these results; the measure is not traced again."""

        def results(*arguments: Any) -> dict[str, Any]:
            found = dict(zip(self._names, jaxpr_as_fun(self._closed)(*jax.tree.leaves(arguments)), strict=True))
            return {name: found[name] for name in names}

        return results

    def alone(self, name: str) -> Callable[..., Any]:
        """Function of the leaves of a cell's arguments that gives one result, and computes nothing else."""
        jaxpr, _ = dce_jaxpr(self.jaxpr, [other == name for other in self._names], instantiate=True)
        run = jaxpr_as_fun(ClosedJaxpr(jaxpr, self._closed.consts))
        return lambda *leaves: run(*leaves)[0]

    def is_constant(self, name: str, differ: Sequence[bool]) -> bool:
        """Whether a result depends on none of the arguments' leaves that differ between cells."""
        if not varying(self._closed, list(differ))[self._names.index(name)]:
            return True
        # JAX knows a few cases more.
        alone, avals = self.alone(name), self._closed.in_avals

        def pick(leaves: list[Any]) -> Any:
            own = iter(leaves)
            return alone(*(next(own) if d else jnp.zeros(a.shape, a.dtype) for a, d in zip(avals, differ, strict=True)))

        lanes = [jax.ShapeDtypeStruct((1, *a.shape), a.dtype) for a, d in zip(avals, differ, strict=True) if d]
        return is_same_in_all_lanes(pick, lanes)

    def known(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` returned when last called for equal equations and an equal key."""
        if self._name is None:
            return make()
        whole = (self._name, key)
        with _LOCK:
            if whole in _KNOWN:
                _KNOWN.move_to_end(whole)
                return _KNOWN[whole][1]
        made = make()
        with _LOCK:
            # The equations stay alive with the entry: their text names Python functions by address.
            _KNOWN[whole] = (self._closed, made)
            if len(_KNOWN) > MOST:
                _KNOWN.popitem(last=False)
        return made


def _name(closed: Any, shapes: Any) -> Hashable | None:
    """All that a program of these equations depends on; None if they call back to Python."""
    text = str(closed.jaxpr)
    # The text tells callbacks apart only by where they are in memory, and arrays among the literals not at all.
    if "callback" in text or "[...]" in text:
        return None
    names = jax.tree.structure(shapes)
    return text, tuple(closed.in_avals), names, settings_of_jax(), tuple(map(_contents, _constants(closed)))


def _contents(array: Any) -> tuple[Any, ...]:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return (str(array.dtype), *_contents(jax.random.key_data(array)))
    array = np.asarray(array)
    return str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).digest()


def _constants(closed: Any) -> Iterator[Any]:
    """Arrays that equations close over, those inside loops and calls too; their text leaves them out."""
    return (constant for part in within(closed) for constant in getattr(part, "consts", ()))
