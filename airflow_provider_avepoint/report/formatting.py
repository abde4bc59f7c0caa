"""Figures as a reader reads them: with units, in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def say_duration(duration: timedelta) -> str:
    """Return *duration* in its largest fitting unit: ``34 min``, ``5.2 h``, ``3.4 days``."""
    if duration < _HOUR:
        return f"{duration // _MINUTE} min"
    if duration < 2 * _DAY:
        return f"{duration / _HOUR:.1f} h"
    return f"{duration / _DAY:,.1f} days"


def say_minute(moment: datetime) -> str:
    """Return *moment*, which is in UTC, to the minute, where something else says that it is in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def say_moment(moment: datetime) -> str:
    """Return *moment*, which is in UTC, to the minute."""
    return f"{say_minute(moment)} UTC"


def say_number(number: float) -> str:
    """Return *number* with separators, and with decimals where it is small enough for them to matter."""
    if number == int(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:,.1f}"


def say_count(number: int, noun: str) -> str:
    """Return how many of what there are; the noun's plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say_share(share: float) -> str:
    """Return *share* in percent; never 100 where it is more or less."""
    percent = share * 100
    return f"{percent:.0f} %" if abs(percent - 100) >= 0.5 or share == 1 else f"{percent:.2f} %"
