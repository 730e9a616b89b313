"""Spiking and rest of the FitzHugh-Nagumo neuron over its plane of current I and recovery b.

Question: where does the neuron spike, and how stable is that?

Answer: inside the two Hopf lines, known in closed form, rest is unstable and every cell spikes, with the exponents 0
and about -1. Spiking also survives in a thin band outside them, because both Hopf bifurcations are subcritical there:
the sweep finds its width, which no closed form gives. Every cell has its full Lyapunov spectrum.

    python examples/04_fitzhugh_nagumo_plane.py [--smoke] [--out DIR]
"""

import argparse
import functools
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

neuron = jaxdyn.models.fitzhugh_nagumo()
n_I, n_b = (16, 8) if options.smoke else (512, 256)
currents, slopes = np.linspace(0, 2.5, n_I), np.linspace(0.5, 1.0, n_b)

# 2000 time units after a transient of 500, by RK4.
spectrum = functools.partial(jaxdyn.lyapunov_spectrum, dt=0.1, n_steps=20_000, n_transient=5_000, qr_every=5)
began = time.perf_counter()
plane = jaxdyn.sweep(spectrum, neuron, {"I": currents, "b": slopes})
seconds = time.perf_counter() - began
jaxdyn.raise_if_failed(plane)
print(
    f"{n_I} x {n_b} cells x 25000 steps: {seconds:.1f} s, {n_I * n_b * 25_000 / seconds:.3g} steps with tangents per s"
)


def hopf_current(b, v):
    """Current that puts the fixed point at v: the real root of (b/3) v^3 + (1 - b) v + a - b I = 0."""
    return (b / 3 * v**3 + (1 - b) * v + a) / b


a, tau = float(neuron.params["a"]), float(neuron.params["tau"])
v = np.sqrt(
    1 - plane.b / tau
)  # there the trace 1 - v^2 - b/tau vanishes; the determinant (1 - b^2/tau)/tau is positive
lower, upper = hopf_current(plane.b, -v), hopf_current(plane.b, v)

first, second = plane.exponents.isel(exponent=0), plane.exponents.isel(exponent=1)
spiking = (first > -0.01) & (second < -0.3)  # a cycle has exponents 0 and < 0; rest near a Hopf line has two near 0
inside = (plane.I > lower) & (plane.I < upper)
band = spiking & ~inside
print(f"spiking cells {int(spiking.sum())}, inside the Hopf lines {int(inside.sum())}")
print(f"quiet cells inside {int((inside & ~spiking).sum())}; spiking cells outside {int(band.sum())}")
print(
    f"width of the bistable band in I: {float(band.sum('I').mean()) * (currents[1] - currents[0]) / 2:.4f} on average"
)

with jaxdyn.plot.style(figure_figsize=(7, 2.8)):
    figure, panels = plt.subplots(1, 2, layout="constrained", sharey=True)
    for number, ax in enumerate(panels):
        below_zero = {"cmap": "Blues_r", "vmin": (-0.4, -2.0)[number], "vmax": 0}
        jaxdyn.plot.sweep(plane, "exponents", select={"exponent": number}, ax=ax, **below_zero)
        jaxdyn.plot.boundary(lower, plane.b, ax=ax)
        jaxdyn.plot.boundary(upper, plane.b, ax=ax, label="Hopf, exact")
        ax.label_outer()
    figure.savefig(options.out / "fitzhugh_nagumo_plane.png", dpi=200)
