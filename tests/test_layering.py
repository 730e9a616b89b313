"""The way of the imports: one direction, no way back."""

import ast
from pathlib import Path

import pytest

import jaxdyn

ROOT = Path(jaxdyn.__file__).parent

# From the bottom to the top; the longest matching name decides. A module imports only from lower layers,
# and from its own package where that makes no circle.
LAYERS = [
    ["jaxdyn._imports", "jaxdyn._record", "jaxdyn._types"],
    ["jaxdyn._arrays", "jaxdyn._fingerprint", "jaxdyn._noise", "jaxdyn._version", "jaxdyn.about", "jaxdyn.errors"],
    ["jaxdyn.roots", "jaxdyn.system"],
    ["jaxdyn.stochastic"],
    ["jaxdyn.engine"],
    ["jaxdyn.methods"],
    ["jaxdyn.steps"],
    ["jaxdyn.integrate"],
    ["jaxdyn.crossing", "jaxdyn.derivatives", "jaxdyn.derived", "jaxdyn.flow_maps", "jaxdyn.subsystems"],
    ["jaxdyn.coupling", "jaxdyn.reversal", "jaxdyn.sections"],
    ["jaxdyn.analysis.orthonormal", "jaxdyn.analysis.local", "jaxdyn.analysis.stability", "jaxdyn.analysis.starts"],
    ["jaxdyn.analysis"],
    ["jaxdyn.reducers"],
    ["jaxdyn.events", "jaxdyn.learning", "jaxdyn.passages"],
    ["jaxdyn.sweeps"],
    ["jaxdyn.orbits"],
    ["jaxdyn.plot"],
    ["jaxdyn.interactive"],
    ["jaxdyn"],
    ["jaxdyn._cli*"],
    ["jaxdyn.cli"],
    ["jaxdyn.__main__"],
]

MODELS_NEED = (
    *("jaxdyn._noise", "jaxdyn._types", "jaxdyn.about"),
    *("jaxdyn.stochastic", "jaxdyn.system", "jaxdyn.models"),
)


def name_of(path: Path) -> str:
    parts = ["jaxdyn", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(source: str, known: set[str]) -> set[str]:
    """Modules of the package that a source imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports inside the package are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else str(node.module))
    return {name for name in found if name.split(".")[0] == "jaxdyn"}


def covers(name: str, module: str) -> bool:
    if name.endswith("*"):
        return module.startswith(name[:-1])
    return module == name or (name != "jaxdyn" and module.startswith(f"{name}."))


def layer(module: str) -> int:
    fits = [(len(name), i) for i, names in enumerate(LAYERS) for name in names if covers(name, module)]
    assert fits, f"{module} has no layer: add it to LAYERS"
    return max(fits)[1]


def same_package(a: str, b: str) -> bool:
    """Whether both lie in one folder below the root, or are parts of the command line."""
    first, second = (module.split(".")[1:2] for module in (a, b))
    return first == second or all(part and part[0].startswith("_cli") for part in (first, second))


def violations(sources: dict[str, str]) -> list[str]:
    bad = []
    for module, source in sources.items():
        for target in imports(source, set(sources)):
            if module.startswith("jaxdyn.models"):
                fine = target.startswith(MODELS_NEED)
            elif target.startswith("jaxdyn.models"):
                fine = layer(module) >= layer("jaxdyn")
            else:
                fine = layer(target) < layer(module) or (
                    same_package(module, target) and layer(target) <= layer(module)
                )
            if not fine:
                bad.append(f"{module} imports {target}")
    return bad


def circles(sources: dict[str, str]) -> list[str]:
    """Modules that reach themselves; a package's __init__ may import what lies in it."""
    graph = {module: imports(source, set(sources)) for module, source in sources.items()}
    reached = {module: set(targets) for module, targets in graph.items()}
    for _ in graph:
        for targets in reached.values():
            targets |= {far for near in list(targets) for far in reached.get(near, ())}
    return sorted(module for module, targets in reached.items() if module in targets)


def sources() -> dict[str, str]:
    return {module: path.read_text() for module, path in MODULES.items()}


def test_files_import_only_from_files_above_them():
    assert violations(sources()) == []


def test_there_are_no_circles():
    assert circles(sources()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("jaxdyn.system", "from jaxdyn.integrate import trajectory"),
        ("jaxdyn.methods.rk", "def f():\n    import jaxdyn.integrate"),
        ("jaxdyn.analysis.local", "from jaxdyn.analysis import lyapunov"),
        ("jaxdyn.models.linear", "from jaxdyn import integrate"),
        ("jaxdyn.analysis.lyapunov", "from jaxdyn import models"),
        ("jaxdyn.analysis.lyapunov", "import jaxdyn"),
        ("jaxdyn.integrate", "from jaxdyn.plot import style"),
    ],
)
def test_a_wrong_import_is_found(module, line):
    assert len(violations(dict.fromkeys(MODULES, "") | {module: line})) == 1


def test_a_circle_is_found():
    assert circles(
        {"jaxdyn.a": "import jaxdyn.b", "jaxdyn.b": "from jaxdyn import a", "jaxdyn.c": "import jaxdyn.a"}
    ) == [
        "jaxdyn.a",
        "jaxdyn.b",
    ]


def test_only_one_file_loops_over_time():
    """Loops with a fixed number of steps live in `integrate`; the engine runs loops that others have written."""
    loops = {module for module, text in sources().items() if "lax.scan(" in text or "fori_loop(" in text}
    users = {module for module in loops if not module.startswith("jaxdyn.engine")}
    assert users == {"jaxdyn.integrate"}
