"""A system whose results tell where they come from."""

import jax.numpy as jnp
import numpy as np

import jaxdyn

DIGITS = np.arange(1, 7)

ABOUT = jaxdyn.About(
    name="coded",
    title="System of digits",
    states=(jaxdyn.Symbol("p", "potential", unit="mV"), jaxdyn.Symbol("q", "recovery")),
    params=(jaxdyn.Symbol("a", "current", unit="uA"),),
    equations=("x[n+1] = x[n]",),
    source="Someone 1999",
    time_unit="ms",
)


def _same(n, x, p):
    return x


def coded():
    params = {"a": 1.0, "b": 2.0, "w": [1.0, 2.0], "m": [[1.0, 2.0], [3.0, 4.0]]}
    return jaxdyn.iterated_map(_same, params, [5.0, 7.0], state_names=["p", "q"], about=ABOUT)


def digits(s):
    """All parts of a system in one number, exact in float32: every digit tells where it comes from."""
    p = s.params
    parts = [p["a"], p["b"], *p["w"], *p["m"].ravel(), *s.x0]
    return {"low": sum(part * 10.0**i for i, part in enumerate(parts[:5])), "high": jnp.stack(parts[5:])}
