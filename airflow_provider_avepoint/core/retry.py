"""When to try again, and after how long: a pure decision for both drivers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Tries in all for one request, the first included.
MAX_ATTEMPTS = 5
#: The first back-off in seconds; it doubles with each try.
BASE_DELAY = 1.0
#: No single wait is longer, in seconds; a service that asks for more is reported instead.
MAX_DELAY = 60.0

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_transient(status: int) -> bool:
    """Tell whether an answer with this status may be different next time."""
    return status in _TRANSIENT


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, given in seconds or as a date, or None.

    A date is read against the answer's own ``Date``, so that a clock that differs from ours does no harm.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:12])  # longer than anybody waits, however many digits follow
    until = parse_http_date(value)
    if until is None:
        return None
    now = parse_http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def next_delay(attempt: int, retry_after: float | None, chance: float) -> float | None:
    """Return the seconds to wait before the next try, or None to give up.

    :param attempt: tries so far, at least 1.
    :param retry_after: what the service asked for, honoured up to ``MAX_DELAY``.
    :param chance: a random number in [0, 1), so that many callers do not come back at once.
    """
    if attempt >= MAX_ATTEMPTS or (retry_after is not None and retry_after > MAX_DELAY):
        return None
    backoff = min(MAX_DELAY, BASE_DELAY * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)
    if retry_after is None:
        return backoff
    return retry_after + min(backoff, 1.0) * chance


def parse_http_date(value: str) -> datetime | None:
    """Return the moment that a header's date names; None where it names none."""
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
