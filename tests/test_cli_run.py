"""Sweeps from a file: run, stopped and gone on with."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from commands import command, done, opened, refused, refused_at, run, unfinished

import jaxdyn

MODULE = """\
import jax.numpy as jnp
import jaxdyn

def square(a=1.2, n=1):
    return jaxdyn.iterated_map(lambda i, x, p: 1 - p["a"] * x**2 + p["shift"], {"a": a, "shift": 0.0}, [0.1] * n)

ready = square()

def end(system, steps=5, *, scale=1.0):
    return {"end": scale * jaxdyn.final_state(system, n_steps=steps).x[0], "n": jnp.int32(system.dim)}

def drawn(system, key):
    import jax
    return {"draw": jax.random.uniform(key) + system.params["a"]}

both = {"first": end, "second": lambda system: system.x0}

def broken(system):
    return {"end": system.params["a"].nothing}

def no_system(n=1):
    return n

def failing():
    raise KeyError("no such thing")

def needs(size):
    return square(n=size)

number = 3
"""
SWEEP = """\
system = "own_maps:square"
measure = "own_maps:end"
store = "cells.zarr"
chunk = 2
[options]
n = 2
[parameters]
shift = 0.25
[over]
a = { start = 0.5, stop = 1.5, count = 7 }
[measure_options]
steps = 3
"""


@pytest.fixture
def file(tmp_path):
    """Sweep file of a system and a measure beside it."""
    (tmp_path / "own_maps.py").write_text(MODULE)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    yield tmp_path / "sweep.toml"
    sys.modules.pop("own_maps", None)


def say(store: Path, **attributes: str) -> None:
    """Change what a store says about itself."""
    data = json.loads((store / "zarr.json").read_text())
    data["attributes"] |= attributes
    (store / "zarr.json").write_text(json.dumps(data))


def test_it_computes_what_the_library_computes(file):
    before = list(sys.path)
    told = done("run", file, "--plot", file.parent / "p.png")
    import own_maps  # type: ignore[import-not-found]  # it was imported by the command

    expected = jaxdyn.sweep(
        lambda s: own_maps.end(s, steps=3),
        own_maps.square(n=2).with_params(shift=0.25),
        {"a": np.linspace(0.5, 1.5, 7)},
    )
    data = opened(file.parent / "cells.zarr")
    np.testing.assert_array_equal(data["end"], expected["end"])
    np.testing.assert_array_equal(data["a"], expected["a"])
    assert (data["n"] == 2).all()
    assert data.attrs["sweep_toml"] == SWEEP
    assert data.attrs["sweep_directory"] == str(file.parent)
    assert "own_maps:end of own_maps:square over a (7), float32" in told and "failed cells: none" in told
    assert f"end: {data['end'].values.min():.5g} to {data['end'].values.max():.5g}" in told
    assert (file.parent / "p.png").stat().st_size > 5000
    assert sys.path == before


def test_dry_run_computes_nothing(file, computed, monkeypatch):
    monkeypatch.setattr(jaxdyn, "sweep", lambda *_, **__: pytest.fail("computed"))
    told = done("run", file, "--dry-run")
    for line in (
        "own_maps:end of own_maps:square over a (7), float32",
        "cells: 7",
        "cells of a chunk: 2",
        "result: end, float32",
        "result: n, int32",
        "size of the results: 63 bytes",  # 7 cells of 4 + 4 bytes and the status
        f"store: {file.parent / 'cells.zarr'} (new)",
    ):
        assert line in told.splitlines()
    assert not (file.parent / "cells.zarr").exists()
    file.write_text(SWEEP.replace("chunk = 2", 'keep = ["end"]\nmemory = "5MB"'))
    told = done("run", file, "--dry-run")
    assert "chosen from 5MB" in told and "result: n" not in told and "results: 35 bytes" in told


def test_quiet_prints_nothing_and_the_store_may_be_another(file):
    other = file.parent / "other.zarr"
    assert done("run", file, "--quiet", "--store", other) == ""
    assert opened(other).sizes["a"] == 7
    assert not (file.parent / "cells.zarr").exists()


def test_a_partial_store_is_resumed(file, computed):
    done("run", file)
    store = file.parent / "cells.zarr"
    expected = opened(store)["end"].values
    unfinished(store, slice(2, 6))
    computed.clear()
    told = done("resume", store)
    assert len(computed) == 2 and "(3 of them were in the store)" in told
    np.testing.assert_array_equal(opened(store)["end"], expected)
    computed.clear()
    assert "(7 of them were in the store)" in done("resume", store)
    assert done("resume", store, "--quiet") == ""
    assert not computed
    unfinished(store, slice(0, 2))
    assert "(5 of them were in the store)" in done("run", file)  # the same command resumes too
    assert len(computed) == 1
    assert "cells: 7 (7 of them are in the store)" in done("run", file, "--dry-run")


def test_resume_finds_the_code_where_it_is_now(file, monkeypatch):
    done("run", file)
    store, moved = file.parent / "cells.zarr", file.parent / "moved"
    unfinished(store, slice(0, 2))
    say(store, sweep_directory=str(file.parent / "gone"))
    sys.modules.pop("own_maps")
    assert "--directory" in refused("resume", store, "--no-cache")
    moved.mkdir()
    (file.parent / "own_maps.py").rename(moved / "own_maps.py")
    assert "(5 of them were in the store)" in done("resume", store, "--directory", moved)
    (moved / "own_maps.py").write_text(MODULE.replace("1 - p", "2 - p"))
    unfinished(store, slice(0, 2))
    sys.modules.pop("own_maps")
    assert "belongs to another sweep" in refused("resume", store, "--directory", moved, "--no-cache")


def test_resume_needs_a_description(file, tmp_path):
    jaxdyn.sweep(jaxdyn.eigenvalues, jaxdyn.models.henon(), {"a": [1.0, 1.4]}, store=tmp_path / "a.zarr")
    assert "made by a Python script, which resumes it when it is run again" in refused("resume", tmp_path / "a.zarr")
    assert "there is no store at" in refused("resume", tmp_path / "b.zarr")
    done("run", file)
    unfinished(tmp_path / "cells.zarr", slice(0, 2))
    say(tmp_path / "cells.zarr", sweep_toml=SWEEP.replace("steps", "stops"))
    told = refused("resume", tmp_path / "cells.zarr", "--no-cache")
    assert f"{tmp_path / 'cells.zarr'} (sweep_toml):12: [measure_options] stops: own_maps:end has no option" in told


@pytest.mark.parametrize(
    "words",
    [
        ("henon", "--over", "a=log:1:1.4:4", "--over", "b=0.1,0.3", "--set", "x=0.3", "--steps", 30, "--exponents", 1),
        ("linear_map", "--set", "A=0,0.5,-0.3,0.1", "--set", "x0=3,2", "--over", "x1=1:3:8", "--steps", 9),
        ("random_rnn", "--set", "n=3", "--seed", 4, "--over", "g=0.5,1,1.5,1e-3", "--steps", 5, "--transient", 0),
    ],
)
def test_a_typed_sweep_is_resumed_from_its_store_alone(tmp_path, computed, words):
    store = tmp_path / "a.zarr"
    done("sweep", *words, "--out", store, "--chunk", 4)
    expected, n = opened(store)["exponents"].values, len(computed)
    first = (slice(0, 2), slice(None))[: opened(store)["status"].ndim]
    unfinished(store, first)
    computed.clear()
    done("resume", store)
    assert 0 < len(computed) <= n
    np.testing.assert_array_equal(opened(store)["exponents"], expected)


def test_what_own_code_may_be(file):
    for system, measure, options, name in (
        ("ready", "end", "", "end"),
        ("needs", "drawn", "size = 1", "draw"),
        ("square", "both", "", "first_end"),
    ):
        store = file.parent / f"{system}.zarr"
        text = f'system = "own_maps:{system}"\nmeasure = "own_maps:{measure}"\nseed = 3\nstore = "{store.name}"\n'
        file.write_text(f"{text}[options]\n{options}\n[over]\na = [1.0, 1.25]\n")
        done("run", file)
        assert opened(store)[name].shape == (2,)
    expected = jaxdyn.sweep(lambda s, key: jax.random.uniform(key) + s.params["a"], run_system(), OVER, seed=3)
    np.testing.assert_array_equal(opened(file.parent / "needs.zarr")["draw"], expected["value"])


OVER = {"a": [1.0, 1.25]}


def run_system():
    return sys.modules["own_maps"].ready


@pytest.mark.parametrize(
    ("wrong", "right", "line", "parts"),
    [
        ("own_maps:square", "own_maps:", 1, ("system: code of your own is named module:attribute",)),
        ("own_maps:square", "own maps:square", 1, ("system: code of your own is named",)),
        ("own_maps:square", "os.path:join(1)", 1, ("system: code of your own is named",)),
        ("own_maps:square", "own_mops:square", 1, ("cannot import own_mops (ModuleNotFoundError", "it must be in")),
        ("own_maps:square", "own_maps:squares", 1, ("own_maps has no 'squares'; did you mean 'square'?",)),
        ("own_maps:square", "own_maps:number", 1, ("neither a system nor a function that makes one, but int",)),
        ("own_maps:square", "own_maps:no_system", 1, ("own_maps:no_system returned int, not a system",)),
        ('own_maps:square"\n', 'own_maps:failing"\n', 6, ("[options] n: own_maps:failing has no option 'n'",)),
        ("n = 2", "n = 'x'", 1, ("system: own_maps:square failed (TypeError",)),
        ("n = 2", "m = 2", 6, ("[options] m: own_maps:square has no option 'm'; ",)),
        ("own_maps:square", "own_maps:needs", 6, ("[options] n: own_maps:needs has no option 'n'",)),
        ("shift = 0.25", "shift = [1.0, 2.0]", 8, ("[parameters] shift: shift needs 1 numbers",)),
        ("own_maps:end", "own_maps:ends", 2, ("measure: own_maps has no 'ends'; did you mean 'end'?",)),
        ("own_maps:end", "own_maps:number", 2, ("measure: own_maps:number is no function of one system, but int",)),
        ("own_maps:end", "own_maps:both", 11, ("own_maps:both is several measures, which take no options",)),
        ("steps = 3", "stops = 3", 12, ("[measure_options] stops: own_maps:end has no option 'stops'; did you mean",)),
        ("steps = 3", "steps = 'x'", 2, ("measure: own_maps:end cannot be computed",)),
        ("own_maps:end", "lyapunov_spectrum", 12, ("steps",)),
    ],
)
def test_wrong_code_is_told_with_its_line(file, wrong, right, line, parts):
    text = SWEEP.replace(wrong, right)
    file.write_text(text.replace("steps = 3", "steps = 0") if right == "lyapunov_spectrum" else text)
    refused_at(file, line, parts)
    assert not (file.parent / "cells.zarr").exists()


def test_errors_of_own_code_keep_their_cause(file, monkeypatch):
    file.write_text(SWEEP.replace("own_maps:end", "own_maps:broken").replace("steps = 3", ""))
    assert "own_maps:broken cannot be computed (AttributeError)" in refused("run", file, "--no-cache")
    (file.parent / "own_maps.py").write_text("import jaxdyn.not_there\n")
    sys.modules.pop("own_maps")
    told = refused("run", file, "--no-cache")
    assert "cannot import own_maps (ModuleNotFoundError: No module named 'jaxdyn.not_there')" in told
    assert "it must be in" not in told
    monkeypatch.setenv("JAXDYN_TRACEBACK", "1")
    result = run("run", file, "--no-cache")
    assert isinstance(result.exception, ValueError)
    assert isinstance(result.exception.__cause__, ModuleNotFoundError)


def test_interruption_says_how_to_go_on(file, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(jaxdyn, "sweep", interrupted)
    result = run("run", file, "--no-cache")
    assert result.exit_code == 130
    assert f"`jaxdyn resume {file.parent / 'cells.zarr'}` resumes" in result.stderr


def test_a_figure_is_checked_before_computing(file, monkeypatch):
    monkeypatch.setattr(jaxdyn, "sweep", lambda *_, **__: pytest.fail("computed"))
    plot = ("--plot", file.parent / "p.png", "--no-cache")
    assert "no variable 'ende'" in refused("run", file, *plot, "--variable", "ende")
    assert "add --plot" in refused("run", file, "--variable", "end")


def test_in_a_process_of_its_own_with_double_precision(file):
    """From another directory, with a module that no one imported before."""
    (file.parent / "elsewhere").mkdir()
    file.write_text('precision = "float64"\n' + SWEEP)
    cache = file.parent / "cache"
    ended = command("run", "../sweep.toml", cache=cache, cwd=file.parent / "elsewhere")
    assert (ended.returncode, ended.stderr) == (0, "")
    store = file.parent / "cells.zarr"
    expected = opened(store)["end"].values
    assert expected.dtype == np.float64
    unfinished(store, slice(0, 4))
    ended = command("resume", store, cache=cache, cwd=file.parent / "elsewhere")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "(3 of them were in the store)" in ended.stdout
    np.testing.assert_array_equal(opened(store)["end"], expected)


def test_the_example_of_the_help_is_a_sweep(tmp_path):
    lines = run("run", "--help").stdout.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.strip().startswith("system = "))
    (tmp_path / "a.toml").write_text("\n".join(line.strip() for line in lines[begin:]))
    assert "over I (512) x b (3), float64" in done("run", tmp_path / "a.toml", "--dry-run")
    assert "imported from the file's directory" in " ".join(run("run", "--help").stdout.split())
    assert "only stores that you trust" in " ".join(run("resume", "--help").stdout.split())
