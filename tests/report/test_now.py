"""What a scope is now, whatever the days look like: stuck, late, stopped, not loaded, and told as such."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.report.backups import Outcome, Period
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights
from tests.report.test_backups import at, nightly, only, spell
from tests.report.test_gates import FEW_FAILED, guard

MONTH = Period(now=NOW, days=30)
VM = {"product": "iaas_paas", "organization_id": None, "organization_name": None, "workload": "azure_vm"}


def start_every(gap: Any, *, until: datetime) -> list[BackupJob]:
    return [job(until - gap * back, job_id=str(back)) for back in range(60)]


CASES: list[tuple[str, list[BackupJob], Outcome]] = [
    ("nightly", [job(night) for night in nights(20)], Outcome.GOOD),
    ("tonight's still runs", [*map(job, nights(20)[:-1]), job(nights(1)[0], "running")], Outcome.GOOD),
    (
        "each night hangs",
        [*map(job, nights(20)[:10]), *[job(night, "running") for night in nights(10)]],
        Outcome.RUNNING,
    ),
    ("one has run for 34 hours", [*map(job, nights(20)[:-2]), job(nights(2)[0], "running")], Outcome.MISSED),
    ("tonight's did not come", [job(night) for night in nights(20)[:-1]], Outcome.MISSED),
    ("tonight's may yet come", [job(night) for night in nights(20, hour=5)[:-1]], Outcome.GOOD),
    ("known for fifteen days, stopped", [job(night) for night in nights(20)[:15]], Outcome.MISSED),
    ("hourly, and not for four hours", start_every(HOUR, until=NOW - 4 * HOUR), Outcome.MISSED),
    ("hourly", start_every(HOUR, until=NOW - HOUR), Outcome.GOOD),
    ("six-hourly, and not for thirteen hours", start_every(6 * HOUR, until=NOW - 13 * HOUR), Outcome.MISSED),
    ("six-hourly", start_every(6 * HOUR, until=NOW - 5 * HOUR), Outcome.GOOD),
    ("weekly, five days ago", [job(NOW - DAY * (5 + 7 * week)) for week in range(6)], Outcome.GOOD),
    ("monthly, 28 days ago", [job(NOW - DAY * (28 + 30 * month)) for month in range(5)], Outcome.GOOD),
    ("stopped sixty days ago", [job(NOW - DAY * (60 + day)) for day in range(20)], Outcome.MISSED),
    # Rows do not say which machine they protect: the success of one hides no failure of another.
    (
        "of two machines, one failed last evening",
        [
            made
            for night in nights(20)
            for made in (
                job(night - 3 * HOUR, "failed", job_id=f"a{night}", **VM),
                job(night, job_id=f"b{night}", **VM),
            )
        ],
        Outcome.FAILED,
    ),
]


@pytest.mark.parametrize("days", [1, 7, 90])
def test_now(ledger: Ledger, days: int) -> None:
    """The same in a report of a day, of a week and of a season: each case is a tenant."""
    for title, jobs, _ in CASES:
        fill(ledger, title, jobs)
    report = read_report(ledger, Period(now=NOW, days=days), None)

    found = {scope.place.tenant: (scope.current, scope.needs_attention) for scope in report.scopes}
    assert found == {title: (now, now is not Outcome.GOOD) for title, _, now in CASES}


@pytest.mark.parametrize("days", [7, 30])
def test_a_ledger_that_is_no_longer_loaded(ledger: Ledger, days: int) -> None:
    """What came since is not known: no scope is good now, and the report says so."""
    fill(ledger, "contoso", [job(night - 60 * DAY) for night in nights(20)], NOW - 60 * DAY)
    report = read_report(ledger, Period(now=NOW, days=days), None)

    assert (only(report).current, "0 of 1 are good now" in report.summarize()) == (Outcome.NOT_LOADED, True)
    assert "the ledger was last loaded 2026-09-23 09:30 UTC" in report.list_attention()[0].text


def test_a_load_of_something_else_is_no_load_of_backups(ledger: Ledger) -> None:
    """Restores are loaded each day, and backups for ten days no longer."""
    fill(ledger, "contoso", nightly(range(-20, -3)), NOW - 10 * DAY)
    stream = Stream(
        tenant="contoso",
        product="dynamics365",
        location="",
        organization_id="",
        selection=json.dumps([["restore"], []]),
    )
    ledger.save_load_point(stream, LoadPoint(loaded_from=at(-9), resume_from=at(6), begun_at=NOW), None)
    fill(ledger, "contoso", [job(at(6), job_type="restore", job_id="r")])

    assert spell(only(read_report(ledger, Period(now=NOW, days=7), None))) == "NNNNNN."


def test_a_product_that_is_loaded_and_has_no_backup(ledger: Ledger) -> None:
    fill(ledger, "contoso", nightly(range(7)))
    stream = Stream(
        tenant="contoso",
        product="m365",
        location="",
        organization_id="",
        selection=json.dumps([["backup"], []]),
    )
    ledger.save_load_point(stream, LoadPoint(loaded_from=at(0), resume_from=at(6), begun_at=NOW), None)
    report = read_report(ledger, MONTH, None)

    assert report.list_attention()[0].text == (
        "contoso, Cloud Backup for Microsoft 365: backups are loaded, and there has never been one."
    )


def test_a_report_of_a_moment_before_the_load(ledger: Ledger) -> None:
    """A backup that ended after it was under way then, and one that began after it had not begun."""
    moment = at(6, 2)
    fill(ledger, "contoso", [*nightly(range(7)), job(at(6, 4), "failed", job_id="later")])
    report = read_report(ledger, Period(now=moment, days=7), None)

    assert (spell(only(report)), only(report).current) == ("GGGGGGR", Outcome.GOOD)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"max_age": 7 * DAY, "started_after": NOW - 25 * HOUR}, Outcome.MISSED),  # both hold
        ({"max_age": 7 * DAY}, Outcome.GOOD),
    ],
)
def test_a_gate_that_found_nothing_in_its_window(
    ledger: Ledger, policy: dict[str, Any], expected: Outcome
) -> None:
    jobs = nightly(range(4))
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, at=NOW, **policy)

    assert only(read_report(ledger, MONTH, None)).current is expected


@pytest.mark.parametrize(
    ("decide_by", "states", "expected"),
    [
        ("any", "success failed", Outcome.GOOD),
        ("all", "failed success", Outcome.FAILED),
        ("newest", "failed success", Outcome.GOOD),
    ],
)
def test_a_gate_decides_by_its_own_window(
    ledger: Ledger, decide_by: str, states: str, expected: Outcome
) -> None:
    """Two nights lie in the window of two days: what holds is not the newest day alone."""
    jobs = [*nightly(range(5)), *[job(at(5 + each), state) for each, state in enumerate(states.split())]]
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, decide_by=decide_by, max_age=2 * DAY)

    assert only(read_report(ledger, MONTH, None)).current is expected


def test_a_weekly_gate_asks_for_a_backup_a_week(ledger: Ledger) -> None:
    """The gate looks on Sundays, at the backup of the night: its max_age of a day says nothing of Mondays."""
    jobs = [job(at(6) - 7 * DAY * week) for week in range(1, 7)]
    fill(ledger, "contoso", jobs)
    for week in range(1, 7):
        guard(ledger, jobs, at=at(6, 6) - 7 * DAY * week, max_age=DAY)
    history = only(read_report(ledger, MONTH, None))

    assert (history.counts[Outcome.MISSED], history.current, history.expected) == (0, Outcome.GOOD, "on Su")


def test_a_gate_without_workloads_in_the_rows(ledger: Ledger) -> None:
    """Loaded without an object type, the backups may be of any: a gate on one of them judges them."""
    m365 = {"product": "m365", "organization_id": None, "organization_name": None}
    fill(ledger, "contoso", nightly(range(7), workload=None, **m365, **FEW_FAILED))
    listed = nightly(range(7), workload="exchange_online", **m365, **FEW_FAILED)
    policy = {"product": "m365", "object_types": ["exchange_online"], "max_failed_ratio": 0.05}
    guard(ledger, listed, **policy)
    history = only(read_report(ledger, MONTH, None))

    assert (history.place.scope.workload, history.current) == ("other", Outcome.GOOD)


@pytest.mark.parametrize(("state", "expected"), [("success", Outcome.GOOD), ("failed", Outcome.UNKNOWN)])
def test_a_backup_each_quarter_takes_a_gate(ledger: Ledger, state: str, expected: Outcome) -> None:
    """Its own history would be too long to read; the newest run lies before all that is read job by job."""
    jobs = [job(NOW - DAY * 80, state)]
    fill(ledger, "contoso", [job(NOW - DAY * 171), *jobs])
    guard(ledger, jobs, max_age=92 * DAY)

    assert only(read_report(ledger, MONTH, None)).current is expected


def test_a_licence_without_any_figure(ledger: Ledger) -> None:
    ledger.save_licenses("contoso", [LicenseConsumption(product="m365")], NOW)
    report = read_report(ledger, MONTH, None)

    assert [each.text for each in report.list_attention()] == [
        "contoso, Cloud Backup for Microsoft 365: no_figures: the answer has neither seats nor storage."
    ]


def test_a_licence_that_was_read_before_the_period(ledger: Ledger) -> None:
    """It is over and old; one that a later audit no longer lists is gone, and told of in the period alone."""
    over = {"product": "elements", "purchased_user_seats": 1, "assigned_user_seats": 2}
    ledger.save_licenses("old", [LicenseConsumption(service="Backup", **over)], NOW - 9 * DAY)
    ledger.save_licenses("gone", [LicenseConsumption(service="Backup", **over)], NOW - 9 * DAY)
    ledger.save_audit("gone", Audit(product="elements", audited_at=NOW))

    week, month = (read_report(ledger, Period(now=NOW, days=days), None) for days in (7, 30))
    assert [(each.subscription.tenant, list(each.findings)) for each in week.licenses] == [
        ("old", ["over_assigned", "not_read"])
    ]
    assert {each.subscription.tenant: list(each.findings) for each in month.licenses} == {
        "old": ["over_assigned", "not_read"],
        "gone": ["not_listed"],
    }


@pytest.mark.parametrize(
    "change", [lambda: {"days": 90}, lambda: {"organization_name": "New Ltd"}], ids=["period", "name"]
)
def test_what_is_no_change(ledger: Ledger, change: Callable[[], dict[str, Any]]) -> None:
    """Another number of days, and another name of an organisation."""
    fill(ledger, "contoso", nightly(range(-30, 7)))
    fill(ledger, "contoso", nightly(range(-30, -10), workload="stopped"))
    first = read_report(ledger, Period(now=NOW - HOUR, days=7), None)
    ledger.save_report(None, first.period.now, first.summarize(), first.states)
    named = change()
    days = named.pop("days", 7)
    fill(ledger, "contoso", [job(NOW - HOUR / 2, **named)])

    assert read_report(ledger, Period(now=NOW, days=days), None).list_changes() == ()


def test_all_clear_says_of_how_much(ledger: Ledger) -> None:
    assert (
        read_report(ledger, MONTH, None).say_all_clear()
        == "Nothing. Scopes: none recorded. Licences: none recorded. Verdicts: none recorded. "
        "Protection audits: none recorded. Restores: none recorded."
    )
    jobs = nightly(range(7))
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs)
    ledger.save_licenses("contoso", [LicenseConsumption(product="m365", assigned_user_seats=1)], NOW)
    report = read_report(ledger, MONTH, None)

    assert report.list_attention() == ()
    assert (
        report.say_all_clear()
        == "Nothing. Scopes: 1 of 1 are good now. Licences: 1, none near a limit. Verdicts: 1, all passed. "
        "Protection audits: none recorded. Restores: none recorded."
    )


@pytest.mark.parametrize(
    ("states", "now", "days"),
    [
        ("failed success failed success", "good", "...FGFG"),
        ("success success success failed", "failed", "...GGGF"),
        ("success partial success success", "good", "...GPGG"),
    ],
)
def test_an_id_that_is_used_again_is_another_backup(ledger: Ledger, states: str, now: str, days: str) -> None:
    """Of the nightly runs of one id, the newest decides how the scope is now."""
    words = states.split()
    fill(
        ledger,
        "contoso",
        [job(at(7 - len(words) + day), state, job_id="nightly") for day, state in enumerate(words)],
    )

    history = only(read_report(ledger, Period(now=NOW, days=7), None))

    assert (history.current, spell(history)) == (now, days)


def test_an_id_that_is_used_again_within_a_day(ledger: Ledger) -> None:
    fill(
        ledger,
        "contoso",
        [
            *nightly(range(6)),
            job(at(6), "failed", job_id="again"),
            job(at(6, 5), job_id="again"),
        ],
    )

    history = only(read_report(ledger, Period(now=NOW, days=7), None))

    assert (history.current, spell(history)) == ("good", "GGGGGGG")


def test_a_backup_that_runs_after_missed_nights_is_not_good_yet(ledger: Ledger) -> None:
    """The good one before is weeks old: a backup that hangs would hide the gap."""
    fill(ledger, "contoso", [job(NOW - 30 * DAY), job(NOW - HOUR, "running")])

    history = only(read_report(ledger, Period(now=NOW, days=7), None))

    assert (history.current, history.needs_attention) == (Outcome.RUNNING, True)
