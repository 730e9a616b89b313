"""The page on sweeps does what it says: its programs run one after the other, each in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxdyn

PAGE = Path(__file__).parent.parent / "docs" / "sweeps.md"


@pytest.mark.slow
def test_the_page_on_sweeps_can_be_followed(tmp_path):
    measure, *programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "currents.py").write_text(measure)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(tmp_path)}
    for i, program in enumerate(programs):
        (tmp_path / f"step{i}.py").write_text(program)
        words = [sys.executable, "-W", "ignore", f"step{i}.py"]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (file,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "sweep.toml").write_text(file)
    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for command in commands.splitlines():
        words = [sys.executable, "-m", *command.split()]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    names = ("commanded", "dask", "larger", "plane", "workers")
    assert [path.stem for path in sorted(tmp_path.glob("*.zarr"))] == list(names)
    found = {name: jaxdyn.open(tmp_path / f"{name}.zarr") for name in names}
    assert all((cells["status"] == 0).all() for cells in found.values())
    for cells in found.values():
        np.testing.assert_array_equal(found["plane"]["exponents"], cells["exponents"][:30])
