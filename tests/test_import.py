"""Importing the package is light: nothing heavy, no device."""

import json
import subprocess
import sys

import jaxdyn

HEAVY = {"matplotlib", "pandas", "xarray", "zarr", "dask", "distributed", "optax", "tqdm", "click", "scipy", "diffrax"}

PROBE = """
import json, sys
import jax
before = set(sys.modules)
import jaxdyn
from jax._src import xla_bridge
print(json.dumps({
    "new": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
    "submodules": sorted(name for name in sys.modules if name.startswith("jaxdyn.")),
    "initialized": xla_bridge.backends_are_initialized(),
}))
"""


def probe(code: str) -> dict:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_loads_nothing_heavy_and_starts_no_device():
    seen = probe(PROBE)
    assert not HEAVY & set(seen["new"])
    assert not seen["initialized"]
    assert not {"jaxdyn.models", "jaxdyn.plot", "jaxdyn.cli"} & set(seen["submodules"])


def test_the_probe_sees_what_it_looks_for():
    seen = probe(PROBE.replace("import jaxdyn\n", "import jaxdyn, tqdm\njax.devices()\n"))
    assert "tqdm" in seen["new"]
    assert seen["initialized"]


def test_every_exported_name_exists_once():
    assert len(set(jaxdyn.__all__)) == len(jaxdyn.__all__) <= 92
    for name in jaxdyn.__all__:
        assert getattr(jaxdyn, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(jaxdyn, "nothing_of_this_name")
