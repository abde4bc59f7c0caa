"""Write the parts of the pages that stand there as ``<!-- generated: name argument -->``, from the code.

A table that is written from the code at each build cannot be out of date.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import io
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airflow_provider_avepoint.cli.definition import get_avepoint_cli_commands
from airflow_provider_avepoint.core.features import list_features
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.protection import REASONS
from airflow_provider_avepoint.core.settings import ENVIRONMENTS, REGIONS
from airflow_provider_avepoint.get_provider_info import get_provider_info
from airflow_provider_avepoint.simulator.__main__ import main as run_simulator
from compat.releases import OLDEST_PYTHON, RELEASES

ROOT = Path(__file__).parent.parent
_MARK = re.compile(r"^<!-- generated: (\w+) ?(.*?) -->$", re.MULTILINE)
_CODE = re.compile(r"^```\{literalinclude\} (\S+)\n((?::[\w-]+: .*\n)*)```$", re.MULTILINE)
_PAGE = re.compile(r"^```\{include\} (\S+)\n(?::.*\n)*```$", re.MULTILINE)
_PARAMETERS = (
    re.compile(r"^:param (\w+):(.*?)(?=^:|\Z)", re.DOTALL | re.MULTILINE),
    # A list of the arguments for waiting.
    re.compile(r"^- ``(\w+)``:(.*?)(?=^- |^$|^:|\Z)", re.DOTALL | re.MULTILINE),
)
_MANY = 10
_PACKAGE = "airflow_provider_avepoint"


def expand(text: str) -> str:
    """Return a page with every generated part in its place.

    :param text: the source of the page, in Markdown.
    :raises KeyError: no part has this name.
    """
    return _MARK.sub(lambda found: PARTS[found[1]](*found[2].split()), text)


def include(text: str, folder: Path) -> str:
    """Return a page with the files that the page includes, for readers of plain Markdown.

    :param text: the source of the page.
    :param folder: the folder of the page.
    """

    def write_code(found: re.Match[str]) -> str:
        code = (folder / found[1]).read_text()
        options = dict(re.findall(r':([\w-]+): "?(.*?)"?\n', found[2]))
        if start := options.get("start-at"):
            code = code[code.index(start) :]
        return f"```python\n{code.strip()}\n```"

    # A page of the root links to docs/.
    text = _PAGE.sub(lambda found: (folder / found[1]).read_text().replace("](docs/", "]("), text)
    return _CODE.sub(write_code, text)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = tuple(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _code(value: object) -> str:
    return f"`{value}`"


def _list(values: Iterable[object]) -> str:
    return ", ".join(map(_code, values))


def _markdown(text: str) -> str:
    """Return the reStructuredText of a docstring as Markdown."""
    text = re.sub(r":\w+:`[~.]?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _own_classes(kind: type) -> list[type]:
    return [each for each in kind.__mro__ if each.__module__.startswith(_PACKAGE)]


def _describe_parameters(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and of its bases in this package say of each parameter."""
    described: dict[str, str] = {}
    for each in _own_classes(kind):
        docs = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        for pattern in _PARAMETERS:
            for name, text in pattern.findall(docs):
                described.setdefault(name, _markdown(text))
    return described


def _list_defaults(kind: type) -> dict[str, str]:
    """Return how each parameter of a class and of its bases in this package is when nobody gives it."""
    defaults: dict[str, str] = {}
    for each in _own_classes(kind):
        if "__init__" in each.__dict__:
            for name, parameter in inspect.signature(each.__init__).parameters.items():  # type: ignore[misc]
                if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
                    defaults.setdefault(name, _write_default(parameter.default))
    return defaults


def _write_default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if value is ...:
        return "see its text"
    if isinstance(value, timedelta):
        return f"{value.days} days" if value.seconds == 0 else str(value)
    return _code(repr(value).replace("'", '"'))


def write_arguments(path: str) -> str:
    """Return the table of a class's arguments, with their defaults.

    :param path: the module and the name of the class, below the package.
    """
    module, _, name = path.rpartition(".")
    kind = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    described, defaults = _describe_parameters(kind), _list_defaults(kind)
    rows = [(_code(name), default, described.get(name, "")) for name, default in defaults.items()]
    rows.sort(key=lambda row: row[1] != "required")
    return _table(("argument", "default", "meaning"), rows)


def write_products() -> str:
    """Return the table of products, with the permission for their jobs."""
    return _table(
        ("product", "what it is", "permission for jobs"),
        ((_code(each.name), each.label, _code(each.permission)) for each in PRODUCTS.values()),
    )


def write_permissions() -> str:
    """Return the table of what each product offers, with the permission that this needs."""
    rows: list[tuple[str, str, str]] = []
    for product in PRODUCTS.values():
        offered = {product.permission: ["jobs"]}
        for feature in list_features(product):
            offered.setdefault(feature.permission, []).append(feature.name)
        rows += [(_code(product.name), ", ".join(names), _code(name)) for name, names in offered.items()]
    return _table(("product", "feature", "permission"), rows)


def write_product_words() -> str:
    """Return for each product its words and the vendor's states."""
    parts = []
    for product in PRODUCTS.values():
        parts += [f"### `{product.name}`: {product.label}", f"Permission for jobs: `{product.permission}`."]
        if workloads := [word for word in product.known_workloads if word not in product.housekeeping]:
            parts.append(f"Workloads, which are judged by themselves: {_list(workloads)}.")
        parts.append(
            f"Job types that are a backup: {_list(product.backup_types)}. "
            f"All job types that can be listed: {_list(product.job_types)}."
        )
        rows = (
            ("" if each.number is None else each.number, ", ".join(each.labels), _describe_state(each))
            for each in product.states
        )
        parts.append(_table(("number", "the vendor's word", "our state"), rows))
        parts.append(f"[The vendor's page on these jobs]({product.documentation_url})")
    return "\n\n".join(parts)


def _describe_state(state: Any) -> str:
    return _code(state.state.value) + ("; without an end time `running`" if state.needs_finish else "")


def write_connection_fields() -> str:
    """Return the table of the connection's fields, as the form shows them."""
    (connection,) = get_provider_info()["connection-types"]
    behaviour = connection["ui-field-behaviour"]
    rows = [
        (_code(name), label, behaviour["placeholders"].get(name, ""), "")
        for name, label in {"host": "Host", "login": "Login", "password": "Password", "port": "Port"}.items()
        if name not in behaviour["hidden-fields"]
    ]
    rows = [(name, behaviour["relabeling"].get(name.strip("`"), label), *rest) for name, label, *rest in rows]
    for name, field in connection["conn-fields"].items():
        schema = field["schema"]
        notes = []
        if "default" in schema:
            notes.append(f"default `{schema['default']}`".lower())
        if words := [word for word in schema.get("enum", ()) if word]:
            notes.append("one of " + (_list(words) if len(words) < _MANY else "the list below"))
        rows.append((f"`extra`: `{name}`", field["label"], field["description"], "; ".join(notes)))
    return _table(("where it is kept", "in the form", "meaning", "values"), rows)


def write_regions() -> str:
    """Return the list of the known regions."""
    return _list(REGIONS)


def write_environments() -> str:
    """Return the table of AvePoint's clouds."""
    rows = (
        (
            _code(name),
            _code(each.identity_endpoint),
            "of the region" if each.host is None else _code(each.host),
        )
        for name, each in ENVIRONMENTS.items()
    )
    return _table(("`environment`", "where tokens come from", "address of the API"), rows)


def write_configuration() -> str:
    """Return the table of the options in Airflow's configuration."""
    options = get_provider_info()["config"]["avepoint"]["options"]
    rows = (
        (
            _code(name),
            "none" if each["default"] is None else _code(each["default"]),
            _markdown(each["description"]),
        )
        for name, each in options.items()
    )
    return _table(("option of `[avepoint]`", "default", "meaning"), rows)


def write_commands() -> str:
    """Return the reference of ``airflow avepoint``: each command with its flags."""
    (group,) = get_avepoint_cli_commands()
    parts = []
    for command in group.subcommands:
        parts += [f"## `airflow avepoint {command.name}`", _write_description(command)]
        shown = (each for each in command.args if each.kwargs.get("help") != argparse.SUPPRESS)
        rows = ((_list(each.flags), _escape(each.kwargs.get("help") or "")) for each in shown)
        parts.append(_table(("argument", "meaning"), rows))
    return "\n\n".join(parts)


def _write_description(command: Any) -> str:
    text = command.description or command.help
    return _escape(re.sub(r"\n(?=Exit status)", "\n\n", text))


def _escape(text: str) -> str:
    """Return a text of the command line as Markdown, with its flags as code."""
    text = re.sub(r"([<>*_\[\]{}])", r"\\\1", text)
    return re.sub(r"(?<!\S)(--[\w-]+)", r"`\1`", text)


def write_simulator_help() -> str:
    """Return what ``avepoint-simulator --help`` prints."""
    shown = io.StringIO()
    with (
        patch.dict(os.environ, {"COLUMNS": "88", "NO_COLOR": "1"}),
        redirect_stdout(shown),
        suppress(SystemExit),
    ):
        run_simulator(["--help"])
    return f"```text\n{shown.getvalue().strip()}\n```"


def write_protection_reasons() -> str:
    """Return the table of the reasons that a finding of a protection audit may have."""
    return _table(("reason", "what it means"), ((_code(name), text) for name, text in REASONS.items()))


def write_example_dags() -> str:
    """Return the table of the example DAGs, with what each is for."""
    address = f"{_read_urls()['Source']}/blob/main/dags"
    rows = (
        (f"[`{path.name}`]({address}/{path.name})", ast.get_docstring(ast.parse(path.read_text())))
        for path in sorted((ROOT / "dags").glob("*.py"))
    )
    return _table(("file", "what the DAG does"), rows)


def _read_urls() -> dict[str, str]:
    urls: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    return urls


def write_releases() -> str:
    """Return the table of the supported releases of Airflow, with their Pythons."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    rows = ((each.version, f"{oldest} to {'.'.join(map(str, each.newest_python))}") for each in RELEASES)
    return _table(("Airflow", "Python"), rows)


#: Every part by the name that pages have for it.
PARTS: dict[str, Callable[..., str]] = {
    "arguments": write_arguments,
    "products": write_products,
    "permissions": write_permissions,
    "protection_reasons": write_protection_reasons,
    "product_words": write_product_words,
    "connection_fields": write_connection_fields,
    "regions": write_regions,
    "environments": write_environments,
    "configuration": write_configuration,
    "commands": write_commands,
    "example_dags": write_example_dags,
    "releases": write_releases,
    "simulator_help": write_simulator_help,
}
