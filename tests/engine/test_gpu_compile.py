"""Machine code of the engine's programs for an H100: kernels, registers and instructions, compiled without a GPU."""

import functools

import gpu
import pytest

pytestmark = pytest.mark.gpu_compile

REGISTERS_OF_A_MULTIPROCESSOR = 1 << 16
# The hardware hands out registers to a warp of 32 threads in pieces of 8 a thread, and blocks have 128 threads.
THREADS_OF_A_BLOCK = 128


@functools.cache
def _reason() -> str | None:
    return gpu.missing()


@pytest.fixture
def compiled(tmp_path):
    """Compiler of a program by its name."""
    if reason := _reason():
        pytest.skip(reason)
    return lambda name: gpu.report(name, tmp_path)


def threads(kernel: gpu.Kernel) -> int:
    """Threads of one multiprocessor that find registers, of the 2048 that it can hold."""
    of_a_block = THREADS_OF_A_BLOCK * 8 * -(-kernel.registers // 8)
    return min(2048, REGISTERS_OF_A_MULTIPROCESSOR // of_a_block * THREADS_OF_A_BLOCK)


@pytest.mark.parametrize(
    ("name", "loops", "least_threads"),
    [
        ("fitzhugh_nagumo", [1], 2048),
        ("lorenz_tsit5", [1], 1024),
        ("lorenz96_10", [1], 1024),
        # 40 states, their four slopes and the sum: 168 registers, the most that leave three blocks.
        ("lorenz96_40", [1], 384),
        # The transient; the batches, which store their three sums; and the steps of a batch inside.
        ("lorenz_spectrum", [1, 1, 3], 768),
    ],
)
def test_an_iteration_is_one_kernel_that_lives_in_registers(compiled, name, loops, least_threads):
    report = compiled(name)
    assert sorted(report.kernels_an_iteration()) == loops
    assert report.spilled == 0
    assert threads(report.largest) >= least_threads
    assert not report.has_float64


def test_an_unrolled_step_costs_little_more_than_its_arithmetic(compiled):
    """A step of FitzHugh-Nagumo by RK4 is 64 additions and products; the rest is once in 16 steps."""
    assert compiled("fitzhugh_nagumo").largest.instructions <= 16 * 66


@pytest.mark.parametrize(
    ("name", "kernels", "least_threads", "steps", "most_instructions"),
    [
        # 22 multiply-adds, 14 products and 14 sums a step; the end of the loop comes once in eight of them.
        ("mosaic_fitzhugh_nagumo", 1, 2048, 8, 51),
        ("mosaic_lorenz_tsit5", 1, 2048, 2, 120),
        # The transient and the batches. Divisions are exact: eight instructions each, and a rare way round.
        ("mosaic_lorenz_spectrum", 2, 768, 1, 560),
        ("mosaic_lorenz96_10", 1, 1024, 1, 240),
        ("mosaic_lorenz96_40", 1, 256, 1, 940),
        ("mosaic_functions", 1, 512, 1, 1000),
    ],
)
def test_a_loop_is_one_kernel_of_mosaic_with_the_state_in_registers(
    compiled, name, kernels, least_threads, steps, most_instructions
):
    report = compiled(name)
    assert report.hlo.count('custom_call_target="mosaic_gpu_v2"') == kernels
    assert report.kernels_an_iteration() == []
    assert report.spilled == 0
    # The CUDA library reduces angles beyond 1e5 in double precision; nothing else does.
    assert report.has_float64 == (name == "mosaic_functions")
    assert threads(report.largest) >= least_threads
    assert report.largest.loops()[0] <= steps * most_instructions


def test_plain_vmap_takes_several_kernels_an_iteration(compiled):
    """What the engine is for; and the counts above can be other than one."""
    assert compiled("fitzhugh_nagumo_vmap").kernels_an_iteration() == [5]


def test_double_precision_and_spilled_registers_are_seen():
    log = """ptxas info    : Compiling entry function 'step' for 'sm_90a'
        16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers"""
    code = """//--------------------- .text.step --------------------------
.L_x_0:
        /*0000*/                   FADD R0, R0, R1 ;
        /*0010*/              @!P0 BRA `(.L_x_0) ;
        /*0020*/                   EXIT ;
        /*0030*/                   NOP;
"""
    report = gpu.Report("f32[3]", "add.f64 %fd1, %fd2, %fd3;", gpu.kernels_of(log, code))
    assert report.has_float64
    assert (report.spilled, report.largest.registers, report.largest.instructions) == (20, 255, 3)
    assert report.largest.loops() == [2]
    assert threads(report.largest) == 256
