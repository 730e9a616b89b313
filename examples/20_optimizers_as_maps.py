"""Optimizers as maps: what becomes of training when the learning rate is raised.

Question: where does each optimizer stop converging, and what comes after?

Answer: on a quadratic of curvature c heavy ball with momentum b converges up to rate c = 2 (1 + b), Nesterov's up to
(2 + 2 b)/(1 + 2 b), and averaged gradients with a frozen preconditioner, which is Adam late in training, up to
2 (1 + b)/(1 - b), 38 at b = 0.9. Thresholds measured by running the optimizers agree to one step of the grid. On a
double well training goes on beyond its threshold: periods double at rate 1 and again at 1.2361, chaos begins at 1.30.

    python examples/20_optimizers_as_maps.py [--smoke] [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="coarse grids, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # distances from the minimum are followed over many decades
n = 60 if options.smoke else 600
b = np.linspace(0, 0.95, n)
cases = {  # optimizer, name of its momentum, other arguments, largest rate, exact threshold
    "heavy ball": (optax.sgd, "momentum", {}, 4.0, 2 * (1 + b)),
    "Nesterov": (optax.sgd, "momentum", {"nesterov": True}, 2.5, (2 + 2 * b) / (1 + 2 * b)),
    "Adam, late": (optax.adam, "b1", {"eps": 1.0}, 80.0, 2 * (1 + b) / (1 - b)),
}


def rate_of_return(system):
    """Factor per step by which parameter and momentum shrink within 100 steps; infinite if they ever were large."""
    run = jaxdyn.trajectory(system, n_steps=200, save=jaxdyn.Every(5)).x[:, :2]
    size = jnp.max(jnp.abs(run), axis=1)
    before, after = jnp.max(size[11:21]), jnp.max(size[31:41])
    factor = (after / jnp.where(before > 0, before, 1)) ** (1 / 100)
    return {"factor": jnp.where(jnp.max(size) < 1e-3, factor, jnp.inf)}  # they start at 1e-9


with jaxdyn.plot.style(figure_figsize=(7, 2.5)):
    figure, panels = plt.subplots(1, 3, layout="constrained", sharey=True)
    for (title, (optimizer, name, fixed, largest, exact)), ax in zip(cases.items(), panels, strict=True):
        # From 1e-9 the mean square of gradients is nothing beside eps: the preconditioner is 1 / eps = 1.
        hyper = {"learning_rate": 1.0, name: 0.9, **fixed}
        step = jaxdyn.learning.optimizer_map(lambda theta: theta**2 / 2, optimizer, 1e-9, hyper=hyper, at_step=10**6)
        rates = np.geomspace(0.5, largest, n) if largest > 10 else np.linspace(largest / n, largest, n)
        factor = jaxdyn.sweep(rate_of_return, step, {name: b, "learning_rate": rates}).factor
        cells = np.abs(np.searchsorted(rates, exact) - (factor.values < 1).sum(axis=1)).max()
        print(f"{title}: {n} thresholds measured with {n} rates each, at most {cells} of these off the exact one")
        shown = ax.pcolormesh(rates, b, factor.where(factor < 1), vmin=0, vmax=1, rasterized=True)
        jaxdyn.plot.boundary(exact, b, ax=ax)
        ax.set(title=title, xlabel=r"rate $\times$ curvature", xlim=rates[[0, -1]])
    panels[2].set_xscale("log")
    panels[0].set_ylabel("momentum")
    panels[0].text(3.95, 0.03, "diverges", ha="right")
    figure.colorbar(shown, ax=panels, label="distance from the minimum,\nfactor per step")
    figure.savefig(options.out / "optimizers_as_maps.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(7, 3.6)):
    figure, panels = plt.subplots(2, 2, layout="constrained", sharex="col", height_ratios=(3, 1.2))
    for momentum, ends, (ax, below) in ((0.0, (0.8, 1.62), panels[:, 0]), (0.5, (1.4, 1.75), panels[:, 1])):
        hyper = {"learning_rate": 0.1, "momentum": momentum}
        step = jaxdyn.learning.optimizer_map(lambda x: x**4 / 4 - x**2 / 2, optax.sgd, 0.98, hyper=hyper)
        rates = np.linspace(*ends, 300 if options.smoke else 3000)
        diagram = jaxdyn.orbit_diagram(step, {"learning_rate": rates}, of="theta", n_points=300, n_transient=3000)
        jaxdyn.plot.orbit_diagram(diagram, ax=ax, lyapunov=below)
        if ax.get_legend() is not None:
            ax.get_legend().remove()  # of the ticks at rates where training is still on its way
        ax.set(title=f"gradient descent, momentum {momentum:g}", ylabel=r"parameter $\theta$")
        below.set_xlabel("learning rate")
        print(f"momentum {momentum}: chaos from {rates[np.asarray(diagram.exponent > 0)].min():.4f}")
    figure.savefig(options.out / "training_orbit_diagram.png", dpi=200)
