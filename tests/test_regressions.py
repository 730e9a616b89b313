"""Wrong answers that were found once, and must not come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn


@pytest.mark.parametrize("method", [jaxdyn.Euler(), jaxdyn.Heun(), jaxdyn.RK4(), jaxdyn.Tsit5()])
def test_a_stage_at_the_end_of_a_step_does_not_see_the_next_sample(method, x64):
    still = jaxdyn.flow(lambda t, x, p: 0 * x, {}, [0.0])
    stepped = jaxdyn.driven(still, jaxdyn.samples([0.0, 1.0, 1.0, 1.0, 1.0]), onto="x0")
    assert float(jaxdyn.final_state(stepped, t1=5.0, dt=1.0, method=method).x[0]) == pytest.approx(4.0, rel=1e-14)


def test_held_input_keeps_the_order_of_the_method(x64):
    u = np.random.default_rng(0).normal(size=40)
    system = jaxdyn.driven(jaxdyn.flow(lambda t, x, p: -x, {}, [0.0]), jaxdyn.samples(u, dt=0.5), onto="x0")
    exact = 0.0
    for value in u:
        exact = value + (exact - value) * np.exp(-0.5)
    errors = [
        abs(float(jaxdyn.final_state(system, t1=20.0, dt=dt, method=jaxdyn.Tsit5()).x[0]) - exact)
        for dt in (0.125, 0.0625)
    ]
    assert errors[0] / errors[1] > 2**4.5  # order 5 less the next term


def test_a_bound_method_of_a_changed_object_is_not_stale():
    class Spring:
        def rate(self, t, x, p):
            return -self.stiffness * x

        __call__ = rate

    spring = Spring()

    def end(stiffness, field):
        spring.stiffness = stiffness
        return jaxdyn.final_state(jaxdyn.flow(field, {}, [1.0]), t1=1.0, dt=0.1).x[0]

    for field in (spring.rate, spring):
        assert [float(end(k, field)) for k in (1.0, 2.0)] == pytest.approx(np.exp([-1.0, -2.0]), rel=1e-4)
        assert float(jax.grad(end)(1.0, field)) == pytest.approx(-np.exp(-1), rel=1e-4)


def test_a_limit_cycle_of_constant_speed_has_dimension_one():
    def ring(t, x, p):
        r = x[0] ** 2 + x[1] ** 2
        return x[0] - x[1] - x[0] * r, x[0] + x[1] - x[1] * r

    spectrum = jaxdyn.lyapunov_spectrum(jaxdyn.flow(ring, {}, [1.0, 0.3]), dt=0.01, n_steps=20_000)
    assert float(spectrum.kaplan_yorke_dimension) == 1.0


def test_dimension_of_integers():
    assert float(jaxdyn.kaplan_yorke_dimension(jnp.array([1, 0, -2]))) == 2.5


def test_input_onto_a_field_of_integers_keeps_its_fraction():
    system = jaxdyn.driven(jaxdyn.flow(lambda t, x, p: (1, 2), {}, [0.0, 0.0]), lambda t: 0.5, onto="x1")
    np.testing.assert_allclose(jaxdyn.final_state(system, t1=1.0, dt=0.125).x, [1.0, 2.5], rtol=1e-6)


def test_gradient_of_a_fixed_point_where_the_box_has_a_singular_center():
    system = jaxdyn.flow(lambda t, x, p: p["a"] + jnp.log(x), {"a": 0.5}, [0.3])

    def root(a):
        return jaxdyn.fixed_points(system.with_params(a=a), box=[(-1, 1)], max_points=4).x[0, 0]

    assert float(jax.grad(root)(0.5)) == pytest.approx(-np.exp(-0.5), rel=1e-5)


def test_a_stiff_saddle_is_a_saddle_in_float32():
    system = jaxdyn.flow(lambda t, x, p: p["A"] @ x, {"A": np.diag([-1e4, 1.0])}, [1.0, 1.0])
    points = jaxdyn.fixed_points(system, box=[(-1, 1)] * 2)
    assert str(jaxdyn.stability_label(points.stability[0])) == "saddle"


def test_no_fixed_point_of_a_field_that_is_nan_is_a_failure():
    system = jaxdyn.flow(lambda t, x, p: p["a"] - x, {"a": 1.0}, [0.0])
    points = jaxdyn.fixed_points(system.with_params(a=np.nan), box=[(-3, 3)])
    assert not points.found.any()
    assert points.status == jaxdyn.Status.NON_FINITE


def test_points_outside_a_wide_box_are_not_reported_and_near_points_are_in_order():
    outside = jaxdyn.fixed_points(jaxdyn.flow(lambda t, x, p: x + 0.9, {}, [0.1]), box=[(0, 1000.0)])
    assert not outside.found.any()
    near = jaxdyn.fixed_points(jaxdyn.flow(lambda t, x, p: 1e-4 * x - x**3, {}, [0.0]), box=[(-1, 1)])
    np.testing.assert_allclose(near.x[:3, 0], [-0.01, 0.0, 0.01], atol=1e-5)  # float32 tolerance


@pytest.mark.parametrize(
    ("matrix", "expected"), [([[1e20, 1.0], [2.0, 3.0]], [1e20, 3.0]), ([[0, 1e-21], [-1e-21, 0]], [1e-21j, -1e-21j])]
)
def test_eigenvalues_of_two_of_extreme_size(matrix, expected):
    system = jaxdyn.flow(lambda t, x, p: p["A"] @ x, {"A": np.eye(2)}, [1.0, 1.0])
    found = np.asarray(jaxdyn.eigenvalues(system.with_params(A=np.array(matrix))))
    # Backward stability: errors of a few ulp of the largest entry.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=4e-7 * np.max(np.abs(matrix)))


def test_a_system_takes_numpy_points_and_lists():
    system = jaxdyn.models.lorenz63()
    for point in (np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]):
        assert system(0.0, point).dtype == system.dtype


def test_half_precision_is_refused():
    with pytest.raises(TypeError, match="float32 or float64"):
        jaxdyn.flow(lambda t, x, p: -x, {}, jnp.array([1.0], jnp.float16))
