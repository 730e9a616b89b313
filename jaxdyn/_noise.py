"""Random numbers that are a function of where they are used: a counter-based generator, without a state to carry.

Words are those of Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
doi:10.1145/2063384.2063405), the cipher of `jax.random` as well. It is written out here because in plain additions,
rotations and exclusive ors every engine computes it inside its loop.
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxdyn._types import Array, ArrayLike

__all__ = ["PASSAGES", "PASSAGE_TIMES", "WIENER", "normals", "threefry", "uniforms"]

# What the numbers are for: uses of one seed and step that must not share them have different ones.
WIENER, PASSAGES, PASSAGE_TIMES = 0, 1, 2

_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_UNIT = 2.0**-32


def threefry(key: tuple[Array, Array], counter: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two random words (uint32) of a key and a counter of two words each."""
    keys = (*key, key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = x + y
            y = _rotated(y, rotation) ^ x
        x = x + keys[(i + 1) % 3]
        y = y + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x, y


def normals(seed: ArrayLike, step: ArrayLike, n: int, dtype: Any, use: int = WIENER) -> Array:
    """`n` independent standard normal numbers of a seed and a step number, by Box and Muller's transformation.

    Each has 32 bits, in float32 as in float64, where it differs by rounding only; the largest is 6.76. The first ones
    do not depend on how many are asked for.
    """
    x, y = _words(seed, step, -(-n // 2), use)
    radius = jnp.sqrt(-2 * jnp.log(_open_unit(x, dtype)))
    angle = y.astype(jnp.int32).astype(dtype) * (math.pi * 2 * _UNIT)
    pairs = jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=1)
    return pairs.reshape(-1)[:n]


def uniforms(seed: ArrayLike, step: ArrayLike, n: int, dtype: Any, use: int) -> Array:
    """`n` independent numbers, uniform between 0 and 1; 0 is not among them."""
    pairs = jnp.stack([_open_unit(word, dtype) for word in _words(seed, step, -(-n // 2), use)], axis=1)
    return pairs.reshape(-1)[:n]


def _words(seed: ArrayLike, step: ArrayLike, n: int, use: int) -> tuple[Array, Array]:
    """`n` words twice: (n,) of each."""
    seed, step = (jnp.asarray(number).astype(jnp.uint32) for number in (seed, step))
    index = jnp.arange(n, dtype=jnp.uint32)
    return threefry((seed, jnp.uint32(use)), (jnp.broadcast_to(step, index.shape), index))


def _open_unit(word: Array, dtype: Any) -> Array:
    """Number between 0 and 1, of which a float32 keeps all that it can: small ones are not rounded to 0."""
    return word.astype(dtype) * _UNIT + _UNIT / 2


def _rotated(word: Array, by: int) -> Array:
    return lax.shift_left(word, jnp.full_like(word, by)) | lax.shift_right_logical(word, jnp.full_like(word, 32 - by))
