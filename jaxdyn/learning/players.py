"""Players: who descends which loss by which optimizer, with what numbers for its hyper-parameters."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import is_same_in_all_lanes
from jaxdyn._types import Array, is_concrete
from jaxdyn.learning.layouts import Leaf, form, path_text
from jaxdyn.learning.optimizers import first_state, is_optimizer, step_along
from jaxdyn.learning.promotion import lenient
from jaxdyn.learning.roots import with_finite_roots

__all__ = ["Player", "require_traceable", "state_leaves"]


@dataclasses.dataclass(frozen=True)
class Player:
    """One optimizer, with the map's parameters that are its hyper-parameters."""

    name: str
    optimizer: Any
    """A factory such as `optax.adam`, or a finished transformation."""
    swept: tuple[tuple[str, str], ...] = ()
    """Hyper-parameters that are parameters of the map: their names for the factory, and for the map."""
    fixed: tuple[tuple[str, Any], ...] = ()
    """Other arguments of the factory."""
    identity: Any = None
    """Something new where a method or an object decides what is computed: it equals itself also when changed."""

    def transformation(self, params: Mapping[str, Any]) -> Any:
        """The optax transformation with these parameters of the map."""
        if is_optimizer(self.optimizer):
            return self.optimizer
        with lenient():
            return self.optimizer(**{own: params[name] for own, name in self.swept}, **dict(self.fixed))

    def start(self, params: Mapping[str, Any], theta: Any) -> Any:
        """Optimizer state before the first step."""
        with self._explained("cannot begin"):
            return first_state(self.transformation(params), theta)

    def moved(self, params: Mapping[str, Any], gradient: Any, theta: Any, state: Any) -> tuple[Any, Any]:
        """Parameters and optimizer state after one step along a gradient."""

        def step(gradient: Any, theta: Any, state: Any) -> tuple[Any, Any]:
            with self._explained("cannot step along a gradient"):
                return step_along(self.transformation(params), gradient, theta, state)

        moved, after = with_finite_roots(step)(gradient, theta, state)
        if form(moved) != form(theta) or form(after) != form(state):
            raise ValueError(
                f"optimizer of {self.name!r}: after a step, parameters and state must be trees like those before, got "
                f"{form((moved, after))}, expected {form((theta, state))}"
            )
        return moved, after

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Say of errors within the optimizer whose they are, and what may be the matter."""
        try:
            yield
        except jax.errors.JAXTypeError:
            raise
        except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(
                f"optimizer of {self.name!r} {what}: {error}; hyper-parameters must fit it and the parameters, and it "
                "must do with gradient, state and parameters: line searches, lbfgs, polyak_sgd and others that see the "
                "loss do not fit"
            ) from error


def require_traceable(player: Player, params: Mapping[str, Any], theta: Any) -> None:
    """Refuse hyper-parameters that the factory does not take, that decide what is computed, or how the state begins.

    Raises TypeError or ValueError.
    """
    try:
        player.transformation(params)
    except TypeError as error:
        names = [own for own, _ in (*player.swept, *player.fixed)]
        raise TypeError(
            f"optimizer of {player.name!r}: its factory does not take hyper={{{', '.join(names)}}}: {error}; name its "
            "arguments"
        ) from error
    # Of the others the factory sees numbers, also while it is traced: an error is then about this one.
    known = {name: np.asarray(value) if is_concrete(value) else value for name, value in params.items()}
    for own, name in player.swept:

        def step(value: Array, name: str = name) -> Any:
            given = {**known, name: value}
            return player.moved(given, theta, theta, player.start(given, theta))[0]

        def start(value: Array, name: str = name) -> Any:
            return jax.tree.leaves(player.start({**known, name: value}, theta))

        bind = f"bind it: functools.partial(optimizer, {own}=...)"
        try:
            jax.eval_shape(step, params[name])
        except jax.errors.ConcretizationTypeError as error:
            raise TypeError(
                f"{own!r} decides which equations the optimizer has, so that it is no parameter of a map; {bind}"
            ) from error
        if not is_same_in_all_lanes(start, jnp.stack([params[name], params[name]])):
            raise ValueError(
                f"{own!r} decides where the optimizer state begins, which is the start x0 of the map and no parameter; "
                f"{bind}"
            )


def state_leaves(player: Player, params: Mapping[str, Any], theta: Any) -> tuple[Leaf, ...]:
    """Leaves of an optimizer's state: floating arrays, and counters and flags that are functions of the time.

    Raises ValueError if there is a leaf of another kind.
    """
    with jax.ensure_compile_time_eval():
        concrete = {name: _stand_in(value) for name, value in params.items()}
        place = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), theta)
        gradient = jax.tree.map(lambda leaf: leaf / 2, place)
        paths, tree = jax.tree_util.tree_flatten_with_path(player.start(concrete, place))
        texts, start = [path_text(path) for path, _ in paths], [jnp.asarray(leaf) for _, leaf in paths]
        widest = jnp.result_type(*jax.tree.leaves(theta))
        for text, leaf in zip(texts, start, strict=True):
            _require_known(player, text, leaf, widest)
        timed = [i for i, leaf in enumerate(start) if not jnp.issubdtype(leaf.dtype, jnp.floating)]

        @jax.jit
        def after(values: list[Array]) -> list[Array]:
            leaves = list(start)
            for i, value in zip(timed, values, strict=True):
                leaves[i] = value
            ahead = player.moved(concrete, gradient, place, jax.tree.unflatten(tree, leaves))[1]
            return [jax.tree.leaves(ahead)[i] for i in timed]

        leaves = [Leaf(leaf.shape, np.dtype(leaf.dtype)) for leaf in start]
        for i, ahead in zip(timed, after([start[i] for i in timed]), strict=True):
            leaves[i] = _of_time(start[i], ahead)
        for n in _TIMES:
            results = after([leaves[i].at_time(jnp.int32(n)) for i in timed])
            for i, ahead in zip(timed, results, strict=True):
                if ahead != leaves[i].at_time(jnp.int32(n + 1)):
                    _refuse(player, texts[i], f"is {start[i]} at the start and {ahead} after step {n}")
        for i in timed:
            if not _is_of_time(player, concrete, (gradient, place), jax.tree.unflatten(tree, start), i):
                _refuse(player, texts[i], "depends on gradients, parameters or averages")
    return tuple(leaves)


_TIMES = (0, 1, 2, 3, 10**6, 10**6 + 1)
"""Steps at which counters are watched; those far on show what begins anew after some hundreds."""


def _is_of_time(player: Player, params: Mapping[str, Any], others: Any, state: Any, i: int) -> bool:
    """Whether one counter or flag after a step does not depend on anything that a map may change."""
    leaves, tree = jax.tree.flatten(state)
    floats = [j for j, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def after(params: Any, others: Any, given: list[Array]) -> Array:
        known = list(leaves)
        for j, value in zip(floats, given, strict=True):
            known[j] = value
        gradient, theta = others
        return jax.tree.leaves(player.moved(params, gradient, theta, jax.tree.unflatten(tree, known))[1])[i]

    changing = {name: params[name] for _, name in player.swept}
    lanes = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (changing, others, [leaves[j] for j in floats]))
    return is_same_in_all_lanes(after, *lanes)


def _stand_in(value: Any) -> Any:
    """A concrete value for a hyper-parameter that is traced: counters do not depend on it."""
    return value if is_concrete(value) else jnp.full(value.shape, 0.5, value.dtype)


def _require_known(player: Player, path: str, leaf: Array, widest: Any) -> None:
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    is_timed = leaf.shape == () and (jnp.issubdtype(leaf.dtype, jnp.integer) or leaf.dtype == jnp.bool_)
    if not (is_timed or (is_float and leaf.dtype.itemsize <= widest.itemsize)):
        _refuse(player, path, f"has dtype {leaf.dtype} and shape {leaf.shape}, and parameters are {widest}")


def _of_time(start: Array, ahead: Array) -> Leaf:
    if start.dtype == jnp.bool_:
        return Leaf((), np.dtype(bool), flags=(bool(start), bool(ahead)))
    return Leaf((), np.dtype(start.dtype), counts_from=int(start))


def _refuse(player: Player, path: str, what: str) -> NoReturn:
    raise ValueError(
        f"optimizer of {player.name!r}: its state {path!r} {what}; a map holds floating arrays no wider than the "
        "parameters, beside counters that rise by 1 a step and flags of the first step; use an optimizer without it "
        "(not apply_if_finite, zero_nans, MultiSteps, apply_every or one that draws random numbers)"
    )
