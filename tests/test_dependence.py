"""Equations are read for what depends on what: separable systems are told from others, however they are written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Leapfrog, models
from jaxdyn.methods import Yoshida6
from jaxdyn.methods.dependence import depends_on


@pytest.mark.parametrize(
    ("model", "state", "other"),
    [
        (models.van_der_pol, "momentum 'y'", "positions"),
        (models.duffing, "momentum 'y'", "positions"),
        (models.fitzhugh_nagumo, "position 'v'", "momenta"),
        (models.lorenz96, "position 'x1'", "momenta"),
    ],
)
def test_equations_that_are_not_separable_are_refused(model, state, other):
    message = f"{model.__name__} is not separable: the rate of the {state} .* on the {other}"
    with pytest.raises(ValueError, match=message):
        jaxdyn.final_state(model(), n_steps=1, dt=0.1, method=Leapfrog())


def test_damping_that_is_zero_counts_and_the_check_can_be_left_out(x64):
    """What is compiled holds for all values of the parameters; terms that cancel need a word of the user's."""
    damped = jaxdyn.flow(lambda t, x, p: (x[1], -x[0] - p["c"] * x[1]), {"c": 0.0}, [1.0, 0.0])
    with pytest.raises(ValueError, match=r"name the positions, .*use RK4\(\).*checked=False"):
        jaxdyn.final_state(damped, n_steps=1, dt=0.1, method=Leapfrog())
    free = jaxdyn.final_state(damped, n_steps=9, dt=0.1, method=Leapfrog(checked=False)).x
    plain = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0])
    np.testing.assert_allclose(free, jaxdyn.final_state(plain, n_steps=9, dt=0.1, method=Leapfrog()).x, rtol=1e-14)


def hamiltonian(x):
    n = len(x) // 2
    return jnp.sum(x[n:] ** 2) / 2 + jnp.sum(jnp.cos(x[1:n] - x[: n - 1])) + jnp.prod(x[:n])


def gradient_of_energy(t, x, p):
    slope = jax.grad(hamiltonian)(x)
    n = len(x) // 2
    return jnp.concatenate([slope[n:], -slope[:n]])


def form_times_gradient(t, x, p):
    return np.kron([[0.0, 1.0], [-1.0, 0.0]], np.eye(len(x) // 2)).astype(x.dtype) @ jax.grad(hamiltonian)(x)


def written_in_place(t, x, p):
    n = len(x) // 2
    rate = jnp.zeros_like(x).at[:n].set(x[n:])
    return rate.at[n:].add(-jnp.where(x[:n] > 0, x[:n], jnp.sin(x[:n])))


def by_branch_and_product(t, x, p):
    n = len(x) // 2
    force = jax.lax.cond(t > 1, lambda q: -p["K"] @ q, lambda q: jnp.cumsum(q), x[:n])
    return jnp.concatenate([x[n:][jnp.array([1, 0, 2])], jax.nn.relu(force)])


@pytest.mark.parametrize("field", [gradient_of_energy, form_times_gradient, written_in_place, by_branch_and_product])
def test_ways_to_write_separable_equations(field):
    system = jaxdyn.flow(field, {"K": jnp.ones((3, 3))}, jnp.linspace(0.1, 0.7, 6))
    matrix = jax.jacfwd(lambda x: system(2.0, x))(system.x0)
    assert not np.any(matrix[:3, :3]) and not np.any(matrix[3:, 3:])
    assert int(jaxdyn.final_state(system, n_steps=3, dt=0.01, method=Yoshida6()).status) == 0


@pytest.mark.parametrize("model", list(models.REGISTRY))
def test_the_reading_of_equations_never_misses_a_derivative(model):
    """Where the Jacobian is not zero at some states, dependence was told; where it always is, mostly not."""
    system = models.REGISTRY[model](**({"n": 4} if "n" in models.REGISTRY[model].options else {}))
    t, dim = system.time(0, 1, 1), system.dim
    states = jnp.asarray(np.asarray(system.x0) + np.random.default_rng(0).normal(size=(5, dim)), system.dtype)
    matrices = jax.vmap(jax.jacfwd(lambda x: system(t, x)))(states)
    found = np.stack([depends_on(lambda x: system(t, x), system.x0, np.arange(dim) == j) for j in range(dim)], axis=1)
    assert found[np.any(np.asarray(matrices) != 0, axis=0)].all()
