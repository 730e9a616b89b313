"""Chaotic oscillators in step: rings of coupled Rössler systems over the strength of their coupling.

Question: for which strengths do chaotic oscillators on a ring fall into step, and can that be told from one of them?

Answer: within a band. Small departures from synchrony shrink while the strength times each eigenvalue of the graph's
Laplacian lies between 0.15 and 4.3, a range that one oscillator tells (bottom). The eigenvalues of larger rings lie
farther apart, so that the band narrows (top, dotted lines): rings of 4, 8 and 12 fall into step over 70, 55 and 32 % of
the strengths up to 1.4, a ring of 16 almost nowhere. Beyond the band oscillators part, and beyond 1.25 they fly apart.

    python examples/15_coupled_oscillators.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few couplings for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

n_strengths, n_steps, dt = (24, 4_000, 0.05) if options.smoke else (160, 40_000, 0.05)
rossler = jaxdyn.models.rossler()


def departure(t, s, p):
    """One oscillator x, the direction u of a small departure d' = (J - gamma H) d through x, and log|d|."""
    x, u = s[:3], s[3:6]
    rate, change = jax.jvp(lambda y: rossler(t, y), (x,), (u,))
    change = change.at[0].add(-p["gamma"] * u[0])
    growth = jnp.sum(u * change) / jnp.sum(u * u)
    return jnp.concatenate([rate, change - growth * u, growth[None]])


def disorder(x):
    """Root mean square of the distances of all oscillators from their mean."""
    copies = x.reshape(-1, 3)
    return jnp.sqrt(jnp.mean((copies - jnp.mean(copies, axis=0, keepdims=True)) ** 2))


one = jaxdyn.flow(departure, {"gamma": 0.0}, [*np.asarray(rossler.x0), 1.0, 0.0, 0.0, 0.0])
told = jaxdyn.sweep(partial(jaxdyn.final_state, n_steps=n_steps, dt=dt), one, {"gamma": np.linspace(0, 6, n_strengths)})
gamma, rate = told.gamma.values, told.x.values[:, 6] / (n_steps * dt)
measures = {"disorder": jaxdyn.reducers.Mean(disorder)}
in_time = partial(jaxdyn.reduce, reducers=measures, n_steps=n_steps, n_transient=n_steps, dt=dt)
edges = np.interp(0, -rate[: len(gamma) // 4], gamma[: len(gamma) // 4]), gamma[rate < 0].max()
print(f"departures shrink for gamma from {edges[0]:.2f} to {edges[1]:.2f}")

with jaxdyn.plot.style(figure_figsize=(7, 5)):
    figure, (top, bottom) = plt.subplots(2, 1, layout="constrained", height_ratios=(3, 2))
    for n, color in zip((4, 8, 12, 16), ("C0", "C1", "C2", "C3"), strict=True):
        links = np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)
        starts = np.tile(rossler.x0, n) + 0.1 * np.random.default_rng(n).normal(size=3 * n)
        ring = jaxdyn.coupled(rossler, links, through="x").with_state(starts)
        found = jaxdyn.sweep(in_time, ring, {"coupling": np.linspace(0.01, 1.4, n_strengths)})
        kept = np.maximum(found.disorder_mean.values, 1e-8)
        top.semilogy(
            found.coupling, np.where(found.status == 0, kept, np.nan), ".-", ms=3, lw=0.7, c=color, label=f"{n}"
        )
        low, high = edges[0] / (2 - 2 * np.cos(2 * np.pi / n)), edges[1] / 4
        print(f"ring of {n}: in step for {(kept < 1e-4).mean():.0%} of all strengths, foretold {low:.2f} to {high:.2f}")
        top.axvline(low, color=color, ls=":")
    top.axvline(edges[1] / 4, color="0.5", ls=":")
    top.set(xlabel="coupling", ylabel="disorder")
    top.legend(title="oscillators")
    bottom.plot(gamma, rate)
    bottom.axhline(0, color="0.5", lw=0.7)
    bottom.set(xlabel="strength times eigenvalue", ylabel="growth of departures")
    figure.savefig(options.out / "coupled_oscillators.png", dpi=200)
