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
    first, *others = (jaxdyn.open(path) for path in sorted(tmp_path.glob("*.zarr")))
    assert len(others) == 2 and (first["status"] == 0).all()
    for other in others:
        np.testing.assert_array_equal(first["exponents"], other["exponents"])
