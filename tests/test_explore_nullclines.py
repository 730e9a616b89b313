"""Nullclines beside sliders: their colors, quasi-steady states, failures."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn.interactive import explore

pytestmark = pytest.mark.usefixtures("closed_figures")


def test_nullclines_have_the_colors_of_their_time_series():
    plane, series = explore(jaxdyn.models.fitzhugh_nagumo(), "I", n_steps=5, dt=0.1).figure.axes[:2]
    assert [line.get_color() for line in plane.lines[:2]] == [line.get_color() for line in series.lines]


@pytest.mark.slow
def test_states_that_follow_at_once():
    system = jaxdyn.models.lorenz63()
    explorer = explore(system, "rho", ("x", -20, 20), ("z", 1, 50), quasi_steady="y", n_steps=20, dt=0.01)
    explorer.sliders["rho"].set_val(20.0)
    x, z = explorer.figure.axes[0].lines[0].get_xydata().T
    shown = np.isfinite(x)
    # y at rest is x (rho - z): then x' = 0 on x = 0 and on z = rho - 1; roundings of numbers of size 1000.
    assert np.max(np.minimum(np.abs(x[shown]), np.abs(z[shown] - 19))) < 1e-3
    with pytest.raises(ValueError, match="quasi_steady: 'x' is an axis"):
        explore(system, "rho", ("x", -20, 20), ("z", 1, 50), quasi_steady="x", n_steps=20, dt=0.01)


def test_nullclines_that_cannot_be_computed_are_named():
    system = jaxdyn.flow(
        lambda t, x, p: (jnp.log(p["a"]) - x[0], -x[1]), {"a": 1.0}, [0.0, 0.0], state_names=["x", "y"]
    )
    explorer = explore(system, {"a": (-1, 1)}, ("x", -1, 1), ("y", -1, 1), n_steps=5, dt=0.1)
    plane = explorer.figure.axes[0]
    assert plane.get_title(loc="right") == ""
    explorer.sliders["a"].set_val(-0.5)
    assert plane.get_title(loc="right") == "nullclines: non finite"
