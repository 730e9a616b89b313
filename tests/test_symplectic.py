"""Symplectic methods: order, reversibility, the symplectic form, energy in the long run, and what they refuse."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_orbits import ENERGY_EXPONENTS, galaxy

import jaxdyn
from jaxdyn import Leapfrog, models
from jaxdyn.methods import Composition, Method, Symplectic, Yoshida4, Yoshida6
from jaxdyn.methods.symplectic import SOLUTION_A, TRIPLE_JUMP, VERLET

METHODS = [Leapfrog(), Yoshida4(), Yoshida6()]
ENGINES = [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)]
EPS = 2.2e-16


def name(value):
    return type(value).__name__


def energy_of_galaxy(x):
    q1, q2, p1, p2 = (x[..., i] for i in range(4))
    return (p1**2 + p2**2 + q1**2 + q2**2) / 2 + q1**2 * q2 - q2**3 / 3


def energy_of_kepler(x):
    return (x[..., 2] ** 2 + x[..., 3] ** 2) / 2 - 1 / np.hypot(x[..., 0], x[..., 1])


# Order


@pytest.mark.parametrize("composition", [VERLET, TRIPLE_JUMP, SOLUTION_A], ids=["2", "4", "6"])
def test_weights_obey_the_conditions_of_their_order_and_no_further(composition):
    """Sums of w, w^3, w^5, and of w^3 times the squared middle of the sub-step (commutators of leapfrog's terms)."""
    w = np.array(composition.weights)
    middle = np.cumsum(w) - w / 2
    conditions = [(2, w.sum() - 1), (4, (w**3).sum()), (6, (w**5).sum()), (6, (w**3 * middle**2).sum())]
    for order, value in conditions:
        if order <= composition.order:
            assert abs(value) < 40 * EPS  # roundings of the weights, times their derivatives of at most 10
    if composition.order < 6:
        assert any(abs(value) > 0.01 for order, value in conditions if order == composition.order + 2)


def forced(t, x, p):
    """Separable, nonlinear, and both rates depend on time: of positions 3 (second and last state) and momenta."""
    u, q, v, r = x
    return -jnp.sin(q) + jnp.cos(2 * t), u + 0.3 * u**3 + jnp.sin(t), -q * r - r + t / 5, v * jnp.cos(t) + v


@pytest.mark.parametrize(("method", "n_steps"), [(Leapfrog(), 256), (Yoshida4(), 128), (Yoshida6(), 64)], ids=name)
def test_observed_order_of_a_driven_system(method, n_steps, x64):
    # Both rates depend on time, so a kick or drift at a wrong time shows. Errors stay far above rounding (1e-15) and
    # steps so small that the next term, two orders above, adds some percent.
    system = jaxdyn.flow(forced, {}, [0.3, 0.5, -0.2, 0.4], state_names=["u", "q", "v", "r"])
    exact = jaxdyn.final_state(system, n_steps=20_000, dt=3.0 / 20_000, method=jaxdyn.Tsit5()).x
    method = type(method)(positions=("q", "r"))
    ends = [jaxdyn.final_state(system, n_steps=n, dt=3.0 / n, method=method).x for n in (n_steps, 2 * n_steps)]
    errors = [float(jnp.abs(x - exact).max()) for x in ends]
    assert errors[1] > 1e-12
    assert abs(np.log2(errors[0] / errors[1]) - method.order) < 0.2, errors


def test_a_step_of_leapfrog_in_closed_form(x64):
    system = models.pendulum(x0=[1.0, 0.3])
    half = 0.3 - 0.05 * np.sin(1.0)
    q = 1.0 + 0.1 * half
    expected = [q, half - 0.05 * np.sin(q)]
    np.testing.assert_allclose(jaxdyn.final_state(system, n_steps=1, dt=0.1, method=Leapfrog()).x, expected, rtol=4e-16)


# Geometry


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_runs_backwards_to_rounding(method, x64):
    system = models.kepler()
    there = jaxdyn.final_state(system, n_steps=2000, dt=0.01, method=method).x
    back = jaxdyn.final_state(system.with_state(there), n_steps=2000, dt=-0.01, method=method).x
    # A rounding of a step moves the end by at most the shear of the orbit, 3 pi T / period = 30, and its own steepness
    # at the pericenter, 1 / (1 - e)^2 each way; 2000 steps of 8 roundings, as a random walk.
    assert jnp.abs(back - system.x0).max() < 30 * 16 * np.sqrt(2000 * 8) * EPS
    rk4 = jaxdyn.final_state(system, n_steps=2000, dt=0.01).x
    assert jnp.abs(jaxdyn.final_state(system.with_state(rk4), n_steps=2000, dt=-0.01).x - system.x0).max() > 1e-8


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("model", [models.pendulum, models.henon_heiles, models.pleiades])
def test_steps_keep_the_symplectic_form(method, model, x64):
    system = model()
    n = system.dim // 2
    masses = np.tile(system.params.get("m", 1.0), 2)[: n if n > 4 else 1]  # momenta are masses times velocities
    form = np.kron([[0, 1], [-1, 0]], np.eye(n) * masses)

    def defect(method):
        end = jax.jacfwd(lambda x: jaxdyn.final_state(system.with_state(x), n_steps=3, dt=0.1, method=method).x)
        matrix = np.asarray(end(system.x0))
        return np.abs(matrix.T @ form @ matrix - form).max() / (np.abs(matrix).max() ** 2 * np.abs(form).max())

    # Three steps of up to 15 kicks and drifts, each rounds a sum of dim terms.
    assert defect(method) < 3 * 15 * system.dim * EPS
    assert defect(jaxdyn.RK4()) > 1e3 * EPS


def test_leapfrog_conserves_its_own_energy_of_the_oscillator_exactly(x64):
    """Of q' = p, p' = -w^2 q: p^2 + w^2 q^2 (1 - (h w)^2 / 4), and turns by arccos(1 - (h w)^2 / 2) a step."""
    h, w, n = 0.3, 1.7, 100_000
    system = jaxdyn.flow(lambda t, x, p: (x[1], -(p["w"] ** 2) * x[0]), {"w": w}, [0.8, -0.4])
    run = jaxdyn.trajectory(system, n_steps=n, dt=h, method=Leapfrog(), save=jaxdyn.Every(1000))
    q, p = np.asarray(run.x).T
    kept = p**2 + w**2 * q**2 * (1 - (h * w) ** 2 / 4)
    assert np.abs(kept / kept[0] - 1).max() < 3 * 4 * np.sqrt(n) * EPS  # four roundings a step, a random walk
    root = w * np.sqrt(1 - (h * w) ** 2 / 4)
    phase = np.arccos(1 - (h * w) ** 2 / 2) * 1000 * np.arange(len(q))
    np.testing.assert_allclose(q, 0.8 * np.cos(phase) - 0.4 / root * np.sin(phase), atol=n * 4 * EPS)


# Energy


CASES = {
    "Henon-Heiles": (functools.partial(galaxy, 1 / 12), energy_of_galaxy, 0.1),
    "Kepler": (models.kepler, energy_of_kepler, 0.02),
    "pendulum": (lambda: models.pendulum(x0=[2.0, 0.0]), lambda x: x[..., 1] ** 2 / 2 - np.cos(x[..., 0]), 0.1),
}


def slope_of_energy(case, method, n_steps=1_000_000, every=200):
    """Slope of the relative error of energy over the run, its standard error from 25 blocks, and the largest error.

    The error is looked at at odd times of the orbit, and averaged over blocks: what swings is then noise.
    """
    make, energy, dt = CASES[case]
    run = jaxdyn.trajectory(make(), n_steps=n_steps, dt=dt, method=method, save=jaxdyn.Every(every))
    values = energy(np.asarray(run.x))
    error = (values / values[0] - 1)[1:].reshape(25, -1).mean(axis=1)
    (slope, _), covariance = np.polyfit(np.arange(25) / 24 - 0.5, error, 1, cov=True)
    return slope, np.sqrt(covariance[0, 0]), np.abs(values / values[0] - 1).max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", METHODS, ids=name)
def test_energy_does_not_drift_over_a_million_steps(method, case, x64):
    slope, error, largest = slope_of_energy(case, method)
    # Rounding is a random walk: of 1e6 steps with up to 8 forces of a few roundings each.
    walk = 1e3 * 8 * EPS * 4
    assert abs(slope) < 3 * error + walk
    # 1e6 times the error of one period, as of a method that drifts, would be 1e3 times larger.
    bound = {2: 0.02, 4: 2e-3, 6: 2e-4}[method.order]
    assert largest < bound
    assert abs(slope) < 1e-2 * largest + walk


def test_rk4_drifts_where_they_do_not(x64):
    for case in CASES:
        slope, error, largest = slope_of_energy(case, jaxdyn.RK4())
        assert abs(slope) > 10 * error and abs(slope) > 0.5 * largest


def test_single_precision_walks_by_rounding_only():
    run = jaxdyn.trajectory(models.pendulum(x0=[2.0, 0.0]), n_steps=1_000_000, dt=0.1, method=Yoshida4())
    x = np.asarray(run.x[::1000], float)
    energy = x[:, 1] ** 2 / 2 - np.cos(x[:, 0])
    assert np.abs(energy - energy[0]).max() < 2e-5 + 10 * 1.2e-7 * np.sqrt(1e6)  # own swing, and the walk


# Exponents


@pytest.mark.slow
def test_exponents_of_henon_heiles_come_in_exact_pairs(x64):
    # The saddles, fixed points of the method too, have the energy 1/6. The method's own energy, h^2 (p V'' p / 12 -
    # |V'|^2 / 24) more at the start, must not lie above it, or the orbit escapes; lambda falls by 2 h^2 / 150 for that.
    h = 0.05
    run = jaxdyn.lyapunov_spectrum(
        galaxy(1 / 6 - 0.0068 * h**2), n_steps=2_000_000, dt=h, method=Leapfrog(), checks=True, hamiltonian=True
    )
    # Orbits stick to islands, so that errors of batches are too small: 0.0008 is that of the reference's long run, here
    # of a time forty times shorter.
    assert abs(run.exponents[0] - ENERGY_EXPONENTS[1]) < 3 * np.hypot(float(run.std_error[0]), 0.0008)
    assert run.checks is not None and int(run.checks.verdict) == 0
    # The form is kept by every step, so sums of pairs stem from rounding, and from frames that still turn at the ends.
    pairs = run.exponents + run.exponents[::-1]
    assert jnp.abs(pairs).max() < 3 / (h * 2_000_000)


# Which equations


def test_positions_by_name_index_and_order_are_the_same(x64):
    system = models.henon_heiles()
    turned = np.array([2, 0, 3, 1])  # u, x, v, y

    def mixed(t, x, p):
        rates = jnp.stack(system.field(t, x[np.argsort(turned)], p))
        return rates[turned]

    other = jaxdyn.flow(mixed, dict(system.params), system.x0[turned], state_names=["u", "x", "v", "y"])
    expected = jaxdyn.final_state(system, n_steps=50, dt=0.1, method=Yoshida4()).x
    for positions in (("x", "y"), ("y", "x"), (1, "y")):
        got = jaxdyn.final_state(other, n_steps=50, dt=0.1, method=Yoshida4(positions=positions)).x
        np.testing.assert_allclose(got, expected[turned], rtol=0, atol=50 * 15 * EPS)


@pytest.mark.parametrize("engine", ENGINES, ids=name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lanes_equal_a_loop(engine, dtype, x64):
    chain = jaxdyn.coupled(
        models.pendulum(dtype=dtype), np.eye(3, k=1) + np.eye(3, k=-1), through=[[0, 0], [1, 0]], strength=0.3
    )
    starts = np.random.default_rng(3).uniform(-1, 1, (5, 6)).astype(dtype)
    springs = Yoshida4(positions=("q_0", "q_1", "q_2"))
    for method, system in ((springs, chain), (Leapfrog(), models.pendulum(dtype=dtype))):

        def run(x, system=system, method=method):
            return jaxdyn.final_state(system.with_state(x[: system.dim]), n_steps=20, dt=0.1, method=method).x

        got = jaxdyn.lanes(run, engine=engine)(starts)
        expected = jnp.stack([run(x) for x in starts])
        np.testing.assert_allclose(got, expected, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_only_the_half_that_is_needed_is_computed():
    """A step of leapfrog holds one sine of the force and one tangent of the drift, in the compiled loop."""

    def field(t, x, p):
        return jnp.tanh(x[1]), -p["a"] * jnp.sin(x[0])

    system = jaxdyn.flow(field, {"a": 1.0}, [0.5, 0.0])
    run = jax.jit(lambda a: jaxdyn.final_state(system.with_params(a=a), n_steps=100, dt=0.1, method=Leapfrog()).x)
    text = str(run.lower(1.0).compile().as_text())
    assert text.count(" tanh(") == 1
    # The first force of the run is one more.
    assert 1 <= text.count(" sine(") <= 2


def test_refusals(unchecked):
    galaxy_ = models.henon_heiles()

    def end(system, **options):
        return jaxdyn.final_state(system, n_steps=1, dt=0.1, method=Leapfrog(**options))

    with pytest.raises(ValueError, match="lorenz63 has 3 states; a symplectic method needs as many momenta as"):
        end(models.lorenz63())
    with pytest.raises(TypeError, match=r"no state 'w'.*known: x, y, u, v"):
        end(galaxy_, positions=("x", "w"))
    for positions in (("x",), ("x", 0), ("x", "y", "u")):
        with pytest.raises(ValueError, match="positions must be 2 different ones of them"):
            end(galaxy_, positions=positions)
    with pytest.raises(ValueError, match="has 4 states, so an index is 0 to 3, got 4"):
        end(galaxy_, positions=(0, 4))
    for positions in ((0.0, 1.0), (True, False)):
        with pytest.raises(TypeError, match="positions must be names or indices of states"):
            end(galaxy_, positions=positions)
    with pytest.raises(TypeError, match="positions must be several names or indices, got 'x'; write a tuple"):
        end(galaxy_, positions="x")
    one: Any = 1
    with pytest.raises(TypeError, match="positions must be several names or indices, got 1; write a tuple"):
        end(galaxy_, positions=one)
    spring = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0], state_names=["q", "p"])
    pair = jaxdyn.coupled(spring, [[0, 1], [1, 0]], through=[[0, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"'q_0' must depend on the momenta alone; give positions=\('q_0', 'q_1'\)"):
        end(pair)
    with pytest.raises(TypeError, match="maps are iterated"):
        jaxdyn.final_state(models.henon(), n_steps=1, method=Leapfrog())
    with pytest.raises(ValueError, match=r"weights of a composition must add up to 1, got 0\.75"):
        Composition((0.25, 0.25, 0.25), order=2)
    with pytest.raises(ValueError, match="weights of a composition must read the same backwards"):
        Composition((0.25, 0.75), order=2)


def test_methods_are_equal_by_value_and_satisfy_the_protocol():
    assert jax.tree.structure(Leapfrog(positions=("x",))) == jax.tree.structure(Leapfrog(positions=("x",)))
    assert jax.tree.structure(Leapfrog()) != jax.tree.structure(Yoshida4())
    assert all(isinstance(method, Method) for method in METHODS)
    own = Symplectic(Composition((0.5, 0.5), order=2))
    twice = jaxdyn.final_state(models.pendulum(), n_steps=5, dt=0.2, method=own).x
    halves = jaxdyn.final_state(models.pendulum(), n_steps=10, dt=0.1, method=Leapfrog()).x
    np.testing.assert_allclose(twice, halves, rtol=2e-6)


def test_sampled_inputs_are_held_during_a_step(x64):
    """The force of a new sample is not the last one of the step before."""
    pushed = jaxdyn.driven(models.pendulum(omega=0.0, x0=[0.0, 0.0]), jaxdyn.samples([1.0, 5.0], dt=1.0), onto="p")
    run = jaxdyn.trajectory(pushed, n_steps=2, dt=1.0, method=Leapfrog())
    np.testing.assert_array_equal(run.x, [[0, 0], [0.5, 1], [4.0, 6.0]])
