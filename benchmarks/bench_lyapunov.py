"""Speed of Lyapunov exponents: the Lorenz system over rho, and random networks of 500 neurons over their gain.

Lorenz, 20 480 lanes: full spectrum, RK4, orthonormalized every step, against hand-written C and numba (the machine's
limit), plain vmap with `jnp.linalg.qr` and with an unrolled Gram-Schmidt, lyapax, JiTCODE. Lorenz, 4096 points: the
same sweep, five times as long, against the libraries made for it: lyapax, JiTCODE, pynamicalsys. Networks: the largest
exponent and a few, against the matrix products alone that every method of tangent vectors has to do.

    python benchmarks/bench_lyapunov.py [--repetitions 5] [--problems spectrum points largest few] [--smoke]
"""

import argparse
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing
from contest import Contender, Program, Task, contest, table
from ensembles import LORENZ, Ensemble, Values
from networks import networks
from rivals import hand_numba, native, plain_jax, with_jitcode, with_lyapax, with_pynamicalsys
from spectra import exponents, jaxdyn_double, jaxdyn_lanes, jaxdyn_sweep, on_host, transient

SPECTRUM = Ensemble(
    **{name: getattr(LORENZ, name) for name in ("system", "rate", "components", "kernel", "shared", "n_steps", "dt")},
    title="Lorenz, full spectrum",
    swept={"rho": (28.0, 60.0)},
    method="RK4",
    n_lanes=20_480,
    n_check=20_000,
    tolerance=np.nan,  # compared by standard errors
)
"""n_steps counts the transient, its first tenth."""
SLOW = 4096
"""Lanes of those whose every step calls LAPACK: as good as more for their rate."""
POINTS = dataclasses.replace(SPECTRUM, title="Lorenz, full spectrum, 4096 points", n_lanes=4096, n_steps=5000)


def of(place: Any, programs: Any, *given: Any, most_lanes: int | None = None, **options: Any) -> Contender:
    """Rival that takes the transient and the rest apart; `place` is `transient` or `on_host`."""

    def made(values: Values, n_transient: int, n_steps: int) -> dict[str, Program]:
        return programs(SPECTRUM, values, n_transient, n_steps, *given, **options)

    return Contender(functools.partial(place, made), most_lanes)


def spectrum(*, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Times of everybody for the Lorenz system."""
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].astype(np.float32)
    field = {
        "jaxdyn.sweep": Contender(functools.partial(jaxdyn_sweep, SPECTRUM, {})),
        "jaxdyn.lanes": Contender(functools.partial(jaxdyn_lanes, SPECTRUM, {})),
        "C": of(on_host, native.spectra, frame),
        "numba": of(on_host, hand_numba.spectra, frame),
        "vmap, jnp.linalg.qr": of(transient, plain_jax.spectra, frame, most_lanes=SLOW),
        "vmap, unrolled Gram-Schmidt": of(transient, plain_jax.spectra, frame, orthonormal="unrolled"),
        "lyapax": of(transient, with_lyapax.spectra, most_lanes=SLOW),
    }
    if not smoke:
        field["jitcode"] = of(on_host, with_jitcode.spectra, most_lanes=2)
        field["jaxdyn.lanes, one core"] = Contender(functools.partial(jaxdyn_lanes, SPECTRUM, {}, threads=1))
    return lorenz(SPECTRUM, field, repetitions=repetitions, smoke=smoke)


def points(*, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Times of the libraries for spectra; those that do one lane at a time get few lanes, evenly spread over all."""
    field = {
        "jaxdyn.sweep": Contender(functools.partial(jaxdyn_sweep, POINTS, {})),
        "jaxdyn.lanes": Contender(functools.partial(jaxdyn_lanes, POINTS, {})),
        "jaxdyn.lanes, QR every 10 steps": Contender(functools.partial(jaxdyn_lanes, POINTS, {"qr_every": 10})),
        "jaxdyn.lanes, float64": Contender(functools.partial(jaxdyn_double, POINTS)),
        "lyapax": of(transient, with_lyapax.spectra),
        "jitcode": of(on_host, with_jitcode.spectra, most_lanes=2),
        "jitcode, QR every 10 steps": of(on_host, with_jitcode.spectra, most_lanes=8, qr_every=10),
        "pynamicalsys": of(on_host, with_pynamicalsys.spectra, most_lanes=64),
    }
    return lorenz(POINTS, field, repetitions=repetitions, smoke=smoke)


def lorenz(problem: Ensemble, field: dict[str, Contender], *, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Contest over rho; smoke: the lanes and steps of the check only."""
    check = Task(problem.values(32), 2000 if smoke else problem.n_check)
    task = check if smoke else Task(problem.values(problem.n_lanes), problem.n_steps)
    agree = functools.partial(within_errors, check=check)
    options = {"repetitions": repetitions, "work_per_lane": task.n_steps, "tune": not smoke}
    return contest(field, task, check=check, agree=agree, **options)


def within_errors(
    results: dict[str, np.ndarray[Any, Any]], contenders: Mapping[str, Contender], *, check: Task
) -> dict[str, Any]:
    """Exponents in chaos, each by the standard error of its own lane.

    Estimates of one exponent differ by the errors of both, and by one e-fold in all because the frames start apart;
    4 errors and 2 e-folds are allowed, and beyond that one lane in twenty, where a window of order makes the batches
    that the errors are taken from unequal. The exponents of every lane must add up to the divergence.
    """
    rho = jnp.asarray(check.values["rho"])
    record = jax.vmap(lambda r: exponents(SPECTRUM, check.n_steps)(SPECTRUM.system.with_params(rho=r)))(rho)
    expected, errors = np.asarray(record.exponents), np.asarray(record.std_error)
    span = 0.9 * check.n_steps * (SPECTRUM.dt or 1)
    findings = {}
    for name, found in results.items():
        index = np.linspace(0, len(rho) - 1, len(found)).astype(int)
        units = np.abs(np.sort(found)[:, ::-1] - expected[index]) / (4 * np.sqrt(2) * errors[index] + 2 / span)
        sums = np.abs(found.sum(axis=1) + 41 / 3)
        findings[name] = {"share_within": float(np.mean(units <= 1)), "largest_error_of_sum": float(sums.max())}
        assert np.mean(units <= 1) >= 0.95, f"{name}: {np.mean(units > 1):.0%} of the exponents are out of the errors"
        assert sums.max() <= 0.02, f"{name}: exponents add up to -41/3 within {sums.max():.3g} only, allowed 0.02"
    return findings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    problems = {
        "spectrum": spectrum,
        "points": points,
        "largest": functools.partial(networks, 1),
        "few": functools.partial(networks, 4),
    }
    arguments.add_argument("--problems", nargs="+", choices=problems)
    arguments.add_argument("--smoke", action="store_true", help="one problem, few lanes, nothing is written")
    options = arguments.parse_args()
    jnp.zeros(1).block_until_ready()  # starting JAX is nobody's first call
    chosen = options.problems or (["largest"] if options.smoke else list(problems))
    results = {}
    for name in chosen:
        results[name] = problems[name](repetitions=1 if options.smoke else options.repetitions, smoke=options.smoke)
        print(f"{name}, load {results[name]['load_average'][-1]:.1f}\n{table(results[name])}", flush=True)
        for contender, times in results[name].get("times_products", {}).items():
            print(f"{contender}: {times:.2f} x the time of the matrix products alone")
    if not options.smoke:
        path = timing.save(timing.named("bench_lyapunov", chosen, problems), results)
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
