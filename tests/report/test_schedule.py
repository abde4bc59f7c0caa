"""When a backup is due, over histories that backup teams have; a healthy history misses nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from random import Random
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_avepoint.report.schedule import Schedule

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)  # a Sunday; the clocks of London changed on 25 October
LONDON = ZoneInfo("Europe/London")
MIDNIGHT = NOW.replace(hour=0, minute=0)
MONDAY_TO_FRIDAY = "on Mo, Tu, We, Th, Fr"


def every(days: int, count: int, at: datetime = MIDNIGHT + HOUR) -> list[datetime]:
    """Return *count* starts, oldest first, the last one *at*; in a time zone at the same time of day."""
    return [at - DAY * days * back for back in reversed(range(count))]


def on(starts: Iterable[datetime], weekdays: str) -> list[datetime]:
    return [start for start in starts if f"{start:%a}" in weekdays]


def without(starts: Iterable[datetime], *days: str) -> list[datetime]:
    return [start for start in starts if f"{start:%m-%d}" not in days]


def jitter(starts: Iterable[datetime], seconds: float) -> list[datetime]:
    random = Random(1)
    return [start + timedelta(seconds=random.uniform(-seconds, seconds)) for start in starts]


def follow(
    starts: Iterable[datetime], timezone: tzinfo = UTC, interval: timedelta | None = None
) -> tuple[str, list[date]]:
    """Return when backups are expected, and the days on which one was missed."""
    schedule = Schedule(timezone, NOW, interval)
    for start in starts:
        schedule.add(start.astimezone(UTC))
    return schedule.describe(), [run.day for run in schedule.missed]


NIGHTS = every(1, 60)
HEALTHY: list[tuple[str, list[datetime], str]] = [
    ("nightly", NIGHTS, "every day"),
    ("nightly, whenever there is time", jitter(NIGHTS, 3 * 3600), "every day"),
    ("at midnight, give or take four seconds", jitter(every(1, 42, MIDNIGHT), 4), "every day"),
    ("at midnight in London", every(1, 60, NOW.astimezone(LONDON).replace(hour=0, minute=0)), "every day"),
    ("every six hours", [MIDNIGHT - 6 * HOUR * each for each in range(200)], "every day"),
    (
        "nightly, twenty machines one after another",
        [night + timedelta(minutes=7) * each for night in NIGHTS for each in range(20)],
        "every day",
    ),
    ("weekly", every(7, 6), "on Su"),
    ("weekly, three times", every(7, 3), "on Su"),
    ("weekly, at midnight, give or take a minute", jitter(every(7, 8, MIDNIGHT), 60), "on Su"),
    ("weekly, give or take half a day", jitter(every(7, 8), 12 * 3600), "on Su"),
    (
        "weekly, fifty machines one after another",
        [night + timedelta(minutes=7) * each for night in every(7, 8) for each in range(50)],
        "on Su",
    ),
    (
        "weekly, and again on the next day every other week",
        sorted([*every(7, 8), *every(14, 4, MIDNIGHT - 6 * DAY)]),
        "on Su",
    ),
    ("on working days", on(NIGHTS, "Mon Tue Wed Thu Fri"), MONDAY_TO_FRIDAY),
    (
        "on working days at midnight, give or take",
        jitter(on(every(1, 60, MIDNIGHT), "Mon Tue Wed Thu Fri"), 4),
        MONDAY_TO_FRIDAY,
    ),
    ("on working days, late", on(every(1, 60, MIDNIGHT - HOUR), "Mon Tue Wed Thu Fri"), MONDAY_TO_FRIDAY),
    ("twice a week", on(NIGHTS, "Tue Fri"), "on Tu, Fr"),
    ("every third day", every(3, 20), "every 3 days"),
    ("every two weeks", every(14, 5), "every 14 days"),
    (
        "on the first of the month",
        [MIDNIGHT.replace(month=each, day=1) for each in range(7, 12)],
        "every 31 days",
    ),
    ("once, today", [MIDNIGHT], "every day"),
]


@pytest.mark.parametrize("timezone", [UTC, LONDON, ZoneInfo("Asia/Tokyo")], ids=str)
def test_a_healthy_history_misses_nothing(timezone: tzinfo) -> None:
    found = {title: follow(starts, timezone)[1] for title, starts, _ in HEALTHY}

    assert found == {title: [] for title, _, _ in HEALTHY}


def test_what_is_expected() -> None:
    assert {title: follow(starts)[0] for title, starts, _ in HEALTHY} == {
        title: expected for title, _, expected in HEALTHY
    }


def days_of(text: str) -> list[date]:
    return [date.fromisoformat(f"2026-{day}") for day in text.split()]


BROKEN: list[tuple[str, list[datetime], str]] = [
    ("one night", without(NIGHTS, "11-18"), "11-18"),
    ("the last nights", NIGHTS[:-3], "11-20 11-21 11-22"),
    ("one night, at midnight", jitter(without(every(1, 60, MIDNIGHT), "11-18"), 4), "11-18"),
    (
        "two nights of six-hourly backups",
        [
            each
            for each in (MIDNIGHT - 6 * HOUR * back for back in range(200))
            if not 8 < (MIDNIGHT - each) / (6 * HOUR) < 18
        ],
        "11-18 11-19",
    ),
    ("a week", without(every(7, 8), "11-15"), "11-15"),
    ("two weeks, of which the newer may yet come", every(7, 8)[:-2], "11-15"),
    ("a Friday of two days a week", without(on(NIGHTS, "Tue Fri"), "11-13"), "11-13"),
    ("a holiday", without(on(NIGHTS, "Mon Tue Wed Thu Fri"), "11-11"), "11-11"),
    ("one of every third day", without(every(3, 20), "11-16"), "11-16"),
    # A new scope is expected daily, until two gaps tell otherwise.
    ("all but the first", every(1, 1, MIDNIGHT - 2 * DAY), "11-21 11-22"),
]


def test_a_run_that_was_due_is_missed() -> None:
    found = {title: follow(starts)[1] for title, starts, _ in BROKEN}

    # Midnight, give or take seconds, is on the one day or the other.
    near = found.pop("one night, at midnight")
    assert len(near) == 1
    assert near[0] in days_of("11-17 11-18")
    assert found == {title: days_of(missed) for title, _, missed in BROKEN if title in found}


def test_what_followed_a_change_is_expected_as_since() -> None:
    """Five weeks after daily backups have become weekly, a day without one is no surprise."""
    daily = [start for start in every(1, 90) if start < MIDNIGHT - 35 * DAY]
    expected, missed = follow([*daily, *every(7, 5)])

    assert expected == "on Su"
    assert max(missed) < MIDNIGHT.date() - 14 * DAY


@pytest.mark.parametrize(
    ("starts", "interval", "expected", "missed"),
    [
        (NIGHTS, 26 * HOUR, "every day", ""),
        (without(NIGHTS, "11-18"), 26 * HOUR, "every day", "11-18"),
        (without(NIGHTS, "11-18"), 3 * DAY, "every 3 days", ""),
        (every(7, 2), 7 * DAY, "every 7 days", ""),
        (every(7, 2, MIDNIGHT + HOUR), DAY, "every day", "11-16 11-17 11-18 11-19 11-20 11-21"),
        (NIGHTS, HOUR, "every day", ""),  # a gate that looks every hour asks no more of a day than one backup
    ],
)
def test_a_gate_says_when_a_backup_is_due(
    starts: list[datetime], interval: timedelta, expected: str, missed: str
) -> None:
    assert follow(starts, interval=interval) == (expected, days_of(missed))


@pytest.mark.parametrize("starts", [[], [NOW + DAY]], ids=["nothing", "in the future only"])
def test_without_a_backup_nothing_is_due(starts: list[datetime]) -> None:
    assert follow(starts) == ("", [])
