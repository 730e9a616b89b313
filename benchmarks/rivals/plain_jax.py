"""Plain `jax.vmap` and `lax.scan`, as users write them, and compiled for wide vectors."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contest import Program
from ensembles import Ensemble, Values
from jax import lax

from rivals.tableaus import TSIT5

WIDE = {"xla_cpu_prefer_vector_width": 512}

Step = Callable[[jax.Array, dict[str, Any]], jax.Array]


def one_step(problem: Ensemble) -> Step:
    """One step of one lane, x from x and the parameters."""
    rate, dt = problem.rate, problem.dt
    if dt is None:
        return rate

    def rk4(x: jax.Array, p: dict[str, Any]) -> jax.Array:
        k1 = rate(x, p)
        k2 = rate(x + dt / 2 * k1, p)
        k3 = rate(x + dt / 2 * k2, p)
        k4 = rate(x + dt * k3, p)
        return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def tsit5(x: jax.Array, p: dict[str, Any]) -> jax.Array:
        y, slopes = x, []
        for row in TSIT5:
            slopes.append(rate(y, p))
            y = x + dt * sum(c * k for c, k in zip(row, slopes, strict=True))  # type: ignore[operator]
        return y

    return {"RK4": rk4, "Tsit5": tsit5}[problem.method or "RK4"]


def end_states(problem: Ensemble, values: Values, n_steps: int, *, wide: bool = False) -> dict[str, Program]:
    """Last states (lanes, dim) of the whole batch at once; `wide`: 512-bit vectors."""
    step = one_step(problem)

    def one(p: dict[str, jax.Array]) -> jax.Array:
        return lax.scan(lambda x, _: (step(x, p), None), jnp.asarray(problem.x0), None, length=n_steps)[0]

    options = WIDE if wide and jax.default_backend() == "cpu" else {}
    program = jax.jit(jax.vmap(one), compiler_options=options)
    return {"512-bit vectors" if wide else "as written": functools.partial(program, _on_device(values))}


def spectra(
    problem: Ensemble,
    values: Values,
    n_transient: int,
    n_steps: int,
    frame: np.ndarray[Any, Any],
    *,
    orthonormal: str = "qr",
    qr_every: int = 1,
) -> dict[str, Program]:
    """Lyapunov exponents (lanes, k), descending, by `jnp.linalg.qr` or by an unrolled Gram-Schmidt ("unrolled")."""
    step = one_step(problem)
    decompose = {"qr": _householder, "unrolled": _gram_schmidt}[orthonormal]

    def one(p: dict[str, jax.Array]) -> jax.Array:
        def advance(carry: Any, _: None) -> Any:
            x, vectors = carry
            x, push = jax.linearize(lambda y: step(y, p), x)
            return (x, jax.vmap(push, in_axes=1, out_axes=1)(vectors)), None

        def interval(carry: Any, _: None) -> Any:
            x, vectors, total = carry
            (x, vectors), _ = lax.scan(advance, (x, vectors), None, length=qr_every)
            vectors, r = decompose(vectors)
            return (x, vectors, total + jnp.log(jnp.abs(r))), None

        nothing = jnp.zeros(frame.shape[0], jnp.float32)
        carry = (jnp.asarray(problem.x0), jnp.asarray(frame.T, jnp.float32), nothing)
        (x, vectors, _), _ = lax.scan(interval, carry, None, length=n_transient // qr_every)
        (_, _, total), _ = lax.scan(interval, (x, vectors, nothing), None, length=n_steps // qr_every)
        return total / (n_steps * (problem.dt or 1))

    program = functools.partial(jax.jit(jax.vmap(one)), _on_device(values))
    wide = functools.partial(jax.jit(jax.vmap(one), compiler_options=WIDE), _on_device(values))
    return {"as written": program} | ({"512-bit vectors": wide} if jax.default_backend() == "cpu" else {})


def _householder(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    q, r = jnp.linalg.qr(vectors)
    return q, jnp.diagonal(r)


def _gram_schmidt(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    columns: list[jax.Array] = []
    lengths = []
    for v in vectors.T:
        for q in columns:
            v = v - jnp.sum(q * v) * q
        lengths.append(jnp.sqrt(jnp.sum(v * v)))
        columns.append(v / lengths[-1])
    return jnp.stack(columns, axis=1), jnp.stack(lengths)


def _on_device(values: Values) -> dict[str, jax.Array]:
    return {name: jnp.asarray(array) for name, array in values.items()}
