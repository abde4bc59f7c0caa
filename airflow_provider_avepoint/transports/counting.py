"""Count what a driver does. Both drivers use it."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_avepoint.core.flow import Effect, Pause, Response, Send

#: Called for each event with its kind (``requests``, ``retries`` or ``throttled``) and the product.
Count = Callable[[str, str], None]


def count_nothing(_name: str, _subject: str) -> None:
    """Count nothing."""


class Tally:
    """Counts the requests, retries and throttled answers of one flow.

    :param count: called for each of them.
    """

    def __init__(self, count: Count) -> None:
        self._count = count
        self._subject = "identity"

    def note(self, effect: Effect, outcome: object) -> None:
        """Count an effect that has been performed.

        :param effect: the effect.
        :param outcome: its outcome; None if there is none.
        """
        match effect:
            case Send(request):
                self._subject = request.subject
                self._count("requests", request.subject)
                if isinstance(outcome, Response) and outcome.status == 429:
                    self._count("throttled", request.subject)
            case Pause():  # a flow pauses only before another try
                self._count("retries", self._subject)
