"""Time inside the simulator: one integer, .NET ticks (100 ns since 0001-01-01 UTC).

Ticks can be written in every form of the vendor (whole seconds, 2-3 or 7 fraction digits, raw ticks).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

TICKS_PER_SECOND = 10_000_000
LATEST = 3_155_378_975_999_999_999
"""The last tick of the year 9999; the first one of the year 1 is 0."""
_UNIX_EPOCH_TICKS = 621_355_968_000_000_000
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
_MINUTES = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in range(60)]
_SECONDS = [f"{second:02d}" for second in range(60)]
_DIGITS_ONLY = str.maketrans("", "", "-:T")
_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:T(?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,7}))?(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?"
)


def now() -> int:
    """Return the current time in ticks."""
    return time.time_ns() // 100 + _UNIX_EPOCH_TICKS


@dataclass(slots=True)
class Clock:
    """The simulator's clock.

    :param ahead: how far the clock is ahead of the machine's, in seconds; less than 0 is behind.
    """

    ahead: float = 0.0

    def now(self) -> int:
        """Return the clock's time in ticks."""
        return now() + ticks_in(self.ahead)

    def unix_time(self) -> float:
        """Return the clock's time in seconds since 1970."""
        return time.time() + self.ahead


def ticks_in(seconds: float) -> int:
    """Return a duration in ticks.

    :param seconds: the duration in seconds.
    """
    return round(seconds * TICKS_PER_SECOND)


def parse_iso(text: str) -> int:
    """Return the ticks of an ISO 8601 time; a date alone is its midnight, and no zone means UTC.

    :param text: the time, with up to 7 fraction digits.
    :raises ValueError: the text is no such time.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 time such as 2024-12-02T07:52:25Z")
    zone = (match["zone"] or "Z").upper()
    moment = datetime.fromisoformat(
        f"{match['date']}T{match['clock'] or '00:00'}{'+00:00' if zone == 'Z' else zone}"
    )
    return from_datetime(moment) + int((match["fraction"] or "").ljust(7, "0"))


def from_datetime(moment: datetime) -> int:
    """Return the ticks of a datetime.

    :param moment: the datetime; a naive one is taken as UTC.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _YEAR_ONE) // timedelta(microseconds=1) * 10


def to_iso(ticks: int) -> str:
    """Return ``2024-12-02T07:52:25Z``: whole seconds, the fraction is cut off.

    :param ticks: the time in ticks.
    """
    return f"{_whole_second(ticks)}Z"


def to_iso_millis(ticks: int) -> str:
    """Return ``2022-08-18T10:34:53.92Z``: three fraction digits, or two where the third is 0.

    :param ticks: the time in ticks.
    """
    millis = ticks // 10_000 % 1000
    fraction = f"{millis:03d}" if millis % 10 else f"{millis // 10:02d}"
    return f"{_whole_second(ticks)}.{fraction}Z"


def to_iso_offset(ticks: int) -> str:
    """Return ``2024-10-09T05:50:36.008+00:00``: three fraction digits, or none where all are 0.

    :param ticks: the time in ticks.
    """
    millis = ticks // 10_000 % 1000
    return f"{_whole_second(ticks)}{f'.{millis:03d}' if millis else ''}+00:00"


def to_iso_offset_full(ticks: int) -> str:
    """Return ``2024-09-26T05:58:40.4092427+00:00``: all seven fraction digits.

    :param ticks: the time in ticks.
    """
    return f"{_whole_second(ticks)}.{ticks % TICKS_PER_SECOND:07d}+00:00"


def to_iso_full(ticks: int) -> str:
    """Return the control API's own form, which has all seven fraction digits and reads back as the same tick.

    :param ticks: the time in ticks.
    """
    return f"{_whole_second(ticks)}.{ticks % TICKS_PER_SECOND:07d}Z"


def to_stamp(ticks: int) -> str:
    """Return ``20241202075225``, the form in job ids.

    :param ticks: the time in ticks.
    """
    return _whole_second(ticks).translate(_DIGITS_ONLY)


def _whole_second(ticks: int) -> str:
    """Return date and time; written by hand for speed, because pages do this thousands of times."""
    day, seconds = divmod(ticks // TICKS_PER_SECOND, 86_400)
    return f"{_date(day)}T{_MINUTES[seconds // 60]}:{_SECONDS[seconds % 60]}"


@lru_cache(maxsize=10_000)
def _date(day: int) -> str:
    return date.fromordinal(day + 1).isoformat()
