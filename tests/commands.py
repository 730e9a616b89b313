"""The `jaxdyn` command as tests run it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray
import zarr
from click.testing import CliRunner, Result

from jaxdyn import Status
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


def refused_at(file: Path, line: int, parts: tuple[str, ...]) -> None:
    """Check the one line about what is wrong in a line of a sweep file."""
    told = refused("run", file, "--no-cache")
    assert told.startswith(f"jaxdyn: {file}:{line}: ")
    for part in parts:
        assert part in told


def done(*words: object) -> str:
    """What a command prints that ends well; it keeps no compiled programs."""
    result = run(*words, "--no-cache")
    assert result.exit_code == 0, result.output
    return result.stdout


def unfinished(store: Path, cells: Any) -> None:
    """Take some cells of a store for not computed, results and all."""
    group: Any = zarr.open_group(store, mode="r+", use_consolidated=False)
    group["status"][cells] = np.int8(Status.NOT_RUN)
    for name in ("end", "exponents"):
        if name in group:
            group[name][cells] = 99
