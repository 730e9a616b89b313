"""Speed of stochastic ensembles: particles in a double well, 1000 steps of Euler and Maruyama, float32.

`a seed each`: every particle has noise of its own. `one seed`: all feel the same noise. Rivals: `jax.vmap` of jaxdyn's
own measure, scans of whole arrays as users write them (JAX's default generator and `unsafe_rbg`, made for TPUs), a
parallel loop in numba with NumPy's generator, and diffrax with its cheapest noise, `UnsafeBrownianPath`.

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
from rivals.numba_common import compiled, f32, numba

import jaxdyn

N_LANES, N_STEPS, DT = 1 << 18, 1000, 0.01
DIFFRAX_LANES = 1 << 14
"""Particles that diffrax gets, which takes 30 times as long for each."""
jit = functools.partial(jax.jit, compiler_options={"xla_cpu_prefer_vector_width": 512})

Program = Callable[[], Any]


def last(n_steps: int, sigma: Any, seed: Any) -> Any:
    """Position of one particle after so many steps."""
    system = jaxdyn.models.double_well(dtype=jnp.float32).with_params(sigma=sigma, seed=seed)
    return jaxdyn.final_state(system, n_steps=n_steps, dt=DT).x[0]


def of_jaxdyn(batched: Any, n_lanes: int, n_steps: int, *, own: bool) -> Program:
    """Seeds of their own or one for all lanes, by `jaxdyn.lanes` or `jax.vmap`."""
    seeds = jnp.arange(n_lanes, dtype=jnp.uint32) if own else jnp.uint32(1)
    program = jit(batched(functools.partial(last, n_steps), in_axes=(0, 0 if own else None)))
    return functools.partial(program, sigmas(n_lanes), seeds)


def sigmas(n_lanes: int) -> Any:
    """Amplitudes of the noise."""
    return jnp.linspace(0.3, 0.8, n_lanes, dtype=jnp.float32)


def scan_of_all(n_lanes: int, n_steps: int, generator: str | None, *, own: bool) -> Program:
    """One loop of whole arrays; noise of all particles drawn at each step, the shared noise drawn before."""

    @jit
    def run(sigma: Any, key: Any) -> Any:
        def step(x: Any, now: Any) -> Any:
            normal = jax.random.normal(jax.random.fold_in(key, now), x.shape, x.dtype) if own else now
            return x + DT * (x - x**3) + DT**0.5 * sigma * normal, None

        steps = jnp.arange(n_steps) if own else jax.random.normal(key, (n_steps,), jnp.float32)
        return lax.scan(step, jnp.full(n_lanes, -1.0, jnp.float32), steps)[0]

    return functools.partial(run, sigmas(n_lanes), jax.random.key(1, impl=generator))


def of_numba(n_lanes: int, n_steps: int) -> Program:
    """A loop over the steps of each particle, particles in parallel."""
    dt, root = f32(DT), f32(DT**0.5)

    @compiled
    def kernel(sigma: Any, ends: Any) -> None:
        for lane in numba.prange(len(sigma)):
            x = f32(-1.0)
            for _ in range(n_steps):
                x = x + dt * (x - x * x * x) + root * sigma[lane] * f32(np.random.standard_normal())
            ends[lane] = x

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
    return functools.partial(jit(jax.vmap(one)), sigmas(n_lanes), keys)


def contenders(n_lanes: int, n_steps: int) -> dict[str, tuple[Program, int]]:
    """Everybody's program, and how many particles it has."""
    few = min(n_lanes, DIFFRAX_LANES)
    own = {
        "jaxdyn.lanes": (of_jaxdyn(jaxdyn.lanes, n_lanes, n_steps, own=True), n_lanes),
        "jax.vmap": (of_jaxdyn(jax.vmap, n_lanes, n_steps, own=True), n_lanes),
        "scan": (scan_of_all(n_lanes, n_steps, None, own=True), n_lanes),
        "scan, unsafe_rbg": (scan_of_all(n_lanes, n_steps, "unsafe_rbg", own=True), n_lanes),
    }
    if numba is not None:
        own["numba"] = of_numba(n_lanes, n_steps), n_lanes
    try:
        own["diffrax"] = of_diffrax(few, n_steps), few
    except ImportError:
        print("diffrax is not installed")
    shared = {
        "jaxdyn.lanes": (of_jaxdyn(jaxdyn.lanes, n_lanes, n_steps, own=False), n_lanes),
        "jax.vmap": (of_jaxdyn(jax.vmap, n_lanes, n_steps, own=False), n_lanes),
        "scan of noise drawn before": (scan_of_all(n_lanes, n_steps, None, own=False), n_lanes),
    }
    return {f"{name}, a seed each": of for name, of in own.items()} | {
        f"{name}, one seed": of for name, of in shared.items()
    }


def check(ends: dict[str, np.ndarray[Any, Any]]) -> dict[str, dict[str, float]]:
    """Means of x and x^2 of independent particles, in standard errors from jaxdyn's; equal noise gives equal states."""
    for kind in ("a seed each", "one seed"):  # 1e-6 of rounding, which a particle that lingers on the barrier amplifies
        np.testing.assert_allclose(ends[f"jaxdyn.lanes, {kind}"], ends[f"jax.vmap, {kind}"], atol=2e-3)
    first = ends["jaxdyn.lanes, a seed each"]
    found = {name: {f"x^{k}": _apart(x**k, first**k) for k in (1, 2)} for name, x in ends.items() if "each" in name}
    for name, distances in found.items():
        assert max(map(abs, distances.values())) < 5, f"{name}: {distances} standard errors from jaxdyn"
    return found


def _apart(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float((a.mean() - b.mean()) / np.hypot(a.std() / np.sqrt(a.size), b.std() / np.sqrt(b.size)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--smoke", action="store_true", help="few particles and steps, nothing is written")
    options = arguments.parse_args()
    n_lanes, n_steps = (2048, 100) if options.smoke else (N_LANES, N_STEPS)
    field = contenders(n_lanes, n_steps)
    programs = {name: program for name, (program, _) in field.items()}
    work = {name: float(n * n_steps) for name, (_, n) in field.items()}
    found = timing.side_by_side(programs, repetitions=1 if options.smoke else options.repetitions, work=work)
    found["agreement"] = check({name: np.asarray(program(), float) for name, program in programs.items()})
    print(timing.table(found))
    if not options.smoke:
        path = timing.save("bench_noise", {"double well": found})
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
