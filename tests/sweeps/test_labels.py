"""Labels: coordinates, units, codes and provenance of a sweep's data set."""

import functools
import json

import jax
import numpy as np
import pytest
from coded import DIGITS, coded, digits

import jaxdyn


def test_coordinates_carry_values_units_and_words():
    cells = jaxdyn.sweep(digits, coded(), {"a": DIGITS, ("p", "b"): ([1, 2], [3, 4]), "w": np.ones((3, 2))})
    assert cells["a"].attrs == {"units": "uA", "long_name": "current", "symbol": "a"}
    assert cells["p"].attrs == {"units": "mV", "long_name": "start of potential", "symbol": "p"}
    assert cells["b"].attrs == {"units": "1", "long_name": "b", "symbol": "b"}
    assert cells["p"].dims == cells["b"].dims == ("p_b",) and cells["a"].dtype == np.float32
    assert cells["w_value"].dims == ("w", "w_axis0")
    assert "w" not in cells.coords  # a vector is no label: cells of this axis go by their number
    np.testing.assert_array_equal(cells.sel(a=3.0).isel(p_b=1, w=0)["low"], cells["low"][2, 1, 0])


def test_a_whole_start_is_labelled_by_its_values():
    cells = jaxdyn.sweep(digits, coded(), {"x0": [[1, 2], [3, 4]]})
    assert cells["x0_value"].dims == ("x0", "x0_axis0")
    np.testing.assert_array_equal(cells["x0_value"], [[1, 2], [3, 4]])
    assert cells["x0_value"].attrs["long_name"] == "start of x0"


def test_times_and_states_label_a_trajectory():
    run = functools.partial(jaxdyn.trajectory, n_steps=6, save=jaxdyn.Every(2))
    cells = jaxdyn.sweep(run, coded(), {"a": DIGITS})
    np.testing.assert_array_equal(cells["time"], [0, 2, 4, 6])
    assert cells["time"].attrs == {"units": "ms", "long_name": "time"}
    assert cells["state"].values.tolist() == ["p", "q"]
    assert cells["x"].dims == ("a", "time", "state") and cells["x"].attrs["long_name"] == "state"
    assert "time" in jaxdyn.sweep(run, coded(), {"a": DIGITS}, keep=["x"]).coords
    assert "time" not in jaxdyn.sweep(run, coded(), {"a": DIGITS}, keep=["status"]).coords
    assert "time" in jaxdyn.sweep(run, coded(), {"a": DIGITS}, keep=["t"]).coords
    assert jaxdyn.sweep(functools.partial(jaxdyn.final_state, n_steps=6), coded(), {"a": DIGITS})["t"] == 6


def test_times_that_differ_between_cells_are_a_variable():
    decay = jaxdyn.flow(lambda t, x, p: -x, {"dt": 0.1}, [1.0], state_names=["x"])
    cells = jaxdyn.sweep(lambda s: jaxdyn.trajectory(s, n_steps=2, dt=s.params["dt"]), decay, {"dt": [0.25, 0.5]})
    np.testing.assert_array_equal(cells["t"], [[0, 0.25, 0.5], [0, 0.5, 1.0]])
    assert cells["t"].dims == ("dt", "time") and "time" not in cells.coords
    cells = jaxdyn.sweep(
        lambda s, key: jaxdyn.trajectory(s, n_steps=2, dt=0.5, t0=jax.random.uniform(key)),
        decay,
        {"x": [1, 2]},
        keep=["t"],
    )
    assert cells["t"].dims == ("x", "time")  # times that depend on the key are not those of the first cell


def correlated(system):
    return jaxdyn.correlation_dimension(jaxdyn.trajectory(system, n_steps=64))


def test_results_carry_words_units_and_codes():
    spectrum = functools.partial(jaxdyn.lyapunov_spectrum, n_steps=32)
    exponents = jaxdyn.sweep(spectrum, jaxdyn.models.henon(), {"a": [1.4]})["exponents"]
    assert exponents.attrs == {"long_name": "Lyapunov exponent", "units": "1/step"}

    def rest(s):
        return {"rest": jaxdyn.fixed_points(s, box=[(-80, 40), (0, 1), (0, 1), (0, 1)], n_starts=8)}

    cells = jaxdyn.sweep(rest, jaxdyn.models.hodgkin_huxley(), {"I": [5.0]})
    assert cells["rest_stability"].attrs["flag_meanings"].split()[7] == "center"
    assert cells["status"].attrs["flag_values"] == [int(code) for code in jaxdyn.Status]
    assert cells["rest_eigenvalues"].attrs == {"long_name": "eigenvalue", "units": "1/ms"}
    assert cells["rest_found"].attrs == {"long_name": "fixed point found"}
    kinds = [cells[f"rest_{name}"].dtype.name for name in ("found", "eigenvalues", "stability")]
    assert kinds == ["bool", "complex64", "int8"]


@pytest.mark.slow
def test_growth_of_perturbations_carries_words_and_units():
    details = ["rates", "tangent_rates", "std_error", "local_rates", "local_tangent_rates"]
    breed = functools.partial(jaxdyn.perturbation_growth, n_steps=4, dt=0.01, size=1e-2)
    cells = jaxdyn.sweep(breed, jaxdyn.models.hodgkin_huxley(), {"I": [5.0]}, keep=details)
    assert {cells[name].attrs["units"] for name in details} == {"1/ms"}
    assert cells["local_rates"].attrs["long_name"] == "local growth rate of the perturbation"
    assert cells["local_tangent_rates"].attrs["long_name"] == "local growth rate of the tangent vector"

    def transient(s):
        return {"rest": jaxdyn.transient_growth(s, times=[0, 1])}

    flow = jaxdyn.sweep(transient, jaxdyn.models.hodgkin_huxley(), {"I": [5.0]})
    iterated = jaxdyn.sweep(transient, jaxdyn.models.henon(), {"a": [1.4]})
    for name, words in {"reactivity": "reactivity", "growth_rate": "growth rate in the end"}.items():
        assert flow[f"rest_{name}"].attrs == {"long_name": words, "units": "1/ms"}
        assert iterated[f"rest_{name}"].attrs == {"long_name": words, "units": "1/step"}
    assert flow["rest_henrici_departure"].attrs["units"] == "1/ms"
    assert "units" not in iterated["rest_henrici_departure"].attrs  # like the eigenvalues of a map
    assert flow["rest_largest_amplification"].attrs == {"long_name": "largest amplification"}


def test_what_only_bears_a_known_name_stays_without_a_label():
    """Another quantity may have it: words and units are those of a record's field, not of a name."""
    cells = jaxdyn.sweep(lambda s: {"rates": s.x0, "rest_status": s.x0[0]}, coded(), {"a": DIGITS})
    assert cells["rates"].attrs == {} and cells["rest_status"].attrs == {}


def test_errors_of_different_quantities_differ_in_words():
    chaos = {"largest": functools.partial(jaxdyn.maximal_lyapunov, n_steps=64), "cloud": correlated}
    cells = jaxdyn.sweep(chaos, jaxdyn.models.henon(), {"a": [1.4]})
    assert cells["largest_std_error"].attrs["units"] == "1/step"
    assert cells["cloud_std_error"].attrs == {"long_name": "standard error of the correlation dimension"}


def test_provenance_can_be_read_by_machines():
    attrs = jaxdyn.sweep(digits, coded(), {"a": DIGITS}, seed=4).attrs
    assert json.loads(attrs["parameters"]) == {"a": 1, "b": 2, "w": [1, 2], "m": [[1, 2], [3, 4]]}
    assert json.loads(attrs["start"]) == [5, 7]
    assert json.loads(attrs["versions"])["jaxdyn"] == jaxdyn.__version__
    expected = {
        "title": "sweep of System of digits over a",
        "system": "coded",
        "kind": "map",
        "equations": "x[n+1] = x[n]",
        "references": "Someone 1999",
        "seed": 4,
        "dtype": "float32",
    }
    assert attrs.items() >= expected.items() and attrs["measure"].endswith("coded.digits")
