"""What was once wrong in the engine: each case against `jax.vmap`, in every way of running it."""

import gc
import warnings
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import io_callback

import jaxdyn
from jaxdyn import Mosaic, Native, Vmap, Xla, lanes

ENGINES = [Xla(), Xla(block=16), Xla(components=1), Native(instead=Xla())]
X = np.random.default_rng(0).standard_normal((37, 6)).astype(np.float32)
INTEGERS = np.arange(37 * 6, dtype=np.int32).reshape(37, 6) * 3


def same(function, *arguments, engine, **options):
    expected = jax.tree.leaves(jax.vmap(function, **options)(*arguments))
    found = jax.tree.leaves(lanes(function, **options, engine=engine)(*arguments))
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        # One to six products of numbers of size 1 to 100, in any order.
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (lambda x: x.reshape(3, 2).ravel(order="F"), X),
        (lambda x: jnp.tile(x, 20).reshape(40, 3).ravel(order="F"), X),
        (lambda x: x.at[2].apply(lambda v: v * 2), INTEGERS),
        (lambda x: x.at[2].apply(jnp.sin), X),
        (lambda x: lax.dot(x, x, preferred_element_type=jnp.int32), np.full((37, 3), 100, np.int8)),
        (lambda x: jnp.dot(x > 0, x > 1), X),
        (lambda x: (x > 0)[:, None] @ (x > 1)[None, :], X),
        (lambda x: lax.bitcast_convert_type(x, jnp.uint8), X),
        (lambda x: lax.bitcast_convert_type(x[0], jnp.uint8), X),
        (lambda x: lax.bitcast_convert_type(x, jnp.int32), X),
        (lambda x: (x, x.sum(), x[:0]), np.zeros((37, 0), np.float32)),
        (lambda x: lax.scan(lambda c, _: (c + 1, c), x, None, length=0), X),
        (lambda x: x[:0].sum() + x, X),
    ],
)
def test_equal_to_vmap(function, argument, engine):
    with jax.numpy_dtype_promotion("standard"):
        same(function, argument, engine=engine)


def test_wide_sums_of_narrow_numbers():
    """Sums of 64 squares in bfloat16 (8 bits) would be wrong in the second digit."""
    x = jnp.full((5, 64), 1.01, jnp.bfloat16)
    for engine in ENGINES:
        same(lambda x: lax.dot(x, x, preferred_element_type=jnp.float32), x, engine=engine)


@pytest.mark.parametrize("engine", [Xla(block=2), Xla(block=3)])
def test_lanes_that_fill_up_a_block_have_no_derivative(engine):
    slopes = jax.grad(lambda x: lanes(jnp.sqrt, engine=engine)(x).sum())(jnp.array([1.0, 1.0, 4.0, 0.0]))
    np.testing.assert_array_equal(slopes, [0.5, 0.5, 0.25, np.inf])


def test_a_swept_parameter_that_the_equations_do_not_use():
    still = jaxdyn.flow(lambda t, x, p: -x, {"a": 1.0}, [1.0, 2.0])
    for engine in (None, Xla()):
        cells = jaxdyn.sweep(
            lambda s: jaxdyn.final_state(s, n_steps=1000, dt=0.01), still, {"a": np.linspace(0, 1, 300)}, engine=engine
        )
        # exp(-10) after a thousand steps, each rounded, with RK4's error of 1e-8.
        np.testing.assert_allclose(cells.x, np.exp(-10) * np.array([[1, 2]] * 300), rtol=1e-4)
    spectra = lanes(
        lambda a: jaxdyn.lyapunov_spectrum(still.with_params(a=a), n_steps=100, dt=0.01).exponents, engine=Xla()
    )(jnp.ones(40))
    np.testing.assert_allclose(spectra, -1, rtol=1e-4)


@jax.custom_jvp
def pair(x, s):
    return x * 2, s * 3


pair.defjvp(lambda primals, tangents: (pair(*primals), (tangents[0] * 2 + tangents[1], tangents[1] * 3)))


@pytest.mark.parametrize("engine", ENGINES)
def test_results_of_a_custom_derivative_that_are_shared(engine):
    same(lambda x: pair(x, jnp.ones(6)), X, engine=engine)
    same(lambda x: lax.fori_loop(0, 3, lambda _, c: pair(*c), (x, jnp.ones(6))), X, engine=engine)
    same(lambda x: jax.jvp(lambda y: pair(y, jnp.ones(6)), (x,), (x,)), X, engine=engine)


def test_what_calls_back_to_python_runs_once_a_lane():
    for engine in (None, *ENGINES):
        calls = []

        def noted(value, calls=calls):
            calls.append(value)
            return np.float32(len(calls))

        shape = jax.ShapeDtypeStruct((), np.float32)
        batched = lanes(lambda x, f=noted, s=shape: io_callback(f, s, x) + x, engine=engine)
        assert np.isfinite(batched(jnp.ones(300))).all()
        assert len(calls) == 300
        batched(jnp.ones(300)).block_until_ready()
        assert len(calls) == 600


def test_the_axis_of_an_outer_vmap():
    function = jax.vmap(
        lambda x: lanes(lambda y: y + lax.axis_index("i").astype(float), engine=Xla())(x), axis_name="i"
    )
    np.testing.assert_array_equal(function(jnp.zeros((3, 4))), np.repeat(np.arange(3.0)[:, None], 4, 1))


def test_a_shared_array_as_long_as_the_lanes_of_a_kernel():
    heavy = np.zeros(256, np.float32)
    heavy[0] = 1

    def counted(x):
        def step(_, carry):
            n, least = carry
            return jnp.where(jnp.any(jnp.asarray(heavy) > least), n + 1, n - 1), least + 0.2

        return lax.fori_loop(0, 2, step, (x, 0.0))[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may say, once, that it falls back
        np.testing.assert_array_equal(lanes(counted, engine=Mosaic(interpret=True))(jnp.zeros(256)), 2)


def test_pieces_within_pieces_end():
    def inner(x):
        return lax.fori_loop(0, 10, lambda _, c: c + 1, x)

    def outer(x):
        def host(v):
            return np.asarray(lanes(inner, engine=Xla(threads=2))(jnp.zeros(600))[0] + v)

        return jax.pure_callback(host, jax.ShapeDtypeStruct((), np.float32), x, vmap_method="sequential")

    np.testing.assert_array_equal(lanes(outer, engine=Xla(threads=2))(jnp.zeros(600)), 10)


def test_arguments_that_are_no_arrays():
    found = lanes(lambda x, t: x.astype(t), in_axes=(0, None), engine=Xla())(X, jnp.float16)
    assert found.dtype == np.float16
    told = jaxdyn.explain(lambda x, name: x + len(name), X, "abc", in_axes=(0, None), engine=Xla())
    assert told.n_lanes == 37
    for wrong in (0.5, True):
        with pytest.raises(TypeError, match="out_axes must hold whole numbers or None"):
            lanes(jnp.sin, out_axes=wrong, engine=Xla())(X)
    with pytest.raises(TypeError, match="function of one lane"):
        jaxdyn.explain(3, X)
    for block in (100, None):
        with pytest.raises(ValueError, match="block"):
            lanes(jnp.sin, engine=Mosaic(block=block))
    assert jaxdyn.explain(lambda x: jax.pure_callback(np.sin, x, x, vmap_method="expand_dims"), X).engine == Vmap()


@pytest.mark.parametrize("engine", [None, Xla(), Xla(threads=2), Native(instead=Xla()), Vmap()])
def test_functions_are_not_kept_alive(engine):
    """Nor what they close over: a loop over new functions would fill the memory."""

    def used_once(i):
        function = lambda x: lax.fori_loop(0, 3, lambda _, c: c + i, x)  # noqa: E731
        assert lanes(function, engine=engine)(jnp.zeros(600))[-1] == 3 * i
        lanes(function, engine=engine)(jnp.zeros(6))
        jax.jit(lanes(function, engine=engine))(jnp.zeros(6))
        return weakref.ref(function)

    alive = [used_once(i) for i in range(3)]
    gc.collect()
    assert [reference() for reference in alive] == [None] * 3


def test_programs_are_kept_as_long_as_the_function(monkeypatch):
    traces = []

    def function(x):
        traces.append(None)
        return x + 1

    for _ in range(3):
        lanes(function)(jnp.zeros(5))
    assert len(traces) == 1
