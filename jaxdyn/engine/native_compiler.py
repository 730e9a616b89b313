"""The machine's C compiler: found, tried, and called."""

import atexit
import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

__all__ = ["CannotCompile", "begun", "finished", "unavailable"]

FLAGS = """-ftree-vectorize -march=native -mprefer-vector-width=512 -ffp-contract=fast -fno-math-errno
-fno-trapping-math -fwrapv -fno-strict-aliasing -fopenmp-simd -shared -fPIC -pthread -w""".split()


class CannotCompile(Exception):
    """A program that the compiler refuses, or that cannot be loaded."""


_lock = threading.Lock()
_begun: dict[str, Future[ctypes.CDLL]] = {}
_registered: set[str] = set()


def begun(text: str, threads: int = 1, level: str = "-O2") -> str:
    """Name under which XLA calls the function of a C program, which is being compiled if it is a new one.

    The name ends in what changes no number: how many threads share the work. `level` is that of the optimization.
    """
    parts = [*_compiler(), level, text]
    name = f"jaxdyn_{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:32]}_by_{threads}"
    with _lock:
        if name not in _begun:
            _begun[name] = _pool().submit(_compiled, name, text, threads, level)
    return name


def finished(name: str) -> None:
    """Wait until a program is compiled and XLA knows its name; raises `CannotCompile`."""
    library = _begun[name].result()
    with _lock:
        if name not in _registered:
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
            _registered.add(name)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads that wait for compilers, as many as there are cores."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="jaxdyn-cc")


def _compiled(name: str, text: str, threads: int, level: str) -> ctypes.CDLL:
    source = _folder() / f"{name}.c"
    library = source.with_suffix(".so")
    source.write_text(text)
    settings = [f"-DHANDLER={name}", f"-DTHREADS={threads}", "-I", jax.ffi.include_dir()]
    command = [*_compiler(), level, *settings, "-o", str(library), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCompile(f"{command[0]} failed: {done.stderr.strip()[:500]}")
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise CannotCompile(f"the compiled program cannot be loaded: {error}") from error


@functools.cache
def _folder() -> Path:
    """Folder of this process for its programs."""
    folder = tempfile.mkdtemp(prefix="jaxdyn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _compiler() -> tuple[str, ...]:
    """Command of the C compiler and its options; empty if there is none."""
    command = shlex.split(os.environ.get("CC", ""))
    for names in (command, ["cc"], ["gcc"], ["clang"]):
        if names and (found := shutil.which(names[0])):
            return (found, *names[1:], *FLAGS)
    return ()


# Takes what XLA asks of a function that it may call; adds one to the numbers of an array otherwise.
_TRIAL = """
#include "xla/ffi/api/c_api.h"
XLA_FFI_Error *HANDLER(XLA_FFI_CallFrame *frame)
{
    XLA_FFI_Extension_Base *extension = frame->extension_start;
    if (extension && extension->type == XLA_FFI_Extension_Metadata) {
        XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
        metadata->api_version.major_version = XLA_FFI_API_MAJOR;
        metadata->api_version.minor_version = XLA_FFI_API_MINOR;
        return 0;
    }
    typedef float vector __attribute__((vector_size(64)));
    typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));
    const vector x = *(loose *)((XLA_FFI_Buffer *)frame->args.args[0])->data;
    *(loose *)((XLA_FFI_Buffer *)frame->rets.rets[0])->data = x + 1.0f;
    return 0;
}
"""


@functools.cache
def unavailable() -> str | None:
    """Why programs cannot be had at all, found by compiling and running one."""
    if not _compiler():
        return "there is no C compiler; install gcc or clang, or set CC"
    given = np.arange(16, dtype=np.float32)
    try:
        finished(name := begun(_TRIAL))
        with jax.ensure_compile_time_eval(), jax.default_device(jax.devices("cpu")[0]):
            got = jax.ffi.ffi_call(name, jax.ShapeDtypeStruct((16,), np.float32))(given)
        return None if np.array_equal(np.asarray(got), given + 1) else "a test program gave wrong numbers"
    except Exception as error:  # whatever it is, XLA takes over
        return f"a test program failed: {type(error).__name__}: {error}"
