"""What a licence audit found is what the report says: one judgement, kept in the ledger."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_avepoint.core.license import Audit, Finding
from airflow_provider_avepoint.exceptions import AvePointAuthError
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator, AvePointReportOperator
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.ledger_queries import read_report
from airflow_provider_avepoint.simulator import Simulator
from tests.report.histories import NOW, consumption

QUARTER = Period(now=NOW, days=90)
DAY = timedelta(days=1)
WITHIN = {
    "purchased_user_seats": 100,
    "assigned_user_seats": 47,
    "purchased_storage_size": 1000,
    "protected_size": 500,
    "out_of_policy_time": 0,
}


def attention(ledger: Ledger, period: Period = QUARTER, tenants: tuple[str, ...] | None = None) -> list[str]:
    return [each.text for each in read_report(ledger, period, tenants).list_attention() if each.is_urgent]


@pytest.fixture
def run(
    ledger: Ledger, connect: Callable[..., str], simulator: Simulator, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Return a function that audits the simulator as a connection, and returns the report's figures."""
    assert ledger  # the connection that the operators are given

    def audit_and_report(conn_id: str = "good", *, days: int = 90, **arguments: Any) -> dict[str, Any]:
        secret = "wrong" if conn_id == "bad" else simulator.client_secret
        connect(conn_id, password=secret)
        named = {"task_id": "audit", "ledger_conn_id": "ledger", "on_breach": "warn"} | arguments
        operator = AvePointLicenseAuditOperator(avepoint_conn_id=conn_id, **named)
        if conn_id == "bad":
            with pytest.raises(AvePointAuthError):
                operator.execute({})
        else:
            operator.execute({})
        report = AvePointReportOperator(
            task_id="report", ledger_conn_id="ledger", path=tmp_path / "report.html", days=days
        )
        return report.execute({})

    return audit_and_report


def test_a_tenant_whose_credentials_are_refused_is_named(
    run: Callable[..., dict[str, Any]], simulator: Simulator
) -> None:
    simulator.set_license("m365", **WITHIN)
    run("good")
    said = run("bad")

    assert ["bad"] == said["licenses_not_read"]
    assert said["needs_attention"]
    (sentence,) = said["attention"]
    assert sentence.startswith("bad, Cloud Backup for Microsoft 365: the licences could not be read on ")
    assert "refused the credentials" in sentence


def test_an_expired_subscription_is_in_the_report(
    run: Callable[..., dict[str, Any]], simulator: Simulator
) -> None:
    """Of a partner's customer; the report judged with no moment in mind."""
    ended = (datetime.now(UTC) - 10 * DAY).date().isoformat()
    simulator.set_license(
        "elements", organization_id="C1", organization_name="Contoso", service="Backup", expiration_date=ended
    )

    said = run("good", product="elements")

    assert said["needs_attention"]
    assert any("expired: the subscription ended on" in sentence for sentence in said["attention"])


def test_the_audits_own_limit_holds_in_the_report(
    run: Callable[..., dict[str, Any]], simulator: Simulator
) -> None:
    simulator.set_license("m365", **WITHIN | {"assigned_user_seats": 85})

    assert [] == run("good")["attention"]
    (sentence,) = run("good", near_limit=0.8)["attention"]
    assert sentence.endswith("near_limit: seats at 85% of what is purchased.")


def test_what_has_come_to_pass_since_the_audit(ledger: Ledger) -> None:
    """It lay ahead when the licence was read, and nobody has read the licence since."""
    read_at = NOW - 5 * DAY
    ledger.save_licenses("contoso", [consumption(1, 100, out_of_policy_at=NOW - DAY)], read_at)
    ledger.save_audit("contoso", Audit(product="m365", audited_at=read_at))

    (sentence,) = attention(ledger)
    assert "out_of_policy since 2026-11-21" in sentence


def test_what_an_audit_found_stands(ledger: Ledger) -> None:
    """Whatever a report would say of the figures alone."""
    ledger.save_licenses("contoso", [consumption(1, 100)], NOW)
    finding = Finding(
        organization_id=None, service=None, location=None, reason="near_limit", text="near_limit: as it said"
    )
    ledger.save_audit("contoso", Audit(product="m365", audited_at=NOW, findings=(finding,)))

    assert ["contoso, Cloud Backup for Microsoft 365: near_limit: as it said."] == attention(ledger)


def test_figures_of_long_ago_are_named(ledger: Ledger) -> None:
    """Read twice a week, and not for sixty days."""
    for days in (60, 64, 67):
        ledger.save_licenses("contoso", [consumption(1, 100)], NOW - days * DAY)

    (sentence,) = attention(ledger)
    assert sentence.endswith("not_read: the figures are of 2026-09-23, 60 days ago.")


def test_figures_from_before_the_period_are_named(ledger: Ledger) -> None:
    ledger.save_audit("contoso", Audit(product="m365", audited_at=NOW - 20 * DAY))

    (sentence,) = attention(ledger, Period(now=NOW, days=7))
    assert sentence.startswith("contoso, Cloud Backup for Microsoft 365: the licences were last read on")


def test_only_the_newest_audit_speaks(ledger: Ledger) -> None:
    """An error of last week is over once the figures were read; a tenant's audits are its own."""
    ledger.save_licenses("contoso", [consumption(1, 100)], NOW)
    ledger.save_audit("contoso", Audit(product="m365", audited_at=NOW - 7 * DAY, error="refused"))
    ledger.save_audit("contoso", Audit(product="m365", audited_at=NOW))

    assert [] == attention(ledger)


def test_an_audit_whose_failure_cannot_be_recorded_says_both(
    connect: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The task's own error is the news; that the ledger failed too stands in its log."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_BROKEN", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "no" / "ledger.db")})
    )
    connect("bad", password="wrong")
    operator = AvePointLicenseAuditOperator(task_id="audit", avepoint_conn_id="bad", ledger_conn_id="broken")

    monkeypatch.setattr(AvePointLicenseAuditOperator, "log", logging.getLogger("task"))

    with pytest.raises(AvePointAuthError, match="refused the credentials"):
        operator.execute({})

    assert "The failed audit could not be recorded" in caplog.text
    assert "wrong" not in caplog.text
