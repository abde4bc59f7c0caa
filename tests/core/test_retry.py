from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from airflow_provider_avepoint.core import retry

from .tables import each_row

if TYPE_CHECKING:
    import pytest


@each_row(
    ("status", "expected"),
    [
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, False) for status in (200, 204, 301, 302, 400, 401, 403, 404, 409, 418, 501, 505)),
    ],
)
def test_is_transient(status: int, *, expected: bool) -> None:
    assert expected is retry.is_transient(status)


NOON = "Sun, 22 Nov 2026 12:00:00 GMT"


@each_row(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "  "}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": NOON}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 -0000", "date": NOON}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:00:30 +0100", "date": NOON}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT", "date": NOON}, 0.0),
        ({"retry-after": "Sun, 22 Nov 1026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Sun, 99999999999999999999 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 +99999999999999999999"}, None),
    ],
)
def test_parse_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert expected == retry.parse_retry_after(headers)


@each_row("date", [{}, {"date": "no date"}])
def test_retry_after_a_date_without_the_answers_own(date: dict[str, str]) -> None:
    """Without a usable ``Date`` our own clock must do."""
    until = datetime.now(UTC) + timedelta(hours=1)
    delay = retry.parse_retry_after({"retry-after": format_datetime(until, usegmt=True), **date})
    assert 3500 < delay <= 3600


@each_row(
    ("attempt", "retry_after", "chance", "expected"),
    [
        (1, None, 0.0, 0.5),
        (1, None, 1.0, 1.0),
        (2, None, 1.0, 2.0),
        (3, None, 1.0, 4.0),
        (4, None, 0.0, 4.0),
        (4, None, 1.0, 8.0),
        (5, None, 0.5, None),
        (6, None, 0.5, None),
        (1, 0.0, 0.0, 0.0),
        (1, 7.0, 0.0, 7.0),
        (1, 7.0, 0.5, 7.375),
        (4, 60.0, 0.5, 60.5),
        (1, 60.1, 0.5, None),
        (1, float("inf"), 0.5, None),
        (5, 1.0, 0.5, None),
    ],
)
def test_next_delay(attempt: int, retry_after: float | None, chance: float, expected: float | None) -> None:
    assert expected == retry.next_delay(attempt, retry_after, chance)


def test_backoff_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 100)
    assert retry.MAX_DELAY == retry.next_delay(99, None, 1.0)
