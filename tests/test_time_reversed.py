"""Systems in reversed time: the same orbits, opposite exponents, inputs at their times."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Stability, models, time_reversed

EPS = 2.2e-16


def back_from_henon(n, s, p):
    x = s[1] / p["b"]
    return x, s[0] - 1 + p["a"] * x**2


def driven_oscillator():
    return jaxdyn.flow(
        lambda t, x, p: (x[1], -x[0] - p["c"] * x[1] + jnp.cos(2 * t + 1)),
        {"c": 0.1},
        [1.0, 0.0],
        state_names=["q", "v"],
    )


def test_the_field_is_the_negative_one_at_the_mirrored_time(x64):
    system = driven_oscillator()
    x = jnp.array([0.3, -0.7])
    np.testing.assert_array_equal(time_reversed(system)(1.5, x), -system(-1.5, x))
    np.testing.assert_array_equal(jaxdyn.jacobian(time_reversed(system), x, 1.5), -jaxdyn.jacobian(system, x, -1.5))


@pytest.mark.parametrize("dt", [0.01, 0.005])
def test_a_driven_flow_runs_back_to_its_start(dt, x64):
    system = driven_oscillator()
    n = round(6 / dt)
    there = jaxdyn.final_state(system, n_steps=n, dt=dt).x
    back = jaxdyn.final_state(time_reversed(system).with_state(there), n_steps=n, dt=dt, t0=-6.0).x
    # RK4 there and back: 2 * 6 * dt^4 / 120 times fifth derivatives of at most 2^5; growth backwards exp(0.05 * 6).
    assert jnp.abs(back - system.x0).max() < 2 * 6 * dt**4 / 120 * 32 * np.exp(0.3)
    wrong = jaxdyn.final_state(time_reversed(system).with_state(there), n_steps=n, dt=dt).x
    assert jnp.abs(wrong - system.x0).max() > 0.1  # the drive at other times


def test_reversed_time_is_a_negative_step_to_the_last_bit(x64):
    for model in (models.lorenz63, models.henon_heiles):
        system = model()
        one = jaxdyn.trajectory(time_reversed(system), n_steps=20, dt=0.01).x
        np.testing.assert_array_equal(one, jaxdyn.trajectory(system, n_steps=20, dt=-0.01).x)


def test_samples_are_held_over_the_same_times(x64):
    """With Euler's method and a drive alone, sums of samples are exact: forwards and backwards over each interval."""
    still = jaxdyn.flow(lambda t, x, p: 0 * x, {}, [0.0], state_names=["x"])
    for t0, inputs in ((0.0, [1.0, 2.0, 4.0, 8.0]), (100.0, [1.0, 2.0, 4.0, 8.0])):
        system = jaxdyn.driven(still, jaxdyn.samples(inputs, dt=0.5, t0=t0), onto="x")
        for method in (jaxdyn.Euler(), jaxdyn.RK4()):
            end = t0 + 2.0
            run = jaxdyn.trajectory(time_reversed(system), n_steps=8, dt=0.25, t0=-end, method=method)
            np.testing.assert_allclose(run.x[::2, 0], [0, -4, -6, -7, -7.5], rtol=1e-14)
        again = time_reversed(jaxdyn.driven(time_reversed(system), lambda s: 0 * s, onto="x"))
        forward = jaxdyn.trajectory(again, n_steps=4, dt=0.5, t0=t0).x
        np.testing.assert_allclose(forward[:, 0], [0, 0.5, 1.5, 3.5, 7.5], rtol=1e-14)


def test_unstable_fixed_points_become_stable_and_saddles_stay(x64):
    neuron = models.fitzhugh_nagumo(I=0.5)
    (point,) = jaxdyn.fixed_points(neuron).x[:1]
    values = [jaxdyn.eigenvalues(system, point) for system in (neuron, time_reversed(neuron))]
    np.testing.assert_allclose(np.sort_complex(values[1]), np.sort_complex(-values[0]), atol=100 * EPS)
    assert [int(jaxdyn.stability(v)) for v in values] == [Stability.UNSTABLE_FOCUS, Stability.STABLE_FOCUS]
    # Backwards the focus attracts from inside the cycle.
    start = point + 0.05
    end = jaxdyn.final_state(time_reversed(neuron).with_state(start), t1=400.0, dt=0.05).x
    np.testing.assert_allclose(end, point, atol=1e-9)
    saddle = [-np.pi, 0.0]
    pair = [jaxdyn.eigenvalues(system, saddle).real for system in (models.pendulum(), time_reversed(models.pendulum()))]
    np.testing.assert_allclose(pair, [[1, -1], [1, -1]], atol=100 * EPS)


def test_separatrices_of_the_pendulum(x64):
    """The stable manifold of (pi, 0), grown backwards from it, is the separatrix p = 2 cos(q / 2)."""
    shift = 1e-6
    start = [np.pi - shift, shift]
    run = jaxdyn.trajectory(time_reversed(models.pendulum()).with_state(start), t1=18.0, dt=0.01)
    q, p = np.asarray(run.x).T
    assert q.min() < 0
    np.testing.assert_allclose(p, 2 * np.cos(q / 2), atol=2 * shift)


@pytest.mark.slow
def test_finite_time_exponents_are_negated(x64):
    """Of the orbit that leads back: the propagator is the inverse, its singular values are the reciprocals."""
    for system, dt in ((models.pendulum(), 0.02), (models.lorenz63(), 0.002)):
        settings = {"n_steps": 500, "dt": dt}
        forward = jaxdyn.finite_time_lyapunov(system, **settings)
        backward = jaxdyn.finite_time_lyapunov(time_reversed(system).with_state(forward.x), **settings)
        # RK4's own error, h^5 |J|^5 / 120 a step, also of the orbit, which grows on the way back (Lorenz: e^14).
        tolerance = 1e-6 if system.dim == 2 else 1e-3
        np.testing.assert_allclose(backward.exponents, -forward.exponents[::-1], atol=tolerance)


def test_exponents_of_a_linear_flow_are_negated(x64):
    system = models.linear_flow(A=[[0.5, 1.0], [0.0, -2.0]])
    found = jaxdyn.lyapunov_spectrum(time_reversed(system), n_steps=2000, dt=0.01, n_transient=1000)
    np.testing.assert_allclose(found.exponents, [2.0, -0.5], atol=1e-8)  # 2^5 h^4 / 120


@pytest.mark.slow
def test_maps_run_back_through_their_inverse(x64):
    system = models.henon()
    backwards = time_reversed(system, inverse=back_from_henon)
    run = jaxdyn.trajectory(system, n_steps=8).x
    back = jaxdyn.trajectory(backwards.with_state(run[-1]), n_steps=8).x
    # A step back multiplies errors by up to 2 a |x| / b = 12.
    np.testing.assert_allclose(back, run[::-1], atol=EPS * 12.0**8)
    forward = jaxdyn.finite_time_lyapunov(system, n_steps=6)
    found = jaxdyn.finite_time_lyapunov(backwards.with_state(forward.x), n_steps=6)
    np.testing.assert_allclose(found.exponents, -forward.exponents[::-1], atol=EPS * 12.0**8)


def test_maps_count_their_steps_back(x64):
    system = jaxdyn.iterated_map(lambda n, x, p: x + n.astype(x.dtype) ** 2, {}, [0.0])
    backwards = time_reversed(system, inverse=lambda n, x, p: x - n.astype(x.dtype) ** 2)
    run = jaxdyn.trajectory(system, n_steps=5).x
    back = jaxdyn.trajectory(backwards.with_state(run[-1]), n_steps=5, t0=-5).x
    np.testing.assert_array_equal(back, run[::-1])


def test_twice_is_the_system_itself():
    for system, options in ((models.lorenz63(), {}), (models.henon(), {"inverse": back_from_henon})):
        once = time_reversed(system, **options)
        twice = time_reversed(once)
        assert jax.tree.structure(twice.field) == jax.tree.structure(system.field)
        assert twice.about.title == system.about.title
        assert once.about.title.endswith(", in reversed time") and once.about.known == ()


@pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)], ids=str)
def test_lanes_sweeps_and_gradients(engine, x64):
    neuron = time_reversed(models.fitzhugh_nagumo())

    def end(current):
        return jaxdyn.final_state(neuron.with_params(I=current), n_steps=20, dt=0.02).x

    currents = jnp.linspace(0.0, 1.0, 5)
    expected = jnp.stack([end(current) for current in currents])
    np.testing.assert_allclose(jaxdyn.lanes(end, engine=engine)(currents), expected, rtol=1e-13)
    slope = jax.grad(lambda current: end(current)[0])(0.5)
    h = 1e-5
    np.testing.assert_allclose(slope, (end(0.5 + h)[0] - end(0.5 - h)[0]) / (2 * h), rtol=1e-8)
    cells = jaxdyn.sweep(lambda s: jaxdyn.final_state(s, n_steps=20, dt=0.02), neuron, {"I": currents}, progress=False)
    np.testing.assert_allclose(cells["x"].values, expected, rtol=1e-13)


def test_refusals(unchecked):
    henon = models.henon()
    number: Any = 3
    function: Any = back_from_henon
    with pytest.raises(TypeError, match="the map henon does not know its inverse; give inverse="):
        time_reversed(henon)
    with pytest.raises(TypeError, match="inverse is for maps, got the flow lorenz63; leave it out"):
        time_reversed(models.lorenz63(), inverse=back_from_henon)
    with pytest.raises(TypeError, match="inverse must be a function"):
        time_reversed(henon, inverse=number)
    with pytest.raises(ValueError, match=r"inverse of henon leads from the image of the start .* it must give"):
        time_reversed(henon, inverse=lambda n, s, p: (s[1], s[0]))
    with pytest.raises(ValueError, match="henon: field gave shape"):
        time_reversed(henon, inverse=lambda n, s, p: s[:1])
    with pytest.raises(TypeError, match="expected a Flow or a Map, got function"):
        time_reversed(function)
    noisy = jaxdyn.sde(lambda t, x, p: -x, lambda t, x, p: 1 + 0 * x, {}, [1.0])
    with pytest.raises(TypeError, match=r"is stochastic and noise has no way back; .*without_noise\(\)"):
        time_reversed(noisy)
