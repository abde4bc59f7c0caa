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
SCHEDULED = "exchange_online: {runs_per_day: 1}"
COVERED = "tenant: {coverage: 0.95}"
# Of each kind of rule one that does not hold: Exchange runs four times a day, Teams is not scheduled at all.
NOTHING_HOLDS = """
exchange_online:
  runs_per_day: 5
  retention: P3Y
teams:
  drilled_within: P90D
tenant:
  max_unusual: 0
  scanned_within: P2D
"""
ATTACKED = {
    "serviceType": 1,
    "potentialRansomwareAttackCount": 3,
    "unusualActivitiesCount": 0,
}


def run(gate, tenants, *, product="m365", required=SCHEDULED):
    """Run the DAG for some tenants; return the state of the run and of its tasks, and the mail."""
    file = gate.warehouse.with_name("-".join([*tenants, "required.yaml"]))
    file.write_text(required)
    page = gate.warehouse.with_name("-".join([*tenants, "report.html"]))
    gate.stack.unpause(DAG_ID)
    before = len(gate.mail_server.mails)
    conf = {
        "connections": tenants,
        "product": product,
        "required": str(file),
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

    assert {
        "list_tenants": "success",
        "audit[0]": "success",
        "audit[1]": "failed",
        "list_required": "success",
        "protection[0]": "success",
        "protection[1]": "failed",
        "report": "success",
        "notify": "success",
        "verdict": "failed",
    } == tasks
    assert "failed" == state
    assert mail["Subject"].startswith(
        f"{SUBJECT}2 to look at, first: bad, Cloud Backup for Microsoft 365: the"
    )
    for sentence in ("the licences could not be read on", "the protection could not be audited on"):
        assert f"bad, Cloud Backup for Microsoft 365: {sentence}" in read(mail)
        assert f"bad, Cloud Backup for Microsoft 365: {sentence}" in page.read_text()
    assert "wrong" not in read(mail)


def test_one_finding_of_each_kind(gate):
    """The mail and the page name each; where an app may not read a part, the other parts are judged."""
    simulator = gate.simulator
    permissions = ("jobInfo.read.all", "subscriptionInfo.read.all", "settings.read.all")
    simulator.set_client(
        "limited", secret="limited-secret", scopes=[f"microsoft365backup.{each}" for each in permissions]
    )
    simulator.set_license("m365", **WITHIN | {"assigned_user_seats": 101})
    simulator.set_reading("m365", "unusual_activity", [ATTACKED])
    try:
        state, tasks, mail, page = run(gate, ["good", "limited"], required=NOTHING_HOLDS)
    finally:
        simulator.set_reading("m365", "unusual_activity", [])

    assert ("failed", "success", "success", "success", "failed") == (
        state,
        *(tasks[name] for name in ("protection[0]", "protection[1]", "notify", "verdict")),
    )
    good, limited = (f"{tenant}, Cloud Backup for Microsoft 365" for tenant in ("good", "limited"))
    for finding in (
        f"{good}: over_assigned: 101 seats assigned, 100 purchased.",
        f"{good}, exchange_online: too_few_runs: 4 backups a day scheduled, 5 required.",
        f"{good}, exchange_online: retention_short: kept 2 years for ",
        f"{good}, teams: not_scheduled: no backup is scheduled today.",
        f"{good}, teams: not_drilled: no restore has ever been proven; a proof within 90 days is required.",
        f"{good}: unusual_activity: ",
        f"{good}: scan_failed: ",
        f"{limited}, teams: not_scheduled: no backup is scheduled today.",
        f"{limited}: unreadable: unusual activity cannot be read, so nobody knows: max_unusual of tenant: ",
        "microsoft365backup.unusualActivity.read.all",
    ):
        assert finding in read(mail)
        assert finding.removeprefix(good).removeprefix(limited).lstrip(":, ") in page.read_text()


def test_a_customer_whose_licence_has_expired_and_who_is_not_covered(gate):
    gate.simulator.set_license(
        "elements",
        organization_id="c1",
        organization_name="Umbrella",
        service="Backup",
        expiration_date="2026-01-31",
        **WITHIN,
    )
    gate.simulator.set_reading(
        "elements",
        "overview",
        [{"serviceModule": "OneDrive", "totalScannedObjects": 100, "totalProtectedObjects": 94}],
        organization_id="c1",
    )

    state, tasks, mail, page = run(gate, ["partner"], product="elements", required=COVERED)

    assert (state, tasks["audit[0]"], tasks["protection[0]"], tasks["verdict"]) == (
        "failed",
        "success",
        "success",
        "failed",
    )
    expired = "partner, Umbrella / Backup: expired: the subscription ended on 2026-01-31"
    uncovered = "coverage_low: 94 of 100 scanned objects protected, a share of 0.95 required"
    assert mail["Subject"] == f"{SUBJECT}2 to look at, first: {expired}."
    assert expired in page.read_text()
    for text in (read(mail), page.read_text()):
        assert f"Umbrella / onedrive: {uncovered}." in text


def test_all_is_well(gate):
    gate.simulator.set_license("m365", **WITHIN)

    state, tasks, mail, page = run(gate, ["good"])

    assert (state, set(tasks.values())) == ("success", {"success"})
    assert mail["Subject"] == f"{SUBJECT}all clear"
    (attached,) = mail.iter_attachments()
    assert attached.get_content().decode() == page.read_text()
    assert (
        "Nothing. Scopes: none recorded. Licences: 1, none near a limit. Verdicts: none recorded. "
        "Protection audits: 1, nothing found. Restores: none recorded." in page.read_text()
    )
