"""Linear systems of one and two states: stability, vector fields, a line attractor, growth before decay.

Question: what do the eigenvalues of A tell about x[n+1] = A x[n], and what do they not tell?

Answer: the end. Inside the unit circle all decays; negative eigenvalues alternate, complex ones rotate (here by 120.96
degrees a step), and one of exactly 1 keeps what inputs add. The stable traces and determinants are an exact triangle.
They do not tell the beginning: with 0.9, 0.8 and a shear of 2, perturbations grow 5.418 times before they decay.

    python examples/01_linear_systems.py [--smoke] [--out DIR]
"""

import argparse
import functools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="coarse grids")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

models, rotation = jaxdyn.models, [[-0.3, -0.5], [0.5, -0.3]]
a, run = np.array([-1.05, -0.9, 0.5, 0.9, 1.0, 1.05]), functools.partial(jaxdyn.trajectory, n_steps=20)
x = jaxdyn.sweep(run, models.linear_map(A=[[0.5]], x0=[4.0]), {"A": a[:, None, None]}).x.values[..., 0]
inputs = np.repeat([0.0, 8, 0, 8, 0, -8, 0], [5, 1, 9, 1, 9, 1, 14])[:, None] * [1, 1]  # (step, state)
cases = {"symmetric": models.linear_map(A=[[-0.5, 0.1], [0.1, -0.2]]), "line attractor": models.line_attractor()}
cases = {f"{name}, with inputs": jaxdyn.driven(case, jaxdyn.samples(inputs)) for name, case in cases.items()}
cases |= {"rotation": models.linear_map(A=rotation), "not normal": models.linear_map(A=[[0.2, -0.1], [0.2, 0.5]])}
runs = {name: jaxdyn.trajectory(case, n_steps=40) for name, case in cases.items()}
for name, case in cases.items():
    values, A = jaxdyn.eigenvalues(case), np.asarray(case.params["A"])
    polar = f"{abs(values)} at {np.degrees(np.angle(values))} degrees"
    print(f"{name}: eigenvalues {polar}, normal: {np.allclose(A @ A.T, A.T @ A)}, x[40] = {runs[name].x[-1]}")
planes = {"map, not normal": cases["not normal"], "map, rotation": cases["rotation"]}
planes |= {"flow, rotation": models.linear_flow(A=rotation), "flow, line attractor": models.line_attractor_flow()}
with jaxdyn.plot.style(figure_figsize=(7.6, 6.4)):
    figure, axes = plt.subplots(3, 3, layout="constrained")
    for name, ax in zip(list(runs)[:3], axes.flat[[1, 8, 2]], strict=True):
        jaxdyn.plot.trajectory(runs[name], system=cases[name], ax=ax).set_title(name)
    for (name, system), ax in zip(planes.items(), axes.flat[[3, 4, 5, 7]], strict=True):
        look = {"trajectories": [(20, 10), (-40, -30)], "density": 0.6}
        jaxdyn.plot.phase_plane(system, **look, ax=ax).set_title(name)
    drawn = [ax for ax in axes.flat if ax.get_legend() is not None and not ax.get_legend().remove()]
    entries = {label: line for ax in drawn for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=5)
    axes[0, 0].plot(x.T, label=a)
    axes[0, 0].set(xlabel="step", ylabel="$x$", ylim=(-11, 29), title="one state, $x_{n+1} = a x_n$")
    axes[0, 0].legend(ncols=2, loc="upper center", title="$a$")
    jaxdyn.plot.eigenvalues(np.stack([*map(jaxdyn.eigenvalues, cases.values())]), discrete=True, ax=axes[2, 0])
    figure.savefig(options.out / "linear_systems.png", dpi=200)

n, envelope = 41 if options.smoke else 201, functools.partial(jaxdyn.transient_growth, times=range(61))
plane = jaxdyn.iterated_map(lambda n, x, p: (p["t"] * x[0] - p["d"] * x[1], x[0]), {"t": 0.0, "d": 0.0}, [1.0, 0.0])
shear = jaxdyn.iterated_map(lambda n, x, p: (p["a"] * x[0] + p["c"] * x[1], 0.8 * x[1]), {"a": 0.9, "c": 2.0}, [0.0, 1])
over = {"t": np.linspace(-3, 3.01, n), "d": np.linspace(-1.5, 1.51, n)}  # trace and determinant
kind = jaxdyn.sweep(lambda s: {"stability": jaxdyn.stability(jaxdyn.eigenvalues(s), discrete=True)}, plane, over)
wrong = kind.stability.isin([1, 2, 9]) != ((abs(kind.t) < 1 + kind.d) & (kind.d < 1))
grown = jaxdyn.sweep(envelope, shear, {"a": np.linspace(-0.98, 0.98, n), "c": np.linspace(0.001, 3, n)})
edge = 0.6 * np.sqrt(1 - grown.a**2)  # |A| = 1
differ = (grown.reactivity > 0) != (grown.c > edge)
print(f"of {n} x {n} matrices {int(wrong.sum())} and {int(differ.sum())} are on the wrong side of the exact lines")
with jaxdyn.plot.style(figure_figsize=(7.6, 3.2)):
    figure, panels = plt.subplots(1, 3, layout="constrained")
    jaxdyn.plot.sweep(kind, "stability", ax=panels[0]).set(xlabel="trace", ylabel="determinant")
    jaxdyn.plot.boundary([-2, 0, 2, -2], [1, -1, 1, 1], ax=panels[0], label="stable inside, exact")
    panels[0].get_legend().remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    for c in (0.0, 0.5, 2.0):
        growth = envelope(shear.with_params(c=c))
        panels[1].plot(growth.amplification, label=f"$c = {c}$")
        print(f"shear {c}: up to {growth.largest_amplification:.3f} times, after {growth.time_of_largest} steps")
    panels[1].set(xlabel="step", ylabel="amplification $|A^n|$")
    panels[1].legend(title="eigenvalues 0.9, 0.8")
    jaxdyn.plot.sweep(grown, "largest_amplification", ax=panels[2], norm="log").set(xlabel="$a$", ylabel="shear $c$")
    jaxdyn.plot.boundary(grown.a, edge, ax=panels[2], label="$|A| = 1$, exact")
    figure.savefig(options.out / "linear_planes.png", dpi=200)
