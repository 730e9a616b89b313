"""Cells of recurrent networks, as other libraries train them, become maps."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, PyTree
from jaxdyn.about import About
from jaxdyn.system import Map, iterated_map

__all__ = ["cell_map"]


def cell_map(
    cell: Callable[..., Any],
    weights: PyTree,
    state: PyTree,
    input: ArrayLike | Sequence[Any] = 0.0,
    *,
    name: str = "network",
) -> Map:
    """Map of a recurrent network whose input is held constant: x[n+1] = cell(x[n], input, weights).

    Parameters
    ----------
    cell
        Pure function `(state, input, weights) -> state` of one network without a batch, as it was trained.
    weights
        Array, or nested dicts, lists and records of arrays: all leaves become parameters of the map, named by their
        path, such as `W` or `gru_kernel`; an array alone is `weights`.
    state
        Start: an array (n_units,), or a tree of arrays, such as the pair of an LSTM; the map's state holds them one
        after the other. Its dtype is that of the map.
    input
        Input u, which the map holds constant, of the shape that the cell takes; its parameter `input`.
    name
        Name of the map.

    Returns
    -------
    Map
        Parameters `input` and the weights, so that all analyses, sweeps over the input and derivatives apply.

    Raises
    ------
    TypeError, ValueError
        If the cell gives another shape or dtype than that of the state, if two leaves have the same name, or weights
        or start are not finite.

    Notes
    -----
    A network in continuous time, or one that needs more care, is as short with `flow` or `iterated_map`.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> def cell(h, u, w):
    ...     return jnp.tanh(w["W"] @ h + w["B"] @ u)
    >>> weights = {"W": 2 * jnp.eye(3), "B": jnp.ones((3, 1))}
    >>> network = jaxdyn.learning.cell_map(cell, weights, jnp.zeros(3), input=[0.0])
    >>> sorted(network.params), network.dim
    (['B', 'W', 'input'], 3)
    """
    if not callable(cell):
        raise TypeError(f"cell must be a function (state, input, weights) -> state, got {type(cell).__name__}")
    paths, tree = jax.tree_util.tree_flatten_with_path(weights)
    names = tuple(_name(path) for path, _ in paths)
    doubled = sorted({one for one in names if (*names, "input").count(one) > 1})
    if doubled:
        raise ValueError(
            f"weights must have different names, none of them 'input'; {', '.join(doubled)} came up twice: rename them"
        )
    start, whole = ravel_pytree(state)
    params = dict(zip(names, (leaf for _, leaf in paths), strict=True)) | {"input": input}
    field = _Cell(cell, jax.tree_util.Partial(whole), names, tree, jax.tree.structure(state))
    return iterated_map(field, params, start, about=About(name=name))


def _name(path: tuple[Any, ...]) -> str:
    """Identifier of a leaf: the keys on the way to it, joined."""
    words = jax.tree_util.keystr(path, simple=True, separator="_")
    joined = "".join(letter if letter.isalnum() else "_" for letter in words)
    return joined if joined.isidentifier() else f"weights_{joined}".rstrip("_")


@record
class _Cell:
    cell: Callable[..., Any] = static()
    whole: Callable[..., Any]
    names: tuple[str, ...] = static()
    weights: Any = static()
    state: Any = static()

    def __call__(self, n: Any, x: Array, params: dict[str, Any]) -> Array:
        weights = jax.tree.unflatten(self.weights, [params[name] for name in self.names])
        state = self.whole(x)
        following = self.cell(state, params["input"], weights)
        if jax.tree.structure(following) != self.state:
            raise TypeError(f"the cell must return a state like its start, {self.state}, got {following!r}")
        shapes, got = ([np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (state, following))
        if sum(map(math.prod, got)) == len(x) and got != shapes:  # another number of states is for the map to name
            raise ValueError(f"the cell must return arrays of the shapes of its start, {shapes}, got {got}")
        return ravel_pytree(following)[0]
