"""Poincaré sections of a conservative and of a dissipative flow.

Question: how does the motion of a star in the Hénon-Heiles galaxy change with its energy, and what is the map behind
the Rössler attractor and behind a forced oscillator with two wells?

Answer: at energy 1/12 orbits lie on closed curves, at 1/8 a chaotic sea has opened between islands, at 1/6 it fills
most of the section; the largest exponents follow. A return of the Rössler attractor is a map with one hump, whose
exponent over the mean return time is that of the flow, 0.071; that of the forced oscillator, 0.157, comes from its
stroboscopic map in the same way.

    python examples/19_poincare_section.py [--smoke] [--out DIR]
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
arguments.add_argument("--smoke", action="store_true", help="few orbits for a short time, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()
jax.config.update("jax_enable_x64", True)  # a chaotic orbit of float32 numbers on a curve closes after some thousand
n_orbits, n_points = (12, 60) if options.smoke else (40, 400)
n_points_of_maps, n_lanes = (300, 16) if options.smoke else (3000, 64)

# Hénon-Heiles: the plane x = 0, passed with u > 0; starts on the axis of y and on that of v, of one energy each.
galaxy = jaxdyn.poincare(jaxdyn.models.henon_heiles(), {"x": 0.0}, dt=0.05, method=jaxdyn.Tsit5())


def starts(energy):
    y = np.r_[np.linspace(-0.6, 0.9, n_orbits // 2), np.zeros(n_orbits // 2)]
    v = np.r_[np.zeros(n_orbits // 2), np.linspace(0.02, 0.55, n_orbits // 2)]
    squared = 2 * energy - v**2 - y**2 + 2 / 3 * y**3  # u^2 at x = 0
    inside = squared > 1e-4
    return jnp.asarray(np.stack([y, np.sqrt(np.where(inside, squared, 0)), v], axis=1)[inside])


def orbit(x0, measure):
    return measure(galaxy.with_state(x0))


points = partial(jaxdyn.section_points, n_points=n_points)
exponent = partial(jaxdyn.maximal_lyapunov, n_steps=n_points)

# Rössler and Duffing: exponents of the maps over the time of one iterate, from many starts.
turns = jaxdyn.poincare(jaxdyn.models.rossler(), {"y": 0.0}, direction=-1, dt=0.025)
hump = jaxdyn.section_points(turns, n_points=n_points_of_maps, n_transient=50)
strobe = jaxdyn.stroboscopic(jaxdyn.models.duffing(), lambda p: 2 * jnp.pi / p["omega"], n_steps=126)
late = strobe.with_state(jaxdyn.final_state(strobe, n_steps=100).x)
wells = jaxdyn.trajectory(late, n_steps=4 * n_points_of_maps)
for name, system, time in (("Rössler", turns, hump.mean_return_time), ("Duffing", strobe, 2 * np.pi)):
    x0 = system.x0 + jax.random.uniform(jax.random.key(0), (n_lanes, system.dim), maxval=0.1)
    run = jaxdyn.lanes(lambda x, of=system: jaxdyn.maximal_lyapunov(of.with_state(x), n_steps=n_points_of_maps))(x0)
    rates = run.exponent / time
    print(f"{name}: largest exponent {rates.mean():.4f} +- {rates.std() / np.sqrt(n_lanes - 1):.4f} per unit of time")

with jaxdyn.plot.style(figure_figsize=(7, 5)):
    figure, (above, below) = plt.subplots(2, 3, layout="constrained", height_ratios=(1.15, 1))
    for ax, divisor in zip(above, (12, 8, 6), strict=True):
        x0 = starts(1 / divisor)
        run = jaxdyn.lanes(partial(orbit, measure=points))(x0)
        rates = jaxdyn.lanes(partial(orbit, measure=exponent))(x0).exponent / run.mean_return_time
        print(f"Hénon-Heiles, E = 1/{divisor}: largest exponents up to {np.nanmax(rates):.3f} of {len(x0)} orbits")
        drawn = ax.scatter(run.x[..., 0], run.x[..., 2], c=np.repeat(rates, n_points), s=0.4, linewidths=0, vmax=0.12)
        ax.set(title=f"energy 1/{divisor}", xlabel="$y$", ylabel="$v$", aspect="equal")
        ax.set(xlim=(-0.55, 1.05), ylim=(-0.65, 0.65))
    figure.colorbar(drawn, ax=above, label="exponent of the orbit", shrink=0.7)
    jaxdyn.plot.return_map(hump, "x", system=turns, ax=below[0])
    jaxdyn.plot.return_map(hump.return_time, ax=below[1])
    below[1].set(xlabel="return time $T_n$", ylabel="$T_{n+1}$")
    jaxdyn.plot.phase_trajectory(wells, system=strobe, ax=below[2], markersize=0.6, color="black")
    figure.savefig(options.out / "poincare_section.png", dpi=200)
