"""Requests, responses and what a flow asks its driver to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.text import one_line

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Parameters of a query, decoded.
Pairs = tuple[tuple[str, str], ...]

_SECRET_FIELDS = frozenset({"client_secret", "client_assertion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. The query and the form are lists of pairs, decoded; the driver encodes them.

    Headers, form and JSON body stay out of the repr: they hold tokens and secrets.

    :param method: ``GET`` or ``POST``.
    :param url: the whole address, without the query.
    :param query: the parameters.
    :param headers: the headers.
    :param form: the fields of a form body; None for none.
    :param json: the JSON body; None for none.
    :param subject: what metrics count it under: the product, or ``identity``.
    """

    method: str
    url: str
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    subject: str = field(default="identity", repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def addressed_by(self) -> str:
        """The field of a connection that says where the request goes, for messages."""
        return "identity_endpoint" if self.subject == "identity" else "host"

    def redact(self, text: object) -> str:
        """Return a server's *text* for a message: one line, without the secrets it may have sent back.

        :param text: what a server has sent.
        """
        secrets = [
            value.rpartition(" ")[2] for name, value in self.headers.items() if name == "Authorization"
        ]
        secrets += [value for name, value in (self.form or {}).items() if name in _SECRET_FIELDS]
        shown = str(text)
        for secret in filter(None, secrets):
            shown = shown.replace(secret, "***")
        return one_line(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer; header names in lower case, the body undecoded and out of the repr.

    :param status: the HTTP status.
    :param headers: the headers, their names in lower case.
    :param body: the body, undecoded.
    :param loads: what reads a body as JSON, or raises ValueError.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    loads: Callable[[bytes], Any] = field(default=json.loads, repr=False, compare=False)

    @property
    def is_web_page(self) -> bool:
        """Whether the body is HTML or XML, whatever its content type says: no JSON begins so."""
        start = self.body[:1024].removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").removeprefix(b"\xff\xfe")
        return start.removeprefix(b"\xfe\xff").lstrip().startswith(b"<")

    def parse_json(self, request: Request) -> Any:
        """Return the body as JSON.

        :param request: the request that was answered, for messages.
        :raises AvePointPayloadError: the body is something else; the message says what.
        """
        try:
            return self.loads(self.body)
        except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
            kind = request.redact(self.headers.get("content-type", "no content type").split(";")[0])
            what = "an empty body" if not self.body.strip() else f"{len(self.body)} bytes of {kind}"
            raise AvePointPayloadError(
                f"{request} answered {self.status} with {what} where JSON was expected; "
                f"check that the connection's {request.addressed_by} is an address of AvePoint's API.",
                is_web_page=self.is_web_page or None,
            ) from None


class NoAnswer(Exception):
    """A driver's report that a request got no answer: refused, cut off, timed out.

    :param message: what happened, in a few words.
    :param was_sent: whether the request may have reached the server; False where there was no connection.
    :param is_no_host: whether the name of the host does not exist, so that trying again hardly helps.
    """

    def __init__(self, message: str = "", *, was_sent: bool = True, is_no_host: bool = False) -> None:
        super().__init__(message)
        self.was_sent = was_sent
        self.is_no_host = is_no_host


@dataclass(frozen=True, slots=True)
class Send:
    """Send *request* and answer with its :class:`Response`, or throw :class:`NoAnswer` in.

    :param request: the request.
    """

    request: Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait *seconds*, leaving other work on the same thread or loop alone where the driver can.

    :param seconds: how long.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Join:
    """Wait until *future*, which another flow fulfils, is done.

    :param future: the future of the other flow.
    """

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Protect:
    """Tell whoever redacts this process's logs that *secret* must never be shown.

    :param secret: the token.
    """

    secret: str = field(repr=False)


#: What a flow may ask of its driver.
Effect = Send | Pause | Join | Protect
#: A protocol written once: yields what it needs, is sent the outcome, returns its result.
Flow = Generator[Effect, Any, T]


class Pipeline(Protocol[T_co]):
    """Flows that a driver runs at the same time, ahead of whoever draws what comes of them.

    A driver starts what :meth:`begin` returns and hands the outcome of the oldest flow to :meth:`take`, draws
    the items, and begins again: until nothing is begun and nothing is on its way.
    """

    def begin(self, in_flight: int) -> list[Flow[Any]]:
        """Return the flows to start now.

        :param in_flight: how many have been started and not been taken yet.
        """

    def take(self, outcome: Any, /) -> Iterator[T_co]:
        """Take the outcome of the oldest flow; return the items that come of it.

        :param outcome: what the flow has returned.
        """
