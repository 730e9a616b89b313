"""Rest and spikes of the FitzHugh-Nagumo neuron: fixed point, nullclines, linearization, Hopf points.

Question: from which current on does the neuron spike, and what does its linearization tell of that?

Answer: rest is stable at I = 0.3 (eigenvalues -0.0253 +- 0.2802i), not at 0.4 (+0.0571 +- 0.2556i): it is unstable for
0.3312813375 < I < 1.4187186625. The linear system knows this, but no spikes: they exist from I = 0.3242 on (followed as
a cycle, 0.3241785), beside stable rest. Euler's method in steps of 0.01 makes rest unstable from 0.3308157 on already.

    python examples/03_fitzhugh_nagumo.py [--smoke] [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="few currents, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # Hopf points to ten digits
neuron = jaxdyn.models.fitzhugh_nagumo()
a, b = float(neuron.params["a"]), float(neuron.params["b"])
with jaxdyn.plot.style(figure_figsize=(7, 5)):
    figure, panels = plt.subplots(2, 2, layout="constrained", height_ratios=(3, 2))
    for I, (plane, series) in zip((0.3, 0.4), panels.T, strict=True):
        system = neuron.with_params(I=I)
        points = jaxdyn.fixed_points(system)
        rest, roots = points.x[0], np.roots([b / 3, 0, 1 - b, a - b * I])  # v' = w' = 0 without w
        print(f"I = {I}: {points.n_found} fixed point, {rest}; real root of the cubic {roots[roots.imag == 0].real}")
        print(f"    Jacobian {jaxdyn.jacobian(system, rest).round(8).tolist()}, eigenvalues {points.eigenvalues[0]}")
        system = system.with_state(rest + jnp.array([0.3, 0.1]))
        run, linear = (jaxdyn.trajectory(s, t1=100.0, dt=0.1) for s in (system, jaxdyn.linearize(system, rest)))
        jaxdyn.plot.phase_plane(system, ("v", -2.5, 2.5), ("w", -1, 2), fixed_points=points, trajectories=run, ax=plane)
        for state, value, color, label in zip("vw", rest, ("C0", "C1"), ("linearized", None), strict=True):
            look = {"system": system, "states": state, "color": color, "ax": series}
            jaxdyn.plot.trajectory(run, label=f"${state}$", **look)
            jaxdyn.plot.trajectory(linear, label=label, linestyle=":", **look)
            series.axhline(value, color=color, linewidth=0.4)
        series.set(ylim=(-2.6, 2.6), ylabel=f"$v$ and $w$ at $I = {I}$")
    figure.savefig(options.out / "fitzhugh_nagumo.png", dpi=200)


def growth(I, dt):
    """Growth per time at the fixed point: (|1 + dt z|^2 - 1)/(2 dt) of Euler's steps, real part of z at dt = 0."""
    system = neuron.with_params(I=I)
    z = jaxdyn.fixed_points(system).eigenvalues[0]
    return jnp.max(z.real + dt / 2 * jnp.abs(z) ** 2)


newton = jax.jit(jax.vmap(lambda I, dt: I - growth(I, dt) / jax.grad(growth)(I, dt)))
hopf = jnp.array([0.3, 1.45, 0.3])
for _ in range(8):
    hopf = newton(hopf, jnp.array([0, 0, 0.01]))
print("Hopf points {:.10f} and {:.10f}; the first one for Euler's method with dt = 0.01 {:.10f}".format(*hopf))


def swing(system):
    """Range of v after a long time."""
    settled = system.with_state(jaxdyn.final_state(system, t1=60_000.0, dt=0.1).x)
    return jnp.ptp(jaxdyn.trajectory(settled, t1=100.0, dt=0.1).x[:, 0])


over = {"I": np.linspace(0.323, 0.333, 21 if options.smoke else 401), ("v", "w"): ([-0.97, 2.0], [-0.3375, 0.0])}
swings = jaxdyn.sweep(swing, neuron, over).value
print(f"spikes from I = {float(swings.I[swings[:, 1] > 1][0]):.6f} on")
with jaxdyn.plot.style():
    ax = plt.figure(layout="constrained").subplots()
    ax.plot(swings.I, swings, label=["start beside rest", "start far from rest"])
    ax.axvline(hopf[0], color="0.6", zorder=0, label="Hopf point")
    ax.axvline(hopf[2], color="0.6", linestyle=":", zorder=0, label="for Euler's method")
    ax.set(xlabel="current $I$", ylabel="range of $v$ in the long run")
    ax.legend(loc="center")
    plt.savefig(options.out / "fitzhugh_nagumo_hopf.png", dpi=200)
