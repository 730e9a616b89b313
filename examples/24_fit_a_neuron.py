"""Parameters of a FitzHugh-Nagumo neuron from a noisy trace of its voltage.

Question: what does one voltage trace with noise of 5 % tell of a neuron, whose second variable nobody saw?

Answer: all that can be told. Three parameters come out within 0.3 % and their errors (a = 0.6994(6), b = 0.7980(25),
tau = 12.511(12)), and so does the variable w that was never measured. The current I must be known: with w - I for w, it
and a enter only as a - b I, and a fit of both reports errors without bound. Of 24 starts in a short window 7 come
close; from the best the whole trace decides. There at once, each spike too early or too late would make a valley.

    python examples/24_fit_a_neuron.py [--smoke] [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.learning import fit, gauss_newton

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few starts and a short trace, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # the line search ends at rounding
dt, window, n_steps, n_starts, n_descent = 0.1, 1000, 8000, 24, 300
if options.smoke:
    window, n_steps, n_starts, n_descent = 400, 800, 4, 20
neuron = jaxdyn.models.fitzhugh_nagumo()  # the current I is the experimenter's
clean = jaxdyn.trajectory(neuron, n_steps=n_steps, dt=dt)
noise = 0.05 * float(jnp.std(clean.x[:, 0]))
trace = clean.x[:, 0] + noise * np.random.default_rng(0).normal(size=n_steps + 1)


def residuals(system, n):
    """Voltage of the model beside the trace, over n steps."""
    return jaxdyn.trajectory(system, n_steps=n, dt=dt).x[:, 0] - trace[: n + 1]


over = {"a": (0.2, 1.2), "b": (0.2, 1.2), "tau": (5, 25), "v": (-2.5, 2.5), "w": (-2, 2)}
guess = neuron.with_params(a=0.5, b=0.5, tau=10.0).with_state(v=float(trace[0]), w=0.0)
# A short window first: in a long one spikes that come too soon or too late make a valley each.
rough = fit(guess, lambda s: residuals(s, window), over=over, n_starts=n_starts, n_steps=n_descent, progress=False)
fine = fit(rough.system, lambda s: residuals(s, n_steps), gauss_newton(), over=over, n_steps=40, progress=False)
n_found = int((rough.loss < 2 * rough.loss.min()).sum())
print(f"{n_found} of {n_starts} starts come within twice the smallest loss")
print(f"mean square of the residuals {float(fine.loss[0]):.6f}, of the noise {noise**2:.6f}")
truth = neuron.params | dict(zip(neuron.state_names, neuron.x0, strict=True))
deviations = []
for name in over:
    value, error, true = map(float, (fine.params[name][0], fine.std_error[name], truth[name]))
    deviations.append((100 * (value / true - 1), 100 * abs(error / true)))
    print(f"{name} = {value:.4f} +- {error:.4f}, truth {true:g}: {deviations[-1][0]:+.2f} %")

model = jaxdyn.trajectory(fine.system, n_steps=n_steps, dt=dt)
with jaxdyn.plot.style(figure_figsize=(7, 4.2)):
    figure, axes = plt.subplot_mosaic([["trace"] * 2, ["loss", "found"]], layout="constrained")
    ax, shown = axes["trace"], slice(0, min(n_steps, 2000))
    ax.plot(clean.t[shown], trace[shown], ".", color="0.7", markersize=1.5, label="$v$, measured")
    ax.plot(model.t[shown], model.x[shown], label=["$v$, fitted", "$w$, fitted"])
    ax.plot(clean.t[shown], clean.x[shown, 1], "k:", label="$w$, which nobody saw")
    ax.set(xlabel="time", xlim=(0, clean.t[shown][-1]), ylim=(-2.5, 3.2))
    ax.legend(ncols=4, loc="upper right")
    good = rough.loss < 2 * rough.loss.min()
    axes["loss"].semilogy(rough.history[:, ~good], color="0.7", linewidth=0.6)
    axes["loss"].semilogy(rough.history[:, good], color="C0", linewidth=0.6)
    axes["loss"].axhline(noise**2, color="black", linestyle=":")
    axes["loss"].set(xlabel="step of Adam", ylabel="mean square residual", xlim=(0, n_descent), ylim=(2e-3, 9))
    axes["loss"].text(n_descent, 0.9 * noise**2, "mean square of the noise", ha="right", va="top", fontsize=7)
    percent, errors = np.transpose(deviations)
    axes["found"].errorbar(range(len(over)), percent, errors, fmt="o", capsize=3)
    axes["found"].axhline(0, color="0.6", linewidth=0.6, zorder=0)
    axes["found"].set_xticks(range(len(over)), ["$a$", "$b$", r"$\tau$", "$v(0)$", "$w(0)$"])
    axes["found"].set(ylabel="deviation from the truth (%)", xlim=(-0.5, len(over) - 0.5))
    figure.savefig(options.out / "fit_a_neuron.png", dpi=200)
