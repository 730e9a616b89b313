"""Delay differential equations as maps: the state holds the last values, one step is one whole delay.

Within one delay the delayed term is known from the state alone, so that the equation is a plain integral: one matrix
product advances all values of the state, and all tangent vectors, by a whole delay.
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdyn._types import Array, Float, matmul, whole_number
from jaxdyn.about import About, Symbol
from jaxdyn.models._model import Ingredients, model
from jaxdyn.system import iterated_map

__all__ = ["mackey_glass"]

STENCIL = 6
"""Points of each polynomial, of degree 5: the order of the scheme."""


@functools.cache
def running_integral(n: int) -> Float[np.ndarray, "points points"]:
    """Matrix of the integrals from 0 to 0, 1, ..., n of a function known at these points, exact up to degree 5.

    Each interval takes the 6 points around it, at the ends the 6 outermost: kinks of the history lie between two
    states, at whole delays, so that no stencil ever crosses one.
    """
    matrix = np.zeros((n + 1, n + 1))
    for i in range(n):
        first = min(max(i - STENCIL // 2 + 1, 0), n + 1 - STENCIL)
        nodes = np.arange(first, first + STENCIL) - float(i)
        moments = 1 / np.arange(1.0, STENCIL + 1)
        matrix[i + 1] = matrix[i]
        matrix[i + 1, first : first + STENCIL] += np.linalg.solve(np.vander(nodes, increasing=True).T, moments)
    matrix.setflags(write=False)
    return matrix


def _mackey_glass(i: Any, x: Array, p: dict[str, Array]) -> Array:
    """Variation of constants: x(t) = exp(-gamma t) (x(0) + integral of exp(gamma s) production(s) ds)."""
    n = x.shape[0] - 1
    step = p["tau"] / n
    growth = jnp.exp(p["gamma"] * step * jnp.arange(n + 1, dtype=x.dtype))
    production = p["beta"] * x / (1 + x ** p["n"])
    integral = step * matmul(jnp.asarray(running_integral(n), x.dtype), growth * production)
    return (x[-1] + integral) / growth


def _history(points: int) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    points = whole_number(points, "points", least=STENCIL - 1)
    params = {symbol.name: symbol.default for symbol in _PARAMS}
    return params, np.full(points + 1, 0.5), tuple(f"x{i}" for i in range(points + 1))


def _sized(made: Ingredients, options: dict[str, Any]) -> Ingredients:
    shape, expected = np.shape(made.default_x0 if made.x0 is None else made.x0), (options["points"] + 1,)
    if shape != expected:
        raise ValueError(
            f"x0 must have shape {expected}, the history at {options['points']} equal steps, its end last; got {shape}"
        )
    return made


_PARAMS = (
    Symbol("tau", "delay", default=17.0),
    Symbol("beta", "largest production per concentration", default=0.2),
    Symbol("gamma", "rate of decay", default=0.1),
    Symbol("n", "steepness of the fall of the production", default=10.0),
)

mackey_glass = model(
    iterated_map,
    _mackey_glass,
    About(
        name="mackey_glass",
        title="Mackey-Glass equation of blood cells that mature with a delay; one step is one whole delay",
        equations=(
            "x'(t) = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x(t)",
            "state: x at points + 1 equal steps from t - tau to t, the latest last; one step of the map: t becomes "
            "t + tau",
            "exact decay, production integrated by polynomials of degree 5: order 6 in tau / points",
        ),
        states=(Symbol("x0 ... xN", "concentration at N + 1 times, a step tau/N apart", range=(0.0, 2.0)),),
        params=_PARAMS,
        source=(
            "Mackey and Glass 1977, Science 197, 287-289, doi:10.1126/science.267326; "
            "Farmer 1982, Physica D 4, 366-393, doi:10.1016/0167-2789(82)90042-2"
        ),
        known=(
            "exponents and rates of the map are per delay: divide by tau for those per unit of time",
            "exp(gamma tau) must be a number: gamma tau < 88 in float32, < 709 in float64",
            "fixed points 0 and, for beta > gamma, (beta/gamma - 1)^(1/n), which is 1 at the defaults; it loses "
            "stability in a Hopf point at tau = 4.7082, where cos(omega tau) = -1/4, omega = 0.387298",
            "multipliers of the map at a fixed point are exp(lambda tau), lambda = -gamma + s exp(-lambda tau) with "
            "the slope s of the production, -0.4 at 1",
            "exponents per unit of time at tau = 17: 0.005139(8), 0, -0.03874, Kaplan-Yorke dimension 2.1327; at "
            "tau = 23: 0.009447(15), dimension 2.7987; at tau = 30: 0.00705(2), 0.00213(2), dimension 3.566",
        ),
        time_unit="delay",
        transient=100.0,
        duration=10_000.0,
    ),
    options={"points": 64},
    defaults=_history,
    complete=_sized,
)
