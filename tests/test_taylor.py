"""The Taylor series method: coefficients are derivatives, errors are those of the order and of the tolerance."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import jaxdyn
from jaxdyn.errors import Status
from jaxdyn.methods.series import solution_series
from jaxdyn.methods.series_rules import RULES

# Functions of a number near 0.4, by what they test.
FUNCTIONS = {
    "add": lambda x: x + 1.0,
    "acos": jnp.arccos,
    "acosh": lambda x: jnp.arccosh(x + 2),
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atanh": jnp.arctanh,
    "cbrt": jnp.cbrt,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "div": lambda x: (1 + x) / (2 + x * x),
    "div by a number": lambda x: x / 3,
    "erf": jax.lax.erf,
    "erfc": jax.lax.erfc,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "integer_pow": lambda x: jax.lax.integer_pow(x, 7),
    "integer_pow, negative": lambda x: x**-3,
    "integer_pow, zero": lambda x: x * jax.lax.integer_pow(x, 0),
    "log": jnp.log,
    "log1p": jnp.log1p,
    "logistic": jax.nn.sigmoid,
    "mul": lambda x: x * (1 + x),
    "pow": lambda x: x**1.7,
    "pow of exponents that vary": lambda x: (x + 1) ** (x * x),
    "rsqrt": jax.lax.rsqrt,
    "sin": lambda x: jnp.sin(x) * jnp.cos(x),  # which share their series
    "sinh": jnp.sinh,
    "sqrt": lambda x: jnp.sqrt(1 + x * x),
    "square": jnp.square,
    "sub": lambda x: 1.0 - x,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
    "a function of JAX with a derivative of its own": jax.nn.silu,
}

# Primitives that move numbers, and those tested below.
MOVES = """add_any broadcast_in_dim concatenate convert_element_type copy copy_p cumsum dot_general dynamic_slice
dynamic_update_slice gather neg pad reduce_precision reduce_sum reshape rev scatter scatter-add select_n slice split
squeeze stack transpose unstack""".split()


def coefficients_by_derivatives(f, x, order):
    """Of the solution of x' = f(x): x_k is the k-th derivative over k!, and d/dt g(x) = g'(x) f(x)."""
    found, derivative = [x], f
    for k in range(1, order + 1):
        found.append(derivative(x) / math.factorial(k))
        derivative = (lambda g: lambda x: jax.grad(g)(x) * f(x))(derivative)
    return jnp.stack(found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_coefficients_are_derivatives(name, x64):
    f, x, order = FUNCTIONS[name], jnp.asarray(0.4), 6
    series = jax.jit(lambda x: jnp.stack(solution_series(lambda t, x: f(x), jnp.asarray(0.0), x, order)))(x)
    expected = jax.jit(lambda x: coefficients_by_derivatives(f, x, order))(x)
    # Both sum up some hundred numbers of the size of the largest one.
    np.testing.assert_allclose(series, expected, rtol=1e-12, atol=1e-13 * float(jnp.abs(expected).max()))


def test_every_rule_is_tested():
    assert {name.split(",")[0] for name in FUNCTIONS} | set(MOVES) >= set(RULES)


def test_coefficients_of_arrays_are_those_of_their_components(x64):
    matrix = np.array([[0.3, -1.0, 0.2], [0.5, 0.1, -0.4], [-0.2, 0.7, 0.6]])  # known while tracing

    def whole(t, x):
        padded = jnp.pad(x, 1)
        moved = jnp.concatenate([x[1:], x[:1]]) + jnp.flip(x) * padded[:3]
        picked = x[jnp.array([2, 0, 0])].at[1].add(x[2]).at[0].set(0.5)
        near = jax.lax.dynamic_slice(x, (jnp.int32(1),), (2,))
        pairs = jnp.sum(jnp.sin(x[None, :] - x[:, None]), axis=1)
        bilinear = jnp.outer(x, x).T @ x
        known = jnp.where(jnp.asarray(matrix[0]) > 0, x, moved)
        sums = jnp.cumsum(moved) + jnp.stack([near.sum()] * 3)
        return jnp.tanh(matrix @ x) + picked + sums + pairs + bilinear + known * t

    def by_components(t, x):
        a, b, c = x
        moved = [b + c * 0.0, c + b * a, a + a * b]
        picked = [0.5, a + c, a]
        angles = [sum(jnp.sin(other - own) for other in x) for own in x]
        size = a * a + b * b + c * c
        known = [a if matrix[0, 0] > 0 else moved[0], b if matrix[0, 1] > 0 else moved[1], c]
        sums = [moved[0], moved[0] + moved[1], moved[0] + moved[1] + moved[2]]
        return [
            jnp.tanh(matrix[i, 0] * a + matrix[i, 1] * b + matrix[i, 2] * c)
            + picked[i]
            + sums[i]
            + angles[i]
            + x[i] * size
            + known[i] * t
            + (b + c)
            for i in range(3)
        ]

    t, x = jnp.asarray(0.7), jnp.array([0.3, -0.2, 0.5])
    np.testing.assert_allclose(whole(t, x), jnp.stack(by_components(t, x)), rtol=1e-14)
    got = solution_series(whole, t, x, 6)
    expected = solution_series(lambda t, x: jnp.stack(by_components(t, x)), t, x, 6)
    np.testing.assert_allclose(jnp.stack(got), jnp.stack(expected), rtol=1e-12)


def kepler(t, x, p):
    cube = (x[0] ** 2 + x[1] ** 2) ** 1.5
    return x[2], x[3], -x[0] / cube, -x[1] / cube


def orbit(eccentricity=0.6):
    """An orbit of period 2 pi from its pericenter, where the speed is largest."""
    speed = ((1 + eccentricity) / (1 - eccentricity)) ** 0.5
    return jaxdyn.flow(kepler, {}, jnp.array([1 - eccentricity, 0.0, 0.0, speed]))


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_errors_of_fixed_steps_fall_with_the_order(order, x64):
    # x = 1 / (1 - t), whose terms are x (x h)^k: all of one sign, so that errors do not cancel.
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2,), {}, [1.0])
    n = {1: 400, 2: 200, 3: 80, 5: 20, 8: 16}[order]

    def error(n):
        end = jaxdyn.final_state(system, n_steps=n, dt=0.5 / n, method=jaxdyn.Taylor(order=order))
        return abs(float(end.x[0]) - 2.0)

    # The terms beyond the first one left out change a step's error by x h <= 0.05, several times over on the way.
    assert abs(math.log2(error(n) / error(2 * n)) - order) < 0.25


@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-12])
def test_the_error_is_that_of_the_tolerance(rtol, x64):
    end = jaxdyn.final_state(orbit(), t1=2 * np.pi, method=jaxdyn.Taylor(rtol=rtol))
    # Some twenty to thirty steps of at most rtol each, drawn apart by the shear of the orbits: 3 pi times the error of
    # the energy at the pericenter, whose gradient is 1/r^2 = 6; the rounding of as many steps.
    assert float(jnp.abs(end.x - orbit().x0).max()) < 30 * 60 * (rtol + 2e-16)


def test_the_state_of_high_precision_is_that_of_scipy(x64):
    system = jaxdyn.models.henon_heiles(dtype=jnp.float64).with_state(u=0.3062)
    end = jaxdyn.final_state(system, t1=50.0, method=jaxdyn.Taylor(rtol=1e-15))
    exact = solve_ivp(
        lambda t, x: [x[2], x[3], -x[0] - 2 * x[0] * x[1], -x[1] - x[0] ** 2 + x[1] ** 2],
        (0, 50.0),
        np.asarray(system.x0),
        "DOP853",
        rtol=1e-13,
        atol=1e-15,
    )
    np.testing.assert_allclose(end.x, exact.y[:, -1], atol=1e-11)  # some 500 steps of SciPy's, 1e-13 each


def test_saved_states_and_time_lie_on_the_solution(x64):
    system = jaxdyn.flow(lambda t, x, p: (3 * t**2, x[0]), {}, [1.0, 0.25])  # t^3, t^4 / 4 from t = 1
    times = np.array([1.0, 1.3, 1.30001, 4.0])
    run = jaxdyn.trajectory(system, t0=1.0, method=jaxdyn.Taylor(rtol=1e-3), save=jaxdyn.At(times))
    np.testing.assert_allclose(run.x, np.stack([times**3, times**4 / 4], axis=1), rtol=1e-14)  # exact to order 4
    back = jaxdyn.final_state(system.with_state(run.x[-1]), t0=4.0, t1=1.0, method=jaxdyn.Taylor(rtol=1e-9))
    np.testing.assert_allclose(back.x, [1.0, 0.25], rtol=0, atol=64 * 1e-15)


@pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)])
@pytest.mark.parametrize("method", [jaxdyn.Taylor(rtol=1e-9), jaxdyn.Taylor(order=5)])
def test_lanes_are_as_one_by_one(engine, method, x64):
    system = jaxdyn.models.lorenz63(dtype=jnp.float64)
    steps = {"t1": 0.5} if method.adaptive else {"n_steps": 50, "dt": 0.01}

    def end(rho):
        return jaxdyn.final_state(system.with_params(rho=rho), **steps, method=method).x

    values = jnp.array([10.0, 24.0, 28.0])
    one_by_one = jnp.stack([end(rho) for rho in values])
    np.testing.assert_allclose(jaxdyn.lanes(end, engine=engine)(values), one_by_one, rtol=1e-11)


def test_float32_keeps_to_its_tolerance():
    system = jaxdyn.models.lorenz63(dtype=jnp.float32)
    end = jaxdyn.final_state(system, t1=1.0, method=jaxdyn.Taylor(rtol=1e-6))
    exact = solve_ivp(
        lambda t, s: [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]],
        (0, 1.0),
        np.asarray(system.x0, float),
        "DOP853",
        rtol=1e-11,
    )
    # Twenty-odd steps of 1e-6 of states up to 30; a start near the origin grows by at most exp(12) in this time.
    distance = 25 * 1e-6 * float(np.abs(exact.y[:, -1]).max()) * 20
    assert float(np.abs(np.asarray(end.x) - exact.y[:, -1]).max()) < distance


def test_blow_up_ends_one_lane_and_no_other():
    system = jaxdyn.flow(lambda t, x, p: (x[0] ** 2,), {}, [1.0])  # 1 / (1/x0 - t)
    starts = jnp.array([0.1, 1.0, -1.0, jnp.nan, 0.2])

    def end(x0):
        return jaxdyn.final_state(system.with_state([x0]), t1=2.0, method=jaxdyn.Taylor(rtol=1e-6))

    for run in (jaxdyn.lanes(end)(starts), jax.vmap(end)(starts)):
        expected = [Status.OK, Status.STEP_LIMIT, Status.OK, Status.NON_FINITE, Status.OK]
        np.testing.assert_array_equal(run.status, expected)
        # Some ten steps of rtol, and of float32's rounding; errors grow with x squared, 1.6 times at most.
        np.testing.assert_allclose(run.x[jnp.array([0, 2, 4]), 0], [0.125, -1 / 3, 1 / 3], rtol=4e-5)
        assert np.isnan(run.x[1, 0])


def test_too_many_steps_are_told():
    run = jaxdyn.trajectory(orbit(), n_steps=4, dt=2.0, method=jaxdyn.Taylor(rtol=1e-5, max_steps=2))
    assert int(run.status) == Status.STEP_LIMIT
    assert np.isnan(run.x[1:]).all()


def test_an_equilibrium_and_a_start_at_zero_are_no_trouble():
    still = jaxdyn.flow(lambda t, x, p: -x, {}, [0.0, 0.0])
    end = jaxdyn.final_state(still, t1=1e6, method=jaxdyn.Taylor(rtol=1e-6))
    assert int(end.status) == Status.OK
    np.testing.assert_array_equal(end.x, 0)


def test_tolerances_differ_between_lanes_if_the_order_is_given(x64):
    def end(rtol):
        return jaxdyn.final_state(orbit(), t1=2 * np.pi, method=jaxdyn.Taylor(order=12, rtol=rtol)).x

    together = jaxdyn.lanes(end)(jnp.array([1e-3, 1e-9]))
    errors = np.abs(np.asarray(together) - np.asarray(orbit().x0)).max(1)
    assert errors[1] < 1e-3 * errors[0]


def test_derivatives_are_those_of_the_solution(x64):
    # x' = p x cos t has x = x0 exp(p sin t): derivatives with respect to p, to the start and to the end time.
    system = jaxdyn.flow(lambda t, x, p: p["p"] * x * jnp.cos(t), {"p": 0.7}, [1.2])

    def end(p, x0, t1, **how):
        run = jaxdyn.final_state(system.with_params(p=p).with_state([x0]), t1=t1, **how)
        return run.x[0]

    p, x0, t1 = 0.7, 1.2, 5.0
    x = x0 * np.exp(p * np.sin(t1))
    exact = [x * np.sin(t1), x / x0, p * x * np.cos(t1)]
    adaptive = jax.jacfwd(lambda *at: end(*at, method=jaxdyn.Taylor(rtol=1e-11)), argnums=(0, 1, 2))(p, x0, t1)
    np.testing.assert_allclose(adaptive, exact, rtol=1e-9)  # the derivative of a step errs as the step
    fixed = jax.grad(lambda p, x0: end(p, x0, t1, dt=0.1, method=jaxdyn.Taylor(order=12)), argnums=(0, 1))(p, x0)
    np.testing.assert_allclose(fixed, exact[:2], rtol=1e-9)


@pytest.mark.slow
def test_analyses_take_it_as_any_other_method(x64):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    settings = {"n_steps": 400, "dt": 0.5, "n_transient": 200}
    fine = jaxdyn.lyapunov_spectrum(neuron, **settings, method=jaxdyn.Taylor(rtol=1e-11))
    same = jaxdyn.lyapunov_spectrum(neuron, **settings, method=jaxdyn.Dopri8(rtol=1e-11))
    np.testing.assert_allclose(fine.exponents, same.exponents, atol=1e-8)


def test_what_depends_on_parameters_only_may_be_anything(x64):
    system = jaxdyn.flow(lambda t, x, p: jnp.where(p["a"] > 0, -jnp.abs(p["a"]), 1.0) * x, {"a": 0.5}, [1.0])
    end = jaxdyn.final_state(system, t1=2.0, method=jaxdyn.Taylor(rtol=1e-12))
    np.testing.assert_allclose(end.x, [np.exp(-1.0)], rtol=1e-12)


def run(field, **how):
    return jaxdyn.final_state(jaxdyn.flow(field, {}, [1.0]), t1=1.0, **how)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: run(lambda t, x, p: -jnp.abs(x), method=jaxdyn.Taylor(rtol=1e-6)), TypeError, "primitive 'abs'"),
        (lambda: run(lambda t, x, p: jnp.where(x > 1, -x, x), method=jaxdyn.Taylor(rtol=1e-6)), TypeError, "'gt'"),
        (lambda: run(lambda t, x, p: -x, method=jaxdyn.Taylor(order=3)), TypeError, "a flow needs its step"),
        (lambda: jaxdyn.Taylor(), TypeError, "needs its order"),
        (lambda: jax.jit(lambda r: jaxdyn.Taylor(rtol=r).rtol)(1e-6), TypeError, "needs its order"),
        (lambda: jaxdyn.Taylor(order=0), ValueError, "order of Taylor must be a whole number"),
        (lambda: jaxdyn.Taylor(order=1, rtol=1e-3), ValueError, "at least 2"),
        (lambda: jaxdyn.Taylor(atol=1e-3, order=5), TypeError, "needs rtol as well"),
        (lambda: jaxdyn.Taylor(rtol=-1.0), ValueError, "must be positive"),
    ],
)
def test_what_makes_no_sense_is_told(make, error, words):
    with pytest.raises(error, match=words):
        make()
