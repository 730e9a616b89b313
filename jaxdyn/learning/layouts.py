"""Where parameters and optimizer states, which are trees of arrays, lie in one state vector."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from jaxdyn._types import Array

__all__ = ["Layout", "Leaf", "form", "names_of", "path_text", "unique"]


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of a tree: so many numbers of the state vector, or, if it counts steps, a function of the time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    counts_from: int | None = None
    """Value at step 0 of an integer that rises by 1 a step; None for an array in the state vector."""
    flags: tuple[bool, bool] | None = None
    """Values at step 0 and after it of a flag; None for an array in the state vector."""

    @property
    def size(self) -> int:
        """How many numbers of the state vector it takes."""
        is_time = self.counts_from is not None or self.flags is not None
        return 0 if is_time else int(np.prod(self.shape, dtype=int))

    def at_time(self, n: Array) -> Array:
        """A counter or flag at step `n`."""
        if self.flags is not None:
            first, later = self.flags
            return jnp.where(n == 0, jnp.asarray(first), jnp.asarray(later))
        return jnp.asarray(n, self.dtype) + jnp.asarray(self.counts_from, self.dtype)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A tree of arrays as a vector: its floating leaves, one after the other, each in C order."""

    tree: Any
    leaves: tuple[Leaf, ...]

    def packed(self, tree: Any, dtype: Any) -> Array:
        """State vector of a tree."""
        arrays = zip(jax.tree.leaves(tree), self.leaves, strict=True)
        return jnp.concatenate([jnp.asarray(a, dtype).reshape(-1) for a, leaf in arrays if leaf.size])

    def unpacked(self, x: Array, n: Array) -> Any:
        """Tree at step `n` of a state vector."""
        arrays, begin = [], 0
        for leaf in self.leaves:
            if leaf.counts_from is None and leaf.flags is None:
                arrays.append(x[begin : begin + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
                begin += leaf.size
            else:
                arrays.append(leaf.at_time(n))
        return jax.tree.unflatten(self.tree, arrays)


def form(tree: Any) -> Any:
    """Structure of a tree and shapes of its arrays."""
    return jax.tree.map(jnp.shape, tree)


def path_text(path: Sequence[Any], *, whole: bool = False) -> str:
    """A path in a tree as users write it: `layers[0].W`; without places in tuples that come first, unless `whole`."""
    text = ""
    for key in path:
        if isinstance(key, SequenceKey):
            text += f"[{key.idx}]" if text or whole else ""
        else:
            part = key.key if isinstance(key, DictKey) else key.name if isinstance(key, GetAttrKey) else str(key)
            text += f".{part}" if text else f"{part}"
    return text


def names_of(stems: Sequence[str], leaves: Sequence[Leaf]) -> list[str]:
    """Names of all numbers of a vector: the stem of a scalar, `stem[0,1]` of an entry of a matrix."""
    names = []
    for stem, leaf in zip(stems, leaves, strict=True):
        if leaf.size:
            indices = np.ndindex(*leaf.shape)
            names += [f"{stem}[{','.join(map(str, index))}]" if index else stem for index in indices]
    return names


def unique(short: Sequence[str], long: Sequence[str]) -> list[str]:
    """Short texts, long ones in their places where short ones are equal."""
    count = Counter(short)
    return [text if count[text] == 1 else whole for text, whole in zip(short, long, strict=True)]
