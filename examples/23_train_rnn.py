"""A network that learns to remember three bits: its fixed points and Lyapunov exponents during training.

Question: by which fixed points does a recurrent network remember, and how does its dynamics change as it learns?

Answer: by eight stable ones, one for each word of three bits, at the corners of a cube. On its edges lie 12 saddles
with one unstable direction, on its faces 6 with two, in its middle one with three: all there after 200 steps of Adam.
The exponents between pulses fall from 0 to -0.42 and less: what is not one of the words is forgotten in a few steps.

    python examples/23_train_rnn.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a short training, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()
jax.config.update("jax_enable_x64", True)  # fixed points to the last digit
n, n_epochs = 24, 3 if options.smoke else 20


def states(w, u):  # of one run, from rest
    return jax.lax.scan(lambda h, now: 2 * (cell(h, now, w),), jnp.zeros(n), u)[1]


def cell(h, u, w):
    return jnp.tanh(w["W"] @ h + w["B"] @ u)


def loss(w, u):  # the bits are the signs of the last pulses
    last = jax.lax.associative_scan(lambda old, new: jnp.where(new != 0, new, old), u, axis=1)
    return jnp.mean((jax.vmap(states, (None, 0))(w, u) @ w["out"].T - last) ** 2)


def step(carry, u):
    value, slope = jax.value_and_grad(loss)(carry[0], u)
    change, memory = optimizer.update(slope, carry[1])
    return (optax.apply_updates(carry[0], change), memory), value


@jax.jit
def dissected(w, u):  # the network between pulses, from states that it visits, drawn towards 0 and scattered
    network, runs = jaxdyn.learning.cell_map(cell, w, jnp.full(n, 0.1), jnp.zeros(3)), jax.vmap(states, (None, 0))(w, u)
    exponents = jaxdyn.lyapunov_spectrum(network, n_steps=2000, n_transient=1000, n_exponents=3).exponents
    starts = (runs * jnp.linspace(0, 1, 64)[:, None, None]).reshape(-1, n)
    starts += runs.std() / 2 * jax.random.normal(jax.random.key(1), starts.shape)
    return exponents, jaxdyn.learning.slow_points(network, starts), runs


random, optimizer = np.random.default_rng(0), optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.005))
pulses = random.choice([-1.0, 1.0], (n_epochs, 50, 64, 40, 3)) * (random.random((n_epochs, 50, 64, 40, 3)) < 0.25)
w = {"W": random.normal(0, 0.3, (n, n)), "B": random.normal(0, 0.6, (n, 3)), "out": random.normal(0, 0.2, (3, n))}
train, memory, course = jax.jit(partial(jax.lax.scan, step)), optimizer.init(w), [(np.nan, *dissected(w, pulses[0, 0]))]
for some in pulses:
    (w, memory), values = train((w, memory), some)
    course.append((values.mean(), *dissected(w, pulses[0, 0])))
losses, exponents, points, runs = zip(*course, strict=True)
counts = np.array([np.bincount(at.n_unstable[at.is_fixed], minlength=n)[:4] for at in points])
print(f"error {losses[1]:.3f} to {losses[-1]:.5f}, exponents {exponents[0].round(3)} to {exponents[-1].round(3)}")
print(f"fixed points with 0, 1, 2, 3 unstable directions, |f(x) - x| < {np.nanmax(points[-1].speed):.1g}:\n{counts}")
with jaxdyn.plot.style(figure_figsize=(7, 3.4)):
    space = (figure := plt.figure()).add_axes((0.0, 0.02, 0.56, 0.84), projection="3d")
    jaxdyn.plot.slow_points(points[-1], runs[-1][:24], ax=space, alpha=0.3)
    panels = figure.add_gridspec(3, 1, left=0.68, right=0.98, bottom=0.13, top=0.97, hspace=0.25).subplots(sharex=True)
    for ax, y, label in zip(panels, (losses, counts, exponents), ("error", "fixed points", "exponents"), strict=True):
        ax.plot(y)
        ax.set(ylabel=label, yscale="log" if y is losses else "linear")
    panels[1].lines[0].set_color("black")  # stable, as in the picture
    panels[2].set(xlabel="epoch of 50 steps", xticks=range(0, n_epochs + 1, 5))
    figure.savefig(options.out / "train_rnn.png", dpi=200)
