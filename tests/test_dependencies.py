"""What the package imports is what its metadata require: nothing is missing, nothing is superfluous."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import airflow_provider_avepoint

ROOT = Path(__file__).parent.parent
# Where ``make compat`` runs this, the package is not in the checkout.
PACKAGE = Path(airflow_provider_avepoint.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# The modules that need an extra; they are loaded only when a user asks for what the extra brings.
EXTRAS = {
    "operators/files.py": "parquet",
    "operators/report.py": "report",
    "report/charts.py": "report",
    "simulator/": "simulator",
}
# What Airflow 3 itself is made of: the page is a part of its API server, and absent elsewhere.
OF_AIRFLOW = {"page/": {"fastapi", "pydantic"}}

PROVIDERS = {
    "airflow.providers.common.compat": "apache-airflow-providers-common-compat",
    "airflow.providers.common.sql": "apache-airflow-providers-common-sql",
    "airflow.providers.http": "apache-airflow-providers-http",
}
DISTRIBUTIONS = packages_distributions()


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


REQUIRED = names(PROJECT["dependencies"])
OPTIONAL = {extra: names(needed) for extra, needed in PROJECT["optional-dependencies"].items()}


def extra_of(module: str) -> str | None:
    return next((extra for place, extra in EXTRAS.items() if module.startswith(place)), None)


def imports_that_run(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the modules that *nodes* import when they run.

    Imports for the type checker are left out, and imports that may fail (``except ImportError``).
    """
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports_that_run(node.orelse)
        elif isinstance(node, ast.Try) and any(
            handler.type and ast.unparse(handler.type) == "ImportError" for handler in node.handlers
        ):
            yield from imports_that_run((*node.handlers, *node.orelse, *node.finalbody))
        else:
            yield from imports_that_run(ast.iter_child_nodes(node))


def distribution(module: str) -> str | None:
    """Return the distribution that *module* comes from; None for the standard library and our own."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == PACKAGE.name:
        return None
    if module.startswith("airflow.providers."):
        return next(found for place, found in PROVIDERS.items() if f"{module}.".startswith(f"{place}."))
    if top == "airflow":
        return "apache-airflow"
    (found,) = set(DISTRIBUTIONS[top])
    return canonicalize_name(found)


def used_by(module: str) -> set[str]:
    tree = ast.parse((PACKAGE / module).read_text())
    return {found for name in imports_that_run([tree]) if (found := distribution(name))}


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("def f():\n    from a.b import c", {"a.b"}),
        ("from . import a\nfrom .b import c", set()),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
        ("try:\n    import a\nexcept ImportError:\n    import b\nimport c", {"b", "c"}),
        ("try:\n    import a\nexcept ValueError:\n    pass", {"a"}),
    ],
)
def test_the_imports_that_run_are_found(source: str, imported: set[str]) -> None:
    assert imported == set(imports_that_run([ast.parse(source)]))


def test_what_is_imported_is_declared() -> None:
    """The dependencies declare it, or the extra of the module; a library of a library may go at any time."""
    undeclared = {
        module: missing
        for module in MODULES
        if (
            missing := used_by(module)
            - REQUIRED
            - OPTIONAL.get(extra_of(module) or "", set())
            - next((brought for place, brought in OF_AIRFLOW.items() if module.startswith(place)), set())
        )
    }

    assert not undeclared


def test_what_is_declared_is_imported() -> None:
    used = {module: used_by(module) for module in MODULES}

    assert not REQUIRED.difference(*used.values())
    for extra, declared in OPTIONAL.items():
        assert not declared.difference(*(used[module] for module in MODULES if extra_of(module) == extra))


def test_no_extra_repeats_a_dependency() -> None:
    assert not REQUIRED & set().union(*OPTIONAL.values())
    assert set(OPTIONAL) == set(EXTRAS.values())


def test_the_constraints_pin_what_is_declared() -> None:
    """Each at a version that the bound admits."""
    constraints = {
        canonicalize_name(pin.name): pin.specifier
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
        for pin in [Requirement(line)]
    }
    declared = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]

    for each in map(Requirement, declared):
        (pin,) = constraints[canonicalize_name(each.name)]
        assert each.specifier.contains(pin.version), each.name
