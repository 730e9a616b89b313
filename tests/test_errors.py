"""Failures are reported with how many, where, and what helps."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.errors import _ADVICE, FailedLanesError, Status


def growth(rate):
    system = jaxdyn.iterated_map(lambda n, x, p: p["r"] * x, {"r": 1.0}, [1.0])
    return jaxdyn.final_state(system.with_params(r=rate), n_steps=20)


def test_a_good_result_is_returned_unchanged():
    result = growth(1.0)
    assert jaxdyn.raise_if_failed(result) is result


def test_one_lane():
    with pytest.raises(FailedLanesError, match=r"^1 of 1 lanes failed; the first is NON_FINITE; use a smaller dt"):
        jaxdyn.raise_if_failed(growth(1e30))


def test_many_lanes_name_the_first_index():
    result = jax.vmap(jax.vmap(growth))(jnp.array([[1.0, 1.0, 1.0], [1.0, 1e30, 1e30]]))
    with pytest.raises(FailedLanesError, match=r"^2 of 6 lanes failed; the first is NON_FINITE at index \(1, 1\); use"):
        jaxdyn.raise_if_failed(result)


@pytest.mark.parametrize("code", [code for code in Status if code != Status.OK])
def test_every_code_has_advice(code):
    xarray = pytest.importorskip("xarray")
    status = xarray.DataArray(np.array([0, code], np.int8), dims=["I"], coords={"I": [0.25, 0.5]})
    message = f"1 of 2 lanes failed; the first is {code.name} at index (1,) (I=0.5); {_ADVICE[code]}"
    with pytest.raises(FailedLanesError, match=re.escape(message)):
        jaxdyn.raise_if_failed(xarray.Dataset({"status": status}))


def test_codes_fit_in_a_byte_and_never_change():
    # Stored sweeps hold these numbers.
    codes = {"NOT_RUN": -1, "OK": 0, "NON_FINITE": 1, "QR_INTERVAL": 2, "CAPACITY": 3, "NOT_CONVERGED": 4}
    codes |= {"STEP_LIMIT": 5}
    assert {code.name: int(code) for code in Status} == codes
    assert growth(1.0).status.dtype == jnp.int8


def test_the_failure_is_one_error_class():
    assert issubclass(FailedLanesError, RuntimeError)
    assert issubclass(jaxdyn.JaxdynWarning, UserWarning)
