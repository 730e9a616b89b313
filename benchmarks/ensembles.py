"""Ensembles of the benchmarks: many lanes of one system, the same equations, steps and dtype for every contender."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdyn

Values = dict[str, np.ndarray[Any, Any]]
"""Swept parameters by name, one value a lane."""

# Rounding of float32, the unit of the tolerances below.
EPS = float(np.finfo(np.float32).eps)


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """One system, its sweep, and how far it is integrated."""

    title: str
    system: Any
    """jaxdyn's, in float32."""
    rate: Callable[[jax.Array, dict[str, Any]], jax.Array]
    """Equations as a user of any JAX library writes them."""
    components: Callable[[Sequence[Any], dict[str, Any]], Sequence[Any]]
    """The same, component by component, for libraries of symbols."""
    swept: dict[str, tuple[float, float]]
    """Range of each swept parameter; with two of them the lanes are a square grid."""
    kernel: str
    """Name of the function in rivals/kernels.c and rivals/hand_numba.py."""
    shared: tuple[float, ...]
    """Parameters that all lanes share, in the order of the kernel."""
    method: str | None
    """RK4 or Tsit5; None for a map."""
    dt: float | None
    n_steps: int
    n_lanes: int
    n_check: int
    """Steps after which the contenders' states are compared: few in chaos."""
    tolerance: float
    """Largest distance after `n_check` steps, between contenders of one method."""
    other_method: float = np.inf
    """The same between different methods: what their steps differ by."""

    @property
    def x0(self) -> np.ndarray[Any, Any]:
        """Start of every lane, the model's own."""
        return np.asarray(self.system.x0)

    def values(self, n_lanes: int) -> Values:
        """Swept values of every lane."""
        if len(self.swept) == 1:
            return {name: np.linspace(*ends, n_lanes, dtype=np.float32) for name, ends in self.swept.items()}
        side = round(n_lanes ** (1 / 2))
        axes = np.meshgrid(*(np.linspace(*ends, side, dtype=np.float32) for ends in self.swept.values()), indexing="ij")
        return {name: axis.ravel() for name, axis in zip(self.swept, axes, strict=True)}


def size(values: Values) -> int:
    """Number of lanes."""
    return len(next(iter(values.values())))


def _neuron(x: Sequence[Any], p: dict[str, Any]) -> Sequence[Any]:
    v, w = x
    return v - v**3 / 3 - w + p["I"], (v + 0.7 - 0.8 * w) / 12.5


def _lorenz(s: Sequence[Any], p: dict[str, Any]) -> Sequence[Any]:
    x, y, z = s
    return 10.0 * (y - x), x * (p["rho"] - z) - y, x * y - 8 / 3 * z


def _lorenz96(x: Sequence[Any], p: dict[str, Any]) -> Sequence[Any]:
    n = len(x)
    return [(x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + p["F"] for i in range(n)]


def _logistic(x: Sequence[Any], p: dict[str, Any]) -> Sequence[Any]:
    return [p["r"] * x[0] * (1 - x[0])]


def _learners(x: Sequence[Any], p: dict[str, Any]) -> Sequence[Any]:
    k, w = x
    pull = 1 - k * w
    return k - p["gamma_k"] * (k / 2 - pull * w), w - p["gamma_w"] * (w / 2 - pull * k)


def _stacked(components: Any) -> Callable[[jax.Array, dict[str, Any]], jax.Array]:
    return lambda x, p: jnp.stack(components(x, p))


def _rolled(x: jax.Array, p: dict[str, Any]) -> jax.Array:
    return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + p["F"]


def _learners_by_gradient(x: jax.Array, p: dict[str, Any]) -> jax.Array:
    def error(x: jax.Array) -> jax.Array:
        k, w = x
        return ((1 - k * w) ** 2 + (w**2 + k**2) / 2) / 2

    return x - jnp.stack([p["gamma_k"], p["gamma_w"]]) * jax.grad(error)(x)


def _sites(n: int, n_lanes: int) -> Ensemble:
    return Ensemble(
        title=f"Lorenz 96, {n} sites, RK4",
        system=jaxdyn.models.lorenz96(n=n, dtype=jnp.float32),
        rate=_rolled,
        components=_lorenz96,
        swept={"F": (7.0, 9.0)},
        kernel="lorenz96_rk4",
        shared=(),
        method="RK4",
        dt=0.01,
        n_steps=100,
        n_lanes=n_lanes,
        n_check=50,
        # States of size 10; near the uniform state, where all start, distances grow at the rate 9 F / 8 - 1 <= 9.2
        # (its eigenvalues are -1 + F (exp(i k) - exp(-2 i k))) for half a time unit: exp(4.6). 100 roundings.
        tolerance=100 * 10 * EPS * np.exp(4.6),
        other_method=100 * 10 * EPS * np.exp(4.6),  # RK4 errs by less than float32 rounds at this dt
    )


NEURON = Ensemble(
    title="FitzHugh-Nagumo, RK4",
    system=jaxdyn.models.fitzhugh_nagumo(dtype=jnp.float32),
    rate=_stacked(_neuron),
    components=_neuron,
    swept={"I": (0.0, 2.5)},
    kernel="neuron_rk4",
    shared=(0.7, 0.8, 12.5),
    method="RK4",
    # 1/8 is exact in binary, so that 1000 steps end at t = 125 for every way of adding up time in float32.
    dt=0.125,
    n_steps=1000,
    n_lanes=100_000,
    n_check=100,
    # States of size 2; a jump of the relaxation oscillation (v near 0, rate at most 1, a few time units) multiplies
    # distances by less than exp(4), the way along its branches shrinks them: 100 roundings.
    tolerance=100 * 2 * EPS * np.exp(4),
    other_method=1e-2,  # error of RK4 at this dt, times the same growth
)
LORENZ = Ensemble(
    title="Lorenz, Tsit5",
    system=jaxdyn.models.lorenz63(dtype=jnp.float32),
    rate=_stacked(_lorenz),
    components=_lorenz,
    swept={"rho": (20.0, 60.0)},
    kernel="lorenz_tsit5",
    shared=(10.0, 8 / 3),
    method="Tsit5",
    dt=0.01,
    n_steps=1000,
    n_lanes=100_000,
    n_check=50,
    # States of size 50; half a time unit of growth at no more than the rate of the origin's unstable direction, 19.5
    # at rho = 60, which acts for about half of it: exp(5).
    tolerance=50 * 50 * EPS * np.exp(5),
    other_method=50 * 50 * EPS * np.exp(5),  # Tsit5 errs by less than float32 rounds at this dt
)
LOGISTIC = Ensemble(
    title="logistic map",
    system=jaxdyn.models.logistic(dtype=jnp.float32),
    rate=_stacked(_logistic),
    components=_logistic,
    swept={"r": (2.5, 4.0)},
    kernel="logistic",
    shared=(),
    method=None,
    dt=None,
    n_steps=10_000,
    n_lanes=100_000,
    n_check=10,
    tolerance=10 * EPS * 2**10,  # distances double a step on average (ln 2 at r = 4); 10 roundings
)
LEARNERS = Ensemble(
    title="two learners, grid of learning rates",
    system=jaxdyn.models.two_learner_descent(tau=1.0, sigma_k=0.5, sigma_w=0.5, dtype=jnp.float32),
    rate=_learners_by_gradient,
    components=_learners,
    swept={"gamma_k": (0.01, 2.5), "gamma_w": (0.01, 2.5)},
    kernel="two_learners",
    shared=(1.0, 0.5, 0.5),
    method=None,
    dt=None,
    n_steps=1000,
    n_lanes=512**2,
    n_check=10,
    # Distances grow by no more than |1 - gamma h| < 4 a step even where the rates are unstable, and by far less once
    # near the minima; 10 roundings of states of size 1.
    tolerance=10 * EPS * 4**5,
)
ENSEMBLES = {
    "neuron": NEURON,
    "lorenz": LORENZ,
    "lorenz96-10": _sites(10, 100_000),
    "lorenz96-40": _sites(40, 10_000),
    "logistic": LOGISTIC,
}
