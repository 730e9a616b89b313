"""Systems: what the factories accept and refuse, and that a system is a pytree."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn._record import record


def decay(t, x, p):
    return -p["rate"] * x


def make(**kwargs):
    return jaxdyn.flow(decay, {"rate": 0.5}, [1.0, 2.0], state_names=["u", "v"], **kwargs)


def test_parameters_and_start_are_leaves_and_names_are_not():
    leaves, tree = jax.tree.flatten(make())
    assert len(leaves) == 2
    assert jax.tree.unflatten(tree, leaves).state_names == ("u", "v")
    assert tree == jax.tree.structure(make())


def test_tree_path_names_the_parameter():
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(make())[0]]
    assert paths == [".params['rate']", ".x0"]


def test_dimension_dtype_and_call():
    system = make()
    assert (system.dim, system.dtype, system.discrete) == (2, jnp.float32, False)
    np.testing.assert_array_equal(system(0.0, system.x0), jnp.array([-0.5, -1.0]))


def test_repr_is_short_also_of_traced_systems():
    assert repr(make()) == "Flow(decay: rate=0.5; start (u, v)=[1.0, 2.0])"
    seen = []
    jax.jit(lambda s: seen.append(repr(s)))(make())
    assert seen == ["Flow(decay: rate=float32[]; start (u, v)=float32[2])"]
    assert repr(jaxdyn.iterated_map(lambda n, x, p: x, {}, [1.0])).startswith("Map(")


@pytest.mark.parametrize("value", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), jnp.asarray(2.0)])
def test_numbers_get_the_strong_dtype_of_the_system(value):
    rate = jaxdyn.flow(decay, {"rate": value}, [1.0]).params["rate"]
    assert (rate.dtype, rate.weak_type, rate.shape) == (jnp.float32, False, ())
    renewed = make().with_params(rate=value).params["rate"]
    assert (renewed.dtype, renewed.weak_type) == (jnp.float32, False)


@pytest.mark.parametrize("x0", [[1.0], [1], np.array([1.0]), jnp.array([1], jnp.int32), (1.0,)])
def test_start_gets_the_strong_dtype_of_the_system(x0):
    system = jaxdyn.flow(decay, {"rate": 0.5}, x0)
    assert (system.x0.dtype, system.x0.weak_type, system.x0.shape) == (jnp.float32, False, (1,))


def test_double_precision_follows_the_mode_and_the_start(x64):
    assert make().dtype == jnp.float64
    assert make(dtype=jnp.float32).params["rate"].dtype == jnp.float32
    from_start = jaxdyn.flow(decay, {"rate": 0.5}, np.array([1.0], np.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(from_start)} == {jnp.dtype("float32")}


def test_integer_arrays_keep_their_dtype_and_integer_scalars_do_not():
    system = jaxdyn.flow(lambda t, x, p: x[p["order"]] * p["k"], {"order": np.array([1, 0]), "k": 2}, [1.0, 3.0])
    assert system.params["order"].dtype == jnp.int32
    assert system.params["k"].dtype == jnp.float32
    np.testing.assert_array_equal(system(0.0, system.x0), [6.0, 2.0])
    with pytest.raises(ValueError, match="'order' has dtype int32, got float32"):
        system.with_params(order=jnp.array([0.0, 1.0]))


def test_a_field_may_return_a_tuple_with_python_numbers():
    system = jaxdyn.flow(lambda t, x, p: (x[1], 0), {}, [1.0, 2.0])
    np.testing.assert_array_equal(system(0.0, system.x0), [2.0, 0.0])
    assert system(0.0, system.x0).dtype == jnp.float32


@record
class Polynomial:
    coefficients: jax.Array

    def __call__(self, t, x, p):
        return jnp.polyval(self.coefficients, x)


def test_a_callable_pytree_keeps_its_leaves_and_differentiates():
    system = jaxdyn.flow(Polynomial(jnp.array([2.0, 3.0, 5.0])), {}, [2.0])
    slope = jax.grad(lambda s: s(0.0, s.x0)[0])(system)
    np.testing.assert_array_equal(slope.field.coefficients, [4.0, 2.0, 1.0])
    np.testing.assert_array_equal(slope.x0, [11.0])


@record
class Still:
    def __call__(self, t, x, p):
        return 0 * x


def test_a_callable_record_without_leaves_is_the_same_system_each_time():
    first, second = (jaxdyn.flow(Still(), {}, [1.0]) for _ in range(2))
    assert jax.tree.structure(first) == jax.tree.structure(second)


def test_one_state():
    run = jaxdyn.final_state(jaxdyn.flow(decay, {"rate": 1.0}, [1.0]), t1=1.0, dt=0.1)
    assert run.x.shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((decay, {"rate": 1j}, [1.0]), TypeError, "'rate' is complex; write its real and imaginary parts"),
        ((decay, {"rate": 1.0}, [1j]), TypeError, "x0 is complex"),
        ((decay, {"rate": "fast"}, [1.0]), TypeError, "'rate' must be a number.*'fast'"),
        ((decay, {"rate": float("nan")}, [1.0]), ValueError, "'rate' is not finite: nan"),
        ((decay, {"rate": 1.0}, [float("inf")]), ValueError, "x0 is not finite"),
        ((decay, {"rate": 1.0}, 1.0), ValueError, r"shape \(dim,\).*got \(\); write \[1.0\]"),
        ((decay, {"rate": 1.0}, []), ValueError, r"dim >= 1, got \(0,\)"),
        ((decay, {"rate": 1.0}, [[1.0]]), ValueError, r"got \(1, 1\)"),
        ((decay, {"a b": 1.0}, [1.0]), TypeError, "identifiers, got 'a b'"),
        ((lambda t, x, p: x[:1], {}, [1.0, 2.0]), ValueError, r"gave shape \(1,\), state has \(2,\); return one rate"),
        ((lambda t, x, p: (x[0],), {}, [1.0, 2.0]), ValueError, r"gave shape \(1,\), state has \(2,\)"),
        ((lambda t, x, p: (x, x), {}, [1.0, 2.0]), ValueError, r"one scalar rate per state, got \{\(2,\)\}"),
        ((lambda t, x, p: x.astype(jnp.float16), {}, [1.0]), TypeError, "gave float16, state is float32; keep const"),
        ((lambda t, x, p: x + 1j, {}, [1.0]), TypeError, "gave complex64, state is float32"),
        ((lambda t, x, p: x > 0, {}, [1.0]), TypeError, "gave bool, state is float32"),
    ],
)
def test_a_wrong_system_is_refused_with_a_repair(arguments, error, message):
    with jax.numpy_dtype_promotion("standard"), pytest.raises(error, match=message):
        jaxdyn.flow(*arguments)


def test_more_refusals(unchecked):
    with pytest.raises(TypeError, match=r"field must be a function .*got int"):
        jaxdyn.flow(3, {}, [1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be 2 different names"):
        jaxdyn.flow(decay, {"rate": 1.0}, [1.0, 2.0], state_names=["u", "u"])
    with pytest.raises(ValueError, match="must be 2 different names"):
        jaxdyn.flow(decay, {"rate": 1.0}, [1.0, 2.0], state_names=["u"])
    with pytest.raises(TypeError, match="computes in float32 or float64, got dtype int32"):
        make(dtype=jnp.int32)
    with pytest.raises(ValueError, match=r"float64 needs jax\.config\.update"):
        make(dtype=jnp.float64)
    with pytest.raises(ValueError, match="return one next value per state"):
        jaxdyn.iterated_map(lambda n, x, p: x[:1], {}, [1.0, 2.0])


def test_unknown_parameter_names_the_closest_one():
    with pytest.raises(TypeError, match=r"no parameter 'rat'; did you mean 'rate'\? known: rate"):
        make().with_params(rat=1.0)
    with pytest.raises(TypeError, match=r"'qqq'; known: rate$"):
        make().with_params(qqq=1.0)
    with pytest.raises(TypeError, match=r"'a'; known: none$"):
        jaxdyn.flow(lambda t, x, p: x, {}, [1.0]).with_params(a=1.0)


def test_parameters_keep_their_shape_and_kind():
    with pytest.raises(ValueError, match=r"'rate' has shape \(\), got \(2,\); .*jaxdyn.sweep or jax.vmap"):
        make().with_params(rate=jnp.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="'rate' has dtype float32, got complex"):
        make().with_params(rate=1j)


def test_with_params_changes_only_what_it_names():
    system = jaxdyn.flow(lambda t, x, p: p["a"] * x + p["b"], {"a": 1.0, "b": 2.0}, [1.0])
    changed = system.with_params(b=5.0)
    assert (float(changed.params["a"]), float(changed.params["b"])) == (1.0, 5.0)
    assert float(system.params["b"]) == 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        system.x0 = changed.x0


def test_with_params_under_transformations():
    system = make()
    rates = jnp.array([0.5, 1.0, 2.0])

    def first_rate(rate):
        return system.with_params(rate=rate)(0.0, system.x0)[0]

    np.testing.assert_array_equal(jax.vmap(first_rate)(rates), -rates)
    assert float(jax.jit(first_rate)(2.0)) == -2.0
    assert float(jax.grad(first_rate)(2.0)) == -1.0


def test_with_state_whole_and_by_name():
    system = make()
    np.testing.assert_array_equal(system.with_state(jnp.array([3.0, 4.0])).x0, [3.0, 4.0])
    np.testing.assert_array_equal(system.with_state([3.0, 4.0], v=7.0).x0, [3.0, 7.0])
    np.testing.assert_array_equal(system.with_state(u=9).x0, [9.0, 2.0])
    starts = jax.vmap(lambda u: system.with_state(u=u).x0)(jnp.arange(3.0))
    np.testing.assert_array_equal(starts, [[0.0, 2.0], [1.0, 2.0], [2.0, 2.0]])


def test_with_state_refusals():
    with pytest.raises(TypeError, match=r"no state 'w'; known: u, v$"):
        make().with_state(w=1.0)
    with pytest.raises(ValueError, match=r"x0 has shape \(2,\), got \(3,\)"):
        make().with_state(jnp.zeros(3))
    with pytest.raises(ValueError, match=r"state 'u' has shape \(\), got \(2,\)"):
        make().with_state(u=jnp.zeros(2))


def test_displacement_is_zero_at_a_fixed_point():
    halving = jaxdyn.iterated_map(lambda n, x, p: 0.5 * x + 1.0, {}, [2.0])
    np.testing.assert_array_equal(halving.displacement(0, halving.x0), [0.0])
    np.testing.assert_array_equal(make().displacement(0.0, jnp.array([2.0, 0.0])), [-1.0, 0.0])


def test_time_of_maps_is_an_integer():
    doubling = jaxdyn.iterated_map(lambda n, x, p: x, {}, [1.0])
    assert doubling.time(3, 1.0, jnp.int32(4)) == 7
    assert doubling.time(3, 1.0, jnp.int32(4)).dtype == jnp.int32
    assert make().time(1, 0.5, jnp.int32(4)).dtype == jnp.float32
    assert make().time(1, 0.5, jnp.int32(4)) == 3.0


def test_fields_get_their_time_as_an_array_of_one_dtype(x64):
    seen = set()

    def field(t, x, p):
        seen.add((t.dtype.name, t.weak_type))
        return t.astype(x.dtype) * x

    for make, times in ((jaxdyn.iterated_map, (0, 3, np.int64(3), jnp.int32(3))), (jaxdyn.flow, (0, 3, 0.5, np.pi))):
        for dtype in (jnp.float32, jnp.float64):
            seen.clear()
            system = make(field, {}, [2.0], dtype=dtype)
            for t in times:
                assert system(t, system.x0)[0] == (jnp.asarray(t, system.dtype) * 2)
                assert jaxdyn.jacobian(system, t=t).dtype == dtype
            step = {} if system.discrete else {"dt": 0.1}
            jaxdyn.final_state(system, n_steps=2, **step)
            assert seen == {("int32" if system.discrete else jnp.dtype(dtype).name, False)}
