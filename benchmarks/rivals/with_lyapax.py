"""lyapax: Lyapunov spectra of a batch of parameters, compiled once a chunk."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from contest import Program, Unavailable
from ensembles import Ensemble, Values, size

from rivals.plain_jax import one_step

CHUNKS = (1024, 256, 64, 4096)
"""Lanes at a time."""


def spectra(
    problem: Ensemble, values: Values, n_transient: int, n_steps: int, *, k: int | None = None, qr_every: int = 1
) -> dict[str, Program]:
    """Lyapunov exponents (lanes, k)."""
    try:
        import lyapax.sweep
    except ImportError:
        raise Unavailable("lyapax is not installed") from None
    dt = problem.dt or 1.0

    @jax.jit
    def one_chunk(p: dict[str, jax.Array]) -> jax.Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it advises float64; all contenders here compute in float32
            return lyapax.sweep.sweep_lyapunov_spectrum(
                one_step(problem),
                jnp.asarray(problem.x0),
                p,
                dt=dt,
                n_steps=n_steps,
                k=k,
                renorm_every=qr_every,
                t_transient=n_transient * dt,
            ).exponents

    def run(chunk: int) -> Any:
        batch = {name: jnp.asarray(array) for name, array in values.items()}
        starts = range(0, size(values), chunk)
        return jnp.concatenate([one_chunk({n: a[i : i + chunk] for n, a in batch.items()}) for i in starts])

    chunks = {min(chunk, size(values)): None for chunk in CHUNKS}
    return {f"chunks of {chunk}": functools.partial(run, chunk) for chunk in chunks}
