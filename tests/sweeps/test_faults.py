"""What may happen to a sweep and its store: damage, full disks, too little memory."""

import errno
import os
import pathlib
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stored import N_CHUNKS, RUN, assert_same, swept

import jaxdyn
from jaxdyn import JaxdynWarning
from jaxdyn.sweeps import lock
from jaxdyn.sweeps import store as stores


def chunk_file(path, name="x"):
    """One of the files of an array's chunks."""
    return sorted(p for p in (path / name / "c").rglob("*") if p.is_file())[2]


def flipped(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGES = {
    "flipped": flipped,
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-3]),
    "emptied": lambda file: file.write_bytes(b""),
    "lost": lambda file: file.unlink(),
}


@pytest.mark.parametrize("array", ["x", "status"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_found_and_computed_again(tmp_path, computed, damage, array):
    path = tmp_path / "s"
    expected = swept(path).load()
    DAMAGES[damage](chunk_file(path, array))
    if damage != "lost":
        with pytest.raises(RuntimeError, match=r"^Zstd decompression error: "):  # of the codec, checksum included
            jaxdyn.open(path)[array].load()
    computed.clear()
    if (damage, array) == ("lost", "status"):  # as if it had not been computed
        again = swept(path)
    else:
        with pytest.warns(JaxdynWarning, match="1 chunks of .* are damaged and are computed again"):
            again = swept(path)
    assert len(computed) == 1
    assert_same(again, expected)


def test_values_that_are_all_zero_are_told_from_lost_ones(tmp_path, computed):
    def zero(s):
        return {"n": jnp.int32(0) * s.params["a"].astype(jnp.int32)}

    swept(tmp_path / "s", measure=zero)
    computed.clear()
    swept(tmp_path / "s", measure=zero)
    assert not computed
    chunk_file(tmp_path / "s", "n").unlink()
    with pytest.warns(JaxdynWarning, match="damaged"):
        swept(tmp_path / "s", measure=zero)
    assert len(computed) == 1


def test_a_full_disk_loses_nothing(tmp_path, computed, monkeypatch):
    path, replace, published = tmp_path / "s", pathlib.Path.replace, []

    def full(self, target):
        published.append(target)
        if len(published) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "replace", full)
        with pytest.raises(
            OSError, match=r"No space left on device: .*what is finished is kept there; free some space"
        ):
            swept(path)
    done = int((jaxdyn.open(path)["status"] != jaxdyn.Status.NOT_RUN).sum()) // 3
    assert 0 < done < N_CHUNKS
    (path / "x" / "c" / "0" / "9.1a2b.partial").write_bytes(b"as a kill leaves it")
    computed.clear()
    assert_same(swept(path), swept())
    assert done + len(computed) >= N_CHUNKS and not list(path.rglob("*.partial"))


def test_a_really_full_disk(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with pytest.raises(OSError, match=r"No space left on device: .*what is finished is kept there"):
            swept(small / "s", measure=lambda s: jnp.sin(s.params["a"] * jnp.arange(20_000.0)))
        assert int((jaxdyn.open(small / "s")["status"] != jaxdyn.Status.NOT_RUN).sum()) >= 3
    finally:
        subprocess.run(["umount", small], check=True)


class Short:
    """A program that runs out of memory with more than some cells."""

    def __init__(self, monkeypatch, most, error):
        from jaxdyn.sweeps.program import Programs

        init, self.tried = Programs.__init__, []

        def patched(programs, first, make, fewest):
            init(programs, self.limited(first), lambda lanes: self.limited(make(lanes)), fewest)

        self.most, self.error = most, error
        monkeypatch.setattr(Programs, "__init__", patched)

    def limited(self, program):
        import dataclasses

        def run(leaves):
            self.tried.append(program.lanes)
            if program.lanes > self.most:
                raise self.error
            return program.run(leaves)

        return dataclasses.replace(program, run=run)


@pytest.mark.parametrize(
    "error", [jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), MemoryError()]
)
def test_out_of_memory_halves_the_chunk_and_says_so_once(monkeypatch, error):
    expected = swept(chunk=18)
    short = Short(monkeypatch, 5, error)
    with pytest.warns(JaxdynWarning, match="out of memory with 18 cells at a time; going on with fewer") as told:
        found = swept(chunk=18)
    assert_same(found, expected)
    assert short.tried == [18, 9, 5, 5, 5, 5] and len(told) == 1


def test_out_of_memory_with_one_cell_is_an_error_as_any_other(monkeypatch):
    with monkeypatch.context() as patch:
        Short(patch, 0, jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
        with pytest.warns(JaxdynWarning), pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE"):
            swept(chunk=2)
    Short(monkeypatch, 0, jax.errors.JaxRuntimeError("INTERNAL: something else"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        swept(chunk=2)


def test_a_diverging_lane_is_reported_and_harms_no_other(tmp_path):
    over = {"a": np.array([1.4, 1e3, 1.4, np.nan], np.float32)}
    found = swept(tmp_path / "s", over=over, measure=lambda s: jaxdyn.final_state(s, n_steps=50), chunk=4)
    codes = [jaxdyn.Status.OK, jaxdyn.Status.NON_FINITE, jaxdyn.Status.OK, jaxdyn.Status.NON_FINITE]
    assert found["status"].values.tolist() == codes
    np.testing.assert_array_equal(found["x"][0], found["x"][2])


def test_a_measure_that_raises_stores_nothing(tmp_path):
    def picky(s):
        if s.params["a"].ndim == 0:
            raise RuntimeError("not this one")

    with pytest.raises(RuntimeError, match="not this one"):
        swept(tmp_path / "s", measure=picky)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("measure", "kind"),
    [
        (lambda s: jax.lax.complex(s.params["a"], s.params["b"]), "c"),
        (lambda s: jnp.arange(3) + s.params["a"].astype(jnp.int32), "i"),
        (lambda s: s.params["a"] > 1, "b"),
    ],
)
def test_results_of_every_kind_are_stored(tmp_path, measure, kind):
    found, expected = swept(tmp_path / "s", measure=measure), swept(measure=measure)
    assert found["value"].dtype.kind == kind
    assert_same(found, expected)


def test_an_axis_without_entries_has_no_chunks_to_lose(tmp_path, computed):
    def nothing(s):
        return {"none": jnp.zeros((0,)), "one": s.params["a"]}

    swept(tmp_path / "s", measure=nothing)
    computed.clear()
    assert swept(tmp_path / "s", measure=nothing)["none"].shape == (6, 3, 0)
    assert not computed


def test_a_default_of_what_is_swept_decides_nothing(tmp_path, computed):
    expected = swept(tmp_path / "s").load()
    computed.clear()
    again = swept(tmp_path / "s", system=jaxdyn.models.henon(a=0.7, b=0.1))
    np.testing.assert_array_equal(again["x"], expected["x"])
    assert not computed


def test_another_engine_is_told_from_another_measure(tmp_path):
    swept(tmp_path / "s")
    with pytest.raises(ValueError, match=r"differs in: engine; give another path"):
        swept(tmp_path / "s", engine=jaxdyn.Vmap())


def test_a_measure_that_calls_python_is_warned_of(tmp_path):
    def measure(s):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), np.float32), s.params["a"], vmap_method="sequential")

    with pytest.warns(JaxdynWarning, match="calls Python, of which a store keeps nothing"):
        swept(tmp_path / "s", measure=measure)


def test_attributes_are_kept(tmp_path):
    found = swept(tmp_path / "s", attributes={"project": "neurons"})
    assert jaxdyn.open(tmp_path / "s").attrs["project"] == found.attrs["project"] == "neurons"
    with pytest.raises(TypeError, match="attributes must be texts by name, got 'n': 3"):
        swept(attributes={"n": 3})
    for name in ("system", "jaxdyn_sweep", "coordinates"):
        with pytest.raises(ValueError, match=f"attributes has '{name}', which the data set says itself"):
            swept(attributes={name: "mine"})


def test_opening_what_is_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no store at"):
        jaxdyn.open(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is not a sweep's store, or its layout was cut short"):
        jaxdyn.open(tmp_path / "empty")


def test_the_checksum_is_what_finds_a_flipped_bit(tmp_path):
    """Of every array, so that a reader learns of it too; the last bytes are the checksum itself."""
    import zarr

    swept(tmp_path / "s")
    for name in ("x", "status"):
        (codec,) = zarr.open_group(tmp_path / "s")[name].compressors
        assert codec.checksum
        file = chunk_file(tmp_path / "s", name)
        file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
        with pytest.raises(RuntimeError, match="Restored data doesn't match checksum"):
            jaxdyn.open(tmp_path / "s")[name].load()


def test_a_run_of_a_store_tells_its_errors(tmp_path, monkeypatch):
    """Nothing of another kind is taken for a lack of space."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(stores.ZarrSink, "write", broken)
    with pytest.raises(ZeroDivisionError):
        swept(tmp_path / "s", measure=RUN)
    assert not lock.is_locked(tmp_path / "s")


@pytest.mark.parametrize("damage", ["flipped", "lost"])
def test_lost_values_of_what_is_swept_are_told_and_written_anew(tmp_path, damage):
    path = tmp_path / "s"
    expected = swept(path).load()
    (file,) = [p for p in (path / "a" / "c").rglob("*") if p.is_file()]
    DAMAGES[damage](file)
    for reading in (lambda: jaxdyn.open(path), lambda: swept(reuse=path)):
        with pytest.raises(ValueError, match="has lost its values of a; run its own sweep again"):
            reading()
    with pytest.warns(JaxdynWarning, match="had lost values of what is swept; they are there again"):
        assert_same(swept(path), expected)
    assert_same(jaxdyn.open(path)[list(expected)], expected)


def test_names_and_places_that_a_store_cannot_have(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_same(swept("~/s"), swept())
    assert (tmp_path / "s" / "zarr.json").exists()
    for name in ("a/b", "..", "zarr.json"):
        with pytest.raises(ValueError, match="a result's name is made of letters"):
            swept(tmp_path / "t", measure=lambda s, name=name: {name: s.params["a"], "c": s.params["b"]})
    for store, error in (("", ValueError), ("s3://bucket/x", ValueError), ("a\0b", ValueError), (3, TypeError)):
        with pytest.raises(error, match="a store is the path of a directory"):
            swept(store)
    with pytest.raises(ValueError, match=r"each name can be swept once, got \['a', 'a'\]"):
        swept(over={("a", "a"): ([1.0], [2.0])})
