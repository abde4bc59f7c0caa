"""The verdict with the schedule and unusual activity: a table of cases, and what the verdict says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.activity import ActivityCounts, UnusualActivity
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.questions import Circumstances, Question, Topic
from airflow_provider_avepoint.core.schedule import BackupSchedule, ServiceSchedule
from airflow_provider_avepoint.core.verdict import Policy, Verdict, judge

from .tables import each_row

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
DAY = 86400
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    """Return a time of today."""
    return NOW.replace(hour=0) + hours * HOUR


def job(
    start: float | None, state: str = "success", workload: str | None = "teams", **given: Any
) -> BackupJob:
    """Return a job of Microsoft 365 that started at an hour of today and took half an hour."""
    started_at = None if start is None else at(start)
    finished_at = started_at and started_at + HOUR / 2
    fields = {
        "product": "m365",
        "job_id": f"{workload}{state}{start}",
        "job_type": "backup",
        "workload": workload,
        "state": JobState(state),
        "started_at": started_at,
        "finished_at": finished_at if JobState(state).is_terminal else None,
    }
    return BackupJob(**(fields | given))


def schedule(location: str | None = None, **services: Iterable[float]) -> BackupSchedule:
    """Return a schedule: the hours of today at which each service is due."""
    return BackupSchedule(
        product="m365",
        location=location,
        read_at=NOW,
        services=tuple(
            ServiceSchedule(service=name, runs_a_day=1, starts=tuple(map(at, hours)))
            for name, hours in services.items()
        ),
    )


def activity(product: str = "m365", *counts: ActivityCounts) -> UnusualActivity:
    return UnusualActivity(
        product=product, detected_after=at(-9), detected_before=NOW, read_at=NOW, counts=counts
    )


def look(jobs: Iterable[BackupJob], *readings: BackupSchedule | UnusualActivity, **policy: Any) -> Verdict:
    """Judge, and give the readings as the answers to the policy's questions, in their order."""
    asked = Policy(**{"product": "m365", "max_age": DAY, "decide_by": "newest", **policy})
    known = Circumstances(dict(zip(asked.questions(), readings, strict=True)))
    return judge(jobs, asked, NOW, circumstances=known)


def reasons(verdict: Verdict) -> dict[str, str]:
    return {str(each.scope): each.reason.value for each in verdict.scopes}


# Schedule.
@each_row(
    ("jobs", "due", "reason", "missed"),
    [
        # Answered: started then or later, before the next time, or running over it, in whatever state.
        ([job(6.5)], [6], "passed", []),
        ([job(7)], [6], "passed", []),
        ([job(5.95)], [6], "passed", []),
        ([job(5), job(6.2, "failed"), job(9)], [6], "passed", []),
        ([job(5, finished_at=at(8))], [6], "passed", []),
        ([job(5, finished_at=at(6))], [6], "passed", []),
        ([job(6, "skipped"), job(9)], [6], "passed", []),
        ([job(2, "running"), job(9)], [6], "passed", []),
        ([job(None, "waiting"), job(9)], [6], "passed", []),
        # A job that runs for days answers its own run and what is due within 23 hours; the next day's run is
        # answered when it has ended.
        ([job(-18, "running"), job(3)], [4.9], "passed", []),
        ([job(-18, "running"), job(3)], [5, 12], "missed", [5, 12]),
        ([job(-18, finished_at=at(12)), job(3)], [5, 12], "passed", []),
        ([job(9)], [], "passed", []),
        ([job(7.1)], [6], "passed", []),
        ([job(5, finished_at=at(5.9)), job(9)], [6], "passed", []),
        ([job(11.2)], [6, 12], "missed", [12]),
        # Not answered.
        ([job(5.8, finished_at=at(5.9))], [6], "missed", [6]),
        ([job(0.1), job(12.2)], [0, 6, 12], "missed", [6]),
        ([job(0.1)], [0, 6, 12], "missed", [6, 12]),
        ([job(5, "stopped", finished_at=at(5.5)), job(5.2)], [6], "missed", [6]),
        # A job that waits for a start to come has answered nothing.
        ([job(9), job(23, "waiting")], [17], "missed", [17]),
        # Not due: still to come, or its tolerance has not passed, or before the window.
        ([job(9)], [17.5, 18, 23], "passed", []),
        ([job(9)], [17], "missed", [17]),
        ([job(9)], [-7], "passed", []),
        # A reason of the jobs themselves stays.
        ([job(9, "failed")], [12], "failed", [12]),
        ([job(9, "running", finished_at=at(10))], [12], "running", [12]),
        ([job(9, "unknown", finished_at=at(10))], [12], "unknown_state", [12]),
        ([], [6], "missed", [6]),
    ],
)
def test_a_run_that_no_job_answers(
    jobs: list[BackupJob], due: list[float], reason: str, missed: list[float]
) -> None:
    verdict = look(jobs, schedule(teams=due), expect_scheduled=True)
    (scope,) = verdict.scopes

    assert (reason, [at(each) for each in missed]) == (scope.reason.value, list(scope.missed_runs))
    assert verdict.passed is (reason == "passed")
    written = json.loads(json.dumps(verdict.as_dict()))
    assert written["scopes"][0].get("missed_runs", []) == [at(each).isoformat() for each in missed]
    assert len(written["schedules"]) == 1


def test_a_missed_run_is_not_settled_and_is_named() -> None:
    """It may be listed late, and it may start late."""
    verdict = look([job(9)], schedule(teams=[12]), expect_scheduled=True)

    assert not verdict.is_settled
    assert "teams: missed, no job answers the backup due 2026-11-22 12:00:00 UTC" in verdict.describe()
    assert "teams: missed, no job answers the backup due" in str(verdict.scopes[0])


def test_a_run_before_the_cut_off_is_of_another_night() -> None:
    window = {"max_age": None, "started_after": at(7)}
    assert look([job(9)], schedule(teams=[6, 9]), expect_scheduled=True, **window).passed


def test_every_scheduled_service_is_expected() -> None:
    """Not one without a backup a day, nor one that is scheduled and that no job can be asked for."""
    services = schedule(teams=[], onedrive=[], private_channel=[3], **{"15": [3]})
    services = BackupSchedule(
        product="m365",
        read_at=NOW,
        services=(*services.services, ServiceSchedule(service="power_bi", runs_a_day=0)),
    )
    verdict = look([job(9)], services, expect_scheduled=True)

    assert reasons(verdict) == {"teams": "passed", "onedrive": "missed"}
    (warning,) = verdict.warnings
    assert warning == "m365: scheduled, but no job can be asked for by this service: 15; private_channel."


def test_object_types_leave_out_the_others() -> None:
    verdict = look([job(9)], schedule(teams=[], onedrive=[]), expect_scheduled=True, object_types=["teams"])
    assert reasons(verdict) == {"teams": "passed"}


@each_row(
    ("jobs", "reason", "is_settled"),
    [
        ([], "not_scheduled", True),
        ([job(-48)], "not_scheduled", True),
        ([job(9, "skipped")], "not_scheduled", True),
        # Jobs that are there speak for themselves: a good backup is good.
        ([job(9)], "passed", False),
        ([job(9, "failed")], "failed", True),
        ([job(9, "running")], "running", False),
    ],
)
def test_a_named_service_that_is_not_scheduled(
    jobs: list[BackupJob],
    reason: str,
    is_settled: bool,  # noqa: FBT001
) -> None:
    for services in ({"onedrive": []}, {}):
        verdict = look(jobs, schedule(**services), expect_scheduled=True, object_types="teams")

        assert reasons(verdict) == {"teams": reason}
        assert (verdict.is_settled, verdict.reason) == (is_settled, reason)
    if reason == "not_scheduled":
        assert "teams: not_scheduled, no backup is scheduled" in verdict.describe()
        assert "Schedule the backup of this service" in verdict.describe()


def test_a_service_seen_lately_and_scheduled_no_more_is_judged_as_before() -> None:
    """Nobody named the service, and its jobs make it expected."""
    verdict = look([job(-48), job(9, workload="onedrive")], schedule(onedrive=[]), expect_scheduled=True)
    assert reasons(verdict) == {"onedrive": "passed", "teams": "stale"}


def test_each_location_has_its_own_schedule() -> None:
    jobs = [job(9, location="EUR"), job(9, job_id="other", location="NAM")]
    verdict = look(
        jobs,
        schedule("EUR", teams=[9]),
        schedule("NAM", teams=[12], onedrive=[]),
        expect_scheduled=True,
        locations=["EUR", "NAM"],
    )
    assert reasons(verdict) == {
        "teams / EUR": "passed",
        "teams / NAM": "missed",
        "onedrive / NAM": "missed",
    }


def test_an_excluded_scope_stays_excluded() -> None:
    excluded = [{"workload": "teams", "until": "2999-12-31", "reason": "moving"}]
    verdict = look(
        [job(9, workload="onedrive")],
        schedule(teams=[6], onedrive=[9]),
        expect_scheduled=True,
        exclude=excluded,
    )
    assert reasons(verdict) == {"onedrive": "passed", "teams": "excluded"}
    assert verdict.passed


def test_without_the_schedule_nothing_is_judged() -> None:
    """Neither where nobody has asked, nor where one location's answer is missing."""
    policy = Policy(product="m365", max_age=DAY, expect_scheduled=True, locations=["EUR", "NAM"])
    question = Question(topic=Topic.SCHEDULE, product="m365", location="EUR")
    for known in (None, Circumstances(), Circumstances({question: schedule("EUR", teams=[])})):
        with pytest.raises(AvePointConfigError, match=r"expect_scheduled.*questions"):
            judge([job(9)], policy, NOW, circumstances=known)
    with pytest.raises(AvePointConfigError, match="max_unusual"):
        judge([job(9)], Policy(product="m365", max_age=DAY, max_unusual=0), NOW)


def seen(alarm: int, service: str = "sharepoint_online", **fields: Any) -> ActivityCounts:
    return ActivityCounts(service=service, ransomware=alarm, unusual=0, alarm=alarm, **fields)


# Unusual activity.
@each_row(
    ("counts", "limit", "reason"),
    [
        ([], 0, "passed"),
        ([seen(0)], 0, "passed"),
        ([seen(1)], 0, "unusual_activity"),
        ([seen(5)], 5, "passed"),
        ([seen(6)], 5, "unusual_activity"),
        ([seen(3), seen(3, "onedrive")], 5, "passed"),
        ([seen(0), seen(9, "onedrive")], 5, "unusual_activity"),
        # Of a service that nobody judges here: under which service the files of a team count is not told.
        ([seen(9, "15")], 5, "unusual_activity"),
    ],
)
def test_either_count_above_the_limit_shuts_the_gate(
    counts: list[ActivityCounts], limit: int, reason: str
) -> None:
    verdict = look([job(9)], activity("m365", *counts), max_unusual=limit)

    assert (reason, reasons(verdict)) == (verdict.reason, {"teams": reason})
    written = json.loads(json.dumps(verdict.as_dict()))
    assert [each["alarm"] for each in written["unusual_activity"][0]["counts"]] == [
        each.alarm for each in counts
    ]
    shown = written["scopes"][0].get("unusual_activity", [])
    assert [each["alarm"] for each in shown] == [each.alarm for each in counts if each.alarm > limit]
    assert not verdict.is_settled  # it may be over tomorrow


def test_the_message_names_the_counts_and_what_to_do() -> None:
    text = look([job(9)], activity("m365", seen(7)), max_unusual=0).describe()

    assert text.startswith("m365: unusual_activity: 0 of 1 scopes good.\n- teams: unusual_activity, ")
    assert "sharepoint_online: 7 ransomware" in text
    assert "before you delete or overwrite anything" in text


def test_a_scope_that_is_bad_stays_so_and_shows_the_counts() -> None:
    jobs = [job(9, "failed"), job(9, workload="onedrive")]
    verdict = look(jobs, activity("m365", seen(7)), max_unusual=0)

    assert reasons(verdict) == {"onedrive": "unusual_activity", "teams": "failed"}
    assert ("unusual_activity", True) == (verdict.reason, verdict.is_settled)
    assert all(scope.unusual for scope in verdict.scopes)


def test_no_backup_and_an_alarm_is_no_backup() -> None:
    verdict = look([], activity("m365", seen(7)), max_unusual=0)
    assert (verdict.passed, verdict.reason) == (False, "missed")


def test_what_is_excluded_is_no_alarm_until_its_day() -> None:
    for until, passed in (("2026-11-23", True), ("2026-11-22", False)):
        excluded = [{"workload": "sharepoint_online", "until": until, "reason": "a known migration"}]
        verdict = look([job(9)], activity("m365", seen(7)), max_unusual=0, exclude=excluded)
        assert verdict.passed is passed


def test_an_alarm_shuts_the_scope_of_its_own_organisation() -> None:
    """One of an organisation that no scope has shuts every scope: its id may be spelled otherwise."""
    jobs = [
        job(9, workload=None, product="salesforce", organization_id=each, job_id=each) for each in ("a", "b")
    ]
    for organization, shut in (("a", ["a"]), ("c", ["a", "b"]), (None, ["a", "b"])):
        counts = ActivityCounts(organization_id=organization, suspicious=3, alarm=3)
        verdict = look(jobs, activity("salesforce", counts), product="salesforce", max_unusual=0)
        assert shut == [
            each.scope.organization_id for each in verdict.scopes if each.reason == "unusual_activity"
        ]


def test_both_together() -> None:
    verdict = look(
        [job(9)],
        schedule(teams=[12], onedrive=[]),
        activity("m365", seen(7)),
        max_unusual=0,
        expect_scheduled=True,
    )
    assert reasons(verdict) == {"teams": "missed", "onedrive": "missed"}
    assert verdict.reason == "missed"


# Questions.
def test_each_policy_asks_what_it_needs() -> None:
    def asked(location: str | None = None, **policy: Any) -> list[tuple[str, str | None, str | None]]:
        questions = Policy(**{"product": "m365", "max_age": DAY, **policy}).questions(location=location)
        return [(each.topic.value, each.organization_id, each.location) for each in questions]

    assert asked() == asked(product="dynamics365", location="NAM") == []
    assert asked(expect_scheduled=True) == [("schedule", None, None)]
    assert asked("NAM", expect_scheduled=True) == [("schedule", None, "NAM")]
    assert asked("NAM", expect_scheduled=True, max_unusual=0, locations=["EUR", "GBR"]) == [
        ("schedule", None, "EUR"),
        ("schedule", None, "GBR"),
        ("activity", None, "EUR"),
        ("activity", None, "GBR"),
    ]
    assert asked(product="salesforce", max_unusual=0) == [("activity", None, None)]
    assert asked(product="salesforce", max_unusual=0, organization_ids=["a", "b"]) == [
        ("activity", "a", None),
        ("activity", "b", None),
    ]
    assert asked(product="elements", max_unusual=0, organization_ids="c") == [("activity", "c", None)]


def test_arguments_that_do_not_fit_the_product() -> None:
    for policy, match in (
        ({"product": "dynamics365", "expect_scheduled": True}, r"expect_scheduled: .*can: m365\."),
        ({"product": "m365_legacy", "expect_scheduled": "true"}, r"expect_scheduled: .*can: m365\."),
        ({"product": "aos_scan", "max_unusual": 0}, r"max_unusual: .*can: m365, salesforce, elements\."),
        (
            {"product": "elements", "organization_ids": "c", "max_unusual": 0, "unusual_within": "2d"},
            "unusual_within.*7 days",
        ),
        ({"product": "m365", "max_unusual": 0, "unusual_within": None}, "unusual_within is None"),
    ):
        with pytest.raises(AvePointConfigError, match=match):
            Policy(**{"max_age": DAY, **policy})  # type: ignore[arg-type]  # each case has its own types
