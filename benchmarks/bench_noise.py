"""Speed of stochastic ensembles: particles in a double well, 1000 steps of Euler and Maruyama, float32.

`a seed each`: every lane draws noise of its own. `one seed`: all lanes feel the same noise, drawn once. Rivals: numba
(the machine's limit: a parallel loop with NumPy's generator), `jax.vmap` of jaxdyn's own measure, a scan that draws the
noise of all lanes at each step, and diffrax with its cheapest noise, `UnsafeBrownianPath`.

    python benchmarks/bench_noise.py [--repetitions 5] [--smoke]
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing
from jax import lax
from rivals.numba_common import f32, numba

import jaxdyn

N_LANES, N_STEPS, DT = 1 << 18, 1000, 0.01
DIFFRAX_LANES = 1 << 14
"""Lanes that diffrax gets: its rate is that of more lanes."""

Program = Callable[[], Any]


def end(n_steps: int, sigma: Any, seed: Any) -> Any:
    """Position of one particle after so many steps."""
    system = jaxdyn.models.double_well(dtype=jnp.float32).with_params(sigma=sigma, seed=seed)
    return jaxdyn.final_state(system, n_steps=n_steps, dt=DT).x[0]


def of_jaxdyn(batched: Any, n_lanes: int, n_steps: int, *, own: bool) -> Program:
    """Seeds of their own or one for all lanes, by `jaxdyn.lanes` or `jax.vmap`."""
    seeds = jnp.arange(n_lanes, dtype=jnp.uint32) if own else jnp.uint32(1)
    program = jax.jit(batched(functools.partial(end, n_steps), in_axes=(0, 0 if own else None)))
    return functools.partial(program, sigmas(n_lanes), seeds)


def sigmas(n_lanes: int) -> Any:
    """Amplitudes of the noise."""
    return jnp.linspace(0.3, 0.8, n_lanes, dtype=jnp.float32)


def scan_of_all(n_lanes: int, n_steps: int) -> Program:
    """One loop of whole arrays, as users write it."""

    @jax.jit
    def run(sigma: Any, key: Any) -> Any:
        def step(x: Any, i: Any) -> Any:
            normal = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
            return x + DT * (x - x**3) + DT**0.5 * sigma * normal, None

        return lax.scan(step, jnp.full(n_lanes, -1.0, jnp.float32), jnp.arange(n_steps))[0]

    return functools.partial(run, sigmas(n_lanes), jax.random.key(1))


def of_numba(n_lanes: int, n_steps: int) -> Program:
    """A loop of each lane, lanes in parallel."""
    dt, root = f32(DT), f32(DT**0.5)

    @numba.njit(parallel=True, fastmath=True, error_model="numpy")
    def kernel(sigma: Any, end: Any) -> None:
        for lane in numba.prange(len(sigma)):
            x = f32(-1.0)
            for _ in range(n_steps):
                x = x + dt * (x - x * x * x) + root * sigma[lane] * f32(np.random.standard_normal())
            end[lane] = x

    sigma, ends = np.asarray(sigmas(n_lanes)), np.empty(n_lanes, f32)

    def run() -> Any:
        kernel(sigma, ends)
        return ends

    return run


def of_diffrax(n_lanes: int, n_steps: int) -> Program:
    """Euler's method of diffrax, which is Euler and Maruyama's for its stochastic terms."""
    import diffrax

    def one(sigma: Any, key: Any) -> Any:
        noise = diffrax.UnsafeBrownianPath(shape=(), key=key)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, x, sigma: x - x**3), diffrax.ControlTerm(lambda t, x, sigma: sigma, noise)
        )
        solution = diffrax.diffeqsolve(
            terms,
            diffrax.Euler(),
            t0=0.0,
            t1=DT * n_steps,
            dt0=DT,
            y0=jnp.float32(-1.0),
            args=sigma,
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.DirectAdjoint(),
            max_steps=n_steps + 2,
            throw=False,
        )
        return solution.ys[0]  # type: ignore[index]

    keys = jax.random.split(jax.random.key(1), n_lanes)
    return functools.partial(jax.jit(jax.vmap(one)), sigmas(n_lanes), keys)


def contenders(n_lanes: int, n_steps: int) -> tuple[dict[str, Program], dict[str, int]]:
    """Everybody, with the lanes each gets."""
    field = {
        "jaxdyn.lanes, a seed each": of_jaxdyn(jaxdyn.lanes, n_lanes, n_steps, own=True),
        "jax.vmap, a seed each": of_jaxdyn(jax.vmap, n_lanes, n_steps, own=True),
        "scan of all lanes": scan_of_all(n_lanes, n_steps),
        "jaxdyn.lanes, one seed": of_jaxdyn(jaxdyn.lanes, n_lanes, n_steps, own=False),
        "jax.vmap, one seed": of_jaxdyn(jax.vmap, n_lanes, n_steps, own=False),
    }
    lanes = dict.fromkeys(field, n_lanes)
    if numba is not None:
        field["numba"], lanes["numba"] = of_numba(n_lanes, n_steps), n_lanes
    few = min(n_lanes, DIFFRAX_LANES)
    field["diffrax"], lanes["diffrax"] = of_diffrax(few, n_steps), few
    return field, lanes


def check(field: dict[str, Program]) -> dict[str, float]:
    """Mean square of the positions, in standard errors from that of `jaxdyn.lanes`; one seed equals vmap's states."""
    squares = {name: np.asarray(run(), float) ** 2 for name, run in field.items() if "one seed" not in name}
    first, *_ = squares.values()
    found = {}
    for name, of in squares.items():
        error = np.hypot(first.std() / np.sqrt(first.size), of.std() / np.sqrt(of.size))
        found[name] = float((of.mean() - first.mean()) / error)
        assert abs(found[name]) < 5, f"{name}: mean square {of.mean():.4f}, jaxdyn's {first.mean():.4f}"
    mine, plain = (np.asarray(field[f"{who}, one seed"]()) for who in ("jaxdyn.lanes", "jax.vmap"))
    np.testing.assert_allclose(mine, plain, atol=1e-4)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--smoke", action="store_true", help="few lanes and steps, nothing is written")
    options = arguments.parse_args()
    n_lanes, n_steps = (2048, 100) if options.smoke else (N_LANES, N_STEPS)
    field, lanes = contenders(n_lanes, n_steps)
    work = {name: float(n * n_steps) for name, n in lanes.items()}
    agreement = check(field)
    found = timing.side_by_side(field, repetitions=1 if options.smoke else options.repetitions, work=work)
    found |= {"agreement": agreement, "lanes": lanes, "steps": n_steps}
    print(timing.table(found))
    if not options.smoke:
        path = timing.save("bench_noise", {"double well": found})
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
