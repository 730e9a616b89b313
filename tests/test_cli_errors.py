"""The `jaxdyn` command: what it refuses, and how it stops."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import FHN, environment, opened, refused, run

import jaxdyn


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("swep",), ("no command 'swep'; did you mean 'sweep'?",)),
        (("--bogus",), ("--bogus",)),
        (("show", "lorenz"), ("no system 'lorenz'; did you mean 'lorenz",)),
        (("show",), ("NAME",)),
        (("sweep",), ("SYSTEM",)),
        (
            ("sweep", "fitzhugh", "--over", "I=0:1:2"),
            ("no system 'fitzhugh'; did you mean 'fitzhugh_nagumo'?", "ikeda"),
        ),
        (FHN, ("nothing to sweep", "--over NAME=START:STOP:COUNT")),
        ((*FHN, "--over", "J=0:1:2"), ("called 'J'", "known: a, b, tau, I, v, w")),
        ((*FHN, "--over", "I"), ("--over needs NAME=START:STOP:COUNT, got 'I'",)),
        ((*FHN, "--over", "I="), ("--over needs NAME=START:STOP:COUNT",)),
        ((*FHN, "--over", "I=0:1"), ("expected START:STOP:COUNT",)),
        ((*FHN, "--over", "I=0:1:2:3"), ("expected START:STOP:COUNT",)),
        ((*FHN, "--over", "I=log:1"), ("expected START:STOP:COUNT",)),
        ((*FHN, "--over", "I=0:1:2.5"), ("COUNT must be a whole number", "'2.5'")),
        ((*FHN, "--over", "I=0:1:1"), ("COUNT must be a whole number of at least 2", "write I=V")),
        ((*FHN, "--over", "I=1:1:5"), ("START and STOP are the same",)),
        ((*FHN, "--over", "I=log:0:1:5"), ("same sign",)),
        ((*FHN, "--over", "I=a,b"), ("'a' is not a finite number",)),
        ((*FHN, "--over", "I=0,nan"), ("'nan' is not a finite number",)),
        ((*FHN, "--over", "I=0:1:2", "--over", "I=0:1:3"), ("--over I is given twice",)),
        ((*FHN, "--over", "I=0:1:2", "--set", "I=3"), ("both swept and set",)),
        ((*FHN, "--over", "I=0:1:2", "--set", "c=3"), ("nothing to set called 'c'", "known: a, b")),
        ((*FHN, "--over", "I=0:1:2", "--set", "a=x"), ("--set a=x: 'x' is not a finite number",)),
        ((*FHN, "--over", "I=0:1:2", "--set", "a=1,2"), ("a needs 1 numbers",)),
        ((*FHN, "--over", "I=0:1:2", "--set", "x0=1"), ("x0 needs 2 numbers",)),
        ((*FHN, "--over", "I=0:1:2", "--set", "w=high"), ("'high' is not a finite number",)),
        (("sweep", "lorenz96", "--over", "n=4,5"), ("cannot be swept", "--set n=")),
        (("sweep", "lorenz96", "--over", "F=4,5", "--set", "n=many"), ("n is a whole number, such as 40",)),
        (("sweep", "linear_flow", "--over", "A=0:1:3"), ("'A' must have shape",)),
        (
            (*FHN, "--over", "I=0:1:2", "--measure", "lyapunov"),
            ("no measure 'lyapunov'; did you mean 'lyapunov_spectrum'?",),
        ),
        ((*FHN, "--over", "I=0:1:2", "--method", "rk5"), ("no method 'rk5'; did you mean 'rk4'?",)),
        ((*FHN, "--over", "I=0:1:2", "--method", "taylor"), ("taylor takes its order from --rtol",)),
        ((*FHN, "--over", "I=0:1:2", "--method", "rk4", "--rtol", 1e-6), ("fixed size; --rtol is for tsit5",)),
        ((*FHN, "--over", "I=0:1:2", "--atol", 1e-6), ("--atol needs --rtol as well",)),
        ((*FHN, "--over", "I=0:1:2", "--rtol", 0), ("--rtol must be a positive number, got 0",)),
        (("sweep", "henon", "--over", "a=1,1.4", "--rtol", 1e-6), ("henon is a map", "leave out --rtol")),
        (("sweep", "double_well", "--over", "sigma=1,2", "--rtol", 1e-6), ("is stochastic", "leave out --rtol")),
        ((*FHN, "--over", "I=0:1:2", "--dt", 0), ("--dt must be a finite number other than zero",)),
        ((*FHN, "--over", "I=0:1:2", "--dt", "-0.1"), ("dt must be positive",)),
        ((*FHN, "--over", "I=0:1:2", "--steps", 0), ("--steps",)),
        ((*FHN, "--over", "I=0:1:2", "--exponents", 3), ("between 1 and the dimension 2",)),
        ((*FHN, "--over", "I=0:1:2", "--precision", "float16"), ("float32",)),
        ((*FHN, "--over", "I=0:1:2", "--memory", "lots"), ("memory must be a size",)),
        (
            (*FHN, "--over", "I=0:1:2", "--measure", "fixed_points", "--dt", 0.1),
            ("--dt means nothing to fixed_points",),
        ),
        ((*FHN, "--over", "I=0:1:2", "--measure", "final_state", "--transient", 5), ("--transient means nothing",)),
        ((*FHN, "--over", "I=0:1:2", "--measure", "trajectory", "--steps", 10, "--every", 3), ("use --steps 12",)),
        (("sweep", "henon", "--over", "a=1,1.4", "--dt", 0.1), ("henon is a map", "leave out --dt")),
        (("sweep", "henon", "--over", "a=1,1.4", "--method", "rk4"), ("henon is a map", "leave out --method")),
        ((*FHN, "--over", "I=0:1:2", "--variable", "x"), ("add --plot",)),
        ((*FHN, "--over", "I=0:1:2", "--plot", "figure.jpeg2"), (".png, .pdf, .svg", "'.jpeg2'")),
    ],
)
def test_wrong_words_are_told_in_one_line(words, parts):
    line = refused(*words)
    for part in parts:
        assert part in line


def test_a_figure_that_cannot_be_drawn_is_refused_before_computing(tmp_path, monkeypatch):
    monkeypatch.setattr(jaxdyn, "sweep", lambda *_, **__: pytest.fail("computed before the figure was checked"))
    grid = (*FHN, "--over", "I=0:1:3", "--over", "b=0.4:1:3", "--plot", tmp_path / "p.png")
    assert "no variable 'y'" in refused(*grid, "--variable", "y")
    assert "--select tau=" in refused(*grid, "--over", "tau=10,12")
    assert "no entry 'u'" in refused(*grid, "--measure", "final_state", "--select", "state=u")
    assert "--select needs NAME=VALUE" in refused(*grid, "--select", "state")
    (tmp_path / "plots.png").mkdir()
    assert "is a directory" in refused(*grid[:-1], tmp_path / "plots.png")


def test_other_errors_keep_their_kind(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    result = run(*FHN, "--over", "I=0:1:2", "--steps", 5, "--plot", tmp_path / "file" / "p.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("jaxdyn: ") and result.stderr.count("\n") == 1

    monkeypatch.setenv("JAXDYN_TRACEBACK", "1")
    result = run("show", "lorenz")
    assert isinstance(result.exception, ValueError)


def test_interruption_says_what_is_kept(tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jaxdyn, "sweep", interrupted)
    for words, part in (((), "nothing was stored"), (("--out", tmp_path / "a.zarr"), "the same command resumes")):
        result = run(*FHN, "--over", "I=0:1:2", *words)
        assert result.exit_code == 130
        assert part in result.stderr and result.stderr.count("\n") == 1


def test_ctrl_c_leaves_a_store_that_resumes(tmp_path):
    store = tmp_path / "a.zarr"
    words = (*FHN, "--over", "I=0:1:4000", "--steps", 200_000, "--chunk", 2, "--out", store)
    job = subprocess.Popen(
        [sys.executable, "-m", "jaxdyn.cli", *map(str, words)],
        env=environment(tmp_path / "cache"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while job.poll() is None and not list(store.glob("status/c/*")):
        time.sleep(0.02)
    job.send_signal(signal.SIGINT)
    out, err = job.communicate(timeout=60)
    assert (job.returncode, out) == (130, "")
    assert err.count("\n") == 1 and "the same command resumes" in err
    status = opened(store)["status"].values
    assert 0 < (status == jaxdyn.Status.OK).sum() < 4000
    assert set(np.unique(status)) == {jaxdyn.Status.NOT_RUN, jaxdyn.Status.OK}
