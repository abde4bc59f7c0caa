"""Parse single values of the vendor's JSON: one function for each form.

The vendor writes "no value" as ``null``, ``""``, ``"N/A"``, an absent key, the year 1 or 0 ticks. Every
parser returns None for each of these. For any other value that does not have a documented form, a parser
raises ValueError; its message has the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from airflow_provider_avepoint.core.text import quoted, storable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# .NET counts 100 ns ticks from 0001-01-01T00:00:00Z.
_TICKS_A_SECOND = 10_000_000
_EPOCH_TICKS = 621_355_968_000_000_000
# Today's instants are near 6.4e17 ticks, 1.8e12 ms and 1.8e9 s: the magnitude tells the unit.
_LEAST_TICKS = 10**17
_LEAST_MILLISECONDS = 10**11
# More digits than any figure has, and fewer than Python refuses to read or a float cannot hold.
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
# No place on earth is further from UTC than this.
_FURTHEST_OFFSET = timedelta(hours=14)
_DAY = timedelta(days=1)
_KILOBYTE = 1024


class UnplacedTime(ValueError):
    """A time without an offset: no document says which time zone it is of.

    :param span: the earliest and the latest instant that it may be.
    """

    def __init__(self, message: str, span: tuple[datetime, datetime]) -> None:
        super().__init__(message)
        self.span = span


def is_absent(value: object) -> bool:
    """Tell whether *value* is one of the vendor's ways to write "no value".

    :param value: a value of a row.
    """
    return value is None or value in ("", "N/A")


def parse_time(value: object) -> datetime | None:
    """Parse an instant: ISO 8601 with an offset and up to 7 fraction digits, .NET ticks, or Unix time.

    A number, or digits in a text, are ticks from 1e17 on, milliseconds from 1e11 on, else seconds.

    :param value: a value of a row.
    :returns: the instant in UTC, to the microsecond; None for "no value".
    :raises UnplacedTime: the time has no offset.
    :raises ValueError: *value* has another form.
    """
    if type(value) is str and value[4:5] == "-" and len(value) > 10:
        try:
            parsed = datetime.fromisoformat(value)
            if parsed.tzinfo is UTC and parsed.year != 1:  # for Z and for +00:00
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
    """Parse a time as :func:`parse_time` does; a time without an offset is a local time of *zone*.

    :param value: a value of a row.
    :param zone: the time zone of the local times.
    :returns: the instant in UTC; None for "no value".
    :raises UnplacedTime: the local time comes twice, because clocks were put back.
    :raises ValueError: *value* has another form, or the local time never comes: clocks were put forward.
    """
    try:
        return parse_time(value)
    except UnplacedTime:
        pass
    text = str(value)
    moment = datetime.fromisoformat(text.strip())
    first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first < second:
        raise UnplacedTime(f"{quoted(text)} is a time that comes twice in {zone}", (first, second))
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(f"{quoted(text)} is a time that {zone} does not have")
    return first


def _parse_untidy_time(text: str) -> datetime | None:
    """Parse a time with spaces around it, or a day."""
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
    """Return the earliest and the latest instant at which *moment* may be the local time of some place."""
    moment = moment.replace(tzinfo=UTC)
    try:
        return moment - _FURTHEST_OFFSET, moment + _FURTHEST_OFFSET + (_DAY if is_day else timedelta())
    except OverflowError:
        return moment, moment


def parse_date(value: object) -> datetime | None:
    """Parse a day or an instant.

    The vendor's documents show ``2025-04-05``, ``2025/09/30``, ``08/23/2027`` (the month first) and
    ``2025-09-26T00:00:00Z``; its service has been seen to send ``03-14-2026T12:00:00Z``.

    :param value: a value of an answer.
    :returns: the instant, or the beginning of the day, in UTC; None for "no value".
    :raises ValueError: *value* has another form.
    """
    text = value if isinstance(value, str) else ""
    if day := _DATE.fullmatch(text):
        return parse_time("-".join(day.groups()) + _MIDNIGHT)
    if day := _DATE_MONTH_FIRST.fullmatch(text):
        month, day_of_month, year, time = day.groups()
        return parse_time(f"{year}-{month}-{day_of_month}{time or _MIDNIGHT}")
    return parse_time(value)


def to_ticks(moment: datetime) -> int:
    """Write an instant as .NET ticks, in UTC.

    :param moment: an aware datetime.
    """
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10 + _EPOCH_TICKS


def to_iso(moment: datetime) -> str:
    """Write an instant as ``2026-11-22T05:00:00Z``, rounded down to whole seconds.

    :param moment: an aware datetime.
    """
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_integer(value: object) -> int | None:
    """Parse a whole number that is not negative, or its digits in a text.

    :param value: a value of a row.
    :returns: the number; None for "no value".
    :raises ValueError: *value* is another number, has more than 40 digits, or has another form.
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
    """Parse at most 40 ASCII digits.

    :param text: a text of a server.
    :returns: the number; None for any other text.
    """
    return int(text) if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit() else None


def parse_number(value: object) -> int | None:
    """Parse the vendor's number of a state or a type: ``3``, ``3.0`` or ``"3 "``.

    :param value: a value of a row.
    :returns: the number; None for any other value.
    """
    if isinstance(value, str):
        text = value.strip()
        whole, point, fraction = text.partition(".")
        return parse_digits(whole if point and fraction and not fraction.strip("0") else text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value == value // 1 and abs(value) < _LARGEST else None


def parse_hours(value: object) -> timedelta | None:
    """Parse decimal hours: a number or a text.

    :param value: a value of a row.
    :returns: the duration; None for "no value".
    :raises ValueError: *value* is negative or has another form.
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
    """Parse a duration in ticks, as the documents' table says, or in hours, as their sample shows.

    :param value: a value of a row: a whole number is ticks, a decimal number is hours.
    :returns: the duration; None for "no value".
    :raises ValueError: *value* is negative or has another form.
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
    """Parse .NET's TimeSpan: ``[d.]hh:mm:ss``, such as ``"1.16:00:44"``.

    :param value: a value of a row.
    :returns: the duration; None for "no value".
    :raises ValueError: *value* has another form.
    """
    return _parse_parts(_TIME_SPAN, value)


def parse_units_span(value: object) -> timedelta | None:
    """Parse a duration with units, such as ``"17m39s"`` or ``"1h17m39s"``.

    :param value: a value of a row.
    :returns: the duration; None for "no value".
    :raises ValueError: *value* has another form.
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
    """Parse a size in KB of 1,024 bytes.

    :param value: a value of a row: a whole number, or its digits in a text.
    :returns: bytes; None for "no value".
    :raises ValueError: *value* has another form.
    """
    number = parse_integer(value)
    return None if number is None else number * _KILOBYTE


def parse_size(value: object) -> int | None:
    """Parse a size with its unit, such as ``"5 GB"``.

    :param value: a value of a row.
    :returns: bytes; None for "no value".
    :raises ValueError: *value* has another form.
    """
    if is_absent(value):
        return None
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{quoted(value)} is not a size")
    number, unit = match.groups()
    return int(float(number) * _KILOBYTE ** ("KMGTP".index(unit.upper()) + 1 if unit else 0))


def parse_gigabytes(value: object) -> float | None:
    """Parse an amount of storage with its unit, such as ``"5 GB"``.

    A pooled subscription shows two amounts, such as ``"0/1 GB"``: used and purchased (inferred). The
    purchased one is returned.

    :param value: a value of a subscription.
    :returns: GB; None for "no value".
    :raises ValueError: *value* has another form.
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
    """Return the value at *path* in nested JSON objects, whatever the case of the keys.

    :param document: a decoded JSON document.
    :param path: the keys from the outermost object on.
    :returns: None where there is no such value.
    """
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = get_key(document, key)
    return document


def get_key(document: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return ``document[key]``, else the value of the first key that differs only in case.

    The vendor's tables write ``TotalCount`` where its samples write ``totalCount``.

    :param document: a JSON object.
    :param key: the key as documented.
    :param default: returned where there is no such key.
    """
    if key in document:
        return document[key]
    folded = key.casefold()
    return next((value for name, value in document.items() if name.casefold() == folded), default)


def normalize_label(label: str) -> str:
    """Normalise a label for comparison: ``"Finished with Exceptions"`` → ``"finishedwithexception"``.

    :param label: the vendor's label.
    """
    return re.sub(r"[\s_-]+", "", label).lower().replace("exceptions", "exception")


def to_word(label: str) -> str:
    """Write a label in snake case: ``"Customer Engagement"`` → ``"customer_engagement"``.

    Letters of every script stay. A label without letters and digits stays as it is, so that two labels
    never become one word.

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
    """Return an id as a text.

    :param value: a value of a row.
    :returns: None for "no value", and for a value that cannot be an id.
    """
    if value.__class__ is str:
        # A text that cannot be shown or stored as it is would become another id.
        return None if is_absent(value) or not value.isprintable() else value
    if value.__class__ is int:
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else None


def read_text(value: object) -> str | None:
    """Return a value as a text that a database takes.

    :param value: a value of a row.
    :returns: None for "no value".
    """
    if is_absent(value):
        return None
    return storable(value) if isinstance(value, str) else quoted(value)
