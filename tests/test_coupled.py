"""Coupled copies: the equations of the sum over links, synchrony, spectra against theory and an independent program."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.ensemble import load

import jaxdyn
from jaxdyn import coupled, models

EPS = 2.2e-16
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])
ENGINES = [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)]


def ring(n):
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


def laplacian(adjacency):
    return np.diag(adjacency.sum(axis=1)) - adjacency


def random_links(n, seed=0):
    adjacency = np.random.default_rng(seed).normal(size=(n, n))
    return adjacency - np.diag(np.diagonal(adjacency))


# Equations


@pytest.mark.parametrize("n", [2, 5, 12])  # differences one by one, and a matrix product
@pytest.mark.parametrize("full", [False, True])
def test_the_rate_is_that_of_the_sum_over_links(n, full, x64):
    rng = np.random.default_rng(n)
    lorenz, adjacency = models.lorenz63(), random_links(n)
    through = rng.normal(size=(3, 3)) if full else {"x": 1.0, "z": -0.3}
    matrix = through if full else np.diag([1.0, 0.0, -0.3])
    rhos = rng.uniform(20, 30, n)
    system = coupled(lorenz, adjacency, strength=0.7, through=through, individual={"rho": rhos})
    states = rng.normal(size=(n, 3))
    expected = [np.asarray(lorenz.with_params(rho=rho)(0.0, x)) for rho, x in zip(rhos, states, strict=True)]
    for i, j in itertools.product(range(n), range(n)):
        expected[i] = expected[i] + 0.7 * adjacency[i, j] * matrix @ (states[j] - states[i])
    np.testing.assert_allclose(system(0.0, states.ravel()), np.ravel(expected), atol=100 * n * EPS)


def test_maps_are_coupled_through_their_images(x64):
    """Kaneko's lattice: (1 - e) f(x_i) + e (f(x_{i-1}) + f(x_{i+1})) / 2."""
    system = coupled(models.logistic(r=4.0), ring(7) / 2, strength=0.3)
    x = np.random.default_rng(0).uniform(size=7)
    image = 4 * x * (1 - x)
    expected = 0.7 * image + 0.15 * (np.roll(image, 1) + np.roll(image, -1))
    assert system.discrete
    np.testing.assert_allclose(system(0, x), expected, atol=10 * EPS)


@pytest.mark.parametrize("n", [4, 11])
def test_jacobian_of_linear_copies_is_the_kronecker_sum(n, x64):
    matrix, adjacency = np.array([[-0.5, 2.0], [-1.0, 0.3]]), random_links(n)
    through = np.array([[0.0, 0.0], [1.5, 0.2]])
    system = coupled(models.linear_flow(A=matrix), adjacency, strength=0.6, through=through)
    expected = np.kron(np.eye(n), matrix) - 0.6 * np.kron(laplacian(adjacency), through)
    np.testing.assert_allclose(jaxdyn.jacobian(system), expected, atol=20 * n * EPS)
    # Its spectrum is the union over the eigenvalues of the Laplacian.
    blocks = [matrix - 0.6 * gamma * through for gamma in np.linalg.eigvals(laplacian(adjacency))]
    values = np.concatenate([np.linalg.eigvals(block) for block in blocks])
    gaps = np.abs(np.asarray(jaxdyn.eigenvalues(system))[:, None] - values[None, :])
    assert gaps.min(axis=1).max() < 1e-10 and gaps.min(axis=0).max() < 1e-10


def test_numbering_the_copies_otherwise_changes_nothing_else(x64):
    adjacency, order = random_links(6), np.array([3, 0, 5, 1, 4, 2])
    starts = np.random.default_rng(1).normal(size=(6, 2))
    neuron = models.fitzhugh_nagumo()
    ends = [
        jaxdyn.final_state(coupled(neuron, links, strength=0.1).with_state(x.ravel()), n_steps=50, dt=0.1).x
        for links, x in ((adjacency, starts), (adjacency[np.ix_(order, order)], starts[order]))
    ]
    np.testing.assert_allclose(ends[0].reshape(6, 2)[order], ends[1].reshape(6, 2), atol=1e-13)


# Synchrony


@pytest.mark.parametrize(("n", "dtype"), [(3, "float32"), (3, "float64"), (12, "float32"), (12, "float64")])
def test_equal_copies_stay_equal_to_the_last_bit(n, dtype, x64):
    """Chaos would part them within 40 time units, from one rounding on."""
    system = coupled(models.lorenz63(dtype=dtype), random_links(n), strength=0.01)
    end = jaxdyn.final_state(system, n_steps=10_000, dt=0.01)
    copies = np.asarray(end.x).reshape(n, 3)
    assert int(end.status) == 0
    np.testing.assert_array_equal(copies, np.tile(copies[:1], (n, 1)))
    parted = jaxdyn.final_state(system.with_state(x_1=1e-3), n_steps=10_000, dt=0.01).x.reshape(n, 3)
    assert np.abs(parted - parted[:1]).max() > 1


def transverse(gamma):
    """Lorenz system with one departure d' = (J - gamma H) d beside it, H through x."""
    lorenz = models.lorenz63()

    def field(t, s, p):
        x, d = s[:3], s[3:]
        rate, change = jax.jvp(lambda y: lorenz(t, y), (x,), (d,))
        return jnp.concatenate([rate, change.at[0].add(-p["gamma"] * d[0])])

    return jaxdyn.flow(field, {"gamma": gamma}, [*np.asarray(lorenz.x0), 0.0, 0.0, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1.0, 5.0])
def test_exponents_of_synchronous_lorenz_systems_are_those_of_the_master_stability_function(strength, x64):
    """A directed ring of three: gamma = 0 and 3/2 +- i sqrt(3)/2 would need complex departures; all to all: 0, 3, 3."""
    links = np.ones((3, 3)) - np.eye(3)
    settings = {"n_steps": 200_000, "dt": 0.005, "n_transient": 4000}
    whole = jaxdyn.lyapunov_spectrum(coupled(models.lorenz63(), links, strength=strength, through="x"), **settings)
    parts = jaxdyn.lyapunov_spectrum(transverse(3 * strength), **settings)
    copies = np.asarray(whole.x).reshape(3, 3)
    np.testing.assert_array_equal(copies, np.tile(copies[:1], (3, 1)))
    alone = jaxdyn.lyapunov_spectrum(models.lorenz63(), **settings)
    # Exponents of the departures are those that Lorenz itself does not have.
    rest = list(np.asarray(parts.exponents))
    for value in np.asarray(alone.exponents):
        rest.remove(min(rest, key=lambda one, value=value: abs(one - value)))
    expected = np.sort([*np.asarray(alone.exponents), *rest, *rest])[::-1]
    error = 4 * np.hypot(np.asarray(whole.std_error), np.abs(np.asarray(parts.std_error)).max())
    assert np.all(np.abs(np.asarray(whole.exponents) - expected) < error + 1e-3)
    # Huang, Chen, Lai & Pecora 2009, Physical Review E 80, 036204: stable from gamma = 7.322 on.
    assert (max(rest) < 0) == (3 * strength > 7.322)


def test_synchrony_is_reached_where_it_is_stable(x64):
    for strength, synchronous in ((1.0, False), (6.0, True)):
        system = coupled(models.lorenz63(), PAIR, strength=strength, through="x")
        apart = system.with_state([1.0, 2.0, 20.0, -3.0, 1.0, 25.0])
        end = np.asarray(jaxdyn.final_state(apart, n_steps=20_000, dt=0.01).x).reshape(2, 3)
        assert (np.abs(end[0] - end[1]).max() < 1e-9) == synchronous


def cubic_neuron(t, s, p):
    v, w = s
    return v * (p["a"] - v) * (v - 1) - w, p["b"] * v - p["c"] * w


@pytest.mark.slow
def test_two_coupled_neurons_have_the_exponents_of_the_reference(x64):
    entry = next(e for e in load("lyapunov_more")["written_here"] if e["name"].startswith("two coupled"))
    p = entry["parameters"]
    neuron = jaxdyn.flow(cubic_neuron, {"a": p["a"], "b": 0.0, "c": p["c"]}, [0.0, 0.0], state_names=["v", "w"])
    pair = coupled(neuron, PAIR, strength=p["k"], through="v", individual={"b": [p["b1"], p["b2"]]})
    pair = pair.with_state(entry["x0"])
    found = jaxdyn.lyapunov_spectrum(pair, n_steps=480_000, dt=0.25, n_transient=40_000, checks=True)
    error = 3 * np.hypot(np.asarray(found.std_error), 1.4 * np.array(entry["sigma"]))
    # The zero exponent is a matter of the time that it is averaged over.
    assert np.all(np.abs(np.asarray(found.exponents) - entry["exponents"]) < error + 3 / 120_000)
    assert found.checks is not None and int(found.checks.verdict) == 0


# As a system


def test_layout_names_and_words():
    system = coupled(models.fitzhugh_nagumo(), ring(3), through="v", individual="I", names=("k", "links"))
    assert system.state_names == ("v_0", "w_0", "v_1", "w_1", "v_2", "w_2")
    assert list(system.params) == ["a", "b", "tau", "I", "k", "links"]
    assert system.params["I"].shape == (3,) and system.params["a"].shape == ()
    np.testing.assert_array_equal(system.x0.reshape(3, 2), np.tile(models.fitzhugh_nagumo().x0, (3, 1)))
    np.testing.assert_array_equal(system.with_state(w_1=5.0).x0[3], 5.0)
    single = models.fitzhugh_nagumo().about
    assert system.about.symbol("w_2").meaning == single.symbol("w").meaning
    assert system.about.symbol("v_0").range == single.symbol("v").range
    assert system.about.title.startswith("3 coupled copies of: FitzHugh-Nagumo") and system.about.known == ()
    twice = coupled(system, PAIR, through="v_1")
    assert twice.dim == 12 and twice.state_names[-1] == "w_2_1"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
@pytest.mark.parametrize("n", [3, 9])
def test_lanes_of_couplings_and_of_graphs_equal_a_loop(engine, n, x64):
    rng = np.random.default_rng(5)
    system = coupled(models.fitzhugh_nagumo(), ring(n), individual="I").with_state(rng.normal(size=2 * n))

    def end(strength, adjacency, currents):
        lane = system.with_params(coupling=strength, adjacency=adjacency, I=currents)
        return jaxdyn.final_state(lane, n_steps=10, dt=0.1).x

    strengths, links, currents = rng.uniform(size=5), rng.uniform(size=(5, n, n)), rng.uniform(size=(5, n))
    links *= 1 - np.eye(n)
    expected = jnp.stack([end(*lane) for lane in zip(strengths, links, currents, strict=True)])
    got = jaxdyn.lanes(end, engine=engine)(strengths, links, currents)
    np.testing.assert_allclose(got, expected, atol=1e-13)
    shared = jaxdyn.lanes(end, in_axes=(0, None, None), engine=engine)(strengths, links[0], currents[0])
    np.testing.assert_allclose(shared[0], expected[0], atol=1e-13)


def test_nothing_falls_back():
    for n in (3, 12):
        system = coupled(models.fitzhugh_nagumo(), ring(n), through="v")
        told = jaxdyn.explain(
            lambda k, system=system: jaxdyn.final_state(system.with_params(coupling=k), n_steps=100, dt=0.1).x,
            jnp.linspace(0, 1, 1024),
            engine=jaxdyn.Xla(),
        )
        assert told.fallbacks == {}
        assert told.whole.get("dot_general", 0) == (0 if n == 3 else 4)  # one product of matrices a stage


def test_sweeps_and_gradients(x64):
    system = coupled(models.fitzhugh_nagumo(), PAIR, through="v").with_state(v_0=-0.5, v_1=0.5)
    ends = jaxdyn.sweep(
        lambda s: jaxdyn.final_state(s, n_steps=20, dt=0.1), system, {"coupling": [0.0, 0.5, 1.0]}, progress=False
    )
    alone = jaxdyn.final_state(models.fitzhugh_nagumo().with_state(v=0.5), n_steps=20, dt=0.1).x
    np.testing.assert_allclose(ends["x"].values[0, 2:], alone, rtol=1e-13)
    assert list(ends["state"].values) == ["v_0", "w_0", "v_1", "w_1"]

    def end(adjacency):
        return jaxdyn.final_state(system.with_params(adjacency=adjacency), n_steps=20, dt=0.1).x[2]

    slope, h = jax.grad(end)(jnp.asarray(PAIR)), 1e-5
    bump = h * np.eye(2)[[1]].T @ np.eye(2)[[0]]  # what copy 1 receives from copy 0
    np.testing.assert_allclose(slope[1, 0], (end(PAIR + bump) - end(PAIR - bump)) / (2 * h), rtol=1e-7)
    np.testing.assert_array_equal(np.diagonal(slope), 0)  # no copy acts on itself


def test_new_values_cost_no_retrace():
    traces = []

    def field(t, x, p):
        traces.append(None)
        return -p["a"] * x

    system = coupled(jaxdyn.flow(field, {"a": 1.0}, [1.0]), PAIR, individual="a")
    run = jax.jit(lambda s: jaxdyn.final_state(s, n_steps=2, dt=0.1).x)
    run(system)
    before = len(traces)
    run(system.with_params(a=[1.0, 2.0], coupling=3.0, adjacency=[[0.0, 2.0], [0.0, 0.0]]))
    assert len(traces) == before > 0


def test_every_copy_has_its_samples(x64):
    """Held during steps, as of one copy; RK4's last stage would see the next sample."""
    still = jaxdyn.flow(lambda t, x, p: 0 * x, {}, [0.0], state_names=["x"])
    pushed = jaxdyn.driven(still, jaxdyn.samples([1.0, 5.0], dt=1.0), onto="x")
    for individual, wanted in (((), [[0, 0], [1, 1], [6, 6]]), ({"drive": [[1, 5], [2, 7]]}, [[0, 0], [1, 2], [6, 9]])):
        system = coupled(pushed, PAIR, strength=0.0, individual=individual)
        np.testing.assert_allclose(jaxdyn.trajectory(system, n_steps=2, dt=1.0).x, wanted, rtol=1e-15)
    both = jaxdyn.driven(coupled(still, PAIR, strength=0.0), jaxdyn.samples([1.0, 5.0], dt=1.0), onto="x_1")
    np.testing.assert_allclose(jaxdyn.trajectory(both, n_steps=2, dt=1.0).x, [[0, 0], [0, 1], [0, 6]], rtol=1e-15)


def test_fields_of_python_numbers(x64):
    still = jaxdyn.flow(lambda t, x, p: (x[1], 0), {}, [0.0, 1.0])
    np.testing.assert_array_equal(coupled(still, PAIR)(0.0, [0.0, 1.0, 0.0, 2.0]), [1, 1, 2, -1])
