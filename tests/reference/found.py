"""What holds for every result of a search for fixed points, and the comparison with known points."""

import numpy as np

from jaxdyn import Stability, Status


def points(result):
    """The points found, host side; what is claimed of empty slots and residuals holds for every result."""
    n = int(result.n_found)
    x, found = np.asarray(result.x), np.asarray(result.found)
    np.testing.assert_array_equal(found, np.arange(len(found)) < n)
    assert np.isnan(x[n:]).all() and np.isnan(np.asarray(result.residual)[n:]).all()
    assert np.isnan(np.asarray(result.eigenvalues)[n:]).all()
    assert not np.asarray(result.stability)[n:].any()
    return x[:n]


def codes(result):
    return [Stability(int(code)) for code in result.stability[: int(result.n_found)]]


def assert_points(result, expected, *, tolerance=1e-12, scale=1.0):
    """These points and no others, in order; residuals at rounding level of fields of size `scale`."""
    got = points(result)
    expected = np.asarray(expected, float)
    assert got.shape == expected.shape, f"{len(got)} points instead of {len(expected)}: {got}"
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))
    assert np.asarray(result.residual)[: len(got)].max(initial=0) <= 1e-12 * scale
    assert result.status == Status.OK
