"""Random numbers of a seed and a step: known answers, their distribution, and that they depend on nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdyn._noise import PASSAGES, WIENER, normals, threefry, uniforms


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_words_are_those_of_the_authors_of_threefry(key, counter, expected):
    """The known answers that come with Random123 for 20 rounds."""
    words = threefry(*(tuple(jnp.uint32(word) for word in pair) for pair in (key, counter)))
    assert tuple(int(word) for word in words) == expected


def drawn(n, count=2, step=0):
    return np.asarray(jax.jit(jax.vmap(lambda s: normals(s, step, count, jnp.float32)))(jnp.arange(n)))


def test_numbers_are_normal():
    """A fixed sample, so p-values are those of one draw: below 1e-3 by chance in one of a thousand choices of seeds."""
    z = drawn(100_000)
    for column in z.T:
        assert stats.kstest(column.astype(float), "norm").pvalue > 1e-3
    squares = stats.chi2.cdf((z.astype(float) ** 2).sum(axis=1), 2)  # the pair comes of one radius
    assert stats.kstest(squares, "uniform").pvalue > 1e-3


def test_numbers_are_independent_of_each_other():
    """Across components, steps, seeds and uses: correlations of 1e5 pairs have a standard error of 0.0032."""
    n = 100_000
    here, later, use = drawn(n, 5), drawn(n, 5, step=1), jax.vmap(lambda s: normals(s, 0, 5, jnp.float32, 2))
    both = np.concatenate([here, later, np.asarray(use(jnp.arange(n)))], axis=1).astype(float)
    for table in (both, np.concatenate([both[:-1], both[1:]], axis=1), both**2):  # seed s beside seed s + 1
        apart = np.corrcoef(table.T) - np.eye(table.shape[1])
        assert np.abs(apart).max() < 5 / n**0.5


def test_uniform_numbers_are_uniform():
    u = np.asarray(jax.vmap(lambda s: uniforms(s, 3, 3, jnp.float32, PASSAGES))(jnp.arange(50_000))).astype(float)
    assert u.min() > 0 and u.max() <= 1 and stats.kstest(u.ravel(), "uniform").pvalue > 1e-3


def test_both_precisions_see_the_same_noise(x64):
    """Up to the rounding of float32: of the angle, of the logarithm near 1, and of the result."""
    low, high = (np.asarray(normals(7, jnp.arange(1)[0], 4000, dtype, WIENER)) for dtype in (jnp.float32, jnp.float64))
    assert low.dtype == jnp.float32 and high.dtype == jnp.float64
    np.testing.assert_allclose(low, high, atol=3e-4)
    assert np.median(np.abs(low.astype(float) - high)) < 1e-6


def test_the_first_processes_do_not_depend_on_how_many_there_are():
    np.testing.assert_array_equal(normals(1, 2, 7, jnp.float32)[:4], normals(1, 2, 4, jnp.float32))
