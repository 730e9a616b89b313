"""Finite perturbations: their bias, linear systems, an independent two-trajectory run, agreement with the tangent."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models
from jaxdyn.analysis.perturbation_growth import perturbation_growth

EPS = np.finfo(np.float64).eps
SHORT = {"n_steps": 200, "dt": 0.005}
"""One time unit of the Lorenz system."""


def lorenz():
    return models.lorenz63(x0=[1.0, 2.0, 20.0])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("every", [1, 10])
def test_bias_is_of_the_order_of_the_size(k, every, x64):
    """Half the size, half the difference from the tangent; the next order is below 2 % at these sizes."""
    sizes = jnp.array([2e-3, 1e-3, 5e-4])
    run = jax.vmap(
        lambda size: perturbation_growth(lorenz(), size=size, n_perturbations=k, rescale_every=every, **SHORT)
    )(sizes)
    bias = np.asarray(run.rates - run.tangent_rates)
    assert np.all(np.abs(bias) > 1e-7) and np.all(np.abs(bias) < 0.05)
    np.testing.assert_allclose(bias[:-1] / bias[1:], 2, rtol=0.02)
    # The tangent does not know the size.
    np.testing.assert_allclose(run.tangent_rates[0], run.tangent_rates[2], rtol=1e-13)


def test_rounding_grows_as_the_size_shrinks(x64):
    """Sizes near the rounding of the state are worse than those near its square root, where both errors meet."""
    sizes = jnp.array([1e-3, 1e-8, 1e-12])
    run = jax.vmap(lambda size: perturbation_growth(lorenz(), size=size, **SHORT))(sizes)
    error = np.abs(run.rates - run.tangent_rates)[:, 0]
    assert error[1] < error[0] and error[1] < error[2]
    # eps |x| / size an interval of 0.005, at most: state of size 50, two trajectories, a few roundings a step.
    assert error[2] < 10 * EPS * 50 / 1e-12 / 0.005


LINEAR = {
    "map": (lambda: models.linear_map(A=[[0.9, 0.4, 0.0], [-0.4, 0.9, 0.2], [0.0, 0.1, 0.7]], x0=np.ones(3)), {}),
    "flow": (
        lambda: models.linear_flow(A=[[-0.5, 2.0, 0.0], [-2.0, -0.5, 0.0], [0.0, 1.0, 0.1]], x0=np.ones(3)),
        {"dt": 0.05},
    ),
}


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_systems_do_not_know_the_size(name, size, x64):
    make, step = LINEAR[name]
    system = make()
    run = perturbation_growth(system, n_steps=40, size=size, n_perturbations=3, **step)
    # Each interval rounds states of size |x| + size a few times, against perturbations of `size`; each direction
    # carries the rounding of the last ones on.
    largest = np.abs(jaxdyn.trajectory(system, n_steps=40, **step).x).max() + size
    bound = 40 * 20 * EPS * largest / size / step.get("dt", 1.0)
    np.testing.assert_allclose(run.rates, run.tangent_rates, rtol=0, atol=bound)
    np.testing.assert_allclose(run.local_rates, run.local_tangent_rates, rtol=0, atol=bound)
    np.testing.assert_allclose(run.directions, run.tangent_directions, rtol=0, atol=bound)
    assert run.status == Status.OK


@pytest.mark.parametrize("every", [1, 5])
def test_tangent_rates_are_the_lyapunov_spectrum(every, x64):
    settings = {"dt": 0.01, "n_steps": 300, "n_transient": 50}
    run = perturbation_growth(lorenz(), size=1e-6, n_perturbations=3, rescale_every=every, **settings)
    spectrum = jaxdyn.lyapunov_spectrum(lorenz(), qr_every=every, **settings)
    # Both walk one trajectory of 3.5 time units from one frame: rounding times exp(0.9 3.5).
    np.testing.assert_allclose(np.sort(run.tangent_rates)[::-1], spectrum.exponents, rtol=0, atol=1e-11)
    np.testing.assert_allclose(run.x, spectrum.x, rtol=1e-12)


def test_against_two_trajectories_written_out(x64):
    """Plain numpy, at a = 1, where the orbit goes to a cycle of period 4 so that rounding does not grow."""

    def step(s):
        return np.array([1 - 1.0 * s[0] ** 2 + s[1], 0.3 * s[0]])

    size, every, n_steps, n_transient = 1e-4, 2, 60, 8
    control = np.array([0.1, 0.1])
    direction = np.array([3.0, 4.0]) / 5
    logs = []
    for _ in range((n_transient + n_steps) // every):
        other = control + size * direction
        for _ in range(every):
            control, other = step(control), step(other)
        length = np.linalg.norm(other - control)
        direction = (other - control) / length
        logs.append(np.log(length / size))
    logs = np.array(logs[n_transient // every :]) / every
    run = perturbation_growth(
        models.henon(a=1.0, x0=[0.1, 0.1]),
        n_steps=n_steps,
        n_transient=n_transient,
        size=size,
        rescale_every=every,
        directions=[[3.0, 4.0]],
    )
    # Rounding of the difference: eps / size an interval.
    np.testing.assert_allclose(run.local_rates[:, 0], logs, rtol=0, atol=100 * EPS / size)
    np.testing.assert_allclose(run.rates, logs.mean(), rtol=0, atol=100 * EPS / size)
    np.testing.assert_allclose(run.directions[0], direction, atol=100 * EPS / size)
    batches = logs[-30:].reshape(30, 1).mean(axis=1)
    np.testing.assert_allclose(run.std_error, batches.std(ddof=1) / np.sqrt(30), rtol=1e-8)


def test_long_run_estimates_the_largest_exponent(x64):
    """Hénon: 0.41922 (Sprott 2003) within four standard errors and the bias, of the order of the size."""
    run = perturbation_growth(models.henon(), n_steps=64_000, n_transient=100, size=1e-6)
    assert abs(float(run.rates[0]) - 0.41922) < 4 * float(run.std_error[0]) + 1e-4
    assert run.status == Status.OK


def test_large_perturbations_saturate(x64):
    """One larger than the attractor can only shrink: what breeding uses and a tangent cannot show."""
    settings = {"n_steps": 2_000, "dt": 0.01, "rescale_every": 10, "n_transient": 500}
    small, large = (perturbation_growth(lorenz(), size=size, **settings) for size in (1e-5, 40.0))
    assert large.rates[0] < -4 * large.std_error[0] and small.rates[0] > 0
    np.testing.assert_allclose(small.rates, small.tangent_rates, atol=1e-3)


def test_a_stable_focus_has_its_negative_exponent(x64):
    """Lorenz, rho = 20, at rest: -0.154792 a time unit; rescaling keeps the perturbation above rounding."""
    side = np.sqrt(8 / 3 * 19)
    system = models.lorenz63(rho=20.0, x0=[side, side, 19.0])
    run = perturbation_growth(system, n_steps=40_000, n_transient=2_000, dt=0.005, size=1e-6, rescale_every=20)
    leading = np.linalg.eigvals(jaxdyn.jacobian(system)).real.max()
    np.testing.assert_allclose(leading, -0.154792, atol=5e-7)
    # A turning direction leaves log(condition of the pair) / 200 time units; bias and RK4 are smaller.
    np.testing.assert_allclose(run.rates, leading, atol=0.01)
    np.testing.assert_allclose(run.rates, run.tangent_rates, atol=1e-5)


def test_forced_systems_take_the_steps_of_trajectory(x64):
    values = np.sin(np.arange(40.0))
    system = jaxdyn.driven(models.fitzhugh_nagumo(), jaxdyn.samples(values, dt=0.5), onto="v")
    run = perturbation_growth(system, n_steps=100, dt=0.1, size=1e-4, method=jaxdyn.Tsit5())
    end = jaxdyn.final_state(system, n_steps=100, dt=0.1, method=jaxdyn.Tsit5())
    np.testing.assert_allclose(run.x, end.x, rtol=1e-13)
    np.testing.assert_allclose(run.rates, run.tangent_rates, atol=1e-3)


def test_sweep_over_a_parameter(x64):
    rhos = np.array([20.0, 24.0, 28.0])
    measure = functools.partial(perturbation_growth, size=1e-4, n_perturbations=2, **SHORT)
    cells = jaxdyn.sweep(measure, lorenz(), {"rho": rhos}, progress=False)
    assert cells["rates"].dims == ("rho", "perturbation") and "local_rates" not in cells
    for i, rho in enumerate(rhos):
        alone = measure(lorenz().with_params(rho=rho))
        # Rounding against a perturbation of 1e-4, an interval of 0.005, 50 the size of the state.
        np.testing.assert_allclose(cells["rates"][i], alone.rates, atol=100 * EPS * 50 / 1e-4 / 0.005)
        np.testing.assert_allclose(cells["tangent_rates"][i], alone.tangent_rates, rtol=1e-10)
    assert not cells["status"].any()


def test_single_precision_stays():
    run = jax.jit(functools.partial(perturbation_growth, size=0.1, n_steps=20, dt=0.01))(models.lorenz63())
    kinds = {leaf.dtype for leaf in jax.tree.leaves(run)}
    assert kinds == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int8)}


@pytest.mark.parametrize(
    ("system", "settings", "status"),
    [
        (models.henon, {"size": 1e-14}, Status.QR_INTERVAL),
        (models.henon, {"size": 1e-4, "n_perturbations": 2, "rescale_every": 25}, Status.QR_INTERVAL),
        (lambda: models.logistic(r=5.0), {"size": 1e-4}, Status.NON_FINITE),
        (models.henon, {"size": 1e200}, Status.NON_FINITE),
    ],
)
def test_failures_are_reported(system, settings, status, x64):
    assert perturbation_growth(system(), n_steps=100, **settings).status == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0.0}, "size must be positive and finite, got 0.0"),
        ({"size": [0.1, 0.2]}, r"size must be one number, got shape \(2,\)"),
        ({"dt": -0.1}, "dt must be positive"),
        ({"rescale_every": 3}, "n_steps=10 must be a multiple of rescale_every=3; use n_steps=12"),
        ({"rescale_every": 2, "n_transient": 3}, "n_transient=3 must be a multiple of rescale_every=2"),
        ({"n_perturbations": 4}, "n_perturbations must be between 1 and the dimension 3 of lorenz63, got 4"),
        ({"directions": [1.0, 0.0, 0.0]}, r"directions must have shape \(k, 3\)"),
        ({"directions": np.eye(3), "n_perturbations": 2}, r"directions must have shape \(2, 3\)"),
        ({"directions": np.ones((2, 3))}, "directions are linearly dependent"),
    ],
)
def test_wrong_arguments(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        perturbation_growth(models.lorenz63(), **({"n_steps": 10, "dt": 0.1, "size": 0.1} | arguments))


def test_the_number_of_perturbations_is_that_of_directions():
    settings = {"n_steps": 4, "size": 0.1}
    assert perturbation_growth(models.henon(), **settings).rates.shape == (1,)
    assert perturbation_growth(models.henon(), directions=np.eye(2), **settings).rates.shape == (2,)
    with pytest.raises(ValueError, match=r"directions must have shape \(1, 2\).*got \(2, 2\)"):
        perturbation_growth(models.henon(), directions=np.eye(2), n_perturbations=1, **settings)


def test_directions_of_any_length():
    settings = {"n_steps": 4, "size": 0.1}
    plain = perturbation_growth(models.henon(), directions=np.eye(2), **settings)
    uneven = perturbation_growth(models.henon(), directions=np.diag([3e38, 1e-30]), **settings)
    np.testing.assert_allclose(uneven.rates, plain.rates, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": np.inf}, ValueError, "size must be positive and finite, got inf"),
        ({"size": np.nan}, ValueError, "size must be positive and finite, got nan"),
        ({"size": "a"}, TypeError, "size must be a positive number, got 'a'"),
        ({"size": None}, TypeError, "size must be a positive number, got None"),
        ({"size": 1j}, TypeError, "size must be a positive number, got 1j"),
        ({"dt": "a"}, TypeError, "dt must be a positive number, got 'a'"),
        ({"directions": [[np.nan, 0.0, 1.0]]}, ValueError, "directions must be finite numbers"),
        ({"directions": np.zeros((0, 3))}, ValueError, r"directions must have shape \(k, 3\).*got \(0, 3\)"),
        ({"directions": "ab"}, TypeError, "directions must be real numbers"),
        ({"directions": np.zeros((1, 3))}, ValueError, "directions are linearly dependent"),
    ],
)
def test_wrong_types_and_sizes(arguments, error, message, unchecked):
    with pytest.raises(error, match=message):
        perturbation_growth(models.lorenz63(), **({"n_steps": 10, "dt": 0.1, "size": 0.1} | arguments))
