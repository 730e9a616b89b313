"""Every model of the library: its words are complete, its field is sound, its types hold."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdyn import SDE, Flow, Map, final_state, models
from jaxdyn.models import REGISTRY

NAMES = sorted(REGISTRY)
ALL = pytest.mark.parametrize("name", NAMES)


def small(name, **arguments):
    """The model at a size that compiles quickly."""
    size = {"n": 8} if "n" in REGISTRY[name].options else {}
    return REGISTRY[name](**size, **arguments)


def test_the_library_is_complete():
    assert set(NAMES) >= {
        *("lorenz63", "lorenz96", "rossler", "henon", "logistic", "standard_map", "ikeda"),
        *("van_der_pol", "duffing", "brusselator", "kuramoto", "robertson"),
        *("fitzhugh_nagumo", "morris_lecar", "wilson_cowan", "hodgkin_huxley"),
        *("two_learner_flow", "two_learner_descent", "vector_learner_flow", "vector_learner_descent"),
        *("coadaptive_flow", "coadaptive_descent", "coadaptive_search"),
        *("multiplicative_map", "linear_map", "linear_flow", "line_attractor", "line_attractor_flow"),
        *("hebbian_pair", "hebbian_pair_fast", "random_rnn", "random_rnn_map", "mackey_glass"),
        *("double_well", "geometric_brownian_motion", "noisy_fitzhugh_nagumo", "ornstein_uhlenbeck"),
    }
    functions = {"feedforward", "two_learner_error", "coadaptive_error", "decoder_cost", "encoder_cost"}
    assert all(callable(getattr(models, name)) for name in functions)
    assert functions.isdisjoint(REGISTRY)
    assert list(REGISTRY) == NAMES  # tables and listings follow this order


@ALL
def test_the_name_is_the_key(name):
    entry = REGISTRY[name]
    assert entry is getattr(models, name) and name in models.__all__
    assert entry.about.name == entry.__name__ == name
    assert type(small(name)) is {"map": Map, "flow": Flow, "sde": SDE}[entry.kind]


@ALL
def test_the_words_are_complete(name):
    about = REGISTRY[name].about
    assert about.title and about.equations and about.states and all(about.equations)
    assert any(letter.isdigit() for letter in about.source) or "Strogatz" in about.source, "a source has a year"
    assert about.known, "a model states at least one known result"
    for symbol in (*about.states, *about.params):
        assert symbol.name and symbol.meaning and symbol.unit
    for state in about.states:
        assert state.range is not None and state.range[0] < state.range[1]


@ALL
def test_the_times_are_stated(name):
    about = REGISTRY[name].about
    assert about.duration > 0 and about.transient >= 0
    if small(name).discrete:
        assert about.dt is None
        assert about.transient == int(about.transient) and about.duration == int(about.duration)
    else:
        assert about.dt is not None and 0 < about.dt < about.duration


@ALL
def test_the_parameters_are_those_that_are_described(name):
    system, about = small(name), REGISTRY[name].about
    assert list(system.params) == [symbol.name for symbol in about.params]
    for symbol in about.params:
        if isinstance(symbol.default, int | float):
            assert float(system.params[symbol.name]) == pytest.approx(symbol.default, rel=1e-6)
    if not REGISTRY[name].options:
        assert system.state_names == tuple(symbol.name for symbol in about.states)


@ALL
def test_the_start_lies_in_the_ranges(name):
    system, states = small(name), REGISTRY[name].about.states
    ranges = [state.range for state in states] * (system.dim // len(states))
    low, high = np.array(ranges).T
    assert np.all((system.x0 >= low) & (system.x0 <= high))


@ALL
def test_the_documentation_renders(name):
    entry = REGISTRY[name]
    text = inspect.getdoc(entry)
    assert text is not None
    for words in (entry.about.title, *entry.about.equations, *entry.about.known, entry.about.source):
        assert words in text
    for symbol in (*entry.about.params, *entry.about.states):
        assert f"{symbol.name} : {symbol.unit}" in text and symbol.meaning in text
    signature = inspect.signature(entry)
    assert list(signature.parameters) == [
        *(symbol.name for symbol in entry.about.params),
        *entry.options,
        "x0",
        "dtype",
    ]


@ALL
def test_the_field_is_finite_at_the_start_and_in_the_box(name):
    system, states = small(name), REGISTRY[name].about.states
    assert np.all(np.isfinite(system(0, system.x0)))
    ranges = [state.range for state in states] * (system.dim // len(states))
    low, high = np.array(ranges, np.float32).T
    points = jnp.asarray(np.random.default_rng(0).uniform(low, high, (64, system.dim)), system.dtype)
    both = jax.jit(jax.vmap(lambda x: (system(0, x), jax.jacfwd(lambda y: system(0, y))(x))))
    fields, jacobians = both(points)
    assert np.all(np.isfinite(fields)) and np.all(np.isfinite(jacobians))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@ALL
def test_the_dtype_holds(x64, name, dtype):
    """Both types while x64 is on, where a stray float64 constant would show."""
    system = small(name, dtype=dtype)
    values = [value for key, value in system.params.items() if key != "seed"]  # a whole number
    assert system.dtype == dtype and all(value.dtype == dtype for value in values)
    time = system.time(0, 0.1, 1)
    closed = jax.make_jaxpr(system)(time, system.x0)
    assert system(time, system.x0).dtype == dtype
    if dtype == jnp.float32:
        assert "f64" not in str(closed), "a float32 system computes in float32 only"


@ALL
def test_jit_agrees_with_eager(name):
    system = small(name)
    eager, compiled = system(0, system.x0), jax.jit(lambda s, x: s(0, x))(system, system.x0)
    # Fused multiply-adds round differently: some ulp of the largest term, bounded by the sum of absolute slopes.
    jacobian = jax.jit(jax.jacfwd(lambda y: system(0, y)))(system.x0)
    slopes = np.abs(jacobian) @ np.abs(system.x0)
    tolerance = 16 * np.finfo(np.float32).eps * (np.abs(eager) + slopes + 1)
    assert np.all(np.abs(np.asarray(eager) - np.asarray(compiled)) <= tolerance)


@ALL
def test_the_stated_step_resolves_the_flow(x64, name):
    """Halving `about.dt` moves the state after 100 steps by less than 1e-3 of the size of its box."""
    system, states = small(name), REGISTRY[name].about.states
    if system.discrete:
        end = final_state(system, n_steps=100)
        assert int(end.status) == 0
        return
    system = system.without_noise() if isinstance(system, SDE) else system  # other steps, another path of the noise
    dt = system.about.dt
    coarse = final_state(system, n_steps=100, dt=dt)
    fine = final_state(system, n_steps=200, dt=dt / 2)
    width = np.array([state.range[1] - state.range[0] for state in states] * (system.dim // len(states)))
    assert int(coarse.status) == int(fine.status) == 0
    assert np.all(np.abs(coarse.x - fine.x) < 1e-3 * width)


@ALL
def test_unknown_parameters_are_named(name):
    with pytest.raises(TypeError, match="has no parameter 'nonsense'"):
        REGISTRY[name](nonsense=1.0)
