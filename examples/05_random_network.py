"""Linearization of networks: a feed-forward layer, and random recurrent networks at rest.

Question: how far does the linear network tell what the nonlinear one does?

Answer: a layer r = f(W x) has the Jacobian diag(f'(W x)) W; what that misses grows with the square of the displacement.
A recurrent network at rest has the Jacobian -I + g J: its eigenvalues fill a disc of radius g, and this one of 500
units is stable at g = 0.9 (largest real part -0.136) and unstable at 1.1 (+0.056). There the linear network grows
without bound, while tanh stops the other one. The border g = 1 is sharp for infinite size only: of networks of 100
units 3 % are unstable at g = 0.9, and of six of 500 units none is chaotic at 1.1 (largest exponents 0 or below).

    python examples/05_random_network.py [--smoke] [--out DIR]
"""

import argparse
import functools
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few networks for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()
random = np.random.default_rng(0)

# A feed-forward layer of 20 outputs and 30 inputs, linearized at x.
W, x, along = random.normal(size=(20, 30)) / np.sqrt(30), random.normal(size=30), np.ones(30) / np.sqrt(30)
layer = functools.partial(jaxdyn.models.feedforward, W)
J = np.asarray(jax.jacfwd(layer)(x))
error = abs(J - np.diag(1 - np.tanh(W @ x) ** 2) @ W).max()  # tanh' = 1 - tanh^2
print(f"Jacobian of the layer {J.shape}, largest difference from diag(f'(W x)) W {error:.0e}")
sizes = np.logspace(-2, 0.5, 41)
missed = [np.linalg.norm(layer(x + size * along) - layer(x) - J @ (size * along)) for size in sizes]

# Random recurrent networks: growth at rest of many small ones, largest exponents of six large ones.
n_draws, n_networks, n_steps = (50, 1, 200) if options.smoke else (1000, 6, 8000)
small = jaxdyn.models.random_rnn(n=100, g=0.9, x0=np.zeros(100))
values = jaxdyn.sweep(jaxdyn.eigenvalues, small, {"J": random.normal(size=(n_draws, 100, 100)) / 10}).value
growth = jaxdyn.spectral_abscissa(values.values)
p = np.mean(growth > 0)
print(f"100 units, g = 0.9: {p:.1%} +- {np.sqrt(p * (1 - p) / n_draws):.1%} of {n_draws} networks unstable at rest")
spectrum = functools.partial(jaxdyn.lyapunov_spectrum, dt=0.2, n_steps=n_steps, n_transient=n_steps // 4, n_exponents=1)
couplings = np.stack([jaxdyn.models.random_rnn(n=500, seed=seed).params["J"] for seed in range(n_networks)])
chaos = jaxdyn.sweep(spectrum, jaxdyn.models.random_rnn(n=500, g=1.1), {"J": couplings})
print(f"500 units, g = 1.1: exponents, errors\n{chaos[['exponents', 'std_error']].to_array()[..., 0].values.round(4)}")

with jaxdyn.plot.style(figure_figsize=(7, 5.2)):
    figure, ((top, left), (bottom, right)) = plt.subplots(2, 2, layout="constrained")
    top.loglog(sizes, missed, label="missed by the linearization")
    top.loglog(sizes, missed[0] * (sizes / sizes[0]) ** 2, "k:", label="slope 2")
    top.set(xlabel=r"displacement $|\Delta x|$ of the inputs", ylabel="error of the outputs")
    top.legend()
    bottom.hist(growth, bins=40)
    bottom.axvline(0, color="black", linewidth=0.8)
    bottom.set(xlabel="largest real part at rest, $N = 100$, $g = 0.9$", ylabel="number of networks")
    for g, ax in ((0.9, left), (1.1, right)):
        values = jaxdyn.eigenvalues(jaxdyn.models.random_rnn(n=500, g=g, x0=np.zeros(500)))
        print(f"500 units, g = {g}: largest real part at rest {jaxdyn.spectral_abscissa(values):+.4f}")
        jaxdyn.plot.eigenvalues(values, ax=ax).add_patch(Circle((-1, 0), g, fill=False, linestyle="--"))
        ax.set_ylabel(rf"Im $\lambda$ at $N = 500$, $g = {g}$")
    figure.savefig(options.out / "random_network_linear.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(7, 3.6)):
    figure, panels = plt.subplots(2, 3, layout="constrained")
    cases = [("identity", 0.9), ("identity", 1.1), ("tanh", 0.9), ("tanh", 1.1), ("tanh", 2.0)]
    for (phi, g), ax in zip(cases, panels.flat[[0, 1, 3, 4, 5]], strict=True):
        system = jaxdyn.models.random_rnn(n=500, g=g, phi=phi)
        run = jaxdyn.trajectory(system, t1=100.0, dt=0.1)
        jaxdyn.plot.trajectory(run, system=system, states=["x1", "x10", "x16", "x92", "x450"], ax=ax)
        ax.get_legend().remove()
        ax.set_title(rf"$\phi$ = {phi}, $g = {g}$")
        print(f"{phi}, g = {g}: root mean square {np.std(run.x[0]):.2f} at t = 0, {np.std(run.x[-1]):.3g} at t = 100")
    panels[0, 2].set_axis_off()
    panels[0, 2].legend(*ax.get_legend_handles_labels(), loc="center")
    figure.savefig(options.out / "random_network.png", dpi=200)
