"""The log of requests to the vendor's endpoints: the newest requests, and counts of all. Never a secret."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT_ENTRIES = 100_000
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request.

    :param index: the number of the request since the last reset, from 0.
    :param at: when the request came in, by the simulator's clock, in ISO 8601.
    :param method: the HTTP method.
    :param path: the path.
    :param query: the query parameters.
    :param header_names: the names of the headers.
    :param user_agent: the header User-Agent.
    :param body: the JSON body of a listing request; the body of a token request is never kept.
    :param status: the HTTP status; None until the answer, and also where the connection was dropped.
    :param scope: the scope of the request's token; None without a valid token.
    :param client_id: the client of the request's token; None without a valid token.
    :param note: the fault that was played, or why a token was refused.
    """

    index: int
    at: str
    method: str
    path: str
    query: dict[str, str]
    header_names: list[str]
    user_agent: str
    body: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    scope: str | None = None
    client_id: str | None = None
    note: str = ""


class RequestLog:
    """The requests since the last reset, and the number of tokens of each scope."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT_ENTRIES)
        self._count = 0
        self._answers: dict[str, Counter[str]] = {}
        self._tokens: Counter[str] = Counter()

    def open(
        self,
        *,
        at: str,
        method: str,
        path: str,
        query: dict[str, str],
        header_names: list[str],
        user_agent: str,
    ) -> Entry:
        """Record a request that has come in; the parameters are the fields of :class:`Entry`.

        :param at: when the request came in, in ISO 8601.
        :param method: the HTTP method.
        :param path: the path.
        :param query: the query parameters.
        :param header_names: the names of the headers.
        :param user_agent: the header User-Agent.
        """
        entry = Entry(
            index=self._count,
            at=at,
            method=method,
            path=path,
            query=query,
            header_names=header_names,
            user_agent=user_agent,
        )
        self._entries.append(entry)
        self._count += 1
        return entry

    def close(self, entry: Entry, status: int | None) -> None:
        """Record the answer to a request.

        :param entry: the request.
        :param status: the HTTP status; None for a dropped connection.
        """
        entry.status = status
        answer = "dropped" if status is None else str(status)
        self._answers.setdefault(entry.path, Counter())[answer] += 1
        log.info("%s %s %s %s", entry.method, entry.path, answer, entry.note)

    def count_token(self, scope: str) -> None:
        """Count an issued token.

        :param scope: the token's scope.
        """
        self._tokens[scope] += 1

    def requests(self, *, path: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Return requests, oldest first.

        :param path: the beginning of their path; None for every path.
        :param since: the index of the first request.
        """
        return [
            asdict(entry)
            for entry in self._entries
            if entry.index >= since and (path is None or entry.path.startswith(path))
        ]

    def stats(self) -> dict[str, Any]:
        """Return ``{"requests": {path: {status: count}}, "tokens": {scope: count}}``."""
        answers = {path: dict(counts) for path, counts in sorted(self._answers.items())}
        return {"requests": answers, "tokens": dict(sorted(self._tokens.items()))}
