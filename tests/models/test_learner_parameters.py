"""Parameters of the two-learner game that are missing, wrong, or of no game."""

import numpy as np
import pytest

from jaxdyn.models import learner_theory as theory
from jaxdyn.models.learners import two_learner_descent

pytestmark = pytest.mark.usefixtures("x64")

DOCUMENT = {"tau": 1.0, "sigma_k": 0.5, "sigma_w": 0.5}
UNEQUAL = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}


def test_nothing_is_said_where_parameters_are_no_numbers_or_no_game():
    nan = {**DOCUMENT, "gamma_k": np.nan, "gamma_w": 0.4}
    free = {"tau": 1.0, "sigma_k": 0.0, "sigma_w": 0.5, "gamma_k": 0.3, "gamma_w": 0.4}  # its minimum is at infinity
    for params in (nan, free):
        for value in (
            theory.critical_gamma_w(params),
            theory.stability_margin(params),
            theory.convergence_factor(params),
        ):
            assert np.isnan(value)


@pytest.mark.parametrize("function", [theory.critical_gamma_w, theory.stability_margin, theory.convergence_factor])
def test_the_descent_needs_its_rates(function):
    with pytest.raises(ValueError, match=r"params has no 'gamma_k', got tau, sigma_k, sigma_w"):
        function(DOCUMENT)


def test_wrong_parameters_are_refused(unchecked):
    with pytest.raises(ValueError, match="params has no 'gamma_w', got"):
        theory.reduced_parameters({**DOCUMENT, "gamma_k": 0.3})  # one rate of two: a slip of the pen
    with pytest.raises(ValueError, match="params has no 'tau', got sigma_k, sigma_w"):
        theory.stationary_points({"sigma_k": 0.5, "sigma_w": 0.5})
    with pytest.raises(TypeError, match=r"params must be a mapping such as system\.params, got Map"):
        theory.stability_boundary(two_learner_descent())
    with pytest.raises(TypeError, match="parameters must be real numbers, got 1j"):
        theory.stationary_points({**DOCUMENT, "tau": 1j})


def test_directions_of_the_sphere_have_any_length(unchecked):
    for size in (1e-300, 1e300):
        np.testing.assert_allclose(
            theory.vector_minimum(UNEQUAL, [3 * size, 4 * size]), theory.vector_minimum(UNEQUAL, [3.0, 4.0]), rtol=1e-15
        )
    for direction in ([0.0, 0.0], [np.nan, 1.0], [[1.0, 0.0]], 1.0, []):
        with pytest.raises(ValueError, match=r"direction must be a vector \(n,\) of finite numbers other than zero"):
            theory.vector_minimum(UNEQUAL, direction)
    with pytest.raises(ValueError, match=r"parameters have the shape \(3,\); for many games at once use jax.vmap"):
        theory.vector_minimum({**UNEQUAL, "tau": np.ones(3)}, [1.0, 0.0])
