"""The API's clock, as the ``Date`` header of its answers shows it: a worker's own may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.retry import parse_http_date

log = logging.getLogger(__name__)

#: Where the clocks differ by more, that is said, and what was asked by the wrong one is asked again.
TOLERANCE = timedelta(minutes=1)
# The header tells whole seconds.
_SECOND = timedelta(seconds=1)
# A clock that shows another year shows no time.
_YEARS = range(2000, 2200)
# A cache keeps no answer for longer, in seconds.
_OLDEST = 10 * 365 * 86400


@dataclass(slots=True)
class ApiClock:
    """What time the API has.

    :param ahead: how far the API's clock is known to be ahead of this machine's; negative where behind.
    """

    ahead: timedelta = timedelta()
    _is_new_look: bool = True

    def now(self) -> datetime:
        """Return the time by the API's clock; by this machine's as long as no answer has shown it."""
        return datetime.now(UTC) + self.ahead

    def begin_look(self) -> None:
        """Have the next answer set the clock, whatever those before have shown."""
        self._is_new_look = True

    def note(self, headers: Mapping[str, str], sent_at: datetime, received_at: datetime) -> None:
        """Take the headers of an answer.

        The answer was written at some moment between *sent_at* and *received_at*, which are by this machine's
        clock: where that may have been when the header says, the clocks agree. Where the answers of one look
        disagree, as those of several machines may, the latest time holds: by it no backup is too fresh.
        """
        shown = parse_http_date(headers.get("date", ""))
        if shown is None or shown.year not in _YEARS:
            return
        age = parse_digits(headers.get("age", "").strip()) or 0  # a cache has kept the answer for so long
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
