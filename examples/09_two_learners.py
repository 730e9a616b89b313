"""Two learners that share one error: its landscape, its gradient flow, and descent with one learning rate each.

Question: where do both learners stand still, which of these points attract, and how fast?

Answer: at the origin and, only where sqrt(sigma_k sigma_w) < tau^2, at two opposite minima, all known in closed form.
Searches at 6400 pairs of penalties find nothing else; near that boundary the return to stable points is slow. A step of
descent shrinks distances by the spectral radius, but only in the end: from far away a constant (up to 3.7 here) comes
on top, and other starts lead to the other minimum or to infinity.

    python examples/09_two_learners.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.models import learner_theory as theory

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # distances from the minimum are followed down to 1e-12
game = {"tau": 1.3, "sigma_k": 0.4, "sigma_w": 0.7}  # unequal penalties: the general case
flow, descent = jaxdyn.models.two_learner_flow(**game), jaxdyn.models.two_learner_descent(**game)
error = partial(jaxdyn.models.two_learner_error, params=flow.params)

# The flow goes down the gradient, so its Jacobian is minus the Hessian of the error.
search = partial(jaxdyn.fixed_points, box={"k": (-4, 4), "w": (-4, 4)}, max_points=4)
for point, exact, name in zip(search(flow).x[1:3], theory.stationary_points(game), ("origin", "minimum"), strict=False):
    print(f"{name}: {point}, closed form {exact}, error {error(point):.6f}")
    print("  Hessian", np.linalg.eigvalsh(jax.hessian(error)(point)), theory.hessian_eigenvalues(game, point=name))
    print("  Jacobian", jaxdyn.eigenvalues(flow, point).real, theory.flow_eigenvalues(game, point=name))

n = 12 if options.smoke else 80
penalties = np.linspace(0.05, 3.2, n)
plane = jaxdyn.raise_if_failed(jaxdyn.sweep(search, flow, {"sigma_k": penalties, "sigma_w": penalties}))
rate = -plane.eigenvalues.real.max("mode").min("point")  # nan, which a minimum skips, in empty slots
plane["rate"] = rate.assign_attrs(long_name="rate of return to stable points")
expected = 1 + 2 * (plane.sigma_k * plane.sigma_w < game["tau"] ** 4)
print(f"{n * n} pairs of penalties, other than expected: {int((plane.found.sum('point') != expected).sum())}")

with jaxdyn.plot.style(figure_figsize=(7, 5.8)):
    figure, ((landscape, phase), (pairs, decay)) = plt.subplots(2, 2, layout="constrained")
    k, w = np.meshgrid(*2 * [np.linspace(-2, 2, 161)])
    e = jax.vmap(error)(np.stack([k.ravel(), w.ravel()], axis=1)).reshape(k.shape)
    filled = landscape.contourf(k, w, e, levels=np.geomspace(0.4, 25.6, 25), norm="log", cmap="Blues_r", extend="max")
    figure.colorbar(filled, ax=landscape, label="error $e$", ticks=[0.4, 1, 2, 5, 10, 20], format="%g")
    landscape.set(xlabel="$k$", ylabel="$w$", title="error, flow (black), descent (dots)")
    minimum = np.asarray(theory.stationary_points(game)[1])
    for start in ((1.9, -1.5), (-0.2, -1.8), (-1.9, 1.4), (0.2, 1.8)):
        run = jaxdyn.trajectory(flow.with_state(start), t1=16.0, dt=0.05)
        landscape.plot(*run.x.T, "black", linewidth=0.8)
    away = np.linalg.norm(run.x - minimum, axis=1)
    slope = np.log(away[320] / away[240]) / 4
    print(f"flow: rate of return {-slope:.6f}, leading eigenvalue {theory.flow_eigenvalues(game)[0]:.6f}")
    jaxdyn.plot.phase_plane(flow, fixed_points=search(flow), eigenvectors=True, density=0.7, ax=phase)
    jaxdyn.plot.sweep(plane, "rate", ax=pairs, cmap="viridis", vmin=0)
    side = np.linspace(0.5, 3.3, 100)
    jaxdyn.plot.boundary(side, game["tau"] ** 4 / side, ax=pairs, label="minima exist below, exact")
    for color, rates in zip(("C1", "C2", "C3"), ((0.3, 0.4), (0.7, 0.1), (0.5, 0.5)), strict=True):
        tuned = descent.with_params(gamma_k=rates[0], gamma_w=rates[1]).with_state([1.5, 0.0])
        x, factor = jaxdyn.trajectory(tuned, n_steps=40).x, float(theory.convergence_factor(tuned.params))
        away, powers = np.linalg.norm(x - minimum, axis=1), factor ** np.arange(41)
        constant, per_step = np.max(away / powers) / away[0], (away[40] / away[30]) ** 0.1
        print(f"rates {rates}: factor per step {per_step:.6f}, spectral radius {factor:.6f}, constant {constant:.2f}")
        landscape.plot(*x.T, f"{color}.-", markersize=4, linewidth=0.5)
        decay.semilogy(away, color, label=rf"$\gamma_k = {rates[0]}$, $\gamma_w = {rates[1]}$")
        decay.semilogy(away[40] / powers[40] * powers, "k:", linewidth=0.7)
    decay.set(xlabel="step", ylabel="distance from the minimum", title="dotted: powers of the spectral radius")
    decay.legend()
    figure.savefig(options.out / "two_learners.png", dpi=200)
