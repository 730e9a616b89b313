"""All measures of chaos under jit, vmap, lanes and in a sweep, beside a lane that fails."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models

A = jnp.array([1.0, 9.0, 1.05])
"""Hénon's map at these a: cycles, on which rounding does not grow, and one that leaves for infinity between them."""


def dimension(system):
    """Of given radii: distances to a cycle are those of rounding, and would decide about the default ones."""
    run = jaxdyn.trajectory(system, n_steps=60)
    return jaxdyn.correlation_dimension(run, np.geomspace(0.05, 2.0, 8), fit_between=(0, 1))


def zero_one(system):
    return jaxdyn.zero_one_test(jaxdyn.trajectory(system, n_steps=120).x[:, 0])


def dimension_and_entropy(system):
    found = jaxdyn.lyapunov_spectrum(system, n_steps=64)
    covariance = found.covariance
    return {
        "dimension": jaxdyn.kaplan_yorke_estimate(found.exponents, covariance=covariance),
        "entropy": jaxdyn.pesin_entropy(found.exponents, covariance=covariance),
    }


MEASURES = {
    "maximal": functools.partial(jaxdyn.maximal_lyapunov, n_steps=64),
    "local": functools.partial(jaxdyn.local_lyapunov, n_steps=64, window=4),
    "finite time": functools.partial(jaxdyn.finite_time_lyapunov, n_steps=16),
    "covariant": functools.partial(jaxdyn.covariant_lyapunov_vectors, n_steps=40, save_every=2, segment=10),
    "indicators": functools.partial(jaxdyn.chaos_indicators, n_steps=40),
    "correlation": dimension,
    "zero-one": zero_one,
    "dimension and entropy": dimension_and_entropy,
}


QUICK = ("maximal", "covariant", "indicators")
"""Of each kind of loop one; the others are left to the slow tests."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MEASURES]
)
def test_transforms_agree_beside_a_lane_that_fails(name, x64):
    measure = MEASURES[name]

    def at(a):
        return measure(models.henon().with_params(a=a))

    together, in_lanes = jax.jit(jax.vmap(at))(A), jaxdyn.lanes(at)(A)
    for i in (0, 2):
        alone = jax.tree.leaves(at(A[i]))
        for got in (together, in_lanes):
            for a, b in zip(alone, jax.tree.leaves(got), strict=True):
                # Rounding, amplified by a condition that cycles keep small.
                np.testing.assert_allclose(b[i], a, rtol=1e-7, atol=1e-7)
    cells = jaxdyn.sweep(measure, models.henon(), {"a": A}, progress=False)
    np.testing.assert_array_equal(cells["status"], [Status.OK, Status.NON_FINITE, Status.OK])
    for label, variable in cells.data_vars.items():
        assert variable.dims[0] == "a" and np.all(np.isfinite(variable[[0, 2]])), label
