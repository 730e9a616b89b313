"""A brain-machine interface whose encoder and decoder both learn, in one and in several directions.

Question: which learning rates let brain and machine agree, if n channels of activity carry a target in d dimensions?

Answer: with d = 1 those of the scalar game, whatever n. With d = 2 fewer: rotations of encoder and decoder against each
other flip first, here at gamma_k + gamma_w = 2, where learners of one direction still agree. Random search keeps the
noise of its tries; a direction is given up once sqrt(sigma_k sigma_w) > tau^2.

    python examples/21_brain_machine_interface.py [--smoke] [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxdyn
from jaxdyn.models import coadaptation_theory as theory
from jaxdyn.models import coadaptive_descent, coadaptive_error, coadaptive_search

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--smoke", action="store_true", help="a coarse grid, in seconds")
arguments.add_argument("--out", type=Path, default=Path(), help="folder of the figure")
options = arguments.parse_args()
jax.config.update("jax_enable_x64", True)  # steps toward the minima are followed down to 1e-13
n_rates, seeds = (40, jnp.arange(8)) if options.smoke else (500, jnp.arange(256))


def convergence(system):
    """Factor per step near a minimum; nan unless the orbit stays there and its steps go on to shrink."""
    x = [system.x0]
    for count in (16, 16, n_rates // 2, n_rates // 2):  # one cell beyond the curve, steps grow e-fold in the last part
        x.append(jaxdyn.final_state(system.with_state(x[-1]), n_steps=count).x)
    first, second, half, end = (jnp.linalg.norm(system.displacement(0, state)) for state in x[1:])
    stable = (jnp.sum(jnp.abs(x[3] - x[0]) + jnp.abs(x[4] - x[0])) < 1e-3) & (end < jnp.maximum(half, 1e-13))
    return jnp.where(stable, (second / first) ** (1 / 16), jnp.nan)


rates, quarter = 3 * np.arange(1, n_rates + 1) / n_rates, {"sigma_k": 0.25, "sigma_w": 0.25}
gammas = [jnp.asarray(axis.ravel()) for axis in np.meshgrid(rates, rates, indexing="ij")]
with jaxdyn.plot.style(figure_figsize=(7, 4.4)):
    figure, (planes, curves) = plt.subplots(2, 3, layout="constrained", height_ratios=(1.2, 1))
    for ax, n, d in zip(planes, (1, 8, 8), (1, 1, 2), strict=True):
        game = coadaptive_descent(n=n, d=d, **quarter)
        away = 1e-5 * np.r_[np.cos(1.3 * np.arange(d * n)), np.zeros(d * n)]  # of the decoder alone
        game = game.with_state(theory.stationary_state(game.params, n) + away)
        factor = jaxdyn.lanes(lambda k, w, g=game: convergence(g.with_params(gamma_k=k, gamma_w=w)))(*gammas)
        margin = jax.vmap(lambda k, w, p=game.params, n=n: theory.stability_margin(p | {"gamma_k": k, "gamma_w": w}, n))
        other = jnp.isfinite(factor) != (margin(*gammas) > 0)
        print(f"n = {n}, d = {d}: measured and exact stability differ in {jnp.sum(other)} of {n_rates**2} cells")
        drawn = ax.pcolormesh(rates, rates, factor.reshape(n_rates, -1).T, vmin=0.5, vmax=1, rasterized=True)
        jaxdyn.plot.boundary(*theory.stability_boundary(game.params, n), ax=ax)
        ax.set(title=f"$n = {n}$, $d = {d}$", xlabel=r"$\gamma_k$", ylabel=r"$\gamma_w$", xlim=(0, 2.2), ylim=(0, 2.2))
    figure.colorbar(drawn, ax=planes, label="factor per step", aspect=15)
    orbit = jaxdyn.trajectory(game.with_params(gamma_k=1.05, gamma_w=1.05), n_steps=100).x
    miss = jnp.einsum("tin,tjn->tij", *jnp.moveaxis(orbit.reshape(-1, 2, 2, 8), 1, 0)) - 0.75 * jnp.eye(2)
    for sign, label in ((-1, "antisymmetric"), (1, "symmetric")):
        curves[0].semilogy(jnp.linalg.norm(miss + sign * jnp.swapaxes(miss, 1, 2), axis=(1, 2)), label=label)
    curves[0].set(xlabel="step", ylabel="error of $K W$", title=r"rates 1.05, $d = 2$", ylim=(1e-14, 9))
    slow = {"n": 8, "gamma_k": 0.01, "gamma_w": 0.01, **quarter}
    search, gradient = coadaptive_search(**slow), jaxdyn.trajectory(coadaptive_descent(**slow), n_steps=1000).x
    above = jax.vmap(lambda x: coadaptive_error(x, search.params) - 2 * (0.25 - 0.25**2 / 2))  # the lowest
    errors = jaxdyn.lanes(lambda s: above(jaxdyn.trajectory(search.with_params(seed=s), n_steps=1000).x))(seeds)
    curves[1].fill_between(np.arange(1001), *np.quantile(errors, [0.05, 0.95], axis=0), alpha=0.3, linewidth=0)
    curves[1].semilogy(errors.mean(axis=0), label="random search")
    curves[1].semilogy(above(gradient), "k--", label="gradient")
    curves[1].set(xlabel="trial", ylabel="error above lowest", title=r"$\gamma_k = \gamma_w = 0.01$", ylim=(1e-3, 3))
    sigmas, tau = jnp.linspace(0.02, 3.2, 160), np.array([1.2, 0.8])
    game = coadaptive_descent(n=8, tau=tau, sigma_w=0.5, gamma_k=0.2, gamma_w=0.2)
    found = jaxdyn.lanes(lambda s: jaxdyn.final_state(game.with_params(sigma_k=s), n_steps=2000).x)(sigmas)
    gains = jnp.sum(jnp.prod(found.reshape(-1, 2, 2, 8), axis=1), axis=2)[::5]
    curves[2].plot(sigmas[::5], gains, ".", label=[rf"$\tau = {size}$" for size in tau])
    curves[2].plot(sigmas, np.maximum(0, 1 - np.sqrt(0.5 * sigmas)[:, None] / tau**2), "k:", linewidth=0.8)
    curves[2].set(xlabel=r"effort penalty $\sigma_k$", ylabel="gain of each direction", title=r"$\sigma_w = 0.5$")
    for ax in curves:
        ax.legend()
    figure.savefig(options.out / "brain_machine_interface.png", dpi=200)
