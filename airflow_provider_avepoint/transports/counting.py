"""What a driver counts, whichever it is."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_avepoint.core.flow import Effect, Pause, Response, Send

#: Told of one more: ``requests``, ``retries`` or ``throttled``, and of what product.
Count = Callable[[str, str], None]


def count_nothing(_name: str, _subject: str) -> None:
    """Count for nobody."""


class Tally:
    """Counts what one flow does."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._subject = "identity"

    def note(self, effect: Effect, outcome: object) -> None:
        """Take an effect that has been performed, and what came of it."""
        match effect:
            case Send(request):
                self._subject = request.subject
                self._count("requests", request.subject)
                if isinstance(outcome, Response) and outcome.status == 429:
                    self._count("throttled", request.subject)
            case Pause():  # a flow pauses for nothing but another try
                self._count("retries", self._subject)
