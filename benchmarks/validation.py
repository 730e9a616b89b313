"""The validation page: what jaxdyn computes beside values known from elsewhere, in standard errors.

    python benchmarks/validation.py [--output docs/validation.md] [--only NAME ...] [--quick]

Everything in float64 on the CPU. `--only` names systems and prints their tables; `--quick` takes short runs, whose
errors are larger.
"""

import argparse
import dataclasses
import math
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import jax
from validation_core import Case, Known, Measured, apart
from validation_networks import delay_cases, network_cases
from validation_others import covariant_cases, cycle_cases, focus_case, regular_case
from validation_spectra import cases as spectra_cases
from validation_sprott import cases as sprott_cases

import jaxdyn

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"
FAR = 3.0
"""Distances beyond this are marked and explained."""
QUICK = 0.02
HEAD = "| system | quantity | jaxdyn | reference | apart | published |\n|---|---|---:|---:|---:|---:|"


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity of one case."""

    case: Case
    quantity: str
    value: float
    error: float
    known: Known

    @property
    def apart(self) -> float:
        """Distance in combined standard errors."""
        return apart(self.value, self.error, self.known)


def all_cases() -> list[Case]:
    """Every case, in the order of the page."""
    cases = [
        *spectra_cases(),
        *sprott_cases(),
        *delay_cases(),
        *cycle_cases(),
        focus_case(),
        regular_case(),
        *covariant_cases(),
    ]
    return [*cases, *network_cases()]


def rows_of(case: Case, measured: Measured) -> list[Row]:
    """Rows of a case: what is known beside what was measured."""
    rows = []
    for quantity, known in case.known.items():
        more = measured.reference_errors.get(quantity, 0.0)
        known = dataclasses.replace(known, error=math.hypot(known.error, more))
        rows.append(Row(case, quantity, *measured.values[quantity], known))
    return rows


def concise(value: float, error: float) -> str:
    """Value with its standard error in the last two digits: 0.90565(19)."""
    if error < 1e-13:
        return format(value, ".13g")
    size = max(abs(value), error)
    power = math.floor(math.log10(size)) if size < 1e-3 else 0
    scale = 10.0**power
    decimals = max(1 - math.floor(math.log10(error / scale)), 0)
    digits = round(error / scale * 10**decimals)
    if digits == 100:  # rounded up to a third digit
        decimals, digits = decimals - 1, 10
    number = f"{round(value / scale, decimals) + 0.0:.{decimals}f}"  # no -0.0
    return f"{number}({digits})" + (f"e{power}" if power else "")


def read(text: str) -> tuple[float, float]:
    """Value and error of `concise`."""
    found = re.fullmatch(r"(-?\d+(?:\.(\d+))?)(?:\((\d+)\))?(?:e([-+]?\d+))?", text)
    if found is None:
        raise ValueError(f"no number with an error: {text!r}")
    number, decimals, digits, power = found.groups()
    scale = 10.0 ** int(power or 0)
    return float(number) * scale, int(digits or 0) * 10.0 ** -len(decimals or "") * scale


def table(rows: list[Row]) -> str:
    """Rows of one family; the name of a system stands in its first row."""
    lines, before = [HEAD], None
    for row in rows:
        name = "" if row.case is before else system_text(row.case)
        distance = f"**{row.apart:.1f}**" if row.apart > FAR else f"{row.apart:.1f}"
        numbers = (concise(row.value, row.error), concise(row.known.value, row.known.error))
        lines.append(f"| {name} | {row.quantity} | {numbers[0]} | {numbers[1]} | {distance} | {row.known.published} |")
        before = row.case
    return "\n".join(lines)


def system_text(case: Case) -> str:
    """Name and parameters."""
    return f"**{case.system}**" + (f", {case.parameters}" if case.parameters else "")


def sections(found: list[tuple[Case, Measured]]) -> str:
    """All families: their tables, how they were computed, where the references are from, what is far and why."""
    parts = []
    for family in dict.fromkeys(case.family for case, _ in found):
        of_family = [pair for pair in found if pair[0].family == family]
        rows = [row for pair in of_family for row in rows_of(*pair)]
        parts.append(f"## {family}\n\n{table(rows)}")
        parts += explanations([row for row in rows if row.apart > FAR])
        parts.append("| system | settings | reference |\n|---|---|---|\n" + "\n".join(how(of_family)))
    return "\n\n".join(parts)


def explanations(far: list[Row]) -> list[str]:
    """A line for each case with rows that are far."""
    lines = []
    for case in dict.fromkeys(row.case for row in far):
        quantities = ", ".join(row.quantity for row in far if row.case is case)
        lines.append(f"Beyond {FAR:g}: {case.system} ({quantities}): {case.remark or 'no explanation'}.")
    return lines


def how(pairs: Iterable[tuple[Case, Measured]]) -> list[str]:
    """Settings and sources; equal ones of one system in one line."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for case, measured in pairs:
        source = case.source.replace("|", "\\|")  # a bar would end the cell
        lines.setdefault((case.system, measured.settings, source), []).append(case.parameters)
    return [
        f"| {system}{', ' + parameters[0] if len(parameters) == 1 and parameters[0] else ''} | {settings} | {source} |"
        for (system, settings, source), parameters in lines.items()
    ]


def summary(rows: list[Row]) -> str:
    """How many rows lie how far, beside what chance alone does."""
    shares = [sum(row.apart > limit for row in rows) / len(rows) for limit in (1, 2, 3)]
    return (
        f"{len(rows)} quantities: {shares[0]:.0%} lie more than 1 combined standard error apart, {shares[1]:.1%} more "
        f"than 2, {shares[2]:.1%} more than 3. Independent normal errors would give 32 %, 4.6 % and 0.3 %; quantities "
        "of one system are not independent."
    )


def page(found: list[tuple[Case, Measured]]) -> str:
    """The whole page."""
    rows = [row for pair in found for row in rows_of(*pair)]
    head = (
        "# Validation\n\n"
        "What jaxdyn computes, beside values known from elsewhere. `python benchmarks/validation.py` makes this page; "
        f"this one was made with jaxdyn {jaxdyn.__version__}, jax {jax.__version__}, float64 on a CPU.\n\n"
        "Numbers in brackets are standard errors of the last digits: 0.90565(19) is 0.90565 ± 0.00019. Our errors come "
        "from the spread over independent runs, and what the step of the integrator does to the sum of the exponents "
        "is added to them. Errors of independent programs are enlarged by the factor 1.4 by which their authors call "
        "them too small. Numbers without an error are exact. *Apart* is the distance in combined standard errors; "
        "beyond 3 it is bold and explained below its table. *Published* values of the literature are given with few "
        "digits; they are listed for orientation. Exponents are natural logarithms per unit of time, of maps per step."
    )
    return f"{head}\n\n{summary(rows)}\n\n{sections(found)}\n\n{LIMITS}"


LIMITS = """## What is not validated

- Orbits of area-preserving maps and of Hamiltonian systems that stick to islands (standard map at k = 1 and k = 2,
  Hénon-Heiles): errors, from batches or from the spread over runs, are too small for every finite time, ours and those
  of the reference.
- Fields with jumps (signs, thresholds): the tangent dynamics leave out what happens at the jump, and the exponents of
  such systems are wrong. Kinks, as in the Lozi map, are no problem.
- float32, the default of JAX: everything here is float64, and what rounding adds in float32 is not measured.
- Exponents of random networks have no published digits; the networks here are compared with few others of their size,
  whose exponents scatter by some percent. The mean-field limit of infinite size lies above them all, as it must.
- The logistic map at r = 4 over long times: orbits in float64 fall onto 0 after some 1e7 steps, so its runs are short.
- Periodic windows, transient chaos and coexisting attractors: a run tells about the attractor that it reached, and its
  errors about the time that it took.
- Programs for GPUs: these numbers come from a CPU.
"""


def computed(cases: Iterable[Case], scale: float) -> list[tuple[Case, Measured]]:
    """Cases with what was measured; tells what takes how long."""
    found = []
    for case in cases:
        began = time.perf_counter()
        found.append((case, case.measure(scale)))
        print(f"{case.system} {case.parameters}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", type=Path, default=PAGE)
    arguments.add_argument("--only", nargs="+", metavar="NAME", help="systems; their tables are printed")
    arguments.add_argument("--quick", action="store_true", help="short runs; the tables are printed")
    options = arguments.parse_args()
    jax.config.update("jax_enable_x64", True)
    names = list(dict.fromkeys(case.system for case in all_cases()))
    chosen = options.only or names
    if unknown := [name for name in chosen if name not in names]:
        raise SystemExit(f"--only {', '.join(unknown)}: there are {'; '.join(names)}")
    cases = [case for case in all_cases() if case.system in chosen]
    found = computed(cases, QUICK if options.quick else 1.0)
    if options.only or options.quick:
        print(sections(found))
    else:
        options.output.write_text(page(found))


if __name__ == "__main__":
    main()
