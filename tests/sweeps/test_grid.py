"""The grid: what may be swept, how cells are numbered, how chunks tile it, and how a cell's values reach the system."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxdyn
from jaxdyn.sweeps.grid import Axis, Grid, make_grid, place

quick = settings(deadline=None, derandomize=True, max_examples=60)
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def system():
    params = {"a": 1.0, "w": [1.0, 2.0], "m": np.eye(2), "k": np.array([1, 2, 3], np.int8)}
    return jaxdyn.iterated_map(lambda n, x, p: x, params, [5.0, 7.0], state_names=["p", "q"])


def grid_of(shape):
    return Grid(tuple(Axis(f"d{i}", {f"d{i}": np.arange(n, dtype=np.float32)}) for i, n in enumerate(shape)))


@quick
@given(shapes, st.integers(1, 40))
def test_chunks_tile_the_grid_once_and_hold_no_more_than_asked(shape, lanes):
    grid = grid_of(shape)
    chunk = grid.chunk_shape(lanes)
    assert 1 <= math.prod(chunk) <= lanes
    hits = np.zeros(shape, int)
    for region in grid.regions(chunk):
        hits[region] += 1
    assert (hits == 1).all()


@quick
@given(shapes, st.integers(1, 40))
def test_the_chunk_of_a_chunk_is_itself(shape, lanes):
    """A resumed sweep takes the number of cells from the store and must find the same box again."""
    chunk = grid_of(shape).chunk_shape(lanes)
    assert grid_of(shape).chunk_shape(math.prod(chunk)) == chunk


@quick
@given(shapes, st.integers(1, 40))
def test_cells_carry_their_own_values_and_numbers(shape, lanes):
    grid = grid_of(shape)
    chunk = grid.chunk_shape(lanes)
    numbers = np.arange(grid.size).reshape(shape)
    mesh = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    for region in grid.regions(chunk):
        values, found = grid.cells(region, chunk)
        crop = tuple(slice(0, r.stop - r.start) for r in region)
        np.testing.assert_array_equal(found.reshape(chunk)[crop], numbers[region])
        assert found.max() < grid.size  # cells that pad a chunk repeat real ones
        for i, part in enumerate(mesh):
            np.testing.assert_array_equal(values[f"d{i}"].reshape(chunk)[crop], part[region])


def test_values_take_the_dtype_of_what_they_replace():
    grid = make_grid(
        system(), {"a": [1, 2, 3], "k": [[1, 2, 3], [4, 5, 6]], "p": np.arange(4), "m": np.ones((2, 2, 2))}
    )
    dtypes = {name: axis.values[name].dtype for axis, name in zip(grid.axes, grid.dims, strict=True)}
    assert dtypes == {"a": np.float32, "k": np.int8, "p": np.float32, "m": np.float32}
    assert grid.shape == (3, 2, 4, 2)


def test_values_that_do_not_fit_an_integer_parameter_are_refused():
    with pytest.raises(ValueError, match=r"values of 'k' do not fit its dtype int8: 1 to 300"):
        make_grid(system(), {"k": [[1, 2, 300]]})
    with pytest.raises(TypeError, match="values of 'k' must be real numbers of kind int8, got float64"):
        make_grid(system(), {"k": [[1.0, 2.0, 3.0]]})


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"a": 3.0}, r"values of 'a' must have shape \(n,\) with n >= 1, got \(\)"),
        ({"a": []}, r"values of 'a' must have shape \(n,\) with n >= 1, got \(0,\)"),
        ({"a": [[1.0, 2.0]]}, r"values of 'a' must have shape \(n,\) with n >= 1, got \(1, 2\)"),
        ({"w": [1.0, 2.0]}, r"values of 'w' must have shape \(n, 2\) with n >= 1, got \(2,\)"),
        ({"m": np.ones((3, 2, 3))}, r"values of 'm' must have shape \(n, 2, 2\) with n >= 1, got \(3, 2, 3\)"),
        ({"x0": [1.0, 2.0]}, r"values of 'x0' must have shape \(n, 2\) with n >= 1, got \(2,\)"),
        ({"q": [[1.0, 2.0]]}, r"values of 'q' must have shape \(n,\)"),
        ({("a", "p"): ([1.0],)}, r"zipped axis \('a', 'p'\) needs 2 arrays of values, got shape \(1, 1\)"),
        ({("a", "p"): 1.0}, r"zipped axis \('a', 'p'\) needs 2 arrays of values, got shape \(\)"),
        ({("a", "p"): ([1.0], [1.0, 2.0])}, r"must be equally long, got \{'a': 1, 'p': 2\}"),
        ({"a": [1.0], ("a", "p"): ([1.0], [2.0])}, r"each name can be swept once, got \['a', 'a', 'p'\]"),
        ({"a": [[1.0, 2.0], [1.0]]}, r"values of 'a' must be an array, got rows of different lengths: \[\[1.0"),
        ({("a", "p", "k"): [[1.0, 2.0], [1.0]]}, r"values of \('a', 'p', 'k'\) must be an array, got rows of"),
        ({"a": np.zeros(70_000), "p": np.zeros(70_000)}, r"fewer than 2\*\*32 cells, got 4900000000; split it"),
    ],
)
def test_values_of_wrong_shape_are_refused(over, message):
    with pytest.raises(ValueError, match=message):
        make_grid(system(), over)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "over must map names to values"),
        ([("a", [1.0])], "over must map names to values"),
        ({"A": [1.0]}, r"nothing to sweep called 'A'; known: a, w, m, k, p, q, x0"),
        ({"pp": [1.0]}, r"nothing to sweep called 'pp'; did you mean 'p'\?"),
        ({1: [1.0]}, "nothing to sweep called '1'"),
        ({"a": ["low", "high"]}, "values of 'a' must be real numbers of kind float32, got <U4"),
        ({"a": [1j]}, "values of 'a' must be real numbers of kind float32, got complex128"),
    ],
)
def test_what_cannot_be_swept_is_refused(over, message):
    with pytest.raises(TypeError, match=message):
        make_grid(system(), over)


def test_a_whole_start_goes_before_single_states_in_either_order():
    for names in (("x0", "q"), ("q", "x0")):
        values = {"x0": jax.numpy.array([1.0, 2.0]), "q": jax.numpy.float32(9.0)}
        placed = place(system(), {name: values[name] for name in names})
        np.testing.assert_array_equal(placed.x0, [1.0, 9.0])


def test_a_state_called_x0_and_the_whole_start_are_told_apart():
    plain = jaxdyn.iterated_map(lambda n, x, p: x, {}, [5.0, 7.0])  # states x0, x1
    assert make_grid(plain, {"x0": [1.0, 2.0, 3.0]}).axes[0].values["x0"].shape == (3,)
    assert make_grid(plain, {"x0": np.ones((3, 2))}).axes[0].values["x0"].shape == (3, 2)
    np.testing.assert_array_equal(place(plain, {"x0": jax.numpy.float32(1.0)}).x0, [1.0, 7.0])
    np.testing.assert_array_equal(place(plain, {"x0": jax.numpy.ones(2)}).x0, [1.0, 1.0])
