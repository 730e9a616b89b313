"""Paths of Wiener processes for the tests: coarse increments are sums of fine ones, so that steps follow one path."""

import jax
import jax.numpy as jnp
import numpy as np


def fine_increments(n_paths, n_steps, n_processes, *, duration=1.0, seed=5):
    """Increments (path, step, process) of `duration / n_steps` each."""
    drawn = np.random.default_rng(seed).standard_normal((n_paths, n_steps, n_processes))
    return jnp.asarray(drawn * np.sqrt(duration / n_steps))


def ends(system, method, increments, every, *, duration=1.0):
    """Last states (path, dim) after steps that take `every` fine increments at once."""
    n_paths, n_fine, m = increments.shape
    n_steps = n_fine // every
    coarse = increments.reshape(n_paths, n_steps, every, m).sum(axis=2)
    dt = jnp.asarray(duration / n_steps)

    def of_path(steps):
        def one(x, given):
            i, dw = given
            t = system.time(0.0, dt, i)
            return method.advanced(system.during_step(t), t, x, dt, dw), None

        return jax.lax.scan(one, system.x0, (jnp.arange(n_steps, dtype=jnp.int32), steps))[0]

    return jax.jit(jax.vmap(of_path))(coarse)


def order(errors):
    """Slope of log2 errors of steps that are halved from one to the next."""
    return -np.polyfit(np.arange(len(errors)), np.log2(errors), 1)[0]
