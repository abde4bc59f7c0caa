"""A ``:param name:`` in the docstring names each argument of a public function, method or class."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "airflow_provider_avepoint"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _list_arguments(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, FUNCTIONS):
        yield from (each.arg for each in node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
    elif isinstance(node, ast.ClassDef):
        marks = " ".join(map(ast.unparse, node.decorator_list + node.bases))
        is_record = "dataclass" in marks or "NamedTuple" in marks
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and is_record and "ClassVar" not in ast.unparse(each):
                yield ast.unparse(each.target)
            elif isinstance(each, ast.FunctionDef) and each.name == "__init__":
                yield from _list_arguments(each)


def _find_undescribed(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            names = [name for name in _list_arguments(node) if name not in ("self", "cls") and name[0] != "_"]
            text = ast.get_docstring(node) or ""
            if "override" not in map(ast.unparse, node.decorator_list):
                yield from (f"{node.name}: {name}" for name in names if f":param {name}:" not in text)
            yield from _find_undescribed(node.body if isinstance(node, ast.ClassDef) else [])


def test_each_argument_is_described() -> None:
    modules = {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")
    }
    undescribed = {module: list(_find_undescribed(ast.parse(text).body)) for module, text in modules.items()}

    assert {} == {module: names for module, names in undescribed.items() if names}
