"""A network that learns to keep a running sum: its line attractor, and how far that is a line.

Question: a sum may take any value. Where does a trained recurrent network keep it, and for how long?

Answer: on a line of slow points. Each has one eigenvalue of modulus 0.985 to 1.004, whose direction is the line, and no
other above 0.76: pulses along it add up, all else is forgotten in a few steps (Seung 1996, PNAS 93, 13339). Yet it is
no perfect line. Stable points (at -0.9, 0.1, 1.0) and saddles (-0.2, 0.4) take turns on it, and between them the sum
drifts by up to 0.0012 a step: errors are 0.015 after trials of 60 steps, 0.040 after 60 more of silence, and at last
three values are left. Training lifts one exponent from -0.35 to 0, no other (in example 23 all are -0.42 and less).

    python examples/26_line_attractor.py [--smoke] [--out DIR]
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
arguments.add_argument("--smoke", action="store_true", help="a short training, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()
jax.config.update("jax_enable_x64", True)  # fixed points to the last digit
n, n_epochs, n_silent = (32, 4, 1000) if options.smoke else (32, 60, 5000)


def cell(h, u, w):
    return (h + jnp.tanh(w["W"] @ h + w["B"] * u + w["b"])) / 2


def step(carry, now):
    change, memory = optimizer.update(slope(carry[0], now), carry[1])
    return (jax.tree.map(jnp.add, carry[0], change), memory), carry[0]


states = jax.vmap(lambda w, u: jax.lax.scan(lambda h, now: (x := cell(h, now, w), x), jnp.zeros(n), u)[1], (None, 0))
slope = jax.grad(lambda w, sums: jnp.mean((states(w, jnp.diff(sums, prepend=0)) @ w["out"] - sums) ** 2))
random, shape = np.random.default_rng(0), (50 * n_epochs, 64, 60)
walks = np.cumsum(random.normal(0, 0.2, shape) * (random.random(shape) < 0.25), axis=-1)
sums = 1 - np.abs((walks + 1) % 4 - 2)  # reflected at -1 and 1: all values between are as frequent
w = {"W": random.normal(0, 0.1, (n, n)), "B": random.normal(0, 1, n), "b": random.normal(0, 0.5, n), "out": np.zeros(n)}
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.005, 50 * n_epochs)))
(w, _), course = jax.lax.scan(step, (w, optimizer.init(w)), sums)
networks = jax.vmap(lambda w: jaxdyn.learning.cell_map(cell, w, jnp.zeros(n)))(jax.tree.map(lambda x: x[::50], course))
spectra = jax.vmap(lambda of: jaxdyn.lyapunov_spectrum(of, n_steps=2000, n_transient=2000, n_exponents=3))(networks)

network, last = jaxdyn.learning.cell_map(cell, w, jnp.zeros(n)), sums[-2:].reshape(-1, 60)
runs = states(w, np.diff(last, prepend=0))
points = jaxdyn.learning.slow_points(network, runs[::2].reshape(-1, n), tolerance=0.03, merge_within=0.2)
silent = jax.vmap(lambda x: jaxdyn.trajectory(network.with_state(x), n_steps=n_silent).x @ w["out"])(runs[:, -1])
fixed, place, moduli = points.is_fixed, points.x @ w["out"], abs(points.eigenvalues)
np.set_printoptions(precision=4, suppress=True)
print("errors after 0, 20, 60 silent steps", np.mean((silent[:, [0, 20, 60]] - last[:, -1:]) ** 2, axis=0) ** 0.5)
print(f"moduli of {points.n_found} slow points {np.nanmin(moduli, 0)[:2]} to {np.nanmax(moduli, 0)[:2]}")
print(f"fixed points at {place[fixed]}, time constants {1 / (1 - moduli[fixed, 0])}")
print("exponents before and after training", spectra.exponents[0], spectra.exponents[-1])

with jaxdyn.plot.style(figure_figsize=(7, 4.2)):
    figure, ax = plt.subplot_mosaic("AAB;CDE", layout="constrained")
    jaxdyn.plot.slow_points(points, runs[:24], ax=ax["A"], directions=False)
    dots = ax["A"].scatter(*np.concatenate([run.get_xydata() for run in ax["A"].lines[:24]]).T, c=last[:24], s=3)
    dots.set_clim(-1, 1)
    figure.colorbar(dots, cax=ax["A"].inset_axes((0.87, 0.07, 0.015, 0.5)), label="sum of pulses", ticks=[-1, 0, 1])
    ax["B"].plot(place, moduli[:, 0], ".", markersize=3)
    ax["B"].plot(place, moduli[:, 1:], "k.", markersize=1)
    ax["C"].set_prop_cycle(color=plt.get_cmap()((last[:, -1] + 1) / 2))
    ax["C"].semilogx(silent.T, linewidth=0.6)
    ax["D"].plot(1e3 * np.diff(silent[:, 20:]).T, silent[:, 20:-1].T, "0.7")
    ax["D"].scatter(0 * place[fixed], place[fixed], c=moduli[fixed, 0] > 1, cmap="gray", edgecolors="black", zorder=3)
    ax["E"].plot(spectra.exponents)
    words = "readout", "steps without pulses", "drift ($10^{-3}$ a step)", "epoch of 50 steps"
    for name, x, y in zip("BCDE", words, ("moduli of eigenvalues", "readout", "readout", "exponents"), strict=True):
        ax[name].set(xlabel=x, ylabel=y)
    figure.savefig(options.out / "line_attractor.png", dpi=200)
