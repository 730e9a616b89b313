"""No model may be slower through `jaxdyn.lanes` than under `jax.vmap`: last states and Lyapunov spectra of every model.

Both are compiled with the same options and called in turn; `--lanes` of them, parameters at their defaults, the start
moved by a little from lane to lane. Compile times are those of the first call.

    python benchmarks/bench_models.py [--repetitions 3] [--models lorenz63 ...] [--smoke]
"""

import argparse
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing

import jaxdyn

N_LANES = 4096
SIZES: dict[str, dict[str, Any]] = {
    "kuramoto": {"n": 10},
    "lorenz96": {"n": 10},
    "random_rnn": {"n": 100},
    "random_rnn_map": {"n": 100},
}
"""Sizes of models that come in any size."""
STATES, SPECTRUM = "final_state", "lyapunov_spectrum"
STEPS = {STATES: 1000, SPECTRUM: 200}
BRIEF, MANY = 0.01, 50
"""Seconds of a call below which calls are repeated so many times as often: what disturbs one is as long as itself."""
FEW = 256
"""Lanes of systems of more than twenty states."""


def measures(system: Any, scale: float) -> dict[str, Any]:
    """What is measured of a system, by name."""
    step = {} if system.discrete else {"dt": system.about.dt}
    n_steps = {name: max(32, int(n * scale)) for name, n in STEPS.items()}

    def spectrum(system: Any) -> Any:
        return jaxdyn.lyapunov_spectrum(system, n_steps=n_steps[SPECTRUM], n_exponents=min(8, system.dim), **step)

    return {
        STATES: lambda s: jaxdyn.final_state(s, n_steps=n_steps[STATES], **step).x,
        SPECTRUM: lambda s: spectrum(s).exponents,
    }


def compared(name: str, *, repetitions: int, scale: float) -> dict[str, Any]:
    """Times of one model: lanes, and vmap with the options that lanes compile with."""
    system = jaxdyn.models.REGISTRY[name](**SIZES.get(name, {}), dtype=jnp.float32)
    n_lanes = max(16, int((N_LANES if system.dim <= 20 else FEW) * scale))
    starts = system.x0 + 1e-3 * np.random.default_rng(0).standard_normal((n_lanes, system.dim)).astype(np.float32)
    result = {}
    for measure, function in measures(system, scale).items():

        def one(x0: Any, function: Any = function) -> Any:
            return function(system.with_state(x0))

        plain = jax.jit(jax.vmap(one), compiler_options={"xla_cpu_prefer_vector_width": 512})
        programs = {
            "lanes": functools.partial(jaxdyn.lanes(one), starts),
            "lanes, one core": functools.partial(jaxdyn.lanes(one, engine=_alone(one, starts)), starts),
            "vmap": functools.partial(plain, starts),
        }
        timed = functools.partial(timing.side_by_side, programs, work=n_lanes * STEPS[measure] * scale)
        result[measure] = timed(repetitions=repetitions)
        rows = result[measure]["contenders"]
        if rows["vmap"]["warm_min_s"] < BRIEF:
            first = {who: row["first_call_s"] for who, row in rows.items()}
            result[measure] = timed(repetitions=MANY * repetitions)
            rows = result[measure]["contenders"]
            for who, row in rows.items():
                row["first_call_s"] = first[who]
        result[measure]["engine"] = str(jaxdyn.explain(one, starts).engine)
        result[measure]["lanes_over_vmap"] = rows["lanes"]["warm_min_s"] / rows["vmap"]["warm_min_s"]
        result[measure]["one_core_over_vmap"] = rows["lanes, one core"]["warm_min_s"] / rows["vmap"]["warm_min_s"]
    return {"dim": system.dim, "lanes": n_lanes, "measures": result}


def _alone(one: Any, starts: Any) -> Any:
    """The engine that lanes choose, on one core; `vmap` uses the cores that XLA gives it."""
    engine = jaxdyn.explain(one, starts).engine
    return jaxdyn.Xla(components=engine.components, threads=1) if isinstance(engine, jaxdyn.Xla) else engine


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=3)
    arguments.add_argument("--models", nargs="+", choices=jaxdyn.models.REGISTRY, default=list(jaxdyn.models.REGISTRY))
    arguments.add_argument("--smoke", action="store_true", help="few lanes and steps, nothing is written")
    options = arguments.parse_args()
    results = {}
    print(
        f"{'model':24}{'dim':>4} {'measure':18}{'engine':38}{'first s':>8}{'vmap':>7}{'lanes/vmap':>12}{'one core':>10}"
    )
    for name in options.models:
        scale = 1 / 64 if options.smoke else 1.0
        results[name] = compared(name, repetitions=1 if options.smoke else options.repetitions, scale=scale)
        for measure, row in results[name]["measures"].items():
            first = [row["contenders"][n]["first_call_s"] for n in ("lanes", "vmap")]
            print(
                f"{name:24}{results[name]['dim']:4} {measure:18}{row['engine']:38.37}{first[0]:8.2f}{first[1]:7.2f}"
                f"{row['lanes_over_vmap']:12.2f}{row['one_core_over_vmap']:10.2f}",
                flush=True,
            )
    ratios = [row["lanes_over_vmap"] for model in results.values() for row in model["measures"].values()]
    print(f"lanes/vmap: geometric mean {math.exp(np.mean(np.log(ratios))):.3f}, worst {max(ratios):.2f}")
    if not options.smoke:
        path = timing.save(timing.named("bench_models", options.models, jaxdyn.models.REGISTRY), results)
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
