"""The weekly DAG in a real Airflow, and the mail that it sends."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

pytestmark = pytest.mark.airflow

DAG_ID = "avepoint_license_audit"
SUBJECT = "AvePoint backups and licences: "
WITHIN = {
    "purchased_user_seats": 100,
    "assigned_user_seats": 10,
    "purchased_storage_size": 1000,
    "protected_size": 10,
}


def run(gate, tenants, *, product="m365"):
    """Run the DAG for some tenants; return the state of the run and of its tasks, and the mail."""
    page = gate.warehouse.with_name("-".join([*tenants, "report.html"]))
    gate.stack.unpause(DAG_ID)
    before = len(gate.mail_server.mails)
    conf = {
        "connections": tenants,
        "product": product,
        "ledger_conn_id": "avepoint_ledger",
        "report_path": str(page),
        "timezone": "Europe/London",
        "mail_to": ["owner@contoso.example"],
    }
    run_id = gate.stack.api.trigger(DAG_ID, conf)
    state = gate.stack.wait_for_run(DAG_ID, run_id)
    (mail,) = gate.mail_server.mails[before:]
    return state, gate.stack.api.task_states(DAG_ID, run_id), mail, page


def read(mail: EmailMessage) -> str:
    return mail.get_body().get_content()


def test_one_tenant_that_cannot_be_read(gate):
    """The other tenant's figures are good; the mail and the page are about the one with the wrong secret."""
    gate.simulator.set_license("m365", **WITHIN)

    state, tasks, mail, page = run(gate, ["good", "bad"])

    assert ("failed", "success", "failed", "success", "success", "failed") == (
        state,
        *(tasks[name] for name in ("audit[0]", "audit[1]", "report", "notify", "verdict")),
    )
    assert mail["Subject"].startswith(
        f"{SUBJECT}1 to look at, first: bad, Cloud Backup for Microsoft 365: the"
    )
    assert "licences could not be read" in read(mail)
    assert "wrong" not in read(mail)
    assert "bad, Cloud Backup for Microsoft 365: the licences could not be read" in page.read_text()


def test_a_licence_that_has_expired(gate):
    gate.simulator.set_license(
        "elements",
        organization_id="c1",
        organization_name="Umbrella",
        service="Backup",
        expiration_date="2026-01-31",
        **WITHIN,
    )

    state, tasks, mail, page = run(gate, ["partner"], product="elements")

    assert (state, tasks["audit[0]"], tasks["verdict"]) == ("failed", "success", "failed")
    finding = "partner, Umbrella / Backup: expired: the subscription ended on 2026-01-31"
    assert mail["Subject"] == f"{SUBJECT}1 to look at, first: {finding}."
    assert finding in page.read_text()


def test_all_is_well(gate):
    gate.simulator.set_license("m365", **WITHIN)

    state, tasks, mail, page = run(gate, ["good"])

    assert (state, set(tasks.values())) == ("success", {"success"})
    assert mail["Subject"] == f"{SUBJECT}all clear"
    (attached,) = mail.iter_attachments()
    assert attached.get_content().decode() == page.read_text()
    assert (
        "Nothing. Scopes: none recorded. Licences: 1, none near a limit. Verdicts: none" in page.read_text()
    )
