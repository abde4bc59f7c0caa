"""What the report reads, in both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_avepoint.core.model import Counts
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.report.backups import Outcome, Period
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.ledger.databases import CONN_ID, NOON, Database, make_job

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GOOD = {"counts": Counts(), "record_counts": Counts(), "metadata_counts": Counts()}
UNTOLD = {"started_at": None, "duration": timedelta(hours=10, microseconds=500_000)}


def test_a_backup_that_does_not_say_its_start_began_its_duration_before_its_end(database: Database) -> None:
    """In the period and before it; without a duration nobody knows: no end stands for a start."""
    midnight = NOON - 12 * HOUR
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs(
            "t",
            [
                make_job("J1", finished_at=midnight - DAY + HOUR, **UNTOLD, **GOOD),
                make_job("J2", finished_at=midnight - 9 * DAY + HOUR, workload="past", **UNTOLD, **GOOD),
                make_job("J3", started_at=None, duration=None, workload="untold", **GOOD),
            ],
            NOON,
        )
        report = read_report(ledger, Period(now=NOON + HOUR, days=7), None)

    scopes = {scope.place.scope.workload: scope for scope in report.scopes}
    begun = -timedelta(hours=9, microseconds=500_000)
    assert scopes["customer_engagement"].newest_good_at == midnight - DAY + begun
    assert [day.date for day in scopes["customer_engagement"].days if day.outcome is Outcome.GOOD] == [
        (midnight - 2 * DAY).date()
    ]
    past = scopes["past"].newest_good_at
    assert past is not None
    assert abs(past - (midnight - 9 * DAY + begun)) < timedelta(milliseconds=1)
    assert scopes["untold"].newest_good_at is None
    assert scopes["untold"].days[-1].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "bad",
    [
        {"problems": ("status: 'Odd'",)},
        {"counts": Counts(total=9, successful=0, failed=0)},
        {"counts": Counts(total=9, successful=8, failed=1)},
        {"finished_at": NOON - 11 * DAY},
        {"started_at": None, "duration": None},
    ],
    ids=["not read", "nothing done", "failed in part", "an end before its start", "nobody knows when"],
)
def test_a_success_that_no_gate_takes_is_no_good_backup_of_the_past(
    sqlite_database: Database, bad: dict[str, object]
) -> None:
    older = make_job("OLD", started_at=NOON - 12 * DAY, finished_at=NOON - 12 * DAY + HOUR, **GOOD)
    newer = {"started_at": NOON - 10 * DAY, "finished_at": NOON - 10 * DAY + HOUR, **GOOD} | bad
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [older, make_job("NEW", **newer)], NOON)
        (scope,) = read_report(ledger, Period(now=NOON, days=7), None).scopes

    assert scope.newest_good_at == NOON - 12 * DAY


def test_a_product_of_a_newer_release_hides_nothing_else(sqlite_database: Database) -> None:
    """One worker was updated first. Nobody here can judge its backups, so the report must say so."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [make_job("J1"), make_job("J2", product="future_product")], NOON)
        report = read_report(ledger, Period(now=NOON + HOUR, days=7), None)

    assert [scope.place.product for scope in report.scopes] == ["dynamics365"]
    assert report.unknown_products == (("t", "future_product"),)
    (told,) = [each for each in report.list_attention() if "future_product" in each.text]
    assert told.is_urgent
    assert "Update the provider" in told.text


def test_a_backup_of_today_that_nobody_can_read_is_not_missed(sqlite_database: Database) -> None:
    """A backup came. What it came to is not known; a day later, the next one is missed."""
    nights = [
        make_job(f"J{day}", started_at=NOON - day * DAY, finished_at=NOON - day * DAY + HOUR, **GOOD)
        for day in range(1, 30)
    ]
    odd = make_job("J0", problems=("status: 'Odd'",), started_at=NOON, finished_at=NOON + HOUR)
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("t", [*nights, odd], NOON + 12 * HOUR)
        ledger.save_jobs("t", [make_job("X", workload="other", started_at=NOON + 3 * DAY)], NOON + 3 * DAY)
        states = {}
        for hours in (12, 60):
            report = read_report(ledger, Period(now=NOON + hours * HOUR, days=7), None)
            states[hours] = {scope.place.scope.workload: scope.current for scope in report.scopes}

    assert states[12]["customer_engagement"] is Outcome.UNKNOWN
    assert states[60]["customer_engagement"] is Outcome.MISSED


def test_audits_outside_of_a_task_are_told_apart_by_what_they_require(database: Database) -> None:
    with Ledger(CONN_ID) as ledger:
        for age, service in ((3, "teams"), (2, "onedrive"), (1, "teams")):
            required = {service: {"scheduled": True, "runs_per_day": age // 3 + 1}}
            audit = ProtectionAudit(product="m365", audited_at=NOON - age * DAY, required=required)
            ledger.save_protection_audit("t", audit)
            ledger.save_protection_audit("t", audit, {"task_id": service})
        histories = read_report(ledger, Period(now=NOON, days=7), None).protection

    assert sorted((each.last.task_name, *each.required) for each in histories) == [
        ("", "onedrive"),
        ("", "teams"),
        ("", "teams"),
        ("onedrive", "onedrive"),
        ("teams", "teams"),
    ]
