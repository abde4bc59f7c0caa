"""Imports point one way: the layers of the package, top to bottom, and what each may load."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_cover

PACKAGE = "airflow_provider_avepoint"
ROOT = Path(__file__).parent.parent / PACKAGE

# A module may import its own layer and those after it.
LAYERS = [
    ("cli",),
    ("page",),
    ("operators",),
    ("sensors",),
    ("gates",),
    ("checked",),
    ("triggers",),
    ("hooks",),
    ("report",),
    ("ledger",),
    ("assets", "required_file"),
    ("links", "lineage", "metrics", "exceptions"),
    ("transports",),
    ("credentials",),
    ("core",),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# What stands apart: the simulator and the metadata import nothing of ours, the fixtures only the simulator.
APART = {"simulator", "testing", "get_provider_info", "__init__"}
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


def test_imports_point_down() -> None:
    """A module imports its own layer and those below it; the simulator only itself."""
    offenders = [
        f"{path} imports {target}"
        for path in modules()
        for name, _ in imported(path)
        if (target := ours(name)) and target not in allowed(layer(path))
    ]

    assert offenders == []


def allowed(own: str) -> set[str]:
    """Return the layers that a module of the layer *own* may import."""
    if own == "testing":
        return {own, "simulator"}
    if own in APART:
        return {own}
    if own in ONLY_CORE:
        return {own, "core"}
    return {name for name, rank in RANK.items() if rank >= RANK[own]}


def test_core_knows_no_airflow_and_opens_no_socket() -> None:
    """Two libraries besides the standard one: pendulum reads time spans, msgspec reads JSON."""
    libraries = {*sys.stdlib_module_names, PACKAGE, "msgspec", "pendulum"}
    sockets = {"socket", "http.client", "http.server", "urllib.request", "asyncio"}
    offenders = [
        f"{path} imports {name}"
        for path in modules()
        if layer(path) == "core"
        for name, _ in imported(path)
        if name.split(".")[0] not in libraries or name in sockets
    ]

    assert offenders == []


def test_a_dag_file_loads_no_client() -> None:
    """What a DAG author imports loads hooks and transports only when a task runs."""
    offenders = [
        f"{path} imports {name}"
        for path in modules()
        if layer(path) in ("operators", "sensors", "gates", "triggers")
        for name, at_load in imported(path)
        if at_load and ours(name) in ("hooks", "transports", "credentials")
    ]

    assert offenders == []


def test_transports_move_bytes() -> None:
    """A transport knows flows, the connection's settings and errors; it knows neither listings nor jobs."""
    core = f"{PACKAGE}.core."
    offenders = [
        f"{path} imports {name}"
        for path in modules()
        if layer(path) == "transports"
        for name, _ in imported(path)
        if name.startswith(core)
        and name.removeprefix(core).split(".")[0] not in ("errors", "flow", "settings")
    ]

    assert offenders == []


def test_no_module_of_ours_is_imported_by_name() -> None:
    """An import in a string would be an arrow that the tests above cannot see."""
    offenders = [
        f"{path}: {ast.unparse(call)}"
        for path in modules()
        for call in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split(".")[-1] in IMPORTERS
        and not is_of_others(call)
    ]

    assert offenders == []


def is_of_others(call: ast.Call) -> bool:
    """Tell whether a call that imports by name spells out a name that is none of ours."""
    name = call.args[0] if call.args else None
    is_spelled_out = isinstance(name, ast.Constant) and isinstance(name.value, str)
    return is_spelled_out and name.value.split(".")[0] != PACKAGE and not name.value.startswith(".")


def test_every_module_has_a_layer() -> None:
    """A new top-level name is given its place here."""
    assert {layer(path) for path in modules()} == set(RANK) | APART
