"""Work and precision: seconds a lane against the error of the end state, methods that choose their steps, float64.

A thousand lanes of different starts: FitzHugh-Nagumo, Lorenz, Hénon-Heiles, a stiff van der Pol oscillator. Everybody
gets tolerances from 1e-3 to 1e-12; the error is the largest component's, median over lanes, against a reference. What
counts is the time at equal error. Then sweeps half of whose lanes take many more steps than the others.

    python benchmarks/bench_work_precision.py [--repetitions 5] [--problems neuron lorenz] [--smoke] [--plot FILE]
"""

import argparse
import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import timing
from contest import Unavailable
from work_precision import CORES, NAMES, Contender, Problem, contenders, ours, problems, scipys

import jaxdyn

LANES = 1000
ERRORS = tuple(10.0**-k for k in range(2, 13))
"""At which the contenders are compared."""

Points = list[dict[str, Any]]


def reference(problem: Problem) -> tuple[np.ndarray[Any, Any], float]:
    """End states of all lanes, and how far two methods at their best lie apart there, median over lanes."""
    if problem.stiff:  # SciPy's, of few lanes; the others are not compared
        states = np.full_like(problem.starts, np.nan)
        part = problem.part(4)
        states[part] = scipys("Radau", problem, 1e-10, problem.starts[part])()
        other = scipys("LSODA", problem, 1e-11, problem.starts[part])()
        return states, float(np.median(np.abs(other - states[part]).max(1)))
    states = np.asarray(ours(lambda r: jaxdyn.Taylor(rtol=r), problem, 1e-15, problem.starts)())
    other = np.asarray(ours(lambda r: jaxdyn.Dopri8(rtol=r), problem, 1e-14, problem.starts)())
    return states, float(np.median(np.abs(other - states).max(1)))


def measured(problem: Problem, *, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Points of everybody: tolerance, error, seconds a lane."""
    exact, floor = reference(problem)
    field: dict[str, tuple[Contender, float, np.ndarray[Any, Any], Any]] = {}
    skipped: dict[str, str] = {}
    for one in contenders():
        if one.stiff != problem.stiff:
            continue
        part = problem.part(one.lanes or len(problem.starts))
        name = " ".join(filter(None, (one.library, one.method, one.note)))
        for tolerance in one.tolerances[2:3] if smoke else one.tolerances:
            try:
                program = one.program(problem, tolerance, problem.starts[part])
            except Unavailable as reason:
                skipped[name] = str(reason)
                break
            field[f"{name}, {tolerance:.0e}"] = one, tolerance, part, program
    if problem.stiff and not any(one.library == "jaxdyn" for one, *_ in field.values()):
        skipped["jaxdyn"] = "has no stiff method"
    states: dict[str, np.ndarray[Any, Any]] = {}
    fast = {name: _kept(states, name, program) for name, (one, *_, program) in field.items() if one.cores == CORES}
    rows = timing.side_by_side(fast, repetitions=repetitions, work=1.0)
    times = rows["contenders"]
    for name, (*_, program) in field.items():
        if name not in fast:  # one at a time: nothing to compile, and slow
            times[name] = dict.fromkeys(
                ("first_call_s", "warm_min_s", "warm_median_s"), timing.seconds_of(_kept(states, name, program))
            )
    points: dict[str, Points] = {}
    for name, (one, tolerance, part, _) in field.items():
        lanes = len(part) * (CORES // one.cores)
        known = np.isfinite(exact[part]).all(1)
        error = float(np.median(np.abs(states[name] - exact[part])[known].max(1)))
        row = {"tolerance": tolerance, "error": error, "s_per_lane": times[name]["warm_min_s"] / lanes}
        row["s_per_lane_median"] = times[name]["warm_median_s"] / lanes
        points.setdefault(name.rsplit(",", 1)[0], []).append(
            row | {"lanes": len(part), "first_call_s": times[name]["first_call_s"]}
        )
    found = {"title": problem.title, "error_of_reference": floor, "points": points, "skipped": skipped}
    return found | {"load_average": rows["load_average"], "at_equal_error": compared(points, floor)}


def _kept(states: dict[str, Any], name: str, program: Any) -> Any:
    """The program, its result kept."""

    def run() -> Any:
        states[name] = np.asarray(program())
        return states[name]

    return run


def time_at(points: Points, error: float) -> float | None:
    """Seconds a lane at an error, between the points of the front, both logarithmic; None if nothing is so precise."""
    front: list[tuple[float, float]] = []
    for at, time in sorted((p["error"], p["s_per_lane"]) for p in points if np.isfinite(p["error"])):
        while front and front[-1][1] <= time:  # a smaller error in less time
            break
        else:
            front.append((at, time))
    if not front or error < front[0][0]:
        return None
    errors, times = np.log(np.array(front)).T
    return float(np.exp(np.interp(np.log(error), errors, times)))


def compared(points: Mapping[str, Points], floor: float) -> dict[str, Any]:
    """At each error above that of the reference: the library's best time, and how many times slower than jaxdyn."""
    libraries = sorted({name.split()[0] for name in points})
    found: dict[str, Any] = {}
    for error in (e for e in ERRORS if e > 3 * floor):
        best = {}
        for library in libraries:
            times = {n: t for n, p in points.items() if n.split()[0] == library and (t := time_at(p, error))}
            if times:
                name = min(times, key=times.__getitem__)
                best[library] = {"s_per_lane": times[name], "by": name}
        if "jaxdyn" in best:
            for row in best.values():
                row["times_slower"] = row["s_per_lane"] / best["jaxdyn"]["s_per_lane"]
        found[f"{error:.0e}"] = best
    return found


def mixed(*, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Sweeps of slow and fast lanes, in order and in disorder: the whole against the sum of its parts."""
    n, t1 = (64, 10.0) if smoke else (1024, 100.0)
    found: dict[str, Any] = {}
    for share, stiffness in ((1 / 2, 30.0), (1 / 16, 100.0), (1 / n, 100.0)):
        n_slow = round(n * share)
        mu = {"fast": np.full(n - n_slow, 1.0), "slow": np.full(n_slow, stiffness)}
        mu["in order"] = np.concatenate([mu["fast"], mu["slow"]])
        mu["in disorder"] = np.random.default_rng(2).permutation(mu["in order"])
        for method in (jaxdyn.Tsit5(rtol=1e-6), jaxdyn.Taylor(rtol=1e-10)):
            name = f"van der Pol, {type(method).__name__}, {n_slow} of {n} lanes with mu = {stiffness:.0f} instead of 1"
            found[name] = _whole_and_parts(mu, t1, method, repetitions)
    return found


def _whole_and_parts(mu: Mapping[str, Any], t1: float, method: Any, repetitions: int) -> dict[str, Any]:
    system = jaxdyn.models.van_der_pol(dtype=jnp.float64)
    run = jaxdyn.lanes(lambda mu: jaxdyn.final_state(system.with_params(mu=mu), t1=t1, method=method).x)
    programs = {name: functools.partial(run, jnp.asarray(values)) for name, values in mu.items()}
    result = timing.side_by_side(programs, repetitions=4 * repetitions, work=1.0)
    seconds = {name: row["warm_min_s"] for name, row in result["contenders"].items()}
    parts = seconds["fast"] + seconds["slow"]
    times = {name: seconds[name] / parts for name in ("in order", "in disorder")}
    return {"seconds": seconds, "times_the_sum_of_its_parts": times, "load_average": result["load_average"]}


def text(result: Mapping[str, Any]) -> str:
    """Times at equal error as a table."""
    rows = result["at_equal_error"]
    libraries = list(dict.fromkeys(itertools.chain.from_iterable(rows.values())))
    lines = [
        f"{result['title']}; reference to {result['error_of_reference']:.0e}; us a lane (times slower than jaxdyn)"
    ]
    lines.append(f"{'error':8}" + "".join(f"{library:>24}" for library in libraries))
    for error, best in rows.items():
        cells = [
            f"{1e6 * best[library]['s_per_lane']:.3g} ({best[library].get('times_slower', float('nan')):.3g})"
            if library in best
            else "-"
            for library in libraries
        ]
        lines.append(
            f"{error:8}" + "".join(f"{cell:>24}" for cell in cells) + f"  {best.get('jaxdyn', {}).get('by', '')}"
        )
    return "\n".join([*lines, *(f"{name} skipped: {reason}" for name, reason in result["skipped"].items())])


COLORS = {"jaxdyn": "C0", "heyoka": "C2", "diffrax": "C1", "JiTCODE": "C3", "SciPy": "C4"}
LOOKS = ("o-", "s--", "^:", "D-.", "v-", "P--")


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Seconds a lane against error, both logarithmic, one panel a problem; a color for each tool."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    shown = [result for result in results.values() if "points" in result]
    names = sorted({n for result in shown for n in result["points"]}, key=lambda n: list(COLORS).index(n.split()[0]))
    looks = {tool: iter(LOOKS) for tool in COLORS}
    drawn = {name: {"color": COLORS[name.split()[0]], "look": next(looks[name.split()[0]])} for name in names}
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained")
    for panel, result in zip(axes.flat, shown, strict=True):
        for name in names:
            if line := sorted((p["error"], p["s_per_lane"]) for p in result["points"].get(name, ())):
                width = 2 if name.startswith("jaxdyn") else 1
                label = name.replace(" 4 lanes on one core, scaled to all cores", "").replace(", whole batch", "")
                style: dict[str, Any] = {"color": drawn[name]["color"], "linewidth": width, "markersize": 3.5}
                panel.loglog(*np.array(line).T, drawn[name]["look"], label=label, **style)
        panel.set_title(result["title"], fontsize=10)
        panel.invert_xaxis()
    figure.supxlabel("error of the end state", fontsize=10)
    figure.supylabel("seconds a lane", fontsize=10)
    entries = {text: line for panel in axes.flat for line, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    ordered = sorted(entries, key=lambda text: list(COLORS).index(text.split()[0]))
    figure.legend([entries[t] for t in ordered], ordered, fontsize=8, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=100)


def main(given: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--problems", nargs="+", choices=[*NAMES, "mixed"], default=None)
    arguments.add_argument("--smoke", action="store_true", help="one problem, few lanes, nothing is written")
    arguments.add_argument("--plot", type=Path, help="image of the stored result of all problems; measures nothing")
    options = arguments.parse_args(given)
    if options.plot:
        found = timing.RESULTS / "bench_work_precision_cpu.json"
        return draw(json.loads(found.read_text())["results"], options.plot)
    jax.config.update("jax_enable_x64", True)
    jnp.zeros(1).block_until_ready()  # starting JAX is nobody's first call
    everything = problems(16 if options.smoke else LANES)
    chosen = options.problems or (["neuron"] if options.smoke else [*NAMES, "mixed"])
    settings = {"repetitions": 1 if options.smoke else options.repetitions, "smoke": options.smoke}
    results: dict[str, Any] = {}
    for name in chosen:
        results[name] = mixed(**settings) if name == "mixed" else measured(everything[name], **settings)
        print(json.dumps(results[name], indent=1) if name == "mixed" else text(results[name]), flush=True)
        if not options.smoke:  # each time, so that an interrupted run leaves what it has
            path = timing.save(timing.named("bench_work_precision", chosen, [*NAMES, "mixed"]), results)
            print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
