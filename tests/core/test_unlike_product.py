"""A product that is unlike the others needs a description, no code: words, dates, a cursor in a header."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_avepoint.core.fields import UnplacedTime, parse_local_time, to_local_date
from airflow_provider_avepoint.core.flow import Request, Response
from airflow_provider_avepoint.core.listing import JobListing, read_all
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    Envelope,
    Filters,
    Paging,
    Product,
    State,
)
from airflow_provider_avepoint.core.query import JobQuery
from tests.core.flows import Driver
from tests.core.test_client import NOW, client

BERLIN = ZoneInfo("Europe/Berlin")

UNLIKE = Product(
    name="unlike",
    label="Backup for Something Else",
    documentation_url="https://learn.avepoint.com/unlike",
    permission="dynamics.readwrite.all",  # for which the client below has a token
    path="/unlike/jobs",
    method="POST",
    columns=Columns(
        job_id="id",
        state="state",
        started_at="begin",
        finished_at="end",
        parse_time=partial(parse_local_time, zone=BERLIN),
        job_type="kind",
        workload="app",
    ),
    filters=Filters(
        started_after="from",
        started_before="to",
        write_time=partial(to_local_date, zone=BERLIN),
        job_type="kind",
        state="state",
        object_type="app",
    ),
    paging=Paging(size="limit", token="cursor", sizes=(100,)),
    envelope=Envelope(rows=(("items",),), link_header="X-Next-Cursor"),
    states=(
        State(None, ("Succeeded",), JobState.SUCCESS),
        State(None, ("Broken",), JobState.FAILED),
    ),
    job_types={"backup": "Full Backup", "restore": "Restore"},
    object_types={"mail": "Mail Box", "files": "File Share"},
)


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"U{number}",
        "state": "succeeded",
        "begin": "2026-07-01T06:00:00",
        "end": "2026-07-01T07:00:00",
        "kind": "full-backup",
        "app": "MAIL_BOX",
    } | fields


def page(rows: list[dict[str, Any]], cursor: str | None = None) -> Response:
    headers = {} if cursor is None else {"x-next-cursor": cursor}
    return Response(status=200, headers=headers, body=json.dumps({"items": rows}).encode())


def list_jobs(driver: Driver, **query: Any) -> list[Any]:
    asked = JobQuery(product=UNLIKE, job_type="backup", **query)
    return driver.run(read_all(JobListing(client(), asked, NOW)))


def test_a_cursor_in_a_header_leads_from_page_to_page() -> None:
    driver = Driver([page([row(1)], "a b="), page([row(2)], "c"), page([row(3)])])

    assert ["U1", "U2", "U3"] == [job.job_id for job in list_jobs(driver)]
    assert [None, "a b=", "c"] == [dict(sent.query).get("cursor") for sent in driver.sent]
    assert {"100"} == {dict(sent.query)["limit"] for sent in driver.sent}


def test_filters_are_words_and_dates() -> None:
    """In the body, as JSON has them."""
    driver = Driver([page([])])
    after = datetime(2026, 7, 1, 5, tzinfo=UTC)
    list_jobs(driver, started_after=after, states=frozenset({JobState.FAILED}), object_type="files")

    (sent,) = driver.sent
    assert isinstance(sent, Request)
    assert ("POST", "2026-07-01") == (sent.method, sent.json["from"])
    assert {"kind": "Full Backup", "state": "Broken", "app": "File Share"} == {
        name: sent.json[name] for name in ("kind", "state", "app")
    }


def test_rows_are_read_in_words_and_local_times() -> None:
    """However the words are spelled; four o'clock in the morning, UTC, is six in Berlin in July."""
    (job,) = list_jobs(Driver([page([row(1)])]))

    assert ("backup", "mail", JobState.SUCCESS) == (job.job_type, job.workload, job.state)
    assert datetime(2026, 7, 1, 4, tzinfo=UTC) == job.started_at
    assert () == job.problems


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("2026-10-25T02:30:00", UnplacedTime, "comes twice"),
        ("2026-03-29T02:30:00", ValueError, "does not have"),
        ("yesterday", ValueError, "is not a"),
        ("9999-12-31T23:59:59", ValueError, "is not a time"),
    ],
)
def test_a_local_time_that_no_clock_or_two_clocks_show(
    text: str, error: type[ValueError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        parse_local_time(text, BERLIN if text < "9999" else ZoneInfo("America/New_York"))


def test_a_local_time_with_an_offset_is_what_it_says() -> None:
    assert datetime(2026, 7, 1, 6, tzinfo=UTC) == parse_local_time("2026-07-01T06:00:00Z", BERLIN)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 7, 1, 22, tzinfo=UTC), "2026-07-02"),
        (datetime(2026, 12, 1, 22, tzinfo=UTC), "2026-12-01"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31"),
    ],
)
def test_a_local_day_is_the_day_that_a_calendar_there_shows(moment: datetime, day: str) -> None:
    assert day == to_local_date(moment, BERLIN)
