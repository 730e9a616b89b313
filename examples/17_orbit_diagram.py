"""Orbit diagram of the logistic map, and the constant that its period doublings share with all others.

Question: how does x[n+1] = r x (1 - x) come to chaos, and what of that is the map's own?

Answer: by doublings of its period at r = 3, 3.44949, 3.54409, 3.56441, 3.56876, 3.56969, ..., located to 14 digits by
Newton's method on the cycle and its multiplier -1. They accumulate at 3.569946. Their distances shrink by 4.669 each
time, and so do those of the Hénon map: Feigenbaum's constant. Ten million points, with the period, the Lyapunov
exponent and its error at each of ten thousand values of r, take a second.

    python examples/17_orbit_diagram.py [--smoke] [--out DIR]
"""

import argparse
import functools
import time
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few parameters, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

n_r, n_points = (1_000, 200) if options.smoke else (10_000, 1_000)
system = jaxdyn.models.logistic(x0=[0.4])  # from 0.3 the orbit of r = 10/3 falls on its unstable fixed point
draw = functools.partial(jaxdyn.orbit_diagram, system, n_points=n_points, n_transient=10_000)
window = draw({"r": np.linspace(3.82, 3.87, n_r)})
for call in ("first", "again"):
    began = time.perf_counter()
    diagram = draw({"r": np.linspace(2.8, 4, n_r)})
    print(f"{diagram.points.size} points, {call}: {time.perf_counter() - began:.2f} s")
slow = diagram.status == jaxdyn.Status.NOT_CONVERGED
print(f"periods found at {float((diagram.period > 0).mean()):.1%} of the values; still on their way {int(slow.sum())}")
widest = [f"{p} ({int((diagram.period == p).sum())})" for p in (1, 2, 4, 3, 8, 6, 5)]
print(f"how many values have the period {', '.join(widest)}")
print(f"with a positive exponent {float((diagram.exponent > 0).mean()):.1%}")

with jax.enable_x64(True):
    logistic, henon = (
        jaxdyn.period_doublings(system, over, n_doublings=6 if options.smoke else 9)
        for system, over in (
            (jaxdyn.models.logistic(), {"r": np.linspace(2.9, 3.56, 100)}),
            (jaxdyn.models.henon(), {"a": np.linspace(0.2, 1.03, 100)}),
        )
    )
for name, cascade in (("logistic map", logistic), ("Hénon map", henon)):
    print(f"{name}: {', '.join(f'{value:.10f}' for value in cascade.values)}")
    ratios = ", ".join(f"{ratio:.5f}" for ratio in cascade.ratios)
    print(f"  errors up to {np.asarray(cascade.errors).max():.0e}; ratios {ratios}")
    print(f"  delta = {cascade.delta:.6f}, last change {cascade.delta_error:.0e}; limit {cascade.limit:.9f}")

with jaxdyn.plot.style(figure_figsize=(7, 4)):
    figure, panels = plt.subplots(2, 2, layout="constrained", sharex="col", height_ratios=(3, 1.2), width_ratios=(2, 1))
    for data, (ax, below) in zip((diagram, window), panels.T, strict=True):
        jaxdyn.plot.orbit_diagram(data, ax=ax, lyapunov=below)
        if ax.get_legend() is not None:
            ax.get_legend().remove()  # of the ticks at values where orbits are still on their way
    panels[0, 1].set(ylabel="", ylim=(0.44, 0.56))
    for ax in panels[1]:
        ax.set_xlabel("$r$")
    panels[1, 1].set_ylabel("")
    figure.savefig(options.out / "orbit_diagram.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(3.5, 2.6)):
    figure, ax = plt.subplots(layout="constrained")
    for name, cascade in (("logistic map", logistic), ("Hénon map", henon)):
        ax.semilogy(cascade.periods[2:], abs(np.asarray(cascade.ratios) - 4.669201609), "o-", label=name, markersize=3)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="period of the cycle that doubles last", ylabel=r"$|\delta_k - \delta|$")
    ax.legend()
    figure.savefig(options.out / "orbit_diagram_delta.png", dpi=200)
