"""The report by the schedules that gates have kept: runs that did not start, services that vanished."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.schedule import BackupSchedule, ServiceSchedule
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger, LoadPoint, Stream
from airflow_provider_avepoint.ledger.tables import SCHEDULES
from airflow_provider_avepoint.report.backups import LETTERS, Period
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights

MIDNIGHT = NOW.replace(hour=0, minute=0)
NAME = "contoso, Cloud Backup for Microsoft 365"
WAS = "It was on 2026-11-18 (UTC); the schedule of"
LAST, KNOWS = "the last of these was due", "the ledger knows no backup of it; one was due"


def exchange(start: datetime | None, state: str = "success", **fields: object) -> BackupJob:
    named = {"product": "m365", "workload": "exchange_online", "organization_id": None}
    return job(start, state, **named | {"organization_name": None} | fields)


def keep(
    ledger: Ledger, back: int, services: dict[str, Iterable[int]], *, location: str | None = None
) -> None:
    """Keep the schedule of one day: the hours of each service; it was read at the end of the day, or now."""
    midnight = MIDNIGHT - DAY * back
    ledger.save_schedule(
        "contoso",
        BackupSchedule(
            product="m365",
            location=location,
            read_at=min(NOW, midnight + DAY - HOUR),
            services=tuple(
                ServiceSchedule(
                    service=name,
                    runs_a_day=len(list(hours)),
                    starts=tuple(midnight + HOUR * hour for hour in hours),
                )
                for name, hours in services.items()
            ),
        ),
    )


def read(ledger: Ledger, days: int = 7, now: datetime = NOW) -> Report:
    return read_report(ledger, Period(now=now, days=days), None)


def spell(report: Report) -> str:
    (scope,) = report.scopes
    return "".join("." if day.outcome is None else LETTERS[day.outcome] for day in scope.days)


def told(report: Report) -> list[tuple[str, bool]]:
    return [(each.text, each.is_urgent) for each in report.list_attention() if "schedule" in each.text]


def test_a_scheduled_run_that_did_not_start_is_missed(ledger: Ledger) -> None:
    """A day with another good backup too: who has planned two backups a day wants both."""
    for back in range(7):
        keep(ledger, back, {"exchange_online": [1, 7]})
    starts = [night + HOUR * hour for night in nights(7, hour=0) for hour in (1, 7)]
    for absent in (3, 8):
        starts[absent] = starts[0]  # the same job once more
    fill(ledger, "contoso", [exchange(start + timedelta(minutes=20)) for start in starts])

    report = read(ledger)

    assert spell(report) == "GMGGMGG"
    assert report.scopes[0].current == "good"
    assert told(report) == [
        (
            f"{NAME}, exchange_online: 2 of 14 scheduled backups did not start; {LAST} 2026-11-20 01:00 UTC.",
            False,
        )
    ]


def test_the_newest_run_decides_the_present(ledger: Ledger) -> None:
    keep(ledger, 0, {"exchange_online": [1, 7]})
    fill(ledger, "contoso", [exchange(night) for night in nights(7)])

    missed = read(ledger)
    fill(ledger, "contoso", [exchange(MIDNIGHT + 9 * HOUR, "running")])
    late = read(ledger)

    assert (missed.scopes[0].current, missed.scopes[0].needs_attention) == ("missed", True)
    assert "0 of 1 are good now" in missed.summarize()
    ((text, is_urgent),) = told(missed)
    assert "1 of 2 scheduled backups did not start; the last of these was due 2026-11-22 07:00" in text
    assert is_urgent
    assert told(late) == []  # a late backup is missed until it starts


def test_the_present_does_not_depend_on_the_length_of_the_period(ledger: Ledger) -> None:
    keep(ledger, 2, {"exchange_online": [1], "onedrive": [1]})
    keep(ledger, 1, {"exchange_online": [1, 7]})
    fill(ledger, "contoso", [exchange(night) for night in nights(9, until=NOW - DAY)])

    day, week = (read(ledger, days=days) for days in (1, 7))

    assert [each.scopes[0].current for each in (day, week)] == ["missed", "missed"]
    ((text, is_urgent),) = [each for each in told(day) if "newest" in each[0]]
    assert text.endswith("the newest scheduled backup did not start; it was due 2026-11-21 07:00 UTC.")
    assert is_urgent
    assert [sum("no longer scheduled" in text for text, _ in told(each)) for each in (day, week)] == [1, 1]


def test_what_answers_a_run(ledger: Ledger) -> None:
    """As for a gate: a start before the next run, or one that still ran; nothing is due within the hour."""
    at = MIDNIGHT - DAY
    cases: dict[str, tuple[list[int], list[BackupJob], int]] = {
        "in time": ([1], [exchange(at + HOUR)], 0),
        "five hours late": ([1], [exchange(at + 6 * HOUR)], 0),
        "the next day": ([1], [exchange(at + 26 * HOUR)], 1),  # which mends the present
        "before": ([3], [exchange(at + HOUR, finished_at=at + 2 * HOUR)], 1),
        "runs on": ([3], [exchange(at + HOUR, finished_at=at + 5 * HOUR)], 0),
        "still running": ([3, 9], [exchange(at + HOUR, "running")], 0),
        "without a start": ([1], [exchange(None, "failed", finished_at=at + 3 * HOUR)], 0),
        "failed": ([1], [exchange(at + HOUR, "failed")], 0),
        "a restore": ([1], [exchange(at + HOUR, job_type="restore")], 1),
        "another service": ([1], [exchange(at + HOUR, workload="onedrive")], 1),
        "elsewhere": ([1], [exchange(at + HOUR, location="EUR")], 1),
        "the end of the day": ([23], [exchange(at + 23.5 * HOUR)], 0),
    }
    for title, (hours, jobs, _) in cases.items():
        base = [exchange(night) for night in nights(9, until=NOW - 3 * DAY)]
        fill(ledger, title, [*base, *jobs])
        ledger.save_schedule(
            title,
            BackupSchedule(
                product="m365",
                read_at=at + 23 * HOUR,
                services=(
                    ServiceSchedule(
                        service="exchange_online",
                        runs_a_day=len(hours),
                        starts=tuple(at + HOUR * hour for hour in hours),
                    ),
                ),
            ),
        )

    found, report = dict.fromkeys(cases, 0), read(ledger)
    for each in report.missed_runs:
        found[each.planned.tenant] += len(each.missed)
    (mended,) = [each for each in report.missed_runs if each.planned.tenant == "the next day"]
    assert mended.newest is None
    assert found == {title: expected for title, (_, _, expected) in cases.items()}


@pytest.mark.parametrize(
    ("places", "kept", "told_of"),
    [
        (["EUR"], [None], []),
        (["EUR", "NAM"], [None], []),
        (["EUR", None], [None], []),
        # The schedule of a location is another one: nobody knows a backup of the central location.
        (["EUR"], [None, "EUR"], [f"{NAME}, exchange_online: scheduled, and {KNOWS} 2026-11-22 01:00 UTC."]),
    ],
)
def test_a_schedule_without_a_location_is_answered_by_backups_with_one(
    ledger: Ledger, places: list[str | None], kept: list[str | None], told_of: list[str]
) -> None:
    """Where loads ask for locations and gates for none, nothing else tells the two apart."""
    for back, location in itertools.product(range(7), kept):
        keep(ledger, back, {"exchange_online": [1]}, location=location)
    fill(ledger, "contoso", [exchange(night, location=place) for night in nights(7) for place in places])

    assert [text for text, _ in told(read(ledger))] == told_of


def test_a_run_that_no_location_answers_is_missed(ledger: Ledger) -> None:
    for back in range(7):
        keep(ledger, back, {"exchange_online": [1]})
    fill(ledger, "contoso", [exchange(night, location="EUR") for night in nights(6, until=NOW - DAY)])

    assert (spell(read(ledger)), read(ledger).scopes[0].current) == ("GGGGGGM", "missed")


def test_a_backup_that_runs_for_days_answers_its_own_run(ledger: Ledger) -> None:
    """Until it has ended: then it was running when the others were due."""
    for back in range(7):
        keep(ledger, back, {"exchange_online": [1]})
    begun = MIDNIGHT - 3 * DAY + HOUR
    fill(ledger, "contoso", [exchange(night) for night in nights(3, until=NOW - 4 * DAY)])
    fill(ledger, "contoso", [exchange(begun, "running", job_id="long")])
    hanging = read(ledger)
    fill(ledger, "contoso", [exchange(begun, job_id="long", finished_at=NOW - HOUR)], NOW + HOUR)
    ended = read(ledger, now=NOW + HOUR)

    assert [[each.day for each in found.missed] for found in hanging.missed_runs] == [[20, 21, 22]]
    assert hanging.scopes[0].needs_attention
    assert [found.missed for found in ended.missed_runs] == []


def test_nobody_knows_of_runs_after_the_last_load(ledger: Ledger) -> None:
    for back in range(4):
        keep(ledger, back, {"exchange_online": [1]})
    fill(ledger, "contoso", [exchange(night) for night in nights(7, until=NOW - 2 * DAY)], NOW - 2 * DAY)

    report = read(ledger)

    assert report.missed_runs == ()
    assert report.scopes[0].current == "not loaded"


def test_nobody_knows_of_runs_of_what_was_never_loaded(ledger: Ledger) -> None:
    """An audit keeps the schedule of a tenant whose jobs nobody loads, or has not loaded since."""
    keep(ledger, 0, {"exchange_online": [1]})
    assert told(read(ledger)) == []
    stream = Stream(tenant="contoso", product="m365", location="", organization_id="", selection="[[], null]")
    before = None
    for begun_at, missed in ((MIDNIGHT, 0), (NOW, 1)):
        point = LoadPoint(loaded_from=MIDNIGHT, resume_from=MIDNIGHT, begun_at=begun_at)
        ledger.save_load_point(stream, point, before)
        assert len(read(ledger).missed_runs) == missed
        before = point


def test_a_service_that_vanishes_from_the_schedule_is_told(ledger: Ledger) -> None:
    """By name, for each location; a service that comes back is not, and neither is one never scheduled."""
    for back in (6, 5, 4):
        keep(ledger, back, {"exchange_online": [1], "teams": [2], "onedrive": [3], "power_apps": []})
        keep(ledger, back, {"teams": [2]}, location="EUR")
    keep(ledger, 3, {"exchange_online": [1]})
    keep(ledger, 0, {"exchange_online": [1], "onedrive": [3], "teams": []})
    keep(ledger, 0, {"teams": [2]}, location="EUR")
    jobs = [exchange(night, workload=name) for night in nights(7) for name in ("exchange_online", "onedrive")]
    fill(ledger, "contoso", jobs)

    report = read(ledger)

    vanished = [each for each in told(report) if "no longer scheduled" in each[0]]
    assert vanished == [
        (
            f"{NAME}, teams: no longer scheduled. {WAS} 2026-11-19 does not name it.",
            True,
        )
    ]
    assert [text for text, _ in told(report) if "the ledger knows no backup" in text] == [
        f"{NAME}, teams: scheduled, and {KNOWS} 2026-11-18 02:00 UTC.",
        f"{NAME}, teams, EUR: scheduled, and {KNOWS} 2026-11-22 02:00 UTC.",
    ]


def test_a_schedule_of_another_time_or_tenant_tells_nothing(ledger: Ledger) -> None:
    keep(ledger, 40, {"exchange_online": [1], "teams": [1]})
    fill(ledger, "contoso", [exchange(night) for night in nights(7)])
    fill(ledger, "other", [exchange(night) for night in nights(7)])

    assert told(read(ledger)) == []
    keep(ledger, 1, {"teams": [5], "exchange_online": [1]})
    assert told(read(ledger, now=NOW - 2 * DAY)) == []
    assert told(read_report(ledger, Period(now=NOW, days=7), ("other",))) == []
    assert len(told(read(ledger))) == 1


def test_what_each_gate_leaves_out_is_not_missed(ledger: Ledger) -> None:
    keep(ledger, 0, {"exchange_online": [1, 7]})
    jobs = [exchange(night) for night in nights(7)]
    fill(ledger, "contoso", jobs)
    moved = {"workload": "exchange_online", "until": "2027-01-01", "reason": "moved"}
    policy = Policy(product="m365", max_age=DAY, exclude=[moved])
    task = {"dag_id": "load", "run_id": "r", "task_id": "gate", "map_index": -1, "try_number": 1}
    ledger.save_verdict("contoso", judge(jobs, policy, NOW).as_dict(), task)

    report = read(ledger)

    assert (report.scopes[0].current, told(report)) == ("excluded", [])


def test_many_are_counted(ledger: Ledger) -> None:
    services = [f"service_{number}" for number in range(8)]
    keep(ledger, 2, {name: [1] for name in services})
    keep(ledger, 1, {})
    fill(ledger, "contoso", [exchange(night) for night in nights(7)])

    texts = [text for text, _ in told(read(ledger))]

    assert "3 more services are no longer scheduled." in texts
    assert "3 more scopes with scheduled backups that did not start." in texts


def test_a_backup_that_is_planned_has_not_started(ledger: Ledger) -> None:
    """A job that waits for tomorrow's start, or a start in the future by a wrong clock, mends nothing."""
    for planned in (NOW + 15 * HOUR, NOW + 5 * DAY):
        for back in range(7):
            keep(ledger, back, {"exchange_online": [1, 7]})
        fill(ledger, "contoso", [exchange(night) for night in nights(7)])
        fill(ledger, "contoso", [exchange(night) for night in nights(6, hour=7, until=NOW - DAY)])
        fill(ledger, "contoso", [exchange(planned, "waiting", job_id="next")])

        report = read(ledger)

        assert (spell(report), report.scopes[0].current) == ("GGGGGGM", "missed")


def test_a_schedule_of_a_newer_release_leaves_the_others(ledger: Ledger) -> None:
    keep(ledger, 1, {"exchange_online": [1]})
    fill(ledger, "contoso", [exchange(night) for night in nights(7)])
    with ledger._engine.begin() as connection:
        connection.execute(update(SCHEDULES).values(product="next"))
    keep(ledger, 1, {"exchange_online": [1]})

    report = read(ledger)

    assert spell(report) == "GGGGGGG"
    assert report.unknown_products == (("contoso", "next"),)


@pytest.mark.parametrize("odd", [{"starts": '["soon"]'}, {"starts": "null"}, {"runs_a_day": None}])
def test_a_row_that_is_not_understood_hides_no_other(ledger: Ledger, odd: dict[str, str | None]) -> None:
    for back in range(7):
        keep(ledger, back, {"exchange_online": [1]})
    fill(ledger, "contoso", [exchange(night) for night in nights(6, until=NOW - DAY)])
    with ledger._engine.begin() as connection:
        connection.execute(
            update(SCHEDULES)
            .where(SCHEDULES.c.day == (NOW - 2 * DAY).date(), SCHEDULES.c.service != "")
            .values(odd)
        )

    report = read(ledger)
    texts = [text for text, _ in told(report)]

    assert (spell(report), report.scopes[0].current) == ("GGGGGGM", "missed")
    assert texts[0] == (
        f"{NAME}: the kept schedule of 2026-11-20 is not understood; delete its rows in avepoint_schedules."
    )
