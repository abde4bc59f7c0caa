"""Keep the API's clock, as the ``Date`` header of its answers shows it: a worker's own clock may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.retry import parse_http_date

log = logging.getLogger(__name__)

#: A larger difference between the clocks is logged, and queries by the wrong clock are sent again.
TOLERANCE = timedelta(minutes=1)
# What was asked by a wrong clock is asked again, once the API has shown its own: in a second round, unless a
# clock jumps.
_MOST_ROUNDS = 3
# The header has whole seconds.
_SECOND = timedelta(seconds=1)
# A clock outside these years is not set at all.
_YEARS = range(2000, 2200)
# The largest age of a cached answer, in seconds.
_OLDEST = 10 * 365 * 86400


@dataclass(slots=True)
class ApiClock:
    """The API's clock.

    :param ahead: how far the API's clock is ahead of this machine's clock; negative where behind.
    """

    ahead: timedelta = timedelta()
    _is_new_look: bool = True

    def now(self) -> datetime:
        """Return the time by the API's clock; by this machine's clock until an answer has shown the API's."""
        return datetime.now(UTC) + self.ahead

    def begin_look(self) -> None:
        """Let the next answer set the clock, whatever earlier answers have shown."""
        self._is_new_look = True

    def rounds(self) -> Iterator[int]:
        """Yield the number of each round of a look, whose queries depend on the time.

        There is a second round where the first one has shown that the clock was wrong.
        """
        for number in range(1, _MOST_ROUNDS + 1):
            ahead = self.ahead
            self.begin_look()
            yield number
            if abs(self.ahead - ahead) <= TOLERANCE:
                return

    def note(self, headers: Mapping[str, str], sent_at: datetime, received_at: datetime) -> None:
        """Set the clock by the headers of an answer.

        The server wrote the answer at some moment between *sent_at* and *received_at*. Where the header's
        time may lie between them, the clocks agree. Several servers may answer in one look, and their clocks
        may differ: then the latest time holds, because by the latest time no backup is too fresh.

        :param headers: the answer's headers, names in lower case.
        :param sent_at: when the request was sent, by this machine's clock.
        :param received_at: when the answer had come, by this machine's clock.
        """
        shown = parse_http_date(headers.get("date", ""))
        if shown is None or shown.year not in _YEARS:
            return
        age = parse_digits(headers.get("age", "").strip()) or 0  # seconds that a cache has kept the answer
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
