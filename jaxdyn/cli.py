"""The `jaxdyn` command: the library of systems and labelled sweeps from a shell; long ones from a file.

The library of systems, xarray and Matplotlib are imported by the command that needs them.
"""

import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from jaxdyn._cli_long import resume, run, status
from jaxdyn._cli_stop import FAILURE, INTERRUPTED, WRONG_INPUT, Interrupted

__all__ = ["main"]

# click keeps the lines of a paragraph that begins with a backspace.
EXAMPLES = """\b
Examples:
  jaxdyn sweep fitzhugh_nagumo --over I=0:1.5:512 --over b=0.4:1.2:256 --out fhn.zarr --plot fhn.png
  jaxdyn sweep logistic --over r=2.8:4:800 --measure trajectory --transient 1000 --steps 200 --plot logistic.png
  jaxdyn sweep lorenz63 --over rho=log:1:200:64 --measure fixed_points --plot points.svg
"""


class _Program(click.Group):
    """Group of commands whose errors are one line each, without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit: 0, 2 after wrong input, 1 after a failure of the machine, 130 after Ctrl-C."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.ClickException as error:
            _stop(error.format_message(), WRONG_INPUT)
        except (ValueError, TypeError) as error:
            if os.environ.get("JAXDYN_TRACEBACK"):
                raise
            _stop(str(error), WRONG_INPUT)
        except (OSError, RuntimeError) as error:
            if os.environ.get("JAXDYN_TRACEBACK"):
                raise
            _stop(str(error), FAILURE)
        except Interrupted as error:
            _stop(str(error), INTERRUPTED)
        except (click.Abort, KeyboardInterrupt):
            _stop("interrupted", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Command of this name, or an error that names the closest one."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            from jaxdyn.about import unknown_name

            raise click.UsageError(f"no command {unknown_name(cmd_name, self.list_commands(ctx))}")
        return command


@click.group(cls=_Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jaxdyn", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Batched dynamical systems: the library of models, and sweeps over their parameters.

    An error is one line; with JAXDYN_TRACEBACK=1 in the environment it says where it comes from.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@main.command()
def systems() -> None:
    """List the systems of the library."""
    from jaxdyn.models import REGISTRY

    rows = [("NAME", "KIND", "STATES", "PARAMETERS", "TITLE")]
    for name, model in sorted(REGISTRY.items()):
        states = ", ".join(symbol.name for symbol in model.about.states)
        params = ", ".join([s.name for s in model.about.params] + [f"[{option}]" for option in model.options])
        rows.append((name, model.kind, states, params, model.about.title))
    click.echo(_table(rows))
    click.echo("\n[in brackets]: sizes and seeds, which are set and not swept. More about one: jaxdyn show NAME")


@main.command()
def info() -> None:
    """Print versions, devices and precision."""
    import jax
    import jaxlib.version
    import numpy

    import jaxdyn
    from jaxdyn._cli_cache import cache_directory
    from jaxdyn._types import default_dtype

    kinds = Counter(device.device_kind for device in jax.devices())
    rows = [
        ("jaxdyn", jaxdyn.__version__),
        ("jax", jax.__version__),
        ("jaxlib", jaxlib.version.__version__),
        ("numpy", numpy.__version__),
        ("python", platform.python_version()),
        ("backend", jax.default_backend()),
        ("devices", ", ".join(f"{count} x {kind}" for kind, count in kinds.items())),
        ("precision", str(default_dtype())),
        ("cores", str(os.cpu_count() or 1)),
        ("cache", str(cache_directory())),
    ]
    click.echo(_table(rows))


@main.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the equations, parameters, states, known results and source of one system."""
    from jaxdyn.about import unknown_name
    from jaxdyn.models import REGISTRY, describe

    if name not in REGISTRY:
        raise ValueError(f"no system {unknown_name(name, list(REGISTRY))}")
    model = REGISTRY[name]
    about = model.about
    click.echo(f"{name} ({model.kind})\n\n{describe(about)}")
    if model.options:
        rows = [f"{option} : default {default}" for option, default in model.options.items()]
        click.echo("\n".join(["", "Options", "-------", *rows]))
    unit = "steps" if about.dt is None else "time units" if about.time_unit == "1" else about.time_unit
    step = "" if about.dt is None else f"step {about.dt:g}, "
    click.echo(f"\nSweeps use by default: {step}transient {about.transient:g}, duration {about.duration:g} ({unit})")


@main.command(epilog=EXAMPLES)
@click.argument("system")
@click.option(
    "--over",
    multiple=True,
    metavar="NAME=RANGE",
    help="Sweep a parameter or the start of a state. RANGE is START:STOP:COUNT (evenly spaced, both ends "
    "included), log:START:STOP:COUNT (constant ratio) or a list V1,V2,... Repeat for more dimensions.",
)
@click.option(
    "--measure",
    default="lyapunov_spectrum",
    show_default=True,
    metavar="NAME",
    help="lyapunov_spectrum, final_state, trajectory or fixed_points.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a parameter, of a state's start, or of an option such as n or seed of a network; repeatable. "
    "Vectors and matrices (row by row) are lists V1,V2,...",
)
@click.option(
    "--method",
    metavar="NAME",
    help="Step of a flow: rk4 (default), tsit5, dopri8, bosh3, heun, euler or taylor (with --rtol); of a stiff one "
    "rodas5p or rodas4; of Hamiltonians leapfrog, yoshida4 or yoshida6; of a stochastic one euler_maruyama (default), "
    "milstein or stochastic_heun. Of fixed size without --rtol.",
)
@click.option(
    "--rtol",
    type=float,
    help="Relative tolerance of a flow: steps adapt to it, and --dt is the time between states; method tsit5, unless "
    "given dopri8, bosh3, taylor, rodas5p or rodas4.",
)
@click.option("--atol", type=float, help="Absolute tolerance, in state units; default a thousandth of --rtol.")
@click.option("--dt", type=float, help="Step size of a flow, in its time units; default the model's.")
@click.option("--steps", type=click.IntRange(min=1), help="Number of steps that count; default the model's duration.")
@click.option(
    "--transient",
    type=click.IntRange(min=0),
    help="Number of steps before those; default the model's (trajectory: none).",
)
@click.option(
    "--exponents",
    type=click.IntRange(min=1),
    metavar="K",
    help="Number of Lyapunov exponents, the largest first; default all, 10 for more than 64 states.",
)
@click.option(
    "--every", type=click.IntRange(min=1), metavar="K", help="Keep every K-th state of a trajectory; default 1."
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float64"]),
    help="Floating numbers; default float32, or float64 where JAX_ENABLE_X64 is set.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of all that is random: a network's weights, noise, keys of cells."
)
@click.option("--memory", help="Memory for the cells that are computed at once; default half of a GPU's, 1GB on a CPU.")
@click.option("--chunk", type=click.IntRange(min=1), help="Number of cells computed at once; default from the memory.")
@click.option("--out", type=click.Path(path_type=Path), help="zarr store of the results; resumed if it exists.")
@click.option("--plot", type=click.Path(path_type=Path), help="Figure of the results: a .png, .pdf or .svg file.")
@click.option("--variable", help="What the figure shows; default the measure's first result.")
@click.option(
    "--select",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the figure fixes: exponent=1, state=w, b=0.8 (a swept value); repeatable.",
)
@click.option("--cache/--no-cache", default=True, help="Keep compiled programs for the next run; default yes.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def sweep(precision: str | None, cache: bool, **typed: Any) -> None:
    """Measure SYSTEM over a grid of parameters or starts.

    SYSTEM and --measure may also name code of your own in the working directory, as module:attribute. Steps and
    transients come from the model unless given. Stop it at any time: with --out, the same command computes only what
    is missing, and so does `jaxdyn resume PATH`.
    """
    from jaxdyn._cli_cache import use_cache
    from jaxdyn._cli_carry_out import carry_out
    from jaxdyn._cli_request import Request

    if cache:
        use_cache(typed["quiet"])
    carry_out(Request(**typed), precision=precision)


for command in (run, status, resume):
    main.add_command(command)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _stop(message: str, code: int) -> NoReturn:
    """Exit with one line on the error stream."""
    click.echo(f"jaxdyn: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
