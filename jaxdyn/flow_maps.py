"""Maps that a flow makes: their common parts, and the map from one period to the next."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import given_dtype
from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, ArrayLike, Float, Int, is_concrete, whole_number
from jaxdyn.about import About
from jaxdyn.integrate import repeat, walking
from jaxdyn.methods import Method
from jaxdyn.steps import method_of
from jaxdyn.stochastic import SDE
from jaxdyn.system import Flow, Map

__all__ = ["Constant", "Equations", "OfParams", "map_of", "number_of", "require_flow", "stroboscopic"]


@record
class Equations:
    """A flow without its values."""

    field: Callable[..., Any]
    names: tuple[str, ...] = static()
    about: About = static()

    @staticmethod
    def of(flow: Flow) -> "Equations":
        """Those of a flow."""
        return Equations(flow.field, flow.state_names, flow.about)

    def at(self, x: Array, params: dict[str, Any]) -> Flow:
        """The flow that starts at `x`."""
        return Flow(self.field, params, x, self.names, self.about)


@record
class Constant:
    """A number."""

    value: Array

    def __call__(self, params: dict[str, Any]) -> Array:
        """Return it."""
        return self.value


@record
class OfParams:
    """A number that a function makes of the parameters."""

    function: Callable[..., Any]
    what: str = static()
    dtype: Any = static()

    def __call__(self, params: dict[str, Any]) -> Array:
        """Return it, in the system's dtype."""
        value = self.function(params)
        if np.shape(value) != () or given_dtype(value).kind not in "fiu":
            raise ValueError(f"{self.what} must be one real number, its function gave {value!r}")
        return jnp.asarray(value, self.dtype)


def number_of(value: Any, what: str, flow: Flow) -> Constant | OfParams:
    """A number, or a function of the parameters that gives one."""
    if callable(value):
        made = OfParams(callable_tree(value), what, flow.dtype)
        made(flow.params)  # a wrong result fails here
        return made
    if given_dtype(value).kind not in "fiu":
        raise TypeError(f"{what} must be a number or a function of the parameters, got {value!r}")
    number = jnp.asarray(value, flow.dtype)
    if number.shape != () or (is_concrete(number) and not np.isfinite(number)):
        raise ValueError(f"{what} must be one finite number, got {value!r}")
    return Constant(number)


def map_of(field: Any, flow: Flow, x0: Array, names: tuple[str, ...], about: About) -> Map:
    """Map of a flow's parameters, of these equations and words."""
    words = dataclasses.replace(
        about,
        states=tuple(symbol for symbol in about.states if symbol.name in names or symbol.name not in flow.state_names),
        known=(),
        time_unit="1",
        dt=None,
        transient=0.0,
        duration=1000.0,
    )
    made = Map(field, dict(flow.params), x0, names, words)
    jax.eval_shape(lambda system: system(0, system.x0), made)  # functions of wrong shapes fail here
    return made


def require_flow(flow: Any, name: str) -> None:
    """Raise TypeError for what is no flow, or one with noise."""
    if not isinstance(flow, Flow):
        kind = f"the map {flow.about.name}" if isinstance(flow, Map) else type(flow).__name__
        raise TypeError(f"{name} makes a map of a flow, got {kind}")
    if isinstance(flow, SDE):
        raise TypeError(
            f"{name} makes a map of a flow, and noise would make another one of every step of it, got the stochastic "
            f"{flow.about.name}; take its drift alone, system.without_noise(), or look at runs: crossings, trajectory"
        )


def stroboscopic(
    flow: Flow,
    period: Any,
    *,
    n_steps: int,
    method: Method | None = None,
    t0: ArrayLike = 0.0,
    periodic: bool = False,
) -> Map:
    """Map from the state of a flow to its state one period later; its iterate n begins at t0 + n period.

    Parameters
    ----------
    flow
        The flow, most often a driven one. The map keeps parameters, names and start.
    period
        A positive number, time units, or a function of the parameters, so that sweeps may change it:
        `lambda p: 2 * jnp.pi / p["omega"]`. May be traced.
    n_steps
        Steps of the method in a period, static.
    method
        `RK4()` by default.
    t0
        Time at which iterate 0 begins: the phase of the drive at which the flow is looked at. May be traced.
    periodic
        Whether the flow itself repeats with this period. Each iterate then begins at `t0`, and the phase keeps all its
        digits; otherwise it carries the rounding of t0 + n period, in float32 a part in 10^4 of a period after a
        thousand of them.

    Returns
    -------
    Map
        Its exponents are per period: divided by the period they are those of the flow, less the one of time itself.

    Raises
    ------
    TypeError, ValueError
        If `flow` is no flow, the period is no positive number, or `periodic=True` and the flow does not repeat.

    Notes
    -----
    Transforms: jit, vmap, lanes, sweep, grad. Fixed points and periods of the map are those of the motion only if the
    flow repeats with the period.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> strobe = jaxdyn.stroboscopic(jaxdyn.models.duffing(), lambda p: 2 * jnp.pi / p["omega"], n_steps=100)
    >>> run = jaxdyn.maximal_lyapunov(strobe, n_steps=2000)
    >>> round(float(run.exponent / (2 * jnp.pi)), 1)  # that of the flow is 0.157
    0.2
    """
    require_flow(flow, "stroboscopic")
    length = number_of(period, "period", flow)
    value = length(flow.params)
    if is_concrete(value) and not np.asarray(value) > 0:
        raise ValueError(f"period must be positive, got {float(value):g}; it is a time")
    start = jnp.asarray(t0, flow.dtype)
    if is_concrete(start) and not (np.ndim(start) == 0 and np.isfinite(start)):
        raise ValueError(f"t0 must be one finite number, got {t0!r}")
    field = _Stroboscopic(
        Equations.of(flow), method_of(flow, method), length, start, whole_number(n_steps, "n_steps"), bool(periodic)
    )
    if periodic and is_concrete(flow, value, start):
        _require_repetition(flow, float(value), float(start))
    words = dataclasses.replace(flow.about, title=f"{flow.about.title or flow.about.name}, once a period")
    return map_of(field, flow, flow.x0, flow.state_names, words)


def _require_repetition(flow: Flow, period: float, t0: float) -> None:
    """Raise ValueError if the rates at the start differ after a period, at some phases that have nothing special."""
    phases = [t0 + period * (k * 0.6180339887 % 1) for k in range(7)]
    with jax.ensure_compile_time_eval():
        now, later = (np.array([flow(t + shift, flow.x0) for t in phases]) for shift in (0.0, period))
        eps = float(np.finfo(flow.dtype).eps)
        # A phase is known to the rounding of time; a rate may change by some times its size within a radian of it.
        allowed = 1e3 * eps * (1 + abs(t0) + period) * (1 + np.abs(now).max())
    if not np.abs(later - now).max() <= allowed:
        raise ValueError(
            f"{flow.about.name} does not repeat after period={period:g}: its rates at the start differ by "
            f"{np.abs(later - now).max():.3g}; give the period of its drive, or periodic=False"
        )


@record
class _Stroboscopic:
    equations: Equations
    method: Method
    period: Constant | OfParams
    t0: Float[Array, ""]
    n_steps: int = static()
    periodic: bool = static()

    def __call__(self, n: Int[Array, ""], x: Array, params: dict[str, Any]) -> Array:
        period = self.period(params)
        start = self.t0 if self.periodic else self.t0 + jnp.asarray(n).astype(x.dtype) * period
        walk, step = walking(self.equations.at(x, params), self.method, start, period / self.n_steps)
        return repeat(step, walk, self.n_steps).x
