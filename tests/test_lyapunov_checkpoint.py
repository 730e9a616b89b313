"""Long runs saved to a file: interrupted ones give the same bits, other runs and damaged files are refused."""

import os
import signal
import struct
import subprocess
import sys
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, StdError, lyapunov_spectrum, models
from jaxdyn.analysis import checkpoint

FIXED = {"n_steps": 3_210, "n_transient": 100, "qr_every": 2, "checks": True}  # with intervals left over
UNTIL = {"n_steps": 30_000, "n_transient": 100, "until": StdError(0.004, n_least=400), "checks": True}


def assert_same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()


class Killed(BaseException):
    pass


def kill_after(monkeypatch, n, *, while_writing=False):
    """The process dies after (or within) its n-th save from now."""
    save, replace, left = checkpoint.save, os.replace, [n]

    def dying_save(*args):
        left[0] -= 1
        if left[0] == 0 and while_writing:
            monkeypatch.setattr(os, "replace", dying_replace)
        save(*args)
        if left[0] == 0:
            raise Killed

    def dying_replace(*args):
        monkeypatch.setattr(os, "replace", replace)
        raise Killed

    monkeypatch.setattr(checkpoint, "save", dying_save)


@pytest.mark.parametrize("settings", [FIXED, UNTIL, {"n_steps": 7, "n_transient": 0}])
def test_an_interrupted_run_gives_the_same_bits(settings, tmp_path, monkeypatch, x64):
    whole = lyapunov_spectrum(models.henon(), checkpoint=tmp_path / "whole.npz", **settings)
    path = tmp_path / "new folder" / "run"
    # Before any batch is done, after some, within the writing of one: the last save is what counts.
    for n, while_writing in ((1, False), (2, False), (1, True), (2, True), (3, False)):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            kill_after(patched, n, while_writing=while_writing)
            lyapunov_spectrum(models.henon(), checkpoint=path, **settings)
    assert_same_bits(lyapunov_spectrum(models.henon(), checkpoint=str(path), **settings), whole)
    plain = jax.eval_shape(lambda: lyapunov_spectrum(models.henon(), **settings))
    assert whole.status == Status.OK and plain.running.shape == whole.running.shape
    assert "until" in settings or whole.n_averaged == settings["n_steps"]


def test_it_is_the_run_without_a_file_up_to_rounding(tmp_path, x64):
    """On a cycle, where rounding does not grow."""
    system = models.henon(a=1.0)
    for name, settings in (("fixed", FIXED), ("until", UNTIL | {"until": StdError(1e-9, n_least=400)})):
        saved = lyapunov_spectrum(system, checkpoint=tmp_path / name, **settings)
        plain = lyapunov_spectrum(system, **settings)
        assert saved.n_averaged == plain.n_averaged
        for a, b in zip(jax.tree.leaves(saved), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.fixture
def programs():
    """Names of what is compiled from now on."""
    names = []

    def note(event, duration_secs, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(about["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(note)
    yield names
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.slow
def test_batches_that_are_done_are_not_run_again(tmp_path, monkeypatch, programs, x64):
    settings = {"n_steps": 320, "checkpoint": tmp_path / "run"}
    saves, save = [], checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *args: (saves.append(None), save(*args)))
    first = lyapunov_spectrum(models.henon(), **settings)
    assert len(saves) == 33  # the transient, and 32 batches
    assert_same_bits(lyapunov_spectrum(models.henon(), **settings), first)
    assert len(saves) == 33
    # Nor is it compiled, in this process or in one that has compiled nothing yet; run again here it needs no compiler.
    settings["checkpoint"].unlink()
    programs.clear()
    assert_same_bits(lyapunov_spectrum(models.henon(), **settings), first)
    assert not programs
    jax.clear_caches()
    assert_same_bits(lyapunov_spectrum(models.henon(), **settings), first)
    assert programs and not [name for name in programs if "_begin" in name or "_one_batch" in name]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Content of the file of a finished run, 320 steps of Henon's map."""
    path = tmp_path_factory.mktemp("finished") / "run"
    with jax.enable_x64(True):
        lyapunov_spectrum(models.henon(), n_steps=320, checkpoint=path)
    return path.read_bytes()


def other_field(n, x, p):
    return 1 - p["a"] * x[0] ** 2 + x[1] * 1.0000001, p["b"] * x[0]


def henon(field=None, **options):
    system = models.henon(**options)
    return system if field is None else jaxdyn.iterated_map(field, system.params, system.x0, about=system.about)


@pytest.mark.parametrize(
    ("system", "settings", "named"),
    [
        (lambda: henon(a=1.3), {}, r"parameter 'a' \(1.4 there, 1.3 here\)"),
        (lambda: henon(x0=[0.2, 0.1]), {}, "start x0"),
        (lambda: henon(dtype=np.float32), {}, r"dtype \(float64 there, float32 here\)"),
        (lambda: henon(other_field), {}, "equations"),
        (lambda: models.ikeda(), {}, r"system \(henon there, ikeda here\)"),
        (henon, {"n_steps": 640}, r"n_steps \(320 there, 640 here\)"),
        (henon, {"n_transient": 40}, r"n_transient \(32 there, 40 here\)"),
        (henon, {"qr_every": 2}, r"qr_every \(1 there, 2 here\)"),
        (henon, {"n_exponents": 1}, r"n_exponents \(2 there, 1 here\)"),
        (henon, {"checks": True}, r"checks \(False there, True here\)"),
        (henon, {"until": StdError(0.1)}, "tolerance of until"),
    ],
)
def test_another_run_is_refused(system, settings, named, finished, tmp_path, x64):
    path = tmp_path / "run"
    path.write_bytes(finished)
    with pytest.raises(ValueError, match=f"belongs to another run; it differs in: .*{named}.*the same arguments"):
        lyapunov_spectrum(system(), checkpoint=path, **({"n_steps": 320} | settings))
    assert path.read_bytes() == finished


def test_another_step_method_or_rule_is_refused(tmp_path, x64):
    system = models.van_der_pol()
    settings = {"n_steps": 320, "dt": 0.01, "until": StdError(0.5, n_least=20)}
    lyapunov_spectrum(system, checkpoint=tmp_path / "run", **settings)
    for other, named in (
        ({"dt": 0.02}, r"dt \(0.01 there, 0.02 here\)"),
        ({"method": jaxdyn.Tsit5()}, r"method \(RK4 there, Tsit5 here\)"),
        ({"until": StdError(0.6, n_least=20)}, r"tolerance of until \(0.5 there, 0.6 here\)"),
        ({"until": StdError(0.5, n_least=40)}, r"shortest batch of until \(1 there, 2 here\)"),
    ):
        with pytest.raises(ValueError, match=named):
            lyapunov_spectrum(system, checkpoint=tmp_path / "run", **(settings | other))
    with pytest.raises(ValueError, match="n_steps"):
        lyapunov_spectrum(system, checkpoint=tmp_path / "run", n_steps=320, dt=0.01)


def test_numbers_that_a_field_closes_over_count(tmp_path, x64):
    """They stand in the program's text, or beside it where they are long."""

    def run(weights):
        system = jaxdyn.iterated_map(lambda n, x, p: jnp.sin(weights[: len(x)] * x), {}, [0.3, 0.4])
        return lyapunov_spectrum(system, n_steps=32, checkpoint=tmp_path / f"run{len(weights)}")

    for n in (2, 5_000):
        weights = np.linspace(1.5, 2.5, n)
        run(jnp.asarray(weights))
        run(jnp.asarray(weights))
        weights[1] += 1e-9
        with pytest.raises(ValueError, match="it differs in: equations"):
            run(jnp.asarray(weights))


@pytest.mark.parametrize("at", ["empty", "words", "short", "half", "another npz", "text"])
def test_a_damaged_file_is_refused(at, finished, tmp_path, x64):
    path, content = tmp_path / "run", finished
    run = {"n_steps": 320, "checkpoint": path}
    if at == "another npz":
        with open(path, "wb") as file:
            np.savez(file, a=np.zeros(3))
    else:
        text = {"empty": b"", "text": b"exponents: 0.42, -1.62", "words": content[:200]}
        path.write_bytes(text.get(at, content[: {"short": -7, "half": len(content) // 2}.get(at, 0)]))
    damaged = path.read_bytes()
    with pytest.raises(ValueError, match="is no complete checkpoint of jaxdyn; delete it to begin anew"):
        lyapunov_spectrum(models.henon(), **run)
    assert path.read_bytes() == damaged


def places_of_arrays(path):
    """First byte of the numbers, and the one after the last, of each array in an archive that is not compressed."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as arrays:
        for member in archive.infolist():
            name_and_extra = struct.unpack("<HH", content[member.header_offset + 26 : member.header_offset + 30])
            end = member.header_offset + 30 + sum(name_and_extra) + member.file_size
            array = arrays[member.filename.removesuffix(".npy")]
            assert content[end - array.nbytes : end] == array.tobytes()
            yield end - array.nbytes, end


def test_a_changed_byte_is_seen_or_means_nothing(finished, tmp_path):
    """Within the arrays it is seen; some bytes of an archive hold nothing, such as times."""
    path = tmp_path / "run"
    path.write_bytes(finished)
    parts, state = checkpoint._read(path)
    within = {at for start, end in places_of_arrays(path) for at in (*range(start, end, 7), end - 1)}
    assert len(within) > 2 * len(state)
    for at in sorted(within | set(range(0, len(finished), 7))):
        path.write_bytes(finished[:at] + bytes([finished[at] ^ 4]) + finished[at + 1 :])
        try:
            found = checkpoint._read(path)
        except ValueError as error:
            assert "delete it to begin anew" in str(error)
        else:
            assert at not in within and found[0] == parts
            assert_same_bits(found[1], state)


def test_every_number_is_covered_by_a_digest(finished, tmp_path, x64):
    """Changed numbers in a file that is whole as an archive."""
    path = tmp_path / "run"
    path.write_bytes(finished)
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    changed = next(name for name, array in found.items() if array.dtype.kind == "f" and array.size == 2)
    found[changed] = found[changed] + 1e-12
    with open(path, "wb") as file:
        np.savez(file, **found)
    with pytest.raises(ValueError, match="its numbers do not fit their digest"):
        lyapunov_spectrum(models.henon(), n_steps=320, checkpoint=path)


def test_transformations_are_refused(tmp_path, x64):
    def run(a):
        return lyapunov_spectrum(models.henon().with_params(a=a), n_steps=64, checkpoint=tmp_path / "run").exponents

    for transformed in (
        lambda a: jax.jit(run)(a[0]),
        jaxdyn.lanes(run),
        jax.vmap(run),
        lambda a: jax.jacfwd(run)(a[0]),
    ):
        with pytest.raises(TypeError, match=r"checkpoint saves one run outside jit, vmap, lanes and sweep"):
            transformed(jnp.array([1.4, 1.3]))
    with pytest.raises(TypeError, match="checkpoint saves one run outside jit"):
        jax.jit(lambda: run(1.4))()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"is a directory; give the path of a file, such as 'run.npz'"):
        lyapunov_spectrum(models.henon(), n_steps=64, checkpoint=tmp_path)


PROGRAM = """
import sys, jax, jaxdyn
jax.config.update("jax_enable_x64", True)
jaxdyn.lyapunov_spectrum(jaxdyn.models.lorenz63(), dt=0.01, n_steps=3_200_000, checkpoint=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_process_is_taken_up_again(tmp_path, x64):
    """SIGKILL at no chosen moment, twice; Lorenz' chaos would show a lost bit."""
    path = tmp_path / "run.npz"
    for least in (3, 9):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)])
        end = time.monotonic() + 300
        while batches_in(path) < least and time.monotonic() < end:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert least <= batches_in(path) < 32
    settings = {"dt": 0.01, "n_steps": 3_200_000}
    taken_up = lyapunov_spectrum(models.lorenz63(), checkpoint=path, **settings)
    whole = lyapunov_spectrum(models.lorenz63(), checkpoint=tmp_path / "whole.npz", **settings)
    assert_same_bits(taken_up, whole)


def batches_in(path):
    """Finished batches: the count is the last number of the state."""
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as file:
        return int(file[f"leaf{len(file.files) - 2}"])
