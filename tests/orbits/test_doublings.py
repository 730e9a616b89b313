"""Period doublings against values known in closed form and from the literature."""

import functools

import jax
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models, period_doublings
from jaxdyn.orbits.doublings import period_doubling

# Newton's method for F^p(x) = x and (F^p)'(x) = -1 with 40 digits; Feigenbaum 1978 has the first digits.
LOGISTIC = [
    3,
    3.449489742783178098,
    3.544090359551922854,
    3.564407266095432598,
    3.568759419543826431,
    3.569691609801396714,
    3.569891259378120487,
    3.569934018373976401,
    3.569943176048401636,
]
LIMIT, DELTA = 3.569945671870944901842, 4.669201609102990  # Feigenbaum 1978; Briggs 1991


@pytest.mark.usefixtures("x64")
class TestCascades:
    def test_logistic_map(self):
        """Located to rounding; the ratios' limit to the three digits that six doublings hold."""
        found = period_doublings(models.logistic(), {"r": np.linspace(2.9, 3.56, 100)})
        np.testing.assert_allclose(found.values, LOGISTIC[:6], rtol=0, atol=1e-13)
        assert found.periods.tolist() == [1, 2, 4, 8, 16, 32]
        assert not found.status.any() and np.all(found.errors < 1e-13)
        assert round(float(found.delta), 3) == 4.669
        assert abs(found.delta - DELTA) < found.delta_error < 1e-3
        np.testing.assert_allclose(found.limit, LIMIT, rtol=0, atol=1e-7)

    def test_more_doublings_have_more_digits(self):
        found = period_doublings(models.logistic(), {"r": np.linspace(2.9, 3.56, 100)}, n_doublings=9)
        np.testing.assert_allclose(found.values, LOGISTIC, rtol=0, atol=1e-12)  # noise grows with the ratios, to 1e-14
        assert abs(found.delta - DELTA) < min(found.delta_error, 1e-5)
        np.testing.assert_allclose(found.limit, LIMIT, rtol=0, atol=1e-11)

    def test_points_are_on_the_cycle_with_multiplier_minus_one(self):
        found = period_doublings(models.logistic(), {"r": np.linspace(2.9, 3.56, 100)}, n_doublings=4)
        for value, period, x in zip(found.values, found.periods, found.x, strict=True):
            iterate = jaxdyn.nth_iterate(models.logistic(r=value), int(period))
            np.testing.assert_allclose(iterate(0, x), x, rtol=1e-13)
            np.testing.assert_allclose(jaxdyn.jacobian(iterate, x), -1, rtol=1e-11)

    @pytest.mark.slow
    def test_henon_map(self):
        """Flips as `henon_doublings` tells; the ratios have the same limit."""
        found = period_doublings(models.henon(), {"a": np.linspace(0.2, 1.03, 100)})
        np.testing.assert_allclose(found.values[:2], [0.3675, 0.9125], rtol=0, atol=1e-14)
        assert abs(found.delta - DELTA) < found.delta_error < 0.02

    def test_a_window(self):
        """The cascade of the cycle of period 3, born at 1 + sqrt(8), begins at 3.8414990."""
        found = period_doublings(models.logistic(), {"r": np.linspace(3.829, 3.8485, 100)}, n_doublings=5)
        assert found.periods.tolist() == [3, 6, 12, 24, 48]
        np.testing.assert_allclose(found.values[0], 3.8414990, rtol=0, atol=1e-7)
        assert abs(found.delta - DELTA) < found.delta_error

    def test_values_that_show_too_little(self):
        with pytest.raises(ValueError, match=r"no two doublings are seen along r; periods there: \[1, 2\]"):
            period_doublings(models.logistic(), {"r": np.linspace(2.9, 3.4, 10)})

    def test_two_doublings_have_no_limit(self):
        found = period_doublings(models.logistic(), {"r": np.linspace(2.9, 3.56, 100)}, n_doublings=2)
        assert found.ratios.shape == (0,) and np.isnan(found.delta) and np.isnan(found.limit)


def henon_doublings(b):
    """First two of the Henon map.

    The fixed point x = b x + 1 - a x^2 has the multiplier -1 where 2 a x = 1 - b. The cycle of two has x1 + x2 = s,
    a s = 1 - b, and the trace 4 a^2 x1 x2 + 2 b, which with the determinant b^2 is -1 - b^2 for a multiplier -1.
    """
    return 3 * (1 - b) ** 2 / 4, (1 - b) ** 2 + (1 + b) ** 2 / 4


@pytest.mark.usefixtures("x64")
class TestOne:
    @pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)])
    def test_lanes(self, engine):
        b = np.array([0.1, 0.3, 0.5])
        first, second = henon_doublings(b)

        def run(period, b, a):
            return period_doubling(models.henon(a=a, b=b), "a", period=period, n_transient=300)

        for period, value in ((1, first), (2, second)):
            found = jaxdyn.lanes(functools.partial(run, period), engine=engine)(b, 0.95 * value)
            np.testing.assert_allclose(found.value, value, rtol=1e-13)
            assert not found.status.any()

    def test_in_a_sweep_with_the_start_near_by(self):
        b = np.array([0.1, 0.3, 0.5])
        measure = functools.partial(period_doubling, parameter="a", n_transient=300)
        over = {("a", "b"): (0.9 * henon_doublings(b)[0], b)}
        found = jaxdyn.sweep(measure, models.henon(), over, progress=False)
        np.testing.assert_allclose(found.value, henon_doublings(b)[0], rtol=1e-13)

    def test_a_cycle_of_a_shorter_period_is_refused(self):
        """The second iterate of a turn by 90 degrees is -x: it has the multiplier -1 at the fixed point 0."""
        turn = jaxdyn.iterated_map(
            lambda n, s, p: (-p["a"] * s[1], p["a"] * s[0]), {"a": 0.9}, [0.1, 0.0], state_names=["x", "y"]
        )
        found = period_doubling(turn, "a", period=2, n_transient=10)
        assert int(found.status) != Status.OK

    def test_what_blows_up(self):
        assert int(period_doubling(models.logistic(r=4.5), "r").status) == Status.NON_FINITE

    def test_where_there_is_none(self):
        """The multiplier of x[n+1] = a + x/2 is 1/2 for all a."""
        line = jaxdyn.iterated_map(lambda n, s, p: (p["a"] + 0.5 * s[0],), {"a": 0.0}, [0.1])
        assert int(period_doubling(line, "a").status) != Status.OK


def test_float32():
    found = period_doubling(models.logistic(r=3.4), "r", period=2)
    assert found.value.dtype == np.float32 and int(found.status) == Status.OK
    np.testing.assert_allclose(found.value, LOGISTIC[1], rtol=1e-6)


def system_with_vector():
    return jaxdyn.iterated_map(lambda n, x, p: p["w"] * x, {"w": np.ones(2)}, [1.0, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: period_doubling(models.lorenz63(), "rho"), "those of maps"),
        (lambda: period_doubling(models.logistic(), "a"), "no parameter 'a'"),
        (lambda: period_doubling(system_with_vector(), "w"), "must be one real number"),
        (lambda: period_doubling(models.logistic(), "r", period=0), "period must be"),
        (lambda: period_doublings(models.logistic(), {"r": [3.0], "x": [0.1]}), "one parameter and its values"),
        (lambda: period_doublings(models.logistic(), {"r": [3.0]}, n_doublings=1), "n_doublings must be"),
        (lambda: period_doublings(models.logistic(), {"r": [3.0]}, max_period=0), "max_period must be"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_it_needs_no_new_compilation_for_new_values():
    systems = [models.logistic(r=r) for r in (2.9, 2.95)]
    compiled = jax.jit(functools.partial(period_doubling, parameter="r"))
    assert np.ptp([compiled(system).value for system in systems]) < 1e-5
    assert compiled._cache_size() == 1
