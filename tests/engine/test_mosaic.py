"""The engine of GPU kernels on the CPU: the functions that Mosaic lacks, whole kernels interpreted, and lowered."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax import lax

import jaxdyn
from jaxdyn import Mosaic
from jaxdyn.engine import kernels, mosaic_kernel
from jaxdyn.engine.kernels import Unsupported
from jaxdyn.engine.mosaic import run_mosaic
from jaxdyn.engine.mosaic_functions import REWRITTEN
from jaxdyn.engine.values import Value

LANES = 200
SHORT = Mosaic(unroll=1, interpret=True)
WIDE = Mosaic(block=256, interpret=True)


def batched(function, engine):
    """Function of many lanes, first axis, by kernels and no other way."""

    @jax.jit
    def of_lanes(*arrays):
        n = len(arrays[0])
        closed, shape = jax.make_jaxpr(function, return_shape=True)(
            *(jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in arrays)
        )
        values = [Value.of_whole(n, jnp.moveaxis(array, 0, -1)) for array in arrays]
        results = [jnp.moveaxis(value.spread_whole(), -1, 0) for value in run_mosaic(engine, closed, values, n)]
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return of_lanes


def lowered(function, engine, *arrays):
    """Text of the program for a GPU."""
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    return batched(function, engine).trace(*shapes).lower(lowering_platforms=("cuda",)).as_text()


def parameters(n=LANES):
    return jnp.linspace(0.1, 1.3, n, dtype=jnp.float32)


def starts(dim, n=LANES):
    return jax.random.normal(jax.random.key(1), (n, dim), jnp.float32)


def neuron(current, x0):
    own = jaxdyn.models.fitzhugh_nagumo().with_params(I=current).with_state(x0)
    return jaxdyn.final_state(own, n_steps=5, dt=0.1)


def saved(rho, x0):
    own = jaxdyn.models.lorenz63().with_params(rho=20 * rho).with_state(x0)
    return jaxdyn.trajectory(own, n_steps=6, dt=0.01, save=jaxdyn.Every(3))


def exponents(current, x0):
    own = jaxdyn.models.fitzhugh_nagumo().with_params(I=current).with_state(x0)
    return jaxdyn.lyapunov_spectrum(own, n_steps=4, dt=0.1, n_transient=2).exponents


def halvings(x, _):
    """Steps that differ between lanes, and a counter of them."""
    return lax.while_loop(lambda c: c[0] > 0.2, lambda c: (c[0] * 0.5, c[1] + 1), (x, jnp.int32(0)))


def driven_backwards(x, _):
    """Input that all lanes share, results of each iteration, a truth value carried, and the last step first."""

    def step(carry, u):
        x, above, n = carry
        x = jnp.where(above, x - u, x + jnp.sqrt(jnp.abs(x)))
        return (x, x > 0.7, n + 1), (x, x > u, n)

    return lax.scan(step, (x, x > 1, jnp.int32(0)), jnp.linspace(0.0, 1.0, 7, dtype=jnp.float32), reverse=True)


def called_and_chosen(x, _):
    """Functions within the loop, also of numbers known before; and branches that all lanes take."""

    @jax.jit
    def inner(x, y):
        return jnp.sin(x) + y, 2 * y

    def step(i, x):
        x, y = inner(x, jnp.float32(3))
        x = 0.1 * x + y * jax.nn.relu(x) * jax.nn.relu(jnp.float32(0.1))
        return lax.switch(i % 3, [lambda x: x + 0.5, lambda x: x * 0.9, jnp.cos], x)

    return lax.fori_loop(0, 10, step, x)


PROGRAMS = {
    "neuron": (neuron, 2),
    "saved": (saved, 3),
    "exponents": (exponents, 2),
    "halvings": (halvings, 1),
    "driven_backwards": (driven_backwards, 1),
    "called_and_chosen": (called_and_chosen, 1),
}


CASES = [(name, SHORT) for name in PROGRAMS if name != "exponents"]
CASES += [(name, WIDE) for name in ("halvings", "driven_backwards", "called_and_chosen")]


@pytest.mark.parametrize(("name", "engine"), [*CASES, pytest.param("exponents", SHORT, marks=pytest.mark.slow)])
def test_kernels_give_what_vmap_gives(name, engine):
    function, dim = PROGRAMS[name]
    arrays = parameters(), starts(dim)
    got, expected = batched(function, engine)(*arrays), jax.jit(jax.vmap(function))(*arrays)
    # Products and sums in another order: some rounding errors, which these few steps do not amplify a hundredfold.
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_loop_is_lowered_to_one_kernel(name):
    function, dim = PROGRAMS[name]
    text = lowered(function, Mosaic(unroll=1), parameters(), starts(dim))
    assert text.count("mosaic_gpu_v2") == (2 if name == "exponents" else 1)
    assert "stablehlo.while" not in text


def test_derivatives_are_those_of_the_loop():
    arrays = parameters(5), starts(2, 5)
    for derivative in (jax.grad, jax.jacfwd):
        got, expected = (
            jax.jit(derivative(lambda *a, f=f: jnp.sum(f(*a).x), argnums=(0, 1)))(*arrays)
            for f in (batched(neuron, SHORT), jax.vmap(neuron))
        )
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)  # 20 stages, 1e-7 each, grow by some factor


def with_sort(x, _):
    return lax.fori_loop(0, 3, lambda i, v: jnp.sort(v) * 0.5, jnp.stack([x, -x]))


def with_noise(x, _):
    return lax.fori_loop(0, 3, lambda i, v: v + jax.random.normal(jax.random.fold_in(jax.random.key(0), i)), x)


def with_inner_results(x, _):
    def outer(x, _):
        x, ys = lax.scan(lambda c, _: (c * 0.5, c), x, None, length=4)
        return x + jnp.sum(ys), None

    return lax.scan(outer, x, None, length=3)[0]


@pytest.mark.parametrize("function", [with_sort, with_noise, with_inner_results])
def test_what_cannot_be_a_kernel_says_so_and_falls_back_with_one_warning(function, monkeypatch):
    monkeypatch.setattr(kernels, "_warned", set())
    arrays = parameters(), starts(1)
    with pytest.raises(Unsupported):
        batched(function, Mosaic(interpret=True))(*arrays)
    falling_back = jaxdyn.lanes(function, engine=Mosaic(interpret=True))
    with pytest.warns(RuntimeWarning, match="engine Mosaic falls back to Xla"):
        got = falling_back(*arrays)
    np.testing.assert_allclose(got, jax.vmap(function)(*arrays), rtol=1e-6)
    falling_back(*(array[:100] for array in arrays))  # traced again; a warning would be an error


def test_on_a_cpu_it_falls_back(monkeypatch):
    monkeypatch.setattr(kernels, "_warned", set())
    with pytest.warns(RuntimeWarning, match="run on GPUs, not on cpu"):
        got = jaxdyn.lanes(neuron, engine=Mosaic())(parameters(), starts(2))
    np.testing.assert_allclose(got.x, jax.vmap(neuron)(parameters(), starts(2)).x, rtol=1e-5, atol=1e-6)


def test_a_kernel_that_pallas_refuses_is_unsupported(monkeypatch):
    """Another release may lack what this one has: it is found while tracing, where XLA can still take over."""
    monkeypatch.setattr(mosaic_kernel, "NATIVE", mosaic_kernel.NATIVE | {"log1p"})
    monkeypatch.delitem(REWRITTEN, "log1p")
    with pytest.raises(Unsupported, match="log1p"):
        lowered(lambda x: lax.fori_loop(0, 3, lambda i, v: lax.log1p(v), x), Mosaic(), parameters())


EPS, BIG, TINY = (float(getattr(np.finfo(np.float32), name)) for name in ("eps", "max", "tiny"))
SPREAD = np.concatenate([np.linspace(-8, 8, 401), np.geomspace(1e-30, 1e30, 121), -np.geomspace(1e-30, 1e30, 121)])
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, BIG, -BIG, TINY])
SMALL = np.linspace(-1, 1, 301)

# Function, true function, arguments, and rounding errors: one each operation that the formula makes at most.
UNARY = {
    "acos": (np.arccos, SMALL, 8),
    "asin": (np.arcsin, SMALL, 8),
    "atan": (np.arctan, SPREAD, 2),
    "ceil": (np.ceil, SPREAD, 0),
    "cosh": (np.cosh, np.linspace(-80, 80, 301), 4),
    "expm1": (np.expm1, np.linspace(-80, 80, 4001), 4),
    "floor": (np.floor, SPREAD, 0),
    "is_finite": (np.isfinite, SPREAD, 0),
    "log1p": (np.log1p, np.concatenate([SPREAD[SPREAD > -1], np.linspace(-0.999, 1, 4001)]), 4),
    "logistic": (scipy.special.expit, np.linspace(-80, 80, 301), 4),
    "sinh": (np.sinh, np.linspace(-80, 80, 4001), 6),
    "sqrt": (np.sqrt, SPREAD[SPREAD > 0], 1),
    "tan": (np.tan, SMALL, 4),
}


@pytest.mark.parametrize("name", UNARY)
def test_rewritten_functions(name):
    true, arguments, roundings = UNARY[name]
    x = arguments.astype(np.float32)
    with np.errstate(all="ignore"):
        expected = true(x.astype(np.float64))
        edges = true(EDGES.astype(np.float32))
    got = np.asarray(jax.jit(REWRITTEN[name])(jnp.asarray(x)))
    # TINY: subnormal results may be flushed to zero.
    np.testing.assert_allclose(got, expected, rtol=roundings * EPS, atol=TINY if roundings else 0)
    if name not in ("tan", "acos", "asin"):  # beyond their arguments here
        got = np.asarray(jax.jit(REWRITTEN[name])(jnp.asarray(EDGES, jnp.float32)))
        np.testing.assert_allclose(got, edges, rtol=roundings * EPS, atol=TINY)


def test_a_root_is_right_to_the_last_bit_or_the_one_before_though_its_inverse_is_not(monkeypatch):
    """The hardware's 1 / sqrt(x) is off by up to 2^-22.9."""
    exact = lax.rsqrt
    x = jnp.asarray(SPREAD[SPREAD > 0], jnp.float32)
    for error in (2.0**-22.9, -(2.0**-22.9)):
        monkeypatch.setattr(lax, "rsqrt", lambda x, error=error: exact(x) * np.float32(1 + error))
        np.testing.assert_allclose(REWRITTEN["sqrt"](x), np.sqrt(np.asarray(x, np.float64)), rtol=1.01 * EPS)


EDGES_OF_POWER = [(0, 0), (0, 2), (0, -1), (1, np.inf), (np.inf, -1), (-2, 3), (-2, 0.5), (5, 0)]


def test_power():
    bases = np.concatenate([np.geomspace(1e-3, 1e3, 51), -np.geomspace(1e-3, 1e3, 51)])
    pairs = [(x, y) for x in bases for y in (-3, -2.5, -1, 0, 0.5, 1, 2, 2.5, 3, 4)]
    x, y = np.array(pairs + EDGES_OF_POWER, np.float32).T
    got = np.asarray(REWRITTEN["pow"](jnp.asarray(x), jnp.asarray(y)))
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
        roundings = 4 + 2 * np.abs(y * np.log(np.abs(x)))  # the error of the logarithm, and that of the product
    plain = np.isfinite(expected) & (expected != 0)
    np.testing.assert_array_equal(got[~plain], expected[~plain])
    relative = np.abs(got[plain] / expected[plain] - 1)
    assert np.all(relative <= np.where((y == 0) | (x == 1), 0, roundings)[plain] * EPS)


def test_remainder_is_exact_up_to_one_rounding_of_the_dividend():
    generator = np.random.default_rng(2)
    x = (generator.normal(size=2000) * 10 ** generator.uniform(-3, 4, 2000)).astype(np.float32)
    y = (generator.normal(size=2000) * 10 ** generator.uniform(-1, 1, 2000)).astype(np.float32)
    got = np.asarray(REWRITTEN["rem"](jnp.asarray(x), jnp.asarray(y)), np.float64)
    expected = np.fmod(x.astype(np.float64), y.astype(np.float64))
    # Near a multiple either side of the jump is right.
    apart = np.abs(got - expected)
    apart = np.minimum(apart, np.abs(np.abs(y.astype(np.float64)) - apart))
    assert np.all(apart <= 2 * EPS * np.abs(x))
    assert np.all(np.abs(got) <= np.abs(y)) and np.all(got * x >= 0)


@pytest.mark.parametrize("y", [-3, -1, 0, 1, 2, 5])
def test_whole_powers(y):
    x = jnp.asarray(SMALL[SMALL != 0], jnp.float32)
    got = REWRITTEN["integer_pow"](x, y=y)
    np.testing.assert_allclose(got, np.asarray(x, np.float64) ** y, rtol=6 * EPS)


def everything(x, y):
    """Each function that is rewritten, in one loop."""

    def step(i, x):
        unary = [jnp.arccos, jnp.arcsin, jnp.arctan, jnp.ceil, jnp.cosh, jnp.expm1, jnp.floor, jnp.log1p, jnp.sinh]
        unary += [jax.nn.sigmoid, jnp.sqrt, jnp.tan, lambda x: x**-2, lambda x: jnp.where(jnp.isfinite(x), x, 0.0)]
        terms = [f(x) for f in unary] + [jnp.fmod(x, y), lax.pow(x, y), (x > y).astype(x.dtype), jnp.ones_like(x)]
        return functools.reduce(operator.add, terms) * 0.01 + lax.convert_element_type(i, x.dtype) * 0.001

    return lax.fori_loop(0, 3, step, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_that_is_rewritten_runs_and_is_lowered(dtype):
    with jax.enable_x64(dtype == "float64"):
        arrays = parameters().astype(dtype), parameters()[::-1].astype(dtype)
        got, expected = batched(everything, Mosaic(unroll=2, interpret=True))(*arrays), jax.vmap(everything)(*arrays)
        assert got.dtype == dtype
        # Some twenty terms of at most eight rounding errors.
        np.testing.assert_allclose(got, expected, rtol=160 * np.finfo(dtype).eps)
        # Mosaic has no barrier for float64, so no expm1 and log1p.
        program = everything if dtype == "float32" else halvings
        assert lowered(program, Mosaic(unroll=1), *arrays).count("mosaic_gpu_v2") == 1
