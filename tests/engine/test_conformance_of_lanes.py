"""Every model with every light analysis through the engine, in both precisions, against `jax.vmap` and a loop."""

import conformance
import jax
import jax.numpy as jnp
import pytest

import jaxdyn
from jaxdyn import Xla, lanes

LIGHT = [case for case in conformance.cases() if not case.values[1].heavy]
SPECTRA = ["fitzhugh_nagumo", "lorenz63", "henon", "hodgkin_huxley", "random_rnn", "duffing"]


def check(run, system, engine):
    """Five lanes in blocks of two."""
    systems = [conformance.nudged(system, amount) for amount in (0, 1e-3, -1e-2, 2e-3, -5e-3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *systems)
    got = lanes(run, engine=engine)(together)
    conformance.assert_same(got, jax.jit(jax.vmap(run))(together))
    one = jax.jit(run)(systems[3])
    conformance.assert_same(jax.tree.map(lambda leaf: leaf[3], got), one)


@pytest.mark.parametrize(("name", "analysis"), LIGHT)
def test_lanes_equal_vmap_and_a_loop(name, analysis, x64):
    check(analysis.run, conformance.build(name), Xla(block=2))


@pytest.mark.parametrize(("name", "analysis"), [case for case in LIGHT if "final_state" in case.id])
def test_lanes_equal_vmap_in_single_precision(name, analysis):
    check(analysis.run, conformance.build(name), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_equal_vmap(name, x64):
    system = conformance.build(name)
    step = conformance.step_of(system)
    check(lambda s: jaxdyn.lyapunov_spectrum(s, n_steps=4, n_transient=1, **step), system, Xla(block=2))
