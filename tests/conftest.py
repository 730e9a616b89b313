"""Fixtures of all tests: strict JAX on the CPU, and modes that a test asks for by name."""

import os

# Tests run beside each other, one process a core: threads of LAPACK would only wait for each other. It reads this once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator

import jax
import jaxtyping
import pytest

jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """No silent dtype promotion and no silent broadcasting between ranks."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """Float64 for the length of one test; the mode is global, so nothing else may set it."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Annotations are not checked: a test sees the message that a user sees for a wrong type."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
