"""Tables and the plot of the results: reads results/bench_*.json, writes Markdown, draws lanes against lane-steps/s.

    python benchmarks/report.py [--device cpu] [--output results.md] [--plot lanes.png]

A result with `--problems` of its own, bench_<question>_<problems>_<device>.json, stands beside that of all.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from timing import RESULTS

TITLES = {
    "bench_ensemble": "Ensembles: last states after fixed steps, float32",
    "bench_lyapunov": "Lyapunov exponents, float32",
    "bench_learning": "Learning-rate grid, float32",
}
NAMES = {
    "neuron": "FitzHugh-Nagumo, RK4",
    "lorenz": "Lorenz, Tsit5",
    "lorenz96-10": "Lorenz 96, 10 sites, RK4",
    "lorenz96-40": "Lorenz 96, 40 sites, RK4",
    "logistic": "logistic map",
    "spectrum": "Lorenz, full spectrum, orthonormalized every step",
    "points": "Lorenz, full spectrum at 4096 values of rho, against libraries for it",
    "largest": "64 networks of 500 neurons, largest exponent",
    "few": "64 networks of 500 neurons, four largest exponents",
    "learning rates": "gradient descent of two learners",
}
FOREMOST = "jaxdyn.sweep"
"""The contender that ratios refer to."""


def records(question: str, device: str) -> Iterator[dict[str, Any]]:
    """Stored results of one question: that of all problems first, then those of a part."""
    for path in sorted(RESULTS.glob(f"{question}*_{device}.json"), key=lambda path: len(path.name)):
        record = json.loads(path.read_text())
        is_scaling = "scaling" in record["question"]
        if is_scaling == ("scaling" in question):
            yield record


def table(result: Mapping[str, Any]) -> str:
    """One contest as a Markdown table, fastest first: medians of warm calls."""
    rows = result["contenders"]
    ours = rows[FOREMOST]["work_per_s_median"]
    lines = ["| | lane-steps/s | jaxdyn.sweep is ... times as fast | best setting |", "|---|---:|---:|---|"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["work_per_s_median"]):
        rate = row["work_per_s_median"]
        bold = "**" if name == FOREMOST else ""
        lines.append(f"| {bold}{name}{bold} | {_scientific(rate)} | {_factor(ours / rate)} | {row['setting']} |")
    lines += [f"| {name} | left out: {reason} | | |" for name, reason in result["skipped"].items()]
    return "\n".join(lines)


def section(record: Mapping[str, Any]) -> str:
    """All contests of a record, with where they were measured."""
    where = record["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items() if version)
    changed = " with uncommitted changes" if where["uncommitted_changes"] else ""
    parts = [
        f"{where['processor']}, {where['cores']} cores, device {where['device']}; {versions}; {where['date'][:10]}, "
        f"commit {where['commit'][:7]}{changed}."
    ]
    for name, result in record["results"].items():
        lanes = max(row["lanes"] for row in result["contenders"].values())
        load = max(result["load_average"])
        parts.append(f"### {NAMES.get(name, name)}\n\n{lanes} lanes; load average up to {load:.1f}.\n\n{table(result)}")
        if "times_products" in result:
            times = ", ".join(f"{n} {t:.2f}" for n, t in result["times_products"].items())
            parts.append(f"Time in units of the matrix products alone: {times}.")
    return "\n\n".join(parts)


def _scientific(value: float) -> str:
    power = math.floor(math.log10(value))
    return f"{value / 10**power:.1f}e{power}"


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Lanes against lane-steps a second, both logarithmic, one panel a problem, one line a contender."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    results = record["results"]
    figure, axes = plt.subplots(1, len(results), figsize=(1.5 + 4.5 * len(results), 4.2), squeeze=False, sharey=True)
    contenders = list(dict.fromkeys(n for by in results.values() for one in by.values() for n in one["contenders"]))
    for panel, (problem, by_count) in zip(axes[0], results.items(), strict=True):
        for k, name in enumerate(contenders):
            points = [
                (int(n), one["contenders"][name]["work_per_s_median"])
                for n, one in by_count.items()
                if name in one["contenders"]
            ]
            ours = name.startswith("jaxdyn")
            style: dict[str, Any] = {"color": f"C{k % 10}", "linewidth": 2.5 if ours else 1.2, "markersize": 4}
            panel.loglog(*zip(*points, strict=True), "o-" if ours else "s--", label=name, **style) if points else None
        panel.set(title=NAMES.get(problem, problem), xlabel="lanes")
        panel.grid(True, which="major", alpha=0.3)
    axes[0][0].set_ylabel("lane-steps per second")
    where = record["environment"]
    figure.suptitle(f"{where['processor']}, {where['cores']} cores, float32", fontsize=9)
    axes[0][-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(path, dpi=150, bbox_inches="tight")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu", help="end of the results' file names")
    arguments.add_argument("--output", type=Path, help="Markdown file; printed if not given")
    arguments.add_argument("--plot", type=Path, help="image of rates by number of lanes, of bench_ensemble --scaling")
    options = arguments.parse_args()
    parts = [
        f"## {title}\n\n{section(record)}"
        for question, title in TITLES.items()
        for record in records(question, options.device)
    ]
    text = "\n\n".join(parts) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text)
    if options.plot:
        found = next(records("bench_ensemble_scaling", options.device), None)
        if found is None:
            raise SystemExit(f"no bench_ensemble_scaling_{options.device}.json; run bench_ensemble.py --scaling first")
        draw(found, options.plot)


if __name__ == "__main__":
    main()
