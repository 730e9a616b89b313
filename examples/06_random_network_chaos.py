"""Onset of chaos in a random recurrent network.

Question: when does the network become chaotic, and what has the spectrum at rest to do with it?

Answer: the Jacobian -I + g J at rest nearly fills the disc of radius g about -1, so rest loses stability near g = 1.
This network of 500 units then settles on regular motion (exponent 0) and is chaotic from about g = 1.35 on, with a
largest exponent that stays some percent below the mean-field value of an infinite network.

    python examples/06_random_network_chaos.py [--smoke] [--out DIR]
"""

import argparse
import functools
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a small network for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

n, n_g, n_steps = (50, 4, 200) if options.smoke else (500, 24, 40_000)
network = jaxdyn.models.random_rnn(n=n, seed=0)

# One J for all g, so that the coupling of all lanes is one matrix product a stage.
gains = np.linspace(0.5, 3.0, n_g)
spectrum = functools.partial(jaxdyn.lyapunov_spectrum, dt=0.1, n_steps=n_steps, n_transient=n_steps // 5, n_exponents=1)
began = time.perf_counter()
chaos = jaxdyn.sweep(spectrum, network, {"g": gains})
print(f"{n_g} networks of {n} units, {n_steps * 6 // 5} steps: {time.perf_counter() - began:.1f} s")
for g, exponent, error in zip(gains, chaos.exponents.values[:, 0], chaos.std_error.values[:, 0], strict=True):
    print(f"g = {g:.3f}: largest exponent {exponent:+.4f} +- {error:.4f}")

# Largest exponent of an infinite network (dynamic mean-field theory of Sompolinsky, Crisanti and Sommers 1988).
mean_field_g = [1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0]
mean_field = [0.0, 0.001062, 0.003712, 0.01192, 0.046746, 0.112458, 0.235461]

shown_units = [0, 9, 15, 19, 44] if options.smoke else [0, 9, 15, 91, 449]
with jaxdyn.plot.style(figure_figsize=(7, 3)):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    values = jaxdyn.eigenvalues(network.with_params(g=1.1), np.zeros(n))
    jaxdyn.plot.eigenvalues(values, ax=left)
    left.add_patch(Circle((-1, 0), 1.1, fill=False, linewidth=0.8, linestyle="--"))
    print(f"g = 1.1: largest real part at rest {float(jaxdyn.spectral_abscissa(values)):.4f}, 0.1 for infinite n")
    right.errorbar(gains, chaos.exponents[:, 0], chaos.std_error[:, 0], fmt="o", markersize=3, label=f"n = {n}")
    right.plot(mean_field_g, mean_field, color="black", linewidth=0.8, label="mean field, infinite n")
    edge = gains * (float(jaxdyn.spectral_abscissa(values)) + 1) / 1.1 - 1
    right.plot(gains[edge < 0], edge[edge < 0], "--", color="C1", label="largest real part at rest")
    right.axhline(0, color="0.6", linewidth=0.6)
    right.set(xlabel="gain of the coupling $g$", ylabel=r"largest Lyapunov exponent $\lambda_1$")
    right.legend(loc="lower right")
    figure.savefig(options.out / "random_network_chaos.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(7, 2.2)):
    figure, panels = plt.subplots(1, 3, layout="constrained", sharey=True)
    for g, ax in zip((0.9, 1.1, 2.0), panels, strict=True):
        run = jaxdyn.trajectory(network.with_params(g=g), t1=100.0, dt=0.1)
        jaxdyn.plot.trajectory(run, system=network, states=shown_units, ax=ax)
        ax.get_legend().remove()
        ax.set_title(f"$g = {g}$")
        ax.label_outer()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    figure.savefig(options.out / "random_network_trajectories.png", dpi=200)
