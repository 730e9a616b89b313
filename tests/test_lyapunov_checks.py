"""Checks of Lyapunov spectra: verdicts on right runs, on wrong ones, and where a check does not apply."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, lyapunov_spectrum, models
from jaxdyn.analysis.derivative_check import derivative_excess
from jaxdyn.errors import FailedCheck

SUM, ZERO, PAIRING, DERIVATIVE = (int(check) for check in FailedCheck)


def checked(system, n_lanes=4, **settings):
    """Checks of runs from starts near the system's own."""
    rng = np.random.default_rng(0)
    x0 = np.asarray(system.x0)
    starts = x0 + 0.01 * rng.standard_normal((n_lanes, system.dim)) * (np.abs(x0) + 0.1)
    run = jax.vmap(lambda x: lyapunov_spectrum(system.with_state(x), checks=True, **settings))
    return run(starts.astype(system.dtype)).checks


# Right runs. True where the checks `zero` and `pairing` apply.

FLOWS = {
    "Lorenz, chaos": (models.lorenz63, {"rho": 28.0}, 0.01, (True, False)),
    "FitzHugh-Nagumo, cycle": (models.fitzhugh_nagumo, {}, 0.1, (True, False)),
    "van der Pol, cycle": (models.van_der_pol, {}, 0.02, (True, False)),
    "Henon-Heiles": (models.henon_heiles, {}, 0.05, (True, True)),
    "center": (models.linear_flow, {"A": [[0.0, -0.5], [0.5, 0.0]]}, 0.05, (True, True)),
}


MAPS = {
    "henon": (models.henon, {}, False),
    "standard_map": (models.standard_map, {}, True),
    "ikeda": (models.ikeda, {}, False),
    "superstable": (models.logistic, {"r": 2.0, "x0": [0.5]}, False),  # exponent and volume are minus infinity
}

SINGLE_AND_DOUBLE = [pytest.param(np.float32, marks=pytest.mark.slow), np.float64]


@pytest.mark.parametrize("dtype", SINGLE_AND_DOUBLE)
@pytest.mark.parametrize("name", FLOWS)
def test_right_flows_pass(name, dtype, x64):
    model, options, dt, (has_zero, has_pairs) = FLOWS[name]
    found = checked(model(dtype=dtype, **options), n_steps=5_120, dt=dt, hamiltonian=has_pairs)
    np.testing.assert_array_equal(found.verdict, 0)
    assert np.all(np.isnan(found.zero) != has_zero) and np.all(np.isnan(found.pairing) != has_pairs)
    assert found.verdict.dtype == np.int8 and found.sum.dtype == dtype
    np.testing.assert_array_equal(found.derivative, 0)


@pytest.mark.parametrize("dtype", SINGLE_AND_DOUBLE)
@pytest.mark.parametrize("name", MAPS)
def test_right_maps_pass(name, dtype, x64):
    model, options, pairs = MAPS[name]
    found = checked(model(dtype=dtype, **options), n_steps=5_120, hamiltonian=pairs)
    np.testing.assert_array_equal(found.verdict, 0)
    assert np.isfinite(found.sum).all()
    assert np.isnan(found.zero).all() and np.all(np.isnan(found.pairing) != pairs)


@pytest.mark.parametrize(
    ("n_transient", "n_steps"), [(0, 2_560), (20_000, 5_120), pytest.param(120_000, 25_600, marks=pytest.mark.slow)]
)
def test_a_stable_focus_passes_on_its_way_and_at_rest(n_steps, n_transient, x64):
    """Lorenz at 20 forgets its start by exp(-0.155 t): runs that are far away, near, and at rest to rounding."""
    found = checked(models.lorenz63(rho=20.0), n_steps=n_steps, n_transient=n_transient, dt=0.01)
    np.testing.assert_array_equal(found.verdict, 0)
    assert np.isnan(found.zero).all() == (n_transient > 0)


@pytest.mark.slow
def test_forced_flows_have_no_zero_to_look_for(x64):
    """By explicit time, by samples; a clock among the states is autonomous again, and has its zero."""
    settings = {"n_steps": 2_560, "dt": 0.05}
    push = jaxdyn.driven(models.van_der_pol(), lambda t: jnp.sin(t), onto="y")
    held = jaxdyn.driven(models.van_der_pol(), jaxdyn.samples(np.sin(np.arange(300.0))), onto="y")
    for system in (push, held):
        found = checked(system, **settings)
        assert np.isnan(found.zero).all()
        np.testing.assert_array_equal(found.verdict, 0)

    def with_clock(t, x, p):
        return x[1], x[1] * (1 - x[0] ** 2) - x[0] + jnp.sin(x[2]), jnp.ones_like(x[2])

    found = checked(jaxdyn.flow(with_clock, {}, [1.0, 0.0, 0.0]), **settings)
    assert np.all(np.isfinite(found.zero))
    np.testing.assert_array_equal(found.verdict, 0)


# Wrong runs


@pytest.mark.slow
def test_steps_too_large_for_the_error_bars_are_seen(x64):
    """Lorenz at dt = 0.05: RK4 makes of exp(-14.57 dt) what is 0.1 off; at 0.03 it is 0.01, seen by a longer run."""
    np.testing.assert_array_equal(checked(models.lorenz63(), n_steps=20_480, dt=0.05).verdict, SUM)
    short, long = (checked(models.lorenz63(), n_steps=n, dt=0.03).verdict for n in (5_120, 128_000))
    np.testing.assert_array_equal(short, 0)
    np.testing.assert_array_equal(long, SUM)


@pytest.mark.parametrize("dtype", SINGLE_AND_DOUBLE)
def test_of_steps_on_a_fixed_point_only_those_too_large_fail(dtype, x64):
    """There nothing is statistical: RK4's (rate dt)^4 / 120 is 3e-4 of the rate at rate dt = 0.45, 5e-7 at 0.09."""
    focus = [[-0.3, -0.5, 0.0], [0.5, -0.3, 0.0], [0.0, 0.0, -0.1]]
    node = [[-0.5, 2.0, 0.0], [0.0, -0.7, 1.0], [0.0, 0.0, -0.1]]
    steep = np.diag([-1.0, -9.0, -1.0])
    cases = ((focus, 0.05, 0), (node, 0.05, 0), (steep, 0.05, SUM), (steep, 0.01, 0))
    matrices, steps, verdicts = (np.asarray(column) for column in zip(*cases, strict=True))
    system = models.linear_flow(A=node, dtype=dtype)
    run = jax.vmap(lambda a, dt: lyapunov_spectrum(system.with_params(A=a), n_steps=5_120, dt=dt, checks=True))
    found = run(matrices.astype(dtype), steps.astype(dtype)).checks
    np.testing.assert_array_equal(found.verdict, verdicts)
    assert np.isnan(found.zero).all() and np.isnan(found.pairing).all()


def test_lost_directions_are_seen(x64):
    run = jax.jit(
        lambda: lyapunov_spectrum(models.lorenz63(), n_steps=8_000, n_transient=800, dt=0.01, qr_every=400, checks=True)
    )()
    assert run.status == Status.QR_INTERVAL and int(run.checks.verdict) & SUM


@jax.custom_jvp
def cube(v):
    return v**3


cube.defjvp(lambda at, along: (at[0] ** 3, 2 * at[0] ** 2 * along[0]))  # 3 v^2 would be right


@jax.custom_jvp
def product(a, b):
    return a * b


product.defjvp(lambda at, along: (at[0] * at[1], at[0] * along[1]))  # a b' alone


@pytest.mark.parametrize("dtype", SINGLE_AND_DOUBLE)
def test_a_wrong_derivative_is_seen_but_not_by_the_sum(dtype, x64):
    """Exponents and mean divergence are made of the same derivative: they agree also where it is wrong."""

    def neuron(t, x, p):
        return x[0] - cube(x[0]) / 3 - x[1] + 0.5, (x[0] + 0.7 - 0.8 * x[1]) / 12.5

    found = checked(jaxdyn.flow(neuron, {}, [-1.0, 1.0], dtype=dtype), n_steps=20_480, dt=0.1)
    np.testing.assert_array_equal(found.verdict, ZERO | DERIVATIVE)
    assert np.all(np.abs(found.sum) < 1e-4)

    def henon(n, x, p):
        return 1 - 1.4 * product(x[0], x[0]) + x[1], 0.3 * x[0]

    found = checked(jaxdyn.iterated_map(henon, {}, [0.1, 0.1], dtype=dtype), n_steps=2_560)
    np.testing.assert_array_equal(found.verdict, DERIVATIVE)


def test_a_derivative_that_is_not_symplectic_breaks_the_pairs(x64):
    """The standard map with a derivative that loses a tenth of every kick's push on the angle."""

    @jax.custom_jvp
    def turn(angle, momentum):
        return angle + momentum

    turn.defjvp(lambda at, along: (at[0] + at[1], 0.9 * along[0] + along[1]))

    def kicked(n, x, p):
        momentum = x[1] + 2.0 * jnp.sin(x[0])
        return turn(x[0], momentum), momentum

    found = checked(jaxdyn.iterated_map(kicked, {}, [0.5, 0.5]), n_steps=2_560, hamiltonian=True)
    np.testing.assert_array_equal(found.verdict, PAIRING | DERIVATIVE)


def test_a_system_with_friction_has_no_pairs(x64):
    def damped(t, x, p):
        q1, q2, p1, p2 = x
        return p1, p2, -q1 - 2 * q1 * q2 - 0.05 * p1, -q2 - q1**2 + q2**2 - 0.05 * p2

    system = jaxdyn.flow(damped, {}, [0.0, -0.25, 0.42081, 0.0])
    found = checked(system, n_steps=5_120, dt=0.05, hamiltonian=True)
    np.testing.assert_array_equal(found.verdict, PAIRING)
    np.testing.assert_allclose(found.pairing, 0.05, atol=3 / 256)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_at_kinks_jumps_and_zeros_are_right(dtype, x64):
    """JAX takes one side of a kink or the mean; states of very different size; a jump that the steps may cross."""

    def kinks(n, x, p):
        a, b, c, d = x
        return jnp.maximum(a, 0) - 0.5 * a, jnp.abs(b) - 1, c / 2 + 1e4, jnp.floor(3 * d) + 0.1 * d

    system = jaxdyn.iterated_map(kinks, {}, [0.0, 0.0, 100.0, 1 / 3], dtype=dtype)
    small = jaxdyn.iterated_map(lambda n, x, p: 0.5 * jnp.sin(x), {}, [1e-30], dtype=dtype)
    for right in (system, small):
        matrix = jaxdyn.jacobian(right)
        assert derivative_excess(right, right.time(0, 1, 0), right.x0, matrix) == 0
        off = matrix.at[0, 0].add(0.7)  # at a kink from -1/2 to 1/2 JAX gives 0
        assert derivative_excess(right, right.time(0, 1, 0), right.x0, off) > 0


# Lanes, sweeps, arguments


def test_verdicts_are_of_each_lane(x64):
    """One sweep over the step's product with the rate; a lane that diverges fails what it cannot show."""
    run = jaxdyn.lanes(
        lambda a: lyapunov_spectrum(
            models.linear_flow(A=[[-1.0, 0.0], [0.0, -2.0]]).with_params(A=a), n_steps=640, dt=0.05, checks=True
        )
    )
    matrices = np.array([np.diag([-1.0, -rate]) for rate in (0.5, 9.0, 1.0, -900.0)])
    found = run(matrices)
    np.testing.assert_array_equal(found.status, [0, 0, 0, Status.NON_FINITE])
    np.testing.assert_array_equal(np.asarray(found.checks.verdict)[:3], [0, SUM, 0])
    assert int(found.checks.verdict[3]) & SUM


def test_sweeps_keep_them_by_name():
    measure = functools.partial(lyapunov_spectrum, n_steps=320, checks=True)
    cells = jaxdyn.sweep(measure, models.henon(), {"a": [1.2, 1.4]})
    np.testing.assert_array_equal(cells["checks_verdict"].values, 0)
    assert cells["checks_verdict"].dtype == np.int8
    assert cells["checks_verdict"].attrs["flag_masks"] == [1, 2, 4, 8]
    assert cells["checks_verdict"].attrs["flag_meanings"] == "sum zero pairing derivative"
    assert cells["checks_sum"].attrs == {"long_name": "sum of exponents minus mean divergence", "units": "1/step"}


def test_there_are_none_where_not_asked_for(x64):
    assert lyapunov_spectrum(models.henon(), n_steps=64).checks is None


def test_codes_fit_in_a_byte_and_never_change():
    assert {check.name: int(check) for check in FailedCheck} == {
        "SUM": 1,
        "ZERO": 2,
        "PAIRING": 4,
        "DERIVATIVE": 8,
    }
    assert FailedCheck(10) == FailedCheck.ZERO | FailedCheck.DERIVATIVE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checks": True, "n_exponents": 2}, "checks need all 3 exponents, got n_exponents=2; leave n_exponents out"),
        (
            {"hamiltonian": True},
            "hamiltonian=True is for checks=True and an even dimension, got checks=False, 3 states",
        ),
        ({"hamiltonian": True, "checks": True}, "an even dimension, got checks=True, 3 states"),
    ],
)
def test_wrong_arguments_say_what_fits(arguments, message):
    with pytest.raises(ValueError, match=message):
        lyapunov_spectrum(models.lorenz63(), dt=0.01, n_steps=100, **arguments)


def test_a_run_too_short_for_errors_is_not_blamed():
    assert jaxdyn.lyapunov_spectrum(models.henon(), n_steps=1, checks=True).checks.verdict == 0
