"""Examples: each one runs to its end on a small problem and leaves figures that are not empty."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))


def test_examples_are_there() -> None:
    assert [path.name[:2] for path in EXAMPLES] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_length(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 80


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
