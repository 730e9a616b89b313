"""Lyapunov spectrum of the Lorenz system at 10 000 parameters, each with its standard error.

Question: over which Rayleigh numbers rho is the motion chaotic, and how well does one run of each know its exponents?

Answer: over 71 % of the range from 20 to 250. Below 23.5 all runs come to rest (in the end all would up to 24.06); the
widest windows without chaos are 146.8 to 166.1 and all from 215.3 on, then 131.9 to 133.3, 99.5 to 100.8 (inset) and
92.0 to 93.2. Each run of 600 time units tells its own error: in chaos 0.03 of the largest exponent, which is about 1.5,
and 0.002 of the Kaplan-Yorke dimension.

    python examples/14_lorenz_errors.py [--smoke] [--out DIR]
"""

import argparse
import time
from functools import partial
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few parameters for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

n_rho, n_steps = (200, 4_000) if options.smoke else (10_000, 120_000)
rho = np.linspace(20, 250, n_rho)
spectrum = partial(jaxdyn.lyapunov_spectrum, dt=0.005, n_steps=n_steps, n_transient=n_steps // 6)
began = time.perf_counter()
lorenz = jaxdyn.sweep(spectrum, jaxdyn.models.lorenz63(), {"rho": rho})
print(f"{n_rho} spectra, {n_steps * 7 // 6} steps each: {time.perf_counter() - began:.1f} s")
print(f"exponents add up to -41/3 within {float(abs(lorenz.exponents.sum('exponent') + 41 / 3).max()):.1e}")

largest, error = lorenz.exponents[:, 0].values, lorenz.std_error[:, 0].values
chaotic = largest > np.maximum(5 * error, 0.02)
print(f"chaotic: {chaotic.mean():.1%}; median of the largest exponent there {np.median(largest[chaotic]):.2f}")
edges = np.flatnonzero(np.diff(np.r_[True, chaotic, True].astype(int)))
windows = sorted(zip(rho[edges[::2]], rho[edges[1::2] - 1], strict=True), key=lambda w: w[0] - w[1])
for low, high in windows[:8]:
    print(f"no chaos from rho = {low:.2f} to {high:.2f}")

dimension = jax.vmap(jaxdyn.kaplan_yorke_estimate)(lorenz.exponents.values, lorenz.std_error.values)
for name, values in (("dimension", dimension.value), ("dimension_std_error", dimension.std_error)):
    lorenz[name] = "rho", np.where(chaotic, values, np.nan)
lorenz.dimension.attrs["long_name"] = "Kaplan-Yorke dimension"
medians = [float(np.median(errors[chaotic])) for errors in (error, dimension.std_error)]
print(f"medians of the standard errors in chaos: largest exponent {medians[0]:.3f}, dimension {medians[1]:.4f}")

with jaxdyn.plot.style(figure_figsize=(7, 4.2)):
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, layout="constrained", height_ratios=(2, 1))
    inset = top.inset_axes((0.06, 0.1, 0.23, 0.48))
    for ax, width in ((top, 0.4), (inset, 0.4)):
        jaxdyn.plot.sweep(lorenz.isel(exponent=[0, 1]), "exponents", ax=ax, linewidth=width)
    jaxdyn.plot.sweep(lorenz, "dimension", ax=bottom, linewidth=0.4, color="black")
    inset.set(xlim=(98.8, 101.4), ylim=(-0.4, 1.7), xlabel="", ylabel="")
    inset.get_legend().remove()
    top.indicate_inset_zoom(inset, edgecolor="0.5")
    top.label_outer()
    figure.savefig(options.out / "lorenz_errors.png", dpi=200)
