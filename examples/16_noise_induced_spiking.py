"""Noise-induced spiking: coherence resonance of an excitable neuron, and runs that share one noise.

Question: a neuron that rests without noise spikes with it. How regular are its spikes, and do they come from the
neuron or from the noise?

Answer: of the right strength the noise is a clock. The variation of intervals between spikes falls from 0.942(12) to
0.1775(13) at sigma = 0.268 and rises again. Yet every spike is the noise's: neurons that share it come to spike
together from any start, for the Lyapunov exponent is negative at every strength (-0.0541(4) at 0.268). From rest the
first spike takes 61.7(10) time units at sigma = 0.05 and 23.3(3) at 0.1.

    python examples/16_noise_induced_spiking.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few seeds and short runs, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

neuron = jaxdyn.models.noisy_fitzhugh_nagumo()  # I = 0.3, below the Hopf point 0.3313
n_seeds, n_steps, n_strengths = (8, 40_000, 8) if options.smoke else (128, 400_000, 25)
run = {"n_steps": n_steps, "dt": 0.02, "n_transient": 10_000}
over = {"sigma": np.geomspace(0.03, 1.0, n_strengths), "seed": range(n_seeds)}
spikes = jaxdyn.reducers.Spikes("v", threshold=1.0, reset=0.0)  # the same spike is not counted twice
measures = {
    "spikes": partial(jaxdyn.reduce, reducers=spikes, **run),
    "lyapunov": partial(jaxdyn.maximal_lyapunov, qr_every=10, **run),
}
found = jaxdyn.sweep(measures, neuron, over, progress=False)
cv, exponent, rate = (found[name] for name in ("spikes_isi_cv", "lyapunov_exponent", "spikes_rate"))
best = float(cv.mean("seed").idxmin())


def told(values):
    """Mean over seeds with its standard error."""
    return f"{float(values.mean()):.4f} +- {float(values.std(ddof=1)) / n_seeds**0.5:.4f}"


print(f"most regular at sigma = {best:.3f}: variation {told(cv.sel(sigma=best))}, rate {told(rate.sel(sigma=best))}")
print(f"at the weakest noise, {over['sigma'][0]:.3f}: variation {told(cv[0])}, at the strongest {told(cv[-1])}")
largest = float(exponent.mean("seed").max())
print(f"largest Lyapunov exponent there {told(exponent.sel(sigma=best))}; at no strength above {largest:.4f}")

rest = neuron.with_state(jaxdyn.fixed_points(neuron).x[0])
wait = partial(jaxdyn.first_passage, of="v", level=1.0, dt=0.02, n_steps=100 * n_steps)
first = jaxdyn.sweep(wait, rest, {"sigma": [0.05, 0.1], "seed": range(20 * n_seeds)}, progress=False)
for sigma, times in zip((0.05, 0.1), first.time, strict=True):
    error = float(times.std(ddof=1)) / times.size**0.5
    print(f"first spike from rest at sigma = {sigma}: {float(times.mean()):.2f} +- {error:.2f} time units")

with jaxdyn.plot.style():
    figure = plt.figure(layout="constrained", figsize=(8, 5))
    left, right = figure.subfigures(1, 2, width_ratios=(5, 3))
    traces, (regular, stable) = left.subplots(3, sharex=True), right.subplots(2, sharex=True)
    for ax, sigma in zip(traces, (0.04, best, 1.0), strict=True):
        system = neuron.with_params(sigma=sigma)
        for v, color in ((1.5, "C1"), (-1.0, "C0")):  # two starts, one noise
            shown = jaxdyn.trajectory(system.with_state(v=v, w=0.3), t1=400.0, dt=0.02, save=jaxdyn.Every(10))
            ax.plot(shown.t, shown.x[:, 0], color=color, linewidth=0.8)
        ax.set(ylabel="$v$", title=rf"$\sigma = {sigma:.2f}$: two starts, one noise", xlim=(0, 400))
    traces[-1].set_xlabel("time")
    for ax, values, label in ((regular, cv, "variation of intervals"), (stable, exponent, "Lyapunov exponent")):
        error = values.std("seed", ddof=1) / n_seeds**0.5
        ax.errorbar(over["sigma"], values.mean("seed"), error, marker=".", capsize=2, linewidth=0.8)
        ax.set(xscale="log", ylabel=label)
        ax.axhline(0, color="0.6", linewidth=0.6)
    stable.set_xlabel(r"noise $\sigma$")
    figure.savefig(options.out / "noise_induced_spiking.png", dpi=200)
