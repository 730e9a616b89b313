"""Speed of a parameter sweep: jaxdyn against diffrax and against a loop written by hand.

131 072 FitzHugh-Nagumo neurons, 1000 fixed steps each, float32, only the final state; then the throughput of full
Lyapunov spectra over the same plane.

    python benchmarks/bench_sweep.py [--repetitions 5]
"""

import argparse
import functools
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import problems
import timing

import jaxdyn


def swept(method: Any) -> Any:
    """Final states of the whole plane by `jaxdyn.sweep`, labelled and in host memory."""
    measure = functools.partial(jaxdyn.final_state, dt=problems.DT, n_steps=problems.N_STEPS, method=method)
    return jaxdyn.sweep(measure, problems.neuron(), problems.GRID, progress=False).x.values


def final_states(repetitions: int) -> dict[str, Any]:
    """Times of everybody, and how far their final states lie apart."""
    plane = problems.lanes()
    jnp.zeros(1).block_until_ready()  # starting JAX is nobody's first call
    programs = {
        "hand-written vmap(scan) RK4": problems.hand_written_rk4(),
        "diffrax Tsit5, DirectAdjoint": problems.diffrax_tsit5(diffrax.DirectAdjoint()),
        "diffrax Tsit5, ForwardMode": problems.diffrax_tsit5(diffrax.ForwardMode()),
        "diffrax Tsit5, Recursive": problems.diffrax_tsit5(diffrax.RecursiveCheckpointAdjoint()),
        "diffrax Tsit5, ForwardMode, 4096": problems.diffrax_tsit5(diffrax.ForwardMode(), chunk=4096),
    }
    contenders = {
        "jaxdyn.sweep RK4": functools.partial(swept, jaxdyn.RK4()),
        "jaxdyn.sweep Tsit5": functools.partial(swept, jaxdyn.Tsit5()),
        **{name: functools.partial(program, *plane) for name, program in programs.items()},
    }
    result = timing.side_by_side(contenders, repetitions=repetitions, work=problems.N_LANES * problems.N_STEPS)
    states = {name: np.asarray(run()).reshape(-1, 2) for name, run in contenders.items()}
    yardstick = states["hand-written vmap(scan) RK4"]
    for name, row in result["contenders"].items():
        row["median_distance_from_hand_written"] = float(np.median(np.abs(states[name] - yardstick)))
    diffrax_best = min(row["warm_min_s"] for name, row in result["contenders"].items() if name.startswith("diffrax"))
    result["times_faster_than_diffrax_tsit5"] = {
        method: diffrax_best / result["contenders"][f"jaxdyn.sweep {method}"]["warm_min_s"]
        for method in ("RK4", "Tsit5")
    }
    return result


def spectra(repetitions: int) -> dict[str, Any]:
    """Times of full Lyapunov spectra over the plane, orthonormalised every step and every fifth step."""

    def swept_spectra(qr_every: int) -> Any:
        counts = {"n_steps": 900, "n_transient": 100, "qr_every": qr_every}
        measure = functools.partial(jaxdyn.lyapunov_spectrum, dt=problems.DT, **counts)
        return jaxdyn.sweep(measure, problems.neuron(), problems.GRID, progress=False).exponents.values

    contenders = {f"jaxdyn Lyapunov, QR every {k}": functools.partial(swept_spectra, k) for k in (1, 5)}
    return timing.side_by_side(contenders, repetitions=repetitions, work=problems.N_LANES * 1000)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    repetitions = arguments.parse_args().repetitions
    results = {"final states": final_states(repetitions), "Lyapunov spectra": spectra(repetitions)}
    for name, result in results.items():
        print(f"{name}: {problems.N_LANES} lanes x {problems.N_STEPS} steps, load {result['load_average']}")
        print(timing.table(result))
    for method, factor in results["final states"]["times_faster_than_diffrax_tsit5"].items():
        print(f"jaxdyn.sweep {method}: {factor:.1f} x the speed of diffrax Tsit5 at its best setting")
    print(f"written to {timing.save('bench_sweep', results).relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
