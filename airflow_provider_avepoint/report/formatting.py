"""Write figures for readers: with units, and times in the time zone of the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from math import floor, log10

_LEAST_WITH_ONE_DECIMAL = 0.1
_MOST_DECIMALS = 9
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def say_duration(duration: timedelta) -> str:
    """Return a duration in its largest fitting unit: ``34 min``, ``5.2 h``, ``3.4 days``.

    :param duration: the duration, not negative.
    """
    if duration < _HOUR:
        return f"{duration // _MINUTE} min"
    if duration < 2 * _DAY:
        return f"{duration / _HOUR:.1f} h"
    return f"{duration / _DAY:,.1f} days"


def say_minute(moment: datetime, timezone: tzinfo = UTC) -> str:
    """Return a time to the minute, without the zone; for places where the page names the zone.

    :param moment: an aware datetime.
    :param timezone: the time zone in which to write the time.
    """
    return f"{moment.astimezone(timezone):%Y-%m-%d %H:%M}"


def say_moment(moment: datetime, timezone: tzinfo = UTC) -> str:
    """Return a time to the minute, with the zone.

    :param moment: an aware datetime.
    :param timezone: the time zone in which to write the time.
    """
    return f"{moment.astimezone(timezone):%Y-%m-%d %H:%M %Z}"


def say_number(number: float) -> str:
    """Return a number with separators; a fraction below 1,000 gets one decimal, below 0.1 more.

    :param number: the number.
    """
    if 0 < abs(number) < _LEAST_WITH_ONE_DECIMAL:
        return f"{number:.{min(_MOST_DECIMALS, -floor(log10(abs(number))))}f}"
    if number == int(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:,.1f}"


def say_size(size_bytes: int) -> str:
    """Return a size in MB, GB or TB, of 1,024 each: ``1.5 GB``, ``12.3 TB``; below 0.1 GB in MB.

    :param size_bytes: the size in bytes, not negative.
    """
    gigabytes = size_bytes / 1024**3
    if 0 < gigabytes < _LEAST_WITH_ONE_DECIMAL:
        megabytes = size_bytes / 1024**2
        small = megabytes < _LEAST_WITH_ONE_DECIMAL
        return "less than 0.1 MB" if small else f"{say_number(round(megabytes, 1))} MB"
    if round(gigabytes, 1) < 1000:
        return f"{say_number(round(gigabytes, 1))} GB"
    terabytes = gigabytes / 1024
    return f"{terabytes:,.2f} TB" if terabytes < 10 else f"{terabytes:,.1f} TB"


def say_count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 scope``, ``2 scopes``.

    :param number: the number.
    :param noun: the noun in the singular; its plural must end in s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say_share(share: float) -> str:
    """Return a share in percent; a share close to 1, but not 1, gets two decimals and is never 100 %.

    A share close to 0, but not 0, is never 0 %.

    :param share: the share; 1 is all.
    """
    percent = share * 100
    if 0 < percent < 1:
        return f"{percent:.1f} %" if percent >= 0.1 else "less than 0.1 %"
    if share == 1 or abs(percent - 100) > 1:
        return f"{percent:.0f} %"
    return f"{min(percent, 99.99) if share < 1 else max(percent, 100.01):.2f} %"
