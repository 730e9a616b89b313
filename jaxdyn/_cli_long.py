"""Commands for long sweeps: begun from a file, looked at, gone on with."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jaxdyn.sweeps.progress import StoreProgress

__all__ = ["resume", "run", "status"]

# click keeps the lines of a paragraph that begins with a backspace.
EXAMPLE = """\b
Example of a file (all but system, store and [over] may be left out):
  system = "fitzhugh_nagumo"        # of the library, or "my_module:my_system"
  measure = "lyapunov_spectrum"     # as of `jaxdyn sweep`, or "my_module:my_measure"
  store = "fhn.zarr"                # relative to this file
  seed = 0
  precision = "float64"             # or "float32"
  memory = "2GB"                    # for the cells that are computed at once
  chunk = 4096                      # cells computed at once; default from the memory
  keep = ["exponents"]              # results that are stored; default all but details
  [options]                         # sizes and seeds, arguments of a function that makes a system
  [parameters]                      # values that stay
  a = 0.7
  [start]                           # of states, or x0 = [...]
  v = -1.0
  [over]                            # what is swept: ranges or lists
  I = { start = 0.0, stop = 1.5, count = 512 }    # log = true: constant ratio
  b = [0.4, 0.8, 1.2]
  [measure_options]                 # dt, steps, transient, method, rtol, atol, exponents, every
  steps = 20000
"""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--plot", type=click.Path(path_type=Path), help="Figure of the results: .png, .pdf or .svg."),
        click.option("--variable", help="What the figure shows; default the measure's first result."),
        click.option(
            "--select", multiple=True, metavar="NAME=VALUE", help="What the figure fixes, such as b=0.8; repeatable."
        ),
        click.option("--cache/--no-cache", default=True, help="Keep compiled programs for the next run; default yes."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
    ]
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


@click.command(epilog=EXAMPLE)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), help="Store of the results, instead of the file's.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; compute nothing.")
@_common
def run(file: Path, store: Path | None, dry_run: bool, cache: bool, **typed: Any) -> None:
    """Compute the sweep that a TOML FILE describes, into a store.

    Stop it at any time: the same command, or `jaxdyn resume STORE`, computes only what is missing.

    Code of your own, named module:attribute in the file, is imported from the file's directory or the working
    directory, and run.
    """
    from jaxdyn._cli_cache import use_cache
    from jaxdyn._cli_carry_out import carry_out
    from jaxdyn._cli_toml import read_file

    described = read_file(file)
    out = store or described.store
    if out is None:
        raise ValueError(f'{file}: store is missing; give store = "PATH" in the file or --store PATH')
    if cache:
        use_cache(typed["quiet"])
    request = described.request(out, **typed)
    carry_out(request, precision=described.precision, dry_run=dry_run, again=f"`jaxdyn resume {out}`")


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where modules of your own are, if they are no longer where the sweep was begun.",
)
@_common
def resume(store: Path, directory: Path | None, cache: bool, **typed: Any) -> None:
    """Go on with the sweep in STORE, which `jaxdyn run` or `jaxdyn sweep --out` began.

    The description of the sweep is kept in the store. If it names code as module:attribute, that code is imported
    from the directory where the sweep was begun (or --directory) and run, so resume only stores that you trust.
    Nothing else of a store is ever run, and nothing in it is unpickled.
    """
    from jaxdyn._cli_cache import use_cache
    from jaxdyn._cli_carry_out import DIRECTORY, TEXT, carry_out
    from jaxdyn._cli_modules import is_own
    from jaxdyn._cli_toml import SweepFile
    from jaxdyn.sweeps.progress import progress_of

    progress = progress_of(store)
    text = progress.attributes.get(TEXT)
    if not isinstance(text, str):
        raise ValueError(f"{store} was made by a Python script, which resumes it when it is run again")
    where = directory or Path(str(progress.attributes.get(DIRECTORY, ".")))
    described = SweepFile(text, f"{store} ({TEXT})", where)
    precision = described.precision or progress.attributes.get("dtype")
    if cache:
        use_cache(typed["quiet"])
    request = described.request(store, **typed)
    if not where.is_dir() and (is_own(request.system) or is_own(request.measure)):
        raise ValueError(
            f"{where}, where the sweep of {store} was begun, is gone; say with --directory where its code is"
        )
    carry_out(request, precision=precision, again="the same command")


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
def status(store: Path) -> None:
    """Print how far the sweep in STORE is: cells done, failed and left, and the time left.

    Times come from the files of the finished chunks, in the last run. The sweep may be running.
    """
    from jaxdyn.sweeps.progress import progress_of

    click.echo("\n".join(_lines(progress_of(store))))


def _lines(progress: "StoreProgress") -> list[str]:
    told = progress.attributes
    grid = " x ".join(f"{dim} ({n})" for dim, n in zip(progress.dims, progress.shape, strict=True))
    failed = ", ".join(f"{count} {name}" for name, count in progress.failed.items())
    rate = progress.cells_per_second
    rows = [
        ("sweep", f"{told.get('system', 'a system')} over {grid}, {told.get('dtype', 'unknown precision')}"),
        ("cells", str(progress.n_cells)),
        ("done", f"{progress.n_done} ({_percent(progress)})"),
        ("failed", f"{progress.n_failed} ({failed})" if failed else "0"),
        ("left", str(progress.n_left)),
        ("rate", "unknown" if rate is None else f"{rate:.3g} cells/s"),
        ("time left", _duration(progress.seconds_left)),
        ("last chunk", _ago(progress.seconds_since_last)),
        ("being written", "yes" if progress.writing else "no"),
    ]
    if progress.n_damaged:
        rows.append(("damaged", f"{progress.n_damaged} chunks, which are computed again when the sweep is resumed"))
    return [f"{name:<15}{value}" for name, value in rows]


def _percent(progress: "StoreProgress") -> str:
    """Share that is done; 100 only if all is."""
    share = 100 * progress.n_done / progress.n_cells
    return f"{min(share, 99.9) if progress.n_left else share:.1f} %"


def _ago(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{_duration(seconds)} ago"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
