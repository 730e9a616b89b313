"""A random network tuned to the gain where its largest Lyapunov exponent is zero.

Question: at which gain is the largest exponent zero, and does its gradient lead there?

Answer: at none alone, but from the Hopf point of rest, g = 1.0737, to the onset of chaos between 1.6765 and 1.6835: a
cycle has the exponent zero. From rest the exponent is smooth, and its gradient leads across the Hopf point, to 1.0849,
in a few steps. From chaos none leads back: the gradient of an average over chaos grows with the time of averaging
(3e12 after 400 time units at g = 2.5; 0.9 at rest, 0.06 on the cycle), and the exponent itself has windows of order.
So its onset is bracketed: up to there all runs agree with zero, then one is above by four standard errors.

    python examples/25_tune_to_the_edge.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.learning import fit, gauss_newton

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few gains and short runs, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

n_gains, n_runs, n_steps, n_short = (8, 2, 1000, 640) if options.smoke else (28, 3, 20_000, 4000)
network = jaxdyn.models.random_rnn(n=100, seed=3)
lyapunov = partial(jaxdyn.maximal_lyapunov, dt=0.1)
edge = jaxdyn.hopf_point(network.with_params(g=0.9), "g", start=np.zeros(100))
print(f"rest loses stability at g = {float(edge.value):.4f}, angular frequency {float(edge.frequency):.4f}")

# The exponent as a residual: its square is smallest where it is zero.
short, long = (partial(lyapunov, n_steps=n, n_transient=n // 2) for n in (n_short, n_steps))
how = {"over": {"g": (0.5, 2)}, "n_steps": 8, "progress": False}
tuned = fit(network.with_params(g=0.8), lambda s: short(s).exponent[None], gauss_newton(), **how)
print(f"by the gradient from g = 0.8: g = {float(tuned.system.params['g']):.4f}")
starts = np.random.default_rng(0).normal(size=(n_runs, 100))


def bracket(low, high, n):
    """Exponents of all runs over gains; the last gain before any run is chaotic, and the first one where one is."""
    found = jaxdyn.sweep(long, network, {"g": np.linspace(low, high, n), "x0": starts}, progress=False)
    first = max(1, int(np.argmax((found.exponent > np.maximum(4 * found.std_error, 2e-3)).values.any(axis=1))))
    return found, *found.g.values[first - 1 : first + 1]


found, low, high = bracket(0.9, 2.6, n_gains)
closer, low, high = bracket(low, high, 10)
print(f"chaos begins between g = {low:.4f} and {high:.4f}")


@jax.jit
def gradient(g):
    """Gradient of the running exponent, from a state on the attractor."""
    settled = network.with_state(jaxdyn.final_state(network.with_params(g=g), n_steps=5000, dt=0.1).x)
    return jax.jacfwd(lambda g: lyapunov(settled.with_params(g=g), n_steps=n_short, n_transient=0).running)(g)


with jaxdyn.plot.style(figure_figsize=(7, 2.8)):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained", width_ratios=(3, 2))
    for runs in (found, closer):
        for values, error in zip(runs.exponent.T, runs.std_error.T, strict=True):
            left.errorbar(runs.g, values, error, fmt=".", color="C0", markersize=3, elinewidth=0.6)
    left.axvline(float(edge.value), color="C1", linewidth=0.8, label="Hopf point of rest")
    left.axvspan(low, high, color="C3", alpha=0.5, linewidth=0, label="onset of chaos")
    left.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    left.set(xlabel="gain of the coupling $g$", ylabel=r"largest exponent $\lambda$")
    left.legend(loc="lower right")
    for g, label in ((0.9, "rest"), (1.5, "cycle"), (2.5, "chaos")):
        slopes = gradient(g)
        right.semilogy(np.linspace(0, 0.1 * n_short, 33)[1:], abs(slopes), label=f"$g = {g}$, {label}")
        print(f"gradient at g = {g} after {0.1 * n_short:g} time units: {float(slopes[-1]):.3g}")
    right.set(xlabel="time of averaging", ylabel=r"$|d\lambda / dg|$")
    right.legend()
    figure.savefig(options.out / "tune_to_the_edge.png", dpi=200)
