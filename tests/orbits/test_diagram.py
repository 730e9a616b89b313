"""Orbit diagrams: points, periods and exponents of many parameter values, labelled; with memory or without."""

import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models, orbit_diagram

quiet = {"progress": False}


@pytest.mark.usefixtures("x64")
class TestDiagram:
    def test_points_periods_and_exponents(self):
        """On the cycle of two the exponent is ln|4 + 2 r - r^2| / 2, at the fixed point ln|2 - r|."""
        r = np.linspace(2.6, 3.4, 9)
        r = r[abs(r - 3) > 1e-9]
        found = orbit_diagram(models.logistic(), {"r": r}, n_points=64, n_transient=3000, **quiet)
        assert found.points.dims == ("r", "point") and found.points.shape == (8, 64)
        np.testing.assert_array_equal(found.period, np.where(r < 3, 1, 2))
        exact = np.where(r < 3, np.log(abs(2 - r)), np.log(abs(4 + 2 * r - r**2)) / 2)
        np.testing.assert_allclose(found.exponent, exact, rtol=1e-9)
        assert not found.status.any()
        for value in r:
            alone = jaxdyn.attractor_points(models.logistic(r=value), n_points=64, n_transient=3000)
            np.testing.assert_allclose(found.points.sel(r=value), alone.points, rtol=1e-12)

    def test_labels(self):
        found = orbit_diagram(models.henon(), {"a": [0.2, 0.3]}, n_points=8, n_transient=10, of="y", **quiet)
        assert found.points.attrs == {"long_name": "b times the previous position", "units": "1", "symbol": "y"}
        assert found.exponent.attrs == {"long_name": "largest Lyapunov exponent", "units": "1/step"}
        assert found.a.attrs["long_name"] == "strength of the folding"
        assert "states" not in found and "n_found" not in found

    def test_a_batch_of_diagrams_of_a_function_without_exponents(self):
        over = {"b": [0.1, 0.3], "a": [0.2, 0.5, 0.8]}
        found = orbit_diagram(
            models.henon(), over, n_points=16, n_transient=500, of=lambda s: s[0] + s[1], n_lyapunov=0, **quiet
        )
        assert found.points.dims == ("b", "a", "point")
        assert "exponent" not in found
        assert found.period.values.tolist() == [[1, 1, 2], [1, 2, 2]]  # flips at 0.6075 and 0.3675
        assert found.points.attrs["long_name"] == "points"

    def test_a_flow(self):
        """Rossler's maxima double at c = 2.83; the exponent of a cycle is 0."""
        found = orbit_diagram(
            models.rossler(), {"c": [2.5, 3.5]}, n_points=32, n_transient=30_000, dt=0.02, n_lyapunov=50_000, **quiet
        )
        assert found.period.values.tolist() == [1, 2]
        assert found.n_found.values.tolist() == [32, 32]
        assert np.all(abs(found.exponent) < 1e-3)  # 1 / time, 1000
        assert found.exponent.attrs["units"] == "1"

    def test_settings_and_failures(self):
        found = orbit_diagram(
            models.logistic(), {"r": [3.5, 4.5]}, n_points=32, settings={"max_period": 3}, keep=["period"], **quiet
        )
        assert found.period.values.tolist() == [0, 0]
        assert found.status.values.tolist() == [Status.OK, Status.NON_FINITE]


def bistable():
    """x[n+1] = h + 3/2 x - x^3: two attractors for |h| < 0.136, where the slope of one fixed point is 1."""
    return jaxdyn.iterated_map(lambda n, x, p: (p["h"] + 1.5 * x[0] - x[0] ** 3,), {"h": 0.0}, [-0.7])


@pytest.mark.usefixtures("x64")
class TestMemory:
    def test_both_ways(self):
        h = np.linspace(-0.25, 0.25, 21)
        found = orbit_diagram(bistable(), {"h": h}, n_points=16, n_transient=200, carry_state=True, **quiet)
        fold = np.sqrt(1 / 6) / 2 - (1 / 6) ** 1.5
        assert found.points.dims == ("direction", "h", "point")
        for way, at in (("forward", fold), ("backward", -fold)):
            np.testing.assert_array_equal(found.points.sel(direction=way)[:, -1] > 0, h > at)
        assert found.exponent.dims == ("direction", "h")

    def test_along_a_name_and_one_way(self):
        over = {"b": [0.1, 0.3], "a": [0.2, 0.5, 0.8]}
        options = {"n_points": 16, "n_transient": 500, "carry_state": "a", "directions": ["backward"], **quiet}
        found = orbit_diagram(models.henon(), over, **options)
        assert found.points.dims == ("direction", "b", "a", "point")
        assert found.period.values.tolist() == [[[1, 1, 2], [1, 2, 2]]]


def test_no_memory_by_any_word():
    for word in (False, np.False_, None):
        assert "direction" not in orbit_diagram(models.logistic(), {"r": [3.2]}, n_points=8, carry_state=word, **quiet)


def test_float32_and_wrong_arguments():
    assert orbit_diagram(models.logistic(), {"r": [3.2]}, n_points=8, **quiet).points.dtype == np.float32
    with pytest.raises(ValueError, match="n_lyapunov must be"):
        orbit_diagram(models.logistic(), {"r": [3.2]}, n_lyapunov=-1, **quiet)
    with pytest.raises(TypeError, match="a flow needs its step"):
        orbit_diagram(models.lorenz63(), {"rho": [28.0]}, **quiet)
    with pytest.raises(TypeError, match="expected a Flow or a Map, got int"):
        orbit_diagram(3, {"r": [3.2]}, **quiet)
    with pytest.raises(TypeError, match="no state 'z'"):
        orbit_diagram(models.logistic(), {"r": [3.2]}, of="z", **quiet)
