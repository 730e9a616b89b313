"""Two learners that are vectors, and the map of two quantities that meet by their product.

Question: what changes when both learners have eight components? And who survives if two quantities meet and decay?

Answer: the minima are a sphere now, K and W collinear on it. Seven multipliers are 1 (zeros of the Hessian), seven 1 -
(gamma_k sigma_k + gamma_w sigma_w) = 0.6, two those of the scalar game: the eighth Lyapunov exponent is the scalar one.
Both quantities die (7e-8 and 7e-5 after 1000 steps). With growth of w (a = -0.001) their map is Lotka-Volterra by
Euler's method and spirals outward: the conserved V of the flow rises by 12 % in 20000 steps.

    python examples/11_vector_learners.py [--smoke] [--out DIR]
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.models import learner_theory as theory

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
options = arguments.parse_args()

jax.config.update("jax_enable_x64", True)  # distances from the sphere are followed down to 1e-12
n, n_rates, n_steps = (8, 6, 100) if options.smoke else (8, 48, 1000)
learners = jaxdyn.models.vector_learner_descent(n=n, tau=1.3, sigma_k=0.4, sigma_w=0.7)
multipliers, radii = theory.descent_multipliers(learners.params, n=n), theory.stationary_points(learners.params)[1]

K, W = jnp.split(jaxdyn.trajectory(learners, n_steps=60).x, 2, axis=1)
lengths = jnp.linalg.norm(jnp.stack([K, W], axis=1), axis=2)
off, angle = jnp.linalg.norm(lengths - radii, axis=1), jnp.linalg.norm(W / lengths[:, 1:] - K / lengths[:, :1], axis=1)
found = jaxdyn.eigenvalues(learners, jnp.concatenate([K[-1], W[-1]])).real
print(f"lengths {lengths[-1]}, closed form {radii}; multipliers\n{found}")

rates = {"gamma_k": np.linspace(0.02, 1.8, n_rates), "gamma_w": np.linspace(0.02, 1.2, n_rates)}
start = theory.vector_minimum(learners.params, np.ones(n)) + 0.01 * np.cos(np.arange(2 * n))
spectrum = partial(jaxdyn.lyapunov_spectrum, n_steps=n_steps, n_transient=n_steps, n_exponents=n)
plane = jaxdyn.sweep(spectrum, learners.with_state(start), rates)
cells = learners.params | {"gamma_k": rates["gamma_k"][:, None], "gamma_w": rates["gamma_w"]}
error = jnp.abs(plane.exponents.values[..., -1] - jnp.log(theory.convergence_factor(cells)))
error = error[theory.stability_margin(cells) > 0]
print(f"eighth exponent less scalar one: median {jnp.median(error):.0e}, most {error.max():.0e} of {error.size} cells")

with jaxdyn.plot.style(figure_figsize=(7, 2.7)):
    figure, (decay, modes, rate_plane) = plt.subplots(1, 3, layout="constrained")
    for name, away, factor in (("angle", angle, multipliers[-2]), ("lengths", off, multipliers[n - 1])):
        print(f"{name}: factor {(away[40] / away[30]) ** 0.1:.6f} per step, predicted {factor:.6f}")
        decay.semilogy(away, label=rf"{name}, ${factor:.3f}^n$")
        decay.semilogy(away[40] * factor ** np.arange(-40.0, 21), "k:", linewidth=0.7)
    decay.set(xlabel="step $n$", ylabel="distance from the sphere", ylim=(1e-14, 1e3))
    decay.legend(loc="upper right")
    modes.plot(found, "o", label="at the end of the run")
    modes.plot(multipliers, "k+", label="closed form")
    modes.set(xlabel="mode", ylabel="multiplier", ylim=(-0.05, 1.3))
    modes.legend(loc="upper right")
    jaxdyn.plot.sweep(plane, "exponents", select={"exponent": n - 1}, ax=rate_plane, vmin=-1, vmax=1)
    jaxdyn.plot.boundary(*theory.stability_boundary(learners.params), ax=rate_plane, label="scalar game, exact")
    figure.savefig(options.out / "vector_learners.png", dpi=200)

dying = jaxdyn.models.multiplicative_map()
growing = dying.with_params(a=-0.001)
flow = jaxdyn.flow(lambda t, x, p: jnp.stack(growing.field(0, x, p)) - x, growing.params, growing.x0)
with jaxdyn.plot.style(figure_figsize=(7, 2.6)):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    jaxdyn.plot.trajectory(jaxdyn.trajectory(dying, n_steps=1000), system=dying, ax=left, markersize=1)
    print("after 1000 steps (w, k) =", jaxdyn.final_state(dying, n_steps=1000).x)
    both = jaxdyn.trajectory(growing, n_steps=20_000).x, jaxdyn.trajectory(flow, n_steps=20_000, dt=1.0).x
    for (w, k), label in zip((both[0].T, both[1].T), ("map: Euler's method", "flow: RK4"), strict=True):
        V = 0.1 * w - 0.01 * jnp.log(w) + 0.1 * k - 0.001 * jnp.log(k)
        print(f"{label}: V from {V[0]:.5f} to {V[-1]:.5f}, {float(V[-1] / V[0] - 1):+.1%}")
        right.loglog(w, k, label=label, linewidth=0.8)
    right.set(xlabel="$w$", ylabel="$k$")
    right.legend(loc="lower left", title="$a = -0.001$")
    figure.savefig(options.out / "multiplicative_map.png", dpi=200)
