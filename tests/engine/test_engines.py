"""How the engine of a function is chosen, explained, and given up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxdyn
from jaxdyn import Native, Vmap, Xla, lanes
from jaxdyn.engine import engines, native_compiler


def test_explain_tells_what_falls_back():
    told = jaxdyn.explain(lambda x: jnp.sort(x) + 1, jnp.ones((5, 6)), engine=Xla())
    assert told.fallbacks == {"sort": 1} and told.equations == 6 and told.n_lanes == 5
    assert "sort" in str(told) and "Xla" in str(told)


@pytest.mark.parametrize("compiler", [True, False])
def test_engines_are_chosen_by_what_a_function_holds(compiler, monkeypatch):
    if compiler and native_compiler.unavailable():
        pytest.skip(native_compiler.unavailable())
    monkeypatch.setattr(native_compiler, "unavailable", lambda: None if compiler else "there is no C compiler")

    def chosen(fn, *shape):
        return jaxdyn.explain(fn, jax.ShapeDtypeStruct(shape, jnp.float32)).engine

    def repeated(step):
        return lambda x: lax.fori_loop(0, 900, lambda _, c: step(c), x)

    many = 2000
    assert isinstance(chosen(repeated(end_of_two), many, 3), Native if compiler else Xla)
    assert chosen(repeated(end_of_two), 10, 3) == Vmap()  # over before compiling pays
    assert chosen(repeated(lambda c: c + c), many, 3) == Vmap()  # three sums in an iteration: so is this
    assert chosen(lambda x: x + 1, many, 3) == Vmap()  # no loop
    assert chosen(repeated(jnp.sort), many, 3) == Vmap()
    at_once = Xla(block=many, components=1)  # one product for all lanes
    assert chosen(repeated(lambda c: jnp.eye(200) @ c), many, 200) == at_once
    assert chosen(repeated(lambda c: jnp.eye(100) @ c), many, 100) == Vmap()  # too small for that
    assert chosen(repeated(lambda c: jnp.outer(c, c) @ c), many, 100) == Vmap()  # products of their own
    assert chosen(repeated(lambda c: jnp.eye(100) @ jnp.outer(c, c) @ c), many, 100) == at_once  # few of these
    assert chosen(repeated(lambda c: jnp.outer(c, c) @ (jnp.eye(200) @ c)), many, 200) == Vmap()
    assert chosen(repeated(lambda c: c * c), many, 200) == Xla(components=1)
    large = chosen(repeated(lambda c: c * c), 10 * many, 100)  # enough work for a long compilation
    assert isinstance(large, Native) if compiler else large == Xla(components=1)


def end_of_two(x):
    return jnp.stack([x[1] * x[2], x[0], jnp.sin(x[0])])


def test_a_loop_that_xla_refuses_as_one_function_goes_through_vmap(monkeypatch):
    def fn(x):
        def step(y, _):
            for i in range(40):
                y = jnp.exp(-y * y) + 0.1 * jnp.cos(y + i)
            return y, None

        return lax.scan(step, x, None, length=3)[0]

    monkeypatch.setattr(engines, "MOST_COST", 10**9)  # the bound that keeps such loops out
    x = jnp.linspace(0.0, 1.0, 4096)
    with pytest.raises(jax.errors.JaxRuntimeError):
        jax.jit(lanes(fn, engine=Xla(block=2048)))(x)
    got = lanes(fn, engine=Xla(block=2048))(x)
    np.testing.assert_array_equal(got, jax.jit(jax.vmap(fn))(x))


def test_lanes_that_read_from_places_of_their_own_go_through_vmap():
    """A read at a place of its own has no rule: a loop of it would be put together and taken apart every time."""

    def jumping(seed):
        table = jnp.sin(jnp.arange(8.0) * seed)
        return lax.fori_loop(0, 30_000, lambda _, x: table[(x * 100).astype(int) % 8], seed)

    report = jaxdyn.explain(jumping, jnp.linspace(0.1, 1.0, 40))
    assert report.engine == jaxdyn.Vmap() and report.fallbacks_in_loops == {"dynamic_slice": 1}
