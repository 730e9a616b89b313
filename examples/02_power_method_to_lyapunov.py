"""From the power method to Lyapunov exponents: growth of perturbations under a matrix, then along a trajectory.

Question: at which rates and in which directions do perturbations grow, and how fast do iterations find both?

Answer: the angle to the leading direction and the error of mu1 shrink by |mu2/mu1| an iteration, the latter by its
square for symmetric matrices. Mean log growth tends to log|mu|, the Lyapunov exponent, like 1/k. The Lorenz system has
0.908(7), 0.000(2), -14.574(5); perturbations of size 1e-6 tell the first to 8 digits, those of size 1 err by 0.12.

    python examples/02_power_method_to_lyapunov.py [--smoke] [--out DIR]
"""

import argparse
import functools
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse plane")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()
jax.config.update("jax_enable_x64", True)  # convergence is followed down to 1e-12

r, k, errors = np.linspace(1.05, 2, 20), np.arange(401), {}
for name, below in {"symmetric": 0, "not symmetric": 1}.items():  # eigenvalues 1, r, r^2, the last one of (0, 0, 1)
    matrices = r[:, None, None] ** np.diag(range(3)) * np.eye(3) + below * np.tril(np.ones((3, 3)), -1)
    power = jax.vmap(functools.partial(jaxdyn.power_method, n_iterations=400))(matrices)
    errors[f"angle, {name}"] = np.arctan2(np.linalg.norm(power.vectors[..., :2], axis=-1), abs(power.vectors[..., 2]))
    errors[f"eigenvalue, {name}"] = np.abs(power.rayleigh_quotients - r[:, None] ** 2)
M, two = np.random.default_rng(2).standard_normal((4, 4)), np.eye(4)[:, :2]
once, schur = jaxdyn.qr_algorithm(M, n_iterations=1, start=two), jaxdyn.qr_algorithm(M, n_iterations=400)
U = np.triu(once.Q.T @ M @ two)  # the coefficients of one Gram-Schmidt step
print(f"M X0 - X1 U is {abs(M @ two - once.Q @ U).max():.0e}, U11 and U22 are {np.exp(once.log_growth[0])}, U =\n{U}")
print(f"M - Q T Q^T is {abs(M - schur.Q @ schur.T @ schur.Q.T).max():.0e}, T =\n{np.round(schur.T, 3)}")
exact, mean = np.log(np.abs(schur.eigenvalues)), np.cumsum(schur.log_growth, axis=0) / k[1:, None]
constant = jaxdyn.lyapunov_spectrum(jaxdyn.models.linear_map(A=M, x0=np.zeros(4)), n_steps=20_000)
print(f"log|eigenvalue| {exact}, mean growth {mean[-1]}, Lyapunov exponents {constant.exponents}")

n, lorenz, sizes = 12 if options.smoke else 64, jaxdyn.models.lorenz63(), np.geomspace(1e-11, 10, 25)
breed = functools.partial(jaxdyn.perturbation_growth, dt=0.01, n_steps=10_000, n_transient=2000, rescale_every=10)
run = functools.partial(jaxdyn.trajectory, n_steps=3000, dt=0.01)
tangent = jaxdyn.lyapunov_spectrum(lorenz, dt=0.01, n_steps=200_000)
bred = jax.vmap(lambda size: breed(lorenz, size=size))(sizes)
print(f"Lorenz system: exponents {tangent.exponents} +- {tangent.std_error}")
cosine = np.sum(bred.directions[:, 0] * bred.tangent_directions[:, 0], axis=-1)
print(f"sizes {sizes[10::6]}: rates {bred.rates[10::6, 0]}, of size 0 {bred.tangent_rates[0]}, cosines {cosine[10::6]}")
x, linear = jax.jvp(lambda x: run(lorenz.with_state(x)).x, (tangent.x,), (1e-6 * tangent.frame[0],))
other = run(lorenz.with_state(tangent.x + 1e-6 * tangent.frame[0]))
rho, beta = np.linspace(10, 60, n), np.linspace(0.5, 4, n)
plane = jaxdyn.sweep(functools.partial(breed, size=1.0), lorenz, {"rho": rho, "beta": beta})
plane["growth"] = plane.tangent_rates[..., 0].assign_attrs(long_name=r"Lyapunov exponent $\lambda_1$")
error = float(abs(plane.rates[..., 0] - plane.growth).median())
print(f"perturbations grow in {int((plane.growth > 0.05).sum())} of {n * n} cells; size 1 errs by {error:.3f} (median)")
with jaxdyn.plot.style(figure_figsize=(7.6, 5)):
    figure, axes = plt.subplots(2, 3, layout="constrained")
    axes[0, 0].semilogy(k, errors["angle, symmetric"][[9, 19]].T, label=["angle, $r = 1.5$", "angle, $r = 2$"])
    axes[0, 0].semilogy(k[1:], schur.subdiagonal, label=["$T_{21}$", "$T_{32}$, in a pair", "$T_{43}$"])
    axes[0, 0].set(xlim=(0, 170), ylim=(1e-17, 10), xlabel="iteration", ylabel="what tends to zero")
    for (name, values), marker in zip(errors.items(), "os+x", strict=True):
        late = (values > 1e-10) & (values < 1e-5)
        factors = [np.exp(np.polyfit(k[i], np.log(v[i]), 1)[0]) for i, v in zip(late, values, strict=True)]
        axes[0, 1].plot(r, factors, marker, fillstyle="none", label=name)
        print(f"power method, r = 2: the error of the {name}, shrinks by {factors[-1]:.5f} an iteration")
    axes[0, 1].plot(r, 1 / r, "k", r, 1 / r**2, "k--", linewidth=0.6, zorder=0)
    axes[0, 1].set(xlabel=r"$r = \mu_1 / \mu_2$", ylabel="error after an iteration / before", ylim=(0.2, 1.3))
    axes[0, 2].loglog(k[1:], np.c_[abs(mean - exact), 1 / k[1:]], lw=0.7, label=["1st", "2nd", "3rd", "4th", "$1/k$"])
    axes[0, 2].set(xlabel="iteration $k$", ylabel="error of the mean log growth", ylim=(1e-7, 3))
    axes[1, 0].semilogy(other.t, np.linalg.norm([other.x - x, linear], axis=-1).T, label=["difference", "tangent"])
    axes[1, 0].semilogy(other.t, 1e-6 * np.exp(tangent.exponents[0] * other.t), "k--", label=r"$e^{\lambda_1 t}$")
    axes[1, 0].set(xlabel="time", ylabel="perturbation", ylim=(1e-7, 1e5))
    axes[1, 1].loglog(sizes, abs(bred.rates - bred.tangent_rates), ".-")
    axes[1, 1].set(xlabel="size of the perturbation", ylabel="error of its growth rate")
    jaxdyn.plot.sweep(plane, "growth", ax=axes[1, 2], vmax=2).set_xlabel(r"$\rho$")
    jaxdyn.plot.boundary(10 * (13 + beta) / (9 - beta), beta, ax=axes[1, 2], label="Hopf, exact")
    [ax.legend() for ax in axes.flat[:4]]
    figure.savefig(options.out / "power_method_to_lyapunov.png", dpi=200)
