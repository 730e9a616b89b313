"""The validation page: numbers and their distances belong together, no row is missing, short runs reproduce it."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import validation
from validation_core import Case, Known, Measured

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"

pytestmark = pytest.mark.usefixtures("x64")


@dataclasses.dataclass(frozen=True)
class Shown:
    """One row of the page."""

    family: str
    system: str
    quantity: str
    value: str
    reference: str
    apart: str

    @property
    def distance(self) -> float:
        return float(self.apart.strip("*"))


def shown_in(text: str) -> list[Shown]:
    """Rows of the tables of numbers; the name of a system stands in its first row only."""
    rows, family, system = [], "", ""
    for line in text.splitlines():
        if line.startswith("## "):
            family = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == 6 and cells[0] != "system" and "---" not in line:
            system = cells[0] or system
            rows.append(Shown(family, system, *cells[1:5]))
    return rows


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    return shown_in(PAGE.read_text(encoding="utf-8"))


NUMBERS = [
    (0.9055505, 0.00019, "0.90555(19)"),
    (-14.5722193, 0.0014, "-14.5722(14)"),
    (0.5, 0.00996, "0.500(10)"),
    (27.09, 0.12, "27.09(12)"),
    (2.1e-6, 7.3e-6, "2.1(73)e-6"),
    (-8e-7, 4.5e-6, "-0.8(45)e-6"),
    (0.0, 1e-8, "0.0(10)e-8"),
    (-2e-7, 1.41e-5, "0.0(14)e-5"),
    (0.0, 0.0038, "0.0000(38)"),
    (0.6931471805599453, 0.0, "0.6931471805599"),
]


@pytest.mark.parametrize(("value", "error", "text"), NUMBERS)
def test_numbers_with_errors(value: float, error: float, text: str) -> None:
    assert validation.concise(value, error) == text
    known, spread = validation.read(text)
    # Half a unit of the second digit of the error, which is at least a tenth of it.
    assert abs(spread - error) <= 0.05 * error + 1e-15
    assert abs(known - value) <= 0.05 * error + 1e-13


def test_other_text_is_no_number() -> None:
    with pytest.raises(ValueError, match="no number"):
        validation.read("0.9(x)")


def test_page_has_every_row(shown: list[Shown]) -> None:
    """The rows that the script knows, in its order, and no others."""
    known = [
        (case.family, validation.system_text(case), quantity)
        for case in validation.all_cases()
        for quantity in case.known
    ]
    assert len(set(known)) == len(known)
    assert sorted((row.family, row.system, row.quantity) for row in shown) == sorted(known)


def test_page_says_how_it_was_made() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "`python benchmarks/validation.py`" in text
    assert re.search(r"jaxdyn \d+\.\d+\S*, jax \d+\.\d+\S*, float64", text)
    assert "no explanation" not in text
    assert "What is not validated" in text


def test_distances_follow_from_the_numbers(shown: list[Shown]) -> None:
    """As far as rounding allows: 5 % of an error, and a twentieth of an error for each of the two values."""
    for row in shown:
        (value, error), (known, spread) = validation.read(row.value), validation.read(row.reference)
        distance = validation.apart(value, error, Known(known, spread))
        assert abs(distance - row.distance) <= 0.05 * distance + 0.1 + 0.05, row


def test_far_rows_are_bold_and_explained(shown: list[Shown]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in shown:
        assert row.apart.startswith("**") == (row.distance > 3) or row.distance == 3.0, row
        if row.apart.startswith("**"):
            lines = [line for line in text.splitlines() if line.startswith("Beyond 3:") and row.quantity in line]
            assert any(f"**{line.split(': ')[1].split(' (')[0]}**" in row.system for line in lines), row


def test_summary_counts_the_rows(shown: list[Shown]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(r"(\d+) quantities: (\d+)% .*? ([\d.]+)% more than 2, ([\d.]+)% more than 3", text, re.DOTALL)
    assert found is not None and int(found[1]) == len(shown)
    for limit, share in zip((1, 2, 3), found.groups()[1:], strict=True):
        # Distances are shown with one decimal: those at the limit count either way.
        low, high = (sum(row.distance > limit + d for row in shown) / len(shown) for d in (0.05, -0.05))
        assert low - 0.006 <= float(share) / 100 <= high + 0.006


def case(measured: float, remark: str) -> tuple[Case, Measured]:
    known = {"exponent 1": Known(1.0, 0.03)}
    found = Measured({"exponent 1": (measured, 0.04)}, "one lane")
    return Case("Maps", "some map", "r = 1", known, "a book", lambda scale: found, remark), found


def test_wrong_values_are_seen() -> None:
    """Errors of 0.03 and 0.04 make 0.05: 1.2 is four of them off, 1.1 two."""
    (far,) = shown_in(validation.sections([case(1.2, "it is what it is")]))
    assert far.apart == "**4.0**" and far.value == "1.200(40)" and far.reference == "1.000(30)"
    (near,) = shown_in(validation.sections([case(1.1, "")]))
    assert near.apart == "2.0"
    assert "Beyond 3: some map (exponent 1): it is what it is." in validation.sections([case(1.2, "it is what it is")])
    assert "no explanation" in validation.sections([case(1.2, "")])


SHORT = ("Ikeda", "logistic, r = 3.2", "logistic, r = 3.7", "Lorenz, stable focus", "folded towel map")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_short_runs(name: str, shown: list[Shown]) -> None:
    """Within 5 errors: with Student's t of 15 degrees of freedom, for 16 lanes, that is exceeded in 0.02 % of cases."""
    chosen = [each for each in validation.all_cases() if each.system == name and "vectors" not in each.family]
    ((one, measured),) = validation.computed(chosen, validation.QUICK)
    rows: list[Any] = validation.rows_of(one, measured)
    same = [row for row in shown if (row.family, row.system) == (one.family, validation.system_text(one))]
    assert [row.quantity for row in rows] == [row.quantity for row in same]
    assert max(row.apart for row in rows) < 5
