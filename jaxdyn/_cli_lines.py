"""Where the keys of a TOML text are: `tomllib` gives values without their places."""

import re
import tomllib
from typing import Any

__all__ = ["Path", "lines_of"]

Path = tuple[str | int, ...]
"""Names of tables and keys from the outside to the inside; an entry of an array is its number."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|'([^'\n]*)')[ \t]*""")
_STRINGS = (  # those of several lines first; up to two quotes may stand before the closing three
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{1,2})?', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{1,2})?", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[Path, int]:
    """Line of each key, table and entry of an array in a text that `tomllib` has accepted; the first is line 1."""
    return _Scanner(text).lines()


class _Scanner:
    """Position in a text that is known to be correct, so that only what tells places apart is looked at."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.counted, self.line = 0, 1
        self.found: dict[Path, int] = {}

    def lines(self) -> dict[Path, int]:
        """All places."""
        table: Path = ()
        tables: dict[Path, int] = {}
        while self._blank():
            if self.text.startswith("[[", self.at):
                self.at += 2
                name = self._key(())
                tables[name] = tables.get(name, -1) + 1
                table = (*name, tables[name])
                self._note(table)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._key(())
                self.at += 1
            else:
                self._pair(table)
        return self.found

    def _blank(self) -> bool:
        """Pass spaces, line ends and comments; whether something is left."""
        self.at = _matched(_BLANK, self.text, self.at).end()
        return self.at < len(self.text)

    def _note(self, path: Path) -> None:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        self.found.setdefault(path, self.line)

    def _key(self, table: Path) -> Path:
        """Pass a key with dots; its path."""
        path = table
        while True:
            part = _matched(_KEY_PART, self.text, self.at)
            bare, quoted, literal = part.groups()
            name = tomllib.loads(f"key = {quoted}")["key"] if quoted else bare if bare is not None else literal
            path = (*path, name)
            self._note(path)
            self.at = part.end()
            if self.text[self.at] != ".":
                return path
            self.at += 1

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self.at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self._blank()
        start: Any = self.text[self.at]
        if start in "\"'":
            self.at = next(m for pattern in _STRINGS if (m := pattern.match(self.text, self.at))).end()
        elif start == "[":
            self._entries("]", path)
        elif start == "{":
            self._entries("}", path)
        else:
            self.at = _matched(_SCALAR, self.text, self.at).end()

    def _entries(self, end: str, path: Path) -> None:
        """Pass an array or a table in braces."""
        self.at += 1
        number = 0
        while self._blank() and self.text[self.at] != end:
            if self.text[self.at] == ",":
                self.at += 1
                continue
            if end == "]":
                self._note((*path, number))
                self._value((*path, number))
                number += 1
            else:
                self._pair(path)
        self.at += 1


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    assert found is not None, f"the text is no TOML at position {at}"
    return found
