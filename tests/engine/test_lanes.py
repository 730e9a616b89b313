"""`lanes` against `jax.vmap`, primitive by primitive and transformation by transformation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxdyn
from jaxdyn import Native, Xla, lanes

N = 5
ENGINES = [Xla(block=2), Xla(components=1), Xla(), Native(vectors=2, instead=Xla())]
"""Blocks that do not divide the lanes; arrays kept whole; all lanes at once; C."""

X = jnp.linspace(0.2, 1.7, N * 6).reshape(N, 6)


def assert_like_vmap(fn, *args, engine=None, in_axes=0, out_axes=0):
    """Equal to `jax.vmap` within a few roundings of each function's largest result."""
    got = lanes(fn, in_axes, out_axes, engine=engine)(*args)
    expected = jax.jit(jax.vmap(fn, in_axes, out_axes))(*args)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind in "fc":
            size = np.max(np.abs(b), where=np.isfinite(b), initial=1e-30)
            np.testing.assert_allclose(a, b, rtol=0, atol=64 * np.finfo(a.dtype).eps * size)
        else:
            np.testing.assert_array_equal(a, b)


MATRIX = jnp.arange(12.0).reshape(2, 6) / 7

PRIMITIVES = {
    "elementwise": lambda x: jnp.tanh(x) * jnp.exp(-x) + x**3 - lax.rsqrt(x) + jnp.where(x > 1, x, -x),
    "reshape": lambda x: x.reshape(2, 3).T,
    "slice": lambda x: (x[1:5:2], x[2], x[-1:]),
    "concatenate": lambda x: jnp.concatenate([x[:2], x[4:], jnp.ones(1)]),
    "stack": lambda x: jnp.stack([x, jnp.zeros(6), 2 * x], axis=1),
    "broadcast": lambda x: x[:, None] + x[None, :],
    "reverse": lambda x: jnp.flip(x),
    "pad": lambda x: jnp.pad(x, (1, 2), constant_values=3.0),
    "split": lambda x: jnp.split(x.reshape(2, 3), 3, axis=1),
    "roll": lambda x: jnp.roll(x, 2),
    "sum": lambda x: (x.sum(), x.reshape(2, 3).sum(axis=0), x.reshape(2, 3).prod(axis=1)),
    "extremes": lambda x: (x.max(), x.min(), jnp.argmax(jnp.sin(4 * x)), jnp.argmin(jnp.sin(4 * x))),
    "logic": lambda x: (jnp.any(x > 1.5), jnp.all(x > 0), jnp.logical_xor(x > 1, x < 0.5)),
    "cumulative": lambda x: (jnp.cumsum(x), jnp.cumprod(x.reshape(2, 3), axis=0), lax.cummax(x, reverse=True)),
    "gather": lambda x: x[jnp.array([4, 0, 0, 3])],
    "gather by lane": lambda x: x[jnp.argsort(jnp.sin(9 * x))],
    "scatter": lambda x: x.at[jnp.array([1, 3])].set(x[:2]),
    "scatter add": lambda x: x.at[2].add(x[0]),
    "dynamic slice by lane": lambda x: lax.dynamic_slice(x, (jnp.int32(x[0] * 2),), (2,)),
    "dynamic update": lambda x: lax.dynamic_update_slice(x, x[:2], (3,)),
    "shared matrix": lambda x: MATRIX @ x,
    "matrix of a lane": lambda x: x.reshape(3, 2) @ x.reshape(2, 3),
    "outer": lambda x: jnp.einsum("i,j->ij", x[:2], x[3:]),
    "batched product": lambda x: jnp.einsum("bij,bj->bi", x[:4].reshape(1, 2, 2), x[:2].reshape(1, 2)),
    "large product": lambda x: jnp.outer(x, jnp.arange(20.0)) @ jnp.ones((20, 3)) + x[:, None],
    "two large": lambda x: jnp.outer(jnp.arange(12.0), x) @ jnp.outer(x, jnp.arange(12.0)),
    "sort": lambda x: jnp.sort(jnp.sin(9 * x)),
    "qr": lambda x: jnp.abs(jnp.linalg.qr(x.reshape(3, 2))[1]),
    "jacobian": lambda x: jax.jacfwd(lambda y: jnp.stack([y[0] * y[1], jnp.sin(y[2])]))(x),
    "hessian": lambda x: jax.hessian(lambda y: jnp.sum(y[:2] ** 3) * y[2])(x[:3]),
    "constant": lambda x: (jnp.arange(3), jnp.ones(2), x),
    "float16": lambda x: (x.astype(jnp.bfloat16) + 1).astype(jnp.float32),
    "integers": lambda x: (lax.population_count(jnp.int32(8 * x)), jnp.int32(8 * x) // 3),
    "complex": lambda x: jnp.abs(lax.complex(x, 2 * x) * lax.complex(x[:1], x[1:2])),
    "relu": lambda x: jax.nn.relu(x - 1),
    "nested lanes": lambda x: lanes(lambda y: y * x[0] + jnp.sum(x))(x),
    "nested vmap": lambda x: jax.vmap(lambda y: jnp.stack([y, y * x[1]]))(x),
}


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_equal_vmap(name, engine):
    assert_like_vmap(PRIMITIVES[name], X, engine=engine)


def scanned(x):
    """A loop with a counter that no lane changes, a state, and everything seen on the way."""

    def step(carry, u):
        i, y = carry
        y = jnp.sin(y + u) + 0.1 * lax.convert_element_type(i, y.dtype)
        return (i + 1, y), (y[:2], i)

    return lax.scan(step, (jnp.int32(0), x), jnp.arange(4.0))


def scanned_backwards_over_a_lane_s_inputs(x):
    return lax.scan(lambda c, u: (c + u * x[0], (c, u)), x[0] * 0, x, reverse=True)


def until(x):
    """Another number of rounds in each lane."""
    return lax.while_loop(lambda c: c[1] < 3.0, lambda c: (c[0] + 1, c[1] + x[0]), (0, x[0]))


def until_together(x):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x), (0, x))


def branch_of_a_lane(x):
    return lax.switch(jnp.int32(x[0] * 3), [lambda y: y, lambda y: -y, lambda y: y[::-1]], x)


def branch_of_all(x):
    return lax.cond(jnp.sum(MATRIX) > 0, lambda y: y * 2, lambda y: y, x)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize(
    "fn",
    [scanned, scanned_backwards_over_a_lane_s_inputs, until, until_together, branch_of_a_lane, branch_of_all],
    ids=lambda fn: fn.__name__,
)
def test_control_flow_equals_vmap(fn, engine):
    assert_like_vmap(fn, X, engine=engine)


def test_loop_over_many_inputs_and_large_arrays():
    inputs = jnp.linspace(0, 1, N * 200).reshape(N, 200)
    assert_like_vmap(lambda u: lax.scan(lambda c, v: (0.9 * c + v, c), u[0], u), inputs)
    assert_like_vmap(lambda u: lax.fori_loop(0, 3, lambda _, c: jnp.sin(c) + u[0], u), inputs)


@pytest.mark.parametrize("engine", [None, *ENGINES], ids=str)
@pytest.mark.parametrize("n", [1, 2, 127, 129, 1000])
def test_any_number_of_lanes(n, engine):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    assert_like_vmap(
        lambda I: jaxdyn.trajectory(neuron.with_params(I=I), n_steps=20, dt=0.1, save=jaxdyn.Every(10)),
        jnp.linspace(0.0, 1.0, n),
        engine=engine,
    )


def test_no_lanes_at_all():
    assert lanes(lambda x: jnp.stack([x, x]))(jnp.zeros(0)).shape == (0, 2)


@pytest.mark.parametrize("engine", [None, Xla(block=2)], ids=str)
def test_axes(engine):
    check = functools.partial(assert_like_vmap, engine=engine)
    check(lambda x, y: x * y, X, jnp.ones(6), in_axes=(0, None))
    check(lambda x: x[0] + 1, X, in_axes=-1, out_axes=0)
    check(
        lambda p: (p["a"] + p["b"], p["b"]),
        {"a": X, "b": jnp.ones(6)},
        in_axes=({"a": 0, "b": None},),
        out_axes=(1, None),
    )
    check(lambda x: jnp.stack([x, x]), X, out_axes=2)
    check(lambda x, s: x * s, X, 3, in_axes=(0, None))
    got = lanes(lambda x, *, scale: x * scale, engine=engine)(X, scale=jnp.arange(5.0))
    np.testing.assert_allclose(got, X * jnp.arange(5.0)[:, None], rtol=1e-6)


def test_arguments_that_are_no_arrays_are_passed_on():
    assert lanes(lambda x, f: f(x), in_axes=(0, None))(jnp.arange(3.0), jnp.cos).shape == (3,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lanes(3), "function of one lane, got int"),
        (lambda: lanes(jnp.sin, engine="fast"), "engine must be"),
        (lambda: lanes(jnp.sin, engine=Xla(block=0)), "block of engine"),
        (lambda: lanes(jnp.sin)(1.0), "no axis 0 of lanes"),
        (lambda: lanes(jnp.sin, in_axes=None)(X), "no argument has lanes"),
        (lambda: lanes(jnp.add)(jnp.ones(3), jnp.ones(4)), "3 lanes .* 4 lanes"),
        (lambda: lanes(jnp.add, in_axes=(0,))(jnp.ones(3), jnp.ones(3)), "in_axes has 1 entries for 2"),
        (lambda: lanes(jnp.sin, out_axes=None, engine=Xla())(X), "differs between lanes"),
        (lambda: lanes(jnp.sin, in_axes=0.5)(X), "whole numbers or None"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def end(x):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    return jaxdyn.final_state(neuron.with_state(x[:2]).with_params(I=x[2]), n_steps=8, dt=0.1).x


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("engine", [None, Xla(block=2)], ids=str)
def test_derivatives_outside(engine, called_before, x64):
    x = jnp.linspace(0.2, 1.7, N * 3).reshape(N, 3)
    batched, plain = lanes(end, engine=engine), jax.vmap(end)
    if called_before:  # its compiled program is at hand
        batched(x)
    for derivative in (
        lambda f: jax.jvp(f, (x,), (jnp.cos(x),)),
        lambda f: jax.grad(lambda y: jnp.sum(f(y) ** 2))(x),
        lambda f: jax.jacfwd(f)(x[:2]),
        lambda f: jax.vmap(f)(jnp.stack([x, 2 * x])),
        lambda f: jax.jit(f)(x),
        lambda f: jax.jvp(jax.grad(lambda y: jnp.sum(f(y) ** 2)), (x,), (jnp.cos(x),)),
    ):
        for a, b in zip(jax.tree.leaves(derivative(batched)), jax.tree.leaves(derivative(plain)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_a_function_that_closes_over_what_is_differentiated():
    slope = jax.grad(lambda a: jnp.sum(lanes(lambda x: a * x)(jnp.arange(3.0))))(2.0)
    assert float(slope) == 3.0


def test_rules_of_derivatives_are_kept():
    @jax.custom_jvp
    def marked(x):
        return x * 2

    marked.defjvp(lambda primals, tangents: (marked(primals[0]), 100 * tangents[0]))
    for engine in ENGINES:
        _, slope = jax.jvp(lanes(lambda x: marked(x[:2]), engine=engine), (X,), (jnp.ones_like(X),))
        np.testing.assert_array_equal(slope, 100 * jnp.ones((N, 2)))


def test_random_numbers_of_a_key_per_lane():
    keys = jax.random.split(jax.random.key(0), N)
    assert_like_vmap(lambda k: jax.random.normal(jax.random.fold_in(k, 3), (2,)), keys, engine=Xla(block=2))

    def walk(key):
        def step(carry, i):
            return carry + jax.random.uniform(jax.random.fold_in(key, i)), None

        return lax.scan(step, 0.0, jnp.arange(4))[0]

    assert_like_vmap(walk, keys, engine=Xla(block=2))


def test_nan_in_one_lane_leaves_the_others_bit_identical():
    lorenz = jaxdyn.models.lorenz63()

    def spectrum(rho):
        return jaxdyn.lyapunov_spectrum(lorenz.with_params(rho=rho), n_steps=40, n_transient=20, dt=0.01)

    rho = jnp.linspace(20.0, 40.0, 300)
    batched = lanes(spectrum)
    whole, broken = batched(rho), batched(rho.at[7].set(jnp.nan))
    others = np.arange(300) != 7
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(broken), strict=True):
        np.testing.assert_array_equal(np.asarray(a)[others], np.asarray(b)[others])
    assert broken.status[7] == jaxdyn.Status.NON_FINITE


def test_a_lane_does_not_depend_on_its_company():
    batched = lanes(end, engine=Xla(block=64))
    x = jnp.linspace(0.2, 1.7, 3 * 200).reshape(200, 3)
    np.testing.assert_array_equal(batched(x)[:70], batched(jnp.concatenate([x[:70], x[:130]]))[:70])
