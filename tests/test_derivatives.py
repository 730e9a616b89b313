"""Derivatives by hand: the same numbers as the automatic ones where they are right, refused where they are wrong."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models
from jaxdyn._record import record
from jaxdyn.derivatives import with_jacobian, with_jvp

pytestmark = pytest.mark.usefixtures("x64")


def lorenz_matrix(t, s, p):
    x, y, z = s
    return (-p["sigma"], p["sigma"], 0), (p["rho"] - z, -1, -x), (y, x, -p["beta"])


def lorenz_product(t, s, p, d):
    (x, y, z), (dx, dy, dz) = s, d
    return p["sigma"] * (dy - dx), dx * (p["rho"] - z) - x * dz - dy, dx * y + x * dy - p["beta"] * dz


def henon_matrix(n, s, p):
    return (-2 * p["a"] * s[0], 1), (p["b"], 0)


def henon_product(n, s, p, d):
    return jnp.stack([-2 * p["a"] * s[0] * d[0] + d[1], p["b"] * d[0]])


def network_matrix(n, x, p):
    return p["g"] * p["J"] / jnp.cosh(x)[None, :] ** 2


def network_product(n, x, p, dx):
    return p["g"] * (p["J"] @ (dx / jnp.cosh(x) ** 2))


FLOW: dict[str, Any] = {"dt": 0.01, "n_steps": 400, "n_transient": 400}
MAP: dict[str, Any] = {"n_steps": 400, "n_transient": 100}
CASES: dict[str, Any] = {
    "lorenz_matrix": (models.lorenz63, {}, with_jacobian, lorenz_matrix, FLOW),
    "lorenz_product": (models.lorenz63, {}, with_jvp, lorenz_product, FLOW),
    "henon_matrix": (models.henon, {}, with_jacobian, henon_matrix, MAP),
    "henon_product": (models.henon, {}, with_jvp, henon_product, MAP),
    "network_matrix": (models.random_rnn_map, {"n": 20, "g": 3.0}, with_jacobian, network_matrix, MAP),
    "network_product": (models.random_rnn_map, {"n": 20, "g": 3.0}, with_jvp, network_product, MAP),
}
QUICK = ("lorenz_matrix", "henon_product", "network_product")
"""One of each kind; the others are left to the slow tests."""
ALL = pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)


def pair(case, **arguments):
    """System and the same with its derivative by hand."""
    model, given, wrap, derivative, settings = CASES[case]
    system = model(**given | arguments)
    if system.dim > 10:
        settings = settings | {"n_exponents": 4}
    return system, wrap(system, derivative), settings


def dt_of(system) -> dict[str, Any]:
    return {} if system.discrete else {"dt": 0.01}


@ALL
def test_values_jacobian_and_spectrum_are_the_same(case):
    """Two orders of the same operations: some hundred steps of chaos enlarge rounding to below 1e-9."""
    system, by_hand, settings = pair(case)
    x = system.x0 + 0.1
    np.testing.assert_array_equal(by_hand(0, x), system(0, x))
    np.testing.assert_allclose(jaxdyn.jacobian(by_hand, x), jaxdyn.jacobian(system, x), rtol=1e-13, atol=1e-13)
    assert type(by_hand) is type(system) and by_hand.about == system.about
    short = {**settings, "n_steps": 100, "n_transient": 20}
    got, expected = (jaxdyn.lyapunov_spectrum(s, **short).exponents for s in (by_hand, system))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


@ALL
def test_the_function_is_really_used(case):
    """Twice the derivative adds ln 2 to the exponents of a map; the state of a run is the same."""
    model, given, wrap, derivative, settings = CASES[case]
    system = model(**given)

    def twice(*arguments):
        return jax.tree.map(lambda part: 2 * part, derivative(*arguments))

    doubled = wrap(system, twice, check=False)
    np.testing.assert_allclose(jaxdyn.jacobian(doubled), 2 * jaxdyn.jacobian(system), rtol=1e-13, atol=1e-14)
    x, v = system.x0, jnp.cos(jnp.arange(system.dim, dtype=float))

    def value_on_the_way(y):  # of a derivative: what gradients of exponents follow
        return jax.jvp(lambda z: doubled(0, z), (y,), (v,))[0]

    np.testing.assert_allclose(jax.jvp(value_on_the_way, (x,), (v,))[1], 2 * jaxdyn.jacobian(system) @ v, rtol=1e-12)
    step = functools.partial(jaxdyn.final_state, n_steps=30, **dt_of(system))
    np.testing.assert_array_equal(step(doubled).x, step(system).x)
    short = {**settings, "n_steps": 100, "n_transient": 20, "n_exponents": 2}
    got, expected = (jaxdyn.lyapunov_spectrum(s, **short).exponents for s in (doubled, system))
    if system.discrete:
        np.testing.assert_allclose(got, expected + np.log(2), rtol=1e-6)
    else:
        assert np.abs(got - expected).max() > 0.1


@ALL
def test_gradients_of_parameters_stay_automatic(case):
    system, by_hand, _ = pair(case)

    def size(s):
        return jnp.sum(jaxdyn.final_state(s, n_steps=8, **dt_of(system)).x ** 2)

    got, expected = (jax.jit(jax.grad(size))(s) for s in (by_hand, system))
    for name in system.params:
        np.testing.assert_allclose(got.params[name], expected.params[name], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(got.x0, expected.x0, rtol=1e-9, atol=1e-11)


@ALL
def test_second_derivatives_are_those_of_the_function(case):
    """By state and state, and by state and parameter: forward over forward and reverse over forward."""
    system, by_hand, _ = pair(case)
    x = system.x0 + 0.05

    def hessian(s):
        return jax.jacfwd(lambda y: jaxdyn.jacobian(s, y))(x)

    def mixed(s):
        return jax.grad(lambda s: jnp.sum(jnp.sin(jaxdyn.jacobian(s, x))))(s).params

    np.testing.assert_allclose(hessian(by_hand), hessian(system), rtol=1e-9, atol=1e-11)
    for got, expected in zip(jax.tree.leaves(mixed(by_hand)), jax.tree.leaves(mixed(system)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("engine", [None, jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)], ids=str)
@pytest.mark.parametrize("case", [pytest.param("lorenz_matrix", marks=pytest.mark.slow), "henon_product"])
def test_sweeps_and_lanes(case, engine):
    system, by_hand, settings = pair(case)
    name = "rho" if case == "lorenz_matrix" else "a"
    values = np.linspace(0.9, 1.0, 3) * float(system.params[name])
    # The rounding of two engines, enlarged by chaos: Henon's by exp(0.42 * 40) = 2e7. After 104 steps the last bit of a
    # parameter has changed its exponents by 0.02.
    n_steps = 96 if case == "lorenz_matrix" else 32
    measure = functools.partial(jaxdyn.lyapunov_spectrum, **{**settings, "n_steps": n_steps, "n_transient": 8})
    found = jaxdyn.sweep(measure, by_hand, {name: values}, engine=engine, progress=False)
    for i, value in enumerate(values):
        alone = measure(system.with_params(**{name: value}))
        np.testing.assert_allclose(found.exponents[i], alone.exponents, rtol=1e-6, atol=1e-8)
    ends = jaxdyn.lanes(lambda v: jaxdyn.final_state(by_hand.with_params(**{name: v}), n_steps=5, **dt_of(system)).x)
    for end, value in zip(ends(values), values, strict=True):
        alone = jaxdyn.final_state(system.with_params(**{name: value}), n_steps=5, **dt_of(system)).x
        np.testing.assert_allclose(end, alone, rtol=1e-12)


def test_new_values_are_not_traced_again():
    calls = []

    def counted(n, s, p):
        calls.append(None)
        return henon_matrix(n, s, p)

    by_hand = with_jacobian(models.henon(), counted)
    jaxdyn.lyapunov_spectrum(by_hand, n_steps=32)
    traced = len(calls)
    jaxdyn.lyapunov_spectrum(by_hand.with_params(a=1.3), n_steps=32)
    assert len(calls) == traced > 0


def test_derived_systems_keep_it():
    """Inputs before and after, iterates, frozen states: twice the true derivative stays visible."""
    u = jaxdyn.samples([0.1, -0.2, 0.3], dt=0.02)
    lorenz = models.lorenz63()
    before = with_jacobian(jaxdyn.driven(lorenz, u, onto="x"), lorenz_matrix)
    after = jaxdyn.driven(with_jacobian(lorenz, lorenz_matrix), u, onto="x")
    plain = jaxdyn.driven(lorenz, u, onto="x")
    for system in (before, after):
        run, known = (jaxdyn.final_state(s, n_steps=6, dt=0.01).x for s in (system, plain))
        np.testing.assert_allclose(run, known, rtol=1e-13)
        np.testing.assert_allclose(jaxdyn.jacobian(system), jaxdyn.jacobian(plain), rtol=1e-13)

    def twice(t, s, p):
        return 2 * jnp.stack([jnp.stack([jnp.asarray(v, s.dtype) for v in row]) for row in lorenz_matrix(t, s, p)])

    doubled = with_jacobian(lorenz, twice, check=False)
    np.testing.assert_allclose(
        jaxdyn.jacobian(jaxdyn.frozen(doubled, ["z"])), 2 * jaxdyn.jacobian(jaxdyn.frozen(lorenz, ["z"])), rtol=1e-13
    )
    henon = with_jvp(models.henon(), lambda n, s, p, d: 3 * henon_product(n, s, p, d), check=False)
    iterated = [jaxdyn.jacobian(jaxdyn.nth_iterate(s, 2)) for s in (henon, models.henon())]
    np.testing.assert_allclose(iterated[0], 9 * iterated[1], rtol=1e-13)


def test_time_and_integer_parameters():
    """A forced flow, with indices among its parameters: the derivative by time stays automatic."""

    def field(t, x, p):
        return -p["rate"] * x[p["order"]] + jnp.sin(t)

    system = jaxdyn.flow(field, {"rate": 0.7, "order": np.array([1, 0])}, [1.0, 2.0])
    by_hand = with_jacobian(system, lambda t, x, p: -p["rate"] * jnp.eye(2)[p["order"]])
    for s in (system, by_hand):
        slope = jax.jvp(lambda t, s=s: s(t, s.x0), (0.3,), (1.0,))[1]
        np.testing.assert_allclose(slope, np.cos(0.3), rtol=1e-14)
    both = [
        jax.jvp(lambda t, x, s=s: s(t, x), (0.3, s.x0), (1.0, jnp.array([0.5, -1.0])))[1] for s in (system, by_hand)
    ]
    np.testing.assert_allclose(*both, rtol=1e-14)


def test_callable_pytrees_keep_their_leaves():
    @record
    class Scaled:
        factor: jax.Array

        def __call__(self, t, x, p):
            return self.factor * jnp.eye(x.shape[0])

    system = jaxdyn.flow(lambda t, x, p: 2 * x, {}, [1.0, 2.0])
    by_hand = with_jacobian(system, Scaled(jnp.asarray(2.0)))
    slope = jax.grad(lambda s: jnp.sum(jaxdyn.jacobian(s)))(by_hand)
    assert float(slope.field.derivative.factor) == 2.0  # two entries of the diagonal


def test_objects_that_change_are_not_remembered():
    class Matrix:
        factor = 1.0

        def __call__(self, n, x, p):
            return self.factor * jnp.eye(1)

        def method(self, n, x, p):
            return self(n, x, p)

    system, made = jaxdyn.iterated_map(lambda n, x, p: x, {}, [1.0]), Matrix()
    for factor in (1.0, 5.0):
        made.factor = factor
        for derivative in (made, made.method):
            assert float(jaxdyn.jacobian(with_jacobian(system, derivative, check=False))[0, 0]) == factor
