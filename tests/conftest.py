"""Fixtures of all tests: strict JAX on the CPU, and modes that a test asks for by name."""

import os
from importlib.metadata import version

# Most of a run is XLA's compilations. Its older code for CPUs needs a third less time for them, and the same tests pass
# with what users have: `XLA_FLAGS= pytest`. Later versions of XLA refuse to start with a flag that they do not know.
if version("jax").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
# Tests run beside each other, one process a core: threads of LAPACK would only wait for each other. It reads this once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jaxtyping
import pytest

jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))

# What a script starts in the background ignores Ctrl-C, and so would the processes that tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """No silent dtype promotion and no silent broadcasting between ranks."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Forget compiled programs in time: each takes some memory mappings, of which Linux gives a process 65530."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_text().count("\n") > 20_000:
        jax.clear_caches()
        gc.collect()


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


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Regions of sweeps that are computed during a test."""
    from jaxdyn.sweeps.plan import Plan

    found: list[Any] = []
    compute = Plan.compute

    def counting(self: Plan, region: Any, wanted: Any = None) -> Any:
        found.append(region)
        return compute(self, region, wanted)

    monkeypatch.setattr(Plan, "compute", counting)
    return found


@pytest.fixture
def closed_figures() -> Iterator[None]:
    """No figure is left open."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def ax(closed_figures: None) -> Any:
    """Axes to draw on."""
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained").subplots()
