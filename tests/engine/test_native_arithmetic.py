"""What C programs make of sums of products, and which loops share one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import once
from jax import lax

import jaxdyn
from jaxdyn import Native, lanes
from jaxdyn.engine import native_compiler, native_order, transform
from jaxdyn.engine.native_arithmetic import common_factor, like_terms, split, whole
from jaxdyn.engine.native_terms import Term

pytestmark = pytest.mark.skipif(native_compiler.unavailable() is not None, reason=str(native_compiler.unavailable()))

SPREAD = np.concatenate([np.linspace(-8, 8, 401), np.geomspace(1e-30, 1e30, 121), -np.geomspace(1e-30, 1e30, 121)])
X, Y, Z = (Term(name, np.dtype("float32"), vector=True) for name in ("x_@", "y_@", "z_@"))


def times(base, number):
    return Term(f"{number}{base.text}", base.dtype, vector=True, multiple=(base, number))


def test_products_with_known_numbers_are_one_product_unless_it_leaves_the_type():
    """Within a rounding a factor; 1e20 * 1e20 and 1e-20 * 1e-20 are no float32."""
    x = jnp.geomspace(1e-30, 1e30, 50)
    got = once(lambda x: (x / 3) * 0.7 * 1.1 + 0 * x)(x)
    np.testing.assert_allclose(got, np.asarray(x, np.float64) / 3 * 0.7 * 1.1, rtol=4 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(once(lambda x: x * 1e20 * 1e20)(x[:10]), np.asarray(x[:10], float) * 1e40, rtol=1e-6)
    np.testing.assert_allclose(once(lambda x: x * 1e-20 / 1e20)(x[-10:]), np.asarray(x[-10:], float) / 1e40, rtol=1e-6)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: x / 12.5 + y / 12.5,
        lambda x, y: x * 0.3 - y * 0.3,
        lambda x, y: x * 0.25 - y * 0.5,
        lambda x, y: (x * 0.1) * 3 + y * 0.1,
        lambda x, y: x + 2 * y - 2 * x,
        lambda x, y: y * 2 + x + x * 2 + y * 2,
    ],
)
def test_multiples_are_added_before_the_factor(fn):
    x, y = SPREAD[1:], SPREAD[:-1]
    got = once(lambda x, y: fn(x, y) + 0 * x)(jnp.float32(x), jnp.float32(y))
    rounding = 4 * np.finfo(np.float32).eps * (abs(x) + abs(y))
    assert (abs(got - fn(x, y)) <= rounding).all()


def test_as_many_vectors_in_turn_as_the_registers_hold():
    """One piece of two numbers alive goes by fours, one of thirty by single vectors."""
    few = [f"const vf32 x{i}_@ = (x{i - 1}_@ * x{i - 1}_@);" for i in range(1, 20)]
    many = [f"const vf32 x{i}_@ = (x0_@ + 1);" for i in range(1, 61)] + [f"x{i}_@;" for i in range(1, 61)]
    assert native_order.mean_alive(few) == pytest.approx(18 / 19)  # each until the next one, x0 gone at once
    assert [line[-4:-2] for line in native_order.written_out(few[:1], 4)] == ["_0", "_1", "_2", "_3"]
    assert native_order.mean_alive(many) == pytest.approx((60 * 60 + 59) / 120)
    assert native_order.written_out(many, 2)[1] == many[1].replace("@", "0")


def test_of_two_multiples_the_smaller_factor_is_taken_out():
    """0.1 x + 0.2 y is 0.1 (x + 2 y); what is no whole multiple, or a large one, stays."""
    (a, b), factor = common_factor("add", [times(X, 0.1), times(Y, 0.2)])
    assert (a, factor, b.multiple) == (X, 0.1, (Y, 2.0))
    (a, b), factor = common_factor("sub", [times(X, -6.0), times(Y, 2.0)])
    assert (b, factor, a.multiple) == (Y, 2.0, (X, -3.0))
    assert common_factor("add", [times(X, 0.5), times(Y, 0.2)]) is None
    assert common_factor("add", [times(X, 0.5), times(Y, 50.0)]) is None
    assert common_factor("add", [times(X, 0.5), Y]) is None
    assert common_factor("mul", [times(X, 0.5), times(Y, 0.5)]) is None


def test_like_terms_are_added_first_unless_something_else_needs_the_sum():
    """(x + 2 y) - 2 z is x + 2 (y - z)."""
    total = Term("t_@", X.dtype, vector=True, total=split("add", [X, times(Y, 2.0)]))
    assert total.total == (X, Y, 2.0) == split("add", [times(Y, 2.0), X])
    assert split("sub", [X, times(Y, 2.0)]) == (X, Y, -2.0)
    assert split("sub", [times(Y, 2.0), X]) is None
    assert like_terms("sub", [total, times(Z, 2.0)]) == (X, "sub", (Y, Z), 2.0)
    assert like_terms("sub", [total, times(Z, -2.0)]) == (X, "add", (Y, Z), 2.0)
    assert like_terms("add", [total, times(Z, 3.0)]) is None
    assert like_terms("add", [total, Z]) is None
    assert like_terms("add", [whole(total), times(Z, 2.0)]) is None
    assert whole(times(total, 3.0)).multiple[0].total is None


def test_loops_of_all_lengths_share_a_program():
    def run(n):
        return lanes(lambda x: lax.fori_loop(0, n, lambda _, y: 0.5 * y + 0.1237, x), engine=Native())

    x = jnp.linspace(0.0, 1.0, 40)
    run(3)(x)
    before = set(native_compiler._begun)
    for n in (1, 20, 1000):
        expected = 0.2474 + (x - 0.2474) * 0.5**n
        # Each of the steps that matter, no more than 30, rounds a number of size one twice.
        np.testing.assert_allclose(run(n)(x), expected, atol=60 * np.finfo(np.float32).eps)
    assert set(native_compiler._begun) == before


def test_a_call_with_arrays_of_known_shapes_is_not_checked_again(monkeypatch):
    checked = []
    original = transform.call_of
    monkeypatch.setattr(transform, "call_of", lambda *args: checked.append(args) or original(*args))
    run = lanes(lambda x, y: x["a"] + y)
    one, other = jnp.ones(3), np.ones(3, np.float32)
    for _ in range(3):
        assert run({"a": one}, one).tolist() == run({"a": one}, other).tolist() == [2.0] * 3
    assert len(checked) == 2
    run({"a": jnp.ones((3, 2))}, one[:, None])
    with pytest.raises(ValueError, match="differ in their number of lanes"):
        run({"a": one}, jnp.ones(4))
    jax.jit(run)({"a": one}, one)
    assert len(checked) == 5


def test_a_state_that_overflows_is_told_whichever_component_it_is():
    """The sum of all components tells of each of them, infinities of both signs included."""
    system = jaxdyn.iterated_map(lambda t, x, p: x * x * jnp.array([1.0, -1.0, 1.0]), x0=jnp.zeros(3))
    starts = jnp.array([[0.5, 0.5, 0.5], [9.0, 0.5, 0.5], [0.5, -9.0, 0.5], [9.0, 9.0, 0.5], [0.5, 0.5, jnp.nan]])
    for engine in (Native(), jaxdyn.Vmap()):
        end = lanes(lambda x: jaxdyn.final_state(system.with_state(x), n_steps=9), engine=engine)(starts)
        assert end.status.tolist() == [0, 1, 1, 1, 1]
