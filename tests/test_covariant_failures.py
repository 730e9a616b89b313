"""Covariant Lyapunov vectors under transforms, in single precision, where they fail, and wrong arguments."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxdyn import Status, covariant_lyapunov_vectors, models


def test_single_precision_stays():
    run = jax.jit(functools.partial(covariant_lyapunov_vectors, n_steps=20, dt=0.01, segment=6, save_every=2))
    found = run(models.lorenz63())
    kinds = {leaf.dtype for leaf in jax.tree.leaves(found)}
    assert kinds == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int8), jnp.dtype(jnp.int32)}


@pytest.mark.parametrize(
    ("make", "settings", "status"),
    [
        (lambda: models.logistic(r=5.0), {}, Status.NON_FINITE),
        (lambda: models.logistic(r=2.0).with_state([0.5]), {}, Status.NON_FINITE),  # a singular Jacobian
        (lambda: models.logistic(r=3.9), {}, Status.OK),
        (models.henon, {"qr_every": 50}, Status.QR_INTERVAL),
    ],
)
def test_failures_are_reported(make, settings, status, x64):
    assert covariant_lyapunov_vectors(make(), n_steps=100, **settings).status == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt": -0.1}, "dt must be positive"),
        ({"save_every": 3}, "n_steps=10 must be a multiple of save_every=3; use n_steps=12"),
        ({"qr_every": 2, "save_every": 5}, "save_every=5 must be a multiple of qr_every=2; use save_every=6"),
        ({"save_every": 5, "segment": 8}, "segment=8 must be a multiple of save_every=5; use segment=10"),
        ({"qr_every": 2, "n_transient_forward": 3}, "n_transient_forward=3 must be a multiple of qr_every=2"),
        ({"qr_every": 2, "n_transient_backward": 3}, "n_transient_backward=3 must be a multiple of qr_every=2"),
        ({"n_vectors": 4}, "n_vectors must be between 1 and the dimension 3 of lorenz63, got 4"),
        ({"subspaces": (1, 1)}, r"subspaces=\(1, 1\) hold 2 vectors, but there are 3"),
    ],
)
def test_wrong_arguments(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        covariant_lyapunov_vectors(models.lorenz63(), **({"n_steps": 10, "dt": 0.1} | arguments))
