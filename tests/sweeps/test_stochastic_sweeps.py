"""Stored sweeps over seeds: killed and resumed they are bit for bit those that ran through."""

import contextlib
import functools

import numpy as np
from stored import Killed, assert_same, death_before_publication, swept

import jaxdyn

OVER = {"sigma": [0.1, 0.5], "seed": range(5)}
RUN = functools.partial(jaxdyn.final_state, n_steps=20, dt=0.1)


def stored(path=None):
    return swept(path, over=OVER, measure=RUN, system=jaxdyn.models.noisy_fitzhugh_nagumo())


def test_it_resumes_bit_for_bit(tmp_path):
    expected = stored()
    with death_before_publication(12), contextlib.suppress(Killed):
        stored(tmp_path / "s")
    assert_same(stored(tmp_path / "s"), expected)
    assert np.all(expected.status == 0) and len(np.unique(expected.x)) == expected.x.size


def test_another_seed_is_another_sweep(tmp_path):
    found = jaxdyn.sweep(RUN, jaxdyn.models.double_well(), {"seed": [3, 4]}, progress=False)
    again = jaxdyn.sweep(RUN, jaxdyn.models.double_well(seed=4), {"sigma": [0.5]}, progress=False)
    np.testing.assert_allclose(again.x[0], found.x[1], rtol=1e-6)
    assert not np.array_equal(found.x[0], found.x[1])
