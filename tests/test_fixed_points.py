"""Search for fixed points: order, merging, box, capacity, failures, precision, derivatives and platforms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from reference.found import assert_points, codes, points

import jaxdyn
from jaxdyn import Stability, Status, fixed_points, models

EPS = np.finfo(np.float64).eps

# The search itself


def polynomial(roots):
    """Flow in one dimension with these zeros."""

    def field(t, x, p):
        return jnp.prod(x[None, :] - p["roots"][:, None], axis=0)

    return jaxdyn.flow(field, {"roots": np.array(roots, float)}, [0.1], state_names=["x"])


def test_points_are_ordered_by_first_state_then_second(x64):
    def field(t, x, p):
        return x**3 - jnp.array([1.0, 4.0], x.dtype) * x

    result = fixed_points(jaxdyn.flow(field, {}, [0.5, 0.5]), box=[[-3, 3], [-3, 3]])
    assert_points(result, [[x, y] for x in (-1, 0, 1) for y in (-2, 0, 2)], scale=10.0)
    unstable, saddle, stable = Stability.UNSTABLE_NODE, Stability.SADDLE, Stability.STABLE_NODE
    assert codes(result) == [unstable, saddle, unstable, saddle, stable, saddle, unstable, saddle, unstable]


def test_close_points_are_two_and_equal_ones_are_one(x64):
    """Points merge within 1e-6 of the box of width 4."""
    box = {"x": (-2.0, 2.0)}
    apart = fixed_points(polynomial([0.5, 0.5 + 1e-4]), box=box)
    assert_points(apart, [[0.5], [0.5 + 1e-4]], tolerance=1e-10)
    assert len(points(fixed_points(polynomial([0.5, 0.5 + 1e-7]), box=box))) == 1


@pytest.mark.parametrize("multiplicity", [2, 3])
def test_degenerate_roots_are_found_once(multiplicity, x64):
    """A root of multiplicity m is known to the m-th root of rounding, and Newton's method approaches it linearly."""
    result = fixed_points(polynomial([0.3] * multiplicity), box={"x": (-2.0, 2.0)})
    x = points(result)
    assert x.shape == (1, 1)
    assert abs(x[0, 0] - 0.3) < 10 * EPS ** (1 / multiplicity)
    assert abs(result.eigenvalues[0, 0]) < 1e-6
    cubic = jaxdyn.flow(lambda t, x, p: -(x**3), {}, [0.1], state_names=["x"])
    assert_points(fixed_points(cubic, box=[[-1, 1]]), [[0.0]], tolerance=1e-6)


def test_no_root_gives_an_empty_result(x64):
    # A minimum of the residual is no root, however low: the last is below the tolerance, but 3e-4 from any root.
    for power, lift in ((2, 1.0), (2, 1e-3), (2, 1e-9), (4, 1e-14)):
        system = jaxdyn.flow(lambda t, x, p, n=power: x**n + p["lift"], {"lift": lift}, [0.1])
        result = fixed_points(system, box=[[-1.0, 1.0]])
        assert len(points(result)) == 0
        assert result.status == Status.OK


def test_points_outside_the_box_are_not_reported_and_faces_count(x64):
    system = polynomial([-1.0, 0.0, 1.0])
    assert_points(fixed_points(system, box={"x": (-0.5, 1.0)}), [[0], [1]])
    assert_points(fixed_points(system, box={"x": (-0.5, 0.9)}), [[0]])
    assert_points(fixed_points(system, box=[[0.0, 0.5]]), [[0]])


def test_more_points_than_slots_are_reported(x64):
    system = polynomial([-1.0, 0.0, 1.0])
    result = fixed_points(system, box={"x": (-2, 2)}, max_points=2)
    assert result.status == Status.CAPACITY
    assert int(result.n_found) == 2
    exact = fixed_points(system, box={"x": (-2, 2)}, max_points=3)
    assert (int(exact.status), int(exact.n_found)) == (Status.OK, 3)


@pytest.mark.parametrize("kind", [models.line_attractor, models.line_attractor_flow])
def test_a_line_of_fixed_points_exceeds_the_slots(kind, x64):
    result = fixed_points(kind())
    assert result.status == Status.CAPACITY
    np.testing.assert_allclose(np.asarray(result.x)[:, 0], 0, atol=1e-12)


def test_a_slanted_line_of_fixed_points_exceeds_the_slots(x64):
    """Two locked oscillators: only the difference of the phases is fixed."""
    result = fixed_points(models.kuramoto(n=2))
    assert result.status == Status.CAPACITY
    x = np.asarray(result.x)
    omega = np.asarray(models.kuramoto(n=2).params["omega"])
    np.testing.assert_allclose(2 * np.sin(x[:, 1] - x[:, 0]), omega[1] - omega[0], atol=1e-11)


def test_jumps_of_the_field_leave_no_false_point(x64):
    """The standard map's angle jumps at 2 pi: a point reported there maps to itself, modulo a turn or not."""
    result = fixed_points(models.standard_map(k=1.0))
    assert np.asarray(result.residual)[: int(result.n_found)].max() < 1e-11
    turn = 2 * np.pi
    angles = np.unique(np.round(np.mod(np.asarray(points(result)) + 1e-6, turn), 5), axis=0)
    np.testing.assert_allclose(angles, [[0, 0], [np.pi, 0]], atol=2e-5)


def test_own_starts_are_used_beside_the_box(x64):
    """A narrow valley that 4 even starts miss."""

    def field(t, x, p):
        return 1 - 2 * jnp.exp(-(((x - 0.777) / 1e-3) ** 2))

    system = jaxdyn.flow(field, {}, [0.1], state_names=["x"])
    assert int(fixed_points(system, box=[[0, 1]], n_starts=4).n_found) == 0
    near = fixed_points(system, box=[[0, 1]], n_starts=4, starts=[[0.7765], [0.7775]])
    half = 1e-3 * np.sqrt(np.log(2))
    assert_points(near, [[0.777 - half], [0.777 + half]], scale=1e3)


def test_starts_that_are_roots_already_do_not_set_the_scale(x64):
    """The tolerance is relative to the field in the box, not to the residuals of good guesses."""
    root = 0.6313544770895047
    guesses = np.array([[root, 0.3 * root]]) + np.linspace(-1e-14, 1e-14, 20)[:, None]
    assert_points(fixed_points(models.henon(), starts=guesses, n_starts=1), [[root, 0.3 * root]])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"box": {"x": (0, 1)}}, TypeError, "has no state 'x'"),
        ({"box": {"v": (1, 0)}}, ValueError, "finite low < high"),
        ({"box": {"v": (0, np.inf)}}, ValueError, "finite low < high"),
        ({"box": [[0, 1]]}, ValueError, r"each of 2 states, got shape \(1, 2\)"),
        ({"starts": [[0.0, 0.0, 0.0]]}, ValueError, r"starts must have shape \(n, 2\), got \(1, 3\)"),
        ({"n_starts": 0}, ValueError, "n_starts must be a whole number of at least 1"),
        ({"max_points": 2.0}, ValueError, "max_points must be a whole number of at least 1"),
        ({"period": 2}, TypeError, "nth_iterate is for maps"),
    ],
)
def test_wrong_arguments_say_what_fits(arguments, error, message):
    with pytest.raises(error, match=message):
        fixed_points(models.fitzhugh_nagumo(), **arguments)


def test_a_system_without_a_box_asks_for_one():
    with pytest.raises(ValueError, match=r"no interval known for x0; give box=\{'x0': \(low, high\)"):
        fixed_points(jaxdyn.flow(lambda t, x, p: -x, {}, [1.0]))


def test_a_box_by_name_keeps_the_other_defaults(x64):
    assert_points(fixed_points(models.duffing(gamma=0.0), box={"x": (0.5, 2.0)}), [[1, 0]])


# Precision, transformations, platforms


@pytest.mark.slow
def test_float32_finds_the_same_points(x64):
    for make in (models.lorenz63, models.henon):
        single, double = (fixed_points(make(dtype=dtype)) for dtype in (jnp.float32, jnp.float64))
        assert single.x.dtype == jnp.float32
        a, b = points(single), points(double)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
        assert codes(single) == codes(double)


@pytest.mark.slow
def test_lanes_equal_a_loop_and_new_values_cost_no_retrace(x64):
    calls = []

    def field(t, x, p):
        calls.append(None)
        v, w = x
        return v - v**3 / 3 - w + p["I"], (v + 0.7 - 2.0 * w) / 12.5

    system = jaxdyn.flow(field, {"I": 0.0}, [0.0, 0.0])
    run = jax.jit(lambda current: fixed_points(system.with_params(I=current), box=[[-3, 3], [-3, 3]]))
    currents = np.array([-0.5, 0.3, 0.35, 0.5])
    together = jax.jit(jax.vmap(run))(currents)
    run(0.1)
    n_calls = len(calls)
    alone = [run(current) for current in currents]
    assert len(calls) == n_calls
    np.testing.assert_array_equal(together.n_found, [int(one.n_found) for one in alone])
    assert len(set(together.n_found.tolist())) == 2  # some have three, some one
    for i, one in enumerate(alone):
        np.testing.assert_allclose(together.x[i], one.x, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(together.stability[i], one.stability)


def test_a_lane_of_nan_has_no_points_and_harms_no_other(x64):
    run = jax.jit(jax.vmap(lambda current: fixed_points(models.fitzhugh_nagumo().with_params(I=current))))
    lanes = run(np.array([0.5, np.nan]))
    assert lanes.n_found.tolist() == [1, 0]
    np.testing.assert_array_equal(lanes.x[0], run(np.array([0.5, 0.4])).x[0])


@pytest.mark.slow
def test_the_derivative_of_a_point_is_the_implicit_one(x64):
    """dv/dI = b / (b v^2 + 1 - b), dw/dI = dv/dI / b, forward and in reverse."""

    def point(current):
        return fixed_points(models.fitzhugh_nagumo().with_params(I=current)).x[0]

    v = float(point(0.5)[0])
    slope = 0.8 / (0.8 * v * v + 0.2)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(point))(0.5), [slope, slope / 0.8], rtol=1e-11)
    np.testing.assert_allclose(jax.grad(lambda current: point(current)[1])(0.5), slope / 0.8, rtol=1e-11)


def test_the_derivative_holds_at_all_points_at_once(x64):
    """Lorenz: dx/d rho = beta / (2 x) at the two foci, 0 at the origin."""
    slopes = jax.jit(jax.jacfwd(lambda rho: fixed_points(models.lorenz63().with_params(rho=rho)).x[:3]))(28.0)
    c = np.sqrt(8 / 3 * 27)
    along = (8 / 3) / (2 * c)
    expected = [[-along, -along, 1], [0, 0, 0], [along, along, 1]]
    np.testing.assert_allclose(slopes, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_search_lowers_for_accelerators(platform):
    system = models.fitzhugh_nagumo()

    @jax.jit
    def run(params):
        return fixed_points(dataclasses.replace(system, params=params)).x

    exported = export.export(run, platforms=[platform])(system.params)
    assert exported.platforms == (platform,)
    assert "callback" not in exported.mlir_module()
