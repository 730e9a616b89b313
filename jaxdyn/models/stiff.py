"""Stiff systems: rates many orders of magnitude apart."""

from typing import Any

from jaxdyn._types import Array
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import model
from jaxdyn.system import flow

__all__ = ["robertson"]


def _robertson(t: Any, s: Array, p: dict[str, Array]) -> Any:
    x, y, z = s
    decay, back, pairs = p["k1"] * x, p["k3"] * y * z, p["k2"] * y * y
    return back - decay, decay - back - pairs, pairs


robertson = model(
    flow,
    _robertson,
    About(
        name="robertson",
        title="Robertson's chemical reactions, a stiff system",
        equations=("x' = k3 y z - k1 x", "y' = k1 x - k3 y z - k2 y^2", "z' = k2 y^2"),
        states=(
            Symbol("x", "share of the first substance", default=1.0, range=(0.0, 1.0)),
            Symbol("y", "share of the intermediate, which reacts at once", default=0.0, range=(0.0, 5e-5)),
            Symbol("z", "share of the product", default=0.0, range=(0.0, 1.0)),
        ),
        params=(
            Symbol("k1", "rate of the slow decay of x to y", default=0.04),
            Symbol("k2", "rate at which pairs of y give z", default=3e7),
            Symbol("k3", "rate at which y goes back to x with the help of z", default=1e4),
        ),
        source="Robertson 1966, in Walsh (ed.), Numerical Analysis, an Introduction, 178-182; Hairer and Wanner 1996, "
        "Solving Ordinary Differential Equations II, section IV.1",
        known=(
            "x + y + z is conserved; every state with x = y = 0 is a fixed point",
            "from (1, 0, 0), t: x, y, z: 40: 0.7158270688, 9.185534765e-6, 0.2841637457; "
            "4e4: 0.03898337707, 1.621768316e-7, 0.9610164607",
            "after t = 0.01 the fastest rate is 2e3 to 1e4: explicit methods need steps of 1e-3 and less for good, "
            "Rodas5P(rtol=1e-6) goes to 4e4 in about a hundred",
        ),
        dt=5e-4,
        transient=0.0,
        duration=40.0,
    ),
)
