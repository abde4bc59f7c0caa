"""Backups by scope and day, their age and their gaps, over cases computed by hand."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import BackupJob, Counts
from airflow_provider_avepoint.core.policy import Scope
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.report.backups import LETTERS, Outcome, Period, ScopeHistory
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.gates import Place
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job

WEEK = Period(now=NOW, days=7)
M365 = {"product": "m365", "organization_id": None, "organization_name": None, "workload": "exchange_online"}


def at(day: int, hour: float = 1) -> datetime:
    """Return a moment of a day of the week: 0 is Monday, the 16th; 6 is Sunday, today."""
    return WEEK.start + DAY * day + HOUR * hour


def nightly(days: range | list[int], state: str = "success", **fields: Any) -> list[BackupJob]:
    return [job(at(day), state, **fields) for day in days]


def read(ledger: Ledger, jobs: list[BackupJob], *, read_at: datetime = NOW) -> Report:
    fill(ledger, "contoso", jobs, read_at)
    return read_report(ledger, WEEK, None)


def only(report: Report) -> ScopeHistory:
    (history,) = report.scopes
    return history


def spell(history: ScopeHistory) -> str:
    """Return the letters of a history's days, with a dot where no backup was expected."""
    return "".join("." if day.outcome is None else LETTERS[day.outcome] for day in history.days)


FAILED_ONE = {"counts": Counts(total=5, successful=4, failed=1)}
WEEKS = [
    ("nightly", nightly(range(7)), "GGGGGGG"),
    ("one night missed", nightly([0, 1, 3, 4, 5, 6]), "GGMGGGG"),
    ("first seen on Wednesday", nightly(range(2, 7)), "..GGGGG"),
    ("first seen today", nightly([6]), "......G"),
    ("stopped after Thursday; today is not over", nightly(range(4)), "GGGGMM."),
    ("seen before the period, and not since", nightly([-2, -1]), "MMMMMM."),
    ("seen before the period, and again", nightly([-1, 3]), "MMMGMM."),
    ("failed today", [*nightly(range(6)), job(at(6), "failed")], "GGGGGGF"),
    ("a success that failed in part", [*nightly(range(6)), job(at(6), **FAILED_ONE)], "GGGGGGP"),
    ("partial", [*nightly(range(6)), job(at(6), "partial")], "GGGGGGP"),
    ("skipped, then stopped", [job(at(4), "skipped"), job(at(5), "stopped"), job(at(6))], "....SSG"),
    ("running", [job(at(5)), job(at(6), "running")], ".....GR"),
    ("running for days", [job(at(3), "running"), *nightly(range(4, 7))], "...RGGG"),
    ("a state that nobody documents", [job(at(5), "unknown"), job(at(6))], ".....UG"),
    ("a second one that is good", [job(at(5), "failed"), job(at(5, 5)), job(at(6))], ".....GG"),
    ("a second one that is bad", [job(at(5)), job(at(5, 5), "failed"), job(at(6))], ".....FG"),
    ("a newer one still running", [job(at(6)), job(at(6, 9), "running")], "......G"),
    ("started before midnight", [job(at(5, 23.99)), job(at(6))], ".....GG"),
    ("first moment of a day", [job(at(5, 0)), job(at(6))], ".....GG"),
    ("ended, without a start", [job(None, finished_at=at(5)), job(at(6))], ".....UG"),
    (
        "ended, without a start, after ten hours",
        [job(None, finished_at=at(5), duration=10 * HOUR), job(at(6))],
        "....GMG",
    ),
    ("finished before it started", [job(at(5), finished_at=at(4)), job(at(6))], ".....UG"),
    ("not to be read", [job(at(5), problems=("failedCount: 'many' is no number",)), job(at(6))], ".....UG"),
    (
        "one that can, and one that cannot",
        [job(at(5)), job(at(5, 5), problems=("status",)), job(at(6))],
        ".....UG",
    ),
    (
        "perhaps a backup",
        [job(at(5)), job(at(5, 5), job_type=None, problems=("type",)), job(at(6))],
        ".....UG",
    ),
    ("no backup", [job(at(5)), job(at(5, 5), "failed", job_type=None), job(at(6))], ".....GG"),
    ("nobody knows whose", [job(at(3), organization_id=None, problems=("organizationId",))], "...U..."),
    ("nothing done", [job(at(5), counts=Counts(total=9, successful=0, failed=0)), job(at(6))], ".....PG"),
    ("ended, and nobody knows when", [job(None), job(at(5))], ".....GU"),
    ("waiting, without a start", [job(at(5)), job(None, "waiting")], ".....GR"),
    ("only backups count", [job(at(4)), job(at(5), job_type="restore"), job(at(6))], "....GMG"),
    ("before the period too", [job(at(-1), job_type="restore"), job(at(6))], "......G"),
    ("one that starts in the future", [job(at(5)), job(NOW + HOUR)], ".....GU"),
    # Rows of Microsoft 365 do not say whose they are: each must be good.
    ("one of two is bad", [job(at(6), "failed", **M365), job(at(6, 5), **M365)], "......F"),
    ("the other of two is bad", [job(at(6), **M365), job(at(6, 5), "failed", **M365)], "......F"),
]


def test_days(ledger: Ledger) -> None:
    """A week from Monday to Sunday, 09:30, day by day: each case is a tenant."""
    for title, jobs, _ in WEEKS:
        fill(ledger, title, jobs)

    found = {history.place.tenant: spell(history) for history in read_report(ledger, WEEK, None).scopes}
    assert found == {title: expected for title, _, expected in WEEKS}


def test_longest_gap_and_age(ledger: Ledger) -> None:
    cases = [
        (nightly(range(7)), at(0), 24, 8.5),
        (nightly([0, 1, 3, 4, 5, 6]), at(1), 48, 8.5),
        # The newest good one is Wednesday's, and the gap goes on.
        ([*nightly(range(3)), *nightly(range(3, 7), "failed")], at(2), 4 * 24 + 8.5, 4 * 24 + 8.5),
        # Two weeks ago, and again on Friday.
        (nightly([-7, 4, 5, 6]), at(-7), 11 * 24, 8.5),
        # What ended before the period is none of its gaps.
        (nightly([-20, *range(-1, 7)]), at(-1), 24, 8.5),
        # Good at one and at nine: a gap of 16 hours over midnight.
        ([job(at(day, hour)) for day in range(7) for hour in (1, 9)], at(0, 9), 16, 0.5),
        # Never good: since its first backup.
        (nightly(range(4, 7), "failed"), at(4), 2 * 24 + 8.5, None),
        (nightly([-3, 6], "failed"), at(-3), 9 * 24 + 8.5, None),
        # A success that failed in part is not good.
        ([job(at(5)), job(at(6), **FAILED_ONE)], at(5), 32.5, 32.5),
    ]
    for number, (jobs, *_) in enumerate(cases):
        fill(ledger, str(number), jobs)

    found = {
        history.place.tenant: (history.longest_gap.start, history.longest_gap.length, history.age(NOW))
        for history in read_report(ledger, WEEK, None).scopes
        if history.longest_gap
    }
    assert found == {
        str(number): (start, hours * HOUR, None if age is None else age * HOUR)
        for number, (_, start, hours, age) in enumerate(cases)
    }


@pytest.mark.parametrize("read_at", [at(6, 5), at(-1, 5)])
def test_a_success_of_nobody_knows_when_is_not_the_newest_good_one(ledger: Ledger, read_at: datetime) -> None:
    """Neither when it came in the period nor before."""
    fill(ledger, "contoso", [job(None, job_id="timeless")], read_at)

    assert only(read(ledger, [job(at(6), "failed")])).newest_good_at is None


def test_a_backup_of_the_future_does_not_count(ledger: Ledger) -> None:
    """A scope whose only backup is said to start later has no good one yet."""
    history = only(read(ledger, [job(NOW + HOUR)]))

    assert (history.longest_gap, history.age(NOW)) == (None, None)


@pytest.mark.parametrize(
    ("outcomes", "current", "bad_days", "needs_attention"),
    [
        ("success success", Outcome.GOOD, 0, False),
        ("failed success", Outcome.GOOD, 1, False),
        ("success failed", Outcome.FAILED, 1, True),
        ("success running", Outcome.GOOD, 0, False),
        ("failed running", Outcome.FAILED, 1, True),
        ("running running", Outcome.RUNNING, 1, True),
        ("running", Outcome.RUNNING, 0, False),
    ],
)
def test_what_is_bad_now(
    ledger: Ledger, outcomes: str, current: Outcome, bad_days: int, *, needs_attention: bool
) -> None:
    """What is under way on the newest day may yet be good; what is so on an older one is stuck."""
    states = outcomes.split()
    jobs = [job(at(7 - len(states) + index), state) for index, state in enumerate(states)]

    history = only(read(ledger, jobs))

    assert (current, bad_days, needs_attention) == (
        history.current,
        history.bad_days,
        history.needs_attention,
    )


def test_days_after_the_last_load_are_not_called_missed(ledger: Ledger) -> None:
    """Who does not load the ledger learns that, and not that backups were missed."""
    report = read(ledger, nightly(range(4)), read_at=at(4, 12))

    assert spell(only(report)) == "GGGGNN."
    assert (4, 0) == (only(report).expected_days, only(report).bad_days)
    assert "last loaded 2026-11-20 12:00 UTC" in report.list_attention()[0].text


@pytest.mark.parametrize(
    ("organization", "expected"), [("", "GGGGMM."), ("contoso", "GGGGMM."), ("other", "GGGGNN.")]
)
def test_a_load_that_finds_nothing_tells_too(ledger: Ledger, organization: str, expected: str) -> None:
    """What was asked for since and did not come was missed; a load of somebody else's jobs says nothing."""
    fill(ledger, "contoso", nightly(range(4)), at(4))
    stream = Stream(
        tenant="contoso", product="dynamics365", location="", organization_id=organization, selection=""
    )
    point = LoadPoint(loaded_from=at(0), resume_from=at(3), begun_at=NOW)
    ledger.save_load_point(stream, point, None)

    assert spell(only(read_report(ledger, WEEK, None))) == expected


def test_scopes_are_kept_apart(ledger: Ledger) -> None:
    """Tenant, product, organisation, workload and location: what differs in one is another scope."""
    variants: list[tuple[str, dict[str, Any]]] = [
        ("contoso", {}),
        ("fabrikam", {}),
        ("contoso", M365),
        ("contoso", {"organization_id": "b", "organization_name": "B"}),
        ("contoso", {"workload": "project_operations"}),
        ("contoso", {"location": "EUR"}),
    ]
    for tenant, fields in variants:
        fill(ledger, tenant, [job(at(6), job_id="same", **fields)])

    report = read_report(ledger, WEEK, None)

    assert {scope.place for scope in report.scopes} == {
        Place(
            tenant="contoso",
            product="dynamics365",
            scope=Scope(organization_id="contoso", workload="dynamics_sales"),
        ),
        Place(
            tenant="fabrikam",
            product="dynamics365",
            scope=Scope(organization_id="contoso", workload="dynamics_sales"),
        ),
        Place(tenant="contoso", product="m365", scope=Scope(workload="exchange_online")),
        Place(
            tenant="contoso",
            product="dynamics365",
            scope=Scope(organization_id="b", workload="dynamics_sales"),
        ),
        Place(
            tenant="contoso",
            product="dynamics365",
            scope=Scope(organization_id="contoso", workload="project_operations"),
        ),
        Place(
            tenant="contoso",
            product="dynamics365",
            scope=Scope(organization_id="contoso", workload="dynamics_sales", location="EUR"),
        ),
    }
    assert report.tenants == ("contoso", "fabrikam")


@pytest.mark.parametrize(("day", "expected"), [(-1, "MMMMMM."), (6, "......G")])
def test_a_job_that_an_object_type_claims_is_not_other_as_well(
    ledger: Ledger, day: int, expected: str
) -> None:
    """Asked for all object types together, the server repeats what one of them claims."""
    unclaimed = M365 | {"workload": None}
    jobs = [job(at(day), job_id="a", **M365), job(at(day), job_id="a", **unclaimed)]

    report = read(ledger, [*jobs, job(at(6), job_id="b", **unclaimed)])

    assert {history.place.scope.workload: spell(history) for history in report.scopes} == {
        "exchange_online": expected,
        "other": "......G",
    }


def test_only_the_tenants_asked_for(ledger: Ledger) -> None:
    """Others stay out, and one of whom the ledger holds nothing is named."""
    for tenant in ("contoso", "fabrikam"):
        fill(ledger, tenant, nightly(range(7)))

    report = read_report(ledger, WEEK, ("contoso", "nobody"))

    assert [scope.place.tenant for scope in report.scopes] == ["contoso"]
    assert report.silent_tenants == ("nobody",)
    assert report.list_attention()[0].text == "nobody: the ledger holds nothing of this tenant."


def test_what_is_long_gone_is_named_and_not_drawn(ledger: Ledger) -> None:
    """A scope without a backup for half a year stands in a list; before, it is missed."""
    fill(ledger, "contoso", [job(at(-190), workload="project_operations"), *nightly(range(7))])

    report = read_report(ledger, WEEK, None)

    assert [history.place.scope.workload for history in report.scopes] == ["dynamics_sales"]
    assert [(place.scope.workload, when) for place, when in report.long_gone] == [
        ("project_operations", at(-190))
    ]
    assert "project_operations: no longer expected; the last backup" in report.list_attention()[0].text

    fill(ledger, "contoso", [job(at(-60), workload="stopped")])
    assert "stopped: missed" in read_report(ledger, WEEK, None).list_attention()[0].text


def test_what_stopped_before_a_short_period_is_missed(ledger: Ledger) -> None:
    """The week holds no backup of the scope, and the weeks before it do."""
    fill(ledger, "contoso", [job(at(day)) for day in range(-20, -10)])
    fill(ledger, "contoso", nightly(range(7)) and [job(at(6), workload="project_operations")])

    report = read_report(ledger, WEEK, None)

    assert report.as_dict()["needs_attention"]
    assert "dynamics_sales: missed" in report.list_attention()[0].text


def test_worst_first(ledger: Ledger) -> None:
    """Bad now, the oldest good backup first; then those with most bad days; then the good ones by name."""
    jobs = [
        *nightly(range(7), workload="z_good"),
        *nightly(range(7), workload="a_good"),
        *nightly([0, 1, 3, 4, 5, 6], workload="one_bad_day"),
        *nightly([0, 1, 5, 6], workload="three_bad_days"),
        *nightly(range(5), workload="bad_since_friday"),
        *nightly(range(2), workload="bad_since_wednesday"),
        *nightly(range(7), "failed", workload="never_good"),
    ]

    assert [scope.place.scope.workload for scope in read(ledger, jobs).scopes] == [
        "never_good",
        "bad_since_wednesday",
        "bad_since_friday",
        "three_bad_days",
        "one_bad_day",
        "a_good",
        "z_good",
    ]


def test_how_many_scopes_were_bad_on_a_day(ledger: Ledger) -> None:
    """Days on which none was expected are left out."""
    jobs = [
        *nightly([4, 6], workload="missed_one"),
        *nightly([4, 5, 6], "failed", workload="failed"),
        *nightly([4, 5, 6], workload="good"),
        job(at(6, 5), "running", workload="running"),
    ]

    assert read(ledger, jobs).bad_by_day == {
        date(2026, 11, 20): 1,
        date(2026, 11, 21): 2,
        date(2026, 11, 22): 1,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "Contoso / dynamics_sales"),
        ({"organization_name": None}, "contoso / dynamics_sales"),
        ({"organization_name": "\u200f"}, "contoso / dynamics_sales"),
        ({"organization_id": None, "organization_name": None, "workload": None}, "all jobs"),
        ({"location": "EUR"}, "Contoso / dynamics_sales / EUR"),
    ],
)
def test_names(ledger: Ledger, fields: dict[str, Any], expected: str) -> None:
    """An organisation without a name that shows is called by its id."""
    assert expected == only(read(ledger, [job(at(6), **fields)])).name


def test_good_backups_under_two_names_are_of_one_scope(ledger: Ledger) -> None:
    """The database gathers them by name: they are put in order again."""
    named = ["Old Ltd", "New Ltd"]
    jobs = [job(at(day), organization_name=named[day % 2], job_id=f"J{9 - day}") for day in range(1, 7)]
    history = only(read(ledger, [*jobs, job(at(3, 4), "failed")]))

    assert (spell(history), history.name) == (".GGFGGG", "Old Ltd / dynamics_sales")
    assert history.newest_good_at == at(6)
    assert history.longest_gap is not None
    assert history.longest_gap.length == DAY


def test_the_newest_name_of_an_organisation_holds(ledger: Ledger) -> None:
    jobs = [job(at(5), organization_name="Old Ltd"), job(at(6), organization_name="New Ltd")]

    assert only(read(ledger, jobs)).organization_name == "New Ltd"
