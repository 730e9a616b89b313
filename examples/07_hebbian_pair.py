"""Two rate neurons that learn: trajectories, nullclines and fixed points of fast rates and slow weights.

Question: where does the pair go, and which of its nullclines say so?

Answer: the rates (time 1/gamma = 10) come to a fixed point of the weights of the moment: from the default start the
only one, from the unequal start one of three. The weights (time 1/eta2 = 1000) carry it along, to r = 0.11180432 and
m = 0.05445579, or to r = (-0.8200, 0.8647), at t = 800. All comes to rest where nullclines of the full system cross:
nine times at eta1/eta2 = 1.3, three times at 1; five and two of these points are stable. Two eigenvalues are -eta2.

    python examples/07_hebbian_pair.py [--smoke] [--out DIR] [--explore]
"""

import argparse
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few starts of the search, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
arguments.add_argument("--explore", action="store_true", help="open a window with sliders in the end")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)
np.set_printoptions(precision=8, suppress=True, linewidth=120)
weights = ("m11", "m12", "m21", "m22")
window = ("r1", -1.2, 1.2), ("r2", -1.2, 1.2)
pair = jaxdyn.models.hebbian_pair()  # gamma 0.1, eta1 0.0013, eta2 0.001, inputs 0.1, weights 0.1, at rest
starts = {"default start": pair, "unequal start": pair.with_state([0.5, -0.3, 1.0, -0.5, 0.3, 1.5])}
runs = {name: jaxdyn.trajectory(system, t1=800.0, dt=1.0) for name, system in starts.items()}


def fixed_points(system):
    """Fixed points from a grid of rates, each start with the weights that belong to its rates."""
    side = np.linspace(-0.99, 0.99, 12 if options.smoke else 20)
    r1, r2 = np.meshgrid(side, side)
    ratio = float(system.params["eta1"] / system.params["eta2"])
    grid = np.stack([r1, r2, ratio * r1 * r1, ratio * r1 * r2, ratio * r1 * r2, ratio * r2 * r2], axis=-1)
    return jaxdyn.fixed_points(system, starts=grid.reshape(-1, 6))


with jaxdyn.plot.style(figure_figsize=(7, 7)):
    figure, panels = plt.subplots(2, 2, layout="constrained")
    for ax, (name, run) in zip(panels[0], runs.items(), strict=True):
        print(f"{name}, t = 800: rates {run.x[-1, :2]}, weights {run.x[-1, 2:]}")
        fast = jaxdyn.frozen(pair.with_state(run.x[-1]), weights)
        jaxdyn.plot.phase_plane(fast, *window, trajectories=run, ax=ax)
        ax.set_xlabel(f"{ax.get_xlabel()}\n{name}, weights frozen at $t = 800$")
    for ax, eta1 in zip(panels[1], (0.0010, 0.0013), strict=True):
        system = pair.with_params(eta1=eta1)
        points = fixed_points(system)
        jaxdyn.plot.phase_plane(system, *window, quasi_steady=weights, fixed_points=points, ax=ax)
        ax.set_xlabel(f"{ax.get_xlabel()}\nweights at rest, $\\eta_1/\\eta_2 = {eta1 * 1000:g}$")
        print(f"eta1/eta2 = {eta1 * 1000:g}: {points.n_found} fixed points; with real parts of the eigenvalues")
        for x, values, code in zip(points.x, points.eigenvalues, points.stability, strict=True):
            if code:
                print(f"    r = {x[:2]}, {jaxdyn.stability_label(code)}, {np.sort(values.real)[::-1]}")
    for run in runs.values():
        jaxdyn.plot.phase_trajectory(run, ax=ax, color="black", zorder=4)
    figure.savefig(options.out / "hebbian_pair_planes.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(7, 3.6)):
    figure, panels = plt.subplots(2, 2, layout="constrained")
    for column, (name, run) in zip(panels.T, runs.items(), strict=True):
        for ax, states in zip(column, (("r1", "r2"), weights), strict=True):
            jaxdyn.plot.trajectory(run, system=pair, states=states, ax=ax)
        ax.set_xlabel(f"time\n{name}" + ": equal rates, equal weights" * (name == "default start"))
    figure.savefig(options.out / "hebbian_pair_trajectories.png", dpi=200)

if options.explore:
    jaxdyn.explore(pair, x=window[0], y=window[1], start=pair.state_names, t1=800.0, dt=1.0)
    plt.show()
