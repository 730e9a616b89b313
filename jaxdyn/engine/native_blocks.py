"""How many vectors of lanes go through a loop's C program together."""

from jaxdyn.engine.kernels import Loop
from jaxdyn.engine.native_code import Writer

__all__ = ["MOST_STATEMENTS", "level_of", "program"]

# Vectors of lanes that go through a loop together hide the latency of each other's arithmetic; more than fit the
# registers only wait for memory. Most statements of a loop for each number of vectors, and most numbers alive at a time
# for more than one, as measured on FitzHugh-Nagumo, Lorenz, Lorenz 96 and their spectra. Eight pay where few numbers
# are alive: neurons by RK4 run 1.2 times as fast as with four, the logistic map 1.4 times (AMD Zen 5).
MOST_STATEMENTS = {8: 200, 4: 200, 2: 800}
MOST_ALIVE = {8: 9, 4: 40, 2: 40}
# Numbers alive at a time from which GCC's -O1 is faster than its -O2, which moves their uses further apart: spectra of
# Lorenz 96 run up to 1.7 times as fast, and are compiled in two thirds of the time.
ALIVE_PLAIN = 48
# With eight vectors GCC's own order of instructions pays, which its options for x86 leave out: small systems run 1.0 to
# 1.4 times as fast, neurons 1.15 times; with more numbers alive it costs up to a fifth. Other compilers pass it over.
ORDERED = '#pragma GCC optimize ("schedule-insns", "sched-pressure")\n'
FULL = max(MOST_STATEMENTS)


def program(loop: Loop, vectors: int | None, most: int) -> tuple[str, Writer]:
    """The C program of a loop, for blocks of some vectors, at most `most` if it may choose; raises `Unsupported`.

    And what wrote it down, or the same for one vector.
    """
    writer = Writer(loop, vectors or 1)
    text = writer.program()
    groups = vectors or min(_best(writer), most)
    if vectors is None and groups > 1:
        text = Writer(loop, groups).program()
    return ORDERED + text if groups == FULL else text, writer


def level_of(writer: Writer) -> str:
    """How far the compiler optimizes a program."""
    return "-O1" if writer.alive[1] > ALIVE_PLAIN else "-O2"


def _best(writer: Writer) -> int:
    """Number of vectors, from the program for one."""
    n, alive = len(writer.lines), writer.alive[1]
    fitting = (groups for groups, most in MOST_STATEMENTS.items() if n <= most and alive <= MOST_ALIVE[groups])
    return next(fitting, 1)
