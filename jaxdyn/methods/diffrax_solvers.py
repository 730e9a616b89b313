"""Solvers of diffrax as methods. Nothing here imports diffrax before a solver of it is there."""

import contextlib
import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike
from jaxdyn.methods.controlled import require_tolerances
from jaxdyn.methods.method import Rhs, Step

__all__ = ["Diffrax", "adopted"]


@record
class Diffrax:
    """A solver of diffrax as a method (extra `diffrax`); a bare solver as `method=` is taken as `Diffrax(solver)`.

    Parameters
    ----------
    solver
        A solver of ordinary differential equations, such as `diffrax.Kvaerno5()`; its numbers are static.
    rtol
        Relative tolerance of diffrax's step size controller and of implicit stages; default 1e-6, in float32 1e-4. It
        may be traced and differ between lanes. Solvers without error estimate take none: they keep to the step `dt`.
    atol
        Absolute tolerance; default `rtol / 1000`.
    max_steps
        Most steps in one interval `dt`, static; more end the lane with STEP_LIMIT.
    controller
        A step size controller of diffrax instead of tolerances; `diffrax.ConstantStepSize()` keeps to the step `dt`.
    adjoint
        How derivatives are taken; default `diffrax.ForwardMode()`, which Lyapunov exponents and other analyses need.
        For reverse mode (`jax.grad`) give `diffrax.RecursiveCheckpointAdjoint()`.

    Raises
    ------
    TypeError, ValueError
        If `solver` is none of diffrax's, or tolerances do not fit it.

    Notes
    -----
    Each interval `dt` is one `diffrax.diffeqsolve`; the length of the last step is where the next interval begins, all
    else of the controller's memory starts anew. A solve that fails leaves nan and STEP_LIMIT.

    Transforms: jit, vmap, lanes (through vmap, at its speed), and derivatives by `adjoint`.

    References
    ----------
    Kidger 2021, On Neural Differential Equations, PhD thesis, University of Oxford.

    Examples
    --------
    >>> import diffrax, jaxdyn
    >>> stiff = jaxdyn.models.van_der_pol(mu=50.0)
    >>> end = jaxdyn.final_state(stiff, t1=10.0, method=jaxdyn.methods.Diffrax(diffrax.Kvaerno3(), rtol=1e-4))
    >>> int(end.status)
    0
    """

    solver: Any = static()
    rtol: ArrayLike | None = None
    atol: ArrayLike | None = None
    max_steps: int = static(default=100_000)
    controller: Any = static(default=None)
    adjoint: Any = static(default=None)

    def __post_init__(self) -> None:
        if not _is_solver(self.solver):
            raise TypeError(f"expected a solver of diffrax such as diffrax.Kvaerno5(), got {self.solver!r}")
        require_tolerances(self)
        given = self.rtol is not None
        if given and self.controller is not None:
            raise TypeError("give either rtol or controller: a controller of diffrax has its own tolerances")
        if given and not self.adaptive:
            raise TypeError(f"{self.solver!r} does not estimate its error and takes no rtol; give dt alone")
        for name in ("solver", "controller", "adjoint"):
            _require_static(name, getattr(self, name))

    @property
    def adaptive(self) -> bool:
        """Whether the error decides the steps."""
        diffrax = _library()
        if self.controller is not None:
            return isinstance(self.controller, diffrax.AbstractAdaptiveStepSizeController)
        return isinstance(self.solver, diffrax.AbstractAdaptiveSolver)

    def init(self, rhs: Rhs, t: Array, x: Array) -> Array | None:
        """Length of the first step, or nothing where steps are equal."""
        if not self.adaptive:
            return None
        t, x, rhs = lax.stop_gradient((t, x, rhs))
        with _lenient():
            terms, error_order = _terms(), self.solver.error_order(_terms())
            controller = self._controller(x).wrap(1)
            end, _ = controller.init(terms, t, t, x, None, rhs, self.solver.func, error_order)
            return lax.stop_gradient(end - t).astype(x.dtype)

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: Array | None) -> Step:
        """Advance `x` from `t` to `t + dt` in one call of diffrax."""
        diffrax = _library()
        fine = jnp.all(jnp.isfinite(x))
        end = jnp.where(fine, t + dt, t)  # of a state that is lost nothing is tried
        with _lenient():
            solution = diffrax.diffeqsolve(
                _terms(),
                self.solver,
                t,
                end,
                None,
                x,
                rhs,
                saveat=diffrax.SaveAt(t1=True, controller_state=True),
                stepsize_controller=_paced(self._controller(x), carry),
                adjoint=diffrax.ForwardMode() if self.adjoint is None else self.adjoint,
                max_steps=self.max_steps,
                throw=False,
            )
            reached = diffrax.is_successful(solution.result)
            state: Any = solution.controller_state
            ys: Any = solution.ys
        pace = None if carry is None else lax.stop_gradient(state[1]).astype(x.dtype)
        return Step(jnp.where(reached, ys[0].astype(x.dtype), jnp.nan), None, pace, fine & ~reached)

    def _controller(self, x: Array) -> Any:
        diffrax = _library()
        if self.controller is not None:
            return self.controller
        if not self.adaptive:
            return diffrax.ConstantStepSize()
        rtol = self.rtol
        if rtol is None:
            rtol = 1e-6 if x.dtype == jnp.float64 else 1e-4
        rtol = jnp.asarray(rtol, x.dtype)
        atol = 1e-3 * rtol if self.atol is None else jnp.asarray(self.atol, x.dtype)
        return diffrax.PIDController(rtol=rtol, atol=atol)


def adopted(method: Any) -> Any:
    """A solver of diffrax as a method of this package; anything else as it is."""
    return Diffrax(method) if _is_solver(method) else method


def _library() -> Any:
    import diffrax

    return diffrax


def _is_solver(value: Any) -> bool:
    diffrax: Any = sys.modules.get("diffrax")
    return diffrax is not None and isinstance(value, diffrax.AbstractSolver)


def _require_static(name: str, value: Any) -> None:
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{name} of Diffrax holds arrays; give it Python numbers, and tolerances as rtol, atol"
        ) from None


def _lenient() -> Any:
    """Promotion of dtypes and ranks as diffrax expects it, whatever the caller has set."""
    stack = contextlib.ExitStack()
    stack.enter_context(jax.numpy_dtype_promotion("standard"))
    stack.enter_context(jax.numpy_rank_promotion("allow"))
    return stack


@functools.cache
def _terms() -> Any:
    return _library().ODETerm(_rate)


def _rate(t: Array, x: Array, rhs: Rhs) -> Array:
    return rhs(t, x)


def _paced(controller: Any, first: Array | None) -> Any:
    """The controller with a first step of this length, or of the interval's; it tells how long the next one is."""
    adaptive, constant = _kinds()
    if first is None:
        return constant(controller)
    return adaptive(controller.rtol, controller.atol, controller.norm, controller, first)


@functools.cache
def _kinds() -> tuple[Any, Any]:
    """Step size controllers around others; their state is that of the other and the length of the next step.

    Without them diffrax would choose every interval's first step anew, or check one given with a callback to the host.
    """
    diffrax = _library()

    class Paced(diffrax.AbstractAdaptiveStepSizeController):
        rtol: Any
        atol: Any
        norm: Any
        inner: Any
        first: Any

        def wrap(self, direction: Any) -> Any:
            return Paced(self.rtol, self.atol, self.norm, self.inner.wrap(direction), self.first)

        def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, *rest: Any) -> Any:
            end, state = self.inner.init(terms, t0, t1, y0, self.first, *rest)
            return end, (state, self.first)

        def adapt_step_size(self, t0: Any, t1: Any, *rest: Any) -> Any:
            state, h = rest[-1]
            taken, start, end, jump, state, result = self.inner.adapt_step_size(t0, t1, *rest[:-1], state)
            proposed = lax.stop_gradient(end - start).astype(h.dtype)
            # A last step that was cut short must not make the next one short.
            cut = taken & (lax.stop_gradient(t1 - t0) < h)
            stalled = ~taken & (end <= start)
            result = diffrax.RESULTS.where(stalled, diffrax.RESULTS.dt_min_reached, result)
            return taken, start, end, jump, (state, jnp.where(cut, jnp.maximum(h, proposed), proposed)), result

    class Constant(diffrax.AbstractStepSizeController):
        inner: Any

        def wrap(self, direction: Any) -> Any:
            return Constant(self.inner.wrap(direction))

        def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, *rest: Any) -> Any:
            return self.inner.init(terms, t0, t1, y0, t1 - t0, *rest)

        def adapt_step_size(self, *arguments: Any) -> Any:
            return self.inner.adapt_step_size(*arguments)

    return Paced, Constant
