"""Models through the engine against `jax.vmap`, beyond the battery: single precision, spectra, odd blocks."""

import battery
import conformance
import jax
import jax.numpy as jnp
import pytest

import jaxdyn
from jaxdyn import Native, Xla, lanes

SPECTRA = ["lorenz63", "henon", "random_rnn"]


def check(run, system, engine):
    """Five lanes in blocks of two."""
    systems = [battery.nudged(system, amount) for amount in (0, 1e-3, -1e-2, 2e-3, -5e-3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *systems)
    battery.assert_same(lanes(run, engine=engine)(together), jax.jit(jax.vmap(run))(together))


@pytest.mark.parametrize("engine", [Xla(block=2), Native()], ids=str)
@pytest.mark.parametrize("name", conformance.MODELS)
def test_final_states_in_single_precision(name, engine):
    check(conformance.advance(), conformance.build(name), engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Xla(block=2), Native()], ids=str)
@pytest.mark.parametrize("name", SPECTRA)
def test_spectra(name, engine, x64):
    system = conformance.build(name)
    step = conformance.step_of(system)
    check(lambda s: jaxdyn.lyapunov_spectrum(s, n_steps=4, n_transient=1, **step), system, engine)
