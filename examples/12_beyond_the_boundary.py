"""Two learners whose rates lie beyond the boundary of stability.

Question: a run with gamma_k = 2.001 seems to wander; what does it do in the end, and what do larger rates do?

Answer: it overshoots for ever, on a 2-cycle of half-amplitude 0.0224 = sqrt((gamma_k - 2)/2), of which 100 steps show
0.0492; 45 % of random starts diverge. At sigma = 1/2, gamma_w = 0.9 the cycle is lost at gamma_k = 2.262 and nothing
bounded is left; at sigma = 1/4, gamma_w = 1.5 periods double until there is chaos. Of the cells beyond the boundary,
with rates up to 3, 29 % stay bounded at sigma = 1/2 and 59 % (10 % in chaos) at 1/4, from next to the minimum.

    python examples/12_beyond_the_boundary.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.models import learner_theory as theory

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="coarse grids, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # close to the boundary, distances shrink by little per step
n_starts, n_gamma, n_plane, n_steps = (200, 60, 12, 1000) if options.smoke else (10_000, 900, 300, 4000)
half = jaxdyn.models.two_learner_descent(gamma_k=2.001, gamma_w=0.9, x0=[0.5, 0.2])
quarter = jaxdyn.models.two_learner_descent(sigma_k=0.25, sigma_w=0.25, gamma_w=1.5)

starts = {"x0": np.random.default_rng(0).standard_normal((n_starts, 2))}
ends = jaxdyn.sweep(partial(jaxdyn.final_state, n_steps=n_steps), half, starts)
print(f"gamma_k = 2.001: {float((ends.status != 0).mean()):.3f} of standard normal starts diverge")
cycle = jaxdyn.fixed_points(half, box={"k": (0.5, 1), "w": (0.5, 1)}, period=2, max_points=3)
print(f"2-cycle {np.asarray(cycle.x[::2]).tolist()}, multipliers of two steps {cycle.eigenvalues.real[0]}")


def late(system):
    """States after a long time, and the Lyapunov exponent, from next to the minimum."""
    near = system.with_state(theory.stationary_points(system.params)[1] + np.array([0.003, 0.001]))
    settled = system.with_state(jaxdyn.final_state(near, n_steps=n_steps).x)
    spectrum = jaxdyn.lyapunov_spectrum(settled, n_steps=n_steps, n_exponents=1)
    return {"k": jaxdyn.trajectory(settled, n_steps=95).x[:, 0], "exponent": spectrum.exponents[0]}


with jaxdyn.plot.style(figure_figsize=(7, 2.5)):
    figure, (time, *diagrams) = plt.subplots(1, 3, layout="constrained")
    k = jaxdyn.trajectory(half, n_steps=3000).x[:, 0]
    print(f"half-amplitude after 100 steps {abs(k[100] - k[99]) / 2:.4f}, after 3000 {abs(k[3000] - k[2999]) / 2:.4f}")
    time.plot(k, ".", markersize=1.2)
    time.plot([0, 3000], [cycle.x[::2, 0]] * 2, "k--", linewidth=0.8)
    time.set(xlabel="step", ylabel="first learner $k$", title=r"$\sigma = 1/2$, $\gamma_k = 2.001$", ylim=(0.5, 0.9))
    games = (half, 1.9, 2, 2.3, "1/2"), (quarter, 1, 8 / 7, 2.5, "1/4")
    for ax, (system, low, critical, high, sigma) in zip(diagrams, games, strict=True):
        orbits = jaxdyn.sweep(late, system, {"gamma_k": np.linspace(low, high, n_gamma)})
        print(f"bounded up to gamma_k = {orbits.gamma_k.values[np.isfinite(orbits.exponent)].max():.4f}")
        ax.plot(orbits.gamma_k, orbits.k, "k.", markersize=1, markeredgewidth=0, rasterized=True)
        ax.axvline(critical, color="C1", linewidth=0.8)
        ax.set(xlabel=r"learning rate $\gamma_k$", ylim=(0, 1.6))
        ax.set_title(rf"$\sigma = {sigma}$, $\gamma_w = {system.params['gamma_w']:.1f}$")
    amplitude = np.linspace(-0.36, 0.36, 101)
    diagrams[0].plot(2 + 2 * amplitude**2, np.sqrt(0.5) + amplitude, "C0--", linewidth=0.8)
    figure.savefig(options.out / "learner_cycles.png", dpi=200)

with jaxdyn.plot.style(figure_figsize=(7, 3.3)):
    figure, panels = plt.subplots(1, 2, layout="constrained", sharey=True)
    rates = np.linspace(0.02, 3, n_plane)
    for ax, system in zip(panels, (half, quarter), strict=True):
        plane = jaxdyn.sweep(late, system, {"gamma_k": rates, "gamma_w": rates}, keep=["exponent"])
        margin = theory.stability_margin(system.params | {"gamma_k": rates[:, None], "gamma_w": rates})
        beyond = plane.exponent.values[np.asarray(margin) < 0]
        print(f"beyond: {beyond.size} cells, {np.isfinite(beyond).sum()} bounded, {(beyond > 0.01).sum()} chaotic")
        plane.exponent.attrs["long_name"] = r"Lyapunov exponent $\lambda_1$ per step"
        jaxdyn.plot.sweep(plane, "exponent", ax=ax, vmin=-1, vmax=1)
        jaxdyn.plot.boundary(*theory.stability_boundary(system.params), ax=ax, label="minimum stable inside, exact")
        ax.label_outer()
    figure.savefig(options.out / "learner_exponents.png", dpi=200)
