"""Properties for any shape, dtype and input (hypothesis, with fixed seeds)."""

import re

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxdyn
from jaxdyn import Stability
from jaxdyn.analysis.local import matrix_eigenvalues
from jaxdyn.analysis.orthonormal import orthonormalize

settings = hypothesis.settings(derandomize=True, deadline=None, max_examples=25, database=None)
many = hypothesis.settings(settings, max_examples=100)

numbers = st.floats(-100, 100, width=32, allow_subnormal=False)
names = st.text("abcdefgh", min_size=1, max_size=6)
dims = st.integers(1, 5)


def decay(t, x, p):
    return -p["rate"] * x


@settings
@given(dims, st.integers(0, 6), st.integers(1, 6), st.booleans(), st.booleans())
def test_shapes_and_dtypes_of_a_trajectory(dim, blocks, k, double, discrete):
    with jax.enable_x64(double):
        dtype = jnp.float64 if double else jnp.float32
        make = jaxdyn.iterated_map if discrete else jaxdyn.flow
        system = make(decay, {"rate": 0.5}, np.ones(dim))
        step = {} if discrete else {"dt": 0.1}
        run = jaxdyn.trajectory(system, n_steps=blocks * k, save=jaxdyn.Every(k), **step)
        assert (run.x.shape, run.x.dtype) == ((blocks + 1, dim), dtype)
        assert (run.t.shape, run.t.dtype) == ((blocks + 1,), jnp.int32 if discrete else dtype)
        assert (run.status.shape, run.status.dtype) == ((), jnp.int8)


@settings
@given(st.integers(1, 40), st.integers(1, 12))
def test_the_repair_of_a_saving_interval_works(n_steps, k):
    hypothesis.assume(n_steps % k)
    system = jaxdyn.iterated_map(decay, {"rate": 0.5}, [1.0])
    with pytest.raises(ValueError, match="must divide") as caught:
        jaxdyn.trajectory(system, n_steps=n_steps, save=jaxdyn.Every(k))
    remedy = int(re.findall(r"use n_steps=(\d+)", str(caught.value))[0])
    assert remedy >= n_steps
    jax.eval_shape(lambda: jaxdyn.trajectory(system, n_steps=remedy, save=jaxdyn.Every(k)))


@many
@given(st.floats(0.5, 100), st.floats(0.01, 0.4), st.sampled_from([1.0, -1.0]))
def test_the_repair_of_a_step_works(t1, dt, sign):
    hypothesis.assume(abs(t1 / dt - round(t1 / dt)) > 0.2)
    system = jaxdyn.flow(decay, {"rate": 0.5}, [1.0])
    with pytest.raises(ValueError, match="whole number of steps") as caught:
        jaxdyn.final_state(system, t1=sign * t1, dt=dt)
    remedy = float(re.findall(r"use dt=(\S+)$", str(caught.value))[0])
    jax.eval_shape(lambda: jaxdyn.final_state(system, t1=sign * t1, dt=remedy))


@many
@given(st.dictionaries(names, numbers, min_size=1, max_size=4), st.data())
def test_parameters_are_replaced_by_name_only(params, data):
    system = jaxdyn.flow(lambda t, x, p: x, params, [1.0])
    name, value = data.draw(st.sampled_from(sorted(params))), data.draw(numbers)
    changed = system.with_params(**{name: value})
    assert list(changed.params) == list(system.params)
    for key, old in params.items():
        assert float(changed.params[key]) == (value if key == name else old)
        assert changed.params[key].dtype == system.dtype
    unknown = data.draw(names.filter(lambda text: text not in params))
    with pytest.raises(TypeError, match=f"no parameter '{unknown}'.*known: {', '.join(params)}$"):
        system.with_params(**{unknown: 1.0})


@many
@given(st.lists(numbers, min_size=1, max_size=5), st.data())
def test_states_are_replaced_by_name_only(x0, data):
    system = jaxdyn.flow(decay, {"rate": 1.0}, x0)
    name, value = data.draw(st.sampled_from(system.state_names)), data.draw(numbers)
    expected = [value if key == name else old for key, old in zip(system.state_names, x0, strict=True)]
    np.testing.assert_array_equal(system.with_state(**{name: value}).x0, np.array(expected, np.float32))


@many
@given(dims, dims)
def test_a_field_of_another_length_is_always_refused(dim, length):
    hypothesis.assume(dim != length)
    with pytest.raises(ValueError, match=rf"gave shape \({length},\), state has \({dim},\)"):
        jaxdyn.flow(lambda t, x, p: jnp.zeros(length, x.dtype), {}, np.zeros(dim))


@many
@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 3))
def test_defaults_that_are_not_finite_are_always_refused(bad, place):
    values = np.ones(4)
    values[place] = bad
    with pytest.raises(ValueError, match="x0 is not finite"):
        jaxdyn.flow(decay, {"rate": 1.0}, values)
    with pytest.raises(ValueError, match="'rate' is not finite"):
        jaxdyn.flow(decay, {"rate": values}, np.ones(4))


@many
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.booleans(), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_the_class_does_not_depend_on_the_order(pairs, discrete, random):
    values = [complex(a, sign * b) for a, b in pairs for sign in (1, -1)]
    first = jaxdyn.stability(jnp.array(values, jnp.complex64), discrete=discrete)
    random.shuffle(values)
    assert jaxdyn.stability(jnp.array(values, jnp.complex64), discrete=discrete) == first
    assert Stability(int(first)) != Stability.UNDEFINED


@many
@given(st.lists(numbers, min_size=4, max_size=4))
def test_eigenvalues_of_two_have_the_trace_and_the_determinant(entries):
    with jax.enable_x64(True):
        matrix = np.array(entries, np.float64).reshape(2, 2)
        values = np.asarray(matrix_eigenvalues(jnp.asarray(matrix)))
    size = np.abs(matrix).max()
    # Ten roundings; for the determinant a backward error of eps size in each entry moves it by eps size^2.
    assert abs(values.sum() - np.trace(matrix)) <= 10 * 2.3e-16 * size
    exact = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    assert abs(values.prod() - exact) <= 20 * 2.3e-16 * size**2


@settings
@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 10_000), st.integers(-30, 30))
def test_orthonormal_rows_rebuild_the_vectors(k, more, seed, power):
    vectors = (np.random.default_rng(seed).standard_normal((k, k + more)) * 10.0**power).astype(np.float32)
    q, r = (np.asarray(array, float) for array in orthonormalize(jnp.asarray(vectors)))
    lengths = np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    assert np.abs((r.T @ q - vectors) / lengths).max() <= 4 * (2 * k + more) * 1.2e-7
    assert (np.diagonal(r) >= 0).all()


@many
@given(st.lists(numbers, min_size=1, max_size=6), st.floats(-50, 50, width=32), st.floats(0.125, 4, width=32))
def test_samples_give_only_what_was_sampled(values, t, dt):
    u = jaxdyn.samples(np.array(values, np.float32), dt=dt)
    held = float(u(t))
    assert held in [float(np.float32(value)) for value in values]
    if t < 0:
        assert held == values[0]
    if t > len(values) * dt:
        assert held == values[-1]


@pytest.mark.parametrize("k", [1, 3])
def test_a_zero_that_the_compiler_knows_has_no_direction(k):
    q, r = jax.jit(lambda: orthonormalize(jnp.zeros((k, 100))))()
    np.testing.assert_array_equal(q, 0)
    np.testing.assert_array_equal(r, 0)
