"""What the README shows is what is here: its code runs or is a file, its tables are the code's."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

import airflow_provider_avepoint
from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.settings import _EXTRAS, Settings
from airflow_provider_avepoint.core.verdict import Reason
from airflow_provider_avepoint.gates import PolicyOperator
from airflow_provider_avepoint.simulator import Simulator
from tests.versions import needs_airflow

ROOT = Path(__file__).parent.parent
#: Where ``make compat`` runs this, the package is not in the checkout.
PACKAGE = Path(airflow_provider_avepoint.__file__).parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table after a heading or phrase, cell by cell."""
    lines = README.split(heading, 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.strip().startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows[2:]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "bash", "json"}


def test_the_first_dag_is_a_file() -> None:
    """But for its docstring, which the README's text stands for."""
    source = (ROOT / "dags" / "avepoint_quickstart.py").read_text()

    assert source.endswith(blocks("python")[0])


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=needs_airflow("3.0", "asset watchers") if "AssetWatcher" in code else ())
        for code in blocks("python")[1:]
    ],
    ids=range(1, len(blocks("python"))),
)
def test_python_runs(
    code: str, simulator: Simulator, connect: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a simulator with something to show."""
    connect()
    simulator.add_job("dynamics365", state="failed", organization_name="Contoso", started_ago=600)

    exec(compile(code.replace("2026-11-01", "2026-01-01"), "README.md", "exec"), {})

    assert capsys.readouterr().out.strip()


def test_the_connection_is_one() -> None:
    (connection,) = map(json.loads, blocks("json"))
    extra = connection.pop("extra")

    assert connection.pop("conn_type") == "avepoint"
    settings = Settings.from_fields(conn_id="readme", extra=extra, **connection)
    assert settings.base_url == "https://graph-us.avepointonlineservices.com"


@needs_airflow("3.2", "providers add commands")
def test_commands_exist() -> None:
    """Each is a target of the Makefile, a console script of the package, or another tool's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
    for line in "".join(blocks("bash")).splitlines():
        command, *arguments = shlex.split(line)
        if command == "make":
            assert arguments[0] in targets
        elif command == "pip":
            assert arguments[-1].startswith("airflow-provider-avepoint")
        elif command == "export":
            connection = json.loads(arguments[0].partition("=")[2])
            assert connection["conn_type"] == "avepoint"
        elif command == "airflow":
            get_parser().parse_args(arguments[: arguments.index(">")] if ">" in arguments else arguments)
        else:
            assert command in {*scripts, "docker"}


def test_the_table_of_products_is_the_code_s() -> None:
    rows = {names(row[0])[0]: (row[1], names(row[2])[0]) for row in table("## The connection")}

    def describe(product: Product) -> tuple[str, str]:
        return product.label, product.permission

    assert rows == {name: describe(product) for name, product in PRODUCTS.items()}


def test_every_connection_field_is_described() -> None:
    text = README.split("export AIRFLOW_CONN_AVEPOINT_DEFAULT", 1)[1]
    described = {name for row in table(text[:60]) for name in names(row[0])}

    assert described == {"host", "login", "password", "port"} | _EXTRAS


def test_every_argument_of_the_policy_is_described_with_its_default() -> None:
    parameters = inspect.signature(PolicyOperator.__init__).parameters
    ours = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in ("self", "kwargs", "avepoint_conn_id")
    }
    described = {name: row[1].strip("`") for row in table("## The policy") for name in names(row[0])}

    assert described.keys() == ours.keys()
    for name, default in ours.items():
        if name in ("product", "expect_seen_within", "unusual_within", "decide_by"):
            continue
        assert described[name] == str(default)


def test_every_reason_and_error_is_explained() -> None:
    explained = {name for row in table("## When it fails") for name in names(row[0])}
    reasons = {reason.value for reason in Reason} - {"passed", "excluded"}
    ours = set(errors.__all__) - {"AvePointError", "AvePointJobNotFound"}

    assert explained == reasons | ours | {"AirflowSensorTimeout"}


def test_files_that_are_named_exist() -> None:
    for path in re.findall(r"`((?:dags|airflow_provider_avepoint)/[\w/.]*)`", README):
        root = PACKAGE.parent if path.startswith(PACKAGE.name) else ROOT
        assert (root / path).exists(), path
