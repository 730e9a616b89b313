"""Rate networks: Hebbian pair, feed-forward layer, random recurrent networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.extend.core import ClosedJaxpr, Jaxpr

import jaxdyn
from jaxdyn.models.networks import feedforward, hebbian_pair, hebbian_pair_fast, random_rnn, random_rnn_map

pytestmark = pytest.mark.usefixtures("x64")

FOLD = 0.88943675915758620  # r of both saddle-nodes at u = 0: 3 atanh r = r/(1 - r^2)
ETA2 = 0.001


def pair(eta, u1=0.0, u2=None, **more):
    return hebbian_pair(eta1=eta * ETA2, eta2=ETA2, u1=u1, u2=u1 if u2 is None else u2, **more)


def at_rest(r1, r2, eta):
    """State with these rates and the weights that belong to them."""
    return np.array([r1, r2, eta * r1 * r1, eta * r1 * r2, eta * r1 * r2, eta * r2 * r2])


def fixed_points(system, eta):
    """All fixed points found by Newton's method from a grid of rates, each once."""
    grid = np.linspace(-0.999, 0.999, 25)
    starts = np.array([at_rest(a, b, eta) for a in grid for b in grid])

    def root(x):
        def step(_, x):
            return x - jnp.linalg.solve(jaxdyn.jacobian(system, x), system(0.0, x))

        return jax.lax.fori_loop(0, 60, step, x)

    x = np.asarray(jax.jit(jax.vmap(root))(starts))
    residual = np.abs(np.asarray(jax.vmap(lambda x: system(0.0, x))(x))).max(1)
    x = x[residual < 1e-15]
    kept = []
    for point in x:
        if all(np.abs(point - other).max() > 1e-6 for other in kept):
            kept.append(point)
    return np.array(kept)


def test_hebbian_equations():
    r1, r2, m11, m12, m21, m22 = z = np.array([0.3, -0.6, 0.5, -1.0, 2.0, 0.7])
    system = hebbian_pair(gamma=0.2, eta1=0.3, eta2=0.05, u1=0.1, u2=-0.2)
    expected = [
        0.2 * (-r1 + np.tanh(m11 * r1 + m12 * r2 + 0.1)),
        0.2 * (-r2 + np.tanh(m21 * r1 + m22 * r2 - 0.2)),
        *(0.3 * np.array([r1 * r1, r1 * r2, r1 * r2, r2 * r2]) - 0.05 * z[2:]),
    ]
    np.testing.assert_allclose(system(0.0, z), expected, rtol=1e-13)
    fast = hebbian_pair_fast(gamma=0.2, m11=m11, m12=m12, m21=m21, m22=m22, u1=0.1, u2=-0.2)
    np.testing.assert_allclose(fast(0.0, z[:2]), expected[:2], rtol=1e-13)


def test_hebbian_jacobian_at_a_fixed_point():
    """Closed form, in the unit of eta2 with eps = gamma/eta2."""
    eta, eps = 1.3, 100.0
    system = pair(eta, 0.1)
    x = np.array([0.98904227, -0.98321331])  # 8 digits; the weights follow from them
    r1, r2 = x
    s1, s2 = 1 - r1**2, 1 - r2**2
    expected = np.array(
        [
            [eps * (eta * r1**2 * s1 - 1), eps * eta * r1 * r2 * s1, eps * r1 * s1, eps * r2 * s1, 0, 0],
            [eps * eta * r1 * r2 * s2, eps * (eta * r2**2 * s2 - 1), 0, 0, eps * r1 * s2, eps * r2 * s2],
            [2 * eta * r1, 0, -1, 0, 0, 0],
            [eta * r2, eta * r1, 0, -1, 0, 0],
            [eta * r2, eta * r1, 0, 0, -1, 0],
            [0, 2 * eta * r2, 0, 0, 0, -1],
        ]
    )
    # sech^2 = 1 - r^2 holds to the digits of r, 5e-9 times slopes of at most 2 eps.
    np.testing.assert_allclose(jaxdyn.jacobian(system, at_rest(*x, eta)) / ETA2, expected, atol=2e-6)


def test_forgetting_rate_is_always_a_double_eigenvalue():
    states = np.random.default_rng(1).uniform(-1, 1, (20, 6))
    for jac in jax.jit(jax.vmap(lambda x: jaxdyn.jacobian(pair(1.3, 0.1), x)))(states):
        values = np.linalg.svd(np.asarray(jac) + ETA2 * np.eye(6), compute_uv=False)
        assert values[-2] < 1e-16 < 1e-10 < values[-3]


def test_antisymmetry_of_the_weights_decays_exactly():
    """d(m12 - m21)/dt = -eta2 (m12 - m21), whatever the rates do; RK4 leaves (eta2 dt)^4 eta2 t / 120 = 1e-14."""
    system = hebbian_pair(x0=[0.5, -0.3, 0.1, 0.9, -0.4, 0.2])
    run = jaxdyn.trajectory(system, t1=2000.0, dt=1.0, save=jaxdyn.Every(100))
    difference = run.x[:, 3] - run.x[:, 4]
    np.testing.assert_allclose(difference, 1.3 * np.exp(-ETA2 * np.asarray(run.t)), rtol=1e-12)


def test_energy_of_symmetric_weights_decreases():
    """E = sum[r atanh r + ln(1 - r^2)/2] - r'Mr/2 - u.r + eta2/(4 eta1) |M|^2."""
    system = pair(1.3, 0.1, -0.2)
    inputs = jnp.array([0.1, -0.2])

    def energy(x):
        r, m = x[:2], x[2:].reshape(2, 2)
        rates = jnp.sum(r * jnp.arctanh(r) + jnp.log(1 - r**2) / 2)
        return rates - r @ m @ r / 2 - inputs @ r + jnp.sum(m * m) / (4 * 1.3)

    x = np.random.default_rng(2).uniform(-0.99, 0.99, (500, 6))
    x[:, 4] = x[:, 3]
    slope = jax.jit(jax.vmap(lambda x: jax.grad(energy)(x) @ system(0.0, x)))(x)
    assert float(slope.max()) < 0
    run = jaxdyn.trajectory(pair(1.3, 0.1, -0.2, x0=[0.4, -0.5, 0.1, 0.1, 0.1, 0.1]), t1=5000.0, dt=1.0)
    # Where it has come to rest, E moves by rounding only.
    assert np.diff(np.asarray(jax.jit(jax.vmap(energy))(run.x))).max() < 1e-15


@pytest.mark.parametrize("method", [jaxdyn.RK4(), jaxdyn.Tsit5()])
@pytest.mark.parametrize(
    ("t1", "r", "m", "digits"),
    [(500.0, 0.11521408, 0.0676658, 7), (800.0, 0.11180432, 0.05445579, 8), (20000.0, 0.10243396, 0.01364053, 8)],
)
def test_hebbian_default_run(method, t1, r, m, digits):
    """Independent integration, digits as stated; at dt = 1 RK4 is within 2e-9; t = 20000 is the end to exp(-18)."""
    x = np.asarray(jaxdyn.final_state(hebbian_pair(), t1=t1, dt=1.0, method=method).x)
    np.testing.assert_allclose(x[:2], r, rtol=0, atol=6e-9)
    np.testing.assert_allclose(x[2:], m, rtol=0, atol=0.6 * 10.0**-digits)


def test_suggested_step_resolves_the_pair():
    coarse, fine = (
        np.asarray(jaxdyn.final_state(hebbian_pair(), t1=800.0, dt=dt).x) for dt in (hebbian_pair.about.dt, 0.5)
    )
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=1e-9)


def test_origin_without_input_is_stable():
    """Eigenvalues -gamma twice and -eta2 four times."""
    values = np.sort(np.asarray(jaxdyn.eigenvalues(pair(1.3), [0.0] * 6).real))
    np.testing.assert_allclose(values, [-0.1] * 2 + [-0.001] * 4, rtol=1e-13)


@pytest.mark.parametrize(
    ("eta", "r1", "r2", "u"),
    [
        (2.0169980396643618, FOLD, 0.0, 0.0),
        (2.0169980396643618, 0.0, -FOLD, 0.0),
        (1.0084990198321809, FOLD, FOLD, 0.0),
        (1.0084990198321809, FOLD, -FOLD, 0.0),
        (0.93593077949546, 0.876462655664, 0.876462655664, 0.1),
        (1.0783352968098, -0.899408, -0.899408, 0.1),
    ],
)
def test_saddle_nodes(eta, r1, r2, u):
    """A fixed point with an eigenvalue 0, to the digits of r.

    An error of r enters the residual squared, and the eigenvalue itself: the eigenvalue moves by about eta2 times ten for each unit of r.
    """
    digits = 5e-7 if r1 == -0.899408 else 1e-12
    system, x = pair(eta, u), at_rest(r1, r2, eta)
    np.testing.assert_allclose(system(0.0, x), 0, atol=max(digits**2 * 10, 1e-14))
    smallest = np.abs(np.asarray(jaxdyn.eigenvalues(system, x))).min()
    assert smallest < max(20 * ETA2 * digits, 1e-14)
    ordinary = np.abs(np.asarray(jaxdyn.eigenvalues(pair(eta * 1.1, u), x))).min()
    assert ordinary > 1e-5


@pytest.mark.parametrize(("eta", "count"), [(0.95, 1), (1.3, 9), (2.1, 17)])
def test_number_of_fixed_points_without_input(eta, count):
    """1, 9, 17: below, between and above the saddle-nodes; axis states are unstable, diagonal ones half and half."""
    system = pair(eta)
    x = fixed_points(system, eta)
    assert len(x) == count
    np.testing.assert_allclose(x, [at_rest(*point[:2], eta) for point in x], atol=1e-12)
    unstable = np.array([int((jaxdyn.eigenvalues(system, point).real > 1e-9).sum()) for point in x])
    on_axis = (np.abs(x[:, :2]).min(1) < 1e-9) & (np.abs(x[:, :2]).max(1) > 1e-9)
    on_diagonal = np.abs(x[:, :2]).min(1) > 1e-9
    upper = np.abs(x[:, 0]) > FOLD
    assert set(unstable[on_axis]) <= {1, 2}
    assert set(unstable[on_diagonal & upper]) <= {0}
    assert set(unstable[on_diagonal & ~upper]) <= {1}


def test_diagonal_states_at_the_default_ratio():
    """eta = 1.3, u = 0: a stable state and a saddle on the diagonal, with their leading eigenvalues."""
    for s, leading in ((0.9865132994761254, -0.0008532133), (0.686563849181936, 0.0024411447)):
        x = at_rest(s, s, 1.3)
        np.testing.assert_allclose(pair(1.3)(0.0, x), 0, atol=1e-15)
        values = jaxdyn.eigenvalues(pair(1.3), x)
        assert float(values.real.max()) == pytest.approx(leading, abs=6e-11)


def test_fixed_points_with_input():
    """eta = 1.3: u = 0.1 has 9 fixed points, u = 0.3 has 7 (the state of rest is gone); 5 and 4 are stable."""
    stable = {}
    for u, count in ((0.1, 9), (0.3, 7)):
        system = pair(1.3, u)
        x = fixed_points(system, 1.3)
        assert len(x) == count
        growth = np.array([float(jaxdyn.spectral_abscissa(jaxdyn.eigenvalues(system, point))) for point in x])
        stable[u] = x[growth < 0, :2]
        assert len(stable[u]) == {0.1: 5, 0.3: 4}[u]
    expected = [
        (-0.98254305, -0.98254305),
        (-0.98321331, 0.98904227),
        (0.10243396, 0.10243396),
        (0.98904227, -0.98321331),
        (0.98942074, 0.98942074),
    ]
    found = np.array(sorted(map(tuple, stable[0.1])))
    np.testing.assert_allclose(found, expected, atol=6e-9)


def test_frozen_weights_have_the_fixed_points_of_the_pair():
    s = 0.9865132994761254
    fast = hebbian_pair_fast(**dict.fromkeys(("m11", "m12", "m21", "m22"), 1.3 * s * s), u1=0.0, u2=0.0)
    np.testing.assert_allclose(fast(0.0, np.array([s, s])), 0, atol=1e-15)
    gain = (1 - s * s) * 1.3 * s * s
    expected = 0.1 * (gain * np.ones((2, 2)) - np.eye(2))  # gamma (diag(1 - r^2) M - I)
    np.testing.assert_allclose(jaxdyn.jacobian(fast, [s, s]), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("f", "slope"), [(jnp.tanh, lambda y: 1 - jnp.tanh(y) ** 2), (jnp.sin, jnp.cos), (lambda y: y, jnp.ones_like)]
)
def test_feedforward_jacobian(f, slope):
    """J = diag(f'(W x)) W, and W wider than tall."""
    random = np.random.default_rng(3)
    W, x = jnp.asarray(random.standard_normal((3, 5))), jnp.asarray(random.standard_normal(5))
    assert feedforward(W, x, f).shape == (3,)
    np.testing.assert_allclose(
        jax.jacfwd(feedforward, argnums=1)(W, x, f), np.diag(slope(W @ x)) @ np.asarray(W), rtol=1e-12, atol=1e-15
    )
    step = 1e-6 * random.standard_normal(5)
    change = jax.jacfwd(feedforward, argnums=1)(W, x, f) @ step
    # Second order of a step of 1e-6 with weights of order one.
    np.testing.assert_allclose(feedforward(W, x + step, f) - feedforward(W, x, f), change, atol=1e-10)


@pytest.mark.parametrize("phi", ["tanh", "identity"])
def test_random_network_equations(phi):
    function = np.tanh if phi == "tanh" else np.asarray
    flow = random_rnn(n=20, seed=4, g=1.7, input=np.arange(20.0), phi=phi)
    J, x = np.asarray(flow.params["J"]), np.asarray(flow.x0)
    np.testing.assert_allclose(flow(0.0, x), -x + 1.7 * J @ function(x) + np.arange(20), rtol=1e-12, atol=1e-12)
    discrete = random_rnn_map(n=20, seed=4, g=1.7, phi=phi)
    np.testing.assert_array_equal(discrete.params["J"], J)
    np.testing.assert_allclose(discrete(0, x), 1.7 * J @ function(x), rtol=1e-12, atol=1e-13)


def test_one_network_per_seed_in_every_dtype():
    double, single = random_rnn(n=30, seed=5), random_rnn(n=30, seed=5, dtype=jnp.float32)
    assert (double.dtype, single.dtype, single.params["J"].dtype) == (jnp.float64, jnp.float32, jnp.float32)
    for a, b in ((double.params["J"], single.params["J"]), (double.x0, single.x0)):
        np.testing.assert_array_equal(np.asarray(a).astype(np.float32), b)
    assert np.abs(np.asarray(random_rnn(n=30, seed=6).params["J"] - double.params["J"])).min() > 0
    with jax.enable_x64(False):
        default = random_rnn(n=30, seed=5)
        np.testing.assert_array_equal(default.params["J"], single.params["J"])


def test_coupling_statistics():
    """Variance 1/n, mean 0: standard errors of n^2 normal draws."""
    system = random_rnn()
    J = np.asarray(system.params["J"])
    assert J.shape == (500, 500) and float(system.params["g"]) == 1.1 and system.dim == 500
    assert abs(J.mean()) < 4 / 500**1.5
    assert abs(J.var() * 500 - 1) < 4 * np.sqrt(2) / 500


@pytest.mark.slow
def test_circular_law_at_500():
    """J of n = 500: largest real part 0.995(4) with deviation 0.024, radius 1.0295, sqrt(2n/pi) real eigenvalues."""
    seeds = 6
    origin = np.zeros(500)
    systems = [random_rnn(seed=seed, g=1.3) for seed in range(seeds)]
    spectra = np.array(
        [np.linalg.eigvals((np.asarray(jaxdyn.jacobian(s, origin)) + np.eye(500)) / 1.3) for s in systems]
    )
    abscissa, radius = spectra.real.max(1), np.abs(spectra).max(1)
    assert abs(abscissa.mean() - 0.995) < 4 * np.hypot(0.024 / np.sqrt(seeds), 0.004)
    # The deviation of the radius is not stated; it is below that of the abscissa.
    assert abs(radius.mean() - 1.0295) < 4 * np.hypot(0.024 / np.sqrt(seeds), 0.004)
    # Variance of the number of real eigenvalues: (2 - sqrt 2) times its mean (Forrester and Nagao 2007); the mean is
    # sqrt(2n/pi) + 1/2 to the next order.
    mean = np.sqrt(2 * 500 / np.pi)
    real = np.sum(np.abs(spectra.imag) < 1e-10, axis=1)
    assert abs(real.mean() - mean) < 0.5 + 4 * np.sqrt((2 - np.sqrt(2)) * mean / seeds)
    # Uniform in the disc: a fraction rho^2 within radius rho; eigenvalues repel, so binomial spread is an upper bound.
    inside = np.mean(np.abs(spectra) < 0.7)
    assert abs(inside - 0.49) < 4 * np.sqrt(0.49 * 0.51 / spectra.size)


@pytest.mark.slow
def test_small_networks_can_be_unstable_below_one():
    """n = 100: largest real part 0.973(5), deviation 0.067; 3 % of networks at g = 0.9 are unstable at the origin."""
    draws = 200
    largest = np.array([np.linalg.eigvals(random_rnn(n=100, seed=s).params["J"]).real.max() for s in range(draws)])
    assert abs(largest.mean() - 0.973) < 4 * np.hypot(0.067 / np.sqrt(draws), 0.005)
    unstable = np.sum(0.9 * largest > 1)
    assert 0 < unstable < 0.03 * draws + 4 * np.sqrt(0.03 * draws)


def test_divergence_of_the_network():
    """Trace of the Jacobian -n + g sum J_ii sech^2(x_i): the sum of the exponents is its average."""
    system = random_rnn(n=50, g=2.0)
    J = np.asarray(system.params["J"])
    gain = 1 / np.cosh(np.asarray(system.x0)) ** 2
    trace = np.trace(jaxdyn.jacobian(system))
    assert trace == pytest.approx(-50 + 2.0 * np.sum(np.diag(J) * gain), rel=1e-13)


def test_linear_network_is_the_matrix_exponential():
    """RK4 at dt = 0.05: |lambda|^5 dt^4 t / 120 with |lambda| < 2.5 is 5e-6 of a state of order one."""
    system = random_rnn(n=20, phi="identity")
    matrix = 1.1 * np.asarray(system.params["J"]) - np.eye(20)
    exact = scipy.linalg.expm(matrix) @ np.asarray(system.x0)
    end = jaxdyn.final_state(system, t1=1.0, dt=0.05).x
    np.testing.assert_allclose(end, exact, atol=2e-5)


def test_saturation_keeps_the_network_bounded():
    """g = 2: the linear network grows, the tanh network stays within |x_i| <= g sum_j |J_ij|."""
    bounded, linear = (
        jaxdyn.final_state(random_rnn(n=100, g=2.0, phi=p), t1=30.0, dt=0.1) for p in ("tanh", "identity")
    )
    limit = 2.0 * np.abs(np.asarray(random_rnn(n=100).params["J"])).sum(1)
    assert np.all(np.abs(np.asarray(bounded.x)) < limit)
    assert float(jnp.abs(linear.x).max()) > 1e6  # exp(30) of the start, in a few directions
    quiet = jaxdyn.final_state(random_rnn(n=100, g=0.5), t1=60.0, dt=0.1).x
    assert float(jnp.abs(quiet).max()) < 1e-8  # slowest rate near 0.5 - 1: exp(-27) left


def dot_products(jaxpr):
    """All matrix products of a program, also of its inner ones."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr)):
            if isinstance(value, Jaxpr | ClosedJaxpr):
                yield from dot_products(value.jaxpr if isinstance(value, ClosedJaxpr) else value)


@pytest.mark.parametrize("model", [random_rnn, random_rnn_map])
def test_sweep_of_the_gain_is_one_matrix_product(model):
    system = model(n=30)
    states = jnp.ones((7, 30))

    def rate(g, x):
        return system.with_params(g=g)(system.time(0, 0, 0), x)

    jaxpr = jax.make_jaxpr(jax.vmap(rate))(jnp.linspace(0.5, 2.0, 7), states)
    (product,) = dot_products(jaxpr.jaxpr)
    _, batch = product.params["dimension_numbers"]
    assert batch == ((), ())
    assert sorted(v.aval.shape for v in product.invars) == [(7, 30), (30, 30)]
    assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phi": "relu"}, "phi must be one of 'tanh', 'identity', got 'relu'"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"n": 2.0}, "n must be a whole number"),
        ({"n": 3, "J": np.zeros((2, 2))}, r"J must have shape \(3, 3\) in a network of n=3, got \(2, 2\)"),
        ({"n": 3, "input": 1.0}, r"input must have shape \(3,\) in a network of n=3, got \(\)"),
        ({"n": 3, "x0": [0.0]}, r"x0 must have shape \(3,\) in a network of n=3, got \(1,\)"),
        ({"n": 3, "g": [1.0, 2.0]}, r"g must have shape \(\) in a network of n=3, got \(2,\)"),
    ],
)
def test_wrong_choices_say_what_fits(arguments, message):
    with pytest.raises(ValueError, match=message):
        random_rnn(**arguments)


@pytest.mark.parametrize("model", [hebbian_pair, hebbian_pair_fast, random_rnn, random_rnn_map])
def test_words(model):
    small = {"n": 4} if "n" in model.options else {}
    system = model(**small)
    assert hash(model.about) == hash(system.about)
    assert all(line in model.__doc__ for line in model.about.equations)
    assert set(system.params) == {symbol.name for symbol in model.about.params}
    assert system.discrete == (model.kind == "map")


def test_options_of_the_network():
    assert random_rnn.options == {"n": 500, "seed": 0, "phi": "tanh"}
    own = random_rnn(n=2, J=[[0.0, 1.0], [-1.0, 0.0]], x0=[1.0, 0.0], phi="identity", g=1.0)
    np.testing.assert_array_equal(own(0.0, own.x0), [-1.0, -1.0])
