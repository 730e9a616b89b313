"""Lanes in a queue: in a loop that each lane leaves when it likes, no lane waits for a slower one.

A block of lanes goes on until some have ended. Their results are written away, the next lanes of the queue take their
places, and the block goes on: its vectors stay full until the queue is empty, whatever order the lanes come in. What a
lane computes is the same in any place beside any other lanes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import Literal

from jaxdyn.engine.census import needed
from jaxdyn.engine.kernels import Loop
from jaxdyn.engine.native_terms import Term

__all__ = ["QUEUE", "go_on", "in_a_block", "left_when", "patience", "queued", "sizes"]

# Numbers that a lane brings and leaves count as so many statements of a vector each, some four times what they take: a
# change of all lanes of a block then costs at most a quarter of the time between two of them, as measured.
STATEMENTS_OF_A_NUMBER = 16


def queued(loop: Loop) -> Any:
    """The equation of a loop that each lane leaves by itself, if the whole is nothing else; else None."""
    equations, lanes = needed(loop.jaxpr), (loop.lanes,)
    if not equations or equations[-1].primitive.name != "while":
        return None
    last = equations[-1]
    test = last.params["cond_jaxpr"].jaxpr
    # As the rule for such loops writes it: it goes on while the first that it carries holds for any lane.
    by_lane = [e.primitive.name for e in test.eqns] == ["reduce_or"] and test.eqns[0].invars[0] in test.invars[:1]
    whole = loop.jaxpr.outvars == last.outvars[1:] and all(v.aval.shape == lanes for v in last.outvars)
    known = all(v.aval.shape in ((), lanes) for v in loop.inputs)
    named = not last.params["cond_nconsts"] and not any(isinstance(v, Literal) for v in loop.jaxpr.outvars)
    return last if by_lane and whole and known and named and loop.jaxpr.outvars else None


def go_on(writer: Any, carry: Sequence[Term]) -> None:
    """What the lanes of a block carry: at the start for new ones, what they had for others."""
    fresh, real, was_active = (
        writer.loaded(f"(char *)places.{name}", bool, True) for name in ("fresh", "real", "active")
    )
    active, *others = carry
    begins = writer.computed("and", [active, real], active.dtype)
    new = [writer.computed("select_n", [fresh, was_active, begins], active.dtype)]
    for i, term in enumerate(others):
        had = writer.loaded(f"out[{i}]", term.dtype, True)
        new.append(writer.computed("select_n", [fresh, had, term], term.dtype))
    for variable, term in zip(carry, new, strict=True):
        writer.write(f"{variable.text} = {term.text};", vector=True)


def left_when(writer: Any, active: Term) -> None:
    """End of a block's iterations: no lane is left, or some have ended and others wait."""
    count = writer.name()
    writer.write(f"word {count} = 0;")
    writer.write(f"for (int l = 0; l < W; l++) {count} -= ({active.text})[l];", vector=True)
    writer.flush()
    writer.write(f"if (!{count} || ({count} < BLOCK && !places.ended && since >= PATIENCE)) break;")
    writer.write("since++;")


def in_a_block(lines: Sequence[str], lengths: Sequence[str]) -> list[str]:
    """The function that takes lanes of the queue as long as there are any, from what it does with those of a block."""
    head = ["static void block(Call *call)", "{", "const long n = BLOCK, at = 0;", "Places places;"]
    head += ["char *in[INS + 1], *out[OUTS + 1];", "open_places(call, &places, in, out);", *lengths]
    return [*head, "while (refill(call, &places)) {", "long since = 0;", *lines, "}", "}"]


def patience(loop: Loop, block: int, before: int, iteration: int) -> int:
    """Iterations between two changes of lanes, from the statements before the loop and of one iteration."""
    numbers = sum(v.aval.shape != () for v in (*loop.inputs, *loop.jaxpr.outvars))
    return math.ceil((STATEMENTS_OF_A_NUMBER * block * numbers + before) / max(iteration, 1))


def sizes(avals: Sequence[Any]) -> str:
    """Bytes of a lane's number in each array, 0 where all lanes share it."""
    return "{" + ", ".join([*(str(np.dtype(a.dtype).itemsize if a.shape else 0) for a in avals), "0"]) + "}"


QUEUE = """
static const int in_size[] = IN_SIZES, out_size[] = OUT_SIZES;

/* What the lanes of a block have been given and have got so far; lane -1 is none, in a place that has ended. */
typedef struct {
    char in[INS][BLOCK * 8] __attribute__((aligned(64))), out[OUTS][BLOCK * 8] __attribute__((aligned(64)));
    long lane[BLOCK];
    uint8_t fresh[BLOCK], real[BLOCK], active[BLOCK];
    int whole, ended;
} Places;

static void open_places(Call *call, Places *p, char **in, char **out)
{
    for (int i = 0; i < INS; i++) in[i] = in_size[i] ? p->in[i] : call->in[i];
    for (int i = 0; i < OUTS; i++) out[i] = p->out[i];
    for (int l = 0; l < BLOCK; l++) p->lane[l] = -1;
    memset(p->active, 0, BLOCK);
    p->whole = p->ended = 0;
}

#define UNROLLED _Pragma("GCC unroll 32") /* each size is then known */

static inline void copy(char *to, long k, const char *from, long l, int size)
{
    switch (size) {
    case 1: to[k] = from[l]; break;
    case 2: memcpy(to + 2 * k, from + 2 * l, 2); break;
    case 4: memcpy(to + 4 * k, from + 4 * l, 4); break;
    case 8: memcpy(to + 8 * k, from + 8 * l, 8); break;
    }
}

static void begin(Call *call, Places *p, int l, long lane)
{
    const long like = lane < call->lanes ? lane : call->lanes - 1; /* a place without a lane computes on like another */
    UNROLLED for (int i = 0; i < INS; i++) copy(p->in[i], l, call->in[i], like, in_size[i]);
    p->real[l] = lane < call->lanes;
    p->lane[l] = p->real[l] ? lane : -1;
    p->fresh[l] = 1;
}

static void put_away(Call *call, Places *p)
{
    for (int l = 0; l < BLOCK; l++) {
        if (p->active[l] || p->lane[l] < 0) continue;
        UNROLLED for (int i = 0; i < OUTS; i++) copy(call->out[i], p->lane[l], p->out[i], l, out_size[i]);
        p->lane[l] = -1;
    }
}

/* A whole block of neighbors begins and, if all have ended, ends at once: for loops of few iterations. */
static void begin_together(Call *call, Places *p, long first)
{
    for (int i = 0; i < INS; i++) memcpy(p->in[i], call->in[i] + first * in_size[i], BLOCK * in_size[i]);
    for (int l = 0; l < BLOCK; l++) p->lane[l] = first + l;
    memset(p->real, 1, BLOCK);
    memset(p->fresh, 1, BLOCK);
}

static void put_away_together(Call *call, Places *p)
{
    for (int i = 0; i < OUTS; i++) memcpy(call->out[i] + p->lane[0] * out_size[i], p->out[i], BLOCK * out_size[i]);
    for (int l = 0; l < BLOCK; l++) p->lane[l] = -1;
}

/* Whether there is something to do, once the next lanes have taken the places of those that have ended. */
static int refill(Call *call, Places *p)
{
    int active = 0;
    for (int l = 0; l < BLOCK; l++) active += p->active[l];
    if (p->whole && !active) put_away_together(call, p); else put_away(call, p);
    p->whole = 0;
    memset(p->fresh, 0, BLOCK);
    if (!active) {
        const long first = __atomic_fetch_add(&call->next, BLOCK, __ATOMIC_RELAXED);
        if (first >= call->lanes) return 0;
        p->whole = first + BLOCK <= call->lanes;
        p->ended = !p->whole;
        if (p->whole) begin_together(call, p, first);
        else for (int l = 0; l < BLOCK; l++) begin(call, p, l, first + l);
        return 1;
    }
    for (int l = 0; l < BLOCK && !p->ended; l++) {
        if (p->lane[l] >= 0) continue;
        const long lane = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED);
        if (lane < call->lanes) begin(call, p, l, lane); else p->ended = 1;
    }
    return 1;
}

/* Lanes that only fill up a block get what the last one has got. */
static void fill_up(Call *call)
{
    for (int i = 0; i < OUTS; i++)
        for (long l = call->lanes; l < call->n; l++)
            copy(call->out[i], l, call->out[i], call->lanes - 1, out_size[i]);
}
"""
"""Fixed part of such a program; `block` follows."""
