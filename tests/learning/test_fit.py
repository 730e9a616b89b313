"""Fits: recovered parameters, bounds, starts, failures, warnings, errors."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn import JaxdynWarning, Status, models
from jaxdyn.learning import descent, fit, gauss_newton
from jaxdyn.learning.unknowns import starts_of, unknowns_of

QUIET = {"progress": False}


def decay(rate=2.0):
    return jaxdyn.flow(lambda t, x, p: -p["rate"] * x, {"rate": rate}, [1.0], state_names=["x"])


def beside(data, **run):
    """Residuals of a trajectory."""
    return lambda system: jaxdyn.trajectory(system, **run).x - data


RUN = {"n_steps": 20, "dt": 0.1}


def data_of(system, **run):
    return jaxdyn.trajectory(system, **run).x


# What comes out


@pytest.mark.slow
def test_a_neuron_is_recovered_from_a_noisy_voltage(x64):
    """Within 1 % from one trace with noise of 5 %, its start unknown: that is three standard errors of the worst one.

    With 8000 samples least squares allow relative errors of 0.0009, 0.0032 and 0.0010 of a, b and tau: they fall like
    the root of the number of samples, so that 1 % is three errors of b from 7400 samples on.
    """
    n, dt = 8000, 0.1
    neuron = models.fitzhugh_nagumo()
    clean = jaxdyn.trajectory(neuron, n_steps=n, dt=dt).x[:, 0]
    noise = 0.05 * float(jnp.std(clean))
    trace = clean + noise * np.random.default_rng(0).normal(size=n + 1)

    def residuals(n):
        return lambda system: jaxdyn.trajectory(system, n_steps=n, dt=dt).x[:, 0] - trace[: n + 1]

    over = {"a": (0.2, 1.2), "b": (0.2, 1.2), "tau": (5, 25), "v": (-2.5, 2.5), "w": (-2, 2)}
    guess = neuron.with_params(a=0.5, b=0.5, tau=10.0).with_state(v=float(trace[0]), w=0.0)
    rough = fit(guess, residuals(1000), over=over, n_starts=12, n_steps=200, **QUIET)
    fine = fit(rough.system, residuals(n), gauss_newton(), over=over, n_steps=40, **QUIET)
    # The least mean square of n normal residuals with five values fitted: noise^2 (1 - 5/n), to sqrt(2/n).
    assert float(fine.loss[0]) == pytest.approx(noise**2 * (1 - 5 / n), rel=4 * np.sqrt(2 / n))
    for name in ("a", "b", "tau"):
        value, true, error = float(fine.params[name][0]), float(neuron.params[name]), float(fine.std_error[name])
        assert 3 * error < 0.01 * true
        assert abs(value - true) < 3 * error < 0.01 * true
    assert abs(float(fine.system.x0[1]) - 1) < 4 * float(fine.std_error["w"])


def test_two_values_that_enter_as_one_have_no_finite_error(x64):
    """Current and offset of a neuron whose w is not seen: they enter as a - b I."""
    neuron = models.fitzhugh_nagumo()
    data = data_of(neuron, n_steps=200, dt=0.2)[:, 0] + 0.01 * np.random.default_rng(0).normal(size=201)

    def residuals(system):
        return jaxdyn.trajectory(system, n_steps=200, dt=0.2).x[:, 0] - data

    over = {"a": (0, 1), "I": (0, 1), "w": (-2, 2), "tau": (5, 20)}
    found = fit(neuron, residuals, gauss_newton(), over=over, n_steps=2, **QUIET)
    assert found.std_error["a"] > 1e3 and found.std_error["I"] > 1e3 and found.std_error["tau"] < 0.5


def test_standard_errors_are_those_of_linear_least_squares(x64):
    """Residuals A p - y of a system that does not move: the errors are known, and the values are those of lstsq."""
    still = jaxdyn.flow(lambda t, x, p: 0 * x, {"p": np.zeros(3)}, [0.0])
    rng = np.random.default_rng(0)
    matrix, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    found = fit(still, lambda s: matrix @ s.params["p"] - y, gauss_newton(1e-6), over={"p": None}, n_steps=12, **QUIET)
    values, (square,), *_ = np.linalg.lstsq(matrix, y, rcond=None)
    np.testing.assert_allclose(found.system.params["p"], values, rtol=1e-9)
    errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)) * square / 37)
    np.testing.assert_allclose(found.std_error["p"], errors, rtol=1e-9)
    assert float(found.loss[0]) == pytest.approx(square / 40, rel=1e-12)


@pytest.mark.parametrize("optimizer", [None, optax.lbfgs(), optax.sgd(0.5, momentum=0.9), gauss_newton()])
def test_optimizers(x64, optimizer):
    data = data_of(decay(), **RUN)
    # Gradient descent: 300 steps at contraction rates below 0.93; the others end at rounding long before.
    found = fit(decay(0.5), beside(data, **RUN), optimizer, over={"rate": (0.1, 5)}, n_steps=300, **QUIET)
    assert float(found.system.params["rate"]) == pytest.approx(2, rel=1e-6)
    assert found.status.tolist() == [Status.OK] and found.history.shape == (301, 1)
    assert float(found.loss[0]) == float(jnp.nanmin(found.history))


@pytest.mark.parametrize("bounds", [(0, 5), (0, None), (None, 5), None], ids=str)
@pytest.mark.parametrize("forward", [True, False])
def test_a_scalar_loss_and_every_kind_of_bounds(x64, bounds, forward):
    data = data_of(decay(), **RUN)

    def loss(system):
        return jnp.sum(beside(data, **RUN)(system) ** 2)

    found = fit(decay(1.0), loss, optax.lbfgs(), over={"rate": bounds}, n_steps=30, forward=forward, **QUIET)
    assert float(found.system.params["rate"]) == pytest.approx(2, rel=1e-7)
    assert np.isnan(found.std_error["rate"])


def test_a_minimum_outside_the_bounds_is_not_passed(x64):
    data = data_of(decay(), **RUN)
    found = fit(decay(0.5), beside(data, **RUN), over={"rate": (0.1, 1.5)}, n_steps=200, n_starts=3, **QUIET)
    values = np.asarray(found.params["rate"])
    assert np.all((values > 0.1) & (values <= 1.5)) and values[int(found.best)] > 1.45


def test_the_whole_start_and_a_matrix_are_fitted(x64):
    """Four entries of a matrix and two of a start, from a trajectory of both states: as many as can be told."""
    system = models.linear_flow(A=[[-0.2, 1.0], [-1.0, -0.1]])
    data = data_of(system, **RUN)
    guess = system.with_params(A=[[0.0, 0.8], [-0.8, 0.0]]).with_state(0.8 * system.x0)
    found = fit(guess, beside(data, **RUN), gauss_newton(), over={"A": (-2, 2), "x0": None}, n_steps=25, **QUIET)
    np.testing.assert_allclose(found.system.params["A"], system.params["A"], atol=1e-6)
    np.testing.assert_allclose(found.system.x0, system.x0, atol=1e-6)
    assert found.params["A"].shape == (1, 2, 2) and found.std_error["x0"].shape == (2,)


@pytest.mark.slow
def test_a_measure_that_is_no_trajectory(x64):
    """The current at which the neuron's Hopf frequency is 0.3: tau from w = sqrt((1 - b^2/tau)/tau)."""
    neuron = models.fitzhugh_nagumo(I=0.3)
    found = fit(
        neuron,
        lambda s: jaxdyn.hopf_point(s, "I").frequency[None] - 0.3,
        gauss_newton(),
        over={"tau": (5, 20)},
        n_steps=15,
        **QUIET,
    )
    tau = float(found.system.params["tau"])
    assert (1 - 0.64 / tau) / tau == pytest.approx(0.09, rel=1e-9)


def test_methods_with_steps_of_their_own_have_forward_mode(x64):
    data = data_of(decay(), **RUN)
    own = {"t1": 2.0, "dt": 0.1, "method": jaxdyn.Tsit5(rtol=1e-8)}
    found = fit(decay(0.5), beside(data, **own), gauss_newton(), over={"rate": (0.1, 5)}, n_steps=12, **QUIET)
    # RK4's steps of 0.1, which made the data, multiply by this number; Tsit5's are exact to rtol.
    step = 1 - 0.2 + 0.2**2 / 2 - 0.2**3 / 6 + 0.2**4 / 24
    assert float(found.system.params["rate"]) == pytest.approx(-np.log(step) / 0.1, abs=1e-6)
    with pytest.raises(ValueError, match="give forward=True, or a method with fixed steps"):
        fit(decay(0.5), beside(data, **own), over={"rate": (0.1, 5)}, forward=False, **QUIET)


def test_residuals_that_no_value_changes_leave_a_start_where_it_is(x64):
    """Flat where the rate is below 3, so that Gauss-Newton has no step; from 6 on they are a line."""

    def residuals(system):
        return jnp.maximum(system.params["rate"] - jnp.array([3.0, 4.0, 5.0]), 0) + 1

    starts = {"rate": [2.0, 6.0]}
    found = fit(decay(), residuals, gauss_newton(), over={"rate": (0, 10)}, starts=starts, n_steps=8, **QUIET)
    assert found.status.tolist() == [Status.OK, Status.OK]
    assert float(found.params["rate"][0]) == pytest.approx(2, rel=4e-16) and float(found.loss[1]) < 2


def test_errors_where_there_is_neither_residual_nor_slope(x64):
    """Warnings are errors here: what is not known is no warning of NumPy's."""
    found = fit(decay(), lambda s: 0 * s.params["rate"] * jnp.ones(3), over={"rate": None}, n_steps=1, **QUIET)
    assert np.isinf(found.std_error["rate"]) and float(found.loss[0]) == 0


# Many starts


def test_starts_are_the_system_and_even_points_between_the_bounds():
    unknowns = unknowns_of(models.fitzhugh_nagumo(), {"a": (0, 1), "tau": None})
    values = starts_of(unknowns, 33, None)
    assert float(values["a"][0]) == pytest.approx(0.7) and np.all(np.asarray(values["tau"]) == 12.5)
    rest = np.sort(np.asarray(values["a"][1:]))
    # The recurrence leaves gaps of at most 3/n of its interval, here 0.9 wide.
    assert rest[0] >= 0.05 and rest[-1] <= 0.95 and np.diff(rest).max() < 0.9 * 3 / 32
    z = jax.vmap(unknowns.coordinates)(values)
    for name, value in jax.vmap(unknowns.values)(z).items():
        np.testing.assert_allclose(value, values[name], rtol=1e-5)


def test_a_start_that_overflows_is_reported_and_harms_no_other():
    """The logistic map leaves the unit interval beyond r = 4."""
    data = data_of(models.logistic(r=3.2), n_steps=20)
    residuals = beside(data, n_steps=20)
    starts = {"r": [2.8, 7.0, 3.0]}
    found = fit(models.logistic(), residuals, over={"r": (2, 8)}, starts=starts, n_steps=60, **QUIET)
    assert found.status.tolist() == [Status.OK, Status.NON_FINITE, Status.OK]
    assert np.isnan(found.params["r"][1]) and np.all(np.isnan(found.history[1:, 1]))
    alone = fit(models.logistic(), residuals, over={"r": (2, 8)}, starts={"r": [2.8, 3.0]}, n_steps=60, **QUIET)
    # The same program with another number of lanes: equal up to rounding, which 60 steps do not magnify.
    np.testing.assert_allclose(found.history[:, [0, 2]], alone.history, rtol=1e-3, atol=1e-6)
    assert int(found.best) in (0, 2)
    with pytest.raises(jaxdyn.FailedLanesError, match="1 of 3 lanes failed"):
        jaxdyn.raise_if_failed(found)


def test_a_loss_of_minus_infinity_is_no_minimum(x64):
    """The logarithm falls to minus infinity where the rate reaches 1.9: what was found before is kept."""

    def loss(system):
        return jnp.log(jnp.maximum(system.params["rate"] - 1.9, 0))

    found = fit(decay(), loss, optax.sgd(0.3), over={"rate": None}, n_steps=20, **QUIET)
    assert found.status.tolist() == [Status.NON_FINITE] and np.isneginf(found.history).any()
    assert float(found.loss[0]) == float(found.history[0, 0]) and float(found.params["rate"][0]) == 2


def test_all_starts_fail():
    found = fit(models.logistic(), beside(0.5, n_steps=40), over={"r": (2, 8)}, starts={"r": [7.0]}, n_steps=3, **QUIET)
    assert found.status.tolist() == [Status.NON_FINITE] and np.isnan(found.system.params["r"])
    assert np.isnan(found.std_error["r"])


def test_steps_and_new_data_compile_nothing_anew():
    traced = []

    def residuals(data, system):
        traced.append(1)
        return jaxdyn.trajectory(system, **RUN).x - data

    system = decay()
    for rate in (2.0, 3.0):
        loss = jax.tree_util.Partial(residuals, data_of(system.with_params(rate=rate), **RUN))
        fit(system.with_params(rate=rate / 2), loss, over={"rate": (0.1, 5)}, n_steps=7, n_starts=3, **QUIET)
        if rate == 2.0:
            compiled, n_traced = descent.descent_step._cache_size(), len(traced)
    assert descent.descent_step._cache_size() == compiled
    assert n_traced > 0 and len(traced) - n_traced <= 1  # its shape


def test_equal_optimizers_of_the_package_are_one():
    """The optimizer is part of the program: another object would compile anew."""
    assert gauss_newton() is gauss_newton(0.01) and gauss_newton() is not gauss_newton(0.1)


def test_float32_stays_float32():
    data = data_of(decay(), **RUN)
    found = fit(decay(0.5), beside(data, **RUN), over={"rate": (0.1, 5), "x": None}, n_steps=5, n_starts=2, **QUIET)
    leaves = [leaf for leaf in jax.tree.leaves(found) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")} and found.status.dtype == jnp.int8


# Chaos


def test_gradients_through_chaos_are_warned_of_with_their_growth(x64):
    """Forty time units of the Lorenz system, exp(0.9056 * 40) = 5e15; two are regular."""
    lorenz = models.lorenz63()
    starts = {"rho": np.linspace(25.0, 35.0, 7)}
    for n_steps, grows in ((4000, True), (200, False)):
        data = data_of(lorenz, n_steps=n_steps, dt=0.01)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss = beside(data, n_steps=n_steps, dt=0.01)
            found = fit(lorenz, loss, over={"rho": (20, 40)}, starts=starts, n_steps=1, **QUIET)
        messages = [str(w.message) for w in caught if issubclass(w.category, JaxdynWarning)]
        assert len(messages) == grows
        assert (np.median(found.growth) > 1e5) == grows
        if grows:
            assert "gradients grow" in messages[0] and "shorter windows" in messages[0]


def test_long_regular_motion_is_not_warned_of(x64):
    """A limit cycle over fifty periods; warnings are errors here."""
    system = models.van_der_pol()
    data = data_of(system, n_steps=7000, dt=0.05)
    found = fit(system.with_params(mu=1.2), beside(data, n_steps=7000, dt=0.05), over={"mu": (0.5, 2)}, n_steps=1,
                n_starts=4, **QUIET)  # fmt: skip
    assert np.all(np.asarray(found.growth) < 100)


@pytest.mark.parametrize("distance", [1e-3, 1e-8])
@pytest.mark.parametrize("optimizer", [None, gauss_newton()], ids=["descent", "gauss_newton"])
def test_a_start_next_to_the_minimum_is_not_warned_of(x64, distance, optimizer):
    """Beside a loss of nearly zero any gradient is large, 2/distance; warnings are errors here."""
    data = data_of(decay(), **RUN)
    near = decay(2 + distance)
    found = fit(near, beside(data, **RUN), optimizer, over={"rate": (0, 5)}, n_steps=1, **QUIET)
    assert float(found.growth[0]) < 1e3


# Errors

LOSS = beside(0.0, **RUN)


@pytest.mark.parametrize(
    ("over", "error", "message"),
    [
        ({"rat": (0, 1)}, TypeError, "nothing to fit called 'rat'.*rate"),
        ({}, TypeError, "over must map names to bounds"),
        ({"rate": (1, 0)}, ValueError, "low < high"),
        ({"rate": (0, np.inf)}, ValueError, "write None where there is none"),
        ({"rate": 3.0}, ValueError, r"must be \(low, high\)"),
        ({"rate": "ab"}, ValueError, r"must be \(low, high\)"),
        ({"rate": {0, 5}}, ValueError, r"must be \(low, high\)"),
        ({"rate": ("0", "5")}, ValueError, r"must be \(low, high\)"),
        ({"rate": (0, 5j)}, ValueError, r"must be \(low, high\)"),
        ({"rate": ([0, 0], 1)}, ValueError, "numbers or of shape"),
        ({"rate": (3, 4)}, ValueError, "starts at 2, not between its bounds"),
        ({"x": None, "x0": None}, ValueError, "x0 holds the state 'x'"),
    ],
)
def test_errors_of_bounds(unchecked, over, error, message):
    with pytest.raises(error, match=message):
        fit(decay(), LOSS, over=over, **QUIET)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda s: (s.x0, s.x0), TypeError, "one scalar, or one array of residuals, got tuple"),
        (lambda s: jnp.int32(3), TypeError, "loss gave int32"),
        (lambda s: s.x0[:0], ValueError, "no residuals"),
        (3.0, TypeError, "loss must be a function of a system, got 3.0"),
    ],
)
def test_errors_of_losses(unchecked, loss, error, message):
    with pytest.raises(error, match=message):
        fit(decay(), loss, over={"rate": None}, **QUIET)


def test_other_errors(unchecked):
    def attempt(match, error=ValueError, system=None, **settings):
        with pytest.raises(error, match=match):
            fit(decay() if system is None else system, LOSS, **{"over": {"rate": None}, **QUIET, **settings})

    attempt("n_starts=3 starts need bounds", n_starts=3)
    attempt("not fitted", TypeError, starts={"rte": [1.0]})
    attempt("starts must map names", TypeError, starts=[1.0])
    attempt("must have shape", starts={"rate": [[1.0]]})
    attempt("n_starts=7, but starts has 2", starts={"rate": [1.0, 2.0]}, n_starts=7)
    attempt("n_steps must be a whole number", n_steps=0)
    for no_optimizer in ("adam", optax.adam):
        attempt("optimizer must be a transformation of optax", TypeError, optimizer=no_optimizer)
    attempt("expected a Flow or a Map", TypeError, system=decay)
    attempt("no gradient reaches", TypeError, system=models.noisy_fitzhugh_nagumo(), over={"seed": None})
    with pytest.raises(TypeError, match="gauss_newton needs a loss that gives residuals"):
        fit(decay(), lambda s: s.x0[0] ** 2, gauss_newton(), over={"x": None}, **QUIET)
    for damping in (0.0, np.inf, np.nan, "small"):
        with pytest.raises(ValueError, match="damping must be a positive number"):
            gauss_newton(damping)
    with pytest.raises(TypeError, match="outside jit, vmap and sweep"):
        jax.jit(lambda system: fit(system, LOSS, over={"rate": None}, **QUIET).loss)(decay())
