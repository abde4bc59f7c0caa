"""A scope in the report is judged by the gates that guard it; and a gate that is shut is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.database import writing
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import VERDICTS
from airflow_provider_avepoint.report.backups import Outcome, Period, ScopeHistory
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights
from tests.report.test_backups import at, nightly, only, spell

WEEK = Period(now=NOW, days=7)
#: Four of a hundred objects failed.
FEW_FAILED = {"state": "partial", "counts": Counts(total=100, successful=96, failed=4)}


def guard(
    ledger: Ledger,
    jobs: list[BackupJob],
    *,
    tenant: str = "contoso",
    task: str | None = "gate",
    script: str | None = None,
    at: datetime = NOW - HOUR,
    single_tenant: bool = False,
    **policy: Any,
) -> None:
    """Let a gate judge, and record its verdict as the operators do."""
    named = {"product": "dynamics365", "max_age": 2 * DAY} | policy
    evidence = judge(jobs, Policy(**named), at, single_tenant=single_tenant).as_dict()
    row = {"dag_id": "load", "run_id": f"{at}", "task_id": task, "map_index": -1, "try_number": 1}
    if script is not None:
        row = {"task_id": script}
    ledger.save_verdict(tenant, evidence, None if task is None and script is None else row)


def read(ledger: Ledger, period: Period = WEEK) -> Report:
    return read_report(ledger, period, None)


def test_what_a_gate_lets_pass_is_good(ledger: Ledger) -> None:
    """With max_failed_ratio=0.05, four of a hundred may fail: in the period, and before it."""
    jobs = nightly(range(-10, 7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, max_failed_ratio=0.05)
    history = only(read(ledger))

    assert (spell(history), history.newest_good_at, history.gates) == ("GGGGGGG", at(6), ("load.gate",))
    assert history.longest_gap is not None
    assert history.longest_gap.length == DAY
    assert not read(ledger).list_attention()


def test_the_newest_good_one_may_lie_before_the_period(ledger: Ledger) -> None:
    jobs = [*nightly(range(-10, -2), **FEW_FAILED), *nightly(range(-2, 7), "failed")]
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, max_failed=4)

    assert only(read(ledger)).newest_good_at == at(-3)


@pytest.mark.parametrize("task", ["gate", None])
def test_of_two_gates_the_stricter_decides(ledger: Ledger, task: str | None) -> None:
    jobs = nightly(range(7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, accept_partial=True, task=task)
    assert spell(only(read(ledger))) == "GGGGGGG"

    guard(ledger, jobs, task="strict")

    assert spell(only(read(ledger))) == "PPPPPPP"
    assert only(read(ledger)).newest_good_at is None


def test_verdicts_of_two_scripts_do_not_mix(ledger: Ledger) -> None:
    """Outside of a task, a name tells them apart; where there is none, what they guard."""
    jobs = nightly(range(7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, task=None, at=NOW - 5 * HOUR, organization_ids=["contoso"], accept_partial=True)
    guard(ledger, jobs, task=None, at=NOW - 4 * HOUR, organization_ids=["fabrikam"])
    assert [spell(each) for each in read(ledger).scopes if each.place.scope.organization_id == "contoso"] == [
        "GGGGGGG"
    ]

    ordinary = {"task": None, "organization_ids": ["contoso"]}
    guard(ledger, jobs, script="strict", at=NOW - 3 * HOUR, **ordinary)
    guard(ledger, jobs, script="lenient", at=NOW - 2 * HOUR, accept_partial=True, **ordinary)
    report = read(ledger)
    assert "PPPPPPP" in map(spell, report.scopes)
    assert len(list(report.gates)) == 4
    assert not report.shut_gates, "a script may have been run once"


def test_each_day_is_judged_by_the_policy_of_its_time(ledger: Ledger) -> None:
    """The first policy that is known stands for the days before it, too."""
    jobs = nightly(range(7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    for hours, limit in ((1, 5), (30, 2), (54, 9)):
        guard(ledger, jobs, at=NOW - hours * HOUR, max_failed=limit)

    assert spell(only(read(ledger))) == "GGGGGPG"


@pytest.mark.parametrize(
    "policy",
    [
        {"organization_ids": ["fabrikam"]},
        {"object_types": ["customer_engagement"]},
        {"product": "m365", "decide_by": "newest"},
        {"tenant": "fabrikam"},
        {"job_type": "audit_backup"},
        {"at": NOW - 60 * DAY},
    ],
    ids=lambda policy: next(iter(policy)),
)
def test_a_gate_of_something_else_changes_nothing(ledger: Ledger, policy: dict[str, Any]) -> None:
    """Another organisation, workload, product, tenant or content, or one that has not judged for weeks."""
    jobs = nightly(range(7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, **{"accept_partial": True} | policy)
    of_jobs = [
        scope for scope in read(ledger).scopes if scope.newest_good_at or scope.counts[Outcome.PARTIAL]
    ]

    assert [(spell(scope), scope.gates) for scope in of_jobs] == [("PPPPPPP", ())]


def test_ids_are_compared_as_gates_compare_them(ledger: Ledger) -> None:
    """A GUID in capital letters and braces is the same organisation."""
    guid = "6ccccccc-ffff-bbbb-8888-aabbccddeeff"
    jobs = nightly(range(7), organization_id=guid, **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, organization_ids=[f"{{{guid.upper()}}}"], accept_partial=True)

    assert spell(only(read(ledger))) == "GGGGGGG"


def test_which_backups_must_be_good_is_what_the_gate_has_decided_by(ledger: Ledger) -> None:
    """A connection of a single tenant says that the newest decides, and the evidence of the gate says so."""
    m365 = {"product": "m365", "organization_id": None, "organization_name": None}
    fields = m365 | {"workload": "exchange_online"}
    jobs = [*nightly(range(7), "failed", **fields), *[job(at(day, 5), **fields) for day in range(7)]]
    fill(ledger, "contoso", jobs)
    assert spell(only(read(ledger))) == "FFFFFFF"

    guard(ledger, jobs, product="m365", single_tenant=True)

    assert spell(only(read(ledger))) == "GGGGGGG"


def test_other_job_types_are_read_where_a_gate_names_them(ledger: Ledger) -> None:
    """An audit log is a scope of its own; an on-demand backup stands for a backup."""
    data = nightly(range(7))
    audit = [job(at(day, 3), "failed", job_type="audit_backup", job_id=f"a{day}") for day in range(7)]
    fill(ledger, "contoso", data)
    fill(ledger, "contoso", audit)
    assert [spell(scope) for scope in read(ledger).scopes] == ["GGGGGGG"]

    guard(ledger, [*data, *audit], job_type=["backup", "audit_backup"])

    found = {scope.place.scope.content: spell(scope) for scope in read(ledger).scopes}
    assert found == {None: "GGGGGGG", "audit_log": "FFFFFFF"}

    names = {"product": "salesforce", "workload": None}
    demanded = [job(at(day), job_type="on_demand_backup", job_id=f"d{day}", **names) for day in range(7)]
    fill(ledger, "sales", demanded)
    guard(ledger, demanded, tenant="sales", product="salesforce", job_type=["backup", "on_demand_backup"])
    assert [spell(each) for each in read(ledger).scopes if each.place.tenant == "sales"] == ["GGGGGGG"]


def test_an_excluded_scope_is_neither_good_nor_bad(ledger: Ledger) -> None:
    """It failed and then stopped; each gate leaves it out. Once another gate judges it, it is bad."""
    jobs = nightly(range(4), "failed")
    fill(ledger, "contoso", jobs)
    exclude = [{"workload": "dynamics_sales", "until": "2026-12-31", "reason": "is being moved"}]
    guard(ledger, jobs, exclude=exclude)
    history = only(read(ledger))

    assert (spell(history), history.expected_days, history.bad_days) == ("XXXXXXX", 0, 0)
    assert (history.current, history.needs_attention) == (Outcome.EXCLUDED, False)
    assert "0 of 1 are good now, and 1 excluded" in read(ledger).summarize()

    guard(ledger, jobs, task="other", max_age=26 * HOUR)
    assert spell(only(read(ledger))) == "FFFFMMM"


def test_an_exclusion_ends(ledger: Ledger) -> None:
    jobs = nightly(range(7), "failed")
    fill(ledger, "contoso", jobs)
    exclude = [{"workload": "dynamics_sales", "until": "2026-11-22", "reason": "was being moved"}]
    guard(ledger, jobs, exclude=exclude, at=NOW - 3 * DAY)

    assert spell(only(read(ledger))) == "XXXXXFF"
    assert only(read(ledger)).current is Outcome.FAILED


def test_a_gate_says_when_a_backup_is_due(ledger: Ledger) -> None:
    """Twice a week, with a gate that asks for four days; and a gate that has found none in its own window."""
    jobs = nightly([0, 3])
    fill(ledger, "contoso", jobs)
    assert spell(only(read(ledger))) == "GMMGMM."
    guard(ledger, jobs, max_age=4 * DAY)
    assert spell(only(read(ledger))) == "G..G..."
    assert only(read(ledger)).expected == "every 4 days"

    guard(ledger, jobs, task="hourly", max_age=HOUR)
    assert spell(only(read(ledger))) == "GMMGMMM"  # an hourly gate says nothing of days, but has missed today


def test_a_scope_that_never_had_a_backup_is_missed(ledger: Ledger) -> None:
    """The gate names it, so the report does, though the ledger holds no job of it."""
    jobs = nightly(range(7))
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, organization_ids=["contoso", "fabrikam"])
    found = {scope.place.scope.organization_id: scope for scope in read(ledger).scopes}

    assert (spell(found["contoso"]), spell(found["fabrikam"])) == ("GGGGGGG", "......M")
    assert found["fabrikam"].needs_attention
    assert "fabrikam: missed; no good backup is known." in read(ledger).list_attention()[0].text


def test_a_gate_alone_is_told_of(ledger: Ledger) -> None:
    """Verdicts are recorded, and jobs are not loaded."""
    guard(ledger, [], organization_ids=["fabrikam"])
    guard(ledger, [], organization_ids=["long gone"], task="old", at=NOW - 60 * DAY)

    assert [scope.place.scope.organization_id for scope in read(ledger).scopes] == ["fabrikam"]


def test_a_shut_gate_needs_attention(ledger: Ledger) -> None:
    """Its newest verdict did not pass. One has opened again, and one has ceased to judge."""
    bad, good = nightly(range(7), "failed"), nightly(range(7))
    guard(ledger, bad, task="shut")
    guard(ledger, bad, task="monthly", at=NOW - 20 * DAY)
    guard(ledger, bad, task="opened", at=NOW - 2 * DAY)
    guard(ledger, good, task="opened")
    for days in (12, 11, 10):
        guard(ledger, bad, task="retired", at=NOW - days * DAY)
    guard(ledger, bad, task=None)
    report = read(ledger, Period(now=NOW, days=30))
    said = [(each.is_urgent, each.text.partition("365: ")[2]) for each in report.list_attention()]

    assert [each for each in said if "gate" in each[1]] == [
        (
            True,
            "the gate load.monthly was shut on 2026-11-02 09:30 UTC, and has not opened since: clock_skew.",
        ),
        (True, "the gate load.shut was shut on 2026-11-22 08:30 UTC, and has not opened since: failed."),
        (False, "the gate load.retired has not judged since 2026-11-12 09:30 UTC."),
    ]


def test_many_shut_gates_are_counted(ledger: Ledger) -> None:
    for number in range(7):
        guard(ledger, nightly(range(7), "failed"), task=f"gate{number}")

    assert any(each.text == "2 more gates were shut." for each in read(ledger).list_attention())


def test_evidence_of_another_release_is_no_policy(ledger: Ledger) -> None:
    """A policy with an argument that this release does not know guards nothing, and the report is written."""
    jobs = nightly(range(7), **FEW_FAILED)
    fill(ledger, "contoso", jobs)
    guard(ledger, jobs, accept_partial=True)
    with writing(ledger._engine) as connection:
        (evidence,) = connection.execute(select(VERDICTS.c.evidence)).scalars()
        connection.execute(
            update(VERDICTS).values(evidence=evidence.replace('"fail_fast"', '"a_later_argument"'))
        )

    report = read(ledger)
    assert spell(only(report)) == "PPPPPPP"
    (told,) = (each for each in report.list_attention() if "understood" in each.text)
    assert told.is_urgent
    assert told.text == (
        "contoso, Cloud Backup for Dynamics 365: the newest verdict of load.gate is not understood, and only "
        "verdicts before it count. If a newer release of the provider wrote it, update the provider here, "
        "too."
    )


def test_a_verdict_that_is_not_understood_is_told_while_it_is_the_newest(ledger: Ledger) -> None:
    """Not of a gate that has judged since, nor of one that has stopped long ago."""
    jobs = nightly(range(7))
    fill(ledger, "contoso", jobs)
    for task, days in (("now", 0), ("since", 1), ("retired", 46)):
        guard(ledger, jobs, task=task, at=NOW - DAY * days)
    with writing(ledger._engine) as connection:
        connection.execute(update(VERDICTS).values(evidence="{}"))
    guard(ledger, jobs, task="now", at=NOW - 2 * DAY)
    guard(ledger, jobs, task="since")

    report = read(ledger, Period(now=NOW, days=90))
    told = [each.text.partition(" is not understood")[0] for each in report.list_attention()]
    assert [each for each in told if "newest verdict" in each] == [
        "contoso, Cloud Backup for Dynamics 365: the newest verdict of load.now"
    ]
    assert {gate.name for gate in report.gates} == {"load.now", "load.since"}


def test_elements_is_reported(ledger: Ledger) -> None:
    """A check of this product takes the customers' ids; those of the day are taken."""
    names = {"product": "elements", "workload": "exchange_online"}
    jobs = [*nightly(range(7), **names), *nightly(range(7), "failed", organization_id="b", **names)]
    fill(ledger, "partner", jobs)

    assert {scope.place.scope.organization_id: spell(scope) for scope in read(ledger).scopes} == {
        "contoso": "GGGGGGG",
        "b": "FFFFFFF",
    }


LONDON = Period(now=NOW, days=42, timezone=ZoneInfo("Europe/London"))


def of_period(history: ScopeHistory) -> str:
    return spell(history).strip(".")


def test_days_are_those_of_the_time_zone(ledger: Ledger) -> None:
    """Midnight in London over the change of the clocks: each day has a backup; in UTC one day has two."""
    midnights = [datetime(2026, 11, 22, tzinfo=LONDON.timezone) - DAY * back for back in reversed(range(42))]
    fill(ledger, "contoso", [job(each.astimezone(UTC)) for each in midnights])

    history = only(read(ledger, LONDON))
    assert (spell(history), {day.backups for day in history.days}) == ("G" * 42, {1})
    in_utc = only(read(ledger, Period(now=NOW, days=42)))
    assert (in_utc.counts[Outcome.MISSED], in_utc.counts[Outcome.GOOD]) == (0, 41)
    assert LONDON.start == datetime(2026, 10, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(("days", "missed"), [(42, 0), (7, 0)])
def test_weekly_backups_miss_nothing(ledger: Ledger, days: int, missed: int) -> None:
    """A short report knows the weeks before it."""
    fill(ledger, "contoso", [job(at(6) - 7 * DAY * back) for back in range(6)])
    history = only(read(ledger, Period(now=NOW, days=days)))

    assert (history.counts[Outcome.MISSED], history.expected) == (missed, "on Su")
    assert not history.needs_attention


def test_nights_around_midnight_miss_nothing(ledger: Ledger) -> None:
    """At 00:00, give or take four seconds: some days have two backups and some have none."""
    seconds = [(each * 7) % 9 - 4 for each in range(42)]
    fill(
        ledger,
        "contoso",
        [
            job(night + timedelta(seconds=each))
            for night, each in zip(nights(42, hour=0), seconds, strict=True)
        ],
    )

    assert only(read(ledger, Period(now=NOW, days=42))).counts[Outcome.MISSED] == 0


KINDS: list[tuple[str, dict[str, Any]]] = [
    *((state.value, {}) for state in JobState),
    ("partial", FEW_FAILED),
    ("success", {"counts": Counts(total=5, successful=4, failed=1)}),
    ("success", {"counts": Counts(total=5, successful=0, failed=0)}),
    ("success", {"errors": (JobError(message="locked"),)}),
    ("success", {"finished_at": at(4)}),
    ("failed", {"finished_at": NOW + DAY}),
    ("partial", {"job_type": "audit_backup"}),
]


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [{"max_failed_ratio": 0.05}, {"accept_partial": True, "decide_by": "all", "task": "other"}],
        [{"exclude": [{"organization_id": "org1", "until": "2027-01-01", "reason": "moving"}]}],
        [{"job_type": ["audit_backup"]}],
        [{"job_type": ["backup", "audit_backup"], "organization_ids": ["org2", "org8"]}],
    ],
)
def test_a_backup_alone_on_its_day_is_judged_by_the_same_rules(
    ledger: Ledger, policies: list[dict[str, Any]]
) -> None:
    """On a day on which scopes share an id, the rules see all backups of the product together."""
    jobs = [
        job(at(5, 1 + number / 60), **{"state": state, "organization_id": f"org{number}"} | fields)
        for number, (state, fields) in enumerate(KINDS)
    ]
    fill(ledger, "contoso", jobs)
    for policy in policies:
        guard(ledger, jobs, **policy)
    alone = {scope.place: scope for scope in read(ledger).scopes}
    fill(
        ledger, "contoso", [job(at(5), "failed", job_id="same", organization_id=each) for each in ("a", "b")]
    )
    together = {scope.place: scope for scope in read(ledger).scopes}

    assert len(alone) >= len(KINDS) - 1  # an audit log is a backup for the gates that say so
    assert alone == {place: scope for place, scope in together.items() if place in alone}
