"""Firing rate of the FitzHugh-Nagumo neuron as its current is raised and lowered again.

Question: at which currents does the neuron start to fire, and at which does it stop?

Answer: at different ones. Raised slowly, the current starts the spikes at the Hopf point I = 0.33128 and stops them at
the fold of cycles 1.42582; lowered, it starts them at the other Hopf point 1.41872 and stops them at the other fold
0.32418. Both Hopf points are subcritical: in the bands of width 0.0071 next to them rest and spikes are both stable,
and which is seen depends on where the current came from. The rate is nowhere near zero: it jumps to 0.020.

    python examples/18_firing_rate_hysteresis.py [--smoke] [--out DIR]
"""

import argparse
import functools
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few currents for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

neuron = jaxdyn.models.fitzhugh_nagumo()
a, b, tau = (float(neuron.params[name]) for name in ("a", "b", "tau"))
v = np.sqrt(1 - b / tau)  # at the Hopf points the trace 1 - v^2 - b/tau vanishes
hopf = [(b / 3 * w**3 + (1 - b) * w + a) / b for w in (-v, v)]
folds = [0.3241785, 2 * a / b - 0.3241785]  # where the stable cycle ends; v -> -v, I -> 2 a/b - I

# Next to a Hopf point a departure grows as exp(0.816 |I - I_Hopf| t): near it the transient is long.
spikes = jaxdyn.reducers.Spikes("v", threshold=0.5, reset=-0.5)
n_transient, step = (20_000, 1e-3) if options.smoke else (400_000, 2.5e-4)
rate = functools.partial(jaxdyn.reduce, reducers=spikes, dt=0.1, n_steps=20_000, n_transient=n_transient)
low = np.arange(0.322, 0.3345, step)
currents = np.concatenate([low, np.linspace(0.34, 1.41, 20 if options.smoke else 60), 2 * a / b - low[::-1]])
began = time.perf_counter()
found = jaxdyn.follow(rate, neuron, {"I": currents})
jaxdyn.raise_if_failed(found)
n_steps = found.sizes["I"] * 2 * (n_transient + 20_000)
print(f"{found.sizes['I']} currents up and down, {n_steps:.2g} steps: {time.perf_counter() - began:.1f} s")

found["rate"] = (1 / found.isi_mean).fillna(0)  # finer than counts over the length of the run
found.rate.attrs = {"long_name": "firing rate", "units": "1"}
for way, rates in zip(found.direction.values, found.rate.values, strict=True):
    fires = np.flatnonzero(rates > 0)[[0, -1]]
    onset, end = currents[fires]
    print(f"{way}: fires from {onset:.5f} to {end:.5f}, there at {rates[fires[0]]:.4f} and {rates[fires[1]]:.4f}")
print(f"Hopf points {hopf[0]:.5f} and {hopf[1]:.5f}, folds of cycles {folds[0]:.5f} and {folds[1]:.5f}")
both = found.rate.sel(direction="forward").astype(bool) != found.rate.sel(direction="backward").astype(bool)
print(f"values that differ by direction: {int(both.sum())}, in steps of {step}")

with jaxdyn.plot.style(figure_figsize=(7, 2.8)):
    figure, panels = plt.subplots(1, 3, layout="constrained", sharey=True, width_ratios=(1, 1.4, 1))
    limits = ((0.3222, 0.3342), (0.2, 1.55), (2 * a / b - 0.3342, 2 * a / b - 0.3222))
    for ax, (left, right) in zip(panels, limits, strict=True):
        jaxdyn.plot.sweep(found, "rate", ax=ax)
        ax.set(xlim=(left, right), ylim=(-0.001, None), xlabel="current $I$")
        ax.locator_params(axis="x", nbins=4)
        ax.label_outer()
        ax.get_legend().remove()
    for word, currents, look in (("Hopf", hopf, "--"), ("fold", folds, ":")):
        for ax, current in zip(panels[::2], currents, strict=True):
            ax.axvline(current, color="0.5", linestyle=look, linewidth=0.8, zorder=0)
            ax.text(current, 1.01, word, transform=ax.get_xaxis_transform(), ha="center", fontsize=7)
    panels[1].legend(*panels[0].get_legend_handles_labels(), loc="lower center")
    figure.savefig(options.out / "firing_rate_hysteresis.png", dpi=200)
