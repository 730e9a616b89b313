"""The engine of C programs: functions, types, control flow, derivatives, threads; and what is done without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from alone import once
from jax import lax

import jaxdyn
from jaxdyn import Native, lanes
from jaxdyn.engine import kernels, native_compiler

pytestmark = pytest.mark.skipif(native_compiler.unavailable() is not None, reason=str(native_compiler.unavailable()))

ENGINES = [Native(vectors=1), Native(vectors=2, threads=3), Native()]
SPREAD = np.concatenate([np.linspace(-8, 8, 401), np.geomspace(1e-30, 1e30, 121), -np.geomspace(1e-30, 1e30, 121)])
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5])
POSITIVE = SPREAD[SPREAD > 0]
SMALL = np.linspace(-1, 1, 301)
MODERATE = np.linspace(-80, 80, 4001)

UNARY = {
    "abs": (lax.abs, np.abs, SPREAD),
    "acos": (lax.acos, np.arccos, SMALL),
    "acosh": (lax.acosh, np.arccosh, POSITIVE[POSITIVE >= 1]),
    "asin": (lax.asin, np.arcsin, SMALL),
    "asinh": (lax.asinh, np.arcsinh, SPREAD),
    "atan": (lax.atan, np.arctan, SPREAD),
    "atanh": (lax.atanh, np.arctanh, SMALL[1:-1]),
    "cbrt": (lax.cbrt, np.cbrt, SPREAD),
    "ceil": (lax.ceil, np.ceil, SPREAD),
    "cos": (lax.cos, np.cos, SPREAD),
    "cosh": (lax.cosh, np.cosh, MODERATE),
    "erf": (lax.erf, scipy.special.erf, SPREAD),
    "erfc": (lax.erfc, scipy.special.erfc, SMALL),
    "exp": (lax.exp, np.exp, MODERATE),
    "exp2": (lax.exp2, np.exp2, MODERATE),
    "expm1": (lax.expm1, np.expm1, MODERATE),
    "floor": (lax.floor, np.floor, SPREAD),
    "is_finite": (lax.is_finite, np.isfinite, SPREAD),
    "log": (lax.log, np.log, POSITIVE),
    "log1p": (lax.log1p, np.log1p, SPREAD[SPREAD > -1]),
    "logistic": (lax.logistic, scipy.special.expit, MODERATE),
    "neg": (lax.neg, np.negative, SPREAD),
    "round": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), np.rint, SPREAD),
    "round away": (lambda x: lax.round(x), lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5), SPREAD),
    "rsqrt": (lax.rsqrt, lambda x: 1 / np.sqrt(x), POSITIVE),
    "sign": (lax.sign, np.sign, SPREAD),
    "sin": (lax.sin, np.sin, SPREAD),
    "sinh": (lax.sinh, np.sinh, MODERATE),
    "sqrt": (lax.sqrt, np.sqrt, POSITIVE),
    "tan": (lax.tan, np.tan, SMALL),
    "tanh": (lax.tanh, np.tanh, SPREAD),
    "square": (lax.square, np.square, SMALL),
    "fifth power": (lambda x: x**5, lambda x: x**5, SMALL),
    "power -3": (lambda x: x**-3, lambda x: x**-3.0, SMALL[SMALL != 0]),
    "divided by all lanes' number": (lambda x: x / 3, lambda x: x / 3, SPREAD),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_functions(name, dtype):
    """Vectorised functions of the C library are right within 4 roundings; formulas here add two."""
    ours, true, arguments = UNARY[name]
    with jax.enable_x64(True), np.errstate(all="ignore"):
        x = np.concatenate([arguments, EDGES]).astype(dtype)
        got, expected = once(ours)(jnp.asarray(x)), true(x.astype(np.float64))
        tiny = np.finfo(dtype).tiny if got.dtype.kind == "f" else 0
        np.testing.assert_allclose(got, expected.astype(got.dtype), rtol=6 * np.finfo(dtype).eps, atol=tiny)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["atan2", "max", "min", "pow", "rem", "nan first"])
def test_functions_of_two(name, dtype):
    functions = {
        "atan2": (lax.atan2, np.arctan2),
        "max": (lax.max, np.maximum),
        "min": (lax.min, np.minimum),
        "pow": (lax.pow, np.power),
        "rem": (lax.rem, np.fmod),
        "nan first": (lambda x, y: lax.clamp(jnp.zeros_like(x), x, y), lambda x, y: np.minimum(np.maximum(0, x), y)),
    }
    ours, true = functions[name]
    numbers = np.concatenate([np.linspace(-4, 4, 17), EDGES]).astype(dtype)
    x, y = (a.ravel() for a in np.meshgrid(numbers, numbers))
    with jax.enable_x64(True), np.errstate(all="ignore"):
        got, expected = once(ours)(jnp.asarray(x), jnp.asarray(y)), true(x, y)
    np.testing.assert_allclose(got, expected, rtol=6 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_exponents(dtype):
    """Of one lane and of all lanes; right within 4 roundings of the C library and one of the result."""
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        x, n = jnp.asarray(np.linspace(-2, 2, 41), dtype), jnp.arange(41, dtype=jnp.int32) - 20
        got = [once(lax.pow)(x, n), once(lambda x: lax.pow(x, jnp.int32(7)))(x), once(lambda n: lax.pow(x[5], n))(n)]
        numbers, powers = np.asarray(x, np.float64), np.asarray(n, np.float64)
        expected = [numbers**powers, numbers**7, numbers[5] ** powers]
    np.testing.assert_allclose(got, expected, rtol=6 * np.finfo(dtype).eps)


@pytest.mark.parametrize("new", ["int8", "uint8", "int32", "uint32", "int64", "bool", "float32"])
def test_conversions_are_those_of_xla(new):
    x = jnp.asarray(np.concatenate([SPREAD, EDGES]), "float32")
    with jax.enable_x64(True):
        got = once(lambda x: x.astype(new))(x)
        np.testing.assert_array_equal(got, np.asarray(jax.jit(lambda x: x.astype(new))(x)))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64", "bool"])
def test_whole_numbers_and_truth(dtype):
    with jax.enable_x64(True):
        x = jnp.arange(-100, 101).astype(dtype)
        y = x[::-1]

        def bits(x, y):
            chosen = jnp.where(x > y, x & y, ~(x ^ y)) | jnp.where(x == y, x, y)
            return chosen if dtype == "bool" else jnp.maximum(x * y - x, lax.sign(y)) + jnp.abs(chosen)

        np.testing.assert_array_equal(once(bits)(x, y), np.asarray(jax.jit(bits)(x, y)))


def all_kinds(x):
    """A loop within a loop, one left by each lane when it likes, a branch, rows in and out, backwards."""

    def step(carry, u):
        i, y, z = carry
        y, z = z, lax.fori_loop(0, 3, lambda _, v: 0.5 * v + u, y)
        z = lax.while_loop(lambda v: v < 1.0, lambda v: 1.7 * v + 0.1, z)
        z = lax.cond(i > 1, lambda: z, lambda: y - z)
        z = jnp.where(z > y, z, y + x[0])
        return (i + 1, y, z), (y, i, z > 1)

    return lax.scan(step, (jnp.int32(0), x[0], x[1]), (x[2:] * 0.3), reverse=True)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("n", [1, 100])
def test_control_flow(engine, n):
    x = jnp.linspace(0.1, 1.0, 6 * n).reshape(n, 6)
    told = jaxdyn.explain(all_kinds, x, engine=engine)
    assert isinstance(told.engine, Native) and told.why is None
    got, expected = lanes(all_kinds, engine=engine)(x), jax.jit(jax.vmap(all_kinds))(x)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        # Some thirty roundings, none of them enlarged much.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def end(I):
    system = jaxdyn.models.fitzhugh_nagumo(I=I)
    return jaxdyn.final_state(system, n_steps=200, dt=0.1).x


CURRENTS = jnp.linspace(0.0, 1.0, 3000)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_lane_does_not_feel_the_others(engine):
    """Bit for bit: wherever a lane stands, however many there are, whatever becomes of another one."""
    run = lanes(end, engine=engine)
    together = np.asarray(run(CURRENTS))
    np.testing.assert_array_equal(np.asarray(run(CURRENTS[1234:1235]))[0], together[1234])
    np.testing.assert_array_equal(np.asarray(run(CURRENTS[7:140])), together[7:140])
    spoilt = np.asarray(run(CURRENTS.at[50].set(jnp.nan)))
    assert np.isnan(spoilt[50]).all()
    np.testing.assert_array_equal(np.delete(spoilt, 50, 0), np.delete(together, 50, 0))


def test_threads_change_nothing():
    many = jnp.linspace(0.0, 1.0, 40_000)  # enough work for threads
    one, four = (np.asarray(lanes(end, engine=Native(threads=n))(many)) for n in (1, 4))
    np.testing.assert_array_equal(one, four)


def test_derivatives_and_transformations():
    run = lanes(end, engine=Native())
    few = CURRENTS[:5]
    tolerance = {"rtol": 1e-3, "atol": 1e-4}  # float32 over 200 steps, derivatives of order one
    expected = jax.vmap(jax.grad(lambda I: end(I).sum()))(few)
    np.testing.assert_allclose(jax.grad(lambda x: run(x).sum())(few), expected, **tolerance)
    np.testing.assert_allclose(jax.jvp(run, (few,), (jnp.ones(5),))[1].sum(-1), expected, **tolerance)
    np.testing.assert_allclose(lanes(jax.grad(lambda I: end(I).sum()), engine=Native())(few), expected, **tolerance)
    pairs = jnp.stack([few, few[::-1]])
    np.testing.assert_array_equal(jax.vmap(run)(pairs), jnp.stack([run(row) for row in pairs]))
    np.testing.assert_array_equal(jax.jit(run)(few), run(few))


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(kernels, "_warned", set())


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_xla_does_it(monkeypatch):
    monkeypatch.setattr(native_compiler, "unavailable", lambda: "there is no C compiler")

    def own(I):  # programs are kept by function
        return end(I)

    with pytest.warns(RuntimeWarning, match="engine Native falls back to Xla: there is no C compiler"):
        got = lanes(own, engine=Native())(CURRENTS)
    np.testing.assert_allclose(got, jax.jit(jax.vmap(end))(CURRENTS), rtol=1e-4, atol=1e-5)
    lanes(own)(CURRENTS)  # not asked for by name: no warning, which would be an error
    told = jaxdyn.explain(own, CURRENTS, engine=Native())
    assert isinstance(told.engine, jaxdyn.Xla) and "no C compiler" in str(told)


def test_a_compiler_is_looked_for_and_tried(monkeypatch):
    native_compiler._compiler.cache_clear(), native_compiler.unavailable.cache_clear()
    try:
        monkeypatch.setenv("CC", "")
        monkeypatch.setattr(native_compiler.shutil, "which", lambda name: None)
        assert "no C compiler" in native_compiler.unavailable()
        native_compiler._compiler.cache_clear(), native_compiler.unavailable.cache_clear()
        monkeypatch.setattr(native_compiler.shutil, "which", lambda name: "/bin/false")
        assert "/bin/false failed" in native_compiler.unavailable()
    finally:
        native_compiler._compiler.cache_clear(), native_compiler.unavailable.cache_clear()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "step",
    [
        lambda x: jnp.sort(jnp.stack([x, 1 - x]))[0],
        lambda x: x + (jnp.int32(10 * x) // 3).astype(x.dtype),
        lambda x: x + jax.random.normal(jax.random.key(0)),
        lambda x: (x.astype(jnp.bfloat16) + 1).astype(x.dtype),
    ],
)
def test_what_has_no_text_goes_through_xla_with_one_warning(step):
    def fn(x):
        return lax.fori_loop(0, 3, lambda i, y: 0.5 * step(y), x)

    with pytest.warns(RuntimeWarning, match="engine Native falls back to Xla"):
        got = lanes(fn, engine=Native())(CURRENTS)
    np.testing.assert_allclose(got, jax.jit(jax.vmap(fn))(CURRENTS), rtol=1e-6, atol=1e-6)
    assert jaxdyn.explain(fn, CURRENTS, engine=Native()).why


@pytest.mark.parametrize("engine", ENGINES)
def test_lanes_read_a_shared_number_before_it_changes(engine):
    """The iteration at which each lane was last positive: a number of all lanes, read where they differ."""

    def last(y):
        def step(carry, _):
            i, found = carry
            return (i + 1, jnp.where(y > 0, i, found)), None

        return lax.scan(step, (jnp.int32(0), jnp.int32(-5)), None, length=10)[0]

    def until(y):
        return lax.while_loop(lambda c: c[0] < 10, lambda c: (c[0] + 1, jnp.where(y > 0, c[0], c[1])), (0, -5))

    def branched(y):
        def step(carry, _):
            i, found = carry
            even = (i & 1) == 0
            return lax.cond(even, lambda: (i + 1, jnp.where(y > 0, i, found)), lambda: (i + 1, found)), None

        return lax.scan(step, (jnp.int32(0), jnp.int32(-5)), None, length=10)[0]

    y = jnp.array([1.0, -1.0, 2.0])
    for fn, expected in ((last, [9, -5, 9]), (until, [9, -5, 9]), (branched, [8, -5, 8])):
        i, found = lanes(fn, engine=engine)(y)
        assert i.tolist() == [10] * 3 and found.tolist() == expected


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])
def test_shifts(dtype, x64):
    """As XLA: by as many bits as there are, or more, nothing is left."""
    bits = 8 * np.dtype(dtype).itemsize
    x = np.random.default_rng(2).integers(0, 2**bits - 1, 3 * bits, dtype, endpoint=True)
    by = np.resize(np.arange(bits + 3), 3 * bits).astype(dtype)
    with np.errstate(all="ignore"):
        left, right = (np.where(by < bits, f(x, by % bits), 0) for f in (np.left_shift, np.right_shift))
    np.testing.assert_array_equal(once(lax.shift_left)(jnp.asarray(x), jnp.asarray(by)), left)
    np.testing.assert_array_equal(once(lax.shift_right_logical)(jnp.asarray(x), jnp.asarray(by)), right)


def test_shifts_that_c_does_in_another_way_are_left_to_xla():
    with pytest.raises(kernels.Unsupported, match=">> of int32"):
        once(lax.shift_right_logical)(np.arange(8, dtype=np.int32), np.ones(8, np.int32))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ["fitzhugh_nagumo", "van_der_pol", "logistic", "henon"])
def test_eight_vectors_of_a_small_system_equal_vmap(name, dtype, x64, monkeypatch):
    """Small systems in many lanes, of which the last block is filled up."""
    texts, begun = [], native_compiler.begun
    monkeypatch.setattr(native_compiler, "begun", lambda text, *rest: texts.append(text) or begun(text, *rest))
    system = jaxdyn.models.REGISTRY[name](dtype=dtype)
    step = {"n_steps": 4} if system.discrete else {"n_steps": 12, "dt": 0.05, "method": jaxdyn.RK4()}

    def last(x0):
        return jaxdyn.final_state(system.with_state(x0), **step).x

    moved = np.random.default_rng(0).uniform(-0.05, 0.05, (1031, system.dim))
    x0 = (np.asarray(system.x0)[None] + moved).astype(dtype)
    got, expected = lanes(last, engine=Native())(x0), jax.vmap(last)(x0)
    assert any(f"#define BLOCK {128 if dtype == jnp.float32 else 64}\n" in text for text in texts)
    # At most 20 roundings a step of numbers up to 3, which grow by at most 4 a step of a map, by e^3 along a flow.
    growth = 4**4 if system.discrete else np.exp(3)
    np.testing.assert_allclose(got, expected, rtol=0, atol=step["n_steps"] * 20 * 3 * np.finfo(dtype).eps * growth)
