"""Fingerprints: digests of all that decides the numbers of a run, by which its files are known again."""

import functools
import hashlib
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np

__all__ = ["digest", "environment", "processor", "program_parts", "without_threads"]


def digest(parts: Sequence[Any]) -> str:
    """Digest of texts and arrays, dtypes and shapes included."""
    total = hashlib.sha256()
    for part in parts:
        array = np.frombuffer(part.encode(), np.uint8) if isinstance(part, str) else np.asarray(part)
        total.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return total.hexdigest()[:32]


def program_parts(lowered: Any) -> list[Any]:
    """Text of a lowered program, and the arrays that JAX hands over beside it instead of writing them down."""
    return [lowered.as_text(), *getattr(getattr(lowered, "_lowering", None), "const_args", ())]


def without_threads(text: str) -> str:
    """Text of a lowered program without the numbers of threads, which change no result."""
    return re.sub(r"(jaxdyn_[0-9a-f]{32})_by_[0-9]+", r"\1", text)


def environment() -> dict[str, str]:
    """What decides the last bits: the compilers and the machine."""
    device = jax.local_devices()[0]
    kind = processor() if device.platform == "cpu" else device.device_kind
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "machine": platform.machine(),
        "device": kind,
    }


@functools.cache
def processor() -> str:
    """Digest of what the processor can do: compilers make use of all of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return hashlib.sha256(platform.processor().encode()).hexdigest()[:8]
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(features.encode()).hexdigest()[:8]
