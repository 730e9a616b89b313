"""Compiled programs on disk, so that the second run of a command starts at once."""

import os
import platform
from pathlib import Path

import click
import jax

from jaxdyn._fingerprint import processor

__all__ = ["cache_directory", "use_cache"]


def cache_directory() -> Path:
    """Compiled programs, apart for each kind of processor: a home directory may serve several."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "jaxdyn" / f"{platform.machine()}-{processor()}"


def use_cache(quiet: bool) -> None:
    """Let JAX keep compiled programs on disk, unless the user chose a place or there is none."""
    if getattr(jax.config, "jax_compilation_cache_dir", None):
        return
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(f"{directory} is not writable")
    except OSError as error:
        if not quiet:
            click.echo(f"jaxdyn: no compilation cache ({error})", err=True)
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
