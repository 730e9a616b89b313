"""Nullclines: exact points of all branches, and nothing that is no zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.analysis.nullclines import nullclines

WEIGHTS = ("m11", "m12", "m21", "m22")
# Bisection ends at neighboring floats; the closed form then differs by a few roundings of terms of size 10.
EXACT = 1e-13


def plane(field, start=(0.3, 0.4), make=jaxdyn.flow):
    return make(field, {}, list(start), state_names=["x", "y"])


def unit(system, **options):
    """Nullclines in the square (-1, 1)^2."""
    return nullclines(system, ("x", -1, 1), ("y", -1, 1), **options)


def joined(curves):
    return np.concatenate(curves)


def covered(curves, points, cell):
    """Every one of the points has a vertex within one diagonal of a cell (width, height)."""
    vertices = joined(curves)
    distance = np.linalg.norm((points[:, None] - vertices[None]) / np.asarray(cell), axis=-1).min(axis=1)
    return distance.max() <= np.sqrt(2)


class TestClosedForms:
    def test_fitzhugh_nagumo(self, x64):
        lines = nullclines(jaxdyn.models.fitzhugh_nagumo(), ("v", -2, 2), ("w", -1, 2))
        v = np.linspace(-2, 2, 2001)
        for curves, form in ((lines.x, lambda v: v - v**3 / 3 + 0.5), (lines.y, lambda v: (v + 0.7) / 0.8)):
            assert len(curves) == 1
            np.testing.assert_allclose(curves[0][:, 1], form(curves[0][:, 0]), rtol=0, atol=EXACT)
            seen = (form(v) >= -1) & (form(v) <= 2)
            assert covered(curves, np.stack([v, form(v)], axis=-1)[seen], (0.02, 0.015))
        assert lines.residual.max() < EXACT
        assert lines.status.tolist() == [0, 0]
        assert (lines.states, lines.area.tolist()) == (("v", "w"), [False, False])

    def test_frozen_weights(self, x64):
        m11, m12, m21, m22, u = 1.5, 0.3, -0.4, 2.0, 0.05
        pair = jaxdyn.models.hebbian_pair(u1=u, u2=u)
        weights = {"m11": m11, "m12": m12, "m21": m21, "m22": m22}
        lines = nullclines(pair, ("r1", -0.99, 0.99), ("r2", -2, 2), fixed=weights)
        r1, r2 = joined(lines.x).T
        # Near r1 = 0.99 atanh multiplies a rounding of r1 by 1/(1 - r1^2) = 50.
        np.testing.assert_allclose(r2, (np.arctanh(r1) - m11 * r1 - u) / m12, rtol=0, atol=1e-12)
        r1, r2 = joined(lines.y).T
        np.testing.assert_allclose(r1, (np.arctanh(r2) - m22 * r2 - u) / m21, rtol=0, atol=1e-12)
        s = np.linspace(-0.99, 0.99, 4001)
        form = (np.arctanh(s) - m11 * s - u) / m12
        seen = np.abs(form) <= 2
        assert covered(lines.x, np.stack([s, form], axis=-1)[seen], (1.98 / 200, 4 / 200))

    @pytest.mark.parametrize("u", [0.1, 0.0])
    @pytest.mark.slow
    def test_weights_that_follow_at_once(self, x64, u):
        eta1, eta2 = 0.0025, 0.001
        pair = jaxdyn.models.hebbian_pair(eta1=eta1, eta2=eta2, u1=u, u2=u)
        lines = nullclines(pair, ("r1", -0.98, 0.98), ("r2", -0.98, 0.98), quasi_steady=WEIGHTS, resolution=81)
        ratio = eta2 / eta1

        def squared(r):
            return ratio / r * (np.arctanh(r) - u) - r**2

        for curves, own in ((lines.x, 0), (lines.y, 1)):
            r, other = joined(curves).T[[own, 1 - own]]
            # Distance to r (other^2 - squared(r)) = 0, to first order; this also holds on the line r = 0 for u = 0.
            value = r * (other**2 + r**2) - ratio * (np.arctanh(r) - u)
            slope = np.hypot(other**2 + 3 * r**2 - ratio / (1 - r**2), 2 * r * other)
            assert np.max(np.abs(value) / (slope + 1e-3)) < 1e-12
            s = np.linspace(-0.97, 0.97, 1500)
            s = s[(squared(s) >= 0) & (squared(s) <= 0.98**2)]
            for sign in (-1, 1):
                points = np.stack([s, sign * np.sqrt(squared(s))], axis=-1)
                assert covered(curves, points[:, [own, 1 - own]], (1.96 / 80, 1.96 / 80))
            on_line = np.stack([np.zeros(50), np.linspace(-0.98, 0.98, 50)], axis=-1)[:, [own, 1 - own]]
            assert covered(curves, on_line, (1.96 / 80, 1.96 / 80)) == (u == 0)
        assert lines.status.tolist() == [0, 0]

    @pytest.mark.slow
    def test_lorenz_in_space(self, x64):
        system = jaxdyn.models.lorenz63()
        lines = nullclines(system, ("x", -20, 20), ("z", 1, 50), fixed={"y": 4.0})
        np.testing.assert_allclose(joined(lines.x)[:, 0], 4.0, rtol=1e-14)  # vertical
        x, z = joined(lines.y).T
        np.testing.assert_allclose(z, 4 * x / (8 / 3), rtol=1e-13)
        # y at rest: y = x (rho - z); then x' = 0 on x = 0 and on z = rho - 1, and z' = 0 on x^2 (rho - z) = beta z.
        lines = nullclines(system, ("x", -20, 20), ("z", 1, 50), quasi_steady="y")
        x, z = joined(lines.x).T
        assert np.max(np.minimum(np.abs(x), np.abs(z - 27))) < 1e-12
        x, z = joined(lines.y).T
        np.testing.assert_allclose(x**2 * (28 - z), 8 / 3 * z, rtol=1e-10)  # z near 28 is a difference

    def test_map(self, x64):
        lines = nullclines(jaxdyn.models.henon(), ("x", -2, 2), ("y", -1, 1))
        x, y = joined(lines.x).T
        np.testing.assert_allclose(y, x - 1 + 1.4 * x**2, rtol=0, atol=1e-13)  # f(x) - x = 0, not f(x) = 0
        x, y = joined(lines.y).T
        np.testing.assert_allclose(y, 0.3 * x, rtol=0, atol=1e-14)
        assert len(lines.x) == 2  # the two arms of a parabola that leaves the window below

    def test_float32_is_exact_to_its_rounding(self):
        lines = nullclines(jaxdyn.models.fitzhugh_nagumo(), ("v", -2, 2), ("w", -1, 2))
        v, w = joined(lines.x).T
        assert v.dtype == np.float32
        np.testing.assert_allclose(w, v - v**3 / 3 + 0.5, rtol=0, atol=2e-6)  # a dozen roundings of numbers up to 3


class TestTopology:
    def test_vertical_horizontal_and_nodes_on_the_curve(self, x64):
        # 201 nodes in (-1, 1): 0 and 0.5 are nodes, 0.123 is none.
        lines = unit(plane(lambda t, x, p: (x[0] * (x[0] - 0.123), x[1] - 0.5)))
        assert [curve.shape for curve in lines.x] == [(201, 2), (201, 2)]
        assert sorted(float(np.ptp(curve[:, 0])) for curve in lines.x) == [0.0, 0.0]
        assert sorted(float(curve[0, 0]) for curve in lines.x) == pytest.approx([0.0, 0.123], abs=1e-15)
        assert [np.unique(curve[:, 1]).tolist() for curve in lines.y] == [[0.5]]

    def test_closed_curve(self, x64):
        lines = unit(plane(lambda t, x, p: (x[0] ** 2 + x[1] ** 2 - 0.49, x[1])))
        (circle,) = lines.x
        np.testing.assert_array_equal(circle[0], circle[-1])
        np.testing.assert_allclose(np.linalg.norm(circle, axis=1), 0.7, rtol=1e-15)
        angles = np.unwrap(np.arctan2(circle[:, 1], circle[:, 0]))
        assert abs(angles[-1] - angles[0]) == pytest.approx(2 * np.pi)

    @pytest.mark.parametrize("shift", [0.0, 0.00123])
    def test_self_crossing_curve(self, x64, shift):
        lines = unit(plane(lambda t, x, p: ((x[0] - shift) * (x[1] - shift), x[0] + x[1])))
        points = joined(lines.x) - shift
        assert np.max(np.min(np.abs(points), axis=1)) < 1e-15
        s = np.linspace(-1, 1, 401)
        for cross in (np.stack([s, 0 * s + shift], axis=-1), np.stack([0 * s + shift, s], axis=-1)):
            assert covered(lines.x, cross, (0.01, 0.01))

    def test_line_on_the_rim_of_the_window(self, x64):
        for sign in (-1, 1):
            system = plane(lambda t, x, p, sign=sign: (sign * x[0], sign * x[0] * x[1]))
            lines = nullclines(system, ("x", 0, 1), ("y", 0, 1))
            assert [np.unique(curve[:, 0]).tolist() for curve in lines.x] == [[0.0]]
            corner = joined(lines.y)
            assert np.max(np.min(np.abs(corner), axis=1)) == 0.0
            assert (corner.max(axis=0) == 1).all()  # both sides

    def test_touched_zeros_and_areas_have_no_curve(self, x64):
        dead_zone = plane(lambda t, x, p: (jnp.where(jnp.abs(x[0]) < 0.5, 0, x[0]), -(x[1] ** 2)))
        lines = unit(dead_zone)
        assert (lines.x, lines.y) == ([], [])
        assert lines.area.tolist() == [True, False]
        assert lines.status.tolist() == [0, 0]

    def test_rate_that_is_zero_everywhere(self, x64):
        lines = unit(plane(lambda t, x, p: (0 * x[0], x[1])))
        assert lines.x == []
        assert lines.area.tolist() == [True, False]
        assert len(lines.y) == 1


class TestWhatIsNoZero:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("shift", [0.0, 0.00123])
    def test_poles_and_jumps(self, x64, dtype, shift):
        def field(t, x, p):
            return 1 / (x[0] - shift), jnp.sign(x[1] - shift) + 0.5

        system = jaxdyn.flow(field, {}, [0.3, 0.4], state_names=["x", "y"], dtype=dtype)
        lines = unit(system)
        assert (lines.x, lines.y) == ([], [])
        assert lines.residual.tolist() == [0, 0]

    def test_zeros_beside_poles(self, x64):
        lines = unit(plane(lambda t, x, p: (jnp.tan(4 * x[0]), jnp.cbrt(x[1] - 0.2))))
        assert sorted({round(float(value), 12) for value in joined(lines.x)[:, 0]}) == pytest.approx(
            [-np.pi / 4, 0, np.pi / 4], abs=1e-12
        )
        np.testing.assert_allclose(joined(lines.y)[:, 1], 0.2, rtol=1e-15)  # vertical slope, but continuous

    def test_part_of_the_plane_is_undefined(self, x64):
        lines = unit(plane(lambda t, x, p: (jnp.sqrt(x[0]) - x[1], jnp.log(-1 - x[1] ** 2))))
        x, y = joined(lines.x).T
        np.testing.assert_allclose(y, np.sqrt(x), rtol=1e-14)
        assert x.min() < 0.02  # not farther than a cell from the border of the domain
        assert lines.y == []
        assert lines.status.tolist() == [jaxdyn.Status.OK, jaxdyn.Status.NON_FINITE]

    def test_quasi_steady_state_without_solution(self, x64):
        # z' = x - z^2 has no rest for x < 0; where it has one, z = sqrt(x) is reached from z = 1.
        system = jaxdyn.flow(
            lambda t, x, p: (x[2] - 0.5, x[1], x[0] - x[2] ** 2), {}, [0.0, 0.0, 1.0], state_names=["x", "y", "z"]
        )
        lines = unit(system, quasi_steady="z", resolution=41)
        np.testing.assert_allclose(joined(lines.x)[:, 0], 0.25, rtol=1e-12)
        assert joined(lines.y)[:, 0].min() >= 0
        assert lines.status.tolist() == [jaxdyn.Status.NOT_CONVERGED] * 2


class TestArguments:
    def test_time(self, x64):
        moving = plane(lambda t, x, p: (x[0] - t, x[1]))
        np.testing.assert_array_equal(joined(unit(moving, t=0.5).x)[:, 0], 0.5)
        counting = plane(lambda n, x, p: (2 * x[0] - 0.25 * n.astype(x.dtype), x[1]), make=jaxdyn.iterated_map)
        np.testing.assert_array_equal(joined(unit(counting, t=2).x)[:, 0], 0.5)

    def test_others_are_at_the_start_or_at_given_values(self, x64):
        system = jaxdyn.flow(lambda t, x, p: (x[0] - x[2], x[1], 0 * x[2]), {}, [0, 0, 0.25], state_names=list("xyz"))
        np.testing.assert_array_equal(joined(unit(system).x)[:, 0], 0.25)
        np.testing.assert_array_equal(joined(unit(system, fixed={"z": 0.5}).x)[:, 0], 0.5)

    def test_new_values_compile_nothing(self):
        def field(t, x, p):
            traces.append(1)
            return x[0] - p["a"], x[1]

        traces = []
        system = jaxdyn.flow(field, {"a": 0.1}, [0.0, 0.0], state_names=["x", "y"])
        unit(system)
        count = len(traces)
        np.testing.assert_array_equal(joined(unit(system.with_params(a=0.5)).x)[:, 0], 0.5)
        assert len(traces) == count

    def test_a_large_network_is_evaluated_in_groups_of_rows(self):
        net = jaxdyn.models.random_rnn(n=300, g=0.5)
        lines = nullclines(net, ("x1", -1, 1), ("x2", -1, 1), resolution=151)
        assert len(lines.x) == len(lines.y) == 1
        assert lines.residual.max() < 1e-5  # float32: rounding of a sum of 300 terms of size 0.05

    def test_is_a_tree(self):
        lines = jax.tree.map(lambda leaf: leaf, nullclines(jaxdyn.models.fitzhugh_nagumo()))
        assert lines.states == ("v", "w")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"x": "u"}, "no state 'u'.*known: r1"),
            ({"x": 7}, "positions go from 0 to 5"),
            ({"x": ("r1", 1, 1)}, "low < high"),
            ({"x": ("r1", 0, np.inf)}, "low < high"),
            ({"x": ("r1", 1)}, r"\(state, low, high\)"),
            ({"x": ("r1", "a", 1)}, "interval of 'r1' must be two numbers, got 'a', 1"),
            ({"x": 0.5}, "a state is a name or a position, got 0.5"),
            ({"x": True}, "a state is a name or a position, got True"),
            ({"x": "r2"}, "choose two states"),
            ({"fixed": {"m1": 0.0}}, "fixed: .*'m1'; did you mean 'm"),
            ({"fixed": {"r1": 0.0}}, "fixed: 'r1' is an axis"),
            ({"quasi_steady": "weights"}, "quasi_steady: .* no state 'weights'"),
            ({"quasi_steady": ("r2",)}, "quasi_steady: 'r2' is an axis"),
            ({"resolution": 1}, "resolution must be a whole number of at least 2"),
        ],
    )
    def test_wrong_arguments(self, arguments, message, unchecked):
        with pytest.raises(ValueError, match=message):
            nullclines(jaxdyn.models.hebbian_pair(), **arguments)

    def test_too_few_states_and_no_range(self):
        with pytest.raises(ValueError, match="a plane needs two"):
            nullclines(jaxdyn.models.logistic())
        with pytest.raises(ValueError, match=r"give \('x', low, high\)"):
            nullclines(plane(lambda t, x, p: -x))
