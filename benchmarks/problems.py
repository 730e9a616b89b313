"""Problems of the benchmarks: the same equations, steps and dtype for every contender."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxdyn

# 1/8 is exact in binary, so that 1000 steps end at t = 125 for every way of adding up time in float32.
DT, N_STEPS = 0.125, 1000
CURRENTS, SLOPES = np.linspace(0, 2.5, 512, dtype=np.float32), np.linspace(0.5, 1.0, 256, dtype=np.float32)
N_LANES = CURRENTS.size * SLOPES.size
GRID = {"I": CURRENTS, "b": SLOPES}


def neuron() -> jaxdyn.Flow:
    """FitzHugh-Nagumo neuron in float32."""
    return jaxdyn.models.fitzhugh_nagumo(dtype=jnp.float32)


def lanes() -> tuple[jax.Array, jax.Array]:
    """Parameters I and b of every lane, in the order of the sweep."""
    I, b = np.meshgrid(CURRENTS, SLOPES, indexing="ij")
    return jnp.asarray(I.ravel()), jnp.asarray(b.ravel())


def rate(x: jax.Array, I: jax.Array, b: jax.Array) -> jax.Array:
    """Equations as a user of any JAX library writes them."""
    v, w = x[0], x[1]
    return jnp.stack([v - v**3 / 3 - w + I, (v + 0.7 - b * w) / 12.5])


def start() -> jax.Array:
    """Start of every lane, the model's own."""
    return jnp.array([-1.0, 1.0], jnp.float32)


def hand_written_rk4(n_steps: int = N_STEPS) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Plain jit(vmap(scan)) of the classical Runge-Kutta method."""

    def one(I: jax.Array, b: jax.Array) -> jax.Array:
        def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            k1 = rate(x, I, b)
            k2 = rate(x + DT / 2 * k1, I, b)
            k3 = rate(x + DT / 2 * k2, I, b)
            k4 = rate(x + DT * k3, I, b)
            return x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return lax.scan(step, start(), None, length=n_steps)[0]

    return jax.jit(jax.vmap(one))


def diffrax_tsit5(adjoint: Any, *, chunk: int | None = None) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Fixed steps of Tsit5 by diffrax; with `chunk`, that many lanes at a time."""
    import diffrax

    term = diffrax.ODETerm(lambda t, x, args: rate(x, *args))

    def one(I: jax.Array, b: jax.Array) -> jax.Array:
        solution = diffrax.diffeqsolve(
            term,
            diffrax.Tsit5(),
            t0=0.0,
            t1=DT * N_STEPS,
            dt0=DT,
            y0=start(),
            args=(I, b),
            stepsize_controller=diffrax.ConstantStepSize(),
            saveat=diffrax.SaveAt(t1=True),
            adjoint=adjoint,
            max_steps=N_STEPS,
            throw=False,
        )
        return solution.ys[0]  # type: ignore[index]

    if chunk is None:
        return jax.jit(jax.vmap(one))
    return jax.jit(lambda I, b: lax.map(lambda pair: one(*pair), (I, b), batch_size=chunk))
