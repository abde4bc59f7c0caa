"""Parse single JSON values of the API: one function for each documented form.

The vendor writes "no value" as ``null``, ``""``, ``"N/A"``, an absent key, the year 1 or 0 ticks. Every
parser returns None for these. A value of another form raises a ValueError, whose message quotes the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from airflow_provider_avepoint.core.text import quoted, storable

_from_iso = datetime.fromisoformat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# .NET counts 100 ns ticks from 0001-01-01T00:00:00Z.
_TICKS_A_SECOND = 10_000_000
_EPOCH_TICKS = 621_355_968_000_000_000
# Today's instants are near 6.4e17 ticks, 1.8e12 ms and 1.8e9 s: the magnitude tells the unit.
_LEAST_TICKS = 10**17
_LEAST_MILLISECONDS = 10**11
# More digits than any real figure has, and fewer than the limits of int() and float().
_MOST_DIGITS = 40
_LARGEST = 10**_MOST_DIGITS
_DIGITS = re.compile(rf"(-?[0-9]{{1,{_MOST_DIGITS}}})(?:\.0+)?")
_TIME_SPAN = re.compile(r"(?:(\d{1,8})\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,9})?)", re.ASCII)
_UNITS_SPAN = re.compile(r"(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,8})s)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,9})?)\s*([KMGTP]?)B", re.ASCII | re.IGNORECASE)
_CAPACITY = re.compile(r"(?:\d{1,20}(?:\.\d{1,9})?\s*/\s*)?(.+)", re.ASCII)
_DATE = re.compile(r"(\d{4})[-/](\d{2})[-/](\d{2})", re.ASCII)
_DATE_MONTH_FIRST = re.compile(r"(\d{2})[-/](\d{2})[-/](\d{4})(T.+)?", re.ASCII)
_MIDNIGHT = "T00:00:00Z"
# The largest offset from UTC of any place on earth.
_FURTHEST_OFFSET = timedelta(hours=14)
_DAY = timedelta(days=1)
_KILOBYTE = 1024


class UnplacedTime(ValueError):
    """A time without an offset. The vendor does not document its time zone.

    :param message: the error, which quotes the value.
    :param span: the earliest and the latest instant that the time may mean.
    """

    def __init__(self, message: str, span: tuple[datetime, datetime]) -> None:
        super().__init__(message)
        self.span = span


def is_absent(value: object) -> bool:
    """Tell whether a value is one of the vendor's ways to write "no value".

    :param value: any JSON value.
    """
    return value is None or value in ("", "N/A")


def parse_time(value: object) -> datetime | None:
    """Read an instant: ISO 8601 with an offset and 0 to 7 fraction digits, .NET ticks, or Unix time.

    :param value: a string or a number. Numbers (or digits in a string) are ticks from 1e17 on, milliseconds
        from 1e11 on, else seconds.
    :returns: the instant in UTC.
    :raises UnplacedTime: the time has no offset.
    :raises ValueError: the value is no time.
    """
    if type(value) is str and len(value) > 10 and value[4] == "-":
        try:
            parsed = _from_iso(value)
            if parsed.tzinfo is UTC and parsed.year != 1:  # UTC is the tzinfo for both Z and +00:00
                return parsed
        except ValueError:
            return _parse_untidy_time(value)
        return _to_utc(parsed, value)
    if is_absent(value):
        return None
    if isinstance(value, str) and "-" in value[1:]:
        return _parse_untidy_time(value)
    number = _integer(value)
    if number < 0:
        raise ValueError(f"{quoted(value)} is negative")
    try:
        if number >= _LEAST_TICKS:
            return _EPOCH + timedelta(microseconds=(number - _EPOCH_TICKS) // 10)
        if number >= _LEAST_MILLISECONDS:
            return _EPOCH + timedelta(milliseconds=number)
    except OverflowError as e:
        raise ValueError(f"{quoted(value)} is not a time") from e
    return _EPOCH + timedelta(seconds=number) if number else None


def parse_local_time(value: object, zone: tzinfo) -> datetime | None:
    """Read a time as :func:`parse_time` does; a time without an offset is local time in *zone*.

    :param value: a value for :func:`parse_time`.
    :param zone: the time zone of a time without an offset.
    :raises UnplacedTime: the wall clock shows the time twice: clocks were put back.
    :raises ValueError: *value* is something else, or the wall clock never shows it: clocks were put forward.
    """
    try:
        return parse_time(value)
    except UnplacedTime:
        pass
    text = str(value)
    moment = datetime.fromisoformat(text.strip())
    try:
        first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        raise ValueError(f"{quoted(text)} is not a time") from None
    if first < second:
        raise UnplacedTime(f"{quoted(text)} is a time that comes twice in {zone}", (first, second))
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(f"{quoted(text)} is a time that {zone} does not have")
    return first


def _parse_untidy_time(text: str) -> datetime | None:
    """Read a time with spaces around it, or a time that is a day only."""
    try:
        return _to_utc(datetime.fromisoformat(text.strip()), text)
    except UnplacedTime:
        raise
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a time") from None


def _to_utc(moment: datetime, text: str) -> datetime | None:
    if moment.year == 1:
        return None
    if moment.tzinfo is None:
        is_day = ":" not in text
        raise UnplacedTime(f"{quoted(text)} is a time without an offset", _spread(moment, is_day=is_day))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{quoted(text)} is not a time") from None


def _spread(moment: datetime, *, is_day: bool) -> tuple[datetime, datetime]:
    """Return the earliest and the latest instant at which a clock anywhere on earth shows *moment*."""
    moment = moment.replace(tzinfo=UTC)
    try:
        return moment - _FURTHEST_OFFSET, moment + _FURTHEST_OFFSET + (_DAY if is_day else timedelta())
    except OverflowError:
        return moment, moment


def parse_date(value: object) -> datetime | None:
    """Read a day or an instant. A day gives its beginning, in UTC.

    The vendor's documents show ``2025-04-05``, ``2025/09/30``, ``08/23/2027`` (the month first) and
    ``2025-09-26T00:00:00Z``. The vendor's service has sent ``03-14-2026T12:00:00Z``.

    :param value: a day in one of these forms, or a value for :func:`parse_time`.
    :raises ValueError: the value is neither.
    """
    text = value if isinstance(value, str) else ""
    if day := _DATE.fullmatch(text):
        return parse_time("-".join(day.groups()) + _MIDNIGHT)
    if day := _DATE_MONTH_FIRST.fullmatch(text):
        month, day_of_month, year, time = day.groups()
        return parse_time(f"{year}-{month}-{day_of_month}{time or _MIDNIGHT}")
    return parse_time(value)


def to_ticks(moment: datetime) -> int:
    """Write an instant as .NET ticks in UTC.

    :param moment: an aware datetime.
    """
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10 + _EPOCH_TICKS


def to_iso(moment: datetime) -> str:
    """Write an instant as ``2026-11-22T05:00:00Z``, in whole seconds (rounded down).

    :param moment: an aware datetime.
    """
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def to_local_date(moment: datetime, zone: tzinfo) -> str:
    """Write the day of an instant in *zone* as ``2026-11-22``; at the ends of the calendar, the day in UTC.

    :param moment: an aware datetime.
    :param zone: the time zone of the day.
    """
    try:
        return moment.astimezone(zone).date().isoformat()
    except OverflowError:
        return moment.astimezone(UTC).date().isoformat()


def parse_integer(value: object) -> int | None:
    """Read a whole number from 0 up.

    :param value: a number, or its digits in a string.
    :raises ValueError: the value is no whole number, is negative, or has more than 40 digits.
    """
    if type(value) is int and 0 <= value < _LARGEST:
        return value
    if is_absent(value):
        return None
    number = _integer(value)
    if number < 0:
        raise ValueError(f"{quoted(value)} is negative")
    if number >= _LARGEST:
        raise ValueError(f"{quoted(value)} is no figure")
    return number


def parse_digits(text: str) -> int | None:
    """Read up to 40 ASCII digits as a number; return None for any other text.

    :param text: the text.
    """
    return int(text) if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit() else None


def parse_number(value: object) -> int | None:
    """Read the vendor's number of a state or a type; return None for a value that is no whole number.

    :param value: the value, such as ``3``, ``3.0`` or ``"3 "``.
    """
    if isinstance(value, str):
        text = value.strip()
        whole, point, fraction = text.partition(".")
        return parse_digits(whole if point and fraction and not fraction.strip("0") else text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value == value // 1 and abs(value) < _LARGEST else None


def parse_hours(value: object) -> timedelta | None:
    """Read a duration in decimal hours.

    :param value: the hours, as a number or a string.
    :raises ValueError: the value is no number, or is negative.
    """
    if is_absent(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{quoted(value)} is not a number of hours")  # noqa: TRY004  # a wire value, not a type
    try:
        span = timedelta(hours=float(value))
    except (OverflowError, ValueError) as e:
        raise ValueError(f"{quoted(value)} is not a number of hours") from e
    if span < timedelta():
        raise ValueError(f"{quoted(value)} is negative")
    return span


def parse_ticks_or_hours(value: object) -> timedelta | None:
    """Read a duration that the documents define as ticks and their samples show as hours.

    :param value: ticks as a whole number, or hours as a decimal number; either may be a string.
    :raises ValueError: the value is neither, or is negative.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{quoted(value)} is negative")
        try:
            return timedelta(microseconds=value // 10)
        except OverflowError as e:
            raise ValueError(f"{quoted(value)} is not a number of ticks") from e
    if isinstance(value, str) and (ticks := parse_digits(value)) is not None:
        return parse_ticks_or_hours(ticks)
    return parse_hours(value)


def parse_time_span(value: object) -> timedelta | None:
    """Read a duration in the form of .NET's TimeSpan.

    :param value: ``[d.]hh:mm:ss``, such as ``"1.16:00:44"``.
    :raises ValueError: the value has another form.
    """
    return _parse_parts(_TIME_SPAN, value)


def parse_units_span(value: object) -> timedelta | None:
    """Read a duration with units.

    :param value: such as ``"17m39s"`` or ``"1h17m39s"``.
    :raises ValueError: the value has another form.
    """
    return _parse_parts(_UNITS_SPAN, value)


def _parse_parts(form: re.Pattern[str], value: object) -> timedelta | None:
    if is_absent(value):
        return None
    match = form.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{quoted(value)} is not a duration")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_kilobytes(value: object) -> int | None:
    """Read a size in KB; return bytes.

    :param value: a whole number of KB, which are 1,024 bytes each.
    :raises ValueError: the value is no whole number, or is negative.
    """
    number = parse_integer(value)
    return None if number is None else number * _KILOBYTE


def parse_size(value: object) -> int | None:
    """Read a size with its unit; return bytes.

    :param value: such as ``"5 GB"``. A KB is 1,024 bytes.
    :raises ValueError: the value has another form.
    """
    if is_absent(value):
        return None
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{quoted(value)} is not a size")
    number, unit = match.groups()
    return int(float(number) * _KILOBYTE ** ("KMGTP".index(unit.upper()) + 1 if unit else 0))


def parse_gigabytes(value: object) -> float | None:
    """Read an amount of storage with its unit; return GB.

    :param value: ``"5 GB"``, or for a pooled subscription ``"0/1 GB"``. We infer that the latter means used
        and purchased; the purchased amount is returned.
    :raises ValueError: the value has another form.
    """
    if is_absent(value):
        return None
    match = _CAPACITY.fullmatch(value) if isinstance(value, str) else None
    match = _SIZE.fullmatch(match[1]) if match else None
    if match is None:
        raise ValueError(f"{quoted(value)} is not an amount of storage")
    number, unit = match.groups()
    return float(number) * float(_KILOBYTE) ** (" KMGTP".index(unit.upper() or " ") - 3)


def get_path(document: object, path: tuple[str, ...]) -> Any:
    """Return the value at a path in nested JSON objects, in any case of the keys; None if it is absent.

    :param document: the outermost object.
    :param path: the keys from the outermost object to the value.
    """
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = get_key(document, key)
    return document


def get_key(document: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return the value of a key, or of a key that differs only in case.

    The vendor's tables write ``TotalCount``, and the vendor's samples ``totalCount``.

    :param document: a JSON object.
    :param key: the key.
    :param default: returned if the object has no such key.
    """
    if key in document:
        return document[key]
    folded = key.casefold()
    return next((value for name, value in document.items() if name.casefold() == folded), default)


def normalize_label(label: str) -> str:
    """Normalise a label for comparison: ``"Finished with Exceptions"`` → ``"finishedwithexception"``.

    :param label: the vendor's label of a state, a type or a workload.
    """
    return re.sub(r"[\s_-]+", "", label).lower().replace("exceptions", "exception")


def to_word(label: str) -> str:
    """Write a label in snake case: ``"Customer Engagement"`` → ``"customer_engagement"``.

    Letters of every script stay. A label without any letter or digit stays as it is, so that two labels do
    not become the same word.

    :param label: the vendor's label.
    """
    return re.sub(r"[\W_]+", "_", label.strip().casefold()).strip("_") or storable(label)


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise ValueError(f"{quoted(value)} is not a number")  # noqa: TRY004  # a wire value, not a type
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (digits := _DIGITS.fullmatch(value.strip())):
        return int(digits[1])
    raise ValueError(f"{quoted(value)} is not a whole number")


def read_id(value: object) -> str | None:
    """Return an id as a text; None where there is none, or what stands there can be none.

    :param value: any JSON value.
    """
    if value.__class__ is str:
        # What cannot be shown or stored as it is would be another id there.
        return None if is_absent(value) or not value.isprintable() else value
    if value.__class__ is int:
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else None


def read_text(value: object) -> str | None:
    """Return what stands in a row as a text that a database takes; None where nothing stands there.

    :param value: any JSON value.
    """
    if is_absent(value):
        return None
    return storable(value) if isinstance(value, str) else quoted(value)
