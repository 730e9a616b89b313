"""diffrax: fixed steps of Tsit5 under `jax.vmap`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from contest import Program, Unavailable
from ensembles import Ensemble, Values
from jax import lax


def end_states(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """Last states (lanes, dim): two adjoints, the whole batch or 4096 lanes at a time."""
    try:
        import diffrax
    except ImportError:
        raise Unavailable("diffrax is not installed") from None
    if problem.dt is None:
        raise Unavailable("diffrax integrates flows, not maps")
    span, dt = problem.dt * n_steps, problem.dt
    term = diffrax.ODETerm(lambda t, x, p: problem.rate(x, p))

    def one(adjoint: Any, p: dict[str, jax.Array]) -> jax.Array:
        solution = diffrax.diffeqsolve(
            term,
            diffrax.Tsit5(),
            t0=0.0,
            t1=span,
            dt0=dt,
            y0=jnp.asarray(problem.x0),
            args=p,
            stepsize_controller=diffrax.ConstantStepSize(),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=adjoint,
            # float32 adds up time: where dt is not exact in binary, the last step may need a short one after it.
            max_steps=n_steps + 2,
            throw=False,
        )
        return solution.ys[0]  # type: ignore[index]

    batch = {name: jnp.asarray(array) for name, array in values.items()}
    programs: dict[str, Program] = {}
    for name, adjoint in (("ForwardMode", diffrax.ForwardMode()), ("DirectAdjoint", diffrax.DirectAdjoint())):
        whole = jax.jit(jax.vmap(functools.partial(one, adjoint)))
        parts = jax.jit(functools.partial(_in_parts, functools.partial(one, adjoint)))
        programs[f"{name}, whole batch"] = functools.partial(whole, batch)
        programs[f"{name}, 4096 lanes"] = functools.partial(parts, batch)
    return programs


def _in_parts(one: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return lax.map(one, batch, batch_size=4096)
