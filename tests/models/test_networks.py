"""Feed-forward layer and random recurrent networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.extend.core import ClosedJaxpr, Jaxpr

import jaxdyn
from jaxdyn.models.networks import feedforward, hebbian_pair, hebbian_pair_fast, random_rnn, random_rnn_map

pytestmark = pytest.mark.usefixtures("x64")


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
    seeds = 4
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
    with jax.default_matmul_precision("tensorfloat32"):
        jaxpr = jax.make_jaxpr(jax.vmap(rate))(jnp.linspace(0.5, 2.0, 7), states)
    (product,) = dot_products(jaxpr.jaxpr)
    assert product.params["precision"] == (jax.lax.Precision.HIGH,) * 2  # what the user named


def test_spectra_of_many_gains_are_products_of_matrices():
    """Each stage multiplies J by all states, and by all tangent vectors of all lanes at once; nothing is batched."""
    network = jaxdyn.models.random_rnn(n=30)

    def leading(g):
        return jaxdyn.lyapunov_spectrum(
            network.with_params(g=g), n_steps=10, n_transient=0, dt=0.1, n_exponents=3
        ).exponents

    jaxpr = jax.make_jaxpr(jaxdyn.lanes(leading))(jnp.linspace(0.5, 2.0, 7))
    products = [p for p in dot_products(jaxpr.jaxpr) if (30, 30) in [v.aval.shape for v in p.invars]]
    columns = {int(np.prod(v.aval.shape)) // 30 for p in products for v in p.invars if v.aval.shape != (30, 30)}
    assert columns == {7, 3 * 7}
    assert {p.params["dimension_numbers"][1] for p in products} == {((), ())}


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
