"""Systems of jaxdyn in the form that lyapax and JiTCODE take, from the same equations."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

import jaxdyn


def lyapax_problem(system: jaxdyn.Flow, dt: float) -> Any:
    """A flow as lyapax's problem, with its own classical Runge-Kutta steps; imports lyapax."""
    import lyapax

    return lyapax.ode_problem(lambda x: system(0.0, x), system.x0, dt, integrator="rk4")


def lyapax_step(system: jaxdyn.Map) -> Any:
    """A map as lyapax's step."""

    def step(x: jax.Array) -> jax.Array:
        return system(0, x)

    return step


def symbolic_rates(system: jaxdyn.Flow, state: Sequence[Any], **symbols: Any) -> list[Any]:
    """The field in symbols of the state and, in place of their numbers, of some parameters.

    For autonomous fields of Python's own arithmetic, as polynomials are: functions of JAX take no symbols.
    """
    numbers = {name: float(value) for name, value in system.params.items()}
    return list(system.field(0.0, list(state), numbers | symbols))


def jitcode_integrator(rates: Sequence[Any], *, parameters: Sequence[Any] = (), n_lyap: int | None = None) -> Any:
    """Rates in symbols as compiled integrator of JiTCODE; with `n_lyap`, for so many Lyapunov exponents.

    Parameters are set anew by `set_parameters` without another compilation. Imports jitcode; what the compiler says is
    in the exception.
    """
    import jitcode

    kind = jitcode.jitcode if n_lyap is None else jitcode.jitcode_lyap
    options: dict[str, Any] = {} if n_lyap is None else {"n_lyap": n_lyap}
    # The build reads a pyproject.toml that it finds in the current folder.
    with quiet(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        integrator = kind(list(rates), control_pars=list(parameters), verbose=False, **options)
        integrator.compile_C()
    return integrator


def jitcode_growth(integrator: Any, x0: Any, *, interval: float, n_transient: int, n_intervals: int) -> np.ndarray:
    """Local exponents of each interval after the transient, (intervals, n_lyap); orthonormalized after each of them."""
    with quiet():
        integrator.set_initial_value(np.asarray(x0, float), 0.0)
        growth = [integrator.integrate((i + 1) * interval)[1] for i in range(n_transient + n_intervals)]
    return np.asarray(growth[n_transient:])


@contextlib.contextmanager
def released(integrator: Any) -> Iterator[Any]:
    """The integrator, whose folder of compiled code is removed at the end: left to chance, its removal warns."""
    try:
        yield integrator
    finally:
        integrator.__del__()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without JiTCODE's messages, of which there are many."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
