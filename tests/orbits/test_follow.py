"""Sweeps that carry the state on: hysteresis, lanes beside it, labels, failures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, follow, models

FOLD = 2 / 3**1.5
"""Of h + x - x^3: there two of the three fixed points meet."""


def cubic():
    """dx/dt = h + k (x - x^3): two stable points for |h| < k FOLD."""
    return jaxdyn.flow(lambda t, x, p: p["h"] + p["k"] * (x - x**3), {"h": 0.0, "k": 1.0}, [-1.0], state_names=["x"])


last = functools.partial(jaxdyn.final_state, n_steps=300, dt=0.2)


def by_hand(measure, system, name, values, backward=False):
    """The same by a Python loop: one call a value."""
    found, x = [], system.x0
    for value in values[::-1] if backward else values:
        found.append(measure(system.with_params(**{name: value}).with_state(x)))
        x = found[-1].x
    return found[::-1] if backward else found


@pytest.mark.usefixtures("x64")
class TestHysteresis:
    def test_it_jumps_at_the_folds(self):
        h = np.linspace(-0.6, 0.6, 49)
        found = follow(last, cubic(), {"h": h}, progress=False)
        forward, backward = (found.x.sel(direction=way, state="x").values for way in ("forward", "backward"))
        np.testing.assert_array_equal(forward > 0, h > FOLD)
        np.testing.assert_array_equal(backward > 0, h > -FOLD)

    def test_it_is_a_loop_of_single_calls(self):
        h = np.array([-0.5, -0.1, 0.3, 0.45, 0.2])  # the order given is kept
        found = follow(last, cubic(), {"h": h}, progress=False)
        np.testing.assert_array_equal(found.h, h)
        for way, backward in (("forward", False), ("backward", True)):
            expected = [run.x[0] for run in by_hand(last, cubic(), "h", h, backward)]
            np.testing.assert_allclose(found.x.sel(direction=way)[:, 0], expected, rtol=1e-12)

    @pytest.mark.parametrize("engine", [jaxdyn.Vmap(), jaxdyn.Xla(block=2), jaxdyn.Native(vectors=1)])
    def test_engines_and_lanes_beside_it(self, engine):
        h, k = np.linspace(-0.6, 0.6, 7), np.array([0.5, 1.0, 2.0])
        found = follow(last, cubic(), {"k": k, "h": h}, carry="h", engine=engine, progress=False)
        assert found.x.dims == ("direction", "k", "h", "state")
        for i, value in enumerate(k):
            one = follow(last, cubic().with_params(k=value), {"h": h}, progress=False)
            np.testing.assert_allclose(found.x[:, i], one.x, rtol=1e-12)
        assert found.status.dims == ("direction", "k", "h") and not found.status.any()

    def test_parameters_that_vary_together(self):
        path = np.linspace(-0.6, 0.6, 9)
        found = follow(last, cubic(), {("h", "k"): (path, 1 + path**2)}, directions=["backward"], progress=False)
        assert found.x.dims == ("direction", "h_k", "state")
        np.testing.assert_array_equal(found.k, 1 + path**2)
        system = cubic()
        x = system.x0
        for i in reversed(range(9)):
            x = last(system.with_params(h=path[i], k=1 + path[i] ** 2).with_state(x)).x
            np.testing.assert_allclose(found.x[0, i], x, rtol=1e-12)

    def test_spikes_of_the_neuron_are_bistable_next_to_both_hopf_points(self):
        """Between the fold of cycles, 0.3241785(1), and the subcritical Hopf point, 0.3312813; v -> -v mirrors at 1.75.

        The growth rate at the Hopf point rises as 0.816 (I - 0.33128): at 0.3335 a departure of 1e-4 is of size 1 after
        5000 time units.
        """
        spikes = jaxdyn.reducers.Spikes("v", threshold=0.5, reset=-0.5)
        rate = functools.partial(jaxdyn.reduce, reducers=spikes, n_steps=5_000, n_transient=100_000, dt=0.1)
        lower = np.array([0.32, 0.3238, 0.3246, 0.327, 0.33, 0.331, 0.3335])
        for current, spiking_last in ((lower, True), (1.75 - lower[::-1], False)):
            found = follow(rate, models.fitzhugh_nagumo(), {"I": current}, progress=False)
            fires = found["count"] > 0
            band = (np.minimum(current, 1.75 - current) > 0.3241785) & (np.minimum(current, 1.75 - current) < 0.3312813)
            onto, away = ("forward", "backward") if spiking_last else ("backward", "forward")
            inside = np.minimum(current, 1.75 - current) > 0.3312813
            np.testing.assert_array_equal(fires.sel(direction=onto), inside)
            np.testing.assert_array_equal(fires.sel(direction=away), inside | band)


@pytest.mark.usefixtures("x64")
class TestWhatIsCarried:
    def test_after_a_failure_it_begins_anew(self):
        """x[n+1] = r x (1 - x) leaves the interval for r > 4."""
        r = np.array([3.2, 4.5, 3.5])
        measure = functools.partial(jaxdyn.attractor_points, n_points=32, n_transient=1000)
        found = follow(measure, models.logistic(), {"r": r}, progress=False)
        assert found.status.values.tolist() == [[0, Status.NON_FINITE, 0]] * 2
        assert found.period.values.tolist() == [[2, 0, 4]] * 2
        anew = measure(models.logistic(r=3.5))
        np.testing.assert_allclose(found.points.sel(direction="forward", r=3.5), anew.points, rtol=1e-12)

    def test_the_first_of_several_measures_tells_the_state(self):
        measures = {"rest": lambda s: {"distance": s.x0[0] ** 2}, "end": last}
        found = follow(measures, cubic(), {"h": np.array([-0.5, 0.0, 0.5])}, progress=False)
        np.testing.assert_allclose(found.rest_distance[0, 1:], found.end_x[0, :-1, 0] ** 2)
        assert {"end_status", "status"} <= set(found.data_vars)

    def test_a_measure_may_be_a_dict_and_draw_random_numbers(self):
        def noisy(system, key):
            return {"x": last(system).x + 0.01 * jax.random.normal(key, (1,))}

        h = np.zeros(4)
        found = follow(noisy, cubic(), {"h": h, "k": np.ones(2)}, progress=False, seed=3)
        again = follow(noisy, cubic(), {"h": h, "k": np.ones(2)}, progress=False, seed=3)
        np.testing.assert_array_equal(found.x, again.x)
        assert len(np.unique(found.x)) == found.x.size

    def test_labels(self):
        found = follow(last, models.fitzhugh_nagumo(), {"I": [0.0, 0.1]}, keep=["x"], progress=False)
        assert set(found.data_vars) == {"x", "status"}
        assert found.direction.values.tolist() == ["forward", "backward"]
        assert found.I.attrs["long_name"] == "injected current"
        assert found.state.values.tolist() == ["v", "w"]
        assert found.attrs["carried"] == "I" and "along I" in found.attrs["title"]
        assert "direction" not in found.attrs["parameters"]
        assert "flag_meanings" in found.status.attrs


def test_float32():
    found = follow(last, cubic(), {"h": np.linspace(-0.6, 0.6, 5)}, progress=False)
    assert found.x.dtype == np.float32


def has_direction():
    return jaxdyn.flow(lambda t, x, p: -p["direction"] * x, {"direction": 1.0}, [1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: follow(last, "cubic", {"h": [0.0]}), "expected a Flow or a Map, got str"),
        (lambda: follow(last, cubic(), {"g": [0.0]}), "nothing to sweep called 'g'"),
        (lambda: follow(last, cubic(), {"h": [0.0]}, carry="k"), "not among what is swept"),
        (lambda: follow(last, cubic(), {"x": [0.0]}), "a start is what is carried"),
        (lambda: follow(last, cubic(), {"h": [0.0]}, directions=["up"]), "directions must be"),
        (lambda: follow(last, cubic(), {"h": [0.0]}, directions=[]), "directions must be"),
        (lambda: follow(last, has_direction(), {"direction": [1.0]}), "rename the parameter"),
        (lambda: follow(last, cubic(), {"h": [0.0]}, store="x.zarr"), "no store"),
        (lambda: follow(lambda s: {"y": jnp.zeros(1)}, cubic(), {"h": [0.0]}), "does not tell its last state"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
