"""A typed request as the text of a sweep file, so that its store can be resumed as one of `jaxdyn run`."""

import json
from typing import Any

from jaxdyn._cli_measures import OPTIONS, system_options, tables_of
from jaxdyn._cli_request import Range, Request
from jaxdyn.system import System

__all__ = ["as_toml"]


def as_toml(request: Request, system: System) -> str:
    """Text that describes the same sweep."""
    whole = {
        "system": request.system,
        "measure": request.measure,
        "seed": request.seed,
        "precision": str(system.dtype),
        "memory": request.memory,
        "chunk": request.chunk,
    }
    names = sorted({name for options in OPTIONS.values() for name in options})
    tables = {
        **tables_of(request, system, system_options(request)),
        "over": request.swept,
        "measure_options": {name: getattr(request, name) for name in names},
    }
    lines = [f"{name} = {_text(value)}" for name, value in whole.items() if value is not None]
    for table, values in tables.items():
        given = [f"{_key(name)} = {_text(value)}" for name, value in values.items() if value is not None]
        lines += ["", f"[{table}]", *given] if given else []
    return "\n".join([*lines, ""])


def _key(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else json.dumps(name, ensure_ascii=False)


def _text(value: Any) -> str:
    if isinstance(value, Range):
        log = ", log = true" if value.log else ""
        return f"{{ start = {value.start!r}, stop = {value.stop!r}, count = {value.count}{log} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
