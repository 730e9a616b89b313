"""Stochastic differential equations: a drift, a diffusion, and the seed of the noise as a parameter."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import is_same_in_all_lanes, like, stacked
from jaxdyn._noise import normals
from jaxdyn._record import callable_tree, record, static
from jaxdyn._types import Array, ArrayLike, Float, Int, Scalar, is_concrete, matmul
from jaxdyn.about import About
from jaxdyn.system import Flow, System, flow

__all__ = ["SDE", "Ito", "Stratonovich", "sde"]

SEED = "seed"
"""Name of the parameter that decides the noise."""


@dataclasses.dataclass(frozen=True)
class Ito:
    """Integrals take the integrand at the start of a step: dx = a dt + b dW."""

    def __repr__(self) -> str:
        return "Ito()"


ITO = Ito()


@dataclasses.dataclass(frozen=True)
class Stratonovich:
    """Integrals take the mean of the integrand at both ends of a step: dx = a dt + b o dW; the usual chain rule holds.

    It is the limit of smooth noise whose correlation time goes to zero.
    """

    def __repr__(self) -> str:
        return "Stratonovich()"


@record
class SDE(Flow):
    """Stochastic system dx = field(t, x, params) dt + diffusion(t, x, params) dW; see `sde`.

    As a function it is its drift: jacobian, fixed points and nullclines are those of the drift.
    """

    diffusion: Callable[..., Any] = None  # type: ignore[assignment]
    interpretation: Ito | Stratonovich = static(default=ITO)
    step: Int[Array, ""] | None = None
    """Number of the step under way, counted from time 0; None outside of a run."""
    whole: Float[Array, ""] | None = None
    """Length of the step under way where a method takes a part of it: within it the Wiener processes go straight."""

    __repr__ = System.__repr__  # a dataclass would write its own

    def amplitude(self, t: ArrayLike, x: Array) -> Array:
        """Diffusion b at a point: (dim,), one Wiener process a state, or (dim, m) of m processes."""
        return _as_amplitude(self.diffusion(jnp.asarray(t, x.dtype), x, self.params), x, self)

    @property
    def n_processes(self) -> int:
        """Number m of independent Wiener processes."""
        return jax.eval_shape(lambda s: s.amplitude(s.time(0, 0, 0), s.x0), self).shape[-1]

    def increments(self, t: ArrayLike, dt: Array) -> Float[Array, " m"]:
        """Increments of the Wiener processes in the step that begins at `t`: normal, of variance `dt`.

        They depend on the seed and the number of the step only, counted from time 0. A part of a step has this part of
        the step's, the mean of all paths between its ends.
        """
        scale = jnp.sqrt(dt) if self.whole is None else dt / jnp.sqrt(self.whole)
        return scale * normals(self.params[SEED], self.number(t, dt), self.n_processes, self.dtype)

    def number(self, t: ArrayLike, dt: Array) -> Int[Array, ""]:
        """Number of the step that begins at `t`, counted from time 0: that of the step under way, if there is one."""
        return _number(t, dt) if self.step is None else self.step

    def kick(self, t: ArrayLike, x: Array, dw: Array) -> Array:
        """Displacement b dW by given increments (m,)."""
        b = self.amplitude(t, x)
        return b * dw if b.ndim == 1 else matmul(b, dw)

    def ito_drift(self, t: ArrayLike, x: Array) -> Array:
        """Drift of the same process as an Ito equation."""
        return self(t, x) if isinstance(self.interpretation, Ito) else self(t, x) + self.correction(t, x)

    def stratonovich_drift(self, t: ArrayLike, x: Array) -> Array:
        """Drift of the same process as a Stratonovich equation."""
        return self(t, x) - self.correction(t, x) if isinstance(self.interpretation, Ito) else self(t, x)

    def correction(self, t: ArrayLike, x: Array) -> Array:
        """What an Ito drift has more than a Stratonovich drift: half the sum over processes of (db_j/dx) b_j."""
        if self.is_additive():
            return jnp.zeros_like(x)
        b = self.amplitude(t, x)
        if b.ndim == 1:
            return jnp.diagonal(self._slopes(t, x)) * b / 2
        pushed = [jax.jvp(lambda y, j=j: self.amplitude(t, y)[:, j], (x,), (b[:, j],))[1] for j in range(b.shape[1])]
        return jnp.sum(jnp.stack(pushed), axis=0) / 2

    def noise_divergence(self, t: ArrayLike, x: Array, dt: Array) -> Array:
        """What the noise adds to the growth rate of volumes in a step: (sum tr B_j dW_j) / dt - sum tr B_j^2 / 2.

        B_j is the derivative of the amplitude of process j; the drift's part is the divergence of the Ito drift.
        """
        if self.is_additive():
            return jnp.zeros((), x.dtype)
        dw, slopes = self.increments(t, dt), self._slopes(t, x)
        if slopes.ndim == 2:  # of process j, only the slope of state j by itself is on the diagonal
            traces = jnp.diagonal(slopes)
            squares = traces * traces
        else:
            traces = jnp.trace(slopes, axis1=0, axis2=2)
            squares = jnp.sum(slopes * jnp.transpose(slopes, (2, 1, 0)), axis=(0, 2))
        growth = jnp.sum(traces * dw) / dt - jnp.sum(squares) / 2
        return growth if isinstance(self.interpretation, Ito) else growth + self._divergence_of_correction(t, x)

    def _divergence_of_correction(self, t: ArrayLike, x: Array) -> Array:
        return jnp.trace(jax.jacfwd(lambda y: self.correction(t, y))(x))

    def _slopes(self, t: ArrayLike, x: Array) -> Array:
        """Derivative of the amplitude, the last axis by state."""
        return jax.jacfwd(lambda y: self.amplitude(t, y))(x)

    def is_additive(self) -> bool:
        """Whether the diffusion does not depend on the state, which makes both interpretations equal."""
        states: Any = jax.ShapeDtypeStruct((1, self.dim), self.dtype)
        return is_same_in_all_lanes(lambda x: self.amplitude(self.time(0, 0, 0), x), states)

    def without_noise(self) -> Flow:
        """Flow of the drift alone, without the seed; of a Stratonovich equation its drift as it stands."""
        params = {name: value for name, value in self.params.items() if name != SEED}
        return Flow(self.field, params, self.x0, self.state_names, self.about)

    def during_step(self, t: ArrayLike) -> "SDE":
        """Return the system as it is during the step that begins at `t`: sampled inputs keep their value."""
        held = super().during_step(t)
        hold = getattr(self.diffusion, "during_step", None)
        return held if hold is None else dataclasses.replace(held, diffusion=hold(t, self.params))

    def at_step(self, t0: ArrayLike, dt: Array, i: Array) -> tuple[Array, "SDE"]:
        """Time of step number `i` of a run, and the system during it, which knows its noise by the step's number."""
        t, held = super().at_step(t0, dt, i)
        return t, dataclasses.replace(held, step=_number(t0, dt) + i)


def sde(
    drift: Callable[[Scalar, Array, dict[str, Array]], Any],
    diffusion: Callable[[Scalar, Array, dict[str, Array]], Any],
    params: Mapping[str, Any] | None = None,
    x0: ArrayLike | Sequence[Any] = (),
    *,
    interpretation: Ito | Stratonovich = ITO,
    seed: ArrayLike = 0,
    state_names: Sequence[str] | None = None,
    about: About | None = None,
    dtype: Any = None,
) -> SDE:
    """Make a stochastic system dx = drift dt + diffusion dW from the equations of one trajectory.

    Parameters
    ----------
    drift
        Pure function `(t, x, params) -> a`, one rate per state, as the field of `flow`.
    diffusion
        Pure function `(t, x, params) -> b`, in state units over the square root of time. Shape (dim,), or a tuple of
        `dim` scalars: each state has a Wiener process of its own. Shape (dim, m): m processes, b[i, j] of process j
        on state i. A system of one state may return a scalar.
    params, x0, state_names, about, dtype
        As in `flow`.
    interpretation
        `Ito()` or `Stratonovich()`: what the product b dW means where b depends on the state. Methods convert exactly
        between both.
    seed
        Whole number that decides the noise, a parameter of the system like any other: `with_params(seed=3)`,
        `sweep(..., over={"seed": range(100)})`. Systems with the same seed see the same noise, also at other
        parameters and starts; different seeds give independent noise.

    Returns
    -------
    SDE
        A flow: all analyses take it; what concerns the equations alone is about the drift. `trajectory`,
        `final_state`, `reduce`, `first_passage` and the Lyapunov exponents run it with a stochastic method, by default
        `EulerMaruyama()` for Ito and `methods.StochasticHeun()` for Stratonovich equations.

    Raises
    ------
    TypeError, ValueError
        As `flow` does, for a diffusion of a wrong shape or dtype, an interpretation that is none, a parameter that is
        called seed, or a seed that is no whole number of 32 bits.

    Notes
    -----
    *Noise.* The increments of a step are a function of the seed and the number of the step, counted from time 0 in
    steps of `dt`. They depend neither on chunks, devices or engines (but for rounding) nor on what was computed
    before; a run that goes on at `t0=run.t[-1]` sees the noise that the longer run would have seen. Float32 and float64
    see the same noise up to rounding. Runs of different `dt` do not follow the same path of the Wiener process.

    *Cost.* Conversion between the interpretations, needed where the method and the equation differ and b depends on
    the state, takes `dim` (of (dim, m) noise m) derivatives of b a step.

    *Gradients* with respect to parameters and start are those at fixed noise.

    References
    ----------
    Kloeden & Platen 1992, Numerical Solution of Stochastic Differential Equations, doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import jaxdyn
    >>> system = jaxdyn.sde(lambda t, x, p: -x, lambda t, x, p: p["sigma"] * x, {"sigma": 0.5}, [1.0], seed=1)
    >>> run = jaxdyn.trajectory(system, t1=1.0, dt=0.01)
    >>> again = jaxdyn.trajectory(system.with_params(seed=2), t1=1.0, dt=0.01)
    >>> bool((run.x[1:] != again.x[1:]).all())
    True
    """
    if SEED in dict(params or {}):
        raise ValueError("the parameter 'seed' is the seed of the noise; give it as sde(..., seed=...) or rename yours")
    if not callable(diffusion):
        raise TypeError(f"diffusion must be a function (t, x, params), got {type(diffusion).__name__}")
    if not isinstance(interpretation, Ito | Stratonovich):
        raise TypeError(f"interpretation must be jaxdyn.Ito() or jaxdyn.Stratonovich(), got {interpretation!r}")
    made = flow(drift, dict(params or {}) | {SEED: 0}, x0, state_names=state_names, about=about, dtype=dtype)
    leaves = made.params | {SEED: _as_seed(seed)}
    system = SDE(made.field, leaves, made.x0, made.state_names, made.about, callable_tree(diffusion), interpretation)
    jax.eval_shape(lambda s: s.amplitude(s.time(0, 0, 0), s.x0), system)  # wrong diffusions fail here
    return system


def _as_seed(seed: Any) -> Array:
    is_whole = isinstance(seed, int) or getattr(getattr(seed, "dtype", None), "kind", "") in ("i", "u")
    if isinstance(seed, bool) or np.shape(seed) != () or not is_whole:
        raise TypeError(f"seed must be one whole number, got {seed!r}")
    if is_concrete(seed) and not -(2**31) <= int(seed) < 2**31:  # type: ignore[arg-type]
        raise ValueError(f"seed must fit 32 bits, -2**31 to 2**31 - 1, got {seed}")
    return like(seed, jnp.int32(0), "seed")


def _number(t: ArrayLike, dt: Array) -> Array:
    """Number of the step that begins at `t`."""
    return jnp.round(jnp.asarray(t, dt.dtype) / dt).astype(jnp.int32)


def _as_amplitude(value: Any, x: Array, system: SDE) -> Array:
    name = system.about.name
    if isinstance(value, tuple | list):
        value = [stacked(part, x.dtype) for part in value]
        shapes = {np.shape(part) for part in value}
        if len(shapes) != 1:
            raise ValueError(
                f"{name}: a diffusion that returns a tuple must give equal shapes, a scalar or a row per state, got "
                f"{shapes}"
            )
        value = jnp.stack([_cast(part, x, name) for part in value])
    value = _cast(value, x, name)
    if value.shape == () and x.shape == (1,):
        return value[None]
    if value.ndim not in (1, 2) or value.shape[0] != x.shape[0] or 0 in value.shape:
        raise ValueError(
            f"{name}: diffusion gave shape {value.shape}, state has {x.shape}; return {x.shape} for one Wiener process "
            f"a state, or ({x.shape[0]}, m) for m processes"
        )
    return value


def _cast(value: Any, x: Array, name: str) -> Array:
    if value is None or isinstance(value, str):
        raise TypeError(f"{name}: diffusion gave {value!r}; return an array or one number per state")
    dtype = jnp.result_type(value)
    weak = isinstance(value, int | float) or getattr(value, "weak_type", False)
    if dtype != x.dtype and (dtype.kind == "c" or not weak):
        raise TypeError(
            f"{name}: diffusion gave {dtype}, state is {x.dtype}; keep constants as Python numbers or cast them"
        )
    return jnp.asarray(value, x.dtype)
