"""Decide whether to try a request again, and after which delay. Both drivers use it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: The largest number of tries for one request, the first included.
MAX_ATTEMPTS = 5
#: The first back-off in seconds. The back-off doubles with each try.
BASE_DELAY = 1.0
#: The longest wait before a try, in seconds. If the service asks for a longer one, the request fails.
MAX_DELAY = 60.0

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_transient(status: int) -> bool:
    """Tell whether the next try may get another answer.

    :param status: the HTTP status of an answer.
    """
    return status in _TRANSIENT


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; None if the header is absent or cannot be read.

    If the header is a date, the wait is counted from the answer's own ``Date``, so that a wrong clock does no
    harm.

    :param headers: the headers of the answer, the names in lower case.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:12])  # twelve digits are longer than any wait
    until = parse_http_date(value)
    if until is None:
        return None
    now = parse_http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def next_delay(attempt: int, retry_after: float | None, chance: float) -> float | None:
    """Return the seconds to wait before the next try; None to give up.

    :param attempt: the number of tries so far, at least 1.
    :param retry_after: the seconds that the service asked for, honoured up to ``MAX_DELAY``; None for no
        wish.
    :param chance: a random number in [0, 1), so that many callers do not return at the same time.
    """
    if attempt >= MAX_ATTEMPTS or (retry_after is not None and retry_after > MAX_DELAY):
        return None
    backoff = min(MAX_DELAY, BASE_DELAY * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)
    if retry_after is None:
        return backoff
    return retry_after + min(backoff, 1.0) * chance


def parse_http_date(value: str) -> datetime | None:
    """Return the moment of a date in a header; None if the text is no date.

    :param value: an HTTP date, such as ``Sun, 06 Nov 1994 08:49:37 GMT``.
    """
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
