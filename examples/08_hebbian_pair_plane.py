"""Fixed points of two neurons with Hebbian weights, over learning rate and input.

Question: how many are there, and how many of them are stable?

Answer: without input one (rest), nine from eta1/eta2 = 1.0085 on, seventeen from twice that value. Input moves the
thresholds apart; every change of a count lies on an exact fold or pitchfork line. All six variables are searched.

    python examples/08_hebbian_pair_plane.py [--smoke] [--out DIR]
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
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # close to a fold, two fixed points differ little
n_eta, n_u = (8, 6) if options.smoke else (96, 64)
ratio, inputs = np.linspace(0.6, 2.4, n_eta), np.linspace(0.0, 0.6, n_u)


def fixed_points(every, n_starts):
    """Fixed points in every so many-th cell; a weight is at most eta1/eta2, so the box holds them all."""
    box = {name: (-1.1 * ratio.max(), 1.1 * ratio.max()) for name in ("m11", "m12", "m21", "m22")}
    search = functools.partial(jaxdyn.fixed_points, box=box, n_starts=n_starts, max_points=24)
    over = {"eta1": 0.001 * ratio[::every], ("u1", "u2"): (inputs[::every], inputs[::every])}
    cells = jaxdyn.raise_if_failed(jaxdyn.sweep(search, jaxdyn.models.hebbian_pair(eta2=0.001), over))
    cells["all"] = cells.found.sum("point").assign_attrs(long_name="number of fixed points")
    grows = cells.eigenvalues.real.max("mode")  # nan, which is not < 0, in empty slots
    cells["stable"] = (grows < 0).sum("point").assign_attrs(long_name="number of stable fixed points")
    return cells.assign_coords(eta1=("eta1", ratio[::every], {"long_name": r"ratio of rates $\eta_1/\eta_2$"}))


began = time.perf_counter()
found = fixed_points(1, 256)
print(f"{n_eta} x {n_u} cells, 256 starts each: {time.perf_counter() - began:.1f} s")
print(f"without input, from 0.6 to 2.4: {np.unique(found['all'][:, 0])} fixed points")
check = fixed_points(8, 1024)
differ = int((check["all"].values != found["all"].values[::8, ::8]).sum())
print(f"with four times as many starts, {differ} of {check['all'].size} cells have another number")

# States of equal rates s: fold, and pitchfork into unequal rates. Both from atanh(s) - u = 2 eta s^3.
s = np.concatenate([np.linspace(-0.9999, -0.01, 4000), [np.nan], np.linspace(0.01, 0.9999, 4000)])
lines = [(factor / (6 * s**2 * (1 - s**2)), np.arctanh(s) - factor * s / (3 * (1 - s**2))) for factor in (1, 3)]


# States of unequal rates: any two belong to one eta and u; they fold where the determinant of the slopes vanishes.
def conditions(p, q):
    """Ratio eta and input u at which the rates p and q stand still, from atanh(r) - u = eta r (p^2 + q^2)."""
    eta = (np.arctanh(p) - np.arctanh(q)) / ((p - q) * (p**2 + q**2))
    return eta, np.arctanh(p) - eta * p * (p**2 + q**2)


x, y = np.meshgrid(np.linspace(-6, 6, 1500), np.linspace(-6.003, 5.997, 1501))  # never equal, never both zero
p, q = np.tanh(x), np.tanh(y)
a, b = conditions(p, q)[0] * np.array([1 - p**2, 1 - q**2])
determinant = (1 - a * (3 * p**2 + q**2)) * (1 - b * (p**2 + 3 * q**2)) - 4 * p**2 * q**2 * a * b
curves = plt.figure().subplots().contour(x, y, determinant, levels=[0]).allsegs[0]
lines += [conditions(*np.tanh(curve.T)) for curve in curves]

with jaxdyn.plot.style(figure_figsize=(7, 2.9)):
    figure, panels = plt.subplots(1, 2, layout="constrained", sharey=True)
    for name, most, step, ax in zip(("all", "stable"), (17, 5), (2, 1), panels, strict=True):
        colors = plt.get_cmap("viridis", (most - 1) // step + 1)
        jaxdyn.plot.sweep(found, name, ax=ax, cmap=colors, vmin=1 - step / 2, vmax=most + step / 2)
        figure.axes[-1].set_yticks(range(1, most + 1, step))
        for number, (eta, u) in enumerate(lines):
            jaxdyn.plot.boundary(eta, u, ax=ax, label=None if number else "fold or pitchfork, exact", linewidth=1)
        ax.set_ylabel("input $u_1 = u_2$" if name == "all" else "")
    figure.savefig(options.out / "hebbian_pair.png", dpi=200)
