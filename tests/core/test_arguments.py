"""The readers of arguments: each form a user or a template writes, and what is said of the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pendulum
import pytest

from airflow_provider_avepoint.core.arguments import (
    parse_flag,
    parse_ledger,
    parse_list,
    parse_moment,
    parse_span,
    parse_text,
    parse_timezone,
    require_text,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError

from .tables import each_row

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@each_row(
    ("value", "expected"),
    [
        (None, None),
        (NOW, NOW),
        ("2026-11-22T05:00:00Z", NOW),
        (" 2026-11-22T06:00:00+01:00 ", NOW),
        ("2026-11-22 05:00:00+00:00", NOW),
    ],
)
def test_parse_moment(value: object, expected: datetime | None) -> None:
    assert expected == parse_moment("started_after", value)


@each_row(
    ("value", "expected"),
    [
        (None, None),
        ("one", ("one",)),
        (" one ", ("one",)),
        ('["one", "two"]', ("one", "two")),
        (["one", "two", "one"], ("one", "two")),
        (("one",), ("one",)),
        (iter(["one"]), ("one",)),
        ([" one\r\n", "one\u200b"], ("one",)),
        (123, ("123",)),
        (123.0, ("123",)),
        ([7, "7"], ("7",)),
        ("[1, 2]", ("1", "2")),
        (UUID("69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"), ("69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a",)),
    ],
)
def test_parse_list(value: object, expected: tuple[str, ...] | None) -> None:
    assert expected == parse_list("name", value)


@each_row(
    ("value", "expected"),
    [(True, True), (False, False), ("true", True), ("True", True), ("FALSE", False)],
)
def test_parse_flag(value: object, *, expected: bool) -> None:
    assert expected is parse_flag("accept_partial", value)


@each_row("value", [None, 0, 1, "", "yes", "None", []])
def test_flags_that_are_none(value: object) -> None:
    with pytest.raises(AvePointConfigError, match=r"accept_partial: .* is neither true nor false"):
        parse_flag("accept_partial", value)


@each_row(
    ("value", "expected"),
    [
        (None, None),
        (timedelta(hours=24), 24 * HOUR),
        (pendulum.duration(days=1), 24 * HOUR),
        (86400, 24 * HOUR),
        (0.5, timedelta(milliseconds=500)),
        ("24h", 24 * HOUR),
        (" 24 H ", 24 * HOUR),
        ("90m", 1.5 * HOUR),
        ("1.5h", 1.5 * HOUR),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("1d12h", 36 * HOUR),
        ("1d 12h", 36 * HOUR),
        ("30 minutes", HOUR / 2),
        ("1 day, 2 hours", 26 * HOUR),
        ("86400.0s", 24 * HOUR),
        ("P1D", 24 * HOUR),
        ("PT24H", 24 * HOUR),
        ("p1dt12h", 36 * HOUR),
        ("PT1M", timedelta(minutes=1)),
        ("P1W", timedelta(days=7)),
        # What templates make of macros.timedelta(…) and of pendulum's durations.
        *((str(span), span) for span in (24 * HOUR, 23 * HOUR, 49.5 * HOUR, timedelta(microseconds=5))),
        *((str(pendulum.duration(hours=hours)), hours * HOUR) for hours in (1, 36, 250)),
    ],
)
def test_parse_span(value: object, expected: timedelta | None) -> None:
    assert expected == parse_span("max_age", value)


@each_row(
    ("value", "said"),
    [
        *(
            (text, 'has no unit; give a text with its unit, such as "24h"')
            for text in ("24", "86400.0", "-1")
        ),
        *(
            (text, "months or years")
            for text in ("P1M", "P1Y2D", "P0.5Y", "1M", "2 months", "1y", "1d 1 year")
        ),
        *(
            (value, "is not more than zero and at most 100 years")
            for value in (0, -1, float("nan"), 1e12, timedelta(), -HOUR, "0h", "PT", "101 weeks 36501 days")
        ),
        *(
            (text, "is not a time span")
            for text in ("soon", "24x", "24 h ours", "h", "P", "PD", "P1", "P1H", "2026-11-22", "1:2:3")
        ),
        *((text, "is not a time span") for text in ("-24h", "-P1D", str(-HOUR), "1.25h", "1e1h")),
        # Pendulum would read these as a day or a second.
        *((text, "is not a time span") for text in ("P4294967297D", "PT4294967297S", "4294967297 days")),
        *((value, "a timedelta, or a number of seconds") for value in (True, [3600], {"hours": 1}, b"24h")),
        *((text, "A template has rendered None") for text in ("None", "", " ")),
    ],
)
def test_spans_that_are_none(value: Any, said: str) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        parse_span("max_age", value)

    assert str(caught.value).startswith("max_age: ")
    assert said in str(caught.value)


@each_row("value", ["None", " None\n", "", " ", "\u200b"])
def test_what_a_template_makes_of_none_is_no_text(value: str) -> None:
    """Nobody means an organisation, a tenant or a file of this name."""
    with pytest.raises(AvePointConfigError, match=r"^job_id: .* names nothing") as caught:
        parse_text("job_id", value)

    assert "A template has rendered None" in str(caught.value)
    assert "render_template_as_native_obj=True" in str(caught.value)


@each_row("parse", [parse_text, parse_list])
@each_row(
    "value",
    ["['a', 'b']", "('a',)", "{'a'}", "{'id': 'a'}", "LazyXComSequence(_xcom_arg=1)", "[None]"],
)
def test_a_list_in_pythons_words_is_no_text(parse: Any, value: str) -> None:
    with pytest.raises(AvePointConfigError, match=r"^locations: ") as caught:
        parse("locations", value)

    assert "{{ … | tojson }}" in str(caught.value)
    assert "render_template_as_native_obj=True" in str(caught.value)


@each_row("value", ["['a']", '["a"]', "[]"])
def test_a_list_within_a_list_is_no_text(value: str) -> None:
    """Such as a template that renders a list, in a list."""
    with pytest.raises(AvePointConfigError, match=r"tojson"):
        parse_list("locations", [value])


@each_row("value", [True, 1.5, float("nan"), float("inf"), 2.0**60, ["a"], {"a": 1}, b"a", object()])
def test_what_is_no_text(value: object) -> None:
    """A float of more than 53 bits has lost digits: the id would be another one."""
    with pytest.raises(AvePointConfigError, match=r"^job_id: .* is not a text"):
        parse_text("job_id", value)


def test_a_text_that_must_be_there() -> None:
    assert "123" == require_text("job_id", 123)
    with pytest.raises(AvePointConfigError, match=r"^job_id: None names nothing"):
        require_text("job_id", None)


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(AvePointConfigError) as caught:
        parse_list("locations", "[" + "'a', " * 10_000)

    assert len(str(caught.value)) < 500


def test_the_ledgers_tenant_is_the_connection_unless_it_is_named() -> None:
    assert (None, "avepoint_default") == parse_ledger(None, None, "avepoint_default")
    assert ("audit", "contoso") == parse_ledger("audit", " contoso ", "avepoint_default")
    with pytest.raises(AvePointConfigError, match=r"^tenant: .* names nothing"):
        parse_ledger("audit", "None", "avepoint_default")


def test_time_zones() -> None:
    """By their names; none is UTC."""
    assert parse_timezone("timezone", None) is UTC
    moment = datetime(2026, 7, 1, tzinfo=parse_timezone("timezone", " Europe/London "))
    assert moment.utcoffset() == timedelta(hours=1)
    with pytest.raises(AvePointConfigError, match="timezone: 'Mars/Olympus' is no time zone"):
        parse_timezone("timezone", "Mars/Olympus")
