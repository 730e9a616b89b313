"""Notebooks made from the examples: valid by the format, complete, and they run."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
ALL = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)

_spec = importlib.util.spec_from_file_location("notebooks", FOLDER / "notebooks.py")
assert _spec is not None and _spec.loader is not None
notebooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(notebooks)


def python_cells(path: Path) -> list[str]:
    """Code cells without the line that only a notebook understands."""
    texts = ["".join(cell["source"]) for cell in notebooks.notebook(path)["cells"] if cell["cell_type"] == "code"]
    assert texts[0].startswith("%matplotlib inline\n")
    return [texts[0].removeprefix("%matplotlib inline\n"), *texts[1:]]


def code_of(path: Path) -> str:
    return "\n".join(python_cells(path))


@ALL
def test_format(path: Path) -> None:
    """What format 4.5 requires of a notebook and of its cells."""
    made = json.loads(json.dumps(notebooks.notebook(path)))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert set(made) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert made["metadata"]["kernelspec"]["name"] and made["metadata"]["kernelspec"]["display_name"]
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in made["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
        assert all(line.endswith("\n") for line in cell["source"][:-1]) and "".join(cell["source"]).strip()
    try:
        import nbformat
    except ImportError:
        return
    nbformat.validate(made)


@ALL
def test_first_cell_asks_and_answers(path: Path) -> None:
    first, *others = notebooks.notebook(path)["cells"]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown" and text.startswith("# ")
    assert "**Question:**" in text and "**Answer:**" in text and "--smoke" not in text
    assert len(others) > 2 and all(cell["cell_type"] == "code" for cell in others)


@ALL
def test_cells_hold_the_whole_script_without_its_command_line(path: Path) -> None:
    code, source = code_of(path), path.read_text()
    kept = [ast.dump(node) for node in ast.parse(code).body]
    wanted = [
        node for node in ast.parse(source).body[1:] if not re.search(r"\bargparse|\barguments", ast.unparse(node))
    ]
    assert [text for text in map(ast.dump, wanted) if text not in kept] == []
    assert len(kept) == len(wanted) + 2  # the options, and an import for them
    assert "argparse" not in code and "sys.argv" not in code
    comments = re.findall(r"^ *# .*$", source, flags=re.MULTILINE)
    assert [comment for comment in comments if comment not in code] == []
    for cell in python_cells(path):
        ast.parse(cell)  # no statement is cut in two


def test_files_are_written(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "notebooks.py"), "03", "--out", str(tmp_path / "new")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    (written,) = (tmp_path / "new").glob("*.ipynb")
    assert run.stdout.strip() == str(written) and written.name.startswith("03_")
    assert json.loads(written.read_text()) == notebooks.notebook(next(p for p in EXAMPLES if p.name[:2] == "03"))


@pytest.mark.slow
def test_cells_run_and_leave_figures_open(tmp_path: Path) -> None:
    """Figures that are open at the end of a cell are what a notebook displays."""
    path = next(path for path in EXAMPLES if path.name.startswith("03_"))
    code = code_of(path)
    assert code.count("smoke=False") == 1
    code = code.replace("smoke=False", "smoke=True") + "\nassert plt.get_fignums()\n"
    environment = {**os.environ, "MPLBACKEND": "Agg", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert any(character.isdigit() for character in run.stdout) and list(tmp_path.glob("*.png"))
