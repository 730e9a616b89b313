"""Methods of integration: tableaus obey the order conditions, steps converge with the order of theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.methods import Iterate, Method
from jaxdyn.methods.dopri8 import DORMAND_PRINCE_8
from jaxdyn.methods.rk import BOGACKI_SHAMPINE, CLASSICAL, EULER, HEUN, TSITOURAS

METHODS = [jaxdyn.Euler(), jaxdyn.Heun(), jaxdyn.methods.Bosh3(), jaxdyn.RK4(), jaxdyn.Tsit5(), jaxdyn.Dopri8()]
TABLEAUS = [EULER, HEUN, BOGACKI_SHAMPINE, CLASSICAL, TSITOURAS, DORMAND_PRINCE_8]
NAMES = ["euler", "heun", "bogacki_shampine", "classical", "tsitouras", "dormand_prince_8"]


def name(method):
    return type(method).__name__


def matrix(tableau):
    a = np.zeros((len(tableau.b), len(tableau.b)))
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = row
    return a


def conditions(weights, a, c, order):
    """Pairs (value, theory) of the order conditions up to `order` (Hairer, Norsett & Wanner 1993, table II.2.1)."""
    ac, ac2 = a @ c, a @ c**2
    rows = [
        (1, np.ones_like(c), 1),
        (2, c, 1 / 2),
        (3, c**2, 1 / 3),
        (3, ac, 1 / 6),
        (4, c**3, 1 / 4),
        (4, c * ac, 1 / 8),
        (4, ac2, 1 / 12),
        (4, a @ ac, 1 / 24),
        (5, c**4, 1 / 5),
        (5, c**2 * ac, 1 / 10),
        (5, c * ac2, 1 / 15),
        (5, c * (a @ ac), 1 / 30),
        (5, ac**2, 1 / 20),
        (5, a @ c**3, 1 / 20),
        (5, a @ (c * ac), 1 / 40),
        (5, a @ ac2, 1 / 60),
        (5, a @ (a @ ac), 1 / 120),
    ]
    return [(weights @ vector, theory) for degree, vector, theory in rows if degree <= order]


def rounding(tableau):
    """Published digits end at 1e-16 relative; a condition sums products of at most the size of the largest |a|."""
    a = np.abs(matrix(tableau))
    return 1e-16 * len(tableau.b) ** 2 * max(1.0, a.max()) * max(1.0, np.abs(tableau.b).max())


@pytest.mark.parametrize("tableau", TABLEAUS, ids=NAMES)
def test_row_sums_are_the_nodes(tableau):
    np.testing.assert_allclose(matrix(tableau).sum(1), tableau.c, rtol=0, atol=rounding(tableau))


@pytest.mark.parametrize("tableau", TABLEAUS, ids=NAMES)
def test_order_conditions_hold_to_the_order_and_no_further(tableau):
    a, b, c = matrix(tableau), np.array(tableau.b), np.array(tableau.c)
    for value, theory in conditions(b, a, c, tableau.order):
        assert abs(value - theory) < rounding(tableau)
    if tableau.order < 5:
        assert any(abs(value - theory) > 1e-3 for value, theory in conditions(b, a, c, tableau.order + 1))


@pytest.mark.parametrize("tableau", [HEUN, BOGACKI_SHAMPINE, TSITOURAS], ids=["heun", "bogacki_shampine", "tsitouras"])
def test_the_embedded_method_is_one_order_lower(tableau):
    # The error weights are a difference of two methods: every condition they share gives 0.
    a, c, error = matrix(tableau), np.array(tableau.c), np.array(tableau.error)
    for value, _ in conditions(error, a, c, tableau.order - 1):
        assert abs(value) < rounding(tableau)
    assert any(abs(value) > 1e-4 for value, _ in conditions(error, a, c, tableau.order))


def test_the_two_estimates_of_the_eighth_order_are_differences_of_orders_five_and_three():
    a, c = matrix(DORMAND_PRINCE_8), np.array(DORMAND_PRINCE_8.c)
    for weights, order in ((DORMAND_PRINCE_8.error, 5), (DORMAND_PRINCE_8.coarse_error, 3)):
        padded = np.append(weights, np.zeros(len(c) - len(weights)))
        for value, _ in conditions(padded, a, c, order):
            assert abs(value) < rounding(DORMAND_PRINCE_8)


@pytest.mark.parametrize("tableau", [BOGACKI_SHAMPINE, TSITOURAS, DORMAND_PRINCE_8])
def test_the_last_stage_is_the_next_first(tableau):
    assert tableau.reuses_last
    assert tableau.a[-1] == tableau.b[:-1]
    assert tableau.b[-1] == 0.0


def turned(t, x, p):
    """x' = -2 t x^2 and y' = 2 y^2 cos 2t, seen in the coordinates x + y and x - y."""
    first, second = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
    first, second = -2 * t * first**2, 2 * second**2 * jnp.cos(2 * t)
    return first + second, first - second


def solution(t):
    first, second = 1 / (1 + t**2), 1 / (1.5 - np.sin(2 * t))
    return np.array([first + second, first - second])


@pytest.mark.parametrize(
    ("method", "n_steps"),
    [
        (jaxdyn.Euler(), (4096, 8192)),
        (jaxdyn.Heun(), (1024, 2048)),
        (jaxdyn.methods.Bosh3(), (512, 1024)),
        (jaxdyn.RK4(), (512, 1024)),
        (jaxdyn.Tsit5(), (384, 768)),
        (jaxdyn.Dopri8(), (48, 96)),
    ],
    ids=name,
)
def test_observed_order(method, n_steps, x64):
    # Nonlinear and non-autonomous, so a wrong node or weight shows. The smallest error stays a hundred
    # times above rounding (1e-15), and steps are so small that the next term adds a few percent.
    system = jaxdyn.flow(turned, {}, solution(0.0))
    errors = []
    for n in n_steps:
        run = jaxdyn.trajectory(system, n_steps=n, dt=6.0 / n, method=method)
        errors.append(float(np.abs(run.x.T - solution(np.asarray(run.t))).max()))
    assert errors[-1] > 1e-13
    observed = np.log2(errors[-2] / errors[-1])
    assert abs(observed - method.order) < 0.15, (observed, errors)


@pytest.mark.parametrize("method", [jaxdyn.Heun(), jaxdyn.methods.Bosh3(), jaxdyn.Tsit5()], ids=name)
def test_the_error_estimate_shrinks_with_its_order(method, x64):
    # The embedded method has order q - 1: the difference of one step is O(dt^q).
    system = jaxdyn.flow(turned, {}, solution(0.0))
    x, t = jnp.asarray(solution(0.3)), jnp.float64(0.3)
    sizes = []
    for dt in (0.004, 0.002):
        carry = method.init(system, t, x)
        sizes.append(float(jnp.abs(method.step(system, t, x, jnp.float64(dt), carry).error).max()))
    assert abs(np.log2(sizes[0] / sizes[1]) - method.order) < 0.2


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_polynomials_of_the_order_are_integrated_exactly(method, x64):
    k = method.order - 1
    system = jaxdyn.flow(lambda t, x, p: (k + 1) * t**k * jnp.ones_like(x), {}, [0.0])
    end = jaxdyn.final_state(system, n_steps=3, dt=0.5, method=method)
    np.testing.assert_allclose(end.x, [1.5 ** (k + 1)], rtol=1e-14)  # a few roundings


def test_methods_are_equal_by_value_and_satisfy_the_protocol():
    assert jax.tree.structure(jaxdyn.RK4()) == jax.tree.structure(jaxdyn.RK4())
    assert jax.tree.structure(jaxdyn.RK4()) != jax.tree.structure(jaxdyn.Euler())
    assert all(isinstance(method, Method) for method in [*METHODS, Iterate()])


def test_a_method_of_the_user_needs_only_init_and_step(x64):
    class Midpoint:
        def init(self, rhs, t, x):
            return None

        def step(self, rhs, t, x, dt, carry):
            return jaxdyn.methods.Step(x + dt * rhs(t + dt / 2, x + dt / 2 * rhs(t, x)), None, None)

    jax.tree_util.register_static(Midpoint)
    system = jaxdyn.flow(lambda t, x, p: -x, {}, [1.0])
    end = jaxdyn.final_state(system, n_steps=1, dt=0.1, method=Midpoint())
    np.testing.assert_allclose(end.x, [1 - 0.1 + 0.005], rtol=1e-15)
