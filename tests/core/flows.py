"""A driver without I/O: it answers requests from a list or a function, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from airflow_provider_avepoint.core.flow import (
    Flow,
    Join,
    NoAnswer,
    Pause,
    Protect,
    Request,
    Response,
    Send,
)

Answer = Response | NoAnswer


def answer(document: Any = None, *, status: int = 200, body: bytes | None = None, **headers: str) -> Response:
    """Return an HTTP answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status=status,
        headers={"content-type": "application/json", **named},
        body=json.dumps(document).encode() if body is None else body,
    )


def token(value: str = "token-1", **fields: Any) -> Response:
    """Return the identity service's good answer."""
    return answer({"access_token": value, "token_type": "Bearer", "expires_in": 3600, **fields})


class Driver:
    """Runs flows to their end, one at a time."""

    def __init__(self, answers: Iterable[Answer] | Callable[[Request], Answer]) -> None:
        self._next = answers if callable(answers) else self._from_list(answers)
        self.sent: list[Request] = []
        self.pauses: list[float] = []
        self.secrets: list[str] = []

    def run(self, flow: Flow[Any]) -> Any:
        """Return what *flow* returns, or raise what it raises."""
        outcome: Any = None
        problem: NoAnswer | None = None
        while True:
            try:
                effect = flow.send(outcome) if problem is None else flow.throw(problem)
            except StopIteration as stop:
                return stop.value
            outcome, problem = None, None
            match effect:
                case Send(request):
                    self.sent.append(request)
                    reply = self._next(request)
                    outcome, problem = (None, reply) if isinstance(reply, NoAnswer) else (reply, None)
                case Pause(seconds):
                    self.pauses.append(seconds)
                case Protect(secret):
                    self.secrets.append(secret)
                case Join(future):
                    assert future.done(), "nobody else runs here: this join would never end"

    @staticmethod
    def _from_list(answers: Iterable[Answer]) -> Callable[[Request], Answer]:
        left = iter(answers)
        return lambda _: next(left)
