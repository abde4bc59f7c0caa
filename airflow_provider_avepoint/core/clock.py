"""Read the API's clock from the ``Date`` header of its answers: the clock of a worker may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.retry import parse_http_date

log = logging.getLogger(__name__)

#: If the clocks differ by more, a warning is logged, and queries built by the wrong clock are sent again.
TOLERANCE = timedelta(minutes=1)
# The resolution of the header.
_SECOND = timedelta(seconds=1)
# A date in another year is no valid time.
_YEARS = range(2000, 2200)
# The largest age of an answer from a cache, in seconds.
_OLDEST = 10 * 365 * 86400


@dataclass(slots=True)
class ApiClock:
    """The time by the API's clock.

    :param ahead: how far the API's clock is ahead of this machine's clock; negative if it is behind.
    """

    ahead: timedelta = timedelta()
    _is_new_look: bool = True

    def now(self) -> datetime:
        """Return the time by the API's clock (UTC); before the first answer, by this machine's clock."""
        return datetime.now(UTC) + self.ahead

    def begin_look(self) -> None:
        """Let the next answer set the clock, whatever earlier answers have shown."""
        self._is_new_look = True

    def note(self, headers: Mapping[str, str], sent_at: datetime, received_at: datetime) -> None:
        """Set the clock by the headers of an answer.

        The server wrote the answer between *sent_at* and *received_at*. If the ``Date`` header lies in this
        span, the clocks agree. If the answers of one look disagree, as answers of several machines may, the
        latest time counts: so no backup looks fresher than it is.

        :param headers: the headers of the answer, the names in lower case.
        :param sent_at: when the request was sent, by this machine's clock (UTC).
        :param received_at: when the answer was received, by this machine's clock (UTC).
        """
        shown = parse_http_date(headers.get("date", ""))
        if shown is None or shown.year not in _YEARS:
            return
        age = parse_digits(headers.get("age", "").strip()) or 0  # seconds that the answer spent in a cache
        shown += timedelta(seconds=min(age, _OLDEST))
        least, most = shown - received_at, shown + _SECOND - sent_at
        ahead = timedelta() if least <= timedelta() <= most else min(least, most, key=abs)
        if not self._is_new_look:
            ahead = max(ahead, self.ahead)
        self._is_new_look = False
        if abs(ahead - self.ahead) > TOLERANCE:
            log.warning(
                "This machine's clock is %s %s the API's. The API's is used; set this machine's right.",
                timedelta(seconds=round(abs(ahead).total_seconds())),
                "behind" if ahead > timedelta() else "ahead of",
            )
        self.ahead = ahead
