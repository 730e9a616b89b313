"""What `lanes` makes of a function: how often it is traced, what of it is left out or computed beforehand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxdyn
from jaxdyn import Xla, lanes
from jaxdyn.engine.call import key_of
from jaxdyn.engine.folding import folded


@pytest.mark.parametrize("engine", [None, Xla()], ids=str)
def test_the_same_function_is_traced_once(engine):
    traces = []

    def fn(x):
        traces.append(None)
        return x + 1

    for _ in range(3):
        lanes(fn, engine=engine)(jnp.arange(5.0))
    assert len(traces) == 1


def test_calls_are_known_by_their_arrays_and_never_while_they_are_traced():
    def key(*args, **kwargs):
        return key_of(args, kwargs)[0]

    x, twice = jnp.arange(3.0), jnp.arange(6.0)
    assert key(x) == key(x + 1) != key(twice)
    assert key(x) != key(x.astype(jnp.float16)) and key(x) != key(x, x)
    assert len({key(x, twice), key([x, twice]), key(x, y=twice), key({"x": x, "y": twice})}) == 4
    assert key(np.arange(3.0)) == key(np.ones(3)) != key(np.ones(3, np.float32))
    assert key(x, 1.0) is None
    seen = []

    def look(y):
        seen.append(key(y))
        return jnp.sum(y)

    for transformed in (jax.jit(look), jax.grad(look), jax.vmap(look)):
        transformed(twice.reshape(2, 3))
    assert seen == [None, None, None]


def test_what_no_result_needs_is_left_out():
    """A loop whose test looks at a lane's number for nothing: XLA:CPU would end the process over it."""

    def run(a, shared):
        def test(carry):
            jnp.where(shared > 0, shared, carry[1])
            return carry[0] < 5

        return lax.while_loop(test, lambda carry: (carry[0] + 1, a), (jnp.int32(0), shared))

    a, shared = jnp.arange(5.0), jnp.float32(2)
    for engine in (jaxdyn.Xla(), None):
        i, x = lanes(run, in_axes=(0, None), engine=engine)(a, shared)
        assert i.tolist() == [5] * 5 and x.tolist() == a.tolist()


@pytest.mark.parametrize("outer", [False, True])
def test_fields_in_loops_that_end_by_a_test(outer):
    """XLA:CPU would end the process over such a loop if its field were a function of its own."""
    neuron = jaxdyn.models.fitzhugh_nagumo()

    def ends(v):
        def once(x):
            x = x + 0.1 * neuron(0.0, x) + 0.05 * neuron(0.0, 2 * x)
            return x

        def settled(x):
            return lax.while_loop(lambda c: (c[0] < 40) & (c[1][0] < 1), lambda c: (c[0] + 1, once(c[1])), (0, x))[1]

        x = jnp.stack([v, jnp.float32(0)])
        return lax.fori_loop(0, 3, lambda i, x: settled(once(x)), x) if outer else settled(x)

    v = jnp.linspace(-1, 0.5, 6)
    expected = jax.vmap(ends)(v)
    for engine in (Xla(), Xla(block=2)):
        np.testing.assert_allclose(lanes(ends, engine=engine)(v), expected, rtol=1e-4, atol=1e-5)


WORDS = np.array([[-(2**31), -7, 0], [5, 2**31 - 1, 3]], np.int32)
SMALL = np.array([[200, 3, 255], [0, 90, 1]], np.uint8)
TRUE = WORDS > 0

KNOWN = {
    "arithmetic that wraps around": (lambda x: [x + x, x - 9, x * x, -9 - x], WORDS),
    "unsigned": (lambda x: [x + x, x - 201, x * x, lax.max(x, x[::-1]), lax.min(x, x[::-1])], SMALL),
    "comparisons": (lambda x: [x < 3, x <= 3, x > 3, x >= 3, x == 3, x != 3], WORDS),
    "bits": (lambda x: [x & 6, x | 6, x ^ 6, ~x], WORDS),
    "truth": (lambda x: [~x, x & x[::-1], x | x[::-1], lax.select(x, WORDS, SMALL.astype(np.int32))], TRUE),
    "types": (lambda x: [x.astype(np.int8), x.astype(np.uint32), x.astype(bool)], WORDS),
    "moves": (lambda x: [x.T, x.reshape(3, 2), x[:, 1:], x[::-1], jnp.concatenate([x, x], 1), x[0, None]], WORDS),
    "a piece near the end": (
        lambda x: [lax.dynamic_slice(x, (1, 2), (1, 2)), lax.dynamic_slice(x, (-9, 0), (1, 3))],
        WORDS,
    ),
    "counting": (lambda x: [lax.broadcasted_iota(np.int32, (2, 3), 1) + x], WORDS),
}


def results_by_numpy(function, x):
    """Results of a function, each of its equations by NumPy, and the names of those that it leaves to XLA."""
    closed = jax.make_jaxpr(function)(x)
    values = dict(zip(closed.jaxpr.constvars, map(np.asarray, closed.consts), strict=True)) | {
        closed.jaxpr.invars[0]: x
    }

    def read(v):
        return np.asarray(v.val, v.aval.dtype) if hasattr(v, "val") else values[v]

    left = []
    for equation in closed.jaxpr.eqns:
        results = folded(equation, [read(v) for v in equation.invars])
        if results is None:
            left.append(equation.primitive.name)
            results = [np.asarray(equation.primitive.bind(*map(read, equation.invars), **equation.params))]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(v) for v in closed.jaxpr.outvars], left


@pytest.mark.parametrize("name", KNOWN)
def test_known_integers_are_computed_as_by_xla(name):
    function, x = KNOWN[name]
    got, left = results_by_numpy(function, x)
    assert not left
    for a, b in zip(got, function(jnp.asarray(x)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_numbers_that_are_no_integers_are_left_to_xla():
    _, left = results_by_numpy(lambda x: [x + 1.0, lax.exp(x)], np.ones((1, 1), np.float32))
    assert left == ["add", "exp"]
