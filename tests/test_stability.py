"""Stability classes of known spectra."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Stability

FLOWS = [
    ([-1, -2], "STABLE_NODE"),
    ([-1, -1], "STABLE_NODE"),
    ([-1 + 2j, -1 - 2j], "STABLE_FOCUS"),
    ([-3, -1 + 2j, -1 - 2j], "STABLE_FOCUS"),
    ([1, 2], "UNSTABLE_NODE"),
    ([1 + 2j, 1 - 2j], "UNSTABLE_FOCUS"),
    ([1, -1], "SADDLE"),
    ([1, 0, -1], "SADDLE"),
    ([0.1 + 1j, 0.1 - 1j, -1], "SADDLE_FOCUS"),
    ([1, -1 + 2j, -1 - 2j], "SADDLE_FOCUS"),
    ([2j, -2j], "CENTER"),
    ([2j, -2j, 3j, -3j], "CENTER"),
    ([2j, -2j, -1], "MARGINAL"),
    ([0, -1], "MARGINAL"),
    ([0, 0], "MARGINAL"),
    ([0], "MARGINAL"),
    ([-1], "STABLE_NODE"),
    ([1e-3, -1], "SADDLE"),
    ([np.nan, -1], "UNDEFINED"),
]

MAPS = [
    ([0.5, 0.2], "STABLE_NODE"),
    ([0.5, 0.0], "STABLE_NODE"),
    ([0, 0], "STABLE_NODE"),
    ([-0.5, 0.2], "STABLE_FLIP_NODE"),
    ([-0.5, -0.2], "STABLE_FLIP_NODE"),
    ([0.5j, -0.5j], "STABLE_FOCUS"),
    ([2, 3], "UNSTABLE_NODE"),
    ([-2, 3], "UNSTABLE_FLIP_NODE"),
    ([2j, -2j], "UNSTABLE_FOCUS"),
    ([2, 0.5], "SADDLE"),
    ([2, -0.5], "SADDLE"),
    ([-2, 0.5], "FLIP_SADDLE"),
    ([0.5j, -0.5j, 2], "SADDLE_FOCUS"),
    ([0.6 + 0.8j, 0.6 - 0.8j], "CENTER"),
    ([-1, 0.5], "FLIP"),
    ([1, 0.5], "MARGINAL"),
    ([1, -0.5], "MARGINAL"),
    ([1, 1], "MARGINAL"),
    ([1.001, 0.5], "SADDLE"),
    ([np.nan, 0.5], "UNDEFINED"),
]


@pytest.mark.parametrize(("values", "expected"), FLOWS)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_flows_at_any_time_scale(values, expected, scale):
    code = jaxdyn.stability(jnp.asarray(np.array(values, np.complex64) * np.float32(scale)))
    assert Stability(int(code)).name == expected
    assert code.dtype == jnp.int8


@pytest.mark.parametrize(("values", "expected"), MAPS)
def test_maps(values, expected):
    code = jaxdyn.stability(jnp.array(values, jnp.complex64), discrete=True)
    assert Stability(int(code)).name == expected


@pytest.mark.parametrize("value", [np.inf, -np.inf, complex(0, np.inf), complex(1, np.nan)])
@pytest.mark.parametrize("discrete", [False, True])
def test_what_is_not_finite_is_undefined(value, discrete):
    assert jaxdyn.stability(jnp.array([value, 0.5], jnp.complex64), discrete=discrete) == Stability.UNDEFINED


def test_real_eigenvalues_need_not_be_written_as_complex_ones():
    assert jaxdyn.stability(jnp.array([-1.0, 2.0])) == Stability.SADDLE


def test_tolerance_decides_what_is_neutral():
    values = jnp.array([-1e-3, -1.0])
    assert jaxdyn.stability(values) == Stability.STABLE_NODE
    assert jaxdyn.stability(values, tolerance=1e-2) == Stability.MARGINAL
    assert jaxdyn.stability(jnp.array([0.999, 0.5]), discrete=True, tolerance=1e-2) == Stability.MARGINAL


def test_batches_and_labels():
    values = jnp.array([[-1.0, -2.0], [1.0, -1.0], [1.0, 2.0]])
    codes = jaxdyn.stability(values)
    assert jaxdyn.stability_label(codes).tolist() == ["stable node", "saddle", "unstable node"]
    assert [str(jaxdyn.stability_label(code)) for code in Stability] == [
        code.name.lower().replace("_", " ") for code in Stability
    ]


def test_codes_never_change():
    # Stored sweeps hold these numbers.
    assert [code.value for code in Stability] == list(range(13))
    assert (Stability.STABLE_NODE, Stability.SADDLE, Stability.CENTER, Stability.FLIP) == (1, 5, 7, 12)


def test_abscissa_and_radius():
    values = jnp.array([[-1 + 2j, -1 - 2j], [0.5 + 0j, -3 + 0j]])
    np.testing.assert_array_equal(jaxdyn.spectral_abscissa(values), [-1.0, 0.5])
    np.testing.assert_allclose(jaxdyn.spectral_radius(values), [np.sqrt(5), 3.0], rtol=1e-6)  # float32


@pytest.mark.parametrize(
    ("matrix", "of_flow", "of_map"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], "MARGINAL", "STABLE_NODE"),
        ([[0.0, -1.0], [1.0, 0.0]], "CENTER", "CENTER"),
        ([[-0.5, 0.1], [0.1, -0.2]], "STABLE_NODE", "STABLE_FLIP_NODE"),
        ([[0.2, 0.0], [0.0, 1.0]], "UNSTABLE_NODE", "MARGINAL"),
        ([[-0.3, -0.5], [0.5, -0.3]], "STABLE_FOCUS", "STABLE_FOCUS"),
        ([[-2.0, 0.0], [0.0, 0.5]], "SADDLE", "FLIP_SADDLE"),
    ],
)
def test_from_the_equations_to_the_class(matrix, of_flow, of_map):
    for make, expected in ((jaxdyn.flow, of_flow), (jaxdyn.iterated_map, of_map)):
        system = make(lambda t, x, p: p["A"] @ x, {"A": np.array(matrix)}, [0.0, 0.0])
        code = jaxdyn.stability(jaxdyn.eigenvalues(system), discrete=system.discrete)
        assert Stability(int(code)).name == expected
