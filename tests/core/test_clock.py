"""The API's clock, from the headers of its answers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from airflow_provider_avepoint.core.clock import ApiClock

from .tables import each_row

if TYPE_CHECKING:
    import pytest

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def dated(moment: datetime, **more: str) -> dict[str, str]:
    return {"date": format_datetime(moment, usegmt=True), **more}


@each_row(
    ("headers", "expected"),
    [
        (dated(NOW), timedelta()),
        (dated(NOW - SECOND), timedelta()),  # cut to whole seconds, or a moment on its way
        (dated(NOW + 3 * HOUR), 3 * HOUR),
        (dated(NOW - 3 * HOUR), -3 * HOUR + SECOND),
        (dated(NOW - 3 * HOUR, age="10800"), timedelta()),  # a cache has kept the answer
        (dated(NOW, age="soon"), timedelta()),
        ({}, timedelta()),
        ({"date": "soon"}, timedelta()),
        ({"date": "Fri, 31 Dec 9999 23:59:59 GMT"}, timedelta()),
        ({"date": "Fri, 31 Dec 9999 23:59:59 -1400"}, timedelta()),
        ({"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, timedelta()),
    ],
)
def test_how_far_ahead_it_is(headers: dict[str, str], expected: timedelta) -> None:
    clock = ApiClock()
    clock.note(headers, NOW, NOW)
    assert expected == clock.ahead


def test_an_answer_that_took_long_sets_no_clock() -> None:
    """It was written at some moment between the request and its arrival."""
    clock = ApiClock()
    clock.note(dated(NOW + HOUR), NOW, NOW + 2 * HOUR)
    assert timedelta() == clock.ahead


def test_of_two_answers_in_one_look_the_later_time_holds() -> None:
    """By it no backup is too fresh; the next look begins anew."""
    clock = ApiClock()
    for shown in (NOW, NOW - 5 * HOUR, NOW):
        clock.note(dated(shown), NOW, NOW)
    assert timedelta() == clock.ahead
    clock.begin_look()
    clock.note(dated(NOW - 5 * HOUR), NOW, NOW)
    assert -5 * HOUR + SECOND == clock.ahead


def test_a_wrong_clock_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ApiClock()
    for _ in range(3):
        clock.begin_look()
        clock.note(dated(NOW + 3 * HOUR), NOW, NOW)
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert "3:00:00 behind" in record.getMessage()


def test_the_time_is_the_apis() -> None:
    clock = ApiClock()
    clock.note(dated(NOW + 3 * HOUR), NOW, NOW)
    before = datetime.now(UTC)
    assert before + 3 * HOUR <= clock.now() <= datetime.now(UTC) + 3 * HOUR


def test_a_look_at_a_clock_that_jumps_ends() -> None:
    """One round where the clock was right, two where it was not, and three where it is so each time."""
    for jumps, rounds in ((0, [1]), (1, [1, 2]), (5, [1, 2, 3])):
        clock = ApiClock()
        numbers = []
        for number in clock.rounds():
            numbers.append(number)
            clock.ahead += timedelta(hours=1) * (number <= jumps)

        assert numbers == rounds
