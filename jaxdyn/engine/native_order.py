"""In which order the statements of a block's vectors are written down.

A processor works on some hundred instructions ahead. Statements of several vectors in turn give it independent work
within that window; but each vector then needs registers at the same time, and what exceeds them waits for memory.
"""

import re
from collections.abc import Sequence

__all__ = ["mean_alive", "written_out"]

NAME = re.compile(r"x\d+_@")
DECLARED = re.compile(r"const \w+ (x\d+_@) =")

ALIVE_TOGETHER = 42
"""Numbers kept at a time up to which several vectors in turn are faster, as measured; 512-bit registers are 32."""


def written_out(lines: Sequence[str], groups: int) -> list[str]:
    """A straight piece for each vector of a block, as many in turn as the registers hold."""
    together = next((t for t in (4, 2) if t <= groups and t * mean_alive(lines) <= ALIVE_TOGETHER), 1)
    return [
        line.replace("@", str(vector))
        for first in range(0, groups, together)
        for line in lines
        for vector in range(first, min(first + together, groups))
    ]


def mean_alive(lines: Sequence[str]) -> float:
    """Mean count of numbers of one vector that a straight piece keeps, each from its declaration to its last use."""
    first, last = {}, {}
    for i, line in enumerate(lines):
        if declared := DECLARED.match(line):
            first[declared[1]] = i
        last |= dict.fromkeys(NAME.findall(line), i)
    return sum(last[name] - first.get(name, 0) for name in last) / max(len(lines), 1)
