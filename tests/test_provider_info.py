"""What Airflow is told about the package is valid, true, and cheap to load."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.core.settings import _EXTRAS, ENVIRONMENTS, REGIONS
from airflow_provider_avepoint.get_provider_info import get_provider_info
from tests.versions import SENSITIVE_FIELDS

INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]
FIELDS = CONNECTION_TYPE["conn-fields"]


def schema(name: str) -> dict:
    return json.loads((Path(airflow.__path__[0]) / name).read_text())


def test_metadata_follow_airflows_schema() -> None:
    """The schema is the one that the installed Airflow ships and checks against."""
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_connection_form_follows_airflows_schema() -> None:
    """The runtime schema leaves the form open; the one for Airflow's own providers spells it out."""
    full = schema("provider.yaml.schema.json")
    items = full["properties"]["connection-types"]["items"]

    jsonschema.validate(CONNECTION_TYPE, {**items, "definitions": full.get("definitions", {})})


@pytest.mark.parametrize(
    "path",
    [
        *(
            module
            for kind in ("hooks", "operators", "sensors", "triggers")
            for entry in INFO[kind]
            for module in entry["python-modules"]
        ),
        CONNECTION_TYPE["hook-class-name"],
        *INFO["cli"],
    ],
)
def test_every_dotted_path_imports(path: str) -> None:
    try:
        import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)


def test_form_offers_what_the_connection_reads() -> None:
    """No field is offered that nothing reads, and none is read that is not offered."""
    assert set(FIELDS) == _EXTRAS


def test_form_offers_every_region_first() -> None:
    assert ("region", [*REGIONS]) == (next(iter(FIELDS)), FIELDS["region"]["schema"]["enum"])
    assert 22 == len(REGIONS)


def test_form_offers_every_environment() -> None:
    assert FIELDS["environment"]["schema"]["enum"] == [*ENVIRONMENTS]


def test_secret_fields_have_names_that_airflow_masks() -> None:
    """``format: password`` hides typing only: the REST API shows what its masker does not know by name."""
    secret = {name for name, field in FIELDS.items() if field["schema"].get("format") == "password"}

    assert secret == {"private_key"}
    assert all(any(word in name for word in SENSITIVE_FIELDS) for name in secret)
    assert not any(word in "identity_endpoint" for word in SENSITIVE_FIELDS)


def test_entry_point_is_declared() -> None:
    (entry,) = (
        entry
        for entry in metadata.entry_points(group="apache_airflow_provider")
        if entry.dist is not None and entry.dist.name == "airflow-provider-avepoint"
    )

    assert entry.load() is get_provider_info
    assert metadata.version("airflow-provider-avepoint") == __version__
    assert INFO["package-name"] == "airflow-provider-avepoint"


def test_metadata_load_nothing_heavy() -> None:
    """Airflow loads the entry point at each start, before its own configuration is ready."""
    code = (
        "import sys; import airflow_provider_avepoint.get_provider_info as m; m.get_provider_info();"
        "print([n for n in sys.modules if n.split('.')[0] in ('airflow', 'requests', 'aiohttp', 'jwt')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.system
def test_airflow_shows_the_provider() -> None:
    """``airflow providers get`` finds the installed package and its connection type."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "airflow",
            "providers",
            "get",
            "airflow-provider-avepoint",
            "-o",
            "json",
            "--full",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={
            **__import__("os").environ,
            "PYTHONWARNINGS": "ignore",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        },
    )

    assert "airflow-provider-avepoint" in done.stdout
    assert "hooks.avepoint.AvePointHook" in done.stdout
