"""Edge of stability: how sharp the place becomes to which training by full batches leads a network.

Question: gradient descent diverges where the curvature exceeds 2 / eta. What keeps training of a network from it, and
is that so for momentum and Adam?

Answer: training does not stay at such places. The sharpness, the largest curvature, rises until it is 2 / eta; then the
loss jumps and the sharpness falls, again and again, and it ends within some percent of 2 / eta (0.91 to 0.98 of it)
while the loss goes on to fall. With momentum 0.9 it rises to 3.8 / eta, with Adam the sharpness that its preconditioner
has scaled to 38 / eta (0.92 to 1.03 of it). Runs of rates so small that no place is too sharp never come there.

    python examples/22_edge_of_stability.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxdyn
from jaxdyn import learning

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="short runs, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

n_steps, every, width = (400, 20, 20) if options.smoke else (10_000, 20, 20)
random = np.random.default_rng(0)
x = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
y = np.sin(3 * x) + 0.3 * np.cos(9 * x)
shapes = [(1, width), (width, width), (width, 1)]
start = [(random.normal(size=s).astype(np.float32) / s[0] ** 0.5, np.zeros(s[1], np.float32)) for s in shapes]


def loss(params):
    """Mean square error of a tanh network with two hidden layers."""
    hidden = x
    for weight, bias in params[:-1]:
        hidden = jnp.tanh(hidden @ weight + bias)
    return jnp.mean((hidden @ params[-1][0] + params[-1][1] - y) ** 2)


course = partial(learning.sharpness_course, n_steps=n_steps, every=every, n_iterations=20)
adaptive = partial(course, preconditioner=True)
average = {"momentum": 0.9, "form": "ema"}
runs = {  # optimizer, its other hyper-parameters, rates, what is measured, closed form of the threshold
    "gradient descent": (optax.sgd, {}, [0.04, 0.08, 0.16], course, {}),
    "momentum 0.9": (optax.sgd, {"momentum": 0.9}, [0.05, 0.1, 0.25], course, {"momentum": 0.9}),
    "Adam": (optax.adam, {}, [3e-4, 1e-3, 3e-3], adaptive, average),
}
with jaxdyn.plot.style(figure_figsize=(7, 4)):
    figure, panels = plt.subplots(2, 3, layout="constrained", sharex=True, height_ratios=(1, 1.5))
    for (name, (optimizer, hyper, rates, measure, form)), (above, below) in zip(runs.items(), panels.T, strict=True):
        system = learning.optimizer_map(loss, optimizer, start, hyper={"learning_rate": 1.0, **hyper})
        data = jaxdyn.sweep(measure, system, {"learning_rate": rates}, engine=jaxdyn.Vmap(), progress=False)
        jaxdyn.raise_if_failed(data)
        measured = learning.measured_threshold(optimizer, hyper={"learning_rate": rates[0], **hyper}).curvature
        print(f"{name}: threshold times rate {rates[0] * measured:.2f}; last quarter of the runs, sharpness over it")
        for i, rate in enumerate(rates):
            edge = float(learning.stability_threshold(rate, **form))
            above.semilogy(data.time, data.loss[i], linewidth=0.8)
            below.plot(data.time, data.sharpness[i], linewidth=0.8, label=rf"$\eta = {rate:g}$")
            below.axhline(edge, color=f"C{i}", linestyle="--", linewidth=0.6)
            late = data.sharpness[i, 3 * len(data.time) // 4 :].values / edge
            print(f"  rate {rate:g}: {late.min():.3f} to {late.max():.3f}; last loss {float(data.loss[i, -1]):.2g}")
        above.set_title(name)
        below.set(xlabel="step", xticks=[0, n_steps // 2, n_steps])
        below.legend()
        below.set_ylim(0, 1.45 * float(learning.stability_threshold(rates[0], **form)))  # room for the legend
    panels[1, 2].set(yscale="log", ylim=(1e3, 1e6), ylabel="preconditioned sharpness")
    panels[0, 0].set_ylabel("training loss")
    panels[1, 0].set_ylabel("sharpness")
    figure.savefig(options.out / "edge_of_stability.png", dpi=200)
