"""Loops in two: what all lanes share is computed once, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.engine import hoisting
from jaxdyn.engine.hoisting import split

ENGINES = {"native": jaxdyn.Native(), "xla": jaxdyn.Xla(block=32)}
LANES = np.linspace(-1, 1, 37, dtype=np.float32)
ROUNDINGS = 40 * np.finfo(np.float32).eps  # of some numbers of order one, in 25 steps that contract


def shared_work(i, w):
    """More than a few numbers that no lane changes."""
    return jnp.stack([jnp.sin(0.1 * (k + 1) * i + w) for k in range(70)]).reshape(35, 2).sum(0) / 35


def mixed(x, *, reverse=False):
    """A scan with everything, shared and own; one number that becomes shared after a step, and one of lanes."""
    length = 25
    elements = {"of_all": jnp.arange(2.0 * length).reshape(length, 2) / 50, "own": x * jnp.ones((length, 3))}

    def body(carry, element):
        i, y, z, vector, late = carry
        noise = shared_work(i, 0.5)
        y = 0.5 * y + noise[0] * x + element["own"][2]
        z, kept = element["of_all"][1] + noise[1], z
        vector = 0.5 * vector + y * noise
        outs = {"shared": noise, "own": vector - kept, "number": i, "y": y, "late": jnp.cos(late)}
        return (i + 1.0, y, z, vector, 0.5 * late + y), outs

    return jax.lax.scan(body, (0.0, x, x, jnp.ones(2) * x, 0.0), elements, length, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_everything_comes_out_where_it_belongs(engine, reverse):
    expected = jax.vmap(lambda x: mixed(x, reverse=reverse))(LANES)
    found = jaxdyn.lanes(lambda x: mixed(x, reverse=reverse), engine=engine)(LANES)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=ROUNDINGS), found, expected)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_derivatives_go_through_both_loops(engine):
    def total(x, w, batch):
        def one(x):
            def body(y, i):
                return 0.5 * y + shared_work(i, w)[0] * x, None

            return jax.lax.scan(body, x, jnp.arange(10.0))[0]

        return batch(one)(x).sum()

    def lanes(one):
        return jaxdyn.lanes(one, engine=engine)

    for derivative in (jax.grad, jax.jacfwd):
        expected = derivative(total, (0, 1))(LANES, 0.3, jax.vmap)
        found = derivative(total, (0, 1))(LANES, 0.3, lanes)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=37 * ROUNDINGS), found, expected)


def scan_of(function, *arguments):
    """The scan of a function, and its body in two if the first argument is of lanes."""
    closed = jax.make_jaxpr(function)(*arguments)
    (equation,) = [e for e in closed.jaxpr.eqns if e.primitive.name == "scan"]
    return split(equation, [v is closed.jaxpr.invars[0] for v in equation.invars])


def walked(x, *, numbers=70, length=25):
    def body(y, i):
        return y + sum(jnp.sin(0.1 * k + i) for k in range(numbers)), None

    return jax.lax.scan(body, x, jnp.arange(float(length)))[0]


def test_the_lanes_read_what_the_first_loop_wrote():
    parts = scan_of(walked, 0.1)
    first, second = (
        [e.primitive.name for e in jaxpr.eqns] for jaxpr in (parts.shared.jaxpr, parts.rest.params["jaxpr"])
    )
    assert first.count("sin") == 70 and "sin" not in second and len(second) <= 2
    assert len(parts.rest.params["jaxpr"].jaxpr.invars) == 3  # y, i, the sum


def test_little_that_is_shared_stays_where_it_is():
    assert scan_of(lambda x: walked(x, numbers=5), 0.1) is None


def test_what_takes_much_memory_is_not_written_down(monkeypatch):
    monkeypatch.setattr(hoisting, "MOST_BYTES", 4 * 24)
    assert scan_of(walked, 0.1) is None
    monkeypatch.setattr(hoisting, "MOST_BYTES", 4 * 25)
    assert scan_of(walked, 0.1) is not None


def test_what_all_iterations_share_is_not_written_down():
    """XLA and C compilers take it out of the loop; what is read must be few beside what is computed."""

    def run(x, w):
        def body(y, i):
            return y * 0.9 + jnp.sin(jnp.arange(100.0) * w).sum() + i, None

        return jax.lax.scan(body, x, jnp.arange(9.0))[0]

    def table(x, w):
        return jax.lax.scan(lambda y, i: (0.9 * y + jnp.sin(w * i).sum() * y, None), x, jnp.arange(9.0))[0]

    assert scan_of(run, 0.1, 0.2) is None
    assert scan_of(table, jnp.ones(200), jnp.ones(200)) is not None
    assert (
        scan_of(lambda x, w: jax.lax.scan(lambda y, i: (y + w * i, None), x, jnp.arange(9.0)), *[jnp.ones(200)] * 2)
        is None
    )


def test_a_loop_without_lanes_is_left_alone():
    assert scan_of(lambda x, y: walked(y) + x, 0.1, 0.2) is None


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_common_noise_and_each_lanes_own(engine):
    """With one seed, and with a seed for each lane, for which nothing can be drawn before."""
    model = jaxdyn.models.double_well()

    def end(x, seed):
        return jaxdyn.final_state(model.with_state(x[None]).with_params(seed=seed), n_steps=40, dt=0.01).x

    for axes, seed in (((0, None), 3), ((0, 0), np.arange(len(LANES)))):
        expected = jax.vmap(end, axes)(LANES, seed)
        np.testing.assert_allclose(jaxdyn.lanes(end, axes, engine=engine)(LANES, seed), expected, atol=ROUNDINGS)
