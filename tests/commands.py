"""The `jaxdyn` command as tests run it."""

import os
import subprocess
import sys
from pathlib import Path

import xarray
from click.testing import CliRunner, Result

from jaxdyn.cli import main

FHN = ("sweep", "fitzhugh_nagumo")


def run(*words: object) -> Result:
    """Result of a command in this process; sweeps leave JAX's global settings alone."""
    more = ("--no-cache",) if words and words[0] == "sweep" else ()
    return CliRunner().invoke(main, [str(word) for word in (*words, *more)])


def command(*words: object, cache: Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "jaxdyn.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(cache),
        **kwargs,  # type: ignore[call-overload]
    )


def environment(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return kept | {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(cache)}


def opened(path: Path) -> xarray.Dataset:
    return xarray.open_zarr(path, chunks=None, consolidated=False)


def refused(*words: object) -> str:
    """The one line about wrong input."""
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("jaxdyn: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr
