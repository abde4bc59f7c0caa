"""The API's clock, as the ``Date`` header of its answers shows it: a worker's own may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_avepoint.core.retry import parse_http_date

log = logging.getLogger(__name__)

#: Where the clocks differ by more, that is said, and what was asked by the wrong one is asked again.
TOLERANCE = timedelta(minutes=1)
# The header tells whole seconds.
_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class ApiClock:
    """What time the API has.

    :param ahead: how far the API's clock is known to be ahead of this machine's; negative where behind.
    """

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the time by the API's clock; by this machine's as long as no answer has shown it."""
        return datetime.now(UTC) + self.ahead

    def note(self, headers: Mapping[str, str], sent_at: datetime, received_at: datetime) -> None:
        """Take the headers of an answer.

        The answer was written at some moment between *sent_at* and *received_at*, which are by this machine's
        clock: where that may have been when the header says, the clocks agree.
        """
        shown = parse_http_date(headers.get("date", ""))
        if shown is None:
            return
        least, most = shown - received_at, shown + _SECOND - sent_at
        ahead = timedelta() if least <= timedelta() <= most else min(least, most, key=abs)
        if abs(ahead - self.ahead) > TOLERANCE:
            log.warning(
                "This machine's clock is %s %s the API's. The API's is used; set this machine's right.",
                timedelta(seconds=round(abs(ahead).total_seconds())),
                "behind" if ahead > timedelta() else "ahead of",
            )
        self.ahead = ahead
