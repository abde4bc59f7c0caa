"""The connection type as Airflow's command line, REST API and UI show it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_avepoint.get_provider_info import get_provider_info
from tests.airflow.gate import connection_to
from tests.versions import needs_airflow

pytestmark = pytest.mark.airflow

INFO = get_provider_info()
FORM = INFO["connection-types"][0]
# Airflow's UI waits for the answer, and so does a thread of its API server.
PATIENCE_SECONDS = 15


def test_airflow_finds_the_provider_by_its_entry_point(gate):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "airflow",
            "providers",
            "get",
            "airflow-provider-avepoint",
            "--full",
            "-o",
            "json",
        ],
        env=gate.stack.environment | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"},
        cwd=gate.stack.home,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    (shown,) = json.loads(done.stdout)

    assert INFO["package-name"] == shown["package-name"]
    assert FORM["hook-class-name"] == shown["connection-types"][0]["hook-class-name"]
    for kind in ("hooks", "operators", "sensors", "triggers"):
        assert INFO[kind] == shown[kind]


@needs_airflow("3.2", "takes the connection form from the provider's metadata")
def test_the_form_shows_every_field_with_its_label_and_description(gate):
    """What the UI draws the form from, labels and placeholders of the standard fields among it."""
    forms = gate.stack.api.request("GET", "/ui/connections/hook_meta")
    (form,) = (form for form in forms if form["connection_type"] == "avepoint")

    assert "AvePoint" == form["hook_name"]
    assert {name: (field["label"], field["description"]) for name, field in FORM["conn-fields"].items()} == {
        name: (field["schema"]["title"], field["description"]) for name, field in form["extra_fields"].items()
    }
    assert "password" == form["extra_fields"]["private_key"]["schema"]["format"]
    standard = form["standard_fields"]
    assert {"host": "API address", "login": "Client ID", "password": "Client secret"} == {
        name: field["title"] for name, field in standard.items() if field and field["title"]
    }
    assert {"url_schema"} == {name for name, field in standard.items() if field and field["hidden"]}


def test_a_stored_secret_is_never_shown_again(gate):
    extra = {"private_key": "-----BEGIN PRIVATE KEY-----", "certificate": "-----BEGIN CERTIFICATE-----"}
    body = connection_to(gate.simulator, extra=json.dumps(extra), connection_id="avepoint_masked")
    created = gate.stack.api.request("POST", "/api/v2/connections", json=body)

    shown = gate.stack.api.request("GET", "/api/v2/connections/avepoint_masked")

    for answer in (created, shown):
        assert ("***", {**extra, "private_key": "***"}) == (answer["password"], json.loads(answer["extra"]))


def test_the_test_button_says_what_may_be_read(gate):
    answer = try_connection(gate, connection_to(gate.simulator))

    assert answer["status"]
    assert answer["message"].startswith(
        "This app registration may read m365, m365_legacy, dynamics365, google_workspace, salesforce, "
        "iaas_paas, aos_scan, elements. Beside jobs it may use "
    )


def test_the_test_button_names_the_permission_that_is_missing(gate):
    """One product that can be read is enough to pass."""
    gate.simulator.set_client("narrow", secret="narrow-secret", scopes=["dynamics.readwrite.all"])

    answer = try_connection(gate, connection_to(gate.simulator, login="narrow", password="narrow-secret"))

    assert answer["status"]
    assert "may read dynamics365; " in answer["message"]
    assert "m365 lacks microsoft365backup.jobInfo.read.all" in answer["message"]


def test_the_test_button_reports_refused_credentials_without_them(gate):
    secret = "not-the-clients-secret"

    answer = try_connection(gate, connection_to(gate.simulator, password=secret))

    assert not answer["status"]
    assert "refused the credentials of client demo-client" in answer["message"]
    assert secret not in answer["message"]


@needs_airflow("3.1", "its Test button takes the mask for the stored secret")
def test_the_test_button_takes_the_stored_secret_for_its_mask(gate):
    """The form sends ``***`` for a password that was not typed anew."""
    stored = connection_to(gate.simulator)
    body = {"connection_id": "avepoint_kept", **stored, "extra": json.dumps(stored["extra"])}
    gate.stack.api.request("POST", "/api/v2/connections", json=body)

    answer = try_connection(gate, {**stored, "password": "***"}, connection_id="avepoint_kept")

    assert answer["status"], answer["message"]


def test_the_test_button_answers_soon_where_nobody_listens(gate):
    """Trying again for long is for tasks: here somebody waits, and a thread of the API server."""
    nowhere = "http://127.0.0.1:9"  # the discard port
    fields = connection_to(
        gate.simulator, host=nowhere, extra={"identity_endpoint": f"{nowhere}/connect/token"}
    )

    answer = try_connection(gate, fields)

    assert not answer["status"]
    assert nowhere in answer["message"]


def try_connection(gate, fields, connection_id="avepoint_tried"):
    """Return what Airflow's Test button would show."""
    return gate.stack.api.request(
        "POST",
        "/api/v2/connections/test",
        json={"connection_id": connection_id, **fields, "extra": json.dumps(fields["extra"])},
        timeout=PATIENCE_SECONDS,
    )
