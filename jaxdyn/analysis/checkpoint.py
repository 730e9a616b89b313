"""One long run in pieces, saved to a file after each: a process that is killed goes on where it stopped."""

import io
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._fingerprint import digest, environment, program_parts
from jaxdyn._types import is_concrete
from jaxdyn.analysis.lyapunov_course import Course, Fixed
from jaxdyn.analysis.until import Until

__all__ = ["saved_run"]

FORMAT = "jaxdyn checkpoint 1"
EQUATIONS = "equations"
"""Name of the part that also changes with most of the others."""


def saved_run(path: str | os.PathLike[str], course: Course, rule: Fixed | Until) -> Any:
    """State at the end of a run that is saved after its transient and each batch, and goes on from what was saved.

    The file holds all numbers of the run between two batches, and digests of all that decides them. Each piece is run
    by one and the same compiled program, so an interrupted run gives the same bits.
    """
    # Within jit even what is new and constant is traced.
    if not is_concrete(course, rule, jnp.zeros(())):
        raise TypeError(
            "checkpoint saves one run outside jit, vmap, lanes and sweep; for many runs use sweep(..., store=)"
        )
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"checkpoint={str(path)!r} is a directory; give the path of a file, such as 'run.npz'")
    found, values = _read(path), _values(course, rule)
    if found is not None:  # at first by what needs no tracing
        _refuse_another_run(path, {name: word for name, word in found[0].items() if name != EQUATIONS}, values)
    like = jax.eval_shape(_begin, course, rule)
    parts = values | {EQUATIONS: digest(program_parts(_one_batch.lower(course, rule, like)))}
    if found is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = _begin(course, rule)
        save(path, parts, state)
    else:
        _refuse_another_run(path, found[0], parts)
        state = jax.tree.unflatten(jax.tree.structure(like), [jax.device_put(leaf) for leaf in found[1]])
    while not rule.is_over(state):
        state = _one_batch(course, rule, state)
        save(path, parts, state)
    return state


@jax.jit
def _begin(course: Course, rule: Fixed | Until) -> Any:
    return rule.begin(course)


@jax.jit
def _one_batch(course: Course, rule: Fixed | Until, state: Any) -> Any:
    return rule.one_batch(course, state)


def save(path: Path, parts: dict[str, str], state: Any) -> None:
    """Write a state beside the old one, and put it in its place when all of it is on the disk."""
    leaves: dict[str, Any] = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    words = json.dumps({"format": FORMAT, "parts": parts, "digest": digest(list(leaves.values()))})
    buffer = io.BytesIO()
    np.savez(buffer, words=np.frombuffer(words.encode(), np.uint8), **leaves)
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make the new name last, where directories can be opened."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path) -> tuple[dict[str, str], list[Any]] | None:
    """Parts of the fingerprint and arrays of the state in a file, None if there is none; complains if it is damaged."""
    if not path.exists():
        return None
    damaged = f"{path} is no complete checkpoint of jaxdyn; delete it to begin anew, or give another path"
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        words = json.loads(found.pop("words").tobytes())
        leaves = [found[f"leaf{i}"] for i in range(len(found))]
        whole = words["format"] == FORMAT and words["digest"] == digest(leaves)
        stored = dict(words["parts"])
    except Exception as error:  # whatever a damaged file makes of the reader
        raise ValueError(f"{damaged} ({type(error).__name__})") from error
    if not whole:
        raise ValueError(f"{damaged} (its numbers do not fit their digest)")
    return stored, leaves


def _refuse_another_run(path: Path, stored: dict[str, str], asked: dict[str, str]) -> None:
    names = dict.fromkeys([*asked, *stored])
    different = [name for name in names if stored.get(name) != asked.get(name)]
    different = [name for name in different if name != EQUATIONS] or different
    if not different:
        return

    def words(name: str) -> str:
        pair = (stored.get(name, "none"), asked.get(name, "none"))
        return name if len("".join(pair)) > 60 or name == EQUATIONS else f"{name} ({pair[0]} there, {pair[1]} here)"

    raise ValueError(
        f"{path} belongs to another run; it differs in: {', '.join(map(words, different))}; "
        "give another path, or the same arguments to go on"
    )


def _values(course: Course, rule: Fixed | Until) -> dict[str, str]:
    """All that decides the numbers but the equations, by name: short values as they are, arrays as digests."""
    system = course.system
    values: dict[str, Any] = {
        "system": system.about.name,
        "dtype": str(system.dtype),
        "dt": course.dt,
        "method": type(course.method).__name__,
        "n_exponents": course.k,
        "qr_every": course.qr_every,
        "checks": course.with_volume,
        "n_transient": rule.n_transient * course.qr_every,
    }
    if isinstance(rule, Fixed):
        values["n_steps"] = rule.n_intervals * course.qr_every
    else:
        round_steps = rule.per_round * course.qr_every
        values |= {"limit of until": rule.n_rounds * round_steps, "shortest batch of until": round_steps}
        values["tolerance of until"] = rule.tolerance
    values |= {f"parameter {name!r}": value for name, value in system.params.items()}
    values |= {
        "start x0": system.x0,
        "other numbers of the system": digest(jax.tree.leaves((system.field, course.method))),
    }
    values |= environment()
    return {name: _word(value) for name, value in values.items()}


def _word(value: Any) -> str:
    if not isinstance(value, jax.Array | np.ndarray):
        return str(value)
    return repr(value.item()) if np.ndim(value) == 0 else digest([value])
