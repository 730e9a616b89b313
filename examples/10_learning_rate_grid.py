"""Fate of two learners that share one error, over the plane of their learning rates.

Question: for which pairs of rates do they agree, and how fast?

Answer: inside the closed-form boundary A < 2, B < 2, 2 - (A + B) + 2 A B h (1 - h) > 0 the minimum attracts, at the
rate that the spectral radius of one step predicts (median difference 2e-7); 98.2 % of the cells inside settle in 1000
steps, others lie very close to the boundary or have a tiny rate. Beyond it the pair cycles, wanders or diverges (53 %).

    python examples/10_learning_rate_grid.py [--smoke] [--out DIR]
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.models import learner_theory as theory

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # distances from the minimum are followed down to 1e-11


def outcome(system):
    """What 1000 steps lead to, and the rate of return to the minimum from nearby beside the one predicted."""
    end = jaxdyn.final_state(system, n_steps=1000).x
    after = jaxdyn.trajectory(system.with_state(end), n_steps=16).x
    returns = jnp.all(jnp.abs(after[1:] - end) < 1e-6, axis=1)  # after 1, 2, ... 16 steps
    code = jnp.select([returns[0], returns[1], jnp.any(returns), jnp.all(jnp.isfinite(after))], list(range(4)), 4)
    minimum = jnp.full(2, jnp.sqrt(1 - system.params["sigma_k"]))
    back = jaxdyn.trajectory(system.with_state(minimum + jnp.array([0.01, -0.02])), n_steps=200).x
    distance = jnp.linalg.norm(back - minimum, axis=1)
    last = jnp.max(jnp.where(distance > 1e-11, jnp.arange(201), 0))
    gap = jnp.clip(2 * (last // 8), 2, last)  # an even number of steps: two multipliers of opposite sign alternate
    rate = (distance[last] / distance[last - gap]) ** (1 / gap)
    predicted = jaxdyn.spectral_radius(jaxdyn.eigenvalues(system, minimum))
    return {"outcome": code.astype(jnp.int8), "rate": rate, "predicted": predicted}


n = 30 if options.smoke else 1000
rates, sigmas = 3 * np.arange(1, n + 1) / n, np.array([0.25, 0.5])
over = {("sigma_k", "sigma_w"): (sigmas, sigmas), "gamma_k": rates, "gamma_w": rates}
began = time.perf_counter()
grid = jaxdyn.sweep(outcome, jaxdyn.models.two_learner_descent(tau=1.0, x0=[0.5, 0.2]), over)
print(f"2 x {n} x {n} cells x 1216 steps: {time.perf_counter() - began:.1f} s")
words = ["converged", "period_2", "period_3_to_16", "other_bounded", "diverged"]
grid.outcome.attrs = {"long_name": "after 1000 steps", "flag_values": range(5), "flag_meanings": words}
games = {"tau": 1.0, "sigma_k": sigmas[:, None, None], "sigma_w": sigmas[:, None, None]}
stable = grid.outcome.copy(data=theory.stability_margin(games | {"gamma_k": rates[:, None], "gamma_w": rates}) > 0)
for where, mask in {"inside": stable, "outside": ~stable}.items():
    counts = [f"{word} {int(((grid.outcome == code) & mask).sum())}" for code, word in enumerate(words)]
    print(f"{where} the boundary, of {int(mask.sum())} cells: {', '.join(counts)}")
error = np.abs(grid.rate - grid.predicted).where(stable & (grid.outcome == 0)).quantile([0.5, 0.99]).values
print(f"measured less predicted rate: median {error[0]:.1e}, 99 % below {error[1]:.1e}")

with jaxdyn.plot.style(figure_figsize=(7, 3.4)):
    figure, panels = plt.subplots(1, 2, layout="constrained", sharey=True)
    curves = np.moveaxis(theory.stability_boundary({"tau": 1.0, "sigma_k": sigmas, "sigma_w": sigmas}), 1, 0)
    for sigma, curve, ax in zip(sigmas, curves, panels, strict=True):
        jaxdyn.plot.sweep(grid, "outcome", select={"sigma_k": sigma}, ax=ax)
        jaxdyn.plot.boundary(*curve, ax=ax, label="stable inside, exact")
        ax.set_title(rf"$\sigma_k = \sigma_w = {sigma}$", y=0.9, x=0.97, ha="right")
        ax.label_outer()
    panels[-1].get_legend().remove()
    figure.savefig(options.out / "learning_rate_grid.png", dpi=200)
with jaxdyn.plot.style():
    some = grid.where(grid.outcome == 0).to_dataframe()[::97]
    figure, ax = plt.subplots(layout="constrained")
    ax.plot(some.predicted, some.rate, ".", markersize=2)
    ax.axline((0, 0), slope=1, color="black", linewidth=0.7)
    ax.set(xlabel="spectral radius of one step at the minimum", ylabel="measured rate per step")
    figure.savefig(options.out / "learning_rate_convergence.png", dpi=200)
