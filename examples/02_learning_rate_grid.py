"""For which pairs of learning rates do two learners that share one error agree, and how fast?

Answer: the minimum attracts inside the closed-form boundary A < 2, B < 2, 2 - (A + B) + 2 A B h (1 - h) > 0 and nowhere
else, and there the measured convergence rate is the spectral radius of the Jacobian of one step. Beyond the boundary
the pair ends on cycles, on bounded motion without a short period, or diverges.

    python examples/02_learning_rate_grid.py [--smoke] [--out DIR]
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # distances from the minimum are followed down to 1e-11
OUTCOMES = ("converged", "period_2", "period_3_to_16", "other_bounded", "diverged")


def outcome(system):
    """What 1000 steps lead to, and the rate of approach in the first 200 of them, beside the one predicted."""
    end = jaxdyn.final_state(system, n_steps=1000).x
    after = jaxdyn.trajectory(system.with_state(end), n_steps=16).x
    returns = jnp.max(jnp.abs(after[1:] - end), axis=1) < 1e-6
    period = jnp.where(jnp.any(returns), jnp.argmax(returns) + 1, 0)
    code = jnp.select([period == 1, period == 2, period > 2, jnp.all(jnp.isfinite(after))], jnp.arange(4), 4)
    minimum = jnp.sign(end) * jnp.sqrt(1 - system.params["sigma_k"])
    distance = jnp.max(jnp.abs(jaxdyn.trajectory(system, n_steps=200).x - minimum), axis=1)
    last = jnp.max(jnp.where(distance > 1e-11, jnp.arange(201), 0))
    first = last // 2
    rate = (distance[last] / distance[first]) ** (1 / jnp.maximum(last - first, 1))
    predicted = jaxdyn.spectral_radius(jaxdyn.eigenvalues(system, minimum))
    return {"code": code.astype(jnp.int8), "rate": jnp.where(code == 0, rate, 0), "predicted": predicted}


n = 30 if options.smoke else 1000
rates, sigmas = 3 * np.arange(1, n + 1) / n, np.array([0.25, 0.5])
over = {("sigma_k", "sigma_w"): (sigmas, sigmas), "gamma_k": rates, "gamma_w": rates}
game = jaxdyn.models.two_learner_descent(x0=[0.5, 0.2])
began = time.perf_counter()
grid = jaxdyn.sweep(outcome, game, over)
seconds = time.perf_counter() - began
print(f"2 x {n} x {n} cells x 1216 steps: {seconds:.1f} s, {2 * n * n * 1216 / seconds:.3g} steps per s")
np.savez("/tmp/ex/g.npz", **{k: grid[k].values for k in grid})
