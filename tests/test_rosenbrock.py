"""Rosenbrock methods: coefficients obey the order conditions, steps converge as theory says, equations are solved."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.errors import Status
from jaxdyn.methods import Rodas4, Rodas5P
from jaxdyn.methods.elimination import UNROLLED, solver_of
from jaxdyn.methods.rosenbrock import RODAS_4, RODAS_5P

TABLEAUS = pytest.mark.parametrize("tableau", [RODAS_4, RODAS_5P], ids=["rodas4", "rodas5p"])
METHODS = pytest.mark.parametrize("kind", [Rodas4, Rodas5P])


def square(rows):
    matrix = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = row
    return matrix


def classical(tableau):
    """Matrices alpha and gamma of the textbook's form (Hairer & Wanner 1996, section IV.7, equation 7.25)."""
    gamma = np.linalg.inv(np.eye(len(tableau.b)) / tableau.gamma - square(tableau.c))
    return square(tableau.a) @ gamma, gamma


@functools.cache
def trees(n):
    """Rooted trees of n nodes; a tree is the sorted tuple of its branches."""

    def forests(n, most):
        if n == 0:
            yield ()
        for size in range(1, min(n, most) + 1):
            for tree in trees(size):
                for rest in forests(n - size, size):
                    yield (tree, *rest)

    return sorted({tuple(sorted(forest)) for forest in forests(n - 1, n - 1)})


def order_of(tree):
    return 1 + sum(map(order_of, tree))


def density(tree):
    return order_of(tree) * math.prod(map(density, tree))


def residuals(weights, alpha, gamma, order):
    """How far the order conditions of one order are missed (section IV.7, theorem 7.4): beta where a node has one
    branch, alpha where it has several."""

    def vector(tree):
        matrix = alpha + gamma if len(tree) == 1 else alpha
        return np.prod([matrix @ vector(branch) for branch in tree], axis=0) if tree else np.ones(len(alpha))

    return [abs(weights @ vector(tree) - 1 / density(tree)) for tree in trees(order)]


# 16 digits are published; sums of up to five factors of at most 170 are formed.
ROUNDING = 1e-16 * 170 * 5


def test_there_are_as_many_trees_as_in_the_books():
    assert [len(trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]


@TABLEAUS
def test_order_conditions_hold_to_the_order_and_no_further(tableau):
    alpha, gamma = classical(tableau)
    last = np.eye(len(tableau.b))[-1]
    for weights, order in ((tableau.b, tableau.order), (tableau.b - last, tableau.order - 1)):
        for n in range(1, order + 1):
            assert max(residuals(weights @ gamma, alpha, gamma, n)) < ROUNDING
        assert max(residuals(weights @ gamma, alpha, gamma, order + 1)) > 1e-3


@TABLEAUS
def test_nodes_and_slopes_are_row_sums(tableau):
    alpha, gamma = classical(tableau)
    np.testing.assert_allclose(alpha.sum(1), tableau.nodes, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(gamma.sum(1), tableau.slopes, rtol=0, atol=ROUNDING)


@TABLEAUS
def test_both_methods_of_the_pair_are_l_stable(tableau):
    alpha, gamma = classical(tableau)
    one, beta = np.ones(len(alpha)), alpha + gamma
    last = np.eye(len(alpha))[-1]
    for weights in (tableau.b @ gamma, (tableau.b - last) @ gamma):
        assert abs(1 - weights @ np.linalg.solve(beta, one)) < ROUNDING  # R(infinity)
        for y in np.logspace(-3, 5, 500):
            z = 1j * y
            assert abs(1 + z * weights @ np.linalg.solve(np.eye(len(alpha)) - z * beta, one)) < 1 + 1e-12


@METHODS
def test_a_step_far_too_long_for_explicit_methods_forgets_the_start(kind, x64):
    decay = jaxdyn.flow(lambda t, x, p: -p["rate"] * x, {"rate": 1e9}, [1.0])
    # R(z) is of order 1/z with a factor of some ten.
    assert abs(float(jaxdyn.final_state(decay, n_steps=1, dt=1.0, method=kind()).x[0])) < 1e-7


def slope_of(errors):
    return np.log2(np.array(errors[:-1]) / errors[1:])


@METHODS
def test_order_of_convergence_with_time_in_the_field(kind, x64):
    def field(t, x, p):
        return jnp.sin(t) * x[1] - x[0] ** 2 + t * t, jnp.cos(2 * t) - x[0] * x[1]

    system = jaxdyn.flow(field, {}, [0.3, 0.7])
    exact = jaxdyn.final_state(system, t1=2.0, method=jaxdyn.Dopri8(rtol=1e-13)).x
    errors = [
        float(jnp.abs(jaxdyn.final_state(system, t1=2.0, dt=2.0 / n, method=kind()).x - exact).max())
        for n in (20, 40, 80)
    ]
    # The next term of the error changes the slope by a share of h, which is 0.1 to 0.025.
    assert np.all(np.abs(slope_of(errors) - kind().order) < 0.2), errors


@pytest.mark.parametrize(("kind", "order"), [(Rodas4, 1), (Rodas5P, 3)])
def test_orders_fall_where_a_stiff_component_is_forced_but_errors_stay_small(kind, order, x64):
    # Prothero & Robinson 1974: x' = -rate (x - g(t)) + g'(t); stiffly accurate methods err in proportion to 1/rate.
    def field(t, x, p):
        return (-p["rate"] * (x[0] - jnp.sin(t + 0.5)) + jnp.cos(t + 0.5),)

    def error(rate, n):
        system = jaxdyn.flow(field, {"rate": rate}, [np.sin(0.5)])
        return abs(float(jaxdyn.final_state(system, t1=2.0, dt=2.0 / n, method=kind()).x[0]) - np.sin(2.5))

    errors = [error(1e5, n) for n in (40, 80, 160)]
    assert errors[0] < 1e-8
    assert abs(slope_of(errors)[-1] - order) < 0.25, errors
    assert error(1e7, 40) == pytest.approx(1e-2 * errors[0], rel=0.1)


@pytest.mark.parametrize("n", [1, 2, 3, 5, UNROLLED, UNROLLED + 2])
def test_equations_are_solved_also_where_pivots_are_needed(n, x64):
    matrix = np.random.default_rng(n).normal(size=(n, n))
    if n > 1:
        matrix[0, 0] = 0.0
    b = np.random.default_rng(n + 1).normal(size=n)
    got = jax.jit(lambda m, b: solver_of(m)(b))(matrix, b)
    np.testing.assert_allclose(got, np.linalg.solve(matrix, b), rtol=0, atol=1e-13 * np.linalg.cond(matrix))
    if n > 1:
        singular = np.ones((n, n))
        assert not np.isfinite(solver_of(jnp.asarray(singular))(jnp.asarray(b))).all()


def test_a_singular_step_fails_alone_and_is_avoided_with_a_tolerance(x64):
    # I - gamma h J is 0 for the growth rate 1 / gamma and h = 1.
    system = jaxdyn.flow(lambda t, x, p: p["rate"] * x, {"rate": 1.0}, [1.0])
    rates = jnp.array([1.0, 4.0])

    def end(rate, method):
        return jaxdyn.final_state(system.with_params(rate=rate), n_steps=1, dt=1.0, method=method)

    run = jaxdyn.lanes(functools.partial(end, method=Rodas4()))(rates)
    np.testing.assert_array_equal(run.status, [Status.OK, Status.NON_FINITE])
    kept = jaxdyn.lanes(functools.partial(end, method=Rodas4(rtol=1e-8)))(rates)
    # Some hundred steps of 1e-8 each.
    np.testing.assert_allclose(kept.x[:, 0], np.exp(rates), rtol=1e-6)
