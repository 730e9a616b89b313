"""The Mackey-Glass equation as a map of one delay: closed forms, an independent solver, and known exponents."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import jaxdyn
from jaxdyn.models import mackey_glass
from jaxdyn.models.delay_lines import running_integral

pytestmark = pytest.mark.usefixtures("x64")

KNOWN = {17.0: ((0.005139, 8e-6), 2.1327), 23.0: ((0.009447, 15e-6), 2.7987), 30.0: ((0.00705, 2e-5), 3.566)}
"""Largest exponent per unit of time with its standard error, and dimension, over the delay."""


@pytest.mark.parametrize("n", [5, 6, 13])
@pytest.mark.parametrize("degree", range(7))
def test_integral_of_powers(n, degree):
    """Degrees 0 to 5 are exact up to the rounding of sums of n terms, 6 is not."""
    points = np.arange(n + 1.0)
    error = np.abs(running_integral(n) @ points**degree - points ** (degree + 1) / (degree + 1)).max()
    rounding = 100 * n * np.finfo(float).eps * n ** (degree + 1)
    assert error <= rounding if degree < 6 else error > 0.01


def test_first_delay_in_closed_form():
    """A constant history gives a constant production f, so x = f/gamma + (x(0) - f/gamma) exp(-gamma t)."""
    system = mackey_glass(points=64, tau=20.0, beta=0.3, gamma=0.15, n=8.0)
    start = 0.5
    rest = 0.3 * start / (1 + start**8) / 0.15
    t = np.linspace(0, 20, 65)
    after = system(0, np.full(65, start))
    # The integral of exp(gamma s) is of order 6: the rule errs by h^6 gamma^6/720 or less of it, rounding aside.
    allowed = (0.15 * 20 / 64) ** 6 / 60 + 1e-14
    np.testing.assert_allclose(after, rest + (start - rest) * np.exp(-0.15 * t), rtol=0, atol=allowed)


def solved(tau, n_delays, at):
    """Method of steps with an ordinary solver of high order: each delay's solution drives the next."""
    before, x = lambda t: 0.5, 0.5
    for _ in range(n_delays):
        rate = functools.partial(lambda t, y, before: 0.2 * before(t) / (1 + before(t) ** 10) - 0.1 * y, before=before)
        run = scipy.integrate.solve_ivp(
            rate, (0, tau), [x], "DOP853", rtol=1e-11, atol=1e-12, max_step=0.5, dense_output=True
        )
        before, x = functools.partial(lambda t, sol: sol(t)[0], sol=run.sol), run.y[0, -1]
    return np.array([before(t) for t in at])


@pytest.mark.parametrize("tau", [17.0, 30.0])
def test_sixth_order_against_an_independent_solver(tau):
    """At the points that all sizes share; on the fourth delay the solution is smooth but for its ends."""
    truth = solved(tau, 4, np.linspace(0, tau, 17))
    sizes = (32, 64, 128)
    errors = []
    for points in sizes:
        end = jaxdyn.final_state(mackey_glass(tau=tau, points=points), n_steps=4).x
        errors.append(np.abs(np.asarray(end)[:: points // 16] - truth).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > 5.3), (errors, orders)  # 6, up to the next term of the error at coarse steps
    # Order 6 leaves this of the error between the two finest; the solver is good to some 1e-11.
    assert errors[-1] < errors[0] / 32 and errors[-1] < 1e-8


def test_multipliers_of_the_fixed_point():
    """exp(lambda tau) with lambda = W_k(s tau exp(gamma tau))/tau - gamma, s = -0.4, W the branches of Lambert."""
    tau = 17.0
    system = mackey_glass(tau=tau)
    rest = np.ones(65)
    np.testing.assert_allclose(system(0, rest), rest, atol=1e-12)
    found = np.asarray(jaxdyn.eigenvalues(system, rest))
    branch = np.array([scipy.special.lambertw(-0.4 * tau * np.exp(0.1 * tau), k) for k in range(3)])
    expected = np.exp(branch - 0.1 * tau)
    order = np.argsort(-np.abs(expected))
    # The mode of branch k turns k + 1/2 times a delay or less: 64 points resolve 2.5 turns to (2 pi 2.5/64)^6/60.
    np.testing.assert_allclose(found[[0, 2, 4]], expected[order], rtol=0, atol=(2 * np.pi * 2.5 / 64) ** 6 / 60)


def test_hopf_point():
    """Multipliers exp(+-i omega tau) where cos(omega tau) = -1/4, omega = sqrt(0.15)."""
    tau = np.arccos(-0.25) / np.sqrt(0.15)

    def radius(tau):
        return float(jaxdyn.spectral_radius(jaxdyn.eigenvalues(mackey_glass(tau=tau), np.ones(65))))

    assert abs(radius(tau) - 1) < 1e-8
    assert radius(tau - 0.01) < 1 - 1e-4 and radius(tau + 0.01) > 1 + 1e-4


def test_sweep_over_the_delay():
    """The step of the history follows the delay; lanes agree with single runs."""
    system = mackey_glass(points=32)
    taus = [10.0, 17.0, 25.0]
    cells = jaxdyn.sweep(functools.partial(jaxdyn.final_state, n_steps=10), system, {"tau": taus}, progress=False)
    for i, tau in enumerate(taus):
        alone = jaxdyn.final_state(mackey_glass(points=32, tau=tau), n_steps=10).x
        np.testing.assert_allclose(cells.x[i], alone, rtol=1e-9)  # rounding, with the growth of ten delays


def test_single_precision():
    single, double = (mackey_glass(dtype=dtype) for dtype in (jnp.float32, jnp.float64))
    assert single(0, single.x0).dtype == jnp.float32
    np.testing.assert_allclose(single(0, single.x0), double(0, double.x0), rtol=1e-5)


def spectra(system, starts, taus, **settings):
    """Mean over starts of exponents per unit of time, standard errors, and the result of the sweep."""
    run = jaxdyn.sweep(
        functools.partial(jaxdyn.lyapunov_spectrum, n_exponents=5, qr_every=4, **settings),
        system,
        {"tau": taus, "x0": starts},
        progress=False,
    )
    assert not run.status.values.any()
    exponents = run.exponents.values / np.array(taus)[:, None, None]
    return exponents.mean(axis=1), exponents.std(axis=1, ddof=1) / np.sqrt(len(starts)), run


def check_exponents(found, errors, tau):
    (largest, known_error), _ = KNOWN[tau]
    assert abs(found[0] - largest) <= 3 * np.hypot(errors[0], known_error), (tau, found, errors)
    neutral = 2 if tau == 30 else 1
    assert abs(found[neutral]) <= 3 * errors[neutral] + 1e-8, (tau, found, errors)


def constant_histories(n, points):
    return np.linspace(0.4, 0.9, n)[:, None] * np.ones(points + 1)


def test_exponents_roughly():
    found, errors, _ = spectra(
        mackey_glass(points=32), constant_histories(4, 32), [23.0], n_steps=1024, n_transient=128
    )
    check_exponents(found[0], errors[0], 23.0)
    assert errors[0, 0] < 4e-4  # 4 % of the exponent: the check means something


@pytest.mark.slow
def test_exponents_and_dimension():
    """Within three standard errors of both; the reference's dimension carries the errors of its exponents."""
    taus = list(KNOWN)
    found, errors, run = spectra(mackey_glass(), constant_histories(16, 64), taus, n_steps=8192, n_transient=512)
    dimensions = run.kaplan_yorke_dimension.values
    for i, tau in enumerate(taus):
        check_exponents(found[i], errors[i], tau)
        # Stated errors add up to that of the sum of positive exponents, over the first exponent beyond the dimension.
        (_, known_error), dimension = KNOWN[tau]
        next_one = abs(found[i, int(dimension)])
        stated = known_error * (2 if tau == 30 else 1) / next_one + 0.5 * 10.0 ** -len(str(dimension).split(".")[1])
        own = dimensions[i].std(ddof=1) / np.sqrt(dimensions.shape[1])
        assert abs(dimensions[i].mean() - dimension) <= 3 * np.hypot(own, stated), (tau, dimensions[i].mean(), own)
    # The second positive exponent at 30, and the first negative one at 17 (all its digits, error unknown).
    assert abs(found[2, 1] - 0.00213) <= 3 * np.hypot(errors[2, 1], 2e-5)
    assert abs(found[0, 2] + 0.03874) <= 3 * errors[0, 2] + 0.000005
    assert errors[0, 0] < 3e-5 and errors[1, 0] < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 4}, "points must be a whole number of at least 5, got 4"),
        (
            {"points": 10, "x0": np.ones(10)},
            r"x0 must have shape \(11,\), the history at 10 equal steps, .*got \(10,\)",
        ),
    ],
)
def test_wrong_sizes_say_what_fits(arguments, message):
    with pytest.raises(ValueError, match=message):
        mackey_glass(**arguments)


def test_one_product_serves_all_tangent_vectors():
    """Of a lane's five vectors, pushed through one delay."""
    system = mackey_glass(points=12)
    frame = jnp.eye(13)[:5]

    def push(frame):
        return jax.vmap(jax.linearize(lambda x: system(0, x), system.x0)[1])(frame)

    text = str(jax.make_jaxpr(push)(frame))
    assert text.count("dot_general") == 2  # the state's and that of all vectors
    assert "while" not in text and "scan" not in text
