"""Nullclines where a grid shows little: touched zeros, close pairs, tiny and huge windows."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import nullclines
from jaxdyn.analysis import planes, touches


def plane(field):
    return jaxdyn.flow(field, {}, [0.3, 0.4], state_names=["x", "y"])


def unit(system):
    """Nullclines in the square (-1, 1)^2."""
    return nullclines(system, ("x", -1, 1), ("y", -1, 1))


def joined(curves):
    return np.concatenate(curves)


class TestDots:
    def test_touched_zeros_are_dots(self, x64):
        lines = unit(plane(lambda t, x, p: ((x[0] - 0.1233) ** 2, (x[1] - x[0] ** 2) ** 2 * (x[0] + 0.5))))
        assert lines.x == []
        x, y = lines.dots[0].T
        # A minimum is known to the root of a rounding.
        np.testing.assert_allclose(x, 0.1233, atol=1e-7)
        np.testing.assert_array_equal(np.unique(y), np.linspace(-1, 1, 201))
        assert [np.unique(curve[:, 0]).tolist() for curve in lines.y] == [[-0.5]]
        x, y = lines.dots[1].T
        np.testing.assert_allclose(y, x**2, atol=1e-6)
        for side in (x[x < -0.52], x[x > -0.48]):
            assert np.max(np.diff(np.sort(side))) < 0.0101  # no line of the grid is left out

    def test_two_curves_within_a_cell_are_dots(self, x64):
        lines = unit(plane(lambda t, x, p: ((x[0] - 0.1231) * (x[0] - 0.1233), jnp.abs(x[1] - 0.123) - 0.001)))
        assert (lines.x, lines.y) == ([], [])
        for dots, own, pair in ((lines.dots[0], 0, (0.1231, 0.1233)), (lines.dots[1], 1, (0.122, 0.124))):
            assert dots.shape == (402, 2)
            away = np.abs(dots[:, own, None] - pair)
            assert away.min(axis=1).max() < 1e-12
            assert (away.argmin(axis=1) == 0).sum() == 201

    def test_dots_are_zeros_only(self):
        lines = unit(plane(lambda t, x, p: (x[0] ** 2 + 1e-3, x[0] ** 2 + x[1] ** 2 - 0.49)))
        assert [len(dots) for dots in lines.dots] == [0, 0]


class TestWindows:
    def test_few_numbers_to_an_edge(self, x64):
        # Between 1 - 1e-12 and 1 + 1e-12 there are 45 numbers to an edge.
        lines = nullclines(
            plane(lambda t, x, p: (x[0] - 1 - x[1], x[1])), ("x", 1 - 1e-12, 1 + 1e-12), ("y", -1e-12, 1e-12)
        )
        (curve,) = lines.x
        np.testing.assert_allclose(curve[:, 1], curve[:, 0] - 1, rtol=0, atol=2.3e-16)
        assert np.ptp(curve[:, 1]) > 1.9e-12
        jump = plane(lambda t, x, p: (jnp.where(x[0] < 1, -1.0, 1.0), 1 / (x[0] - 1 - 1e-14)))
        lines = nullclines(jump, ("x", 1 - 1e-12, 1 + 1e-12), ("y", -1e-12, 1e-12))
        assert (lines.x, lines.y) == ([], [])

    @pytest.mark.parametrize("side", [("x", 1 - 1e-9, 1 + 1e-9), ("x", -1e39, 1e39)])
    def test_windows_beyond_the_dtype(self, side):
        system = plane(lambda t, x, p: (x[0] - 1 - x[1], x[1]))
        with pytest.raises(ValueError, match=r"'x'.* is too large or too narrow for 201 points in float32"):
            nullclines(system, side, ("y", -1, 1))

    @pytest.mark.parametrize("width", [1e-9, 1e9])
    def test_small_and_large_windows(self, width):
        system = plane(lambda t, x, p: (x[0] / width - (x[1] / width) ** 2 + 0.2, x[1] / width - 0.1))
        lines = nullclines(system, ("x", -width, width), ("y", -width, width))
        x, y = joined(lines.x).T.astype(float) / width
        np.testing.assert_allclose(x, y**2 - 0.2, atol=3e-7)  # a few roundings of numbers below 1
        np.testing.assert_allclose(joined(lines.y)[:, 1] / width, 0.1, rtol=3e-7)

    def test_new_windows_compile_nothing(self):
        system = plane(lambda t, x, p: (x[0] - x[1] ** 2, x[1]))
        unit(system)
        programs = planes._on_grid, touches.edge_zeros
        count = [program._cache_size() for program in programs]
        for width in (0.5, 2.0):
            nullclines(system, ("x", -width, width), ("y", -width, width))
        assert [program._cache_size() for program in programs] == count
