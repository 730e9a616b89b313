"""Boundary of stability, measured over planes of learning rates, against the exact curve: within one cell of it.

Each cell starts near a minimum of its game and is stable if the length of a step shrinks from step m to step 2 m; a
step has no part along the manifold of minima, which is neutral. How many steps that takes: the largest rate lambda of
diag(gamma) H is homogeneous of degree one, so that on the boundary gamma_k dlambda/dgamma_k + gamma_w
dlambda/dgamma_w = lambda = 2. One cell further in both rates, a distance 3/n of a plane up to 3, it has changed by at
least (3/n) (2/3) = 2/n, and the multiplier is at least 2/n beyond -1 (or within). In m = n/2 steps the step's length
then changes by at least a factor exp(1), and those of other modes, which decay, are behind. The start is 1e-5 away:
the error is of third order there, and changes multipliers by 1e-10 of themselves at most.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.models import coadaptation_theory, learner_theory
from jaxdyn.models.coadaptation import coadaptive_descent
from jaxdyn.models.learners import two_learner_descent, vector_learner_descent

pytestmark = pytest.mark.usefixtures("x64")

QUARTER = {"sigma_k": 0.25, "sigma_w": 0.25}
UNEQUAL = {"sigma_k": 0.4, "sigma_w": 0.7}
NEAR, FAR, ROUNDING = 1e-5, 1e-3, 1e-13
GAMES = {
    "scalar": functools.partial(two_learner_descent, **QUARTER),
    "vector": functools.partial(vector_learner_descent, n=8, **QUARTER),
    "matrix": functools.partial(coadaptive_descent, n=4, d=2, **QUARTER),
    "unequal": functools.partial(coadaptive_descent, n=3, d=2, tau=[1.3, 1.0], **UNEQUAL),
}


def a_minimum(name, params):
    """A minimum that lies in no special direction."""
    if name == "scalar":
        return learner_theory.stationary_points(params)[1]
    if name == "vector":
        return learner_theory.vector_minimum(params, np.cos(np.arange(8)))
    n = {"matrix": 4, "unequal": 3}[name]
    return coadaptation_theory.stationary_state(params, n, directions=np.cos(np.arange(2 * n) ** 2).reshape(2, n))


def exact_margin(name, params):
    """Positive where the minima are stable."""
    if name in ("scalar", "vector"):
        return learner_theory.stability_margin(params)
    return coadaptation_theory.stability_margin(params, {"matrix": 4, "unequal": 3}[name])


def is_stable(system, m):
    """Measured from an orbit: it stays near the minimum, and its steps become shorter."""
    half = jaxdyn.final_state(system, n_steps=m).x
    end = jaxdyn.final_state(system.with_state(half), n_steps=m).x
    near = jnp.all(jnp.abs(jnp.stack([half, end]) - system.x0[None]) < FAR)
    early, late = (jnp.sum(jnp.abs(system.displacement(0, x))) for x in (half, end))  # nan once it is not finite
    return near & (late < jnp.maximum(early, ROUNDING))


@functools.partial(jax.jit, static_argnames="n")
def plane_of(system, start, n):
    rates = 3 * jnp.arange(1, n + 1) / n
    gamma_k, gamma_w = (axis.ravel() for axis in jnp.meshgrid(rates, rates, indexing="ij"))

    def cell(gamma_k, gamma_w):
        return is_stable(system.with_params(gamma_k=gamma_k, gamma_w=gamma_w).with_state(start), n // 2)

    return jaxdyn.lanes(cell)(gamma_k, gamma_w).reshape(n, n), gamma_k.reshape(n, n), gamma_w.reshape(n, n)


def near_the_curve(stable):
    """Cells with a cell of the other kind among their eight neighbors: the curve is within one cell."""
    padded = np.pad(stable, 1, mode="edge")
    n = len(stable)
    shifts = [padded[i : i + n, j : j + n] for i in range(3) for j in range(3)]
    return np.any(shifts, axis=0) & ~np.all(shifts, axis=0)


def measured_and_exact(name, n):
    system = GAMES[name]()
    point = np.asarray(a_minimum(name, system.params))
    start = point + NEAR * np.random.default_rng(0).uniform(0.5, 1, system.dim)
    measured, gamma_k, gamma_w = plane_of(system, start, n)
    margin = jax.jit(jax.vmap(lambda k, w: exact_margin(name, {**system.params, "gamma_k": k, "gamma_w": w})))
    exact = np.asarray(margin(gamma_k.ravel(), gamma_w.ravel())).reshape(n, n) > 0
    return np.asarray(measured), exact


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("n", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_measured_boundary_is_the_exact_one_within_a_cell(name, n):
    measured, exact = measured_and_exact(name, n)
    assert 0.05 < exact.mean() < 0.7
    assert not np.any((measured != exact) & ~near_the_curve(exact))
