"""How a training map is built: arrays, names, start, and what is checked of the optimizers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxdyn._arrays import strong
from jaxdyn._record import callable_tree
from jaxdyn._types import default_dtype, whole_number
from jaxdyn.about import About
from jaxdyn.learning.layouts import Layout, Leaf, names_of, path_text, unique
from jaxdyn.learning.players import Player, require_traceable, state_leaves
from jaxdyn.learning.plays import Play, Simultaneous
from jaxdyn.learning.training import Losses, Training
from jaxdyn.system import Map, iterated_map

__all__ = ["arrays_of", "training_map"]


def training_map(
    losses: Losses,
    players: Sequence[Player],
    thetas: Sequence[Any],
    params: Mapping[str, Any],
    *,
    play: Play | None = None,
    at_step: int | None = None,
    about: About,
) -> Map:
    """Map of the training of players, who go by their places."""
    arrays, dtype = arrays_of(thetas, losses.names)
    params = {key: strong(value, dtype, f"parameter {key!r}") for key, value in params.items()}
    for player, theta in zip(players, arrays, strict=True):
        require_traceable(player, params, theta)
    whole = tuple(arrays), tuple(player.start(params, theta) for player, theta in zip(players, arrays, strict=True))
    own = tuple(Leaf(leaf.shape, dtype) for leaf in jax.tree.leaves(arrays))
    others = [state_leaves(player, params, theta) for player, theta in zip(players, arrays, strict=True)]
    layout = Layout(jax.tree.structure(whole), sum(others, own))
    if at_step is not None:
        at_step = whole_number(at_step, "at_step", least=0)
        if at_step >= 2**31:
            raise ValueError(f"at_step must fit 32 bits, as the time of a map does, got {at_step}; give 10**6")
    play = Simultaneous() if play is None else play
    if isinstance(play, type) or not callable(play):
        raise TypeError(f"play must be a way of play such as Simultaneous() or Alternating(), got {play!r}")
    field = Training(losses, callable_tree(play), tuple(players), layout, at_step)
    names = names_of(_stems(losses, whole), layout.leaves)
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ValueError(f"two states would have the name {', '.join(doubled)}; rename an entry of params")
    return iterated_map(field, params, layout.packed(whole, dtype), state_names=names, about=about, dtype=dtype)


def arrays_of(thetas: Sequence[Any], names: Sequence[str]) -> tuple[list[Any], Any]:
    """Parameters as arrays of one floating dtype, which they share."""
    found: set[Any] = set()
    for name, theta in zip(names, thetas, strict=True):
        leaves = jax.tree.leaves(theta)
        if not sum(np.size(leaf) for leaf in leaves):
            raise ValueError(f"params of {name!r} hold no array; give a number, an array or a tree of them")
        for leaf in leaves:
            if hasattr(leaf, "dtype"):
                found.add(leaf.dtype if leaf.dtype.kind in "iub" else jax.dtypes.canonicalize_dtype(leaf.dtype))
            elif isinstance(leaf, bool) or not isinstance(leaf, int | float):
                raise TypeError(f"params of {name!r} must hold numbers and arrays of numbers, got {leaf!r}")
    if not found <= {np.dtype("float32"), np.dtype("float64")} or len(found) > 1:
        raise TypeError(
            f"params must be floating arrays of one dtype, got {', '.join(sorted(map(str, found)))}; cast them, and "
            "let losses close over what does not learn"
        )
    dtype = next(iter(found), default_dtype())
    return [jax.tree.map(lambda leaf: strong(leaf, dtype, "params"), theta) for theta in thetas], dtype


def _stems(losses: Losses, whole: Any) -> list[str]:
    """Names of all leaves, parameters first."""
    short: list[str] = []
    long: list[str] = []
    for name, theta in zip(losses.names, whole[0], strict=True):
        for path, _ in jax.tree_util.tree_leaves_with_path(theta):
            text = path_text(path, whole=True)
            has_name = not losses.is_game and text and not text.startswith("[")
            short.append(text if has_name else _joined(name, text))
            long.append(short[-1])
    for name, theta, state in zip(losses.names, *whole, strict=True):
        own = {tuple(path) for path, _ in jax.tree_util.tree_leaves_with_path(theta)}
        root = name if losses.is_game else ""
        for path, _ in jax.tree_util.tree_leaves_with_path(state):
            # The longest end of the path that is one of the parameters'; none for what belongs to no parameter.
            split = next((i for i in range(len(path)) if tuple(path[i:]) in own), len(path))
            end = path_text(path[split:], whole=True)
            short.append(_joined(path_text(path[:split]), root, end))
            long.append(_joined(path_text(path[:split], whole=True), root, end))
    return unique(short, long)


def _joined(*parts: str) -> str:
    text = ""
    for part in parts:
        text += f".{part}" if text and part and not part.startswith("[") else part
    return text
