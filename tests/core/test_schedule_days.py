"""What several readings of the schedule tell of a day, and what a gate makes of past days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.questions import Circumstances, KnownDays
from airflow_provider_avepoint.core.schedule import (
    BackupSchedule,
    DaySchedule,
    ServiceSchedule,
    merge_days,
    split_into_days,
)
from airflow_provider_avepoint.core.verdict import Policy, Verdict, judge

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
TODAY = MIDNIGHT.date()


def at(hours: float) -> datetime:
    """Return a time by its hours since midnight of the day."""
    return MIDNIGHT + hours * HOUR


def reading(read: float, location: str | None = None, **services: Iterable[float]) -> BackupSchedule:
    """Return an answer that came at an hour, with the hours of each service."""
    return BackupSchedule(
        product="m365",
        location=location,
        read_at=at(read),
        services=tuple(
            ServiceSchedule(service=name, runs_a_day=len(list(hours)), starts=tuple(map(at, hours)))
            for name, hours in services.items()
        ),
    )


def combine(*readings: BackupSchedule) -> dict[date, DaySchedule]:
    """Return what is known of each day after readings that were kept in this order."""
    known: dict[date, DaySchedule] = {}
    for each in readings:
        for told in split_into_days(each):
            known[told.day] = merge_days(known[told.day], told) if told.day in known else told
    return known


def hours(day: DaySchedule) -> dict[str, list[float]]:
    return {each.service: [(start - MIDNIGHT) / HOUR for start in each.starts] for each in day.services}


FOUR = [0, 6, 12, 18]
READINGS: list[tuple[str, list[BackupSchedule], dict[str, list[float]]]] = [
    ("one", [reading(5, teams=FOUR)], {"teams": FOUR}),
    ("twice", [reading(5, teams=FOUR), reading(5, teams=FOUR)], {"teams": FOUR}),
    ("nothing is scheduled", [reading(5)], {}),
    ("scheduled without a start", [reading(5, teams=[])], {"teams": []}),
    ("switched off after its start", [reading(5, teams=[4]), reading(12)], {"teams": [4]}),
    ("switched off before its start", [reading(5, teams=[15]), reading(12)], {}),
    ("switched off nobody knows when", [reading(3, teams=[4]), reading(12)], {}),
    ("at the very start", [reading(4, teams=[4]), reading(12)], {"teams": [4]}),
    ("switched on", [reading(5), reading(12, teams=[18])], {"teams": [18]}),
    (
        "switched off and on",
        [reading(1, teams=FOUR), reading(7), reading(13, teams=[18])],
        {"teams": [0, 18]},
    ),
    ("changed at noon", [reading(11, teams=FOUR), reading(13, teams=[20])], {"teams": [0, 6, 20]}),
    # Who sees the old starts with new eyes does not make them due.
    ("more often since noon", [reading(11, teams=[20]), reading(13, teams=FOUR)], {"teams": [12, 18]}),
    ("the older one comes later", [reading(13, teams=[20]), reading(11, teams=FOUR)], {"teams": [20]}),
    ("another service", [reading(5, teams=[4]), reading(12, onedrive=[9])], {"teams": [4], "onedrive": [9]}),
    # Around midnight: the starts tell the day.
    ("read late", [reading(23.9, teams=FOUR), reading(24.1, teams=FOUR)], {"teams": FOUR}),
    ("read early", [reading(-0.1, teams=FOUR), reading(5, teams=FOUR)], {"teams": FOUR}),
    # A part of the day, in an answer that is of another one.
    ("a part, then all", [reading(-9, teams=[-3, 3]), reading(5, teams=[4])], {"teams": [3, 4]}),
    ("all, then a part", [reading(5, teams=[4]), reading(30, teams=[22, 28])], {"teams": [4, 22]}),
    ("two parts", [reading(-9, teams=[-3, 3], word=[-2]), reading(30, teams=[22, 28])], {"teams": [3, 22]}),
]


def test_several_readings_of_a_day() -> None:
    for name, readings, expected in READINGS:
        day = combine(*readings)[TODAY]
        assert (name, hours(day)) == (name, expected)
        assert (day.read_at is None) is (name == "two parts"), name
        assert day.list_starts("nobody's") == ()


def test_a_service_that_is_listed_twice_has_all_starts() -> None:
    one, other = reading(5, teams=[4]), reading(5, teams=[6, 7])
    both = BackupSchedule(product="m365", read_at=at(5), services=(*one.services, *other.services))
    (service,) = combine(both)[TODAY].services

    assert ((at(4), at(6), at(7)), 2) == (service.starts, service.runs_a_day)


def test_an_answer_of_another_day_leaves_today_unknown() -> None:
    """Such as one right after midnight, by a server that still thinks of yesterday."""
    assert [date(2026, 11, 21)] == list(combine(reading(0.01, teams=[-20, -2])))
    assert [TODAY] == list(combine(reading(0.01)))


# What a gate makes of past days.
NOW = at(18)


def backup(start: float, workload: str = "teams", state: str = "success") -> BackupJob:
    return BackupJob(
        product="m365",
        job_id=f"{workload}{start}",
        job_type="backup",
        workload=workload,
        state=JobState(state),
        started_at=at(start),
        finished_at=at(start + 0.5),
    )


def look(jobs: list[BackupJob], today: BackupSchedule, *past: BackupSchedule, **policy: Any) -> Verdict:
    """Judge by today's answer and by the answers that were kept, today's among them."""
    asked = Policy(
        **{
            "product": "m365",
            "max_age": 48 * 3600,
            "decide_by": "newest",
            "expect_scheduled": True,
            **policy,
        }
    )
    days = tuple(combine(*past, today).values())
    known = Circumstances(dict(zip(asked.questions(), [today], strict=True)), KnownDays(days=days))
    return judge(jobs, asked, NOW, circumstances=known)


GOOD = [backup(9)]
PAST: list[tuple[str, list[BackupJob], BackupSchedule, list[BackupSchedule], str, list[float]]] = [
    ("nobody has read yesterday", GOOD, reading(18, teams=[9]), [], "passed", []),
    ("yesterday's was missed", GOOD, reading(18, teams=[9]), [reading(-5, teams=[-15])], "missed", [-15]),
    (
        "yesterday's ran",
        [*GOOD, backup(-14.9)],
        reading(18, teams=[9]),
        [reading(-5, teams=[-15])],
        "passed",
        [],
    ),
    ("before the window", GOOD, reading(18, teams=[9]), [reading(-35, teams=[-31])], "passed", []),
    ("not scheduled yesterday", GOOD, reading(18, teams=[9]), [reading(-5)], "passed", []),
    ("another service's", GOOD, reading(18, teams=[9]), [reading(-5, word=[-15])], "passed", []),
    ("switched off today, ran before", [backup(-9)], reading(18), [reading(-5, teams=[-9])], "passed", []),
    ("switched off today, never ran", [], reading(18), [reading(-5, teams=[-9])], "missed", [-9]),
    ("ran late, then switched off", GOOD, reading(18), [reading(5, teams=[4, 15])], "passed", []),
    ("due before it was switched off", GOOD, reading(18), [reading(15, teams=[14])], "missed", [14]),
    ("late in the day", GOOD, reading(18, teams=[9]), [reading(-20, teams=[-1.5])], "missed", [-1.5]),
    (
        "the day turned a moment ago",
        GOOD,
        reading(18, teams=[9]),
        [reading(0.01, teams=[-3])],
        "missed",
        [-3],
    ),
]


def test_due_runs_of_past_days() -> None:
    for name, jobs, today, past, reason, missed in PAST:
        verdict = look(jobs, today, *past)
        runs = [each for scope in verdict.scopes for each in scope.missed_runs]
        assert (name, reason, [at(each) for each in missed]) == (name, verdict.reason.value, runs)


def test_a_location_has_a_schedule_of_its_own() -> None:
    asked = Policy(product="m365", max_age="2d", locations=["NAM", "EUR"], expect_scheduled=True)
    nam, eur = reading(18, "NAM", teams=[23]), reading(18, "EUR", teams=[23])
    days = split_into_days(reading(-5, "NAM", teams=[-15]))
    known = Circumstances(dict(zip(asked.questions(), [nam, eur], strict=True)), KnownDays(days=tuple(days)))
    verdict = judge([], asked, NOW, circumstances=known)

    assert {"teams / NAM": [at(-15)], "teams / EUR": []} == {
        str(each.scope): list(each.missed_runs) for each in verdict.scopes if each.scope.workload == "teams"
    }


def test_the_evidence_says_which_days_are_known() -> None:
    """A window of years is a few ranges."""
    window = {"max_age": None, "started_after": "2020-01-01T00:00:00+14:00"}
    past = [reading(-24 * ago, teams=[]) for ago in (1, 2, 4)]
    (days,) = look(GOOD, reading(18, teams=[9]), *past, **window).as_dict()["schedule_days"]

    assert days == {
        "location": None,
        "known": [["2026-11-18", "2026-11-18"], ["2026-11-20", "2026-11-22"]],
        "unknown": [["2019-12-31", "2026-11-17"], ["2026-11-19", "2026-11-19"]],
    }
    (yesterdays,) = look(GOOD, reading(18, teams=[-2])).as_dict()["schedule_days"]
    assert (yesterdays["known"], yesterdays["unknown"]) == (
        [["2026-11-21", "2026-11-21"]],
        [["2026-11-20", "2026-11-20"], ["2026-11-22", "2026-11-22"]],
    )


def test_a_ledger_that_is_away_opens_no_gate() -> None:
    """A bad verdict needs no past day; a good one is not given."""
    asked = Policy(product="m365", max_age="2d", decide_by="newest", expect_scheduled=True)
    error = AvePointLedgerError("The database is away.")
    readings = dict(zip(asked.questions(), [reading(18, teams=[9])], strict=True))
    known = Circumstances(readings, KnownDays(error=error))

    with pytest.raises(AvePointLedgerError, match="is away"):
        judge(GOOD, asked, NOW, circumstances=known)
    verdict = judge([backup(9, state="failed")], asked, NOW, circumstances=known)
    assert verdict.reason.value == "failed"
    assert verdict.warnings == [
        "m365: the schedule of past days cannot be read, so nothing passes: The database is away."
    ]
