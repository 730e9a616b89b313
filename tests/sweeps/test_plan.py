"""Plans: chunks within a budget of memory, and programs that are compiled once and never confused."""

import contextlib
import functools

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from coded import coded

import jaxdyn
from jaxdyn.engine import native_compiler
from jaxdyn.engine.cores import limited_cores
from jaxdyn.sweeps import known
from jaxdyn.sweeps import plan as plans
from jaxdyn.sweeps import program as programs
from jaxdyn.sweeps.grid import make_grid
from jaxdyn.sweeps.program import Settings


@pytest.fixture
def two_workers(monkeypatch):
    """Two chunks in flight, whatever the machine: they share the budget."""
    monkeypatch.setattr(programs, "n_workers", lambda: 2)


@pytest.mark.parametrize(("n", "alone", "cells"), [(80, True, 12), (80, False, 6), (20, True, 6)])
def test_one_product_of_a_large_matrix_serves_all_cells_where_no_other_process_takes_some(two_workers, n, alone, cells):
    network = jaxdyn.models.random_rnn(n=n)
    grid = make_grid(network, {"g": np.linspace(1, 2, 12)})
    run = functools.partial(jaxdyn.final_state, n_steps=5, dt=0.1)
    assert plans.make_plan(network, grid, run, None, 0, Settings(alone=alone)).chunk == (cells,)


def test_a_small_budget_makes_small_chunks(two_workers):
    neuron = jaxdyn.models.fitzhugh_nagumo()
    run = functools.partial(jaxdyn.trajectory, n_steps=100, dt=0.1)
    grid = make_grid(neuron, {"I": np.linspace(0, 1, 64), "b": np.linspace(0.5, 1, 64)})
    sizes = []
    for budget in (10**9, 10**6, 10**5, 1):
        plan = plans.make_plan(neuron, grid, run, None, 0, Settings(None, budget, None))
        sizes.append(int(np.prod(plan.chunk)))
        usage = plan.programs.first.run.memory_analysis()
        taken = (usage.temp_size_in_bytes + usage.output_size_in_bytes) * 2
        assert taken <= budget or sizes[-1] == 1  # one cell is the least
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4 and sizes[-1] == 1
    over = {"I": np.linspace(0, 1, 5)}
    small, large = (jaxdyn.sweep(run, neuron, over, memory=memory)["x"] for memory in (1, "1GB"))
    np.testing.assert_array_equal(small, large)


def test_room_that_is_needed_in_between_counts(two_workers):
    def median(s):
        return jnp.median(jnp.sin(s.params["a"] * jnp.arange(10_000.0)))  # sorted: 40 kB for a result of 4 bytes

    grid, budget = make_grid(coded(), {"a": np.linspace(0, 1, 1000)}), 4 * 10**6
    plan = plans.make_plan(coded(), grid, median, None, 0, Settings(None, budget, None))
    usage = plan.programs.first.run.memory_analysis()
    assert (usage.temp_size_in_bytes + usage.output_size_in_bytes) * 2 <= budget
    assert 1 < plan.chunk[0] < 100


@contextlib.contextmanager
def compilations():
    """List that grows by one for each program that XLA compiles meanwhile."""
    found = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_the_same_sweep_again_compiles_nothing():
    run = functools.partial(jaxdyn.trajectory, n_steps=17)
    henon, over = jaxdyn.models.henon(), {"a": np.linspace(0.5, 1.4, 5)}

    def again(system=henon, over=over, **options):
        with compilations() as compiled:
            jaxdyn.sweep(run, system, over, chunk=3, **options)
        return len(compiled)

    assert again() > 0
    assert again() == 0
    assert again(seed=5) == 0
    assert again(henon.with_params(b=0.2)) == 0
    assert again(henon.with_state(x=0.3)) == 0
    assert again(over={"a": np.linspace(0, 1, 50)}) == 0  # the chunk has the same size
    assert again(keep=["x", "status"]) == 0
    assert again(keep=["status"]) > 0


def test_a_measure_is_traced_once_and_its_times_compile_nothing_else():
    traced = []

    def run(system):
        traced.append(None)
        return jaxdyn.trajectory(system, n_steps=23, dt=0.1)

    neuron, over = jaxdyn.models.fitzhugh_nagumo(), {"I": np.linspace(0, 1, 5)}
    with compilations() as compiled:
        cells = jaxdyn.sweep(run, neuron, over)
    assert len(traced) == 1
    assert len(compiled) <= 6  # two of them the times and the chunk, the others of the key
    np.testing.assert_allclose(cells["time"], 0.1 * np.arange(24), rtol=1e-6)


def test_equal_equations_written_anew_run_the_program_that_is_there():
    def made():
        return jaxdyn.flow(lambda t, x, p: -p["k"] * x, {"k": 1.0}, [1.0], state_names=["x"])

    def swept(system):
        return jaxdyn.sweep(lambda s: s(0.0, s.x0), system, {"k": [1.0, 2.0]})["value"]

    np.testing.assert_array_equal(swept(made()), [[-1], [-2]])
    with compilations() as compiled:
        np.testing.assert_array_equal(swept(made()), [[-1], [-2]])
    assert not compiled


def test_programs_that_look_alike_are_not_confused():
    """Each pair differs only in what it reads, closes over, calls or is called."""
    lorenz, over = jaxdyn.models.lorenz63(), {"beta": [1.0, 2.0]}

    def found(measure):
        return jaxdyn.sweep(measure, lorenz, over)["value"].values.tolist()

    for name, value in (("sigma", 10.0), ("rho", 28.0)):
        assert found(lambda s, name=name: s.params[name] * s.params["beta"]) == [value, 2 * value]
    for library in (np, jnp):
        for n in (3, 50_000):
            for scale in (1.0, 2.0):
                constant = library.asarray(scale * np.arange(n, dtype=np.float32))
                assert found(lambda s, c=constant: jnp.asarray(c)[s.params["beta"].astype(int)]) == [scale, 2 * scale]
    for shift in (1.0, 2.0):
        shape = jax.ShapeDtypeStruct((), np.float32)
        called = functools.partial(
            jax.pure_callback, lambda v, k=shift: np.float32(v + k), shape, vmap_method="sequential"
        )
        assert found(lambda s, f=called: f(s.params["beta"])) == [1 + shift, 2 + shift]
    for name in ("u", "v"):
        assert name in jaxdyn.sweep({name: lambda s: s.params["beta"]}, lorenz, over)


@pytest.fixture
def compiled_quickly(monkeypatch):
    """Whether each program that is compiled from now on was one to be compiled soon."""
    told, compiled = [], programs._compiled
    monkeypatch.setattr(programs, "_compiled", lambda lowered, quick: told.append(quick) or compiled(lowered, quick))
    return told


def test_what_is_over_soon_is_compiled_soon(compiled_quickly, monkeypatch):
    run, over = functools.partial(jaxdyn.final_state, n_steps=17, dt=0.1), {"I": np.linspace(0, 1, 5)}
    neuron = jaxdyn.models.fitzhugh_nagumo()
    quick = jaxdyn.sweep(run, neuron, over)
    monkeypatch.setattr(programs, "SOON", 1000)
    known._KNOWN.clear()
    slow = jaxdyn.sweep(run, neuron, over)
    assert compiled_quickly[-2:] == [True, False]
    np.testing.assert_allclose(quick["x"], slow["x"], atol=17 * 4 * 2 * np.finfo(np.float32).eps)  # roundings of stages


def test_quick_options_that_xla_does_not_know_are_left_out(compiled_quickly, monkeypatch):
    monkeypatch.setitem(programs.QUICK_OPTIONS, "cpu", {"xla_cpu_no_such_option": False})
    found = jaxdyn.sweep(lambda s: s.params["a"] * 3, coded(), {"a": [1.0, 2.0]})
    assert found["value"].values.tolist() == [3, 6] and compiled_quickly == [True]


def test_a_program_for_few_cells_is_made_in_the_mode_of_the_sweep(x64, monkeypatch):
    monkeypatch.setattr(programs, "SOON", 0)  # quick programs are as small as it gets
    with jax.enable_x64(True):
        system = coded()
        grid = make_grid(system, {"a": np.arange(16.0)})
        plan = plans.make_plan(system, grid, lambda s: s.params["a"] * 0.1, None, 0, Settings(lanes=16))
    with jax.enable_x64(False):
        found = plan.compute((slice(0, 16),), np.arange(16) == 7)["value"]
    assert found.dtype == np.float64 and found[7] == 7 * 0.1


def test_few_programs_are_remembered():
    for n in range(1, 40):
        jaxdyn.sweep(lambda s, n=n: s.x0[:1] * n, coded(), {"a": [1.0]})
    assert len(programs._COMPILED) == 16
    assert len(known._KNOWN) == 32


def test_the_same_sweep_again_lowers_nothing(monkeypatch):
    """Its equations, traced anew, name the program."""
    run = functools.partial(jaxdyn.trajectory, n_steps=13)
    over = {"a": np.linspace(0.5, 1.4, 5)}
    first = jaxdyn.sweep(run, jaxdyn.models.henon(), over)
    monkeypatch.setattr(programs, "compiled_once", None)
    again = jaxdyn.sweep(run, jaxdyn.models.henon(b=0.2), over)
    with pytest.raises(TypeError, match="not callable"):
        jaxdyn.sweep(functools.partial(run, n_steps=14), jaxdyn.models.henon(), over)
    monkeypatch.undo()
    known._KNOWN.clear()
    assert again.equals(jaxdyn.sweep(run, jaxdyn.models.henon(b=0.2), over)) and not again.equals(first)


def test_settings_of_jax_that_decide_on_numbers_make_another_program():
    over = {"a": [1.0]}
    with compilations() as compiled:
        jaxdyn.sweep(lambda s: s.x0 @ s.x0, coded(), over)
        known_ones = len(compiled)
        with jax.default_matmul_precision("bfloat16"):
            jaxdyn.sweep(lambda s: s.x0 @ s.x0, coded(), over)
    assert len(compiled) > known_ones


def test_programs_with_lapack_run_one_at_a_time(two_workers):
    """Two batched LAPACK kernels at once can wait for each other for ever in the thread pool of XLA's CPU."""
    system = jaxdyn.models.lorenz63()  # three states need LAPACK for their eigenvalues
    grid = make_grid(system, {"rho": [20.0, 28.0]})
    for measure, workers in ((jaxdyn.eigenvalues, 1), (lambda s: s.x0, 2)):
        assert (
            plans.make_plan(system, grid, measure, None, 0, Settings(None, 10**9, None)).programs.first.n_workers
            == workers
        )


def test_a_fingerprint_knows_nothing_of_threads():
    """A store that was begun on one core goes on on two."""
    neuron = jaxdyn.models.fitzhugh_nagumo()
    run = functools.partial(jaxdyn.final_state, n_steps=1000, dt=0.1, method=jaxdyn.RK4())
    grid = make_grid(neuron, {"I": np.linspace(0, 1, 4096)})
    found, programs_of_threads = [], set()
    for cores in (1, 2):
        with limited_cores(cores):
            plan = plans.make_plan(neuron, grid, run, None, 0, Settings(lanes=1024))
        found.append(plan.fingerprint)
        programs_of_threads.add(plan.programs.first.run.as_text().count("_by_2"))
    assert found[0] == found[1]
    assert native_compiler.unavailable() or programs_of_threads == {0, 1}
