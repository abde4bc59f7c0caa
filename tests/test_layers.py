"""Imports point one way: the layers of the package, top to bottom, and what each may load."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_avepoint"
ROOT = Path(__file__).parent.parent / PACKAGE

# A module may import its own layer and those after it.
LAYERS = [
    ("cli",),
    ("operators",),
    ("sensors",),
    ("gates",),
    ("triggers",),
    ("hooks",),
    ("report",),
    ("ledger",),
    ("assets",),
    ("links", "lineage", "metrics", "exceptions"),
    ("transports",),
    ("credentials",),
    ("core",),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# What stands apart: the simulator and the metadata import nothing of ours.
APART = {"simulator", "get_provider_info", "__init__"}
# Exceptions, transports and credentials know only the core.
ONLY_CORE = {"exceptions", "links", "lineage", "metrics", "transports", "credentials"}

# What imports a module whose name is a text.
IMPORTERS = {"import_module", "__import__", "import_string", "resolve_name"}


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def layer(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, bool]]:
    """Return the modules that *path* imports, and whether when it is loaded itself."""
    tree = ast.parse((ROOT / path).read_text())
    package = [PACKAGE, *path.with_suffix("").parts][:-1]
    found = []

    def visit(node: ast.AST, *, at_load: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_load) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *filter(None, [child.module])])
                inner = (
                    [] if module.startswith(PACKAGE) else [f"{module}.{each.name}" for each in child.names]
                )
                found.extend((name, at_load) for name in (module, *inner))
            is_lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
                isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            )
            visit(child, at_load=at_load and not is_lazy)

    visit(tree, at_load=True)
    return found


def ours(name: str) -> str | None:
    """Return the layer of one of our modules, None for anybody else's."""
    parts = name.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_point_down(path: Path) -> None:
    """A module imports its own layer and those below it; the simulator only itself."""
    own = layer(path)
    targets = {target for name, _ in imported(path) if (target := ours(name))}
    if own in APART:
        allowed = {own}
    elif own in ONLY_CORE:
        allowed = {own, "core"}
    else:
        allowed = {name for name, rank in RANK.items() if rank >= RANK[own]}

    assert targets <= allowed


@pytest.mark.parametrize("path", [path for path in modules() if layer(path) == "core"], ids=str)
def test_core_knows_no_airflow_and_opens_no_socket(path: Path) -> None:
    """Two libraries besides the standard one: pendulum reads time spans, msgspec reads JSON."""
    foreign = {
        name.split(".")[0]
        for name, _ in imported(path)
        if not ours(name) and name.split(".")[0] not in sys.stdlib_module_names
    }

    assert foreign <= {PACKAGE, "msgspec", "pendulum"}
    sockets = {"socket", "http.client", "http.server", "urllib.request", "asyncio"}
    assert not sockets & {name for name, _ in imported(path)}


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if layer(path) in ("operators", "sensors", "gates", "triggers")],
    ids=str,
)
def test_a_dag_file_loads_no_client(path: Path) -> None:
    """What a DAG author imports loads hooks and transports only when a task runs."""
    at_load = {target for name, at_load in imported(path) if at_load and (target := ours(name))}

    assert not at_load & {"hooks", "transports", "credentials"}


@pytest.mark.parametrize("path", [path for path in modules() if layer(path) == "transports"], ids=str)
def test_transports_move_bytes(path: Path) -> None:
    """A transport knows flows, the connection's settings and errors; it knows neither listings nor jobs."""
    core = f"{PACKAGE}.core."
    known = {name.removeprefix(core).split(".")[0] for name, _ in imported(path) if name.startswith(core)}

    assert known <= {"errors", "flow", "settings"}


@pytest.mark.parametrize("path", modules(), ids=str)
def test_no_module_of_ours_is_imported_by_name(path: Path) -> None:
    """An import in a string would be an arrow that the tests above cannot see."""
    calls = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Call)]
    importers = [call for call in calls if ast.unparse(call.func).split(".")[-1] in IMPORTERS]

    assert not [ast.unparse(call) for call in importers if not is_of_others(call)]


def is_of_others(call: ast.Call) -> bool:
    """Tell whether a call that imports by name spells out a name that is none of ours."""
    name = call.args[0] if call.args else None
    is_spelled_out = isinstance(name, ast.Constant) and isinstance(name.value, str)
    return is_spelled_out and name.value.split(".")[0] != PACKAGE and not name.value.startswith(".")


def test_every_module_has_a_layer() -> None:
    """A new top-level name is given its place here."""
    assert {layer(path) for path in modules()} == set(RANK) | APART
