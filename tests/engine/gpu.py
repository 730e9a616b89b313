"""Programs of the engine compiled for an H100 where there is none, and what their machine code is like.

As a script it compiles one program: `gpu.py NAME FOLDER`; `report(NAME, FOLDER)` runs that in a process of its own,
because the options of XLA are read once in a process, and because a compiler that crashes must not end the tests.
"""

import dataclasses
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LANES = 1 << 17
# The wheels disturb JAX on machines without a GPU, so they may live in an environment of their own.
PYTHON = os.environ.get("JAXDYN_GPU_PYTHON", sys.executable)


@dataclasses.dataclass
class Kernel:
    """Machine code of one kernel."""

    registers: int
    spilled: int
    """Bytes stored and loaded again because registers ran out."""
    code: list[str]
    """Instructions and labels in order, labels with a colon; empty for all but the largest kernel of a program."""

    @property
    def instructions(self) -> int:
        """Number of instructions, without what fills up the last line of the cache."""
        return sum(not line.endswith(":") and line.split()[0] != "NOP" for line in self.code)

    def loops(self) -> list[int]:
        """Instructions of each loop, the longest first; what it jumps over counts too."""
        place, n, found = {}, 0, []
        for line in self.code:
            if line.endswith(":"):
                place[line[:-1]] = n
                continue
            n += 1
            target = re.search(r"\bBRA\b.*`\((\S+)\)", line)
            if target and target[1] in place:
                found.append(n - place[target[1]])
        found = [length for length in found if length > 1]  # after the end the code jumps to itself
        return sorted(found, reverse=True)


@dataclasses.dataclass
class Report:
    """What became of a program."""

    hlo: str
    ptx: str
    kernels: dict[str, Kernel]

    @property
    def largest(self) -> Kernel:
        """The kernel with most instructions: the body of the main loop."""
        return max(self.kernels.values(), key=lambda kernel: kernel.instructions)

    @property
    def spilled(self) -> int:
        """Bytes that all kernels spill."""
        return sum(kernel.spilled for kernel in self.kernels.values())

    @property
    def has_float64(self) -> bool:
        """Whether anything is computed or stored in double precision."""
        return "f64" in self.hlo or ".f64" in self.ptx

    def kernels_an_iteration(self) -> list[int]:
        """Kernels and copies over the lanes in the body of each loop; those of one thread, which count steps, not."""
        bodies = re.findall(r"\bwhile\(.*?body=%?([\w.-]+)", self.hlo)
        return [len(_launches(self.hlo, body)) for body in bodies]


_NO_KERNEL = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "while"}


def _launches(hlo: str, body: str) -> list[str]:
    """Instructions of a computation that run on the device and make arrays of lanes."""
    text = re.search(rf"^%?{re.escape(body)} \(.*?\{{\n(.*?)^\}}", hlo, re.MULTILINE | re.DOTALL)
    assert text, f"no computation {body} in the program"
    found = []
    for name, shape, kind in re.findall(r"%([\w.-]+) = (.*?) ([a-z][\w-]*)\(", text[1]):
        if kind not in _NO_KERNEL and re.search(rf"\b{LANES}\b", shape):
            found.append(name)
    return found


def missing() -> str | None:
    """What is missing for compiling, or None."""
    asked = subprocess.run([PYTHON, __file__], capture_output=True, text=True)
    return (asked.stdout.strip() or None) if asked.returncode == 0 else asked.stderr[-500:]


def _missing_here() -> str:
    for module in ("jax_cuda13_plugin", "jax_plugins.xla_cuda13"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed; pip install jaxdyn[gpu-compile]"
    for name in ("ptxas", "nvdisasm"):
        if tool(name) is None:
            return f"{name} is not installed; pip install jaxdyn[gpu-compile]"
    return ""


def tool(name: str) -> str | None:
    """Path of a program of the CUDA toolkit, that of a wheel before any other."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder, "cu13", "bin", name)
        if path.exists():
            return str(path)
    return shutil.which(name)


def report(name: str, folder: Path) -> Report:
    """Result of compiling a program in a process of its own."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(HERE.parent.parent),
        "XLA_FLAGS": f"--xla_gpu_autotune_level=0 --xla_dump_to={folder / 'xla'}",
        "MOSAIC_GPU_DUMP_PTX": "1",
        "MOSAIC_GPU_DUMP_TO": str(folder / "mosaic"),
    }
    (folder / "mosaic").mkdir()
    run = subprocess.run([PYTHON, __file__, name, str(folder)], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    ptx, kernels = [], {}
    for path in sorted(folder.glob("*.ptx")):
        ptx.append(path.read_text())
        code = path.with_suffix(".sass")
        of_file = kernels_of(path.with_suffix(".log").read_text(), code.read_text() if code.exists() else "")
        kernels |= {f"{path.stem}.{kernel}": found for kernel, found in of_file.items()}
    return Report((folder / "program.hlo").read_text(), "\n".join(ptx), kernels)


def kernels_of(log: str, code: str) -> dict[str, Kernel]:
    """Kernels of one file, from what the assembler says and from the code."""
    kernels = {}
    pattern = (
        r"Compiling entry function '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers"
    )
    for name, stored, loaded, registers in re.findall(pattern, log, re.DOTALL):
        kernels[name] = Kernel(int(registers), int(stored) + int(loaded), _code(name, code))
    return kernels


def _code(name: str, text: str) -> list[str]:
    """Instructions and labels of one kernel."""
    if not text:
        return []
    section = text.split(f"//--------------------- .text.{name} ", 1)[1].split("//-------------", 1)[0]
    lines = []
    for line in section.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            lines.append(f"{label[1]}:")
        elif instruction := re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@\S+\s+)?(.*?)\s*;", line):
            lines.append(instruction[1])
    last = max(i for i, line in enumerate(lines) if not line.endswith(":") and line != "NOP")
    return lines[: last + 1]


def _compile(name: str, folder: Path) -> None:
    """Compile a program and leave its HLO, PTX, machine code and the assembler's remarks in a folder."""
    import jax
    from jax.experimental import topologies

    figures = (HERE / "h100.txtpb").read_text()
    (device,) = topologies.get_topology_desc(platform="cuda", target_config=figures, topology="1x1x1").devices
    sharding = jax.sharding.SingleDeviceSharding(device)
    # The engine asks what it runs on; here it is what the program is compiled for.
    jax.default_backend = lambda: "gpu"
    function, shapes = PROGRAMS[name]()
    arguments = [jax.ShapeDtypeStruct((LANES, *shape), "float32", sharding=sharding) for shape in shapes]
    compiled = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).compile()
    (folder / "program.hlo").write_text(str(compiled.as_text()))
    texts = [path.read_text() for path in sorted([*folder.glob("xla/*.ptx"), *folder.glob("mosaic/*.ptx")])]
    texts = sorted((text for text in texts if ".entry" in text), key=len)
    for i, text in enumerate(texts):
        _assemble(text, folder / f"{i}.ptx", disassembled=i == len(texts) - 1)


def _assemble(text: str, ptx: Path, disassembled: bool) -> None:
    ptx.write_text(text)
    binary = ptx.with_suffix(".cubin")
    command = [str(tool("ptxas")), "-arch=sm_90a", "-v", str(ptx), "-o", str(binary)]
    assembled = subprocess.run(command, capture_output=True, text=True, check=True)
    ptx.with_suffix(".log").write_text(assembled.stderr)
    if disassembled:
        code = subprocess.run([str(tool("nvdisasm")), "-c", str(binary)], capture_output=True, text=True, check=True)
        ptx.with_suffix(".sass").write_text(code.stdout)


def _batched(function: Any, engine: Any) -> Any:
    """Function of all lanes; kernels of Mosaic are asked for without a way back to XLA."""
    import jax
    import jax.numpy as jnp

    import jaxdyn
    from jaxdyn.engine.mosaic import run_mosaic
    from jaxdyn.engine.values import Value

    if not isinstance(engine, jaxdyn.Mosaic):
        return jaxdyn.lanes(function, engine=engine)

    def batched(*arrays: Any) -> Any:
        closed = jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in arrays))
        values = [Value.of_whole(LANES, jnp.moveaxis(array, 0, -1)) for array in arrays]
        return [value.spread_whole() for value in run_mosaic(engine, closed, values, LANES)]

    return batched


def _final_state(model: str, parameter: str, engine: Any, method: str = "RK4", **options: Any) -> Any:
    """Last state for many parameters and starts, 1600 steps later."""
    import jaxdyn

    system = getattr(jaxdyn.models, model)(**options)

    def last(value: Any, x0: Any) -> Any:
        own = system.with_params(**{parameter: value}).with_state(x0)
        return jaxdyn.final_state(own, n_steps=1600, dt=0.01, method=getattr(jaxdyn, method)()).x

    return _batched(last, engine), [(), (system.dim,)]


def _spectrum(engine: Any) -> Any:
    """Lyapunov exponents of the Lorenz system, frame orthonormalized every step."""
    import jaxdyn

    system = jaxdyn.models.lorenz63()

    def exponents(rho: Any, x0: Any) -> Any:
        own = system.with_params(rho=rho).with_state(x0)
        return jaxdyn.lyapunov_spectrum(own, n_steps=1600, dt=0.01, n_transient=160).exponents

    return _batched(exponents, engine), [(), (3,)]


def _functions(engine: Any) -> Any:
    """Functions that Mosaic lacks, and a loop that each lane leaves when it likes."""
    import jax.numpy as jnp
    from jax import lax

    def step(x: Any, y: Any) -> Any:
        x = jnp.sqrt(jnp.abs(x)) + jnp.log1p(x * x) + jnp.expm1(-x) + jnp.floor(x) + jnp.fmod(x, y) + jnp.tan(x)
        x = x + lax.pow(jnp.abs(x), y) + jnp.sinh(x) + jnp.cosh(x) + jnp.arctan(x) + lax.logistic(x) + x**-2
        return jnp.where(jnp.isfinite(x), x, 0.0)

    def until_done(x: Any, y: Any) -> Any:
        def go_on(carry: Any) -> Any:
            return (jnp.abs(carry[0]) > 0.1) & (carry[1] < 1000)

        return lax.while_loop(go_on, lambda c: (step(c[0], y[0]), c[1] + 1), (x, jnp.int32(0)))

    return _batched(until_done, engine), [(), (1,)]


def _engine(name: str, **options: Any) -> Any:
    import jaxdyn

    return getattr(jaxdyn, name)(**options)


_xla, _mosaic = functools.partial(_engine, "Xla"), functools.partial(_engine, "Mosaic")

# Names of programs; what they unroll is what XLA still compiles within seconds.
PROGRAMS: dict[str, Callable[[], Any]] = {
    "fitzhugh_nagumo": lambda: _final_state("fitzhugh_nagumo", "I", _xla(unroll=16)),
    "fitzhugh_nagumo_vmap": lambda: _final_state("fitzhugh_nagumo", "I", _engine("Vmap")),
    "lorenz_tsit5": lambda: _final_state("lorenz63", "rho", _xla(unroll=16), method="Tsit5"),
    "lorenz_spectrum": lambda: _spectrum(_xla(unroll=1)),
    "lorenz96_10": lambda: _final_state("lorenz96", "F", _xla(unroll=4), n=10),
    "lorenz96_40": lambda: _final_state("lorenz96", "F", _xla(unroll=1), n=40),
    "mosaic_fitzhugh_nagumo": lambda: _final_state("fitzhugh_nagumo", "I", _mosaic(unroll=8)),
    "mosaic_lorenz_tsit5": lambda: _final_state("lorenz63", "rho", _mosaic(unroll=2), method="Tsit5"),
    "mosaic_lorenz_spectrum": lambda: _spectrum(_mosaic(unroll=1)),
    "mosaic_lorenz96_10": lambda: _final_state("lorenz96", "F", _mosaic(unroll=1), n=10),
    "mosaic_functions": lambda: _functions(_mosaic(unroll=1)),
    "mosaic_lorenz96_40": lambda: _final_state("lorenz96", "F", _mosaic(unroll=1), n=40),
}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(_missing_here())
    else:
        _compile(sys.argv[1], Path(sys.argv[2]))
