"""Examples: each one runs to its end on a small problem and leaves figures that are not empty."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


def test_examples_are_there() -> None:
    """Numbers run from 01 on, each taken once."""
    assert EXAMPLES
    assert [path.name[:3] for path in EXAMPLES] == [f"{number:02d}_" for number in range(1, len(EXAMPLES) + 1)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_length(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 80


def test_readme_names_every_example() -> None:
    assert [path.name for path in EXAMPLES if f"({path.name})" not in (ROOT / "examples/README.md").read_text()] == []


def test_gallery_has_a_sentence_for_every_figure() -> None:
    captions = runpy.run_path(str(ROOT / "docs/make_gallery.py"))["CAPTIONS"]
    names = [name for path in EXAMPLES for name in re.findall(r'options\.out / "(\w+)\.png"', path.read_text())]
    assert sorted(captions) == sorted(set(names)) and len(names) >= len(EXAMPLES)
    assert all(sentence.endswith(".") and "]" not in sentence for sentence in captions.values())


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", str(path), "--smoke", "--out", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert any(character.isdigit() for character in run.stdout)
    figures = list(tmp_path.glob("*.png"))
    assert figures
    for figure in figures:
        pixels = matplotlib.image.imread(figure)[..., :3]
        assert min(pixels.shape[:2]) > 300
        # Text alone covers a few percent of a page; axes with nothing in them stay below this.
        assert ((pixels < 1).any(axis=-1)).mean() > 0.03, f"{figure.name} is almost empty"
