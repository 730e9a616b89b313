"""The examples as notebooks: `python examples/notebooks.py [--out DIR] [NUMBER ...]` writes one .ipynb for each.

The docstring becomes the first cell, the paragraphs of the script the others; options have their default values.
"""

import argparse
import ast
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def notebook(path: Path) -> dict[str, Any]:
    """One example as a notebook, format 4.5."""
    source = path.read_text()
    tree = ast.parse(source)
    cells = [_cell("markdown", _introduction(tree, path.name), 0)]
    for number, text in enumerate(_paragraphs(source, tree), start=1):
        cells.append(_cell("code", text, number))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _introduction(tree: ast.Module, name: str) -> str:
    """The docstring in markdown: its first line as a title, without the command line."""
    title, *parts = (ast.get_docstring(tree) or name).split("\n\n")
    parts = [plain(part) for part in parts if not part.startswith("    ")]
    return "\n\n".join([f"# {title.rstrip('.')}", *parts, f"The same as a script: `examples/{name}`."])


def plain(text: str) -> str:
    """Words in markdown: what it would read as emphasis or a formula is escaped, the first word of a part is bold."""
    for sign in "\\*_^<|$":
        text = text.replace(sign, "\\" + sign)
    for word in ("Question:", "Answer:"):
        text = f"**{word}**" + text.removeprefix(word) if text.startswith(word) else text
    return text


def _paragraphs(source: str, tree: ast.Module) -> list[str]:
    """Code between blank lines, no statement in two; all imports in one, the command line's options as plain values."""
    lines = source.split("\n")
    texts: list[list[str]] = [["%matplotlib inline", ""]]  # before the first style(), which would undo it on leaving
    last, only_imports = tree.body[0].end_lineno or 0, True  # the docstring is in the first cell
    for statement in tree.body[1:]:
        between = lines[last : statement.lineno - 1]
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        if "" in between:
            texts += [] if only_imports and is_import else [[]]
            texts[-1] += [""] if texts[-1] and not _is_of_command_line(statement) else []
        only_imports = is_import
        if not _is_of_command_line(statement):
            texts[-1] += [line for line in between if line] + lines[statement.lineno - 1 : statement.end_lineno]
        elif _assigns(statement, "options"):
            texts[-1] += _options(tree)
        last = statement.end_lineno or last
    return ["\n".join(text) for text in texts if text]


def _is_of_command_line(statement: ast.stmt) -> bool:
    """Whether a statement imports argparse, or makes, fills or reads the parser."""
    if isinstance(statement, ast.Import):
        return [name.name for name in statement.names] == ["argparse"]
    return isinstance(statement, ast.Assign | ast.Expr) and any(
        isinstance(node, ast.Name) and node.id in ("arguments", "argparse") for node in ast.walk(statement)
    )


def _assigns(statement: ast.stmt, name: str) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name


def _options(tree: ast.Module) -> list[str]:
    """The options with their defaults, each with its help as a comment."""
    lines = ["from types import SimpleNamespace", "", "options = SimpleNamespace("]
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "arguments.add_argument":
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            is_switch = "action" in given and ast.literal_eval(given["action"]) == "store_true"
            default = ast.unparse(given["default"]) if "default" in given else "False" if is_switch else "None"
            name = ast.literal_eval(call.args[0]).lstrip("-").replace("-", "_")
            lines.append(f"    {name}={default},  # {ast.literal_eval(given['help'])}")
    return [*lines, ")"]


def _cell(kind: str, text: str, number: int) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": text.splitlines(keepends=True)}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("numbers", nargs="*", help="numbers of examples, such as 03; default all")
    arguments.add_argument("--out", type=Path, default=Path(), help="folder of the notebooks")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("[0-9][0-9]_*.py")):
        if not given.numbers or path.name[:2] in given.numbers:
            target = given.out / f"{path.stem}.ipynb"
            target.write_text(json.dumps(notebook(path), indent=1, ensure_ascii=False) + "\n")
            print(target)
