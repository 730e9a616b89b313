"""Derivatives by hand that are wrong, and the check that finds them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import models
from jaxdyn.derivatives import with_jacobian, with_jvp

pytestmark = pytest.mark.usefixtures("x64")


def lorenz_transposed(t, s, p):
    x, y, z = s
    return (-p["sigma"], p["rho"] - z, y), (p["sigma"], -1, x), (0, -x, -p["beta"])


def henon_product(n, s, p, d):
    """With d y / d y = b, which is 0."""
    return -2 * p["a"] * s[0] * d[0] + d[1], p["b"] * (d[0] + d[1])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ["hodgkin_huxley", "lorenz96", "random_rnn", "mackey_glass", "two_learner_descent"])
def test_the_check_lets_right_ones_pass(name, dtype):
    """The automatic derivative itself, and the same in another order of operations: by reverse mode."""
    model = models.REGISTRY[name]
    system = model(dtype=dtype, **({"n": 12} if "n" in model.options else {}))
    with_jacobian(system, lambda t, x, p: jax.jacrev(lambda y: system.with_params(**p)(t, y))(x))
    with_jvp(system, lambda t, x, p, d: jax.jvp(lambda y: system.with_params(**p)(t, y), (x,), (d,))[1])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_wrong_ones_are_refused(dtype):
    with pytest.raises(
        ValueError, match=r"wrong in 6 of 9 entries.* d x / d y \(row 0, column 1\): got 19.9.*, exact 10 "
    ):
        with_jacobian(models.lorenz63(dtype=dtype), lorenz_transposed)
    with pytest.raises(
        ValueError, match=r"henon: .* wrong in 1 of 4 .* d y / d y \(row 1, column 1\): got 0.3, exact 0"
    ):
        with_jvp(models.henon(dtype=dtype), henon_product)


def test_wrong_only_away_from_the_start_or_later():
    """Right at a start of zeros, or at time 0, and at no other."""
    cubic = jaxdyn.flow(lambda t, x, p: -(x**3), {}, [0.0])
    with pytest.raises(ValueError, match="got -0"):
        with_jacobian(cubic, lambda t, x, p: -2 * jnp.diag(x**2))
    growing = jaxdyn.flow(lambda t, x, p: t * x, {}, [1.0])
    with pytest.raises(ValueError, match="at t = 2"):
        with_jacobian(growing, lambda t, x, p: jnp.zeros((1, 1)))
    nan = jaxdyn.iterated_map(lambda n, x, p: x / 2, {}, [1.0])
    with pytest.raises(ValueError, match="got nan"):
        with_jacobian(nan, lambda n, x, p: jnp.full((1, 1), jnp.nan))
    nowhere = jaxdyn.flow(lambda t, x, p: jnp.log(-1 - x**2), {}, [1.0])
    with pytest.raises(ValueError, match="not finite at the start nor near it"):
        with_jacobian(nowhere, lambda t, x, p: jnp.ones((1, 1)))


def test_traced_systems_are_not_compared():
    @jax.jit
    def jacobian(a):
        return jaxdyn.jacobian(with_jacobian(models.henon().with_params(a=a), lambda n, s, p: 7 * jnp.eye(2)))

    np.testing.assert_array_equal(jacobian(1.3), 7 * np.eye(2))

    known = models.henon()

    @jax.jit
    def inside(a):
        return a * jaxdyn.jacobian(with_jacobian(known, lambda n, s, p: 7 * jnp.eye(2)))

    with pytest.raises(ValueError, match="wrong in 4 of 4"):
        inside(1.0)


@pytest.mark.parametrize(
    ("wrap", "function", "error", "message"),
    [
        (
            with_jacobian,
            lambda t, x, p: jnp.eye(3),
            ValueError,
            r"henon: the Jacobian .* shape \(3, 3\), expected \(2, 2\)",
        ),
        (with_jvp, lambda t, x, p, d: jnp.eye(2), ValueError, r"henon: the product .* shape \(2, 2\), expected \(2,\)"),
        (with_jacobian, lambda t, x, p: jnp.eye(2, dtype=jnp.float32), TypeError, "is float32, the state float64"),
        (with_jvp, 3.0, TypeError, r"must be a function \(t, x, params, dx\), got float"),
        (with_jacobian, None, TypeError, r"must be a function \(t, x, params\), got NoneType"),
    ],
)
def test_wrong_functions_say_what_fits(wrap, function, error, message):
    with pytest.raises(error, match=message):
        wrap(models.henon(), function)  # type: ignore[arg-type]


def test_no_system():
    with pytest.raises(TypeError, match="expected a Flow or a Map, got function"):
        with_jacobian(henon_product, henon_product)  # type: ignore[arg-type]


def test_a_product_that_is_right_on_axes_only_is_refused():
    def push(n, x, p, dx):
        return -2 * p["a"] * x[0] * dx[0] + dx[1] + dx[0] * dx[1], p["b"] * dx[0]

    with pytest.raises(ValueError, match="not linear in the tangent vector"):
        with_jvp(models.henon(), push)
