"""A sweep over a larger grid takes the cells that a store of a smaller one has."""

import numpy as np
import pytest
from stored import OVER, assert_same, draw, swept

import jaxdyn
from jaxdyn.sweeps.plan import Plan


@pytest.fixture
def cells(monkeypatch):
    """Numbers of cells that a program is given."""
    found, in_pieces = [], Plan._in_pieces

    def counting(self, program, values, numbers):
        found.append(len(np.unique(numbers)))  # some fill up a chunk
        return in_pieces(self, program, values, numbers)

    monkeypatch.setattr(Plan, "_in_pieces", counting)
    return found


LARGER = {"a": np.concatenate([OVER["a"], np.linspace(1.5, 1.7, 3)]), "b": [0.05, *OVER["b"], 0.35]}


def test_only_new_cells_are_computed(tmp_path, cells):
    swept(tmp_path / "small")
    expected = swept(over=LARGER)
    cells.clear()
    found = swept(tmp_path / "large", over=LARGER, reuse=tmp_path / "small", chunk=10)
    assert sum(cells) == 45 - 18
    assert_same(found, expected)
    cells.clear()
    assert_same(swept(tmp_path / "large", over=LARGER, chunk=10), expected)  # it is complete
    assert not cells
    assert_same(swept(over=LARGER, reuse=tmp_path / "small"), expected)  # without a store of its own


def test_another_order_and_unfinished_cells(tmp_path, cells):
    import zarr

    swept(tmp_path / "small")
    zarr.open_group(tmp_path / "small")["status"][:2] = jaxdyn.Status.NOT_RUN
    turned = {"a": OVER["a"][::-1].copy(), "b": [0.3, 0.1]}
    cells.clear()
    found = swept(over=turned, reuse=tmp_path / "small", chunk=12)
    assert cells == [4]
    assert_same(found, swept(over=turned))


def test_regions_that_are_all_there_are_copied(tmp_path, computed):
    swept(tmp_path / "small")
    computed.clear()
    some = {"a": OVER["a"][1:], "b": [0.3, 0.1]}
    found = swept(tmp_path / "s", over=some, reuse=tmp_path / "small", chunk=4)
    assert not computed
    assert_same(found, swept(over=some))


def test_vectors_and_values_that_vary_together(tmp_path, cells):
    def measure(s):
        return s.params["a"] * 2 + s.x0[0]

    small = {("a", "x0"): (np.arange(3.0), np.arange(6.0).reshape(3, 2))}
    large = {("a", "x0"): (np.arange(5.0), np.arange(10.0).reshape(5, 2))}
    swept(tmp_path / "small", over=small, measure=measure)
    cells.clear()
    found = swept(over=large, measure=measure, reuse=tmp_path / "small")
    assert sum(cells) == 2
    assert_same(found, swept(over=large, measure=measure))


def test_what_cannot_be_reused_is_told(tmp_path):
    path = tmp_path / "s"
    swept(path)
    for options, said in [
        ({"measure": lambda s: s.params["a"]}, "what a cell computes"),
        ({"system": jaxdyn.models.henon().with_state([0.1, 0.2])}, "parameters and start"),
        ({"over": {"b": [0.1]}}, r"what is swept \(a, b there, b here\)"),
    ]:
        with pytest.raises(ValueError, match=said):
            swept(reuse=path, **options)
    with pytest.raises(ValueError, match="differs in: engine"):
        swept(reuse=path, engine=jaxdyn.Vmap())
    with pytest.raises(ValueError, match="reuse is for measures without a `key`"):
        swept(reuse=path, measure=draw)
    with pytest.raises(ValueError, match="there is no sweep's store at"):
        swept(reuse=tmp_path / "none")


def test_damaged_cells_are_computed(tmp_path, cells):
    swept(tmp_path / "small")
    file = sorted(p for p in (tmp_path / "small" / "x" / "c").rglob("*") if p.is_file())[0]
    file.write_bytes(file.read_bytes()[:-3])
    cells.clear()
    with pytest.warns(jaxdyn.JaxdynWarning, match="is damaged; its cells there are computed"):
        found = swept(over=LARGER, reuse=tmp_path / "small", chunk=10)
    assert_same(found, swept(over=LARGER))
