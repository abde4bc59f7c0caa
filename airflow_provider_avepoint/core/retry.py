"""Decide whether to try a request again, and after how long; both drivers share the decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: The most tries for one request, the first one included.
MAX_ATTEMPTS = 5
#: The first back-off in seconds. The back-off doubles with each try.
BASE_DELAY = 1.0
#: The longest single wait in seconds; where a service asks for more, the request fails instead.
MAX_DELAY = 60.0

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


# Each of these is decided before a request is carried out: by the token, the path, the method or the content.
# A 408 or 425 may come from a gateway behind which the request went on, a 409 may mean that the deed is under
# way already, such as where a proxy has sent the request twice, and a 5xx may come after the deed.
_NOT_DONE = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422})


def is_not_done(status: int | None) -> bool:
    """Tell whether the answer to a request that changes something says that nothing was changed.

    :param status: the HTTP status, or the status in the body of a 200; None where there is none.
    """
    return status in _NOT_DONE


def is_transient(status: int) -> bool:
    """Tell whether the answer to the same request may be different next time.

    :param status: the HTTP status of the answer.
    """
    return status in _TRANSIENT


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After``, given in seconds or as a date.

    A date is compared with the answer's own ``Date``, so a wrong clock of this machine does no harm.

    :param headers: the answer's headers, names in lower case.
    :returns: seconds; None where the header is missing or cannot be read.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:12])  # twelve digits are longer than anybody waits; ignore the rest
    until = parse_http_date(value)
    if until is None:
        return None
    now = parse_http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def next_delay(attempt: int, retry_after: float | None, chance: float) -> float | None:
    """Return the seconds to wait before the next try; None to give up.

    :param attempt: how many tries there were, at least 1.
    :param retry_after: the seconds that the service asked for; more than ``MAX_DELAY`` means to give up.
    :param chance: a random number in [0, 1), so that many callers do not come back at once.
    """
    if attempt >= MAX_ATTEMPTS or (retry_after is not None and retry_after > MAX_DELAY):
        return None
    backoff = min(MAX_DELAY, BASE_DELAY * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)
    if retry_after is None:
        return backoff
    return retry_after + min(backoff, 1.0) * chance


def parse_http_date(value: str) -> datetime | None:
    """Read the date in a header.

    :param value: the header's value.
    :returns: an aware moment; None where *value* is no date.
    """
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
