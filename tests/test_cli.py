"""The `jaxdyn` command: what it prints and writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import FHN, command, opened, refused, run

import jaxdyn
from jaxdyn import models


def test_without_a_command_the_help_is_printed():
    for words in ((), ("--help",), ("-h",)):
        result = run(*words)
        assert result.exit_code == 0
        assert all(name in result.stdout for name in ("info", "show", "sweep", "systems"))


def test_the_help_of_sweep_shows_whole_commands():
    lines = run("sweep", "--help").stdout.splitlines()
    examples = [line.split()[2] for line in lines if line.strip().startswith("jaxdyn sweep ")]
    assert examples == ["fitzhugh_nagumo", "logistic", "lorenz63"]


def test_version():
    assert run("--version").stdout.split() == ["main", jaxdyn.__version__]


def test_systems_lists_every_model_in_aligned_columns():
    result = run("systems")
    assert result.exit_code == 0
    header, *rows = result.stdout.split("\n\n")[0].splitlines()
    assert [row.split()[0] for row in rows] == sorted(models.REGISTRY)
    for row in rows:
        model = models.REGISTRY[row.split()[0]]
        column = header.index
        assert row[column("KIND") :].startswith(model.kind)
        assert row[column("STATES") :].startswith(model.about.states[0].name)
        assert row[column("PARAMETERS") :].startswith(model.about.params[0].name)
        assert row[column("TITLE") :] == model.about.title


def test_info_names_versions_and_devices():
    result = run("info")
    assert result.exit_code == 0
    told = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert told["jaxdyn"] == jaxdyn.__version__
    assert told["jax"] == jax.__version__
    assert told["numpy"] == np.__version__
    assert told["backend"] == jax.default_backend()
    assert told["precision"] == "float32"
    assert int(told["cores"]) >= 1


@pytest.mark.usefixtures("x64")
def test_info_tells_double_precision():
    assert "float64" in run("info").stdout


@pytest.mark.parametrize("name", ["hodgkin_huxley", "henon", "random_rnn"])
def test_show_describes_a_system(name):
    result = run("show", name)
    assert result.exit_code == 0
    model = models.REGISTRY[name]
    assert models.describe(model.about) in result.stdout
    assert f"{name} ({model.kind})" in result.stdout
    assert all(f"{option} : default {default}" in result.stdout for option, default in model.options.items())
    assert f"transient {model.about.transient:g}, duration {model.about.duration:g}" in result.stdout


def test_sweep_gives_what_the_library_gives(tmp_path):
    store, figure = tmp_path / "cells.zarr", tmp_path / "cells.png"
    words = (*FHN, "--over", "I=0:1.5:4", "--over", "b=0.4,0.8", "--steps", 300, "--transient", 100)
    result = run(*words, "--out", store, "--plot", figure)
    assert result.exit_code == 0, result.output
    expected = jaxdyn.sweep(
        lambda s: jaxdyn.lyapunov_spectrum(s, n_steps=300, n_transient=100, dt=0.1, method=jaxdyn.RK4()),
        models.fitzhugh_nagumo(),
        {"I": np.linspace(0, 1.5, 4), "b": [0.4, 0.8]},
    )
    data = opened(store)
    assert data["exponents"].dims == ("I", "b", "exponent")
    np.testing.assert_array_equal(data["exponents"], expected["exponents"])
    np.testing.assert_array_equal(data["I"], expected["I"])
    assert figure.stat().st_size > 5000
    assert "failed cells: none" in result.stdout
    largest = expected["exponents"].values[..., 0]
    assert f"{largest.min():.5g} +-" in result.stdout
    assert f"to {largest.max():.5g} +-" in result.stdout
    assert f"open it with jaxdyn.open('{store}')" in result.stdout
    assert jaxdyn.open(store).equals(data)  # and it opens without a warning
    assert f"drawn in {figure}" in result.stdout


def test_defaults_come_from_the_model():
    from jaxdyn._cli_measures import Request, measure_of, system_of

    def arguments(name: str, **typed: object) -> dict[str, object]:
        request = Request(system=name, over=("I=0:1:2",), **typed)  # type: ignore[arg-type]
        return measure_of(request, system_of(request)).keywords  # type: ignore[attr-defined]

    spectrum = arguments("fitzhugh_nagumo")
    assert (spectrum["dt"], spectrum["n_steps"], spectrum["n_transient"]) == (0.1, 20_000, 5_000)
    assert spectrum["n_exponents"] is None
    finer = arguments("fitzhugh_nagumo", dt=0.05)  # the same times
    assert (finer["n_steps"], finer["n_transient"]) == (40_000, 10_000)
    henon = arguments("henon")
    assert (henon["n_steps"], henon["n_transient"]) == (100_000, 1_000)
    assert "dt" not in henon and "method" not in henon
    assert arguments("fitzhugh_nagumo", measure="final_state")["n_steps"] == 20_000
    assert arguments("random_rnn")["n_exponents"] == 10
    assert arguments("random_rnn", exponents=3)["n_exponents"] == 3


def test_every_method_is_the_one_it_names():
    from jaxdyn._cli_methods import METHODS

    for name, kind in METHODS.items():
        assert kind.__name__.lower() == name.replace("_", "")


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (("--rtol", 1e-5), jaxdyn.Tsit5(rtol=1e-5)),
        (("--rtol", 1e-5, "--atol", 1e-6, "--method", "rodas5p"), jaxdyn.Rodas5P(rtol=1e-5, atol=1e-6)),
        (("--rtol", 1e-5, "--method", "taylor"), jaxdyn.Taylor(rtol=1e-5)),
    ],
)
def test_a_tolerance_makes_steps_adapt(tmp_path, words, method):
    store = tmp_path / "states.zarr"
    interval = ("--measure", "final_state", "--steps", 4, "--dt", 2.0)  # RK4 would not survive such a step
    result = run(*FHN, "--over", "I=0.3,0.5", *interval, *words, "--out", store)
    assert result.exit_code == 0, result.output
    system = models.fitzhugh_nagumo(I=0.5)
    expected = jaxdyn.final_state(system, n_steps=4, dt=2.0, method=method).x
    # Another program rounds, and chooses steps, a little differently: both are within the tolerance of the solution.
    np.testing.assert_allclose(opened(store)["x"][1], expected, rtol=1e-3)


def test_a_map_with_a_logarithmic_range(tmp_path):
    store = tmp_path / "henon.zarr"
    result = run("sweep", "henon", "--over", "b=log:0.01:0.3:5", "--steps", 50, "--exponents", 1, "--out", store)
    assert result.exit_code == 0, result.output
    data = opened(store)
    np.testing.assert_allclose(data["b"], np.geomspace(0.01, 0.3, 5), rtol=2e-7)  # float32
    assert data.sizes["exponent"] == 1


def test_set_takes_parameters_starts_options_and_lists(tmp_path):
    store = tmp_path / "states.zarr"
    words = ("--measure", "final_state", "--steps", 5, "--method", "euler", "--dt", 0.2, "--out", store)
    result = run(*FHN, "--over", "v=-1:1:3", "--set", "tau=10", "--set", "w=0.25", *words)
    assert result.exit_code == 0, result.output
    system = models.fitzhugh_nagumo(tau=10.0).with_state(v=1.0, w=0.25)
    expected = jaxdyn.final_state(system, n_steps=5, dt=0.2, method=jaxdyn.Euler()).x
    # Another program may round differently: a few units in the last place in each of 5 steps.
    np.testing.assert_allclose(opened(store)["x"][2], expected, rtol=1e-5)
    assert "states: v " in result.stdout

    store = tmp_path / "linear.zarr"
    words = ("--measure", "final_state", "--steps", 1, "--out", store)
    result = run("sweep", "linear_map", "--set", "A=0,1,-2,0.5", "--set", "x0=3,5", "--over", "x1=3,4", *words)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(opened(store)["x"][0], [5.0, -3.5])  # row by row


def test_a_network_takes_its_size_and_its_seed(tmp_path):
    seeds = []
    for place, words in enumerate((("--seed", 3), ("--set", "seed=3"), ())):
        store = tmp_path / f"{place}.zarr"
        more = ("--measure", "final_state", "--steps", 3, "--out", store)
        result = run("sweep", "random_rnn", "--set", "n=6", "--over", "g=0.5,1.5", *words, *more)
        assert result.exit_code == 0, result.output
        seeds.append(opened(store)["x"].values)
    assert seeds[0].shape == (2, 6)
    np.testing.assert_array_equal(seeds[0], seeds[1])
    assert not np.array_equal(seeds[0], seeds[2])
    assert "differ" in refused("sweep", "random_rnn", "--over", "g=1,2", "--seed", 3, "--set", "seed=4")


def test_trajectory_after_a_transient(tmp_path):
    store, figure = tmp_path / "duffing.zarr", tmp_path / "duffing.svg"
    words = ("--measure", "trajectory", "--transient", 30, "--steps", 40, "--every", 10, "--dt", 0.1)
    result = run("sweep", "duffing", "--over", "gamma=0.2:0.4:3", *words, "--out", store, "--plot", figure)
    assert result.exit_code == 0, result.output
    data = opened(store)
    np.testing.assert_allclose(data["time"], [3.0, 4.0, 5.0, 6.0, 7.0], rtol=1e-6)
    whole = jaxdyn.trajectory(models.duffing(gamma=0.2), n_steps=70, dt=0.1, save=jaxdyn.Every(10))
    # The driven system goes on from the same time, not from zero; 70 steps of float32 rounding.
    np.testing.assert_allclose(data["x"][0], whole.x[3:], atol=1e-4)
    assert "states saved in a cell: 5" in result.stdout
    assert figure.read_text().lstrip().startswith("<?xml")


def test_a_diverging_transient_is_told():
    words = ("--measure", "trajectory", "--transient", 200, "--steps", 10)
    result = run("sweep", "logistic", "--over", "r=3,5", *words)
    assert result.exit_code == 0, result.output
    assert "failed cells: 1 non_finite" in result.stdout


def test_fixed_points_are_counted(tmp_path):
    words = ("--over", "rho=0.5,10", "--measure", "fixed_points", "--plot", tmp_path / "p.pdf")
    with jax.numpy_rank_promotion("allow"):  # as a user has it
        result = run("sweep", "lorenz63", *words)
    assert result.exit_code == 0, result.output
    assert "fixed points in a cell: 1 to 3" in result.stdout
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_but_failures():
    result = run("sweep", "logistic", "--over", "r=5,6", "--steps", 300)
    assert result.exit_code == 0, result.output
    assert "failed cells: 2 non_finite" in result.stdout
    assert "not kept" in result.stdout


def test_quiet_prints_nothing(tmp_path):
    result = run(*FHN, "--over", "I=0:1:3", "--steps", 50, "--transient", 0, "--quiet", "--plot", tmp_path / "p.png")
    assert (result.exit_code, result.output) == (0, "")


def test_a_store_is_resumed_and_not_mixed_up(tmp_path):
    words = (*FHN, "--over", "I=0:1:6", "--steps", 50, "--transient", 0, "--chunk", 2, "--out", tmp_path / "a.zarr")
    first = run(*words)
    assert first.exit_code == 0, first.output
    assert "were in the store" not in first.stdout
    array = opened(tmp_path / "a.zarr")["exponents"].values
    again = run(*words)
    assert "(6 of them were in the store)" in again.stdout
    np.testing.assert_array_equal(opened(tmp_path / "a.zarr")["exponents"], array)
    assert "belongs to another sweep" in refused(*words, "--set", "a=0.6")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("keep")
    assert "not a sweep's store" in refused(*words[:-1], tmp_path / "notes")
    assert (tmp_path / "notes" / "todo.txt").read_text() == "keep"


def test_seeds_of_noise_are_set_and_swept(tmp_path):
    """Whole numbers that are typed are the integers that a parameter needs; others are refused."""
    noisy = ("sweep", "ornstein_uhlenbeck", "--measure", "final_state", "--steps", 5)
    store, other = tmp_path / "seeds.zarr", tmp_path / "sigmas.zarr"
    assert run(*noisy, "--over", "seed=0:3:4", "--out", store).exit_code == 0
    data = opened(store)
    assert data["seed"].dtype == np.int32 and list(data["seed"]) == [0, 1, 2, 3]
    assert len(np.unique(data["x"])) == 4
    assert run(*noisy, "--over", "sigma=1,2", "--set", "seed=2", "--out", other).exit_code == 0
    np.testing.assert_allclose(opened(other)["x"][0], data["x"][2], rtol=1e-5)  # some roundings of float32
    assert "of kind int32, got float64" in refused(*noisy, "--over", "seed=0:1:3")
    assert "do not fit its dtype int32: 5 to 3000000000" in refused(*noisy, "--over", "seed=5,3e9")
    assert "parameter 'seed' has dtype int32" in refused(*noisy, "--over", "sigma=1,2", "--set", "seed=1.5")
    assert "must fit int32" in refused(*noisy, "--over", "sigma=1,2", "--set", "seed=3000000000")


def test_the_figure_shows_what_was_selected(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path: figures.append(self))
    words = ("--measure", "final_state", "--steps", 4, "--set", "b=0.9", "--plot", tmp_path / "p.png")
    result = run(*FHN, "--over", "v=-1:1:3", "--over", "I=0:1:4", "--select", "state=w", *words)
    assert result.exit_code == 0, result.output
    mesh = figures[0].axes[0].collections[0].get_array()
    system = models.fitzhugh_nagumo(b=0.9)
    cells = [
        [jaxdyn.final_state(system.with_params(I=i).with_state(v=v), n_steps=4, dt=0.1).x[1] for v in (-1.0, 0.0, 1.0)]
        for i in np.linspace(0, 1, 4)
    ]
    # A few units in the last place of float32 in each of 4 steps.
    np.testing.assert_allclose(np.asarray(mesh).reshape(4, 3), np.array(jnp.array(cells)), rtol=1e-5)


def test_double_precision_and_the_cache(tmp_path):
    words = (*FHN, "--over", "I=0.5,0.6", "--steps", 200, "--transient", 0, "--precision", "float64")
    done = command(*words, "--out", tmp_path / "a.zarr", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar where there is no terminal
    assert opened(tmp_path / "a.zarr")["exponents"].dtype == np.float64
    assert any((tmp_path / "cache" / "jaxdyn").rglob("*-cache"))

    (tmp_path / "file").write_text("")
    done = command(*words, cache=tmp_path / "file")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("jaxdyn: no compilation cache") and done.stderr.count("\n") == 1
