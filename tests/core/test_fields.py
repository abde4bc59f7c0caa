from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_avepoint.core import fields

from .tables import each_row

HUGE = 10**400
ABSENT = [None, "", "N/A"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@each_row(
    ("value", "expected"),
    [
        ("2024-12-02T07:52:25Z", utc(2024, 12, 2, 7, 52, 25)),
        ("2024-12-02T07:52:25.1Z", utc(2024, 12, 2, 7, 52, 25, 100_000)),
        ("2022-08-18T10:34:53.92Z", utc(2022, 8, 18, 10, 34, 53, 920_000)),
        ("2022-08-19T03:12:43.823Z", utc(2022, 8, 19, 3, 12, 43, 823_000)),
        ("2024-12-02T07:52:25.1234Z", utc(2024, 12, 2, 7, 52, 25, 123_400)),
        ("2024-12-02T07:52:25.12345Z", utc(2024, 12, 2, 7, 52, 25, 123_450)),
        ("2024-12-02T07:52:25.123456Z", utc(2024, 12, 2, 7, 52, 25, 123_456)),
        ("2024-12-02T07:52:25.1234567Z", utc(2024, 12, 2, 7, 52, 25, 123_456)),
        ("2024-12-02T07:52:25+00:00", utc(2024, 12, 2, 7, 52, 25)),
        ("2024-12-02T07:52:25.1234567+00:00", utc(2024, 12, 2, 7, 52, 25, 123_456)),
        ("2024-12-02T15:52:25+08:00", utc(2024, 12, 2, 7, 52, 25)),
        ("2024-12-02T02:22:25-05:30", utc(2024, 12, 2, 7, 52, 25)),
        (638645575921780695, utc(2024, 10, 15, 2, 53, 12, 178_069)),
        ("638645575921780695", utc(2024, 10, 15, 2, 53, 12, 178_069)),
        (638527680000000000, utc(2024, 5, 31, 16)),
        (1_733_126_400_000, utc(2024, 12, 2, 8)),
        ("1733126400000", utc(2024, 12, 2, 8)),
        (1_733_126_400, utc(2024, 12, 2, 8)),
        ("1733126400", utc(2024, 12, 2, 8)),
        (1_733_126_400.0, utc(2024, 12, 2, 8)),
        *((value, None) for value in ABSENT),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00.0000000+00:00", None),
        ("0001-01-01T00:00:00+08:00", None),
        (0, None),
        ("0", None),
        (0.0, None),
    ],
)
def test_parse_time(value: object, expected: datetime | None) -> None:
    assert expected == fields.parse_time(value)


def test_times_are_in_utc() -> None:
    parsed = fields.parse_time("2024-12-02T15:52:25+08:00")
    assert UTC is parsed.tzinfo


@each_row(
    "value",
    [
        "2024-12-02T07:52:25",
        "2024-12-02",
        "2024-13-02T07:52:25Z",
        "2024-12-02T07:52:25Zulu",
        "yesterday, I think",
        "soon",
        "9999-12-31T23:59:59-01:00",
        True,
        False,
        1.5,
        float("nan"),
        [],
        {},
        -1,
        "-1",
        10**16,
        HUGE,
        "9" * 5000,
    ],
)
def test_parse_time_refuses(value: object) -> None:
    """Neither a documented form nor one of the ways to write "no value"."""
    with pytest.raises(ValueError, match=r"."):
        fields.parse_time(value)


@each_row(
    ("value", "span"),
    [
        ("2024-12-02T07:52:25", (utc(2024, 12, 1, 17, 52, 25), utc(2024, 12, 2, 21, 52, 25))),
        ("2024-12-02", (utc(2024, 12, 1, 10), utc(2024, 12, 3, 14))),
        ("9999-12-31T23:00:00", (utc(9999, 12, 31, 23), utc(9999, 12, 31, 23))),
    ],
)
def test_a_time_without_an_offset_says_when_it_may_be(value: str, span: tuple[datetime, datetime]) -> None:
    """Anywhere on earth; where that is beyond the calendar, it is read as UTC."""
    with pytest.raises(fields.UnplacedTime) as caught:
        fields.parse_time(value)
    assert span == caught.value.span


@each_row("value", ["2024-12-02T07:52:25", "soon", True, 1.5, 10**16])
def test_parse_time_names_the_value(value: object) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is what is tested
        fields.parse_time(value)
    assert repr(value) in str(caught.value)


@each_row(
    "moment",
    [
        utc(2024, 10, 15, 2, 53, 12, 178_069),
        utc(2024, 5, 31, 16),
        utc(1970, 1, 1, 0, 0, 1),
        utc(9999, 12, 31),
    ],
)
def test_ticks_there_and_back(moment: datetime) -> None:
    assert moment == fields.parse_time(fields.to_ticks(moment))


def test_to_ticks_of_a_known_instant() -> None:
    """2024-05-31T16:00Z is local midnight of UTC+8, which the vendor's older sample asks for."""
    assert 638527680000000000 == fields.to_ticks(datetime(2024, 6, 1, tzinfo=timezone(timedelta(hours=8))))


@each_row(
    ("moment", "expected"),
    [
        (utc(2026, 11, 22, 5), "2026-11-22T05:00:00Z"),
        (utc(2026, 11, 22, 5, 0, 0, 999_999), "2026-11-22T05:00:00Z"),
        (datetime(2026, 11, 22, 5, tzinfo=timezone(timedelta(hours=8))), "2026-11-21T21:00:00Z"),
    ],
)
def test_to_iso(moment: datetime, expected: str) -> None:
    assert expected == fields.to_iso(moment)


@each_row(
    ("value", "expected"),
    [
        (0, 0),
        (180832, 180832),
        ("0", 0),
        ("2323", 2323),
        (16.0, 16),
        (10**30, 10**30),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_integer(value: object, expected: int | None) -> None:
    assert expected == fields.parse_integer(value)


@each_row(
    "value",
    [-1, "-1", -1.0, True, False, 1.5, "1.5", "many", "0 GB", [], {}, float("inf"), "1_000", "9" * 5000],
)
def test_parse_integer_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.parse_integer(value)


@each_row(
    ("value", "expected"),
    [
        ("0.011", timedelta(seconds=39.6)),
        ("0.014", timedelta(seconds=50.4)),
        (0.01744722222222222, timedelta(seconds=62.81)),
        (2, timedelta(hours=2)),
        (0, timedelta(0)),
        ("0", timedelta(0)),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_hours(value: object, expected: timedelta | None) -> None:
    assert expected == fields.parse_hours(value)


@each_row(
    "value",
    [True, False, [], {}, -1, "-0.5", "17m39s", "nan", "inf", float("nan"), float("inf"), 1e300, HUGE],
)
def test_parse_hours_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.parse_hours(value)


@each_row(
    ("value", "expected"),
    [
        (516606001, timedelta(seconds=51.6606)),
        ("516606001", timedelta(seconds=51.6606)),
        (0, timedelta(0)),
        ("0.011", timedelta(seconds=39.6)),
        (0.5, timedelta(minutes=30)),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_ticks_or_hours(value: object, expected: timedelta | None) -> None:
    assert expected == fields.parse_ticks_or_hours(value)


@each_row("value", [True, [], -1, "-0.5", "soon", HUGE, "9" * 5000])
def test_parse_ticks_or_hours_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.parse_ticks_or_hours(value)


@each_row(
    ("value", "expected"),
    [
        ("00:04:01", timedelta(minutes=4, seconds=1)),
        ("1.16:00:44", timedelta(days=1, hours=16, seconds=44)),
        ("13:02:26", timedelta(hours=13, minutes=2, seconds=26)),
        ("00:00:00", timedelta(0)),
        ("00:00:01.5", timedelta(seconds=1.5)),
        ("00:00:01.1234567", timedelta(seconds=1, microseconds=123_457)),
        ("10675199.02:48:05.4775807", timedelta(days=10675199, seconds=10085, microseconds=477_581)),
        ("99999999.23:59:59", timedelta(days=99999999, seconds=86399)),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_time_span(value: object, expected: timedelta | None) -> None:
    """The samples' forms, and the longest that .NET has."""
    assert expected == fields.parse_time_span(value)


@each_row(
    "value",
    [
        "4:1",
        "00:04",
        "00:4:01",
        "-00:04:01",
        "1 16:00:44",
        "1.16:00",
        "00:04:01 ",
        "00:04:01.",
        "1234567890.00:00:00",
        "\u0660\u0660:04:01",
        "17m39s",
        241,
        0.5,
        True,
        [],
        {},
    ],
)
def test_parse_time_span_refuses(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        fields.parse_time_span(value)


@each_row(
    ("value", "expected"),
    [
        ("17m39s", timedelta(minutes=17, seconds=39)),
        ("1h17m39s", timedelta(hours=1, minutes=17, seconds=39)),
        ("2d1h17m39s", timedelta(days=2, hours=1, minutes=17, seconds=39)),
        ("39s", timedelta(seconds=39)),
        ("0s", timedelta(0)),
        ("90m", timedelta(minutes=90)),
        ("1h39s", timedelta(hours=1, seconds=39)),
        ("99999999d99999999h99999999m99999999s", timedelta(seconds=99_999_999 * (86400 + 3600 + 60 + 1))),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_units_span(value: object, expected: timedelta | None) -> None:
    assert expected == fields.parse_units_span(value)


@each_row(
    "value",
    [
        "39",
        "39s17m",
        "17m 39s",
        "-17m39s",
        "17M39S",
        "1.5h",
        "17m39",
        "m39s",
        " ",
        "00:17:39",
        1059,
        True,
        [],
    ],
)
def test_parse_units_span_refuses(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        fields.parse_units_span(value)


@each_row(
    ("value", "expected"),
    [(0, 0), (1, 1024), ("12", 12_288), (10**12, 10**12 * 1024), *((value, None) for value in ABSENT)],
)
def test_parse_kilobytes(value: object, expected: int | None) -> None:
    """1,024 bytes each."""
    assert expected == fields.parse_kilobytes(value)


@each_row("value", [-1, 1.5, "12 KB", "many", True, [], {}])
def test_parse_kilobytes_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.parse_kilobytes(value)


@each_row(
    ("value", "expected"),
    [
        ("0 GB", 0),
        ("5 GB", 5 * 1024**3),
        ("5GB", 5 * 1024**3),
        ("5 gb", 5 * 1024**3),
        ("1.5 MB", 1_572_864),
        ("12 KB", 12_288),
        ("7 B", 7),
        ("2 TB", 2 * 1024**4),
        ("1 PB", 1024**5),
        ("0.0001 KB", 0),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_size(value: object, expected: int | None) -> None:
    assert expected == fields.parse_size(value)


@each_row(
    "value",
    [
        "5",
        5,
        "GB",
        "many GB",
        "-1 GB",
        "0/1 GB",
        "1,024 GB",
        "1,5 GB",
        "5 EB",
        "5 GiB",
        ".5 GB",
        True,
        [],
        {},
    ],
)
def test_parse_size_refuses(value: object) -> None:
    """A comma may part thousands or decimals: nobody documented which."""
    with pytest.raises(ValueError, match="is not a size"):
        fields.parse_size(value)


@each_row(
    "read", [fields.parse_time_span, fields.parse_units_span, fields.parse_kilobytes, fields.parse_size]
)
def test_a_refusal_names_the_value(read: Callable[[object], object]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is what is tested
        read("soon")
    assert "'soon'" in str(caught.value)


@each_row(
    ("value", "expected"),
    [
        (None, True),
        ("", True),
        ("N/A", True),
        (0, False),
        (False, False),
        ("0", False),
        ([], False),
        ({}, False),
    ],
)
def test_is_absent(value: object, *, expected: bool) -> None:
    assert expected is fields.is_absent(value)


@each_row(
    ("document", "key", "expected"),
    [
        ({"totalCount": 1}, "totalCount", 1),
        ({"TotalCount": 1}, "totalCount", 1),
        ({"totalcount": 2, "totalCount": 1}, "totalCount", 1),
        ({"totalCount": None}, "totalCount", None),
        ({"other": 1}, "totalCount", "default"),
        ({}, "totalCount", "default"),
    ],
)
def test_get_key(document: dict[str, Any], key: str, expected: object) -> None:
    assert expected == fields.get_key(document, key, "default")


@each_row(
    ("document", "path", "expected"),
    [
        ({"metadata": {"nextLink": "x"}}, ("metadata", "nextLink"), "x"),
        ({"Metadata": {"NextLink": "x"}}, ("metadata", "nextLink"), "x"),
        ({"metadata": None}, ("metadata", "nextLink"), None),
        ({"metadata": []}, ("metadata", "nextLink"), None),
        ({}, ("metadata", "nextLink"), None),
        ([], ("metadata",), None),
        ("text", ("metadata",), None),
        ({"a": 1}, (), {"a": 1}),
    ],
)
def test_get_path(document: object, path: tuple[str, ...], expected: object) -> None:
    assert expected == fields.get_path(document, path)


@each_row(
    ("label", "expected"),
    [
        ("Finished with Exception", "finishedwithexception"),
        ("FinishedWithException", "finishedwithexception"),
        ("finished-with_exception ", "finishedwithexception"),
    ],
)
def test_normalize_label(label: str, expected: str) -> None:
    assert expected == fields.normalize_label(label)


@each_row(
    ("label", "expected"),
    [
        ("Customer Engagement", "customer_engagement"),
        (" Unified  Operations ", "unified_operations"),
        ("Microsoft 365 Groups", "microsoft_365_groups"),
        ("Audit (Backup)", "audit_backup"),
    ],
)
def test_to_word(label: str, expected: str) -> None:
    assert expected == fields.to_word(label)


@each_row(
    ("value", "expected"),
    [
        ("2025-04-05", utc(2025, 4, 5)),
        ("2025/09/30", utc(2025, 9, 30)),
        ("08/23/2027", utc(2027, 8, 23)),
        ("02/04/2026", utc(2026, 2, 4)),
        ("2025-09-26T00:00:00Z", utc(2025, 9, 26)),
        ("03-14-2026T12:00:00Z", utc(2026, 3, 14, 12)),
        ("0001-01-01", None),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_date(value: object, expected: datetime | None) -> None:
    """Every form that the pages of all ages show, and the one that the service was seen to send."""
    assert expected == fields.parse_date(value)


@each_row(
    "value",
    [
        "30/09/2025",
        "2025-13-01",
        "2025-4-5",
        "05.04.2025",
        "2025-04-05T00:00:00",
        "03-14-2026T12:00:00",
        "N/A ",
        "never",
        True,
        1.5,
        ["2025-04-05"],
    ],
)
def test_parse_date_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        fields.parse_date(value)


@each_row(
    ("value", "expected"),
    [
        ("5 GB", 5),
        ("1.42 GB", 1.42),
        ("1024 GB", 1024),
        ("0/1 GB", 1),
        ("0.5 / 10 GB", 10),
        ("2 TB", 2048),
        ("512 MB", 0.5),
        ("0 GB", 0),
        ("1073741824 B", 1),
        *((value, None) for value in ABSENT),
    ],
)
def test_parse_gigabytes(value: object, expected: float | None) -> None:
    """A pooled subscription has what is used before what is bought."""
    assert expected == fields.parse_gigabytes(value)


@each_row("value", ["5", "GB", "five GB", "-1 GB", "1/2/3 GB", "/1 GB", "1 GB/2 GB", 5, True, []])
def test_parse_gigabytes_refuses(value: object) -> None:
    with pytest.raises(ValueError, match="is not an amount of storage"):
        fields.parse_gigabytes(value)
